package storetest

import (
	"context"
	"errors"
	"testing"

	"poa/internal/scoring"
	"poa/internal/store"
)

// testTransactions checks that a transaction that does not commit leaves
// nothing behind, and that the store works on after it.
func testTransactions(t *testing.T, open opener) {
	// write does one of everything inside a transaction.
	write := func(ctx context.Context, tx store.Tx, n []store.Rating, v store.Voter) error {
		if err := ensure(ctx, tx, []string{"unrated"}, []string{"new voter"}); err != nil {
			return err
		}
		r := n[0]
		r.Votes, r.Version, v.Votes = 5, 5, 5
		return lockAndApply(ctx, tx, &store.Changes{
			Votes: []store.Vote{fireVote("f", v, r)}, Ratings: []store.Rating{r}, Voters: []store.Voter{v},
			Opinions: []store.Opinion{opinion(scoring.Fire, r, v, true)},
			Scores:   []store.Score{score(r, 1, 2, 3)}, Withdrawn: []int64{n[1].NFT},
			History:  []store.HistoryPoint{point(r, 1)},
			Activity: []store.Activity{{At: base, Kind: store.Computed, NFT: r.NFT}},
			Counters: []store.Delta{{Name: store.CountVotes, Collection: r.Collection, By: 5}},
		})
	}
	setUp := func(t *testing.T) (*fixture, []store.Rating, store.Voter) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2")
		f.put("c", "unrated")
		v := f.voters("v1")[0]
		f.apply(&store.Changes{Scores: []store.Score{score(n[1], 9, 9, 9)}})
		return f, n, v
	}

	t.Run("an error rolls back", func(t *testing.T) {
		f, n, v := setUp(t)
		before := f.contents()
		refused := errors.New("changed my mind")
		for range 40 {
			err := f.tryUpdate(func(ctx context.Context, tx store.Tx) error {
				if err := write(ctx, tx, n, v); err != nil {
					return err
				}
				return refused
			})
			if !errors.Is(err, refused) {
				t.Fatalf("Update: %v, want the error of its function", err)
			}
		}
		same(t, "contents", before, f.contents())
		f.update(func(ctx context.Context, tx store.Tx) error { return write(ctx, tx, n, v) })
		if after := f.contents(); len(after.Votes) != 1 || len(after.Ratings) != 3 || len(after.Voters) != 2 {
			t.Errorf("the same transaction then wrote %+v", after)
		}
	})

	// More panics than any pool has connections, so that a leaked one is felt.
	t.Run("a panic rolls back", func(t *testing.T) {
		f, n, v := setUp(t)
		before := f.contents()
		for range 40 {
			if got := panicOf(func() {
				f.tryUpdate(func(ctx context.Context, tx store.Tx) error {
					if err := write(ctx, tx, n, v); err != nil {
						return err
					}
					panic("in Update")
				})
			}); got != "in Update" {
				t.Fatalf("the panic that came out of Update is %v", got)
			}
			if got := panicOf(func() {
				f.View(t.Context(), func(view store.View) error {
					for range view.AllRatings(t.Context()) {
						panic("in View")
					}
					return nil
				})
			}); got != "in View" {
				t.Fatalf("the panic that came out of View is %v", got)
			}
		}
		same(t, "contents", before, f.contents())
		f.update(func(ctx context.Context, tx store.Tx) error { return write(ctx, tx, n, v) })
	})

	t.Run("an error in a view comes out", func(t *testing.T) {
		f, _, _ := setUp(t)
		refused := errors.New("seen enough")
		for range 40 {
			if err := f.View(t.Context(), func(store.View) error { return refused }); !errors.Is(err, refused) {
				t.Fatalf("View: %v, want the error of its function", err)
			}
		}
		f.contents()
	})

	t.Run("a cancelled context", func(t *testing.T) {
		f, n, v := setUp(t)
		before := f.contents()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Update(ctx, func(tx store.Tx) error { return write(ctx, tx, n, v) }); !errors.Is(err, context.Canceled) {
			t.Errorf("Update: %v, want context.Canceled", err)
		}
		if err := f.View(ctx, func(view store.View) error { _, err := view.Counts(ctx); return err }); !errors.Is(err, context.Canceled) {
			t.Errorf("View: %v, want context.Canceled", err)
		}
		same(t, "contents", before, f.contents())
	})

	t.Run("cancelled on the way", func(t *testing.T) {
		f, n, v := setUp(t)
		before := f.contents()
		ctx, cancel := context.WithCancel(t.Context())
		err := f.Update(ctx, func(tx store.Tx) error {
			if err := write(ctx, tx, n, v); err != nil {
				return err
			}
			cancel()
			_, err := tx.VotesByKey(ctx, []string{"f"})
			return err
		})
		if err == nil {
			t.Error("a query worked with a cancelled context")
		}
		same(t, "contents", before, f.contents())
		f.update(func(ctx context.Context, tx store.Tx) error { return write(ctx, tx, n, v) })
	})
}

// panicOf returns what fn panicked with.
func panicOf(fn func()) (value any) {
	defer func() { value = recover() }()
	fn()
	return nil
}

// testSnapshots checks that a view does not see what commits while it is open.
func testSnapshots(t *testing.T, open opener) {
	t.Run("a commit during a view", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2")
		v := f.voters("v1")[0]
		f.apply(&store.Changes{Votes: []store.Vote{fireVote("before", v, n[0])}, Scores: []store.Score{score(n[0], 1, 2, 3)}})
		before := f.contents()
		f.view(func(ctx context.Context, view store.View) error {
			if _, err := view.Counts(ctx); err != nil { // a snapshot is taken no later than with the first query
				return err
			}
			r := n[0]
			r.Votes, r.Version = 5, 5
			f.apply(&store.Changes{
				Votes: []store.Vote{fireVote("meanwhile", v, n[0])}, Ratings: []store.Rating{r},
				Opinions: []store.Opinion{opinion(scoring.Fire, r, v, true)},
				Scores:   []store.Score{score(r, 11, 12, 13)}, History: []store.HistoryPoint{point(r, 1)},
				Activity: []store.Activity{{At: base, Kind: store.Computed}},
				Counters: []store.Delta{{Name: store.CountVotes, Collection: r.Collection, By: 5}},
			})
			f.put("d", "n2", "n3")
			if err := f.MergeCounters(ctx); err != nil {
				return err
			}
			seen, err := read(ctx, view)
			same(t, "contents in the snapshot", before, seen)
			if err != nil {
				return err
			}
			found, err := view.VotesByKey(ctx, []string{"before", "meanwhile"})
			if len(found) != 1 {
				t.Errorf("%d votes by key in the snapshot, want 1", len(found))
			}
			return err
		})
		if after := f.contents(); len(after.Votes) != 2 || len(after.NFTs) != 3 {
			t.Errorf("after the view: %d votes and %d NFTs, want 2 and 3", len(after.Votes), len(after.NFTs))
		}
	})

	// A writer moves votes from one rating to the other; no view may see them
	// under way.
	t.Run("many commits during many views", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2")
		n[0].Votes = 50
		f.apply(&store.Changes{Ratings: n})
		written := make(chan error, 1)
		go func() {
			defer close(written)
			for range 50 {
				n[0].Votes--
				n[1].Votes++
				if err := f.tryApply(&store.Changes{Ratings: n}); err != nil {
					written <- err
					return
				}
			}
		}()
		for done := false; !done; {
			select {
			case err := <-written:
				if err != nil {
					t.Fatal(err)
				}
				done = true
			default:
			}
			f.view(func(ctx context.Context, view store.View) error {
				one, err := view.Ratings(ctx, []string{"n1"})
				if err != nil {
					return err
				}
				two, err := view.Ratings(ctx, []string{"n2"})
				if err == nil && one[0].Votes+two[0].Votes != 50 {
					t.Errorf("a view saw %d and %d votes", one[0].Votes, two[0].Votes)
				}
				return err
			})
		}
		if got := f.rating("n2").Votes; got != 50 {
			t.Errorf("%d votes were moved, want 50", got)
		}
	})
}
