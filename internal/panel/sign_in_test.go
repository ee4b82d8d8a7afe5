package panel

import (
	"net/http"
	"strings"
	"testing"

	"poa/internal/people"
	"poa/internal/store"
)

func TestSignIn(t *testing.T) {
	s := open(t)
	s.sign(store.Viewer, "vera")
	v := s.stranger()
	if to := v.get("/log?kind=failed", http.StatusSeeOther).Header.Get("Location"); to != "/sign-in?next=%2Flog%3Fkind%3Dfailed" {
		t.Errorf("led to %q", to)
	}
	for current, want := range map[string]string{s.URL + "/nfts?q=x": "/sign-in?next=%2Fnfts%3Fq%3Dx", "https://evil.example.com//evil": "/sign-in", "%": "/sign-in?next=%2Flog"} {
		got := v.send(http.MethodGet, "/log", http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {current}})
		if to := got.Header.Get("Hx-Redirect"); to != want || got.StatusCode != http.StatusOK {
			t.Errorf("htmx at %s is led to %q, want %q", current, to, want)
		}
	}
	wrong := v.post("/sign-in", http.StatusUnprocessableEntity, "name", "vera", "password", "not the password", "next", "/log")
	wrong.holds(t, "The name or the password is wrong.", `value="vera"`, `value="/log"`, `role="alert"`)
	wrong.lacks(t, "not the password")
	unknown := v.post("/sign-in", http.StatusUnprocessableEntity, "name", "nobody", "password", "not the password")
	unknown.holds(t, "The name or the password is wrong.")
	if to := v.post("/sign-in", http.StatusSeeOther, "name", "vera", "password", testPassword, "next", "/log?kind=failed").Header.Get("Location"); to != "/log?kind=failed" {
		t.Errorf("after signing in led to %q", to)
	}
	v.get("/log", http.StatusOK).holds(t, "vera", `aria-current="page"`)
	if to := v.get("/sign-in?next=/log", http.StatusSeeOther).Header.Get("Location"); to != "/log" {
		t.Errorf("who is signed in is led to %q", to)
	}
	v.post("/sign-out", http.StatusSeeOther)
	v.get("/log", http.StatusSeeOther)

	for range 10 {
		v.send(http.MethodPost, "/sign-in", nil, "name", "vera", "password", "not the password")
	}
	v.post("/sign-in", http.StatusTooManyRequests, "name", "vera", "password", testPassword).holds(t, "wait")
}

func TestFirstOperatorInTheBrowser(t *testing.T) {
	s := open(t)
	token, err := s.People.Setup(t.Context())
	must(t, err)
	v := s.stranger()
	for range 2 { // to look at the page does not use the link
		v.get(people.LinkPath(token), http.StatusOK).holds(t, "Create the first operator", `name="name"`, `name="again"`)
	}
	v.post(people.SetupPath, http.StatusUnprocessableEntity, "token", token, "name", "alice", "password", testPassword, "again", "something else").holds(t, "Is not the same as above.", `value="alice"`)
	v.post(people.SetupPath, http.StatusUnprocessableEntity, "token", token, "name", "", "password", testPassword, "again", testPassword).holds(t, "Must not be empty.")
	v.post(people.SetupPath, http.StatusUnprocessableEntity, "token", token, "name", "alice", "password", "short", "again", "short").holds(t, "Must have at least 10 characters")
	v.post(people.SetupPath, http.StatusSeeOther, "token", token, "name", "alice", "password", testPassword, "again", testPassword)
	v.get("/people", http.StatusOK).holds(t, "alice")
	s.stranger().get(people.LinkPath(token), http.StatusNotFound).holds(t, "This link is not valid")
}

func TestAccount(t *testing.T) {
	s := open(t)
	v := s.sign(store.Viewer, "vera")
	other := s.stranger()
	other.post("/sign-in", http.StatusSeeOther, "name", "vera", "password", testPassword)
	v.get("/me", http.StatusOK).holds(t, "You are a viewer", `name="present"`)
	const next = "another password"
	v.post("/me/password", http.StatusUnprocessableEntity, "present", "wrong", "password", next, "again", next).holds(t, "The present password is wrong.")
	v.post("/me/password", http.StatusUnprocessableEntity, "present", testPassword, "password", next, "again", "x").holds(t, "Is not the same as above.")
	v.post("/me/password", http.StatusOK, "present", testPassword, "password", next, "again", next).holds(t, "The password is changed.")
	v.get("/me", http.StatusOK)
	other.get("/me", http.StatusSeeOther)
	other.post("/sign-in", http.StatusSeeOther, "name", "vera", "password", next)
	v.post("/me/sign-out-everywhere", http.StatusSeeOther)
	v.get("/me", http.StatusSeeOther)
	other.get("/me", http.StatusSeeOther)
}

func TestEnter(t *testing.T) {
	s := open(t)
	token, err := s.People.Welcome(t.Context(), "demo")
	must(t, err)
	for range 2 {
		v := s.stranger()
		if to := v.get(EnterPath+"?token="+token, http.StatusSeeOther).Header.Get("Location"); to != "/" {
			t.Errorf("led to %q", to)
		}
		v.get("/people", http.StatusOK)
	}
	s.stranger().get(EnterPath+"?token=x", http.StatusUnprocessableEntity)
}

// TestSessionsOfOthers sees that a cookie without a session is nobody's.
func TestSessionsOfOthers(t *testing.T) {
	s := open(t)
	v := s.stranger()
	got := v.send(http.MethodGet, "/log", http.Header{"Cookie": {"poa_session=" + strings.Repeat("A", 43)}})
	if got.StatusCode != http.StatusSeeOther {
		t.Errorf("status %d", got.StatusCode)
	}
}
