package scheduler

import (
	"context"
	"fmt"

	"poa/internal/batch"
	"poa/internal/store"
)

// trimStep is the number of rows of a log deleted in one transaction.
const trimStep = 1000

// upkeep merges counters and trims the logs in small steps, with a pause as
// long as the work between them.
func (t *step) upkeep(ctx context.Context) error {
	if err := t.Store.MergeCounters(ctx); err != nil {
		return fmt.Errorf("merging counters: %w", err)
	}
	for {
		began, keep := t.Now(), t.Settings().Upkeep
		trimmed, err := t.Store.Trim(ctx, store.Before{
			Activity: batch.Kept(keep.Activity, began), History: batch.Kept(keep.History, began), Runs: batch.Kept(keep.Runs, began),
		}, trimStep)
		if err != nil {
			return fmt.Errorf("trimming the logs: %w", err)
		}
		t.run.Done += trimmed.Activity + trimmed.History + trimmed.Runs
		if max(trimmed.Activity, trimmed.History, trimmed.Runs) < trimStep {
			return t.end(ctx, store.RunDone, "")
		}
		now := t.Now()
		if rest := now.Sub(began); now.Add(rest).After(t.deadline) {
			return t.handOver(ctx, now)
		} else if err := pause(ctx, rest); err != nil {
			return err
		}
	}
}
