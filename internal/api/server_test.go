package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"poa/internal/access"
	"poa/internal/api"
	"poa/internal/config"
	"poa/internal/ledger"
	"poa/internal/live"
	"poa/internal/scheduler"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// service is a service under test, on a database of its own.
type service struct {
	*httptest.Server
	t         *testing.T
	store     *faulty
	ledger    *ledger.Ledger
	scheduler *scheduler.Scheduler
	queue     *queue
	log       *locked
	keys      map[store.Role]string
	validator validator.Validator
}

// options of a service under test.
type options struct {
	access  access.Settings
	timeout time.Duration
	store   store.Service // nil: SQLite
	people  access.Sessions
}

func start(t *testing.T, change ...func(*options)) *service {
	t.Helper()
	ctx := t.Context()
	o := options{access: access.Defaults()}
	o.access.VoterPerMinute = 0
	for _, f := range change {
		f(&o)
	}
	if o.store == nil {
		o.store = openSQLite(t)
	}
	if err := o.store.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, store: &faulty{Service: o.store}, queue: &queue{}, log: &locked{}, keys: map[store.Role]string{}}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	set, err := settings.Open(ctx, s.store, settings.Options{
		Load: func(stored map[string]string) (*config.Config, error) {
			return config.Load(config.Options{Stored: stored})
		}, Who: "test", Log: log,
	})
	must(t, err)
	guard, err := access.New(s.store, o.people, o.access, nil, log)
	must(t, err)
	s.ledger = ledger.New(s.store, ledger.Options{Policy: set.Current().Policy, Patience: 200 * time.Millisecond, Log: log})
	set.OnChange(func(in *settings.InForce) { s.ledger.SetPolicy(in.Policy) })
	s.scheduler = scheduler.New(scheduler.Options{Store: s.store, Queue: s.queue, Settings: set.Current, VotesWaiting: s.ledger.Waiting, Process: "test", Log: log})
	if err := s.scheduler.Start(ctx); !errors.Is(err, errDriven) { // so that the schedule starts nothing
		t.Fatal(err)
	}
	stream := live.New(s.store, live.Options{Log: log})
	stream.Start()
	handler, err := api.New(api.Options{
		Store: s.store, Votes: s.ledger, Runs: s.scheduler, Settings: set, Guard: guard, Stream: stream, Version: "test", Timeout: o.timeout, Log: log,
	})
	must(t, err)
	s.Server = httptest.NewServer(api.Outer(handler, guard, log, time.Now))
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		must(t, stream.Stop(stop))
		s.Close()
		must(t, s.ledger.Close(stop))
	})
	for _, role := range access.Roles() {
		s.keys[role] = s.newKey(role, "the "+string(role))
	}
	document, err := libopenapi.NewDocument(s.get("/openapi.json", http.StatusOK).body)
	must(t, err)
	v, errs := validator.NewValidator(document)
	must(t, errors.Join(errs...))
	s.validator = v
	return s
}

// onBoth runs a test on each kind of database.
func onBoth(t *testing.T, test func(t *testing.T, s *service)) {
	t.Run("sqlite", func(t *testing.T) { test(t, start(t)) })
	t.Run("postgres", func(t *testing.T) {
		test(t, start(t, func(o *options) { o.store = openPostgres(t) }))
	})
}

func openPostgres(t *testing.T) store.Service {
	t.Helper()
	st, err := postgres.Open(t.Context(), pgtest.New(t))
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	return st
}

func openSQLite(t *testing.T) store.Service {
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

// newKey makes an API key.
func (s *service) newKey(role store.Role, name string) string {
	s.t.Helper()
	key, hash := access.NewKey()
	_, err := s.store.PutKey(s.t.Context(), store.Key{Name: name, Role: role, Hash: hash, CreatedAt: time.Now().UTC().Truncate(time.Microsecond), CreatedBy: "test"})
	must(s.t, err)
	return key
}

// response is an answer, read to its end.
type response struct {
	*http.Response
	body []byte
}

// request sends a request. Its answer must fit the OpenAPI document.
func (s *service) request(method, path, key, contentType, body string, headers ...string) response {
	s.t.Helper()
	if !strings.HasPrefix(path, "/api/") {
		path = api.Prefix + path
	}
	build := func() *http.Request {
		r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
		must(s.t, err)
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return r
	}
	got, err := s.Client().Do(build())
	must(s.t, err)
	text, err := io.ReadAll(got.Body)
	must(s.t, errors.Join(err, got.Body.Close()))
	if s.validator != nil && strings.Contains(got.Header.Get("Content-Type"), "json") && !strings.Contains(path, "openapi.json") {
		got.Body = io.NopCloser(bytes.NewReader(text))
		if ok, errs := s.validator.ValidateHttpResponse(build(), got); !ok {
			for _, e := range errs {
				s.t.Errorf("%s %s: the answer does not fit the OpenAPI document: %s: %s: %v\n%s", method, path, e.Message, e.Reason, e.SchemaValidationErrors, text)
			}
		}
	}
	return response{got, text}
}

// want sends a request and checks its status.
func (s *service) want(status int, method, path string, role store.Role, body string) response {
	s.t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	r := s.request(method, path, s.keys[role], contentType, body)
	if r.StatusCode != status {
		s.t.Fatalf("%s %s as %s: status %d, want %d\n%s", method, path, role, r.StatusCode, status, r.body)
	}
	return r
}

// get reads as an operator.
func (s *service) get(path string, status int) response {
	s.t.Helper()
	return s.want(status, http.MethodGet, path, store.Operator, "")
}

// read decodes an answer.
func read[T any](t *testing.T, r response) (v T) {
	t.Helper()
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%v\n%s", err, r.body)
	}
	return v
}

// problem is the answer of an error.
type problem struct {
	Type     string
	Title    string
	Status   int
	Detail   string
	Instance string
	Errors   []struct{ Message, Location string }
}

// register registers NFTs of the collection "art".
func (s *service) register(ids ...string) {
	s.t.Helper()
	nfts := make([]store.NFT, len(ids))
	for i, id := range ids {
		nfts[i] = store.NFT{ID: id, Name: "Name of " + id, Collection: "art"}
	}
	_, err := s.store.PutNFTs(s.t.Context(), nfts, true, time.Now())
	must(s.t, err)
}

// vote casts a vote, given as JSON without its key.
func (s *service) vote(key, rest string) {
	s.t.Helper()
	s.want(http.StatusCreated, http.MethodPost, "/votes", store.VoterGateway, `{"key":"`+key+`",`+rest+`}`)
}

// queue hands out the steps of runs when the test says so.
type queue struct {
	mu    sync.Mutex
	steps []scheduler.Step
	work  scheduler.Work
}

func (q *queue) Insert(_ context.Context, s scheduler.Step) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.steps = append(q.steps, s)
	return nil
}

// errDriven keeps the scheduler from starting runs by itself.
var errDriven = errors.New("driven by the test")

func (q *queue) Start(_ context.Context, work scheduler.Work) error { q.work = work; return errDriven }
func (q *queue) Stop(context.Context) error                         { return nil }

// run works off all steps.
func (q *queue) run(ctx context.Context) error {
	for {
		q.mu.Lock()
		if len(q.steps) == 0 {
			q.mu.Unlock()
			return nil
		}
		step := q.steps[0]
		q.steps = q.steps[1:]
		q.mu.Unlock()
		err := q.work(ctx, step, func(ctx context.Context, _ store.Tx, next *scheduler.Step, _ time.Time) error {
			if next != nil {
				return q.Insert(ctx, *next)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// faulty is a store that fails when it is told to.
type faulty struct {
	store.Service
	mu  sync.Mutex
	err error
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
	return f.Service.View(ctx, do)
}

func (f *faulty) Update(ctx context.Context, do func(store.Tx) error) error {
	if err := f.failing(); err != nil {
		return err
	}
	return f.Service.Update(ctx, do)
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

// logged is what the service has logged.
func (s *service) logged() string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.text.String()
}

// startRun starts a run by hand and returns its number.
func (s *service) startRun() int64 {
	s.t.Helper()
	run := read[struct{ Number int64 }](s.t, s.want(http.StatusAccepted, "POST", "/runs", store.Operator, `{"size":10}`))
	return run.Number
}

// work works off all runs.
func (s *service) work() {
	s.t.Helper()
	must(s.t, s.queue.run(s.t.Context()))
}
