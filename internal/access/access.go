// Package access says who may do what over HTTP: API keys and signed-in people
// with their roles, rates, and the addresses of clients behind proxies.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"poa/internal/store"
)

// Need is what a request asks for.
type Need string

// The needs.
const (
	Anyone  Need = "anyone"  // nothing: pages for those who are not signed in
	Read    Need = "read"    // scores: any key or person, and anybody where reads are public
	View    Need = "view"    // what happens inside: viewer, operator
	Operate Need = "operate" // operator
	Cast    Need = "cast"    // votes: voter-gateway
)

// Roles are the roles that satisfy a need.
func (n Need) Roles() []store.Role {
	switch n {
	case Anyone, Read:
		return Roles()
	case View:
		return []store.Role{store.Viewer, store.Operator}
	case Operate:
		return []store.Role{store.Operator}
	case Cast:
		return []store.Role{store.VoterGateway}
	}
	return nil
}

// Errors of Authorize. Others are those of the store.
var (
	// ErrNoKey: a key is needed and none was sent.
	ErrNoKey = errors.New("an API key is needed: send it as Authorization: Bearer KEY")
	// ErrBadKey: the key is unknown or revoked.
	ErrBadKey = errors.New("the API key is unknown or revoked")
	// ErrCrossOrigin: a signed-in person's browser was sent by another site to
	// change something.
	ErrCrossOrigin = errors.New("the request came from another site; it may change things only from the panel's own pages, or with an API key")
)

// Forbidden is the error of a key or person whose role does not suffice.
type Forbidden struct {
	Role store.Role
	Need Need
}

func (e *Forbidden) Error() string {
	var names []string
	for _, r := range e.Need.Roles() {
		names = append(names, string(r))
	}
	return fmt.Sprintf("role %s is needed, yours is %s", strings.Join(names, " or "), e.Role)
}

// TooMany is the error of a client that exceeds its rate.
type TooMany struct {
	Who  string // the key, person, voter or client, for people
	Wait time.Duration
}

func (e *TooMany) Error() string {
	return fmt.Sprintf("too many requests or votes of %s: wait %s", e.Who, e.Wait)
}

// Settings say what clients may do.
type Settings struct {
	PublicReads        bool   `koanf:"public_reads" json:"public_reads"`
	KeyPerMinute       int    `koanf:"key_per_minute" json:"key_per_minute"`
	PersonPerMinute    int    `koanf:"person_per_minute" json:"person_per_minute"`
	VoterPerMinute     int    `koanf:"voter_per_minute" json:"voter_per_minute"`
	AnonymousPerMinute int    `koanf:"anonymous_per_minute" json:"anonymous_per_minute"`
	TrustedProxies     string `koanf:"trusted_proxies" json:"trusted_proxies"`
	AllowedOrigins     string `koanf:"allowed_origins" json:"allowed_origins"` // see ParseOrigins
}

// Defaults returns the settings where nothing is said.
func Defaults() Settings {
	return Settings{KeyPerMinute: 600_000, PersonPerMinute: 3000, VoterPerMinute: 120, AnonymousPerMinute: 600}
}

// Validate reports every setting out of its range, joined.
func (s Settings) Validate() error {
	var errs []error
	for _, limit := range []struct {
		name  string
		value int
	}{{"key_per_minute", s.KeyPerMinute}, {"person_per_minute", s.PersonPerMinute}, {"voter_per_minute", s.VoterPerMinute}, {"anonymous_per_minute", s.AnonymousPerMinute}} {
		if limit.value < 0 {
			errs = append(errs, fmt.Errorf("%s: must not be negative, is %d", limit.name, limit.value))
		}
	}
	if _, err := ParseProxies(s.TrustedProxies); err != nil {
		errs = append(errs, fmt.Errorf("trusted_proxies: %w", err))
	}
	if _, err := ParseOrigins(s.AllowedOrigins); err != nil {
		errs = append(errs, fmt.Errorf("allowed_origins: %w", err))
	}
	return errors.Join(errs...)
}

const (
	// trusted is how long a key is believed after it was looked up: the time a
	// revocation takes to be in force.
	trusted = 3 * time.Second
	// maxTrusted is how many keys are kept.
	maxTrusted = 10_000
	// touchEvery is how often the times of last use are written.
	touchEvery = time.Minute
	// Names whose rates are remembered.
	keptVoters, keptAddresses = 100_000, 50_000
)

// Client is who sent a request.
type Client struct {
	Key     *store.Key    // nil: none was sent
	Person  *store.Person // nil: nobody is signed in, or a key was sent
	Address netip.Addr
}

// Name names the client in logs and audits: the key's or person's name, "" for
// anonymous.
func (c *Client) Name() string {
	switch {
	case c.Key != nil:
		return c.Key.Name
	case c.Person != nil:
		return c.Person.Name
	}
	return ""
}

// Role is the role of the key or person, "" for anonymous.
func (c *Client) Role() store.Role {
	switch {
	case c.Key != nil:
		return c.Key.Role
	case c.Person != nil:
		return c.Person.Role
	}
	return ""
}

// Sessions know who is signed in.
type Sessions interface {
	// Person returns who is signed in with a request, nil for nobody. It calls
	// before, and returns its error, before it looks a session up that it has
	// not seen lately.
	Person(r *http.Request, before func() error) (*store.Person, error)
}

// Guard decides about requests. Its methods are safe for concurrent use.
type Guard struct {
	store     store.Service
	sessions  Sessions // nil: nobody signs in
	settings  Settings
	proxies   Proxies
	origins   Origins
	own       *http.CrossOriginProtection // lets through what the panel's own pages send
	shared    *http.CrossOriginProtection // and what those of origins send
	now       func() time.Time
	log       *slog.Logger
	keys      *Limits
	people    *Limits
	voters    *Limits
	anonymous *Limits
	uses      *Uses // of keys

	mu    sync.Mutex // guards what follows
	known map[[sha256.Size]byte]known
}

// known is a key that was looked up.
type known struct {
	key   store.Key
	until time.Time
}

// New returns a guard. sessions, now and log may be nil.
func New(st store.Service, sessions Sessions, s Settings, now func() time.Time, log *slog.Logger) (*Guard, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	proxies, err := ParseProxies(s.TrustedProxies)
	if err != nil {
		return nil, err
	}
	origins, err := ParseOrigins(s.AllowedOrigins)
	if err != nil {
		return nil, err
	}
	shared := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if err := shared.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("allowed_origins: %w", err)
		}
	}
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Guard{
		store: st, sessions: sessions, settings: s, proxies: proxies, origins: origins, own: http.NewCrossOriginProtection(), shared: shared, now: now, log: log,
		keys: NewLimits(s.KeyPerMinute, maxTrusted), people: NewLimits(s.PersonPerMinute, maxTrusted), voters: NewLimits(s.VoterPerMinute, keptVoters),
		anonymous: NewLimits(s.AnonymousPerMinute, keptAddresses),
		uses:      NewUses("the last uses of API keys", func(ctx context.Context, last map[int64]time.Time) error { return st.TouchKeys(ctx, last) }, log),
		known:     map[[sha256.Size]byte]known{},
	}, nil
}

// Start begins to write when keys were last used, every minute.
func (g *Guard) Start() { g.uses.Start(touchEvery) }

// Stop writes the last uses and ends what Start began.
func (g *Guard) Stop(ctx context.Context) { g.uses.Stop(ctx) }

// Client returns the address of a request's client. Authorize it to know more.
func (g *Guard) Client(r *http.Request) Client { return Client{Address: g.proxies.Client(r)} }

// Secure reports whether a request came by TLS, to this process or to a trusted
// proxy that says so.
func (g *Guard) Secure(r *http.Request) bool { return g.proxies.Secure(r) }

// Authorize returns who sent a request, if it may have what it needs and comes
// within the client's rate: ErrNoKey, ErrBadKey, ErrCrossOrigin, *Forbidden,
// *TooMany, or the error of the store where a key or session could not be
// looked up. A key counts before a session.
//
// The client is filled in as far as known also with an error.
func (g *Guard) Authorize(r *http.Request, need Need) (Client, error) {
	return g.authorize(r, need, g.own)
}

// AuthorizeShared is Authorize for paths on which pages of AllowedOrigins may
// act for who is signed in.
func (g *Guard) AuthorizeShared(r *http.Request, need Need) (Client, error) {
	return g.authorize(r, need, g.shared)
}

func (g *Guard) authorize(r *http.Request, need Need, cross *http.CrossOriginProtection) (Client, error) {
	c := g.Client(r)
	role, err := g.identify(r, &c, cross)
	if err != nil {
		return c, err
	}
	if role == "" {
		if need != Anyone && (need != Read || !g.settings.PublicReads) {
			return c, ErrNoKey
		}
		return c, g.takeAnonymous(&c)
	}
	if err := g.Take(&c, 1); err != nil {
		return c, err
	}
	if !slices.Contains(need.Roles(), role) {
		return c, &Forbidden{role, need}
	}
	return c, nil
}

// identify finds out who sent a request, by key or session, and returns the
// role, "" for nobody.
func (g *Guard) identify(r *http.Request, c *Client, cross *http.CrossOriginProtection) (store.Role, error) {
	if text, given := bearer(r); given {
		key, err := g.lookUp(r.Context(), text, c)
		if err != nil {
			return "", err
		}
		c.Key = &key
		return key.Role, nil
	}
	if g.sessions == nil {
		return "", nil
	}
	person, err := g.sessions.Person(r, func() error { return g.takeAnonymous(c) })
	if err != nil || person == nil {
		return "", err
	}
	if err := cross.Check(r); err != nil {
		return "", ErrCrossOrigin
	}
	c.Person = person
	return person.Role, nil
}

// bearer returns the key of a request.
func bearer(r *http.Request) (string, bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", false
	}
	scheme, key, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimSpace(key), true
}

// lookUp finds a key: among those looked up a moment ago, or in the store. A
// client that tries keys is slowed down before it costs a statement each.
func (g *Guard) lookUp(ctx context.Context, text string, c *Client) (store.Key, error) {
	hash, now := hashOf(text), g.now()
	g.mu.Lock()
	k, ok := g.known[hash]
	g.mu.Unlock()
	if !ok || !now.Before(k.until) {
		if !ok {
			if err := g.takeAnonymous(c); err != nil {
				return store.Key{}, err
			}
		}
		if !isKey(text) {
			return store.Key{}, ErrBadKey
		}
		key, err := g.store.KeyByHash(ctx, hash[:])
		if errors.Is(err, store.ErrNotFound) {
			g.forget(hash)
			return store.Key{}, ErrBadKey
		}
		if err != nil {
			return store.Key{}, fmt.Errorf("looking up an API key: %w", err)
		}
		k = known{key, now.Add(trusted)}
	}
	if subtle.ConstantTimeCompare(k.key.Hash, hash[:]) != 1 {
		return store.Key{}, ErrBadKey
	}
	g.remember(hash, k)
	g.uses.Note(k.key.Number, now)
	return k.key, nil
}

func (g *Guard) remember(hash [sha256.Size]byte, k known) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) >= maxTrusted {
		clear(g.known) // each is looked up again
	}
	g.known[hash] = k
}

func (g *Guard) forget(hash [sha256.Size]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, hash)
}

// Take takes n requests or votes from the rate of a client's key or person:
// *TooMany.
func (g *Guard) Take(c *Client, n int) error {
	switch {
	case c.Key != nil:
		if wait, ok := g.keys.Take(string(c.Key.Hash), n, g.now()); !ok {
			return &TooMany{fmt.Sprintf("key %q", c.Key.Name), wait}
		}
	case c.Person != nil:
		if wait, ok := g.people.Take(c.Person.Name, n, g.now()); !ok {
			return &TooMany{c.Person.Name, wait}
		}
	default:
		return g.takeAnonymous(c)
	}
	return nil
}

// TakeVote takes a vote from the rate of a voter: *TooMany.
func (g *Guard) TakeVote(voter string) error {
	if wait, ok := g.voters.Take(voter, 1, g.now()); !ok {
		return &TooMany{fmt.Sprintf("voter %q", voter), wait}
	}
	return nil
}

func (g *Guard) takeAnonymous(c *Client) error {
	if wait, ok := g.anonymous.Take(Network(c.Address), 1, g.now()); !ok {
		return &TooMany{"this address", wait}
	}
	return nil
}

type clientKey struct{}

// With returns a context that carries who sent the request.
func With(ctx context.Context, c *Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// From returns who sent the request, an anonymous client where nobody is known.
func From(ctx context.Context) *Client {
	if c, ok := ctx.Value(clientKey{}).(*Client); ok {
		return c
	}
	return &Client{}
}
