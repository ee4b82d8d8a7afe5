package bench

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"poa/internal/store"
)

// plainPostgres is a pool of connections.
type plainPostgres struct {
	pool *pgxpool.Pool
	sent counter
}

// spare connections, for River's own work.
const spare = 8

func (d *postgresDatabase) plainStore(ctx context.Context, connections int) (plainStore, error) {
	config, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		return nil, err
	}
	p := &plainPostgres{}
	config.MaxConns = int32(connections + spare)
	config.ConnConfig.Tracer = &p.sent
	p.pool, err = pgxpool.NewWithConfig(ctx, config)
	return p, err
}

func (p *plainPostgres) begin(ctx context.Context) (plainTx, error) {
	tx, err := p.pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return postgresTx{tx}, nil
}

func (p *plainPostgres) queue(ctx context.Context, workers int, work func(context.Context, plainTx, *store.Vote) error) (queue, error) {
	return startRiver(ctx, riverpgxv5.New(p.pool), p, func(tx plainTx) pgx.Tx { return tx.(postgresTx).Tx }, workers,
		func(ctx context.Context, tx pgx.Tx, job *river.Job[jobArgs]) error {
			_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
			return err
		}, work)
}

func (p *plainPostgres) statements() int64 { return p.sent.n.Load() }

func (p *plainPostgres) close() error {
	p.pool.Close()
	return nil
}

// counter counts the statements of connections.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (c *counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) { c.n.Add(1) }

func (c *counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

type postgresTx struct{ pgx.Tx }

func (t postgresTx) exec(ctx context.Context, statement string, args ...any) error {
	_, err := t.Exec(ctx, statement, args...)
	return err
}

func (t postgresTx) query(ctx context.Context, row func(), dest []any, statement string, args ...any) error {
	rows, err := t.Query(ctx, statement, args...)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, dest, func() error { row(); return nil })
	return err
}

func (t postgresTx) time(at time.Time) any { return at }

func (t postgresTx) commit(ctx context.Context) error { return t.Commit(ctx) }

func (t postgresTx) rollback() { _ = t.Rollback(context.Background()) } // nothing to undo after a commit
