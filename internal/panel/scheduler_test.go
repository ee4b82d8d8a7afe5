package panel

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/settings"
	"poa/internal/store"
)

// later lets what was read before be read again.
func later(s *site) {
	ahead := time.Until(s.Now()) + 10*time.Second
	s.Now = func() time.Time { return time.Now().Add(ahead) }
}

// rated gives each NFT a slider rating, which triggers nothing.
func (s *site) rated() {
	s.t.Helper()
	for i := range 3 {
		s.cast(ledger.Vote{Voter: fmt.Sprint("rater-", i), A: fmt.Sprintf("c/%d", i+1), Vote: scoring.Vote{Kind: scoring.Slider, Value: 80}})
	}
}

// run returns the run with a number.
func (s *site) run(number int64) store.Run {
	s.t.Helper()
	run, err := s.Store.Run(s.t.Context(), number)
	must(s.t, err)
	return run
}

// logged returns the latest entry of a kind.
func (s *site) logged(kind store.ActivityKind) store.Activity {
	s.t.Helper()
	list, err := s.Store.ListActivity(s.t.Context(), store.ActivityQuery{Kind: kind, Limit: 1})
	must(s.t, err)
	if len(list) == 0 {
		s.t.Fatalf("no entry of kind %s", kind)
	}
	return list[0]
}

func TestScheduler(t *testing.T) {
	s := open(t)
	s.rated()
	page := s.sign(store.Viewer, "vera").get("/scheduler", http.StatusOK)
	page.holds(t, "crosses 5, 10, 25, 50, 100 votes", "5 votes within 24 h", "every 1 h, on the clock", "3 without a score, 0 owed, 0 old",
		"3 NFTs", "1 vote, no score yet", "in adaptive mode, estimated for a healthy database", "You can look.")
	page.lacks(t, `action="/scheduler`, "Run now", "Cancel")
	s.sign(store.Operator, "alice").get("/scheduler", http.StatusOK).holds(t, `action="/scheduler/run"`, `action="/scheduler/backfill"`, `action="/scheduler/pause"`, `action="/scheduler/test"`, "All of them take about 1.5 s in fixed mode")
	for _, class := range []string{"new", "waiting"} {
		s.sign(store.Viewer, class).get("/scheduler?class="+class, http.StatusOK).holds(t, `href="/nfts/c%2F3"`)
	}
	s.sign(store.Viewer, "other").get("/scheduler?class=odd", http.StatusUnprocessableEntity)
}

// TestSchedulerIsRead sees that all who look share what was read.
func TestSchedulerIsRead(t *testing.T) {
	s := open(t)
	at := time.Now()
	s.Now = func() time.Time { return at }
	vera, vic := s.sign(store.Viewer, "vera"), s.sign(store.Viewer, "vic")
	vera.get("/scheduler", http.StatusOK).holds(t, "No runs yet")
	_, err := s.Panel.Runs.Backfill(t.Context(), nil, "unseen", "elsewhere")
	must(t, err)
	vic.get("/scheduler", http.StatusOK).holds(t, "No runs yet")
	later(s)
	vic.get("/scheduler", http.StatusOK).holds(t, "elsewhere", "<progress")
}

func TestRunNow(t *testing.T) {
	s := open(t)
	s.rated()
	alice := s.sign(store.Operator, "alice")
	preview := alice.get("/scheduler/run?size=2&collection=art", http.StatusOK)
	preview.holds(t, "2 NFTs in about", "2 new", `name="collection" value="art"`, `name="size" value="2"`)
	if runs, err := s.Store.Runs(t.Context(), "", 0, 10); err != nil || len(runs) != 0 {
		t.Fatalf("looking started %v, %v", runs, err)
	}
	name := between(preview.body[strings.Index(preview.body, `name="name" value="`):], `name="name" value="`, `">`)
	for range 2 { // sent twice, it is one run
		alice.post("/scheduler/run", http.StatusSeeOther, "name", name, "size", "2", "collection", "art")
	}
	alice.get("/scheduler?run=1", http.StatusOK).holds(t, `<a href="/scheduler/runs/1">Run 1</a>  has begun.`, "<progress", `action="/scheduler/runs/1/cancel"`)
	s.sign(store.Viewer, "vera").get("/scheduler", http.StatusOK).lacks(t, `action="/scheduler`)
	s.work()
	later(s)
	if run := s.run(1); run.State != store.RunDone || run.Done != 2 || run.RequestedBy != "alice" || *run.Collection != "art" {
		t.Errorf("the run is %+v", run)
	}
	if runs, err := s.Store.Runs(t.Context(), "", 0, 10); err != nil || len(runs) != 1 {
		t.Errorf("runs %v, %v", runs, err)
	}
	page := alice.get("/scheduler", http.StatusOK)
	page.holds(t, `href="/scheduler/runs/1"`)
	page.lacks(t, "<progress", "Under way", "2 computed")
	alice.get("/scheduler?run=1", http.StatusOK).holds(t, `is done: 2 computed, 2 changed.`, `<dt>Last run</dt><dd><a href="/scheduler/runs/1">1</a>, done: all that was planned is done, 2 NFTs</dd>`, `run=1"`)
	alice.get("/scheduler/runs/1", http.StatusOK).holds(t, "asked for by alice", "2 new", "done", `href="/nfts/c%2F`, "run ended")
	alice.get("/scheduler/runs?kind=manual", http.StatusOK).holds(t, `href="/scheduler/runs/1"`)
	alice.get("/scheduler/runs?kind=batch", http.StatusOK).lacks(t, `href="/scheduler/runs/1"`)

	for _, bad := range []string{"size=0", "size=1001", "size=x", "collection=none"} {
		alice.get("/scheduler/run?"+bad, http.StatusUnprocessableEntity)
		field, value, _ := strings.Cut(bad, "=")
		alice.post("/scheduler/run", http.StatusUnprocessableEntity, field, value).holds(t, "<h1>Scheduler</h1>", `<div id="plan" class="note bad"`)
	}
	alice.post("/scheduler/run", http.StatusUnprocessableEntity, "size", "99999", "collection", "art").holds(t,
		`value="99999" aria-describedby="plan" aria-invalid="true" autofocus`, `value="art" selected`, "must be from 1 to 1,000")
	for _, path := range []string{"/scheduler/runs/2", "/scheduler/runs/x", "/scheduler/runs/0"} {
		alice.get(path, http.StatusNotFound)
	}
	alice.get("/scheduler/runs?kind=odd", http.StatusUnprocessableEntity)
	alice.get("/scheduler/runs?before=x", http.StatusUnprocessableEntity)
}

func TestCancelRun(t *testing.T) {
	s := open(t)
	s.rated()
	alice := s.sign(store.Operator, "alice")
	alice.post("/scheduler/run", http.StatusSeeOther)
	s.sign(store.Viewer, "vera").post("/scheduler/runs/1/cancel", http.StatusForbidden)
	alice.get("/scheduler", http.StatusOK).holds(t, `name="back" value="/scheduler?run=1"`)
	if run := s.run(1); run.Cancel != "" {
		t.Fatalf("a viewer cancelled %+v", run)
	}
	if to := alice.post("/scheduler/runs/1/cancel", http.StatusSeeOther, "back", "/scheduler/runs/1").Header.Get("Location"); to != "/scheduler/runs/1" {
		t.Errorf("led to %q", to)
	}
	if run := s.run(1); run.Cancel != "alice" {
		t.Errorf("the run is %+v", run)
	}
	alice.get("/scheduler?run=1", http.StatusOK).holds(t, "Run 1</a>  ends after the NFTs under way: cancelled by alice.", `role="status"`)
	s.work()
	if run := s.run(1); run.State != store.RunCancelled || run.Done != 0 {
		t.Errorf("the run is %+v", run)
	}
	later(s)
	ended := alice.get("/scheduler?run=1", http.StatusOK)
	ended.holds(t, "Run 1</a>  is cancelled: 0 computed, 0 changed.")
	ended.lacks(t, "ends after the NFTs under way")
	if to := alice.post("/scheduler/runs/1/cancel", http.StatusSeeOther).Header.Get("Location"); to != "/scheduler?run=1" {
		t.Errorf("led to %q", to)
	}
	alice.get("/scheduler", http.StatusOK).holds(t, "Run 1 had ended before: cancelled.")
	alice.post("/scheduler/runs/7/cancel", http.StatusNotFound)
}

func TestBackfill(t *testing.T) {
	s := open(t)
	s.rated()
	alice := s.sign(store.Operator, "alice")
	s.sign(store.Viewer, "vera").post("/scheduler/backfill", http.StatusForbidden)
	alice.post("/scheduler/backfill", http.StatusUnprocessableEntity, "collection", "none")
	alice.post("/scheduler/backfill", http.StatusSeeOther, "collection", "art")
	alice.get("/scheduler?run=1", http.StatusOK).holds(t, ", a backfill of art, has begun.", "0 of 3, under way")
	s.work()
	if run := s.run(1); run.Kind != store.BackfillRun || run.State != store.RunDone || run.Done != 3 || run.RequestedBy != "alice" {
		t.Errorf("the run is %+v", run)
	}
}

func TestPauseAndResume(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	s.sign(store.Viewer, "vera").post("/scheduler/pause", http.StatusForbidden, "what", "batches", "reason", "mine")

	began := time.Now()
	alice.post("/scheduler/pause", http.StatusSeeOther, "what", "batches", "reason", "moving the disk", "ends", "1h")
	p := s.Settings.Current().Batches
	if p.Who != "alice" || p.Reason != "moving the disk" || p.Until.Before(began.Add(time.Hour-time.Second)) || p.Until.After(time.Now().Add(time.Hour)) {
		t.Errorf("batches: %+v", p)
	}
	if a := s.logged(store.Paused); a.Who != "alice" || !strings.Contains(a.Detail, "moving the disk") {
		t.Errorf("logged %+v", a)
	}
	alice.get("/scheduler", http.StatusOK).holds(t, "Batches are paused.", "moving the disk", "Resume batches", "Pause triggers")

	alice.post("/scheduler/pause", http.StatusSeeOther, "what", "triggers", "reason", "trying", "until", "2999-01-02T03:04")
	if p := s.Settings.Current().Triggers; !p.Until.Equal(time.Date(2999, 1, 2, 3, 4, 0, 0, time.UTC)) {
		t.Errorf("triggers: %+v", p)
	}
	alice.post("/scheduler/resume", http.StatusSeeOther, "what", "triggers", "why", "tried")
	if s.Settings.Current().Triggers.On(time.Now()) {
		t.Error("triggers are paused still")
	}
	if a := s.logged(store.Resumed); a.Who != "alice" {
		t.Errorf("logged %+v", a)
	}

	alice.post("/scheduler/pause", http.StatusUnprocessableEntity, "what", "triggers", "reason", " ").holds(t, "The reason must say why triggers are paused")
	alice.post("/scheduler/pause", http.StatusUnprocessableEntity, "what", "triggers", "reason", "late", "ends", "4h", "until", "2001-01-02T03:04").holds(t,
		"The end must be in the future", `value="late"`, `value="4h" selected`, `value="2001-01-02T03:04" aria-describedby="e-triggers" aria-invalid="true" autofocus`, `<details class="plain" open>`)
	if s.Settings.Current().Triggers.On(time.Now()) {
		t.Error("a refused pause is in force")
	}
	for _, bad := range [][]string{{"what", "x"}, {"what", "batches", "reason", "x", "until", "soon"}, {"what", "batches", "reason", "x", "ends", "-1h"}} {
		alice.post("/scheduler/pause", http.StatusUnprocessableEntity, bad...)
	}
	alice.post("/scheduler/resume", http.StatusUnprocessableEntity, "what", "x")
}

// TestNextRunOfAPause sees that no run is promised at a time when batches are
// paused.
func TestNextRunOfAPause(t *testing.T) {
	s := open(t)
	at := time.Date(2026, time.July, 1, 10, 40, 0, 0, time.UTC)
	s.Now = func() time.Time { return at }
	vera := s.sign(store.Viewer, "vera")
	const figure = `<div class="figure">paused</div><div class="muted small">`
	vera.get("/scheduler", http.StatusOK).holds(t, `<div class="muted small">10:40:00 UTC</div>`) // the window that is open has had no run
	for end, told := range map[string]string{"": "until resumed", "2999-07-01T12:20": "1 Jul 12:20:00 UTC"} {
		until, _ := time.Parse("2006-01-02T15:04", end)
		must(t, s.Settings.Pause(t.Context(), settings.Batches, settings.Pause{Until: until, Reason: "a copy", Who: "test"}))
		at = at.Add(10 * time.Second)
		page := vera.get("/scheduler", http.StatusOK)
		page.holds(t, figure+told+"</div>")
		page.lacks(t, "data-countdown")
	}
}

// TestPausesAreOnEveryPage sees that nobody takes paused scoring for live, on
// the scheduler's own page once.
func TestPausesAreOnEveryPage(t *testing.T) {
	s := open(t)
	alice, vera := s.sign(store.Operator, "alice"), s.sign(store.Viewer, "vera")
	pages := []string{"/", "/nfts", "/nfts/c%2F1", "/collections", "/settings", "/scheduler/runs", "/log"}
	for _, path := range pages {
		vera.get(path, http.StatusOK).lacks(t, "are paused")
	}
	alice.post("/scheduler/pause", http.StatusSeeOther, "what", "triggers", "reason", "a <test>", "until", "2999-01-02T03:04")
	for _, path := range pages {
		vera.get(path, http.StatusOK).holds(t, "<strong>Triggers are paused</strong> by alice", "until 2 Jan 03:04 UTC: a &lt;test&gt;", `href="/scheduler#c-pause"`)
	}
	if page := vera.get("/scheduler", http.StatusOK); strings.Count(page.body, "Triggers are paused</strong>") != 1 {
		t.Error("the scheduler does not tell once that triggers are paused")
	}
}

func TestTestTrigger(t *testing.T) {
	s := open(t)
	s.rated()
	alice, vera := s.sign(store.Operator, "alice"), s.sign(store.Viewer, "vera")
	vera.get("/scheduler/test", http.StatusOK)
	vera.get("/scheduler/test?nft=pict", http.StatusOK).holds(t, "Picture 1", "Picture 3", `href="/scheduler/test?nft=c%2F1&amp;vote=matchup%2C+won"`)
	vera.get("/scheduler/test?nft=nothing", http.StatusOK).holds(t, "No NFT has an id or name that begins so.")
	vera.get("/scheduler/test?nft=c%2F1&vote=odd", http.StatusUnprocessableEntity)

	const path = "/scheduler/test?nft=c%2F1&vote=FIRE"
	shown := vera.get(path, http.StatusOK)
	shown.holds(t, "1 vote, no score", "computes at once, because of FIRE, with high priority.", "waits for a batch: the first score", ">changes no score<")
	shown.lacks(t, "Do it")
	vera.post("/scheduler/test", http.StatusForbidden, "nft", "c/1", "vote", "FIRE")
	alice.get(path, http.StatusOK).holds(t, "Do it: compute now")
	if found, err := s.Operate.Find(t.Context(), "c/1"); err != nil || found.Rating.Score != nil {
		t.Fatalf("looking computed %+v, %v", found.Rating.Score, err)
	}

	alice.post("/scheduler/test", http.StatusSeeOther, "nft", "c/1", "vote", "slider rating")
	alice.get(path, http.StatusOK).holds(t, "Nothing was computed: a slider rating would not trigger.")
	alice.post("/scheduler/test", http.StatusSeeOther, "nft", "c/1", "vote", "FIRE")
	alice.get(path, http.StatusOK).holds(t, "the first score.")
	found, err := s.Operate.Find(t.Context(), "c/1")
	must(t, err)
	if found.Rating.Score == nil || found.Rating.Votes != 1 || found.Rating.Fires != 0 {
		t.Errorf("the rating is %+v", found.Rating)
	}
	if a := s.logged(store.Computed); a.Who != "alice" || a.Reason != store.ReasonManual {
		t.Errorf("logged %+v", a)
	}
	alice.post("/scheduler/test", http.StatusNotFound, "nft", "nothing", "vote", "FIRE")

	alice.post("/scheduler/pause", http.StatusSeeOther, "what", "triggers", "reason", "trying")
	vera.get(path, http.StatusOK).holds(t, "marks it as owed, because of FIRE, with high priority: triggers are paused. It waits for a batch: a computation is owed.")
	alice.post("/scheduler/pause", http.StatusSeeOther, "what", "batches", "reason", "trying")
	vera.get(path, http.StatusOK).holds(t, "It waits for a batch: a computation is owed; batches are paused.")
}

// fails puts an NFT on the failed list, after its last try.
func (s *site) fails(id, why string) {
	s.t.Helper()
	found, err := s.Operate.Find(s.t.Context(), id)
	must(s.t, err)
	must(s.t, s.Store.Update(s.t.Context(), func(tx store.Tx) error {
		return tx.Apply(s.t.Context(), &store.Changes{Failures: []store.Failure{{NFT: found.NFT.Number, Error: why, Tries: 5, FirstAt: s.now(), LastAt: s.now()}}})
	}))
}

func TestFailedList(t *testing.T) {
	s := open(t)
	s.rated()
	s.fails("c/1", "no <number>")
	alice, vera := s.sign(store.Operator, "alice"), s.sign(store.Viewer, "vera")
	shown := vera.get("/scheduler", http.StatusOK)
	shown.holds(t, "no &lt;number&gt;", "given up")
	shown.lacks(t, "Retry", "Discard")
	for _, what := range []string{"retry", "discard"} {
		vera.post("/scheduler/failures/"+what, http.StatusForbidden, "nft", "c/1")
	}
	alice.post("/scheduler/failures/retry", http.StatusSeeOther, "nft", "c/1")
	alice.get("/scheduler", http.StatusOK).holds(t, "The next batch tries c/1 again.", "Discard")
	if list, err := s.Store.Failures(t.Context(), 10); err != nil || len(list) != 1 || list[0].NextTry.IsZero() {
		t.Errorf("failures %+v, %v", list, err)
	}
	if a := s.logged(store.Deferred); a.Who != "alice" || a.NFTID != "c/1" {
		t.Errorf("logged %+v", a)
	}
	alice.post("/scheduler/failures/discard", http.StatusSeeOther, "nft", "c/1")
	page := alice.get("/scheduler", http.StatusOK)
	page.holds(t, "c/1 is off the failed list.")
	page.lacks(t, "Discard")
	alice.post("/scheduler/failures/retry", http.StatusSeeOther, "nft", "c/1")
	alice.get("/scheduler", http.StatusOK).holds(t, "c/1 is not on the failed list any more.")
	alice.post("/scheduler/failures/retry", http.StatusNotFound, "nft", "nothing")
}
