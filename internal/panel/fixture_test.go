package panel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"poa/internal/access"
	"poa/internal/api"
	"poa/internal/config"
	"poa/internal/ledger"
	"poa/internal/live"
	"poa/internal/operate"
	"poa/internal/overview"
	"poa/internal/people"
	"poa/internal/samples"
	"poa/internal/scheduler"
	"poa/internal/scoring"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/store/sqlite"
)

// site is a panel under test, with the API beside it, on a SQLite database of
// its own.
type site struct {
	*httptest.Server
	*Panel
	t      *testing.T
	ledger *ledger.Ledger
	queue  *queue
	log    *locked
	votes  int
	pass   func(time.Duration) // moves the clock, where the test has one: see followed
}

// locked is a log that can be read while it is written.
type locked struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// queue keeps the steps of runs until work is called.
type queue struct {
	mu    sync.Mutex
	steps []scheduler.Step
	do    scheduler.Work
}

func (q *queue) Insert(_ context.Context, s scheduler.Step) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.steps = append(q.steps, s)
	return nil
}

// errDriven keeps the scheduler from starting runs by itself.
var errDriven = errors.New("driven by the test")

func (q *queue) Start(_ context.Context, work scheduler.Work) error { q.do = work; return errDriven }
func (q *queue) Stop(context.Context) error                         { return nil }

// work works off all steps of all runs.
func (s *site) work() {
	s.t.Helper()
	for {
		s.queue.mu.Lock()
		if len(s.queue.steps) == 0 {
			s.queue.mu.Unlock()
			return
		}
		step := s.queue.steps[0]
		s.queue.steps = s.queue.steps[1:]
		s.queue.mu.Unlock()
		must(s.t, s.queue.do(s.t.Context(), step, func(ctx context.Context, _ store.Tx, next *scheduler.Step, _ time.Time) error {
			if next != nil {
				return s.queue.Insert(ctx, *next)
			}
			return nil
		}))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open starts a panel with three NFTs of the collection "art", c/1 to c/3, and
// an operator, alice, and a viewer, vera.
func open(t *testing.T) *site {
	t.Helper()
	ctx := t.Context()
	st, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "poa.db"))
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	must(t, st.Migrate(ctx))
	s := &site{t: t, queue: &queue{}, log: &locked{}}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	set, err := settings.Open(ctx, st, settings.Options{
		Load: func(stored map[string]string) (*config.Config, error) {
			return config.Load(config.Options{Stored: stored})
		}, Who: "test", Log: log,
	})
	must(t, err)
	known := people.New(people.Options{Store: st, Log: log})
	limits := access.Defaults()
	limits.AnonymousPerMinute, limits.PersonPerMinute, limits.VoterPerMinute = 0, 0, 0
	guard, err := access.New(st, known, limits, nil, log)
	must(t, err)
	s.ledger = ledger.New(st, ledger.Options{Policy: set.Current().Policy, Log: log})
	set.OnChange(func(in *settings.InForce) { s.ledger.SetPolicy(in.Policy) })
	runs := scheduler.New(scheduler.Options{Store: st, Queue: s.queue, Settings: set.Current, VotesWaiting: s.ledger.Waiting, Process: "test", Log: log})
	if err := runs.Start(ctx); !errors.Is(err, errDriven) {
		t.Fatal(err)
	}
	stream := live.New(st, live.Options{Log: log})
	stream.Start()
	old := func() time.Duration { return set.Current().Batch.OldAfter }
	recorder := samples.NewRecorder(samples.Options{Store: st, OldAfter: old, Now: time.Now, Log: log})
	s.Panel, err = newPanel(Options{
		Store: st, Votes: s.ledger, Runs: runs, Settings: set, Operate: operate.New(operate.Options{Store: st, Settings: set.Current}), Guard: guard, People: known, Live: stream,
		Overview: overview.New(overview.Options{Store: st, Samples: samples.NewReader(recorder), Unchanged: stream.Unchanged, Now: func() time.Time { return s.clock() }}),
		Backlog:  overview.NewBacklog(st, old, stream.Unchanged, func() time.Time { return s.clock() }),
		Version:  "test", TryIt: true, Log: log,
		Jobs: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "jobs at", r.URL.Path) }),
	})
	must(t, err)
	pages, err := s.Panel.handler()
	must(t, err)
	v1, err := api.New(api.Options{Store: st, Votes: s.ledger, Runs: runs, Settings: set, Guard: guard, Stream: stream, Version: "test", Log: log})
	must(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle(api.Prefix+"/", v1)
	s.Server = httptest.NewServer(api.Outer(mux, guard, log, time.Now))
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		must(t, stream.Stop(stop))
		s.Close()
		must(t, s.ledger.Close(stop))
	})
	var nfts []store.NFT
	for i := range 3 {
		nfts = append(nfts, store.NFT{ID: fmt.Sprintf("c/%d", i+1), Name: fmt.Sprintf("Picture %d", i+1), Collection: "art"})
	}
	_, err = st.PutNFTs(ctx, nfts, true, time.Now())
	must(t, err)
	return s
}

// cast casts votes.
func (s *site) cast(votes ...ledger.Vote) {
	s.t.Helper()
	for i := range votes {
		s.votes++
		v := &votes[i]
		v.Key = fmt.Sprintf("vote-%d", s.votes)
		v.Trusted = true // one voter may cast all votes of a test
		if v.Voter == "" {
			v.Voter = "voter-1"
		}
		if v.CastAt.IsZero() {
			v.CastAt = time.Now()
		}
	}
	answers, err := s.ledger.Submit(s.t.Context(), votes)
	must(s.t, err)
	for _, a := range answers {
		must(s.t, a.Err)
	}
}

// super is a super vote for c/1 against c/2, which computes both.
func super() ledger.Vote {
	return ledger.Vote{A: "c/1", B: "c/2", Vote: scoring.Vote{Kind: scoring.Matchup, Super: true, Outcome: scoring.WinA}}
}

// visitor is a browser without scripts.
type visitor struct {
	*http.Client
	s *site
}

// stranger is a visitor who is not signed in.
func (s *site) stranger() *visitor {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	must(s.t, err)
	return &visitor{&http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, s}
}

const testPassword = "correct horse battery"

// sign returns a visitor who is signed in as a new person with that role.
func (s *site) sign(role store.Role, name string) *visitor {
	s.t.Helper()
	token, err := s.People.Invite(s.t.Context(), name, role, "test")
	must(s.t, err)
	v := s.stranger()
	v.post(people.SetupPath, http.StatusSeeOther, "token", token, "password", testPassword, "again", testPassword)
	return v
}

// answered is an answer, read to its end.
type answered struct {
	*http.Response
	body string
}

// send sends a request; pairs are the fields of a form.
func (v *visitor) send(method, path string, headers http.Header, pairs ...string) answered {
	v.s.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	ctx, cancel := context.WithTimeout(v.s.t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, v.s.URL+path, strings.NewReader(form.Encode()))
	must(v.s.t, err)
	r.Header.Set("Accept", "text/html")
	if method != http.MethodGet {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range headers {
		r.Header[name] = values
	}
	got, err := v.Do(r)
	must(v.s.t, err)
	text, err := io.ReadAll(got.Body)
	must(v.s.t, errors.Join(err, got.Body.Close()))
	return answered{got, string(text)}
}

// get reads a page and checks its status.
func (v *visitor) get(path string, status int) answered {
	v.s.t.Helper()
	a := v.send(http.MethodGet, path, nil)
	if a.StatusCode != status {
		v.s.t.Fatalf("GET %s: status %d, want %d\n%s", path, a.StatusCode, status, a.body)
	}
	return a
}

// post sends a form and checks the status of the answer.
func (v *visitor) post(path string, status int, pairs ...string) answered {
	v.s.t.Helper()
	a := v.send(http.MethodPost, path, nil, pairs...)
	if a.StatusCode != status {
		v.s.t.Fatalf("POST %s: status %d, want %d\n%s", path, a.StatusCode, status, a.body)
	}
	return a
}

// holds checks that a page holds texts.
func (a answered) holds(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s %s does not hold %q\n%s", a.Request.Method, a.Request.URL.Path, text, a.body)
		}
	}
}

// lacks checks that a page does not hold texts.
func (a answered) lacks(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			t.Errorf("%s %s holds %q", a.Request.Method, a.Request.URL.Path, text)
		}
	}
}
