package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
)

// tx is a writing transaction.
type tx struct{ *link }

// Update runs f in one transaction and commits. The statements of Tx.Apply are
// sent together with the commit (or with the next query), so the error of one
// comes from there.
func (s *Store) Update(ctx context.Context, f func(store.Tx) error) error {
	return s.update(ctx, func(l *link) error { return f(tx{l}) })
}

// Lock locks ratings, then voters.
func (t tx) Lock(ctx context.Context, nfts, voters []string) ([]store.Rating, []store.Voter, error) {
	err := t.ahead(ctx, statement{lockRatingsByID, []any{nfts}}, statement{lockVoters, []any{voters}})
	if err != nil {
		return nil, nil, t.failure(ctx, "beginning", err)
	}
	rows, err := t.q.LockRatingsByID(ctx, nfts)
	if err != nil {
		return nil, nil, t.failure(ctx, "locking ratings", err)
	}
	locked, err := t.q.LockVoters(ctx, voters)
	if err != nil {
		return nil, nil, t.failure(ctx, "locking voters", err)
	}
	ratings := convert(rows, func(r *LockRatingsByIDRow) store.Rating { return ratingOf((*RatingsRow)(r)) })
	return ratings, convert(locked, voterOf), nil
}

// Scores reads scores by number.
func (t tx) Scores(ctx context.Context, nfts []int64) ([]store.Score, error) {
	rows, err := t.q.Scores(ctx, nfts)
	return convert(rows, func(s *Score) store.Score { return scoreOf(s) }), t.failure(ctx, "reading scores", err)
}

// LockRatings locks ratings by number.
func (t tx) LockRatings(ctx context.Context, nfts []int64) ([]store.Rating, error) {
	err := t.ahead(ctx, statement{lockRatings, []any{nfts}}, statement{scores, []any{nfts}})
	if err != nil {
		return nil, t.failure(ctx, "beginning", err)
	}
	rows, err := t.q.LockRatings(ctx, nfts)
	if err != nil {
		return nil, t.failure(ctx, "locking ratings", err)
	}
	published, err := t.q.Scores(ctx, nfts)
	if err != nil {
		return nil, t.failure(ctx, "reading scores", err)
	}
	ratings := convert(rows, func(r *LockRatingsRow) store.Rating { return ratingOf((*RatingsRow)(r)) })
	return withScores(ratings, published), nil
}

// Ensure inserts missing rating and voter rows. Each statement inserts in
// ascending order and NFTs come before ratings before voters, as in every
// transaction, so that processes that insert the same rows do not deadlock.
func (t tx) Ensure(ctx context.Context, nfts, voters []string, r scoring.Rating, v scoring.Voter, now time.Time) ([]string, error) {
	folding, err := t.fixedFolding(ctx)
	if err != nil {
		return nil, err
	}
	unknown, err := t.q.UnknownNFTs(ctx, nfts)
	if err != nil {
		return nil, t.failure(ctx, "looking up NFTs", err)
	}
	if len(nfts) > 0 {
		t.q.InsertRatings(ctx, InsertRatingsParams{
			Ids: nfts, Mean: r.Mean, Sigma: r.Sigma,
			Votes: r.Votes, Wins: r.Wins, Losses: r.Losses, Ties: r.Ties,
			Matchups: r.Matchups, Skips: r.Skips, SliderVotes: r.SliderVotes, FireVotes: r.FireVotes,
			MatchupWeight: int64(r.MatchupWeight), Sliders: r.Sliders, SliderSum: int64(r.SliderSum),
			SliderWeight: int64(r.SliderWeight), Fires: r.Fires, FireWeight: int64(r.FireWeight),
			Recent: packRecent([5]int64{}),
		})
	}
	if len(voters) > 0 {
		t.q.InsertVoters(ctx, InsertVotersParams{
			Ids: voters, Reliability: v.Reliability, Judged: v.Judged, Votes: v.Votes, Weight: int64(folding.Weight(&v)),
			SliderN: v.Calibration.N, SliderMean: v.Calibration.Mean, SliderM2: v.Calibration.M2, CreatedAt: stamp(now),
		})
	}
	slices.Sort(unknown)
	return slices.Compact(unknown), nil
}

// VotesByKey reads in a statement of its own, so it sees what was committed
// before the locks were granted.
func (t tx) VotesByKey(ctx context.Context, keys []string) ([]store.Vote, error) {
	return t.votesByKey(ctx, keys)
}

// Opinions reads opinions by their keys.
func (t tx) Opinions(ctx context.Context, refs []store.OpinionRef) ([]store.Opinion, error) {
	rows, err := t.q.Opinions(ctx, OpinionsParams{
		NFTs:   column(refs, func(r *store.OpinionRef) int64 { return r.NFT }),
		Kinds:  column(refs, func(r *store.OpinionRef) int16 { return int16(r.Kind) }),
		Voters: column(refs, func(r *store.OpinionRef) int64 { return r.Voter }),
	})
	if err != nil {
		return nil, t.failure(ctx, "reading opinions", err)
	}
	return convert(rows, opinionOf), nil
}

// Numbers draws from a sequence that does not cache.
func (t tx) Numbers(ctx context.Context, n int) ([]int64, error) {
	numbers, err := t.q.VoteNumbers(ctx, int64(n))
	if err != nil {
		return nil, t.failure(ctx, "numbering votes", err)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// LaterVotes reads in a statement of its own, so it sees what was committed
// before the locks were granted.
func (t tx) LaterVotes(ctx context.Context, read []store.Rating) ([]store.LaterVote, error) {
	rows, err := t.q.LaterVotes(ctx, LaterVotesParams{
		NFTs:  column(read, func(r *store.Rating) int64 { return r.NFT }),
		After: column(read, func(r *store.Rating) int64 { return r.LastVote }),
	})
	if err != nil {
		return nil, t.failure(ctx, "reading later votes", err)
	}
	return convert(rows, func(v *LaterVotesRow) store.LaterVote {
		return store.LaterVote{NFT: v.NFT, Voter: v.Voter, Kind: scoring.Kind(v.Kind)}
	}), nil
}

// Apply gathers one statement for each table that changes.
func (t tx) Apply(ctx context.Context, c *store.Changes) error {
	if err := unique(c); err != nil {
		return err
	}
	folding, err := t.fixedFolding(ctx)
	if err != nil {
		return err
	}
	if len(c.Votes) > 0 {
		t.q.InsertVotes(ctx, voteColumns(c.Votes))
	}
	if len(c.Ratings) > 0 {
		t.q.UpdateRatings(ctx, ratingColumns(c.Ratings))
	}
	if len(c.Voters) > 0 {
		t.q.UpdateVoters(ctx, voterColumns(c.Voters, folding))
	}
	if len(c.Opinions) > 0 {
		t.q.UpsertOpinions(ctx, opinionColumns(c.Opinions))
	}
	if len(c.Scores) > 0 {
		t.q.UpsertScores(ctx, scoreColumns(c.Scores))
	}
	if len(c.Withdrawn) > 0 {
		t.q.DeleteScores(ctx, c.Withdrawn)
	}
	if len(c.History) > 0 {
		t.q.InsertHistory(ctx, historyColumns(c.History))
	}
	if len(c.Activity) > 0 {
		columns, err := activityColumns(c.Activity)
		if err != nil {
			return err
		}
		t.q.InsertActivity(ctx, columns)
	}
	if len(c.Counters) > 0 {
		t.q.InsertCounterDeltas(ctx, deltaColumns(c.Counters))
	}
	if len(c.Failures) > 0 {
		t.q.UpsertFailures(ctx, failureColumns(c.Failures))
	}
	if len(c.Recovered) > 0 {
		t.q.DeleteFailures(ctx, c.Recovered)
	}
	return nil
}

// unique refuses changes that name a row twice: an UPDATE would take either.
func unique(c *store.Changes) error {
	refs := func(o *store.Opinion) store.OpinionRef { return o.OpinionRef }
	return firstOf(
		once("rating", c.Ratings, func(r *store.Rating) int64 { return r.NFT }),
		once("voter", c.Voters, func(v *store.Voter) int64 { return v.Number }),
		once("opinion", c.Opinions, refs),
		once("score", c.Scores, func(s *store.Score) int64 { return s.NFT }),
		once("failure", c.Failures, func(f *store.Failure) int64 { return f.NFT }),
	)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func once[T any, K comparable](what string, rows []T, key func(*T) K) error {
	seen := make(map[K]struct{}, len(rows))
	for i := range rows {
		k := key(&rows[i])
		if _, twice := seen[k]; twice {
			return fmt.Errorf("applying changes: %s %v is named twice", what, k)
		}
		seen[k] = struct{}{}
	}
	return nil
}
