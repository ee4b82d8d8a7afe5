package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
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
