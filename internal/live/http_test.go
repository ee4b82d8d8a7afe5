package live_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"poa/internal/live"
)

// message is a server-sent event as it comes.
type message struct{ id, event, data, comment, retry string }

// messages reads server-sent events from a body.
type messages struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (m *messages) next() (message, bool) {
	m.t.Helper()
	var msg message
	for m.lines.Scan() {
		field, value, _ := strings.Cut(m.lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case m.lines.Text() == "":
			return msg, true
		case field == "":
			msg.comment = value
		case field == "id":
			msg.id = value
		case field == "event":
			msg.event = value
		case field == "data":
			msg.data = value
		case field == "retry":
			msg.retry = value
		default:
			m.t.Errorf("unknown field in %q", m.lines.Text())
		}
	}
	return msg, false
}

// expect reads the next message.
func (m *messages) expect(want message) {
	m.t.Helper()
	got, ok := m.next()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(message{})); diff != "" || !ok {
		m.t.Errorf("message (-want +got), whole: %v\n%s", ok, diff)
	}
}

// server serves a stream over HTTP/1.1 or 2, with the deadlines of a server
// whose requests end.
func server(t *testing.T, h http.Handler, h2 bool) *httptest.Server {
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = h2
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 10*time.Second, 10*time.Second
	if h2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv
}

func get(t *testing.T, srv *httptest.Server, query string, header ...string) (*http.Response, *messages) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/stream"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp, &messages{t, bufio.NewScanner(resp.Body)}
}

func TestServerSentEvents(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			src := &source{}
			s := live.New(src, live.Options{Poll: time.Millisecond})
			s.Start()
			srv := server(t, s, proto == "HTTP/2.0")
			defer srv.Close()
			resp, m := get(t, srv, "?nft=n1")
			if resp.StatusCode != http.StatusOK || resp.Proto != proto || resp.Header.Get("Content-Type") != "text/event-stream" ||
				resp.Header.Get("Cache-Control") != "no-store, no-transform" || resp.Header.Get("X-Accel-Buffering") != "no" {
				t.Errorf("%s %s %v", resp.Proto, resp.Status, resp.Header)
			}
			m.expect(message{retry: "2000"})
			m.expect(message{id: "100.0.0", event: "start", data: `{"after":"100.0.0"}`})
			src.add(5)
			m.expect(message{id: "100.0.4", event: "computed", data: `{"number":4,"at":"2026-03-01T12:00:00Z","kind":"computed","nft":"n1","reason":"super"}`})

			// The header is later than the URL.
			_, again := get(t, srv, "?after=0.0.0", "Last-Event-ID", "100.0.4")
			again.expect(message{retry: "2000"})
			again.expect(message{id: "100.0.4", event: "start", data: `{"after":"100.0.4"}`})
			for _, id := range []string{"100.0.1", "100.0.2", "100.0.7"} {
				if got, _ := again.next(); got.id != id {
					t.Errorf("got %v, want id %s", got, id)
				}
			}
			stopped := make(chan error, 1)
			go func() { stopped <- s.Stop(context.Background()) }()
			for _, m := range []*messages{again, m} {
				for {
					got, ok := m.next()
					if got.event == "end" {
						break
					}
					if !ok {
						t.Fatal("the stream ended without an end")
					}
				}
				if got, ok := m.next(); ok {
					t.Errorf("after the end came %v", got)
				}
			}
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	s := live.New(&source{}, live.Options{MaxListeners: 1})
	s.Start()
	srv := server(t, s, false)
	defer srv.Close()
	refused := func(query string, status int, detail string) {
		t.Helper()
		resp, _ := get(t, srv, query)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status || resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(body), detail) {
			t.Errorf("%s: %s %s", query, resp.Status, body)
		}
	}
	refused("?after=yesterday", 400, "after: ")
	refused("?kind=computed,nonsense", 400, "nonsense")
	refused("?run=-1", 400, "run: ")
	resp, m := get(t, srv, "?kind=computed,failed&kind=paused")
	if m.next(); resp.StatusCode != 200 {
		t.Errorf("%s", resp.Status)
	}
	refused("", 503, "too many")
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	refused("", 503, "shutting down")
	post, err := http.Post(srv.URL, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	if post.Body.Close(); post.StatusCode != 405 || post.Header.Get("Allow") != "GET" {
		t.Errorf("POST: %s %v", post.Status, post.Header)
	}
}

// compressed is a compressing middleware: nothing leaves it until it is
// flushed.
type compressed struct {
	http.ResponseWriter
	zip *gzip.Writer
}

func (w *compressed) Write(p []byte) (int, error) { return w.zip.Write(p) }
func (w *compressed) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w *compressed) FlushError() error {
	if err := w.zip.Flush(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func TestCompressionHoldsNothingBack(t *testing.T) {
	src := &source{}
	s := live.New(src, live.Options{Poll: time.Millisecond})
	s.Start()
	srv := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		defer zip.Close()
		s.ServeHTTP(&compressed{w, zip}, r)
	}), false)
	_, m := get(t, srv, "")
	m.expect(message{retry: "2000"})
	m.expect(message{id: "100.0.0", event: "start", data: `{"after":"100.0.0"}`})
	src.add(1)
	if got, ok := m.next(); !ok || got.event != "computed" {
		t.Errorf("got %v", got)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// pipes is a network in memory, on which deadlines run in virtual time.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial connects and asks for the stream.
func (p *pipes) dial(t *testing.T, query string) net.Conn {
	t.Helper()
	client, srv := net.Pipe()
	p.conns <- srv
	if _, err := io.WriteString(client, "GET /"+query+" HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return client
}

func TestDeadClientsAreGivenUpAndQuietStreamsShowLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{}
		s := live.New(src, live.Options{WriteTimeout: 15 * time.Second, Heartbeat: 20 * time.Second})
		s.Start()
		network := newPipes()
		srv := &http.Server{Handler: s, WriteTimeout: time.Second, ReadTimeout: time.Second}
		go srv.Serve(network)

		dead := network.dial(t, "")
		defer dead.Close()
		alive := network.dial(t, "?nft=n1")
		defer alive.Close()
		resp, err := http.ReadResponse(bufio.NewReader(alive), nil)
		if err != nil {
			t.Fatal(err)
		}
		m := &messages{t, bufio.NewScanner(resp.Body)}
		m.expect(message{retry: "2000"})
		m.expect(message{id: "100.0.0", event: "start", data: `{"after":"100.0.0"}`})
		time.Sleep(14 * time.Second)
		if n := s.Stats().Listeners; n != 2 {
			t.Errorf("%d listen before the deadline", n)
		}
		src.add(1)
		m.expect(message{comment: "still here", id: "100.0.3"}) // the entry did not fit
		m.expect(message{comment: "still here"})
		if n := s.Stats().Listeners; n != 1 {
			t.Errorf("%d listen after the deadline", n)
		}
		src.add(1)
		if got, _ := m.next(); got.event != "computed" {
			t.Errorf("got %v", got)
		}
		alive.Close()
		time.Sleep(20 * time.Second)
		if n := s.Stats().Listeners; n != 0 {
			t.Errorf("%d listen after all have gone", n)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
