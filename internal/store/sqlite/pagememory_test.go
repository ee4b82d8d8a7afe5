package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPagesAreReservedBeforeTheFirstDatabase(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "poa.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ReservePages(10); err == nil || !strings.Contains(err.Error(), "opened before") {
		t.Errorf("reserving pages after a database was opened: %v; want an error that says so", err)
	}
}

// What is reserved changes the size of the writing connection's cache, and no
// other setting of it.
func TestReservedPagesAreCached(t *testing.T) {
	settings := func() map[string]int64 {
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "poa.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		values := map[string]int64{}
		for _, name := range []string{"cache_size", "synchronous", "fullfsync", "checkpoint_fullfsync", "wal_autocheckpoint", "journal_size_limit", "foreign_keys"} {
			var value int64
			if err := s.writer.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value); err != nil {
				t.Fatal(err)
			}
			values[name] = value
		}
		return values
	}
	want := settings()
	reserved.Store(5000)
	defer reserved.Store(0)
	got := settings()
	if want["cache_size"] != -28672 || got["cache_size"] != 4500 {
		t.Errorf("cache_size is %d, and %d with 5000 pages reserved", want["cache_size"], got["cache_size"])
	}
	want["cache_size"] = got["cache_size"]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other settings changed:\n%s", diff)
	}
}
