package access

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Origins are the web origins whose pages may call from a browser, as browsers
// write them: https://game.example, http://127.0.0.1:3000.
type Origins []string

// ParseOrigins reads origins separated by commas.
func ParseOrigins(list string) (Origins, error) {
	var o Origins
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		u, err := url.Parse(item)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || item != u.Scheme+"://"+u.Host || strings.Contains(u.Host, "*") {
			return nil, fmt.Errorf("must be origins separated by commas, such as https://game.example or http://127.0.0.1:3000, without a path or a wildcard; %q is none", item)
		}
		o = append(o, strings.ToLower(item))
	}
	return o, nil
}

// AllowedOrigins returns the origins whose pages may call from a browser, where
// paths are shared with them: see AuthorizeShared.
func (g *Guard) AllowedOrigins() Origins { return g.origins }

// Share lets pages of these origins call next from a browser, with the methods
// and the request headers given, and answers browsers that ask beforehand
// whether they may (CORS); to others these are plain requests without an answer
// for them. It gives nobody access: next does.
func (o Origins) Share(next http.Handler, methods, headers string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		allowed := slices.Contains(o, origin)
		if allowed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
		}
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if allowed {
			h.Set("Access-Control-Allow-Methods", methods)
			h.Set("Access-Control-Allow-Headers", headers)
			h.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
