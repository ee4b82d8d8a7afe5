package overview

import (
	"context"
	"fmt"
	"time"

	"poa/internal/snapshot"
	"poa/internal/store"
)

const (
	// backlogEvery is how old a count is that is told without another one.
	backlogEvery = 5 * time.Second
	// backlogFor is how old a count may be that is told while it is counted
	// anew: more than the minute after which it is counted in any case, for the
	// charts.
	backlogFor = 2 * time.Minute
	// oldCounted is up to how many old scores are counted.
	oldCounted = 100_000
)

// Backlog counts what is owed, once for all who ask in a process. Of a million
// NFTs that takes a while, for which nobody waits who can be told an older
// count. Its methods are safe for concurrent use.
type Backlog struct {
	latest *snapshot.Snapshot[store.Backlog]
	now    func() time.Time
}

// Counting is the part of store.Service that counts.
type Counting interface {
	Backlog(ctx context.Context, oldBefore time.Time, limit int64) (store.Backlog, error)
}

// NewBacklog returns a counter. Scores are old from oldAfter on; unchanged tells
// whether nothing has happened since a time.
func NewBacklog(st Counting, oldAfter func() time.Duration, unchanged func(since time.Time) bool, now func() time.Time) *Backlog {
	count := func(ctx context.Context) (store.Backlog, error) {
		b, err := st.Backlog(ctx, now().Add(-oldAfter()), oldCounted)
		if err != nil {
			return b, fmt.Errorf("counting the backlog: %w", err)
		}
		return b, nil
	}
	return &Backlog{snapshot.New(backlogEvery, now, count).Quietly(unchanged).Behind(backlogFor), now}
}

// Latest returns what is owed as it was counted last, two minutes ago at most,
// and has it counted anew where that is over five seconds ago. Old scores are
// counted up to 100,000.
func (b *Backlog) Latest(ctx context.Context) (store.Backlog, error) { return b.latest.Get(ctx) }

// Count returns what is owed now.
func (b *Backlog) Count(ctx context.Context) (store.Backlog, error) {
	return b.latest.After(ctx, b.now())
}
