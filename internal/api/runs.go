package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"poa/internal/access"
	"poa/internal/batch"
	"poa/internal/ledger"
	"poa/internal/operate"
	"poa/internal/outlook"
	"poa/internal/scheduler"
	"poa/internal/settings"
	"poa/internal/store"
)

// runDoc is a run.
type runDoc struct {
	Number      int64      `json:"number"`
	Kind        string     `json:"kind" enum:"batch,manual,backfill,upkeep"`
	Name        string     `json:"name" doc:"Start of a batch's window, or a name of its own"`
	Collection  *string    `json:"collection,omitempty" doc:"Absent for all"`
	State       string     `json:"state" enum:"running,done,stopped,cancelled,failed"`
	RequestedBy string     `json:"requested_by"`
	CreatedAt   time.Time  `json:"created_at"`
	EndedAt     *time.Time `json:"ended_at,omitempty"`
	Total       int64      `json:"total" doc:"NFTs to do, as far as known"`
	Done        int64      `json:"done"`
	Changed     int64      `json:"changed" doc:"Scores that came out different"`
	Failed      int64      `json:"failed"`
	Left        *float64   `json:"left_seconds,omitempty" doc:"Time left at the pace so far, within the time cap, of a run under way"`
	Fits        *int       `json:"fits,omitempty" doc:"In the answer that starts a run: NFTs that the time cap leaves time for at most, where more were asked for"`
	Reason      string     `json:"reason,omitempty" doc:"Why it ended early"`
	Cancel      string     `json:"cancel,omitempty" doc:"Who asked to cancel it"`
	Holder      string     `json:"holder,omitempty" doc:"Process that worked on it last"`
	LeaseUntil  *time.Time `json:"lease_until,omitempty"`
}

func (s *server) asRun(r store.Run) runDoc {
	d := runDoc{
		Number: r.Number, Kind: string(r.Kind), Name: r.Window, Collection: r.Collection, State: string(r.State), RequestedBy: r.RequestedBy,
		CreatedAt: r.CreatedAt.UTC(), Total: r.Total, Done: r.Done, Changed: r.Changed, Failed: r.Failed, Reason: r.StopReason, Cancel: r.Cancel, Holder: r.Holder,
	}
	if r.State != store.RunRunning {
		d.EndedAt = moment(r.EndedAt)
		return d
	}
	d.LeaseUntil = moment(r.LeaseUntil)
	if left, known := outlook.Left(&r, s.Settings.Current().Batch, s.Now()); known {
		seconds := left.Seconds()
		d.Left = &seconds
	}
	return d
}

// moment is nil for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

type pauseDoc struct {
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until,omitempty" doc:"Absent: until resumed"`
	Reason string     `json:"reason"`
	Who    string     `json:"who"`
}

// asPause is nil where nothing is paused.
func asPause(p settings.Pause, now time.Time) *pauseDoc {
	if !p.On(now) {
		return nil
	}
	return &pauseDoc{p.Since.UTC(), moment(p.Until), p.Reason, p.Who}
}

type windowDoc struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

type backlogDoc struct {
	Due       int64      `json:"due" doc:"Computations that are owed"`
	New       int64      `json:"new" doc:"NFTs with votes and without a score"`
	Old       int64      `json:"old" doc:"Old scores with votes enough"`
	OldestDue *time.Time `json:"oldest_due,omitempty"`
	OldestNew *time.Time `json:"oldest_new,omitempty"`
}

type coverageDoc struct {
	Runs int64   `json:"runs" doc:"Runs until the whole backlog is covered, if nothing is added"`
	All  float64 `json:"all_seconds" doc:"From the start of the next run"`
	Due  float64 `json:"due_seconds"`
	New  float64 `json:"new_seconds"`
	Old  float64 `json:"old_seconds"`
}

type pacingDoc struct {
	Mode    string   `json:"mode" enum:"fixed,adaptive"`
	Chunk   int      `json:"chunk" doc:"NFTs of the last chunk"`
	Pause   float64  `json:"pause_seconds"`
	Healthy bool     `json:"healthy"`
	Stopped bool     `json:"stopped"`
	Reason  string   `json:"reason,omitempty" doc:"Why it is slow or stopped"`
	Unknown []string `json:"unknown,omitempty" doc:"Signals that cannot be read"`
}

type schedulerDoc struct {
	Every    float64     `json:"every_seconds"`
	Mode     string      `json:"mode" enum:"fixed,adaptive"`
	Size     int         `json:"size" doc:"NFTs of a run in mode fixed"`
	Next     *windowDoc  `json:"next,omitempty" doc:"Window of the next batch; absent while batches are paused until somebody resumes them"`
	Last     *runDoc     `json:"last,omitempty" doc:"The last batch"`
	Running  []runDoc    `json:"running" nullable:"false"`
	Paused   *pauseDoc   `json:"paused,omitempty" doc:"Batches and backfills are paused"`
	Triggers *pauseDoc   `json:"triggers_paused,omitempty" doc:"Votes mark NFTs due instead of computing"`
	Backlog  backlogDoc  `json:"backlog"`
	Coverage coverageDoc `json:"coverage"`
	Pacing   *pacingDoc  `json:"pacing,omitempty" doc:"How this process paced its last chunk"`
}

type planDoc struct {
	Window   *windowDoc   `json:"window,omitempty" doc:"Of the next batch; absent while batches are paused until somebody resumes them"`
	Items    []planItem   `json:"items" nullable:"false" doc:"In the order in which they are computed"`
	Work     float64      `json:"work_seconds"`
	Pauses   float64      `json:"pause_seconds"`
	Total    float64      `json:"total_seconds"`
	Left     int          `json:"left" doc:"Items that do not fit into the cap"`
	Backlog  backlogDoc   `json:"backlog"`
	Coverage *coverageDoc `json:"coverage"`
}

type planItem struct {
	NFT        string `json:"nft"`
	Collection string `json:"collection"`
	Class      string `json:"class" enum:"due,new,old"`
	Why        string `json:"why"`
	Votes      int64  `json:"votes"`
}

func (s *server) runs() {
	register(s, operation{Method: http.MethodGet, Path: "/scheduler", ID: "getScheduler", Tag: "scheduler", Need: access.View,
		Summary: "Get the schedule, its pauses, the backlog and the pace"}, s.getScheduler)
	register(s, operation{Method: http.MethodGet, Path: "/scheduler/plan", ID: "getPlan", Tag: "scheduler", Need: access.View,
		Summary: "Get what the next batch would do if it began now"}, s.getPlan)
	register(s, operation{Method: http.MethodPost, Path: "/scheduler/pause", ID: "pauseBatches", Tag: "scheduler", Need: access.Operate, Status: http.StatusOK,
		Summary: "Pause batches and backfills", Description: "Votes are still taken, and trigger. Runs by hand go on."}, s.pause(settings.Batches))
	register(s, operation{Method: http.MethodPost, Path: "/scheduler/resume", ID: "resumeBatches", Tag: "scheduler", Need: access.Operate, Status: http.StatusOK,
		Summary: "Resume batches and backfills"}, s.resume(settings.Batches))
	register(s, operation{Method: http.MethodGet, Path: "/runs", ID: "listRuns", Tag: "scheduler", Need: access.View,
		Summary: "List runs", Description: "Newest first."}, s.listRuns)
	register(s, operation{Method: http.MethodPost, Path: "/runs", ID: "startRun", Tag: "scheduler", Need: access.Operate, Status: http.StatusAccepted,
		Summary: "Start a run now", Description: "As a batch, outside of the schedule."}, s.startRun)
	register(s, operation{Method: http.MethodGet, Path: "/runs/{number}", ID: "getRun", Tag: "scheduler", Need: access.View, Summary: "Get a run"}, s.getRun)
	register(s, operation{Method: http.MethodGet, Path: "/runs/{number}/items", ID: "listRunItems", Tag: "scheduler", Need: access.View,
		Summary: "List what a run did", Description: "Its activity, newest first."}, s.listRunItems)
	register(s, operation{Method: http.MethodPost, Path: "/runs/{number}/cancel", ID: "cancelRun", Tag: "scheduler", Need: access.Operate, Status: http.StatusAccepted,
		Summary: "Cancel a run", Description: "It ends after the chunk under way."}, s.cancelRun)
	register(s, operation{Method: http.MethodGet, Path: "/backfills", ID: "listBackfills", Tag: "scheduler", Need: access.View,
		Summary: "List backfills", Description: "Newest first."}, s.listBackfills)
	register(s, operation{Method: http.MethodPost, Path: "/backfills", ID: "startBackfill", Tag: "scheduler", Need: access.Operate, Status: http.StatusAccepted,
		Summary: "Start a backfill", Description: "The exact computation of every NFT with votes, of one collection or all."}, s.startBackfill)
}

func asBacklog(b store.Backlog) backlogDoc {
	return backlogDoc{b.Due, b.New, b.Old, moment(b.OldestDue), moment(b.OldestNew)}
}

// asWindow is nil for no window.
func asWindow(w batch.Window) *windowDoc {
	if w.Start.IsZero() {
		return nil
	}
	d := windowDoc(w)
	return &d
}

func asCoverage(c batch.Coverage) coverageDoc {
	return coverageDoc{c.Runs, c.All.Seconds(), c.Due.Seconds(), c.New.Seconds(), c.Old.Seconds()}
}

func (s *server) getScheduler(ctx context.Context, _ *struct{}) (*out[schedulerDoc], error) {
	in, now := s.Settings.Current(), s.now()
	backlog, err := outlook.Backlog(ctx, s.Store, in, now)
	if err != nil {
		return nil, err
	}
	next, err := outlook.Schedule(ctx, s.Store, in, backlog, now)
	if err != nil {
		return nil, err
	}
	recent, err := s.Store.Runs(ctx, "", 0, 50)
	if err != nil {
		return nil, fmt.Errorf("reading the runs: %w", err)
	}
	doc := schedulerDoc{
		Every: in.Batch.Every.Seconds(), Mode: in.Batch.Mode, Size: in.Batch.Size, Next: asWindow(next.Window), Running: []runDoc{},
		Paused: asPause(in.Batches, now), Triggers: asPause(in.Triggers, now), Backlog: asBacklog(next.Backlog), Coverage: asCoverage(next.Coverage),
	}
	if next.Last != nil {
		last := s.asRun(*next.Last)
		doc.Last = &last
	}
	for _, r := range recent {
		if r.State == store.RunRunning {
			doc.Running = append(doc.Running, s.asRun(r))
		}
	}
	if p := s.Runs.Pacing(); p.Mode != "" {
		doc.Pacing = &pacingDoc{p.Mode, p.Chunk, p.Pause.Seconds(), p.Healthy, p.Stopped, p.Reason, p.Unknown}
	}
	return answer(doc), nil
}

type planIn struct{ Filter }

func (s *server) getPlan(ctx context.Context, in *planIn) (*out[planDoc], error) {
	collection, err := in.collection()
	if err != nil {
		return nil, err
	}
	if err := s.knownCollection(ctx, collection); err != nil {
		return nil, err
	}
	backlog, err := s.Backlog(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting the backlog: %w", err)
	}
	next, err := outlook.Next(ctx, s.Store, s.Runs, s.Settings.Current(), backlog, collection, s.now())
	if err != nil {
		return nil, err
	}
	coverage := asCoverage(next.Coverage)
	doc := planDoc{
		Window: asWindow(next.Window), Items: make([]planItem, len(next.Items)), Work: next.Cost.Work.Seconds(), Pauses: next.Cost.Pauses.Seconds(),
		Total: next.Cost.Total.Seconds(), Left: next.Cost.Left, Backlog: asBacklog(next.Backlog), Coverage: &coverage,
	}
	for i, item := range next.Items {
		doc.Items[i] = planItem{item.ID, item.Collection, string(item.Class), item.Reason, item.Votes}
	}
	return answer(doc), nil
}

type pauseIn struct {
	Body struct {
		Reason freeText  `json:"reason" minLength:"1" maxLength:"1000"`
		Until  time.Time `json:"until,omitzero" doc:"When it ends by itself; without it, when resumed"`
	}
}

type resumeIn struct {
	Body struct {
		Why freeText `json:"why,omitempty" maxLength:"1000"`
	}
}

type pausedDoc struct {
	Paused *pauseDoc `json:"paused,omitempty"`
}

func (s *server) pause(what settings.Subject) func(context.Context, *pauseIn) (*out[pausedDoc], error) {
	return func(ctx context.Context, in *pauseIn) (*out[pausedDoc], error) {
		err := s.Settings.Pause(ctx, what, settings.Pause{Until: in.Body.Until, Reason: string(in.Body.Reason), Who: who(ctx)})
		if err != nil {
			return nil, err
		}
		return answer(s.paused(what)), nil
	}
}

func (s *server) resume(what settings.Subject) func(context.Context, *resumeIn) (*out[pausedDoc], error) {
	return func(ctx context.Context, in *resumeIn) (*out[pausedDoc], error) {
		if err := s.Settings.Resume(ctx, what, who(ctx), string(in.Body.Why)); err != nil {
			return nil, err
		}
		return answer(s.paused(what)), nil
	}
}

func (s *server) paused(what settings.Subject) pausedDoc {
	in := s.Settings.Current()
	if what == settings.Triggers {
		return pausedDoc{asPause(in.Triggers, s.Now())}
	}
	return pausedDoc{asPause(in.Batches, s.Now())}
}

type listRunsIn struct {
	Page
	Kind string `query:"kind" enum:"batch,manual,backfill,upkeep"`
}

func (s *server) listRuns(ctx context.Context, in *listRunsIn) (*out[list[runDoc]], error) {
	return s.pageOfRuns(ctx, in.Page, store.RunKind(in.Kind))
}

type listBackfillsIn struct{ Page }

func (s *server) listBackfills(ctx context.Context, in *listBackfillsIn) (*out[list[runDoc]], error) {
	return s.pageOfRuns(ctx, in.Page, store.BackfillRun)
}

func (s *server) pageOfRuns(ctx context.Context, p Page, kind store.RunKind) (*out[list[runDoc]], error) {
	before, err := p.number("run")
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.Runs(ctx, kind, before, p.Limit)
	if err != nil {
		return nil, fmt.Errorf("listing runs: %w", err)
	}
	return answer(paged(rows, p.Limit, s.asRun, func(r store.Run) string { return numberCursor("run", r.Number) })), nil
}

// Requested is a request for a run. The same name is the same run.
type Requested struct {
	Collection *freeText `json:"collection,omitempty" maxLength:"200" doc:"Name of a collection; all without it"`
	Name       string    `json:"name,omitempty" maxLength:"200" doc:"A name of your own, unique among runs of its kind: a request repeated with it starts no second run"`
}

// name returns the name of the run.
func (r Requested) name() (string, error) {
	if r.Name == "" {
		return "request-" + rand.Text(), nil
	}
	return r.Name, checkID("body.name", r.Name)
}

type startRunIn struct {
	Body struct {
		Requested
		Size int `json:"size,omitempty" minimum:"1" maximum:"100000" doc:"NFTs; as many as a batch without it. Its time cap ends the run, whatever its size"`
	}
}

func (r Requested) collection() *string { return (*string)(r.Collection) }

func (s *server) startRun(ctx context.Context, in *startRunIn) (*out[runDoc], error) {
	name, err := in.Body.name()
	if err != nil {
		return nil, err
	}
	if err := s.knownCollection(ctx, in.Body.collection()); err != nil {
		return nil, err
	}
	run, err := s.Runs.RunNow(ctx, scheduler.Manual{Size: in.Body.Size, Collection: in.Body.collection(), Who: who(ctx), Name: name})
	if err != nil {
		return nil, err
	}
	doc := s.asRun(run)
	if cost := batch.Estimate(s.Settings.Current().Batch.Sized(in.Body.Size), in.Body.Size, 0); cost.Left > 0 {
		doc.Fits = &cost.NFTs
	}
	return answer(doc), nil
}

type startBackfillIn struct {
	Body struct {
		Requested
	}
}

func (s *server) startBackfill(ctx context.Context, in *startBackfillIn) (*out[runDoc], error) {
	name, err := in.Body.name()
	if err != nil {
		return nil, err
	}
	if err := s.knownCollection(ctx, in.Body.collection()); err != nil {
		return nil, err
	}
	run, err := s.Runs.Backfill(ctx, in.Body.collection(), name, who(ctx))
	if err != nil {
		return nil, err
	}
	return answer(s.asRun(run)), nil
}

// RunPath is the run that a path names.
type RunPath struct {
	Number int64 `path:"number" minimum:"1"`
}

func (s *server) run(ctx context.Context, number int64) (store.Run, error) {
	run, err := s.Store.Run(ctx, number)
	if errors.Is(err, store.ErrNotFound) {
		return run, notFound("run", fmt.Sprint(number))
	}
	if err != nil {
		return run, fmt.Errorf("reading a run: %w", err)
	}
	return run, nil
}

func (s *server) getRun(ctx context.Context, in *RunPath) (*out[runDoc], error) {
	run, err := s.run(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	return answer(s.asRun(run)), nil
}

type runPageIn struct {
	RunPath
	Page
}

func (s *server) listRunItems(ctx context.Context, in *runPageIn) (*out[list[activityDoc]], error) {
	if _, err := s.run(ctx, in.Number); err != nil {
		return nil, err
	}
	return s.pageOfActivity(ctx, in.Page, store.ActivityQuery{Run: in.Number})
}

func (s *server) cancelRun(ctx context.Context, in *RunPath) (*out[runDoc], error) {
	run, err := s.Operate.Cancel(ctx, in.Number, who(ctx))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, notFound("run", fmt.Sprint(in.Number))
	case errors.Is(err, operate.ErrEnded):
		return nil, &failure{codeState, "path.number", fmt.Sprintf("run %d has ended: %s", run.Number, run.State)}
	case errors.Is(err, operate.ErrUpkeep):
		return nil, &failure{ledger.CodeNotAllowed, "path.number", err.Error()}
	case err != nil:
		return nil, err
	}
	return answer(s.asRun(run)), nil
}
