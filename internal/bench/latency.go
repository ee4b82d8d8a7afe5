package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/ledger"
	"poa/internal/sample"
)

// Latency is the time from a vote's arrival to its answer, when votes arrive at
// an even pace whatever the answers take. It is counted from the moment at
// which the vote was to arrive, so that waiting caused by slow answers before
// it is in it.
type Latency struct {
	Offered   float64   `json:"offered_per_second"`
	Taken     float64   `json:"taken_per_second"` // to the last answer
	Triggered Quantiles `json:"triggered"`        // until the score is published
	All       Quantiles `json:"all"`
	Group     float64   `json:"votes_per_commit,omitempty"` // where the ledger is asked directly
}

func (r *run) latency(ctx context.Context) (out Latency, durability []string, err error) {
	r.tell("time from a vote to its score")
	w := r.workload(r.NFTs, sample.Mix{})
	measured := int(float64(r.Offered) * r.OfferedFor.Seconds())
	votes := slices.Collect(w.Votes(0, r.Votes+measured))
	g, err := r.newGame(ctx, "latency", w, votes, true)
	if err != nil {
		return out, nil, err
	}
	if _, _, err := closedLoop(ctx, g.store, g, votes[:r.Votes], r.Clients); err != nil { // warms up
		return out, nil, err
	}
	if err := g.db.settle(ctx); err != nil {
		return out, nil, err
	}
	settings, err := g.store.Durability(ctx)
	if err != nil {
		return out, nil, err
	}
	for _, s := range settings {
		durability = append(durability, s.Name+"="+s.Value)
		if !s.OK {
			return out, nil, fmt.Errorf("%s is %s, not %s: a vote that was answered could be lost", s.Name, s.Value, s.Want)
		}
	}
	m := &meter{Store: g.store}
	l := ledger.New(m, ledger.Options{Policy: g.policy})
	votes = votes[r.Votes:]
	c, err := openLoop(ctx, len(votes), r.Offered, func(ctx context.Context, i int) (published bool, err error) {
		a, err := submit(ctx, l, votes[i:i+1])
		return slices.ContainsFunc(a.Triggered, func(t ledger.Triggered) bool { return t.Score != nil }), err
	})
	if err = errors.Join(err, l.Close(context.WithoutCancel(ctx))); err != nil {
		return out, nil, err
	}
	out = c.latency()
	out.Group = float64(m.votes.Load()) / float64(m.commits.Load())
	return out, durability, g.db.drop(ctx)
}

// casts are votes cast at an even pace, and how long each took.
type casts struct {
	offered        int // per second
	took           time.Duration
	triggered, all []time.Duration
}

func (c *casts) latency() Latency {
	return Latency{
		Offered: float64(c.offered), Taken: float64(len(c.all)) / c.took.Seconds(),
		Triggered: quantiles(c.triggered), All: quantiles(c.all),
	}
}

// openLoop casts n votes at an even pace.
func openLoop(ctx context.Context, n, perSecond int, cast func(ctx context.Context, i int) (published bool, err error)) (casts, error) {
	var mu sync.Mutex
	c := casts{offered: perSecond}
	all, ctx := errgroup.WithContext(ctx)
	step := time.Second / time.Duration(perSecond)
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range n {
		due := start.Add(time.Duration(i) * step)
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return c, errors.Join(ctx.Err(), all.Wait())
			}
		}
		all.Go(func() error {
			published, err := cast(ctx, i)
			took := time.Since(due)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			c.all = append(c.all, took)
			if published {
				c.triggered = append(c.triggered, took)
			}
			return nil
		})
	}
	err := all.Wait()
	c.took = time.Since(start)
	return c, err
}
