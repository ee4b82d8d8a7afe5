package dropin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"poa/internal/access"
	"poa/internal/api"
	"poa/internal/config"
	"poa/internal/dropin"
	"poa/internal/ledger"
	"poa/internal/scheduler"
	"poa/internal/scoring"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a service with the API, on a database of its own. Its clock moves
// when the test says so.
type world struct {
	*httptest.Server
	t         *testing.T
	api       *dropin.API
	store     *faulty
	settings  *settings.Service
	ledger    *ledger.Ledger
	scheduler *scheduler.Scheduler
	queue     *queue
	clock     *clock
	log       *locked
	keys      map[store.Role]string
	votes     int
}

// start starts a world where it is a little after noon.
func start(t *testing.T, st dropin.Store, change ...func(*dropin.Options, *access.Settings)) *world {
	t.Helper()
	ctx := t.Context()
	must(t, st.Migrate(ctx))
	w := &world{
		t: t, store: &faulty{Store: st}, queue: &queue{}, log: &locked{}, keys: map[store.Role]string{},
		clock: &clock{now: time.Date(2026, time.March, 1, 12, 10, 30, 123_456_000, time.UTC)},
	}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})) // requests are told at that level
	var err error
	w.settings, err = settings.Open(ctx, w.store, settings.Options{
		Load: func(stored map[string]string) (*config.Config, error) {
			return config.Load(config.Options{Stored: stored})
		}, Who: "test", Now: w.clock.Now, Log: log,
	})
	must(t, err)
	w.ledger = ledger.New(w.store, ledger.Options{Policy: w.settings.Current().Policy, Now: w.clock.Now, Log: log})
	w.settings.OnChange(func(in *settings.InForce) { w.ledger.SetPolicy(in.Policy) })
	w.scheduler = scheduler.New(scheduler.Options{
		Store: w.store, Queue: w.queue, Process: "test", Now: w.clock.Now, Log: log,
		Settings: func() *settings.InForce { // without the pauses between NFTs
			in := *w.settings.Current()
			in.Batch.Delay, in.Batch.Niceness = 0, 0
			return &in
		},
	})
	if err := w.scheduler.Start(ctx); !errors.Is(err, errDriven) { // so that the schedule starts nothing
		t.Fatal(err)
	}
	o := dropin.Options{Store: w.store, Runs: w.scheduler, Settings: w.settings, Identified: api.Identify, Now: w.clock.Now, Log: log}
	rules := access.Defaults()
	for _, f := range change {
		f(&o, &rules)
	}
	if o.Guard == nil {
		o.Guard, err = access.New(w.store, nil, rules, w.clock.Now, log)
		must(t, err)
	}
	w.api = dropin.New(o)
	w.Server = httptest.NewServer(api.Outer(w.api, o.Guard, log, w.clock.Now))
	t.Cleanup(func() {
		w.Close()
		must(t, w.ledger.Close(context.Background()))
		w.queue.wg.Wait()
	})
	for _, role := range access.Roles() {
		key, hash := access.NewKey()
		_, err := w.store.PutKey(ctx, store.Key{Name: "the " + string(role), Role: role, Hash: hash, CreatedAt: w.clock.Now(), CreatedBy: "test"})
		must(t, err)
		w.keys[role] = key
	}
	return w
}

// onBoth runs a test on each kind of database.
func onBoth(t *testing.T, test func(t *testing.T, st dropin.Store)) {
	t.Run("sqlite", func(t *testing.T) { test(t, openSQLite(t)) })
	t.Run("postgres", func(t *testing.T) {
		st, err := postgres.Open(t.Context(), pgtest.New(t))
		must(t, err)
		t.Cleanup(func() { must(t, st.Close()) })
		test(t, st)
	})
}

func openSQLite(t *testing.T) dropin.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "poa.db"))
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	return st
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
		answers, err := w.ledger.Submit(w.t.Context(), []ledger.Vote{v})
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

// queue works off the steps of runs as they come, unless it holds them.
type queue struct {
	mu    sync.Mutex // guards what follows
	work  scheduler.Work
	steps []scheduler.Step // held
	held  bool
	wg    sync.WaitGroup
}

// errDriven keeps the scheduler from starting runs by itself.
var errDriven = errors.New("driven by the test")

func (q *queue) Start(_ context.Context, work scheduler.Work) error { q.work = work; return errDriven }
func (q *queue) Stop(context.Context) error                         { return nil }

func (q *queue) Insert(_ context.Context, s scheduler.Step) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held {
		q.steps = append(q.steps, s)
		return nil
	}
	q.wg.Go(func() { q.run(s) })
	return nil
}

func (q *queue) run(s scheduler.Step) {
	_ = q.work(context.Background(), s, func(ctx context.Context, _ store.Tx, next *scheduler.Step, _ time.Time) error {
		if next != nil {
			return q.Insert(ctx, *next)
		}
		return nil
	})
}

func (q *queue) hold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = true
}

// holds reports whether a step is held.
func (q *queue) holds() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.steps) > 0
}

// release works off what was held.
func (q *queue) release() {
	q.mu.Lock()
	steps := q.steps
	q.held, q.steps = false, nil
	q.mu.Unlock()
	for _, s := range steps {
		q.run(s)
	}
	q.wg.Wait()
}

// faulty is a store that fails when it is told to.
type faulty struct {
	dropin.Store
	mu      sync.Mutex // guards what follows
	err     error
	cancels bool // runs are cancelled as soon as they are there
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

func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *faulty) failing() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *faulty) View(ctx context.Context, do func(store.View) error) error {
	if err := f.failing(); err != nil {
		return err
	}
	return f.Store.View(ctx, do)
}

func (f *faulty) Update(ctx context.Context, do func(store.Tx) error) error {
	if err := f.failing(); err != nil {
		return err
	}
	return f.Store.Update(ctx, do)
}

func (f *faulty) Ping(ctx context.Context) error {
	if err := f.failing(); err != nil {
		return err
	}
	return f.Store.Ping(ctx)
}

// locked is a log for several goroutines.
type locked struct {
	mu   sync.Mutex
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
