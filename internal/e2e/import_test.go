package e2e_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/sample"
	"poa/internal/scoring"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/storetest"
)

// TestVotesOverHTTP posts a file of votes that poa import reads too, in the
// file's order and in any order, and compares what the databases then hold.
func TestVotesOverHTTP(t *testing.T) {
	t.Parallel()
	file := votesFile(t)
	votes := readVotes(t, file)
	for engine, database := range map[string]func(*testing.T) string{
		"SQLite":     func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "poa.db") },
		"PostgreSQL": func(t *testing.T) string { return pgtest.New(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			imported := database(t)
			must(t, imported, "import", file)
			want := stateOf(t, imported)
			t.Run("in order", func(t *testing.T) { postedInOrder(t, database(t), votes, want) })
			t.Run("in any order", func(t *testing.T) { postedInAnyOrder(t, database(t), votes, want) })
		})
	}
}

// postedInOrder posts votes a hundred a request: the state is then that of the
// import, bit for bit.
func postedInOrder(t *testing.T, database string, votes []vote, want storetest.State) {
	a, p := votable(t, database, votes)
	for part := range slices.Chunk(votes, 100) {
		got := a.castMany(p, part)
		if got.Recorded != len(part) {
			t.Fatalf("%+v of %d votes", got, len(part))
		}
	}
	again := a.castMany(p, votes[:100])
	if again.Duplicates != 100 || again.Recorded != 0 {
		t.Errorf("a repeated request: %+v", again)
	}
	p.stop(t)
	got := stateOf(t, database)
	got.Counts.History, want.Counts.History = 0, 0 // the latest of a commit is kept, and commits differ
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-import +HTTP)\n%s", diff)
	}
	verified(t, database)
}

// postedInAnyOrder posts votes one by one through 64 clients: the counts are
// then those of the import.
func postedInAnyOrder(t *testing.T, database string, votes []vote, want storetest.State) {
	a, p := votable(t, database, votes)
	shuffled := slices.Clone(votes)
	random := rand.New(rand.NewPCG(3, 5))
	random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	next := make(chan vote)
	var clients sync.WaitGroup
	for range 64 {
		clients.Go(func() {
			for v := range next {
				r, err := send(t.Context(), a.web, "POST", p.url+"/api/v1/votes", a.keys.gateway, v)
				if err != nil || r.status != http.StatusCreated {
					t.Errorf("vote %s: %s, %v", v.Key, r, err)
				}
			}
		})
	}
	for _, v := range shuffled {
		next <- v
	}
	close(next)
	clients.Wait()
	p.stop(t)
	if diff := cmp.Diff(countsOf(want), countsOf(stateOf(t, database))); diff != "" {
		t.Errorf("(-import +HTTP)\n%s", diff)
	}
	verified(t, database)
}

// counts are what does not depend on the order of votes.
type counts struct {
	NFTs, Voters, Votes, Ratings, Opinions int64
	Of                                     map[string][7]int64 // by NFT: votes, wins, losses, ties, matchups, skips, ratings and FIREs
	By                                     map[string]int64    // votes by voter
}

func countsOf(s storetest.State) counts {
	c := counts{s.Counts.NFTs, s.Counts.Voters, s.Counts.Votes, s.Counts.Ratings, s.Counts.Opinions, map[string][7]int64{}, map[string]int64{}}
	for id, r := range s.Ratings {
		c.Of[id] = [...]int64{r.Votes, r.Wins, r.Losses, r.Ties, r.Matchups, r.Skips, r.SliderVotes + r.FireVotes}
	}
	for id, v := range s.Voters {
		c.By[id] = v.Votes
	}
	return c
}

// votable starts a process in which the votes' NFTs are registered and no
// batch computes scores anew.
func votable(t *testing.T, database string, votes []vote) (api, *process) {
	t.Helper()
	a := api{t, web(t), makeKeys(t, database)}
	// The file has months of votes of each voter.
	p := serve(t, database, "access.voter_per_minute=0")
	a.firstBatchEnds(p)
	a.call(p, "POST", "/scheduler/pause", map[string]string{"reason": "scores stay as the votes made them"}, nil)
	var ids []map[string]string
	seen := map[string]bool{}
	for _, v := range votes {
		for _, id := range []string{v.A, v.B} {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, map[string]string{"id": id})
			}
		}
	}
	for part := range slices.Chunk(ids, 5000) {
		a.call(p, "POST", "/nfts", part, nil)
	}
	return a, p
}

// many is the answer to many votes.
type many struct {
	Recorded, Duplicates, Refused int
	Items                         []struct {
		Status int
		Error  *struct{ Type, Detail string }
	}
}

func (a api) castMany(p *process, votes []vote) (got many) {
	a.t.Helper()
	r, err := send(a.t.Context(), a.web, "POST", p.url+"/api/v1/votes/batch", a.keys.gateway, votes)
	if err == nil && r.status != http.StatusOK {
		err = fmt.Errorf("%s", r)
	}
	if err == nil {
		err = json.Unmarshal(r.body, &got)
	}
	if err != nil || len(got.Items) != len(votes) {
		a.t.Fatalf("%d votes: %d answers, %v", len(votes), len(got.Items), err)
	}
	return got
}

// votesFile returns the file of the votes that people cast on street images of
// Berlin, in the folder that POA_TEST_DATA names, or one with generated votes.
func votesFile(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("POA_TEST_DATA"); dir != "" {
		return filepath.Join(dir, "berlin_cycling", "votes.csv")
	}
	file := filepath.Join(t.TempDir(), "votes.csv")
	text := "vote_id,voter_id,left_id,right_id,result,created_at\n"
	for v := range sample.Published(1, time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)).History() {
		if v.Kind == scoring.Matchup && !v.Super {
			result := map[scoring.Outcome]string{scoring.WinA: "left", scoring.WinB: "right", scoring.Tie: "tie", scoring.Neither: "none"}[v.Outcome]
			text += fmt.Sprintf("%s,%s,%s,%s,%s,%s\n", v.Key, v.Voter, v.A, v.B, result, v.CastAt.Format(time.RFC3339Nano))
		}
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// readVotes reads the file as a client of the API would, in its order.
func readVotes(t *testing.T, file string) []vote {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	outcomes := map[string]string{"left": "a", "right": "b", "tie": "tie", "equal": "tie", "none": "none"}
	votes := make([]vote, len(rows)-1)
	for i, row := range rows[1:] {
		get := func(name string) string { return row[column[name]] }
		outcome, ok := outcomes[get("result")]
		if !ok {
			t.Fatalf("line %d: the result is %q", i+2, get("result"))
		}
		votes[i] = vote{
			Key: "file-" + get("vote_id"), Voter: get("voter_id"), Kind: "matchup", A: get("left_id"), B: get("right_id"),
			Outcome: outcome, CastAt: get("created_at"),
		}
	}
	return votes
}
