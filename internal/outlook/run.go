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
	Window   batch.Window // in which it will run
	Last     *store.Run   // the last batch, nil for none
	Items    []batch.Item
	Cost     batch.Cost
	Backlog  store.Backlog
	Measured batch.Measured // of the last batch
	Coverage batch.Coverage
}

// Next returns the outlook on the next batch. With a collection, the items are
// those that a run of it alone would take.
func Next(ctx context.Context, st store.Service, p Planner, in *settings.InForce, collection *string, now time.Time) (Run, error) {
	r, err := Schedule(ctx, st, in, now)
	if err != nil {
		return Run{}, err
	}
	if r.Items, err = p.Plan(ctx, in.Batch, collection); err != nil {
		return Run{}, fmt.Errorf("planning the next batch: %w", err)
	}
	r.Cost = batch.Estimate(in.Batch, len(r.Items), r.Measured.PerNFT)
	return r, nil
}

// Schedule returns the outlook without the plan.
func Schedule(ctx context.Context, st store.Service, in *settings.InForce, now time.Time) (Run, error) {
	var r Run
	runs, err := st.Runs(ctx, store.BatchRun, 0, 1)
	if err != nil {
		return Run{}, fmt.Errorf("reading the last batch: %w", err)
	}
	var last time.Time
	if len(runs) > 0 {
		r.Last, r.Measured = &runs[0], measured(runs[0].Plan)
		last, _ = time.Parse(time.RFC3339, runs[0].Window)
	}
	if window, due := in.Batch.ToRun(last, now); due {
		r.Window = window
	} else {
		r.Window = in.Batch.Following(last, now)
	}
	if r.Backlog, err = st.Backlog(ctx, now.Add(-in.Batch.OldAfter), backlogLimit); err != nil {
		return Run{}, fmt.Errorf("counting the backlog: %w", err)
	}
	b := batch.Backlog{New: r.Backlog.New, Due: r.Backlog.Due, Old: r.Backlog.Old}
	r.Coverage = batch.Cover(in.Batch, b, r.Measured)
	return r, nil
}

// measured reads the pace of a run from its plan; zero where it tells none.
func measured(plan string) batch.Measured {
	var p struct{ Pacer batch.Pacer }
	if json.Unmarshal([]byte(plan), &p) != nil {
		return batch.Measured{}
	}
	return batch.Measured{PerNFT: p.Pacer.PerNFT, Rate: p.Pacer.Rate()}
}
