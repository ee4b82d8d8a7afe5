// Package storetest checks that an implementation of store.Store keeps the
// contract written in package store.
package storetest

import (
	"testing"

	"poa/internal/store"
)

// Run checks every promise of the contract. open returns a store on a new
// database that nothing has touched, without a schema; each call another one.
// Run closes the stores it opened; what else open set up, it has to remove with
// t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, area := range []struct {
		name string
		test func(*testing.T, opener)
	}{
		{"Schema", testSchema},
		{"Prepare", testPrepare},
		{"NFTs", testNFTs},
		{"Moves", testMoves},
		{"Ensure", testEnsure},
		{"Lock", testLock},
		{"RoundTrip", testRoundTrip},
		{"Votes", testVotes},
		{"Scores", testScores},
		{"Counters", testCounters},
		{"Standing", testStanding},
		{"LaterVotes", testLaterVotes},
		{"Transactions", testTransactions},
		{"Snapshots", testSnapshots},
		{"Streams", testStreams},
		{"Listings", testListings},
		{"Records", testRecords},
		{"Concurrency", testConcurrency},
	} {
		t.Run(area.name, func(t *testing.T) { area.test(t, open) })
	}
}

type opener func(t *testing.T) store.Store

// empty opens a store and closes it when the test ends.
func (open opener) empty(t *testing.T) *fixture {
	t.Helper()
	s := open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &fixture{Store: s, t: t}
}

// prepared opens a store, migrates it and prepares it with the default
// constants.
func (open opener) prepared(t *testing.T) *fixture {
	t.Helper()
	f := open.empty(t)
	f.migrate()
	f.prepare(constants())
	return f
}
