package store_test

import (
	"testing"

	"poa/internal/store"
)

func TestBins(t *testing.T) {
	var bins store.Bins
	for _, poa := range []float64{0, 0.01, 4.99, 5, 52.49, 94.99, 95, 99.99, 100} {
		bins.Add(store.BinCounter(poa), 1)
	}
	bins.Add(store.CountPOASum, 7)
	if want := (store.Bins{0: 3, 1: 1, 10: 1, 18: 1, 19: 3}); bins != want {
		t.Errorf("bins %v, want %v", bins, want)
	}
	if name := store.BinCounter(37); name != "poa_bin.07" {
		t.Errorf("the counter of 37 is %q", name)
	}
}
