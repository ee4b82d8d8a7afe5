// Package sqlitetest gives tests databases in SQLite.
package sqlitetest

import (
	"context"
	"path/filepath"
	"testing"

	"poa/internal/store/sqlite"
)

// New returns a database of the newest schema with nothing in it. It is gone
// when the test ends.
func New(t testing.TB) *sqlite.Store {
	t.Helper()
	ctx := context.Background()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "poa.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}
