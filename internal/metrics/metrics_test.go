package metrics_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.yaml.in/yaml/v3"

	"poa/internal/batch"
	"poa/internal/gamesync"
	"poa/internal/ledger"
	"poa/internal/live"
	"poa/internal/metrics"
	"poa/internal/scheduler"
	"poa/internal/scoring"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/trigger"
)

// database is what the refresher reads.
type database struct {
	mu      sync.Mutex
	reads   int
	fail    error
	backlog store.Backlog
	runs    map[store.RunKind][]store.Run
	asked   time.Time // for scores older than that
}

func (d *database) Statements() int64 { return 77 }

func (d *database) SettingsVersion(context.Context) (int64, error) {
	time.Sleep(2 * time.Millisecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	return 1, d.fail
}

func (d *database) Backlog(_ context.Context, oldBefore time.Time, limit int64) (store.Backlog, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = oldBefore
	return d.backlog, d.fail
}

func (d *database) Runs(_ context.Context, kind store.RunKind, _ int64, limit int) ([]store.Run, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.runs[kind][:min(limit, len(d.runs[kind]))], d.fail
}

func (d *database) set(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

func (d *database) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.reads = 0 }()
	return d.reads
}

// process is one whose parts are all there.
type process struct {
	*metrics.Metrics
	db     *database
	pacing batch.State
	force  settings.InForce
	log    bytes.Buffer
}

// run runs f with the metrics of a process in virtual time.
func run(t *testing.T, f func(t *testing.T, p *process)) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		p := &process{db: &database{
			backlog: store.Backlog{Due: 3, New: 5, Old: 7, OldestDue: now.Add(-time.Minute), OldestNew: now.Add(-time.Hour)},
			runs: map[store.RunKind][]store.Run{
				store.BatchRun: {{Number: 9}, {Number: 8, EndedAt: time.Unix(1700000000, 500_000_000)}, {Number: 7, EndedAt: time.Unix(1600000000, 0)}},
			},
		}}
		p.force.Batch = batch.Defaults()
		p.force.Triggers = settings.Pause{Since: now, Reason: "test", Who: "me"}
		p.Metrics = metrics.New(metrics.Options{Version: "v1.2.3", Revision: "abc", Log: slog.New(slog.NewTextHandler(&p.log, nil))})
		p.Watch(metrics.Sources{
			Store: p.db, Settings: func() *settings.InForce { return &p.force },
			VotesWaiting: func() int { return 12 }, Pacing: func() batch.State { return p.pacing },
			Live: func() live.Stats { return live.Stats{Listeners: 2, Events: 30, Gaps: 4, Replays: 5} },
			Sync: func() gamesync.Status {
				return gamesync.Status{
					Stage: gamesync.Following, CurrentUntil: now.Add(-3 * time.Second), Rows: 60, Recorded: 40, Duplicates: 7, Rejected: 6, Late: 2,
					Statements: gamesync.Statements{Total: 80},
				}
			},
			Writeback: func() gamesync.WriteStats {
				return gamesync.WriteStats{
					Active: true, Complete: true, Written: 11, Unchanged: 12, Newer: 13, Locked: 14, Missing: 15, Failed: 16, Statements: 17, Errors: 18,
					Waiting: map[store.UnwrittenReason]int64{store.UnwrittenLocked: 3}, Lag: 90 * time.Second,
				}
			},
		})
		defer p.Stop()
		f(t, p)
	})
}

// scrape returns the values of poa's metrics that are not 0, by name and
// labels, and the text itself. Parts of histograms other than sums and counts
// are left out.
func (p *process) scrape(t *testing.T) (map[string]float64, string) {
	t.Helper()
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	values := map[string]float64{}
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "poa_") || strings.Contains(line, "_bucket{") {
			continue
		}
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if value, err := strconv.ParseFloat(text, 64); err != nil {
			t.Errorf("%s: %v", line, err)
		} else if value != 0 {
			values[name] = value
		}
	}
	return values, w.Body.String()
}

// only keeps the metrics whose names begin with one of the prefixes.
func only(values map[string]float64, prefixes ...string) map[string]float64 {
	kept := maps.Clone(values)
	maps.DeleteFunc(kept, func(name string, _ float64) bool {
		return !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	})
	return kept
}

// do lets a ledger and a scheduler report.
func (p *process) do() {
	vote := func(kind scoring.Kind, super bool, a ledger.Answer) {
		p.Answered(&ledger.Vote{Vote: scoring.Vote{Kind: kind, Super: super}}, &a)
	}
	super := trigger.Decision{Reason: trigger.Super, Priority: trigger.High}
	vote(scoring.Matchup, false, ledger.Answer{Number: 1})
	vote(scoring.Matchup, true, ledger.Answer{Number: 2, Triggered: []ledger.Triggered{{Decision: super}, {Decision: super, Deferred: "paused"}, {Decision: super, Deferred: "over", Capped: true}}})
	vote(scoring.Slider, false, ledger.Answer{Number: 1, Duplicate: true})
	vote(scoring.Fire, false, ledger.Answer{Err: &ledger.Error{Code: ledger.CodeUnknownNFT}})
	vote(99, false, ledger.Answer{Err: &ledger.Error{Code: ledger.CodeKind}})
	vote(scoring.Unfire, false, ledger.Answer{Err: ledger.ErrBusy})
	vote(scoring.Unfire, false, ledger.Answer{Err: ledger.ErrClosed})
	vote(scoring.Unfire, false, ledger.Answer{Err: context.Canceled})
	p.Committed(ledger.Commit{Votes: 40, Took: 30 * time.Millisecond, Activity: []store.Activity{
		{Kind: store.Computed, Basis: store.Incremental, Reason: "super"},
		{Kind: store.Withdrawn, Basis: store.Incremental, Reason: "fire"},
		{Kind: store.Deferred, Reason: "super"},
	}})
	p.Computed(scheduler.Chunk{Kind: store.BackfillRun, Changed: 5, Unchanged: 6, Failed: 1, Took: 1500 * time.Millisecond})
	p.Ended(store.Run{Kind: store.BatchRun, State: store.RunStopped})
}

func TestValues(t *testing.T) {
	run(t, func(t *testing.T, p *process) {
		p.do()
		p.scrape(t) // the first one begins the reading
		synctest.Wait()
		time.Sleep(time.Second)
		got, text := p.scrape(t)
		want := map[string]float64{
			`poa_votes_total{code="",kind="matchup",outcome="counted"}`:             1,
			`poa_votes_total{code="",kind="super",outcome="counted"}`:               1,
			`poa_votes_total{code="",kind="slider",outcome="duplicate"}`:            1,
			`poa_votes_total{code="unknown_nft",kind="fire",outcome="refused"}`:     1,
			`poa_votes_total{code="invalid_kind",kind="unknown",outcome="refused"}`: 1,
			`poa_votes_total{code="",kind="unfire",outcome="busy"}`:                 2,
			`poa_votes_total{code="",kind="unfire",outcome="abandoned"}`:            1,
			`poa_commit_votes_sum`: 40, `poa_commit_votes_count`: 1,
			`poa_commit_duration_seconds_sum`: 0.03, `poa_commit_duration_seconds_count`: 1,
			`poa_triggers_total{outcome="computed",reason="super"}`:      1,
			`poa_triggers_total{outcome="deferred",reason="super"}`:      1,
			`poa_triggers_total{outcome="capped",reason="super"}`:        1,
			`poa_computations_total{basis="incremental",reason="super"}`: 1,
			`poa_computations_total{basis="incremental",reason="fire"}`:  1,
			`poa_computations_total{basis="exact",reason="backfill"}`:    11,
			`poa_runs_total{kind="batch",state="stopped"}`:               1,
			`poa_run_nfts_total{kind="backfill",result="changed"}`:       5,
			`poa_run_nfts_total{kind="backfill",result="unchanged"}`:     6,
			`poa_run_nfts_total{kind="backfill",result="failed"}`:        1,
			`poa_run_work_seconds_total{kind="backfill"}`:                1.5,
			`poa_run_last_end_timestamp_seconds{kind="batch"}`:           1700000000.5,
			`poa_backlog_nfts{class="due"}`:                              3, `poa_backlog_nfts{class="new"}`: 5, `poa_backlog_nfts{class="old"}`: 7,
			`poa_oldest_unscored_age_seconds`: 3601, `poa_oldest_due_age_seconds`: 61,
			`poa_database_up`: 1, `poa_database_probe_seconds`: 0.002, `poa_database_statements_total`: 77,
			`poa_votes_waiting`: 12, `poa_paused{what="triggers"}`: 1, `poa_pacing_healthy`: 1,
			`poa_live_listeners`: 2, `poa_live_events_total`: 30, `poa_live_gaps_total`: 4, `poa_live_replays_total`: 5,
			`poa_sync_following`: 1, `poa_sync_lag_seconds`: 4, `poa_sync_rows_total`: 60, `poa_sync_late_total`: 2, `poa_sync_statements_total`: 80,
			`poa_writeback_active`: 1, `poa_writeback_complete`: 1, `poa_writeback_lag_seconds`: 90,
			`poa_writeback_waiting_nfts{reason="locked"}`: 3, `poa_writeback_statements_total`: 17, `poa_writeback_errors_total`: 18,
			`poa_writeback_rows_total{result="written"}`: 11, `poa_writeback_rows_total{result="unchanged"}`: 12,
			`poa_writeback_rows_total{result="newer"}`: 13, `poa_writeback_rows_total{result="locked"}`: 14,
			`poa_writeback_rows_total{result="missing"}`: 15, `poa_writeback_rows_total{result="failed"}`: 16,
			`poa_sync_votes_total{outcome="recorded"}`: 40, `poa_sync_votes_total{outcome="duplicate"}`: 7, `poa_sync_votes_total{outcome="rejected"}`: 6,
		}
		maps.DeleteFunc(got, func(name string, _ float64) bool { return strings.HasPrefix(name, "poa_build_info") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("values that are not 0 (-want +got):\n%s", diff)
		}
		for _, zero := range []string{`poa_runs_total{kind="upkeep",state="failed"} 0`, `poa_votes_total{code="internal",kind="fire",outcome="refused"} 0`, `poa_build_info{`, `version="v1.2.3"`} {
			if !strings.Contains(text, zero) {
				t.Errorf("%q is missing", zero)
			}
		}
		if before := time.Now().Add(-time.Second - p.force.Batch.OldAfter); !p.db.asked.Equal(before) {
			t.Errorf("asked for scores older than %v, want %v", p.db.asked, before)
		}
	})
}

func TestTheDatabaseIsReadWhileSomebodyScrapes(t *testing.T) {
	run(t, func(t *testing.T, p *process) {
		time.Sleep(time.Hour)
		if n := p.db.count(); n != 0 {
			t.Errorf("%d reads before the first scrape", n)
		}
		for range 60 {
			p.scrape(t)
			p.scrape(t)
			time.Sleep(5 * time.Second)
		}
		if n := p.db.count(); n < 20 || n > 21 {
			t.Errorf("%d reads in 5 min of scrapes, want one every 15 s", n)
		}
		time.Sleep(time.Hour)
		if n := p.db.count(); n > 21 {
			t.Errorf("%d reads after the last scrape, want them to end after 5 min", n)
		}
		if values, _ := p.scrape(t); len(only(values, "poa_backlog")) != 0 {
			t.Errorf("values that are an hour old were told: %v", values)
		}
		time.Sleep(time.Second)
		if values, _ := p.scrape(t); len(only(values, "poa_backlog")) != 3 || p.db.count() != 1 {
			t.Errorf("the first scrape after a while did not begin the reading: %v", values)
		}
	})
}

func TestADatabaseThatIsAway(t *testing.T) {
	run(t, func(t *testing.T, p *process) {
		p.scrape(t)
		time.Sleep(time.Second)
		p.db.set(errors.New("connection refused"))
		for range 10 {
			time.Sleep(9 * time.Second)
			p.scrape(t)
		}
		values, text := p.scrape(t)
		if !strings.Contains(text, "poa_database_up 0") || strings.Contains(text, "poa_database_probe_seconds ") || len(only(values, "poa_backlog")) != 3 {
			t.Errorf("after a minute and a half:\n%v", values)
		}
		time.Sleep(time.Minute)
		if values, _ := p.scrape(t); len(only(values, "poa_backlog", "poa_oldest", "poa_run_last")) != 0 {
			t.Errorf("stale values are told: %v", values)
		}
		p.db.set(nil)
		time.Sleep(16 * time.Second)
		if values, _ := p.scrape(t); values["poa_database_up"] != 1 || len(only(values, "poa_backlog")) != 3 {
			t.Errorf("when it is back: %v", values)
		}
		if n := strings.Count(p.log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings for one outage:\n%s", n, p.log.String())
		}
	})
}

// The words are those of package batch: every reason it can give has a class.
func TestPacingReasons(t *testing.T) {
	s := batch.Defaults()
	s.Mode = batch.Adaptive
	ms, second, many, lots := time.Millisecond, time.Minute, 1_000_000, 1e6
	tests := []struct {
		class   string
		signals batch.Signals
	}{
		{"votes", batch.Signals{VotesWaiting: &many}},
		{"latency", batch.Signals{Latency: &second}},
		{"sessions", batch.Signals{SessionsPerCore: &lots}},
		{"locks", batch.Signals{WaitingLocks: &many}},
		{"replication", batch.Signals{ReplicationLag: &second}},
		{"", batch.Signals{Latency: &ms}},
	}
	run(t, func(t *testing.T, p *process) {
		for _, tt := range tests {
			now := time.Now()
			pacer := batch.BeginRun(s, ms, now).Step(s, batch.Work{NFTs: 20, Took: ms, Left: -1}, tt.signals, now)
			p.pacing = pacer.State()
			want := map[string]float64{"poa_pacing_chunk_nfts": float64(p.pacing.Chunk), "poa_pacing_pause_seconds": p.pacing.Pause.Seconds()}
			if tt.class == "" {
				want["poa_pacing_healthy"] = 1
			} else {
				want[fmt.Sprintf("poa_pacing_slowed{reason=%q}", tt.class)] = 1
			}
			maps.DeleteFunc(want, func(_ string, v float64) bool { return v == 0 })
			values, _ := p.scrape(t)
			if diff := cmp.Diff(want, only(values, "poa_pacing")); diff != "" {
				t.Errorf("%q, %q (-want +got):\n%s", tt.class, p.pacing.Reason, diff)
			}
		}
	})
}

// row is a row of the table in docs/metrics.md.
var row = regexp.MustCompile("(?m)^\\| `(poa_[a-z_]+)` \\| ([a-z]+) \\|([^|]*)\\|")

// documented returns the metrics of the table as "name type labels".
func documented(t *testing.T) (text string, list []string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range row.FindAllStringSubmatch(string(doc), -1) {
		var labels []string
		for label := range strings.SplitSeq(m[3], ",") {
			if label = strings.Trim(label, " `"); label != "" {
				labels = append(labels, label)
			}
		}
		slices.Sort(labels)
		list = append(list, fmt.Sprint(m[1], " ", m[2], " ", labels))
	}
	slices.Sort(list)
	return string(doc), list
}

func TestEveryMetricIsDocumentedAndWellNamed(t *testing.T) {
	_, want := documented(t)
	run(t, func(t *testing.T, p *process) {
		p.do()
		p.scrape(t)
		time.Sleep(time.Second)
		families, err := p.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		others := map[string]bool{}
		for _, f := range families {
			if prefix, _, _ := strings.Cut(f.GetName(), "_"); prefix != "poa" {
				others[prefix] = true
				continue
			}
			labels := []string{}
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
			slices.Sort(labels)
			got = append(got, fmt.Sprint(f.GetName(), " ", strings.ToLower(f.GetType().String()), " ", labels))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("docs/metrics.md and the metrics differ (-docs +metrics):\n%s", diff)
		}
		if !others["go"] || !others["process"] {
			t.Errorf("beside poa's there are only %v", others)
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("promlint: %v, %v", problems, err)
		}
	})
}

func TestAlertsNameMetricsAndAreDocumented(t *testing.T) {
	doc, list := documented(t)
	known := map[string]bool{}
	for _, m := range list {
		f := strings.Fields(m)
		known[f[0]] = true
		if f[1] == "histogram" {
			known[f[0]+"_bucket"], known[f[0]+"_sum"], known[f[0]+"_count"] = true, true, true
		}
	}
	file, err := os.ReadFile("../../ops/poa.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	metric := regexp.MustCompile(`poa_[a-z_]+`)
	alerts := map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			alerts[r.Alert] = true
			for _, name := range metric.FindAllString(r.Expr, -1) {
				if !known[name] {
					t.Errorf("%s asks for %s, which does not exist", r.Alert, name)
				}
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
				t.Errorf("%s lacks a summary, description or severity", r.Alert)
			}
			if !strings.Contains(doc, "`"+r.Alert+"`") {
				t.Errorf("docs/metrics.md does not name %s", r.Alert)
			}
		}
	}
	for _, name := range regexp.MustCompile("`(Poa[A-Za-z]+)`").FindAllStringSubmatch(doc, -1) {
		if !alerts[name[1]] {
			t.Errorf("docs/metrics.md names the alert %s, which does not exist", name[1])
		}
	}
	for _, name := range metric.FindAllString(doc, -1) {
		if !known[name] {
			t.Errorf("docs/metrics.md names %s, which is not in its table", name)
		}
	}
}
