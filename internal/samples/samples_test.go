package samples_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"poa/internal/ledger"
	"poa/internal/samples"
	"poa/internal/scheduler"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
	"poa/internal/trigger"
)

// database is a store whose reads are counted and whose writes fail on demand.
type database struct {
	store.Service
	reads atomic.Int64
	fail  atomic.Bool

	mu      sync.Mutex // guards what follows
	backlog store.Backlog
	asked   time.Time
}

func (d *database) AddSamples(ctx context.Context, list []store.Sample) error {
	if d.fail.Load() {
		return errors.New("broken")
	}
	return d.Service.AddSamples(ctx, list)
}

func (d *database) Samples(ctx context.Context, from, until time.Time, minutes int) ([]store.Sample, error) {
	d.reads.Add(1)
	return d.Service.Samples(ctx, from, until, minutes)
}

func (d *database) Backlog(_ context.Context, oldBefore time.Time, _ int64) (store.Backlog, error) {
	if d.fail.Load() {
		return store.Backlog{}, errors.New("broken")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = oldBefore
	return d.backlog, nil
}

func (d *database) owe(b store.Backlog) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backlog = b
}

// inWorld runs f on a database in virtual time, which starts at midnight UTC.
func inWorld(t *testing.T, f func(t *testing.T, d *database)) {
	synctest.Test(t, func(t *testing.T) {
		f(t, &database{Service: sqlitetest.New(t)})
	})
}

func process(t *testing.T, d *database) (*samples.Recorder, *samples.Reader) {
	r := samples.NewRecorder(samples.Options{Store: d})
	r.Start()
	t.Cleanup(func() { r.Stop(context.Background()) })
	return r, samples.NewReader(r)
}

func vote(r *samples.Recorder, kind scoring.Kind, n int, a ledger.Answer) {
	for range n {
		r.Answered(&ledger.Vote{Vote: scoring.Vote{Kind: kind}}, &a)
	}
}

// line returns the values of a line that are not 0 or absent, by the bin's start.
func line(t *testing.T, lines []samples.Line, times []int64, name string) map[string]float64 {
	t.Helper()
	for _, l := range lines {
		if l.Name != name {
			continue
		}
		if len(l.Values) != len(times) {
			t.Fatalf("%q has %d values at %d times", name, len(l.Values), len(times))
		}
		values := map[string]float64{}
		for i, v := range l.Values {
			if v != 0 && !math.IsNaN(v) {
				values[time.Unix(times[i], 0).UTC().Format("02 15:04")] = v
			}
		}
		return values
	}
	t.Fatalf("there is no line %q", name)
	return nil
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func charts(t *testing.T, r *samples.Reader, of samples.Range) *samples.Charts {
	t.Helper()
	c, err := r.Charts(context.Background(), of)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProcessesAddUp(t *testing.T) {
	inWorld(t, func(t *testing.T, d *database) {
		a, seenByA := process(t, d)
		b, seenByB := process(t, d)
		time.Sleep(90 * time.Second)
		vote(a, scoring.Matchup, 3, ledger.Answer{Number: 1})
		vote(a, scoring.Matchup, 2, ledger.Answer{Number: 1, Duplicate: true})
		vote(a, scoring.Matchup, 2, ledger.Answer{Err: ledger.ErrBusy})
		vote(b, scoring.Matchup, 4, ledger.Answer{Number: 1})
		vote(b, scoring.Fire, 1, ledger.Answer{Number: 1})
		a.Computed(scheduler.Chunk{Kind: store.BatchRun, Changed: 5, Unchanged: 2, Failed: 1})
		same(t, "at once, what the process itself counted", map[string]float64{"01 00:01": 3}, line(t, charts(t, seenByA, samples.Hour).Votes, charts(t, seenByA, samples.Hour).Times, "matchup"))
		same(t, "not yet what another did", map[string]float64{}, line(t, charts(t, seenByA, samples.Hour).Votes, charts(t, seenByA, samples.Hour).Times, "fire"))
		time.Sleep(time.Minute)
		vote(b, scoring.Matchup, 1, ledger.Answer{Number: 1})
		for _, r := range []*samples.Reader{seenByA, seenByB} {
			c := charts(t, r, samples.Hour)
			want := map[string]float64{"01 00:01": 7}
			if r == seenByB {
				want["01 00:02"] = 1
			}
			same(t, "matchups", want, line(t, c.Votes, c.Times, "matchup"))
			same(t, "fires", map[string]float64{"01 00:01": 1}, line(t, c.Votes, c.Times, "fire"))
			same(t, "computations", map[string]float64{"01 00:01": 7}, line(t, c.Computations, c.Times, "batch"))
		}
		time.Sleep(time.Minute)
		for of, want := range map[samples.Range]map[string]float64{
			samples.Hour: {"01 00:01": 7, "01 00:02": 1}, samples.Day: {"01 00:00": 8}, samples.Week: {"01 00:00": 8},
		} {
			c := charts(t, seenByA, of)
			same(t, string(of), want, line(t, c.Votes, c.Times, "matchup"))
		}
		time.Sleep(58 * time.Minute)
		c := charts(t, seenByA, samples.Hour)
		same(t, "the oldest minute of the hour", map[string]float64{"01 00:02": 1}, line(t, c.Votes, c.Times, "matchup"))
		if n := len(c.Times); n != 60 || c.Times[n-1] != time.Now().Truncate(time.Minute).Unix() || c.Seconds != 60 {
			t.Errorf("%d bins of %d seconds end with %d", n, c.Seconds, c.Times[n-1])
		}
		if _, err := seenByA.Charts(context.Background(), "year"); err == nil || !strings.Contains(err.Error(), `"year"`) {
			t.Errorf("a range that does not exist: %v", err)
		}
	})
}

// TestProcessBesideAService: a command counts as a service does, and leaves the
// backlog to it.
func TestProcessBesideAService(t *testing.T) {
	inWorld(t, func(t *testing.T, d *database) {
		command := samples.NewRecorder(samples.Options{Store: d, CountsOnly: true})
		command.Start()
		time.Sleep(90 * time.Second)
		vote(command, scoring.Matchup, 2, ledger.Answer{Number: 1})
		time.Sleep(time.Minute)
		vote(command, scoring.Matchup, 1, ledger.Answer{Number: 1})
		_, seen := process(t, d)
		c := charts(t, seen, samples.Hour)
		same(t, "while it runs", map[string]float64{"01 00:01": 2}, line(t, c.Votes, c.Times, "matchup"))
		command.Stop(context.Background())
		_, seen = process(t, d)
		c = charts(t, seen, samples.Hour)
		same(t, "after its end", map[string]float64{"01 00:01": 2, "01 00:02": 1}, line(t, c.Votes, c.Times, "matchup"))
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.asked.IsZero() {
			t.Error("a command looked at the backlog")
		}
	})
}

// TestHistory: votes that were cast long before they came are told apart from
// those of today, and say nothing about how fast poa is.
func TestHistory(t *testing.T) {
	inWorld(t, func(t *testing.T, d *database) {
		a, seen := process(t, d)
		cast := func(n int, age time.Duration, took time.Duration) {
			for range n {
				v := ledger.Vote{Vote: scoring.Vote{Kind: scoring.Matchup, Super: true, CastAt: time.Now().Add(-age)}}
				a.Answered(&v, &ledger.Answer{Number: 1, Took: took, Triggered: []ledger.Triggered{
					{Decision: trigger.Decision{Reason: trigger.Super}, Score: &store.Score{}},
				}})
			}
		}
		cast(4, 24*time.Hour, time.Millisecond)
		cast(10, 24*time.Hour+time.Microsecond, time.Minute)
		cast(7, 2000*time.Hour, time.Minute)
		c := charts(t, seen, samples.Hour)
		same(t, "now", map[string]float64{"01 00:00": 4}, line(t, c.Votes, c.Times, "super"))
		same(t, "history, as it came", map[string]float64{"01 00:00": 17}, line(t, c.Votes, c.Times, samples.History))
		same(t, "latency", map[string]float64{"01 00:00": 0.99}, line(t, c.Latency, c.Times, "p99"))
		if n, err := seen.VotesToday(context.Background()); n != 4 || err != nil {
			t.Errorf("%d votes today, %v", n, err)
		}
		day, err := seen.LastDay(context.Background())
		if err != nil || day.Fired[0].Total != 21 {
			t.Errorf("%+v fired, %v: rules fire whenever a vote was cast", day.Fired, err)
		}
	})
}

func TestNothingIsLostWhileTheStoreFails(t *testing.T) {
	inWorld(t, func(t *testing.T, d *database) {
		a, seen := process(t, d)
		d.fail.Store(true)
		vote(a, scoring.Slider, 1, ledger.Answer{Number: 1})
		time.Sleep(61 * time.Second)
		vote(a, scoring.Slider, 2, ledger.Answer{Number: 1})
		want := map[string]float64{"01 00:00": 1, "01 00:01": 2}
		c := charts(t, seen, samples.Hour)
		same(t, "while it fails", want, line(t, c.Votes, c.Times, "slider"))
		d.fail.Store(false)
		time.Sleep(time.Minute)
		vote(a, scoring.Slider, 4, ledger.Answer{Number: 1})
		a.Stop(context.Background())
		a.Stop(context.Background())
		want["01 00:02"] = 4
		_, elsewhere := process(t, d)
		c = charts(t, elsewhere, samples.Hour)
		same(t, "in the store", want, line(t, c.Votes, c.Times, "slider"))
	})
}

func TestOneReadAMinuteHoweverManyLook(t *testing.T) {
	inWorld(t, func(t *testing.T, d *database) {
		a, seen := process(t, d)
		time.Sleep(10 * time.Minute)
		if n := d.reads.Load(); n != 0 {
			t.Errorf("%d reads while nobody looked", n)
		}
		time.Sleep(time.Second / 2) // not at the moment at which a minute ends
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				for range 10 * 12 {
					charts(t, seen, samples.Hour)
					vote(a, scoring.Matchup, 1, ledger.Answer{Number: 1})
					time.Sleep(5 * time.Second)
				}
			})
		}
		all.Wait()
		if n := d.reads.Load(); n < 10 || n > 12 {
			t.Errorf("%d reads in ten minutes", n)
		}
		c := charts(t, seen, samples.Hour)
		sum := 0.0
		for _, n := range line(t, c.Votes, c.Times, "matchup") {
			sum += n
		}
		same(t, "votes", 100*10*12.0, sum)
	})
}

func TestBacklog(t *testing.T) {
	inWorld(t, func(t *testing.T, d *database) {
		_, seen := process(t, d)
		d.owe(store.Backlog{Due: 3, New: 40, Old: 500, OldestNew: time.Now().Add(-time.Hour)})
		time.Sleep(61 * time.Second)
		d.mu.Lock()
		same(t, "scores are old from", time.Now().Add(-24*time.Hour-time.Second), d.asked)
		d.mu.Unlock()
		d.owe(store.Backlog{New: 60})
		time.Sleep(time.Minute)
		c := charts(t, seen, samples.Hour)
		same(t, "new", map[string]float64{"01 00:00": 40, "01 00:01": 60}, line(t, c.Backlog, c.Times, "new"))
		same(t, "due", map[string]float64{"01 00:00": 3}, line(t, c.Backlog, c.Times, "due"))
		same(t, "old", map[string]float64{"01 00:00": 500}, line(t, c.Backlog, c.Times, "old"))
		oldest := []samples.Line{{Name: "x", Values: c.OldestUnscored}}
		same(t, "age", map[string]float64{"01 00:00": 3660}, line(t, oldest, c.Times, "x"))
		text, err := json.Marshal(c.OldestUnscored[56:])
		same(t, "as JSON", "[null,3660,0,null] <nil>", strings.Join([]string{string(text), "<nil>"}, " "))
		if err != nil {
			t.Error(err)
		}
		day := charts(t, seen, samples.Day)
		same(t, "the most of ten minutes", map[string]float64{"01 00:00": 60}, line(t, day.Backlog, day.Times, "new"))
	})
}

func TestLatency(t *testing.T) {
	inWorld(t, func(t *testing.T, d *database) {
		a, seen := process(t, d)
		answer := func(took time.Duration) ledger.Answer {
			return ledger.Answer{Number: 1, Took: took, Triggered: []ledger.Triggered{{Score: &store.Score{}}, {Score: &store.Score{}}}}
		}
		vote(a, scoring.Fire, 90, answer(4*time.Millisecond))
		vote(a, scoring.Fire, 10, answer(150*time.Millisecond))
		vote(a, scoring.Fire, 50, ledger.Answer{Number: 1, Took: time.Hour}) // triggered nothing
		vote(a, scoring.Fire, 50, ledger.Answer{Number: 1, Took: time.Hour, Triggered: []ledger.Triggered{{Deferred: "paused"}}})
		time.Sleep(time.Minute)
		vote(a, scoring.Fire, 1, answer(time.Minute))
		c := charts(t, seen, samples.Hour)
		// 50 of the 90 between 2 and 5 ms; 9 of the 10 between 100 and 200 ms.
		same(t, "p50", map[string]float64{"01 00:00": 2 + 3*50.0/90, "01 00:01": 10_000}, line(t, c.Latency, c.Times, "p50"))
		same(t, "p99", map[string]float64{"01 00:00": 190, "01 00:01": 10_000}, line(t, c.Latency, c.Times, "p99"))
		if !math.IsNaN(c.Latency[0].Values[0]) {
			t.Errorf("a minute without votes has the latency %v", c.Latency[0].Values[0])
		}
	})
}

func TestLastDay(t *testing.T) {
	inWorld(t, func(t *testing.T, d *database) {
		a, seen := process(t, d)
		fired := func(reason trigger.Reason, deferred string) ledger.Triggered {
			return ledger.Triggered{Decision: trigger.Decision{Reason: reason}, Deferred: deferred}
		}
		before, after, same50 := 50.0, 51.0, 50.0
		vote(a, scoring.Matchup, 7, ledger.Answer{Number: 1}) // yesterday, in the end
		a.Computation("manual", samples.Changed, 3)
		time.Sleep(10 * time.Hour)
		vote(a, scoring.Matchup, 2, ledger.Answer{Number: 1, Triggered: []ledger.Triggered{fired(trigger.Super, ""), fired(trigger.Super, "paused")}})
		vote(a, scoring.Slider, 3, ledger.Answer{Number: 1, Triggered: []ledger.Triggered{fired(trigger.Milestone, "")}})
		a.Committed(ledger.Commit{Activity: []store.Activity{
			{Kind: store.Computed, Reason: "super", POA: &after}, {Kind: store.Computed, Reason: "super", POABefore: &before, POA: &after},
			{Kind: store.Computed, Reason: "super", POABefore: &before, POA: &same50}, {Kind: store.Withdrawn, Reason: "fire", POABefore: &before},
			{Kind: store.Deferred, Reason: "milestone"}, {Kind: store.Paused},
		}})
		a.Computed(scheduler.Chunk{Kind: store.BackfillRun, Changed: 10, Unchanged: 20, Failed: 30})
		a.Ended(store.Run{Kind: store.BackfillRun, State: store.RunDone})
		a.Computation("manual", samples.Changed, 0)
		today := func(want int64) {
			t.Helper()
			n, err := seen.VotesToday(context.Background())
			if err != nil || n != want {
				t.Errorf("%d votes today, %v, want %d", n, err, want)
			}
		}
		today(12)
		time.Sleep(14 * time.Hour)
		today(0)
		vote(a, scoring.Matchup, 1, ledger.Answer{Number: 1})
		today(1)
		day, err := seen.LastDay(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		type outcomes = map[string]int64
		same(t, "fired", []samples.Count{
			{Name: "super", Total: 4, Outcomes: outcomes{samples.Computed: 2, samples.Deferred: 2}}, {Name: "fire", Outcomes: outcomes{}},
			{Name: "milestone", Total: 3, Outcomes: outcomes{samples.Computed: 3}}, {Name: "high_activity", Outcomes: outcomes{}},
		}, day.Fired)
		same(t, "computations", []samples.Count{
			{Name: "super", Total: 3, Outcomes: outcomes{samples.Changed: 2, samples.Unchanged: 1}},
			{Name: "fire", Total: 1, Outcomes: outcomes{samples.Withdrawn: 1}},
			{Name: "milestone", Total: 1, Outcomes: outcomes{samples.Deferred: 1}}, {Name: "high_activity", Outcomes: outcomes{}},
			{Name: "batch", Outcomes: outcomes{}}, {Name: "manual", Outcomes: outcomes{}}, // those of 24 hours ago are over
			{Name: "backfill", Total: 60, Outcomes: outcomes{samples.Changed: 10, samples.Unchanged: 20, samples.Failed: 30}},
		}, day.Computations)
	})
}
