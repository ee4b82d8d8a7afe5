package access

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// Uses are the times at which keys or people were last seen. They are written
// now and then, all in one statement: requests cost none. Its methods are safe
// for concurrent use.
type Uses struct {
	what   string
	write  func(context.Context, map[int64]time.Time) error
	log    *slog.Logger
	cancel context.CancelFunc
	loop   sync.WaitGroup

	mu   sync.Mutex          // guards what follows
	last map[int64]time.Time // not written yet, by number of the key or person
}

// NewUses returns uses of what, for the log, that write stores by number of the
// key or person. What cannot be written is kept for the next time.
func NewUses(what string, write func(context.Context, map[int64]time.Time) error, log *slog.Logger) *Uses {
	return &Uses{what: what, write: write, log: log, last: map[int64]time.Time{}}
}

// Note has it written that a key or person was seen at a time.
func (u *Uses) Note(number int64, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last[number] = at.UTC().Truncate(time.Microsecond)
}

// Start begins to write, once in a while, and does then what else is to be done
// as often.
func (u *Uses) Start(every time.Duration, also ...func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel = cancel
	u.loop.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				u.flush(ctx)
				for _, do := range also {
					do(ctx)
				}
			case <-ctx.Done():
				return
			}
		}
	})
}

// Stop writes what is left and ends what Start began.
func (u *Uses) Stop(ctx context.Context) {
	if u.cancel != nil {
		u.cancel()
	}
	u.loop.Wait()
	u.flush(ctx)
}

// flush writes the uses since the last time.
func (u *Uses) flush(ctx context.Context) {
	u.mu.Lock()
	last := u.last
	u.last = map[int64]time.Time{}
	u.mu.Unlock()
	if len(last) == 0 {
		return
	}
	err := u.write(ctx, last)
	if err == nil || ctx.Err() != nil {
		return
	}
	u.log.Warn(u.what+" could not be written; it is tried again", "err", err)
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.Copy(last, u.last) // later uses win
	u.last = last
}
