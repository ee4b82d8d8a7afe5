package people_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"poa/internal/access"
	"poa/internal/people"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// house is a service with its store.
type house struct {
	*people.Service
	t     *testing.T
	store store.Service
	clock *clock
}

func open(t *testing.T) *house {
	t.Helper()
	st := sqlitetest.New(t)
	_, err := st.Prepare(t.Context(), scoring.Defaults(), "test", time.Now())
	must(t, err)
	h := &house{t: t, store: st, clock: &clock{at: time.Now()}}
	h.Service = h.another()
	return h
}

// another is the service of another process on the same database.
func (h *house) another() *people.Service {
	return people.New(people.Options{Store: h.store, Now: h.clock.now})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var home = netip.MustParseAddr("192.0.2.7")

const password = "correct horse battery"

// browser keeps cookies.
type browser struct {
	cookies map[string]*http.Cookie
	last    *http.Cookie // as it was set
}

func (b *browser) request() *http.Request {
	r := httptest.NewRequest("POST", "/", nil)
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	return r
}

func (b *browser) take(w *httptest.ResponseRecorder) {
	if b.cookies == nil {
		b.cookies = map[string]*http.Cookie{}
	}
	for _, c := range w.Result().Cookies() {
		b.last = c
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
}

// use uses a one-time link in a new browser.
func (h *house) use(token, name, password string) (*browser, error) {
	b, w := &browser{}, httptest.NewRecorder()
	_, err := h.UseLink(w, b.request().WithContext(h.t.Context()), token, name, password)
	b.take(w)
	return b, err
}

func (h *house) signIn(name, password string, from netip.Addr) (*browser, error) {
	b, w := &browser{}, httptest.NewRecorder()
	_, err := h.SignIn(w, b.request().WithContext(h.t.Context()), from, name, password)
	b.take(w)
	return b, err
}

// seen returns the name of who is signed in, "" for nobody.
func (h *house) seen(s *people.Service, b *browser) string {
	h.t.Helper()
	p, err := s.Person(b.request().WithContext(h.t.Context()), func() error { return nil })
	must(h.t, err)
	if p == nil {
		return ""
	}
	return p.Name
}

// add makes a person by an invitation.
func (h *house) add(name string, role store.Role) (store.Person, *browser) {
	h.t.Helper()
	token, err := h.Invite(h.t.Context(), name, role, "test")
	must(h.t, err)
	b, err := h.use(token, "", password)
	must(h.t, err)
	p, err := h.store.PersonByName(h.t.Context(), name)
	must(h.t, err)
	return p, b
}

func TestFirstOperator(t *testing.T) {
	h := open(t)
	first, err := h.Setup(t.Context())
	must(t, err)
	second, err := h.Setup(t.Context())
	must(t, err)
	if first == "" || first == second {
		t.Fatalf("tokens %q and %q", first, second)
	}
	var wrong *people.Invalid
	if _, err := h.use(second, "", password); !errors.As(err, &wrong) || wrong.Field != "name" {
		t.Errorf("no name: %v", err)
	}
	if _, err := h.use(second, "alice", "short"); !errors.As(err, &wrong) || wrong.Field != "password" {
		t.Errorf("a short password: %v", err)
	}
	b, err := h.use(second, " alice ", password) // the link is still valid
	must(t, err)
	if got := h.seen(h.Service, b); got != "alice" {
		t.Errorf("signed in is %q", got)
	}
	for what, token := range map[string]string{"used before": second, "of another start": first} {
		if _, err := h.use(token, "bob", password); !errors.Is(err, people.ErrLink) {
			t.Errorf("a link %s: %v", what, err)
		}
	}
	if again, err := h.Setup(t.Context()); err != nil || again != "" {
		t.Errorf("setup where there is somebody: %q, %v", again, err)
	}
	p, err := h.store.PersonByName(t.Context(), "alice")
	must(t, err)
	if p.Role != store.Operator || !strings.HasPrefix(p.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("made %+v", p)
	}
	log, err := h.store.ListActivity(t.Context(), store.ActivityQuery{Kind: store.AccessChanged, Limit: 10})
	must(t, err)
	if len(log) != 1 || log[0].Who != "alice" || log[0].Detail != "became the first operator" {
		t.Errorf("logged %+v", log)
	}
}

// TestLinkIsUsedOnce has many use one link at once.
func TestLinkIsUsedOnce(t *testing.T) {
	h := open(t)
	token, err := h.Invite(t.Context(), "bob", store.Viewer, "test")
	must(t, err)
	var wg sync.WaitGroup
	results := make([]error, 4)
	for i := range results {
		wg.Go(func() { _, results[i] = h.use(token, "", password) })
	}
	wg.Wait()
	used := 0
	for _, err := range results {
		if err == nil {
			used++
		} else if !errors.Is(err, people.ErrLink) {
			t.Error(err)
		}
	}
	if used != 1 {
		t.Errorf("used %d times", used)
	}
}

func TestLinksExpireAndEnd(t *testing.T) {
	h := open(t)
	token, err := h.Invite(t.Context(), "bob", store.Viewer, "test")
	must(t, err)
	h.clock.pass(people.LinkFor)
	if _, err := h.FindLink(t.Context(), token); !errors.Is(err, people.ErrLink) {
		t.Errorf("after a day: %v", err)
	}
	token, err = h.Invite(t.Context(), "bob", store.Viewer, "test")
	must(t, err)
	if n, err := h.WithdrawInvitations(t.Context(), "test"); err != nil || n == 0 {
		t.Errorf("withdrawn %d, %v", n, err)
	}
	if _, err := h.use(token, "", password); !errors.Is(err, people.ErrLink) {
		t.Errorf("withdrawn: %v", err)
	}
	if _, err := h.FindLink(t.Context(), "nonsense"); !errors.Is(err, people.ErrLink) {
		t.Errorf("nonsense: %v", err)
	}
}

func TestReset(t *testing.T) {
	h := open(t)
	bob, before := h.add("bob", store.Viewer)
	first, err := h.Reset(t.Context(), bob.Number, "test")
	must(t, err)
	second, err := h.Reset(t.Context(), bob.Number, "test")
	must(t, err)
	if _, err := h.signIn("bob", password, home); err != nil {
		t.Errorf("the old password before the link is used: %v", err)
	}
	if _, err := h.use(first, "", "another password"); !errors.Is(err, people.ErrLink) {
		t.Errorf("an earlier link: %v", err)
	}
	after, err := h.use(second, "mallory", "another password")
	must(t, err)
	if h.seen(h.Service, before) != "" || h.seen(h.Service, after) != "bob" {
		t.Error("a reset ends the sessions before and begins one")
	}
	if _, err := h.signIn("bob", password, home); !errors.Is(err, people.ErrCredentials) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := h.signIn("bob", "another password", home); err != nil {
		t.Errorf("the new password: %v", err)
	}
	must(t, h.Disable(t.Context(), func() int64 { h.add("carol", store.Operator); return bob.Number }(), "test"))
	var wrong *people.Invalid
	if _, err := h.Reset(t.Context(), bob.Number, "test"); !errors.As(err, &wrong) {
		t.Errorf("a link for who is disabled: %v", err)
	}
}

func TestSignInIsRefused(t *testing.T) {
	h := open(t)
	h.add("alice", store.Operator)
	bob, _ := h.add("bob", store.Viewer)
	must(t, h.Disable(t.Context(), bob.Number, "test"))
	for name, try := range map[string][2]string{
		"wrong password": {"alice", "not the password"}, "unknown": {"nobody", password}, "disabled": {"bob", password},
		"empty": {"", ""}, "huge": {"alice", strings.Repeat("x", 100_000)},
	} {
		b, err := h.signIn(try[0], try[1], home)
		if !errors.Is(err, people.ErrCredentials) || len(b.cookies) > 0 {
			t.Errorf("%s: %v, cookies %v", name, err, b.cookies)
		}
	}
	must(t, h.Enable(t.Context(), bob.Number, "test"))
	if _, err := h.signIn("bob", password, home); err != nil {
		t.Errorf("enabled again: %v", err)
	}
}

func TestThrottle(t *testing.T) {
	h := open(t)
	h.add("alice", store.Operator)
	away := netip.MustParseAddr("2001:db8::1")
	neighbour := netip.MustParseAddr("2001:db8::2") // of the same network
	var tooMany *access.TooMany
	for range 10 {
		if _, err := h.signIn("alice", "not the password", away); !errors.Is(err, people.ErrCredentials) {
			t.Fatal(err)
		}
	}
	for name, from := range map[string]netip.Addr{"the same address": away, "the same network": neighbour} {
		if _, err := h.signIn("alice", password, from); !errors.As(err, &tooMany) || tooMany.Wait <= 0 {
			t.Errorf("after ten attempts, from %s: %v", name, err)
		}
	}
	if _, err := h.signIn("alice", password, home); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	for i := range 20 { // other names from there
		if _, err := h.signIn(fmt.Sprint("nobody ", i), "not the password", away); !errors.Is(err, people.ErrCredentials) {
			t.Fatal(err)
		}
	}
	if _, err := h.signIn("bob", password, away); !errors.As(err, &tooMany) {
		t.Errorf("another name after many attempts: %v", err)
	}
	h.clock.pass(time.Minute)
	if _, err := h.signIn("alice", password, away); err != nil {
		t.Errorf("after a minute: %v", err)
	}
}

func TestCookie(t *testing.T) {
	h := open(t)
	h.add("alice", store.Operator)
	b, err := h.signIn("alice", password, home)
	must(t, err)
	if c := b.last; c.Name != "poa_session" || !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %+v", c)
	}
	for _, s := range []string{b.last.Value, b.last.Value[:20]} {
		if hash, err := h.store.FindSession(t.Context(), []byte(s), h.clock.now()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the token itself is stored: %+v, %v", hash, err)
		}
	}
	h.Secure = func(*http.Request) bool { return true }
	if h.seen(h.Service, b) != "" {
		t.Error("a cookie that was set without TLS counts over TLS")
	}
	b, err = h.signIn("alice", password, home)
	must(t, err)
	if c := b.last; c.Name != "__Host-poa" || !c.Secure {
		t.Errorf("cookie over TLS %+v", c)
	}
	other, err := h.signIn("alice", password, home)
	must(t, err)
	if other.last.Value == b.last.Value {
		t.Error("two sessions share a token")
	}
}

// TestSignInRenewsTheToken sees that whoever plants a token gains nothing.
func TestSignInRenewsTheToken(t *testing.T) {
	h := open(t)
	_, b := h.add("alice", store.Operator)
	old := *b.last
	w := httptest.NewRecorder()
	_, err := h.SignIn(w, b.request().WithContext(t.Context()), home, "alice", password)
	must(t, err)
	b.take(w)
	if b.last.Value == old.Value {
		t.Error("the token is the same")
	}
	if h.seen(h.Service, &browser{cookies: map[string]*http.Cookie{"": &old}}) != "" {
		t.Error("the token from before is still valid")
	}
}

func TestSessionsEnd(t *testing.T) {
	h := open(t)
	other := h.another()
	alice, b := h.add("alice", store.Operator)
	c, err := h.signIn("alice", password, home)
	must(t, err)
	both := func(want string, browsers ...*browser) {
		t.Helper()
		for i, b := range browsers {
			for name, s := range map[string]*people.Service{"here": h.Service, "in another process": other} {
				if got := h.seen(s, b); got != want {
					t.Errorf("browser %d %s: signed in is %q, want %q", i, name, got, want)
				}
			}
		}
	}
	both("alice", b, c)
	w := httptest.NewRecorder()
	must(t, h.SignOut(w, b.request().WithContext(t.Context())))
	signedOut := &browser{cookies: b.cookies}
	b.take(w)
	if len(b.cookies) != 0 {
		t.Errorf("cookies after signing out: %v", b.cookies)
	}
	if h.seen(h.Service, signedOut) != "" {
		t.Error("the session goes on here")
	}
	h.clock.pass(3 * time.Second)
	both("alice", c)

	d, err := h.signIn("alice", password, home)
	must(t, err)
	must(t, h.SignOutEverywhere(t.Context(), alice.Number, "alice"))
	for _, x := range []*browser{c, d} {
		if h.seen(h.Service, x) != "" {
			t.Error("a session goes on here")
		}
	}
	h.clock.pass(3 * time.Second)
	both("", c, d)
	e, err := h.signIn("alice", password, home)
	must(t, err)
	both("alice", e)
}

// TestSessionStoredAgain sees that a session which was ended does not come back
// when a request under way stores it.
func TestSessionStoredAgain(t *testing.T) {
	h := open(t)
	alice, b := h.add("alice", store.Operator)
	late := &lateStore{Service: h.store}
	s := people.New(people.Options{Store: late, Now: h.clock.now})
	late.before = func() {
		late.before = nil
		h.clock.pass(time.Second)
		must(t, h.SignOutEverywhere(t.Context(), alice.Number, "alice"))
	}
	must(t, s.Flash(b.request().WithContext(t.Context()), people.Flash{Kind: "ok", Text: "late"}))
	h.clock.pass(3 * time.Second)
	if got := h.seen(h.Service, b); got != "" {
		t.Errorf("signed in is %q", got)
	}
}

// lateStore does something before it stores a session.
type lateStore struct {
	store.Service
	before func()
}

func (s *lateStore) ReplaceSession(ctx context.Context, v store.Session) error {
	if s.before != nil {
		s.before()
	}
	return s.Service.ReplaceSession(ctx, v)
}

func TestIdleAndLifetime(t *testing.T) {
	h := open(t)
	_, b := h.add("alice", store.Operator)
	for range 13 { // each visit moves the end
		h.clock.pass(people.Idle - time.Minute)
		if h.seen(h.Service, b) != "alice" {
			t.Fatal("the session ended though it was used")
		}
	}
	h.clock.pass(people.Idle)
	if h.seen(h.Service, b) != "" {
		t.Error("after 12 hours without a visit it goes on")
	}
	b, err := h.signIn("alice", password, home)
	must(t, err)
	_, _, err = h.store.Expire(t.Context(), h.clock.now(), 100)
	must(t, err)
	began := h.clock.now()
	for h.clock.now().Sub(began) < people.Lifetime && h.seen(h.Service, b) == "alice" {
		h.clock.pass(6 * time.Hour)
	}
	if h.seen(h.Service, b) != "" {
		t.Error("after 7 days it goes on")
	}
}

func TestLastOperator(t *testing.T) {
	h := open(t)
	alice, _ := h.add("alice", store.Operator)
	bob, b := h.add("bob", store.Viewer)
	for what, err := range map[string]error{
		"disable": h.Disable(t.Context(), alice.Number, "test"), "demote": h.SetRole(t.Context(), alice.Number, store.Viewer, "test"),
	} {
		if !errors.Is(err, store.ErrLastOperator) {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, h.SetRole(t.Context(), bob.Number, store.Operator, "test"))
	if p, err := h.Person(b.request().WithContext(t.Context()), func() error { return nil }); err != nil || p.Role != store.Operator {
		t.Errorf("the new role is not in force at once: %+v, %v", p, err)
	}
	must(t, h.Disable(t.Context(), alice.Number, "test"))
	if err := h.SetRole(t.Context(), bob.Number, store.Viewer, "test"); !errors.Is(err, store.ErrLastOperator) {
		t.Errorf("the other one: %v", err)
	}
}

func TestChangePassword(t *testing.T) {
	h := open(t)
	alice, b := h.add("alice", store.Operator)
	other, err := h.signIn("alice", password, home)
	must(t, err)
	change := func(present, next string) error {
		w := httptest.NewRecorder()
		err := h.ChangePassword(w, b.request().WithContext(t.Context()), &alice, present, next)
		b.take(w)
		return err
	}
	if err := change("not the password", "another password"); !errors.Is(err, people.ErrPassword) {
		t.Errorf("wrong present password: %v", err)
	}
	var wrong *people.Invalid
	if err := change(password, "123456789"); !errors.As(err, &wrong) {
		t.Errorf("nine characters: %v", err)
	}
	must(t, change(password, "1234567890"))
	if h.seen(h.Service, b) != "alice" || h.seen(h.Service, other) != "" {
		t.Error("the one who changes it stays signed in, the others do not")
	}
	if _, err := h.signIn("alice", "1234567890", home); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

func TestFlashIsShownOnce(t *testing.T) {
	h := open(t)
	_, b := h.add("alice", store.Operator)
	r := b.request().WithContext(t.Context())
	must(t, h.Flash(r, people.Flash{Kind: "ok", Text: "Done."}))
	if f := h.another().TakeFlash(r); f == nil || f.Text != "Done." || f.Kind != "ok" {
		t.Errorf("shown %+v", f)
	}
	if f := h.TakeFlash(r); f != nil {
		t.Errorf("shown twice: %+v", f)
	}
	stranger := &browser{}
	must(t, h.Flash(stranger.request().WithContext(t.Context()), people.Flash{Text: "lost"}))
	if f := h.TakeFlash(stranger.request().WithContext(t.Context())); f != nil {
		t.Errorf("nobody's message: %+v", f)
	}
}

func TestWelcome(t *testing.T) {
	h := open(t)
	token, err := h.Welcome(t.Context(), "demo")
	must(t, err)
	enter := func(token string) (*browser, error) {
		b, w := &browser{}, httptest.NewRecorder()
		err := h.Enter(w, b.request().WithContext(t.Context()), token)
		b.take(w)
		return b, err
	}
	first, err := enter(token)
	must(t, err)
	second, err := enter(token)
	must(t, err)
	if h.seen(h.Service, first) != "demo" || h.seen(h.Service, second) != "demo" {
		t.Error("the link does not sign in")
	}
	for _, bad := range []string{"", "x", token + "x"} {
		if _, err := enter(bad); !errors.Is(err, people.ErrLink) {
			t.Errorf("token %q: %v", bad, err)
		}
	}
	if _, err := h.signIn("demo", "", home); !errors.Is(err, people.ErrCredentials) {
		t.Errorf("the demo's person has no password: %v", err)
	}
	must(t, h.Farewell(t.Context()))
	if _, err := enter(token); !errors.Is(err, people.ErrLink) {
		t.Errorf("after the demo: %v", err)
	}
	if h.seen(h.Service, first) != "" {
		t.Error("the session goes on after the demo")
	}
	setup, err := h.Setup(t.Context())
	must(t, err)
	if setup == "" {
		t.Fatal("after the demo nobody can sign in, and no link makes an operator")
	}
	if _, err := h.use(setup, "alice", password); err != nil {
		t.Error(err)
	}
	if setup, err = h.Setup(t.Context()); setup != "" || err != nil {
		t.Errorf("with an operator: %q, %v", setup, err)
	}
}

func TestLookUpsCost(t *testing.T) {
	h := open(t)
	_, b := h.add("alice", store.Operator)
	before := h.store.Statements()
	asked := 0
	for range 100 {
		if p, err := h.Person(b.request().WithContext(t.Context()), func() error { asked++; return nil }); err != nil || p == nil {
			t.Fatal(p, err)
		}
	}
	if n := h.store.Statements() - before; n > 4 || asked != 1 {
		t.Errorf("100 requests cost %d statements and asked %d times", n, asked)
	}
	refused := errors.New("refused")
	unknown := &browser{cookies: map[string]*http.Cookie{"": {Name: "poa_session", Value: strings.Repeat("x", 43)}}}
	before = h.store.Statements()
	if _, err := h.Person(unknown.request(), func() error { return refused }); !errors.Is(err, refused) {
		t.Errorf("an unknown token: %v", err)
	}
	for _, value := range []string{"", "short", strings.Repeat("x", 5000)} {
		bad := &browser{cookies: map[string]*http.Cookie{"": {Name: "poa_session", Value: value}}}
		if p, err := h.Person(bad.request(), func() error { return refused }); p != nil || err != nil {
			t.Errorf("a token of %d bytes: %v, %v", len(value), p, err)
		}
	}
	if n := h.store.Statements() - before; n != 0 {
		t.Errorf("tokens that are none cost %d statements", n)
	}
}

// TestManySessionsCostWhatOneDoes has a hundred sessions ask for a while, and
// one.
func TestManySessionsCostWhatOneDoes(t *testing.T) {
	h := open(t)
	alice, _ := h.add("alice", store.Operator)
	browsers := make([]*browser, 100)
	for i := range browsers {
		token := fmt.Sprintf("%043d", i)
		h.clock.pass(time.Second) // so that their ends are not moved at once
		browsers[i] = &browser{cookies: map[string]*http.Cookie{"": {Name: "poa_session", Value: token}}}
		h.begun(alice.Number, token)
	}
	ask := func(asking []*browser) int64 {
		s := h.another()
		for _, b := range asking {
			h.seen(s, b)
		}
		before := h.store.Statements()
		for range 40 {
			h.clock.pass(time.Second / 4)
			for _, b := range asking {
				if h.seen(s, b) != "alice" {
					t.Fatal("a session has ended")
				}
			}
		}
		return h.store.Statements() - before
	}
	if one, hundred := ask(browsers[:1]), ask(browsers); one == 0 || one > 10 || hundred != one {
		t.Errorf("in 10 s one session costs %d statements, a hundred cost %d", one, hundred)
	}
}

// begun stores a session of a person, as signing in does.
func (h *house) begun(person int64, token string) {
	h.t.Helper()
	now := h.clock.now()
	data, err := scs.GobCodec{}.Encode(now.Add(people.Lifetime), map[string]any{"person": person, "began": now.UnixMicro(), "extended": now.UnixMicro()})
	must(h.t, err)
	hash := sha256.Sum256([]byte(token))
	must(h.t, h.store.PutSession(h.t.Context(), store.Session{Hash: hash[:], Person: person, Data: data, ExpiresAt: now.Add(people.Idle)}))
}

// TestAnotherProcessEndsASession has one end a session, and change what another
// person may do, while both are asked for all the time.
func TestAnotherProcessEndsASession(t *testing.T) {
	h := open(t)
	other := h.another()
	_, a := h.add("alice", store.Operator)
	bob, b := h.add("bob", store.Operator)
	role := func() store.Role {
		p, err := other.Person(b.request().WithContext(t.Context()), func() error { return nil })
		must(t, err)
		return p.Role
	}
	ask := func() {
		for range 12 {
			h.clock.pass(time.Second / 4)
			h.seen(other, a)
			role()
		}
	}
	ask()
	must(t, h.SignOut(httptest.NewRecorder(), a.request().WithContext(t.Context())))
	must(t, h.SetRole(t.Context(), bob.Number, store.Viewer, "alice"))
	ask()
	if h.seen(other, a) != "" {
		t.Error("who signed out is signed in 3 s later")
	}
	if got := role(); got != store.Viewer {
		t.Errorf("who was made a viewer is %s 3 s later", got)
	}
	must(t, h.Disable(t.Context(), bob.Number, "alice"))
	if h.seen(h.Service, b) != "" {
		t.Error("who was disabled here is signed in here")
	}
	h.clock.pass(3 * time.Second)
	if h.seen(other, b) != "" {
		t.Error("who was disabled is signed in 3 s later")
	}
}

func TestSeenIsWritten(t *testing.T) {
	h := open(t)
	alice, b := h.add("alice", store.Operator)
	if !alice.LastSeen.IsZero() {
		t.Errorf("seen %s before a visit", alice.LastSeen)
	}
	h.seen(h.Service, b)
	away := &awayStore{Service: h.store, err: store.ErrUnavailable}
	h.Service.Store = away
	h.Stop(t.Context())
	away.err = nil
	h.Start()
	h.Stop(t.Context())
	alice, err := h.store.PersonByName(t.Context(), "alice")
	must(t, err)
	if want := h.clock.now().UTC().Truncate(time.Microsecond); !alice.LastSeen.Equal(want) {
		t.Errorf("seen %s, want %s", alice.LastSeen, want)
	}
}

// awayStore cannot write who was seen while err is set.
type awayStore struct {
	store.Service
	err error
}

func (s *awayStore) TouchPeople(ctx context.Context, seen map[int64]time.Time) error {
	if s.err != nil {
		return s.err
	}
	return s.Service.TouchPeople(ctx, seen)
}
