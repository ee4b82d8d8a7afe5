// Package api is the JSON API under /api/v1: votes, NFTs and their scores,
// leaderboards, the schedule, settings and the log of what was done. Its
// OpenAPI document is at /api/v1/openapi.json, and a page for people at
// /api/v1/docs.
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/klauspost/compress/gzhttp"

	"poa/internal/access"
	"poa/internal/batch"
	"poa/internal/ledger"
	"poa/internal/operate"
	"poa/internal/outlook"
	"poa/internal/scheduler"
	"poa/internal/settings"
	"poa/internal/store"
)

// Prefix begins the paths of the API.
const Prefix = "/api/v1"

// Votes takes votes, as ledger.Ledger does.
type Votes interface {
	Submit(ctx context.Context, votes []ledger.Vote) ([]ledger.Answer, error)
}

// Runs starts and plans runs, as scheduler.Scheduler does.
type Runs interface {
	Plan(ctx context.Context, s batch.Settings, collection *string) ([]batch.Item, error)
	RunNow(ctx context.Context, m scheduler.Manual) (store.Run, error)
	Backfill(ctx context.Context, collection *string, name, who string) (store.Run, error)
	Pacing() batch.State
}

// Options of the API. Stream may be nil; a zero Timeout is 30 s.
type Options struct {
	Store    store.Service
	Votes    Votes
	Runs     Runs
	Settings *settings.Service
	Operate  *operate.Service // nil: one of its own
	Guard    *access.Guard
	Stream   http.Handler // of live events
	// Backlog tells what is owed beside a plan, as it was counted lately; nil:
	// it is counted each time.
	Backlog func(context.Context) (store.Backlog, error)
	Version string // of the program
	Timeout time.Duration
	Now     func() time.Time
	Log     *slog.Logger
}

type server struct {
	Options
	api huma.API
	mux *http.ServeMux
}

const (
	// maxBody is the size of a request body, in bytes, and maxVotesBody that of
	// many votes or NFTs.
	maxBody      = 64 << 10
	maxVotesBody = 8 << 20
	// maxItems is how many votes or NFTs one request may hold.
	maxItems = 5000
	// bodyTime is how long a client may take to send a body.
	bodyTime = 15 * time.Second
)

// New returns the handler of all paths that begin with Prefix.
func New(o Options) (http.Handler, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Backlog == nil {
		o.Backlog = func(ctx context.Context) (store.Backlog, error) {
			return outlook.Backlog(ctx, o.Store, o.Settings.Current(), o.Now())
		}
	}
	if o.Operate == nil {
		o.Operate = operate.New(operate.Options{Store: o.Store, Settings: o.Settings.Current, Now: o.Now})
	}
	s := &server{Options: o, mux: http.NewServeMux()}
	s.api = humago.New(s.mux, configuration(o.Version))
	s.votes()
	s.nfts()
	s.scores()
	s.collections()
	s.runs()
	s.triggers()
	s.settings()
	s.activity()
	s.failures()
	s.voters()
	s.self()
	outer := http.NewServeMux()
	if err := s.documents(); err != nil {
		return nil, err
	}
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(1024))
	if err != nil {
		return nil, fmt.Errorf("setting up compression: %w", err)
	}
	outer.Handle(Prefix+"/", compress(tagged(timed(Problems(s.mux), o.Timeout))))
	if o.Stream != nil {
		outer.Handle(Prefix+"/stream", s.Guarded(access.View, while(o.Guard, access.View, askAgain, o.Stream)))
	}
	return outer, nil
}

func configuration(version string) huma.Config {
	c := huma.DefaultConfig("poa", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil // no $schema fields
	c.Transformers = []huma.Transformer{complete}
	c.RejectUnknownQueryParameters = true
	c.Info.Description = "Proof-of-Aesthetic scores of NFTs, kept fresh while people vote.\n\n" +
		"Ids are your own text and may hold any character: percent-encode them in paths (contract/1 is contract%2F1).\n" +
		"Every error is a problem (RFC 9457); its type names the reason, errors[].location the place in the request, instance the request in the log."
	c.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An API key: poa key create --role ROLE --name NAME"},
	}
	return c
}

// jsonFormat is JSON that is refused where a reader would silently replace text.
var jsonFormat = huma.Format{
	Marshal: func(w io.Writer, v any) error { return huma.DefaultJSONFormat.Marshal(w, v) },
	Unmarshal: func(data []byte, v any) error {
		if !utf8.Valid(data) || brokenEscape(data) {
			return errors.New("must be valid UTF-8")
		}
		return huma.DefaultJSONFormat.Unmarshal(data, v)
	},
}

// operation describes an operation of the API. ID is its name, Summary a line.
type operation struct {
	Method, Path string // the path without Prefix
	ID           string
	Tag          string
	Summary      string
	Description  string
	Need         access.Need
	Status       int // of success, 0 for 200 or 204
	MaxBody      int64
	Raw          bool // the handler reads and checks the body
}

// register adds an operation to the API.
func register[I, O any](s *server, o operation, handle func(context.Context, *I) (*O, error)) {
	if o.MaxBody == 0 {
		o.MaxBody = maxBody
	}
	op := huma.Operation{
		Method: o.Method, Path: Prefix + o.Path, OperationID: o.ID, Tags: []string{o.Tag}, Summary: o.Summary,
		Description: described(o), DefaultStatus: o.Status, MaxBodyBytes: o.MaxBody, BodyReadTimeout: bodyTime,
		Security: security(o.Need), Extensions: map[string]any{"x-need": string(o.Need)},
		Middlewares: huma.Middlewares{s.authorize(o.Need)},
		Errors:      problems[I](o.Method), SkipValidateBody: o.Raw,
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

// described says who may do it, after what it does.
func described(o operation) string {
	var who string
	switch o.Need {
	case access.Read:
		who = "Any key; without one where reads are public."
	default:
		var names []string
		for _, r := range o.Need.Roles() {
			names = append(names, string(r))
		}
		who = "Role: " + strings.Join(names, " or ") + "."
	}
	return strings.TrimSpace(o.Description + "\n\n" + who)
}

func security(n access.Need) []map[string][]string {
	key := []map[string][]string{{"key": {}}}
	if n == access.Read {
		return append(key, map[string][]string{})
	}
	return key
}

// problems are the statuses of errors an operation may answer with.
func problems[I any](method string) []int {
	list := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable}
	in := reflect.TypeFor[I]()
	_, body := in.FieldByName("Body")
	_, raw := in.FieldByName("RawBody")
	if body || raw {
		list = append(list, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusRequestTimeout)
	}
	if method != http.MethodGet || in.NumField() > 0 {
		list = append(list, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity)
	}
	return list
}

// authorize lets a request pass that may have what it needs.
func (s *server) authorize(need access.Need) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		client, err := s.Guard.Authorize(r, need)
		requestOf(r.Context()).client = client
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		next(huma.WithContext(ctx, access.With(ctx.Context(), &client)))
	}
}

// Guarded lets requests pass to next that may have what they need.
func (s *server) Guarded(need access.Need, next http.Handler) http.Handler {
	return Guarded(s.Guard, need, s.Log, next)
}

// Guarded lets requests pass to next that may have what they need.
func Guarded(g *access.Guard, need access.Need, log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := g.Authorize(r, need)
		requestOf(r.Context()).client = client
		if err != nil {
			if !WriteProblem(w, err) {
				log.Error("a request failed", "request", requestOf(r.Context()).id, "err", err)
			}
			return
		}
		next.ServeHTTP(w, r.WithContext(access.With(r.Context(), &client)))
	})
}

// askAgain is how often it is looked whether a stream's client may still have it.
const askAgain = time.Minute

// while serves next, which may go on for days, for as long as the client may
// have what it needs: it ends within about every after the session has ended or
// the key was revoked. What the database does not answer ends nothing.
func while(g *access.Guard, need access.Need, every time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := context.WithCancel(r.Context())
		var looking sync.WaitGroup
		looking.Go(func() {
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					var forbidden *access.Forbidden
					_, err := g.Authorize(r, need)
					if errors.Is(err, access.ErrNoKey) || errors.Is(err, access.ErrBadKey) || errors.As(err, &forbidden) {
						end()
					}
				case <-ctx.Done():
					return
				}
			}
		})
		defer looking.Wait()
		defer end()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// refuse answers with the problem that tells err.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !WriteProblem(w, err) {
		s.Log.Error("a request failed", "request", requestOf(r.Context()).id, "err", err)
	}
}

// out is an answer with a body alone.
type out[T any] struct{ Body T }

func answer[T any](body T) *out[T] { return &out[T]{body} }

// view runs f in a snapshot of the store.
func (s *server) view(ctx context.Context, f func(store.View) error) error {
	return s.Store.View(ctx, f)
}

// who names the client in audits.
func who(ctx context.Context) string { return access.From(ctx).Name() }

// now is the time, as stored.
func (s *server) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }
