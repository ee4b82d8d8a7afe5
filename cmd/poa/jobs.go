package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"poa/internal/scheduler"
	"poa/internal/store/postgres"
	"poa/internal/store/sqlite"
)

// jobQueue is the queue behind the scheduler, with its tables.
type jobQueue interface {
	scheduler.Queue
	Migrate(ctx context.Context) error
	Close() error
}

// closing is a queue with what is to be closed after it.
type closing struct {
	migrating
	close func() error
}

type migrating interface {
	scheduler.Queue
	Migrate(ctx context.Context) error
}

func (c closing) Close() error {
	if err := c.close(); err != nil {
		return fmt.Errorf("closing the job queue: %w", err)
	}
	return nil
}

// openQueue returns the queue in the database of the store that is open.
func (m *Main) openQueue() (jobQueue, error) {
	switch st := m.store.(type) {
	case *postgres.Store:
		q := scheduler.NewRiver[*riverpgxv5.Driver, pgx.Tx](riverpgxv5.New(st.Pool()), postgres.RawTx, m.log)
		// Notifications need a session, which a pooler in transaction mode does
		// not give; it is the reason for these modes too.
		mode := st.Pool().Config().ConnConfig.DefaultQueryExecMode
		q.PollOnly = m.config.Serve.PollJobs || mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol
		return closing{q, func() error { return nil }}, nil
	case *sqlite.Store:
		db, err := sqlite.OpenPlain(m.database().Path)
		if err != nil {
			return nil, fmt.Errorf("opening the job queue: %w", err)
		}
		return closing{scheduler.NewRiver[*riversqlite.Driver, *sql.Tx](riversqlite.New(db), sqlite.RawTx, m.log), db.Close}, nil
	}
	return nil, fmt.Errorf("there is no job queue for %T", m.store)
}
