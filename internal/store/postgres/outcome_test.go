package postgres_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"

	"poa/internal/store"
)

// cutter is a proxy before a PostgreSQL server that cuts the connection when
// its client commits. It serves one connection: on another one the client would
// ask the server to cancel.
type cutter struct {
	listener net.Listener
	server   string
	pass     bool // hand the commit on and await the server's answer
	served   chan struct{}
}

func newCutter(t *testing.T, server string, pass bool) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &cutter{listener: l, server: server, pass: pass, served: make(chan struct{})}
	go func() {
		defer close(c.served)
		client, err := l.Accept()
		if err != nil {
			return
		}
		l.Close()
		c.relay(client)
	}()
	t.Cleanup(func() {
		l.Close()
		<-c.served
	})
	return c
}

// relay hands bytes on both ways until the client sends COMMIT, which without
// prepared statements goes over the wire as text.
func (c *cutter) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if io.Copy(client, server); c.pass {
			io.Copy(io.Discard, server) // for a client that is gone
		}
	}()
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		committing := bytes.Contains(buffer[:n], []byte("commit\x00"))
		if committing {
			client.Close()
			if !c.pass {
				return
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
		if committing {
			server.(*net.TCPConn).CloseWrite()
			<-answered // the server has done all it was told
			return
		}
	}
}

func TestAConnectionCutWhileCommitting(t *testing.T) {
	for name, arrives := range map[string]bool{"the commit arrives": true, "the commit is lost": false} {
		t.Run(name, func(t *testing.T) {
			g := newGame(t, 2, 1)
			address, err := url.Parse(g.url)
			must(t, err)
			proxy := newCutter(t, address.Host, arrives)
			address.Host = proxy.listener.Addr().String()
			through := *g
			through.Store = open(t, address.String()+"&default_query_exec_mode=exec")
			err = through.commit(t.Context(), 1, g.nfts, g.voters, keyed("v"))
			if !errors.Is(err, store.ErrOutcomeUnknown) {
				t.Errorf("%v, want %v", err, store.ErrOutcomeUnknown)
			}
			if errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%v says that nothing was changed", err)
			}
			through.Close()
			<-proxy.served
			want := 0
			if arrives {
				want = 1
			}
			must(t, g.View(t.Context(), func(v store.View) error {
				found, err := v.VotesByKey(t.Context(), []string{"v-0"})
				if len(found) != want {
					t.Errorf("%d votes are in the log, want %d", len(found), want)
				}
				return err
			}))
		})
	}
}
