package access_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"poa/internal/access"
	"poa/internal/store"
)

// sessions know who is signed in by a header.
type sessions map[string]*store.Person

func (s sessions) Person(r *http.Request, before func() error) (*store.Person, error) {
	name := r.Header.Get("X-Session")
	if name == "" {
		return nil, nil
	}
	if s[name] == nil {
		return nil, before()
	}
	return s[name], nil
}

func TestSessions(t *testing.T) {
	k := &keys{}
	key := k.add(store.VoterGateway)
	people := sessions{
		"vera": {Number: 1, Name: "vera", Role: store.Viewer}, "otto": {Number: 2, Name: "otto", Role: store.Operator},
	}
	settings := access.Defaults()
	settings.PersonPerMinute = 50
	settings.AnonymousPerMinute = 5
	settings.AllowedOrigins = "https://game.example.com"
	g, err := access.New(k, people, settings, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	from := func(method, name string, headers ...string) *http.Request {
		r := httptest.NewRequest(method, "http://poa.example.com/api/v1/runs", nil)
		r.RemoteAddr = "192.0.2.7:4711"
		r.Header.Set("X-Session", name)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return r
	}
	var forbidden *access.Forbidden
	for _, c := range []struct {
		what string
		r    *http.Request
		need access.Need
		ok   func(error) bool
	}{
		{"a viewer looks", from("GET", "vera"), access.View, func(err error) bool { return err == nil }},
		{"a viewer reads", from("GET", "vera"), access.Read, func(err error) bool { return err == nil }},
		{"a viewer acts", from("POST", "vera"), access.Operate, func(err error) bool { return errors.As(err, &forbidden) }},
		{"an operator acts", from("POST", "otto", "Sec-Fetch-Site", "same-origin"), access.Operate, func(err error) bool { return err == nil }},
		{"an operator casts", from("POST", "otto"), access.Cast, func(err error) bool { return errors.As(err, &forbidden) }},
		{"an operator is sent by another site", from("POST", "otto", "Sec-Fetch-Site", "cross-site"), access.Operate, func(err error) bool { return errors.Is(err, access.ErrCrossOrigin) }},
		{"an operator is sent by another origin", from("POST", "otto", "Origin", "https://evil.example.com"), access.Operate, func(err error) bool { return errors.Is(err, access.ErrCrossOrigin) }},
		{"another site links here", from("GET", "otto", "Sec-Fetch-Site", "cross-site"), access.View, func(err error) bool { return err == nil }},
		{"nobody looks", from("GET", ""), access.View, func(err error) bool { return errors.Is(err, access.ErrNoKey) }},
		{"a session that has ended", from("GET", "old"), access.View, func(err error) bool { return errors.Is(err, access.ErrNoKey) }},
		{"anybody", from("GET", ""), access.Anyone, func(err error) bool { return err == nil }},
		{"a key from another origin", from("POST", "", "Authorization", "Bearer "+key, "Origin", "https://game.example.com"), access.Cast, func(err error) bool { return err == nil }},
		{"a key counts before a session", from("POST", "otto", "Authorization", "Bearer "+key), access.Operate, func(err error) bool { return errors.As(err, &forbidden) }},
		{"a bad key is not made good by a session", from("GET", "otto", "Authorization", "Bearer x"), access.View, func(err error) bool { return errors.Is(err, access.ErrBadKey) }},
	} {
		if client, err := g.Authorize(c.r, c.need); !c.ok(err) {
			t.Errorf("%s: %v (%+v)", c.what, err, client)
		}
	}
	for origin, want := range map[string]struct{ own, shared error }{
		"http://poa.example.com":   {nil, nil},
		"https://game.example.com": {access.ErrCrossOrigin, nil},
		"https://evil.example.com": {access.ErrCrossOrigin, access.ErrCrossOrigin},
	} {
		_, own := g.Authorize(from("POST", "otto", "Origin", origin), access.Operate)
		_, shared := g.AuthorizeShared(from("POST", "otto", "Origin", origin), access.Operate)
		if !errors.Is(own, want.own) || !errors.Is(shared, want.shared) {
			t.Errorf("an operator is sent by %s: %v, and where paths are shared %v", origin, own, shared)
		}
	}
	client, err := g.Authorize(from("GET", "vera"), access.View)
	if err != nil || client.Name() != "vera" || client.Key != nil {
		t.Errorf("client %+v, %v", client, err)
	}
	var tooMany *access.TooMany
	if err := g.Take(&client, 50); !errors.As(err, &tooMany) || tooMany.Who != "vera" {
		t.Errorf("over the rate of a person: %v", err)
	}
	_, _ = g.Authorize(from("GET", "old"), access.View)
	if _, err := g.Authorize(from("GET", "old"), access.View); !errors.As(err, &tooMany) {
		t.Errorf("trying sessions: %v", err)
	}
}

func TestSecure(t *testing.T) {
	proxies, err := access.ParseProxies("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, proto string
		want        bool
	}{
		{"10.0.0.1:80", "https", true}, {"10.0.0.1:80", "http", false}, {"10.0.0.1:80", "", false},
		{"192.0.2.7:80", "https", false}, {"[::ffff:10.0.0.1]:80", "HTTPS", true}, {"nonsense", "https", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.from
		r.Header.Set("X-Forwarded-Proto", c.proto)
		if got := proxies.Secure(r); got != c.want {
			t.Errorf("from %s with %q: %v", c.from, c.proto, got)
		}
	}
	if r := httptest.NewRequest("GET", "https://poa.example.com/", nil); !proxies.Secure(r) {
		t.Error("TLS to this process is not secure")
	}
}
