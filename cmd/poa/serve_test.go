package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/config"
	"poa/internal/program"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
)

// onBoth runs a test on a fresh database of each kind.
func onBoth(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "poa.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, pgtest.New(t)) })
}

// binary is a path of the program, for a process of its own.
func binary(t *testing.T) string {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "poa") // see TestMain
	if err := os.Symlink(binary, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// poa runs the program and returns what it prints. It must work.
func poa(t *testing.T, database string, args ...string) string {
	t.Helper()
	code, stdout, stderr := run(t.Context(), t, nil, append(args, "--database", database)...)
	if code != exitOK {
		t.Fatalf("poa %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return strings.TrimSpace(stdout)
}

// server is a service in a process of its own.
type server struct {
	*program.Process
	t   *testing.T
	URL string
}

func serve(t *testing.T, database string, args ...string) *server {
	t.Helper()
	cmd := exec.Command(binary(t), append([]string{"serve", "--listen", "127.0.0.1:0", "--database", database}, args...)...)
	cmd.Env = append(os.Environ(), "POA_ACCESS_VOTER_PER_MINUTE=0")
	p, url, err := program.Serve(cmd, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() }) // has ended already, unless the test failed
	return &server{p, t, url}
}

// stop ends the service as an operator does; it must end well.
func (s *server) stop() {
	s.t.Helper()
	if err := s.Terminate(); err != nil {
		s.t.Fatal(err)
	}
	<-s.Gone
	if code := s.ExitCode(); code != exitOK {
		s.t.Errorf("the service ended with exit code %d\n%s", code, s.Tail())
	}
}

// send sends a request and returns the status and body of its answer, or an
// error where there is none.
func (s *server) send(method, path, key, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(context.WithoutCancel(s.t.Context()), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	return got.StatusCode, string(text), err
}

// want sends a request and checks the status of its answer.
func (s *server) want(status int, method, path, key, body string) string {
	s.t.Helper()
	got, text, err := s.send(method, path, key, body)
	if err != nil || got != status {
		s.t.Fatalf("%s %s: status %d, want %d: %v\n%s", method, path, got, status, err, text)
	}
	return text
}

// until repeats a request until its answer is as wanted.
func (s *server) until(method, path, key string, good func(status int, body string) bool) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for {
		status, body, err := s.send(method, path, key, "")
		if err == nil && good(status, body) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			s.t.Fatalf("%s %s is still %d: %v\n%s", method, path, status, err, body)
		}
	}
}

func newKey(t *testing.T, database, role string) string {
	t.Helper()
	return poa(t, database, "key", "create", "--role", role, "--name", "the "+role)
}

// TestServe plays a short game with a service in a process of its own: votes,
// a trigger, a run, a revoked key and the end.
func TestServe(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		poa(t, database, "migrate")
		gateway, operator := newKey(t, database, "voter-gateway"), newKey(t, database, "operator")
		s := serve(t, database)
		s.want(200, "GET", "/readyz", "", "")
		s.want(401, "GET", "/metrics", "", "")
		s.want(200, "POST", "/api/v1/nfts", operator, `[{"id":"c/1"},{"id":"c/2"},{"id":"c/3"}]`)
		s.want(201, "POST", "/api/v1/votes", gateway, `{"key":"k1","voter":"ann","kind":"matchup","a":"c/1","b":"c/2","outcome":"a"}`)
		answer := s.want(201, "POST", "/api/v1/votes", gateway, `{"key":"k2","voter":"ann","kind":"fire","a":"c/3"}`)
		if !strings.Contains(answer, `"reason":"fire"`) || !strings.Contains(answer, `"poa":`) {
			t.Errorf("the FIRE was answered %s", answer)
		}
		var run struct{ Number int64 }
		if err := json.Unmarshal([]byte(s.want(202, "POST", "/api/v1/runs", operator, `{}`)), &run); err != nil {
			t.Fatal(err)
		}
		s.until("GET", fmt.Sprintf("/api/v1/runs/%d", run.Number), operator, func(_ int, body string) bool { return strings.Contains(body, `"state":"done"`) })
		if ready := s.want(200, "GET", "/api/v1/nfts?status=ready", operator, ""); !strings.Contains(ready, `"items":[]`) {
			t.Errorf("after a run: %s", ready)
		}
		if metrics := s.want(200, "GET", "/metrics", operator, ""); !strings.Contains(metrics, `poa_votes_total{code="",kind="fire",outcome="counted"} 1`) {
			t.Errorf("the metrics do not count the FIRE:\n%s", metrics)
		}
		poa(t, database, "key", "revoke", "the voter-gateway")
		s.until("GET", "/api/v1/self", gateway, func(status int, _ string) bool { return status == http.StatusUnauthorized })
		s.stop()
		if strings.Contains(s.Log(), operator) {
			t.Error("a key is in the log")
		}
		poa(t, database, "verify")
		sampled(t, database, map[string]int64{"votes.matchup": 1, "votes.fire": 1, "fired.fire.computed": 1, "computed.fire.changed": 1})
	})
}

// TestReadinessLooksForTheJobQueue takes the table of the job queue away and
// gives it back.
func TestReadinessLooksForTheJobQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		s := serve(t, database)
		s.want(200, "GET", "/readyz", "", "")
		execute(t, database, "ALTER TABLE river_job RENAME TO away")
		s.until("GET", "/readyz", "", func(status int, body string) bool {
			return status == http.StatusServiceUnavailable && strings.Contains(body, "job queue")
		})
		execute(t, database, "ALTER TABLE away RENAME TO river_job")
		s.until("GET", "/readyz", "", func(status int, _ string) bool { return status == http.StatusOK })
		s.stop()
	})
}

// TestOneProcessServesAFile sees that a second one says why it does not, and
// that a file whose process was killed is served again.
func TestOneProcessServesAFile(t *testing.T) {
	database := "sqlite:" + filepath.Join(t.TempDir(), "poa.db")
	first := serve(t, database)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // for a second one that serves
	defer cancel()
	code, _, stderr := run(ctx, t, nil, "serve", "--listen", "127.0.0.1:0", "--database", database)
	if code != exitFailure || !strings.Contains(stderr, "another process serves it") {
		t.Errorf("a second process: exit code %d\n%s", code, stderr)
	}
	poa(t, database, "sample") // others may use it
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := serve(t, database).Kill(); err != nil {
		t.Fatal(err)
	}
}

// TestServeBesideStoredSettingsThatDoNotFit starts a service where a setting is
// stored that its own file does not admit.
func TestServeBesideStoredSettingsThatDoNotFit(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		poa(t, database, "migrate")
		operator := newKey(t, database, "operator")
		s := serve(t, database)
		s.want(200, "PATCH", "/api/v1/settings", operator, `{"values":{"batch.cap":"30m"},"why":"long runs"}`)
		s.stop()
		file := filepath.Join(t.TempDir(), "poa.yaml")
		if err := os.WriteFile(file, []byte("batch: {every: 10m}"), 0o600); err != nil {
			t.Fatal(err)
		}
		s = serve(t, database, "--config", file)
		if body := s.want(200, "GET", "/readyz", "", ""); !strings.Contains(body, `"warnings":["the stored batch.cap does not fit and is left out"]`) {
			t.Errorf("/readyz answers %s", body)
		}
		s.want(200, "POST", "/api/v1/triggers/pause", operator, `{"reason":"a bot"}`)
		if body := s.want(200, "GET", "/api/v1/settings", operator, ""); !strings.Contains(body, `"left_out":"must not be above every (10m0s), is 30m0s"`) {
			t.Errorf("the settings do not say what is left out: %s", body)
		}
		s.stop()
		if !strings.Contains(s.Log(), "A STORED SETTING DOES NOT FIT") {
			t.Errorf("nothing is said of it:\n%s", s.Log())
		}
	})
}

// execute runs a statement on a database, beside what serves it.
func execute(t *testing.T, database, statement string) {
	t.Helper()
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		db, err := sqlite.OpenPlain(path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		return
	}
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// samplesOf returns what the processes on a database have added to its samples,
// by name.
func samplesOf(t *testing.T, database string) map[string]int64 {
	t.Helper()
	m := &Main{config: &config.Config{}}
	m.config.Database = database
	if err := m.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.store.Close()
	found, err := m.service().Samples(t.Context(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour), 10)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, s := range found {
		got[s.Name] += s.Value
	}
	return got
}

// sampled checks what is among the samples of a database.
func sampled(t *testing.T, database string, want map[string]int64) {
	t.Helper()
	got := samplesOf(t, database)
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%d of %s are among the samples, want %d: %v", got[name], name, n, got)
		}
	}
}

// TestCommandsAreCounted: what commands do beside a service is in the samples
// that its charts are drawn from, as each of them ends.
func TestCommandsAreCounted(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		poa(t, database, "migrate")
		gateway, operator := newKey(t, database, "voter-gateway"), newKey(t, database, "operator")
		s := serve(t, database)
		// No batch is to compute what the commands do.
		s.want(200, "POST", "/api/v1/scheduler/pause", operator, `{"reason":"a test"}`)
		s.until("GET", "/api/v1/runs?kind=batch", operator, func(_ int, body string) bool {
			return strings.Contains(body, `"kind":"batch"`) && !strings.Contains(body, `"state":"running"`)
		})
		s.want(200, "POST", "/api/v1/nfts", operator, `[{"id":"c/1"},{"id":"c/2"},{"id":"c/3"}]`)
		s.want(201, "POST", "/api/v1/votes", gateway, `{"key":"k1","voter":"ann","kind":"fire","a":"c/3"}`)
		file := filepath.Join(t.TempDir(), "votes.csv")
		rows := "key,voter,a,b,outcome,cast_at\nk2,ann,c/1,c/2,a,2024-05-01T12:00:00Z\nk3,ann,c/1,c/2,b," + time.Now().UTC().Format(time.RFC3339) + "\n"
		if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"vote", "--voter", "bob", "--fire", "--a", "c/1"}, {"import", file}, {"compute", "c/2"}} {
			if code, _, stderr := runNow(t, nil, append(args, "--database", database)...); code != exitOK {
				t.Fatalf("poa %s: exit code %d\n%s", args[0], code, stderr)
			}
		}
		sampled(t, database, map[string]int64{
			"votes.fire": 1, "votes.matchup": 1, "votes.history": 1, "fired.fire.computed": 1, "computed.fire.changed": 1, "computed.manual.changed": 1,
		})
		s.stop()
		sampled(t, database, map[string]int64{"votes.fire": 2, "fired.fire.computed": 2, "computed.fire.changed": 2})
	})
}

// TestStopWithVotesInFlight ends a service while many clients vote: every
// request gets an answer or no connection, and every acknowledged vote counts.
func TestStopWithVotesInFlight(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		poa(t, database, "migrate")
		gateway, operator := newKey(t, database, "voter-gateway"), newKey(t, database, "operator")
		s := serve(t, database)
		s.want(200, "POST", "/api/v1/nfts", operator, `[{"id":"c/1"},{"id":"c/2"}]`)
		const clients, enough = 16, 400
		var (
			mu           sync.Mutex
			acknowledged = map[string]bool{}
			wg           sync.WaitGroup
			once         sync.Once
			reached      = make(chan struct{})
		)
		for c := range clients {
			wg.Go(func() {
				for n := 0; ; n++ {
					key := fmt.Sprintf("%d-%d", c, n)
					status, body, err := s.send("POST", "/api/v1/votes", gateway, fmt.Sprintf(`{"key":%q,"voter":"v%d","kind":"matchup","a":"c/1","b":"c/2","outcome":"a"}`, key, c))
					if err != nil || status == http.StatusServiceUnavailable {
						return // it has ended, or is about to
					}
					if status != http.StatusCreated {
						t.Errorf("vote %s: status %d\n%s", key, status, body)
						return
					}
					mu.Lock()
					acknowledged[key] = true
					if len(acknowledged) >= enough {
						once.Do(func() { close(reached) })
					}
					mu.Unlock()
				}
			})
		}
		<-reached
		s.stop()
		wg.Wait()
		recorded := poa(t, database, "export", "votes", "--format", "jsonl")
		for key := range acknowledged {
			if !strings.Contains(recorded, fmt.Sprintf("%q", key)) {
				t.Errorf("the acknowledged vote %s is lost", key)
			}
		}
		poa(t, database, "verify")
	})
}

// TestServeRefuses sees what is no way to run the service.
func TestServeRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "poa.db")
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"a profiler for everybody", []string{"--pprof", "0.0.0.0:6060"}, "serve.pprof"},
		{"no port", []string{"--listen", "localhost"}, "serve.listen"},
		{"an address of another machine", []string{"--listen", "192.0.2.1:80"}, "listening"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, stderr := run(t.Context(), t, nil, append([]string{"serve", "--database", "sqlite:" + file}, c.args...)...)
			if code != exitFailure || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d\n%s", code, stderr)
			}
		})
	}
}

// TestPublicReads sees what needs no key when the settings say so.
func TestPublicReads(t *testing.T) {
	t.Setenv("POA_SERVE_PUBLIC_METRICS", "true")
	t.Setenv("POA_ACCESS_PUBLIC_READS", "true")
	s := serve(t, "sqlite:"+filepath.Join(t.TempDir(), "poa.db"))
	s.want(200, "GET", "/metrics", "", "")
	s.want(200, "GET", "/api/v1/leaderboard", "", "")
	s.want(401, "GET", "/api/v1/activity", "", "")
	s.want(401, "POST", "/api/v1/votes", "", `{}`)
	s.want(404, "GET", "/debug/pprof/", "", "")
	s.stop()
}
