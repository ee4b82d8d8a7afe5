package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"poa/internal/sample"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
	"poa/internal/store/storetest"
)

// TestRealVotesOnBoth imports the votes of real people, twice, into both
// databases, and compares what both then hold bit for bit. Without the folder
// that POA_TEST_DATA names it uses as many generated votes.
func TestRealVotesOnBoth(t *testing.T) {
	file, want := realVotes(t)
	lite, postgresURL := filepath.Join(t.TempDir(), "poa.db"), pgtest.New(t)
	var states []storetest.State
	for _, database := range []string{"sqlite:" + lite, postgresURL} {
		run := func(args ...string) string { return readmeRun(t, append([]string{"--database", database}, args...)) }
		run("import", file)
		first := readState(t, database)
		if out := run("import", file); !strings.Contains(out, " 0 votes new") {
			t.Errorf("a second import printed %s", out)
		}
		second := readState(t, database)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("the second import changed the state:\n%s", diff)
		}
		if second.Counts.Votes != want.Votes || second.Counts.NFTs != want.NFTs || second.Counts.Voters != want.Voters {
			t.Errorf("%+v, want %+v", second.Counts, want)
		}
		if out := run("verify"); !strings.Contains(out, "no difference") {
			t.Errorf("verify printed %s", out)
		}
		states = append(states, second)
	}
	if diff := cmp.Diff(states[0], states[1]); diff != "" {
		t.Errorf("SQLite and PostgreSQL differ:\n%s", diff)
	}
}

func readState(t *testing.T, database string) storetest.State {
	t.Helper()
	ctx := context.Background()
	var st store.Store
	var err error
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		st, err = asStore(sqlite.Open(ctx, path))
	} else {
		st, err = asStore(postgres.Open(ctx, database))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	return storetest.StateOf(t, st)
}

// realVotes returns a file of votes and what a database holds after it.
func realVotes(t *testing.T) (file string, want store.Counts) {
	t.Helper()
	if dir := os.Getenv("POA_TEST_DATA"); dir != "" {
		return filepath.Join(dir, "berlin_cycling", "votes.csv"), store.Counts{Votes: 7281, NFTs: 4481, Voters: 251}
	}
	file = filepath.Join(t.TempDir(), "votes.csv")
	nfts, voters := map[string]bool{}, map[string]bool{}
	text := "vote_id,voter_id,left_id,right_id,result,created_at\n"
	for v := range sample.Published(1, sampleEnd()).History() {
		if v.Kind != scoring.Matchup || v.Super {
			continue
		}
		result := map[scoring.Outcome]string{scoring.WinA: "left", scoring.WinB: "right", scoring.Tie: "tie", scoring.Neither: "none"}[v.Outcome]
		text += fmt.Sprintf("%s,%s,%s,%s,%s,%s\n", v.Key, v.Voter, v.A, v.B, result, v.CastAt.Format("2006-01-02T15:04:05.999999Z07:00"))
		nfts[v.A], nfts[v.B], voters[v.Voter] = true, true, true
		want.Votes++
	}
	want.NFTs, want.Voters = int64(len(nfts)), int64(len(voters))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, want
}
