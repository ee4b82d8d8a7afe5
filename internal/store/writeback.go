package store

import (
	"context"
	"time"
)

// Writeback is what writing scores into another system's database needs of a
// store beyond following it: the NFTs whose score could not be written yet. A
// target is the name of one such database and table. Every method is one short
// transaction of its own.
type Writeback interface {
	Sync

	// PutUnwritten inserts or replaces NFTs of a target, except that Since only
	// becomes earlier and At only later, and removes others.
	PutUnwritten(ctx context.Context, target string, put []Unwritten, remove []int64) error
	// UnwrittenDue returns up to limit NFTs of a target that are to be tried by
	// now, the longest due first.
	UnwrittenDue(ctx context.Context, target string, now time.Time, limit int) ([]Unwritten, error)
	// ListUnwritten returns up to limit NFTs of a target with numbers above
	// after, ascending.
	ListUnwritten(ctx context.Context, target string, after int64, limit int) ([]Unwritten, error)
	// CountUnwritten counts the NFTs of a target by reason, each with the
	// earliest Since.
	CountUnwritten(ctx context.Context, target string) ([]UnwrittenCount, error)
}

// UnwrittenReason says why a score could not be written.
type UnwrittenReason string

// The reasons why a score could not be written.
const (
	UnwrittenLocked  UnwrittenReason = "locked"  // somebody else held its row
	UnwrittenFailed  UnwrittenReason = "failed"  // the database refused the value
	UnwrittenMissing UnwrittenReason = "missing" // there is no row for it
)

// Unwritten is an NFT whose score could not be written yet.
type Unwritten struct {
	NFT     int64
	ID      string    // of the NFT
	Since   time.Time // the first change that is not written
	At      time.Time // the latest
	Reason  UnwrittenReason
	Detail  string // the database's words
	Tries   int
	NextTry time.Time // zero: not before its score changes
}

// UnwrittenCount is a number of NFTs.
type UnwrittenCount struct {
	Reason UnwrittenReason
	NFTs   int64
	Since  time.Time // the earliest
}
