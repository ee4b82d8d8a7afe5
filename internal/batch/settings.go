// Package batch plans and paces the runs that compute what no vote has
// triggered: which NFTs the next run takes and why, in which window it runs,
// what it will cost, and how hard it may lean on the database. It is pure: no
// I/O, no clock, no randomness.
package batch

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// The modes of pacing.
const (
	Fixed    = "fixed"    // one NFT at a time, Settings.Size a run
	Adaptive = "adaptive" // goes on in growing chunks while the database is healthy
)

// Settings say how often runs begin, what they take and how they are paced.
// The functions of this package expect settings that Validate accepts.
type Settings struct {
	Every    time.Duration `koanf:"every" json:"every"`       // length of a window, on the clock
	Size     int           `koanf:"size" json:"size"`         // NFTs of a run in fixed mode
	Cap      time.Duration `koanf:"cap" json:"cap"`           // longest time of a run
	Delay    time.Duration `koanf:"delay" json:"delay"`       // shortest pause between NFTs
	Niceness float64       `koanf:"niceness" json:"niceness"` // pause per work time

	NewShare         float64       `koanf:"new_share" json:"new_share"`                   // share of the slots for NFTs without a score, [0, 1]
	LongestWaitEvery int           `koanf:"longest_wait_every" json:"longest_wait_every"` // of so many new slots one goes to the NFT that has waited longest
	OldAfter         time.Duration `koanf:"old_after" json:"old_after"`                   // age from which a score is computed again
	AgingVotes       int64         `koanf:"aging_votes" json:"aging_votes"`               // votes from which that is done

	Mode     string           `koanf:"mode" json:"mode"` // Fixed or Adaptive
	Adaptive AdaptiveSettings `koanf:"adaptive" json:"adaptive"`
	Retry    RetrySettings    `koanf:"retry" json:"retry"`
}

// AdaptiveSettings are the bounds of adaptive pacing.
type AdaptiveSettings struct {
	FirstChunk int           `koanf:"first_chunk" json:"first_chunk"` // NFTs of the first chunk, and of the smallest later one
	Growth     int           `koanf:"growth" json:"growth"`           // NFTs by which a healthy step grows the chunk
	ChunkMax   int           `koanf:"chunk_max" json:"chunk_max"`     // NFTs of the largest chunk
	Decrease   float64       `koanf:"decrease" json:"decrease"`       // factor of the chunk at an unhealthy step, (0, 1)
	Delay      time.Duration `koanf:"delay" json:"delay"`             // shortest pause between chunks while healthy
	PauseMax   time.Duration `koanf:"pause_max" json:"pause_max"`     // to which the pause doubles while unhealthy

	LatencyTolerance float64       `koanf:"latency_tolerance" json:"latency_tolerance"` // database latency that is unhealthy, as a multiple of its baseline
	LatencyFloor     time.Duration `koanf:"latency_floor" json:"latency_floor"`         // a lower baseline counts as this
	VotesWaiting     int           `koanf:"votes_waiting" json:"votes_waiting"`         // waiting votes above which a run yields
	SessionsPerCore  float64       `koanf:"sessions_per_core" json:"sessions_per_core"` // active sessions per core above which it does
	WaitingLocks     int           `koanf:"waiting_locks" json:"waiting_locks"`         // locks waited for, likewise
	ReplicationLag   time.Duration `koanf:"replication_lag" json:"replication_lag"`     // of the slowest replica, likewise
}

// RetrySettings say when an NFT whose computation failed is tried again.
type RetrySettings struct {
	First  time.Duration `koanf:"first" json:"first"`   // wait after the first failure
	Factor float64       `koanf:"factor" json:"factor"` // by which each later wait is longer
	Tries  int           `koanf:"tries" json:"tries"`   // computations tried in all
}

// Defaults returns the settings of the original scheduler, in fixed mode.
func Defaults() Settings {
	return Settings{
		Every: time.Hour, Size: 20, Cap: 45 * time.Second, Delay: 500 * time.Millisecond, Niceness: 1,
		NewShare: 0.7, LongestWaitEvery: 5, OldAfter: 24 * time.Hour, AgingVotes: 5,
		Mode: Fixed,
		Adaptive: AdaptiveSettings{
			FirstChunk: 20, Growth: 100, ChunkMax: 1000, Decrease: 0.5,
			Delay: 50 * time.Millisecond, PauseMax: 5 * time.Second,
			LatencyTolerance: 3, LatencyFloor: 2 * time.Millisecond,
			VotesWaiting: 50, SessionsPerCore: 4, WaitingLocks: 8, ReplicationLag: 10 * time.Second,
		},
		Retry: RetrySettings{First: 5 * time.Minute, Factor: 3, Tries: 5},
	}
}

// The largest values that are taken.
const (
	maxSize     = 1000
	maxChunk    = 10_000
	maxNiceness = 100
	maxWait     = 7 * 24 * time.Hour // of a retry
)

// Validate reports every setting out of its range, joined. The name of a
// nested setting is joined with a dot: adaptive.growth.
func (s Settings) Validate() error {
	var c checks
	c.duration("every", s.Every, time.Second, 7*24*time.Hour)
	c.that("every", s.Every%time.Second == 0, "must be whole seconds, is %v", s.Every)
	c.whole("size", int64(s.Size), 2, maxSize)
	c.duration("cap", s.Cap, 100*time.Millisecond, 24*time.Hour)
	c.that("cap", s.Cap <= s.Every, "must not be above every (%v), is %v", s.Every, s.Cap)
	c.duration("delay", s.Delay, 0, time.Minute)
	c.within("niceness", s.Niceness, 0, maxNiceness)
	c.within("new_share", s.NewShare, 0, 1)
	c.whole("longest_wait_every", int64(s.LongestWaitEvery), 1, maxSize)
	c.duration("old_after", s.OldAfter, time.Minute, longest)
	c.whole("aging_votes", s.AgingVotes, 1, math.MaxInt32)
	c.that("mode", s.Mode == Fixed || s.Mode == Adaptive, "must be %s or %s, is %q", Fixed, Adaptive, s.Mode)

	a := s.Adaptive
	c.whole("adaptive.first_chunk", int64(a.FirstChunk), 2, maxChunk)
	c.whole("adaptive.growth", int64(a.Growth), 1, maxChunk)
	c.whole("adaptive.chunk_max", int64(a.ChunkMax), 2, maxChunk)
	c.that("adaptive.chunk_max", a.ChunkMax >= a.FirstChunk, "must not be below adaptive.first_chunk (%d), is %d", a.FirstChunk, a.ChunkMax)
	c.that("adaptive.decrease", a.Decrease > 0 && a.Decrease < 1, "must be above 0 and below 1, is %v", a.Decrease)
	c.duration("adaptive.delay", a.Delay, 0, time.Minute)
	c.duration("adaptive.pause_max", a.PauseMax, time.Millisecond, 10*time.Minute)
	c.that("adaptive.pause_max", a.PauseMax >= max(s.Delay, a.Delay), "must not be below delay (%v) and adaptive.delay (%v), is %v", s.Delay, a.Delay, a.PauseMax)
	c.within("adaptive.latency_tolerance", a.LatencyTolerance, 1.1, 1000)
	c.duration("adaptive.latency_floor", a.LatencyFloor, time.Microsecond, time.Minute)
	c.whole("adaptive.votes_waiting", int64(a.VotesWaiting), 0, math.MaxInt32)
	c.within("adaptive.sessions_per_core", a.SessionsPerCore, 0.1, 1000)
	c.whole("adaptive.waiting_locks", int64(a.WaitingLocks), 0, math.MaxInt32)
	c.duration("adaptive.replication_lag", a.ReplicationLag, time.Millisecond, 24*time.Hour)

	c.duration("retry.first", s.Retry.First, time.Second, maxWait)
	c.within("retry.factor", s.Retry.Factor, 1, 100)
	c.whole("retry.tries", int64(s.Retry.Tries), 1, 1000)
	return c.err()
}

// Sized returns the settings with another size, for the plan of a chunk.
func (s Settings) Sized(n int) Settings {
	s.Size = n
	return s
}

// RetryAt returns when an NFT that failed so many times in a row, the last time
// now, is tried again. It is false where it is not: it belongs in the failed
// list. No wait is longer than seven days.
func (s Settings) RetryAt(failures int, now time.Time) (time.Time, bool) {
	if failures >= s.Retry.Tries {
		return time.Time{}, false
	}
	wait := float64(s.Retry.First) * math.Pow(s.Retry.Factor, float64(max(failures, 1)-1))
	return now.Add(time.Duration(math.Min(wait, float64(maxWait)))), true
}

// checks collects the settings that are out of range.
type checks []error

func (c *checks) that(name string, ok bool, format string, args ...any) {
	if !ok {
		*c = append(*c, fmt.Errorf("%s: "+format, append([]any{name}, args...)...))
	}
}

func (c *checks) within(name string, x, low, high float64) {
	c.that(name, x >= low && x <= high, "must be from %v to %v, is %v", low, high, x)
}

func (c *checks) whole(name string, n, low, high int64) {
	c.that(name, n >= low && n <= high, "must be from %d to %d, is %d", low, high, n)
}

func (c *checks) duration(name string, d, low, high time.Duration) {
	c.that(name, d >= low && d <= high, "must be from %v to %v, is %v", low, high, d)
}

func (c checks) err() error { return errors.Join(c...) }
