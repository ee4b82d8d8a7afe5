// Package exact recomputes scores from the votes and opinions behind them,
// with the weights and calibrations that voters have today, and replaces the
// running sums by what it finds.
package exact

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
)

// Result is the outcome for one NFT.
type Result struct {
	NFT    int64
	ID     string
	Before *store.Score // nil for none
	After  *store.Score // nil where the NFT has no score
	Err    error        // why the NFT was not computed; it stays as it was
}

const (
	patience = 5 * time.Second // in which a contended write is repeated
	abreast  = 2               // sets that ComputeAll computes at a time: one reads while another writes
)

// sizes are how many NFTs are read in one snapshot, without locks, and written
// in one transaction.
type sizes struct{ read, write int }

var (
	// sparing has votes wait little: on SQLite they wait for a transaction in any
	// case, on PostgreSQL where they touch one of its NFTs.
	sparing = sizes{500, 50}
	// swift reads so many that a server with a large log goes through it once for
	// all of them, rather than by its indexes, and still holds no lock for long.
	swift = sizes{10_000, 500}
)

// Compute recomputes NFTs, publishes their scores and returns a result for
// each NFT that has a rating row, by ascending number. On an error those of the
// NFTs that were computed before it are returned.
//
// Votes and opinions are read in a snapshot without locks. What came since is
// added from the ratings' sums when they are written, so nothing that takes
// long is read under a lock, however fast votes come.
func Compute(ctx context.Context, st store.Store, p *publish.Policy, nfts []int64, cause publish.Cause, now func() time.Time) ([]Result, error) {
	c := computation{store: st, policy: p, cause: cause, now: now, sizes: sparing}
	return c.compute(ctx, nfts)
}

func (c *computation) compute(ctx context.Context, nfts []int64) ([]Result, error) {
	c.cause.Basis = store.Exact
	nfts = slices.Compact(slices.Sorted(slices.Values(nfts)))
	for set := range slices.Chunk(nfts, c.sizes.read) {
		if err := c.set(ctx, set); err != nil {
			return c.results, err
		}
	}
	return c.results, nil
}

// ComputeAll is Compute for any number of NFTs, as fast as can be without
// holding a lock for long. It calls report with the results of each set, one
// call at a time, and stops at the first error.
func ComputeAll(ctx context.Context, st store.Store, p *publish.Policy, nfts []int64, cause publish.Cause, now func() time.Time, report func([]Result)) error {
	var mu sync.Mutex // one report at a time
	sets, ctx := errgroup.WithContext(ctx)
	sets.SetLimit(abreast)
	for set := range slices.Chunk(nfts, swift.read) {
		sets.Go(func() error {
			if ctx.Err() != nil { // another set failed
				return ctx.Err()
			}
			c := computation{store: st, policy: p, cause: cause, now: now, sizes: swift}
			results, err := c.compute(ctx, set)
			mu.Lock()
			defer mu.Unlock()
			report(results)
			return err
		})
	}
	return sets.Wait()
}

// Preview returns what an exact computation of an NFT would give now, and the
// rating with the exact sums, without writing anything. It is false where the
// NFT has no score; store.ErrNotFound without a rating row.
func Preview(ctx context.Context, v store.View, p *publish.Policy, nft int64) (store.Rating, scoring.Result, bool, error) {
	standing, err := v.Standing(ctx, []int64{nft})
	if err != nil {
		return store.Rating{}, scoring.Result{}, false, fmt.Errorf("reading votes and opinions: %w", err)
	}
	if len(standing) == 0 {
		return store.Rating{}, scoring.Result{}, false, store.ErrNotFound
	}
	r, _, err := recompute(&p.Constants, &standing[0], nil)
	if err != nil {
		return r, scoring.Result{}, false, err
	}
	result, ok := p.Constants.Score(&r.Rating)
	return r, result, ok, nil
}

type computation struct {
	store   store.Store
	policy  *publish.Policy
	cause   publish.Cause
	now     func() time.Time
	sizes   sizes
	results []Result
}

// set reads NFTs in one snapshot and writes them.
func (c *computation) set(ctx context.Context, nfts []int64) error {
	var standing []store.Standing
	err := c.store.View(ctx, func(v store.View) (err error) {
		standing, err = v.Standing(ctx, nfts)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading votes and opinions: %w", err)
	}
	for part := range slices.Chunk(standing, c.sizes.write) {
		if err := c.write(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// write writes NFTs as they were read, with what came since, in one
// transaction.
func (c *computation) write(ctx context.Context, standing []store.Standing) error {
	read := make(map[int64]*store.Standing, len(standing))
	nfts := make([]int64, len(standing))
	for i := range standing {
		nfts[i] = standing[i].NFT
		read[nfts[i]] = &standing[i]
	}
	var results []Result
	err := c.update(ctx, func(tx store.Tx) error {
		results = nil
		rows, err := tx.LockRatings(ctx, nfts)
		if err != nil {
			return fmt.Errorf("locking ratings: %w", err)
		}
		later, err := laterVotes(ctx, tx, rows, read)
		if err != nil {
			return fmt.Errorf("reading later votes: %w", err)
		}
		var sheet publish.Sheet
		for _, row := range rows {
			results = append(results, c.publish(&sheet, row, read[row.NFT], later[row.NFT]))
		}
		return tx.Apply(ctx, sheet.Finish())
	})
	if err == nil {
		c.results = append(c.results, results...)
	}
	return err
}

// laterVotes returns, by NFT, the votes that came since the locked rows were
// read.
func laterVotes(ctx context.Context, tx store.Tx, rows []store.Rating, read map[int64]*store.Standing) (map[int64][]store.LaterVote, error) {
	var changed []store.Rating
	for i := range rows {
		if s := read[rows[i].NFT]; s.Version != rows[i].Version {
			changed = append(changed, s.Rating)
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	votes, err := tx.LaterVotes(ctx, changed)
	later := make(map[int64][]store.LaterVote, len(changed))
	for _, v := range votes {
		later[v.NFT] = append(later[v.NFT], v)
	}
	return later, err
}

// update repeats a transaction that met contention.
func (c *computation) update(ctx context.Context, f func(store.Tx) error) error {
	for began := c.now(); ; {
		err := c.store.Update(ctx, f)
		if err == nil || !errors.Is(err, store.ErrContention) || c.now().Sub(began) > patience || ctx.Err() != nil {
			return err
		}
	}
}

// publish adds the exact sums, the contributions that moved and the score of
// one NFT to a sheet; or that its computation failed, which stops no other. It
// is given the NFT's locked row, what was read of the NFT before, and the votes
// on it that came in between.
func (c *computation) publish(sheet *publish.Sheet, r store.Rating, read *store.Standing, later []store.LaterVote) Result {
	now := c.now().UTC().Truncate(time.Microsecond)
	result := Result{NFT: r.NFT, ID: r.ID, Before: r.Score}
	exact, opinions, err := recompute(&c.policy.Constants, read, later)
	if err != nil {
		sheet.Activity = append(sheet.Activity, store.Activity{
			At: now, Kind: store.Failed, NFT: r.NFT, NFTID: r.ID, Reason: c.cause.Reason,
			Reasons: map[string]int{c.cause.Reason: 1}, Priority: c.cause.Priority, Basis: store.Exact, Run: c.cause.Run, Who: c.cause.Who, Detail: err.Error(),
		})
		result.After, result.Err = r.Score, err
		return result
	}
	// A version beyond that of the later votes tells of another exact computation
	// in between. Its sums are as good, and stand.
	if r.Version == read.Version+int64(len(later)) {
		correct(&r, &read.Rating, &exact)
		sheet.Opinions = append(sheet.Opinions, opinions...)
	}
	r.Version++
	result.After = c.policy.Score(sheet, &r, c.cause, now)
	sheet.Recovered = append(sheet.Recovered, r.NFT)
	sheet.Ratings = append(sheet.Ratings, r)
	return result
}

// correct changes a rating's sums by as much as those that were read are off
// the exact ones. Sums are integers, so what later votes added stays as it is.
func correct(r, read, exact *store.Rating) {
	r.MatchupWeight += exact.MatchupWeight - read.MatchupWeight
	r.Sliders += exact.Sliders - read.Sliders
	r.SliderSum += exact.SliderSum - read.SliderSum
	r.SliderWeight += exact.SliderWeight - read.SliderWeight
	r.Fires += exact.Fires - read.Fires
	r.FireWeight += exact.FireWeight - read.FireWeight
	r.ExactMatchupWeight, r.ExactVote = exact.ExactMatchupWeight, exact.ExactVote
}

// recompute returns an NFT's rating as it was read with sums from today's
// weights, and the opinions whose contribution differs from the stored one.
// Opinions that later votes are about keep theirs: these votes may have replaced
// it.
func recompute(constants *scoring.Constants, s *store.Standing, later []store.LaterVote) (store.Rating, []store.Opinion, error) {
	r := s.Rating
	if r.Matchups != s.Matchups {
		return r, nil, fmt.Errorf("NFT %q: its rating counts %d matchups and the log %d; run poa verify", r.ID, r.Matchups, s.Matchups)
	}
	replaced := replacedBy(later)
	r.MatchupWeight, r.ExactMatchupWeight, r.ExactVote = s.TodaysWeights, s.TodaysWeights, r.LastVote
	r.Sliders, r.SliderSum, r.SliderWeight, r.Fires, r.FireWeight = 0, 0, 0, 0, 0
	var changed []store.Opinion
	for i := range s.Opinions {
		stored, voter := &s.Opinions[i].Opinion, &s.Opinions[i].Voter
		o := *stored
		if !replaced[o.OpinionRef] {
			o.Weight = constants.Weight(voter)
			if o.Kind == scoring.Slider {
				o.Score = constants.SliderScore(o.Value, voter.Calibration, o.Weight)
			}
		}
		if o.Kind == scoring.Slider {
			r.Sliders++
			r.SliderSum += o.Score
			r.SliderWeight += o.Weight
		} else {
			r.Fires++
			r.FireWeight += o.Weight
		}
		if o != *stored {
			changed = append(changed, o)
		}
	}
	return r, changed, nil
}

// replacedBy returns the opinions that votes on one NFT are about.
func replacedBy(votes []store.LaterVote) map[store.OpinionRef]bool {
	if len(votes) == 0 {
		return nil
	}
	refs := make(map[store.OpinionRef]bool)
	for _, v := range votes {
		switch v.Kind {
		case scoring.Slider, scoring.Fire:
			refs[store.OpinionRef{NFT: v.NFT, Voter: v.Voter, Kind: v.Kind}] = true
		case scoring.Unfire:
			refs[store.OpinionRef{NFT: v.NFT, Voter: v.Voter, Kind: scoring.Fire}] = true
		}
	}
	return refs
}
