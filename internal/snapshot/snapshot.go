// Package snapshot shares what was read among all who want to see it.
package snapshot

import (
	"context"
	"time"
)

const (
	// readTimeout is how long a read may take.
	readTimeout = 10 * time.Second
	// failedFor is how long an error is shared at most: long enough to go easy on
	// what is in trouble, and a moment's trouble is not told for minutes.
	failedFor = time.Second
	// quietFor is how long a value is shared at most while nothing changes: a
	// little less than the 15 s after which open pages ask again by themselves,
	// so that each time they get another one, and many that do not ask together
	// have it read as often as one.
	quietFor = 14 * time.Second
)

// Snapshot is a value that is read when somebody asks, at most once in a while
// however many ask, and never when nobody does. Its methods are safe for
// concurrent use.
type Snapshot[T any] struct {
	every time.Duration
	now   func() time.Time
	read  func(context.Context) (T, error)
	quiet func(since time.Time) bool
	// behind is how old a value may be that is told while another is read, 0
	// for no such value.
	behind time.Duration

	turn chan struct{} // holds a token unless somebody looks or reads; guards what follows
	at   time.Time     // of the last read, zero for never
	kept T
	err  error
	// until is when err is shared no longer; it has no meaning without one.
	until     time.Time
	replacing bool // another value is being read in the background
}

// New returns a snapshot of what read returns, for as long as every after it
// was read. Errors are shared for a second at most.
func New[T any](every time.Duration, now func() time.Time, read func(context.Context) (T, error)) *Snapshot[T] {
	s := &Snapshot[T]{every: every, now: now, read: read, turn: make(chan struct{}, 1)}
	s.quiet = func(time.Time) bool { return false }
	s.turn <- struct{}{}
	return s
}

// Quietly has the value shared for longer, up to 14 s, while unchanged says that
// nothing has happened since it began to be read. Call it before Get.
func (s *Snapshot[T]) Quietly(unchanged func(since time.Time) bool) *Snapshot[T] {
	s.quiet = unchanged
	return s
}

// Behind has nobody wait while there is a value up to so old: who asks gets it,
// and another one is read in the background. Call it before Get.
func (s *Snapshot[T]) Behind(longest time.Duration) *Snapshot[T] {
	s.behind = longest
	return s
}

// Get returns the value. Do not change what it points to: others see it too.
func (s *Snapshot[T]) Get(ctx context.Context) (T, error) {
	return s.After(ctx, time.Time{})
}

// After is Get, but for a value that began to be read after a time.
func (s *Snapshot[T]) After(ctx context.Context, least time.Time) (T, error) {
	var none T
	select {
	case <-s.turn:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	now := s.now()
	if s.at.After(least) {
		if s.fresh(now) {
			return s.kept, s.err
		}
		if age := now.Sub(s.at); age >= 0 && age < s.behind && s.err == nil {
			s.replace(ctx)
			return s.kept, nil
		}
	}
	s.set(s.readAt(ctx, now))
	return s.kept, s.err
}

// replace reads another value in the background, unless one is being read. The
// caller has the turn.
func (s *Snapshot[T]) replace(ctx context.Context) {
	if s.replacing {
		return
	}
	s.replacing = true
	go func() {
		at, value, err := s.readAt(ctx, s.now())
		<-s.turn
		defer func() { s.turn <- struct{}{} }()
		s.replacing = false
		if at.After(s.at) {
			s.set(at, value, err)
		}
	}()
}

// readAt reads a value at a time, which it returns. It is for others too, so it
// does not end with the caller.
func (s *Snapshot[T]) readAt(ctx context.Context, at time.Time) (time.Time, T, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	value, err := s.read(ctx)
	return at, value, err
}

// set keeps what was read. The caller has the turn.
func (s *Snapshot[T]) set(at time.Time, value T, err error) {
	s.at, s.kept, s.err, s.until = at, value, err, s.now().Add(failedFor)
}

// fresh reports whether the value is still shared. The caller has the turn.
func (s *Snapshot[T]) fresh(now time.Time) bool {
	age := now.Sub(s.at)
	switch {
	case age < 0 || s.err != nil && !now.Before(s.until):
		return false
	case age < s.every:
		return true
	}
	return age < quietFor && s.quiet(s.at)
}
