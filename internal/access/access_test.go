package access_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poa/internal/access"
	"poa/internal/store"
)

// keys is a store of keys that counts what it is asked.
type keys struct {
	store.Service
	mu      sync.Mutex
	keys    []store.Key
	lookups int
	touched []map[int64]time.Time
	err     error
}

func (k *keys) add(role store.Role) (text string) {
	text, hash := access.NewKey()
	k.keys = append(k.keys, store.Key{Number: int64(len(k.keys) + 1), Name: string(role), Role: role, Hash: hash})
	return text
}

func (k *keys) KeyByHash(_ context.Context, hash []byte) (store.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lookups++
	for _, key := range k.keys {
		if string(key.Hash) == string(hash) {
			return key, k.err
		}
	}
	return store.Key{}, errors.Join(k.err, store.ErrNotFound)
}

func (k *keys) TouchKeys(_ context.Context, used map[int64]time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.touched = append(k.touched, used)
	return k.err
}

func request(key string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "192.0.2.7:4711"
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func guard(t *testing.T, k *keys, change func(*access.Settings)) *access.Guard {
	t.Helper()
	s := access.Defaults()
	if change != nil {
		change(&s)
	}
	g, err := access.New(k, nil, s, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestKeys(t *testing.T) {
	a, hash := access.NewKey()
	b, _ := access.NewKey()
	if a == b || !strings.HasPrefix(a, "poa_") || len(a) != 4+43 || len(hash) != 32 || strings.Contains(a, string(hash)) {
		t.Errorf("keys %q and %q", a, b)
	}
}

func TestNeeds(t *testing.T) {
	k := &keys{}
	texts := map[store.Role]string{}
	for _, r := range access.Roles() {
		texts[r] = k.add(r)
	}
	g := guard(t, k, nil)
	allowed := map[access.Need]string{
		access.Read: "viewer operator voter-gateway", access.View: "viewer operator", access.Operate: "operator", access.Cast: "voter-gateway",
	}
	for need, roles := range allowed {
		for role, text := range texts {
			_, err := g.Authorize(request(text), need)
			var forbidden *access.Forbidden
			if ok := strings.Contains(" "+roles+" ", " "+string(role)+" "); ok != (err == nil) || !ok && !errors.As(err, &forbidden) {
				t.Errorf("%s for %s: %v", role, need, err)
			}
		}
		if _, err := g.Authorize(request(""), need); !errors.Is(err, access.ErrNoKey) {
			t.Errorf("nobody for %s: %v", need, err)
		}
		for _, bad := range []string{"x", "poa_", "poa_" + strings.Repeat("A", 43)} {
			if _, err := g.Authorize(request(bad), need); !errors.Is(err, access.ErrBadKey) {
				t.Errorf("key %q for %s: %v", bad, need, err)
			}
		}
	}
	if _, err := g.Authorize(request("", "Authorization", "Basic "+texts[store.Operator]), access.Read); !errors.Is(err, access.ErrBadKey) {
		t.Errorf("another scheme: %v", err)
	}
	public := guard(t, k, func(s *access.Settings) { s.PublicReads = true })
	if c, err := public.Authorize(request(""), access.Read); err != nil || c.Key != nil {
		t.Errorf("public reads: %+v, %v", c, err)
	}
	if _, err := public.Authorize(request("poa_wrong"), access.Read); !errors.Is(err, access.ErrBadKey) {
		t.Errorf("a wrong key is no key: %v", err)
	}
	if _, err := public.Authorize(request(""), access.View); !errors.Is(err, access.ErrNoKey) {
		t.Errorf("public reads are not views: %v", err)
	}
}

// TestLookUps sees that a key costs a statement every few seconds, that its end
// is noticed then, and that uses are written once a minute.
func TestLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keys{}
		text := k.add(store.Viewer)
		g := guard(t, k, nil)
		g.Start()
		for range 100 {
			if _, err := g.Authorize(request(text), access.View); err != nil {
				t.Fatal(err)
			}
		}
		if k.lookups != 1 {
			t.Errorf("100 requests cost %d statements", k.lookups)
		}
		k.mu.Lock()
		k.keys = nil
		k.mu.Unlock()
		time.Sleep(3 * time.Second)
		if _, err := g.Authorize(request(text), access.View); !errors.Is(err, access.ErrBadKey) {
			t.Errorf("revoked three seconds ago: %v", err)
		}
		used := time.Now().Add(-3 * time.Second)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(k.touched) != 1 || !k.touched[0][1].Equal(used) {
			t.Errorf("written: %v, want once %v", k.touched, used)
		}
		g.Stop(t.Context())
	})
}

func TestUsesAreWrittenAtTheEndAndNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keys{}
		text := k.add(store.Viewer)
		g := guard(t, k, nil)
		g.Start()
		if _, err := g.Authorize(request(text), access.View); err != nil {
			t.Fatal(err)
		}
		k.mu.Lock()
		k.err = store.ErrUnavailable
		k.mu.Unlock()
		time.Sleep(90 * time.Second)
		k.mu.Lock()
		k.err = nil
		k.mu.Unlock()
		g.Stop(t.Context())
		if len(k.touched) != 2 || len(k.touched[1]) != 1 {
			t.Errorf("written: %v", k.touched)
		}
	})
}

func TestKeyWhileTheDatabaseIsAway(t *testing.T) {
	k := &keys{}
	text := k.add(store.Viewer)
	k.err = store.ErrUnavailable
	if _, err := guard(t, k, nil).Authorize(request(text), access.View); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestTryingKeys sees that keys cannot be tried without end, nor at a statement
// each.
func TestTryingKeys(t *testing.T) {
	k := &keys{}
	text := k.add(store.Viewer)
	g := guard(t, k, func(s *access.Settings) { s.AnonymousPerMinute = 10 })
	var tooMany *access.TooMany
	for range 100 {
		wrong, _ := access.NewKey()
		if _, err := g.Authorize(request(wrong), access.View); err == nil {
			t.Fatal("a key that nobody made was taken")
		} else if errors.As(err, &tooMany) && tooMany.Wait <= 0 {
			t.Errorf("wait %v", tooMany.Wait)
		}
	}
	if tooMany == nil || k.lookups > 11 {
		t.Errorf("100 keys were tried, with %d statements", k.lookups)
	}
	other := request(text)
	other.RemoteAddr = "192.0.2.8:1"
	if _, err := g.Authorize(other, access.View); err != nil {
		t.Errorf("another client: %v", err)
	}
}

func TestLimits(t *testing.T) {
	now := time.Unix(0, 0)
	l := access.NewLimits(60, 2)
	if _, ok := l.Take("a", 60, now); !ok {
		t.Error("a whole minute's were refused")
	}
	if wait, ok := l.Take("a", 5, now); ok || wait != 5*time.Second {
		t.Errorf("wait %v, %v", wait, ok)
	}
	if _, ok := l.Take("a", 5, now.Add(5*time.Second)); !ok {
		t.Error("refused after the wait")
	}
	if _, ok := l.Take("b", 1000, now); !ok {
		t.Error("more than a minute's never come")
	}
	for _, name := range []string{"c", "d", "e", "f"} { // a has not been used for long, and is forgotten
		l.Take(name, 1, now)
	}
	if _, ok := l.Take("a", 60, now.Add(5*time.Second)); !ok {
		t.Error("a was remembered")
	}
	none := access.NewLimits(0, 2)
	if _, ok := none.Take("a", 1e6, now); !ok {
		t.Error("there is no limit, and it was reached")
	}
}

func TestClientAddress(t *testing.T) {
	for _, c := range []struct {
		name, proxies, remote string
		forwarded             []string
		want                  string
	}{
		{"no proxy", "", "192.0.2.7:1", nil, "192.0.2.7"},
		{"a header nobody vouches for", "", "192.0.2.7:1", []string{"203.0.113.1"}, "192.0.2.7"},
		{"a proxy", "192.0.2.0/24", "192.0.2.7:1", []string{"203.0.113.1"}, "203.0.113.1"},
		{"a client that lies to the proxy", "192.0.2.7", "192.0.2.7:1", []string{"1.1.1.1, 203.0.113.1"}, "203.0.113.1"},
		{"two proxies, two headers", "192.0.2.7, 10.0.0.0/8", "192.0.2.7:1", []string{"203.0.113.1", "10.1.2.3"}, "203.0.113.1"},
		{"a proxy that says nothing", "192.0.2.7", "192.0.2.7:1", nil, "192.0.2.7"},
		{"a proxy that says nonsense", "192.0.2.7", "192.0.2.7:1", []string{"unknown"}, "192.0.2.7"},
		{"IPv6", "::1", "[::1]:1", []string{"2001:db8::5"}, "2001:db8::5"},
		{"IPv4 in IPv6", "192.0.2.7", "[::ffff:192.0.2.7]:1", []string{"::ffff:203.0.113.1"}, "203.0.113.1"},
		{"a zone", "", "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"with a port", "10.0.0.0/8", "10.0.0.2:1", []string{"203.0.113.1:5555"}, "203.0.113.1"},
		{"IPv6 with a port", "10.0.0.0/8", "10.0.0.2:1", []string{"[2001:db8::5]:5555"}, "2001:db8::5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := access.ParseProxies(c.proxies)
			if err != nil {
				t.Fatal(err)
			}
			r := request("")
			r.RemoteAddr = c.remote
			for _, f := range c.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			if got := p.Client(r).String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	for _, bad := range []string{"localhost", "10.0.0.0/33", "10.0.0.0/8 10.0.0.1"} {
		if _, err := access.ParseProxies(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestSettingsOutOfRange(t *testing.T) {
	err := access.Settings{KeyPerMinute: -1, VoterPerMinute: -1, AnonymousPerMinute: -1, TrustedProxies: "x"}.Validate()
	for _, name := range []string{"key_per_minute: ", "voter_per_minute: ", "anonymous_per_minute: ", "trusted_proxies: "} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
	if _, err := access.New(nil, nil, access.Settings{KeyPerMinute: -1}, nil, nil); err == nil {
		t.Error("wrong settings were taken")
	}
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{"ci": true, "Alice’s laptop": true, "": false, " ": false, "two\nlines": false, "\xff": false, strings.Repeat("x", 101): false} {
		if err := access.CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, good := range map[string]bool{"viewer": true, "operator": true, "voter-gateway": true, "": false, "admin": false} {
		if _, err := access.ParseRole(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
