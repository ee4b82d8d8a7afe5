package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"poa/internal/access"
	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// keys are API keys.
type keys struct{ gateway, operator string }

// makeKeys makes keys for a database that holds none of their names.
func makeKeys(ctx context.Context, db database, now time.Time) (k keys, err error) {
	s, err := db.open(ctx)
	if err != nil {
		return k, err
	}
	for role, to := range map[store.Role]*string{store.VoterGateway: &k.gateway, store.Operator: &k.operator} {
		secret, hash := access.NewKey()
		key := store.Key{Name: "poa bench " + string(role), Role: role, Hash: hash, CreatedAt: now.UTC().Truncate(time.Microsecond), CreatedBy: "poa bench"}
		if _, err := s.(store.Service).PutKey(ctx, key); err != nil {
			return k, err
		}
		*to = secret
	}
	return k, nil
}

// client speaks HTTP with a service. It is safe for concurrent use.
type client struct {
	web  *http.Client
	url  string // http://127.0.0.1:PORT
	keys keys
	// people are the sessions of people who are signed in to the panel.
	people []*http.Cookie
}

// connections are kept alive, as many as there are callers. None follows a
// redirect: to be sent to the sign-in page is a failure here.
func connections(callers int) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: callers, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// call sends a request and returns the body of its answer, which must have the
// status wanted. The body of the request is JSON, nil for none.
func (c *client) call(ctx context.Context, method, path, key string, body []byte, want int) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.web.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != want {
		err = fmt.Errorf("%s %s: status %d: %s", method, path, answer.StatusCode, text)
	}
	return text, err
}

// get reads what an operator may see.
func (c *client) get(ctx context.Context, path string, into any) error {
	text, err := c.call(ctx, http.MethodGet, "/api/v1"+path, c.keys.operator, nil, http.StatusOK)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// castOne casts a new vote and reports whether a score was published with it.
func (c *client) castOne(ctx context.Context, vote []byte) (published bool, err error) {
	answer, err := c.call(ctx, http.MethodPost, "/api/v1/votes", c.keys.gateway, vote, http.StatusCreated)
	return bytes.Contains(answer, []byte(`"score":{`)), err
}

// castMany casts n new votes in one request.
func (c *client) castMany(ctx context.Context, votes []byte, n int) error {
	answer, err := c.call(ctx, http.MethodPost, "/api/v1/votes/batch", c.keys.gateway, votes, http.StatusOK)
	if err == nil && !bytes.Contains(answer, fmt.Appendf(nil, `"recorded":%d,`, n)) {
		err = fmt.Errorf("not all of %d votes were recorded: %.1000s", n, answer)
	}
	return err
}

// statements returns how many statements the service has sent.
func (c *client) statements(ctx context.Context) (float64, error) {
	text, err := c.call(ctx, http.MethodGet, "/metrics", c.keys.operator, nil, http.StatusOK)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "poa_database_statements_total "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the service does not tell how many statements it sent")
}

// voteText is a vote as clients send it.
type voteText struct {
	Key     string    `json:"key"`
	Voter   string    `json:"voter"`
	Kind    string    `json:"kind"`
	A       string    `json:"a"`
	B       string    `json:"b,omitempty"`
	Outcome string    `json:"outcome,omitempty"`
	Super   bool      `json:"super,omitempty"`
	Value   *float64  `json:"value,omitempty"`
	CastAt  time.Time `json:"cast_at"`
}

func asText(v *ledger.Vote) voteText {
	t := voteText{Key: v.Key, Voter: v.Voter, Kind: v.Kind.String(), A: v.A, B: v.B, Super: v.Super, CastAt: v.CastAt}
	switch v.Kind {
	case scoring.Matchup:
		t.Outcome = v.Outcome.String()
	case scoring.Slider:
		t.Value = &v.Value
	}
	return t
}

// requestOf returns the body of a request with one vote.
func requestOf(vote *ledger.Vote) ([]byte, error) {
	body, err := json.Marshal(asText(vote))
	if err != nil {
		return nil, fmt.Errorf("writing vote %q as JSON: %w", vote.Key, err)
	}
	return body, nil
}

// requestEach returns the bodies of requests with a vote each.
func requestEach(votes []ledger.Vote) (bodies [][]byte, err error) {
	bodies = make([][]byte, len(votes))
	for i := range votes {
		if bodies[i], err = requestOf(&votes[i]); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

// requestOfAll returns the body of a request with all votes.
func requestOfAll(votes []ledger.Vote) ([]byte, error) {
	texts := make([]voteText, len(votes))
	for i := range votes {
		texts[i] = asText(&votes[i])
	}
	body, err := json.Marshal(texts)
	if err != nil {
		return nil, fmt.Errorf("writing votes as JSON: %w", err)
	}
	return body, nil
}
