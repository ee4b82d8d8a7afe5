package overview_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poa/internal/overview"
	"poa/internal/store"
)

// slow counts itself as the backlog, and takes a second to.
type slow struct {
	counts int64
	before time.Time // which scores were old
	fail   error
}

func (s *slow) Backlog(_ context.Context, oldBefore time.Time, _ int64) (store.Backlog, error) {
	time.Sleep(time.Second)
	s.counts++
	s.before = oldBefore
	return store.Backlog{Due: s.counts}, s.fail
}

func never(time.Time) bool { return false }

func twoHours() time.Duration { return 2 * time.Hour }

func TestNobodyWaitsForTheBacklogToBeCountedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var st slow
		b := overview.NewBacklog(&st, twoHours, never, time.Now)
		look := func(when string, want int64, takes time.Duration) {
			t.Helper()
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					began := time.Now()
					got, err := b.Latest(t.Context())
					if took := time.Since(began); got.Due != want || err != nil || took != takes {
						t.Errorf("%s: %d, %v after %v, want %d after %v", when, got.Due, err, took, want, takes)
					}
				})
			}
			all.Wait()
		}
		began := time.Now()
		look("at first", 1, time.Second)
		if !st.before.Equal(began.Add(-2 * time.Hour)) {
			t.Errorf("at %v scores before %v were old", began, st.before)
		}
		look("at once after that", 1, 0)
		time.Sleep(10 * time.Second)
		look("when it is counted anew", 1, 0)
		time.Sleep(2 * time.Second)
		look("when it was", 2, 0)
		time.Sleep(3 * time.Minute)
		look("after nobody looked for long", 3, time.Second)
		if n, err := b.Count(t.Context()); n.Due != 4 || err != nil {
			t.Errorf("counted as %d, %v", n.Due, err)
		}
		st.fail = errors.New("away")
		time.Sleep(10 * time.Second)
		look("when counting fails", 4, 0)
		time.Sleep(1500 * time.Millisecond)
		if _, err := b.Latest(t.Context()); !errors.Is(err, st.fail) {
			t.Errorf("after counting failed: %v", err)
		}
		st.fail = nil
		time.Sleep(10 * time.Second)
		look("when it works again", 6, time.Second)
	})
}
