package api_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"poa/internal/access"
	"poa/internal/api"
	"poa/internal/ledger"
	"poa/internal/store"
)

// document is the part of an OpenAPI document that tests walk through.
type document struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string                `json:"operationId"`
		Need        string                `json:"x-need"`
		Security    []map[string][]string `json:"security"`
		Responses   map[string]any        `json:"responses"`
	}
}

func TestDocumentIsValid(t *testing.T) {
	s := start(t)
	if ok, errs := s.validator.ValidateDocument(); !ok {
		for _, e := range errs {
			t.Errorf("%s: %s: %v", e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
	doc := read[document](t, s.get("/openapi.json", 200))
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("version %s", doc.OpenAPI)
	}
}

// TestRolesAtEveryRoute sends a request to every operation of the document
// without a key, with an unknown one and with one of each role.
func TestRolesAtEveryRoute(t *testing.T) {
	for _, public := range []bool{false, true} {
		s := start(t, func(o *options) { o.access.PublicReads = public })
		s.validator = nil // the requests are empty
		s.register("c/1")
		s.startRun()
		s.work()
		doc := read[document](t, s.get("/openapi.json", 200))
		seen := 0
		for path, item := range doc.Paths {
			path = strings.NewReplacer("{id}", "c%2F1", "{number}", "1").Replace(path)
			for method, op := range item {
				seen++
				need := access.Need(op.Need)
				if len(need.Roles()) == 0 {
					t.Fatalf("%s needs %q, which no role has", op.OperationID, op.Need)
				}
				status := func(key string) int {
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					r, err := http.NewRequestWithContext(ctx, strings.ToUpper(method), s.URL+path, nil)
					must(t, err)
					if key != "" {
						r.Header.Set("Authorization", "Bearer "+key)
					}
					got, err := s.Client().Do(r)
					must(t, err)
					must(t, got.Body.Close()) // not read: the stream has no end
					return got.StatusCode
				}
				open := need == access.Read && public
				if got := status(""); (got == http.StatusUnauthorized) == open {
					t.Errorf("%s without a key: status %d (reads public: %v)", op.OperationID, got, public)
				}
				if got := status("poa_" + strings.Repeat("x", 43)); got != http.StatusUnauthorized {
					t.Errorf("%s with an unknown key: status %d", op.OperationID, got)
				}
				for _, role := range access.Roles() {
					got, allowed := status(s.keys[role]), slices.Contains(need.Roles(), role)
					if (got != http.StatusForbidden) != allowed || got == http.StatusUnauthorized || got >= 500 {
						t.Errorf("%s as %s: status %d, allowed is %v", op.OperationID, role, got, allowed)
					}
				}
			}
		}
		if seen < 35 {
			t.Errorf("only %d operations are documented", seen)
		}
	}
}

func TestWhatNobodyServes(t *testing.T) {
	s := start(t)
	s.validator = nil // the document does not have these
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{ // the type is path_unknown or method_not_allowed
		{"GET", "/api/v1/nothing", 404, ""},
		{"GET", "/api/v1/", 404, ""},
		{"GET", "/api/v1/nfts//score", 404, ""},
		{"GET", "/api/v1/nfts/c/1", 404, ""}, // not encoded
		{"GET", "/api/v1/../v1/nfts", 404, ""},
		{"GET", "/api/v1/votes", 405, "POST"},
		{"DELETE", "/api/v1/nfts", 405, "GET, HEAD, POST"},
		{"POST", "/api/v1/stream", 405, "GET"},
	} {
		r := s.request(c.method, c.path, s.keys[store.Operator], "", "")
		p := read[problem](t, r)
		code := map[int]string{404: "path_unknown", 405: "method_not_allowed"}[c.status]
		if r.StatusCode != c.status || p.Status != c.status || r.Header.Get("Allow") != c.allow || r.Header.Get("Content-Type") != "application/problem+json" ||
			p.Type != "urn:poa:problem:"+code || p.Instance != "urn:poa:request:"+r.Header.Get("X-Request-Id") {
			t.Errorf("%s %s: %d, allow %q, %+v", c.method, c.path, r.StatusCode, r.Header.Get("Allow"), p)
		}
	}
}

// TestWhatDoesNotFit sees that a request that no handler gets to see is told
// like any other problem: with a code, its request, and words for people.
func TestWhatDoesNotFit(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		name, method, path, contentType, body string
		status                                int
		code, detail                          string
	}{
		{"body too large", "POST", "/votes", "application/json", strings.Repeat(" ", 64<<10+1), 413, "body_too_large", "the body must be at most 65536 bytes"},
		{"many votes too large", "POST", "/votes/batch", "application/json", strings.Repeat(" ", 8<<20+1), 413, "body_too_large", "the body must be at most 8388608 bytes"},
		{"a vote that is no JSON", "POST", "/votes", "text/csv", "a,b", 415, "media_type_unsupported", "the body must be application/json"},
		{"a change that is no JSON", "PATCH", "/settings", "text/csv", "a,b", 415, "media_type_unsupported", "the body must be application/json"},
		{"no vote", "POST", "/votes", "application/json", "", 400, "malformed", "the request needs a body"},
		{"no change", "PATCH", "/settings", "application/json", "", 400, "malformed", "the request needs a body"},
		{"broken JSON", "PATCH", "/settings", "application/json", "{", 400, "malformed", ""},
		{"limit too high", "GET", "/nfts?limit=1000", "", "", 422, "invalid_request", "limit: expected number <= 200"},
		{"no number", "GET", "/runs/one", "", "", 422, "invalid_request", "number: "},
		{"unknown parameter", "GET", "/nfts?colour=red", "", "", 422, "invalid_request", "colour: "},
		{"two things", "GET", "/nfts?limit=0&no_collection=perhaps", "", "", 422, "invalid_request", "the request does not fit what the operation takes; each problem is listed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			role := store.Operator
			if strings.HasPrefix(c.path, "/votes") {
				role = store.VoterGateway
			}
			r := s.request(c.method, c.path, s.keys[role], c.contentType, c.body)
			p := read[problem](t, r)
			if r.StatusCode != c.status || p.Status != c.status || p.Type != "urn:poa:problem:"+c.code || !strings.HasPrefix(p.Detail, c.detail) ||
				p.Instance != "urn:poa:request:"+r.Header.Get("X-Request-Id") {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		})
	}
}

// TestErrorsOfTheStore sees that each error of the database is told as what it
// is, and that nothing of it is shown.
func TestErrorsOfTheStore(t *testing.T) {
	s := start(t)
	s.register("c/1", "c/2")
	secret := errors.New("relation secret_table does not exist")
	for _, c := range []struct {
		name   string
		err    error
		status int
		retry  string
		code   string
	}{
		{"unavailable", store.ErrUnavailable, 503, "5", "database_unavailable"},
		{"contention", store.ErrContention, 503, "1", "try_again"},
		{"outcome unknown", store.ErrOutcomeUnknown, 503, "1", "outcome_unknown"},
		{"refused data", store.ErrData, 422, "", "invalid_text"},
		{"not found", store.ErrNotFound, 404, "", "not_found"},
		{"anything else", nil, 500, "", "internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			s.store.Fail(errors.Join(c.err, secret))
			defer s.store.Fail(nil)
			r := s.request("GET", "/nfts/c%2F1", s.keys[store.Operator], "", "", "X-Request-Id", "mine-"+c.code)
			p := read[problem](t, r)
			if r.StatusCode != c.status || r.Header.Get("Retry-After") != c.retry || p.Type != "urn:poa:problem:"+c.code {
				t.Errorf("status %d, retry after %q, %+v", r.StatusCode, r.Header.Get("Retry-After"), p)
			}
			if strings.Contains(string(r.body), "secret") {
				t.Errorf("the inside is shown: %s", r.body)
			}
			if p.Instance != "urn:poa:request:mine-"+c.code {
				t.Errorf("instance %q", p.Instance)
			}
		})
	}
	if n := strings.Count(s.Logged.String(), "secret_table"); n != 4 { // three temporary ones and the internal one
		t.Errorf("the log tells %d errors:\n%s", n, s.Logged.String())
	}
}

func TestVotesWhileTheDatabaseIsAway(t *testing.T) {
	s := start(t)
	s.register("c/1", "c/2")
	s.store.Fail(store.ErrUnavailable)
	r := s.want(http.StatusServiceUnavailable, "POST", "/votes", store.VoterGateway, `{"key":"k",`+matchup+`}`)
	if r.Header.Get("Retry-After") == "" {
		t.Error("without Retry-After")
	}
	s.store.Fail(nil)
	s.vote("k", matchup)
}

func TestVotesOfAClosedLedger(t *testing.T) {
	s := start(t)
	s.register("c/1", "c/2")
	must(t, s.Ledger.Close(t.Context()))
	p := read[problem](t, s.want(http.StatusServiceUnavailable, "POST", "/votes", store.VoterGateway, `{"key":"k",`+matchup+`}`))
	if p.Type != "urn:poa:problem:"+string(ledger.CodeTryAgain) {
		t.Errorf("%+v", p)
	}
}

func TestARequestThatTakesTooLong(t *testing.T) {
	s := start(t, func(o *options) { o.timeout = time.Nanosecond })
	p := read[problem](t, s.want(http.StatusServiceUnavailable, "GET", "/collections", store.Operator, ""))
	if p.Type != "urn:poa:problem:timeout" {
		t.Errorf("%+v", p)
	}
}

func TestETags(t *testing.T) {
	s := start(t)
	s.register("c/1", "c/2")
	s.vote("k1", matchup)
	first := s.get("/leaderboard", 200)
	tag := first.Header.Get("ETag")
	if !strings.HasPrefix(tag, `W/"`) {
		t.Fatalf("ETag %q", tag)
	}
	for _, has := range []string{tag, `"other", ` + tag, strings.TrimPrefix(tag, "W/"), "*"} {
		if r := s.request("GET", "/leaderboard", s.keys[store.Operator], "", "", "If-None-Match", has); r.StatusCode != http.StatusNotModified || len(r.body) > 0 || r.Header.Get("ETag") != tag {
			t.Errorf("with %s: status %d, %d bytes", has, r.StatusCode, len(r.body))
		}
	}
	s.vote("k2", `"voter":"bob","kind":"matchup","a":"c/1","b":"c/2","outcome":"a","super":true`)
	if r := s.request("GET", "/leaderboard", s.keys[store.Operator], "", "", "If-None-Match", tag); r.StatusCode != 200 {
		t.Errorf("after a vote: status %d", r.StatusCode)
	}
	if r := s.get("/nfts/nobody", 404); r.Header.Get("ETag") != "" {
		t.Error("a problem has an ETag")
	}
}

func TestCompression(t *testing.T) {
	s := start(t)
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+api.Prefix+"/docs", nil)
	must(t, err)
	r.Header.Set("Accept-Encoding", "gzip")
	got, err := s.Client().Do(r)
	must(t, err)
	defer got.Body.Close()
	if got.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("encoding %q", got.Header.Get("Content-Encoding"))
	}
	plain, err := gzip.NewReader(got.Body)
	must(t, err)
	text, err := io.ReadAll(plain)
	must(t, err)
	if string(text) != string(s.get("/docs", 200).body) {
		t.Error("the compressed page differs")
	}
}

// TestPage sees that the page shows every operation and takes nothing from
// elsewhere.
func TestPage(t *testing.T) {
	s := start(t)
	r := s.want(200, "GET", "/docs", "", "")
	page := string(r.body)
	for path, item := range read[document](t, s.get("/openapi.json", 200)).Paths {
		for _, op := range item {
			if !strings.Contains(page, `id="`+op.OperationID+`"`) || !strings.Contains(page, path) {
				t.Errorf("the page lacks %s %s", op.OperationID, path)
			}
		}
	}
	if !strings.Contains(page, "Entries of a page (from 1 to 200; 50 where it is left out)") {
		t.Error("the page does not say how many entries a page has")
	}
	for _, no := range []string{"<script", "http://", "https://", "style="} {
		if strings.Contains(page, no) {
			t.Errorf("the page holds %s", no)
		}
	}
	if csp := r.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'") {
		t.Errorf("policy %q", csp)
	}
	s.want(200, "GET", "/docs/style.css", "", "")
}

func TestRequestIDs(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		sent string
		kept bool
	}{{"abc-123_X.y:z", true}, {"", false}, {"two words", false}, {"line\tbreak", false}, {strings.Repeat("x", 65), false}} {
		r := s.request("GET", "/self", s.keys[store.Viewer], "", "", "X-Request-Id", c.sent)
		if got := r.Header.Get("X-Request-Id"); (got == c.sent) != c.kept || got == "" {
			t.Errorf("sent %q, got %q", c.sent, got)
		} else if !strings.Contains(s.Logged.String(), "request="+got) {
			t.Errorf("%s is not in the log", got)
		}
	}
	for _, key := range s.keys {
		if strings.Contains(s.Logged.String(), key) {
			t.Error("a key is in the log")
		}
	}
}

func TestRates(t *testing.T) {
	s := start(t, func(o *options) {
		o.access.KeyPerMinute, o.access.VoterPerMinute, o.access.AnonymousPerMinute, o.access.PublicReads = 10, 2, 4, true
	})
	s.register("c/1", "c/2")
	body := `[` + strings.Join(slices.Repeat([]string{`{"key":"k1",` + matchup + `}`}, 3), ",") + `]`
	m := read[many](t, s.want(200, "POST", "/votes/batch", store.VoterGateway, body)) // three of ten, and two of the voter's
	if m.Recorded != 1 || m.Duplicates != 1 || m.Items[2].Status != http.StatusTooManyRequests {
		t.Errorf("%+v", m)
	}
	r := s.want(http.StatusTooManyRequests, "POST", "/votes", store.VoterGateway, `{"key":"k2",`+matchup+`}`)
	if r.Header.Get("Retry-After") == "" || read[problem](t, r).Type != "urn:poa:problem:rate_limited" {
		t.Errorf("%v\n%s", r.Header, r.body)
	}
	s.want(200, "POST", "/votes/batch", store.VoterGateway, `[1,2,3,4,5,6]`) // the last six
	s.want(http.StatusTooManyRequests, "POST", "/votes/batch", store.VoterGateway, `[]`)
	s.want(200, "GET", "/self", store.Viewer, "") // another key
	got := 0
	for range 8 {
		if r := s.request("GET", "/leaderboard", "", "", ""); r.StatusCode == http.StatusTooManyRequests {
			got++
		}
	}
	if got < 4 {
		t.Errorf("of 8 anonymous requests %d were refused", got)
	}
}

func TestRevokedKey(t *testing.T) {
	s := start(t)
	key := s.NewKey(store.Viewer, "short-lived")
	must(t, s.store.RevokeKey(t.Context(), "short-lived", time.Now()))
	if r := s.request("GET", "/self", key, "", ""); r.StatusCode != http.StatusUnauthorized || r.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("status %d", r.StatusCode)
	}
}

// always has the same person signed in.
type always struct{ person store.Person }

func (s always) Person(*http.Request, func() error) (*store.Person, error) { return &s.person, nil }

// TestAllowedOriginsAreNotForThisAPI: a page of an origin that may use the old
// admin API can send a request without a body, and is not asked beforehand. It
// does nothing here for who is signed in.
func TestAllowedOriginsAreNotForThisAPI(t *testing.T) {
	s := start(t, func(o *options) {
		o.access.AllowedOrigins = "https://game.example"
		o.people = always{store.Person{Number: 1, Name: "otto", Role: store.Operator}}
	})
	s.register("a")
	for origin, want := range map[string]int{"": 200, s.URL: 200, "https://game.example": 403, "https://other.example": 403} {
		var headers []string
		if origin != "" {
			headers = []string{"Origin", origin}
		}
		got := s.request("POST", "/nfts/a/compute", "", "", "", headers...)
		if got.StatusCode != want || (want == 403) != strings.Contains(string(got.body), "cross_origin") {
			t.Errorf("from %q: status %d, want %d\n%s", origin, got.StatusCode, want, got.body)
		}
	}
}
