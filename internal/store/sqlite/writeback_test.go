package sqlite_test

import (
	"path/filepath"
	"testing"

	"poa/internal/store"
	"poa/internal/store/sqlite"
	"poa/internal/store/storetest"
)

func TestWritebackConformance(t *testing.T) {
	storetest.RunWriteback(t, func(t *testing.T) store.Writeback {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "poa.db"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
