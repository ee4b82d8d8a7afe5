package panel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"poa/internal/access"
	"poa/internal/api"
	"poa/internal/ledger"
	"poa/internal/live"
	"poa/internal/operate"
	"poa/internal/overview"
	"poa/internal/people"
	"poa/internal/samples"
	"poa/internal/scoring"
	"poa/internal/servicetest"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
)

// site is a panel under test, with the API beside it, on a SQLite database of
// its own.
type site struct {
	*httptest.Server
	*Panel
	t       *testing.T
	service *servicetest.Service
	votes   int
	pass    func(time.Duration) // moves the clock, where the test has one: see followed
}

// work works off all steps of all runs.
func (s *site) work() {
	s.t.Helper()
	must(s.t, s.service.Queue.Run(s.t.Context()))
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
	st := sqlitetest.New(t)
	parts := servicetest.New(t, st, nil)
	set, log := parts.Settings, parts.Log
	s := &site{t: t, service: parts}
	known := people.New(people.Options{Store: st, Log: log})
	limits := access.Defaults()
	limits.AnonymousPerMinute, limits.PersonPerMinute, limits.VoterPerMinute = 0, 0, 0
	guard, err := access.New(st, known, limits, nil, log)
	must(t, err)
	stream := live.New(st, live.Options{Log: log})
	stream.Start()
	old := func() time.Duration { return set.Current().Batch.OldAfter }
	recorder := samples.NewRecorder(samples.Options{Store: st, OldAfter: old, Now: time.Now, Log: log})
	s.Panel, err = newPanel(Options{
		Store: st, Votes: parts.Ledger, Runs: parts.Scheduler, Settings: set, Operate: operate.New(operate.Options{Store: st, Settings: set.Current}), Guard: guard, People: known, Live: stream,
		Overview: overview.New(overview.Options{Store: st, Samples: samples.NewReader(recorder), Unchanged: stream.Unchanged, Now: func() time.Time { return s.clock() }}),
		Backlog:  overview.NewBacklog(st, old, stream.Unchanged, func() time.Time { return s.clock() }),
		Version:  "test", TryIt: true, Log: log,
		Jobs: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "jobs at", r.URL.Path) }),
	})
	must(t, err)
	pages, err := s.Panel.handler()
	must(t, err)
	v1, err := api.New(api.Options{Store: st, Votes: parts.Ledger, Runs: parts.Scheduler, Settings: set, Guard: guard, Stream: stream, Version: "test", Log: log})
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
	answers, err := s.service.Ledger.Submit(s.t.Context(), votes)
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
