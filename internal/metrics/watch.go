package metrics

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"poa/internal/batch"
	"poa/internal/gamesync"
	"poa/internal/live"
	"poa/internal/settings"
	"poa/internal/store"
)

// Sources are the parts of a process that are looked at. The metrics of those
// that are nil are left out.
type Sources struct {
	Store        Database
	Settings     func() *settings.InForce
	VotesWaiting func() int         // in the ledger
	Pacing       func() batch.State // of the scheduler
	Live         func() live.Stats
	Sync         func() gamesync.Status     // of the game that is followed
	Writeback    func() gamesync.WriteStats // of the scores that are written back
}

// Database is the part of store.Service that is read.
type Database interface {
	Statements() int64
	SettingsVersion(ctx context.Context) (int64, error)
	Backlog(ctx context.Context, oldBefore time.Time, limit int64) (store.Backlog, error)
	Runs(ctx context.Context, kind store.RunKind, before int64, limit int) ([]store.Run, error)
}

const (
	// refreshEvery is how often the database is read while somebody scrapes,
	// and watchedFor how long after a scrape that is taken to be so.
	refreshEvery = 15 * time.Second
	watchedFor   = 5 * time.Minute
	// staleAfter is when values that could not be read anew are left out.
	staleAfter  = 2 * time.Minute
	readTimeout = 10 * time.Second
	// oldCounted is up to how many old scores are counted.
	oldCounted = 100_000
	// runsLooked is how many of the latest runs of a kind are looked at for
	// one that has ended.
	runsLooked = 5
)

// seen is what was read from the database.
type seen struct {
	probed  bool
	up      bool
	latency time.Duration
	at      time.Time // of what follows; zero for never
	backlog store.Backlog
	ended   map[store.RunKind]time.Time // the last run's end
}

// Watch registers the metrics of a process's parts and starts the goroutine
// that reads the database. Call it once.
func (m *Metrics) Watch(s Sources) {
	m.sources = s
	m.registry.MustRegister(m.gauges())
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel, m.done = cancel, make(chan struct{})
	go m.refreshes(ctx)
}

// Stop ends the goroutine. It may be called more than once.
func (m *Metrics) Stop() {
	if m.cancel != nil {
		m.cancel()
		<-m.done
	}
}

// refreshes reads the database while somebody scrapes.
func (m *Metrics) refreshes(ctx context.Context) {
	defer close(m.done)
	if m.sources.Store == nil {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	idle := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
			if !idle {
				continue
			}
		case <-timer.C:
			m.mu.Lock()
			idle = m.now().Sub(m.scraped) > watchedFor
			m.mu.Unlock()
			if idle {
				continue
			}
		}
		idle = false
		m.refresh(ctx)
		timer.Reset(refreshEvery)
	}
}

// refresh reads the database once.
func (m *Metrics) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	began := m.now()
	_, err := m.sources.Store.SettingsVersion(ctx)
	latency := m.now().Sub(began)
	next := seen{at: began, ended: map[store.RunKind]time.Time{}}
	if err == nil {
		next.backlog, next.ended, err = m.read(ctx, began)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.seen
	if err != nil {
		if before.up || !before.probed {
			m.log.Warn("reading the metrics of the database failed; it is tried again", "err", err)
		}
		next.at, next.backlog, next.ended = before.at, before.backlog, before.ended
	}
	next.probed, next.up, next.latency = true, err == nil, latency
	m.seen = next
}

func (m *Metrics) read(ctx context.Context, now time.Time) (store.Backlog, map[store.RunKind]time.Time, error) {
	oldAfter := batch.Defaults().OldAfter
	if m.sources.Settings != nil {
		oldAfter = m.sources.Settings().Batch.OldAfter
	}
	backlog, err := m.sources.Store.Backlog(ctx, now.Add(-oldAfter), oldCounted)
	if err != nil {
		return backlog, nil, fmt.Errorf("reading the backlog: %w", err)
	}
	ended := map[store.RunKind]time.Time{}
	for _, kind := range runKinds {
		runs, err := m.sources.Store.Runs(ctx, kind, 0, runsLooked)
		if err != nil {
			return backlog, nil, fmt.Errorf("reading the last runs: %w", err)
		}
		for _, r := range runs {
			if !r.EndedAt.IsZero() && r.EndedAt.After(ended[kind]) {
				ended[kind] = r.EndedAt
			}
		}
	}
	return backlog, ended, nil
}

// current returns what was read last, and whether it is fresh enough to be
// told.
func (m *Metrics) current() (seen, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen, !m.seen.at.IsZero() && m.now().Sub(m.seen.at) <= staleAfter
}

// gauge is a metric that is looked up when it is asked for.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(tell func(value float64, labels ...string))
}

// gauges are a prometheus.Collector.
type gauges []gauge

// Describe sends what Collect can send.
func (list gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range list {
		ch <- g.desc
	}
}

// Collect sends the values.
func (list gauges) Collect(ch chan<- prometheus.Metric) {
	for _, g := range list {
		g.read(func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(g.desc, g.kind, value, labels...)
		})
	}
}

type tell = func(value float64, labels ...string)

// gauges returns the metrics of the sources.
func (m *Metrics) gauges() gauges {
	var list gauges
	add := func(kind prometheus.ValueType, name, help string, read func(tell), labels ...string) {
		list = append(list, gauge{prometheus.NewDesc(name, help, labels, nil), kind, read})
	}
	const value, total = prometheus.GaugeValue, prometheus.CounterValue
	s := &m.sources
	if s.Store != nil {
		add(total, "poa_database_statements_total", "Statements sent to the database, transaction control included.",
			func(t tell) { t(float64(s.Store.Statements())) })
		add(value, "poa_database_up", "Whether the database answered the last probe.", func(t tell) {
			if last, _ := m.current(); last.probed {
				t(truth(last.up))
			}
		})
		add(value, "poa_database_probe_seconds", "Time of the last probe, one small read.", func(t tell) {
			if last, _ := m.current(); last.up {
				t(last.latency.Seconds())
			}
		})
		add(value, "poa_backlog_nfts", "NFTs that wait, by class; old ones are counted up to 100,000.", m.fresh(func(t tell, last *seen) {
			t(float64(last.backlog.Due), "due")
			t(float64(last.backlog.New), "new")
			t(float64(last.backlog.Old), "old")
		}), "class")
		add(value, "poa_oldest_unscored_age_seconds", "Since when an NFT with votes has waited for its first score; 0 where none waits.", m.fresh(func(t tell, last *seen) {
			t(m.age(last.backlog.OldestNew))
		}))
		add(value, "poa_oldest_due_age_seconds", "Since when a computation has been owed; 0 where none is.", m.fresh(func(t tell, last *seen) {
			t(m.age(last.backlog.OldestDue))
		}))
		add(value, "poa_run_last_end_timestamp_seconds", "When the last run of a kind ended, in any process.", m.fresh(func(t tell, last *seen) {
			for kind, at := range last.ended {
				t(float64(at.UnixMicro())/1e6, string(kind))
			}
		}), "kind")
	}
	if s.VotesWaiting != nil {
		add(value, "poa_votes_waiting", "Votes that wait for a commit.", func(t tell) { t(float64(s.VotesWaiting())) })
	}
	if s.Settings != nil {
		add(value, "poa_paused", "Whether an operator has paused batches and backfills, or triggers.", func(t tell) {
			in, now := s.Settings(), m.now()
			t(truth(in.Batches.On(now)), "batches")
			t(truth(in.Triggers.On(now)), "triggers")
		}, "what")
	}
	if s.Pacing != nil {
		add(value, "poa_pacing_chunk_nfts", "NFTs that a run of this process computes at once.", func(t tell) { t(float64(s.Pacing().Chunk)) })
		add(value, "poa_pacing_pause_seconds", "Pause of a run of this process before its next chunk.", func(t tell) { t(s.Pacing().Pause.Seconds()) })
		add(value, "poa_pacing_healthy", "Whether the last chunk of a run found the database healthy.", func(t tell) { t(truth(healthy(s.Pacing()))) })
		add(value, "poa_pacing_slowed", "Whether runs are slowed down now, by the first reason.", func(t tell) {
			state := s.Pacing()
			for _, c := range append(complaints[:], complaint{class: other}) {
				t(truth(!healthy(state) && classOf(state.Reason) == c.class), c.class)
			}
		}, "reason")
	}
	if s.Live != nil {
		add(value, "poa_live_listeners", "Listeners of the live stream.", func(t tell) { t(float64(s.Live().Listeners)) })
		add(total, "poa_live_events_total", "Activity read for the live stream.", func(t tell) { t(float64(s.Live().Events)) })
		add(total, "poa_live_gaps_total", "Gaps that listeners of the live stream met.", func(t tell) { t(float64(s.Live().Gaps)) })
		add(total, "poa_live_replays_total", "Replays from the database for listeners that came back.", func(t tell) { t(float64(s.Live().Replays)) })
	}
	if s.Sync != nil {
		add(value, "poa_sync_following", "Whether this process follows the game.", func(t tell) {
			st := s.Sync()
			t(truth(st.Stage == gamesync.Reading || st.Stage == gamesync.Following))
		})
		add(value, "poa_sync_lag_seconds", "How much of the game's latest past is not taken yet, told by the process that follows it.", func(t tell) {
			st := s.Sync()
			if lag, ok := st.Lag(m.now()); ok {
				t(lag.Seconds())
			}
		})
		add(value, "poa_sync_failing", "Whether the game could not be followed and is tried again.", func(t tell) {
			t(truth(s.Sync().Stage == gamesync.Failing))
		})
		add(total, "poa_sync_rows_total", "Rows of the game that were read.", func(t tell) { t(float64(s.Sync().Rows)) })
		add(total, "poa_sync_votes_total", "Votes that the game's rows became, by outcome.", func(t tell) {
			st := s.Sync()
			t(float64(st.Recorded), "recorded")
			t(float64(st.Duplicates), "duplicate")
			t(float64(st.Rejected), "rejected")
		}, "outcome")
		add(total, "poa_sync_late_total", "Votes that only a reconciliation found.", func(t tell) { t(float64(s.Sync().Late)) })
		add(total, "poa_sync_statements_total", "Statements sent to the game's database.", func(t tell) { t(float64(s.Sync().Statements.Total)) })
	}
	if s.Writeback != nil {
		list = append(list, m.writebackGauges()...)
	}
	return list
}

// writebackGauges returns the metrics of the write-back. What waits is told by
// the process that writes.
func (m *Metrics) writebackGauges() gauges {
	stats := m.sources.Writeback
	active := func(read func(tell, *gamesync.WriteStats)) func(tell) {
		return func(t tell) {
			if s := stats(); s.Active {
				read(t, &s)
			}
		}
	}
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	const value, total = prometheus.GaugeValue, prometheus.CounterValue
	return gauges{
		{describe("poa_writeback_active", "Whether this process is the one that writes scores back to the game."), value,
			func(t tell) { t(truth(stats().Active)) }},
		{describe("poa_writeback_complete", "Whether all scores have been compared with the game's once."), value,
			active(func(t tell, s *gamesync.WriteStats) { t(truth(s.Complete)) })},
		{describe("poa_writeback_lag_seconds", "For how long changes of scores have not been written back."), value,
			active(func(t tell, s *gamesync.WriteStats) { t(s.Lag.Seconds()) })},
		{describe("poa_writeback_waiting_nfts", "NFTs whose score could not be written back, by reason.", "reason"), value,
			active(func(t tell, s *gamesync.WriteStats) {
				for _, reason := range []store.UnwrittenReason{store.UnwrittenLocked, store.UnwrittenFailed, store.UnwrittenMissing} {
					t(float64(s.Waiting[reason]), string(reason))
				}
			})},
		{describe("poa_writeback_rows_total", "Rows of the game, by what became of the score for them.", "result"), total, func(t tell) {
			s := stats()
			t(float64(s.Written), "written")
			t(float64(s.Unchanged), "unchanged")
			t(float64(s.Newer), "newer")
			t(float64(s.Locked), "locked")
			t(float64(s.Missing), "missing")
			t(float64(s.Failed), "failed")
		}},
		{describe("poa_writeback_errors_total", "Steps of the write-back that failed and were tried again."), total,
			func(t tell) { t(float64(stats().Errors)) }},
		{describe("poa_writeback_statements_total", "Statements sent to the game's database to write scores back."), total,
			func(t tell) { t(float64(stats().Statements)) }},
	}
}

// fresh tells what was read from the database unless it is stale.
func (m *Metrics) fresh(read func(tell, *seen)) func(tell) {
	return func(t tell) {
		if last, ok := m.current(); ok {
			read(t, &last)
		}
	}
}

func (m *Metrics) age(since time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, m.now().Sub(since).Seconds())
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// healthy reports how the last chunk found the database; before the first
// nothing is known to be wrong.
func healthy(s batch.State) bool { return s.Healthy || s.Mode == "" }

// complaint is a class of the reasons that pacing gives.
type complaint struct{ class, words string }

// other is the class of a reason that is none of these.
const other = "other"

var complaints = [...]complaint{
	{"votes", " in the ledger, "},
	{"latency", "database latency "},
	{"sessions", "database sessions are active"},
	{"locks", " for a lock, "},
	{"replication", "a replica is "},
}

// classOf returns the class of the reason that pacing gives in words.
func classOf(reason string) string {
	for _, c := range complaints {
		if strings.Contains(reason, c.words) {
			return c.class
		}
	}
	return other
}
