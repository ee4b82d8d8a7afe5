package panel

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// assetFiles are the style sheet, our scripts, and those of others: `make
// vendor` fetches these and checks that they are what they were.
//
//go:embed assets
var assetFiles embed.FS

const assetPrefix = "/assets/"

// assets serves files under a path that names their content, so that browsers
// keep them for good.
type assets struct {
	base  string // the path they are under, with a slash at the end
	files map[string][]byte
}

func loadAssets() (assets, error) {
	a := assets{files: map[string][]byte{}}
	sum := sha256.New()
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := assetFiles.ReadFile(name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, "assets/")
		fmt.Fprintf(sum, "%s %d\n", name, len(content))
		sum.Write(content)
		a.files[name] = content
		return nil
	})
	a.base = assetPrefix + hex.EncodeToString(sum.Sum(nil)[:6]) + "/"
	return a, err
}

// path is where an asset is.
func (a assets) path(name string) string { return a.base + name }

func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, a.base)
	content, found := a.files[name]
	if !ok || !found {
		http.NotFound(w, r) // a page of another version of the program asks
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(content) // the client may have gone
}
