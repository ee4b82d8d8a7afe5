// Package trigger decides whether a vote causes an immediate computation of an
// NFT's score. It is pure: time is a parameter.
package trigger

import (
	"errors"
	"fmt"
	"time"

	"poa/internal/scoring"
)

// Reason is why a computation is caused.
type Reason string

// The reasons, in the order in which the rules are asked.
const (
	Super        Reason = "super"
	Fire         Reason = "fire" // given or withdrawn
	Milestone    Reason = "milestone"
	HighActivity Reason = "high_activity"
)

// VoterCap is why a computation is owed after a super or FIRE vote over its
// voter's cap. No rule returns it.
const VoterCap Reason = "voter_cap"

// Priority orders the computations that are owed.
type Priority uint8

// The priorities. The numbers are stored: do not renumber.
const (
	Medium Priority = 1
	High   Priority = 2
)

func (p Priority) String() string {
	switch p {
	case Medium:
		return "medium"
	case High:
		return "high"
	}
	return "none"
}

// Rules are the settings of the triggers.
type Rules struct {
	Super             bool          `koanf:"super" json:"super"`
	Fire              bool          `koanf:"fire" json:"fire"`
	Milestone         bool          `koanf:"milestone" json:"milestone"`
	Milestones        []int64       `koanf:"milestones" json:"milestones"`                   // vote counts, ascending
	MilestoneHighFrom int64         `koanf:"milestone_high_from" json:"milestone_high_from"` // milestones from here have high priority
	HighActivity      bool          `koanf:"high_activity" json:"high_activity"`
	HighActivityVotes int           `koanf:"high_activity_votes" json:"high_activity_votes"` // 2 to RecentKept
	HighActivityIn    time.Duration `koanf:"high_activity_in" json:"high_activity_in"`       // window, ending with the vote
	VoterCapPerHour   int64         `koanf:"voter_cap_per_hour" json:"voter_cap_per_hour"`   // super and FIRE votes of one voter that compute at once, 0 for no cap
}

// Defaults returns the rules of the original scheduler, all switched on, with a
// cap that people who play do not meet.
func Defaults() Rules {
	return Rules{
		Super: true, Fire: true,
		Milestone: true, Milestones: []int64{5, 10, 25, 50, 100}, MilestoneHighFrom: 25,
		HighActivity: true, HighActivityVotes: 5, HighActivityIn: 24 * time.Hour,
		VoterCapPerHour: 30,
	}
}

// Validate reports every setting out of its range, joined.
func (r Rules) Validate() error {
	var errs []error
	for i, m := range r.Milestones {
		if m <= 0 {
			errs = append(errs, fmt.Errorf("milestones: must be positive, %d is not", m))
		} else if i > 0 && m <= r.Milestones[i-1] {
			errs = append(errs, fmt.Errorf("milestones: must ascend, %d follows %d", m, r.Milestones[i-1]))
		}
	}
	if r.MilestoneHighFrom < 0 {
		errs = append(errs, fmt.Errorf("milestone_high_from: must not be negative, is %d", r.MilestoneHighFrom))
	}
	if r.HighActivityVotes < 2 || r.HighActivityVotes > RecentKept {
		errs = append(errs, fmt.Errorf("high_activity_votes: must be from 2 to %d (a rating keeps that many latest times), is %d", RecentKept, r.HighActivityVotes))
	}
	if r.HighActivityIn <= 0 {
		errs = append(errs, fmt.Errorf("high_activity_in: must be a positive duration, is %v", r.HighActivityIn))
	}
	if r.VoterCapPerHour < 0 {
		errs = append(errs, fmt.Errorf("voter_cap_per_hour: must not be negative (0 is no cap), is %d", r.VoterCapPerHour))
	}
	return errors.Join(errs...)
}

// capHour is the length of the hour that the cap is for.
const capHour = time.Hour

// Allowance is what a voter has used of the cap: an hour begins with the first
// super or FIRE vote that computes at once, and Used of them came in it. The
// zero Allowance is unused.
type Allowance struct {
	Since time.Time
	Used  int64
}

// Allow reports whether another super or FIRE vote of a voter, which arrives
// now, may compute at once, and takes it from the allowance if so. A vote that
// is not allowed takes nothing. Nothing is kept where there is no cap.
//
// Arrival counts and not when the vote was cast, which is the sender's word: it
// could spread any number of votes over hours of its choice. An hour that
// begins later than now was begun by another process whose clock is ahead; it
// holds, unless it is ahead by so much that the clock was wrong.
func (r *Rules) Allow(a *Allowance, now time.Time) bool {
	if r.VoterCapPerHour == 0 {
		return true
	}
	if d := now.Sub(a.Since); d >= capHour || d <= -capHour {
		*a = Allowance{Since: now}
	}
	if a.Used >= r.VoterCapPerHour {
		return false
	}
	a.Used++
	return true
}

// RecentKept is the number of latest vote times a rating keeps.
const RecentKept = 5

// Recent are the latest times (microseconds since 1970, latest first, 0 for
// none) at which votes of any kind but unfire were cast on an NFT.
type Recent [RecentKept]int64

// Add inserts the time of a vote where it belongs among the latest ones.
func (r *Recent) Add(t time.Time) {
	us := t.UnixMicro()
	for i := range r {
		if us >= r[i] {
			copy(r[i+1:], r[i:])
			r[i] = us
			return
		}
	}
}

// within counts the kept times in (from, to].
func (r *Recent) within(from, to time.Time) int {
	n := 0
	for _, us := range r {
		if us > from.UnixMicro() && us <= to.UnixMicro() {
			n++
		}
	}
	return n
}

// Event is a vote as seen from one of its NFTs, after it was folded.
type Event struct {
	Vote        scoring.Vote
	Changed     bool      // FIRE and unfire: the standing opinion changed
	VotesBefore int64     // the NFT's vote count before the vote
	VotesAfter  int64     // and after it
	Recent      Recent    // with this vote added
	ReceivedAt  time.Time // when the vote arrived
	Capped      bool      // it is over its voter's cap: the super and FIRE rules do not hold
}

// Decision is why a computation is caused, and how urgent it is.
type Decision struct {
	Reason    Reason
	Priority  Priority
	Milestone int64 // the highest milestone crossed, for that reason
}

// Urgent asks the rules that the cap of a voter is for, super and FIRE. They
// look at nothing but the vote and whether it changed the standing opinion, so
// they hold for all of its NFTs or for none.
//
// A matchup without a choice changes no rating, so the super rule does not hold
// for it; a FIRE that stood already, or the withdrawal of none, is not a FIRE
// given or withdrawn.
func (r *Rules) Urgent(v scoring.Vote, changed bool) (Decision, bool) {
	if r.Super && v.Super && v.Outcome != scoring.Neither {
		return Decision{Reason: Super, Priority: High}, true
	}
	if r.Fire && changed && (v.Kind == scoring.Fire || v.Kind == scoring.Unfire) {
		return Decision{Reason: Fire, Priority: High}, true
	}
	return Decision{}, false
}

// idle reports whether a vote changes no score: a matchup without a choice, a
// FIRE where one stands, the withdrawal of none. A slider rating that does not
// become the opinion still counts as a vote.
func (e *Event) idle() bool {
	if e.Vote.Kind == scoring.Matchup {
		return e.Vote.Outcome == scoring.Neither
	}
	return e.Vote.Kind != scoring.Slider && !e.Changed
}

// Decide asks the rules in order and returns the first that holds. It is false
// where none does: the vote waits for the next batch. For a vote that changes no
// score none holds, though it counts as activity for those after it.
func (r *Rules) Decide(e Event) (Decision, bool) {
	v := e.Vote
	if e.idle() {
		return Decision{}, false
	}
	if d, ok := r.Urgent(v, e.Changed); ok && !e.Capped {
		return d, true
	}
	if r.Milestone {
		for i := len(r.Milestones) - 1; i >= 0; i-- {
			if m := r.Milestones[i]; e.VotesBefore < m && m <= e.VotesAfter {
				d := Decision{Reason: Milestone, Priority: Medium, Milestone: m}
				if m >= r.MilestoneHighFrom {
					d.Priority = High
				}
				return d, true
			}
		}
	}
	if r.HighActivity && v.Kind != scoring.Unfire && e.ReceivedAt.Sub(v.CastAt) <= r.HighActivityIn &&
		e.Recent.within(v.CastAt.Add(-r.HighActivityIn), v.CastAt) >= r.HighActivityVotes {
		return Decision{Reason: HighActivity, Priority: Medium}, true
	}
	return Decision{}, false
}
