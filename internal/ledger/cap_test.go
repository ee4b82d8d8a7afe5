package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

// capped is a game in which each voter may have two votes computed an hour, and
// no others are.
func capped(t *testing.T, more ...option) *game {
	return newGame(t, append([]option{func(o *ledger.Options, _ *store.Store) {
		policy := *o.Policy
		policy.Rules.VoterCapPerHour, policy.Rules.HighActivity, policy.Rules.Milestone = 2, false, false
		o.Policy = &policy
	}}, more...)...)
}

// voter returns the row of a voter.
func (g *game) voter(id string) store.Voter {
	g.t.Helper()
	var found store.Voter
	err := g.store.View(context.Background(), func(v store.View) error {
		for row, err := range v.AllVoters(context.Background()) {
			if err != nil {
				return err
			}
			if row.ID == id {
				found = row
			}
		}
		return nil
	})
	if err != nil || found.Number == 0 {
		g.t.Fatalf("voter %s: %+v, %v", id, found, err)
	}
	return found
}

// activity returns the latest entry about an NFT.
func (g *game) activity(id string) store.Activity {
	g.t.Helper()
	var list []store.Activity
	err := g.store.View(context.Background(), func(v store.View) (err error) {
		list, err = v.Activity(context.Background(), g.rating(id).NFT, 1)
		return err
	})
	if err != nil || len(list) != 1 {
		g.t.Fatalf("activity of %s: %+v, %v", id, list, err)
	}
	return list[0]
}

// outcomes says of each answer what became of its triggers: computed, capped,
// deferred, or nothing.
func outcomes(answers []ledger.Answer) string {
	var list []string
	for _, a := range answers {
		what := "nothing"
		for _, t := range a.Triggered {
			switch {
			case t.Capped:
				what = "capped"
			case t.Deferred != "":
				what = "deferred"
			default:
				what = "computed " + string(t.Reason)
			}
		}
		list = append(list, what)
	}
	return strings.Join(list, ", ")
}

func TestVotesOverTheCapMarkDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := capped(t)
		at := time.Now().UTC()
		g.one(super("1", "v", "n0", "n1", scoring.WinA))
		g.one(opinion("2", "v", "n2", scoring.Fire, 0))
		if got, want := g.voter("v").Allowance, (trigger.Allowance{Since: at, Used: 2}); got != want {
			t.Errorf("used %+v, want %+v", got, want)
		}
		time.Sleep(time.Minute)
		a := g.one(opinion("3", "v", "n2", scoring.Unfire, 0))
		if len(a.Triggered) != 1 || !a.Triggered[0].Capped || a.Triggered[0].Reason != trigger.Fire || a.Triggered[0].Score != nil || a.Triggered[0].Deferred == "" {
			t.Errorf("answered %+v", a.Triggered)
		}
		a = g.one(super("4", "v", "n3", "n4", scoring.WinA))
		if len(a.Triggered) != 2 || !a.Triggered[0].Capped || !a.Triggered[1].Capped {
			t.Errorf("answered %+v", a.Triggered)
		}
		r, due := g.rating("n3"), store.Due{Since: time.Now().UTC(), Reason: "voter_cap", Priority: trigger.High}
		if r.Votes != 5 || r.Score != nil || r.Due != due || r.WaitingSince.IsZero() {
			t.Errorf("n3 has %d votes, due %+v, waits since %v", r.Votes, r.Due, r.WaitingSince)
		}
		if e := g.activity("n3"); e.Kind != store.Deferred || e.Reason != "voter_cap" || e.Priority != trigger.High || e.Detail != a.Triggered[0].Deferred {
			t.Errorf("logged %+v", e)
		}
		if got := g.voter("v").Allowance.Used; got != 2 {
			t.Errorf("votes over the cap count: %d used", got)
		}
		// Another voter computes them, and a new hour begins.
		if got := outcomes(g.submit(super("5", "w", "n3", "n4", scoring.WinA))); got != "computed super" {
			t.Error(got)
		}
		if r := g.rating("n3"); !r.Due.Since.IsZero() || r.Score == nil {
			t.Errorf("n3 is due %+v", r.Due)
		}
		time.Sleep(59 * time.Minute)
		if got := outcomes(g.submit(opinion("6", "v", "n2", scoring.Fire, 0))); got != "computed fire" {
			t.Error(got)
		}
		if got, want := g.voter("v").Allowance, (trigger.Allowance{Since: at.Add(time.Hour), Used: 1}); got != want {
			t.Errorf("used %+v, want %+v", got, want)
		}
		g.verify()
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
		g.store.Close()
	})
}

// What a vote does beside being super or FIRE still triggers, repeated keys
// and votes that no rule is for use nothing, and one vote of many in a commit
// computes for those that are over the cap.
func TestWhatTheCapIsFor(t *testing.T) {
	for _, c := range []struct {
		name  string
		votes []ledger.Vote
		want  string
		used  int64
	}{
		{"within a commit", []ledger.Vote{
			opinion("1", "v", "n1", scoring.Fire, 0), opinion("2", "v", "n2", scoring.Fire, 0), opinion("3", "v", "n3", scoring.Fire, 0),
		}, "computed fire, computed fire, capped", 2},
		{"repeated and idle votes", []ledger.Vote{
			opinion("1", "v", "n1", scoring.Fire, 0), opinion("1", "v", "n1", scoring.Fire, 0), opinion("2", "v", "n1", scoring.Fire, 0),
			super("3", "v", "n2", "n3", scoring.Neither), opinion("4", "v", "n4", scoring.Unfire, 0), opinion("5", "v", "n5", scoring.Slider, 3),
		}, "computed fire, nothing, nothing, nothing, nothing, nothing", 1},
		{"others over one's own", []ledger.Vote{
			opinion("1", "v", "n1", scoring.Fire, 0), opinion("2", "v", "n2", scoring.Fire, 0),
			opinion("3", "v", "n3", scoring.Fire, 0), opinion("4", "w", "n3", scoring.Fire, 0),
		}, "computed fire, computed fire, computed fire, computed fire", 2},
		{"a milestone", []ledger.Vote{
			opinion("1", "v", "n1", scoring.Fire, 0), opinion("2", "v", "n2", scoring.Fire, 0), super("3", "v", "n3", "n4", scoring.WinA),
		}, "computed fire, computed fire, computed milestone", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := capped(t)
			if strings.Contains(c.want, "milestone") {
				policy := *g.policy
				policy.Rules.VoterCapPerHour = 2
				g.SetPolicy(&policy)
			}
			if got := outcomes(g.submit(c.votes...)); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			if got := g.voter("v").Allowance.Used; got != c.used {
				t.Errorf("%d used, want %d", got, c.used)
			}
			g.verify()
		})
	}
}

func TestTrustedVotesHaveNoCap(t *testing.T) {
	g := capped(t)
	for i := range 5 {
		v := opinion(fmt.Sprint(i), "v", fmt.Sprintf("n%d", i), scoring.Fire, 0)
		v.Trusted = true
		if got := outcomes(g.submit(v)); got != "computed fire" {
			t.Error(got)
		}
	}
	if got := g.voter("v").Allowance; got != (trigger.Allowance{}) {
		t.Errorf("used %+v", got)
	}
}

func TestPausedTriggersUseNoAllowance(t *testing.T) {
	g := capped(t)
	policy := *g.policy
	policy.Rules.VoterCapPerHour, policy.TriggersPaused = 2, true
	g.SetPolicy(&policy)
	var votes []ledger.Vote
	for i := range 4 {
		votes = append(votes, opinion(fmt.Sprint(i), "v", fmt.Sprintf("n%d", i), scoring.Fire, 0))
	}
	if got := outcomes(g.submit(votes...)); got != "deferred, deferred, deferred, deferred" {
		t.Error(got)
	}
	if got := g.voter("v").Allowance; got != (trigger.Allowance{}) {
		t.Errorf("used %+v", got)
	}
}

// A commit that is rolled back gives back what it used, and one whose outcome
// is unknown uses it once.
func TestRepeatedCommitsUseTheAllowanceOnce(t *testing.T) {
	for name, fault := range map[step]error{stepApply: store.ErrContention, stepCommit: store.ErrOutcomeUnknown, stepAnswer: store.ErrOutcomeUnknown} {
		t.Run(fmt.Sprint(name), func(t *testing.T) {
			var left atomic.Int32
			g := capped(t, failing(name, fault, &left))
			g.one(matchup("warm", "v", "n1", "n2", scoring.WinA)) // the rows exist
			left.Store(1)
			if got := outcomes(g.submit(opinion("1", "v", "n1", scoring.Fire, 0), opinion("2", "v", "n2", scoring.Fire, 0))); got != "computed fire, computed fire" {
				t.Error(got)
			}
			if got := g.voter("v").Allowance.Used; got != 2 {
				t.Errorf("%d used, want 2", got)
			}
			if left.Load() > 0 {
				t.Error("the fault was never met")
			}
			g.verify()
		})
	}
}
