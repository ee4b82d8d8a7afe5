package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
)

func TestShutdownOnSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "poa.db")
	shutdown(t, "sqlite:"+path, func() (release func() error) {
		db, err := sqlite.OpenPlain(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		tx, err := db.Begin() // has the write lock
		if err != nil {
			t.Fatal(err)
		}
		return tx.Rollback
	})
}

func TestShutdownOnPostgres(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	shutdown(t, database, func() (release func() error) {
		conn, err := pgx.Connect(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		tx, err := conn.Begin(context.Background())
		if err == nil {
			_, err = tx.Exec(t.Context(), "LOCK TABLE ratings IN EXCLUSIVE MODE")
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() error { return tx.Rollback(context.Background()) }
	})
}

// shutdown asks a process to end while a lock in the database holds votes
// back. It says at once that it is not ready, while it still takes
// connections, so that nobody is sent to it in vain; it answers the votes that
// were sent, and ends well.
func shutdown(t *testing.T, database string, lock func() (release func() error)) {
	a := api{t, web(t), makeKeys(t, database)}
	p := serve(t, database, "ledger.max_commit=1")
	a.register(p, 10)
	live := a.listen(t.Context(), func() string { return p.url })
	eventually(t, "the listener to be connected", func() bool { return live.saw(func(e event) bool { return e.Kind == "start" }) })
	if got := a.readyz(p); got != http.StatusOK {
		t.Fatalf("/readyz answers %d", got)
	}
	release := lock()
	const votes = 50
	var answers sync.WaitGroup
	for i := range votes {
		answers.Go(func() {
			v := vote{Key: fmt.Sprint("in flight ", i), Voter: fmt.Sprint("v", i), Kind: "fire", A: nftID(i % 10)}
			r, err := send(context.Background(), a.web, "POST", p.url+"/api/v1/votes", a.keys.gateway, v)
			if err != nil || r.status != http.StatusCreated {
				t.Errorf("vote %d: %s, %v", i, r, err)
			}
		})
	}
	eventually(t, "one vote to be in a commit and all others to wait", func() bool { return a.metric(p, "poa_votes_waiting") == votes-1 })
	p.terminate(t)
	var ready int
	eventually(t, "the process not to be ready", func() bool { ready = a.readyz(p); return ready != http.StatusOK })
	if ready != http.StatusServiceUnavailable {
		t.Errorf("/readyz fails with status %d (0: no connection), want 503 first", ready)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	answers.Wait()
	p.ends(t)
	eventually(t, "the live stream to tell that it ends", func() bool { return live.saw(func(e event) bool { return e.Kind == "end" }) })
	if n := len(stateOf(t, database).Weights); n != votes {
		t.Errorf("%d votes in the log, want %d", n, votes)
	}
	verified(t, database)
}

// readyz is the status of /readyz over a connection of its own, 0 where there
// is no connection to be had.
func (a api) readyz(p *process) int {
	transport := &http.Transport{DisableKeepAlives: true}
	a.web = &http.Client{Transport: transport}
	return a.status(p, "/readyz")
}
