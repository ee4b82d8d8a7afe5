package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
)

// crowd returns a store with n NFTs in 40 collections: four in ten wait for a
// score, the others have an old one, and three in ten are due. One collection
// is inactive; a thousandth have failed. The tables are not analysed.
func crowd(t testing.TB, n int) (*postgres.Store, *pgx.Conn) {
	t.Helper()
	url := pgtest.New(t)
	s := open(t, url)
	t.Cleanup(func() { s.Close() })
	must(t, s.Migrate(t.Context()))
	conn := connect(t, url)
	for _, sql := range []string{
		`INSERT INTO collections (name) SELECT 'c' || i FROM generate_series(1, 40) i`,
		`UPDATE collections SET active = false WHERE number = 7`,
		fmt.Sprintf(`INSERT INTO nfts (id, name, collection, image_url, created_at)
			SELECT 'contract/' || i, 'NFT ' || i, 1 + i %% 40, '', now() FROM generate_series(1, %d) i`, n),
		`INSERT INTO ratings SELECT number, collection, 1200, 350, number * 7 % 50, 1, 1, 1, 3, 0, 1, 0, 3, 1, 50, 1, 0, 0,
			decode(repeat('00', 40), 'hex'), 1, 1, 0, 0,
			CASE WHEN number * 13 % 10 < 3 THEN now() - make_interval(secs => number * 31 % 100000) END, 'super', number % 3,
			CASE WHEN number * 17 % 10 < 4 THEN now() - make_interval(secs => number * 37 % 100000) END,
			CASE WHEN number * 17 % 10 < 4 THEN number * 7 % 50 END FROM nfts`,
		`INSERT INTO scores SELECT nft, collection, nft * 7 % 10000 / 100.0, 60, 1, 1, 1, 1, false, 5, true,
			now() - make_interval(secs => 90000 + nft * 41 % 1000000), 'batch', 'exact', 1, 1, 1, 1 FROM ratings WHERE waiting_since IS NULL`,
		`INSERT INTO failures SELECT nft, 'broken', 1, now(), now(), CASE nft % 3 WHEN 0 THEN now() WHEN 1 THEN now() + '1 h' END, 1
			FROM ratings WHERE nft % 1000 = 0`,
		`INSERT INTO counters SELECT 'ready', collection, count(*) FROM ratings WHERE waiting_since IS NOT NULL GROUP BY collection`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		must(t, err)
	}
	return s, conn
}

// A page or a batch of twenty is index work, whatever is known of the tables.
func TestServiceReadsByIndex(t *testing.T) {
	_, conn := crowd(t, 40_000)
	now := time.Now()
	for _, analysed := range []bool{false, true} {
		if analysed {
			_, err := conn.Exec(t.Context(), "ANALYZE")
			must(t, err)
		}
		for name, c := range map[string]struct {
			sql  string
			args []any
		}{
			"by votes":        {postgres.ByVotes, []any{now, 20, true, ""}},
			"by waiting":      {postgres.ByWaiting, []any{now, 20, true, ""}},
			"old":             {postgres.Old, []any{now.Add(-24 * time.Hour), now, 20, true, ""}},
			"due":             {postgres.Due, []any{now, 20, true, ""}},
			"of a collection": {postgres.ByVotes, []any{now, 20, false, "c3"}},
			"ready":           {postgres.Ready, []any{int64(20_000), 20, true, ""}},
			"due list":        {postgres.DueList, []any{int64(20_000), 20, true, ""}},
			"ready of one":    {postgres.Ready, []any{int64(20_000), 20, false, "c3"}},
			"by id":           {postgres.ByID, []any{"contract/1", "contract/2", "", 20, true, "", "", 20}},
			"by id, scored":   {postgres.ByID, []any{"contract/1", "contract/2", "", 10_000, true, "", "scored", 20}},
			"by name":         {postgres.ByName, []any{"NFT 1", "", int64(0), 20, true, "", "", 20}},
			"ranks":           {postgres.Ranks, []any{20, 50.0, int64(100)}},
			"ranks of one":    {postgres.RanksOf, []any{20, int64(3), 50.0, int64(100)}},
		} {
			rows := examined(t, conn, c.sql, c.args...)
			if rows > 12_000 && name == "by id, scored" || rows > 5_000 && name != "by id, scored" {
				t.Errorf("%s (analysed: %v) examines %d rows:\n%s", name, analysed, rows,
					explain(t, conn, postgres.SettingsHeads, c.sql, c.args...))
			}
		}
	}
}

// So is what the panel lists.
func TestPanelReadsByIndex(t *testing.T) {
	_, conn := crowd(t, 40_000)
	now := time.Now()
	for _, sql := range []string{
		`INSERT INTO voters SELECT i, 'wallet/' || i, 1, 0, 0, 1, 0, 0, 0, 0, now() FROM generate_series(1, 40000) i`,
		`INSERT INTO votes SELECT i, 'k' || i, 1 + i * 7 % 40000, 3, false, 1 + i % 40000, NULL, 0, NULL, 1, now(), now() FROM generate_series(1, 60000) i`,
		`INSERT INTO activity (at, kind, nft, reason, reasons, priority, basis, vote, detail)
			SELECT now() - make_interval(secs => 60000 - i), CASE i % 10 WHEN 0 THEN 'deferred' ELSE 'computed' END, 1 + i % 40000, 'super', '{}', 2, 'exact', 1, ''
			FROM generate_series(1, 60000) i`,
		`UPDATE activity SET who = 'ann', run = CASE WHEN number % 2 = 0 THEN 7 END WHERE number % 3001 < 2`,
		`INSERT INTO settings_audit (at, who, name, from_value, to_value, why)
			SELECT now(), 'ann', 's' || i % 100, '', '', '' FROM generate_series(1, 40000) i`,
		`INSERT INTO samples SELECT 1, date_trunc('minute', now()) - make_interval(mins => i), 'n' || j, 1
			FROM generate_series(1, 1500) i, generate_series(1, 20) j`,
		`INSERT INTO counters SELECT 'poa_bin.' || lpad(i::text, 2, '0'), c, 5 FROM generate_series(0, 19) i, generate_series(1, 40) c`,
		`INSERT INTO counters SELECT 'other.' || i, c, 5 FROM generate_series(0, 199) i, generate_series(1, 40) c`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		must(t, err)
	}
	forever := []any{int64(0), int64(0), "", int64(50_000), int64(60_000), now.Add(-240 * time.Hour), now}
	for _, analysed := range []bool{false, true} {
		if analysed {
			_, err := conn.Exec(t.Context(), "ANALYZE")
			must(t, err)
		}
		for name, c := range map[string]struct {
			sql  string
			args []any
			most int64 // rows
		}{
			"lowest":           {postgres.LowRanks, []any{50.0, int64(100), 20}, 100},
			"lowest of one":    {postgres.LowRanksOf, []any{int64(3), 50.0, int64(100), 20}, 100},
			"newest voters":    {postgres.NewVoters, []any{int64(20_000), 20}, 20},
			"voters by prefix": {postgres.VotersByPrefix, []any{"wallet/1", "wallet/2", "wallet/15", 20}, 50},
			"last voters":      {postgres.LastVoters, []any{store.RecentDepth, 20}, store.RecentDepth + 100},
			"last computed":    {postgres.LastComputed, []any{store.RecentDepth, 20}, 2*store.RecentDepth + 100},
			"with votes":       {postgres.WithVotes, []any{int64(5), 20}, 2_000},
			"of a reason":      {postgres.ActivityList, append(slices.Clone(forever), "none", int64(0), false, 20), 30_000},
			"of a collection":  {postgres.ActivityList, append(slices.Clone(forever), "", int64(41), false, 20), 30_000},
			"by hand":          {postgres.ActivityList, append(slices.Clone(forever), "", int64(0), true, 20), 100},
			"of a setting":     {postgres.ChangesOf, []any{"s7", int64(20_000), 20}, 50},
			"of all settings":  {postgres.ChangesOf, []any{"", int64(20_000), 20}, 50},
			"an hour":          {postgres.SampleBins, []any{1, 1, now.Add(-time.Hour), now}, 61 * 20},
			"trimming":         {postgres.TrimSamples, []any{1, now.Add(-20 * time.Hour), 1000}, 5_000},
			"distribution":     {postgres.Spread, []any{true, ""}, 2*20*40 + 100},
		} {
			if rows := examined(t, conn, c.sql, c.args...); rows > c.most {
				t.Errorf("%s (analysed: %v) examines %d rows:\n%s", name, analysed, rows,
					explain(t, conn, postgres.SettingsHeads, c.sql, c.args...))
			}
		}
	}
}

// examined returns how many rows of tables a statement looks at.
func examined(t *testing.T, conn *pgx.Conn, sql string, args ...any) (rows int64) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(context.Background())
	_, err = tx.Exec(t.Context(), postgres.SettingsHeads)
	must(t, err)
	lines, err := tx.Query(t.Context(), "EXPLAIN (ANALYZE, TIMING OFF, FORMAT TEXT) "+sql, args...)
	must(t, err)
	plan, err := pgx.CollectRows(lines, pgx.RowTo[string])
	must(t, err)
	for _, line := range plan {
		var perLoop, loops, removed int64
		if at := strings.Index(line, "(actual rows="); at >= 0 && strings.Contains(line, "Scan") {
			_, err := fmt.Sscanf(line[at:], "(actual rows=%d loops=%d)", &perLoop, &loops)
			must(t, err)
			rows += perLoop * loops
		}
		if at := strings.Index(line, "Rows Removed by"); at >= 0 {
			if _, err := fmt.Sscanf(line[strings.LastIndex(line, " "):], "%d", &removed); err == nil {
				rows += removed * max(loops, 1)
			}
		}
	}
	return rows
}

// BenchmarkCandidates picks a batch of twenty out of a million NFTs.
func BenchmarkCandidates(b *testing.B) {
	s, conn := crowd(b, 1_000_000)
	for _, state := range []string{"fresh", "analysed"} {
		if state == "analysed" {
			_, err := conn.Exec(b.Context(), "VACUUM ANALYZE")
			must(b, err)
		}
		now := time.Now()
		b.Run("candidates/"+state, func(b *testing.B) {
			for b.Loop() {
				c, err := s.Candidates(b.Context(), store.Wanted{Now: now, OldBefore: now.Add(-24 * time.Hour), Due: 20, ByVotes: 20, ByWaiting: 20, Old: 20})
				must(b, err)
				if len(c.Due) != 20 || len(c.ByVotes) != 20 || len(c.ByWaiting) != 20 || len(c.Old) != 20 {
					b.Fatalf("%d, %d, %d and %d candidates", len(c.Due), len(c.ByVotes), len(c.ByWaiting), len(c.Old))
				}
			}
		})
		b.Run("backlog/"+state, func(b *testing.B) {
			for b.Loop() {
				_, err := s.Backlog(b.Context(), now.Add(-24*time.Hour), 10_000)
				must(b, err)
			}
		})
		for name, q := range map[string]store.NFTQuery{
			"all": {}, "due": {Status: store.StatusDue, After: 500_000}, "scored": {Status: store.StatusScored},
			"search": {Search: "contract/77"}, "name": {Search: "nft 77"}, "searched and due": {Search: "contract/", Status: store.StatusDue},
		} {
			q.Limit = 100
			b.Run("list "+name+"/"+state, func(b *testing.B) {
				for b.Loop() {
					page, err := s.ListNFTs(b.Context(), q)
					must(b, err)
					if len(page) != 100 {
						b.Fatalf("%d NFTs", len(page))
					}
				}
			})
		}
		b.Run("leaderboard/"+state, func(b *testing.B) {
			for b.Loop() {
				_, err := s.Leaderboard(b.Context(), nil, &store.RankKey{POA: 50, NFT: 3}, 100)
				must(b, err)
			}
		})
	}
}
