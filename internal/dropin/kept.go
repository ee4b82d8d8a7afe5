package dropin

import (
	"context"
	"sync"
	"time"
)

// kept is a value that is read again when it is asked for after a while, by one
// request however many ask. The zero kept has read nothing.
type kept[T any] struct {
	mu    sync.Mutex // guards what follows, and is held while reading
	value T
	at    time.Time // when it was read, zero for never
}

// get returns the value, read at most a while before now.
func (k *kept[T]) get(ctx context.Context, now time.Time, while time.Duration, read func(context.Context) (T, error)) (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := now.Sub(k.at); k.at.IsZero() || age < 0 || age >= while {
		value, err := read(ctx)
		if err != nil {
			return value, err
		}
		k.value, k.at = value, now
	}
	return k.value, nil
}

// forget has the next get read.
func (k *kept[T]) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at = time.Time{}
}
