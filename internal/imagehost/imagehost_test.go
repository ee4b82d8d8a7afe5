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
