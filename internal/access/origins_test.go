package access_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"poa/internal/access"
)

func TestParseOrigins(t *testing.T) {
	for list, want := range map[string]access.Origins{
		"":                      nil,
		" , ":                   nil,
		"https://game.example":  {"https://game.example"},
		"https://Game.example ": {"https://game.example"},
		"https://game.example, http://127.0.0.1:3000,http://[::1]:80": {"https://game.example", "http://127.0.0.1:3000", "http://[::1]:80"},
	} {
		got, err := access.ParseOrigins(list)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", list, err, diff)
		}
	}
	for _, item := range []string{
		"*", "null", "game.example", "https://", "https://game.example/", "https://game.example/admin", "https://*.example",
		"ftp://game.example", "https://ann@game.example", "https://game.example https://other.example", "//game.example",
	} {
		_, err := access.ParseOrigins("https://fine.example, " + item)
		if err == nil || !strings.Contains(err.Error(), item) {
			t.Errorf("%q: error %v", item, err)
		}
		err = access.Settings{AllowedOrigins: item}.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), "allowed_origins: must be origins") {
			t.Errorf("%q as a setting: error %v", item, err)
		}
	}
}

func TestShare(t *testing.T) {
	asked := 0
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusTeapot)
	})
	handler := access.Origins{"https://game.example"}.Share(inner, "GET, POST", "Authorization")
	const plain, preflight = "", "POST"
	for _, c := range []struct {
		name, method, origin, requests string
		status                         int
		allowed                        bool
	}{
		{"from nowhere", "GET", "", plain, 418, false},
		{"from an allowed origin", "POST", "https://game.example", plain, 418, true},
		{"from another", "POST", "https://other.example", plain, 418, false},
		{"from one that begins alike", "POST", "https://game.example.evil.example", plain, 418, false},
		{"from none that can be named", "POST", "null", plain, 418, false},
		{"asking beforehand", "OPTIONS", "https://game.example", preflight, 204, true},
		{"asking beforehand from another", "OPTIONS", "https://other.example", preflight, 204, false},
		{"OPTIONS without asking", "OPTIONS", "https://game.example", plain, 418, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked = 0
			r := httptest.NewRequest(c.method, "/", nil)
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			if c.requests != "" {
				r.Header.Set("Access-Control-Request-Method", c.requests)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			h := w.Result().Header
			if w.Code != c.status || (asked == 1) != (c.status == 418) {
				t.Errorf("status %d, the inner handler was asked %d times", w.Code, asked)
			}
			if !strings.HasPrefix(strings.Join(h.Values("Vary"), ", "), "Origin") {
				t.Errorf("Vary: %v", h.Values("Vary"))
			}
			want := map[string]string{}
			if c.allowed {
				want["Access-Control-Allow-Origin"], want["Access-Control-Allow-Credentials"] = c.origin, "true"
				want["Access-Control-Expose-Headers"] = "Retry-After, X-Request-Id"
				if c.status == 204 {
					want["Access-Control-Allow-Methods"], want["Access-Control-Allow-Headers"], want["Access-Control-Max-Age"] = "GET, POST", "Authorization", "600"
				}
			}
			got := map[string]string{}
			for name := range h {
				if strings.HasPrefix(name, "Access-Control-") {
					got[name] = h.Get(name)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
