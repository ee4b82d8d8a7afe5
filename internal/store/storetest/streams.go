package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"poa/internal/scoring"
	"poa/internal/store"
)

// many rows are more than a page of a stream or a chunk of a statement holds.
const many = 10_101

// testStreams checks that streams over many rows are complete and in order,
// and that large calls work at all.
func testStreams(t *testing.T, open opener) {
	f := open.prepared(t)
	c := constants()
	nfts, voters := make([]string, many), make([]string, many)
	entries := make([]store.NFT, many)
	for i := range many {
		nfts[i], voters[i] = fmt.Sprint("n", i), fmt.Sprint("v", i)
		entries[i] = store.NFT{ID: nfts[i], Collection: fmt.Sprint("c", i%3)}
	}
	if created := f.putNFTs(entries, true); created != many {
		t.Fatalf("created %d, want %d", created, many)
	}
	if created := f.putNFTs(entries, true); created != 0 {
		t.Fatalf("created %d again", created)
	}
	var want contents
	f.update(func(ctx context.Context, tx store.Tx) error {
		unknown, err := tx.Ensure(ctx, append([]string{"nobody"}, nfts...), voters, c.NewRating(), c.NewVoter(), base)
		if err == nil && len(unknown) != 1 {
			return unexpected("unknown", unknown)
		}
		return err
	})
	f.update(func(ctx context.Context, tx store.Tx) (err error) {
		want.Ratings, want.Voters, err = tx.Lock(ctx, nfts, voters)
		if err != nil {
			return err
		}
		if len(want.Ratings) != many || len(want.Voters) != many {
			return unexpected("locked", fmt.Sprint(len(want.Ratings), len(want.Voters)))
		}
		ascending(t, want.Ratings, func(r store.Rating) int64 { return r.NFT })
		ascending(t, want.Voters, func(v store.Voter) int64 { return v.Number })
		numbers, err := tx.Numbers(ctx, many)
		if err != nil {
			return err
		}
		changes := &store.Changes{Ratings: want.Ratings, Voters: want.Voters}
		for i := range many {
			n, v := &want.Ratings[i], &want.Voters[i]
			n.Votes, n.FireVotes, n.Fires, n.LastVote, v.Votes = 1, 1, 1, numbers[i], 1
			vote := fireVote(fmt.Sprint("k", i), *v, *n)
			vote.Number = numbers[i]
			changes.Votes = append(changes.Votes, vote)
			changes.Opinions = append(changes.Opinions, opinion(scoring.Fire, *n, *v, true))
			changes.Scores = append(changes.Scores, score(*n, 50, 20, numbers[i]))
			changes.History = append(changes.History, point(*n, i))
			changes.Activity = append(changes.Activity, store.Activity{At: base, Kind: store.Computed, NFT: n.NFT, NFTID: n.ID})
		}
		want.Votes, want.Opinions, want.History = changes.Votes, changes.Opinions, changes.History
		for i := range want.Ratings {
			want.Ratings[i].Score = nil
		}
		err = tx.Apply(ctx, changes)
		for i := range want.Ratings {
			want.Ratings[i].Score = &changes.Scores[i]
		}
		return err
	})

	t.Run("all rows in order", func(t *testing.T) {
		f := &fixture{f.Store, t}
		got := f.contents()
		sameRows(t, "AllRatings", want.Ratings, got.Ratings)
		sameRows(t, "AllVoters", weighed(want.Voters), got.Voters)
		sameRows(t, "Log", want.Votes, got.Votes)
		sameRows(t, "AllOpinions", want.Opinions, got.Opinions)
		sameRows(t, "AllHistory", want.History, got.History)
		if len(got.NFTs) != many || len(got.Activity) != many {
			t.Errorf("%d NFTs and %d entries of activity, want %d", len(got.NFTs), len(got.Activity), many)
		}
		ascending(t, got.NFTs, func(n store.NFT) int64 { return n.Number })
	})

	t.Run("large lists", func(t *testing.T) {
		f := &fixture{f.Store, t}
		keys, refs, numbers := make([]string, many), make([]store.OpinionRef, many), make([]int64, many)
		for i := range many {
			keys[i], refs[i], numbers[i] = want.Votes[i].Key, want.Opinions[i].OpinionRef, want.Ratings[i].NFT
		}
		f.view(func(ctx context.Context, v store.View) error {
			votes, err := v.VotesByKey(ctx, keys)
			if err != nil {
				return err
			}
			sameRows(t, "VotesByKey", want.Votes, byVote(votes))
			ratings, err := v.Ratings(ctx, nfts)
			if err != nil {
				return err
			}
			sameRows(t, "Ratings", want.Ratings, ratings)
			standing, err := v.Standing(ctx, numbers)
			if err != nil {
				return err
			}
			for i, s := range standing {
				if s.NFT != numbers[i] || len(s.Opinions) != 1 {
					t.Fatalf("Standing of %d is that of %d with %d opinions", numbers[i], s.NFT, len(s.Opinions))
				}
			}
			known, err := v.KnownNFTs(ctx, nfts)
			if err != nil {
				return err
			}
			knownVoters, err := v.KnownVoters(ctx, voters)
			if len(standing) != many || len(known) != many || len(knownVoters) != many {
				t.Errorf("%d standing, %d NFTs and %d voters, want %d", len(standing), len(known), len(knownVoters), many)
			}
			return err
		})
		f.update(func(ctx context.Context, tx store.Tx) error {
			locked, err := tx.LockRatings(ctx, numbers)
			if err != nil {
				return err
			}
			sameRows(t, "LockRatings", want.Ratings, locked)
			opinions, err := tx.Opinions(ctx, refs)
			sameRows(t, "Opinions", want.Opinions, byKey(opinions))
			return err
		})
	})

	t.Run("stopped early", func(t *testing.T) {
		f := &fixture{f.Store, t}
		stop := func(name string, read func(context.Context, store.View, int) (int, error)) {
			for _, rows := range []int{1, 3, many - 1} {
				f.view(func(ctx context.Context, v store.View) error {
					n, err := read(ctx, v, rows)
					if err != nil || n != rows {
						return unexpected(name, fmt.Sprint(n, err))
					}
					// The view works on after a stream that was left.
					_, err = v.KnownNFTs(ctx, nfts[:1])
					return err
				})
			}
		}
		stop("AllNFTs", func(ctx context.Context, v store.View, n int) (int, error) { return take(v.AllNFTs(ctx), n) })
		stop("AllRatings", func(ctx context.Context, v store.View, n int) (int, error) { return take(v.AllRatings(ctx), n) })
		stop("AllVoters", func(ctx context.Context, v store.View, n int) (int, error) { return take(v.AllVoters(ctx), n) })
		stop("AllOpinions", func(ctx context.Context, v store.View, n int) (int, error) { return take(v.AllOpinions(ctx), n) })
		stop("AllHistory", func(ctx context.Context, v store.View, n int) (int, error) { return take(v.AllHistory(ctx), n) })
		stop("Log", func(ctx context.Context, v store.View, n int) (int, error) { return take(v.Log(ctx, 0), n) })
		f.put("c0", "after the streams")
	})

	t.Run("cancelled", func(t *testing.T) {
		f := &fixture{f.Store, t}
		ctx, cancel := context.WithCancel(t.Context())
		err := f.View(ctx, func(v store.View) (err error) {
			if _, err := v.Counts(ctx); err != nil {
				return err
			}
			cancel()
			votes := Collect(v.Log(ctx, 0), &err)
			if err == nil {
				t.Errorf("a cancelled stream ended without error after %d votes", len(votes))
			}
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("View: %v, want context.Canceled", err)
		}
	})
}

// sameRows is same for many rows: it stops at the first that differs. Most are
// deeply equal, which takes a hundredth of the time to see.
func sameRows[T any](t *testing.T, what string, want, got []T) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		if reflect.DeepEqual(want[i], got[i]) {
			continue
		}
		if diff := cmp.Diff(want[i], got[i], exactly); diff != "" {
			t.Errorf("%s, row %d (-want +got):\n%s", what, i, diff)
			return
		}
	}
	if len(want) != len(got) {
		t.Errorf("%s has %d rows, want %d", what, len(got), len(want))
	}
}

// take reads up to n rows of a stream and leaves it.
func take[T any](stream iter.Seq2[T, error], n int) (int, error) {
	rows := 0
	for _, err := range stream {
		if err != nil {
			return rows, err
		}
		if rows++; rows == n {
			break
		}
	}
	return rows, nil
}
