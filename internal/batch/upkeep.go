package batch

import "time"

// Upkeep says how long logs are kept and how often they are trimmed.
type Upkeep struct {
	Every    time.Duration `koanf:"every" json:"every"`       // length of a window, on the clock
	Activity time.Duration `koanf:"activity" json:"activity"` // age at which activity is deleted
	History  time.Duration `koanf:"history" json:"history"`   // and points of scores' histories; 0: never
	Runs     time.Duration `koanf:"runs" json:"runs"`         // and runs, since their end
}

// DefaultUpkeep returns the settings that suit most.
func DefaultUpkeep() Upkeep {
	return Upkeep{Every: 10 * time.Minute, Activity: 90 * day, Runs: 400 * day}
}

const day = 24 * time.Hour

// longest is the greatest age that is taken, and also that of scores.
const longest = 10 * 365 * day

// Validate reports every setting out of its range, joined.
func (u Upkeep) Validate() error {
	var c checks
	c.duration("every", u.Every, time.Minute, time.Hour) // a longer one would look like none at all
	c.that("every", u.Every%time.Second == 0, "must be whole seconds, is %v", u.Every)
	c.duration("activity", u.Activity, day, longest)
	if u.History != 0 { // for ever
		c.duration("history", u.History, day, longest)
	}
	// The run of the current window, which a week is the longest of, must be
	// known: else it would run again.
	c.duration("runs", u.Runs, 14*day, longest)
	return c.err()
}

// ToRun is Settings.ToRun for upkeep.
func (u Upkeep) ToRun(last, now time.Time) (Window, bool) {
	return Settings{Every: u.Every}.ToRun(last, now)
}

// Kept returns the time before which entries of an age are deleted: the zero
// Time, which nothing is before, where they are kept for ever.
func Kept(age time.Duration, now time.Time) time.Time {
	if age == 0 {
		return time.Time{}
	}
	return now.Add(-age)
}
