package sqlite

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poa/internal/store"
)

// crowd returns a store with n NFTs in 40 collections: four in ten wait for a
// score, the others have an old one, and three in ten are due. One collection
// is inactive; a thousandth have failed.
func crowd(t testing.TB, n int, now time.Time) *Store {
	t.Helper()
	s, err := open(t.Context(), filepath.Join(t.TempDir(), "poa.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	us := fmt.Sprint(now.UnixMicro())
	for _, statement := range []string{
		fmt.Sprintf(`CREATE TEMP TABLE i AS WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < %d) SELECT n FROM i`, n),
		`INSERT INTO collections (name) SELECT 'c' || n FROM i WHERE n <= 40`,
		`UPDATE collections SET active = 0 WHERE number = 7`,
		`INSERT INTO nfts (id, name, collection, image_url, created_at) SELECT 'contract/' || n, 'NFT ' || n, 1 + n % 40, '', 0 FROM i`,
		`INSERT INTO ratings SELECT number, collection, 1200, 350, number * 7 % 50, 1, 1, 1, 3, 0, 1, 0, 3, 1, 50, 1, 0, 0, zeroblob(40), 1, 1, 0, 0,
			CASE WHEN number * 13 % 10 < 3 THEN ` + us + ` - number * 31 % 100000 * 1000000 END, 'super', number % 3,
			CASE WHEN number * 17 % 10 < 4 THEN ` + us + ` - number * 37 % 100000 * 1000000 END,
			CASE WHEN number * 17 % 10 < 4 THEN number * 7 % 50 END FROM nfts`,
		`INSERT INTO scores SELECT nft, collection, nft * 7 % 10000 / 100.0, 60, 1, 1, 1, 1, 0, 5, 1,
			` + us + ` - (90000 + nft * 41 % 1000000) * 1000000, 'batch', 'exact', 1, 1, 1, 1 FROM ratings WHERE waiting_since IS NULL`,
		`INSERT INTO failures SELECT nft, 'broken', 1, 0, 0, CASE nft % 3 WHEN 0 THEN ` + us + ` WHEN 1 THEN ` + us + ` + 3600000000 END, 1
			FROM ratings WHERE nft % 1000 = 0`,
		`INSERT INTO counters SELECT 'ready', collection, count(*) FROM ratings WHERE waiting_since IS NOT NULL GROUP BY collection`,
	} {
		if _, err := s.writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestServicePlans: what the service asks for begins at the head of an index,
// or where a page ended.
func TestServicePlans(t *testing.T) {
	s, _ := newDatabase(t)
	for name, c := range map[string]struct {
		query   string
		indexes []string // that it must go by
	}{
		"candidatesByVotes":   {candidatesByVotes, []string{"ratings_waiting_votes (collection=?"}},
		"candidatesByWaiting": {candidatesByWaiting, []string{"ratings_waiting_since (collection=?"}},
		"candidatesOld":       {candidatesOld, []string{"scores_aging (collection=? AND computed_at<?)"}},
		"candidatesDue":       {candidatesDue, []string{"ratings_due (collection=?"}},
		"candidatesToRetry":   {candidatesToRetry, []string{"failures_next_try (next_try<?)"}},
		"dueBacklog":          {dueBacklog, []string{"ratings_due"}},
		"oldBacklog":          {oldBacklog, []string{"scores_aging (collection=? AND computed_at<?)"}},
		"oldestReady":         {oldestReady, []string{"ratings_waiting_since (collection=?"}},
		"latestRunsOf":        {latestRunsOf, []string{"runs_kind (kind=? AND number<?)"}},
		"orphanedRuns":        {orphanedRuns, []string{"runs_lease"}},
		"listNFTsOf":          {listNFTsOf, []string{"nfts_list (collection=? AND number>?)"}},
		"listScoredOf":        {listScoredOf, []string{"scores_list (collection=? AND nft>?)"}},
		"listReady":           {listReady, []string{"ratings_waiting_list (collection=? AND nft>?)"}},
		"listDue":             {listDue, []string{"ratings_due_list (collection=? AND nft>?)"}},
		"findByID":            {findByID, []string{"(id>? AND id<?)"}},
		"findByName":          {findByName, []string{"nfts_name ("}},
		"ranksBelow":          {ranksBelow, []string{"scores_poa (poa<?)"}},
		"ranksOfBelow":        {ranksOfBelow, []string{"scores_collection_poa (collection=? AND poa<?)"}},
		"tiesAfter":           {tiesAfter, []string{"scores_poa (poa=? AND nft>?)"}},
		"listActivity":        {listActivity, []string{"USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"}},
		"listActivityOfNFT":   {listActivityOfNFT, []string{"activity_nft (nft=? AND number>? AND number<?)"}},
		"listActivityOfRun":   {listActivityOfRun, []string{"activity_run (run=? AND number>? AND number<?)"}},
		"listActivityOfKind":  {listActivityOfKind, []string{"activity_kind (kind=? AND number>? AND number<?)"}},
		"listActivityByHand":  {listActivityByHand, []string{"activity_by_hand (number>? AND number<?)"}},
		"activityAfter":       {activityAfter, []string{"USING INTEGER PRIMARY KEY (rowid>?)"}},
		"trimActivity":        {trimActivity, []string{"USING INTEGER PRIMARY KEY (rowid<?)"}},
		"trimRuns":            {trimRuns, []string{"runs_ended (ended_at<?)", "USING INTEGER PRIMARY KEY (rowid=?)"}},
		"votesOfA":            {votesOfA, []string{"votes_nft_a (nft_a=? AND number<?)"}},
		"votesOfB":            {votesOfB, []string{"votes_nft_b (nft_b=? AND number<?)"}},
		"votesOfVoter":        {votesOfVoter, []string{"votes_voter (voter=? AND number<?)"}},
		"keyByHash":           {keyByHash, []string{"(hash=?)"}},

		"voterByID":            {voterByID, []string{"(id=?)"}},
		"newestVoters":         {newestVoters, []string{"USING INTEGER PRIMARY KEY (rowid<?)"}},
		"votersByPrefix":       {votersByPrefix, []string{"(id>? AND id<?)"}},
		"recentVoters":         {recentVoters, []string{"SEARCH w USING INTEGER PRIMARY KEY"}},
		"tiesBefore":           {tiesBefore, []string{"scores_poa (poa=? AND nft<?)"}},
		"tiesOfBefore":         {tiesOfBefore, []string{"scores_collection_poa (collection=? AND poa=? AND nft<?)"}},
		"ranksAbove":           {ranksAbove, []string{"scores_poa (poa>?)"}},
		"ranksOfAbove":         {ranksOfAbove, []string{"scores_collection_poa (collection=? AND poa>?)"}},
		"recentComputations":   {recentComputations, []string{"SEARCH a USING INTEGER PRIMARY KEY"}},
		"triggerCandidates":    {triggerCandidates, []string{"ratings_waiting_votes (collection=? AND waiting_votes>?)"}},
		"settingChangesBefore": {settingChangesBefore, []string{"USING INTEGER PRIMARY KEY (rowid<?)"}},
		"settingChangesOf":     {settingChangesOf, []string{"settings_audit_name (name=? AND number<?)"}},
		"distribution":         {distribution, []string{"(name>? AND name<?)"}},
		"samplesBetween":       {samplesBetween, []string{"PRIMARY KEY (grain=? AND at>? AND at<?)"}},
		"expireSamples":        {expireSamples, []string{"PRIMARY KEY (grain=? AND at<?)"}},
		"expireSessions":       {expireSessions, []string{"sessions_expiry (expires_at<?)"}},
		"findSession":          {findSession, []string{"(hash=?)"}},
		"deleteSessionsOf":     {deleteSessionsOf, []string{"sessions_person (person=?)"}},
	} {
		steps := strings.Join(plan(t, s, c.query), "\n")
		for _, index := range c.indexes {
			if !strings.Contains(steps, index) {
				t.Errorf("%s does not go by %s:\n%s", name, index, steps)
			}
		}
		for _, table := range []string{"ratings", "scores", "nfts", "votes", "voters", "activity", "history", "samples", "sessions"} {
			for _, step := range strings.Split(steps, "\n") {
				if strings.HasPrefix(step, "SCAN "+table+" ") || step == "SCAN "+table {
					t.Errorf("%s: %s", name, step)
				}
			}
		}
	}
}

// BenchmarkCandidates picks a batch of twenty out of a million NFTs.
func BenchmarkCandidates(b *testing.B) {
	now := time.Now()
	s := crowd(b, 1_000_000, now)
	b.Run("candidates", func(b *testing.B) {
		for b.Loop() {
			c, err := s.Candidates(b.Context(), store.Wanted{Now: now, OldBefore: now.Add(-24 * time.Hour), Due: 20, ByVotes: 20, ByWaiting: 20, Old: 20})
			if err != nil || len(c.Due) != 20 || len(c.ByVotes) != 20 || len(c.ByWaiting) != 20 || len(c.Old) != 20 {
				b.Fatalf("%d, %d, %d and %d candidates, %v", len(c.Due), len(c.ByVotes), len(c.ByWaiting), len(c.Old), err)
			}
		}
	})
	b.Run("backlog", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Backlog(b.Context(), now.Add(-24*time.Hour), 10_000); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, q := range map[string]store.NFTQuery{
		"all": {}, "due": {Status: store.StatusDue, After: 500_000}, "scored": {Status: store.StatusScored},
		"search": {Search: "contract/77"}, "name": {Search: "nft 77"}, "searched and due": {Search: "contract/", Status: store.StatusDue},
	} {
		q.Limit = 100
		b.Run("list "+name, func(b *testing.B) {
			for b.Loop() {
				page, err := s.ListNFTs(b.Context(), q)
				if err != nil || len(page) != 100 {
					b.Fatalf("%d NFTs, %v", len(page), err)
				}
			}
		})
	}
	b.Run("leaderboard", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Leaderboard(b.Context(), nil, &store.RankKey{POA: 50, NFT: 3}, 100); err != nil {
				b.Fatal(err)
			}
		}
	})
}
