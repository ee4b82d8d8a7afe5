package batch

import "time"

// Window is the time from Start up to and without End, in which one run
// belongs. Windows are Settings.Every long and counted from midnight UTC of
// Monday, 1 January of the year 1: lengths that divide a day begin at the same
// times every day.
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Name is the start in UTC, such as 2026-07-01T10:00:00Z. It is unique.
func (w Window) Name() string { return w.Start.UTC().Format(time.RFC3339) }

// Current returns the window that now is in.
func (s Settings) Current(now time.Time) Window {
	start := now.UTC().Truncate(s.Every)
	return Window{start, start.Add(s.Every)}
}

// Next returns the first window that begins after now.
func (s Settings) Next(now time.Time) Window { return s.Current(s.Current(now).End) }

// ToRun returns the window whose run is to begin now, unless it has had one,
// where last is the start of the window that a run was begun for, or found,
// last (zero for none). It is false where there is none. After downtime it is
// the current window alone, however many were missed, and those before it never
// run.
//
// While last is the window after the current one, the clock has jumped back a
// little, and nothing runs until it has passed last. A last that is later still
// comes from a clock that was wrong then or is wrong now. It says nothing: the
// current window is the one to run. That may be a window which the clock has
// been in before, so the caller must know which have had a run.
func (s Settings) ToRun(last, now time.Time) (Window, bool) {
	w := s.Current(now)
	return w, w.Start.After(last) || s.wrong(last, now)
}

// wrong reports whether last lies so far ahead of now that one of them was told
// by a clock that was wrong.
func (s Settings) wrong(last, now time.Time) bool {
	return last.Sub(s.Current(now).Start) > s.Every
}

// Following returns the next window to run, after the one that ToRun returns:
// the first that begins after both now and last, where last says something.
func (s Settings) Following(last, now time.Time) Window {
	if last.After(now) && !s.wrong(last, now) {
		return s.Next(last)
	}
	return s.Next(now)
}

// Missed is how many windows between last and the current one did not run, 0
// where last is zero.
func (s Settings) Missed(last, now time.Time) int {
	if last.IsZero() {
		return 0
	}
	return max(0, int(s.Current(now).Start.Sub(s.Current(last).Start)/s.Every)-1)
}
