package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"poa/internal/access"
	"poa/internal/api"
	"poa/internal/live"
	"poa/internal/servicetest"
	"poa/internal/store"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// service is a service under test, on a database of its own.
type service struct {
	*httptest.Server
	*servicetest.Service
	t         *testing.T
	store     *servicetest.Faulty
	keys      map[store.Role]string
	validator validator.Validator
}

// options of a service under test.
type options struct {
	access  access.Settings
	timeout time.Duration
	store   servicetest.Store // nil: SQLite
	now     func() time.Time  // nil: time.Now
	people  access.Sessions
}

func start(t *testing.T, change ...func(*options)) *service {
	t.Helper()
	o := options{access: access.Defaults()}
	o.access.VoterPerMinute = 0
	for _, f := range change {
		f(&o)
	}
	if o.store == nil {
		o.store = sqlitetest.New(t)
	}
	s := &service{t: t, store: &servicetest.Faulty{Store: o.store}}
	s.Service = servicetest.New(t, s.store, o.now)
	guard, err := access.New(s.store, o.people, o.access, nil, s.Log)
	must(t, err)
	stream := live.New(s.store, live.Options{Log: s.Log})
	stream.Start()
	handler, err := api.New(api.Options{
		Store: s.store, Votes: s.Ledger, Runs: s.Scheduler, Settings: s.Settings, Guard: guard, Stream: stream, Version: "test", Timeout: o.timeout, Log: s.Log,
	})
	must(t, err)
	s.Server = httptest.NewServer(api.Outer(handler, guard, s.Log, time.Now))
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		must(t, stream.Stop(stop))
		s.Close()
	})
	s.keys = s.Keys()
	document, err := libopenapi.NewDocument(s.get("/openapi.json", http.StatusOK).body)
	must(t, err)
	v, errs := validator.NewValidator(document)
	must(t, errors.Join(errs...))
	s.validator = v
	return s
}

// onBoth runs a test on each kind of database.
func onBoth(t *testing.T, test func(t *testing.T, s *service)) {
	servicetest.OnBoth(t, func(t *testing.T, st servicetest.Store) {
		test(t, start(t, func(o *options) { o.store = st }))
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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

// startRun starts a run by hand and returns its number.
func (s *service) startRun() int64 {
	s.t.Helper()
	run := read[struct{ Number int64 }](s.t, s.want(http.StatusAccepted, "POST", "/runs", store.Operator, `{"size":10}`))
	return run.Number
}

// work works off all runs.
func (s *service) work() {
	s.t.Helper()
	must(s.t, s.Queue.Run(s.t.Context()))
}
