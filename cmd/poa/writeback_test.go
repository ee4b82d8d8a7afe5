package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"poa/internal/gamesync/gametest"
	"poa/internal/store/postgres/pgtest"
)

// smallGame fills a game and returns the URL of its database.
func smallGame(t *testing.T) string {
	t.Helper()
	game := pgtest.New(t)
	g := gametest.New(gametest.Options{Seed: 3, NFTs: 200, Users: 20, Votes: 400, Favorites: 50, Broken: 1, TenPoint: true, End: time.Now()})
	if err := g.Fill(t.Context(), game); err != nil {
		t.Fatal(err)
	}
	return game
}

// succeeds runs the program, which must end with one of the exit codes.
func succeeds(t *testing.T, env []string, args []string, codes ...int) string {
	t.Helper()
	code, stdout, stderr := runNow(t, env, args...)
	for _, c := range codes {
		if code == c {
			return stdout
		}
	}
	t.Fatalf("poa %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	return ""
}

func TestWriteback(t *testing.T) {
	game := smallGame(t)
	env := []string{
		"POA_DATABASE=sqlite:" + filepath.Join(t.TempDir(), "poa.db"), "POA_SYNC_FROM=" + game, "POA_SYNC_SLIDER_SCALE=10",
		"POA_WRITEBACK_TO=" + game, "POA_WRITEBACK_RATE=100000",
	}
	succeeds(t, env, []string{"sync", "--once"}, exitFindings)
	succeeds(t, env, []string{"compute", "--all"}, exitOK)

	out := succeeds(t, env, []string{"writeback", "trial", "--top", "3"}, exitOK)
	for _, want := range []string{" scores written to poa_trial of ", " with a score of the game, ", "(Pearson), ", "DIFFERENCE"} {
		if !strings.Contains(strings.ToUpper(out), strings.ToUpper(want)) {
			t.Errorf("the trial prints no %q:\n%s", want, out)
		}
	}
	var compared comparisonDoc
	out = succeeds(t, env, []string{"writeback", "compare", "--top", "2", "--json"}, exitOK)
	if err := json.Unmarshal([]byte(out), &compared); err != nil || compared.Both < 20 || compared.Pearson == nil || len(compared.Largest) != 2 || compared.Largest[0].Name == "" {
		t.Errorf("%v, the comparison is %s", err, out)
	}
	for _, want := range []int64{int64(compared.New), 0} {
		var done writebackDoc
		out = succeeds(t, env, []string{"writeback", "run", "--once", "--json"}, exitOK)
		if err := json.Unmarshal([]byte(out), &done); err != nil || done.Written != want || !done.Complete || done.Statements == 0 {
			t.Errorf("%v, want %d written: %s", err, want, out)
		}
	}
	out = succeeds(t, env, []string{"writeback", "run", "--once", "--all"}, exitOK)
	if want := "0 scores written to nfts of "; !strings.Contains(out, want) || !strings.Contains(out, fmt.Sprintf(": %d as they were", compared.New)) {
		t.Errorf("all once more: %s", out)
	}
	// An NFT that is gone is a finding.
	execute(t, game, "DELETE FROM nfts WHERE id = '"+compared.Largest[0].ID+"'")
	out = succeeds(t, env, []string{"writeback", "run", "--once", "--all"}, exitFindings)
	if !strings.Contains(out, "1 NFT not in the game's table") {
		t.Errorf("without an NFT: %s", out)
	}
}

func TestWritebackSaysWhatIsWrong(t *testing.T) {
	empty := pgtest.New(t)
	database := "sqlite:" + filepath.Join(t.TempDir(), "poa.db")
	poa(t, database, "migrate")
	for name, c := range map[string]struct {
		env, args []string
		want      []string // on standard error
	}{
		"no game":      {nil, []string{"run"}, []string{"--to URL"}},
		"no trial":     {nil, []string{"compare", "--to", empty}, []string{"poa_trial", "poa writeback trial"}},
		"an odd count": {nil, []string{"compare", "--to", empty, "--top=-1"}, []string{"--top must not be below 0"}},
		"no tables":    {nil, []string{"run", "--once", "--to", empty}, []string{"nfts", "does not exist"}},
		"no server":    {[]string{"POA_WRITEBACK_TO=postgres://me:hush-hush@127.0.0.1:1/game"}, []string{"run", "--once"}, []string{"looking at nfts of 127.0.0.1:1/game"}},
		"another kind of database": {[]string{"POA_WRITEBACK_TO=mysql://me:hush-hush@127.0.0.1:1/game"}, []string{"run"},
			[]string{"writeback.to (environment POA_WRITEBACK_TO): must be a postgres:// URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runNow(t, c.env, append(append([]string{"writeback"}, c.args...), "--database", database)...)
			if code != exitFailure || stdout != "" {
				t.Errorf("exit code %d, %s", code, stdout)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr without %q:\n%s", want, stderr)
				}
			}
			if strings.Contains(stderr, "hush") {
				t.Errorf("the password is shown:\n%s", stderr)
			}
		})
	}
}

// block is a piece of code in a page.
type block struct{ language, text string }

// codeBlocks returns the blocks of a page in their order, those in lists too.
func codeBlocks(page string) (list []block) {
	parts := strings.Split(page, "```")
	for i := 1; i < len(parts); i += 2 {
		language, text, _ := strings.Cut(parts[i], "\n")
		list = append(list, block{language, text})
	}
	return list
}

// The guide's SQL and commands do what it says, in its order: from the roles to
// the switch and back.
func TestMigratingGuide(t *testing.T) {
	page, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	game, own := smallGame(t), pgtest.New(t)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), game)
		if err == nil {
			_, err = conn.Exec(context.Background(), "DROP OWNED BY poa_reader, poa_writer; DROP ROLE poa_reader, poa_writer")
			conn.Close(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
	})
	env := []string{"POA_DATABASE=" + own, "POA_SYNC_SLIDER_SCALE=10", "POA_WRITEBACK_RATE=100000",
		"POA_SYNC_FROM=" + as(t, game, "poa_reader", "change-me-1"), "POA_WRITEBACK_TO=" + as(t, game, "poa_writer", "change-me-2")}
	before := scoreColumns(t, game)
	commands, steps := 0, 0
	for _, b := range codeBlocks(string(page)) {
		switch {
		case b.language == "sh":
			for line := range strings.Lines(b.text) {
				if args := strings.Fields(line); len(args) > 1 && args[0] == "poa" && args[1] != "serve" && args[1] != "key" {
					commands++
					succeeds(t, env, args[1:], exitOK, exitFindings)
				}
			}
		case b.language != "sql":
		case strings.Contains(b.text, "FROM rejects"):
			execute(t, own, b.text)
			steps++
		case strings.Contains(b.text, "CREATE TABLE poa_before"):
			execute(t, game, b.text)
			succeeds(t, env, []string{"writeback", "run", "--once"}, exitOK)
			steps++
		case strings.Contains(b.text, "FROM scores"):
			sql := strings.Split(b.text, ";")
			ours, theirs := countAndLatest(t, own, sql[1][strings.Index(sql[1], "SELECT"):]), countAndLatest(t, game, sql[0])
			if diff := cmp.Diff(ours, theirs); diff != "" || strings.HasPrefix(ours, "0 ") {
				t.Errorf("after the switch the two say %s and %s", ours, theirs)
			}
			steps++
		case strings.Contains(b.text, "FROM poa_before"):
			execute(t, game, b.text)
			if diff := cmp.Diff(before, scoreColumns(t, game)); diff != "" {
				t.Errorf("after the way back the columns are not what they were:\n%.2000s", diff)
			}
			steps++
		default:
			execute(t, game, b.text)
			steps++
		}
	}
	if commands != 5 || steps != 8 {
		t.Errorf("the guide has %d commands and %d pieces of SQL", commands, steps)
	}
}

// as returns the URL for another role.
func as(t *testing.T, database, role, password string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

// countAndLatest returns a count and a latest time as text.
func countAndLatest(t *testing.T, database, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var n int
	var latest *time.Time
	if err := conn.QueryRow(t.Context(), sql).Scan(&n, &latest); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return fmt.Sprint(n, " ", latest.UTC())
}

// scoreColumns returns what the game's score columns hold, as text by NFT.
func scoreColumns(t *testing.T, game string) map[string]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), game)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `SELECT id::text, (poa_v2, poa_v2_updated_at, poa_v2_components, poa_v2_confidence, poa_v2_explanation, elo_mean)::text FROM nfts`)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	var id, columns string
	if _, err := pgx.ForEachRow(rows, []any{&id, &columns}, func() error { all[id] = columns; return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}
