package panel

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"poa/internal/access"
	"poa/internal/people"
	"poa/internal/store"
)

// EnterPath is where the demo's link leads; the token is its parameter.
const EnterPath = "/enter"

func (p *Panel) signInRoutes() []route {
	return []route{
		{"GET", "/sign-in", access.Anyone, p.showSignIn},
		{"POST", "/sign-in", access.Anyone, p.signIn},
		{"GET", people.SetupPath, access.Anyone, p.showSetup},
		{"POST", people.SetupPath, access.Anyone, p.setup},
		{"GET", EnterPath, access.Anyone, p.enter},
		{"POST", "/theme", access.Anyone, p.switchTheme},
		{"POST", "/sign-out", access.Anyone, p.signOut},
		{"GET", "/me", access.View, p.showMe},
		{"POST", "/me/password", access.View, p.changePassword},
		{"POST", "/me/sign-out-everywhere", access.View, p.signOutEverywhere},
	}
}

// here returns a path of the panel that a form or link names, or the overview.
// It leads to no other site, whatever was sent.
func here(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return to
}

// askToSignIn leads to the sign-in page, and from there back here.
func (p *Panel) askToSignIn(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		p.fail(w, r, &problem{http.StatusUnauthorized, "Sign in first", "You are signed out, and nothing was changed. Sign in and try again."})
		return
	}
	to, next := "/sign-in", r.URL.RequestURI()
	if page, err := url.Parse(r.Header.Get("HX-Current-URL")); err == nil && r.Header.Get("HX-Request") != "" {
		next = page.RequestURI() // the page that asked, not the part it asked for
	}
	if next = here(next); next != "/" {
		to += "?next=" + url.QueryEscape(next)
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") && r.Header.Get("Accept") != "" && r.Header.Get("Accept") != "*/*" {
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	redirect(w, r, to)
}

// signInForm is what the sign-in page shows again.
type signInForm struct{ Name, Next, Error string }

func (p *Panel) showSignIn(w http.ResponseWriter, r *http.Request) error {
	next := here(r.URL.Query().Get("next"))
	if access.From(r.Context()).Person != nil {
		redirect(w, r, next)
		return nil
	}
	return p.render(w, r, page{Title: "Sign in", Bare: true}, signInPage(signInForm{Next: next}))
}

func (p *Panel) signIn(w http.ResponseWriter, r *http.Request) error {
	form := signInForm{Name: r.PostFormValue("name"), Next: here(r.PostFormValue("next"))}
	client := p.Guard.Client(r)
	_, err := p.People.SignIn(w, r, client.Address, form.Name, r.PostFormValue("password"))
	var tooMany *access.TooMany
	switch {
	case err == nil:
		redirect(w, r, form.Next)
		return nil
	case errors.Is(err, people.ErrCredentials):
		p.Log.Info("a sign-in failed", "client", client.Address)
	case errors.As(err, &tooMany), errors.Is(err, people.ErrBusy):
	default:
		return err
	}
	form.Error = sentence(err.Error())
	return p.renderStatus(w, r, statusOf(err), page{Title: "Sign in", Bare: true}, signInPage(form))
}

// statusOf is the status with which a form about people is shown again.
func statusOf(err error) int {
	var tooMany *access.TooMany
	switch {
	case errors.As(err, &tooMany):
		return http.StatusTooManyRequests
	case errors.Is(err, people.ErrBusy):
		return http.StatusServiceUnavailable
	}
	return http.StatusUnprocessableEntity
}

func (p *Panel) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := p.People.SignOut(w, r); err != nil {
		return err
	}
	redirect(w, r, "/sign-in")
	return nil
}

// enter signs in with the demo's link.
func (p *Panel) enter(w http.ResponseWriter, r *http.Request) error {
	if err := p.People.Enter(w, r, r.URL.Query().Get("token")); errors.Is(err, people.ErrLink) {
		return invalid("This link belongs to a demo that has ended, or is not complete.")
	} else if err != nil {
		return err
	}
	redirect(w, r, "/")
	return nil
}

// setupForm is what the page of a one-time link shows.
type setupForm struct {
	Link       store.Link
	Token      string
	Name       string
	Field, Err string // what is wrong with what was entered
}

func (f *setupForm) title() string {
	switch f.Link.Purpose {
	case store.ResetLink:
		return "Set a new password"
	case store.InviteLink:
		return "Welcome, " + f.Link.Name
	}
	return "Create the first operator"
}

func (p *Panel) showSetup(w http.ResponseWriter, r *http.Request) error {
	form, err := p.setupForm(r, r.URL.Query().Get("token"))
	if err != nil {
		return err
	}
	return p.render(w, r, page{Title: form.title(), Bare: true}, setupPage(form))
}

func (p *Panel) setupForm(r *http.Request, token string) (setupForm, error) {
	link, err := p.People.FindLink(r.Context(), token)
	if errors.Is(err, people.ErrLink) {
		return setupForm{}, &problem{http.StatusNotFound, "This link is not valid", "It was used before, or it is older than 24 hours. An operator can make a new one under People and keys, or with poa person on the server."}
	}
	return setupForm{Link: link, Token: token}, err
}

func (p *Panel) setup(w http.ResponseWriter, r *http.Request) error {
	form, err := p.setupForm(r, r.PostFormValue("token"))
	if err != nil {
		return err
	}
	form.Name = strings.TrimSpace(r.PostFormValue("name"))
	password := r.PostFormValue("password")
	if password != r.PostFormValue("again") {
		err = &people.Invalid{Field: "again", Err: errors.New("is not the same as above")}
	} else {
		_, err = p.People.UseLink(w, r, form.Token, form.Name, password)
	}
	var wrong *people.Invalid
	switch {
	case err == nil:
		redirect(w, r, "/")
		return nil
	case errors.As(err, &wrong):
		form.Field, form.Err = wrong.Field, wrong.Err.Error()
	case errors.Is(err, store.ErrNameTaken) && form.Link.Name != "": // the form has no name to correct
		return invalid("There is somebody with the name %s already. Ask for an invitation with another one.", form.Link.Name)
	case errors.Is(err, store.ErrNameTaken):
		form.Field, form.Err = "name", "there is somebody with this name"
	case errors.Is(err, people.ErrLink):
		return invalid("%s", sentence(err.Error()))
	case errors.Is(err, people.ErrBusy):
		form.Field, form.Err = "password", err.Error()
	default:
		return err
	}
	return p.renderStatus(w, r, statusOf(err), page{Title: form.title(), Bare: true}, setupPage(form))
}

// switchTheme changes the look of a browser that runs no scripts.
func (p *Panel) switchTheme(w http.ResponseWriter, r *http.Request) error {
	next := "dark"
	if themeOf(r) == "dark" {
		next = "light"
	}
	http.SetCookie(w, &http.Cookie{Name: themeCookie, Value: next, Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode, Secure: p.Guard.Secure(r)})
	redirect(w, r, here(r.PostFormValue("back")))
	return nil
}

// meForm is what the page of one's own account shows again.
type meForm struct{ Field, Err string }

func (p *Panel) showMe(w http.ResponseWriter, r *http.Request) error {
	return p.render(w, r, page{Title: "Your account"}, mePage(*access.From(r.Context()).Person, meForm{}))
}

func (p *Panel) changePassword(w http.ResponseWriter, r *http.Request) error {
	client := access.From(r.Context())
	password := r.PostFormValue("password")
	var err error
	if password != r.PostFormValue("again") {
		err = &people.Invalid{Field: "again", Err: errors.New("is not the same as above")}
	} else {
		err = p.People.ChangePassword(w, r, client.Person, r.PostFormValue("present"), password)
	}
	var (
		form    meForm
		wrong   *people.Invalid
		tooMany *access.TooMany
	)
	switch {
	case err == nil:
		return p.render(w, r, page{Title: "Your account"}, passwordChangedPage())
	case errors.As(err, &wrong):
		form.Field, form.Err = wrong.Field, wrong.Err.Error()
	case errors.Is(err, people.ErrPassword), errors.As(err, &tooMany), errors.Is(err, people.ErrBusy):
		form.Field, form.Err = "present", err.Error()
	default:
		return err
	}
	return p.renderStatus(w, r, statusOf(err), page{Title: "Your account"}, mePage(*client.Person, form))
}

func (p *Panel) signOutEverywhere(w http.ResponseWriter, r *http.Request) error {
	person := access.From(r.Context()).Person
	if err := p.People.SignOutEverywhere(r.Context(), person.Number, person.Name); err != nil {
		return err
	}
	return p.signOut(w, r)
}
