// Package live streams activity as it happens in any process on the database.
//
// One goroutine per process reads the database, however many listen, and only
// while somebody does. The latest events are kept in a ring that all listeners
// read from, each at its own pace: a slow one delays nobody, and finds a gap
// where the ring has gone round. Whoever comes back within the ring goes on
// from there without a statement; an older place costs one bounded query, and
// these are rate-limited.
package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"poa/internal/store"
)

// Errors of Subscribe and Next.
var (
	// ErrFull: too many listen. Try again later.
	ErrFull = errors.New("too many listeners: try again later")
	// ErrStopped: the process is shutting down.
	ErrStopped = errors.New("the stream has ended: the process is shutting down")
	// ErrClosed: the subscription was closed.
	ErrClosed = errors.New("the subscription was closed")
)

// Source is the part of store.Service that is read.
type Source interface {
	Stream(ctx context.Context, after store.Position, limit int) ([]store.Activity, store.Position, error)
	StreamEnd(ctx context.Context) (store.Position, error)
}

// Options of a Stream. A zero field means its default.
type Options struct {
	Poll         time.Duration // longest time between two reads while anyone listens: 250 ms
	Buffer       int           // latest events kept for all listeners: 4096
	MaxListeners int           // 1000
	Heartbeat    time.Duration // between signs of life on a quiet HTTP stream: 15 s
	WriteTimeout time.Duration // after which an HTTP listener that takes nothing is given up: 15 s
	Replay       int           // entries that are read again for one listener: 1000
	ReplayEvery  time.Duration // shortest time between two such reads: 100 ms
	Log          *slog.Logger  // discarded
}

const (
	// pageSize is the number of entries in one read.
	pageSize = 500
	// Reads that nudges cause are at least a tenth of Poll apart, and need not
	// be further apart than nudgeSpacing.
	nudgeSpacing = 100 * time.Millisecond
	readTimeout  = 30 * time.Second
	// heardFor is how many Polls long what was read last is taken for all there
	// is.
	heardFor    = 4
	longestWait = 5 * time.Second // between reads that fail
)

// Stream feeds listeners. Its methods are safe for concurrent use.
type Stream struct {
	Options
	source Source

	cancel context.CancelFunc
	nudged chan struct{} // holds a token when there may be something to read
	wake   chan struct{} // holds a token when listeners came, went or ask for a replay
	done   chan struct{} // closed when the reader has ended; nil before Start
	moved  atomic.Int64  // when something changed last, as far as is known here, in nanoseconds

	mu       sync.Mutex // guards what follows
	subs     map[*Subscription]struct{}
	asking   []*Subscription // those whose place is not in the ring, first come first
	changed  chan struct{}   // closed and replaced when listeners may have something to take
	empty    chan struct{}   // closed when the stream has stopped and nobody listens
	started  bool            // the ring is in use
	stopped  bool
	ring     ring
	position store.Position // after the last event of the ring
	steered  time.Time      // see Steered
	heard    time.Time      // when the latest read began that told all there was
	stats    Stats
}

// Stats are numbers for people who look after a process.
type Stats struct {
	Listeners int
	Events    int64 // entries read
	Gaps      int64 // gaps that listeners met
	Replays   int64 // queries for places older than the ring
}

// New returns a stream. Start it.
func New(source Source, o Options) *Stream {
	orDefault(&o.Poll, 250*time.Millisecond)
	orDefault(&o.Buffer, 4096)
	orDefault(&o.MaxListeners, 1000)
	orDefault(&o.Heartbeat, 15*time.Second)
	orDefault(&o.WriteTimeout, 15*time.Second)
	orDefault(&o.Replay, 1000)
	orDefault(&o.ReplayEvery, 100*time.Millisecond)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Stream{
		Options: o, source: source,
		nudged: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		subs: map[*Subscription]struct{}{}, changed: make(chan struct{}), empty: make(chan struct{}),
	}
}

func orDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Start starts the reader. Call it once.
func (s *Stream) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	s.cancel, s.done = cancel, make(chan struct{})
	s.mu.Unlock()
	go func() {
		defer close(s.done)
		for ctx.Err() == nil {
			select {
			case <-s.wake:
				s.follow(ctx)
			case <-ctx.Done():
			}
		}
	}()
}

// Stop ends all subscriptions (HTTP listeners get a last event) and the
// reader, and waits until every subscription is closed or ctx ends. It may be
// called more than once.
func (s *Stream) Stop(ctx context.Context) error {
	s.mu.Lock()
	cancel, done := s.cancel, s.done
	if !s.stopped {
		s.stopped = true
		s.broadcast()
		if len(s.subs) == 0 {
			close(s.empty)
		}
	}
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Nudge says that there may be something to read, so that it is read before
// Poll has passed. It costs next to nothing and may be called after every
// commit. It is Changed, too.
func (s *Stream) Nudge() {
	s.Changed()
	signal(s.nudged)
}

// Changed says that something was changed here which no entry tells of, or of
// which the entry was not read yet.
func (s *Stream) Changed() { s.moved.Store(time.Now().UnixNano()) }

// Unchanged reports whether nothing has happened since a time: no entry was
// read and nothing was changed here. It is false while that is not known: while
// nobody listens or reading fails. Votes that other processes take without an
// entry go unnoticed.
func (s *Stream) Unchanged(since time.Time) bool {
	s.mu.Lock()
	follows := s.started && time.Since(s.heard) < heardFor*s.Poll
	s.mu.Unlock()
	return follows && since.UnixNano() > s.moved.Load()
}

// Stats returns the numbers so far.
func (s *Stream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Listeners = len(s.subs)
	return stats
}

// broadcast wakes the listeners. The caller holds mu.
func (s *Stream) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// signal leaves a token in c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
