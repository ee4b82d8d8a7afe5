package bench

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/sqlite"
)

//go:embed sql/recompute_sqlite.sql
var recomputeSQLite string

//go:embed sql/fill_sqlite.sql
var fillSQLite string

// sqliteHost keeps databases as files in a folder.
type sqliteHost struct {
	folder string
	made   []*sqliteDatabase // not dropped yet
}

func (h *sqliteHost) version(ctx context.Context) (version string, err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version)
	return version, err
}

func (h *sqliteHost) create(_ context.Context, label string) (database, error) {
	path := filepath.Join(h.folder, label+".db")
	if _, err := os.Stat(path); err == nil {
		return nil, fmt.Errorf("%s exists", path)
	}
	db := &sqliteDatabase{host: h, path: path}
	h.made = append(h.made, db)
	return db, nil
}

func (h *sqliteHost) copy(ctx context.Context, from database, label string) (database, error) {
	source := from.(*sqliteDatabase)
	if err := source.close(ctx); err != nil { // which leaves no WAL
		return nil, err
	}
	db, err := h.create(ctx, label)
	if err != nil {
		return nil, err
	}
	return db, copyFile(source.path, db.(*sqliteDatabase).path)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

func (h *sqliteHost) close() error {
	var errs []error
	for _, db := range slices.Clone(h.made) {
		errs = append(errs, db.drop(context.Background()))
	}
	return errors.Join(errs...)
}

// sqliteDatabase is a file.
type sqliteDatabase struct {
	host   *sqliteHost
	path   string
	store  *sqlite.Store
	direct *sql.DB // one connection, beside the store's
}

func (d *sqliteDatabase) open(ctx context.Context) (store.Store, error) {
	if d.store == nil {
		s, err := sqlite.Open(ctx, d.path)
		if err != nil {
			return nil, err
		}
		d.store = s
	}
	return d.store, nil
}

// connection returns the connection beside the store's. Its settings are those
// of the store's writing connection.
func (d *sqliteDatabase) connection() (*sql.DB, error) {
	if d.direct == nil {
		settings := url.Values{"_txlock": {"immediate"}, "_pragma": {
			"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)", "checkpoint_fullfsync(1)", "mmap_size(0)",
			"cache_size(-32768)", "wal_autocheckpoint(16000)", "journal_size_limit(67108864)", "temp_store(MEMORY)",
		}}
		db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: d.path, RawQuery: settings.Encode()}).String())
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		d.direct = db
	}
	return d.direct, nil
}

// insert takes several rows in each execution of a prepared statement: fewer
// would spend more in the driver, more would spend it on binding.
func (d *sqliteDatabase) insert(ctx context.Context, rows []store.Vote) error {
	const together, columns = 50, 12
	db, err := d.connection()
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for len(rows) > 0 {
		n := min(together, len(rows))
		args := make([]any, 0, n*columns)
		for i := range rows[:n] {
			args = appendRow(args, &rows[i])
		}
		// Without the context: the driver would watch it with a goroutine for
		// every statement.
		if _, err := tx.ExecContext(context.Background(), insertRows(n), args...); err != nil {
			return fmt.Errorf("inserting votes: %w", err)
		}
		rows = rows[n:]
	}
	return tx.Commit()
}

func insertRows(n int) string {
	return `INSERT INTO votes (number, key, voter, kind, super, nft_a, nft_b, outcome, value, weight, cast_at, received_at) VALUES ` +
		strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), ", n), ", ")
}

func appendRow(args []any, v *store.Vote) []any {
	var b, value any
	if v.Kind == scoring.Matchup {
		b = v.B
	}
	if v.Kind == scoring.Slider {
		value = v.Value
	}
	return append(args, v.Number, v.Key, v.Voter, int64(v.Kind), v.Super, v.A, b, int64(v.Outcome), value,
		int64(v.Weight), v.CastAt.UnixMicro(), v.ReceivedAt.UnixMicro())
}

func (d *sqliteDatabase) settle(ctx context.Context) error {
	db, err := d.connection()
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		return fmt.Errorf("writing a checkpoint: %w", err)
	}
	return nil
}

func (d *sqliteDatabase) written(context.Context) (int64, error) { return -1, nil }

func (d *sqliteDatabase) owe(ctx context.Context, at time.Time) error {
	db, err := d.connection()
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `UPDATE ratings SET due_since = ?, due_reason = 'batch', due_priority = 1`, at.UnixMicro())
	return err
}

func (d *sqliteDatabase) fill(ctx context.Context, nfts int, at time.Time) error {
	db, err := d.connection()
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, fillSQLite, sql.Named("nfts", nfts), sql.Named("at", at.UnixMicro()))
	return err
}

func (d *sqliteDatabase) recompute(ctx context.Context, version int64, at time.Time) error {
	db, err := d.connection()
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, recomputeSQLite, sql.Named("version", version), sql.Named("at", at.UnixMicro()))
	return err
}

func (d *sqliteDatabase) address() string { return "sqlite:" + d.path }

func (d *sqliteDatabase) close(context.Context) error {
	var errs []error
	if d.direct != nil {
		errs = append(errs, d.direct.Close())
		d.direct = nil
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
		d.store = nil
	}
	return errors.Join(errs...)
}

func (d *sqliteDatabase) drop(ctx context.Context) error {
	d.host.made = slices.DeleteFunc(d.host.made, func(other *sqliteDatabase) bool { return other == d })
	errs := []error{d.close(ctx)}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(d.path + suffix); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
