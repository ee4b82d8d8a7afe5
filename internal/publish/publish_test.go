package publish

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rated returns a rating with one matchup whose mean gives the wanted Elo
// component: without opinions POA is 0.4·elo + 15.
func rated(elo, sigma float64) *store.Rating {
	r := &store.Rating{NFT: 7, ID: "n7", Collection: 3, LastVote: 11}
	r.Mean, r.Sigma, r.Votes, r.Matchups, r.MatchupWeight = 800+12*elo, sigma, 1, 1, scoring.ToSum(1)
	return r
}

func TestHistoryIsRecordedWhenTheScoreMoved(t *testing.T) {
	for _, c := range []struct {
		name       string
		elo, sigma float64 // after a first score of Elo 50, sigma 300: POA 35, confidence 25
		recorded   bool
	}{
		{"unchanged", 50, 300, false},
		{"POA by 0.49", 51.225, 300, false},
		{"POA by 0.5", 51.25, 300, true},
		{"POA down by 0.5", 48.75, 300, true},
		{"confidence within its tier", 50, 281, false},
		{"confidence into the next tier", 50, 280, true},
		{"confidence into the tier below", 50, 321, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Default(1)
			var first, second Sheet
			r := rated(50, 300)
			if s := p.Score(&first, r, Cause{Reason: "super", Basis: store.Incremental}, now); s == nil || s.POA != 35 || len(first.History) != 1 {
				t.Fatalf("first score %+v, history %v", s, first.History)
			}
			next := rated(c.elo, c.sigma)
			next.Score = r.Score
			s := p.Score(&second, next, Cause{Reason: store.ReasonBatch, Basis: store.Exact}, now)
			if (len(second.History) == 1) != c.recorded {
				t.Errorf("history %+v after POA %v, confidence %v", second.History, s.POA, s.Confidence)
			}
			if c.recorded && (s.HistoryPOA != s.POA || s.HistoryConfidence != s.Confidence) || !c.recorded && s.HistoryPOA != 35 {
				t.Errorf("the score remembers %v and %v", s.HistoryPOA, s.HistoryConfidence)
			}
		})
	}
}

// TestSlowDriftIsRecorded moves a score by less than 0.5 at a time.
func TestSlowDriftIsRecorded(t *testing.T) {
	p, r, points := Default(1), rated(50, 300), 0
	for range 20 { // 20 steps of 0.1
		var s Sheet
		p.Score(&s, r, Cause{Reason: "batch"}, now)
		points += len(s.History)
		r.Mean += 3
	}
	if points != 4 { // the first, and after 0.5, 1.0 and 1.5
		t.Errorf("%d points", points)
	}
}

func TestWithdrawal(t *testing.T) {
	p, r := Default(1), rated(50, 300)
	p.Score(new(Sheet), r, Cause{Reason: "fire"}, now)
	r.Matchups, r.Due = 0, store.Due{Since: now, Reason: "fire", Priority: trigger.High}
	var s Sheet
	if got := p.Score(&s, r, Cause{Reason: "fire"}, now); got != nil || r.Score != nil || !r.Due.Since.IsZero() {
		t.Errorf("published %+v, rating %+v", got, r)
	}
	if len(s.Withdrawn) != 1 || len(s.Scores) != 0 || s.Activity[0].Kind != store.Withdrawn || *s.Activity[0].POABefore != 35 || s.Activity[0].POA != nil {
		t.Errorf("%+v", s.Changes)
	}
	want := []store.Delta{{Name: "computed.fire", By: 1}, {Name: "confidence_sum", Collection: 3, By: -2500}, {Name: "poa_bin.07", Collection: 3, By: -1},
		{Name: "poa_sum", Collection: 3, By: -3500}, {Name: "scored", Collection: 3, By: -1}}
	if diff := cmp.Diff(want, s.Finish().Counters); diff != "" {
		t.Error(diff)
	}
	var again Sheet
	p.Score(&again, r, Cause{Reason: "fire"}, now)
	if c := again.Finish(); len(c.Activity)+len(c.Counters)+len(c.Withdrawn) != 0 {
		t.Errorf("nothing to publish made %+v", c)
	}
}

func TestDeferKeepsTheOldestAndMostUrgent(t *testing.T) {
	r := rated(50, 300)
	var s Sheet
	s.Defer(r, trigger.Decision{Reason: trigger.Milestone, Priority: trigger.Medium}, "paused", now)
	s.Defer(r, trigger.Decision{Reason: trigger.Super, Priority: trigger.High}, "paused", now.Add(time.Hour))
	s.Defer(r, trigger.Decision{Reason: trigger.HighActivity, Priority: trigger.Medium}, "paused", now.Add(2*time.Hour))
	if want := (store.Due{Since: now, Reason: "super", Priority: trigger.High}); r.Due != want {
		t.Errorf("due %+v, want %+v", r.Due, want)
	}
	if len(s.Activity) != 3 || s.Activity[0].Kind != store.Deferred || s.Activity[0].Detail != "paused" {
		t.Errorf("activity %+v", s.Activity)
	}
}

func TestWaiting(t *testing.T) {
	p, r := Default(1), rated(50, 300)
	var s Sheet
	p.Wait(&s, r, now)
	p.Wait(&s, r, now.Add(time.Hour))
	if !r.WaitingSince.Equal(now) {
		t.Errorf("waiting since %v", r.WaitingSince)
	}
	r.Matchups = 0 // its only opinion was withdrawn
	p.Wait(&s, r, now)
	if !r.WaitingSince.IsZero() || len(s.Finish().Counters) != 0 {
		t.Errorf("waiting %v, counters %v", r.WaitingSince, s.Counters)
	}
	r = rated(50, 300)
	p.Score(&s, r, Cause{Reason: "super"}, now)
	var later Sheet
	r.Votes = 4
	p.Wait(&later, r, now)
	if len(later.Scores) != 0 {
		t.Error("four votes are enough to age")
	}
	r.Votes = 5
	p.Wait(&later, r, now)
	p.Wait(&later, r, now)
	if len(later.Scores) != 1 || !later.Scores[0].Aging || later.Scores[0].POA != 35 {
		t.Errorf("%+v", later.Scores)
	}
}
