package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
)

// Others take part in a transaction of the store, in order with its own
// statements and bound to its end.
func TestRawTx(t *testing.T) {
	g := newGame(t, 1, 0)
	conn := connect(t, g.url)
	_, err := conn.Exec(t.Context(), "CREATE TABLE jobs (name text PRIMARY KEY)")
	must(t, err)
	count := func(tx pgx.Tx, sql string) (n int) {
		t.Helper()
		must(t, tx.QueryRow(t.Context(), sql).Scan(&n))
		return n
	}
	activity := &store.Changes{Activity: []store.Activity{{At: start, Kind: store.RunEnded}}}
	run := func(end error) error {
		return g.Update(t.Context(), func(tx store.Tx) error {
			raw := postgres.RawTx(tx)
			must(t, tx.Apply(t.Context(), activity)) // gathered
			if n := count(raw, "SELECT count(*) FROM activity"); n != 1 {
				t.Errorf("%d entries are seen in the transaction, want 1", n)
			}
			tag, err := raw.Exec(t.Context(), "INSERT INTO jobs VALUES ('a')")
			if err != nil || tag.RowsAffected() != 1 {
				t.Errorf("Exec: %v, %v", tag, err)
			}
			sub, err := raw.Begin(t.Context())
			must(t, err)
			if _, err := sub.Exec(t.Context(), "INSERT INTO jobs VALUES ('a')"); err == nil {
				t.Error("a key was inserted twice")
			}
			must(t, sub.Rollback(t.Context()))
			if err := sub.Commit(t.Context()); !errors.Is(err, pgx.ErrTxClosed) {
				t.Errorf("a savepoint ended twice: %v", err)
			}
			must(t, pgx.BeginFunc(t.Context(), raw, func(sub pgx.Tx) error {
				_, err := sub.CopyFrom(t.Context(), pgx.Identifier{"jobs"}, []string{"name"}, pgx.CopyFromRows([][]any{{"b"}, {"c"}}))
				return err
			}))
			var batch pgx.Batch
			batch.Queue("INSERT INTO jobs VALUES ('d')")
			must(t, raw.SendBatch(t.Context(), &batch).Close())
			if _, err := tx.Numbers(t.Context(), 1); err != nil { // the store goes on
				t.Error(err)
			}
			if n := count(raw, "SELECT count(*) FROM jobs"); n != 4 {
				t.Errorf("%d jobs, want 4", n)
			}
			if raw.Commit(t.Context()) == nil || raw.Rollback(t.Context()) == nil {
				t.Error("a lent transaction was ended")
			}
			return end
		})
	}
	over := errors.New("over")
	if err := run(over); !errors.Is(err, over) {
		t.Fatal(err)
	}
	if n := query[int64](t, conn, "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM activity)")[0]; n != 0 {
		t.Errorf("%d rows are left of a transaction that was rolled back", n)
	}
	must(t, run(nil))
	if n := query[int64](t, conn, "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM activity)")[0]; n != 5 {
		t.Errorf("%d rows were committed, want 5", n)
	}

	// What was gathered and fails shows at the next statement, whatever it is.
	must(t, g.Update(t.Context(), func(store.Tx) error { return nil }))
	err = g.Update(t.Context(), func(tx store.Tx) error {
		bad := store.Activity{At: start, Kind: store.RunEnded, Detail: "\x00"}
		if err := tx.Apply(t.Context(), &store.Changes{Activity: []store.Activity{bad}}); err != nil {
			return err
		}
		var batch pgx.Batch
		batch.Queue("SELECT 1")
		return postgres.RawTx(tx).SendBatch(t.Context(), &batch).Close()
	})
	if err == nil {
		t.Error("a gathered statement's failure was lost")
	}
}

// An entry whose transaction began before others' and commits after them is
// held back with theirs, and then comes in its place.
func TestStreamWaitsForLateCommits(t *testing.T) {
	g := newGame(t, 0, 0)
	conn := connect(t, g.url)
	put := func(tx pgx.Tx, detail string) {
		t.Helper()
		_, err := tx.Exec(t.Context(), `INSERT INTO activity (at, kind, reason, reasons, priority, basis, vote, detail)
			VALUES (now(), 'computed', '', '{}', 0, '', 0, $1)`, detail)
		must(t, err)
	}
	begin := func() pgx.Tx {
		t.Helper()
		tx, err := connect(t, g.url).Begin(t.Context())
		must(t, err)
		return tx
	}
	var seen []string
	var at store.Position
	read := func() {
		t.Helper()
		got, next, err := g.Stream(t.Context(), at, 2)
		must(t, err)
		for _, a := range got {
			seen = append(seen, a.Detail)
		}
		at = next
	}
	follow := func(want ...string) { // what is committed comes, sooner or later, and in order
		t.Helper()
		for len(seen) < len(want) {
			must(t, t.Context().Err())
			read()
		}
		for i := range seen {
			if seen[i] != want[i] {
				t.Fatalf("seen %q, want %q", seen, want)
			}
		}
	}
	first := begin()
	put(first, "first")
	must(t, first.Commit(t.Context()))
	follow("first")

	late, later := begin(), begin()
	put(late, "late")
	put(later, "later")
	early := begin()
	put(early, "early")
	must(t, early.Commit(t.Context()))
	must(t, later.Commit(t.Context()))
	for range 20 {
		read()
		if end, err := g.StreamEnd(t.Context()); err != nil || end != at {
			t.Fatalf("the end of the stream is %v, %v; want %v", end, err, at)
		}
	}
	follow("first")
	put(late, "late too")
	must(t, late.Commit(t.Context()))
	follow("first", "late", "late too", "later", "early")

	// A transaction in another database of the cluster holds nothing back.
	elsewhere, err := connect(t, pgtest.New(t)).Begin(t.Context())
	must(t, err)
	_, err = elsewhere.Exec(t.Context(), "CREATE TABLE t ()")
	must(t, err)
	again := begin()
	put(again, "again")
	must(t, again.Commit(t.Context()))
	follow("first", "late", "late too", "later", "early", "again")
	must(t, elsewhere.Rollback(t.Context()))

	// Transaction numbers of another cluster, as in a restored dump, hold
	// nothing back either.
	_, err = conn.Exec(t.Context(), `UPDATE activity SET xid = '4000000000' WHERE detail = 'later'`)
	must(t, err)
	_, err = g.Prepare(t.Context(), scoring.Defaults(), "test", start)
	must(t, err)
	seen, at = nil, store.Position{}
	follow("first", "late", "late too", "early", "again", "later")
}

func TestPing(t *testing.T) {
	cluster, err := pgtest.Start(pgtest.Options{NoSync: true})
	must(t, err)
	defer cluster.Close()
	url := cluster.URL("postgres")
	s := open(t, url)
	defer s.Close()
	must(t, s.Migrate(t.Context()))
	must(t, s.Ping(t.Context()))
	conn := connect(t, url)

	t.Run("health of a role without rights", func(t *testing.T) {
		_, err := conn.Exec(t.Context(), "CREATE ROLE plain LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")
		must(t, err)
		read := func(s *postgres.Store) store.Health {
			t.Helper()
			h, err := s.Health(t.Context())
			must(t, err)
			return h
		}
		plain := open(t, url+"&user=plain")
		defer plain.Close()
		if h := read(plain); h.ActiveSessions != nil || h.WaitingLocks == nil || h.ReplicaLag == nil || h.SizeBytes == nil {
			t.Errorf("a role that must not see the other sessions tells %+v", h)
		}
		holder, waiter := connect(t, url), connect(t, url)
		_, err = holder.Exec(t.Context(), "BEGIN; LOCK TABLE meta")
		must(t, err)
		waited := make(chan error, 1)
		go func() { _, err := waiter.Exec(t.Context(), "BEGIN; LOCK TABLE meta"); waited <- err }()
		for *read(plain).WaitingLocks != 1 {
			must(t, t.Context().Err())
		}
		if h := read(s); h.ActiveSessions == nil || *h.ActiveSessions != 1 {
			t.Errorf("one other session is at work, health tells %+v", h)
		}
		_, err = holder.Exec(t.Context(), "ROLLBACK")
		must(t, err)
		must(t, <-waited)
	})
	t.Run("read-only", func(t *testing.T) {
		_, err := conn.Exec(t.Context(), "ALTER DATABASE postgres SET default_transaction_read_only = on")
		must(t, err)
		readOnly := open(t, url)
		defer readOnly.Close()
		if err := readOnly.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("a read-only database: %v, want %v", err, store.ErrUnavailable)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		must(t, cluster.Stop(pgtest.Immediate))
		if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("a stopped server: %v, want %v", err, store.ErrUnavailable)
		}
	})
}
