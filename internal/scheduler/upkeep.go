package scheduler

import (
	"context"
	"fmt"

	"poa/internal/batch"
	"poa/internal/store"
)

// trimStep is the number of rows of a log deleted in one transaction.
const trimStep = 1000

// upkeep merges counters, trims the logs and deletes what has expired, in small
// steps with a pause as long as the work between them.
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
		expired, more, err := t.Store.Expire(ctx, began, trimStep)
		if err != nil {
			return fmt.Errorf("deleting sessions and samples that have expired: %w", err)
		}
		t.run.Done += trimmed.Activity + trimmed.History + trimmed.Runs + expired
		if max(trimmed.Activity, trimmed.History, trimmed.Runs) < trimStep && !more {
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
