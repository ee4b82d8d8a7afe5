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

// ToRun returns the window whose run is to begin now, where last is the start
// of the last window that ran (zero for none). It is false where there is
// none. After downtime it is the current window alone, however many were
// missed, and those before it never run.
//
// A window at or before last never runs again, whatever the clock does: after
// the clock jumped back nothing runs until it has passed last. See Following
// for when that is.
func (s Settings) ToRun(last, now time.Time) (Window, bool) {
	w := s.Current(now)
	return w, w.Start.After(last)
}

// Following returns the next window to run, after the one that ToRun returns:
// the first that begins after both now and last.
func (s Settings) Following(last, now time.Time) Window {
	if last.After(now) {
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
