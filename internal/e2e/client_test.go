package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// keys are API keys, one of each role.
type keys struct{ gateway, operator, viewer string }

func makeKeys(t *testing.T, database string) keys {
	t.Helper()
	create := func(role string) string {
		return strings.TrimSpace(must(t, database, "key", "create", "--role", role, "--name", "test "+role))
	}
	return keys{create("voter-gateway"), create("operator"), create("viewer")}
}

// web are the connections of a test's clients.
func web(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 200}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// reply is an answer over HTTP.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.status, r.body) }

// send sends a request with a body as JSON, nil for none.
func send(ctx context.Context, c *http.Client, method, url, key string, body any) (reply, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return reply{}, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, answer.Header, text}, err
}

// api is a process as its clients see it.
type api struct {
	t    *testing.T
	web  *http.Client
	keys keys
}

// call sends a request that must succeed, with the key of an operator, and
// reads the answer into v unless that is nil.
func (a api) call(p *process, method, path string, body, v any) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	r, err := send(ctx, a.web, method, p.url+"/api/v1"+path, a.keys.operator, body)
	if err == nil && r.status >= 300 {
		err = fmt.Errorf("%s", r)
	}
	if err == nil && v != nil {
		err = json.Unmarshal(r.body, v)
	}
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// ask is call for a GET while processes and databases come and go: it is false
// where there is no answer now.
func (a api) ask(p *process, path string, v any) bool {
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	r, err := send(ctx, a.web, http.MethodGet, p.url+"/api/v1"+path, a.keys.operator, nil)
	if err != nil {
		return false
	}
	if problem := temporary(r); r.status != http.StatusOK {
		if problem != nil {
			a.t.Errorf("GET %s: %v", path, problem)
		}
		return false
	}
	return json.Unmarshal(r.body, v) == nil
}

// temporary returns nil for an answer that clearly says to try again.
func temporary(r reply) error {
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	switch err := json.Unmarshal(r.body, &problem); {
	case r.status != http.StatusServiceUnavailable:
		return fmt.Errorf("status %s, want 503", r)
	case r.header.Get("Retry-After") == "":
		return fmt.Errorf("503 without Retry-After: %s", r.body)
	case r.header.Get("Content-Type") != "application/problem+json" || err != nil || problem.Status != r.status || problem.Detail == "":
		return fmt.Errorf("503 that is no problem document: %s %s", r.header.Get("Content-Type"), r.body)
	}
	return nil
}

// register registers NFTs n0, n1, … in three collections.
func (a api) register(p *process, n int) {
	a.t.Helper()
	type nft struct {
		ID         string `json:"id"`
		Collection string `json:"collection"`
	}
	list := make([]nft, n)
	for i := range list {
		list[i] = nft{nftID(i), fmt.Sprintf("c%d", i%3)}
	}
	a.call(p, "POST", "/nfts", list, nil)
}

func nftID(i int) string { return fmt.Sprintf("n%d", i) }

// vote is a vote as JSON.
type vote struct {
	Key     string   `json:"key"`
	Voter   string   `json:"voter"`
	Kind    string   `json:"kind"`
	A       string   `json:"a"`
	B       string   `json:"b,omitempty"`
	Outcome string   `json:"outcome,omitempty"`
	Super   bool     `json:"super,omitempty"`
	Value   *float64 `json:"value,omitempty"`
	CastAt  string   `json:"cast_at,omitempty"`
}

// answer is what became of a vote.
type answer struct {
	Number    int64
	Duplicate bool
	Triggered []struct{ NFT, Reason, Deferred string }
}

// cast casts a vote that must count.
func (a api) cast(p *process, v vote) answer {
	a.t.Helper()
	r, err := send(a.t.Context(), a.web, "POST", p.url+"/api/v1/votes", a.keys.gateway, v)
	var got answer
	if err == nil && r.status != http.StatusCreated {
		err = fmt.Errorf("%s", r)
	}
	if err == nil {
		err = json.Unmarshal(r.body, &got)
	}
	if err != nil {
		a.t.Fatalf("casting %+v: %v", v, err)
	}
	return got
}

// batchRun is a run as JSON.
type batchRun struct {
	Number             int64
	Kind, Name, State  string
	Holder, Reason     string
	Total, Done        int64
	Changed, Failed    int64
	CreatedAt, EndedAt time.Time
}

func (r *batchRun) UnmarshalJSON(text []byte) error {
	type plain batchRun
	times := struct {
		*plain
		CreatedAt time.Time `json:"created_at"`
		EndedAt   time.Time `json:"ended_at"`
	}{plain: (*plain)(r)}
	err := json.Unmarshal(text, &times)
	r.CreatedAt, r.EndedAt = times.CreatedAt, times.EndedAt
	return err
}

// runs returns the latest runs of a kind, newest first, and none where there is
// no answer now.
func (a api) runs(p *process, kind string) []batchRun {
	var page struct{ Items []batchRun }
	a.ask(p, "/runs?limit=100&kind="+kind, &page)
	return page.Items
}

// event is an event of the live stream.
type event struct {
	ID, Kind string
	Data     struct {
		Number            int64
		NFT, Reason, Who  string
		Detail, Kind      string
		Run, Vote, Missed int64
	}
}

// listener follows the live stream of a process. Where it is cut off it comes
// back with the id of the last event, as browsers do.
type listener struct {
	wg sync.WaitGroup

	mu     sync.Mutex // guards what follows
	events []event
}

// listen begins to listen. The listener ends with the test, at the latest.
func (a api) listen(ctx context.Context, url func() string) *listener {
	l := &listener{}
	ctx, cancel := context.WithCancel(ctx)
	a.t.Cleanup(func() { cancel(); l.wg.Wait() })
	l.wg.Go(func() {
		last := ""
		for ctx.Err() == nil {
			last = l.follow(ctx, a, url()+"/api/v1/stream", last)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return l
}

// follow reads one connection to its end and returns the last id seen.
func (l *listener) follow(ctx context.Context, a api, url, last string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		a.t.Error(err)
		return last
	}
	request.Header.Set("Authorization", "Bearer "+a.keys.viewer)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	got, err := a.web.Do(request)
	if err != nil {
		return last
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(got.Body)
		if err := temporary(reply{got.StatusCode, got.Header, text}); err != nil {
			a.t.Errorf("the live stream: %v", err)
		}
		return last
	}
	var e event
	for lines := bufio.NewScanner(got.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			e.ID, last = value, value
		case "event":
			e.Kind = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e.Data); err != nil {
				a.t.Errorf("the live stream: %s: %v", value, err)
			}
		case "":
			if e.Kind != "" {
				l.mu.Lock()
				l.events = append(l.events, e)
				l.mu.Unlock()
			}
			e = event{}
		}
	}
	return last
}

// saw reports whether an event came for which is is true.
func (l *listener) saw(is func(event) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if is(e) {
			return true
		}
	}
	return false
}

// metric returns the value of a metric without labels, -1 where it is not told.
func (a api) metric(p *process, name string) float64 {
	a.t.Helper()
	r, err := send(a.t.Context(), a.web, http.MethodGet, p.url+"/metrics", a.keys.viewer, nil)
	if err != nil || r.status != http.StatusOK {
		a.t.Fatalf("/metrics: %s, %v", r, err)
	}
	for line := range strings.Lines(string(r.body)) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				a.t.Fatal(err)
			}
			return value
		}
	}
	return -1
}
