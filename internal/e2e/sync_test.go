package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"poa/internal/gamesync/gametest"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres/pgtest"
)

// followed is a game, and the role by which it is followed.
type followed struct {
	*gametest.Game
	t    *testing.T
	url  string // of the game's own role
	from string // of one that may read its tables and no more
	to   string // of one that may write its score columns and no more; "" before writeSettings
}

// play makes the database of a game.
func play(t *testing.T, o gametest.Options) *followed {
	t.Helper()
	f := &followed{Game: gametest.New(o), t: t, url: pgtest.New(t)}
	if err := f.Fill(t.Context(), f.url); err != nil {
		t.Fatal(err)
	}
	role := "reader_" + query[string](t, f.url, "SELECT current_database()")
	for _, sql := range []string{
		"CREATE ROLE " + role + " LOGIN",
		"GRANT SELECT ON nfts, users, votes, favorites TO " + role,
		"REVOKE TEMPORARY ON DATABASE " + query[string](t, f.url, "SELECT current_database()") + " FROM PUBLIC",
	} {
		execute(t, f.url, sql)
	}
	f.from = strings.Replace(f.url, "postgres@", role+"@", 1)
	if f.from == f.url {
		t.Fatalf("the URL names no role: %s", f.url)
	}
	return f
}

// settings of a sync in a hurry: an overlap that long transactions exceed, and
// reconciliations every few seconds.
func (f *followed) settings() []string {
	return []string{
		"sync.from=" + f.from, "sync.slider_scale=10", "sync.poll=200ms", "sync.overlap=1s", "sync.favorites_every=1s",
		"sync.reconcile_every=3s", "sync.lease=1s",
	}
}

// synced is what poa sync --once --json prints.
type synced struct {
	Rows, Recorded, Duplicates, Late, Withdrawn, Rejected int64
	Statements                                            struct{ Total, Idle, Sweeps int64 }
	PerVote                                               float64 `json:"statements_per_vote"`
	IdleAMinute                                           float64 `json:"idle_statements_per_minute"`
}

// sync brings a database up to date with the game.
func (f *followed) sync(database string) (s synced) {
	f.t.Helper()
	code, out := runWith(f.t, database, f.settings(), "sync", "--once", "--json")
	if err := json.Unmarshal([]byte(out), &s); err != nil || code == 2 {
		f.t.Fatalf("poa sync --once: exit code %d, %v\n%s", code, err, out)
	}
	return s
}

// runWith runs the program with settings and returns its exit code and what it
// printed to standard output, or to standard error where it failed.
func runWith(t *testing.T, database string, settings []string, args ...string) (int, string) {
	t.Helper()
	out, err := command(t, database, settings, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() == 2 {
			return 2, string(exit.Stderr)
		}
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, string(out)
}

// A game of the published size is followed while another process plays it on,
// some of it in transactions that commit late, and whoever follows it or writes
// scores back is killed again and again.
func TestFollowingAGame(t *testing.T) {
	for name, database := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "poa.db") },
		"postgres": func(t *testing.T) string { return pgtest.New(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := gametest.Options{Seed: 5, NFTs: 54_312, Users: 5000, Votes: 12_000, Favorites: 2000, TenPoint: true, End: time.Now()}
			live := gametest.LiveOptions{Seed: 6, For: 30 * time.Second, BrokenEvery: 25, Long: 3, LongFrom: 500 * time.Millisecond, LongTo: 6 * time.Second, LockTimeout: 10 * time.Second}
			if long() {
				o.Votes, o.Favorites = 120_000, 12_000
				live.For, live.LongTo = 3*time.Minute, 90*time.Second
			}
			f := play(t, o)
			followAndKill(t, f, database(t), player{f.url, o, live})
		})
	}
}

func followAndKill(t *testing.T, f *followed, database string, p player) {
	must(t, database, "migrate")
	random := rand.New(rand.NewPCG(1, 2))
	begin := func() *process {
		if random.IntN(3) == 0 {
			return serve(t, database, append(append(f.settings(), f.writeSettings()...), "sync.enabled=true", "writeback.mode=on")...)
		}
		return start(t, command(t, database, f.settings(), "sync"))
	}
	player := startPlayer(t, p)
	rounds := 0
	for over := false; !over; rounds++ {
		spread := 2000 // ms
		if long() && rounds%2 == 0 {
			spread = 15_000 // so that reading it all comes to an end in between
		}
		processes := []*process{begin(), begin(), start(t, command(t, database, f.writeSettings(), "writeback", "run"))} // the second takes over
		for i, p := range processes {
			select {
			case <-player.Gone:
				over = true
			case <-p.Gone:
				t.Fatalf("a process ended by itself with exit code %d:\n%s", p.ExitCode(), p.Tail())
			case <-time.After(time.Duration(200+random.IntN(spread*(i+1))) * time.Millisecond):
			}
			p.Kill()
		}
	}
	counts := played(t, player)
	last := f.sync(database)
	if again := f.sync(database); again.Recorded != 0 || again.Rejected != 0 || again.Withdrawn != 0 {
		t.Errorf("a sync after the last one found something new: %+v", again)
	}
	t.Logf("played %+v; killed three processes %d times; the last sync: %+v", counts, rounds, last)
	if counts.Late == 0 || counts.Gone == 0 || counts.Repeated == 0 || counts.Broken == 0 {
		t.Errorf("the game was not played enough: %+v", counts)
	}
	f.check(database)
	verified(t, database)
	f.writeBack(database)
	f.checkColumns(database)
}

// check compares what poa has with what the game has.
func (f *followed) check(database string) {
	f.t.Helper()
	ctx := f.t.Context()
	conn, err := pgx.Connect(ctx, f.url)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(ctx)
	votes, err := gametest.ValidVotes(ctx, conn)
	if err != nil {
		f.t.Fatal(err)
	}
	favorites, err := gametest.ValidFavorites(ctx, conn)
	if err != nil {
		f.t.Fatal(err)
	}
	broken, err := gametest.BrokenRows(ctx, conn)
	if err != nil {
		f.t.Fatal(err)
	}
	err = open(f.t, database).View(ctx, func(v store.View) error {
		f.checkLog(ctx, v, votes, favorites)
		f.checkFires(ctx, v, favorites)
		f.checkRejects(ctx, v, broken)
		f.checkNFTs(ctx, v, conn)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// checkLog: the log has every valid vote once, as it was cast, and every
// favourite that stands; those that vanished were withdrawn once.
func (f *followed) checkLog(ctx context.Context, v store.View, votes []gametest.ValidVote, favorites []gametest.ValidFavorite) {
	f.t.Helper()
	want := map[string]string{}
	for _, vote := range votes {
		want["game:vote:"+vote.ID] = describe(vote)
	}
	stands := map[string]string{} // key of the latest FIRE by favourite
	for _, favorite := range favorites {
		stands[favorite.ID] = fmt.Sprintf("game:favorite:%s:%d", favorite.ID, favorite.CreatedAt.UnixMicro())
	}
	got, fired, gone := map[string]string{}, map[string][]string{}, map[string]int{}
	for vote, err := range v.Log(ctx, 0) {
		if err != nil {
			f.t.Fatal(err)
		}
		if id, ok := strings.CutPrefix(vote.Key, "game:favorite:"); ok {
			if vote.Kind == scoring.Unfire {
				gone[id[:36]]++
			} else {
				fired[id[:36]] = append(fired[id[:36]], vote.Key)
			}
			continue
		}
		if _, twice := got[vote.Key]; twice {
			f.t.Errorf("%s is in the log twice", vote.Key)
		}
		got[vote.Key] = describe(gametest.ValidVote{
			ID: strings.TrimPrefix(vote.Key, "game:vote:"), Wallet: vote.VoterID, A: vote.AID, B: vote.BID, CreatedAt: vote.CastAt,
			Kind:   map[bool]string{true: gametest.Slider, false: gametest.SameCollection}[vote.Kind == scoring.Slider],
			Winner: map[scoring.Outcome]string{scoring.WinA: vote.AID, scoring.WinB: vote.BID}[vote.Outcome], Super: vote.Super, Value: tenPoint(vote),
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("the votes of the game and of the log differ (-game +log):\n%.3000s", diff)
	}
	for id, key := range stands {
		if !slices.Contains(fired[id], key) {
			f.t.Errorf("favourite %s stands; its FIRE %s is not in the log: %v", id, key, fired[id])
		}
	}
	withdrawn := 0
	for id := range fired {
		wanted := 0
		if stands[id] == "" {
			wanted = 1
			withdrawn++
		}
		if gone[id] != wanted {
			f.t.Errorf("favourite %s was withdrawn %d times, want %d", id, gone[id], wanted)
		}
		delete(gone, id)
	}
	if len(gone) > 0 {
		f.t.Errorf("favourites were withdrawn that were never given: %v", gone)
	}
	f.t.Logf("%d votes, %d favourites that stand and %d that were withdrawn", len(got), len(stands), withdrawn)
}

func tenPoint(v store.Vote) *float64 {
	if v.Kind != scoring.Slider {
		return nil
	}
	x := v.Value/100*9 + 1
	return &x
}

func describe(v gametest.ValidVote) string {
	value := ""
	if v.Value != nil {
		value = fmt.Sprintf(" rated %.6f", *v.Value)
	}
	slider := ""
	if v.Kind == gametest.Slider {
		v.Super, slider = false, " slider"
	}
	return fmt.Sprintf("%s: %s %s %s winner %q super %v%s%s", v.CreatedAt.UTC().Format(time.RFC3339Nano), strings.ToLower(v.Wallet), v.A, v.B, v.Winner, v.Super, slider, value)
}

// checkFires: those FIRE votes stand whose favourites do.
func (f *followed) checkFires(ctx context.Context, v store.View, favorites []gametest.ValidFavorite) {
	f.t.Helper()
	want := map[string]bool{}
	for _, favorite := range favorites {
		want[favorite.NFT+" by "+strings.ToLower(favorite.Wallet)] = true
	}
	nfts, voters := map[int64]string{}, map[int64]string{}
	for n, err := range v.AllNFTs(ctx) {
		if err != nil {
			f.t.Fatal(err)
		}
		nfts[n.Number] = n.ID
	}
	for voter, err := range v.AllVoters(ctx) {
		if err != nil {
			f.t.Fatal(err)
		}
		voters[voter.Number] = voter.ID
	}
	got := map[string]bool{}
	for o, err := range v.AllOpinions(ctx) {
		if err != nil {
			f.t.Fatal(err)
		}
		if o.Kind == scoring.Fire && o.Standing {
			got[nfts[o.NFT]+" by "+voters[o.Voter]] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("standing favourites and FIRE votes differ (-game +poa):\n%.3000s", diff)
	}
}

// checkRejects: what makes no sense is rejected, each row once with a reason.
func (f *followed) checkRejects(ctx context.Context, v store.View, broken []gametest.Broken) {
	f.t.Helper()
	for _, table := range []string{"votes", "favorites"} {
		want, got, codes := map[string]bool{}, map[string]bool{}, map[string]int{}
		for _, b := range broken {
			if b.Source == table {
				want[b.ID] = true
			}
		}
		rejects, err := v.Rejects(ctx, "sync:"+table)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, r := range rejects {
			got[r.Row] = true
			codes[r.Code]++
			if r.Detail == "" || !strings.Contains(r.Raw, r.Row) {
				f.t.Errorf("reject %+v does not say what is wrong with which row", r)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			f.t.Errorf("broken %s and rejects differ (-game +poa):\n%.3000s", table, diff)
		}
		f.t.Logf("rejected %s: %v", table, codes)
	}
}

// checkNFTs: poa has the NFTs as the game has them.
func (f *followed) checkNFTs(ctx context.Context, v store.View, conn *pgx.Conn) {
	f.t.Helper()
	rows, err := conn.Query(ctx, "SELECT 0::bigint, id::text, name, COALESCE(collection_name, ''), image FROM nfts")
	if err != nil {
		f.t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.NFT])
	if err != nil {
		f.t.Fatal(err)
	}
	want, got := map[store.NFT]bool{}, map[store.NFT]bool{}
	for _, n := range list {
		want[n] = true
	}
	for n, err := range v.AllNFTs(ctx) {
		if err != nil {
			f.t.Fatal(err)
		}
		n.Number = 0
		got[n] = true
	}
	if !maps.Equal(want, got) {
		f.t.Errorf("the game has %d NFTs, poa has %d, and they differ", len(want), len(got))
	}
}
