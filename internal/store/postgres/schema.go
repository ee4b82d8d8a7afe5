package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"poa/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Keys of the advisory locks; "poa" and a number.
const (
	migrateLock  = 0x706f6101 + iota
	prepareLock  // Prepare
	registerLock // PutNFTs
	mergeLock    // MergeCounters
	settingLock  // PutSettings
)

// Migrate brings the schema up to date. Processes that do so at once take
// turns: a transaction of its own holds a lock meanwhile, which a pooler in
// transaction mode keeps, unlike a session's.
func (s *Store) Migrate(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1::bigint)", int64(migrateLock)); err != nil {
			return err
		}
		return s.migrate(ctx)
	})
	if err != nil {
		return fmt.Errorf("migrating the schema: %w", s.unavailable(ctx, err))
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	have, want, err := s.Schema(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return fmt.Errorf("%w: it has version %d, this program knows %d", store.ErrSchema, have, want)
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	// Connections beside the pool: its only one may be holding the lock.
	db := stdlib.OpenDB(*s.pool.Config().ConnConfig)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, dir)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Schema returns the schema's version and the version this program works with.
func (s *Store) Schema(ctx context.Context) (have, want int64, err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, 0, err
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return 0, 0, fmt.Errorf("reading the embedded migrations: %w", err)
		}
		want = max(want, version)
	}
	var touched bool
	err = s.pool.QueryRow(ctx, "select to_regclass($1::text) is not null", goose.DefaultTablename).Scan(&touched)
	if err == nil && touched {
		err = s.pool.QueryRow(ctx, "select coalesce(max(version_id), 0) from "+goose.DefaultTablename+" where is_applied").Scan(&have)
	}
	if err != nil {
		return 0, want, fmt.Errorf("reading the schema's version: %w", s.unavailable(ctx, err))
	}
	return have, want, nil
}
