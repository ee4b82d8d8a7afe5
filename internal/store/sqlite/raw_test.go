package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"poa/internal/scoring"
	"poa/internal/store"
)

// Others take part in a transaction of the store and are bound to its end.
func TestRawTx(t *testing.T) {
	s, path := newDatabase(t)
	plain, err := OpenPlain(s.Path())
	must(t, err)
	defer plain.Close()
	if s.Path() != path {
		t.Errorf("the store's path is %s, want %s", s.Path(), path)
	}
	_, err = plain.ExecContext(t.Context(), "CREATE TABLE jobs (name TEXT PRIMARY KEY)")
	must(t, err)
	count := func(from interface {
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}) (n int) {
		t.Helper()
		must(t, from.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM activity)").Scan(&n))
		return n
	}
	run := func(end error) error {
		return s.Update(t.Context(), func(tx store.Tx) error {
			must(t, tx.Apply(t.Context(), &store.Changes{Activity: []store.Activity{{At: base, Kind: store.RunEnded}}}))
			raw := RawTx(tx)
			if RawTx(tx) != raw {
				t.Error("a transaction was lent twice")
			}
			for _, statement := range []string{"INSERT INTO jobs VALUES ('a')", "SAVEPOINT x", "INSERT INTO jobs VALUES ('b')", "ROLLBACK TO x"} {
				_, err := raw.ExecContext(t.Context(), statement)
				must(t, err)
			}
			_, err := tx.Numbers(t.Context(), 1) // the store goes on
			must(t, err)
			if n := count(raw); n != 2 {
				t.Errorf("%d rows are seen in the transaction, want 2", n)
			}
			return end
		})
	}
	over := errors.New("over")
	if err := run(over); !errors.Is(err, over) {
		t.Fatal(err)
	}
	if n := count(plain); n != 0 {
		t.Errorf("%d rows are left of a transaction that was rolled back", n)
	}
	must(t, run(nil))
	if n := count(plain); n != 2 {
		t.Errorf("%d rows were committed, want 2", n)
	}
	var mode string
	must(t, plain.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&mode))
	if mode != "2" {
		t.Errorf("the plain connection has synchronous = %s, want 2 (FULL)", mode)
	}
}

// Statements that others make up do not pile up on the writing connection.
func TestPreparedStatementsAreBounded(t *testing.T) {
	s, _ := newDatabase(t)
	must(t, s.Update(t.Context(), func(tx store.Tx) error {
		raw := RawTx(tx)
		for i := range 3 * kept {
			var n int
			must(t, raw.QueryRowContext(t.Context(), fmt.Sprintf("SELECT %d", i)).Scan(&n))
			if n != i {
				t.Fatalf("SELECT %d is %d", i, n)
			}
		}
		return nil
	}))
	c, err := s.writer.Conn(t.Context())
	must(t, err)
	defer c.Close()
	must(t, c.Raw(func(driverConn any) error {
		if n := len(driverConn.(*conn).prepared); n != kept {
			t.Errorf("%d statements are kept, want %d", n, kept)
		}
		return nil
	}))
}

// TestUpgrade brings a database of the first schema, with data, up to date.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "poa.db")
	db, err := OpenPlain(path)
	must(t, err)
	files, err := fs.Sub(migrations, "migrations")
	must(t, err)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	must(t, err)
	_, err = provider.UpTo(t.Context(), 1)
	must(t, err)
	us := base.UnixMicro()
	for _, statement := range []string{
		`INSERT INTO collections (name) VALUES ('c')`,
		`INSERT INTO nfts (id, name, collection, image_url, created_at) VALUES ('n1', 'One', 1, '', 0)`,
		fmt.Sprintf(`INSERT INTO ratings VALUES (1, 1, 1200, 350, 3, 1, 1, 1, 3, 0, 0, 0, 3, 0, 0, 0, 0, 0, zeroblob(40), 1, 1, 0, 0, %d, 'super', 2, NULL, NULL)`, us),
		fmt.Sprintf(`INSERT INTO activity (at, kind, nft, reason, reasons, priority, basis, vote, detail) VALUES (%d, 'computed', 1, 'super', '{"super":1}', 2, 'exact', 1, 'old')`, us),
		`INSERT INTO scores SELECT value, 1, value / 2.0, 60, 1, 1, 1, 1, 0, 5, 1, 1, 'batch', 'exact', 1, 1, 1, 1 FROM json_each('[0, 9, 10, 199, 200]')`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		must(t, err)
	}
	must(t, db.Close())

	s := openAt(t, path, nil)
	must(t, s.Migrate(t.Context()))
	have, want, err := s.Schema(t.Context())
	if err != nil || have != want {
		t.Errorf("Schema() = %d, %d, %v", have, want, err)
	}
	_, err = s.Prepare(t.Context(), scoring.Defaults(), "tester", base)
	must(t, err)
	entries, _, err := s.Stream(t.Context(), store.Position{}, 10)
	must(t, err)
	if len(entries) != 1 || entries[0].Detail != "old" || entries[0].NFTID != "n1" || entries[0].Run != 0 || entries[0].Who != "" {
		t.Errorf("the activity is %+v", entries)
	}
	found, err := s.Candidates(t.Context(), store.Wanted{Now: base.Add(time.Hour), Due: 5})
	must(t, err)
	if len(found.Due) != 1 || found.Due[0].ID != "n1" || !found.Due[0].Due.Since.Equal(base) {
		t.Errorf("the candidates are %+v", found)
	}
	bins, err := s.Distribution(t.Context(), nil)
	must(t, err)
	if bins != (store.Bins{0: 2, 1: 1, 19: 2}) {
		t.Errorf("the distribution is %v", bins)
	}
}
