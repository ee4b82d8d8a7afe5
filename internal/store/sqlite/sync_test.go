package sqlite_test

import (
	"path/filepath"
	"testing"

	"poa/internal/store"
	"poa/internal/store/sqlite"
	"poa/internal/store/storetest"
)

func TestSyncConformance(t *testing.T) {
	storetest.RunSync(t, func(t *testing.T) store.Sync {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "poa.db"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
