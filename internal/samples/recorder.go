// Package samples records what the processes do, minute by minute, and reads it
// back as series for charts. Every process adds its own counts to the same
// samples of the store, so they are those of all processes together.
package samples

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scheduler"
	"poa/internal/store"
)

// Names of samples. Those that end with a dot are followed by more words.
const (
	votes    = "votes."    // recorded, by kind
	fired    = "fired."    // triggers that votes fired: rule.outcome
	computed = "computed." // computations: reason.outcome
	latency  = "latency."  // triggered votes by bucket of the time to their score

	// Gauges.
	backlogDue     = store.GaugePrefix + "due"
	backlogNew     = store.GaugePrefix + "new"
	backlogOld     = store.GaugePrefix + "old"
	oldestUnscored = store.GaugePrefix + "oldest_unscored" // seconds
)

// Outcomes of computations and of triggers.
const (
	Changed   = "changed" // a first score too
	Unchanged = "unchanged"
	Withdrawn = "withdrawn"
	Failed    = "failed"
	Deferred  = "deferred"
	Computed  = "computed" // of triggers only
)

// bounds are the upper bounds of the buckets of latency, but for the last.
var bounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

func bucket(i int) string { return fmt.Sprintf("%s%02d", latency, i) }

const (
	// flushTimeout is how long adding the samples of a minute may take.
	flushTimeout = 20 * time.Second
	// oldCounted is up to how many old scores are counted.
	oldCounted = 100_000
)

// Database is the part of store.Service that is needed.
type Database interface {
	AddSamples(ctx context.Context, samples []store.Sample) error
	Samples(ctx context.Context, from, until time.Time, minutes int) ([]store.Sample, error)
	Backlog(ctx context.Context, oldBefore time.Time, limit int64) (store.Backlog, error)
}

// Options of a Recorder. A zero field means its default.
type Options struct {
	Store Database // required
	// Backlog counts what is owed, for the gauges: the store.
	Backlog  func(context.Context) (store.Backlog, error)
	OldAfter func() time.Duration // age from which a score is old: 24 hours
	Now      func() time.Time     // time.Now
	Log      *slog.Logger         // discarded
}

// Recorder counts what one process does, as an Observer of its ledger and of
// its scheduler, and adds it to the store's samples once a minute. What cannot
// be added is kept for the next minute. Its methods are safe for concurrent use.
type Recorder struct {
	Options
	cancel context.CancelFunc
	loop   sync.WaitGroup

	flushing sync.Mutex // held while samples are added

	mu      sync.Mutex // guards what follows
	counts  map[moment]int64
	sent    map[moment]int64 // on their way to the store
	flushed time.Time        // when samples were added last
}

// moment is a sample's minute and name.
type moment struct {
	minute int64 // since 1970
	name   string
}

var (
	_ ledger.Observer    = (*Recorder)(nil)
	_ scheduler.Observer = (*Recorder)(nil)
)

// NewRecorder returns a recorder. It counts from now on; Start has it add to
// the store.
func NewRecorder(o Options) *Recorder {
	if o.OldAfter == nil {
		o.OldAfter = func() time.Duration { return 24 * time.Hour }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Backlog == nil {
		o.Backlog = func(ctx context.Context) (store.Backlog, error) {
			return o.Store.Backlog(ctx, o.Now().Add(-o.OldAfter()), oldCounted)
		}
	}
	return &Recorder{Options: o, counts: map[moment]int64{}}
}

// Start starts the goroutine that adds to the store as each minute ends.
func (r *Recorder) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.loop.Go(func() {
		for {
			now := r.Now()
			timer := time.NewTimer(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
			r.look(ctx)
			r.flush(ctx)
		}
	})
}

// Stop ends the goroutine and adds what was counted since. It may be called more
// than once.
func (r *Recorder) Stop(ctx context.Context) {
	if r.cancel != nil {
		r.cancel()
		r.loop.Wait()
	}
	r.flush(ctx)
}

// Answered counts a vote, with what it triggered.
func (r *Recorder) Answered(v *ledger.Vote, a *ledger.Answer) {
	if a.Err != nil || a.Duplicate {
		return
	}
	minute := r.minute()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[moment{minute, votes + publish.KindName(v.Vote)}]++
	scored := false
	for i := range a.Triggered {
		t := &a.Triggered[i]
		outcome := Computed
		if t.Deferred != "" {
			outcome = Deferred
		}
		r.counts[moment{minute, fired + string(t.Reason) + "." + outcome}]++
		scored = scored || t.Score != nil
	}
	if scored {
		i := 0
		for i < len(bounds) && a.Took > bounds[i] {
			i++
		}
		r.counts[moment{minute, bucket(i)}]++
	}
}

// Committed counts the computations of a commit.
func (r *Recorder) Committed(c ledger.Commit) {
	for i := range c.Activity {
		a := &c.Activity[i]
		switch {
		case a.Kind == store.Withdrawn:
			r.Computation(a.Reason, Withdrawn, 1)
		case a.Kind == store.Deferred:
			r.Computation(a.Reason, Deferred, 1)
		case a.Kind == store.Computed && a.POABefore != nil && a.POA != nil && *a.POABefore == *a.POA:
			r.Computation(a.Reason, Unchanged, 1)
		case a.Kind == store.Computed:
			r.Computation(a.Reason, Changed, 1)
		}
	}
}

// Computed counts the computations of a chunk of a run.
func (r *Recorder) Computed(c scheduler.Chunk) {
	r.Computation(string(c.Kind), Changed, int64(c.Changed))
	r.Computation(string(c.Kind), Unchanged, int64(c.Unchanged))
	r.Computation(string(c.Kind), Failed, int64(c.Failed))
}

// Ended counts nothing: runs are in a table of their own.
func (r *Recorder) Ended(store.Run) {}

// Computation counts computations of a reason with an outcome, for those that
// neither the ledger nor the scheduler tells of.
func (r *Recorder) Computation(reason, outcome string, n int64) {
	if n == 0 {
		return
	}
	minute := r.minute()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[moment{minute, computed + reason + "." + outcome}] += n
}

func (r *Recorder) minute() int64 { return r.Now().Unix() / 60 }

// look takes the gauges, for the minute that ended.
func (r *Recorder) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	now := r.Now()
	b, err := r.Backlog(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.Log.Warn("the backlog of a minute is not in the charts", "err", err)
		}
		return
	}
	var age int64
	if !b.OldestNew.IsZero() {
		age = max(0, int64(now.Sub(b.OldestNew)/time.Second))
	}
	minute := r.minute() - 1
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, value := range map[string]int64{backlogDue: b.Due, backlogNew: b.New, backlogOld: b.Old, oldestUnscored: age} {
		r.counts[moment{minute, name}] = value
	}
}

// flush adds what was counted to the store. What cannot be added goes with the
// next flush; where that was added all the same, because the connection broke
// as it was committed, it counts twice.
func (r *Recorder) flush(ctx context.Context) {
	r.flushing.Lock()
	defer r.flushing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	r.mu.Lock()
	r.sent, r.counts = r.counts, map[moment]int64{}
	batch := appendSamples(nil, r.sent)
	r.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	err := r.Store.AddSamples(ctx, batch)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.Log.Warn("what happened in a minute is not in the charts yet; it is tried again", "err", err)
		for m, n := range r.sent {
			r.counts[m] += n // no gauge is of a minute that ended before
		}
	} else {
		r.flushed = r.Now()
	}
	r.sent = nil
}

// pending returns what is not in the store yet, and when the store was added to
// last.
func (r *Recorder) pending() ([]store.Sample, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return appendSamples(appendSamples(nil, r.counts), r.sent), r.flushed
}

func appendSamples(list []store.Sample, counts map[moment]int64) []store.Sample {
	for m, n := range counts {
		list = append(list, store.Sample{At: time.Unix(m.minute*60, 0).UTC(), Name: m.name, Value: n})
	}
	return list
}
