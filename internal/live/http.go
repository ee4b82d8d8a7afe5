package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"poa/internal/store"
)

const (
	// batchSize is the number of events in one write.
	batchSize = 256
	// retryAfter tells clients how long to wait before they connect again.
	retryAfter = 2 * time.Second
)

// activityKinds are the kinds that can be filtered by.
var activityKinds = []store.ActivityKind{
	store.Computed, store.Withdrawn, store.Deferred, store.Failed, store.RunStarted, store.CancelAsked, store.RunEnded,
	store.Paused, store.Resumed, store.SettingsChanged, store.AccessChanged, store.NFTsRegistered,
}

// ServeHTTP streams activity as server-sent events: id is an ID as text, event
// a Kind, data one JSON object (see Event.Data). A quiet stream carries a
// comment every Heartbeat. A Gap has no id, so that a client that connects
// anew asks for what it missed.
//
// Last-Event-ID, or the parameter after, says where to go on. The parameters
// kind (repeated, or separated by commas), nft, reason and run filter.
func (s *Stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", "the stream is read with GET")
		return
	}
	q, err := parseQuery(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	sub, err := s.Subscribe(q)
	if err != nil {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "try_again", err.Error())
		return
	}
	defer sub.Close()
	if r.ProtoMajor == 1 { // the deadlines set below are not for another request
		w.Header().Set("Connection", "close")
	}
	c := &connection{w: w, control: http.NewResponseController(w), timeout: s.WriteTimeout}
	switch err := c.serve(r.Context(), sub, s.Heartbeat); {
	case errors.Is(err, http.ErrNotSupported):
		s.Log.Error("the live stream cannot be sent: something between holds the response back", "err", err)
	case err != nil && r.Context().Err() == nil:
		s.Log.Debug("a live listener was given up", "remote", r.RemoteAddr, "err", err)
	}
}

// connection is an HTTP listener's.
type connection struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	text    bytes.Buffer
	told    ID // the last id that was written
}

// serve writes events until the client has gone or the stream stops.
func (c *connection) serve(ctx context.Context, sub *Subscription, heartbeat time.Duration) error {
	// The server's own deadlines are for requests that end.
	if err := c.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx and others: do not hold back
	c.w.WriteHeader(http.StatusOK)
	fmt.Fprintf(&c.text, "retry: %d\n\n", retryAfter.Milliseconds())
	if err := c.flush(); err != nil {
		return err
	}
	for {
		list, err := next(ctx, sub, heartbeat)
		switch {
		case err == nil:
			for i := range list {
				c.event(&list[i])
			}
		case errors.Is(err, ErrStopped):
			fmt.Fprintf(&c.text, "event: %s\ndata: {\"reason\":\"the process is shutting down\"}\n\n", End)
			return c.flush()
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			c.heartbeat(sub.At())
		default:
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
	}
}

// next is Subscription.Next, for at most a while.
func next(ctx context.Context, sub *Subscription, while time.Duration) ([]Event, error) {
	ctx, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	return sub.Next(ctx, batchSize)
}

func (c *connection) event(e *Event) {
	if e.Kind != Gap {
		c.told = e.ID
		fmt.Fprintf(&c.text, "id: %s\n", e.ID)
	}
	fmt.Fprintf(&c.text, "event: %s\ndata: %s\n\n", e.Kind, e.Data())
}

// heartbeat writes a sign of life and, where entries that do not fit the
// filter went by, an id alone: clients keep it without seeing an event.
func (c *connection) heartbeat(at ID) {
	c.text.WriteString(": still here\n")
	if at != c.told {
		c.told = at
		fmt.Fprintf(&c.text, "id: %s\n", at)
	}
	c.text.WriteString("\n")
}

// flush sends what was written. A client that takes nothing for long is an
// error.
func (c *connection) flush() error {
	if err := c.control.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := c.w.Write(c.text.Bytes()); err != nil {
		return err
	}
	c.text.Reset()
	return c.control.Flush()
}

func parseQuery(r *http.Request) (Query, error) {
	var q Query
	values := r.URL.Query()
	after := values.Get("after")
	if last := r.Header.Get("Last-Event-ID"); last != "" { // later than the URL, which stays the same
		after = last
	}
	if after != "" {
		id, err := ParseID(after)
		if err != nil {
			return q, fmt.Errorf("after: %w", err)
		}
		q.After = &id
	}
	for _, list := range values["kind"] {
		for name := range strings.SplitSeq(list, ",") {
			kind := store.ActivityKind(strings.TrimSpace(name))
			if !slices.Contains(activityKinds, kind) {
				return q, fmt.Errorf("kind: there is no %q; the kinds are %v", kind, activityKinds)
			}
			q.Filter.Kinds = append(q.Filter.Kinds, kind)
		}
	}
	q.Filter.NFT, q.Filter.Reason = values.Get("nft"), values.Get("reason")
	if run := values.Get("run"); run != "" {
		number, err := strconv.ParseInt(run, 10, 64)
		if err != nil || number <= 0 {
			return q, fmt.Errorf("run: %q is not the number of a run", run)
		}
		q.Filter.Run = number
	}
	return q, nil
}

// refuse answers with a problem (RFC 9457) like those of package api, which
// lists the codes.
func refuse(w http.ResponseWriter, status int, code, detail string) {
	doc := map[string]any{"type": "urn:poa:problem:" + code, "title": http.StatusText(status), "status": status, "detail": detail}
	if id := w.Header().Get("X-Request-Id"); id != "" {
		doc["instance"] = "urn:poa:request:" + id
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(doc)
}
