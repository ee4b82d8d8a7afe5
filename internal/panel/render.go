package panel

import (
	"bytes"
	"context"
	"net/http"

	"github.com/a-h/templ"

	"poa/internal/access"
	"poa/internal/people"
	"poa/internal/store"
)

// page is what the shell shows around a page.
type page struct {
	Title string // of the window, and the heading
	Sub   string // a line below it
	// Crumb and CrumbPath link to the page above.
	Crumb, CrumbPath string
	Scripts          []string // assets it needs besides those of every page
	Charts           bool     // it has charts
	Pauses           bool     // it says itself what is paused
	Actions          templ.Component
	Bare             bool // without navigation: sign-in
}

// shell is all that the layout and shared parts need. It is in the context of
// what is rendered: see shellOf.
type shell struct {
	page
	panel  *Panel
	person *store.Person // nil: nobody is signed in
	theme  string        // light, dark, or "" for what the system prefers
	flash  *people.Flash
	path   string // of the request
	back   string // path and query, for forms that come back
}

type shellKey struct{}

// shellOf returns the shell around what is being rendered.
func shellOf(ctx context.Context) *shell {
	if s, ok := ctx.Value(shellKey{}).(*shell); ok {
		return s
	}
	return &shell{panel: &Panel{}}
}

// operates reports whether the person who looks may act.
func operates(ctx context.Context) bool {
	person := access.From(ctx).Person
	return person != nil && person.Role == store.Operator
}

// render answers with a page.
func (p *Panel) render(w http.ResponseWriter, r *http.Request, head page, content templ.Component) error {
	return p.renderStatus(w, r, http.StatusOK, head, content)
}

// renderStatus answers with a page and a status that is not 200: 422 for a form
// that is shown again with what is wrong.
func (p *Panel) renderStatus(w http.ResponseWriter, r *http.Request, status int, head page, content templ.Component) error {
	s := &shell{page: head, panel: p, person: access.From(r.Context()).Person, theme: themeOf(r), path: r.URL.Path, back: r.URL.RequestURI()}
	if s.person == nil {
		s.Bare = true
	} else if r.Header.Get("HX-Request") == "" && r.Method == http.MethodGet {
		s.flash = p.People.TakeFlash(r)
	}
	if r.Method != http.MethodGet {
		s.back = "/"
	}
	var b bytes.Buffer
	if err := layout(s, content).Render(context.WithValue(r.Context(), shellKey{}, s), &b); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client may have gone
	return nil
}

// done tells what was done on the next page, and goes there.
func (p *Panel) done(w http.ResponseWriter, r *http.Request, to, text string) error {
	return p.tell(w, r, to, people.Flash{Kind: "ok", Text: text})
}

// refuse tells on the next page why something was not done, and goes there.
func (p *Panel) refuse(w http.ResponseWriter, r *http.Request, to, text string) error {
	return p.tell(w, r, to, people.Flash{Kind: "bad", Text: text})
}

func (p *Panel) tell(w http.ResponseWriter, r *http.Request, to string, f people.Flash) error {
	if err := p.People.Flash(r, f); err != nil {
		return err
	}
	redirect(w, r, to)
	return nil
}

// redirect goes to another page of the panel. htmx is told to do the same, so
// that the whole page changes.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	if r.Header.Get("HX-Request") != "" {
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusOK)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

const themeCookie = "poa_theme"

// themeOf is the look a browser asked for.
func themeOf(r *http.Request) string {
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return ""
}
