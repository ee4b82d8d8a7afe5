package panel

import (
	"context"
	"sync"
	"time"

	"poa/internal/snapshot"
)

// shared keeps a snapshot for each of several keys, such as filters. For a
// single value use snapshot.Snapshot itself. Its methods are safe for
// concurrent use.
type shared[K comparable, T any] struct {
	every     time.Duration
	now       func() time.Time
	read      func(context.Context, K) (T, error)
	unchanged func(since time.Time) bool

	mu     sync.Mutex // guards what follows
	values map[K]*snapshot.Snapshot[T]
}

// sharedKeys is how many snapshots are kept.
const sharedKeys = 256

func newShared[K comparable, T any](every time.Duration, now func() time.Time, read func(context.Context, K) (T, error)) *shared[K, T] {
	return &shared[K, T]{
		every: every, now: now, read: read, values: map[K]*snapshot.Snapshot[T]{},
		unchanged: func(time.Time) bool { return false },
	}
}

// quietly is Quietly of each snapshot.
func (s *shared[K, T]) quietly(unchanged func(since time.Time) bool) *shared[K, T] {
	s.unchanged = unchanged
	return s
}

// get returns the value of a key, or the error of reading it, as it was a while
// ago at most.
func (s *shared[K, T]) get(ctx context.Context, key K) (T, error) {
	s.mu.Lock()
	v := s.values[key]
	if v == nil {
		if len(s.values) >= sharedKeys {
			clear(s.values) // each is read again
		}
		v = snapshot.New(s.every, s.now, func(ctx context.Context) (T, error) { return s.read(ctx, key) }).Quietly(s.unchanged)
		s.values[key] = v
	}
	s.mu.Unlock()
	return v.Get(ctx)
}
