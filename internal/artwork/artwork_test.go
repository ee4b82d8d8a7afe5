package artwork

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// allowed are the elements that pictures are made of.
var allowed = map[string]bool{"svg": true, "rect": true, "circle": true, "ellipse": true, "path": true, "g": true, "clipPath": true}

func TestPicturesAreWellFormedAndDiffer(t *testing.T) {
	names := []string{"unheard-of", "another", "a third"}
	for name := range kinds() {
		names = append(names, name)
	}
	for _, name := range names {
		seen := map[string]bool{}
		for i := range 200 {
			id := fmt.Sprintf("%s-%d", name, i)
			picture := SVG(id)
			if !bytes.Equal(picture, SVG(id)) {
				t.Fatalf("%s is drawn in two ways", id)
			}
			if len(picture) > 16<<10 {
				t.Errorf("%s has %d bytes", id, len(picture))
			}
			seen[string(picture)] = true
			d := xml.NewDecoder(bytes.NewReader(picture))
			for {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v\n%s", id, err, picture)
				}
				if start, ok := token.(xml.StartElement); ok && !allowed[start.Name.Local] {
					t.Errorf("%s has an element %s", id, start.Name.Local)
				}
			}
			if bytes.Contains(picture, []byte("NaN")) || bytes.Contains(picture, []byte("Inf")) {
				t.Errorf("%s has a coordinate that is no number", id)
			}
		}
		if len(seen) < 200 {
			t.Errorf("%s: %d of 200 pictures differ", name, len(seen))
		}
	}
}

func TestColours(t *testing.T) {
	for _, c := range []struct {
		l, c, h float64
		want    string
	}{{1, 0, 0, "#ffffff"}, {0, 0, 0, "#000000"}, {0.6279, 0.25, 29.23, "#fe0000"}, {0.5, 0, 200, "#636363"}} {
		got := oklch(c.l, c.c, c.h)
		if c.want == "#fe0000" { // pure red, but for the chroma that was taken off
			if !strings.HasPrefix(got, "#f") {
				t.Errorf("oklch(%v) is %s, want a red", c, got)
			}
		} else if got != c.want {
			t.Errorf("oklch(%v) is %s, want %s", c, got, c.want)
		}
	}
	hex := regexp.MustCompile(`^#[0-9a-f]{6}$`)
	for h := range 360 {
		for _, l := range []float64{0.1, 0.5, 0.95} {
			if got := oklch(l, 0.3, float64(h)); !hex.MatchString(got) {
				t.Fatalf("oklch(%v, 0.3, %d) is %q", l, h, got)
			}
		}
	}
}

func TestServed(t *testing.T) {
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	w := get(Path("kabu-12"))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/svg+xml" || !bytes.Equal(w.Body.Bytes(), SVG("kabu-12")) {
		t.Errorf("status %d, %v", w.Code, w.Header())
	}
	if cache := w.Header().Get("Cache-Control"); !strings.Contains(cache, "immutable") {
		t.Errorf("kept by browsers: %q", cache)
	}
	if w := get("/art/%3Cscript%3E-1.svg"); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "script") {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
	for _, path := range []string{"/art/", "/art/.svg", "/art/kabu-12", "/art/kabu-12.png", "/art/%ff.svg", "/art/" + strings.Repeat("a", 201) + ".svg"} {
		if w := get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}
