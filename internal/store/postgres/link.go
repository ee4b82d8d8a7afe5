package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"poa/internal/store"
)

// How transactions begin. All settings are local to the transaction.
const (
	beginUpdate = "begin isolation level read committed"
	beginView   = "begin isolation level repeatable read read only"

	// A writing transaction looks rows up by key, up to some thousand at a
	// time, and must go on doing so whatever the tables were like when its
	// statements were planned: full scans of a table or an index look cheap
	// while it is empty, and a plan is kept. What is left are nested loops over
	// bitmap index scans, which need a condition on the index. Generic plans
	// spare planning every time, half the cost of a small commit. A client that
	// stops with locks held is thrown out.
	settingsUpdate = `select set_config('lock_timeout', '5s', true), set_config('idle_in_transaction_session_timeout', '60s', true),
		set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
		set_config('enable_indexscan', 'off', true), set_config('enable_indexonlyscan', 'off', true),
		set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)`

	// A view's statements range from one NFT to whole tables: each is planned
	// for what it is given. None takes several of the server's processors: votes
	// need them.
	settingsView = `select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('max_parallel_workers_per_gather', '0', true)`

	// A page of a stream is read along its index whatever is known of the
	// table: by any other plan each page would read all that is left.
	settingsPage = `select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
		set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('enable_sort', 'off', true)`
	settingsPaged = `select set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
		set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true), set_config('enable_sort', 'on', true)`
)

const rollbackTimeout = 5 * time.Second

// link is a transaction's connection. It implements DBTX, so that sqlc's
// methods run on it, in a way that saves round trips: what is only executed is
// gathered and sent with the next query or the commit, and its error comes
// from there.
type link struct {
	store *Store
	conn  *pgxpool.Conn
	q     *Queries // on this link

	gathered *pgx.Batch
	results  pgx.BatchResults // of the batch that was sent last, while not all is read
	unread   int              // queries in results that are not read yet

	savepoints int // set by others in the transaction
}

// begin takes a connection and gathers the start of a transaction.
func (s *Store) begin(ctx context.Context, begin, settings string) (*link, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	l := &link{store: s, conn: conn, gathered: new(pgx.Batch)}
	l.q = New(l)
	l.gathered.Queue(begin)
	l.gathered.Queue(settings)
	return l, nil
}

// update runs f in a writing transaction and commits.
func (s *Store) update(ctx context.Context, f func(*link) error) error {
	l, err := s.begin(ctx, beginUpdate, settingsUpdate)
	if err != nil {
		return err
	}
	defer l.end(ctx)
	if err := f(l); err != nil {
		return err
	}
	return l.commit(ctx)
}

// Exec gathers a statement. It never fails, and its tag is empty.
func (l *link) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	l.gathered.Queue(sql, args...)
	return pgconn.CommandTag{}, nil
}

// Query sends what was gathered and the query, unless ahead has sent it.
func (l *link) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if l.results == nil {
		if err := l.ahead(ctx, statement{sql, args}); err != nil {
			return nil, err
		}
	}
	rows, err := l.results.Query()
	l.unread--
	if err != nil {
		return nil, errors.Join(err, l.read(true))
	}
	return &reply{Rows: rows, link: l}, nil
}

// QueryRow is Query for one row.
func (l *link) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := l.Query(ctx, sql, args...)
	return &single{rows, err}
}

type statement struct {
	sql  string
	args []any
}

// ahead sends what was gathered and then queries, in one round trip. The calls
// of Query that follow must be for the same queries in the same order.
func (l *link) ahead(ctx context.Context, queries ...statement) error {
	before := l.gathered.Len()
	for _, s := range queries {
		l.gathered.Queue(s.sql, s.args...)
	}
	l.results, l.unread = l.conn.SendBatch(ctx, l.take()), len(queries)
	for range before {
		if _, err := l.results.Exec(); err != nil {
			l.read(true)
			return err
		}
	}
	return nil
}

// read is called when a query's rows are read; after the last query's, or when
// nothing more can be read, it ends the batch.
func (l *link) read(failed bool) error {
	if l.results == nil || l.unread > 0 && !failed {
		return nil
	}
	err := l.results.Close()
	l.results, l.unread = nil, 0
	return err
}

func (l *link) take() *pgx.Batch {
	b := l.gathered
	l.gathered = new(pgx.Batch)
	return b
}

// commit sends what was gathered and commits. When the connection breaks then,
// the outcome is unknown.
func (l *link) commit(ctx context.Context) error {
	if l.conn.Conn().IsClosed() {
		return l.failure(ctx, "committing", errors.New("the connection is closed"))
	}
	l.gathered.Queue("commit")
	n := l.gathered.Len()
	results := l.conn.SendBatch(ctx, l.take())
	var tag pgconn.CommandTag
	var err error
	for i := 0; i < n && err == nil; i++ {
		tag, err = results.Exec()
	}
	closed := results.Close()
	switch {
	case err == nil && tag.String() == "COMMIT":
		return nil // whatever became of the connection afterwards
	case err == nil && closed == nil:
		return errors.New("committing: the transaction had failed before and was rolled back")
	case err == nil:
		err = closed
	}
	// pgconn.SafeToRetry does not help: it also holds for the reading of an
	// answer on a connection that was just found closed.
	if l.conn.Conn().IsClosed() {
		l.store.pool.Reset()
		return fmt.Errorf("committing: %w: %w", store.ErrOutcomeUnknown, err)
	}
	return l.failure(ctx, "committing", err)
}

// end rolls back what was not committed and returns the connection. Where that
// fails the pool closes the connection, and the server rolls back.
func (l *link) end(ctx context.Context) {
	defer l.conn.Release()
	if l.results != nil {
		l.read(true)
	}
	conn := l.conn.Conn()
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	conn.Exec(ctx, "rollback")
}

// reply is the rows of a query in a batch.
type reply struct {
	pgx.Rows
	link *link
	err  error // of the batch's end
	done bool
}

func (r *reply) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *reply) Close() {
	if r.done {
		return
	}
	r.done = true
	r.Rows.Close()
	r.err = r.link.read(r.Rows.Err() != nil)
}

func (r *reply) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

// single is the first row of a query.
type single struct {
	rows pgx.Rows
	err  error
}

func (s *single) Scan(into ...any) error {
	if s.err != nil {
		return s.err
	}
	defer s.rows.Close()
	if !s.rows.Next() {
		if err := s.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := s.rows.Scan(into...); err != nil {
		return err
	}
	s.rows.Close()
	return s.rows.Err()
}
