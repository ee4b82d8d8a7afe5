package panel

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/a-h/templ"

	"poa/internal/access"
	"poa/internal/batch"
	"poa/internal/operate"
	"poa/internal/outlook"
	"poa/internal/samples"
	"poa/internal/scheduler"
	"poa/internal/settings"
	"poa/internal/snapshot"
	"poa/internal/store"
	"poa/internal/trigger"
)

const (
	// runsShown, candidatesShown and failuresShown are how long the lists of the
	// scheduler page are, and runsPage a page of all runs.
	runsShown       = 12
	candidatesShown = 10
	failuresShown   = 50
	runsPage        = 50
	// readyVotes is from how many votes an NFT without a score is a candidate
	// for triggers.
	readyVotes = 5
)

// schedulerPages are the pages of the scheduler. What the first one shows is
// read once in two seconds for all who look at it, which is how long the page
// waits between computations, less often while nothing happens, and anew after
// what is shown at once.
type schedulerPages struct {
	*Panel
	latest *snapshot.Snapshot[*schedulerRead]
	runs   *shared[int64, *runRead]
	acted  atomic.Int64 // when somebody last did something here, in microseconds
}

func (p *Panel) schedulerRoutes() []route {
	s := &schedulerPages{Panel: p}
	s.latest = snapshot.New(2*time.Second, p.clock, s.read).Quietly(p.Live.Unchanged)
	s.runs = newShared(time.Second, p.clock, s.readRun).quietly(p.Live.Unchanged)
	return []route{
		{"GET", "/scheduler", access.View, s.show},
		{"GET", "/scheduler/run", access.View, s.preview},
		{"POST", "/scheduler/run", access.Operate, s.runNow},
		{"POST", "/scheduler/backfill", access.Operate, s.backfill},
		{"POST", "/scheduler/pause", access.Operate, s.pause},
		{"POST", "/scheduler/resume", access.Operate, s.resume},
		{"GET", "/scheduler/test", access.View, s.test},
		{"POST", "/scheduler/test", access.Operate, s.doTest},
		{"GET", "/scheduler/runs", access.View, s.listRuns},
		{"GET", "/scheduler/runs/{number}", access.View, s.showRun},
		{"POST", "/scheduler/runs/{number}/cancel", access.Operate, s.cancel},
		{"POST", "/scheduler/failures/retry", access.Operate, s.retry},
		{"POST", "/scheduler/failures/discard", access.Operate, s.discard},
	}
}

// schedulerRead is what was read for the page of the scheduler. It is shared:
// do not change it.
type schedulerRead struct {
	outlook.Run
	Fixed, Adaptive batch.Coverage
	Running         []store.Run // other than upkeep
	Runs            []store.Run // other than upkeep, newest first
	Day             samples.LastDay
	Ready           []store.Candidate // for triggers
	Waiting         store.Candidates  // for batches
	Failures        []store.Failure
	Collections     []store.Collection
}

// schedulerView is what the page of the scheduler shows.
type schedulerView struct {
	*schedulerRead
	In    *settings.InForce
	Class string // of the batch candidates
	Now   time.Time
	Paced batch.State
	Begun int64 // number of a run that was asked for here, 0 for none
	Typed *typed
}

// typed is what was typed into a form of the page, and what is wrong with it.
type typed struct {
	Form                string // run, backfill, or what is to be paused
	Collection, Size    string
	Reason, Ends, Until string
	Err                 string
	Field               string // that Err is about
}

// of returns what was typed into a form, nothing where it was another.
func (t *typed) of(form string) typed {
	if t == nil || t.Form != form {
		return typed{}
	}
	return *t
}

// wrong marks the field of a form that was refused, and leads there.
func (t *typed) wrong(form, field string) templ.Attributes {
	if t.of(form).Field != field {
		return nil
	}
	at := "e-" + form
	if form == formRun {
		at = "plan"
	}
	return templ.Attributes{"aria-invalid": "true", "aria-describedby": at, "autofocus": true}
}

// formRun and formBackfill name forms; those of pauses are named as what they
// pause.
const (
	formRun      = "run"
	formBackfill = "backfill"
)

// self is where the page is read again.
func (v *schedulerView) self() string {
	run := ""
	if v.Begun > 0 {
		run = strconv.FormatInt(v.Begun, 10)
	}
	return with("/scheduler", nil, "class", v.Class, "run", run)
}

// begun is the run that was asked for here, while it is among the latest.
func (v *schedulerView) begun() *store.Run {
	for i := range v.Runs {
		if v.Begun > 0 && v.Runs[i].Number == v.Begun {
			return &v.Runs[i]
		}
	}
	return nil
}

// begunWords go on after the number of a run.
func begunWords(r *store.Run) string {
	of := ""
	if r.Kind == store.BackfillRun {
		of = ", a backfill of " + scope(r.Collection) + ","
	}
	switch {
	case r.State == store.RunRunning && r.Cancel != "":
		return of + " ends after the NFTs under way: cancelled by " + r.Cancel + "."
	case r.State == store.RunRunning:
		return of + " has begun."
	}
	text := fmt.Sprintf("%s is %s: %s computed, %s changed", of, r.State, count(r.Done-r.Failed), count(r.Changed))
	if r.Failed > 0 {
		text += ", " + count(r.Failed) + " failed"
	}
	return text + "."
}

// begins says at what time the next batch begins.
func (v *schedulerView) begins() string {
	at := v.Begins.UTC()
	switch {
	case at.IsZero():
		return "until resumed"
	case at.Sub(v.Now) > 24*time.Hour:
		return at.Format("2 Jan 15:04:05 UTC")
	}
	return at.Format("15:04:05 UTC")
}

// lastEnded is the latest run that has ended, nil where the latest ones have not.
func (v *schedulerView) lastEnded() *store.Run {
	for i := range v.Runs {
		if v.Runs[i].State != store.RunRunning {
			return &v.Runs[i]
		}
	}
	return nil
}

// endWords say how a run ended.
func endWords(r *store.Run) string {
	if r.StopReason == "" {
		return string(r.State)
	}
	return string(r.State) + ": " + r.StopReason
}

// read reads all that the page shows.
func (s *schedulerPages) read(ctx context.Context) (*schedulerRead, error) {
	in, now := s.Settings.Current(), s.now()
	r := &schedulerRead{}
	var err error
	backlog, err := s.Backlog.Latest(ctx)
	if err != nil {
		return nil, err
	}
	if r.Run, err = outlook.Schedule(ctx, s.Store, in, backlog, now); err != nil {
		return nil, err
	}
	if r.Items, err = s.Panel.Runs.Plan(ctx, in.Batch, nil); err != nil {
		return nil, fmt.Errorf("planning the next batch: %w", err)
	}
	r.Cost = batch.Estimate(in.Batch, len(r.Items), r.Measured.PerNFT)
	r.Fixed, r.Adaptive = r.In(in.Batch, batch.Fixed), r.In(in.Batch, batch.Adaptive)
	if r.Runs, err = s.latestRuns(ctx, "", 0, runsShown); err != nil {
		return nil, err
	}
	for _, run := range r.Runs {
		if run.State == store.RunRunning {
			r.Running = append(r.Running, run)
		}
	}
	if r.Day, err = s.Overview.Samples.LastDay(ctx); err != nil {
		return nil, fmt.Errorf("reading what happened in a day: %w", err)
	}
	if r.Ready, err = s.Store.TriggerCandidates(ctx, readyVotes, candidatesShown); err != nil {
		return nil, fmt.Errorf("looking for NFTs that are ready: %w", err)
	}
	r.Waiting, err = s.Store.Candidates(ctx, store.Wanted{
		Now: now, OldBefore: now.Add(-in.Batch.OldAfter), Due: candidatesShown, ByVotes: candidatesShown, ByWaiting: candidatesShown, Old: candidatesShown,
	})
	if err != nil {
		return nil, fmt.Errorf("looking for NFTs to compute: %w", err)
	}
	if r.Failures, err = s.Store.Failures(ctx, failuresShown); err != nil {
		return nil, fmt.Errorf("reading the failed list: %w", err)
	}
	if r.Collections, err = s.Overview.Collections(ctx); err != nil {
		return nil, fmt.Errorf("reading the collections: %w", err)
	}
	return r, nil
}

// latestRuns returns runs of a kind, below number before where that is not 0,
// newest first; of all kinds but upkeep where kind is "".
func (s *schedulerPages) latestRuns(ctx context.Context, kind store.RunKind, before int64, limit int) ([]store.Run, error) {
	kinds := []store.RunKind{kind}
	if kind == "" {
		kinds = []store.RunKind{store.BatchRun, store.ManualRun, store.BackfillRun}
	}
	var all []store.Run
	for _, k := range kinds {
		runs, err := s.Store.Runs(ctx, k, before, limit)
		if err != nil {
			return nil, fmt.Errorf("reading the runs: %w", err)
		}
		all = append(all, runs...)
	}
	slices.SortFunc(all, func(a, b store.Run) int { return int(b.Number - a.Number) })
	return all[:min(limit, len(all))], nil
}

// view returns what is shown now, and in any case what was done here, and what
// the live stream told of runs, pauses and settings.
func (s *schedulerPages) view(ctx context.Context) (*schedulerView, error) {
	least := time.UnixMicro(s.acted.Load())
	if steered := s.Live.Steered(); steered.After(least) {
		least = steered
	}
	read, err := s.latest.After(ctx, least)
	if err != nil {
		return nil, err
	}
	return &schedulerView{schedulerRead: read, In: s.Settings.Current(), Now: s.now(), Paced: s.Panel.Runs.Pacing()}, nil
}

// told records that something was done, and tells it on the page.
func (s *schedulerPages) told(w http.ResponseWriter, r *http.Request, to, text string) error {
	s.acted.Store(s.now().UnixMicro())
	return s.done(w, r, to, text)
}

// follow leads to the page that tells how a run goes on.
func (s *schedulerPages) follow(w http.ResponseWriter, r *http.Request, run int64) error {
	s.acted.Store(s.now().UnixMicro())
	redirect(w, r, "/scheduler?run="+strconv.FormatInt(run, 10))
	return nil
}

// typedInto returns what was typed into a form.
func typedInto(form string, value func(string) string) *typed {
	return &typed{Form: form, Collection: value("collection"), Size: value("size"), Reason: value("reason"), Ends: value("ends"), Until: value("until")}
}

// again shows the page with a form as it was typed and what is wrong with it;
// an error that is not about what was typed is returned.
func (s *schedulerPages) again(w http.ResponseWriter, r *http.Request, t *typed, wrong error) error {
	var told *problem
	var refused *settings.Refused
	switch {
	case errors.As(wrong, &refused):
		t.Err, t.Field = refusal(refused), refused.Problems[0].Setting
	case errors.As(wrong, &told) && told.Status == http.StatusUnprocessableEntity:
		t.Err, t.Field = told.Detail, "until"
		if t.Form == formRun {
			t.Field = "size"
		}
	default:
		return wrong
	}
	v, err := s.view(r.Context())
	if err != nil {
		return err
	}
	v.Class, v.Typed = candidateClasses[0].Value, t
	return s.renderStatus(w, r, http.StatusUnprocessableEntity, schedulerHead, schedulerPage(v))
}

var schedulerHead = page{Title: "Scheduler", Sub: "What computes scores at once, what waits for the batch, and when it comes.", Pauses: true}

// candidateClasses are the lists of batch candidates.
var candidateClasses = [...]option{{"new", "New, most votes"}, {"waiting", "New, longest wait"}, {"due", "Owed"}, {"old", "Old scores"}}

func (s *schedulerPages) show(w http.ResponseWriter, r *http.Request) error {
	class := r.URL.Query().Get("class")
	if class == "" {
		class = candidateClasses[0].Value
	}
	if !slices.ContainsFunc(candidateClasses[:], func(o option) bool { return o.Value == class }) {
		return invalid("There are no candidates of class %q.", class)
	}
	v, err := s.view(r.Context())
	if err != nil {
		return err
	}
	v.Class = class
	if v.Begun, err = numberOf(r.URL.Query(), "run"); err != nil {
		return err
	}
	return s.render(w, r, schedulerHead, schedulerPage(v))
}

// candidates are those of the class that is shown.
func (v *schedulerView) candidates() []store.Candidate {
	switch v.Class {
	case "waiting":
		return v.Waiting.ByWaiting
	case "due":
		return v.Waiting.Due
	case "old":
		return v.Waiting.Old
	}
	return v.Waiting.ByVotes
}

func (v *schedulerView) classTabs() []tab {
	var list []tab
	for _, o := range candidateClasses {
		list = append(list, tab{o.Text, "/scheduler?class=" + o.Value + "#candidates", o.Value == v.Class})
	}
	return list
}

// ruleRow is a rule of the triggers with its setting.
type ruleRow struct {
	Name, Setting, Priority string
	On                      bool
	Fired                   samples.Count
}

func (v *schedulerView) rules() []ruleRow {
	r := v.In.Policy.Rules
	var at []string
	for _, m := range r.Milestones {
		at = append(at, strconv.FormatInt(m, 10))
	}
	rows := []ruleRow{
		{"Super vote", "each one", "high", r.Super, samples.Count{Name: string(trigger.Super)}},
		{"FIRE", "given or withdrawn", "high", r.Fire, samples.Count{Name: string(trigger.Fire)}},
		{"Milestone", "crosses " + strings.Join(at, ", ") + " votes", fmt.Sprintf("medium, high from %d", r.MilestoneHighFrom), r.Milestone, samples.Count{Name: string(trigger.Milestone)}},
		{"High activity", fmt.Sprintf("%d votes within %s", r.HighActivityVotes, hours(r.HighActivityIn)), "medium", r.HighActivity, samples.Count{Name: string(trigger.HighActivity)}},
	}
	for i := range rows {
		for _, c := range v.Day.Fired {
			if c.Name == rows[i].Fired.Name {
				rows[i].Fired = c
			}
		}
	}
	return rows
}

// hours writes a length of time as a setting: 24 h rather than 1 d.
func hours(d time.Duration) string {
	if d%time.Hour == 0 && d < 72*time.Hour {
		return strconv.Itoa(int(d/time.Hour)) + " h"
	}
	return span(d)
}

// outcomes are the columns of recent activity.
var outcomes = [...]string{samples.Changed, samples.Unchanged, samples.Withdrawn, samples.Deferred, samples.Failed}

// computedInDay is how many computations a day had, and those by outcome.
func (v *schedulerView) computedInDay() (total int64, by map[string]int64) {
	by = map[string]int64{}
	for _, c := range v.Day.Computations {
		total += c.Total
		for name, n := range c.Outcomes {
			by[name] += n
		}
	}
	return total, by
}

// classCounts says of how many NFTs of each class a plan consists: 14 new, 4
// owed, 2 old.
func classCounts(items []batch.Item) string {
	n := map[batch.Class]int{}
	for i := range items {
		n[items[i].Class]++
	}
	return classWords(n)
}

func classWords(n map[batch.Class]int) string {
	var parts []string
	for _, c := range []batch.Class{batch.New, batch.Due, batch.Old} {
		if n[c] > 0 {
			parts = append(parts, count(n[c])+" "+className(c))
		}
	}
	return strings.Join(parts, ", ")
}

func className(c batch.Class) string {
	if c == batch.Due {
		return "owed"
	}
	return string(c)
}

func classTone(c batch.Class) string {
	switch c {
	case batch.New:
		return "accent"
	case batch.Due:
		return "warn"
	}
	return ""
}

// coverageWords says when a backlog is covered.
func coverageWords(c batch.Coverage) string {
	if c.Runs == 0 {
		return "nothing waits"
	}
	return plural(c.Runs, "run") + ", " + span(c.All)
}

// adaptiveNote says where the pace of adaptive mode comes from.
func (v *schedulerView) adaptiveNote() string {
	if v.Measured.Rate > 0 {
		return "at the " + fixed(v.Measured.Rate, 0) + " NFTs a second of the last batch"
	}
	return "estimated for a healthy database"
}

// backfillTime says how long a backfill of all would take.
func (v *schedulerView) backfillTime() string {
	text := "All of them take about " + span(outlook.Backfill(v.In.Batch, rated(v.Collections...), v.Measured)) + " in " + v.In.Batch.Mode + " mode"
	if v.In.Batch.Mode == batch.Fixed {
		text += "; adaptive mode is made for this"
	}
	return text + "."
}

// duration is how long a run took, or has taken until now.
func duration(r *store.Run, now time.Time) string {
	end := r.EndedAt
	if end.IsZero() {
		end = now
	}
	return span(end.Sub(r.CreatedAt))
}

func stateTone(s store.RunState) string {
	switch s {
	case store.RunRunning:
		return "info"
	case store.RunDone:
		return "ok"
	case store.RunStopped, store.RunCancelled:
		return "warn"
	case store.RunFailed:
		return "bad"
	}
	return ""
}

// kindWord is the kind of a run in words.
func kindWord(k store.RunKind) string {
	if k == store.ManualRun {
		return "by hand"
	}
	return string(k)
}

// scope says which NFTs a run is about.
func scope(collection *string) string {
	if collection == nil {
		return "all collections"
	}
	return *collection
}

// leftWords says how much time a run has left, and how it stands otherwise.
func leftWords(r *store.Run, s batch.Settings, now time.Time) string {
	switch left, known := outlook.Left(r, s, now); {
	case r.Cancel != "":
		return "ends after the NFTs under way: cancelled by " + r.Cancel
	case known:
		return "about " + span(left) + " left"
	case r.Total == 0:
		return "begins"
	}
	return "under way"
}

func runPath(number int64) string { return "/scheduler/runs/" + strconv.FormatInt(number, 10) }

// requested is a form that asks for a run.
type requested struct {
	Collection *string
	Size       int
}

// requestOf reads which NFTs a run is asked for.
func (s *schedulerPages) requestOf(ctx context.Context, form func(string) string) (q requested, err error) {
	if name := form("collection"); name != "" {
		all, err := s.Overview.Collections(ctx)
		if err != nil {
			return q, fmt.Errorf("reading the collections: %w", err)
		}
		if !slices.ContainsFunc(all, func(c store.Collection) bool { return c.Name == name }) {
			return q, invalid("There is no collection %q.", name)
		}
		q.Collection = &name
	}
	if text := strings.TrimSpace(form("size")); text != "" {
		if q.Size, err = strconv.Atoi(text); err != nil || q.Size < 1 || q.Size > 1000 {
			return q, invalid("The number of NFTs must be from 1 to 1,000, is %q.", text)
		}
	}
	return q, nil
}

// previewView is what a run by hand would do.
type previewView struct {
	requested
	Items []batch.Item
	Cost  batch.Cost
	*schedulerView
}

func (s *schedulerPages) preview(w http.ResponseWriter, r *http.Request) error {
	q, err := s.requestOf(r.Context(), r.URL.Query().Get)
	if err != nil {
		return s.again(w, r, typedInto(formRun, r.URL.Query().Get), err)
	}
	v, err := s.view(r.Context())
	if err != nil {
		return err
	}
	b := v.In.Batch
	if q.Size > 0 {
		b = b.Sized(q.Size)
	}
	items, err := s.Panel.Runs.Plan(r.Context(), b, q.Collection)
	if err != nil {
		return fmt.Errorf("planning a run: %w", err)
	}
	head := page{Title: "Run a batch now", Sub: "What it will take, in this order, and why.", Crumb: "Scheduler", CrumbPath: "/scheduler"}
	return s.render(w, r, head, previewPage(previewView{q, items, batch.Estimate(b, len(items), v.Measured.PerNFT), v}))
}

var formName = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// newName names a request for a run, so that a form that is sent twice starts
// one run.
func newName() string { return rand.Text() }

func nameIn(r *http.Request) string {
	if name := r.PostFormValue("name"); formName.MatchString(name) {
		return "request-" + name
	}
	return "request-" + newName()
}

func (s *schedulerPages) runNow(w http.ResponseWriter, r *http.Request) error {
	q, err := s.requestOf(r.Context(), r.PostFormValue)
	if err != nil {
		return s.again(w, r, typedInto(formRun, r.PostFormValue), err)
	}
	run, err := s.Panel.Runs.RunNow(r.Context(), scheduler.Manual{Size: q.Size, Collection: q.Collection, Who: who(r), Name: nameIn(r)})
	if err != nil {
		return fmt.Errorf("starting a run: %w", err)
	}
	return s.follow(w, r, run.Number)
}

func (s *schedulerPages) backfill(w http.ResponseWriter, r *http.Request) error {
	q, err := s.requestOf(r.Context(), r.PostFormValue)
	if err != nil {
		return s.again(w, r, typedInto(formBackfill, r.PostFormValue), err)
	}
	run, err := s.Panel.Runs.Backfill(r.Context(), q.Collection, nameIn(r), who(r))
	if err != nil {
		return fmt.Errorf("starting a backfill: %w", err)
	}
	return s.follow(w, r, run.Number)
}

// numberIn returns the number in the path.
func numberIn(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil || n < 1 {
		return 0, errNotFound
	}
	return n, nil
}

func (s *schedulerPages) cancel(w http.ResponseWriter, r *http.Request) error {
	number, err := numberIn(r)
	if err != nil {
		return err
	}
	run, err := s.Operate.Cancel(r.Context(), number, who(r))
	back := here(r.PostFormValue("back"))
	if back == "/" {
		back = "/scheduler?run=" + strconv.FormatInt(number, 10)
	}
	switch {
	case errors.Is(err, operate.ErrEnded):
		return s.refuse(w, r, back, fmt.Sprintf("Run %d had ended before: %s.", number, run.State))
	case errors.Is(err, operate.ErrUpkeep):
		return s.refuse(w, r, back, "Upkeep cannot be cancelled.")
	case err != nil:
		return err
	}
	s.acted.Store(s.now().UnixMicro())
	redirect(w, r, back) // which follows the run to its end
	return nil
}

// pauseSubjects are what can be paused.
var pauseSubjects = [...]settings.Subject{settings.Batches, settings.Triggers}

func subjectIn(r *http.Request) (settings.Subject, error) {
	what := settings.Subject(r.PostFormValue("what"))
	if !slices.Contains(pauseSubjects[:], what) {
		return "", invalid("Batches or triggers can be paused, not %q.", string(what))
	}
	return what, nil
}

// pauseEnds are the ends of pauses that the form offers.
var pauseEnds = [...]option{{"", "when resumed"}, {"15m", "in 15 minutes"}, {"1h", "in an hour"}, {"4h", "in 4 hours"}, {"24h", "in 24 hours"}}

// untilIn reads when a pause ends: the time given, else the choice; the zero
// time for when it is resumed.
func (s *schedulerPages) untilIn(r *http.Request) (time.Time, error) {
	if text := r.PostFormValue("until"); text != "" {
		t, err := time.Parse("2006-01-02T15:04", text)
		if err != nil {
			return t, invalid("The end must be a time in UTC such as 2026-07-01T18:00, is %q.", text)
		}
		return t, nil
	}
	in := r.PostFormValue("ends")
	if in == "" {
		return time.Time{}, nil
	}
	d, err := time.ParseDuration(in)
	if err != nil || d <= 0 {
		return time.Time{}, invalid("A pause cannot end in %q.", in)
	}
	return s.now().Add(d), nil
}

func (s *schedulerPages) pause(w http.ResponseWriter, r *http.Request) error {
	what, err := subjectIn(r)
	if err != nil {
		return err
	}
	t := typedInto(string(what), r.PostFormValue)
	until, err := s.untilIn(r)
	if err != nil {
		return s.again(w, r, t, err)
	}
	err = s.Settings.Pause(r.Context(), what, settings.Pause{Until: until, Reason: strings.TrimSpace(r.PostFormValue("reason")), Who: who(r)})
	if err != nil {
		return s.again(w, r, t, err)
	}
	return s.told(w, r, "/scheduler", sentence(string(what)+" are paused"))
}

// pauseWords says since when a pause is, how long and why.
func pauseWords(p settings.Pause) string {
	const layout = "2 Jan 15:04 UTC"
	end := "until resumed"
	if !p.Until.IsZero() {
		end = "until " + p.Until.UTC().Format(layout)
	}
	return "since " + p.Since.UTC().Format(layout) + ", " + end + ": " + p.Reason
}

// refusal says what is wrong with a pause, in the words of its form.
func refusal(r *settings.Refused) string {
	named := map[string]string{"reason": "the reason", "until": "the end"}
	var parts []string
	for _, p := range r.Problems {
		parts = append(parts, sentence(cmp.Or(named[p.Setting], p.Setting)+" "+p.Message))
	}
	return strings.Join(parts, " ")
}

func (s *schedulerPages) resume(w http.ResponseWriter, r *http.Request) error {
	what, err := subjectIn(r)
	if err != nil {
		return err
	}
	if err := s.Settings.Resume(r.Context(), what, who(r), strings.TrimSpace(r.PostFormValue("why"))); err != nil {
		return err
	}
	return s.told(w, r, "/scheduler", sentence(string(what)+" go on"))
}

func (s *schedulerPages) retry(w http.ResponseWriter, r *http.Request) error {
	return s.failed(w, r, s.Operate.RetryFailure, "The next batch tries %s again.")
}

func (s *schedulerPages) discard(w http.ResponseWriter, r *http.Request) error {
	return s.failed(w, r, s.Operate.DiscardFailure, "%s is off the failed list.")
}

// failed does something to an NFT on the failed list.
func (s *schedulerPages) failed(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, id, who string) error, done string) error {
	id := r.PostFormValue("nft")
	err := do(r.Context(), id, who(r))
	if errors.Is(err, operate.ErrNotFailed) {
		return s.refuse(w, r, "/scheduler", id+" is not on the failed list any more.")
	}
	if err != nil {
		return err
	}
	return s.told(w, r, "/scheduler", fmt.Sprintf(done, id))
}
