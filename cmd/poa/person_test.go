package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"poa/internal/people"
)

// TestPeopleFromTheCommandLine makes, resets and disables people on a server
// without a browser, and uses a link in one.
func TestPeopleFromTheCommandLine(t *testing.T) {
	database := "sqlite:" + filepath.Join(t.TempDir(), "poa.db")
	s := serve(t, database)
	defer s.stop()
	// In a process of its own: the clock of others in this test stands still.
	out, err := exec.Command(binary(t), "person", "create", "--role", "operator", "--name", "alice", "--url", s.URL, "--database", database).Output()
	if err != nil {
		t.Fatal(err)
	}
	link := strings.TrimSpace(string(out))
	base, token, ok := strings.Cut(link, people.SetupPath+"?token=")
	if !ok || base != s.URL {
		t.Fatalf("link %q", link)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := browser.PostForm(s.URL+people.SetupPath, url.Values{"token": {token}, "password": {"correct horse battery"}, "again": {"correct horse battery"}})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusSeeOther || len(got.Cookies()) != 1 {
		t.Fatalf("the link gives status %d and cookies %v", got.StatusCode, got.Cookies())
	}
	var list []personDoc
	if err := json.Unmarshal([]byte(poa(t, database, "person", "list", "--json")), &list); err != nil || len(list) != 1 || list[0].Name != "alice" || list[0].Role != "operator" {
		t.Fatalf("people %+v, %v", list, err)
	}
	if reset := poa(t, database, "person", "reset", "alice"); !strings.HasPrefix(reset, "http://127.0.0.1:8080"+people.SetupPath+"?token=") || reset == link {
		t.Errorf("link %q", reset)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"the last operator": {[]string{"person", "disable", "alice"}, "the only operator"},
		"nobody":            {[]string{"person", "disable", "bob"}, "nobody named"},
		"taken":             {[]string{"person", "create", "--role", "viewer", "--name", "alice"}, "somebody named"},
		"no name":           {[]string{"person", "create", "--role", "viewer", "--name", " "}, "must not be empty"},
		"no role of people": {[]string{"person", "create", "--role", "voter-gateway", "--name", "x"}, "--role"},
	} {
		if code, _, stderr := run(t.Context(), t, nil, append(c.args, "--database", database)...); code != exitFailure || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
	}
	if text := poa(t, database, "person", "list"); !strings.Contains(text, "alice") || !strings.Contains(text, "enabled") {
		t.Errorf("list:\n%s", text)
	}
}

func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", ":8080": "http://localhost:8080", "0.0.0.0:80": "http://localhost:80", "[::]:80": "http://localhost:80",
		"[2001:db8::1]:80": "http://[2001:db8::1]:80", "poa.example.com:80": "http://poa.example.com:80",
	} {
		if got := reachable(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
