package postgres_test

import (
	"testing"

	"poa/internal/store"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/storetest"
)

func TestSyncConformance(t *testing.T) {
	t.Parallel()
	storetest.RunSync(t, func(t *testing.T) store.Sync { return open(t, pgtest.New(t)) })
}
