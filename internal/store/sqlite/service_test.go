package sqlite_test

import (
	"path/filepath"
	"testing"

	"poa/internal/store"
	"poa/internal/store/sqlite"
	"poa/internal/store/storetest"
)

func TestServiceConformance(t *testing.T) {
	storetest.RunService(t, func(t *testing.T) store.Service {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "poa.db"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
