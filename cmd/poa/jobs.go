package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"poa/internal/scheduler"
	"poa/internal/store/postgres"
	"poa/internal/store/sqlite"
)

// tables is a queue that has tables of its own.
type tables interface {
	scheduler.Queue
	Migrate(ctx context.Context) error
	Migrated(ctx context.Context) (bool, error)
	Present(ctx context.Context) (bool, error)
	UI(prefix string) (http.Handler, error)
}

// jobQueue is the queue behind the scheduler, with what is to be closed after
// it.
type jobQueue struct {
	tables
	close func() error
}

func (c *jobQueue) Close() error {
	if err := c.close(); err != nil {
		return fmt.Errorf("closing the job queue: %w", err)
	}
	return nil
}

// openQueue returns the queue in the database of the store that is open.
func (m *Main) openQueue() (*jobQueue, error) {
	switch st := m.store.(type) {
	case *postgres.Store:
		q := scheduler.NewRiver[*riverpgxv5.Driver, pgx.Tx](riverpgxv5.New(st.Pool()), postgres.RawTx, m.log)
		// Notifications need a session, which a pooler in transaction mode does
		// not give; it is the reason for these modes too.
		mode := st.Pool().Config().ConnConfig.DefaultQueryExecMode
		q.PollOnly = m.config.Serve.PollJobs || mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol
		return &jobQueue{q, func() error { return nil }}, nil
	case *sqlite.Store:
		db, err := sqlite.OpenPlain(m.database().Path)
		if err != nil {
			return nil, fmt.Errorf("opening the job queue: %w", err)
		}
		return &jobQueue{scheduler.NewRiver[*riversqlite.Driver, *sql.Tx](riversqlite.New(db), sqlite.RawTx, m.log), db.Close}, nil
	}
	return nil, fmt.Errorf("there is no job queue for %T", m.store)
}

// migrate brings the tables up to date, those of the job queue too. It does
// nothing where they are.
func (m *Main) migrate(ctx context.Context) (err error) {
	if err := m.store.Migrate(ctx); err != nil {
		return fmt.Errorf("migrating %s: %w", m.database(), err)
	}
	q, err := m.openQueue()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	if done, err := q.Migrated(ctx); err != nil || done {
		return err
	}
	return q.Migrate(ctx)
}
