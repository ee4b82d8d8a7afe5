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
	attempts = 2               // times an NFT is read without locks before it is read under its lock
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
// Votes and opinions are read in a snapshot without locks. An NFT that got a
// vote meanwhile is read again; at the third time under its lock.
func Compute(ctx context.Context, st store.Store, p *publish.Policy, nfts []int64, cause publish.Cause, now func() time.Time) ([]Result, error) {
	c := computation{store: st, policy: p, cause: cause, now: now, sizes: sparing}
	return c.compute(ctx, nfts)
}

func (c *computation) compute(ctx context.Context, nfts []int64) ([]Result, error) {
	c.cause.Basis = store.Exact
	rest := slices.Sorted(slices.Values(nfts))
	rest = slices.Compact(rest)
	for n := 0; len(rest) > 0 && n < attempts; n++ {
		var changed []int64
		for set := range slices.Chunk(rest, c.sizes.read) {
			again, err := c.optimistic(ctx, set)
			if err != nil {
				return c.results, err
			}
			changed = append(changed, again...)
		}
		rest = changed
	}
	// One at a time, so that no lock is held while another NFT is read.
	for _, nft := range rest {
		if err := c.locked(ctx, nft); err != nil {
			return c.results, err
		}
	}
	slices.SortFunc(c.results, func(a, b Result) int { return int(a.NFT - b.NFT) })
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
	r, _, err := recompute(&p.Constants, &standing[0])
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

// optimistic reads NFTs without locks, writes those that did not change
// meanwhile, and returns the others.
func (c *computation) optimistic(ctx context.Context, nfts []int64) (changed []int64, err error) {
	var standing []store.Standing
	err = c.store.View(ctx, func(v store.View) (err error) {
		standing, err = v.Standing(ctx, nfts)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading votes and opinions: %w", err)
	}
	for part := range slices.Chunk(standing, c.sizes.write) {
		again, err := c.write(ctx, part)
		if err != nil {
			return nil, err
		}
		changed = append(changed, again...)
	}
	return changed, nil
}

// write writes NFTs that did not change since they were read, and returns the
// others.
func (c *computation) write(ctx context.Context, standing []store.Standing) (changed []int64, err error) {
	read := make([]int64, len(standing))
	for i := range standing {
		read[i] = standing[i].NFT
	}
	var results []Result
	err = c.update(ctx, func(tx store.Tx) error {
		changed, results = nil, nil
		rows, err := tx.LockRatings(ctx, read)
		if err != nil {
			return fmt.Errorf("locking ratings: %w", err)
		}
		var sheet publish.Sheet
		for i := range rows {
			s := &standing[i]
			if rows[i].NFT != s.NFT || rows[i].Version != s.Version {
				changed = append(changed, s.NFT)
				continue
			}
			// Marks beside the sums may have moved without a new version.
			s.Due, s.WaitingSince, s.Score, s.Collection = rows[i].Due, rows[i].WaitingSince, rows[i].Score, rows[i].Collection
			results = append(results, c.publish(&sheet, s))
		}
		return tx.Apply(ctx, sheet.Finish())
	})
	if err != nil {
		return nil, err
	}
	c.results = append(c.results, results...)
	return changed, nil
}

// locked reads and writes one NFT under its lock.
func (c *computation) locked(ctx context.Context, nft int64) error {
	var results []Result
	err := c.update(ctx, func(tx store.Tx) error {
		results = nil
		if _, err := tx.LockRatings(ctx, []int64{nft}); err != nil {
			return fmt.Errorf("locking a rating: %w", err)
		}
		standing, err := tx.Standing(ctx, []int64{nft})
		if err != nil {
			return fmt.Errorf("reading votes and opinions: %w", err)
		}
		var sheet publish.Sheet
		for i := range standing {
			results = append(results, c.publish(&sheet, &standing[i]))
		}
		return tx.Apply(ctx, sheet.Finish())
	})
	if err == nil {
		c.results = append(c.results, results...)
	}
	return err
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
// one NFT to a sheet; or that its computation failed, which stops no other.
func (c *computation) publish(sheet *publish.Sheet, s *store.Standing) Result {
	now := c.now().UTC().Truncate(time.Microsecond)
	r, opinions, err := recompute(&c.policy.Constants, s)
	if err != nil {
		sheet.Activity = append(sheet.Activity, store.Activity{
			At: now, Kind: store.Failed, NFT: r.NFT, NFTID: r.ID, Reason: c.cause.Reason,
			Reasons: map[string]int{c.cause.Reason: 1}, Priority: c.cause.Priority, Basis: store.Exact, Run: c.cause.Run, Who: c.cause.Who, Detail: err.Error(),
		})
		return Result{NFT: r.NFT, ID: r.ID, Before: r.Score, After: r.Score, Err: err}
	}
	r.Version++
	result := Result{NFT: r.NFT, ID: r.ID, Before: r.Score}
	result.After = c.policy.Score(sheet, &r, c.cause, now)
	sheet.Recovered = append(sheet.Recovered, r.NFT)
	sheet.Ratings = append(sheet.Ratings, r)
	sheet.Opinions = append(sheet.Opinions, opinions...)
	return result
}

// recompute returns an NFT's rating with sums from today's weights, and the
// opinions whose contribution differs from the stored one.
func recompute(constants *scoring.Constants, s *store.Standing) (store.Rating, []store.Opinion, error) {
	r := s.Rating
	if r.Matchups != s.Matchups {
		return r, nil, fmt.Errorf("NFT %q: its rating counts %d matchups and the log %d; run poa verify", r.ID, r.Matchups, s.Matchups)
	}
	r.MatchupWeight, r.ExactMatchupWeight, r.ExactVote = s.TodaysWeights, s.TodaysWeights, r.LastVote
	r.Sliders, r.SliderSum, r.SliderWeight, r.Fires, r.FireWeight = 0, 0, 0, 0, 0
	var changed []store.Opinion
	for i := range s.Opinions {
		stored, voter := &s.Opinions[i].Opinion, &s.Opinions[i].Voter
		o := *stored
		o.Weight = constants.Weight(voter)
		if o.Kind == scoring.Slider {
			o.Score = constants.SliderScore(o.Value, voter.Calibration, o.Weight)
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
