// Package panel is what people see in a browser: server-rendered pages that
// show and steer all that poa does. Links and forms work without JavaScript;
// what is live needs it.
package panel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"poa/internal/access"
	"poa/internal/api"
	"poa/internal/artwork"
	"poa/internal/imagehost"
	"poa/internal/live"
	"poa/internal/operate"
	"poa/internal/overview"
	"poa/internal/people"
	"poa/internal/settings"
	"poa/internal/store"
)

// Options of the panel.
type Options struct {
	Store    store.Service
	Votes    api.Votes
	Runs     api.Runs
	Settings *settings.Service
	Operate  *operate.Service // what is done by hand
	Jobs     http.Handler     // the job queue's own pages under JobsPath, nil for none
	Guard    *access.Guard
	People   *people.Service
	Live     *live.Stream
	Overview *overview.Reader // with the samples that charts show
	Backlog  *overview.Backlog
	Version  string // of the program
	// Images says from where pictures may come, besides this server.
	Images imagehost.Hosts
	// SampleArt serves the pictures of a generated game's NFTs.
	SampleArt bool
	// TryIt lets operators cast votes in the arena.
	TryIt bool
	Now   func() time.Time
	Log   *slog.Logger
}

// Panel serves the pages.
type Panel struct {
	Options
	table   []route
	mux     *http.ServeMux
	cross   *http.CrossOriginProtection
	assets  assets
	headers map[string]string
}

// route is one thing the panel serves.
type route struct {
	method, path string
	need         access.Need
	handle       handler
}

// handler answers a request or returns why it cannot: see fail.
type handler func(http.ResponseWriter, *http.Request) error

// routes is all that the panel serves besides its assets.
func (p *Panel) routes() []route {
	return slices.Concat(
		p.signInRoutes(),
		p.overviewRoutes(),
		p.schedulerRoutes(),
		p.logRoutes(),
		p.nftsRoutes(),
		p.nftRoutes(),
		p.collectionsRoutes(),
		p.votersRoutes(),
		p.settingsRoutes(),
		p.auditRoutes(),
		p.peopleRoutes(),
		p.arenaRoutes(),
		p.jobsRoutes(),
	)
}

const (
	// maxForm is the size of a form, in bytes.
	maxForm = 256 << 10
	// pageTime is how long a page may take.
	pageTime = 30 * time.Second
)

// New returns the panel. It serves every path that is not another handler's.
func New(o Options) (http.Handler, error) {
	p, err := newPanel(o)
	if err != nil {
		return nil, err
	}
	return p.handler()
}

func newPanel(o Options) (*Panel, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Panel{Options: o, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection()}
	var err error
	if p.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	p.headers = map[string]string{
		"Content-Security-Policy":      policy(o.Images),
		"Cache-Control":                "no-store",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
		"Vary":                         "Cookie",
	}
	p.table = p.routes()
	for _, r := range p.table {
		p.mux.Handle(r.method+" "+r.path, p.guarded(r))
	}
	return p, nil
}

// policy is the content security policy of every page.
func policy(images imagehost.Hosts) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src " + strings.Join(append([]string{"'self'", "data:"}, images.Sources()...), " ") +
		"; connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}

func (p *Panel) handler() (http.Handler, error) {
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(1024))
	if err != nil {
		return nil, fmt.Errorf("setting up compression: %w", err)
	}
	outer := http.NewServeMux()
	outer.Handle("GET "+assetPrefix, compress(p.assets))
	if p.SampleArt {
		outer.Handle("GET "+artwork.Folder, compress(artwork.Handler()))
	}
	outer.Handle("/", compress(http.HandlerFunc(p.serve)))
	return outer, nil
}

// serve answers what the route table has, and tells people from programs where
// it has nothing.
func (p *Panel) serve(w http.ResponseWriter, r *http.Request) {
	h, pattern := p.mux.Handler(r)
	switch {
	case pattern != "":
		p.mux.ServeHTTP(w, r)
	case strings.Contains(r.Header.Get("Accept"), "text/html"):
		refused := &answer{header: http.Header{}}
		h.ServeHTTP(refused, r)
		p.setHeaders(w)
		if refused.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", refused.header.Get("Allow"))
			p.fail(w, r, &problem{refused.status, "This cannot be done here", "The address exists but does not take " + r.Method + "."})
			return
		}
		client, err := p.Guard.Authorize(r, access.Anyone)
		if err == nil {
			r = r.WithContext(access.With(r.Context(), &client))
		}
		p.fail(w, r, errNotFound)
	default:
		api.Problems(p.mux).ServeHTTP(w, r)
	}
}

// answer keeps the status and header of an answer.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return len(b), nil }
func (a *answer) WriteHeader(status int)      { a.status = status }

func (p *Panel) setHeaders(w http.ResponseWriter) {
	for name, value := range p.headers {
		w.Header().Set(name, value)
	}
}

// guarded answers a route for those who may have it. Requests that change
// something are refused where they come from another site.
func (p *Panel) guarded(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.setHeaders(w)
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		r = r.WithContext(ctx)
		if err := p.cross.Check(r); err != nil {
			p.fail(w, r, &problem{http.StatusForbidden, "Refused", "The request came from another site. If you meant it, go to the page itself and try again."})
			return
		}
		client, err := p.Guard.Authorize(r, route.need)
		api.Identify(r.Context(), client)
		r = r.WithContext(access.With(r.Context(), &client))
		if err == nil && client.Person == nil && route.need != access.Anyone {
			err = access.ErrNoKey // pages are for people, keys for the API
		}
		if err != nil {
			p.fail(w, r, err)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			if err := r.ParseForm(); err != nil {
				p.fail(w, r, &problem{http.StatusBadRequest, "The form could not be read", err.Error()})
				return
			}
		}
		if err := route.handle(w, r); err != nil {
			p.fail(w, r, err)
		}
	})
}

// problem is an error that is told to people.
type problem struct {
	Status int
	Title  string
	Detail string
}

func (e *problem) Error() string { return e.Title + ": " + e.Detail }

// invalid is a problem with what somebody entered.
func invalid(format string, args ...any) error {
	return &problem{http.StatusUnprocessableEntity, "That cannot be done", fmt.Sprintf(format, args...)}
}

var errNotFound = &problem{http.StatusNotFound, "There is nothing here", "The address may be old, or what it showed is gone."}

// fail answers with the page that tells err. Who is not signed in is asked to.
func (p *Panel) fail(w http.ResponseWriter, r *http.Request, err error) {
	var told *problem
	switch {
	case errors.Is(r.Context().Err(), context.Canceled):
		return // nobody waits for it
	case errors.Is(err, access.ErrNoKey):
		p.askToSignIn(w, r)
		return
	case errors.As(err, &told):
	default:
		status, detail, known := api.Tell(err)
		if !known {
			p.Log.Error("a page failed", "request", w.Header().Get("X-Request-Id"), "path", r.URL.Path, "err", err)
		}
		told = &problem{status, http.StatusText(status), sentence(detail)}
		if status == http.StatusNotFound {
			told = errNotFound
		}
	}
	err = p.renderStatus(w, r, told.Status, page{Title: told.Title}, problemPage(told, w.Header().Get("X-Request-Id")))
	if err != nil {
		p.Log.Error("a page of an error failed", "path", r.URL.Path, "err", err)
	}
}

// sentence begins text with a capital and ends it with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}
