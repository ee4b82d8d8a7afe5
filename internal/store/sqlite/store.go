// Package sqlite keeps poa's data in one SQLite file: the embedded default.
//
// One connection writes; a few others read snapshots beside it (WAL). Several
// processes may open the same file: their writers take turns, and readers wait
// for nobody.
package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"

	"poa/internal/scoring"
	"poa/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// maxReaders bounds the connections that serve views at one time, and the
// memory that their caches and sorting take: with twice as many, the longest
// lists of a million NFTs took 40 MB more.
const maxReaders = 4

// settings of the connections, in the driver's notation. A writer waits up to
// five seconds for another process's. Memory-mapped I/O stays off: with it a
// failing disk is a SIGBUS instead of an error, and every page read counts as
// resident memory.
var (
	commonSettings = url.Values{
		"_busy_timeout": {"5000"},
		"_foreign_keys": {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"},
	}
	readerSettings = url.Values{
		"_query_only": {"1"},
		"_pragma":     {"mmap_size(0)", "cache_size(-4096)", "temp_store(MEMORY)"},
	}
)

// writerSettings are those of a writing connection.
//
// SQLite's default, a checkpoint after 1,000 pages, would come with every
// commit of 500 votes (they change about that many) and write the hot pages
// anew each time. At 16,000 (64 MB) such a commit took 30 % less time, and
// the WAL is still short enough to be read again after a crash.
func writerSettings() url.Values {
	return url.Values{
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_pragma": {
			"fullfsync(1)", // where fsync does not reach the disk's platter
			"checkpoint_fullfsync(1)",
			"mmap_size(0)",
			writerCache(),
			"wal_autocheckpoint(16000)",
			"journal_size_limit(67108864)",
			"temp_store(MEMORY)",
		},
	}
}

// Store is a SQLite file. It implements store.Store.
type Store struct {
	path       string
	writer     *sql.DB // one connection
	readers    *sql.DB
	statements atomic.Int64
	folding    atomic.Pointer[scoring.Folding] // once they are known
	writers    atomic.Int64                    // connections of writer so far
	ratings    ratings                         // of the writing connection
	refused    atomic.Bool                     // a write failed, and no Ping has succeeded since
	serving    *os.File                        // locked by Serve, nil before
}

var _ store.Store = (*Store)(nil)

// Open opens the database file at path and creates it if there is none; its
// folder must exist. It fails with ErrUnavailable where there is no such
// folder or the file is not a SQLite database.
func Open(ctx context.Context, path string) (*Store, error) {
	return open(ctx, path, nil)
}

// open is Open with further parameters for the driver, for both kinds of
// connection.
func open(ctx context.Context, path string, more url.Values) (*Store, error) {
	if path == "" || strings.HasPrefix(path, ":") {
		return nil, fmt.Errorf("opening a SQLite database: %q is not the path of a file", path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	if folder, err := os.Stat(filepath.Dir(abs)); err != nil {
		return nil, fmt.Errorf("opening %s: %w: its folder: %w", path, store.ErrUnavailable, err)
	} else if !folder.IsDir() {
		return nil, fmt.Errorf("opening %s: %w: %s is not a folder", path, store.ErrUnavailable, filepath.Dir(abs))
	}
	s := &Store{path: abs}
	if s.writer, err = s.connect(&s.writers, commonSettings, writerSettings(), more); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	s.writer.SetMaxOpenConns(1)
	if s.readers, err = s.connect(new(atomic.Int64), commonSettings, readerSettings, more); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, err), s.writer.Close())
	}
	s.readers.SetMaxOpenConns(maxReaders)
	s.readers.SetMaxIdleConns(maxReaders)
	if err := s.greet(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, err), s.Close())
	}
	return s, nil
}

// greet makes the first connection, which creates the file. Switching a new
// file to WAL does not wait for another process that is doing the same, so
// that is repeated for as long as a writer would wait.
func (s *Store) greet(ctx context.Context) error {
	const pause, attempts = 50 * time.Millisecond, 100
	for attempt := 1; ; attempt++ {
		err := classify(s.writer.PingContext(ctx))
		if !errors.Is(err, store.ErrContention) || attempt == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (s *Store) connect(opened *atomic.Int64, settings ...url.Values) (*sql.DB, error) {
	c, err := driver.NewConnector(dsn(s.path, settings...))
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector{Connector: c, statements: &s.statements, opened: opened}), nil
}

// Close closes all connections. The last one to close a file also empties its
// WAL.
func (s *Store) Close() error {
	err := errors.Join(s.readers.Close(), s.writer.Close())
	if s.serving != nil {
		err = errors.Join(err, s.serving.Close())
	}
	return err
}

// Statements returns how many statements were executed, transaction control
// included; those of a migration are not.
func (s *Store) Statements() int64 { return s.statements.Load() }

// Migrate brings the schema up to date. Where another process migrates at the
// same time, one of them finds the tables made already; it looks again.
func (s *Store) Migrate(ctx context.Context) error {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		err := s.migrate(ctx)
		if err == nil || ctx.Err() != nil || attempt == attempts {
			return doing("migrating the schema", err)
		}
	}
}

func (s *Store) migrate(ctx context.Context) error {
	have, want, err := s.Schema(ctx)
	if err != nil || have == want {
		return err
	}
	if have > want {
		return fmt.Errorf("%w: it is at version %d, this program knows versions up to %d", store.ErrSchema, have, want)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	// A pool of its own: goose needs a connection of the plain driver.
	db, err := OpenPlain(s.path)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	_, err = provider.Up(ctx)
	return errors.Join(err, db.Close())
}

// Schema returns the schema's version and the one this program works with.
func (s *Store) Schema(ctx context.Context) (have, want int64, err error) {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return 0, 0, err
	}
	for _, f := range files {
		version, err := goose.NumericComponent(f.Name())
		if err != nil {
			return 0, 0, err
		}
		want = max(want, version)
	}
	// goose's own table: not part of the migrations, so not of sqlc's schema.
	err = s.readers.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have)
	if err = classify(err); err != nil && !errors.Is(err, store.ErrSchema) {
		return 0, want, fmt.Errorf("reading the schema's version: %w", err)
	}
	return have, want, nil
}

// Durability reads journal mode and synchronous level from the writing
// connection.
func (s *Store) Durability(ctx context.Context) ([]store.Durability, error) {
	c, err := s.writer.Conn(ctx)
	if err != nil {
		return nil, doing("reaching the writing connection", err)
	}
	defer c.Close()
	var mode string
	var level int
	err = errors.Join(
		c.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode),
		c.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&level))
	if err != nil {
		return nil, doing("reading the durability settings", err)
	}
	levels := []string{"OFF", "NORMAL", "FULL", "EXTRA"}
	return []store.Durability{
		{Name: "journal_mode", Value: mode, Want: "wal", OK: mode == "wal"},
		{Name: "synchronous", Value: levels[level], Want: "FULL or EXTRA", OK: level >= slices.Index(levels, "FULL")},
	}, nil
}

// Update runs f in one transaction that has the write lock from its start.
func (s *Store) Update(ctx context.Context, f func(store.Tx) error) error {
	t := &tx{store: s}
	return s.writeThen(ctx, func(q *Queries) error {
		t.q = q
		defer t.endRaw()
		if err := f(t); err != nil {
			return err
		}
		// SQLite ends a transaction by itself on some errors, so one that f
		// ignored must not be followed by a commit.
		return t.failed
	}, func() { s.ratings.keep(t.written) })
}

// write runs f in a transaction of the writing connection. Its statements are
// short and run without the context (see tx); waiting for the connection and
// for the write lock ends with it.
func (s *Store) write(ctx context.Context, f func(*Queries) error) error {
	return s.writeThen(ctx, f, func() {})
}

// writeThen is write, and calls then once f's changes are committed, before
// another transaction begins.
func (s *Store) writeThen(ctx context.Context, f func(*Queries) error, then func()) (err error) {
	c, err := s.writer.Conn(ctx)
	if err != nil {
		return doing("waiting for the writing connection", err)
	}
	defer c.Close()
	defer func() {
		if errors.Is(classify(err), store.ErrUnavailable) {
			s.refused.Store(true)
		}
	}()
	committed := false
	defer func() {
		if !committed { // also when f panics
			rollback(c)
		}
	}()
	if _, err := c.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return doing("beginning a transaction", err)
	}
	if err := f(New(c)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := c.ExecContext(context.Background(), `COMMIT`); err != nil {
		s.ratings.clear() // it may be committed after all
		return doing("committing", err)
	}
	committed = true
	then()
	return nil
}

// View runs f in one read transaction.
func (s *Store) View(ctx context.Context, f func(store.View) error) error {
	c, err := s.readers.Conn(ctx)
	if err != nil {
		return doing("waiting for a reading connection", err)
	}
	defer c.Close()
	defer rollback(c)
	if _, err := c.ExecContext(ctx, `BEGIN`); err != nil {
		return doing("beginning a snapshot", err)
	}
	// BEGIN alone takes no snapshot; the first statement that reads does.
	if _, err := c.ExecContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE rowid = 1`); err != nil {
		return doing("taking a snapshot", err)
	}
	return f(&view{q: New(c)})
}

// rollback ends the transaction of c, if there is one, and gives the
// connection up where that fails.
func rollback(c *sql.Conn) {
	_, err := c.ExecContext(context.Background(), `ROLLBACK`)
	if err != nil && !strings.Contains(err.Error(), "no transaction is active") {
		_ = c.Raw(func(any) error { return sqldriver.ErrBadConn })
	}
}

const (
	metaFolding   = "folding"
	metaCreatedAt = "created_at"
)

// Prepare fixes or checks the folding constants and finds or makes the scoring
// version. It writes only where there is something new.
func (s *Store) Prepare(ctx context.Context, c scoring.Constants, who string, now time.Time) (version int64, err error) {
	publishing, err := json.Marshal(c.Publishing)
	if err != nil {
		return 0, fmt.Errorf("publishing constants: %w", err)
	}
	err = s.View(ctx, func(v store.View) error {
		q := v.(*view).q
		if err := checkFolding(ctx, q, c.Folding); err != nil {
			return err
		}
		version, err = q.versionOf(ctx, string(publishing))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = s.write(ctx, func(q *Queries) error {
			version, err = prepare(ctx, q, c.Folding, string(publishing), who, now)
			return err
		})
	}
	if err != nil {
		return 0, doing("preparing the scoring constants", err)
	}
	s.folding.Store(&c.Folding)
	return version, nil
}

func prepare(ctx context.Context, q *Queries, f scoring.Folding, publishing, who string, now time.Time) (int64, error) {
	err := checkFolding(ctx, q, f)
	if errors.Is(err, sql.ErrNoRows) {
		err = fixFolding(ctx, q, f, now)
	}
	if err != nil {
		return 0, err
	}
	version, err := q.versionOf(ctx, publishing)
	if errors.Is(err, sql.ErrNoRows) {
		return q.insertVersion(ctx, insertVersionParams{Publishing: publishing, CreatedAt: micros(now), Who: who})
	}
	return version, err
}

func fixFolding(ctx context.Context, q *Queries, f scoring.Folding, now time.Time) error {
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("folding constants: %w", err)
	}
	if err := q.insertMeta(ctx, insertMetaParams{Name: metaFolding, Value: string(b)}); err != nil {
		return err
	}
	return q.insertMeta(ctx, insertMetaParams{Name: metaCreatedAt, Value: now.UTC().Format(time.RFC3339Nano)})
}

// checkFolding compares f with the database's folding constants:
// ErrFoldingFixed naming each that differs, sql.ErrNoRows where they are not
// fixed yet.
func checkFolding(ctx context.Context, q *Queries, f scoring.Folding) error {
	text, err := q.metaValue(ctx, metaFolding)
	if err != nil {
		return err
	}
	asked, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("folding constants: %w", err)
	}
	if text == string(asked) {
		return nil
	}
	var fixed, wanted map[string]json.Number
	if err := errors.Join(json.Unmarshal([]byte(text), &fixed), json.Unmarshal(asked, &wanted)); err != nil {
		return fmt.Errorf("comparing folding constants: %w", err)
	}
	var differ []string
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if fixed[name] != wanted[name] {
			differ = append(differ, fmt.Sprintf("%s is %s, not %s", name, fixed[name], wanted[name]))
		}
	}
	if len(differ) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", store.ErrFoldingFixed, strings.Join(differ, ", "))
}

// foldingOf returns the folding constants, from the database where this
// process has not been told them by Prepare.
func (s *Store) foldingOf(ctx context.Context, q *Queries) (*scoring.Folding, error) {
	if f := s.folding.Load(); f != nil {
		return f, nil
	}
	text, err := q.metaValue(ctx, metaFolding)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: its folding constants are not fixed yet", store.ErrSchema)
	}
	if err != nil {
		return nil, err
	}
	f := new(scoring.Folding)
	if err := json.Unmarshal([]byte(text), f); err != nil {
		return nil, fmt.Errorf("folding constants of the database: %w", err)
	}
	s.folding.Store(f)
	return f, nil
}

// SetCollectionActive switches a collection.
func (s *Store) SetCollectionActive(ctx context.Context, name string, active bool) error {
	err := s.write(ctx, func(q *Queries) error {
		n, err := q.setCollectionActive(ctx, setCollectionActiveParams{Active: flag(active), Name: name})
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		return err
	})
	return doing(fmt.Sprintf("switching collection %q", name), err)
}

// MergeCounters has nothing to do: a commit adds to the counters themselves,
// since nobody else writes meanwhile.
func (s *Store) MergeCounters(ctx context.Context) error { return ctx.Err() }

// PutRejects records rejected rows.
func (s *Store) PutRejects(ctx context.Context, rejects []store.Reject) error {
	err := s.write(ctx, func(q *Queries) error {
		for _, r := range rejects {
			err := q.putReject(ctx, putRejectParams{
				Source: r.Source, Line: r.Line, Row: r.Row, Code: r.Code, Detail: r.Detail, Raw: r.Raw, At: micros(r.At),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return doing("recording rejected rows", err)
}

func changeSetting(ctx context.Context, q *Queries, c *store.SettingChange) error {
	from, err := q.settingValue(ctx, c.Name)
	if errors.Is(err, sql.ErrNoRows) {
		from = c.From
	} else if err != nil {
		return err
	}
	if err := q.putSetting(ctx, putSettingParams{Name: c.Name, Value: c.To, ChangedAt: micros(c.At)}); err != nil {
		return err
	}
	return q.insertSettingChange(ctx, insertSettingChangeParams{
		At: micros(c.At), Who: c.Who, Name: c.Name, FromValue: from, ToValue: c.To, Why: c.Why,
	})
}
