package dropin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"poa/internal/access"
	"poa/internal/api"
	"poa/internal/dropin"
	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/servicetest"
	"poa/internal/store"
	"poa/internal/store/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a service with the API, on a database of its own. Its clock moves
// when the test says so.
type world struct {
	*httptest.Server
	*servicetest.Service
	t     *testing.T
	api   *dropin.API
	store *faulty
	clock *clock
	keys  map[store.Role]string
	votes int
}

// start starts a world where it is a little after noon. Runs go on by
// themselves unless its queue holds them.
func start(t *testing.T, st servicetest.Store, change ...func(*dropin.Options, *access.Settings)) *world {
	t.Helper()
	w := &world{
		t: t, store: &faulty{Faulty: servicetest.Faulty{Store: st}},
		clock: &clock{now: time.Date(2026, time.March, 1, 12, 10, 30, 123_456_000, time.UTC)},
	}
	w.Service = servicetest.New(t, w.store, w.clock.Now)
	w.Queue.Free()
	o := dropin.Options{Store: w.store, Runs: w.Scheduler, Settings: w.Settings, Identified: api.Identify, Now: w.clock.Now, Log: w.Log}
	rules := access.Defaults()
	for _, f := range change {
		f(&o, &rules)
	}
	if o.Guard == nil {
		var err error
		o.Guard, err = access.New(w.store, nil, rules, w.clock.Now, w.Log)
		must(t, err)
	}
	w.api = dropin.New(o)
	w.Server = httptest.NewServer(api.Outer(w.api, o.Guard, w.Log, w.clock.Now))
	t.Cleanup(w.Close)
	w.keys = w.Keys()
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex // guards what follows
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// response is an answer, read to its end.
type response struct {
	*http.Response
	body []byte
}

// ask sends a request with a key of a role, "" for none.
func (w *world) ask(role store.Role, method, path, body string, header ...string) response {
	w.t.Helper()
	r := w.request(w.t.Context(), role, method, path, body, header...)
	got, err := w.Client().Do(r)
	must(w.t, err)
	text, err := io.ReadAll(got.Body)
	must(w.t, errors.Join(err, got.Body.Close()))
	return response{got, text}
}

func (w *world) request(ctx context.Context, role store.Role, method, path, body string, header ...string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, w.URL+path, strings.NewReader(body))
	must(w.t, err)
	if key := w.keys[role]; key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// register registers NFTs of a collection.
func (w *world) register(collection string, ids ...string) {
	w.t.Helper()
	nfts := make([]store.NFT, len(ids))
	for i, id := range ids {
		nfts[i] = store.NFT{ID: id, Name: strings.ToUpper(id), Collection: collection, ImageURL: "https://img.example/" + id}
	}
	_, err := w.store.PutNFTs(w.t.Context(), nfts, true, w.clock.Now())
	must(w.t, err)
}

// cast casts votes, a second apart.
func (w *world) cast(votes ...ledger.Vote) {
	w.t.Helper()
	for _, v := range votes {
		w.votes++
		v.Key = fmt.Sprintf("vote-%03d", w.votes)
		answers, err := w.Ledger.Submit(w.t.Context(), []ledger.Vote{v})
		must(w.t, err)
		must(w.t, answers[0].Err)
		w.clock.move(time.Second)
	}
}

func won(voter, a, b string) ledger.Vote {
	return ledger.Vote{Voter: voter, A: a, B: b, Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinA}}
}

func super(voter, a, b string) ledger.Vote {
	v := won(voter, a, b)
	v.Super = true
	return v
}

func neither(voter, a, b string) ledger.Vote {
	v := won(voter, a, b)
	v.Outcome = scoring.Neither
	return v
}

func slider(voter, a string, value float64) ledger.Vote {
	return ledger.Vote{Voter: voter, A: a, Vote: scoring.Vote{Kind: scoring.Slider, Value: value}}
}

func fire(voter, a string) ledger.Vote {
	return ledger.Vote{Voter: voter, A: a, Vote: scoring.Vote{Kind: scoring.Fire}}
}

func unfire(voter, a string) ledger.Vote {
	return ledger.Vote{Voter: voter, A: a, Vote: scoring.Vote{Kind: scoring.Unfire}}
}

// play registers a small game and casts votes.
func (w *world) play() {
	w.t.Helper()
	w.register("Kabu", "k1", "k2", "k3", "k4", "k5", "k6")
	w.register("BEEISH", "b1", "b2", "b3")
	w.register("", "loner")
	w.register("Emptied", "moved")
	w.register("Kabu", "moved")
	w.cast(
		slider("ann", "k1", 80), slider("bob", "k1", 20), slider("cid", "k2", 55), slider("ann", "k2", 90),
		won("ann", "k1", "k2"), won("bob", "k1", "k3"), won("bob", "k2", "b1"), won("cid", "k1", "k4"), won("ann", "k1", "k5"),
		won("ann", "k1", "k2"), won("ann", "k1", "b1"), won("ann", "b1", "k4"), won("bob", "b1", "k5"), neither("dan", "b3", "k6"),
		super("eve", "b2", "k3"), fire("eve", "b2"), fire("dan", "k1"), fire("ann", "k1"), unfire("dan", "k1"),
		slider("fay", "loner", 61), won("fay", "k1", "k2"),
	)
}

// release works off the steps of runs that were held, and the next as they
// come.
func (w *world) release() {
	w.t.Helper()
	must(w.t, w.Queue.Run(w.t.Context()))
	w.Queue.Free()
}

// faulty is a store that fails when it is told to.
type faulty struct {
	servicetest.Faulty
	mu      sync.Mutex // guards what follows
	cancels bool       // runs are cancelled as soon as they are there
}

func (f *faulty) cancel(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancels = on
}

func (f *faulty) StartRun(ctx context.Context, r store.Run, log store.Activity) (store.Run, bool, error) {
	r, created, err := f.Store.StartRun(ctx, r, log)
	f.mu.Lock()
	cancels := f.cancels
	f.mu.Unlock()
	if err == nil && cancels {
		err = f.RequestCancel(ctx, r.Number, "ann")
	}
	return r, created, err
}
