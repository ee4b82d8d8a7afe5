package sqlite

import (
	"context"
	"time"

	"poa/internal/store"
)

// NFTs returns NFTs by number.
func (s *Store) NFTs(ctx context.Context, numbers []int64) ([]store.Ranked, error) {
	return s.ranked(ctx, func(*Queries) ([]int64, error) { return numbers, nil })
}

// ComputedSince counts computations.
func (s *Store) ComputedSince(ctx context.Context, since time.Time) (n int64, err error) {
	err = s.read(ctx, "counting computations", func(q *Queries) error {
		from, err := activityAt(ctx, q, since.Add(-store.ActivitySkew))
		if err != nil {
			return err
		}
		n, err = q.computedSince(ctx, computedSinceParams{FromNumber: from, Since: micros(since)})
		return err
	})
	return n, err
}

// VoterTotals sums up the voters.
func (s *Store) VoterTotals(ctx context.Context, minJudged int64) (t store.VoterTotals, err error) {
	err = s.read(ctx, "summing up voters", func(q *Queries) error {
		row, err := q.voterTotals(ctx, minJudged)
		t = store.VoterTotals(row)
		return err
	})
	return t, err
}

// RatingTotals sums up the ratings of each collection.
func (s *Store) RatingTotals(ctx context.Context) (list []store.RatingTotals, err error) {
	err = s.read(ctx, "summing up ratings", func(q *Queries) error {
		rows, err := q.ratingTotals(ctx)
		list = convert(rows, func(r *ratingTotalsRow) store.RatingTotals { return store.RatingTotals(*r) })
		return err
	})
	return list, err
}
