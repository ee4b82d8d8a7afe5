package dropin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"poa/internal/outlook"
	"poa/internal/settings"
	"poa/internal/store"
)

const (
	// overviewFor is how long the parts of the status are kept, for all who look.
	overviewFor = time.Second
	// totalsFor is how long totals that are counted are kept.
	totalsFor = time.Minute
)

// systemStatus are the totals. An average is null where there is nothing to
// take it of.
type systemStatus struct {
	NFTs        int64    `json:"total_nfts"`
	Scored      int64    `json:"nfts_with_poa_v2"`
	POA         *float64 `json:"avg_poa_v2"`
	Confidence  *float64 `json:"avg_confidence"`
	Voters      int64    `json:"users_with_stats"`
	Reliability *float64 `json:"avg_reliability"`
}

type schedulerConfig struct {
	Batch   batchConfig   `json:"batch"`
	Trigger triggerConfig `json:"trigger"`
	Status  configStatus  `json:"status"`
}

type batchConfig struct {
	Enabled  bool    `json:"enabled"`
	Interval float64 `json:"intervalMinutes"`
	Size     int     `json:"batchSize"`
	Cap      float64 `json:"maxProcessingTime"`
	Delay    float64 `json:"delayBetweenNFTs"`
	Mode     string  `json:"mode"`
}

type triggerConfig struct {
	Enabled      bool    `json:"enabled"`
	Milestones   []int64 `json:"voteMilestones"`
	Super        bool    `json:"superVoteAlways"`
	Fire         bool    `json:"fireVoteAlways"`
	HighActivity int     `json:"highActivityThreshold"`
}

type configStatus struct {
	Enabled bool     `json:"poaV2Enabled"`
	Next    *moment  `json:"nextBatchEstimate"`
	Health  string   `json:"systemHealth"`
	Reasons []string `json:"healthReasons"`
}

// The words of systemHealth, from the worst.
const (
	healthUnavailable = "unavailable" // the database does not answer or takes no writes
	healthDegraded    = "degraded"    // something failed or waits for too long
	healthPaused      = "paused"      // batches or triggers are paused
	healthHealthy     = "healthy"
)

// lateAfter is after how many windows what is owed should have been computed.
const lateAfter = 2

func asConfig(in *settings.InForce, now time.Time) schedulerConfig {
	b, r := in.Batch, in.Policy.Rules
	c := schedulerConfig{
		Batch: batchConfig{
			Enabled: !in.Batches.On(now), Interval: round(b.Every.Minutes(), 2), Size: b.Size, Mode: b.Mode,
			Cap: float64(b.Cap.Milliseconds()), Delay: float64(b.Delay.Milliseconds()),
		},
		Trigger: triggerConfig{
			Enabled:    (r.Super || r.Fire || r.Milestone || r.HighActivity) && !in.Triggers.On(now),
			Milestones: []int64{}, Super: r.Super, Fire: r.Fire,
		},
	}
	if r.Milestone {
		c.Trigger.Milestones = append(c.Trigger.Milestones, r.Milestones...)
	}
	if r.HighActivity {
		c.Trigger.HighActivity = r.HighActivityVotes
	}
	c.Status = configStatus{Enabled: c.Batch.Enabled || c.Trigger.Enabled, Health: healthHealthy, Reasons: []string{}}
	return c
}

// schedule returns the configuration with the next run and the health.
func (a *API) schedule(ctx context.Context) (schedulerConfig, error) {
	in, now := a.Settings.Current(), a.now()
	c := asConfig(in, now)
	if err := a.Store.Ping(ctx); err != nil {
		return c, fmt.Errorf("asking the database: %w", err)
	}
	backlog, err := outlook.Backlog(ctx, a.Store, in, now)
	if err != nil {
		return c, err
	}
	next, err := outlook.Schedule(ctx, a.Store, in, backlog, now)
	if err != nil {
		return c, err
	}
	failed, err := a.Store.Failures(ctx, 1)
	if err != nil {
		return c, fmt.Errorf("reading the failed list: %w", err)
	}
	c.Status.Next = momentOf(nextRun(in, next, now))
	c.Status.Health, c.Status.Reasons = health(in, next, failed, now)
	return c, nil
}

// nextRun returns when the next batch begins; zero where batches are paused
// until somebody resumes them.
func nextRun(in *settings.InForce, next outlook.Run, now time.Time) time.Time {
	if !in.Batches.On(now) {
		return later(next.Window.Start, now)
	}
	if in.Batches.Until.IsZero() {
		return time.Time{}
	}
	// A window that is open when the pause ends runs then.
	var last time.Time
	if next.Last != nil {
		last, _ = time.Parse(time.RFC3339, next.Last.Window)
	}
	end := in.Batches.Until
	if _, due := in.Batch.ToRun(last, end); due {
		return end
	}
	return in.Batch.Following(last, end).Start
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// health says how the system is, and why.
func health(in *settings.InForce, next outlook.Run, failed []store.Failure, now time.Time) (string, []string) {
	word, reasons := healthHealthy, []string{}
	paused := func(what settings.Subject, p settings.Pause) {
		if p.On(now) {
			word = healthPaused
			reasons = append(reasons, fmt.Sprintf("%s are paused by %s: %s", what, p.Who, p.Reason))
		}
	}
	paused(settings.Batches, in.Batches)
	paused(settings.Triggers, in.Triggers)
	bad := func(format string, args ...any) {
		word = healthDegraded
		reasons = append(reasons, fmt.Sprintf(format, args...))
	}
	if len(failed) > 0 {
		bad("NFTs are on the failed list, the latest %q: %s", failed[0].ID, failed[0].Error)
	}
	if next.Last != nil && next.Last.State == store.RunFailed {
		bad("the last batch failed: %s", next.Last.StopReason)
	}
	if in.Batches.On(now) {
		return word, reasons // what waits, waits for its end
	}
	if since := next.Backlog.OldestDue; !since.IsZero() && now.Sub(since) > lateAfter*in.Batch.Every {
		bad("computations are owed since %s", since.UTC().Format(time.RFC3339))
	}
	if next.Last != nil && now.Sub(next.Last.CreatedAt) > lateAfter*in.Batch.Every {
		bad("no batch has begun since %s", next.Last.CreatedAt.UTC().Format(time.RFC3339))
	}
	return word, reasons
}

// config answers action=config. It also answers while the database does not.
func (a *API) config(ctx context.Context, _ *request) (any, error) {
	c, err := a.schedule(ctx)
	if err == nil {
		return c, nil
	}
	if !errors.Is(err, store.ErrUnavailable) {
		return nil, err
	}
	c.Status.Health, c.Status.Reasons = healthUnavailable, []string{"the database cannot be reached or takes no writes"}
	return c, nil
}

// overview is what several answers begin with.
type overview struct {
	System     systemStatus
	Config     schedulerConfig
	Last24h    int64
	Recent     []computed
	Candidates []candidate
}

// look returns the overview, read at most every overviewFor.
func (a *API) look(ctx context.Context) (overview, error) {
	return a.overview.get(ctx, a.Now(), overviewFor, a.overviewNow)
}

const (
	recentShown     = 10
	candidatesShown = 20
)

func (a *API) overviewNow(ctx context.Context) (o overview, err error) {
	if o.System, err = a.system(ctx); err != nil {
		return o, err
	}
	if o.Config, err = a.schedule(ctx); err != nil {
		return o, err
	}
	if o.Recent, err = a.recent(ctx, recentShown); err != nil {
		return o, err
	}
	o.Last24h, err = a.computed.get(ctx, a.Now(), totalsFor, func(ctx context.Context) (int64, error) {
		return a.Store.ComputedSince(ctx, a.now().Add(-day))
	})
	if err != nil {
		return o, fmt.Errorf("counting computations: %w", err)
	}
	// The count is a minute old: those that are listed have happened.
	o.Last24h = max(o.Last24h, int64(len(o.Recent)))
	ready, err := a.ready(ctx, candidatesShown)
	o.Candidates = neglected(ready, candidatesShown)
	return o, err
}

// collections returns the collections with their kept totals.
func (a *API) collections(ctx context.Context) (list []store.Collection, err error) {
	err = a.Store.View(ctx, func(v store.View) (err error) {
		list, err = v.Collections(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the collections: %w", err)
	}
	return list, nil
}

func (a *API) system(ctx context.Context) (systemStatus, error) {
	list, err := a.collections(ctx)
	if err != nil {
		return systemStatus{}, err
	}
	voters, err := a.voters.get(ctx, a.Now(), totalsFor, func(ctx context.Context) (store.VoterTotals, error) {
		return a.Store.VoterTotals(ctx, a.Settings.Current().Policy.Constants.ReliabilityMinJudged)
	})
	if err != nil {
		return systemStatus{}, fmt.Errorf("summing up voters: %w", err)
	}
	t := sum(list)
	s := systemStatus{NFTs: t.NFTs, Scored: t.Scored, Voters: voters.Sliding}
	if t.Scored > 0 {
		poa, confidence := t.averages()
		s.POA, s.Confidence = &poa, &confidence
	}
	if voters.Judged > 0 {
		r := round(voters.Reliability, 3)
		s.Reliability = &r
	}
	return s, nil
}

// sum adds up the totals of collections.
func sum(list []store.Collection) (t totals) {
	for _, c := range list {
		t.NFTs += c.NFTs
		t.Ready += c.Ready
		t.Scored += c.Scored
		t.POASum += c.POASum
		t.ConfidenceSum += c.ConfidenceSum
	}
	return t
}

type totals store.Collection

// averages are 0 where there is no score.
func (t totals) averages() (poa, confidence float64) {
	n := float64(t.Scored) * 100 // the sums are in hundredths
	return ratio(float64(t.POASum), n), ratio(float64(t.ConfidenceSum), n)
}

// status answers action=status.
func (a *API) status(ctx context.Context, _ *request) (any, error) {
	o, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	type activity struct {
		Last24h int64      `json:"computationsLast24h"`
		Recent  []computed `json:"recentComputations"`
	}
	type candidates struct {
		High int         `json:"highPriority"`
		List []candidate `json:"candidates"`
	}
	type next struct {
		At       *moment `json:"estimatedTime"`
		Interval float64 `json:"intervalMinutes"`
	}
	return struct {
		System     systemStatus    `json:"systemStatus"`
		Config     schedulerConfig `json:"schedulerConfig"`
		Activity   activity        `json:"recentActivity"`
		Candidates candidates      `json:"triggerCandidates"`
		Next       next            `json:"nextBatch"`
	}{
		o.System, o.Config, activity{o.Last24h, o.Recent}, candidates{len(o.Candidates), o.Candidates},
		next{o.Config.Status.Next, o.Config.Batch.Interval},
	}, nil
}

// batchCandidates answers action=batch_candidates: the plan of the next batch.
func (a *API) batchCandidates(ctx context.Context, _ *request) (any, error) {
	items, err := a.Runs.Plan(ctx, a.Settings.Current().Batch, nil)
	if err != nil {
		return nil, err
	}
	unscored, scored, err := a.split(ctx, items)
	if err != nil {
		return nil, err
	}
	type unscoredNFT struct {
		candidate
		Mean float64 `json:"elo_mean"`
	}
	type scoredNFT struct {
		candidate
		POA float64 `json:"poa_v2"`
		At  moment  `json:"poa_v2_updated_at"`
	}
	type counts struct {
		New   int `json:"newCount"`
		Old   int `json:"oldCount"`
		Total int `json:"totalCandidates"`
	}
	doc := struct {
		New    []unscoredNFT `json:"newNFTs"`
		Old    []scoredNFT   `json:"oldNFTs"`
		Counts counts        `json:"summary"`
	}{[]unscoredNFT{}, []scoredNFT{}, counts{len(unscored), len(scored), len(unscored) + len(scored)}}
	for _, r := range unscored {
		doc.New = append(doc.New, unscoredNFT{asCandidate(r), round(r.Rating.Mean, 2)})
	}
	for _, r := range scored {
		doc.Old = append(doc.Old, scoredNFT{asCandidate(r), r.Rating.Score.POA, moment(r.Rating.Score.ComputedAt)})
	}
	return doc, nil
}

// schema answers that the tables are those of this program, with the totals.
func (a *API) schema(ctx context.Context, _ *request) (any, error) {
	have, want, err := a.Store.Schema(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	system, err := a.system(ctx)
	if err != nil {
		return nil, err
	}
	return struct {
		Fits   bool         `json:"allTestsPassed"`
		System systemStatus `json:"systemStatus"`
	}{have == want, system}, nil
}
