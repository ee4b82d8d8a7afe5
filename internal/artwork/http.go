package artwork

import (
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxID is the length of an id that is drawn, in bytes.
const maxID = 200

// Handler serves pictures below Folder. They never change, so browsers keep
// them.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, Folder), ".svg")
		if !ok || id == "" || len(id) > maxID || !utf8.ValidString(id) {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "image/svg+xml")
		h.Set("Cache-Control", "public, max-age=604800, immutable")
		h.Set("Content-Security-Policy", "default-src 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(SVG(id)) // the client may have gone
	})
}
