package batch

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func clock(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		name          string
		every         time.Duration
		now           string
		current, next string
	}{
		{"within an hour", time.Hour, "2026-07-01T10:20:30Z", "2026-07-01T10:00:00Z", "2026-07-01T11:00:00Z"},
		{"on the hour", time.Hour, "2026-07-01T10:00:00Z", "2026-07-01T10:00:00Z", "2026-07-01T11:00:00Z"},
		{"just before it", time.Hour, "2026-07-01T09:59:59.999999Z", "2026-07-01T09:00:00Z", "2026-07-01T10:00:00Z"},
		{"another zone", time.Hour, "2026-07-01T10:20:00+05:30", "2026-07-01T04:00:00Z", "2026-07-01T05:00:00Z"},
		{"shortened", time.Minute, "2026-07-01T10:20:30Z", "2026-07-01T10:20:00Z", "2026-07-01T10:21:00Z"},
		{"over midnight", 15 * time.Minute, "2026-12-31T23:50:00Z", "2026-12-31T23:45:00Z", "2027-01-01T00:00:00Z"},
		{"a day", 24 * time.Hour, "2026-07-01T10:20:30Z", "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z"},
		{"a week begins on Monday", 7 * 24 * time.Hour, "2026-07-01T10:20:30Z", "2026-06-29T00:00:00Z", "2026-07-06T00:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Defaults()
			s.Every = c.every
			now := clock(c.now)
			if got := s.Current(now).Name(); got != c.current {
				t.Errorf("current window %s, want %s", got, c.current)
			}
			if got := s.Next(now).Name(); got != c.next {
				t.Errorf("next window %s, want %s", got, c.next)
			}
		})
	}
}

func TestToRun(t *testing.T) {
	for _, c := range []struct {
		name      string
		last, now string
		run       string // "" for none
		following string
		missed    int
	}{
		{"never ran", "0001-01-01T00:00:00Z", "2026-07-01T10:20:00Z", "2026-07-01T10:00:00Z", "2026-07-01T11:00:00Z", 0},
		{"ran already", "2026-07-01T10:00:00Z", "2026-07-01T10:20:00Z", "", "2026-07-01T11:00:00Z", 0},
		{"on time", "2026-07-01T10:00:00Z", "2026-07-01T11:00:00Z", "2026-07-01T11:00:00Z", "2026-07-01T12:00:00Z", 0},
		{"caught up once after three days", "2026-06-28T10:00:00Z", "2026-07-01T10:59:59Z", "2026-07-01T10:00:00Z", "2026-07-01T11:00:00Z", 71},
		{"the clock jumped back into the last window", "2026-07-01T10:00:00Z", "2026-07-01T10:00:01Z", "", "2026-07-01T11:00:00Z", 0},
		{"into the one before", "2026-07-01T10:00:00Z", "2026-07-01T09:00:00Z", "", "2026-07-01T11:00:00Z", 0},
		{"further", "2026-07-01T10:00:00Z", "2026-07-01T08:59:59Z", "2026-07-01T08:00:00Z", "2026-07-01T09:00:00Z", 0},
		{"the clock was years ahead", "2031-01-01T05:00:00Z", "2026-07-01T07:30:00Z", "2026-07-01T07:00:00Z", "2026-07-01T08:00:00Z", 0},
		{"the interval was longer before", "2026-06-29T00:00:00Z", "2026-06-29T00:30:00Z", "", "2026-06-29T01:00:00Z", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Defaults()
			last, now := clock(c.last), clock(c.now)
			w, ok := s.ToRun(last, now)
			got := ""
			if ok {
				got = w.Name()
			}
			if got != c.run {
				t.Errorf("runs %q, want %q", got, c.run)
			}
			if got := s.Following(last, now).Name(); got != c.following {
				t.Errorf("following window %s, want %s", got, c.following)
			}
			if got := s.Missed(last, now); got != c.missed {
				t.Errorf("%d windows missed, want %d", got, c.missed)
			}
		})
	}
}

// A clock that goes forward and back, now and then by years, downtime and
// changes of the interval: the window that runs is the one the clock is in, one
// has its run or the next one has unless the clock was in it before, and none
// is forgotten: one runs whenever Following said so.
func TestWindowsRunOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Defaults()
		now := clock("2026-07-01T10:20:00Z")
		var last time.Time
		had := map[string]bool{} // names of the windows that have had a run
		for range rapid.IntRange(1, 60).Draw(t, "ticks") {
			now = now.Add(time.Duration(rapid.Int64Range(-int64(5*time.Hour), int64(9*time.Hour)).Draw(t, "jump")))
			now = now.AddDate(rapid.SampledFrom([]int{0, 0, 0, 0, 0, 4, -4}).Draw(t, "years"), 0, 0)
			if rapid.IntRange(0, 9).Draw(t, "change") == 0 {
				s.Every = rapid.SampledFrom([]time.Duration{time.Minute, 15 * time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "every")
			}
			w, ok := s.ToRun(last, now)
			if ok {
				if w.Start.After(now) || !w.End.After(now) || w.End.Sub(w.Start) != s.Every {
					t.Fatalf("after %v window %v to %v runs at %v", last, w.Start, w.End, now)
				}
				had[w.Name()] = true
				last = w.Start
				if again, ok := s.ToRun(last, now); ok {
					t.Fatalf("window %s runs again", again.Name())
				}
			} else if ahead := last.Sub(w.Start); ahead < 0 || ahead > s.Every || !had[last.UTC().Format(time.RFC3339)] {
				t.Fatalf("at %v nothing runs after %v", now, last)
			}
			following := s.Following(last, now)
			if !following.Start.After(now) || !following.Start.After(last) || following.Start.Sub(now) > 2*s.Every {
				t.Fatalf("following %s of last %v at %v", following.Name(), last, now)
			}
			if early, ok := s.ToRun(last, following.Start.Add(-1)); ok {
				t.Fatalf("window %s runs before %s", early.Name(), following.Name())
			}
			if w, ok := s.ToRun(last, following.Start); !ok || w != following {
				t.Fatalf("window %s does not run at its start", following.Name())
			}
		}
	})
}
