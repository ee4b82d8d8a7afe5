package pgtest

var FindBinaries = findBinaries
