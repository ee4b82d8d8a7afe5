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
	Group     float64   `json:"votes_per_commit"`
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
	out, err = openLoop(ctx, l, votes[r.Votes:], r.Offered)
	if err = errors.Join(err, l.Close(context.WithoutCancel(ctx))); err != nil {
		return out, nil, err
	}
	out.Group = float64(m.votes.Load()) / float64(m.commits.Load())
	return out, durability, g.db.drop(ctx)
}

// openLoop hands votes in at an even pace.
func openLoop(ctx context.Context, l *ledger.Ledger, votes []ledger.Vote, perSecond int) (Latency, error) {
	var mu sync.Mutex
	var triggered, every []time.Duration
	all, ctx := errgroup.WithContext(ctx)
	step := time.Second / time.Duration(perSecond)
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range votes {
		due := start.Add(time.Duration(i) * step)
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return Latency{}, errors.Join(ctx.Err(), all.Wait())
			}
		}
		all.Go(func() error {
			a, err := submit(ctx, l, votes[i:i+1])
			took := time.Since(due)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			every = append(every, took)
			if slices.ContainsFunc(a.Triggered, func(t ledger.Triggered) bool { return t.Score != nil }) {
				triggered = append(triggered, took)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return Latency{}, err
	}
	return Latency{
		Offered: float64(perSecond), Taken: float64(len(votes)) / time.Since(start).Seconds(),
		Triggered: quantiles(triggered), All: quantiles(every),
	}, nil
}
