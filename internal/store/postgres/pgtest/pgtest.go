// Package pgtest runs throwaway PostgreSQL clusters for tests, from the
// binaries of Debian's packages (or those on PATH), version 15 or later.
//
// Most tests want a database of their own in a cluster that the whole test
// process shares:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		url := pgtest.New(t)
//		…
//	}
//
// Main stops the cluster and removes its files when the tests have ended. A
// test process that is killed takes its clusters with it (the kernel stops
// them); their files are removed by the next test process that starts one.
//
// Tests that crash or reconfigure a server start a cluster of their own with
// Start.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// shared is the cluster that New takes databases from, one per test process.
var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
	names   atomic.Int64
}

// Main runs the tests of a package and then removes the shared cluster. Call
// it from TestMain, as its last act.
func Main(m *testing.M) {
	m.Run() // the testing package keeps the exit code
	if shared.cluster == nil {
		return
	}
	if err := shared.cluster.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		os.Exit(1)
	}
}

// Shared returns the cluster that New takes databases from, and starts it on
// the first call. It syncs to disk as a production server does.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.once.Do(func() { shared.cluster, shared.err = Start(Options{}) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// New returns the URL of a fresh, empty database of the shared cluster. It is
// dropped when the test ends. The database sorts text by language, not by
// bytes, so that a missing COLLATE shows.
func New(t testing.TB) string {
	t.Helper()
	cluster := Shared(t)
	name := fmt.Sprintf("test_%d", shared.names.Add(1))
	run := func(sql string) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, cluster.URL("postgres"))
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, sql)
		return err
	}
	if err := run("CREATE DATABASE " + name + " TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"); err != nil {
		t.Fatalf("creating a test database: %v", err)
	}
	t.Cleanup(func() {
		if err := run("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("dropping a test database: %v", err)
		}
	})
	return cluster.URL(name)
}

// URL returns the URL of a database of the cluster. It stays the same when the
// cluster is stopped and started.
func (c *Cluster) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(superuser), Host: fmt.Sprintf("127.0.0.1:%d", c.port),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}
