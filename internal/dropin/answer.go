package dropin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"poa/internal/access"
	"poa/internal/store"
)

// answer is what every request is answered with.
type answer struct {
	Success   bool     `json:"success"`
	Data      any      `json:"data,omitempty"`
	Error     string   `json:"error,omitempty"`
	Details   string   `json:"details,omitempty"`
	Available []string `json:"availableActions,omitempty"`
}

// refusal is an error that is told.
type refusal struct {
	status    int
	text      string // in a word or two
	details   string // what is wrong and what to do
	available []string
	retry     time.Duration // after which trying again makes sense, 0 for never
}

func (r *refusal) Error() string { return r.text + ": " + r.details }

// invalid refuses a request as it is.
func invalid(format string, args ...any) error {
	return &refusal{status: http.StatusBadRequest, text: "Invalid request", details: fmt.Sprintf(format, args...)}
}

func notFound(what, id string) error {
	return &refusal{status: http.StatusNotFound, text: what + " not found", details: fmt.Sprintf("there is none with the name or id %q", id)}
}

// serve returns the handler of an endpoint.
func (a *API) serve(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := a.handle(w, r, e)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		write(w, http.StatusOK, answer{Success: true, Data: data})
	})
}

// handle does what a request asks for, if its client may.
func (a *API) handle(w http.ResponseWriter, r *http.Request, e endpoint) (any, error) {
	actions := e.post
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		actions = e.get
	case http.MethodPost:
	default:
		actions = nil
	}
	if actions == nil {
		w.Header().Set("Allow", e.allow())
		return nil, &refusal{status: http.StatusMethodNotAllowed, text: "Method not allowed", details: fmt.Sprintf("%s is not possible here, only %s", r.Method, e.allow())}
	}
	client, err := a.authorize(r, access.View)
	if err != nil {
		return nil, err
	}
	q, err := read(w, r, e.otherwise)
	if err != nil {
		return nil, err
	}
	q.client, q.http = client, r
	do, err := choose(actions, q.action)
	if err != nil {
		return nil, err
	}
	if do.need != access.View {
		if err := a.allow(&q, do.need); err != nil {
			return nil, err
		}
	}
	// The server's own limits are for requests that wait for nothing.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(a.Wait + 2*timeout))
	ctx, cancel := context.WithTimeout(r.Context(), a.Wait+timeout)
	defer cancel()
	data, err := do.do(a, ctx, &q)
	if q.acted {
		a.overview.forget()
	}
	return data, err
}

// read reads what a request asks for.
func read(w http.ResponseWriter, r *http.Request, otherwise string) (request, error) {
	if r.Method != http.MethodPost {
		q, err := decodeQuery(r.URL.Query())
		if q.action == "" {
			q.action = otherwise
		}
		return q, err
	}
	body, err := readBody(w, r)
	if err != nil {
		return request{}, err
	}
	return decode(body)
}

// choose returns the action that is asked for.
func choose(actions []action, name string) (*action, error) {
	if len(actions) == 1 && actions[0].name == "" {
		return &actions[0], nil
	}
	names := make([]string, len(actions))
	for i := range actions {
		if actions[i].name == name {
			return &actions[i], nil
		}
		names[i] = actions[i].name
	}
	return nil, &refusal{status: http.StatusBadRequest, text: "Invalid action", details: "action must be one of " + strings.Join(names, ", "), available: names}
}

func (e endpoint) allow() string {
	var list []string
	if e.get != nil {
		list = append(list, http.MethodGet, http.MethodHead)
	}
	if e.post != nil {
		list = append(list, http.MethodPost)
	}
	return strings.Join(list, ", ")
}

// authorize returns who sent a request, if it may have what it needs.
func (a *API) authorize(r *http.Request, need access.Need) (access.Client, error) {
	client, err := a.Guard.AuthorizeShared(r, need)
	if a.Identified != nil {
		a.Identified(r.Context(), client)
	}
	return client, err
}

// allow refuses a client that may look and not more.
func (a *API) allow(q *request, need access.Need) (err error) {
	q.client, err = a.authorize(q.http, need)
	q.acted = err == nil
	return err
}

// fail answers with an error. One that nobody outside is to see is logged.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // nobody waits for it
	}
	told := tell(err)
	switch {
	case told.status == http.StatusInternalServerError:
		a.Log.Error("a request failed", "request", w.Header().Get("X-Request-Id"), "err", err)
	case told.status > http.StatusInternalServerError:
		a.Log.Warn("a request could not be served now", "request", w.Header().Get("X-Request-Id"), "err", err)
	}
	if told.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((told.retry+time.Second-1)/time.Second)))
	}
	if told.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	write(w, told.status, answer{Error: told.text, Details: told.details, Available: told.available})
}

// tell says what is said about an error.
func tell(err error) *refusal {
	var (
		refused   *refusal
		forbidden *access.Forbidden
		tooMany   *access.TooMany
	)
	const again = "Try again"
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, access.ErrNoKey), errors.Is(err, access.ErrBadKey):
		return &refusal{status: http.StatusUnauthorized, text: "Unauthorized", details: err.Error()}
	case errors.As(err, &forbidden):
		return &refusal{status: http.StatusForbidden, text: "Forbidden", details: forbidden.Error()}
	case errors.Is(err, access.ErrCrossOrigin):
		return &refusal{status: http.StatusForbidden, text: "Forbidden", details: err.Error()}
	case errors.As(err, &tooMany):
		return &refusal{status: http.StatusTooManyRequests, text: "Too many requests", details: tooMany.Error(), retry: tooMany.Wait}
	case errors.Is(err, store.ErrUnavailable):
		return &refusal{status: http.StatusServiceUnavailable, text: "Database unavailable", details: "the database cannot be reached or takes no writes now: try again in a moment", retry: 5 * time.Second}
	case errors.Is(err, store.ErrContention):
		return &refusal{status: http.StatusServiceUnavailable, text: again, details: "the database is contended: try again in a moment", retry: time.Second}
	case errors.Is(err, store.ErrOutcomeUnknown):
		return &refusal{status: http.StatusServiceUnavailable, text: again, details: "the connection to the database broke: what was asked for may or may not be in force; look before repeating it", retry: time.Second}
	case errors.Is(err, context.DeadlineExceeded):
		return &refusal{status: http.StatusServiceUnavailable, text: again, details: "the request took too long and was given up; what was computed until then stays", retry: time.Second}
	case errors.Is(err, store.ErrData):
		return &refusal{status: http.StatusBadRequest, text: "Invalid request", details: "the database refused a value of the request"}
	}
	return &refusal{status: http.StatusInternalServerError, text: "Internal error", details: "something went wrong inside; the log tells what, under the id of this request"}
}

func write(w http.ResponseWriter, status int, body answer) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body) // the client may have gone
}
