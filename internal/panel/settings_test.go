package panel

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"poa/internal/config"
	"poa/internal/scheduler"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
)

func TestSettingsAreShown(t *testing.T) {
	s := open(t)
	operator, viewer := s.sign(store.Operator, "alice"), s.sign(store.Viewer, "vera")
	page := operator.get("/settings", http.StatusOK)
	page.holds(t, `name="s.batch.every" value="1h"`, "length of a window", `name="s.trigger.milestones" value="5, 10, 25, 50, 100"`, `<option value="fixed" selected>`, "Review the changes")
	page.lacks(t, `name="s.scoring.folding.k"`, `name="s.log.level"`)
	viewer.get("/settings", http.StatusOK).lacks(t, "<input type=\"hidden\" name=\"s.", "Review the changes", "/settings/review")
	for _, v := range s.Settings.List() {
		page.holds(t, `data-setting="`+v.Name+`"`)
	}
}

// TestSettingShowsItsDefault sees that the default is told while it is the
// value, and the source of a value that equals it.
func TestSettingShowsItsDefault(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	line := func() string {
		page := alice.get("/settings", http.StatusOK).body
		_, page, _ = strings.Cut(page, `data-setting="batch.every"`)
		_, page, _ = strings.Cut(page, `class="origin">`)
		page, _, _ = strings.Cut(page, "</div>")
		return page
	}
	if got := line(); got != `<span class="muted">default 1h</span>` {
		t.Errorf("of the default it says %s", got)
	}
	for _, value := range []string{`"15m"`, `"1h"`} {
		must(t, s.Settings.Change(t.Context(), settings.Change{Values: map[string]json.RawMessage{"batch.every": json.RawMessage(value)}, Who: "test", Why: "trying"}))
	}
	if got := line(); !strings.Contains(got, "set here") || !strings.Contains(got, "default 1h") {
		t.Errorf("of a value that equals the default it says %s", got)
	}
}

// TestSettingSetElsewhere sees that a setting that a variable holds says so and
// has no field.
func TestSettingSetElsewhere(t *testing.T) {
	set, err := settings.Open(t.Context(), sqlitetest.New(t), settings.Options{
		Load: func(stored map[string]string) (*config.Config, error) {
			return config.Load(config.Options{Stored: stored, Env: []string{"POA_BATCH_SIZE=30"}})
		}, Who: "test",
	})
	must(t, err)
	p := &Panel{Options: Options{Settings: set}}
	list := set.List()
	var b strings.Builder
	must(t, settingLine(p.settingRow(list[settingAt(list, "batch.size")], "size", nil, nil), true).Render(t.Context(), &b))
	for _, want := range []string{"by environment", "POA_BATCH_SIZE", "It is set by environment POA_BATCH_SIZE, which wins; change it there.", ">30<"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it does not hold %q\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "<input") {
		t.Errorf("it has a field\n%s", b.String())
	}
}

// TestSettingLeftOutIsShown opens the settings of a process whose variables do
// not admit what is stored.
func TestSettingLeftOutIsShown(t *testing.T) {
	s := open(t)
	must(t, s.Settings.Change(t.Context(), settings.Change{Values: map[string]json.RawMessage{"batch.cap": json.RawMessage(`"30m"`)}, Who: "alice", Why: "long runs"}))
	alice := s.sign(store.Operator, "alice")
	alice.get("/settings", http.StatusOK).lacks(t, "left out", `role="alert"`)
	var err error
	s.Panel.Settings, err = settings.Open(t.Context(), s.Store.(store.Service), settings.Options{
		Load: func(stored map[string]string) (*config.Config, error) {
			return config.Load(config.Options{Stored: stored, Env: []string{"POA_BATCH_EVERY=10m"}})
		}, Who: "test",
	})
	must(t, err)
	alice.get("/settings", http.StatusOK).holds(t, "1 stored setting not in force in this process", "The stored value is left out: must not be above every (10m0s), is 30m0s.", `name="s.batch.cap" value="45s"`)
}

func TestSettingsAreChanged(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	review := alice.post("/settings/review", http.StatusOK, "s.batch.every", "15m", "s.batch.size", "20", "s.trigger.super", "false", "s.trigger.fire", "false", "s.trigger.fire", "true")
	review.holds(t, "2 changes", `name="s.batch.every" value="15m"`, `name="was.batch.every" value="1h"`, `name="s.trigger.super" value="false"`)
	review.lacks(t, "batch.size", "trigger.fire", "backfill")
	fields := []string{"s.batch.every", "15m", "was.batch.every", "1h", "s.trigger.super", "false", "was.trigger.super", "true"}
	alice.post("/settings", http.StatusUnprocessableEntity, fields...).holds(t, "Say why")
	if in := s.Settings.Current(); in.Batch.Every.Minutes() != 60 || !in.Policy.Rules.Super {
		t.Fatalf("in force before a reason was given: %+v", in.Batch)
	}
	alice.post("/settings", http.StatusSeeOther, append(fields, "why", "livelier <b>")...)
	alice.get("/settings", http.StatusOK).holds(t, "2 settings changed.", `name="s.batch.every" value="15m"`, "changed here")
	if in := s.Settings.Current(); in.Batch.Every.Minutes() != 15 || in.Policy.Rules.Super {
		t.Errorf("in force: %+v", in.Batch)
	}
	alice.get("/audit?of=batch.every", http.StatusOK).holds(t, ">1h</del>", ">15m</ins>", "livelier &lt;b&gt;", "alice")
	for _, of := range []string{"batch.size", "collections"} {
		alice.get("/audit?of="+of, http.StatusOK).holds(t, "Nothing here yet")
	}
	must(t, s.Panel.Operate.SwitchCollection(t.Context(), "art", false, "a copy", "alice"))
	alice.get("/audit?of=collections", http.StatusOK).holds(t, "Collection &#34;art&#34; switched off: a copy.")

	// Sent again nothing changes; what somebody else changed meanwhile is shown first.
	if to := alice.post("/settings", http.StatusSeeOther, append(fields, "why", "again")...).Header.Get("Location"); to != "/settings" {
		t.Errorf("to %q", to)
	}
	alice.post("/settings", http.StatusConflict, "s.batch.every", "30m", "was.batch.every", "1h", "why", "slower").holds(t, "changed one of these meanwhile", `name="was.batch.every" value="15m"`)
}

func TestSettingsThatAreRefused(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	for name, c := range map[string]struct {
		fields []string
		want   []string
	}{
		"no duration":     {[]string{"s.batch.every", "soon"}, []string{"Must be a duration", `value="soon"`, `aria-invalid="true"`}},
		"no number":       {[]string{"s.batch.niceness", "NaN"}, []string{"Must be a number"}},
		"empty":           {[]string{"s.batch.size", ""}, []string{"Has no value; the default is 20."}},
		"out of range":    {[]string{"s.batch.new_share", "2", "s.batch.size", "30"}, []string{`name="s.batch.new_share" value="2"`, `name="s.batch.size" value="30"`, `aria-invalid="true"`}},
		"not together":    {[]string{"s.scoring.publishing.elo_weight", "0.9"}, []string{"sum to 1"}},
		"two of them":     {[]string{"s.batch.size", "x", "s.batch.cap", "x"}, []string{"Must be a whole number", "Must be a duration"}},
		"all at once":     {[]string{"s.batch.size", "-5", "s.batch.every", "soon", "s.scoring.publishing.elo_weight", "0.9"}, []string{"Must be a duration", "is -5", "sum to 1"}},
		"folding":         {[]string{"s.scoring.folding.k", "40"}, []string{"Folding constants are fixed when a database is created"}},
		"of the process":  {[]string{"s.log.level", "debug"}, []string{"restart it."}},
		"unknown setting": {[]string{"s.batch.sise", "3"}, []string{"load the page again"}},
	} {
		t.Run(name, func(t *testing.T) {
			alice.post("/settings/review", http.StatusUnprocessableEntity, c.fields...)
			page := alice.post("/settings", http.StatusUnprocessableEntity, append(c.fields, "why", "x")...)
			for _, want := range c.want {
				if !strings.Contains(page.body, want) && !strings.Contains(page.body, sentence(want)) {
					t.Errorf("the page does not hold %q", want)
				}
			}
		})
	}
	if changes, err := s.Store.ListSettingChanges(t.Context(), store.SettingQuery{Limit: 1}); err != nil || len(changes) > 0 {
		t.Errorf("refused changes were stored: %v, %v", changes, err)
	}
	if to := alice.post("/settings/review", http.StatusSeeOther, "s.batch.size", " 20 ").Header.Get("Location"); to != "/settings" {
		t.Errorf("nothing to review leads to %q", to)
	}
}

func TestSettingsAreCheckedWhileWritten(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	for want, fields := range map[string][]string{
		`{"problems":{},"changed":[],"publishing":false}`:                                                                {"s.batch.every", "60m", "s.trigger.milestones", "[5,10,25,50,100]"},
		`{"problems":{},"changed":["batch.every"],"publishing":false}`:                                                   {"s.batch.every", "2h"},
		`{"problems":{},"changed":["scoring.publishing.sigma_scale"],"publishing":true}`:                                 {"s.scoring.publishing.sigma_scale", "500"},
		`{"problems":{"batch.size":"Must be a whole number, is 2.5."},"changed":[],"publishing":false}`:                  {"s.batch.size", "2.5"},
		`{"problems":{"batch.mode":"Must be fixed or adaptive, is \"x\"."},"changed":["batch.mode"],"publishing":false}`: {"s.batch.mode", "x"},
	} {
		if got := alice.post("/settings/check", http.StatusOK, fields...); strings.TrimSpace(got.body) != want {
			t.Errorf("%v: %s, want %s", fields, got.body, want)
		}
	}
	if s.Settings.Current().Batch.Every.Hours() != 1 {
		t.Error("a check changed a setting")
	}
}

// TestPublishingConstants sees that a new scoring version is announced, and a
// backfill started where it is wanted.
func TestPublishingConstants(t *testing.T) {
	s := open(t)
	s.cast(super())
	alice := s.sign(store.Operator, "alice")
	field := []string{"s.scoring.publishing.sigma_scale", "500"}
	alice.post("/settings/review", http.StatusOK, field...).holds(t, "new scoring version", "Then compute all NFTs with votes (2)")
	version := s.Settings.Current().Policy.Version
	alice.post("/settings", http.StatusSeeOther, append(field, "was.scoring.publishing.sigma_scale", "400", "why", "wider", "backfill", "yes")...)
	alice.get("/settings", http.StatusOK).holds(t, fmt.Sprintf("scoring version %d", version+1), "The backfill has begun.")
	s.work()
	runs, err := s.Store.Runs(t.Context(), store.BackfillRun, 0, 2)
	must(t, err)
	if len(runs) != 1 || runs[0].RequestedBy != "alice" || runs[0].State != store.RunDone || runs[0].Done != 2 {
		t.Errorf("backfills: %+v", runs)
	}
	alice.get("/audit", http.StatusOK).holds(t, "Started a backfill.", "scoring.publishing.sigma_scale")
}

func TestAuditLog(t *testing.T) {
	s := open(t)
	alice, vera := s.sign(store.Operator, "alice"), s.sign(store.Viewer, "vera")
	vera.get("/audit", http.StatusOK).holds(t, "Invited alice as an operator.")
	must(t, s.Settings.Pause(t.Context(), settings.Triggers, settings.Pause{Reason: "a bot", Who: "alice"}))
	must(t, s.Settings.Resume(t.Context(), settings.Triggers, "bob", "it is gone"))
	page := vera.get("/audit?of=pause.triggers", http.StatusOK)
	page.holds(t, ">running</del>", ">paused</ins>", "a bot", "bob", "it is gone")
	page.lacks(t, "Invited")
	all := vera.get("/audit", http.StatusOK)
	if n := strings.Count(all.body, "a bot"); n != 1 {
		t.Errorf("a pause is told %d times", n)
	}
	alice.get("/audit?of=nothing", http.StatusUnprocessableEntity)
	alice.get("/audit?before=1", http.StatusUnprocessableEntity)
	alice.get("/audit?of=access&before=x", http.StatusUnprocessableEntity)
}

// TestAuditOfWhatIsDoneByHand: computations, retries and discards of single NFTs
// are told once each, with the NFT and the person; what votes and runs compute is
// not, and what other sources tell is not told again.
func TestAuditOfWhatIsDoneByHand(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	s.cast(super()) // computes c/1 and c/2
	_, err := s.Runs.RunNow(t.Context(), scheduler.Manual{Size: 5, Who: "alice", Name: "a run"})
	must(t, err)
	s.work()
	must(t, s.Settings.Pause(t.Context(), settings.Batches, settings.Pause{Reason: "a bot", Who: "alice"}))
	must(t, s.Operate.SwitchCollection(t.Context(), "art", false, "a copy", "alice"))
	alice.get("/audit?of=nfts", http.StatusOK).holds(t, "Nothing here yet")
	others := strings.Count(alice.get("/audit", http.StatusOK).body, "<tr>")

	s.fails("c/2", "no number")
	alice.post("/scheduler/failures/retry", http.StatusSeeOther, "nft", "c/2")
	alice.post("/scheduler/failures/discard", http.StatusSeeOther, "nft", "c/2")
	alice.post("/nfts/compute", http.StatusSeeOther, "nft", "c/1")
	_, err = s.Operate.Compute(t.Context(), "c/2", "key game")
	must(t, err)
	for _, c := range []struct {
		path    string
		entries int
	}{{"/audit?of=nfts", 4}, {"/audit", others - 1 + 4}} {
		page := alice.get(c.path, http.StatusOK)
		if n := strings.Count(page.body, "<tr>") - 1; n != c.entries {
			t.Errorf("%s has %d entries, not %d", c.path, n, c.entries)
		}
		page.holds(t, `href="/nfts/c%2F1"`, `href="/nfts/c%2F2"`, ">alice</td>", ">key game</td>")
		for text, times := range map[string]int{"Computed: POA": 2, "is to be tried again.": 1, "Taken off the failed list": 1} {
			if n := strings.Count(page.body, text); n != times {
				t.Errorf("%s tells %q %d times, not %d", c.path, text, n, times)
			}
		}
	}
}

// TestAuditOfRunsAndRegistrations: who cancelled a batch of the schedule and who
// registered NFTs is told, with what it was.
func TestAuditOfRunsAndRegistrations(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	now := time.Now().UTC().Truncate(time.Microsecond)
	run, _, err := s.Panel.Store.StartRun(t.Context(), store.Run{
		Kind: store.BatchRun, Window: "now", State: store.RunRunning, RequestedBy: "schedule", Plan: "{}", CreatedAt: now, LeaseUntil: now,
	}, store.Activity{At: now, Kind: store.RunStarted})
	must(t, err)
	alice.post(runPath(run.Number)+"/cancel", http.StatusSeeOther)
	_, _, err = s.Operate.Register(t.Context(), []store.NFT{{ID: "c/1"}, {ID: "new/1"}, {ID: "new/2"}}, "key game")
	must(t, err)
	all := alice.get("/audit", http.StatusOK)
	for of, want := range map[string][]string{
		"cancelled":  {">alice</td>", fmt.Sprintf(`<a href="%s">Cancelled run %d (batch).</a>`, runPath(run.Number), run.Number)},
		"registered": {">key game</td>", "NFTs: 2 registered, 1 updated."},
	} {
		page := alice.get("/audit?of="+of, http.StatusOK)
		page.holds(t, want...)
		all.holds(t, want...)
		if n := strings.Count(page.body, "<tr>") - 1; n != 1 {
			t.Errorf("%d entries of %s", n, of)
		}
	}
}

func TestDoneByHand(t *testing.T) {
	before, now := 20.0, 21.5
	for want, a := range map[string]store.Activity{
		"Computed: POA 21.50, before 20.00.":    {Kind: store.Computed, Basis: store.Exact, POABefore: &before, POA: &now},
		"Computed: POA 21.50, the first score.": {Kind: store.Computed, Basis: store.Exact, POA: &now},
		"Computed: the score was withdrawn.":    {Kind: store.Withdrawn, Basis: store.Exact, POABefore: &before},
		"Could not be computed: no number.":     {Kind: store.Failed, Basis: store.Exact, Detail: "no number"},
		"Taken off the failed list by hand.":    {Kind: store.Failed, Detail: "taken off the failed list by hand"},
		"Made the API key game (viewer).":       {Kind: store.AccessChanged, Detail: "made the API key game (viewer)"},
	} {
		if got := doneByHand(&a); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// TestAuditPages walks all entries, of several sources, and sees each once, the
// latest first.
func TestAuditPages(t *testing.T) {
	s := open(t)
	vera := s.sign(store.Viewer, "vera")
	const each = 70
	for i := range each {
		must(t, s.Settings.Pause(t.Context(), settings.Batches, settings.Pause{Reason: fmt.Sprintf("pause-%d.", i), Who: "ada"}))
		must(t, s.People.Record(t.Context(), "ada", fmt.Sprintf("record-%d", i)))
	}
	seen, pages := "", 0
	for path := "/audit"; path != ""; pages++ {
		page := vera.get(path, http.StatusOK)
		_, table, _ := strings.Cut(page.body, "<table") // the pause stands above it, too
		seen += table
		_, rest, found := strings.Cut(page.body, `class="button small" href="`)
		path = ""
		if found {
			path, _, _ = strings.Cut(rest, `"`)
		}
	}
	if pages != 3 {
		t.Errorf("%d pages", pages)
	}
	last := len(seen)
	for i := range each {
		for _, name := range []string{fmt.Sprintf("pause-%d.", i), fmt.Sprintf("Record-%d.", i)} {
			if at := strings.Index(seen, name); strings.Count(seen, name) != 1 || at > last {
				t.Errorf("%s is told %d times, or out of order", name, strings.Count(seen, name))
			} else {
				last = at
			}
		}
	}
}
