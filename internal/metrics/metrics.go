// Package metrics tells Prometheus what a process does. Every metric is
// described in docs/metrics.md.
//
// A scrape never touches the database: what has to be read from it is read by
// one goroutine per process, and only while somebody scrapes.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scheduler"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

// Options of Metrics. A zero field means its default.
type Options struct {
	Version  string           // of this program
	Revision string           // of its source
	Now      func() time.Time // time.Now
	Log      *slog.Logger     // discarded
}

// Metrics are the metrics of one process. It is an Observer of its ledger and
// of its scheduler. Its methods are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	now      func() time.Time
	log      *slog.Logger

	votes        *prometheus.CounterVec
	commitVotes  prometheus.Histogram
	commitTime   prometheus.Histogram
	triggers     *prometheus.CounterVec
	computations *prometheus.CounterVec
	runs         *prometheus.CounterVec
	runNFTs      *prometheus.CounterVec
	runWork      *prometheus.CounterVec

	sources Sources
	cancel  context.CancelFunc
	done    chan struct{} // closed when the refresher has ended; nil before Watch
	wake    chan struct{} // holds a token after a scrape

	mu      sync.Mutex // guards what follows
	scraped time.Time
	seen    seen
}

var (
	_ ledger.Observer    = (*Metrics)(nil)
	_ scheduler.Observer = (*Metrics)(nil)
)

// New returns the metrics of a process, in a registry of their own.
func New(o Options) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), now: o.Now, log: o.Log, wake: make(chan struct{}, 1)}
	if m.now == nil {
		m.now = time.Now
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.votes = m.counter("poa_votes_total", "Votes answered, by kind, outcome and, where refused, code.", "kind", "outcome", "code")
	m.commitVotes = m.histogram("poa_commit_votes", "Votes recorded in one commit.", 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
	m.commitTime = m.histogram("poa_commit_duration_seconds", "Time of the transaction that records a group of votes.",
		.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10)
	m.triggers = m.counter("poa_triggers_total", "Triggers that votes fired, by reason and by what came of them.", "reason", "outcome")
	m.computations = m.counter("poa_computations_total", "Scores computed, by basis and reason.", "basis", "reason")
	m.runs = m.counter("poa_runs_total", "Runs ended by this process, by kind and state.", "kind", "state")
	m.runNFTs = m.counter("poa_run_nfts_total", "NFTs computed in runs, by kind of run and result.", "kind", "result")
	m.runWork = m.counter("poa_run_work_seconds_total", "Time spent computing in runs, without pauses.", "kind")
	m.zero()

	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "poa_build_info", Help: "1, with the version of this program as labels.",
		ConstLabels: prometheus.Labels{"version": o.Version, "revision": o.Revision, "go_version": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histogram(name, help string, buckets ...float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

// The outcomes of votes.
const (
	counted   = "counted"
	duplicate = "duplicate"
	refused   = "refused"
	busy      = "busy"      // the queue was full, or the ledger closed
	abandoned = "abandoned" // the caller left before the vote's turn
)

// zero lets the counters that alerts and rates go by begin at 0, so that the
// first event is seen as a rise.
func (m *Metrics) zero() {
	for _, v := range []scoring.Vote{{Kind: scoring.Matchup}, {Kind: scoring.Matchup, Super: true}, {Kind: scoring.Slider}, {Kind: scoring.Fire}, {Kind: scoring.Unfire}} {
		for _, outcome := range []string{counted, duplicate, busy, abandoned} {
			m.votes.WithLabelValues(publish.KindName(v), outcome, "")
		}
		for _, code := range []ledger.Code{ledger.CodeInternal, ledger.CodeTryAgain, ledger.CodeUnknown} {
			m.votes.WithLabelValues(publish.KindName(v), refused, string(code))
		}
	}
	for _, reason := range []trigger.Reason{trigger.Super, trigger.Fire, trigger.Milestone, trigger.HighActivity} {
		m.triggers.WithLabelValues(string(reason), "computed")
		m.triggers.WithLabelValues(string(reason), "deferred")
		m.triggers.WithLabelValues(string(reason), "capped")
		m.computations.WithLabelValues(string(store.Incremental), string(reason))
	}
	for _, kind := range runKinds {
		for _, state := range []store.RunState{store.RunDone, store.RunStopped, store.RunCancelled, store.RunFailed} {
			m.runs.WithLabelValues(string(kind), string(state))
		}
		if kind == store.UpkeepRun {
			continue
		}
		for _, result := range []string{"changed", "unchanged", "failed"} {
			m.runNFTs.WithLabelValues(string(kind), result)
		}
		m.computations.WithLabelValues(string(store.Exact), string(kind))
		m.runWork.WithLabelValues(string(kind))
	}
}

var runKinds = [...]store.RunKind{store.BatchRun, store.ManualRun, store.BackfillRun, store.UpkeepRun}

// Answered counts the answer of a vote.
func (m *Metrics) Answered(v *ledger.Vote, a *ledger.Answer) {
	outcome, code := counted, ""
	var refusal *ledger.Error
	switch {
	case a.Err == nil && a.Duplicate:
		outcome = duplicate
	case a.Err == nil:
	case errors.As(a.Err, &refusal):
		outcome, code = refused, string(refusal.Code)
	case errors.Is(a.Err, ledger.ErrBusy), errors.Is(a.Err, ledger.ErrClosed):
		outcome = busy
	default:
		outcome = abandoned
	}
	m.votes.WithLabelValues(publish.KindName(v.Vote), outcome, code).Inc()
	for i := range a.Triggered {
		came := "computed"
		if a.Triggered[i].Capped {
			came = "capped"
		} else if a.Triggered[i].Deferred != "" {
			came = "deferred"
		}
		m.triggers.WithLabelValues(string(a.Triggered[i].Reason), came).Inc()
	}
}

// Committed counts a commit of votes.
func (m *Metrics) Committed(c ledger.Commit) {
	m.commitVotes.Observe(float64(c.Votes))
	m.commitTime.Observe(c.Took.Seconds())
	for i := range c.Activity {
		if a := &c.Activity[i]; a.Kind == store.Computed || a.Kind == store.Withdrawn {
			m.computations.WithLabelValues(string(a.Basis), a.Reason).Inc()
		}
	}
}

// Computed counts a chunk of a run.
func (m *Metrics) Computed(c scheduler.Chunk) {
	kind := string(c.Kind)
	m.runNFTs.WithLabelValues(kind, "changed").Add(float64(c.Changed))
	m.runNFTs.WithLabelValues(kind, "unchanged").Add(float64(c.Unchanged))
	m.runNFTs.WithLabelValues(kind, "failed").Add(float64(c.Failed))
	m.computations.WithLabelValues(string(store.Exact), kind).Add(float64(c.Changed + c.Unchanged))
	m.runWork.WithLabelValues(kind).Add(max(0, c.Took.Seconds()))
}

// Ended counts the end of a run.
func (m *Metrics) Ended(r store.Run) { m.runs.WithLabelValues(string(r.Kind), string(r.State)).Inc() }

// Handler serves the metrics to Prometheus.
func (m *Metrics) Handler() http.Handler {
	h := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelError), MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.scraped = m.now()
		m.mu.Unlock()
		select {
		case m.wake <- struct{}{}:
		default:
		}
		h.ServeHTTP(w, r)
	})
}

// Gatherer returns the metrics, as a scrape does.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }
