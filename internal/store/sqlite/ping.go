package sqlite

import (
	"context"
	"fmt"
	"os"

	"poa/internal/store"
)

// Room that there must be for a file to take writes, in bytes: for a few
// votes, and for a large group of them.
const (
	roomForVotes  = 256 << 10
	roomForGroups = 4 << 20
)

// Ping checks that the file is there and takes writes, by writing to it: one
// page, after looking whether as many as votes may need could be added. That a
// disk has no more room shows only when something is written, and a page may
// fit where a group of votes did not: once a write has failed, Ping writes as
// much as a large group, until that succeeds.
func (s *Store) Ping(ctx context.Context) error {
	if _, err := os.Stat(s.path); err != nil {
		return fmt.Errorf("reaching the database: %w: %w", store.ErrUnavailable, err)
	}
	refused := s.refused.Load()
	if refused {
		if err := s.write(ctx, func(q *Queries) error { return q.probe(ctx, roomForGroups) }); err != nil {
			return doing("trying to write to the database", err)
		}
	}
	err := s.write(ctx, func(q *Queries) error {
		if refused { // what was written makes way
			return q.probe(ctx, 0)
		}
		return tryRoom(ctx, q)
	})
	if err == nil && refused {
		s.refused.Store(false)
	}
	return doing("trying to write to the database", err)
}

// tryRoom adds pages, takes them away again, and writes one.
func tryRoom(ctx context.Context, q *Queries) error {
	for _, step := range []func() error{
		func() error { return execute(ctx, q, `SAVEPOINT probe`) },
		func() error { return q.probe(ctx, roomForVotes) },
		func() error { return execute(ctx, q, `ROLLBACK TO probe`) },
		func() error { return execute(ctx, q, `RELEASE probe`) },
		func() error { return q.probe(ctx, 0) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func execute(ctx context.Context, q *Queries, statement string) error {
	_, err := q.db.ExecContext(ctx, statement)
	return err
}
