package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"poa/internal/store/postgres/pgtest"
)

// soon is within how many seconds what is said in one process is in force in
// the others.
const soon = 15 * time.Second

type setting struct {
	Name  string
	Value any
}

// setting returns the value of a setting that is in force in a process.
func (a api) setting(p *process, name string) any {
	a.t.Helper()
	var list struct{ Items []setting }
	a.call(p, "GET", "/settings", nil, &list)
	for _, s := range list.Items {
		if s.Name == name {
			return s.Value
		}
	}
	return nil
}

// scheduled is the schedule of a process.
type scheduled struct {
	Size     int
	Paused   *struct{ Reason, Who string }
	Triggers *struct{ Reason, Who string } `json:"triggers_paused"`
}

func (a api) schedule(p *process) (s scheduled) {
	a.t.Helper()
	a.call(p, "GET", "/scheduler", nil, &s)
	return s
}

// TestProcessesFollowEachOther changes settings and pauses things in one
// process and looks at the others.
func TestProcessesFollowEachOther(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := api{t, web(t), makeKeys(t, database)}
	first, second := serve(t, database), serve(t, database)
	a.firstBatchEnds(first)
	a.register(first, 10)
	live := a.listen(t.Context(), func() string { return second.url })
	eventually(t, "the listener to be connected", func() bool { return live.saw(func(e event) bool { return e.Kind == "start" }) })
	told := func(what string, is func(event) bool) {
		t.Helper()
		within(t, soon, "the second process to tell of "+what, func() bool { return live.saw(is) })
	}

	a.call(first, "PATCH", "/settings", map[string]any{"values": map[string]any{"batch.size": 7, "batch.every": "168h", "trigger.super": false}, "why": "a test"}, nil)
	within(t, soon, "the second process to have the settings", func() bool {
		return a.setting(second, "batch.size") == 7.0 && a.setting(second, "trigger.super") == false && a.schedule(second).Size == 7
	})
	told("the settings", func(e event) bool { return e.Kind == "settings_changed" && e.Data.Who == "test operator" })
	super := func(key string) vote {
		return vote{Key: key, Voter: "v " + key, Kind: "matchup", Super: true, A: "n1", B: "n2", Outcome: "a"}
	}
	for _, reason := range triggeredBy(a.cast(second, super("no trigger"))) {
		if reason == "super" {
			t.Error("a super vote triggered after that was switched off")
		}
	}

	a.call(second, "POST", "/triggers/pause", map[string]any{"reason": "a quiet hour"}, nil)
	within(t, soon, "the first process to pause triggers", func() bool { s := a.schedule(first); return s.Triggers != nil && s.Triggers.Reason == "a quiet hour" })
	got := a.cast(first, vote{Key: "deferred", Voter: "w", Kind: "fire", A: "n5"})
	if len(got.Triggered) != 1 || got.Triggered[0].Reason != "fire" || got.Triggered[0].Deferred == "" {
		t.Errorf("a FIRE while triggers are paused: %+v", got)
	}
	var nft struct {
		Status string
		Due    *struct{ Reason, Priority string }
		Score  *struct{ Reason, Basis string }
	}
	a.call(second, "GET", "/nfts/n5", nil, &nft)
	if nft.Due == nil || nft.Due.Reason != "fire" || nft.Score != nil {
		t.Errorf("after it the NFT is %+v, want it due and without a score", nft)
	}
	told("the deferral", func(e event) bool { return e.Kind == "deferred" && e.Data.NFT == "n5" })

	// A pause ends by itself, in all processes.
	a.call(first, "POST", "/scheduler/pause", map[string]any{"reason": "for a moment", "until": time.Now().Add(4 * time.Second)}, nil)
	within(t, soon, "the second process to pause batches", func() bool { return a.schedule(second).Paused != nil })
	within(t, soon, "the pause to end by itself", func() bool { return a.schedule(first).Paused == nil && a.schedule(second).Paused == nil })

	// The next batch computes what is due.
	a.call(first, "PATCH", "/settings", map[string]any{"values": map[string]any{"batch.every": "2s", "batch.cap": "2s"}, "why": "not to wait for an hour"}, nil)
	told("the computation by a batch", func(e event) bool { return e.Kind == "computed" && e.Data.NFT == "n5" && e.Data.Reason == "batch" })
	nft.Due = nil
	a.call(first, "GET", "/nfts/n5", nil, &nft)
	if nft.Due != nil || nft.Score == nil || nft.Score.Reason != "batch" || nft.Score.Basis != "exact" {
		t.Errorf("after the batch the NFT is %+v", nft)
	}
	a.call(second, "POST", "/triggers/resume", map[string]any{"why": "it was quiet enough"}, nil)
	within(t, soon, "the first process to resume triggers", func() bool { return a.schedule(first).Triggers == nil })
	if got := triggeredBy(a.cast(first, vote{Key: "at once", Voter: "x", Kind: "fire", A: "n7"})); len(got) != 1 {
		t.Errorf("a FIRE after triggers were resumed: %v", got)
	}
	told("the computation by a trigger", func(e event) bool { return e.Kind == "computed" && e.Data.NFT == "n7" && e.Data.Reason == "fire" })
	first.stop(t)
	second.stop(t)
	verified(t, database)
}

// triggeredBy are the reasons of the computations that a vote caused at once.
func triggeredBy(a answer) (reasons []string) {
	for _, t := range a.Triggered {
		if t.Deferred == "" {
			reasons = append(reasons, t.Reason)
		}
	}
	return reasons
}

// TestListenersCostNothing compares the statements that a process sends with
// one and with a hundred live listeners, each of which gets every event.
func TestListenersCostNothing(t *testing.T) {
	t.Parallel()
	for engine, database := range map[string]string{"SQLite": "sqlite:" + t.TempDir() + "/poa.db", "PostgreSQL": pgtest.New(t)} {
		t.Run(engine, func(t *testing.T) {
			a := api{t, web(t), makeKeys(t, database)}
			p := serve(t, database)
			a.register(p, 10)
			// Statements come by the clock: a rate says more than a number.
			rate := func(listeners []*listener, round string) float64 {
				const rounds = 20
				statements, began := a.metric(p, "poa_database_statements_total"), time.Now()
				for i := range rounds {
					nft := nftID(i % 10)
					number := a.cast(p, vote{Key: fmt.Sprint(round, i), Voter: fmt.Sprint(round, i), Kind: "fire", A: nft}).Number
					for _, l := range listeners {
						eventually(t, "every listener to see the vote's score", func() bool {
							return l.saw(func(e event) bool { return e.Kind == "computed" && e.Data.NFT == nft && e.Data.Vote == number })
						})
					}
				}
				took := time.Since(began)
				if took < 3*time.Second {
					time.Sleep(3*time.Second - took)
				}
				return (a.metric(p, "poa_database_statements_total") - statements) / time.Since(began).Seconds()
			}
			listeners := []*listener{a.listen(t.Context(), func() string { return p.url })}
			connected := func() bool {
				for _, l := range listeners {
					if !l.saw(func(e event) bool { return e.Kind == "start" }) {
						return false
					}
				}
				return true
			}
			eventually(t, "the listener", connected)
			one := rate(listeners, "one")
			for range 99 {
				listeners = append(listeners, a.listen(t.Context(), func() string { return p.url }))
			}
			eventually(t, "all listeners", connected)
			hundred := rate(listeners, "hundred")
			t.Logf("%.1f statements/s with one listener, %.1f with a hundred", one, hundred)
			if hundred > 1.5*one+5 {
				t.Errorf("a hundred listeners cost %.1f statements/s, one %.1f", hundred, one)
			}
			if n := a.metric(p, "poa_live_listeners"); n != 100 {
				t.Errorf("%v listeners are counted", n)
			}
			p.stop(t)
			if log := p.Log(); strings.Contains(log, "gap") {
				t.Errorf("listeners missed events:\n%s", log)
			}
		})
	}
}
