package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"poa/internal/scoring"
	"poa/internal/store"
)

// repeated calls fn until it does not fail with ErrContention.
func repeated(fn func() error) error {
	for {
		if err := fn(); !errors.Is(err, store.ErrContention) {
			return err
		}
	}
}

// testConcurrency runs writers that meet on the same rows.
func testConcurrency(t *testing.T, open opener) {
	const writers, rounds = 8, 25
	var nfts, voters []string
	for i := range 5 {
		nfts = append(nfts, fmt.Sprint("n", i))
		voters = append(voters, fmt.Sprint("v", i))
	}

	// Every writer votes for two of five NFTs, named in either order; vote
	// numbers must ascend along each of them.
	t.Run("no update is lost", func(t *testing.T) {
		f := open.prepared(t)
		f.put("c", nfts...)
		var g errgroup.Group
		for w := range writers {
			g.Go(func() error {
				for round := range rounds {
					a, b := (w+round)%5, (w*3+round*2+1)%5
					if a == b {
						b = (b + 1) % 5
					}
					ids, by := []string{nfts[a], nfts[b]}, []string{voters[b], voters[a]}
					err := repeated(func() error {
						return f.tryUpdate(func(ctx context.Context, tx store.Tx) error {
							return castVote(ctx, tx, fmt.Sprint(w, "/", round), ids, by)
						})
					})
					if err != nil {
						return fmt.Errorf("writer %d, round %d: %w", w, round, err)
					}
				}
				return nil
			})
		}
		g.Go(func() error { // upkeep runs beside them
			for range rounds {
				if err := repeated(func() error { return f.MergeCounters(t.Context()) }); err != nil {
					return fmt.Errorf("merging counters: %w", err)
				}
			}
			return nil
		})
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		all := f.contents()
		var votes, voted, counted int64
		for _, r := range all.Ratings {
			votes += r.Votes
		}
		for _, v := range all.Voters {
			voted += v.Votes
		}
		for _, d := range all.Counters {
			if d.Name == store.CountVotes {
				counted += d.By
			}
		}
		const want = writers * rounds
		if len(all.Votes) != want || votes != 2*want || voted != 2*want || counted != want {
			t.Errorf("%d votes in the log, %d on NFTs, %d of voters, %d counted; want %d, %d, %d, %d",
				len(all.Votes), votes, voted, counted, want, 2*want, 2*want, want)
		}
	})

	// Writers bring the same keys; all meet on one NFT, so whoever comes second
	// finds the key and never runs into it.
	t.Run("a key counts once", func(t *testing.T) {
		f := open.prepared(t)
		f.put("c", "n0", "n1")
		inserted := make([]int, writers)
		var g errgroup.Group
		for w := range writers {
			g.Go(func() error {
				for round := range rounds {
					err := repeated(func() error {
						found := false
						err := f.tryUpdate(func(ctx context.Context, tx store.Tx) error {
							var err error
							found, err = castOnce(ctx, tx, fmt.Sprint("k", round), voters[w%5])
							return err
						})
						if err == nil && !found {
							inserted[w]++
						}
						return err
					})
					if err != nil {
						return fmt.Errorf("writer %d, round %d: %w", w, round, err)
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, n := range inserted {
			sum += n
		}
		if log := f.contents().Votes; sum != rounds || len(log) != rounds {
			t.Errorf("%d votes inserted (%v) and %d in the log, want %d", sum, inserted, len(log), rounds)
		}
		if votes := f.rating("n0").Votes; votes != rounds {
			t.Errorf("the NFT has %d votes, want %d", votes, rounds)
		}
	})

	// Writers that share no row may run into each other's keys: one gets in.
	t.Run("a key counts once without a shared row", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", nfts...)
		v := f.voters(voters...)
		inserted := make([]int, len(n))
		var g errgroup.Group
		for w := range n {
			g.Go(func() error {
				for round := range rounds {
					c := &store.Changes{
						Votes:    []store.Vote{fireVote(fmt.Sprint("k", round), v[w], n[w])},
						Counters: []store.Delta{{Name: store.CountVoteKind + "fire", By: 1}},
					}
					err := repeated(func() error { return f.tryApply(c) })
					switch {
					case err == nil:
						inserted[w]++
					case !errors.Is(err, store.ErrKeyExists):
						return fmt.Errorf("writer %d, round %d: %w", w, round, err)
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, n := range inserted {
			sum += n
		}
		all := f.contents()
		if sum != rounds || len(all.Votes) != rounds {
			t.Errorf("%d votes inserted (%v) and %d in the log, want %d", sum, inserted, len(all.Votes), rounds)
		}
		for _, d := range all.Counters {
			if d.Name == store.CountVoteKind+"fire" && d.By != rounds {
				t.Errorf("%d votes counted, want %d", d.By, rounds)
			}
		}
	})
}

// castVote adds one to the votes of the NFTs and voters, as a fold does.
func castVote(ctx context.Context, tx store.Tx, key string, nfts, voters []string) error {
	if err := ensure(ctx, tx, nfts, voters); err != nil {
		return err
	}
	ratings, by, err := tx.Lock(ctx, nfts, voters)
	if err != nil {
		return err
	}
	if len(ratings) != 2 || len(by) != 2 {
		return unexpected("rows locked", fmt.Sprint(len(ratings), len(by)))
	}
	numbers, err := tx.Numbers(ctx, 1)
	if err != nil {
		return err
	}
	for i := range ratings {
		if ratings[i].LastVote >= numbers[0] || by[i].LastVote >= numbers[0] {
			return unexpected("number is not above those of its rows", fmt.Sprint(numbers[0], ratings[i].LastVote, by[i].LastVote))
		}
		ratings[i].Votes++
		ratings[i].Version++
		ratings[i].LastVote = numbers[0]
		by[i].Votes++
		by[i].LastVote = numbers[0]
	}
	vote := matchup(key, by[0], ratings[0], ratings[1], scoring.Tie)
	vote.Number = numbers[0]
	return tx.Apply(ctx, &store.Changes{
		Votes: []store.Vote{vote}, Ratings: ratings, Voters: by,
		Counters: []store.Delta{{Name: store.CountVotes, Collection: ratings[0].Collection, By: 1}},
	})
}

// castOnce gives NFT n0 a vote unless the log has its key.
func castOnce(ctx context.Context, tx store.Tx, key, voter string) (found bool, err error) {
	if err := ensure(ctx, tx, []string{"n0"}, []string{voter}); err != nil {
		return false, err
	}
	ratings, by, err := tx.Lock(ctx, []string{"n0"}, []string{voter})
	if err != nil {
		return false, err
	}
	votes, err := tx.VotesByKey(ctx, []string{key})
	if err != nil || len(votes) > 0 {
		return len(votes) > 0, err
	}
	numbers, err := tx.Numbers(ctx, 1)
	if err != nil {
		return false, err
	}
	vote := fireVote(key, by[0], ratings[0])
	vote.Number = numbers[0]
	ratings[0].Votes++
	return false, tx.Apply(ctx, &store.Changes{Votes: []store.Vote{vote}, Ratings: ratings})
}
