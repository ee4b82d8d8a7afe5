package ledger

import (
	"time"

	"poa/internal/store"
)

// Observer is told what a ledger does, for metrics and whoever waits for news.
// Its methods are called from several goroutines, the committing one among
// them, so they must return at once.
type Observer interface {
	// Answered is told of every vote's answer, before the caller gets it. Its
	// Err is ErrBusy or ErrClosed for votes that were not taken, and the error
	// of the caller's context for those whose caller left before their turn.
	Answered(v *Vote, a *Answer)
	// Committed is told of every commit that recorded votes, once it is known to
	// be in force.
	Committed(c Commit)
}

// Commit is a commit that recorded votes. Do not change what it points to.
type Commit struct {
	Votes    int              // recorded
	Took     time.Duration    // the transaction, waiting for locks and the disk included
	Activity []store.Activity // logged with them
}

// unobserved is the Observer of a ledger without one.
type unobserved struct{}

func (unobserved) Answered(*Vote, *Answer) {}
func (unobserved) Committed(Commit)        {}

// Observers are told one after the other.
type Observers []Observer

// Answered tells all.
func (list Observers) Answered(v *Vote, a *Answer) {
	for _, o := range list {
		o.Answered(v, a)
	}
}

// Committed tells all.
func (list Observers) Committed(c Commit) {
	for _, o := range list {
		o.Committed(c)
	}
}
