package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"

	"poa/internal/store"
)

// Path returns the path of the database's file.
func (s *Store) Path() string { return s.path }

// OpenPlain opens the file at path for others than the store, such as the job
// queue: one connection of the plain driver with the settings of the store's
// writer. Its transactions have the write lock from their start; while one is
// open nothing else may ask for the connection.
func OpenPlain(path string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db, err := sql.Open("sqlite", dsn(abs, commonSettings, writerSettings(), url.Values{"_txlock": {"immediate"}}))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// dsn names the file as a URI, so that no character of its path is special.
func dsn(path string, settings ...url.Values) string {
	all := url.Values{}
	for _, set := range settings {
		maps.Copy(all, set)
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: all.Encode()}
	return u.String()
}

// RawTx returns a transaction of this package's Update as one of database/sql,
// so that others can take part in it. The store begins and ends it: Commit and
// Rollback only end the use of what RawTx returned.
func RawTx(t store.Tx) *sql.Tx {
	own := t.(*tx)
	if own.raw == nil {
		raw, err := own.q.db.(*sql.Conn).BeginTx(context.Background(), nil)
		if err != nil {
			panic(fmt.Sprintf("lending a transaction, which begins nothing: %v", err))
		}
		own.raw = raw
	}
	return own.raw
}

// BeginTx lends the transaction that is open on the connection: this package
// begins and ends its transactions itself.
func (c *conn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return lent{}, nil }

type lent struct{}

func (lent) Commit() error   { return nil }
func (lent) Rollback() error { return nil }
