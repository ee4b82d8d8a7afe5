package snapshot_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poa/internal/snapshot"
)

// counter is read by taking a second and counting.
type counter struct {
	reads int
	fail  error
}

func (c *counter) read(ctx context.Context) (int, error) {
	time.Sleep(time.Second)
	c.reads++
	return c.reads, errors.Join(c.fail, ctx.Err())
}

func TestManyShareOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counter
		s := snapshot.New(10*time.Second, time.Now, c.read)
		for round := 1; round <= 3; round++ {
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					if got, err := s.Get(t.Context()); got != round || err != nil {
						t.Errorf("round %d: %d, %v", round, got, err)
					}
				})
			}
			all.Wait()
			time.Sleep(10 * time.Second)
		}
		if c.reads != 3 {
			t.Errorf("%d reads", c.reads)
		}
	})
}

func TestNewerThanIsReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counter
		s := snapshot.New(time.Hour, time.Now, c.read)
		first, _ := s.Get(t.Context())
		at := time.Now()
		again, _ := s.After(t.Context(), at.Add(-time.Second-1)) // before the read began
		newer, _ := s.After(t.Context(), at.Add(-time.Second))
		kept, _ := s.After(t.Context(), at.Add(-time.Second))
		if first != 1 || again != 1 || newer != 2 || kept != 2 {
			t.Errorf("read as %d, %d, %d, %d", first, again, newer, kept)
		}
	})
}

func TestErrorsAreSharedAndPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		c := counter{fail: broken}
		s := snapshot.New(10*time.Second, time.Now, c.read)
		for range 3 {
			if _, err := s.Get(t.Context()); !errors.Is(err, broken) {
				t.Errorf("%v", err)
			}
		}
		c.fail = nil
		time.Sleep(10 * time.Second)
		if got, err := s.Get(t.Context()); got != 2 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
	})
}

func TestErrorsPassSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := counter{fail: errors.New("broken")}
		s := snapshot.New(time.Hour, time.Now, c.read)
		if _, err := s.Get(t.Context()); err == nil {
			t.Error("no error")
		}
		c.fail = nil
		time.Sleep(time.Second)
		if got, err := s.Get(t.Context()); got != 2 || err != nil {
			t.Errorf("a second later: %d, %v", got, err)
		}
	})
}

// A caller that leaves neither ends the read for the others nor waits for it.
func TestCallersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counter
		s := snapshot.New(10*time.Second, time.Now, c.read)
		leaving, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _, _ = s.Get(leaving) })
		synctest.Wait()
		all.Go(func() {
			if got, err := s.Get(t.Context()); got != 1 || err != nil {
				t.Errorf("who stays gets %d, %v", got, err)
			}
		})
		all.Go(func() {
			began := time.Now()
			if _, err := s.Get(leaving); !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
				t.Errorf("who leaves gets %v after %v", err, time.Since(began))
			}
		})
		synctest.Wait()
		leave()
		all.Wait()
	})
}

func TestQuietValuesAreSharedForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counter
		moved := time.Now()
		s := snapshot.New(2*time.Second, time.Now, c.read).Quietly(func(since time.Time) bool { return since.After(moved) })
		get := func(when string, want int) {
			t.Helper()
			if got, err := s.Get(t.Context()); got != want || err != nil {
				t.Errorf("%s: %d, %v, want %d", when, got, err, want)
			}
		}
		get("at first", 1) // as something happened
		time.Sleep(2 * time.Second)
		get("after what happened as it was read", 2)
		time.Sleep(12 * time.Second)
		get("while nothing happens", 2)
		moved = time.Now()
		get("after something happened", 3)
		get("right after that", 3)
		time.Sleep(15 * time.Second)
		get("after long", 4)
		c.fail = errors.New("broken")
		time.Sleep(15 * time.Second)
		if _, err := s.Get(t.Context()); err == nil {
			t.Error("no error")
		}
		c.fail = nil
		time.Sleep(2 * time.Second)
		get("after an error", 6)
	})
}

func TestWhoAsksForANewerValueWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counter
		s := snapshot.New(5*time.Second, time.Now, c.read).Behind(time.Minute)
		first, _ := s.Get(t.Context())
		time.Sleep(10 * time.Second)
		newer, _ := s.After(t.Context(), time.Now().Add(-time.Second))
		latest, _ := s.Get(t.Context())
		if first != 1 || newer != 2 || latest != 2 {
			t.Errorf("read as %d, %d, %d", first, newer, latest)
		}
	})
}
