package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url)
	must(t, err)
	return s
}

// connect returns a connection beside the store's.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func query[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) []T {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	must(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	must(t, err)
	return values
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, pgtest.New(t)) })
}

// Through a pooler in transaction mode there are no prepared statements.
func TestConformanceWithoutPreparedStatements(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, pgtest.New(t)+"&default_query_exec_mode=exec")
	})
}

// keyed gives votes keys that begin with name.
func keyed(name string) func(int) string {
	return func(i int) string { return fmt.Sprintf("%s-%d", name, i) }
}

func TestACommitCostsAFixedNumberOfStatements(t *testing.T) {
	g := newGame(t, 200, 50)
	cost := func(name string, votes int) int64 {
		before := g.Statements()
		must(t, g.commit(t.Context(), votes, g.nfts[:min(2*votes, 200)], g.voters[:min(votes, 50)], keyed(name)))
		return g.Statements() - before
	}
	one, many := cost("one", 1), cost("many", 150)
	if one != many || one > 16 {
		t.Errorf("a commit costs %d statements for 1 vote and %d for 150, want the same and at most 16", one, many)
	}
}

// Two processes add votes to few rows, each naming them in another order.
func TestTwoStoresOnOneDatabase(t *testing.T) {
	const commits, votes, writers = 15, 6, 4
	g := newGame(t, 6, 3)
	second := *g
	second.Store = open(t, g.url)
	defer second.Close()
	backwards := func(ids []string) []string {
		r := append([]string(nil), ids...)
		for i := range len(r) / 2 {
			r[i], r[len(r)-1-i] = r[len(r)-1-i], r[i]
		}
		return r
	}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			from, nfts, voters := g, g.nfts, g.voters
			if w%2 == 1 {
				from, nfts, voters = &second, backwards(g.nfts), backwards(g.voters)
			}
			for c := range commits {
				if err := from.commit(t.Context(), votes, nfts, voters, keyed(fmt.Sprintf("%d-%d", w, c))); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	writing.Wait()
	conn := connect(t, g.url)
	const all = writers * commits * votes
	if got := query[int64](t, conn, "SELECT sum(votes)::bigint FROM ratings")[0]; got != 2*all {
		t.Errorf("the ratings have %d votes, want %d", got, 2*all)
	}
	if got := query[int64](t, conn, "SELECT sum(votes)::bigint FROM voters")[0]; got != all {
		t.Errorf("the voters have %d votes, want %d", got, all)
	}
	if got := query[int64](t, conn, "SELECT count(*) FROM votes")[0]; got != all {
		t.Errorf("the log has %d votes, want %d", got, all)
	}
	if got := query[int64](t, conn, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0]; got != 0 {
		t.Errorf("%d deadlocks", got)
	}
}

// settle ends the store's connections, whose statistics then are visible.
func (g *game) settle(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	must(t, g.Close())
	for query[int64](t, conn, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'poa'")[0] > 0 {
		must(t, t.Context().Err())
	}
}

func TestOrdinaryVotesLeaveTheIndexesOfRatingsAlone(t *testing.T) {
	g := newGame(t, 400, 40)
	for i := range 20 {
		must(t, g.commit(t.Context(), 200, g.nfts, g.voters, keyed(fmt.Sprint(i))))
	}
	conn := connect(t, g.url)
	g.settle(t, conn)
	for _, table := range []string{"ratings", "voters"} {
		updates := query[int64](t, conn, "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = $1", table)[0]
		hot := query[int64](t, conn, "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = $1", table)[0]
		if updates == 0 || float64(hot) < 0.8*float64(updates) {
			t.Errorf("%d of %d updates of %s left its indexes alone, want 80 %%", hot, updates, table)
		}
	}
}

// Statements that were planned while tables were empty, and known to be, must
// not read whole tables or indexes later.
func TestPlansOfEmptyTablesStayLookups(t *testing.T) {
	const many, single = 20000, 300 // rows, and commits of one vote after these were made
	for name, registered := range map[string]int{"nothing there": 0, "no votes there": many} {
		t.Run(name, func(t *testing.T) {
			g := newGame(t, registered, registered)
			conn := connect(t, g.url)
			_, err := conn.Exec(t.Context(), "ANALYZE")
			must(t, err)
			must(t, g.Close())
			g.Store = open(t, g.url+"&pool_max_conns=1") // all statements on one connection, which keeps their plans
			must(t, g.Update(t.Context(), func(tx store.Tx) error {
				if _, _, err := tx.Lock(t.Context(), nil, nil); err != nil {
					return err
				}
				if _, err := tx.VotesByKey(t.Context(), nil); err != nil {
					return err
				}
				_, err := tx.LaterVotes(t.Context(), nil)
				return err
			}))
			nfts, voters := names("nft", many), names("voter", many)
			must(t, g.register(t.Context(), nfts, voters))
			must(t, g.commit(t.Context(), many, nfts, voters, keyed("many")))
			for i := range single {
				must(t, g.commit(t.Context(), 1, nfts[2*i:2*i+2], voters[i:i+1], keyed(fmt.Sprint(i))))
			}
			g.settle(t, conn)
			read := query[int64](t, conn, `SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint +
				(SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint`)[0]
			if read > single*many/4 {
				t.Errorf("%d rows and index entries were read: single votes read whole tables or indexes", read)
			}
		})
	}
}

// explain returns a statement's plan under a transaction's settings.
func explain(t *testing.T, conn *pgx.Conn, settings, sql string, args ...any) string {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(context.Background())
	_, err = tx.Exec(t.Context(), settings)
	must(t, err)
	rows, err := tx.Query(t.Context(), "EXPLAIN "+sql, args...)
	must(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return strings.Join(lines, "\n")
}

// A row must be locked after the rows before it in number order: above the sort.
func TestRowsAreLockedInOrder(t *testing.T) {
	g := newGame(t, 3000, 500)
	conn := connect(t, g.url)
	for name, statement := range map[string]struct {
		sql string
		arg any
	}{
		"ratings by id":     {postgres.LockByID, g.nfts[:1000]},
		"ratings by number": {postgres.LockByNumber, []int64{3, 1, 2}},
		"voters":            {postgres.LockVotersByID, g.voters},
	} {
		plan := explain(t, conn, postgres.SettingsUpdate, statement.sql, statement.arg)
		lock, sort := strings.Index(plan, "LockRows"), strings.Index(plan, "Sort")
		if lock != 0 || sort < 0 {
			t.Errorf("%s are not locked in order:\n%s", name, plan)
		}
		if strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s are not looked up:\n%s", name, plan)
		}
	}
}

// What came after an NFT was read is a range of an index, on either side,
// however many votes are before it: it is read under the NFT's lock.
func TestLaterVotesAreIndexRanges(t *testing.T) {
	g := newGame(t, 500, 500)
	must(t, g.commit(t.Context(), 5000, g.nfts, g.voters, keyed("v")))
	conn := connect(t, g.url)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			_, err := conn.Exec(t.Context(), "ANALYZE")
			must(t, err)
		}
		plan := explain(t, conn, postgres.SettingsUpdate, postgres.LaterVotes, []int64{1, 2}, []int64{4990, 4000})
		for _, side := range []string{"a", "b"} {
			if !regexp.MustCompile(`Bitmap Index Scan on votes_` + side + ` .*\n *Index Cond: .*nft_` + side + ` = .*number > `).MatchString(plan) {
				t.Errorf("votes on side %s (analysed: %v) are no index range:\n%s", side, analyzed, plan)
			}
		}
	}
}

func TestPagesOfStreamsAreIndexRanges(t *testing.T) {
	const many = 3 * postgres.PageSize
	g := newGame(t, many, many)
	must(t, g.commit(t.Context(), many, g.nfts, g.voters, keyed("v")))
	conn := connect(t, g.url)
	_, err := conn.Exec(t.Context(), `INSERT INTO opinions SELECT nft, 2, 1, true, 50, 1, 1, now(), 1 FROM ratings`)
	must(t, err)
	_, err = conn.Exec(t.Context(), `INSERT INTO history (nft, at, poa, confidence, mean, sigma, votes, reason, basis, through_vote, version)
		SELECT nft, now(), 1, 1, 1, 1, 1, '', '', 1, 1 FROM ratings`)
	must(t, err)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			_, err := conn.Exec(t.Context(), "ANALYZE")
			must(t, err)
		}
		for table, page := range postgres.StreamPages {
			args := []any{int64(many / 2), postgres.PageSize}
			if table == "opinions" {
				args = []any{int64(many / 2), int16(2), int64(1), postgres.PageSize}
			}
			plan := explain(t, conn, postgres.SettingsPage, page, args...)
			if strings.Contains(plan, "Sort") || !strings.Contains(plan, "Index Scan using "+table+"_pkey") {
				t.Errorf("a page of %s (analysed: %v) is no index range:\n%s", table, analyzed, plan)
			}
		}
	}
}

func TestDurability(t *testing.T) {
	safe := func(url string) map[string]bool {
		s := open(t, url)
		defer s.Close()
		settings, err := s.Durability(t.Context())
		must(t, err)
		ok := make(map[string]bool)
		for _, d := range settings {
			ok[d.Name] = d.OK
		}
		return ok
	}
	for name, ok := range safe(pgtest.New(t)) {
		if !ok {
			t.Errorf("%s is not safe by default", name)
		}
	}
	cluster, err := pgtest.Start(pgtest.Options{NoSync: true})
	must(t, err)
	defer cluster.Close()
	unsafe := safe(cluster.URL("postgres"))
	if len(unsafe) != 3 {
		t.Errorf("%d settings, want 3", len(unsafe))
	}
	for name, ok := range unsafe {
		if ok {
			t.Errorf("%s passes as safe while it is off", name)
		}
	}
}

func TestUnavailable(t *testing.T) {
	cluster, err := pgtest.Start(pgtest.Options{})
	must(t, err)
	defer cluster.Close()
	s := open(t, cluster.URL("postgres"))
	defer s.Close()
	must(t, s.Migrate(t.Context()))
	put := func() error {
		_, err := s.PutNFTs(t.Context(), []store.NFT{{ID: "n"}}, true, start)
		return err
	}
	must(t, put())

	t.Run("thrown out", func(t *testing.T) {
		conn := connect(t, cluster.URL("postgres"))
		err := s.Update(t.Context(), func(tx store.Tx) error {
			if _, err := tx.Numbers(t.Context(), 1); err != nil {
				return err
			}
			query[bool](t, conn, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'poa'")
			_, err := tx.Numbers(t.Context(), 1)
			return err
		})
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%v, want %v", err, store.ErrUnavailable)
		}
		must(t, put())
	})
	t.Run("stopped", func(t *testing.T) {
		must(t, cluster.Stop(pgtest.Immediate))
		if err := put(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%v, want %v", err, store.ErrUnavailable)
		}
		for what, err := range map[string]error{"Migrate": s.Migrate(t.Context()), "View": s.View(t.Context(), func(v store.View) error {
			_, err := v.Counts(t.Context())
			return err
		})} {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %v, want %v", what, err, store.ErrUnavailable)
			}
		}
		must(t, cluster.Start())
		must(t, put())
	})
	t.Run("read-only", func(t *testing.T) {
		conn := connect(t, cluster.URL("postgres"))
		_, err := conn.Exec(t.Context(), "ALTER DATABASE postgres SET default_transaction_read_only = on")
		must(t, err)
		readOnly := open(t, cluster.URL("postgres"))
		defer readOnly.Close()
		if err := readOnly.MergeCounters(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%v, want %v", err, store.ErrUnavailable)
		}
	})
}

func TestDeadlockIsContention(t *testing.T) {
	g := newGame(t, 2, 0)
	var both sync.WaitGroup // until each holds one lock
	both.Add(2)
	lock := func(first, second int64) error {
		return g.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.LockRatings(t.Context(), []int64{first})
			both.Done()
			both.Wait()
			if err != nil {
				return err
			}
			_, err = tx.LockRatings(t.Context(), []int64{second})
			return err
		})
	}
	other := make(chan error)
	go func() { other <- lock(2, 1) }()
	errs := []error{lock(1, 2), <-other}
	failed := 0
	for _, err := range errs {
		if err != nil {
			failed++
		}
	}
	if err := errors.Join(errs...); failed != 1 || !errors.Is(err, store.ErrContention) {
		t.Errorf("%d of two that wait for each other failed: %v, want one with %v", failed, err, store.ErrContention)
	}
}
