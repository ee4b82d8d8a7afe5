package gamesync_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"poa/internal/exact"
	"poa/internal/gamesync"
	"poa/internal/gamesync/gametest"
	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
)

// written is a game whose scores poa has computed.
type written struct {
	t      *testing.T
	url    string
	conn   *pgx.Conn // the game's
	store  store.Writeback
	policy *publish.Policy
	ledger *ledger.Ledger
	nfts   []string // ids, in the game's order
	voters []string
	ahead  atomic.Int64 // of poa's clock, nanoseconds
	keys   int
}

// now is poa's clock.
func (g *written) now() time.Time {
	return time.Now().Add(time.Duration(g.ahead.Load())).Truncate(time.Microsecond)
}

// later moves poa's clock.
func (g *written) later(d time.Duration) { g.ahead.Add(int64(d)) }

func onSQLite(t *testing.T) store.Writeback {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "poa.db"))
	must(t, err)
	return s
}

func onPostgres(t *testing.T) store.Writeback {
	s, err := postgres.Open(t.Context(), pgtest.New(t))
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newWritten makes a small game with old scores, and a store in which its votes
// are counted and its scores computed.
func newWritten(t *testing.T, open func(*testing.T) store.Writeback) *written {
	t.Helper()
	game := gametest.New(gametest.Options{Seed: 11, NFTs: 300, Users: 60, Votes: 900, Favorites: 150, Broken: -1, End: time.Now().Add(-time.Hour)})
	g := &written{t: t, url: pgtest.New(t), store: open(t)}
	t.Cleanup(func() {
		if err := g.store.Close(); err != nil {
			t.Error(err)
		}
	})
	must(t, game.Fill(t.Context(), g.url))
	var err error
	g.conn, err = pgx.Connect(t.Context(), g.url)
	must(t, err)
	t.Cleanup(func() { g.conn.Close(context.Background()) })

	must(t, g.store.Migrate(t.Context()))
	version, err := g.store.Prepare(t.Context(), scoring.Defaults(), "tester", g.now())
	must(t, err)
	g.policy = publish.Default(version)
	var nfts []store.NFT
	for _, n := range game.NFTs {
		nfts = append(nfts, store.NFT{ID: n.ID, Name: n.Name, Collection: n.Collection})
		g.nfts = append(g.nfts, n.ID)
	}
	_, err = g.store.PutNFTs(t.Context(), nfts, false, g.now())
	must(t, err)
	for _, u := range game.Users {
		g.voters = append(g.voters, u.Wallet)
	}
	g.ledger = ledger.New(g.store, ledger.Options{Policy: g.policy, Now: g.now})
	t.Cleanup(func() {
		if err := g.ledger.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	g.castHistory()
	g.compute()
	return g
}

// castHistory casts the game's valid votes and favourites.
func (g *written) castHistory() {
	g.t.Helper()
	valid, err := gametest.ValidVotes(g.t.Context(), g.conn)
	must(g.t, err)
	var votes []ledger.Vote
	for _, v := range valid {
		x := ledger.Vote{Key: v.ID, Voter: v.Wallet, A: v.A, B: v.B, Vote: scoring.Vote{Kind: scoring.Matchup, Super: v.Super, CastAt: v.CreatedAt}}
		switch {
		case v.Value != nil:
			x.Kind, x.Value = scoring.Slider, *v.Value
		case v.Winner == "":
			x.Outcome = scoring.Neither
		case v.Winner == v.A:
			x.Outcome = scoring.WinA
		default:
			x.Outcome = scoring.WinB
		}
		votes = append(votes, x)
	}
	favorites, err := gametest.ValidFavorites(g.t.Context(), g.conn)
	must(g.t, err)
	for _, f := range favorites {
		votes = append(votes, ledger.Vote{Key: f.ID, Voter: f.Wallet, A: f.NFT, Vote: scoring.Vote{Kind: scoring.Fire, CastAt: f.CreatedAt}})
	}
	g.submit(votes...)
}

func (g *written) submit(votes ...ledger.Vote) {
	g.t.Helper()
	for chunk := range slices.Chunk(votes, 500) {
		answers, err := g.ledger.Submit(g.t.Context(), chunk)
		must(g.t, err)
		for _, a := range answers {
			must(g.t, a.Err)
		}
	}
}

// super casts super votes, each of which computes two scores at once.
func (g *written) super(pairs ...[2]string) {
	g.t.Helper()
	for _, p := range pairs {
		g.keys++
		g.submit(ledger.Vote{
			Key: fmt.Sprint("super ", g.keys), Voter: g.voters[g.keys%len(g.voters)], A: p[0], B: p[1],
			Vote: scoring.Vote{Kind: scoring.Matchup, Super: true, Outcome: scoring.WinA, CastAt: g.now()},
		})
	}
}

// fire gives or withdraws a FIRE.
func (g *written) fire(nft string, kind scoring.Kind) {
	g.t.Helper()
	g.keys++
	g.submit(ledger.Vote{Key: fmt.Sprint("fire ", g.keys), Voter: g.voters[0], A: nft, Vote: scoring.Vote{Kind: kind, CastAt: g.now()}})
}

// compute computes all scores exactly.
func (g *written) compute() {
	g.t.Helper()
	var numbers []int64
	for _, r := range g.ratings() {
		numbers = append(numbers, r.NFT)
	}
	_, err := exact.Compute(g.t.Context(), g.store, g.policy, numbers, publish.Cause{Reason: store.ReasonManual}, g.now)
	must(g.t, err)
}

func (g *written) ratings() []store.Rating {
	g.t.Helper()
	var all []store.Rating
	must(g.t, g.store.View(g.t.Context(), func(v store.View) (err error) {
		all, err = v.Ratings(g.t.Context(), g.nfts)
		return err
	}))
	return all
}

// scored are the ids of NFTs with a score.
func (g *written) scored() (ids []string) {
	for _, r := range g.ratings() {
		if r.Score != nil {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// oldRow are an NFT's score columns.
type oldRow struct {
	POA, Confidence *float64
	Components      *string
	Explanation     *string
	UpdatedAt       *time.Time
	Mean, Sigma     float64
}

func (g *written) rows(table string) map[string]oldRow {
	g.t.Helper()
	id := "id"
	if table != "nfts" {
		id = "nft_id"
	}
	rows, err := g.conn.Query(g.t.Context(), `SELECT `+id+`::text, poa_v2::float8, poa_v2_confidence::float8, poa_v2_components::text, poa_v2_explanation,
		poa_v2_updated_at, COALESCE(elo_mean, 0)::float8, COALESCE(elo_sigma, 0)::float8 FROM `+table)
	must(g.t, err)
	all := map[string]oldRow{}
	var key string
	var r oldRow
	_, err = pgx.ForEachRow(rows, []any{&key, &r.POA, &r.Confidence, &r.Components, &r.Explanation, &r.UpdatedAt, &r.Mean, &r.Sigma}, func() error {
		if r.UpdatedAt != nil {
			*r.UpdatedAt = r.UpdatedAt.UTC()
		}
		all[key] = r
		return nil
	})
	must(g.t, err)
	return all
}

// expected are the columns as they must be: those that were before, with poa's
// scores over them.
func (g *written) expected(before map[string]oldRow, elo bool) map[string]oldRow {
	g.t.Helper()
	want := map[string]oldRow{}
	for id, r := range before {
		want[id] = r
	}
	for _, r := range g.ratings() {
		row := want[r.ID]
		switch s := r.Score; {
		case s != nil:
			components := fmt.Sprintf(`{"confidence": %v, "elo_component": %v, "fire_component": %v, "avg_reliability": %v, "slider_component": %v}`,
				s.Confidence, s.Elo, s.Fire, s.Reliability, s.Slider)
			sentence := g.policy.Constants.Explain(s.POA, s.Components)
			at := s.ComputedAt
			row.POA, row.Confidence, row.Components, row.Explanation, row.UpdatedAt = &s.POA, &s.Confidence, &components, &sentence, &at
		case !r.Scorable() && r.FireVotes > 0:
			row.POA, row.Confidence, row.Components, row.Explanation, row.UpdatedAt = nil, nil, nil, nil, nil
		default:
			continue
		}
		if elo {
			row.Mean, row.Sigma = r.Mean, r.Sigma
		}
		want[r.ID] = row
	}
	return want
}

func (g *written) equal(what string, want, got map[string]oldRow) {
	g.t.Helper()
	differ := map[string]string{}
	for id := range want {
		if diff := cmp.Diff(want[id], got[id]); diff != "" {
			differ[id] = diff
		}
	}
	for id, diff := range differ {
		g.t.Errorf("%s, %d NFTs of %d and %d differ, one is %s (-want +got):\n%s", what, len(differ), len(want), len(got), id, diff)
		return
	}
	if len(want) != len(got) {
		g.t.Errorf("%s, there are %d NFTs, want %d", what, len(got), len(want))
	}
}

// versions are the row versions of nfts: a row that is written gets another.
func (g *written) versions() map[string]string {
	g.t.Helper()
	rows, err := g.conn.Query(g.t.Context(), "SELECT id::text, ctid::text || xmin::text FROM nfts")
	must(g.t, err)
	all := map[string]string{}
	var id, version string
	_, err = pgx.ForEachRow(rows, []any{&id, &version}, func() error { all[id] = version; return nil })
	must(g.t, err)
	return all
}

func (g *written) exec(sql string, args ...any) {
	g.t.Helper()
	_, err := g.conn.Exec(g.t.Context(), sql, args...)
	must(g.t, err)
}

func (g *written) options() gamesync.WriteOptions {
	s := gamesync.WriteDefaults()
	s.Mode, s.To, s.Rate, s.Poll = gamesync.WriteOn, g.url, 1e6, 5*time.Millisecond
	return gamesync.WriteOptions{Store: g.store, Settings: s, Process: "test", Now: g.now}
}

func (g *written) writeback(o gamesync.WriteOptions) *gamesync.Writeback {
	g.t.Helper()
	w, err := gamesync.NewWriteback(g.t.Context(), o)
	must(g.t, err)
	g.t.Cleanup(w.Stop)
	return w
}

// drain writes all there is to write, as a process of its own, and returns what
// it counted.
func (g *written) drain(change ...func(*gamesync.WriteOptions)) gamesync.WriteStats {
	g.t.Helper()
	w := g.writeback(g.with(change...))
	must(g.t, w.Drain(g.t.Context()))
	return w.Stats()
}

// with returns the options, changed.
func (g *written) with(change ...func(*gamesync.WriteOptions)) gamesync.WriteOptions {
	o := g.options()
	for _, f := range change {
		f(&o)
	}
	return o
}

func withElo(o *gamesync.WriteOptions) { o.Settings.Elo = true }
func asTrial(o *gamesync.WriteOptions) { o.Settings.Mode = gamesync.WriteTrial }

func TestScoresAreWrittenBack(t *testing.T) {
	for name, open := range map[string]func(*testing.T) store.Writeback{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(name, func(t *testing.T) {
			g := newWritten(t, open)
			before := g.rows("nfts")
			scored := g.scored()
			stats := g.drain()
			g.equal("after the first pass", g.expected(before, false), g.rows("nfts"))
			if stats.Written < 100 || stats.Written != int64(len(scored)) || stats.Unchanged+stats.Locked+stats.Missing+stats.Failed+stats.Newer != 0 || !stats.Complete {
				t.Errorf("%d scores were written: %+v", len(scored), stats)
			}
			if most := one[int](t, g.conn, "SELECT max(n) FROM (SELECT count(*) n FROM nfts WHERE poa_v2_explanation LIKE 'POA %' GROUP BY xmin::text) x"); most > 50 || most < 40 {
				t.Errorf("a transaction wrote %d rows", most)
			}

			// Nothing changed: no row is touched, and no statement but those that look.
			versions := g.versions()
			stats = g.drain()
			if stats.Written+stats.Unchanged != 0 || stats.Statements != 1 {
				t.Errorf("with nothing to do: %+v", stats)
			}
			// Everything was computed again, to the same but for the time.
			g.super([2]string{scored[0], scored[1]}, [2]string{scored[0], scored[2]})
			g.fire(scored[3], scoring.Fire)
			stats = g.drain()
			g.equal("after some votes", g.expected(before, false), g.rows("nfts"))
			if stats.Written != 4 || stats.Unchanged != 0 {
				t.Errorf("after votes on four NFTs: %+v", stats)
			}
			for id, v := range g.versions() {
				if changed := v != versions[id]; changed != slices.Contains(scored[:4], id) {
					t.Errorf("row %s written: %v", id, changed)
				}
			}
		})
	}
}

func one[T any](t testing.TB, conn *pgx.Conn, sql string) (value T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// What somebody else overwrote with older values is found by a pass over all:
// when it is asked for, and after nobody has written for a while.
func TestAPassOverAllAgain(t *testing.T) {
	g := newWritten(t, onSQLite)
	before := g.rows("nfts")
	g.drain()
	overwritten := g.scored()[:7]
	spoil := func() {
		g.exec("UPDATE nfts SET poa_v2 = 1, poa_v2_updated_at = '2020-01-01' WHERE id = ANY($1::uuid[])", overwritten)
	}
	spoil()
	if s := g.drain(); s.Written != 0 {
		t.Errorf("nothing was published: %+v", s)
	}
	s := g.drain(func(o *gamesync.WriteOptions) { o.All = true })
	g.equal("asked for", g.expected(before, false), g.rows("nfts"))
	if s.Written != 7 || s.Unchanged != int64(len(g.scored())-7) {
		t.Errorf("%+v", s)
	}
	spoil()
	g.later(2 * time.Hour)
	g.drain()
	g.equal("after a while", g.expected(before, false), g.rows("nfts"))
}

// A score that is withdrawn leaves empty columns, also where the process that
// wrote before has been away too long to read of it in the activity.
func TestAWithdrawnScoreIsEmptied(t *testing.T) {
	for name, away := range map[string]time.Duration{"at once": 0, "after months": 60 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			g := newWritten(t, onSQLite)
			lone := g.unvoted()
			g.exec("UPDATE nfts SET poa_v2 = 50, poa_v2_updated_at = now() - interval '1 day' WHERE id = $1", lone)
			before := g.rows("nfts")
			g.drain()
			g.equal("without a vote in poa the old score stays", g.expected(before, false), g.rows("nfts"))
			g.fire(lone, scoring.Fire)
			g.drain()
			if r := g.rows("nfts")[lone]; r.POA == nil || r.Explanation == nil {
				t.Fatalf("with a FIRE: %+v", r)
			}
			g.fire(lone, scoring.Unfire)
			g.later(away)
			g.drain()
			g.equal("without it", g.expected(before, false), g.rows("nfts"))
			if r := g.rows("nfts")[lone]; r.POA != nil || r.UpdatedAt != nil || r.Components != nil {
				t.Errorf("without the FIRE: %+v", r)
			}
		})
	}
}

// unvoted is an NFT without votes.
func (g *written) unvoted() string {
	rated := map[string]bool{}
	for _, r := range g.ratings() {
		rated[r.ID] = true
	}
	for _, id := range g.nfts {
		if !rated[id] {
			return id
		}
	}
	g.t.Fatal("all NFTs have votes")
	return ""
}

func TestEloOnlyWhereSwitchedOn(t *testing.T) {
	g := newWritten(t, onSQLite)
	before := g.rows("nfts")
	g.drain()
	g.equal("without", g.expected(before, false), g.rows("nfts"))
	g.drain(withElo)
	g.equal("with", g.expected(before, true), g.rows("nfts"))
	if stats := g.drain(withElo); stats.Written+stats.Unchanged != 0 {
		t.Errorf("again: %+v", stats)
	}
}

func TestANewerValueStays(t *testing.T) {
	g := newWritten(t, onSQLite)
	scored := g.scored()
	kept := scored[5:9]
	g.exec("UPDATE nfts SET poa_v2 = 1.5, poa_v2_updated_at = now() + interval '1 hour' WHERE id = ANY($1::uuid[])", kept)
	before := g.rows("nfts")
	stats := g.drain()
	if stats.Newer != 4 || stats.Written != int64(len(scored)-4) || len(stats.Waiting) != 0 {
		t.Errorf("%+v", stats)
	}
	want := g.expected(before, false)
	for _, id := range kept {
		want[id] = before[id]
	}
	g.equal("with newer values", want, g.rows("nfts"))
	// poa's next score is newer again.
	g.later(2 * time.Hour)
	g.compute()
	g.drain()
	g.equal("later", g.expected(before, false), g.rows("nfts"))
}

// Rows that the game holds are left out and written when it lets go; everything
// else is written meanwhile.
func TestHeldRowsAreNotWaitedFor(t *testing.T) {
	g := newWritten(t, onSQLite)
	scored := g.scored()
	before := g.rows("nfts")
	other, err := pgx.Connect(t.Context(), g.url)
	must(t, err)
	defer other.Close(context.Background())
	tx, err := other.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "UPDATE nfts SET total_votes = total_votes + 1 WHERE id = ANY($1::uuid[])", scored[10:70])
	must(t, err)

	began := g.now()
	w := g.writeback(g.options())
	w.Start()
	eventually(t, func() bool {
		s := w.Stats()
		return s.Complete && s.Written == int64(len(scored)-60) && s.Waiting[store.UnwrittenLocked] == 60
	}, func() any { return w.Stats() })
	if least, s := g.now().Sub(began), w.Stats(); s.Lag < least {
		t.Errorf("rows have waited for %v: %+v", least, s)
	}
	want := g.expected(before, false)
	for _, id := range scored[10:70] {
		want[id] = before[id]
	}
	g.equal("while rows are held", want, g.rows("nfts"))
	must(t, tx.Commit(t.Context()))
	g.later(time.Minute) // their next try is due
	eventually(t, func() bool {
		s := w.Stats()
		return s.Written == int64(len(scored)) && len(s.Waiting) == 0 && s.Lag < time.Minute
	}, func() any { return w.Stats() })
	g.equal("when they are free", g.expected(before, false), g.rows("nfts"))
}

// eventually waits for something that happens without fail.
func eventually(t *testing.T, ok func() bool, state func() any) {
	t.Helper()
	limit := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(limit) {
			t.Fatalf("it does not happen: %+v", state())
		}
		time.Sleep(time.Millisecond)
	}
}

// While the write-back has rows locked, which a trigger of the test prolongs,
// the game may insert votes on them and do all else without waiting at all.
func TestTheGameDoesNotWait(t *testing.T) {
	g := newWritten(t, onSQLite)
	scored := g.scored()
	g.exec(`ALTER TABLE votes ADD FOREIGN KEY (nft_a_id) REFERENCES nfts (id) NOT VALID, ADD FOREIGN KEY (nft_b_id) REFERENCES nfts (id) NOT VALID`)
	g.exec(`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END'`)
	g.exec(`CREATE TRIGGER hold AFTER UPDATE ON nfts FOR EACH ROW WHEN (NEW.poa_v2 IS DISTINCT FROM OLD.poa_v2) EXECUTE FUNCTION hold()`)
	g.exec(`SELECT pg_advisory_lock(42)`)
	w := g.writeback(g.options())
	drained := make(chan error, 1)
	go func() { drained <- w.Drain(t.Context()) }()
	eventually(t, func() bool {
		return one[int](t, g.conn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == 1
	}, func() any { return w.Stats() })
	g.exec(`SET lock_timeout = '1ms'`)
	for i := range 50 {
		g.exec(`INSERT INTO votes (user_id, vote_type_v2, nft_a_id, nft_b_id, winner_id) SELECT id, 'cross_coll', $1, $2, $1 FROM users LIMIT 1`, scored[i], scored[i+1])
	}
	if n := one[int](t, g.conn, "SELECT count(*) FROM nfts WHERE poa_v2_explanation LIKE 'POA %'"); n != 0 {
		t.Errorf("%d rows were committed: nothing was locked while votes were inserted", n)
	}
	g.exec(`SELECT pg_advisory_unlock(42)`)
	must(t, <-drained)
}

// The game plays on, in long transactions too, while scores change and are
// written: nobody times out on a lock, and in the end all is written.
func TestWhileTheGameIsPlayed(t *testing.T) {
	g := newWritten(t, onPostgres)
	before := g.rows("nfts")
	w := g.writeback(g.options())
	w.Start()
	game := gametest.New(gametest.Options{Seed: 11, NFTs: 300, Users: 60, Votes: 900, Favorites: 150, Broken: -1, End: time.Now().Add(-time.Hour)})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	played := make(chan error, 1)
	go func() {
		_, err := game.Live(ctx, g.url, gametest.LiveOptions{
			For: 6 * time.Second, Votes: 300, LongFrom: 300 * time.Millisecond, LongTo: time.Second, Long: 4, LockTimeout: 5 * time.Second,
		})
		played <- err
	}()
	scored := g.scored()
	rng := rand.New(rand.NewPCG(1, 1))
	for playing := true; playing; {
		select {
		case err := <-played:
			must(t, err)
			playing = false
		default:
			a, b := rng.IntN(len(scored)), rng.IntN(len(scored)-1)
			if b >= a {
				b++
			}
			g.super([2]string{scored[a], scored[b]})
		}
	}
	w.Stop()
	if s := w.Stats(); s.Locked == 0 || s.Errors != 0 {
		t.Errorf("no row was ever held, or a step failed: %+v", s)
	}
	g.later(time.Minute)
	g.drain()
	g.equal("in the end", g.expected(before, false), g.rows("nfts"))
}

// dying is a store that fails for good after some calls, as a process that is
// killed leaves it.
type dying struct {
	store.Writeback
	mu   sync.Mutex
	left int // calls, guarded by mu
}

var errKilled = errors.New("killed")

func (d *dying) dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left--
	return d.left < 0
}

func (d *dying) View(ctx context.Context, f func(store.View) error) error {
	if d.dead() {
		return errKilled
	}
	return d.Writeback.View(ctx, f)
}

func (d *dying) Stream(ctx context.Context, after store.Position, limit int) ([]store.Activity, store.Position, error) {
	if d.dead() {
		return nil, after, errKilled
	}
	return d.Writeback.Stream(ctx, after, min(limit, 7))
}

func (d *dying) ListNFTs(ctx context.Context, q store.NFTQuery) ([]store.Ranked, error) {
	if d.dead() {
		return nil, errKilled
	}
	return d.Writeback.ListNFTs(ctx, q)
}

func (d *dying) TakeLease(ctx context.Context, name, holder string, now, until time.Time) (store.Lease, bool, error) {
	if d.dead() {
		return store.Lease{}, false, errKilled
	}
	return d.Writeback.TakeLease(ctx, name, holder, now, until)
}

func (d *dying) KeepLease(ctx context.Context, l store.Lease) error {
	if d.dead() {
		return errKilled
	}
	return d.Writeback.KeepLease(ctx, l)
}

func (d *dying) PutUnwritten(ctx context.Context, target string, put []store.Unwritten, remove []int64) error {
	if d.dead() {
		return errKilled
	}
	return d.Writeback.PutUnwritten(ctx, target, put, remove)
}

// Killed after any number of steps, the next process ends what it began.
func TestKilledAnywhere(t *testing.T) {
	for name, first := range map[string]bool{"in the pass over all": false, "in the activity": true} {
		t.Run(name, func(t *testing.T) {
			g := newWritten(t, onSQLite)
			before := g.rows("nfts")
			if first {
				g.drain()
			}
			g.killAnywhere(before)
		})
	}
}

func (g *written) killAnywhere(before map[string]oldRow) {
	t := g.t
	scored := g.scored()
	other, err := pgx.Connect(t.Context(), g.url)
	must(t, err)
	defer other.Close(context.Background())
	for calls, round := 1, 0; ; round++ {
		// Some change, and some of them are held at first.
		g.super([2]string{scored[round%90], scored[round%90+1]}, [2]string{scored[round%80+2], scored[round%80+5]})
		tx, err := other.Begin(t.Context())
		must(t, err)
		_, err = tx.Exec(t.Context(), "SELECT FROM nfts WHERE id = ANY($1::uuid[]) FOR UPDATE", scored[round%90:round%90+3])
		must(t, err)
		o := g.options()
		o.Store = &dying{Writeback: g.store, left: calls}
		w := g.writeback(o)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			err = w.Drain(ctx)
		}()
		eventually(t, func() bool {
			select {
			case <-ended:
				return true
			default:
				return w.Stats().Waiting[store.UnwrittenLocked] > 0 && w.Stats().Complete
			}
		}, func() any { return w.Stats() })
		must(t, tx.Rollback(t.Context()))
		g.later(2 * time.Minute) // the lease and the pauses end
		<-ended
		cancel()
		w.Stop()
		g.later(2 * time.Minute)
		if err == nil {
			break
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		calls += 1 + calls/6
	}
	g.drain() // pages of the dying store end early
	g.equal("in the end", g.expected(before, false), g.rows("nfts"))
	if s := g.drain(); s.Written != 0 {
		t.Errorf("something was left: %+v", s)
	}
}

// The game's database throws the writer out again and again.
func TestThrownOutOfTheGame(t *testing.T) {
	g := newWritten(t, onSQLite)
	before := g.rows("nfts")
	o := g.options()
	o.Settings.Rate = 400
	w := g.writeback(o)
	w.Start()
	eventually(t, func() bool {
		g.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'poa write-back' AND datname = current_database()")
		return w.Stats().Errors >= 3
	}, func() any { return w.Stats() })
	eventually(t, func() bool { return w.Stats().Complete }, func() any { return w.Stats() })
	g.equal("in the end", g.expected(before, false), g.rows("nfts"))
}

// A value that the game's constraints refuse fails alone, and is tried again.
func TestARefusedValueFailsAlone(t *testing.T) {
	g := newWritten(t, onSQLite)
	scored := g.scored()
	before := g.rows("nfts")
	g.exec(fmt.Sprintf("ALTER TABLE nfts ADD CONSTRAINT picky CHECK (id NOT IN ('%s', '%s') OR poa_v2_explanation IS NULL OR poa_v2_explanation NOT LIKE 'POA %%') NOT VALID", scored[20], scored[47]))
	stats := g.drain()
	want := g.expected(before, false)
	want[scored[20]], want[scored[47]] = before[scored[20]], before[scored[47]]
	g.equal("but for two", want, g.rows("nfts"))
	if stats.Failed != 2 || stats.Written != int64(len(scored)-2) || stats.Waiting[store.UnwrittenFailed] != 2 {
		t.Errorf("%+v", stats)
	}
	list, err := g.store.ListUnwritten(t.Context(), stats.Target, 0, 10)
	must(t, err)
	if len(list) != 2 || !strings.Contains(list[0].Detail, "picky") || list[0].ID != scored[20] {
		t.Errorf("the list says %+v", list)
	}
	g.exec("ALTER TABLE nfts DROP CONSTRAINT picky")
	if stats = g.drain(); stats.Written != 0 {
		t.Errorf("tried again at once: %+v", stats)
	}
	g.later(2 * time.Minute)
	if stats = g.drain(); stats.Written != 2 || len(stats.Waiting) != 0 {
		t.Errorf("after a while: %+v", stats)
	}
	g.equal("all", g.expected(before, false), g.rows("nfts"))
}

func TestNFTsThatAreGone(t *testing.T) {
	g := newWritten(t, onSQLite)
	scored := g.scored()
	g.exec("DELETE FROM nfts WHERE id = ANY($1::uuid[])", scored[:3])
	_, err := g.store.PutNFTs(t.Context(), []store.NFT{{ID: "of another game"}}, false, g.now())
	must(t, err)
	g.fire("of another game", scoring.Fire)
	before := g.rows("nfts")
	stats := g.drain()
	want := g.expected(before, false)
	for _, id := range scored[:3] {
		delete(want, id)
	}
	g.equal("the others", want, g.rows("nfts"))
	if stats.Missing != 4 || stats.Waiting[store.UnwrittenMissing] != 4 {
		t.Errorf("%+v", stats)
	}
	g.exec("INSERT INTO nfts (id, token_id, name, image) VALUES ($1, 'back', 'it is back', '')", scored[0])
	g.super([2]string{scored[0], scored[1]})
	if stats = g.drain(); stats.Written != 1 || stats.Waiting[store.UnwrittenMissing] != 3 {
		t.Errorf("when one is back: %+v", stats)
	}
}

// as returns the game's URL for a role that has those rights only.
func (g *written) as(grants ...string) string {
	g.t.Helper()
	role := fmt.Sprintf("writer_%d", time.Now().UnixNano())
	g.exec("CREATE ROLE " + role + " LOGIN")
	g.t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), g.url)
		if err == nil {
			_, err = conn.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role)
			conn.Close(context.Background())
		}
		if err != nil {
			g.t.Error(err)
		}
	})
	g.exec("GRANT USAGE ON SCHEMA public TO " + role)
	for _, grant := range grants {
		g.exec("GRANT " + grant + " TO " + role)
	}
	u, err := url.Parse(g.url)
	must(g.t, err)
	u.User = url.User(role)
	return u.String()
}

const (
	grantRead  = "SELECT ON nfts"
	grantWrite = "UPDATE (poa_v2, poa_v2_confidence, poa_v2_components, poa_v2_explanation, poa_v2_updated_at) ON nfts"
)

func TestTheLeastRights(t *testing.T) {
	g := newWritten(t, onSQLite)
	before := g.rows("nfts")
	poor := g.as(grantRead)
	w := g.writeback(g.with(func(o *gamesync.WriteOptions) { o.Settings.To = poor }))
	if err := w.Drain(t.Context()); err == nil || !strings.Contains(err.Error(), "GRANT UPDATE (poa_v2, poa_v2_updated_at, poa_v2_components, poa_v2_confidence, poa_v2_explanation) ON nfts TO writer_") {
		t.Errorf("without the right to write: %v", err)
	}
	enough := g.as(grantRead, grantWrite)
	at := func(o *gamesync.WriteOptions) { o.Settings.To = enough }
	g.drain(at)
	g.equal("with the least rights", g.expected(before, false), g.rows("nfts"))
	w = g.writeback(g.with(at, withElo))
	if err := w.Drain(t.Context()); err == nil || !strings.Contains(err.Error(), "needed: GRANT UPDATE (elo_mean, elo_sigma) ON nfts TO writer_") {
		t.Errorf("without the right to write elo_mean: %v", err)
	}
}

func TestRowLevelSecurity(t *testing.T) {
	g := newWritten(t, onSQLite)
	before := g.rows("nfts")
	g.exec("ALTER TABLE nfts ENABLE ROW LEVEL SECURITY")
	g.exec("CREATE POLICY reads ON nfts FOR SELECT USING (true)")
	at := g.as(grantRead, grantWrite)
	w := g.writeback(g.with(func(o *gamesync.WriteOptions) { o.Settings.To = at }))
	missing := (*gamesync.MissingError)(nil)
	if err := w.Drain(t.Context()); !errors.As(err, &missing) || !strings.HasPrefix(missing.SQL, "CREATE POLICY poa_writes ON nfts FOR ALL TO ") {
		t.Fatalf("where a policy lets it only read: %v", err)
	}
	g.exec(missing.SQL)
	must(t, w.Drain(t.Context()))
	g.equal("with the policy", g.expected(before, false), g.rows("nfts"))
	g.exec("DROP POLICY poa_writes ON nfts")
}

func TestATrial(t *testing.T) {
	g := newWritten(t, onSQLite)
	before := g.rows("nfts")
	versions := g.versions()
	poor := g.as(grantRead)
	w := g.writeback(g.with(asTrial, func(o *gamesync.WriteOptions) { o.Settings.To = poor }))
	if err := w.Drain(t.Context()); err == nil || !strings.Contains(err.Error(), "CREATE TABLE poa_trial") {
		t.Errorf("where it may not make the table: %v", err)
	}
	if _, err := gamesync.Compare(t.Context(), g.url, 5); !errors.Is(err, gamesync.ErrNoTrial) {
		t.Errorf("a comparison without a trial: %v", err)
	}
	g.exec(gamesync.TrialTableSQL)
	able := g.as(grantRead, "SELECT, INSERT, UPDATE ON poa_trial")
	at := func(o *gamesync.WriteOptions) { o.Settings.To = able }
	stats := g.drain(asTrial, at)
	if stats.Written != int64(len(g.scored())) {
		t.Errorf("%+v", stats)
	}
	g.equal("the game's own", before, g.rows("nfts"))
	if diff := cmp.Diff(versions, g.versions()); diff != "" {
		t.Errorf("rows of the game were written: %s", diff)
	}
	check := func(what string) {
		t.Helper()
		want := g.expected(map[string]oldRow{}, false)
		g.equal(what, want, g.rows("poa_trial"))
	}
	check("the trial's")
	lone := g.unvoted()
	g.fire(lone, scoring.Fire)
	g.drain(asTrial, at)
	check("with one more")
	g.fire(lone, scoring.Unfire)
	g.drain(asTrial, at)
	check("with one less")
	if stats := g.drain(asTrial, at); stats.Written+stats.Unchanged != 0 {
		t.Errorf("again: %+v", stats)
	}

	c, err := gamesync.Compare(t.Context(), able, 5)
	must(t, err)
	old := one[int](t, g.conn, "SELECT count(*) FROM nfts WHERE poa_v2 IS NOT NULL")
	both := one[int](t, g.conn, "SELECT count(*) FROM nfts n JOIN poa_trial t ON t.nft_id = n.id WHERE n.poa_v2 IS NOT NULL AND t.poa_v2 IS NOT NULL")
	if c.Old != old || c.New != len(g.scored()) || c.Both != both || c.OnlyOld != old-both || c.OnlyNew != c.New-both || both < 50 {
		t.Errorf("%+v; want %d old, %d both", c, old, both)
	}
	pearson := one[float64](t, g.conn, "SELECT corr(n.poa_v2, t.poa_v2) FROM nfts n JOIN poa_trial t ON t.nft_id = n.id")
	if c.Pearson == nil || c.Spearman == nil || math.Abs(*c.Pearson-pearson) > 1e-9 {
		t.Errorf("Pearson is %v, the database says %v", c.Pearson, pearson)
	}
	largest := one[float64](t, g.conn, "SELECT max(abs(n.poa_v2 - t.poa_v2))::float8 FROM nfts n JOIN poa_trial t ON t.nft_id = n.id")
	if len(c.Largest) != 5 || math.Abs(math.Abs(c.Largest[0].By())-largest) > 1e-9 || c.Largest[0].Name == "" {
		t.Errorf("the largest differences are %+v, the database says %v", c.Largest, largest)
	}
}

func TestOneProcessWrites(t *testing.T) {
	g := newWritten(t, onSQLite)
	before := g.rows("nfts")
	first := g.writeback(g.options())
	first.Start()
	eventually(t, func() bool { return first.Stats().Active }, func() any { return first.Stats() })
	second := g.writeback(g.options())
	held := (*gamesync.HeldError)(nil)
	if err := second.Drain(t.Context()); !errors.As(err, &held) || held.Holder != "test" {
		t.Errorf("a second one: %v", err)
	}
	// One that waits goes on when the first stops; one that was thought dead
	// stops when it sees that another has taken over.
	o := g.options()
	o.Settings.Lease, o.Process = 300*time.Millisecond, "third"
	third := g.writeback(o)
	third.Start()
	g.later(time.Minute)
	eventually(t, func() bool { return third.Stats().Active && !first.Stats().Active }, func() any { return third.Stats() })
	first.Stop()
	g.super([2]string{g.nfts[0], g.nfts[1]})
	eventually(t, func() bool { return third.Stats().Complete }, func() any { return third.Stats() })
	third.Stop()
	g.drain()
	g.equal("in the end", g.expected(before, false), g.rows("nfts"))
}

// The rate bounds how fast rows are written: so many take a known time at least.
func TestTheRateIsABound(t *testing.T) {
	g := newWritten(t, onSQLite)
	began := time.Now()
	stats := g.drain(func(o *gamesync.WriteOptions) { o.Settings.Rate = 100 })
	least := time.Duration(stats.Written-gamesync.MaxWriteRows) * time.Second / 100
	if took := time.Since(began); took < least {
		t.Errorf("%d rows at 100 a second took %v, want %v at least", stats.Written, took, least)
	}
}

// The place in the activity of another server, as after a restored dump, does
// not keep anything from being written.
func TestAPlaceOfAnotherServer(t *testing.T) {
	g := newWritten(t, onPostgres)
	before := g.rows("nfts")
	target := g.drain().Target
	now := g.now()
	lease, ok, err := g.store.TakeLease(t.Context(), "writeback to "+target, "test", now, now)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	lease.State = fmt.Sprintf(`{"position": {"Transaction": 1099511627776, "Number": 1}, "read_at": %q, "complete": true}`, now.Format(time.RFC3339Nano))
	must(t, g.store.KeepLease(t.Context(), lease))
	g.super([2]string{g.nfts[0], g.nfts[1]})
	g.later(30 * time.Minute)
	g.drain()
	g.equal("in the end", g.expected(before, false), g.rows("nfts"))
}
