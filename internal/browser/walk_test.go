package browser

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"poa/internal/panel"
)

// axe finds what keeps people from using a page: see `make vendor`.
//
//go:embed testdata/axe.min.js
var axe string

// samplePaths stand for patterns of paths.
var samplePaths = strings.NewReplacer("{$}", "", "/nfts/{id}", "/nfts/fugz-6", "/collections/{id}", "/collections/Fugz", "/voters/{id}", "/voters/visitor",
	"{number}", "1", "{name}", "fugz-6", "{path...}", "", "{rest...}", "")

// TestEveryPage walks all pages of the panel as viewer and as operator, and
// looks at each in a wide window and on a phone, light and dark.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.vote(`{"key": "walk", "voter": "visitor", "kind": "matchup", "a": "fugz-6", "b": "kabu-13", "outcome": "a", "super": true}`)
	patterns, err := panel.Paths()
	if err != nil {
		t.Fatal(err)
	}
	operator, viewer := s.sign("operator"), s.sign("viewer")
	// A collection whose name is as long as can be, and has no place to break.
	long := strings.Repeat("w", 200)
	operator.register(long, "long-"+strings.Repeat("w", 100))
	s.vote(`{"key": "long", "voter": "` + strings.Repeat("v", 200) + `", "kind": "fire", "a": "long-` + strings.Repeat("w", 100) + `"}`)
	operator.do(`fetch("/scheduler/run", {method: "POST", body: new URLSearchParams({size: "1"})})`) // so that there is a run to look at
	for _, v := range []*visitor{operator, viewer} {
		pages := v.pages(patterns)
		if len(pages) < 12 {
			t.Errorf("only %d pages are walked: %v", len(pages), pages)
		}
		pages = append(pages, "/collections/"+long, "/nfts/long-"+strings.Repeat("w", 100), "/scheduler/test?nft=fugz-6")
		v.Errors() // of asking which pages there are
		for _, path := range pages {
			v.examine(path)
		}
	}
	stranger := s.open()
	stranger.examine("/sign-in")
}

// register registers an NFT over the API.
func (v *visitor) register(collection string, ids ...string) {
	v.t.Helper()
	for _, id := range ids {
		status, err := Eval[int](v.Tab, fmt.Sprintf(`fetch("/api/v1/nfts", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify([{id: %q, name: %q, collection: %q}])}).then((r) => r.status)`, id, id, collection))
		v.must(err)
		if status != 200 {
			v.t.Fatalf("registering NFT %q: status %d", id, status)
		}
	}
}

// pages are the paths of pages that the visitor may see.
func (v *visitor) pages(patterns []string) (pages []string) {
	v.t.Helper()
	for _, pattern := range patterns {
		path := samplePaths.Replace(pattern)
		if strings.Contains(path, "{") {
			v.t.Errorf("%s: give its variable a sample in samplePaths", pattern)
			continue
		}
		got, err := Eval[string](v.Tab, fmt.Sprintf(`fetch(%q, {headers: {Accept: "text/html"}}).then((r) => { r.body?.cancel(); return r.redirected ? "elsewhere" : r.status + " " + r.headers.get("Content-Type"); })`, path))
		v.must(err)
		if strings.HasPrefix(got, "200 text/html") {
			pages = append(pages, path)
		} else if strings.HasPrefix(got, "5") {
			v.t.Errorf("%s: %s", path, got)
		}
	}
	return pages
}

// tallest is how high a row of a table or an entry of the log may be in a
// window of a width, in pixels: two lines, and about five on a phone.
var tallest = map[int64]int{1440: 64, 390: 120}

// examine looks at a page in every way.
func (v *visitor) examine(path string) {
	v.t.Helper()
	v.look(1440, "light")
	v.visit(path)
	v.do(axe)
	for _, width := range []int64{1440, 390} {
		for _, scheme := range []string{"light", "dark"} {
			where := fmt.Sprintf("%s, %d pixels, %s", path, width, scheme)
			v.look(width, scheme)
			wide, err := Eval[string](v.Tab, `(() => {
				const root = document.documentElement;
				if (root.scrollWidth <= innerWidth) return "";
				const out = [...document.body.querySelectorAll("*")].find((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".table, .sr"));
				return "it is " + root.scrollWidth + " pixels wide, because of " + (out ? out.outerHTML.slice(0, 200) : "something");
			})()`)
			v.must(err)
			if wide != "" {
				v.t.Errorf("%s: scrolls sideways: %s", where, wide)
			}
			tall, err := Eval[[]string](v.Tab, fmt.Sprintf(`[...document.querySelectorAll(".table tbody tr, .log li")].map((e) => [e.getBoundingClientRect().height, e]).filter(([height]) => height > %d).map(([height, e]) => height + " pixels: " + e.outerHTML.slice(0, 400))`, tallest[width]))
			v.must(err)
			for _, row := range tall {
				v.t.Errorf("%s: a row takes %s", where, row)
			}
			found, err := Eval[[]string](v.Tab, fmt.Sprintf(`axe.run(document, {resultTypes: ["violations"], ...%s}).then((r) => r.violations.flatMap((f) => f.nodes.slice(0, 3).map((n) => f.id + ": " + f.help + ": " + n.target.join(" ") + ": " + (n.any[0]?.message || "") + " " + n.html.slice(0, 160))))`, rules(scheme)))
			v.must(err)
			for _, text := range found {
				v.t.Errorf("%s: %s", where, text)
			}
		}
	}
	v.clean(path)
}

// rules are the options of axe: all rules in light, and in dark those that
// look at colours.
func rules(scheme string) string {
	if scheme == "dark" {
		return `{runOnly: ["color-contrast", "link-in-text-block"]}`
	}
	return `{}`
}
