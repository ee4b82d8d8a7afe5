package access

import (
	"net/http"
	"net/netip"
	"testing"
)

// FuzzForwarded sees that nobody but a trusted proxy has a word about where a
// request comes from, and that what comes out is an address that limits can go
// by.
func FuzzForwarded(f *testing.F) {
	f.Add("10.0.0.1:80", "203.0.113.7", "https")
	f.Add("[::ffff:10.0.0.1]:80", "203.0.113.7:4711, 10.0.0.2", "HTTPS")
	f.Add("10.0.0.1:80", "unknown, [2001:db8::1%eth0]:443,,", "http")
	f.Add("192.0.2.1:80", "10.0.0.1, 10.0.0.1", "https")
	f.Add("@", "::ffff:10.0.0.1", "")
	proxies, err := ParseProxies("10.0.0.0/8")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, remote, forwarded, proto string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {forwarded}, "X-Forwarded-Proto": {proto}}}
		direct, client := Proxies(nil).Client(r), proxies.Client(r)
		if client.IsValid() != direct.IsValid() || client.Is4In6() || client.Zone() != "" {
			t.Fatalf("%q by %q comes from %v", forwarded, remote, client)
		}
		if !proxies.trust(direct) && (client != direct || proxies.Secure(r)) {
			t.Fatalf("%q, who is no proxy, is believed: %v", remote, client)
		}
		if Proxies(nil).Secure(r) {
			t.Fatal("a request that did not come by TLS is taken for one that did")
		}
		if !client.IsValid() {
			return
		}
		network := Network(client)
		if _, err := netip.ParsePrefix(network); client.Is6() && err != nil || client.Is4() && network != client.String() {
			t.Fatalf("%v is of the network %q", client, network)
		}
	})
}
