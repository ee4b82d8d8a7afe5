package panel

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"poa/internal/access"
	"poa/internal/imagehost"
	"poa/internal/store"
)

// sample paths stand for patterns.
var samplePaths = strings.NewReplacer(
	"{$}", "", "{id}", "c%2F1", "{name}", "art", "{number}", "1000000", "{subject}", "batches", "{rest...}", "", "{path...}", "",
)

// forbidden finds what the content security policy would block.
var forbidden = regexp.MustCompile(`(?i)\sstyle=|<style|\son[a-z]+=|<script(?: [^>]*)?>[^<]|javascript:`)

// TestEveryRouteWithEveryRole walks the route table with nobody, a viewer and
// an operator, and with requests that another site forges.
func TestEveryRouteWithEveryRole(t *testing.T) {
	s := open(t)
	s.cast(super())
	s.sign(store.Operator, "owner") // so that alice is not the last operator
	visitors, people := map[store.Role]*visitor{}, 0
	again := func(role store.Role) *visitor { // a route may have signed them out
		v := visitors[role]
		if v != nil && v.send(http.MethodGet, "/me", nil).StatusCode == http.StatusOK {
			return v
		}
		people++
		token, err := s.People.Invite(t.Context(), fmt.Sprint(role, " ", people), role, "test")
		must(t, err)
		v = s.stranger()
		v.post("/setup", http.StatusSeeOther, "token", token, "password", testPassword, "again", testPassword)
		visitors[role] = v
		return v
	}
	if len(s.table) < 20 {
		t.Fatalf("the table has %d routes only", len(s.table))
	}
	for _, r := range s.table {
		name, path := r.method+" "+r.path, samplePaths.Replace(r.path)
		if strings.Contains(path, "{") {
			t.Fatalf("%s: give its variable a sample in samplePaths", name)
		}
		change := r.method != http.MethodGet
		if len(r.need.Roles()) == 0 {
			t.Fatalf("%s needs %q, which no role has", name, r.need)
		}

		switch got := s.stranger().send(r.method, path, nil); {
		case r.need == access.Anyone:
			if got.StatusCode == http.StatusUnauthorized || got.StatusCode >= 500 {
				t.Errorf("%s for a stranger: status %d", name, got.StatusCode)
			}
		case change:
			if got.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s for a stranger: status %d, want 401", name, got.StatusCode)
			}
		default:
			if to := got.Header.Get("Location"); got.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/sign-in") {
				t.Errorf("%s for a stranger: status %d, to %q", name, got.StatusCode, to)
			}
		}

		for _, role := range []store.Role{store.Viewer, store.Operator} {
			got, allowed := again(role).send(r.method, path, nil), slices.Contains(r.need.Roles(), role)
			if (got.StatusCode == http.StatusForbidden) == allowed || got.StatusCode == http.StatusUnauthorized || got.StatusCode >= 500 {
				t.Errorf("%s as %s: status %d, allowed is %v\n%s", name, role, got.StatusCode, allowed, got.body)
			}
			if found := forbidden.FindString(got.body); found != "" && strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") {
				t.Errorf("%s as %s has what the policy blocks: %q", name, role, found)
			}
			if csp := got.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s as %s: policy %q, cache %q", name, role, csp, got.Header.Get("Cache-Control"))
			}
		}

		if !change {
			continue
		}
		for what, headers := range map[string]http.Header{
			"another site":   {"Sec-Fetch-Site": {"cross-site"}},
			"a sibling site": {"Sec-Fetch-Site": {"same-site"}},
			"another origin": {"Origin": {"https://evil.example.com"}},
		} {
			if got := again(store.Operator).send(r.method, path, headers); got.StatusCode != http.StatusForbidden {
				t.Errorf("%s from %s: status %d, want 403", name, what, got.StatusCode)
			}
		}
	}
	if log := s.service.Logged.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("errors were logged:\n%s", log)
	}
}

// TestKeysOpenNoPages sees that API keys are for the API.
func TestKeysOpenNoPages(t *testing.T) {
	s := open(t)
	secret, hash := access.NewKey()
	_, err := s.Store.PutKey(t.Context(), store.Key{Name: "game", Role: store.Operator, Hash: hash, CreatedAt: s.now(), CreatedBy: "test"})
	must(t, err)
	if got := s.stranger().send(http.MethodGet, "/log", http.Header{"Authorization": {"Bearer " + secret}}); got.StatusCode != http.StatusSeeOther {
		t.Errorf("a page with a key: status %d", got.StatusCode)
	}
}

// TestAPIWithASession sees that the API and the stream take a person's session.
func TestAPIWithASession(t *testing.T) {
	s := open(t)
	vera, alice := s.sign(store.Viewer, "vera"), s.sign(store.Operator, "alice")
	json := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	for _, c := range []struct {
		who    *visitor
		method string
		path   string
		site   string
		want   int
	}{
		{s.stranger(), "GET", "/api/v1/activity", "", 401},
		{vera, "GET", "/api/v1/activity", "", 200},
		{vera, "POST", "/api/v1/runs", "same-origin", 403},
		{alice, "POST", "/api/v1/runs", "cross-site", 403},
		{alice, "POST", "/api/v1/votes", "same-origin", 403},
		{alice, "GET", "/api/v1/settings", "cross-site", 200},
	} {
		headers := json.Clone()
		if c.site != "" {
			headers.Set("Sec-Fetch-Site", c.site)
		}
		if got := c.who.send(c.method, c.path, headers); got.StatusCode != c.want {
			t.Errorf("%s %s from %q: status %d, want %d\n%s", c.method, c.path, c.site, got.StatusCode, c.want, got.body)
		}
	}
}

func TestNothingHere(t *testing.T) {
	s := open(t)
	for name, v := range map[string]*visitor{"a stranger": s.stranger(), "a viewer": s.sign(store.Viewer, "vera")} {
		page := v.get("/nowhere", http.StatusNotFound)
		page.holds(t, "There is nothing here")
		if ct := page.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/html") {
			t.Errorf("%s gets %s", name, ct)
		}
		if got := v.send(http.MethodGet, "/nowhere", http.Header{"Accept": {"application/json"}}); got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("a program gets %s", got.Header.Get("Content-Type"))
		}
		if got := v.send(http.MethodDelete, "/sign-in", nil); got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") == "" {
			t.Errorf("another method: status %d, allowed %q", got.StatusCode, got.Header.Get("Allow"))
		}
	}
}

func TestAssets(t *testing.T) {
	s := open(t)
	v := s.stranger()
	page := v.get("/sign-in", http.StatusOK)
	for _, name := range []string{"style.css", "theme.js", "panel.js", "icon.svg"} {
		path := s.assets.path(name)
		page.holds(t, `"`+path+`"`)
		got := v.get(path, http.StatusOK)
		if cache := got.Header.Get("Cache-Control"); !strings.Contains(cache, "immutable") || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: cache %q", name, cache)
		}
	}
	for name, want := range map[string]string{"style.css": "text/css", "panel.js": "text/javascript", "icon.svg": "image/svg+xml"} {
		if got := v.get(s.assets.path(name), http.StatusOK).Header.Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("%s has type %q", name, got)
		}
	}
	for _, path := range []string{"/assets/", "/assets/style.css", "/assets/000000000000/style.css", s.assets.path("nothing"), s.assets.base} {
		v.get(path, http.StatusNotFound)
	}
	if again, err := loadAssets(); err != nil || again.base != s.assets.base {
		t.Errorf("the path of the same assets is %q and %q, %v", s.assets.base, again.base, err)
	}
}

func TestTheme(t *testing.T) {
	s := open(t)
	v := s.stranger()
	v.get("/sign-in", http.StatusOK).lacks(t, "data-theme=\"")
	if to := v.post("/theme", http.StatusSeeOther, "back", "/sign-in?next=%2Flog").Header.Get("Location"); to != "/sign-in?next=%2Flog" {
		t.Errorf("back to %q", to)
	}
	v.get("/sign-in", http.StatusOK).holds(t, `data-theme="dark"`)
	v.post("/theme", http.StatusSeeOther, "back", "//evil.example.com")
	v.get("/sign-in", http.StatusOK).holds(t, `data-theme="light"`)
}

// TestRedirectsStayHere sees that nobody is led to another site.
func TestRedirectsStayHere(t *testing.T) {
	for to, want := range map[string]string{
		"/log": "/log", "/nfts/c%2F1?x=1": "/nfts/c%2F1?x=1", "": "/", "log": "/", "//evil.example.com": "/", "https://evil.example.com/": "/",
		`/\evil.example.com`: "/", "/a\r\nb": "/", "javascript:alert(1)": "/", "/%zz": "/",
	} {
		if got := here(to); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
}

func TestPolicyNamesImageHosts(t *testing.T) {
	hosts, err := imagehost.Parse("ipfs.io, *.example.com")
	must(t, err)
	if got := policy(hosts); !strings.Contains(got, "img-src 'self' data: https://ipfs.io https://*.example.com;") {
		t.Errorf("policy %s", got)
	}
}

// TestCompressed sees that pages are compressed for those who ask.
func TestCompressed(t *testing.T) {
	s := open(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/sign-in", nil)
	must(t, err)
	r.Header.Set("Accept-Encoding", "gzip")
	got, err := http.DefaultTransport.RoundTrip(r)
	must(t, err)
	defer got.Body.Close()
	_, err = io.Copy(io.Discard, got.Body)
	must(t, err)
	if got.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("encoding %q", got.Header.Get("Content-Encoding"))
	}
}

// TestInvitationOfATakenName sees that it is told where the form has no name to
// correct.
func TestInvitationOfATakenName(t *testing.T) {
	s := open(t)
	var tokens []string
	for range 2 {
		token, err := s.People.Invite(t.Context(), "vera", store.Viewer, "test")
		must(t, err)
		tokens = append(tokens, token)
	}
	s.stranger().post("/setup", http.StatusSeeOther, "token", tokens[0], "password", testPassword, "again", testPassword)
	s.stranger().post("/setup", http.StatusUnprocessableEntity, "token", tokens[1], "password", testPassword, "again", testPassword).
		holds(t, "There is somebody with the name vera already")
}
