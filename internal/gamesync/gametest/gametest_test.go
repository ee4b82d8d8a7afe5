package gametest_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/gamesync/gametest"
	"poa/internal/store/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func small(seed uint64) gametest.Options {
	return gametest.Options{Seed: seed, NFTs: 300, Users: 50, Votes: 2000, Favorites: 200, TenPoint: true, End: time.Now()}
}

func filled(t *testing.T, o gametest.Options) (*gametest.Game, string, *pgx.Conn) {
	t.Helper()
	g, url := gametest.New(o), pgtest.New(t)
	if err := g.Fill(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return g, url, conn
}

func one[T any](t *testing.T, conn *pgx.Conn, sql string) (value T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func TestThePublishedSizes(t *testing.T) {
	_, _, conn := filled(t, gametest.Options{Seed: 1, End: time.Now()})
	for sql, want := range map[string]int{
		"SELECT count(*) FROM nfts":                                               54_312,
		"SELECT count(*) FROM nfts WHERE collection_name = 'Final Bosu'":          8_888,
		"SELECT count(*) FROM users":                                              3_000,
		"SELECT count(*) FROM votes":                                              20_000 + 3*17,
		"SELECT count(*) FROM favorites":                                          3_000 + 3*6,
		"SELECT count(DISTINCT vote_type_v2) FROM votes":                          4, // one of them unknown
		"SELECT count(DISTINCT vote_type) FROM favorites":                         3,
		"SELECT max(n) FROM (SELECT count(*) n FROM votes GROUP BY created_at) x": 1_000,
	} {
		if got := one[int](t, conn, sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	for _, sql := range []string{
		"SELECT count(*) FROM votes WHERE winner_id IS NULL AND nft_b_id IS NOT NULL AND user_id IS NOT NULL AND vote_type_v2 <> 'slider'",
		"SELECT count(*) FROM votes WHERE (engagement_data->>'super_vote')::boolean",
		"SELECT count(*) FROM nfts WHERE poa_v2 IS NOT NULL AND poa_v2_components ? 'avg_reliability'",
		"SELECT count(*) FROM nfts WHERE total_votes > 4 AND poa_v2 IS NULL",
		"SELECT count(*) FROM users WHERE wallet_address <> lower(wallet_address)",
	} {
		if got := one[int](t, conn, sql); got < 100 {
			t.Errorf("%s: only %d", sql, got)
		}
	}
	if none, most := one[float64](t, conn, "SELECT avg((total_votes = 0)::int)::float8 FROM nfts"), one[int](t, conn, "SELECT max(total_votes) FROM nfts"); none < 0.9 || most > 35 {
		t.Errorf("%.2f of the NFTs have no votes, and one has %d", none, most)
	}
}

func TestTheSameEachTime(t *testing.T) {
	o := small(7)
	if a, b := gametest.New(o), gametest.New(o); !reflect.DeepEqual(a, b) {
		t.Error("the same options give another game")
	}
}

func TestValidAndBroken(t *testing.T) {
	for _, tenPoint := range []bool{true, false} {
		o := small(3)
		o.TenPoint = tenPoint
		_, _, conn := filled(t, o)
		valid, err := gametest.ValidVotes(t.Context(), conn)
		if err != nil || len(valid) != 2000 {
			t.Errorf("%d valid votes, %v", len(valid), err)
		}
		for _, v := range valid {
			off := v.Value != nil && (*v.Value < 0 || *v.Value > 100 || tenPoint && (*v.Value < 1 || *v.Value > 10))
			if off || (v.Kind == gametest.Slider) != (v.B == "") || v.A == v.B || v.Winner != "" && v.Winner != v.A && v.Winner != v.B {
				t.Errorf("%+v is not valid", v)
			}
		}
		favorites, err := gametest.ValidFavorites(t.Context(), conn)
		if err != nil || len(favorites) != 200 {
			t.Errorf("%d valid favourites, %v", len(favorites), err)
		}
		broken, err := gametest.BrokenRows(t.Context(), conn)
		reasons := map[gametest.Reason]int{}
		for _, b := range broken {
			reasons[b.Reason]++
		}
		if err != nil || len(broken) != 3*23 || len(reasons) != 18 {
			t.Errorf("%d broken rows, %v: %v", len(broken), err, reasons)
		}
	}
}

// A game that is played on in another process is the same game: the writer is
// given a game made anew.
func TestPlayingOn(t *testing.T) {
	_, url, conn := filled(t, small(5))
	before := one[int](t, conn, "SELECT count(*) FROM favorites")
	played, err := gametest.New(small(5)).Live(t.Context(), url, gametest.LiveOptions{
		For: 3 * time.Second, Votes: 200, Favorites: 100, BrokenEvery: 10, LongFrom: 500 * time.Millisecond, LongTo: time.Second, LockTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{
		"votes": played.Votes, "late": played.Late, "broken": played.Broken, "given": played.Given, "repeated": played.Repeated, "gone": played.Gone,
	} {
		if n == 0 {
			t.Errorf("no %s: %+v", name, played)
		}
	}
	valid, err := gametest.ValidVotes(t.Context(), conn)
	if err != nil || len(valid) != 2000+played.Votes {
		t.Errorf("%d valid votes after %+v, %v", len(valid), played, err)
	}
	broken, err := gametest.BrokenRows(t.Context(), conn)
	if err != nil || len(broken) != 3*23+played.Broken {
		t.Errorf("%d broken rows after %+v, %v", len(broken), played, err)
	}
	brokenGiven := 0
	for _, b := range broken {
		if b.Source == "favorites" {
			brokenGiven++
		}
	}
	if got, want := one[int](t, conn, "SELECT count(*) FROM favorites"), before+played.Given-played.Gone+brokenGiven-3*6; got != want {
		t.Errorf("%d favourites after %+v, want %d", got, played, want)
	}
	if one[int](t, conn, "SELECT count(*) FROM (SELECT FROM favorites GROUP BY lower(wallet_address), nft_id HAVING count(*) > 1) x") != 0 {
		t.Error("a favourite stands twice")
	}
}

func TestALockThatIsHeldEndsTheGame(t *testing.T) {
	g, url, conn := filled(t, small(9))
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "SELECT FROM nfts FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	_, err = g.Live(t.Context(), url, gametest.LiveOptions{For: time.Minute, LockTimeout: 10 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "lock timeout") {
		t.Errorf("%v, want a lock timeout", err)
	}
}
