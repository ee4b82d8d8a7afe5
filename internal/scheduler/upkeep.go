package scheduler

import (
	"context"
	"fmt"
	"time"

	"poa/internal/store"
)

// trimStep is the number of log entries deleted in one transaction.
const trimStep = 1000

// upkeep merges counters, trims the logs and deletes what has expired, in small
// steps with a pause as long as the work between them.
func (t *step) upkeep(ctx context.Context) error {
	if err := t.Store.MergeCounters(ctx); err != nil {
		return fmt.Errorf("merging counters: %w", err)
	}
	for {
		began := t.Now()
		activity, history, err := t.Store.Trim(ctx, began.Add(-t.Upkeep.Activity), t.historyBefore(began), trimStep)
		if err != nil {
			return fmt.Errorf("trimming the logs: %w", err)
		}
		expired, more, err := t.Store.Expire(ctx, began, trimStep)
		if err != nil {
			return fmt.Errorf("deleting sessions and samples that have expired: %w", err)
		}
		t.run.Done += activity + history + expired
		if activity < trimStep && history < trimStep && !more {
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

// historyBefore returns the time before which history is deleted: the zero
// time, which no point is before, where it is kept for ever.
func (t *step) historyBefore(now time.Time) time.Time {
	if t.Upkeep.History <= 0 {
		return time.Time{}
	}
	return now.Add(-t.Upkeep.History)
}
