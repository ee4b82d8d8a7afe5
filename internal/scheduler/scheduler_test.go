package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poa/internal/batch"
	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scheduler"
	"poa/internal/scoring"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
	"poa/internal/verify"
)

// world is a database in virtual time, with the schedulers on it. Time starts
// at midnight UTC.
type world struct {
	t      *testing.T
	store  store.Service
	policy *publish.Policy
	batch  batch.Settings
	upkeep batch.Upkeep

	mu     sync.Mutex // guards what follows
	fault  func(nfts []int64) error
	saving func(store.Run) time.Duration // how long it takes to save a run
	ahead  time.Duration                 // of the processes' clocks
	pauses map[settings.Subject]settings.Pause
}

// inWorld runs f in virtual time with n NFTs, each with one vote by a voter of
// its own, which triggers nothing.
func inWorld(t *testing.T, n int, f func(*world)) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		st := sqlitetest.New(t)
		version, err := st.Prepare(ctx, scoring.Defaults(), "test", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, store: st, policy: publish.Default(version), batch: batch.Defaults(), upkeep: batch.DefaultUpkeep(), pauses: map[settings.Subject]settings.Pause{}}
		var nfts []store.NFT
		for i := range n {
			nfts = append(nfts, store.NFT{ID: fmt.Sprintf("n%03d", i), Collection: fmt.Sprintf("c%d", i%2)})
		}
		if _, err := st.PutNFTs(ctx, nfts, false, time.Now()); err != nil {
			t.Fatal(err)
		}
		w.rate("first", n)
		f(w)
		w.verify()
	})
}

// rate gives each of the first n NFTs a slider rating by a voter of its own.
func (w *world) rate(round string, n int) {
	w.t.Helper()
	var votes []ledger.Vote
	for i := range n {
		votes = append(votes, ledger.Vote{
			Key: fmt.Sprint(round, i), Voter: fmt.Sprint(round, i), A: fmt.Sprintf("n%03d", i), Vote: scoring.Vote{Kind: scoring.Slider, Value: 80},
		})
	}
	l := ledger.New(w.store, ledger.Options{Policy: w.policy})
	answers, err := l.Submit(context.Background(), votes)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range answers {
		if a.Err != nil {
			w.t.Fatal(a.Err)
		}
	}
	if err := l.Close(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) verify() {
	w.t.Helper()
	err := w.store.View(context.Background(), func(v store.View) error {
		_, err := verify.Run(context.Background(), v, w.policy, func(d verify.Difference) {
			w.t.Errorf("%s: %s is %s, want %s", d.Subject, d.Field, d.Stored, d.Want)
		})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// process starts a scheduler with a queue of its own.
func (w *world) process(name string) (*scheduler.Scheduler, *queue) {
	w.t.Helper()
	q := &queue{asked: map[scheduler.Step]bool{}}
	s := scheduler.New(scheduler.Options{
		Store: &flaky{Service: w.store, world: w}, Queue: q, Process: name, Now: w.now,
		Settings: func() *settings.InForce {
			w.mu.Lock()
			defer w.mu.Unlock()
			return &settings.InForce{Policy: w.policy, Batch: w.batch, Upkeep: w.upkeep, Batches: w.pauses[settings.Batches]}
		},
	})
	if err := s.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return s, q
}

func (w *world) stop(schedulers ...*scheduler.Scheduler) {
	w.t.Helper()
	for _, s := range schedulers {
		if err := s.Stop(context.Background()); err != nil {
			w.t.Error(err)
		}
	}
}

// now is the time that the processes' clocks show.
func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

// jump sets the processes' clocks ahead of time, or back with a negative d.
func (w *world) jump(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead = d
}

func (w *world) pause(p settings.Pause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pauses[settings.Batches] = p
}

func (w *world) runs(kind store.RunKind) []store.Run {
	w.t.Helper()
	runs, err := w.store.Runs(context.Background(), kind, 0, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	return runs
}

func (w *world) scored() (n int64) {
	w.t.Helper()
	err := w.store.View(context.Background(), func(v store.View) error {
		c, err := v.Counts(context.Background())
		n = c.Scores
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// flaky is the store with the world's fault in computations, and the time that
// it takes to save runs.
type flaky struct {
	store.Service
	world *world
}

func (f *flaky) View(ctx context.Context, do func(store.View) error) error {
	return f.Service.View(ctx, func(v store.View) error { return do(&flakyView{v, f.world}) })
}

func (f *flaky) Update(ctx context.Context, do func(store.Tx) error) error {
	return f.Service.Update(ctx, func(tx store.Tx) error { return do(&slowTx{tx.(store.ServiceTx), f.world}) })
}

type slowTx struct {
	store.ServiceTx
	world *world
}

func (x *slowTx) SaveRun(ctx context.Context, r store.Run) (string, error) {
	x.world.mu.Lock()
	saving := x.world.saving
	x.world.mu.Unlock()
	if saving != nil {
		time.Sleep(saving(r))
	}
	return x.ServiceTx.SaveRun(ctx, r)
}

type flakyView struct {
	store.View
	world *world
}

func (v *flakyView) Standing(ctx context.Context, nfts []int64) ([]store.Standing, error) {
	v.world.mu.Lock()
	fault := v.world.fault
	v.world.mu.Unlock()
	if fault != nil {
		if err := fault(nfts); err != nil {
			return nil, err
		}
	}
	return v.View.Standing(ctx, nfts)
}

// queue is a Queue in memory. A dead one forgets what it was asked for and
// lets the steps under way hang, as the death of its process would.
type queue struct {
	ctx    context.Context
	cancel context.CancelFunc
	work   scheduler.Work
	wg     sync.WaitGroup
	mu     sync.Mutex // guards what follows
	asked  map[scheduler.Step]bool
	dead   bool
}

func (q *queue) Start(_ context.Context, work scheduler.Work) error {
	q.work = work
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return nil
}

func (q *queue) Insert(_ context.Context, s scheduler.Step) error {
	q.deliver(s, time.Now())
	return nil
}

func (q *queue) deliver(s scheduler.Step, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead || q.asked[s] {
		return
	}
	q.asked[s] = true
	q.wg.Go(func() {
		select {
		case <-time.After(time.Until(at)):
		case <-q.ctx.Done():
			return
		}
		var next *scheduler.Step
		var nextAt time.Time
		err := q.work(q.ctx, s, func(_ context.Context, _ store.Tx, n *scheduler.Step, at time.Time) error {
			next, nextAt = n, at
			return nil
		})
		q.mu.Lock()
		delete(q.asked, s)
		q.mu.Unlock()
		if err == nil && next != nil {
			q.deliver(*next, nextAt)
		}
	})
}

func (q *queue) Stop(context.Context) error {
	q.cancel()
	q.wg.Wait()
	return nil
}

// die kills the process's part: what it works on stops where it is.
func (q *queue) die() {
	q.mu.Lock()
	q.dead = true
	q.mu.Unlock()
	q.cancel()
	q.wg.Wait()
}

func TestHourlyBatches(t *testing.T) {
	inWorld(t, 50, func(w *world) {
		a, _ := w.process("a")
		b, _ := w.process("b")
		time.Sleep(2 * time.Minute)
		if n := w.scored(); n != 20 {
			t.Errorf("%d NFTs are scored after the first window began, want 20", n)
		}
		time.Sleep(time.Hour)
		time.Sleep(time.Hour)
		w.stop(a, b)
		if n := w.scored(); n != 50 {
			t.Errorf("%d NFTs are scored after three windows, want all 50", n)
		}
		runs := w.runs(store.BatchRun)
		if len(runs) != 3 {
			t.Fatalf("%d runs, want one for each of three windows", len(runs))
		}
		for i, want := range []int64{10, 20, 20} { // newest first
			r := runs[i]
			if r.State != store.RunDone || r.Done != want || r.Changed != want || r.Failed != 0 || r.Total != want {
				t.Errorf("run %s: %+v", r.Window, r)
			}
		}
		if took := runs[2].EndedAt.Sub(runs[2].CreatedAt); took < 9500*time.Millisecond || took > 20*time.Second {
			t.Errorf("20 NFTs at 500 ms between them took %v", took)
		}
	})
}

func TestDowntimeIsCaughtUpOnce(t *testing.T) {
	inWorld(t, 100, func(w *world) {
		a, _ := w.process("a")
		time.Sleep(time.Minute)
		w.stop(a)
		time.Sleep(5*time.Hour + 20*time.Minute)
		a, _ = w.process("a")
		time.Sleep(time.Minute)
		w.stop(a)
		if runs := w.runs(store.BatchRun); len(runs) != 2 {
			t.Errorf("%d runs, want 2", len(runs))
		}
	})
}

func TestKilledRunGoesOnElsewhere(t *testing.T) {
	inWorld(t, 20, func(w *world) {
		a, q := w.process("a")
		time.Sleep(3 * time.Second)
		q.die()
		b, _ := w.process("b")
		if n := w.scored(); n < 3 || n > 10 {
			t.Errorf("%d scored when the process died", n)
		}
		time.Sleep(2 * time.Minute)
		w.stop(a, b)
		runs := w.runs(store.BatchRun)
		if len(runs) != 1 || runs[0].State != store.RunDone || runs[0].Holder != "b" || w.scored() != 20 {
			t.Errorf("%d scored, runs %+v", w.scored(), runs)
		}
	})
}

func TestPauseHoldsBatchesAndBackfills(t *testing.T) {
	inWorld(t, 30, func(w *world) {
		w.pause(settings.Pause{Since: time.Now(), Until: time.Now().Add(90 * time.Minute), Reason: "maintenance"})
		a, _ := w.process("a")
		time.Sleep(10 * time.Second)
		if _, err := a.Backfill(context.Background(), nil, "bf", "op"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(80 * time.Minute)
		if n := w.scored(); n != 0 {
			t.Errorf("%d scored while paused", n)
		}
		time.Sleep(20 * time.Minute) // the pause ends by itself within the second window
		w.stop(a)
		if runs := w.runs(store.BatchRun); len(runs) != 1 || runs[0].State != store.RunDone {
			t.Errorf("runs %+v", runs)
		}
		if runs := w.runs(store.BackfillRun); len(runs) != 1 || runs[0].State != store.RunDone || runs[0].Done != 30 || w.scored() != 30 {
			t.Errorf("backfills %+v", runs)
		}
	})
}

func TestBackfillOfACollectionAndCancel(t *testing.T) {
	inWorld(t, 200, func(w *world) {
		w.pauseSchedule()
		a, _ := w.process("a")
		collection := "c1"
		run, err := a.Backfill(context.Background(), &collection, "one", "op")
		if err != nil || run.Total != 100 {
			t.Fatalf("%+v, %v", run, err)
		}
		again, err := a.Backfill(context.Background(), &collection, "one", "op")
		if err != nil || again.Number != run.Number {
			t.Errorf("the same request made run %d beside %d, %v", again.Number, run.Number, err)
		}
		time.Sleep(20 * time.Second)
		if err := w.store.RequestCancel(context.Background(), run.Number, "op"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		w.stop(a)
		got, err := w.store.Run(context.Background(), run.Number)
		if err != nil || got.State != store.RunCancelled || got.StopReason != "cancelled by op" || got.Done == 0 || got.Done >= 100 {
			t.Errorf("%+v, %v", got, err)
		}
		if n := w.scored(); n != got.Done {
			t.Errorf("%d scored, the run says %d", n, got.Done)
		}
	})
}

// pauseSchedule keeps batches from running; backfills must not be affected.
func (w *world) pauseSchedule() {
	w.batch.Every = 1000 * time.Hour
	w.startBatch(1000 * time.Hour)
}

// startBatch makes the batch of this window, as a process does that dies then.
func (w *world) startBatch(lease time.Duration) {
	w.t.Helper()
	if _, _, err := w.store.StartRun(context.Background(), store.Run{
		Kind: store.BatchRun, Window: w.batch.Current(time.Now()).Name(), State: store.RunRunning, Plan: "{}", CreatedAt: time.Now().UTC(), LeaseUntil: time.Now().Add(lease).UTC(),
	}, store.Activity{At: time.Now().UTC(), Kind: store.RunStarted}); err != nil {
		w.t.Fatal(err)
	}
}

func TestBackfillSurvivesItsProcess(t *testing.T) {
	inWorld(t, 60, func(w *world) {
		w.pauseSchedule()
		a, q := w.process("a")
		if _, err := a.Backfill(context.Background(), nil, "all", "op"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Second)
		q.die()
		w.stop(a)
		before := w.runs(store.BackfillRun)[0]
		b, _ := w.process("b")
		time.Sleep(2 * time.Minute)
		w.stop(b)
		after := w.runs(store.BackfillRun)[0]
		if before.Done == 0 || before.Done >= 60 || after.State != store.RunDone || w.scored() != 60 || after.Done > 61 {
			t.Errorf("%d done before, then %+v", before.Done, after)
		}
	})
}

func TestFailedNFTIsRetriedAndListed(t *testing.T) {
	inWorld(t, 10, func(w *world) {
		w.fault = func(nfts []int64) error {
			for _, n := range nfts {
				if n == 4 {
					return errors.New("injected: this NFT cannot be read")
				}
			}
			return nil
		}
		a, _ := w.process("a")
		time.Sleep(time.Minute)
		if n := w.scored(); n != 9 {
			t.Errorf("%d scored beside the broken one, want 9", n)
		}
		failures := w.failures()
		if len(failures) != 1 || failures[0].NFT != 4 || failures[0].Tries != 1 || failures[0].NextTry.IsZero() || !strings.Contains(failures[0].Error, "cannot be read") {
			t.Fatalf("failures %+v", failures)
		}
		time.Sleep(12 * time.Hour)
		failures = w.failures()
		if len(failures) != 1 || failures[0].Tries != w.batch.Retry.Tries || !failures[0].NextTry.IsZero() {
			t.Errorf("after its retries: %+v", failures)
		}
		w.mu.Lock()
		w.fault = nil
		w.mu.Unlock()
		if err := w.store.RetryFailure(context.Background(), 4, time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		w.stop(a)
		if n := w.scored(); n != 10 || len(w.failures()) != 0 {
			t.Errorf("after a retry by hand %d are scored, failures %+v", n, w.failures())
		}
	})
}

func (w *world) failures() []store.Failure {
	w.t.Helper()
	failures, err := w.store.Failures(context.Background(), 10)
	if err != nil {
		w.t.Fatal(err)
	}
	return failures
}

func TestCapStopsARun(t *testing.T) {
	inWorld(t, 30, func(w *world) {
		w.fault = func([]int64) error { time.Sleep(4 * time.Second); return nil }
		a, _ := w.process("a")
		time.Sleep(3 * time.Minute)
		w.stop(a)
		r := w.runs(store.BatchRun)[0]
		if r.State != store.RunStopped || r.Done == 0 || r.Done >= 20 || !strings.Contains(r.StopReason, "time cap") || !strings.Contains(r.StopReason, "left") {
			t.Errorf("%+v", r)
		}
		if took := r.EndedAt.Sub(r.CreatedAt); took > 60*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestManualRunTakesItsSizeAndCollection(t *testing.T) {
	inWorld(t, 40, func(w *world) {
		w.pauseSchedule()
		a, _ := w.process("a")
		collection := "c0"
		if _, err := a.RunNow(context.Background(), scheduler.Manual{Size: 7, Collection: &collection, Who: "op", Name: "m1"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.stop(a)
		r := w.runs(store.ManualRun)[0]
		if r.State != store.RunDone || r.Done != 7 || w.scored() != 7 {
			t.Errorf("%d scored, %+v", w.scored(), r)
		}
	})
}

// The row of a run is saved after every NFT in fixed mode, so it does not carry
// all that was asked for. The run does all of it, or all there is.
func TestLargeSizeKeepsTheRowSmall(t *testing.T) {
	const nfts = 230
	for _, test := range []struct {
		name       string
		size, want int
		how        string
	}{
		{"all there is", 100_000, nfts, "all that was planned is done, 230 NFTs"},
		{"all that was asked for", 200, 200, "all that was planned is done, 200 NFTs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, nfts, func(w *world) {
				w.pauseSchedule()
				w.batch.Cap = time.Hour
				largest, expected := 0, map[int64]bool{}
				w.saving = func(r store.Run) time.Duration {
					if r.Kind == store.ManualRun {
						largest = max(largest, len(r.Plan))
						expected[r.Total] = true
					}
					return 0
				}
				a, _ := w.process("a")
				if _, err := a.RunNow(context.Background(), scheduler.Manual{Size: test.size, Who: "op", Name: "large"}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				w.stop(a)
				r := w.runs(store.ManualRun)[0]
				if r.State != store.RunDone || r.StopReason != test.how || r.Done != int64(test.want) || r.Total != r.Done || w.scored() != r.Done {
					t.Errorf("%d scored, %+v", w.scored(), r)
				}
				if !expected[int64(test.size)] {
					t.Errorf("under way it never expected %d, only %v", test.size, expected)
				}
				if largest < 1000 || largest > 32_000 {
					t.Errorf("the largest plan that was saved has %d bytes, want up to 32,000", largest)
				}
			})
		})
	}
}

func TestAdaptiveRunCoversTheBacklog(t *testing.T) {
	inWorld(t, 900, func(w *world) {
		w.batch.Mode = batch.Adaptive
		a, _ := w.process("a")
		time.Sleep(45 * time.Second)
		w.stop(a)
		r := w.runs(store.BatchRun)[0]
		if r.State != store.RunDone || r.Done != 900 || w.scored() != 900 {
			t.Errorf("%d scored, %+v", w.scored(), r)
		}
	})
}

// A database that takes long to write slows an adaptive run down, which says
// why, and goes on at its pace when that has passed.
func TestSlowDatabaseSlowsAnAdaptiveRun(t *testing.T) {
	inWorld(t, 900, func(w *world) {
		saves := 0
		w.saving = func(r store.Run) time.Duration {
			if r.Kind != store.BatchRun {
				return 0
			}
			saves++
			if saves == 2 || saves == 3 {
				return 100 * time.Millisecond
			}
			return 2 * time.Millisecond
		}
		w.batch.Mode, w.batch.Cap = batch.Adaptive, 10*time.Minute
		a, _ := w.process("a")
		var slow batch.State
		largest := 0
		for slow.Reason == "" && w.scored() < 900 {
			time.Sleep(10 * time.Millisecond)
			if p := a.Pacing(); !p.Healthy {
				slow = p
			} else {
				largest = max(largest, p.Chunk)
			}
		}
		if !strings.HasPrefix(slow.Reason, "database latency ") || !strings.HasSuffix(slow.Reason, " its baseline of 2 ms") ||
			slow.Stopped || slow.Chunk >= largest || slow.Pause < w.batch.Delay {
			t.Errorf("after chunks of up to %d it was paced as %+v", largest, slow)
		}
		time.Sleep(5 * time.Minute)
		w.stop(a)
		if r := w.runs(store.BatchRun)[0]; r.State != store.RunDone || r.Done != 900 || !a.Pacing().Healthy {
			t.Errorf("then it went on as %+v: %+v", a.Pacing(), r)
		}
	})
}

func TestUpkeepTrimsTheLog(t *testing.T) {
	inWorld(t, 10, func(w *world) {
		a, _ := w.process("a")
		time.Sleep(time.Hour)
		entries := func() []store.Activity {
			all, err := w.store.ListActivity(context.Background(), store.ActivityQuery{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		if n := len(entries()); n < 10 {
			t.Fatalf("%d entries", n)
		}
		w.stop(a)
		session := store.Session{Hash: []byte("x"), Data: []byte("x"), ExpiresAt: time.Now()}
		if err := w.store.PutSession(context.Background(), session); err != nil {
			t.Fatal(err)
		}
		time.Sleep(91 * 24 * time.Hour)
		b, _ := w.process("b")
		time.Sleep(time.Minute)
		w.stop(b)
		for _, e := range entries() {
			if age := time.Since(e.At); age > 90*24*time.Hour {
				t.Errorf("an entry is left after %v: %+v", age, e)
			}
		}
		if found, err := w.store.FindSession(context.Background(), session.Hash, time.Time{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a session that has expired is left: %+v, %v", found, err)
		}
	})
}

// Upkeep goes by the settings in force: nothing old of any log is left, and
// what they keep longer is.
func TestUpkeepGoesByTheSettings(t *testing.T) {
	const day = 24 * time.Hour
	inWorld(t, 10, func(w *world) {
		w.rate("again", 10)
		a, _ := w.process("a")
		time.Sleep(time.Hour)
		w.stop(a)
		points := func() (n int) {
			counts, err := counted(w.store)
			if err != nil {
				t.Fatal(err)
			}
			return int(counts.History)
		}
		if len(w.runs("")) < 6 || points() < 10 {
			t.Fatalf("%d runs, %d points", len(w.runs("")), points())
		}
		first := time.Now()
		time.Sleep(20 * day)
		upkeep := func() {
			b, _ := w.process("b")
			time.Sleep(11 * time.Minute)
			w.stop(b)
		}
		upkeep()
		if n := len(w.runs("")); n < 8 {
			t.Errorf("%d runs are left", n)
		}
		w.upkeep.Runs = 14 * day
		upkeep()
		for _, r := range w.runs("") {
			if !r.EndedAt.IsZero() && r.EndedAt.Before(first) {
				t.Errorf("a run is left that ended at %v", r.EndedAt)
			}
		}
		if n := points(); n < 10 {
			t.Errorf("%d points are left", n)
		}
		w.upkeep.History = 10 * day
		upkeep()
		if n := points(); n > 1 { // the last may stay for its number
			t.Errorf("%d points are left", n)
		}
	})
}

func counted(st store.Store) (c store.Counts, err error) {
	err = st.View(context.Background(), func(v store.View) (err error) {
		c, err = v.Counts(context.Background())
		return err
	})
	return c, err
}

// windows returns the windows of the batches that were begun, in that order.
func (w *world) windows() (names []string) {
	for _, r := range slices.Backward(w.runs(store.BatchRun)) {
		names = append(names, r.Window)
	}
	return names
}

// The clock goes wrong by months for a while, also where a process starts then
// or afterwards: the windows of the right time have their runs, each one.
func TestClockFarAhead(t *testing.T) {
	inWorld(t, 3, func(w *world) {
		begin := time.Now()
		hour := func(ahead time.Duration, n int) string {
			return begin.Add(ahead + time.Duration(n)*time.Hour).UTC().Format(time.RFC3339)
		}
		const months = 100 * 24 * time.Hour
		a, _ := w.process("a")
		b, _ := w.process("b")
		time.Sleep(90 * time.Minute)
		w.jump(months)
		time.Sleep(time.Hour)
		c, _ := w.process("c")
		time.Sleep(time.Minute)
		w.stop(c)
		w.jump(0)
		time.Sleep(time.Minute)
		w.stop(a, b)
		d, _ := w.process("d")
		time.Sleep(2 * time.Hour)
		w.stop(d)
		want := []string{hour(0, 0), hour(0, 1), hour(months, 1), hour(months, 2), hour(0, 2), hour(0, 3), hour(0, 4)}
		if got := w.windows(); !slices.Equal(got, want) {
			t.Errorf("batches of %v\nwant %v", got, want)
		}
		for _, r := range w.runs("") {
			if r.State != store.RunDone {
				t.Errorf("%s of %s is %s", r.Kind, r.Window, r.State)
			}
		}
	})
}

// A clock that is set back goes through windows that had their runs, which do
// not have another.
func TestClockSetBack(t *testing.T) {
	for _, back := range []time.Duration{time.Second, 20 * time.Minute, 70 * time.Minute, 5 * time.Hour} {
		t.Run(back.String(), func(t *testing.T) {
			inWorld(t, 3, func(w *world) {
				begin := time.Now()
				a, _ := w.process("a")
				time.Sleep(6*time.Hour + 10*time.Minute)
				w.jump(-back)
				time.Sleep(time.Minute)
				b, _ := w.process("b")
				time.Sleep(2*time.Hour + back)
				w.stop(a, b)
				var want []string
				for n := range 9 {
					want = append(want, begin.Add(time.Duration(n)*time.Hour).UTC().Format(time.RFC3339))
				}
				if got := w.windows(); !slices.Equal(got, want) {
					t.Errorf("batches of %v\nwant %v", got, want)
				}
			})
		})
	}
}

func TestLongPauseIsPaidOnce(t *testing.T) {
	inWorld(t, 5, func(w *world) {
		w.batch.Delay, w.batch.Cap = 9*time.Second, 10*time.Minute
		a, _ := w.process("a")
		time.Sleep(2 * time.Minute)
		w.stop(a)
		r := w.runs(store.BatchRun)[0]
		if took := r.EndedAt.Sub(r.CreatedAt); r.State != store.RunDone || r.Done != 5 || took < 36*time.Second || took > 60*time.Second {
			t.Errorf("it took %v: %+v", took, r)
		}
	})
}

func TestBackfillEndsAtTheLastRow(t *testing.T) {
	inWorld(t, 20, func(w *world) {
		w.pauseSchedule()
		// Twenty more have only skips: rated, and not to be scored.
		var nfts []store.NFT
		for i := range 20 {
			nfts = append(nfts, store.NFT{ID: fmt.Sprintf("late%02d", i), Collection: "c0"})
		}
		if _, err := w.store.PutNFTs(context.Background(), nfts, false, time.Now()); err != nil {
			t.Fatal(err)
		}
		l := ledger.New(w.store, ledger.Options{Policy: w.policy})
		for i := range 10 {
			answers, err := l.Submit(context.Background(), []ledger.Vote{{Key: fmt.Sprint("skip", i), Voter: "v", A: nfts[2*i].ID, B: nfts[2*i+1].ID,
				Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.Neither}}})
			if err != nil || answers[0].Err != nil {
				t.Fatal(err, answers)
			}
		}
		if err := l.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		a, _ := w.process("a")
		if _, err := a.Backfill(context.Background(), nil, "all", "op"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		w.stop(a)
		if r := w.runs(store.BackfillRun)[0]; r.State != store.RunDone || r.Done != 40 || w.scored() != 20 {
			t.Errorf("%d scored, %+v", w.scored(), r)
		}
	})
}

func TestChunkThatOutlastsItsLeaseShrinks(t *testing.T) {
	inWorld(t, 40, func(w *world) {
		w.batch.Mode, w.batch.Cap = batch.Adaptive, time.Hour
		w.batch.Adaptive.FirstChunk = 20
		w.fault = func(nfts []int64) error { time.Sleep(time.Duration(len(nfts)) * 2 * time.Second); return nil }
		a, _ := w.process("a")
		time.Sleep(50 * time.Minute)
		w.stop(a)
		if n := w.scored(); n != 40 {
			t.Errorf("%d scored, want 40: %+v", n, w.runs(store.BatchRun)[0])
		}
	})
}

// A batch that another process began to make, and a pause before it computed.
func TestPauseStopsTheBatchBeforeItsFirstNFT(t *testing.T) {
	inWorld(t, 20, func(w *world) {
		w.pause(settings.Pause{Since: time.Now(), Reason: "now"})
		w.startBatch(time.Second)
		a, _ := w.process("a")
		time.Sleep(5 * time.Minute)
		w.stop(a)
		if r := w.runs(store.BatchRun)[0]; r.State != store.RunStopped || r.StopReason != "batches were paused" || r.Done != 0 || w.scored() != 0 {
			t.Errorf("%d scored, %+v", w.scored(), r)
		}
	})
}

func TestPauseStopsTheBatchUnderWay(t *testing.T) {
	inWorld(t, 20, func(w *world) {
		a, _ := w.process("a")
		time.Sleep(3 * time.Second)
		w.pause(settings.Pause{Since: time.Now(), Reason: "now"})
		time.Sleep(time.Minute)
		w.stop(a)
		if r := w.runs(store.BatchRun)[0]; r.State != store.RunStopped || r.StopReason != "batches were paused" || r.Done == 0 || r.Done > 10 {
			t.Errorf("%+v", r)
		}
	})
}
