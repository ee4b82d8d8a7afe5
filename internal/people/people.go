// Package people is about those who sign in to the panel: their passwords,
// one-time links and sessions.
package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/scs/v2"

	"poa/internal/access"
	"poa/internal/snapshot"
	"poa/internal/store"
)

// Errors of this package that are told to people.
var (
	// ErrCredentials does not say whether the name or the password is wrong.
	ErrCredentials = errors.New("the name or the password is wrong")
	// ErrPassword: the present password is not the one given.
	ErrPassword = errors.New("the present password is wrong")
	// ErrLink: the link is unknown, was used or has expired.
	ErrLink = errors.New("the link is not valid: it was used before, or it has expired")
	// ErrBusy: too many sign in at once.
	ErrBusy = errors.New("too many people are signing in at once: try again in a moment")
)

const (
	// Idle and Lifetime are how long a session lasts without a request, and in
	// all.
	Idle     = 12 * time.Hour
	Lifetime = 7 * 24 * time.Hour
	// LinkFor is how long a one-time link is valid.
	LinkFor = 24 * time.Hour
	// MinPassword and MaxPassword are the lengths of a password in characters.
	MinPassword, MaxPassword = 10, 1000

	// versionEvery is how often it is asked whether a session has ended or a
	// person has changed, at most: the time a sign-out in another process takes
	// to be in force here. Until then, and while nothing did, a session that was
	// looked up is believed until its end is to be moved.
	versionEvery = 2 * time.Second
	maxBelieved  = 10_000
	// extendEvery is how often a session's end is moved, and touchEvery how
	// often it is written who was seen.
	extendEvery = 30 * time.Minute
	touchEvery  = 5 * time.Minute
	// expireAtOnce is how many ended sessions and links go in one statement.
	expireAtOnce = 1000

	// Attempts to sign in, per minute: with one name from one network, from one
	// network, and with one name. And attempts of somebody who is signed in to
	// change their password.
	pairPerMinute, networkPerMinute, namePerMinute, changesPerMinute = 10, 30, 60, 10

	keptPairs = 20_000
)

// Options of a Service.
type Options struct {
	Store store.Service
	// Secure says whether a request came by TLS.
	Secure func(*http.Request) bool
	Now    func() time.Time // time.Now
	Log    *slog.Logger     // discarded
}

// Service knows who may sign in and who is signed in. Its methods are safe for
// concurrent use.
type Service struct {
	Options
	sessions               *scs.SessionManager
	hasher                 *hasher
	pairs, networks, names *access.Limits
	changes                *access.Limits            // of passwords, by number of the person
	version                *snapshot.Snapshot[int64] // of who has access
	seen                   *access.Uses

	mu    sync.Mutex // guards what follows
	known map[[sha256.Size]byte]known
	guest guest
}

// guest is the token with which a person enters for as long as this process
// lives, for the demo.
type guest struct {
	hash   [sha256.Size]byte
	person int64 // 0: there is none
}

// New returns a service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Secure == nil {
		o.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	s := &Service{
		Options: o, hasher: newHasher(),
		pairs: access.NewLimits(pairPerMinute, keptPairs), networks: access.NewLimits(networkPerMinute, keptPairs), names: access.NewLimits(namePerMinute, keptPairs),
		changes: access.NewLimits(changesPerMinute, keptPairs),
		known:   map[[sha256.Size]byte]known{},
	}
	s.seen = access.NewUses("who was seen", func(ctx context.Context, seen map[int64]time.Time) error { return s.Store.TouchPeople(ctx, seen) }, s.Log)
	s.version = snapshot.New(versionEvery, s.Now, func(ctx context.Context) (int64, error) { return s.Store.AccessVersion(ctx) })
	s.sessions = scs.New()
	s.sessions.Lifetime = Lifetime
	s.sessions.Store = &keeper{store: o.Store, codec: s.sessions.Codec, now: s.now}
	return s
}

// now is the time, as stored.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// Start begins to write who was seen, and to remove what has expired.
func (s *Service) Start() { s.seen.Start(touchEvery, s.expire) }

// Stop writes who was seen and ends what Start began.
func (s *Service) Stop(ctx context.Context) { s.seen.Stop(ctx) }

// expire removes ended sessions and links.
func (s *Service) expire(ctx context.Context) {
	if _, _, err := s.Store.Expire(ctx, s.now(), expireAtOnce); err != nil && ctx.Err() == nil {
		s.Log.Warn("ended sessions could not be removed; it is tried again", "err", err)
	}
}

// CheckPassword returns nil for text that can be a password.
func CheckPassword(password string) error {
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword:
		return fmt.Errorf("must have at least %d characters, has %d", MinPassword, n)
	case n > MaxPassword:
		return fmt.Errorf("must have at most %d characters", MaxPassword)
	}
	return nil
}

// Roles are the roles a person can have.
func Roles() []store.Role { return []store.Role{store.Viewer, store.Operator} }

// ParseRole returns the role of people with that name.
func ParseRole(name string) (store.Role, error) {
	for _, r := range Roles() {
		if string(r) == name {
			return r, nil
		}
	}
	return "", fmt.Errorf("must be viewer or operator, is %q", name)
}

// SignIn begins a session for who knows a person's password: ErrCredentials,
// ErrBusy, *access.TooMany, or an error of the store. It takes the same time
// whether the name, the password or both are wrong.
func (s *Service) SignIn(w http.ResponseWriter, r *http.Request, from netip.Addr, name, password string) (*store.Person, error) {
	name = strings.TrimSpace(name)
	if access.CheckName(name) != nil {
		name = "" // nobody's, like this one; nothing of it is kept or looked up
	}
	if err := s.throttle(name, from); err != nil {
		return nil, err
	}
	began := s.now() // what ends the person's sessions from here on ends this one
	person, err := s.Store.PersonByName(r.Context(), name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("looking up a person: %w", err)
	}
	found := err == nil && person.PasswordHash != "" && person.DisabledAt.IsZero()
	kept := person.PasswordHash
	if !found {
		kept = s.hasher.nobody
	}
	matches, err := s.hasher.verify(r.Context(), kept, password)
	if err != nil {
		return nil, err
	}
	if !found || !matches {
		return nil, ErrCredentials
	}
	return &person, s.begin(w, r, &person, began)
}

// throttle takes an attempt to sign in.
func (s *Service) throttle(name string, from netip.Addr) error {
	now, network := s.Now(), access.Network(from)
	for _, l := range []struct {
		limits *access.Limits
		key    string
	}{{s.pairs, network + " " + name}, {s.networks, network}, {s.names, name}} {
		if wait, ok := l.limits.Take(l.key, 1, now); !ok {
			return &access.TooMany{Who: "this name or address", Wait: wait}
		}
	}
	return nil
}

// ChangePassword sets a person's own password, who knows the present one, and
// ends all sessions: the one that asks begins anew. ErrPassword, *access.TooMany,
// ErrBusy, or what CheckPassword says.
func (s *Service) ChangePassword(w http.ResponseWriter, r *http.Request, person *store.Person, present, password string) error {
	if err := CheckPassword(password); err != nil {
		return &Invalid{"password", err}
	}
	// Who is signed in has attempts of their own, which no stranger uses up.
	if wait, ok := s.changes.Take(strconv.FormatInt(person.Number, 10), 1, s.Now()); !ok {
		return &access.TooMany{Who: person.Name, Wait: wait}
	}
	now, err := s.Store.PersonByNumber(r.Context(), person.Number)
	if err != nil {
		return fmt.Errorf("looking up a person: %w", err)
	}
	if now.PasswordHash != "" { // the demo's has none yet
		matches, err := s.hasher.verify(r.Context(), now.PasswordHash, present)
		if err != nil {
			return err
		}
		if !matches {
			return ErrPassword
		}
	}
	hash, err := s.hasher.hash(r.Context(), password)
	if err != nil {
		return err
	}
	changed, err := s.setPassword(r.Context(), now.Number, hash, func(p *store.Person) error {
		if p.PasswordHash != now.PasswordHash || !p.DisabledAt.IsZero() {
			return ErrPassword // since it was verified
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.Record(r.Context(), now.Name, "changed their password"); err != nil {
		return err
	}
	return s.begin(w, r, &changed, s.now())
}

// setPassword stores the hash of a password, if check has nothing against the
// person as it is now, and ends all sessions and links of the person.
func (s *Service) setPassword(ctx context.Context, number int64, hash string, check func(*store.Person) error) (store.Person, error) {
	p, err := s.Store.ChangePerson(ctx, number, func(p *store.Person) error {
		if err := check(p); err != nil {
			return err
		}
		p.PasswordHash = hash
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("storing a password: %w", err)
	}
	return p, s.shut(ctx, number)
}

// shut ends all sessions and links of a person.
func (s *Service) shut(ctx context.Context, number int64) error {
	if _, err := s.Store.DeleteLinks(ctx, "", number); err != nil {
		return fmt.Errorf("ending the links of a person: %w", err)
	}
	return s.endSessions(ctx, number)
}

// Invalid is an error about one thing that was entered.
type Invalid struct {
	Field string // name, password or role
	Err   error
}

func (e *Invalid) Error() string { return e.Field + " " + e.Err.Error() }
func (e *Invalid) Unwrap() error { return e.Err }

// SetRole gives a person a role, which is in force within seconds.
// store.ErrLastOperator, store.ErrNotFound. by is who does it, here and below.
func (s *Service) SetRole(ctx context.Context, number int64, role store.Role, by string) error {
	p, err := s.change(ctx, number, func(p *store.Person) { p.Role = role })
	if err != nil {
		return err
	}
	return s.Record(ctx, by, fmt.Sprintf("made %s %s", p.Name, withArticle(role)))
}

// withArticle is "a viewer" or "an operator".
func withArticle(r store.Role) string {
	if r == store.Operator {
		return "an operator"
	}
	return "a " + string(r)
}

// Disable ends a person's sessions and links, and lets nobody in with the name
// until Enable. store.ErrLastOperator, store.ErrNotFound.
func (s *Service) Disable(ctx context.Context, number int64, by string) error {
	now := s.now()
	p, err := s.change(ctx, number, func(p *store.Person) { p.DisabledAt = now })
	if err != nil {
		return err
	}
	if err := s.shut(ctx, number); err != nil {
		return err
	}
	return s.Record(ctx, by, "disabled "+p.Name)
}

// Enable lets a person in again who was disabled. store.ErrNotFound.
func (s *Service) Enable(ctx context.Context, number int64, by string) error {
	p, err := s.change(ctx, number, func(p *store.Person) { p.DisabledAt = time.Time{} })
	if err != nil {
		return err
	}
	return s.Record(ctx, by, "enabled "+p.Name)
}

func (s *Service) change(ctx context.Context, number int64, f func(*store.Person)) (store.Person, error) {
	p, err := s.Store.ChangePerson(ctx, number, func(p *store.Person) error {
		f(p)
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("changing a person: %w", err)
	}
	s.forget(number)
	return p, nil
}

// MadeKey and RevokedKey are what Record is told about API keys.
func MadeKey(k store.Key) string    { return fmt.Sprintf("made the API key %s (%s)", k.Name, k.Role) }
func RevokedKey(name string) string { return "revoked the API key " + name }

// Record logs what somebody did about people and keys, for the audit.
func (s *Service) Record(ctx context.Context, who, what string) error {
	a := store.Activity{At: s.now(), Kind: store.AccessChanged, Who: who, Detail: what}
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		return tx.Apply(ctx, &store.Changes{Activity: []store.Activity{a}})
	})
	if err != nil {
		return fmt.Errorf("logging an activity: %w", err)
	}
	return nil
}

// Welcome lets whoever has the token it returns enter as an operator of that
// name, for as long as this process lives. It is for the demo.
func (s *Service) Welcome(ctx context.Context, name string) (token string, err error) {
	p, err := s.Store.PersonByName(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		p, err = s.Store.PutPerson(ctx, store.Person{Name: name, Role: store.Operator, CreatedAt: s.now(), CreatedBy: name})
	}
	if err != nil {
		return "", fmt.Errorf("making a person: %w", err)
	}
	if p.Role != store.Operator || !p.DisabledAt.IsZero() {
		if p, err = s.change(ctx, p.Number, func(p *store.Person) { p.Role, p.DisabledAt = store.Operator, time.Time{} }); err != nil {
			return "", err
		}
	}
	token = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guest = guest{hashOf(token), p.Number}
	return token, nil
}

// Farewell ends what Welcome began: its token, and all sessions of the person.
func (s *Service) Farewell(ctx context.Context) error {
	s.mu.Lock()
	number := s.guest.person
	s.guest = guest{}
	s.mu.Unlock()
	if number == 0 {
		return nil
	}
	return s.endSessions(ctx, number)
}

// Enter begins a session with the token of Welcome; ErrLink.
func (s *Service) Enter(w http.ResponseWriter, r *http.Request, token string) error {
	hash := hashOf(token)
	s.mu.Lock()
	g := s.guest
	s.mu.Unlock()
	if g.person == 0 || subtle.ConstantTimeCompare(hash[:], g.hash[:]) != 1 {
		return ErrLink
	}
	p, err := s.Store.PersonByNumber(r.Context(), g.person)
	if err != nil {
		return fmt.Errorf("looking up a person: %w", err)
	}
	return s.begin(w, r, &p, s.now())
}

// hashOf is the hash of a random token, which a fast hash without salt keeps.
func hashOf(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }
