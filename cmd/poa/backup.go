package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver named sqlite

	"poa/internal/config"
	"poa/internal/store"
	"poa/internal/store/sqlite"
)

type backupCommand struct {
	File string `arg:"" help:"File to write. It must not exist."`
}

func (c *backupCommand) Run(ctx context.Context, m *Main) error {
	db := m.database()
	if db.Engine != config.SQLite {
		return withHint(fmt.Errorf("%s is a PostgreSQL database, which poa does not copy", db),
			"pg_dump --format=custom --file=%s for a copy, or pg_basebackup and WAL archiving for one to any moment", c.File)
	}
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	size, votes, err := copyDatabase(ctx, db.Path, c.File)
	if errors.Is(err, fs.ErrExist) {
		return withHint(fmt.Errorf("%s exists, and a backup replaces nothing", c.File), "give another name, such as one with the date")
	}
	if err != nil {
		return fmt.Errorf("backing up %s: %w", db, err)
	}
	return m.answer(struct {
		File  string `json:"file"`
		Bytes int64  `json:"bytes"`
		Votes int64  `json:"votes"`
	}{c.File, size, votes}, "%s holds a checked copy of %s: %s, %s bytes\n", c.File, db, plural(votes, "vote"), grouped(size))
}

// copyDatabase writes a snapshot of the SQLite file at from to a new file,
// which appears when it is complete, on disk and checked. Others go on writing
// to the database meanwhile.
func copyDatabase(ctx context.Context, from, to string) (size, votes int64, err error) {
	if _, err := os.Lstat(to); err == nil {
		return 0, 0, &fs.PathError{Op: "create", Path: to, Err: fs.ErrExist}
	}
	info, err := os.Stat(from)
	if err != nil {
		return 0, 0, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(to), ".poa-backup-*")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	part := filepath.Join(dir, "copy.db")
	if err := vacuumInto(ctx, from, part); err != nil {
		return 0, 0, err
	}
	if votes, err = check(ctx, part); err != nil {
		return 0, 0, fmt.Errorf("checking the copy: %w", err)
	}
	if err := os.Chmod(part, info.Mode().Perm()); err != nil {
		return 0, 0, err
	}
	if size, err = flush(part); err != nil {
		return 0, 0, err
	}
	if err := os.Link(part, to); err != nil { // fails where to came to exist meanwhile
		return 0, 0, err
	}
	_, err = flush(filepath.Dir(to))
	return size, votes, err
}

// vacuumInto copies a snapshot, without free pages.
func vacuumInto(ctx context.Context, from, to string) (err error) {
	db, err := openFile(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copying: %w", err)
	}
	return nil
}

// openFile opens an SQLite file as it is.
func openFile(path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	source := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(10000)"}
	return sql.Open("sqlite", source.String())
}

// check opens a copy as poa does, has SQLite check it, and counts its votes.
func check(ctx context.Context, path string) (votes int64, err error) {
	db, err := openFile(path)
	if err != nil {
		return 0, err
	}
	var verdict string
	err = db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&verdict)
	if err == nil && verdict != "ok" {
		err = fmt.Errorf("it is damaged: %s", verdict)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return 0, err
	}
	st, err := sqlite.Open(ctx, path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	have, want, err := st.Schema(ctx)
	if err != nil {
		return 0, err
	}
	if have != want {
		return 0, fmt.Errorf("it has schema version %d; this program works with version %d", have, want)
	}
	err = st.View(ctx, func(v store.View) error {
		counts, err := v.Counts(ctx)
		votes = counts.Votes
		return err
	})
	return votes, err
}

// flush puts a file or folder on disk and returns its size.
func flush(path string) (size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), f.Sync()
}
