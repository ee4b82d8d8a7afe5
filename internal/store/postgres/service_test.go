package postgres_test

import (
	"testing"

	"poa/internal/store"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/storetest"
)

func TestServiceConformance(t *testing.T) {
	t.Parallel()
	storetest.RunService(t, func(t *testing.T) store.Service { return open(t, pgtest.New(t)) })
}

// Through a pooler in transaction mode there are no prepared statements.
func TestServiceConformanceWithoutPreparedStatements(t *testing.T) {
	t.Parallel()
	storetest.RunService(t, func(t *testing.T) store.Service {
		return open(t, pgtest.New(t)+"&default_query_exec_mode=exec")
	})
}
