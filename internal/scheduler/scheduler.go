// Package scheduler runs the coarse work: the hourly batch, manual runs,
// backfills and upkeep. A run is a row of the store with a plan, progress and a
// lease; processes work on it in short steps that a queue hands out. The row
// decides: a step belongs to whoever claims it there first, so a window never
// runs twice, and the run of a killed process goes on when its lease ends.
package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"poa/internal/batch"
	"poa/internal/settings"
	"poa/internal/store"
)

// Queue hands the steps of runs to the processes, each at least once. Delivery
// may be late or repeated: claiming decides.
type Queue interface {
	// Insert asks for a step of a run.
	Insert(ctx context.Context, s Step) error
	// Start begins to call work with steps, until Stop. A step whose work fails
	// is called again later.
	Start(ctx context.Context, work Work) error
	// Stop ends the delivery and waits for the steps under way; their contexts
	// end when ctx does.
	Stop(ctx context.Context) error
}

// Step is a step of a run: number of the run, and of the step. Again counts
// the leases that went by since the step was asked for without a claim: a job
// that died with its process must not stand in the way of another.
type Step struct {
	Run   int64 `json:"run" river:"unique"`
	Step  int64 `json:"step" river:"unique"`
	Again int64 `json:"again" river:"unique"`
}

// Work does a step. It calls settle within the transaction that ends the step.
type Work func(ctx context.Context, s Step, settle Settle) error

// Settle marks the delivered step as done in tx, and asks for the next one at
// a time if next is not nil.
type Settle func(ctx context.Context, tx store.Tx, next *Step, at time.Time) error

// Options of a Scheduler.
type Options struct {
	Store        store.Service
	Queue        Queue
	Settings     func() *settings.InForce
	VotesWaiting func() int       // in this process's ledger
	Process      string           // name of this process, unique
	Cores        int              // of the database's machine, for sessions per core; 0: not known
	Observer     Observer         // none
	Now          func() time.Time // time.Now
	Log          *slog.Logger
}

const (
	tickEvery = time.Second
	// lease is how long a step may go without saving.
	lease = 20 * time.Second
	// stepTime is when a step hands over to the next one.
	stepTime = 8 * time.Second
)

// Scheduler is one process's part in the coarse work.
type Scheduler struct {
	Options
	loop   sync.WaitGroup
	cancel context.CancelFunc

	mu         sync.Mutex // guards what follows
	lastBatch  time.Time  // start of the window whose run was begun, or found, last
	lastUpkeep time.Time
	looked     bool // the two above were read from the store
	pacing     batch.State
	measured   batch.Measured
	baseline   time.Duration
}

// New returns a scheduler. Start it.
func New(o Options) *Scheduler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Scheduler{Options: o}
}

// Start starts the queue and the loop that starts runs.
func (s *Scheduler) Start(ctx context.Context) error {
	if err := s.Queue.Start(ctx, s.work); err != nil {
		return fmt.Errorf("starting the job queue: %w", err)
	}
	loop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.loop.Go(func() {
		ticker := time.NewTicker(tickEvery)
		defer ticker.Stop()
		for {
			if err := s.Tick(loop); err != nil && loop.Err() == nil {
				s.Log.Warn("looking for runs to start failed; it is tried again", "err", err)
			}
			select {
			case <-ticker.C:
			case <-loop.Done():
				return
			}
		}
	})
	return nil
}

// Stop ends the loop and the steps under way; what is left of a run goes on in
// another process, or after the next start.
func (s *Scheduler) Stop(ctx context.Context) error {
	if s.cancel != nil {
		s.cancel()
	}
	s.loop.Wait()
	return s.Queue.Stop(ctx)
}

// Tick starts the runs whose window has come, and asks for steps of runs that
// nobody holds. Any number of processes may tick.
func (s *Scheduler) Tick(ctx context.Context) error {
	return errors.Join(s.startBatch(ctx), s.startUpkeep(ctx), s.adoptOrphans(ctx))
}

// look reads the last windows from the store, once.
func (s *Scheduler) look(ctx context.Context) error {
	s.mu.Lock()
	looked := s.looked
	s.mu.Unlock()
	if looked {
		return nil
	}
	var last [2]time.Time
	for i, kind := range []store.RunKind{store.BatchRun, store.UpkeepRun} {
		runs, err := s.Store.Runs(ctx, kind, 0, 1)
		if err != nil {
			return fmt.Errorf("reading the last run: %w", err)
		}
		if len(runs) > 0 {
			last[i] = windowStart(runs[0])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastBatch, s.lastUpkeep, s.looked = last[0], last[1], true
	return nil
}

func windowStart(r store.Run) time.Time {
	t, err := time.Parse(time.RFC3339, r.Window)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (s *Scheduler) startBatch(ctx context.Context) error {
	if err := s.look(ctx); err != nil {
		return err
	}
	in, now := s.Settings(), s.Now()
	s.mu.Lock()
	window, due := in.Batch.ToRun(s.lastBatch, now)
	s.mu.Unlock()
	if !due || in.Batches.On(now) {
		return nil
	}
	run := store.Run{Kind: store.BatchRun, Window: window.Name(), RequestedBy: "schedule"}
	if _, err := s.start(ctx, run, fmt.Sprintf("the batch of %s began", window.Name())); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastBatch = window.Start
	return nil
}

func (s *Scheduler) startUpkeep(ctx context.Context) error {
	keep := s.Settings().Upkeep
	s.mu.Lock()
	window, due := keep.ToRun(s.lastUpkeep, s.Now())
	s.mu.Unlock()
	if !due {
		return nil
	}
	run := store.Run{Kind: store.UpkeepRun, Window: window.Name(), RequestedBy: "schedule"}
	if _, err := s.start(ctx, run, ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastUpkeep = window.Start
	return nil
}

// start creates a run, unless its window has one, and asks for its first step.
func (s *Scheduler) start(ctx context.Context, run store.Run, what string) (store.Run, error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	run.State, run.CreatedAt, run.LeaseUntil = store.RunRunning, now, now
	if run.Plan == "" {
		run.Plan = "{}"
	}
	log := store.Activity{At: now, Kind: store.RunStarted, Reason: string(run.Kind), Who: run.RequestedBy, Detail: what}
	run, created, err := s.Store.StartRun(ctx, run, log)
	if err != nil {
		return run, fmt.Errorf("starting a run: %w", err)
	}
	if !created {
		return run, nil
	}
	if err := s.Queue.Insert(ctx, Step{Run: run.Number}); err != nil {
		return run, fmt.Errorf("asking for the first step of run %d: %w", run.Number, err)
	}
	return run, nil
}

// adoptOrphans asks for the next step of runs whose holder has gone.
func (s *Scheduler) adoptOrphans(ctx context.Context) error {
	now := s.Now()
	runs, err := s.Store.OrphanedRuns(ctx, now)
	if err != nil {
		return fmt.Errorf("looking for runs that nobody holds: %w", err)
	}
	for _, r := range runs {
		if err := s.Queue.Insert(ctx, Step{r.Number, r.Steps, int64(now.Sub(r.LeaseUntil) / lease)}); err != nil {
			return fmt.Errorf("asking for a step of run %d: %w", r.Number, err)
		}
	}
	return nil
}

// Manual is a request for a run now.
type Manual struct {
	Size       int     // NFTs; 0: as a batch
	Collection *string // nil: all
	Who        string
	Name       string // unique; a repeated request with one name is one run
}

// RunNow starts a run outside of the schedule.
func (s *Scheduler) RunNow(ctx context.Context, m Manual) (store.Run, error) {
	plan, err := json.Marshal(plan{Size: m.Size})
	if err != nil {
		return store.Run{}, err
	}
	run := store.Run{Kind: store.ManualRun, Window: m.Name, Collection: m.Collection, RequestedBy: m.Who, Plan: string(plan)}
	return s.start(ctx, run, "a run was started by hand")
}

// Backfill starts the exact computation of every rated NFT, of one collection
// if collection is not nil.
func (s *Scheduler) Backfill(ctx context.Context, collection *string, name, who string) (store.Run, error) {
	var total int64
	err := s.Store.View(ctx, func(v store.View) error {
		collections, err := v.Collections(ctx)
		for _, c := range collections {
			if collection == nil || c.Name == *collection {
				total += c.Ready + c.Scored
			}
		}
		return err
	})
	if err != nil {
		return store.Run{}, fmt.Errorf("counting the NFTs of a backfill: %w", err)
	}
	run := store.Run{Kind: store.BackfillRun, Window: name, Collection: collection, RequestedBy: who, Total: total}
	return s.start(ctx, run, "a backfill began")
}

// Pacing returns how the last chunk of this process was paced.
func (s *Scheduler) Pacing() batch.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pacing
}

// Measured returns what this process's runs have shown.
func (s *Scheduler) Measured() batch.Measured {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.measured
}
