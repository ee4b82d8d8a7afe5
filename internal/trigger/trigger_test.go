package trigger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/scoring"
	"poa/internal/trigger"
)

var (
	noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	day  = 24 * time.Hour
)

// event is a regular matchup that brings an NFT from before to after votes.
func event(before, after int64) trigger.Event {
	return trigger.Event{
		Vote:        scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinA, CastAt: noon},
		VotesBefore: before, VotesAfter: after, ReceivedAt: noon,
	}
}

// of is an event of a vote of another kind, without any milestone.
func of(kind scoring.Kind, changed bool) trigger.Event {
	e := event(1, 1)
	e.Vote.Kind, e.Vote.Outcome, e.Changed = kind, scoring.NoOutcome, changed
	return e
}

func super(e trigger.Event) trigger.Event {
	e.Vote.Super = true
	return e
}

// busy adds votes cast so long before the event's, and the event's own.
func busy(e trigger.Event, ago ...time.Duration) trigger.Event {
	for _, d := range ago {
		e.Recent.Add(noon.Add(-d))
	}
	if e.Vote.Kind != scoring.Unfire {
		e.Recent.Add(e.Vote.CastAt)
	}
	return e
}

func TestDecide(t *testing.T) {
	neither := func(e trigger.Event) trigger.Event {
		e.Vote.Outcome = scoring.Neither
		return e
	}
	received := func(e trigger.Event, later time.Duration) trigger.Event {
		e.ReceivedAt = e.Vote.CastAt.Add(later)
		return e
	}
	four := []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute}
	superHigh := trigger.Decision{Reason: trigger.Super, Priority: trigger.High}
	fireHigh := trigger.Decision{Reason: trigger.Fire, Priority: trigger.High}
	active := trigger.Decision{Reason: trigger.HighActivity, Priority: trigger.Medium}
	milestone := func(m int64, p trigger.Priority) trigger.Decision {
		return trigger.Decision{Reason: trigger.Milestone, Priority: p, Milestone: m}
	}
	none := trigger.Decision{}

	for _, c := range []struct {
		name  string
		event trigger.Event
		want  trigger.Decision
	}{
		{"an ordinary vote", event(5, 6), none},
		{"the first vote", event(0, 1), none},

		{"super", super(event(10, 15)), superHigh},
		{"super before milestone", super(event(7, 12)), superHigh},
		{"super before high activity", busy(super(event(11, 16)), four...), superHigh},
		{"super without a choice", super(neither(event(11, 11))), none},

		{"FIRE", of(scoring.Fire, true), fireHigh},
		{"FIRE withdrawn", of(scoring.Unfire, true), fireHigh},
		{"FIRE that stood already", of(scoring.Fire, false), none},
		{"withdrawal of none", of(scoring.Unfire, false), none},
		{"FIRE before high activity", busy(of(scoring.Fire, true), four...), fireHigh},
		{"a slider rating is no FIRE", of(scoring.Slider, true), none},

		{"5th vote", event(4, 5), milestone(5, trigger.Medium)},
		{"10th", event(9, 10), milestone(10, trigger.Medium)},
		{"25th", event(24, 25), milestone(25, trigger.High)},
		{"50th", event(49, 50), milestone(50, trigger.High)},
		{"100th", event(99, 100), milestone(100, trigger.High)},
		{"101st", event(100, 101), none},
		{"4th", event(3, 4), none},
		{"crossed, not met", event(3, 8), milestone(5, trigger.Medium)},
		{"two crossed at once", event(4, 10), milestone(10, trigger.Medium)},
		{"all crossed at once", event(0, 1000), milestone(100, trigger.High)},
		{"no vote counted", neither(event(5, 5)), none},
		{"milestone before high activity", busy(event(4, 5), four...), milestone(5, trigger.Medium)},

		{"high activity", busy(event(11, 12), four...), active},
		{"only four", busy(event(11, 12), four[:3]...), none},
		{"of slider ratings", busy(of(scoring.Slider, true), four...), active},
		{"not of FIRE that stood", busy(of(scoring.Fire, false), four...), none},
		{"not of a vote without a choice", busy(neither(event(11, 11)), four...), none},
		{"nor of a super one", busy(super(neither(event(11, 11))), four...), none},
		{"never by a withdrawal", busy(of(scoring.Unfire, false), time.Minute, 2*time.Minute, 3*time.Minute, 4*time.Minute, 5*time.Minute), none},
		{"the fifth just inside 24 hours", busy(event(11, 12), time.Hour, 2*time.Hour, 3*time.Hour, day-time.Microsecond), active},
		{"the fifth exactly 24 hours ago", busy(event(11, 12), time.Hour, 2*time.Hour, 3*time.Hour, day), none},
		{"all at one time", busy(event(11, 12), 0, 0, 0, 0), active},
		{"votes cast later do not count", busy(event(11, 12), -time.Hour, -2*time.Hour, time.Hour, 2*time.Hour), none},
		{"arrived after exactly 24 hours", received(busy(event(11, 12), four...), day), active},
		{"arrived after more than 24 hours", received(busy(event(11, 12), four...), day+time.Microsecond), none},
		{"arrived before it was cast", received(busy(event(11, 12), four...), -time.Minute), active},
		{"late, but a milestone", received(event(4, 5), 30*day), milestone(5, trigger.Medium)},
		{"late, but super", received(super(event(11, 16)), 30*day), superHigh},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := trigger.Defaults()
			got, ok := rules.Decide(c.event)
			if diff := cmp.Diff(c.want, got); diff != "" || ok != (c.want != none) {
				t.Errorf("decided %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestSwitches(t *testing.T) {
	// Votes for which several rules hold: switching one off lets the next speak.
	superVote := busy(super(event(4, 9)), time.Minute, 2*time.Minute, 3*time.Minute, 4*time.Minute)
	fireVote := busy(of(scoring.Fire, true), time.Minute, 2*time.Minute, 3*time.Minute, 4*time.Minute)
	for _, c := range []struct {
		name  string
		event trigger.Event
		off   func(*trigger.Rules)
		want  trigger.Reason
	}{
		{"all on", superVote, func(r *trigger.Rules) {}, trigger.Super},
		{"super off", superVote, func(r *trigger.Rules) { r.Super = false }, trigger.Milestone},
		{"super and milestones off", superVote, func(r *trigger.Rules) { r.Super, r.Milestone = false, false }, trigger.HighActivity},
		{"no milestones", superVote, func(r *trigger.Rules) { r.Super, r.Milestones = false, nil }, trigger.HighActivity},
		{"only FIRE on", superVote, func(r *trigger.Rules) { r.Super, r.Milestone, r.HighActivity = false, false, false }, ""},
		{"FIRE off", fireVote, func(r *trigger.Rules) { r.Fire = false }, trigger.HighActivity},
		{"FIRE and high activity off", fireVote, func(r *trigger.Rules) { r.Fire, r.HighActivity = false, false }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := trigger.Defaults()
			c.off(&rules)
			if got, ok := rules.Decide(c.event); got.Reason != c.want || ok != (c.want != "") {
				t.Errorf("got %q (%v), want %q", got.Reason, ok, c.want)
			}
		})
	}
}

func TestOwnSettings(t *testing.T) {
	rules := trigger.Defaults()
	rules.Milestones, rules.MilestoneHighFrom = []int64{3, 7}, 7
	rules.HighActivityVotes, rules.HighActivityIn = 2, time.Hour
	for _, c := range []struct {
		name  string
		event trigger.Event
		want  trigger.Decision
	}{
		{"below the high ones", event(2, 3), trigger.Decision{Reason: trigger.Milestone, Priority: trigger.Medium, Milestone: 3}},
		{"from the high ones", event(6, 7), trigger.Decision{Reason: trigger.Milestone, Priority: trigger.High, Milestone: 7}},
		{"a default milestone", event(9, 10), trigger.Decision{}},
		{"two in an hour", busy(event(9, 10), time.Hour-time.Microsecond), trigger.Decision{Reason: trigger.HighActivity, Priority: trigger.Medium}},
		{"one in an hour", busy(event(9, 10), time.Hour), trigger.Decision{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := rules.Decide(c.event)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*trigger.Rules)
		want   string
	}{
		{"defaults", func(r *trigger.Rules) {}, ""},
		{"no milestones", func(r *trigger.Rules) { r.Milestones = nil }, ""},
		{"a milestone of 0", func(r *trigger.Rules) { r.Milestones = []int64{0, 5} }, "milestones: must be positive, 0 is not"},
		{"a negative milestone", func(r *trigger.Rules) { r.Milestones = []int64{5, -5} }, "milestones: must be positive, -5 is not"},
		{"descending", func(r *trigger.Rules) { r.Milestones = []int64{10, 5} }, "milestones: must ascend, 5 follows 10"},
		{"twice the same", func(r *trigger.Rules) { r.Milestones = []int64{5, 5} }, "milestones: must ascend, 5 follows 5"},
		{"high from", func(r *trigger.Rules) { r.MilestoneHighFrom = -1 }, "milestone_high_from: must not be negative, is -1"},
		{"too few votes", func(r *trigger.Rules) { r.HighActivityVotes = 1 }, "high_activity_votes: must be from 2 to 5 (a rating keeps that many latest times), is 1"},
		{"too many votes", func(r *trigger.Rules) { r.HighActivityVotes = 6 }, "high_activity_votes: must be from 2 to 5 (a rating keeps that many latest times), is 6"},
		{"no window", func(r *trigger.Rules) { r.HighActivityIn = 0 }, "high_activity_in: must be a positive duration, is 0s"},
		{"a negative window", func(r *trigger.Rules) { r.HighActivityIn = -time.Hour }, "high_activity_in: must be a positive duration, is -1h0m0s"},
		{"no cap", func(r *trigger.Rules) { r.VoterCapPerHour = 0 }, ""},
		{"a negative cap", func(r *trigger.Rules) { r.VoterCapPerHour = -1 }, "voter_cap_per_hour: must not be negative (0 is no cap), is -1"},
		{"two at once", func(r *trigger.Rules) { r.MilestoneHighFrom, r.HighActivityIn = -1, 0 },
			"milestone_high_from: must not be negative, is -1\nhigh_activity_in: must be a positive duration, is 0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := trigger.Defaults()
			c.change(&rules)
			got := ""
			if err := rules.Validate(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestCapped(t *testing.T) {
	for _, c := range []struct {
		name  string
		event trigger.Event
		want  trigger.Reason
	}{
		{"super", super(event(20, 24)), ""},
		{"super over a milestone", super(event(20, 25)), trigger.Milestone},
		{"FIRE", of(scoring.Fire, true), ""},
		{"the fifth vote of the day", busy(of(scoring.Fire, true), time.Minute, 2*time.Minute, 3*time.Minute, 4*time.Minute), trigger.HighActivity},
		{"unfire", of(scoring.Unfire, true), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := trigger.Defaults()
			c.event.Capped = true
			if got, ok := rules.Decide(c.event); got.Reason != c.want || ok != (c.want != "") {
				t.Errorf("got %q (%v), want %q", got.Reason, ok, c.want)
			}
		})
	}
}

func TestAllow(t *testing.T) {
	rules := trigger.Defaults()
	rules.VoterCapPerHour = 2
	used := trigger.Allowance{Since: noon, Used: 2}
	one := trigger.Allowance{Since: noon, Used: 1}
	for _, c := range []struct {
		name    string
		cap     int64
		before  trigger.Allowance
		at      time.Duration // after noon
		allowed bool
		after   trigger.Allowance
	}{
		{"the first ever", 2, trigger.Allowance{}, 0, true, one},
		{"the second", 2, one, 59 * time.Minute, true, used},
		{"over", 2, used, time.Hour - time.Microsecond, false, used},
		{"the hour is over", 2, used, time.Hour, true, trigger.Allowance{Since: noon.Add(time.Hour), Used: 1}},
		{"another process's clock is ahead", 2, used, -time.Minute, false, used},
		{"and was far ahead", 2, used, -time.Hour, true, trigger.Allowance{Since: noon.Add(-time.Hour), Used: 1}},
		{"the cap was lowered", 1, used, time.Minute, false, used},
		{"and raised", 3, used, time.Minute, true, trigger.Allowance{Since: noon, Used: 3}},
		{"no cap", 0, used, time.Minute, true, used},
		{"no cap, never used", 0, trigger.Allowance{}, 0, true, trigger.Allowance{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules.VoterCapPerHour = c.cap
			a := c.before
			if got := rules.Allow(&a, noon.Add(c.at)); got != c.allowed || a != c.after {
				t.Errorf("allowed %v, then %+v; want %v and %+v", got, a, c.allowed, c.after)
			}
		})
	}
}

func TestPriorityNames(t *testing.T) {
	var names []string
	for _, p := range []trigger.Priority{0, trigger.Medium, trigger.High} {
		names = append(names, p.String())
	}
	if got := strings.Join(names, " "); got != "none medium high" {
		t.Errorf("the priorities are called %q", got)
	}
}
