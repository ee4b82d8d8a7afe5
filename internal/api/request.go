package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"poa/internal/access"
)

// request is what is known of a request under way.
type request struct {
	id     string
	client access.Client
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

// Identify has the log name the client of a request, where another package has
// found out who it is.
func Identify(ctx context.Context, c access.Client) { requestOf(ctx).client = c }

// maxRequestID is the longest request id taken from a client.
const maxRequestID = 64

// requestID returns the client's own request id if it can stand in a log, and a
// new one otherwise.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	sane := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.:", c)
	}
	if id == "" || len(id) > maxRequestID || strings.ContainsFunc(id, func(c rune) bool { return !sane(c) }) {
		return rand.Text()
	}
	return id
}

// Outer wraps all that a process serves: it gives each request an id, logs it,
// keeps a panic from the client, sets headers that hold everywhere, and refuses
// paths that are not clean.
func Outer(next http.Handler, guard *access.Guard, log *slog.Logger, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := now()
		q := &request{id: requestID(r), client: guard.Client(r)}
		w.Header().Set("X-Request-Id", q.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		sw := &statusWriter{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				log.Error("a request failed", "request", q.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				if sw.status == 0 {
					writeProblem(sw, internalProblem())
				}
			}
			took := now().Sub(began)
			log.Log(r.Context(), sw.level(took), "request", "request", q.id, "method", r.Method, "path", r.URL.Path, "status", sw.status,
				"bytes", sw.bytes, "took", took, "client", q.client.Address, "who", q.client.Name())
		}()
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, q))
		if p := r.URL.EscapedPath(); p != "" && clean(p) != p {
			writeProblem(sw, statusProblem(http.StatusNotFound, "there is nothing at this path: it has empty or dotted segments; an id in it must be percent-encoded"))
			return
		}
		next.ServeHTTP(sw, r)
	})
}

// clean returns the path that a ServeMux would redirect to.
func clean(p string) string {
	c := path.Clean(p)
	if strings.HasSuffix(p, "/") && c != "/" {
		c += "/"
	}
	return c
}

// statusWriter remembers what was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// slow is from when a request took long.
const slow = time.Second

// level is that at which a request is logged: information where it failed or
// took long, which a live stream is meant to.
func (w *statusWriter) level(took time.Duration) slog.Level {
	live := strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream")
	if w.status >= http.StatusInternalServerError || took > slow && !live {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach what is behind.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Problems answers what mux has no handler for with problems.
func Problems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		answer := &recorder{header: http.Header{}}
		h.ServeHTTP(answer, r)
		if answer.status == http.StatusMethodNotAllowed {
			allow := answer.header.Get("Allow")
			w.Header().Set("Allow", allow)
			writeProblem(w, statusProblem(answer.status, fmt.Sprintf("%s is not possible here; %s is", r.Method, allow)))
			return
		}
		writeProblem(w, statusProblem(http.StatusNotFound, "there is nothing at this path; /api/v1/docs shows what there is"))
	})
}

// recorder keeps an answer back.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// tagged gives answers to GET a weak ETag made of their content, and answers
// 304 to a client that has it already.
func tagged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		kept := &recorder{header: w.Header()}
		next.ServeHTTP(kept, r)
		if kept.status == http.StatusOK {
			sum := sha256.Sum256(kept.body.Bytes())
			tag := `W/"` + hex.EncodeToString(sum[:12]) + `"`
			w.Header().Set("ETag", tag)
			w.Header().Set("Cache-Control", "private, no-cache")
			w.Header().Add("Vary", "Authorization, Cookie")
			if has(r.Header.Get("If-None-Match"), tag) {
				w.Header().Del("Content-Type")
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		if kept.status != 0 {
			w.WriteHeader(kept.status)
		}
		_, _ = w.Write(kept.body.Bytes()) // the client may have gone
	})
}

// has reports whether a list of ETags holds one, compared weakly.
func has(list, tag string) bool {
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if item == "*" || strings.TrimPrefix(item, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// timed ends the context of a request after a time.
func timed(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
