package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/exact"
	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/sample"
	"poa/internal/store"
)

// Recompute compares the exact computation of all NFTs, each of them due, with
// hand-written SQL that computes the same and writes the same tables, on the
// same data.
type Recompute struct {
	NFTs   int     `json:"nfts"`
	Votes  int     `json:"votes"`
	Ratio  Spread  `json:"ratio"` // of the times, round by round
	Exact  Spread  `json:"exact_seconds"`
	SQL    Spread  `json:"sql_seconds"`
	PerNFT float64 `json:"exact_us_per_nft"`
	Differ int     `json:"scores_that_differ"` // between both sides, by 0.01 at a rounding
}

// newOwing makes a database with votes on NFTs that are all due, of which
// others are copied.
func (r *run) newOwing(ctx context.Context) (*game, error) {
	r.tell("taking %d votes on NFTs to compute", r.RecomputeVotes)
	w := r.workload(r.RecomputeNFTs, sample.Mix{})
	g, err := r.newGame(ctx, "owing", w, nil, true)
	if err != nil {
		return nil, err
	}
	if err := g.take(ctx, w, 0, r.RecomputeVotes); err != nil {
		return nil, err
	}
	return g, errors.Join(g.db.owe(ctx, r.Now()), g.db.settle(ctx))
}

func (r *run) recompute(ctx context.Context, g *game) (out Recompute, err error) {
	out = Recompute{Votes: r.RecomputeVotes}
	var exactly, bySQL, ratios []float64
	for round := range r.RecomputeRounds {
		r.tell("recomputing all NFTs: round %d", round+1)
		t, err := r.recomputeRound(ctx, g, round, &out)
		if err != nil {
			return out, err
		}
		exactly = append(exactly, t[0].Seconds())
		bySQL = append(bySQL, t[1].Seconds())
		ratios = append(ratios, t[0].Seconds()/t[1].Seconds())
	}
	out.Exact, out.SQL, out.Ratio = spread(exactly), spread(bySQL), spread(ratios)
	out.PerNFT = out.Exact.Median / float64(out.NFTs) * 1e6
	return out, nil
}

// recomputeRound measures both sides once, each on a copy of its own, and
// compares the scores.
func (r *run) recomputeRound(ctx context.Context, origin *game, round int, out *Recompute) (took [2]time.Duration, err error) {
	version := origin.policy.Version
	at := r.Now()
	compute := [2]func(g *game) error{
		func(g *game) error { return g.compute(ctx, r.Now) },
		func(g *game) error { return g.db.recompute(ctx, version, at) },
	}
	order := []int{0, 1}
	if round%2 == 1 {
		slices.Reverse(order)
	}
	var sides [2]*game
	for _, side := range order {
		db, err := r.host.copy(ctx, origin.db, "copy_"+strconv.Itoa(side))
		if err != nil {
			return took, fmt.Errorf("copying the database: %w", err)
		}
		g := &game{db: db}
		if err := errors.Join(g.prepare(ctx, r.Now()), db.settle(ctx)); err != nil {
			return took, err
		}
		runtime.GC()
		start := time.Now()
		if err := compute[side](g); err != nil {
			return took, err
		}
		took[side] = time.Since(start)
		sides[side] = g
	}
	if err := compare(ctx, sides[0].store, sides[1].store, out); err != nil {
		return took, err
	}
	return took, errors.Join(sides[0].db.drop(ctx), sides[1].db.drop(ctx))
}

// take hands n votes of a part of the workload in as fast as the ledger takes
// them, many in each call.
func (g *game) take(ctx context.Context, w workload, part uint64, n int) (err error) {
	const together, callers = 1000, 3
	l := ledger.New(g.store, ledger.Options{Policy: g.policy})
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(ctx))) }()
	all, ctx := errgroup.WithContext(ctx)
	chunks := make(chan []ledger.Vote)
	all.Go(func() error {
		defer close(chunks)
		chunk := make([]ledger.Vote, 0, together)
		left := n
		for v := range w.Votes(part, n) {
			chunk = append(chunk, v)
			left--
			if len(chunk) < together && left > 0 {
				continue
			}
			select {
			case chunks <- chunk:
			case <-ctx.Done():
				return ctx.Err()
			}
			chunk = make([]ledger.Vote, 0, together)
		}
		return nil
	})
	for range callers {
		all.Go(func() error {
			for chunk := range chunks {
				if _, err := submitAll(ctx, l, chunk); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// compute computes all NFTs as poa compute --all does.
func (g *game) compute(ctx context.Context, now func() time.Time) error {
	numbers, err := g.rated(ctx)
	if err != nil {
		return err
	}
	return g.computeSome(ctx, numbers, now)
}

func (g *game) rated(ctx context.Context) (numbers []int64, err error) {
	err = g.store.View(ctx, func(v store.View) error {
		after := int64(0)
		for {
			page, err := v.RatedNFTs(ctx, nil, after, 10_000)
			if err != nil || len(page) == 0 {
				return err
			}
			numbers = append(numbers, page...)
			after = page[len(page)-1]
		}
	})
	return numbers, err
}

func (g *game) computeSome(ctx context.Context, numbers []int64, now func() time.Time) error {
	cause := publish.Cause{Reason: store.ReasonManual, Who: "poa bench"}
	var failed error
	err := exact.ComputeAll(ctx, g.store, g.policy, numbers, cause, now, func(results []exact.Result) {
		for _, result := range results {
			failed = errors.Join(failed, result.Err)
		}
	})
	return errors.Join(err, failed)
}

// compare checks that both databases hold the same sums and scores. A score may
// differ by its last decimal, where it lay between two, and so may each slider
// rating's part of a sum: SQL adds up floating-point numbers in its own order.
func compare(ctx context.Context, a, b store.Store, out *Recompute) error {
	left, err := ratings(ctx, a)
	if err != nil {
		return err
	}
	right, err := ratings(ctx, b)
	if err != nil {
		return err
	}
	if len(left) != len(right) {
		return fmt.Errorf("one side has %d ratings, the other %d", len(left), len(right))
	}
	out.NFTs, out.Differ = len(left), 0
	for i := range left {
		l, r := &left[i], &right[i]
		if off := int64(l.SliderSum - r.SliderSum); off != 0 && max(off, -off) <= r.Sliders {
			r.SliderSum = l.SliderSum
		}
		if l.Rating != r.Rating || l.Version != r.Version || l.ExactMatchupWeight != r.ExactMatchupWeight || l.ExactVote != r.ExactVote ||
			l.Due != r.Due || !l.WaitingSince.Equal(r.WaitingSince) || (l.Score == nil) != (r.Score == nil) {
			return fmt.Errorf("the rating of %q is %+v on one side and %+v on the other", l.ID, *l, *r)
		}
		if l.Score == nil {
			continue
		}
		if math.Abs(l.Score.POA-r.Score.POA) > 0.011 || math.Abs(l.Score.Confidence-r.Score.Confidence) > 0.011 {
			return fmt.Errorf("the score of %q is %+v on one side and %+v on the other", l.ID, *l.Score, *r.Score)
		}
		if l.Score.POA != r.Score.POA {
			out.Differ++
		}
	}
	return sameTotals(ctx, a, b, int64(out.Differ))
}

// sameTotals checks that both databases hold as many rows and the same
// counters, but for what scores that differ by 0.01 account for.
func sameTotals(ctx context.Context, a, b store.Store, differ int64) error {
	left, err := totals(ctx, a)
	if err != nil {
		return err
	}
	right, err := totals(ctx, b)
	if err != nil {
		return err
	}
	for name := range right {
		if _, ok := left[name]; !ok {
			left[name] = 0
		}
	}
	for name, n := range left {
		if off := n - right[name]; off > differ || off < -differ {
			return fmt.Errorf("%s is %d on one side and %d on the other", name, n, right[name])
		}
	}
	return nil
}

func totals(ctx context.Context, s store.Store) (map[string]int64, error) {
	all := make(map[string]int64)
	err := s.View(ctx, func(v store.View) error {
		counts, err := v.Counts(ctx)
		if err != nil {
			return err
		}
		all["votes"], all["scores"], all["opinions"], all["history"] = counts.Votes, counts.Scores, counts.Opinions, counts.History
		counters, err := v.Counters(ctx)
		for _, c := range counters {
			all[fmt.Sprintf("%s of collection %d", c.Name, c.Collection)] = c.By
		}
		return err
	})
	return all, err
}

func ratings(ctx context.Context, s store.Store) (all []store.Rating, err error) {
	err = s.View(ctx, func(v store.View) error {
		for r, err := range v.AllRatings(ctx) {
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		return nil
	})
	return all, err
}
