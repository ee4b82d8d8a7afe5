package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Submitter takes votes; a *Ledger is one.
type Submitter interface {
	Submit(ctx context.Context, votes []Vote) ([]Answer, error)
}

// A full queue is asked again after busyPause. A vote that could not be
// recorded now is handed in again after retryPause, up to retries times.
const (
	busyPause  = 50 * time.Millisecond
	retryPause = time.Second
	retries    = 5
)

// Deliver submits votes until each has its final answer, and calls answered
// with the place of each and that answer. On an error some may be recorded and
// some not: repeating the call with the same keys is always safe.
func Deliver(ctx context.Context, s Submitter, votes []Vote, answered func(i int, a Answer)) error {
	place := func(i int) int { return i } // of the i-th vote still without final answer
	for try := 0; len(votes) > 0; {
		answers, err := s.Submit(ctx, votes)
		if errors.Is(err, ErrBusy) {
			if !sleep(ctx, busyPause) {
				return ctx.Err()
			}
			continue
		} else if err != nil {
			return err
		}
		var again []Vote
		var places []int
		var last error
		for i, a := range answers {
			var refused *Error
			if errors.As(a.Err, &refused) && (refused.Code == CodeTryAgain || refused.Code == CodeUnknown) {
				again, places, last = append(again, votes[i]), append(places, place(i)), a.Err
				continue
			}
			answered(place(i), a)
		}
		if len(again) == 0 {
			return nil
		}
		votes, place = again, func(i int) int { return places[i] }
		if try++; try > retries {
			return fmt.Errorf("%d votes could not be recorded now; run it again, it goes on where it stopped: %w", len(votes), last)
		}
		if !sleep(ctx, retryPause) {
			return ctx.Err()
		}
	}
	return nil
}
