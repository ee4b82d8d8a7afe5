package panel

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"poa/internal/people"
	"poa/internal/store"
)

var secret = regexp.MustCompile(`id="secret">([^<]+)<`)

// shown returns the secret that a page shows once.
func (a answered) shown(t *testing.T) string {
	t.Helper()
	m := secret.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("nothing is shown\n%s", a.body)
	}
	return m[1]
}

// audited returns what was logged about people and keys, latest first.
func (s *site) audited() []string {
	s.t.Helper()
	log, err := s.Store.ListActivity(s.t.Context(), store.ActivityQuery{Kind: store.AccessChanged, Limit: 100})
	must(s.t, err)
	var list []string
	for _, a := range log {
		list = append(list, a.Who+" "+a.Detail)
	}
	return list
}

func TestPeople(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	page := alice.post("/people/invite", http.StatusOK, "name", "bob", "role", "viewer")
	link := page.shown(t)
	prefix := s.URL + people.SetupPath + "?token="
	if !strings.HasPrefix(link, prefix) {
		t.Fatalf("link %s", link)
	}
	alice.get("/people", http.StatusOK).lacks(t, link[len(prefix):]) // shown once
	alice.post("/people/invite", http.StatusUnprocessableEntity, "name", "alice", "role", "viewer").holds(t, "There is somebody with this name.")
	alice.post("/people/invite", http.StatusUnprocessableEntity, "name", " ", "role", "viewer").holds(t, "Must not be empty.")
	alice.post("/people/invite", http.StatusUnprocessableEntity, "name", "x", "role", "voter-gateway")

	bob := s.stranger()
	bob.get(strings.TrimPrefix(link, s.URL), http.StatusOK).holds(t, "Welcome, bob", "a viewer")
	bob.post(people.SetupPath, http.StatusSeeOther, "token", link[len(prefix):], "password", testPassword, "again", testPassword)
	bob.get("/people", http.StatusForbidden)
	bob.get("/me", http.StatusOK).lacks(t, `href="/people"`)

	person, err := s.Store.PersonByName(t.Context(), "bob")
	must(t, err)
	path := fmt.Sprintf("/people/%d/", person.Number)
	alice.post(path+"role", http.StatusSeeOther, "role", "operator")
	alice.get("/people", http.StatusOK).holds(t, "bob is now operator.")
	bob.get("/people", http.StatusOK)
	alice.post(path+"role", http.StatusSeeOther, "role", "emperor")
	alice.get("/people", http.StatusOK).holds(t, "Must be viewer or operator")
	reset := alice.post(path+"reset", http.StatusOK).shown(t)
	if !strings.HasPrefix(reset, prefix) {
		t.Errorf("link %s", reset)
	}
	alice.post(path+"sign-out", http.StatusSeeOther)
	bob.get("/me", http.StatusSeeOther)
	bob.post("/sign-in", http.StatusSeeOther, "name", "bob", "password", testPassword)
	alice.post(path+"disable", http.StatusSeeOther)
	bob.get("/me", http.StatusSeeOther)
	bob.post("/sign-in", http.StatusUnprocessableEntity, "name", "bob", "password", testPassword)
	bob.get(strings.TrimPrefix(reset, s.URL), http.StatusNotFound)
	alice.post(path+"enable", http.StatusSeeOther)
	bob.post("/sign-in", http.StatusSeeOther, "name", "bob", "password", testPassword)
	alice.post("/people/4711/disable", http.StatusNotFound)
	alice.post("/people/x/disable", http.StatusNotFound)

	want := []string{
		"alice enabled bob", "alice disabled bob", "alice signed bob out everywhere", "alice made a link for a new password of bob",
		"alice made bob an operator", "bob accepted the invitation", "alice invited bob as a viewer", "alice accepted the invitation", "test invited alice as an operator",
	}
	if got := s.audited(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("audited:\n%s", strings.Join(got, "\n"))
	}
}

func TestNoLockOut(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	person, err := s.Store.PersonByName(t.Context(), "alice")
	must(t, err)
	for _, form := range [][]string{{"disable"}, {"role", "role", "viewer"}} {
		alice.post(fmt.Sprintf("/people/%d/%s", person.Number, form[0]), http.StatusSeeOther, form[1:]...)
		alice.get("/people", http.StatusOK).holds(t, "alice is the only operator")
	}
}

func TestInvitationsAreWithdrawn(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	link := alice.post("/people/invite", http.StatusOK, "name", "bob", "role", "viewer").shown(t)
	alice.get("/people", http.StatusOK).holds(t, "bob, as viewer")
	alice.post("/people/invitations/withdraw", http.StatusSeeOther)
	alice.get("/people", http.StatusOK).holds(t, "1 invitation withdrawn.")
	s.stranger().get(strings.TrimPrefix(link, s.URL), http.StatusNotFound)
}

func TestKeys(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	alice.get("/people/keys", http.StatusOK).holds(t, "There is no key yet")
	key := alice.post("/people/keys", http.StatusOK, "name", "game", "role", "viewer").shown(t)
	bearer := http.Header{"Authorization": {"Bearer " + key}}
	if got := s.stranger().send(http.MethodGet, "/api/v1/activity", bearer); got.StatusCode != http.StatusOK {
		t.Errorf("the key gives %d", got.StatusCode)
	}
	page := alice.get("/people/keys", http.StatusOK)
	page.holds(t, "game")
	page.lacks(t, key)
	alice.post("/people/keys", http.StatusUnprocessableEntity, "name", "game", "role", "viewer").holds(t, "There is, or was, a key with this name.")
	alice.post("/people/keys", http.StatusUnprocessableEntity, "name", "", "role", "viewer").holds(t, "Must not be empty.")
	alice.post("/people/keys", http.StatusUnprocessableEntity, "name", "x", "role", "emperor")
	alice.post("/people/keys/revoke", http.StatusSeeOther, "name", "game")
	alice.get("/people/keys", http.StatusOK).holds(t, "The key game is revoked.")
	alice.post("/people/keys/revoke", http.StatusSeeOther, "name", "game")
	alice.get("/people/keys", http.StatusOK).holds(t, "There is no such key")
	if got := s.audited()[:2]; got[0] != "alice revoked the API key game" || got[1] != "alice made the API key game (viewer)" {
		t.Errorf("audited %v", got)
	}
}
