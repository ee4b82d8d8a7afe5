package panel

import (
	"context"
	"sync"
	"time"
)

// shared keeps values that are read at most once in a while however many look
// at them, and not at all while nobody does. Its methods are safe for
// concurrent use.
type shared[K comparable, T any] struct {
	every time.Duration
	now   func() time.Time
	read  func(context.Context, K) (T, error)

	mu     sync.Mutex // guards what follows
	values map[K]*sharedValue[T]
}

type sharedValue[T any] struct {
	mu    sync.Mutex // guards what follows, and is held while reading
	value T
	err   error
	at    time.Time
}

const (
	// sharedTime is how long a shared value may take to be read.
	sharedTime = 10 * time.Second
	// sharedKeys is how many values are kept.
	sharedKeys = 256
)

func newShared[K comparable, T any](every time.Duration, now func() time.Time, read func(context.Context, K) (T, error)) *shared[K, T] {
	return &shared[K, T]{every: every, now: now, read: read, values: map[K]*sharedValue[T]{}}
}

// get returns a value, or the error of reading it, a while ago at most. Who
// reads does it for all: a client that goes away does not end it.
func (s *shared[K, T]) get(ctx context.Context, key K) (T, error) {
	v := s.find(key)
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := s.now(); v.at.IsZero() || now.Sub(v.at) >= s.every {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedTime)
		defer cancel()
		v.value, v.err = s.read(ctx, key)
		v.at = now
	}
	return v.value, v.err
}

func (s *shared[K, T]) find(key K) *sharedValue[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.values[key]
	if v == nil {
		if len(s.values) >= sharedKeys {
			clear(s.values) // each is read again
		}
		v = &sharedValue[T]{}
		s.values[key] = v
	}
	return v
}
