package gamesync_test

import (
	"testing"

	"poa/internal/store/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
