package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
)

// tx is a transaction of the writing connection, which has the database's
// write lock: locking rows needs nothing more than reading them.
//
// Its methods look at their context once and run their statements without it.
// The driver watches a context with a goroutine per statement, which costs
// more than most of these statements, and an interrupted statement would only
// save the few milliseconds a commit takes.
type tx struct {
	store  *Store
	q      *Queries
	failed error   // the first failure: the transaction cannot be trusted then
	last   int64   // vote number reserved last, 0 for none
	raw    *sql.Tx // the transaction as lent by RawTx

	synced  bool                    // the store's kept ratings hold for this transaction
	written map[int64]*store.Rating // rows that it read or wrote, by NFT, to be kept once it is committed
	numbers map[string]int64        // of these, by NFT id
}

// endRaw takes back what RawTx lent. Nothing else ends with it.
func (t *tx) endRaw() {
	if t.raw != nil {
		_ = t.raw.Rollback()
	}
}

// do runs one method.
func (t *tx) do(ctx context.Context, what string, f func(context.Context) error) error {
	if t.failed != nil {
		return t.failed
	}
	err := ctx.Err()
	if err == nil {
		err = f(context.Background())
	}
	t.failed = doing(what, err)
	return t.failed
}

// Lock returns the ratings and voters with those ids.
func (t *tx) Lock(ctx context.Context, nfts, voters []string) (ratings []store.Rating, vs []store.Voter, err error) {
	err = t.do(ctx, "locking ratings and voters", func(ctx context.Context) error {
		if ratings, err = t.lockRatings(ctx, nfts); err != nil {
			return err
		}
		vs, err = findVoters(ctx, t.q, voters)
		return err
	})
	return ratings, vs, err
}

// Scores returns the scores of NFTs by number.
func (t *tx) Scores(ctx context.Context, nfts []int64) (scores []store.Score, err error) {
	err = t.do(ctx, "reading scores", func(ctx context.Context) error {
		found, err := t.q.scoresByNumber(ctx, jsonNumbers(inOrder(nfts)))
		for i := range found {
			scores = append(scores, toScore(&found[i]))
		}
		return err
	})
	return scores, err
}

// LockRatings returns the ratings with those numbers.
func (t *tx) LockRatings(ctx context.Context, nfts []int64) (ratings []store.Rating, err error) {
	err = t.do(ctx, "locking ratings", func(ctx context.Context) error {
		ratings, err = scoredRatings(ctx, t.q, nfts)
		return err
	})
	return ratings, err
}

// VotesByKey returns the votes with those keys.
func (t *tx) VotesByKey(ctx context.Context, keys []string) (votes []store.Vote, err error) {
	err = t.do(ctx, "looking up vote keys", func(ctx context.Context) error {
		votes, err = findVotes(ctx, t.q, keys)
		return err
	})
	return votes, err
}

// Opinions returns the opinions that exist.
func (t *tx) Opinions(ctx context.Context, refs []store.OpinionRef) (opinions []store.Opinion, err error) {
	err = t.do(ctx, "reading opinions", func(ctx context.Context) error {
		if len(refs) == 0 {
			return nil
		}
		found, err := t.q.opinionsByRef(ctx, jsonRefs(refs))
		for i := range found {
			opinions = append(opinions, toOpinion(&found[i]))
		}
		return err
	})
	return slices.CompactFunc(opinions, func(a, b store.Opinion) bool { return a.OpinionRef == b.OpinionRef }), err
}

// LaterVotes returns the votes folded into ratings since they were read.
func (t *tx) LaterVotes(ctx context.Context, read []store.Rating) (votes []store.LaterVote, err error) {
	err = t.do(ctx, "reading later votes", func(ctx context.Context) error {
		found, err := t.q.laterVotes(ctx, jsonRead(read))
		for _, v := range found {
			votes = append(votes, store.LaterVote{NFT: v.Nft, Voter: v.Voter, Kind: scoring.Kind(v.Kind)})
		}
		return err
	})
	return votes, err
}

// Numbers reserves vote numbers: those that follow the last vote's.
func (t *tx) Numbers(ctx context.Context, n int) (numbers []int64, err error) {
	err = t.do(ctx, "reserving vote numbers", func(ctx context.Context) error {
		if t.last == 0 {
			if t.last, err = t.q.lastVoteNumber(ctx); err != nil {
				return err
			}
		}
		numbers = make([]int64, n)
		for i := range numbers {
			t.last++
			numbers[i] = t.last
		}
		return nil
	})
	return numbers, err
}

// Ensure inserts missing rating and voter rows.
func (t *tx) Ensure(ctx context.Context, nfts, voters []string, rating scoring.Rating, voter scoring.Voter, now time.Time) (unknown []string, err error) {
	err = t.do(ctx, "adding ratings and voters", func(ctx context.Context) error {
		folding, err := t.store.foldingOf(ctx, t.q)
		if err != nil {
			return err
		}
		nftIDs, err := jsonStrings(nfts)
		if err != nil {
			return err
		}
		voterIDs, err := jsonStrings(voters)
		if err != nil {
			return err
		}
		if unknown, err = t.q.unknownNFTs(ctx, nftIDs); err != nil {
			return err
		}
		err = t.q.insertMissingRatings(ctx, insertMissingRatingsParams{Mean: rating.Mean, Sigma: rating.Sigma, Ids: nftIDs})
		if err != nil {
			return err
		}
		return t.q.insertMissingVoters(ctx, insertMissingVotersParams{
			Reliability: voter.Reliability, Weight: int64(folding.Weight(&voter)), CreatedAt: micros(now), Ids: voterIDs,
		})
	})
	return unknown, err
}

// Apply writes the changes row by row: in one process a statement costs a few
// microseconds, and there is no trip to save.
func (t *tx) Apply(ctx context.Context, c *store.Changes) error {
	return t.do(ctx, "writing changes", func(ctx context.Context) error {
		if err := distinct(c); err != nil {
			return err
		}
		folding, err := t.store.foldingOf(ctx, t.q)
		if err != nil {
			return err
		}
		for _, write := range []func() error{
			func() error {
				return each("vote", c.Votes, func(v *store.Vote) error { return t.q.insertVote(ctx, fromVote(v)) })
			},
			func() error {
				return each("rating", c.Ratings, func(r *store.Rating) error {
					t.wrote(r)
					return one(t.q.updateRating(ctx, fromRating(r)))
				})
			},
			func() error {
				return each("voter", c.Voters, func(v *store.Voter) error { return one(t.q.updateVoter(ctx, fromVoter(v, folding))) })
			},
			func() error {
				return each("opinion", c.Opinions, func(o *store.Opinion) error { return t.q.putOpinion(ctx, fromOpinion(o)) })
			},
			func() error {
				return each("score", c.Scores, func(s *store.Score) error { return t.q.putScore(ctx, fromScore(s)) })
			},
			func() error {
				return each("withdrawn score", c.Withdrawn, func(nft *int64) error { return t.q.deleteScore(ctx, *nft) })
			},
			func() error {
				return each("history point", c.History, func(h *store.HistoryPoint) error { return t.q.insertHistory(ctx, fromHistoryPoint(h)) })
			},
			func() error {
				return each("activity", c.Activity, func(a *store.Activity) error {
					p, err := fromActivity(a)
					if err != nil {
						return err
					}
					return t.q.insertActivity(ctx, p)
				})
			},
			func() error {
				return each("counter", c.Counters, func(d *store.Delta) error {
					return t.q.addToCounter(ctx, addToCounterParams{Name: d.Name, Collection: d.Collection, Value: d.By})
				})
			},
			func() error {
				return each("failure", c.Failures, func(f *store.Failure) error { return t.q.putFailure(ctx, fromFailure(f)) })
			},
			func() error {
				return each("recovered NFT", c.Recovered, func(nft *int64) error { _, err := t.q.deleteFailure(ctx, *nft); return err })
			},
		} {
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	})
}

func each[T any](what string, rows []T, write func(*T) error) error {
	for i := range rows {
		if err := write(&rows[i]); err != nil {
			return fmt.Errorf("%s %d of %d: %w", what, i+1, len(rows), err)
		}
	}
	return nil
}

// one says that exactly one row must have been changed.
func one(n int64, err error) error {
	if err == nil && n != 1 {
		return fmt.Errorf("%w: there is no such row", store.ErrNotFound)
	}
	return err
}

// distinct refuses changes that name a row twice.
func distinct(c *store.Changes) error {
	return cmp.Or(
		noneTwice("rating", c.Ratings, func(r *store.Rating) int64 { return r.NFT }),
		noneTwice("voter", c.Voters, func(v *store.Voter) int64 { return v.Number }),
		noneTwice("opinion", c.Opinions, func(o *store.Opinion) store.OpinionRef { return o.OpinionRef }),
		noneTwice("score", c.Scores, func(s *store.Score) int64 { return s.NFT }),
		noneTwice("failure", c.Failures, func(f *store.Failure) int64 { return f.NFT }),
		noneTwice("withdrawn score", c.Withdrawn, func(nft *int64) int64 { return *nft }),
	)
}

func noneTwice[T any, K comparable](what string, rows []T, key func(*T) K) error {
	seen := make(map[K]struct{}, len(rows))
	for i := range rows {
		seen[key(&rows[i])] = struct{}{}
		if len(seen) != i+1 {
			return fmt.Errorf("%s %v is named twice", what, key(&rows[i]))
		}
	}
	return nil
}
