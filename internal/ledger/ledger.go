// Package ledger takes votes. It is the only writer of votes, and folds them
// by natural group commit: while one commit is under way the next votes
// gather, then go in together. An answer is given only after the commit.
package ledger

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"poa/internal/publish"
	"poa/internal/store"
)

// Errors of Submit as a whole.
var (
	// ErrBusy: too many votes wait. Nothing was recorded; try again later.
	ErrBusy = errors.New("too many votes are waiting: try again in a moment")
	// ErrClosed: the ledger is shutting down. Nothing was recorded.
	ErrClosed = errors.New("the ledger is shutting down: try again elsewhere")
)

// Options of a Ledger. A zero field means its default.
//
// With MaxFold below MaxCommit a commit folds one part of its votes after the
// other, which bounds its memory, and publishes each part's scores, as if the
// parts were commits. It locks rows anew for each part, so this is for stores
// with a single writer only: with several, parts would lock in no order.
type Options struct {
	Policy    *publish.Policy  // required
	Now       func() time.Time // time.Now
	MaxCommit int              // votes in one commit: 1000
	MaxFold   int              // votes of a commit that are folded together: all; see below
	MaxQueue  int              // votes waiting: 20000
	Patience  time.Duration    // how long a commit is repeated before its votes are told to try again: 20 s
	Observer  Observer         // none
	Log       *slog.Logger     // discarded
}

// Ledger folds votes into a store. Its methods are safe for concurrent use.
type Ledger struct {
	store    store.Store
	policy   atomic.Pointer[publish.Policy]
	now      func() time.Time
	limit    int
	fold     int // votes
	maxQueue int
	patience time.Duration
	observer Observer
	log      *slog.Logger

	ctx    context.Context // of commits; ends when Close gives up draining
	cancel context.CancelFunc
	wake   chan struct{} // holds a token while votes wait or the ledger closes
	done   chan struct{} // closed when the committing goroutine has ended
	merges chan struct{} // holds a token when counters are to be merged
	merged chan struct{} // closed when the merging goroutine has ended

	mu     sync.Mutex // guards what follows
	queue  []*pending
	closed bool
}

// pending is a vote that waits for its commit.
type pending struct {
	vote    Vote
	arrived time.Time
	answer  *Answer
	call    *call
	refused *Error // set when the vote names an NFT that is not registered
}

// call is one Submit.
type call struct {
	ctx  context.Context
	left atomic.Int64 // votes not answered yet
	done chan struct{}
}

// New starts a ledger. Close it to end its goroutines.
func New(st store.Store, o Options) *Ledger {
	l := &Ledger{
		store: st, now: o.Now, limit: o.MaxCommit, fold: o.MaxFold, maxQueue: o.MaxQueue, patience: o.Patience, observer: o.Observer, log: o.Log,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		merges: make(chan struct{}, 1), merged: make(chan struct{}),
	}
	l.policy.Store(o.Policy)
	if l.now == nil {
		l.now = time.Now
	}
	if l.limit <= 0 {
		l.limit = 1000
	}
	if l.fold <= 0 {
		l.fold = l.limit
	}
	if l.maxQueue <= 0 {
		l.maxQueue = 20000
	}
	if l.patience <= 0 {
		l.patience = 20 * time.Second
	}
	if l.observer == nil {
		l.observer = unobserved{}
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	go l.commits()
	go l.mergeCounters()
	return l
}

// SetPolicy puts a policy in force for all votes not yet being committed.
func (l *Ledger) SetPolicy(p *publish.Policy) { l.policy.Store(p) }

// Submit records votes and answers each, in their order, once they are
// committed or refused. Votes of one call are folded in order, and after those
// of every call that returned before.
//
// On ErrBusy and ErrClosed nothing was recorded. If ctx ends first, Submit
// returns its error and some votes may be recorded: repeating the call with the
// same keys is always safe.
func (l *Ledger) Submit(ctx context.Context, votes []Vote) ([]Answer, error) {
	now := l.now()
	answers := make([]Answer, len(votes))
	c := &call{ctx: ctx, done: make(chan struct{})}
	waiting := make([]*pending, 0, len(votes))
	for i := range votes {
		if err := votes[i].Check(now); err != nil {
			answers[i].Err = err
			l.observer.Answered(&votes[i], &answers[i])
			continue
		}
		waiting = append(waiting, &pending{vote: votes[i], arrived: now, answer: &answers[i], call: c})
	}
	if len(waiting) == 0 {
		return answers, nil
	}
	c.left.Store(int64(len(waiting)))
	if err := l.enqueue(waiting); err != nil {
		for _, p := range waiting {
			l.observer.Answered(&p.vote, &Answer{Err: err})
		}
		return nil, err
	}
	select {
	case <-c.done:
		return answers, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *Ledger) enqueue(votes []*pending) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if len(l.queue) > 0 && len(l.queue)+len(votes) > l.maxQueue {
		return ErrBusy
	}
	l.queue = append(l.queue, votes...)
	signal(l.wake)
	return nil
}

// Waiting returns the number of votes that wait for a commit.
func (l *Ledger) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// Close refuses new votes, commits and answers those that wait, and ends the
// ledger's goroutines. If ctx ends first the rest is told to try again, and
// Close returns ctx's error.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	signal(l.wake)
	defer l.cancel()
	var err error
	select {
	case <-l.done:
	case <-ctx.Done():
		err = ctx.Err()
		l.cancel()
		<-l.done
	}
	select {
	case <-l.merged:
	case <-ctx.Done():
		l.cancel()
		<-l.merged
	}
	return err
}

// commits takes one group of votes after the other, until the ledger is closed
// and no vote waits.
func (l *Ledger) commits() {
	defer close(l.merges)
	defer close(l.done)
	for n := 1; ; n++ {
		group, ok := l.next()
		if !ok {
			return
		}
		l.commit(group)
		if n%mergeEvery == 0 {
			signal(l.merges)
		}
	}
}

// next waits for votes and takes up to the limit of one commit. Votes whose
// caller has gone are left out. It is false when the ledger is closed and
// empty.
func (l *Ledger) next() ([]*pending, bool) {
	for {
		l.mu.Lock()
		n := min(len(l.queue), l.limit)
		taken := l.queue[:n:n]
		l.queue = l.queue[n:]
		closed := l.closed
		if len(l.queue) > 0 {
			signal(l.wake)
		}
		l.mu.Unlock()

		group := taken[:0]
		for _, p := range taken {
			if err := p.call.ctx.Err(); err != nil {
				l.observer.Answered(&p.vote, &Answer{Err: err})
				continue
			}
			group = append(group, p)
		}
		switch {
		case len(group) > 0:
			return group, true
		case n > 0:
		case closed:
			return nil, false
		default:
			<-l.wake
		}
	}
}

// mergeEvery is the number of commits after which pending counter deltas are
// merged.
const mergeEvery = 200

func (l *Ledger) mergeCounters() {
	defer close(l.merged)
	for range l.merges {
		if err := l.store.MergeCounters(l.ctx); err != nil && l.ctx.Err() == nil {
			l.log.Warn("merging counters failed; the next merge takes them", "err", err)
		}
	}
}

// answer hands the answers to the callers.
func (l *Ledger) answer(group []*pending, answers []Answer) {
	now := l.now()
	for i, p := range group {
		answers[i].Took = now.Sub(p.arrived)
		l.observer.Answered(&p.vote, &answers[i])
		*p.answer = answers[i]
		if p.call.left.Add(-1) == 0 {
			close(p.call.done)
		}
	}
}

// refuse answers a whole group with one error.
func (l *Ledger) refuse(group []*pending, err *Error) {
	answers := make([]Answer, len(group))
	for i := range answers {
		answers[i].Err = err
	}
	l.answer(group, answers)
}

// signal leaves a token in c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
