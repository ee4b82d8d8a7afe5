package trigger_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"poa/internal/scoring"
	"poa/internal/trigger"
)

// history is all that happened to one NFT, kept in full where the rating keeps
// a digest.
type history struct {
	cast   []time.Time // of every vote but unfire, in order of arrival
	votes  int64
	fire   bool
	recent trigger.Recent
}

// add takes a vote as a fold does and returns the event it makes.
func (h *history) add(v scoring.Vote, received time.Time) trigger.Event {
	e := trigger.Event{Vote: v, VotesBefore: h.votes, ReceivedAt: received}
	switch {
	case v.Kind == scoring.Slider, v.Kind == scoring.Matchup && v.Outcome != scoring.Neither && !v.Super:
		h.votes++
	case v.Kind == scoring.Matchup && v.Outcome != scoring.Neither:
		h.votes += 5
	case v.Kind == scoring.Fire, v.Kind == scoring.Unfire:
		e.Changed = h.fire != (v.Kind == scoring.Fire)
		h.fire = v.Kind == scoring.Fire
	}
	if v.Kind != scoring.Unfire {
		h.cast = append(h.cast, v.CastAt)
		h.recent.Add(v.CastAt)
	}
	e.VotesAfter, e.Recent = h.votes, h.recent
	return e
}

// window counts the votes cast in the 24 hours up to t.
func (h *history) window(t time.Time) int {
	n := 0
	for _, c := range h.cast {
		if c.After(t.Add(-day)) && !c.After(t) {
			n++
		}
	}
	return n
}

// check compares a decision on the history's latest event with the rules in
// words.
func (h *history) check(t interface{ Fatalf(string, ...any) }, e trigger.Event) {
	rules := trigger.Defaults()
	got, ok := rules.Decide(e)
	v := e.Vote
	crossed := int64(0)
	for _, m := range rules.Milestones {
		if e.VotesBefore < m && e.VotesAfter >= m {
			crossed = m
		}
	}
	idle := v.Outcome == scoring.Neither || !e.Changed && (v.Kind == scoring.Fire || v.Kind == scoring.Unfire)
	var want trigger.Decision
	switch {
	case idle:
	case v.Super && v.Outcome != scoring.Neither:
		want = trigger.Decision{Reason: trigger.Super, Priority: trigger.High}
	case e.Changed && v.Kind != scoring.Slider:
		want = trigger.Decision{Reason: trigger.Fire, Priority: trigger.High}
	case crossed >= 25:
		want = trigger.Decision{Reason: trigger.Milestone, Priority: trigger.High, Milestone: crossed}
	case crossed > 0:
		want = trigger.Decision{Reason: trigger.Milestone, Priority: trigger.Medium, Milestone: crossed}
	default:
		may := !e.ReceivedAt.After(v.CastAt.Add(day)) && h.window(v.CastAt) >= 5
		// The digest holds only the five latest times: of votes cast before
		// others that have arrived, some may be missed, never invented.
		latest := len(h.cast) > 0 && !slices.ContainsFunc(h.cast, v.CastAt.Before)
		if may && (latest || ok) {
			want = trigger.Decision{Reason: trigger.HighActivity, Priority: trigger.Medium}
		}
	}
	if got != want || ok != (want != trigger.Decision{}) {
		t.Fatalf("after %d votes %+v caused %+v (%v), want %+v", h.votes, e, got, ok, want)
	}
}

func TestRecentIsTheLatestFive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOf(rapid.Int64Range(1, 30)).Draw(t, "times")
		var recent trigger.Recent
		for i, us := range times {
			recent.Add(time.UnixMicro(us))
			var want trigger.Recent
			copy(want[:], slices.SortedFunc(slices.Values(times[:i+1]), func(a, b int64) int { return int(b - a) }))
			if recent != want {
				t.Fatalf("after %v: %v, want %v", times[:i+1], recent, want)
			}
		}
	})
}

func TestDecideAgreesWithTheWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{}
		now := noon
		for range rapid.IntRange(1, 60).Draw(t, "votes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "minutes")) * time.Minute)
			v := scoring.Vote{Kind: scoring.Kind(rapid.IntRange(1, 4).Draw(t, "kind"))}
			if v.Kind == scoring.Matchup {
				v.Outcome = scoring.Outcome(rapid.IntRange(1, 4).Draw(t, "outcome"))
				v.Super = rapid.IntRange(0, 9).Draw(t, "super") == 0
			}
			v.CastAt = now.Add(-time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 700, 1440, 1441}).Draw(t, "late")) * time.Minute)
			h.check(t, h.add(v, now))
		}
	})
}

// No step of at most 5 crosses two of the default milestones, so each that is
// reached is reported, once and in order.
func TestEachMilestoneIsCrossedOnce(t *testing.T) {
	rules := trigger.Defaults()
	rapid.Check(t, func(t *rapid.T) {
		var votes int64
		var crossed []int64
		for _, n := range rapid.SliceOfN(rapid.SampledFrom([]int64{0, 1, 5}), 0, 150).Draw(t, "steps") {
			if d, ok := rules.Decide(event(votes, votes+n)); ok {
				crossed = append(crossed, d.Milestone)
			}
			votes += n
		}
		var want []int64
		for _, m := range rules.Milestones {
			if votes >= m {
				want = append(want, m)
			}
		}
		if !slices.Equal(crossed, want) {
			t.Fatalf("%d votes crossed %v, want %v", votes, crossed, want)
		}
	})
}

func FuzzDecide(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 2, 2, 3, 3})
	f.Add([]byte("\x00\x10\x00\x10\x00\x10\x00\x10\x00\x10\x00\x10\x00\x10"))
	f.Add([]byte("\x04\xff\x05\x80\x06\x7f\x07\x01\x0c\x22"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h := &history{}
		now := noon
		for ; len(data) >= 2; data = data[2:] {
			v := scoring.Vote{Kind: scoring.Kind(1 + data[0]&3)}
			if v.Kind == scoring.Matchup {
				v.Outcome, v.Super = scoring.Outcome(1+data[0]>>2&3), data[0]>>4&7 == 7
			}
			now = now.Add(time.Duration(data[1]&15) * 37 * time.Minute)
			v.CastAt = now.Add(-time.Duration(data[1]>>4) * 3 * time.Hour)
			h.check(t, h.add(v, now))
		}
	})
}

// Whatever the times at which a voter's votes arrive, no hour holds more than
// twice the cap of those allowed, none holds more than the cap counted from the
// first that was, and somebody who stays below the cap is never held back.
func TestAllowanceKeepsTheCap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := trigger.Defaults()
		rules.VoterCapPerHour = rapid.Int64Range(1, 5).Draw(t, "cap")
		var a trigger.Allowance
		var arrived, allowed []time.Time
		now := noon
		for range rapid.IntRange(1, 80).Draw(t, "votes") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 5, 20, 59, 60, 61}).Draw(t, "minutes")) * time.Minute)
			ok := rules.Allow(&a, now)
			if inHour(arrived, now) < rules.VoterCapPerHour && !ok {
				t.Fatalf("held back at %v with %v before", now, arrived)
			}
			arrived = append(arrived, now)
			if !ok {
				continue
			}
			allowed = append(allowed, now)
			if n := inHour(allowed, now); n > 2*rules.VoterCapPerHour {
				t.Fatalf("%d allowed in the hour to %v, the cap is %d", n, now, rules.VoterCapPerHour)
			}
			if n := int64(len(allowed)) - countBefore(allowed, a.Since); n != a.Used || n > rules.VoterCapPerHour {
				t.Fatalf("%d allowed since %v, kept are %d, the cap is %d", n, a.Since, a.Used, rules.VoterCapPerHour)
			}
		}
	})
}

// inHour counts the times in the hour that ends with t.
func inHour(times []time.Time, t time.Time) int64 {
	return int64(len(times)) - countBefore(times, t.Add(-time.Hour+1))
}

// countBefore counts the ascending times before t.
func countBefore(times []time.Time, t time.Time) int64 {
	n, _ := slices.BinarySearchFunc(times, t, time.Time.Compare)
	return int64(n)
}
