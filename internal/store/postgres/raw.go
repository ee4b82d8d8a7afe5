package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"poa/internal/store"
)

// Pool returns the store's connections, for the job queue. Close ends them.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// RawTx returns a transaction of this package's Update as one of pgx, so that
// others can take part in it. The store begins and ends it: Commit and Rollback
// fail. What is run on its Conn overtakes statements that the store has
// gathered; everything else comes after them.
func RawTx(t store.Tx) pgx.Tx { return raw{t.(tx).link} }

// raw runs statements at once, after those that were gathered.
type raw struct{ *link }

var errNotOurs = errors.New("the store ends its transactions itself")

func (r raw) Commit(context.Context) error   { return errNotOurs }
func (r raw) Rollback(context.Context) error { return errNotOurs }

// Begin sets a savepoint.
func (r raw) Begin(ctx context.Context) (pgx.Tx, error) {
	r.link.savepoints++
	s := savepoint{raw: r, name: fmt.Sprintf("poa_%d", r.link.savepoints), done: new(bool)}
	if _, err := r.Exec(ctx, "savepoint "+s.name); err != nil {
		return nil, err
	}
	return s, nil
}

// flush sends what was gathered.
func (l *link) flush(ctx context.Context) error {
	if l.gathered.Len() == 0 {
		return nil
	}
	return l.conn.SendBatch(ctx, l.take()).Close()
}

func (r raw) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := r.flush(ctx); err != nil {
		return pgconn.CommandTag{}, err
	}
	return r.conn.Exec(ctx, sql, args...)
}

func (r raw) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := r.flush(ctx); err != nil {
		return nil, err
	}
	return r.conn.Query(ctx, sql, args...)
}

func (r raw) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := r.flush(ctx); err != nil {
		return &single{err: err}
	}
	return r.conn.QueryRow(ctx, sql, args...)
}

func (r raw) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := r.flush(ctx); err != nil {
		return unsent{err}
	}
	return r.conn.SendBatch(ctx, b)
}

func (r raw) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	if err := r.flush(ctx); err != nil {
		return 0, err
	}
	return r.conn.CopyFrom(ctx, table, columns, rows)
}

func (r raw) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if err := r.flush(ctx); err != nil {
		return nil, err
	}
	return r.conn.Conn().Prepare(ctx, name, sql)
}

// LargeObjects is not supported: what it returns cannot be used.
func (r raw) LargeObjects() pgx.LargeObjects { return pgx.LargeObjects{} }

func (r raw) Conn() *pgx.Conn { return r.conn.Conn() }

// savepoint is a transaction within a raw one.
type savepoint struct {
	raw
	name string
	done *bool
}

func (s savepoint) Commit(ctx context.Context) error {
	return s.end(ctx, "release savepoint "+s.name)
}

func (s savepoint) Rollback(ctx context.Context) error {
	return s.end(ctx, "rollback to savepoint "+s.name)
}

func (s savepoint) end(ctx context.Context, sql string) error {
	if *s.done {
		return pgx.ErrTxClosed
	}
	*s.done = true
	_, err := s.Exec(ctx, sql)
	return err
}

// unsent are the results of a batch that could not be sent.
type unsent struct{ err error }

func (u unsent) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, u.err }
func (u unsent) Query() (pgx.Rows, error)         { return nil, u.err }
func (u unsent) QueryRow() pgx.Row                { return &single{err: u.err} }
func (u unsent) Close() error                     { return u.err }
func (u unsent) Tx() pgx.Tx                       { return nil }
