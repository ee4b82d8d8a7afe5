package people

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"poa/internal/store"
)

// Names of the cookie that holds a session's token. The first is accepted by
// browsers only over TLS, and only from this very host.
const (
	secureCookie = "__Host-poa"
	plainCookie  = "poa_session"
)

// Keys of a session's values.
const (
	keyPerson   = "person"   // int64
	keyBegan    = "began"    // int64, microseconds
	keyExtended = "extended" // int64, microseconds
	keyFlash    = "flash"    // string, JSON
)

// tokenLength is the length of the tokens that scs makes.
const tokenLength = 43

// known is a session that was looked up, which is believed until then while the
// version of who has access is the same as before the look.
type known struct {
	person  store.Person
	version int64
	until   time.Time
}

// Flash is a message for the next page. Kind is ok, warn or bad.
type Flash struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

func (s *Service) cookieName(r *http.Request) string {
	if s.Secure(r) {
		return secureCookie
	}
	return plainCookie
}

func (s *Service) token(r *http.Request) string {
	c, err := r.Cookie(s.cookieName(r))
	if err != nil || len(c.Value) != tokenLength {
		return ""
	}
	return c.Value
}

// Person returns who is signed in with a request, nil for nobody. before is
// called before a token that was not seen lately is looked up; its error is
// returned.
func (s *Service) Person(r *http.Request, before func() error) (*store.Person, error) {
	token := s.token(r)
	if token == "" {
		return nil, nil
	}
	hash, now := hashOf(token), s.Now()
	s.mu.Lock()
	k, ok := s.known[hash]
	s.mu.Unlock()
	if !ok {
		if err := before(); err != nil {
			return nil, err
		}
	}
	// It is read before the session: what ends that later raises it later.
	version, err := s.version.Get(r.Context())
	if err != nil {
		return nil, fmt.Errorf("looking up a session: %w", err)
	}
	if ok && k.version == version && now.Before(k.until) {
		s.seen.Note(k.person.Number, now)
		return &k.person, nil
	}
	found, err := s.lookUp(r.Context(), token)
	if err != nil {
		return nil, fmt.Errorf("looking up a session: %w", err)
	}
	if found == nil {
		s.mu.Lock()
		delete(s.known, hash)
		s.mu.Unlock()
		return nil, nil
	}
	found.version = version
	s.remember(hash, *found)
	s.seen.Note(found.person.Number, now)
	return &found.person, nil
}

// lookUp returns the session of a token, nil where there is none, and moves its
// end.
func (s *Service) lookUp(ctx context.Context, token string) (*known, error) {
	ctx, err := s.sessions.Load(ctx, token)
	if err != nil {
		return nil, err
	}
	number := s.sessions.GetInt64(ctx, keyPerson)
	if number == 0 {
		return nil, nil
	}
	person, err := s.Store.PersonByNumber(ctx, number)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	began := time.UnixMicro(s.sessions.GetInt64(ctx, keyBegan))
	if !person.DisabledAt.IsZero() || began.Before(person.SignedOutAt) {
		return nil, nil
	}
	now := s.now()
	extended := time.UnixMicro(s.sessions.GetInt64(ctx, keyExtended))
	if now.Sub(extended) >= extendEvery {
		extended = now
		s.sessions.Put(ctx, keyExtended, now.UnixMicro())
		_, _, err := s.sessions.Commit(ctx)
		if errors.Is(err, store.ErrNotFound) { // it has ended meanwhile
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	until := extended.Add(extendEvery)
	if end := s.sessions.Deadline(ctx); end.Before(until) {
		until = end
	}
	return &known{person: person, until: until}, nil
}

func (s *Service) remember(hash [sha256.Size]byte, k known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxBelieved {
		clear(s.known) // each is looked up again
	}
	s.known[hash] = k
}

// forget has a person's sessions looked up again.
func (s *Service) forget(number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.known, func(_ [sha256.Size]byte, k known) bool { return k.person.Number == number })
}

// begin begins a session under a new token, and ends the one that the request
// had. began is when the person was known to be let in.
func (s *Service) begin(w http.ResponseWriter, r *http.Request, p *store.Person, began time.Time) error {
	if err := s.end(r); err != nil {
		return err
	}
	ctx, err := s.sessions.Load(context.WithValue(r.Context(), newSession{}, true), "")
	if err != nil {
		return fmt.Errorf("beginning a session: %w", err)
	}
	s.sessions.Put(ctx, keyPerson, p.Number)
	s.sessions.Put(ctx, keyBegan, began.UnixMicro())
	s.sessions.Put(ctx, keyExtended, s.now().UnixMicro())
	token, _, err := s.sessions.Commit(ctx)
	if err != nil {
		return fmt.Errorf("storing a session: %w", err)
	}
	s.setCookie(w, r, token, int(Lifetime.Seconds()))
	return nil
}

func (s *Service) setCookie(w http.ResponseWriter, r *http.Request, token string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(r), Value: token, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: s.Secure(r), SameSite: http.SameSiteLaxMode,
	})
}

// SignOut ends the session of a request.
func (s *Service) SignOut(w http.ResponseWriter, r *http.Request) error {
	if err := s.end(r); err != nil {
		return err
	}
	s.setCookie(w, r, "", -1)
	return nil
}

func (s *Service) end(r *http.Request) error {
	token := s.token(r)
	if token == "" {
		return nil
	}
	hash := hashOf(token)
	s.mu.Lock()
	delete(s.known, hash)
	s.mu.Unlock()
	if err := s.Store.DeleteSession(r.Context(), hash[:]); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// SignOutEverywhere ends all sessions of a person: here at once, in other
// processes within seconds. store.ErrNotFound.
func (s *Service) SignOutEverywhere(ctx context.Context, number int64, by string) error {
	p, err := s.Store.PersonByNumber(ctx, number)
	if err != nil {
		return fmt.Errorf("looking up a person: %w", err)
	}
	if err := s.endSessions(ctx, number); err != nil {
		return err
	}
	what := "signed " + p.Name + " out everywhere"
	if by == p.Name {
		what = "signed out everywhere"
	}
	return s.Record(ctx, by, what)
}

func (s *Service) endSessions(ctx context.Context, number int64) error {
	if _, err := s.Store.DeleteSessionsOf(ctx, number, s.now()); err != nil {
		return fmt.Errorf("ending the sessions of a person: %w", err)
	}
	s.forget(number)
	return nil
}

// newSession marks the context in which a session is stored for the first time.
type newSession struct{}

// Flash keeps a message for the next page of a session. Without one it is lost.
func (s *Service) Flash(r *http.Request, f Flash) error {
	ctx, ok, err := s.load(r)
	if err != nil || !ok {
		return err
	}
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("writing a message: %w", err)
	}
	s.sessions.Put(ctx, keyFlash, string(text))
	if _, _, err := s.sessions.Commit(ctx); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("keeping a message: %w", err)
	}
	return nil
}

// TakeFlash returns the message that was kept for the next page, nil for none.
func (s *Service) TakeFlash(r *http.Request) *Flash {
	ctx, ok, err := s.load(r)
	if err != nil || !ok {
		return nil
	}
	text := s.sessions.PopString(ctx, keyFlash)
	if text == "" {
		return nil
	}
	var f Flash
	_, _, err = s.sessions.Commit(ctx)
	if err := errors.Join(err, json.Unmarshal([]byte(text), &f)); err != nil {
		s.Log.Warn("a message for the next page was lost", "err", err)
		return nil
	}
	return &f
}

// load returns a context with the session of a request; false where there is
// none.
func (s *Service) load(r *http.Request) (context.Context, bool, error) {
	ctx, err := s.sessions.Load(r.Context(), s.token(r))
	if err != nil {
		return nil, false, fmt.Errorf("reading a session: %w", err)
	}
	return ctx, s.sessions.GetInt64(ctx, keyPerson) != 0, nil
}

// keeper keeps the sessions of scs in our store, under the hashes of their
// tokens, each for Idle at most.
type keeper struct {
	store store.Panel
	codec scs.Codec
	now   func() time.Time
}

func (k *keeper) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	hash := hashOf(token)
	session, err := k.store.FindSession(ctx, hash[:], k.now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	return session.Data, err == nil, err
}

func (k *keeper) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	_, values, err := k.codec.Decode(data)
	if err != nil {
		return fmt.Errorf("reading a session: %w", err)
	}
	person, _ := values[keyPerson].(int64)
	if idle := k.now().Add(Idle); idle.Before(expiry) {
		expiry = idle
	}
	hash := hashOf(token)
	session := store.Session{Hash: hash[:], Person: person, Data: data, ExpiresAt: expiry.UTC().Truncate(time.Microsecond)}
	if ctx.Value(newSession{}) != nil {
		return k.store.PutSession(ctx, session)
	}
	return k.store.ReplaceSession(ctx, session)
}

func (k *keeper) DeleteCtx(ctx context.Context, token string) error {
	hash := hashOf(token)
	return k.store.DeleteSession(ctx, hash[:])
}

func (k *keeper) Find(token string) ([]byte, bool, error) {
	return k.FindCtx(context.Background(), token)
}
func (k *keeper) Commit(token string, data []byte, expiry time.Time) error {
	return k.CommitCtx(context.Background(), token, data, expiry)
}
func (k *keeper) Delete(token string) error { return k.DeleteCtx(context.Background(), token) }
