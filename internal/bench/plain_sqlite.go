package bench

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"poa/internal/store"
)

// plainSQLite is the one connection that SQLite writes with.
type plainSQLite struct{ db *sql.DB }

func (d *sqliteDatabase) plainStore(context.Context, int) (plainStore, error) {
	db, err := d.connection()
	if err != nil {
		return nil, err
	}
	return &plainSQLite{db}, nil
}

func (p *plainSQLite) begin(ctx context.Context) (plainTx, error) {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return sqliteTx{tx}, nil
}

func (p *plainSQLite) queue(ctx context.Context, workers int, work func(context.Context, plainTx, *store.Vote) error) (queue, error) {
	return startRiver(ctx, riversqlite.New(p.db), p, func(tx plainTx) *sql.Tx { return tx.(sqliteTx).Tx }, workers,
		func(ctx context.Context, tx *sql.Tx, job *river.Job[jobArgs]) error {
			_, err := river.JobCompleteTx[*riversqlite.Driver](ctx, tx, job)
			return err
		}, work)
}

func (p *plainSQLite) statements() int64 { return -1 }

func (p *plainSQLite) close() error { return nil } // the database closes its connection

type sqliteTx struct{ *sql.Tx }

// dialect turns a statement into SQLite's: it numbers parameters with question
// marks and knows no row locks, its transactions exclude each other.
var dialect = strings.NewReplacer("$", "?", " FOR UPDATE", "")

func (t sqliteTx) exec(_ context.Context, statement string, args ...any) error {
	_, err := t.ExecContext(context.Background(), dialect.Replace(statement), args...)
	return err
}

func (t sqliteTx) query(_ context.Context, row func(), dest []any, statement string, args ...any) error {
	rows, err := t.QueryContext(context.Background(), dialect.Replace(statement), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		row()
	}
	return rows.Err()
}

func (t sqliteTx) time(at time.Time) any { return at.UnixMicro() }

func (t sqliteTx) commit(context.Context) error { return t.Commit() }

func (t sqliteTx) rollback() { _ = t.Rollback() } // nothing to undo after a commit
