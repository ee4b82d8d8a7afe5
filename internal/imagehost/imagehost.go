// Package imagehost says from which hosts pictures of NFTs may come.
package imagehost

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Hosts say from where pictures of NFTs may come, besides this server.
type Hosts struct {
	hosts   []string
	gateway string // what a path of IPFS is appended to, "" for none
}

// Parse reads hosts separated by commas, such as
// "ipfs.io, *.example.com, http://10.0.0.5:9000". Without a scheme https is
// meant; * alone is every host.
func Parse(list string) (Hosts, error) {
	var h Hosts
	for item := range strings.SplitSeq(list, ",") {
		item = strings.ToLower(strings.TrimSpace(item))
		if item == "" {
			continue
		}
		if !strings.Contains(item, "://") {
			item = "https://" + item
		}
		u, err := url.Parse(item)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil ||
			strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || !hostLike(u.Host) {
			return Hosts{}, fmt.Errorf("must be hosts separated by commas, such as ipfs.io or *.example.com; %q is none", item)
		}
		h.hosts = append(h.hosts, u.Scheme+"://"+u.Host)
	}
	return h, nil
}

// WithGateway returns the hosts and a gateway, such as "https://ipfs.io/ipfs/",
// through which pictures of ipfs:// addresses are shown; "" for none.
func (h Hosts) WithGateway(gateway string) (Hosts, error) {
	if gateway == "" {
		return h, nil
	}
	u, err := url.Parse(gateway)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || !hostLike(strings.ToLower(u.Host)) || strings.Contains(u.Host, "*") ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Hosts{}, fmt.Errorf("must be the address of a gateway, such as https://ipfs.io/ipfs/, is %q", gateway)
	}
	h.hosts = append(slices.Clone(h.hosts), u.Scheme+"://"+strings.ToLower(u.Host))
	h.gateway = strings.TrimSuffix(gateway, "/") + "/"
	return h, nil
}

// Source returns the address from which a browser gets a picture, "" where it
// may not.
func (h Hosts) Source(address string) string {
	if rest, ok := strings.CutPrefix(address, "ipfs://"); ok {
		if h.gateway == "" || rest == "" {
			return ""
		}
		return h.gateway + strings.TrimPrefix(rest, "ipfs/")
	}
	if h.Allowed(address) {
		return address
	}
	return ""
}

// hostLike reports whether text may stand in a content security policy as a
// host: letters, digits, dots, dashes, a port, and a star at its beginning.
func hostLike(host string) bool {
	rest := strings.TrimPrefix(host, "*")
	if rest != host && rest != "" && rest[0] != '.' && rest[0] != ':' {
		return false
	}
	return !strings.ContainsFunc(rest, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(".-:[]", r)
	})
}

// Sources are the hosts as a content security policy names them.
func (h Hosts) Sources() []string {
	var list []string
	for _, host := range h.hosts {
		if host == "https://*" || host == "http://*" {
			host = strings.TrimSuffix(host, "//*") // a scheme alone
		}
		list = append(list, host)
	}
	return list
}

// Allowed reports whether a picture may come from a URL as it is.
func (h Hosts) Allowed(address string) bool {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return false
	}
	switch u.Scheme {
	case "":
		return u.Host == "" && strings.HasPrefix(u.Path, "/")
	case "data":
		return strings.HasPrefix(u.Opaque, "image/")
	}
	at := strings.ToLower(u.Host)
	for _, host := range h.hosts {
		scheme, name, _ := strings.Cut(host, "://")
		if u.Scheme != scheme && !(scheme == "http" && u.Scheme == "https") {
			continue
		}
		if suffix, any := strings.CutPrefix(name, "*"); name == at || any && strings.HasSuffix(at, suffix) && at != suffix {
			return true
		}
	}
	return false
}
