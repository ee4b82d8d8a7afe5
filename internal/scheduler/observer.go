package scheduler

import (
	"time"

	"poa/internal/store"
)

// Observer is told what this process's part in the runs does, for metrics. Its
// methods are called from several goroutines and must return at once.
type Observer interface {
	// Computed is told of every chunk of a batch, manual run or backfill, once
	// the run's progress is saved.
	Computed(c Chunk)
	// Ended is told of every run that this process ended.
	Ended(r store.Run)
}

// Chunk are NFTs of a run that were computed together.
type Chunk struct {
	Kind                       store.RunKind
	Changed, Unchanged, Failed int
	Took                       time.Duration
}

// unobserved is the Observer of a scheduler without one.
type unobserved struct{}

func (unobserved) Computed(Chunk)  {}
func (unobserved) Ended(store.Run) {}

// Observers are told one after the other.
type Observers []Observer

// Computed tells all.
func (list Observers) Computed(c Chunk) {
	for _, o := range list {
		o.Computed(c)
	}
}

// Ended tells all.
func (list Observers) Ended(r store.Run) {
	for _, o := range list {
		o.Ended(r)
	}
}
