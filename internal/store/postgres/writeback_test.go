package postgres_test

import (
	"testing"

	"poa/internal/store"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/storetest"
)

func TestWritebackConformance(t *testing.T) {
	t.Parallel()
	storetest.RunWriteback(t, func(t *testing.T) store.Writeback { return open(t, pgtest.New(t)) })
}

func TestWritebackConformanceWithoutPreparedStatements(t *testing.T) {
	t.Parallel()
	storetest.RunWriteback(t, func(t *testing.T) store.Writeback {
		return open(t, pgtest.New(t)+"&default_query_exec_mode=exec")
	})
}
