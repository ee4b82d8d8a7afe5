package postgres

import (
	"context"
	"slices"
	"time"

	"poa/internal/store"
)

// NFTs returns NFTs by number.
func (s *Store) NFTs(ctx context.Context, numbers []int64) ([]store.Ranked, error) {
	page, err := s.ranked(ctx, func(*link) ([]int64, error) { return numbers, nil })
	return slices.DeleteFunc(page, func(r store.Ranked) bool { return r.NFT.Number == 0 }), err
}

// ComputedSince counts computations.
func (s *Store) ComputedSince(ctx context.Context, since time.Time) (n int64, err error) {
	err = s.read(ctx, func(l *link) error {
		from, err := l.activityAt(ctx, since.Add(-store.ActivitySkew))
		if err != nil {
			return err
		}
		n, err = l.q.ComputedSince(ctx, ComputedSinceParams{FromNumber: from, Since: stamp(since)})
		return l.failure(ctx, "counting computations", err)
	})
	return n, err
}

// VoterTotals sums up the voters.
func (s *Store) VoterTotals(ctx context.Context, minJudged int64) (store.VoterTotals, error) {
	row, err := s.now().VoterTotals(ctx, minJudged)
	return store.VoterTotals(row), s.failure(ctx, "summing up voters", err)
}

// RatingTotals sums up the ratings of each collection.
func (s *Store) RatingTotals(ctx context.Context) ([]store.RatingTotals, error) {
	rows, err := s.now().RatingTotals(ctx)
	list := make([]store.RatingTotals, len(rows))
	for i, r := range rows {
		list[i] = store.RatingTotals(r)
	}
	return list, s.failure(ctx, "summing up ratings", err)
}
