package panel

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"poa/internal/access"
	"poa/internal/people"
	"poa/internal/store"
)

func (p *Panel) peopleRoutes() []route {
	return []route{
		{"GET", "/people", access.Operate, p.showPeople},
		{"POST", "/people/invite", access.Operate, p.invite},
		{"POST", "/people/invitations/withdraw", access.Operate, p.withdrawInvitations},
		{"POST", "/people/{number}/role", access.Operate, p.setRole},
		{"POST", "/people/{number}/reset", access.Operate, p.resetPassword},
		{"POST", "/people/{number}/disable", access.Operate, p.disablePerson},
		{"POST", "/people/{number}/enable", access.Operate, p.enablePerson},
		{"POST", "/people/{number}/sign-out", access.Operate, p.signOutPerson},
		{"GET", "/people/keys", access.Operate, p.showKeys},
		{"POST", "/people/keys", access.Operate, p.makeKey},
		{"POST", "/people/keys/revoke", access.Operate, p.revokeKey},
	}
}

// peopleView is what the page of people shows.
type peopleView struct {
	People []store.Person
	Links  []store.Link
	Me     int64  // number of the person who looks
	Made   string // a link that was made just now
	For    string // whom it is for
	// The form for an invitation, as it was sent, and what is wrong with it.
	Name, Role string
	Field, Err string
}

func peopleTabs(keys bool) []tab {
	return []tab{{"People", "/people", !keys}, {"API keys", "/people/keys", keys}}
}

func (p *Panel) showPeople(w http.ResponseWriter, r *http.Request) error {
	return p.renderPeople(w, r, http.StatusOK, peopleView{})
}

func (p *Panel) renderPeople(w http.ResponseWriter, r *http.Request, status int, v peopleView) error {
	var err error
	if v.People, err = p.Store.People(r.Context()); err != nil {
		return fmt.Errorf("reading who there is: %w", err)
	}
	if v.Links, err = p.Store.Links(r.Context(), p.now()); err != nil {
		return fmt.Errorf("reading the open links: %w", err)
	}
	v.Me = access.From(r.Context()).Person.Number
	return p.renderStatus(w, r, status, page{Title: "People and keys", Sub: "Who signs in here, and which programs use the API."}, peoplePage(v))
}

// linkTo is a one-time link as it is handed to somebody.
func (p *Panel) linkTo(r *http.Request, token string) string {
	scheme := "http"
	if p.People.Secure(r) {
		scheme = "https"
	}
	return scheme + "://" + r.Host + people.LinkPath(token)
}

func (p *Panel) invite(w http.ResponseWriter, r *http.Request) error {
	v := peopleView{Name: strings.TrimSpace(r.PostFormValue("name")), Role: r.PostFormValue("role")}
	token, err := p.People.Invite(r.Context(), v.Name, store.Role(v.Role), who(r))
	var wrong *people.Invalid
	switch {
	case errors.As(err, &wrong):
		v.Field, v.Err = wrong.Field, wrong.Err.Error()
	case errors.Is(err, store.ErrNameTaken):
		v.Field, v.Err = "name", "there is somebody with this name"
	case err != nil:
		return err
	default:
		return p.renderPeople(w, r, http.StatusOK, peopleView{Made: p.linkTo(r, token), For: v.Name})
	}
	return p.renderPeople(w, r, http.StatusUnprocessableEntity, v)
}

func (p *Panel) withdrawInvitations(w http.ResponseWriter, r *http.Request) error {
	n, err := p.People.WithdrawInvitations(r.Context(), who(r))
	if err != nil {
		return err
	}
	return p.done(w, r, "/people", plural(n, "invitation")+" withdrawn.")
}

// personIn returns the person whose number is in the path.
func (p *Panel) personIn(r *http.Request) (store.Person, error) {
	number, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil {
		return store.Person{}, errNotFound
	}
	person, err := p.Store.PersonByNumber(r.Context(), number)
	if err != nil {
		return person, fmt.Errorf("looking up a person: %w", err)
	}
	return person, nil
}

// onPerson does something about the person in the path, and tells it or why it
// was refused.
func (p *Panel) onPerson(w http.ResponseWriter, r *http.Request, do func(store.Person) (done string, err error)) error {
	person, err := p.personIn(r)
	if err != nil {
		return err
	}
	done, err := do(person)
	if errors.Is(err, store.ErrLastOperator) {
		return p.refuse(w, r, "/people", "Not done: "+person.Name+" is the only operator. Make another one first.")
	}
	var wrong *people.Invalid
	if errors.As(err, &wrong) {
		return p.refuse(w, r, "/people", sentence(wrong.Err.Error()))
	}
	if err != nil {
		return err
	}
	return p.done(w, r, "/people", done)
}

func (p *Panel) setRole(w http.ResponseWriter, r *http.Request) error {
	return p.onPerson(w, r, func(person store.Person) (string, error) {
		role, err := people.ParseRole(r.PostFormValue("role"))
		if err != nil {
			return "", &people.Invalid{Field: "role", Err: err}
		}
		return person.Name + " is now " + string(role) + ".", p.People.SetRole(r.Context(), person.Number, role, who(r))
	})
}

func (p *Panel) disablePerson(w http.ResponseWriter, r *http.Request) error {
	return p.onPerson(w, r, func(person store.Person) (string, error) {
		return person.Name + " is disabled and signed out everywhere.", p.People.Disable(r.Context(), person.Number, who(r))
	})
}

func (p *Panel) enablePerson(w http.ResponseWriter, r *http.Request) error {
	return p.onPerson(w, r, func(person store.Person) (string, error) {
		return person.Name + " may sign in again.", p.People.Enable(r.Context(), person.Number, who(r))
	})
}

func (p *Panel) signOutPerson(w http.ResponseWriter, r *http.Request) error {
	return p.onPerson(w, r, func(person store.Person) (string, error) {
		return person.Name + " is signed out everywhere.", p.People.SignOutEverywhere(r.Context(), person.Number, who(r))
	})
}

func (p *Panel) resetPassword(w http.ResponseWriter, r *http.Request) error {
	person, err := p.personIn(r)
	if err != nil {
		return err
	}
	token, err := p.People.Reset(r.Context(), person.Number, who(r))
	var wrong *people.Invalid
	if errors.As(err, &wrong) {
		return p.refuse(w, r, "/people", sentence(wrong.Err.Error()))
	}
	if err != nil {
		return err
	}
	return p.renderPeople(w, r, http.StatusOK, peopleView{Made: p.linkTo(r, token), For: person.Name})
}

// keysView is what the page of API keys shows.
type keysView struct {
	Keys       []store.Key
	Made       string // a key that was made just now
	For        string // its name
	Name, Role string // the form as it was sent
	Field, Err string // what is wrong with it
}

func (p *Panel) showKeys(w http.ResponseWriter, r *http.Request) error {
	return p.renderKeys(w, r, http.StatusOK, keysView{})
}

func (p *Panel) renderKeys(w http.ResponseWriter, r *http.Request, status int, v keysView) error {
	var err error
	if v.Keys, err = p.Store.Keys(r.Context()); err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	return p.renderStatus(w, r, status, page{Title: "People and keys", Sub: "Who signs in here, and which programs use the API."}, keysPage(v))
}

func (p *Panel) makeKey(w http.ResponseWriter, r *http.Request) error {
	v := keysView{Name: strings.TrimSpace(r.PostFormValue("name")), Role: r.PostFormValue("role")}
	role, err := access.ParseRole(v.Role)
	if err != nil {
		v.Field, v.Err = "role", err.Error()
		return p.renderKeys(w, r, http.StatusUnprocessableEntity, v)
	}
	if err := access.CheckName(v.Name); err != nil {
		v.Field, v.Err = "name", err.Error()
		return p.renderKeys(w, r, http.StatusUnprocessableEntity, v)
	}
	secret, hash := access.NewKey()
	key, err := p.Store.PutKey(r.Context(), store.Key{Name: v.Name, Role: role, Hash: hash, CreatedAt: p.now(), CreatedBy: who(r)})
	if errors.Is(err, store.ErrNameTaken) {
		v.Field, v.Err = "name", "there is, or was, a key with this name"
		return p.renderKeys(w, r, http.StatusUnprocessableEntity, v)
	}
	if err != nil {
		return fmt.Errorf("storing a key: %w", err)
	}
	if err := p.record(r, people.MadeKey(key)); err != nil {
		return err
	}
	return p.renderKeys(w, r, http.StatusOK, keysView{Made: secret, For: v.Name})
}

func (p *Panel) revokeKey(w http.ResponseWriter, r *http.Request) error {
	name := r.PostFormValue("name")
	keys, err := p.Store.Keys(r.Context())
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	if !slices.ContainsFunc(keys, func(k store.Key) bool { return k.Name == name && !ended(k.RevokedAt) }) {
		return p.refuse(w, r, "/people/keys", "There is no such key, or it was revoked before.")
	}
	if err := p.Store.RevokeKey(r.Context(), name, p.now()); err != nil {
		return fmt.Errorf("revoking a key: %w", err)
	}
	if err := p.record(r, people.RevokedKey(name)); err != nil {
		return err
	}
	return p.done(w, r, "/people/keys", "The key "+name+" is revoked. Running services refuse it within seconds.")
}

// ended reports whether a time has been set.
func ended(t time.Time) bool { return !t.IsZero() }
