package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poa/internal/gamesync/gametest"
	"poa/internal/store/postgres/pgtest"
)

// runNow is run with an environment and the true time, which the game's database
// has too.
func runNow(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	m := &Main{Stdout: &out, Stderr: &errs, Env: env, Args: args, Now: time.Now}
	code = m.Run(t.Context())
	return code, out.String(), errs.String()
}

func TestSyncOnce(t *testing.T) {
	game := pgtest.New(t)
	g := gametest.New(gametest.Options{Seed: 3, NFTs: 100, Users: 20, Votes: 400, Favorites: 50, Broken: 1, End: time.Now()})
	if err := g.Fill(t.Context(), game); err != nil {
		t.Fatal(err)
	}
	database := "sqlite:" + filepath.Join(t.TempDir(), "poa.db")
	args := []string{"sync", "--once", "--from", game, "--slider-scale", "100", "--database", database}
	code, stdout, stderr := runNow(t, nil, args...)
	want := "450 votes new, 0 known before, "
	if code != exitFindings || !strings.Contains(stdout, want) || !strings.Contains(stdout, "23 rejected") || !strings.Contains(stdout, "rejected: 1 cast in future, 2 empty, ") {
		t.Errorf("exit code %d, stdout without %q:\n%s\n%s", code, want, stdout, stderr)
	}
	counted := int64(0)
	for name, n := range samplesOf(t, database) {
		if strings.HasPrefix(name, "votes.") {
			counted += n
		}
	}
	if counted != 450 {
		t.Errorf("%d votes are among the samples", counted)
	}
	code, stdout, stderr = runNow(t, nil, append(args, "--json")...)
	var doc syncDoc
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v:\n%s\n%s", code, err, stdout, stderr)
	}
	if doc.Recorded != 0 || doc.Rejected != 0 || doc.Statements.Total == 0 || doc.Statements.Sweeps == 0 || doc.Elapsed <= 0 {
		t.Errorf("the second time: %s", stdout)
	}
	if out := poa(t, database, "verify"); !strings.Contains(out, "no difference") {
		t.Error(out)
	}
}

func TestSyncSaysWhatIsWrong(t *testing.T) {
	empty := pgtest.New(t)
	database := "sqlite:" + filepath.Join(t.TempDir(), "poa.db")
	for name, c := range map[string]struct {
		env  []string
		args []string
		want []string // on standard error
	}{
		"no game":      {nil, []string{"--slider-scale", "10"}, []string{"--from URL"}},
		"no scale":     {nil, []string{"--from", empty}, []string{"--slider-scale 10"}},
		"an odd scale": {nil, []string{"--from", empty, "--slider-scale", "5"}, []string{"sync.slider_scale (flag --slider-scale): must be 10", "is 5"}},
		"no tables":    {nil, []string{"--from", empty, "--slider-scale", "10"}, []string{"votes", "does not exist", "SELECT nfts, users, votes and favorites"}},
		"no server": {[]string{"POA_SYNC_FROM=postgres://me:hush-hush@127.0.0.1:1/game"}, []string{"--slider-scale", "10"},
			[]string{"connecting to the game's database"}},
		"another kind of database": {[]string{"POA_SYNC_FROM=mysql://me:hush-hush@127.0.0.1:1/game"}, []string{"--slider-scale", "10"},
			[]string{"sync.from (environment POA_SYNC_FROM): must be a postgres:// URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runNow(t, c.env, append(append([]string{"sync", "--once"}, c.args...), "--database", database)...)
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
