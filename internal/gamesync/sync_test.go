package gamesync_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"poa/internal/gamesync"
	"poa/internal/gamesync/gametest"
	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
	"poa/internal/store/sqlite/sqlitetest"
	"poa/internal/trigger"
)

// match is a game with two NFTs and two users, and a poa beside it.
type match struct {
	t      *testing.T
	url    string
	conn   *pgx.Conn
	store  *sqlite.Store
	ledger *ledger.Ledger
}

// Ids and wallets of a match. The second user's wallet is written in capitals.
const (
	nft1  = "00000000-0000-4000-8000-000000000001"
	nft2  = "00000000-0000-4000-8000-000000000002"
	nft3  = "00000000-0000-4000-8000-000000000003" // not there at first
	user1 = "10000000-0000-4000-8000-000000000001"
	user2 = "10000000-0000-4000-8000-000000000002"
)

var (
	wallet1 = "0x" + strings.Repeat("1", 40)
	wallet2 = "0x" + strings.Repeat("ab", 20)
	// began is when the game began: longer ago than any overlap.
	began = time.Now().Add(-24 * time.Hour).UTC().Truncate(time.Second)
)

// at is a moment of the game.
func at(minute int) time.Time { return began.Add(time.Duration(minute) * time.Minute) }

// id is the id of a vote or favourite.
func id(n int) string { return fmt.Sprintf("20000000-0000-4000-8000-%012d", n) }

func newMatch(t *testing.T) *match {
	t.Helper()
	ctx := t.Context()
	m := &match{t: t, url: pgtest.New(t)}
	empty := gametest.New(gametest.Options{NFTs: 60, Users: 5, Votes: 5, Favorites: 2, Broken: -1, End: began})
	m.check(empty.Fill(ctx, m.url))
	var err error
	m.conn, err = pgx.Connect(ctx, m.url)
	m.check(err)
	t.Cleanup(func() { m.conn.Close(context.WithoutCancel(ctx)) })
	m.exec(`TRUNCATE nfts, users, votes, favorites`)
	m.exec(`INSERT INTO users (id, wallet_address) VALUES ($1, $2), ($3, $4)`, user1, wallet1, user2, "0x"+strings.Repeat("AB", 20))
	m.nft(nft1, "One", "Ones")
	m.nft(nft2, "Two", "Twos")

	m.store = sqlitetest.New(t)
	constants := scoring.Defaults()
	version, err := m.store.Prepare(ctx, constants, "tester", time.Now())
	m.check(err)
	m.ledger = ledger.New(m.store, ledger.Options{Policy: &publish.Policy{Constants: constants, Version: version, Rules: trigger.Defaults()}})
	t.Cleanup(func() { m.ledger.Close(context.WithoutCancel(ctx)) })
	return m
}

func (m *match) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *match) exec(sql string, args ...any) {
	m.t.Helper()
	if _, err := m.conn.Exec(m.t.Context(), sql, args...); err != nil {
		m.t.Fatalf("%s: %v", sql, err)
	}
}

func (m *match) nft(id, name, collection string) {
	m.t.Helper()
	m.exec(`INSERT INTO nfts (id, token_id, name, collection_name, contract_address, image) VALUES ($1, $2, $2, $3, 'c', 'ipfs://x/' || $2)`, id, name, collection)
}

// vote writes a matchup that its first NFT won.
func (m *match) vote(n int, a, b string, minute int) {
	m.t.Helper()
	m.exec(`INSERT INTO votes (id, user_id, vote_type_v2, nft_a_id, nft_b_id, winner_id, engagement_data, created_at)
		VALUES ($1, $2, 'same_coll', $3, $4, $3, '{"super_vote": false}', $5)`, id(n), user1, a, b, at(minute))
}

func (m *match) favorite(n int, wallet, nft string, minute int) {
	m.t.Helper()
	m.exec(`INSERT INTO favorites (id, wallet_address, nft_id, vote_type, created_at) VALUES ($1, $2, $3, 'fire', $4)`, id(n), wallet, nft, at(minute))
}

func (m *match) unfavorite(n int) {
	m.t.Helper()
	m.exec(`DELETE FROM favorites WHERE id = $1`, id(n))
}

func (m *match) syncer(change func(*gamesync.Options)) *gamesync.Syncer {
	m.t.Helper()
	o := gamesync.Options{Store: m.store, Ledger: m.ledger, Settings: gamesync.Defaults(), Process: "test"}
	o.Settings.From, o.Settings.SliderScale = m.url, gamesync.TenPoint
	change(&o)
	s, err := gamesync.New(o)
	m.check(err)
	return s
}

// sync reads what the game has.
func (m *match) sync() gamesync.Status {
	m.t.Helper()
	s := m.syncer(func(*gamesync.Options) {})
	m.check(s.Once(m.t.Context()))
	return s.Status()
}

// log returns the votes of poa: kind, row and time in minutes of the game and
// microseconds.
func (m *match) log() (list []string) {
	m.t.Helper()
	m.view(func(ctx context.Context, v store.View) {
		for vote, err := range v.Log(ctx, 0) {
			m.check(err)
			since := vote.CastAt.Sub(began)
			_, key, _ := strings.Cut(vote.Key, ":")
			row := strings.TrimLeft(strings.Split(key, ":")[1][24:], "0")
			list = append(list, fmt.Sprintf("%s %s at %d+%d", publish.KindName(vote.Vote), row, since/time.Minute, since%time.Minute/time.Microsecond))
		}
	})
	return list
}

// fires returns how many FIRE votes stand on an NFT.
func (m *match) fires(nft string) (n int64) {
	m.t.Helper()
	m.view(func(ctx context.Context, v store.View) {
		ratings, err := v.Ratings(ctx, []string{nft})
		m.check(err)
		for _, r := range ratings {
			n = r.Fires
		}
	})
	return n
}

func (m *match) rejects() map[string]string {
	m.t.Helper()
	all := map[string]string{}
	m.view(func(ctx context.Context, v store.View) {
		for _, source := range []string{"sync:votes", "sync:favorites"} {
			list, err := v.Rejects(ctx, source)
			m.check(err)
			for _, r := range list {
				all[source+" "+strings.TrimLeft(r.Row[24:], "0")] = r.Code
			}
		}
	})
	return all
}

func (m *match) view(f func(context.Context, store.View)) {
	m.t.Helper()
	ctx := m.t.Context()
	m.check(m.store.View(ctx, func(v store.View) error { f(ctx, v); return nil }))
}

func (m *match) same(what string, want, got any) {
	m.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		m.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestTheFirstReadingGoesByTime(t *testing.T) {
	m := newMatch(t)
	m.vote(4, nft1, nft2, 4)
	m.vote(1, nft1, nft2, 1)
	m.vote(9, nft1, nft2, 4)
	m.favorite(2, wallet2, nft1, 2)
	m.favorite(7, wallet1, nft2, 7)
	st := m.sync()
	m.same("the log", []string{"matchup 1 at 1+0", "fire 2 at 2+0", "matchup 4 at 4+0", "matchup 9 at 4+0", "fire 7 at 7+0"}, m.log())
	m.same("recorded", int64(5), st.Recorded)
	m.view(func(ctx context.Context, v store.View) {
		voters, err := v.KnownVoters(ctx, []string{wallet1, wallet2, "0x" + strings.Repeat("AB", 20)})
		m.check(err)
		slices.Sort(voters)
		m.same("voters", []string{wallet1, wallet2}, voters)
		n, err := v.NFT(ctx, nft1)
		m.check(err)
		m.same("an NFT", store.NFT{Number: n.Number, ID: nft1, Name: "One", Collection: "Ones", ImageURL: "ipfs://x/One"}, n)
	})
	again := m.sync()
	if again.Recorded != 0 || again.NFTs != 0 || again.NFTsChanged != 0 {
		t.Errorf("reading it again found %+v", again)
	}
}

func TestFavouritesComeAndGo(t *testing.T) {
	m := newMatch(t)
	m.favorite(1, wallet1, nft1, 1)
	m.favorite(2, wallet2, nft1, 2)
	m.sync()
	m.same("FIRE", int64(2), m.fires(nft1))

	m.exec(`UPDATE favorites SET created_at = $2, vote_type = 'slider_max' WHERE id = $1`, id(1), at(10)) // repeated
	m.sync()
	m.same("FIRE when one is repeated", int64(2), m.fires(nft1))

	m.unfavorite(1)
	m.unfavorite(2)
	st := m.sync()
	m.same("withdrawn", int64(2), st.Withdrawn)
	m.same("FIRE when both vanished", int64(0), m.fires(nft1))
	log := []string{"fire 1 at 1+0", "fire 2 at 2+0", "fire 1 at 10+0", "unfire 1 at 10+1", "unfire 2 at 2+1"}
	m.same("the log", log, m.log())

	m.favorite(3, wallet1, nft1, 11) // given anew
	m.favorite(2, wallet2, nft1, 2)  // the same row as before
	m.sync()
	m.same("FIRE when both are back", int64(2), m.fires(nft1))
	log = append(log, "fire 2 at 2+2", "fire 3 at 11+0")
	got := m.log()
	slices.Sort(got[5:])
	m.same("the log of returns", log, got)

	m.unfavorite(2)
	m.sync()
	m.favorite(2, wallet2, nft1, 2)
	m.sync()
	m.same("FIRE when one is back again", int64(2), m.fires(nft1))
	m.same("the log of the second return", []string{"unfire 2 at 2+3", "fire 2 at 2+4"}, m.log()[7:])
}

// A favourite that is withdrawn and given anew between two looks: whichever is
// found first, it stands.
func TestAFavouriteGivenAnewStands(t *testing.T) {
	m := newMatch(t)
	m.favorite(5, wallet1, nft1, 1)
	m.sync()
	m.unfavorite(5)
	m.favorite(4, wallet1, nft1, 3) // a lower id: it is met before the vanished one
	m.sync()
	m.same("FIRE", int64(1), m.fires(nft1))
	m.same("the log", []string{"fire 5 at 1+0", "fire 4 at 3+0", "unfire 5 at 1+1"}, m.log())
	m.unfavorite(4)
	m.sync()
	m.same("FIRE when it is gone", int64(0), m.fires(nft1))
}

// One wallet in two ways of writing is one voter, whose FIRE stands as long as
// one of its favourites does.
func TestAWalletInOtherLetters(t *testing.T) {
	m := newMatch(t)
	m.favorite(1, wallet2, nft1, 5)
	m.favorite(2, strings.ToUpper(wallet2[2:]), nft1, 1)
	m.exec(`UPDATE favorites SET wallet_address = '0x' || wallet_address WHERE id = $1`, id(2))
	m.sync()
	m.same("FIRE", int64(1), m.fires(nft1))
	m.unfavorite(1) // the later one
	m.sync()
	m.same("FIRE when one is gone", int64(1), m.fires(nft1))
	m.unfavorite(2)
	m.sync()
	m.same("FIRE when both are gone", int64(0), m.fires(nft1))
}

// What a long transaction brings later than any overlap is found by its id.
func TestLateVotes(t *testing.T) {
	m := newMatch(t)
	m.vote(1, nft1, nft2, 60)
	m.favorite(2, wallet1, nft1, 60)
	m.sync()
	m.vote(3, nft1, nft2, 2)
	m.favorite(4, wallet2, nft1, 2)
	st := m.sync()
	m.same("the log", []string{"matchup 1 at 60+0", "fire 2 at 60+0", "fire 4 at 2+0", "matchup 3 at 2+0"}, m.log())
	m.same("late", int64(2), st.Late)
}

func TestNFTsComeAndChange(t *testing.T) {
	m := newMatch(t)
	m.vote(1, nft1, nft3, 1)
	m.favorite(2, wallet1, nft3, 2)
	m.sync()
	m.same("rejects", map[string]string{"sync:votes 1": "unknown_nft", "sync:favorites 2": "unknown_nft"}, m.rejects())
	st := m.sync()
	m.same("rejected again", int64(0), st.Rejected)

	m.nft(nft3, "Three", "Ones")
	m.exec(`UPDATE nfts SET name = 'Uno', collection_name = 'Unos', image = 'ipfs://other' WHERE id = $1`, nft1)
	st = m.sync()
	m.same("rejects", map[string]string{}, m.rejects())
	m.same("the log", []string{"fire 2 at 2+0", "matchup 1 at 1+0"}, slices.Sorted(slices.Values(m.log())))
	if st.NFTs != 1 || st.NFTsChanged != 1 {
		t.Errorf("%d new NFTs and %d changed", st.NFTs, st.NFTsChanged)
	}
	m.view(func(ctx context.Context, v store.View) {
		n, err := v.NFT(ctx, nft1)
		m.check(err)
		m.same("the changed NFT", store.NFT{Number: n.Number, ID: nft1, Name: "Uno", Collection: "Unos", ImageURL: "ipfs://other"}, n)
	})
}

// TestCollectionsThatRequestsMayName: poa knows every collection of the game by a
// name that its API takes, and different ones stay different.
func TestCollectionsThatRequestsMayName(t *testing.T) {
	m := newMatch(t)
	long := strings.Repeat("é", 150)
	fits := long[:ledger.MaxID]
	names := map[string]string{nft1: long + "1", nft2: long + "2", nft3: fits}
	for id, name := range names {
		m.exec(`DELETE FROM nfts WHERE id = $1`, id)
		m.nft(id, id, name)
	}
	const blank = "00000000-0000-4000-8000-0000000000b1"
	m.nft(blank, "Blank", "  ")
	m.sync()
	m.view(func(ctx context.Context, v store.View) {
		seen := map[string]bool{}
		for id, name := range names {
			n, err := v.NFT(ctx, id)
			m.check(err)
			m.check(ledger.CheckID("collection", n.Collection))
			if seen[n.Collection] || !strings.HasPrefix(name, strings.Split(n.Collection, "…")[0]) {
				t.Errorf("%q is known as %q", name, n.Collection)
			}
			seen[n.Collection] = true
		}
		if !seen[fits] {
			t.Errorf("a name that fits is none of %v", seen)
		}
		n, err := v.NFT(ctx, blank)
		m.check(err)
		m.same("a blank name", "", n.Collection)
	})
	m.same("changed by another look", int64(0), m.sync().NFTsChanged)
}

// A vote on an NFT that the game has just made registers it.
func TestAVoteOnANewNFT(t *testing.T) {
	m := newMatch(t)
	m.sync()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s := m.syncer(func(o *gamesync.Options) { o.Settings.Poll = 20 * time.Millisecond })
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	m.until(s, "it to follow", func(st gamesync.Status) bool { return st.Stage == gamesync.Following })
	m.nft(nft3, "Three", "Ones")
	m.exec(`INSERT INTO votes (id, user_id, vote_type_v2, nft_a_id, nft_b_id) VALUES ($1, $2, 'cross_coll', $3, $4)`, id(1), user1, nft3, nft1)
	st := m.until(s, "the vote", func(st gamesync.Status) bool { return st.Recorded == 1 })
	if st.NFTs != 1 || st.Rejected != 0 {
		t.Errorf("%+v", st)
	}
	if lag, ok := st.Lag(time.Now()); !ok || lag < 0 {
		t.Errorf("the lag is %v, %v", lag, ok)
	}
	stop()
	m.check(<-ended)
	if _, ok := status(s).Lag(time.Now()); ok {
		t.Error("a process that follows nothing tells a lag")
	}
}

func status(s *gamesync.Syncer) *gamesync.Status { st := s.Status(); return &st }

// until waits for a status.
func (m *match) until(s *gamesync.Syncer, what string, is func(gamesync.Status) bool) gamesync.Status {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		st := s.Status()
		if is(st) {
			return st
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("waiting for %s: %+v", what, st)
		}
	}
}

// One process follows the game; when it stops, one that waits goes on.
func TestOneFollowsAtATime(t *testing.T) {
	m := newMatch(t)
	m.vote(1, nft1, nft2, 1)
	start := func(name string) (*gamesync.Syncer, func()) {
		s := m.syncer(func(o *gamesync.Options) { o.Process, o.Settings.Poll = name, 20*time.Millisecond })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		return s, func() { stop(); m.check(<-ended) }
	}
	first, stopFirst := start("first")
	m.until(first, "the first to follow", func(st gamesync.Status) bool { return st.Stage == gamesync.Following })
	second, stopSecond := start("second")
	st := m.until(second, "the second to wait", func(st gamesync.Status) bool { return st.Stage == gamesync.Waiting })
	m.same("the holder", "first", st.Holder)
	stopFirst()
	m.until(second, "the second to follow", func(st gamesync.Status) bool { return st.Stage == gamesync.Following })
	m.vote(2, nft1, nft2, 2000) // the future: it waits for its time
	m.exec(`INSERT INTO votes (id, user_id, vote_type_v2, nft_a_id, nft_b_id) VALUES ($1, $2, 'cross_coll', $3, $4)`, id(3), user2, nft1, nft2)
	st = m.until(second, "a new vote", func(st gamesync.Status) bool { return st.Recorded >= 1 })
	stopSecond()
	if n := len(m.log()); n != 2 {
		t.Errorf("%d votes in the log, want 2", n)
	}
}

// A lease that a killed process left is taken over when it ends, and the work
// goes on where it was saved.
func TestALeaseThatNobodyHolds(t *testing.T) {
	m := newMatch(t)
	m.vote(1, nft1, nft2, 1)
	m.sync()
	lease, ok, err := m.store.TakeLease(t.Context(), "game sync", "killed", time.Now(), time.Now().Add(300*time.Millisecond))
	if err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	if !strings.Contains(lease.State, id(1)) {
		t.Errorf("the state does not tell the last vote: %s", lease.State)
	}
	m.vote(2, nft1, nft2, 2)
	st := m.sync()
	m.same("recorded", int64(1), st.Recorded)
	if lease.Until = time.Now().Add(time.Hour); m.store.KeepLease(t.Context(), lease) == nil {
		t.Error("a lease was kept that another process has taken over")
	}
}

// A row that is changed after it was read stays as it was, and that is told.
func TestAVoteThatIsChanged(t *testing.T) {
	m := newMatch(t)
	m.exec(`INSERT INTO votes (id, user_id, vote_type_v2, nft_a_id, nft_b_id) VALUES ($1, $2, 'cross_coll', $3, $4)`, id(1), user1, nft1, nft2)
	m.sync()
	m.exec(`UPDATE votes SET winner_id = nft_a_id`)
	m.sync() // looks at the overlap again
	m.same("rejects", map[string]string{"sync:votes 1": "key_conflict"}, m.rejects())
	m.sync()
	m.same("rejects later", map[string]string{"sync:votes 1": "key_conflict"}, m.rejects())
}

// Where a policy hides rows, nothing is taken for vanished.
func TestHiddenRowsAreAnError(t *testing.T) {
	m := newMatch(t)
	m.favorite(1, wallet1, nft1, 1)
	role := "blind_" + m.conn.Config().Database
	m.exec(`CREATE ROLE ` + role + ` LOGIN`)
	m.exec(`GRANT SELECT ON nfts, users, votes, favorites TO ` + role)
	blind := m.syncer(func(o *gamesync.Options) { o.Settings.From = strings.Replace(m.url, "postgres@", role+"@", 1) })
	m.check(blind.Once(t.Context()))
	m.same("FIRE", int64(1), m.fires(nft1))
	m.exec(`ALTER TABLE favorites ENABLE ROW LEVEL SECURITY`)
	if err := blind.Once(t.Context()); !gamesync.Refused(err) || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("with hidden rows: %v", err)
	}
	if err := blind.Run(t.Context()); !gamesync.Refused(err) {
		t.Errorf("with hidden rows, for ever: %v", err)
	}
	m.same("FIRE after that", int64(1), m.fires(nft1))
}

func TestWhatCannotBeFollowed(t *testing.T) {
	m := newMatch(t)
	m.sync()
	for _, c := range []struct {
		name   string
		change func(*gamesync.Options)
		before string
		want   string
	}{
		{"another scale", func(o *gamesync.Options) { o.Settings.SliderScale = gamesync.HundredPoint }, "", "sync.slider_scale is 100"},
		{"clocks that differ", func(o *gamesync.Options) { o.Now = func() time.Time { return time.Now().Add(time.Hour) } }, "", "clock"},
		{"no such column", func(*gamesync.Options) {}, `ALTER TABLE votes RENAME slider_value TO rating`, "slider_value"},
	} {
		if c.before != "" {
			m.exec(c.before)
		}
		if err := m.syncer(c.change).Once(t.Context()); !gamesync.Refused(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for name, change := range map[string]func(*gamesync.Options){
		"no database":     func(o *gamesync.Options) { o.Settings.From = "" },
		"no scale":        func(o *gamesync.Options) { o.Settings.SliderScale = 0 },
		"a URL of no use": func(o *gamesync.Options) { o.Settings.From = "postgres://me:secret@h:port/d" },
	} {
		o := gamesync.Options{Store: m.store, Ledger: m.ledger, Settings: gamesync.Defaults()}
		o.Settings.From, o.Settings.SliderScale = m.url, gamesync.TenPoint
		change(&o)
		if _, err := gamesync.New(o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// More rows than a page, of which some share a time, are read once each.
func TestManyPages(t *testing.T) {
	m := newMatch(t)
	const n = 9_000
	m.exec(`INSERT INTO votes (id, user_id, vote_type_v2, nft_a_id, nft_b_id, winner_id, created_at)
		SELECT ('20000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, $1, 'same_coll', $2, $3, $2, $4::timestamptz + i / 3 * interval '1 ms'
		FROM generate_series(1, $5) i`, user1, nft1, nft2, began, n)
	m.exec(`INSERT INTO favorites (id, wallet_address, nft_id, vote_type, created_at)
		SELECT gen_random_uuid(), '0x' || lpad(to_hex(i), 40, '0'), $1, 'fire', $2::timestamptz + i * interval '100 us'
		FROM generate_series(1, $3) i`, nft2, began, n+11_000)
	st := m.sync()
	m.same("recorded", int64(2*n+11_000), st.Recorded)
	m.same("duplicates", int64(0), st.Duplicates)
	m.same("FIRE", int64(n+11_000), m.fires(nft2))
	if perVote := float64(st.Statements.Total) / float64(st.Recorded); perVote > 0.01 {
		t.Errorf("%.4f statements a vote: %+v", perVote, st.Statements)
	}
	m.exec(`DELETE FROM favorites`)
	st = m.sync()
	m.same("withdrawn", int64(n+11_000), st.Withdrawn)
	m.same("FIRE when all vanished", int64(0), m.fires(nft2))
	m.same("triggered", true, slices.Contains(slices.Collect(maps.Keys(st.Triggered)), "fire"))
}

// held is a ledger that takes nothing until it is let go.
type held struct {
	*ledger.Ledger
	came, let chan struct{}
}

func (h *held) Submit(ctx context.Context, votes []ledger.Vote) ([]ledger.Answer, error) {
	select {
	case h.came <- struct{}{}:
	default:
	}
	select {
	case <-h.let:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return h.Ledger.Submit(ctx, votes)
}

// A lease is kept while a step takes longer than it lasts, and the work ends
// when it is lost all the same.
func TestALongStep(t *testing.T) {
	m := newMatch(t)
	m.vote(1, nft1, nft2, 1)
	h := &held{m.ledger, make(chan struct{}, 1), make(chan struct{})}
	s := m.syncer(func(o *gamesync.Options) {
		o.Ledger, o.Settings.Lease, o.Settings.Poll = h, time.Second, 20*time.Millisecond
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-h.came
	lease := func() store.Lease {
		l, err := m.store.Lease(ctx, "game sync")
		m.check(err)
		return l
	}
	first := lease()
	for lease().Until.Sub(first.Until) < time.Second {
		time.Sleep(10 * time.Millisecond)
	}
	m.same("the term of a kept lease", first.Term, lease().Term)

	later := time.Now().Add(time.Hour)
	if _, ok, err := m.store.TakeLease(ctx, "game sync", "thief", later, later.Add(time.Hour)); err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	st := m.until(s, "the work to end", func(st gamesync.Status) bool { return st.Stage == gamesync.Waiting })
	m.same("the holder", "thief", st.Holder)
	m.same("the log", []string(nil), m.log())
	stop()
	m.check(<-ended)
}
