package servicetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"poa/internal/scheduler"
	"poa/internal/store"
)

// Queue holds the steps of runs until Run, or works them off as they come after
// Free.
type Queue struct {
	work scheduler.Work
	busy sync.WaitGroup

	mu   sync.Mutex // guards what follows
	free bool
	held []scheduler.Step
}

// errDriven keeps the scheduler from starting runs by itself.
var errDriven = errors.New("driven by the test")

// Start is called by the scheduler, as are Stop and Insert.
func (q *Queue) Start(_ context.Context, work scheduler.Work) error { q.work = work; return errDriven }
func (q *Queue) Stop(context.Context) error                         { return nil }

func (q *Queue) Insert(_ context.Context, s scheduler.Step) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.free {
		q.held = append(q.held, s)
		return nil
	}
	q.busy.Go(func() { _ = q.do(context.Background(), s) }) // what fails is in the run
	return nil
}

func (q *Queue) do(ctx context.Context, s scheduler.Step) error {
	return q.work(ctx, s, func(ctx context.Context, _ store.Tx, next *scheduler.Step, _ time.Time) error {
		if next != nil {
			return q.Insert(ctx, *next)
		}
		return nil
	})
}

// Run works off all steps that are held and those after them.
func (q *Queue) Run(ctx context.Context) error {
	for q.Holds() {
		if err := q.Step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Step works off the first step that is held.
func (q *Queue) Step(ctx context.Context) error {
	q.mu.Lock()
	step := q.held[0]
	q.held = q.held[1:]
	q.mu.Unlock()
	return q.do(ctx, step)
}

// Free has steps worked off as they come from now on.
func (q *Queue) Free() { q.set(true) }

// Hold has steps held from now on.
func (q *Queue) Hold() { q.set(false) }

func (q *Queue) set(free bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free = free
}

// Holds reports whether a step is held.
func (q *Queue) Holds() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.held) > 0
}

// Wait returns when no step is under way after Free.
func (q *Queue) Wait() { q.busy.Wait() }
