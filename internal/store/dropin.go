package store

import (
	"context"
	"time"
)

// DropIn is what the old scheduler's admin API needs of a store beside what the
// service needs. The three totals are counted when asked for, at the cost said;
// callers keep them for a while.
type DropIn interface {
	// NFTs returns NFTs by number, none given twice, in the order given, with
	// their ratings and scores. Numbers that no NFT has are left out.
	NFTs(ctx context.Context, numbers []int64) ([]Ranked, error)
	// ComputedSince returns how many computations the activity tells of from a
	// time on. It looks at the activity since then.
	ComputedSince(ctx context.Context, since time.Time) (int64, error)
	// VoterTotals sums up the voters. It looks at all of them.
	VoterTotals(ctx context.Context, minJudged int64) (VoterTotals, error)
	// RatingTotals sums up the ratings of each collection that has any, by its
	// number. It looks at all ratings.
	RatingTotals(ctx context.Context) ([]RatingTotals, error)
}

// VoterTotals are totals over voters.
type VoterTotals struct {
	Sliding     int64   // voters who gave a slider rating
	Judged      int64   // those with minJudged judged votes or more
	Reliability float64 // the mean of theirs, 0 where there are none
}

// RatingTotals are totals over the ratings of a collection.
type RatingTotals struct {
	Collection int64   // number
	Rated      int64   // NFTs that have a rating row
	Voted      int64   // of those, with a vote that counts
	Means      float64 // sum of the Elo means of Rated
}
