// Package outlook says what will happen: in the next batch, and to an NFT when
// the next vote comes.
package outlook

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"poa/internal/batch"
	"poa/internal/settings"
	"poa/internal/store"
)

// backlogLimit is up to where old scores are counted.
const backlogLimit = 1_000_000

// Planner makes the plan of a run, as scheduler.Scheduler does.
type Planner interface {
	Plan(ctx context.Context, s batch.Settings, collection *string) ([]batch.Item, error)
}

// Run is what the next batch would do if it began now.
type Run struct {
	Window   batch.Window // in which it will run; the zero Window while nobody knows
	Begins   time.Time    // when it will; zero while batches are paused until somebody resumes them
	Last     *store.Run   // the last batch, nil for none
	Items    []batch.Item
	Cost     batch.Cost
	Backlog  store.Backlog
	Measured batch.Measured // of the last batch
	Coverage batch.Coverage // in the mode in force
}

// Next returns the outlook on the next batch, with a backlog that was counted
// before. With a collection, the items are those that a run of it alone would
// take.
func Next(ctx context.Context, st store.Service, p Planner, in *settings.InForce, backlog store.Backlog, collection *string, now time.Time) (Run, error) {
	r, err := Schedule(ctx, st, in, backlog, now)
	if err != nil {
		return Run{}, err
	}
	if r.Items, err = p.Plan(ctx, in.Batch, collection); err != nil {
		return Run{}, fmt.Errorf("planning the next batch: %w", err)
	}
	r.Cost = batch.Estimate(in.Batch, len(r.Items), r.Measured.PerNFT)
	return r, nil
}

// Backlog counts what is owed.
func Backlog(ctx context.Context, st store.Service, in *settings.InForce, now time.Time) (store.Backlog, error) {
	backlog, err := st.Backlog(ctx, now.Add(-in.Batch.OldAfter), backlogLimit)
	if err != nil {
		return backlog, fmt.Errorf("counting the backlog: %w", err)
	}
	return backlog, nil
}

// Schedule is Next without the plan.
func Schedule(ctx context.Context, st store.Service, in *settings.InForce, backlog store.Backlog, now time.Time) (Run, error) {
	r := Run{Backlog: backlog}
	runs, err := st.Runs(ctx, store.BatchRun, 0, 1)
	if err != nil {
		return Run{}, fmt.Errorf("reading the last batch: %w", err)
	}
	var last time.Time
	if len(runs) > 0 {
		r.Last, r.Measured = &runs[0], Inside(&runs[0]).measured()
		last, _ = time.Parse(time.RFC3339, runs[0].Window)
	}
	r.Window, r.Begins = begin(in, last, now)
	r.Coverage = r.In(in.Batch, in.Batch.Mode)
	return r, nil
}

// begin returns the window of the next batch after that of last, and when it
// begins; zero both while batches are paused until somebody resumes them.
func begin(in *settings.InForce, last, now time.Time) (batch.Window, time.Time) {
	from := now
	if in.Batches.On(now) {
		if from = in.Batches.Until; from.IsZero() {
			return batch.Window{}, from
		}
	}
	// A window that is open when a pause ends runs then.
	if window, due := in.Batch.ToRun(last, from); due {
		return window, from
	}
	window := in.Batch.Following(last, from)
	return window, window.Start
}

// In returns when the backlog is covered in a mode. In adaptive mode, while no
// adaptive batch has shown a pace, the pace is the one that a healthy database
// would be given.
func (r *Run) In(s batch.Settings, mode string) batch.Coverage {
	s.Mode = mode
	m := r.Measured
	if mode == batch.Adaptive && m.Rate == 0 {
		healthy := batch.Estimate(s, int(backlogLimit), m.PerNFT)
		if healthy.Total > 0 {
			m.Rate = float64(healthy.NFTs) / healthy.Total.Seconds()
		}
	}
	return batch.Cover(s, batch.Backlog{New: r.Backlog.New, Due: r.Backlog.Due, Old: r.Backlog.Old}, m)
}

// Plan is what a run carries with it.
type Plan struct {
	Items   []batch.Item        // planned and not done yet
	Classes map[batch.Class]int // done, by class
	Pacer   batch.Pacer
}

// Inside returns what a run carries; the zero Plan where that tells nothing.
func Inside(r *store.Run) (p Plan) {
	if json.Unmarshal([]byte(r.Plan), &p) != nil {
		return Plan{}
	}
	return p
}

func (p Plan) measured() batch.Measured {
	m := batch.Measured{PerNFT: p.Pacer.PerNFT}
	if p.Pacer.Mode == batch.Adaptive {
		m.Rate = p.Pacer.Rate()
	}
	return m
}

// Backfill returns how long a backfill of so many NFTs takes on a healthy
// database, in the mode of the settings.
func Backfill(s batch.Settings, nfts int64, m batch.Measured) time.Duration {
	switch {
	case s.Mode == batch.Adaptive && m.Rate > 0:
		return time.Duration(float64(nfts) / m.Rate * float64(time.Second))
	case s.Mode == batch.Adaptive:
		s.Cap = 100 * 365 * 24 * time.Hour // it has none
		return batch.Estimate(s, int(nfts), m.PerNFT).Total
	}
	pause := max(s.Delay, time.Duration(float64(m.PerNFT)*s.Niceness))
	return time.Duration(nfts) * (m.PerNFT + pause)
}

// Left returns the time left of a run at its pace so far, at most what the cap
// leaves to one that has a cap; false where it is not known.
func Left(r *store.Run, s batch.Settings, now time.Time) (time.Duration, bool) {
	todo := r.Total - r.Done
	if r.State != store.RunRunning || r.Done <= 0 || todo <= 0 {
		return 0, false
	}
	left := time.Duration(float64(now.Sub(r.CreatedAt)) * float64(todo) / float64(r.Done))
	if p := Inside(r).Pacer; p.Capped {
		left = min(left, max(0, s.Cap-now.Sub(p.Started)))
	}
	return left, true
}
