package access

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks whose word about a client's address is taken.
type Proxies []netip.Prefix

// ParseProxies reads addresses and networks separated by commas, such as
// "10.0.0.0/8, ::1".
func ParseProxies(list string) (Proxies, error) {
	var p Proxies
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if address, err := netip.ParseAddr(item); err == nil {
			p = append(p, netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, fmt.Errorf("must be addresses or networks separated by commas, such as 10.0.0.0/8; %q is none", item)
		}
		p = append(p, network.Masked())
	}
	return p, nil
}

func (p Proxies) trust(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// Client returns the address a request comes from: that of the connection or,
// where a trusted proxy made it, the last address in X-Forwarded-For that is
// not a trusted proxy's. It is the zero Addr where the connection has none.
func (p Proxies) Client(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	client, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	client = client.Unmap().WithZone("")
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(forwarded) - 1; i >= 0 && p.trust(client); i-- {
		next, err := parseForwarded(strings.TrimSpace(forwarded[i]))
		if err != nil {
			break // not written by a proxy that is to be trusted
		}
		client = next.Unmap().WithZone("")
	}
	return client
}

// parseForwarded reads an address of X-Forwarded-For, to which some proxies add
// the port.
func parseForwarded(text string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr(), nil
	}
	return netip.ParseAddr(text)
}

// Secure reports whether a request came by TLS: to this process, or to a
// trusted proxy that says so in X-Forwarded-Proto.
func (p Proxies) Secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	proxy, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && p.trust(proxy.Addr().Unmap().WithZone("")) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// Network is what limits of people and anonymous readers go by: an IPv4
// address, or the network that one IPv6 client usually has to itself.
func Network(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
