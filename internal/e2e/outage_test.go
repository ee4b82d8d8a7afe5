package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/store"
	"poa/internal/store/postgres/pgtest"
)

// lively are settings with which there is a batch every five seconds.
var lively = []string{"batch.every=5s", "batch.cap=5s", "batch.size=4", "batch.delay=100ms"}

// cluster starts a PostgreSQL server of the test's own.
func cluster(t *testing.T, o pgtest.Options) *pgtest.Cluster {
	t.Helper()
	c, err := pgtest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// status is the status of a page outside of the API, 0 where nobody answers.
func (a api) status(p *process, path string) int {
	r, err := send(a.t.Context(), a.web, http.MethodGet, p.url+path, a.keys.viewer, nil)
	if err != nil {
		return 0
	}
	return r.status
}

// readers go on reading pages of a process, each of which must be there or say
// to try again.
func (a api) readers(p *process) (stop func()) {
	ctx, cancel := context.WithCancel(a.t.Context())
	var all sync.WaitGroup
	for _, path := range []string{"/nfts?limit=5", "/leaderboard", "/scheduler", "/scheduler/plan", "/runs", "/activity", "/settings/changes", "/totals", "/collections", "/nfts/n1/score?exact=true", "/failures"} {
		all.Go(func() {
			for ctx.Err() == nil {
				var any map[string]any
				a.ask(p, path, &any)
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// TestRestartOfPostgreSQL restarts the database under load: meanwhile callers
// are told to try again, and afterwards everything goes on.
func TestRestartOfPostgreSQL(t *testing.T) {
	t.Parallel()
	server := cluster(t, pgtest.Options{})
	database := server.URL("postgres")
	a := api{t, web(t), makeKeys(t, database)}
	p := serve(t, database, lively...)
	a.register(p, 100)
	a.pauseTriggers(p)
	c := newCrowd(a, 16, 100, p)
	live := a.listen(t.Context(), func() string { return p.url })
	stop := a.readers(p)
	for _, mode := range []pgtest.Mode{pgtest.Immediate, pgtest.Fast} {
		c.more(100)
		eventually(t, "the process to be ready", func() bool { return a.status(p, "/readyz") == http.StatusOK })
		if err := server.Stop(mode); err != nil {
			t.Fatal(err)
		}
		c.turnedAway(40)
		eventually(t, "the process not to be ready", func() bool { return a.status(p, "/readyz") == http.StatusServiceUnavailable })
		if got := a.status(p, "/healthz"); got != http.StatusOK {
			t.Errorf("/healthz answers %d while the database is away", got)
		}
		back := time.Now()
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		c.more(200)
		a.goesOn(p, live, back)
	}
	stop()
	c.finish()
	a.allRunsEnd(p)
	p.stop(t)
	c.check(database)
}

// pauseTriggers lets votes mark NFTs due, so that there is always something to
// do for a batch.
func (a api) pauseTriggers(p *process) {
	a.t.Helper()
	a.call(p, "POST", "/triggers/pause", map[string]string{"reason": "batches are to have work"}, nil)
}

// firstBatchEnds waits for the end of the batch that a process makes of the
// window in which it meets a new database, so that it takes none of the votes
// that come later.
func (a api) firstBatchEnds(p *process) {
	a.t.Helper()
	eventually(a.t, "the first batch to end", func() bool {
		list := a.runs(p, "batch")
		return len(list) > 0 && list[0].State != string(store.RunRunning)
	})
}

// goesOn waits for what a process does by itself: readiness, batches and the
// live stream.
func (a api) goesOn(p *process, live *listener, since time.Time) {
	a.t.Helper()
	eventually(a.t, "the process to be ready again", func() bool { return a.status(p, "/readyz") == http.StatusOK })
	var ended int64 // a batch that began since
	eventually(a.t, "a batch to begin and end", func() bool {
		return slices.ContainsFunc(a.runs(p, "batch"), func(r batchRun) bool {
			ended = r.Number
			return r.CreatedAt.After(since) && r.State == string(store.RunDone) && r.Done > 0
		})
	})
	eventually(a.t, "the live stream to tell of its end", func() bool {
		return live.saw(func(e event) bool { return e.Kind == "run_ended" && e.Data.Run == ended })
	})
}

// allRunsEnd waits until no batch but those of the latest windows is at work.
func (a api) allRunsEnd(p *process) {
	a.t.Helper()
	asked := time.Now()
	within(a.t, 2*patience, "all batches to end", func() bool {
		list := a.runs(p, "batch")
		return len(list) > 0 && !slices.ContainsFunc(list, func(r batchRun) bool {
			return r.State == string(store.RunRunning) && r.CreatedAt.Before(asked)
		})
	})
}

// TestFailOver kills the primary under load and promotes its synchronous
// standby.
func TestFailOver(t *testing.T) {
	t.Parallel()
	primary := cluster(t, pgtest.Options{Conf: []string{"wal_keep_size = '256MB'"}})
	standby := cluster(t, pgtest.Options{Fill: func(c *pgtest.Cluster) error {
		out, err := c.Command("pg_basebackup", "-D", c.Dir(), "-R", "-c", "fast", "-d", primary.URL("")).CombinedOutput()
		if err != nil {
			return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
		}
		return nil
	}})
	execute(t, primary.URL("postgres"), "ALTER SYSTEM SET synchronous_standby_names = '*'")
	execute(t, primary.URL("postgres"), "SELECT pg_reload_conf()")
	eventually(t, "the standby to be synchronous", func() bool {
		return query[bool](t, primary.URL("postgres"), "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
	})
	database := fmt.Sprintf("postgres://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&target_session_attrs=read-write", primary.Port(), standby.Port())
	a := api{t, web(t), makeKeys(t, database)}
	processes := []*process{serve(t, database, lively...), serve(t, database, lively...)}
	a.register(processes[0], 100)
	a.pauseTriggers(processes[0])
	c := newCrowd(a, 16, 100, processes...)
	live := a.listen(t.Context(), func() string { return processes[1].url })
	stop := a.readers(processes[0])
	c.more(300)

	if err := primary.Stop(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	c.turnedAway(40)
	promoted := time.Now()
	execute(t, standby.URL("postgres"), "SELECT pg_promote()")
	c.more(300)
	for _, p := range processes {
		a.goesOn(p, live, promoted)
	}
	stop()
	c.finish()
	a.allRunsEnd(processes[0])
	for _, p := range processes {
		p.stop(t)
	}
	c.check(database)
	c.check(standby.URL("postgres"))
}

// execute runs a statement in a session of its own.
func execute(t *testing.T, database, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err == nil {
		_, err = conn.Exec(t.Context(), sql)
		err = errors.Join(err, conn.Close(t.Context()))
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// query returns the one value that a query selects.
func query[T any](t *testing.T, database, sql string) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err == nil {
		err = conn.QueryRow(t.Context(), sql).Scan(&v)
		err = errors.Join(err, conn.Close(t.Context()))
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}
