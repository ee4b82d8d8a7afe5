// Package postgres keeps poa's data in PostgreSQL 15 or later, for any number
// of processes on one database.
//
// Statements are set-based and sent in pipelines: a commit of many votes costs
// a fixed number of statements and few round trips. No state outlives a
// transaction on its connection, so a pooler in transaction mode may stand
// between (with default_query_exec_mode=exec in the URL where it does not know
// prepared statements).
package postgres

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"poa/internal/scoring"
	"poa/internal/store"
)

// Store is a PostgreSQL database.
type Store struct {
	pool    *pgxpool.Pool
	counter *counter
	folding atomic.Pointer[scoring.Folding] // nil until prepared or read
}

var _ store.Store = (*Store)(nil)

// Open returns the store at a postgres:// URL, with all options pgx and its
// pool know. It connects when a connection is first needed.
func Open(ctx context.Context, url string) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("reading the database URL: %w", err) // pgx leaves the password out
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "poa"
	}
	s := &Store{counter: new(counter)}
	config.ConnConfig.Tracer = s.counter
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return s, nil
}

// Close closes all connections, once they are returned.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Statements returns how many statements this process sent.
func (s *Store) Statements() int64 { return s.counter.n.Load() }

// Durability reads the settings on which an acknowledged vote's survival
// depends, as they are in force for a transaction of this store.
func (s *Store) Durability(ctx context.Context) ([]store.Durability, error) {
	var row DurabilitySettingsRow
	err := s.update(ctx, func(l *link) (err error) {
		row, err = l.q.DurabilitySettings(ctx)
		return l.failure(ctx, "reading the durability settings", err)
	})
	if err != nil {
		return nil, err
	}
	commit := row.SynchronousCommit
	return []store.Durability{
		{Name: "fsync", Value: row.Fsync, Want: "on", OK: row.Fsync == "on"},
		{Name: "synchronous_commit", Value: commit, Want: "on or remote_apply", OK: commit == "on" || commit == "remote_apply"},
		{Name: "full_page_writes", Value: row.FullPageWrites, Want: "on", OK: row.FullPageWrites == "on"},
	}, nil
}

// counter counts the statements that are sent.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	c.n.Add(int64(data.Batch.Len()))
	return ctx
}

func (*counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)     {}
func (*counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}
