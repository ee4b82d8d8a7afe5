package imagehost

import (
	"slices"
	"testing"
)

func TestAllowed(t *testing.T) {
	hosts, err := Parse(" ipfs.io, *.example.com ,http://10.0.0.5:9000,")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"https://ipfs.io", "https://*.example.com", "http://10.0.0.5:9000"}; !slices.Equal(hosts.Sources(), want) {
		t.Errorf("sources %v, want %v", hosts.Sources(), want)
	}
	for address, want := range map[string]bool{
		"https://ipfs.io/ipfs/x": true, "https://IPFS.io/x": true, "http://ipfs.io/x": false, "https://ipfs.io.evil.example/x": false,
		"https://a.example.com/x": true, "https://a.b.example.com/x": true, "https://example.com/x": false, "https://evilexample.com/x": false,
		"http://10.0.0.5:9000/x": true, "https://10.0.0.5:9000/x": true, "http://10.0.0.5/x": false,
		"/art/1.svg": true, "//evil.example/x": false, "art.svg": false, "": false,
		"data:image/svg+xml;base64,AA": true, "data:text/html,x": false, "javascript:alert(1)": false, "https://ipfs.io@evil.example/x": false, "%": false,
	} {
		if got := hosts.Allowed(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}

func TestEveryHost(t *testing.T) {
	hosts, err := Parse("*")
	if err != nil {
		t.Fatal(err)
	}
	if got := hosts.Sources(); !slices.Equal(got, []string{"https:"}) {
		t.Errorf("sources %v", got)
	}
	if !hosts.Allowed("https://anywhere.example/x") || hosts.Allowed("http://anywhere.example/x") {
		t.Error("* means every host over https")
	}
}

func TestHostsThatAreNone(t *testing.T) {
	for _, bad := range []string{
		"ipfs.io; script-src *", "https://ipfs.io/path", "ftp://ipfs.io", "a b", "user@ipfs.io", "'self'", "*evil.com", "ipfs.*", "https://", "https://ipfs.io?x",
	} {
		if h, err := Parse(bad); err == nil {
			t.Errorf("%q gives %v", bad, h.Sources())
		}
	}
}

func TestGateway(t *testing.T) {
	hosts, err := Parse("*.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if got := hosts.Source("ipfs://bafy/1.png"); got != "" {
		t.Errorf("without a gateway: %q", got)
	}
	for _, gateway := range []string{"https://Gate.example.org/ipfs/", "https://Gate.example.org/ipfs"} {
		with, err := hosts.WithGateway(gateway)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"https://*.example.com", "https://gate.example.org"}; !slices.Equal(with.Sources(), want) {
			t.Errorf("sources %v, want %v", with.Sources(), want)
		}
		for address, want := range map[string]string{
			"ipfs://bafy/1.png": "https://Gate.example.org/ipfs/bafy/1.png", "ipfs://ipfs/bafy": "https://Gate.example.org/ipfs/bafy",
			"ipfs://": "", "https://a.example.com/x": "https://a.example.com/x", "https://other.example/x": "", "/art/1.svg": "/art/1.svg",
		} {
			if got := with.Source(address); got != want {
				t.Errorf("%q: %q, want %q", address, got, want)
			}
		}
	}
	if len(hosts.Sources()) != 1 {
		t.Errorf("the hosts before have changed: %v", hosts.Sources())
	}
	for _, bad := range []string{"ipfs.io", "ftp://ipfs.io/", "https://", "https://a b/", "https://*.ipfs.io/", "https://x; script-src *", "https://u@ipfs.io/", "https://ipfs.io/?x"} {
		if _, err := hosts.WithGateway(bad); err == nil {
			t.Errorf("%q is taken for a gateway", bad)
		}
	}
}
