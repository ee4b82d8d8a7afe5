package internal_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers are the packages whose imports are walled in: each may import those
// of this program that stand beside it, and no others.
var layers = map[string][]string{
	"poa/internal/scoring": {},
	"poa/internal/trigger": {"scoring"},
	"poa/internal/batch":   {"trigger"},
	"poa/internal/store":   {"scoring", "trigger"},
	"poa/internal/publish": {"scoring", "trigger", "store"},
	"poa/internal/ledger":  {"scoring", "trigger", "store", "publish"},
	"poa/internal/exact":   {"scoring", "store", "publish"},
	"poa/internal/verify":  {"scoring", "store", "publish"},
	"poa/internal/live":    {"store", "trigger"},
	"poa/internal/access":  {"store"},
	"poa/internal/people":  {"access", "snapshot", "store"},
}

// pure packages import the standard library only, and no part of it that does
// I/O.
var pure = []string{"poa/internal/scoring", "poa/internal/trigger", "poa/internal/batch"}

var impure = []string{"os", "net", "net/http", "database/sql", "context", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"}

func TestImportsRunOneWay(t *testing.T) {
	for pkg, allowed := range layers {
		for _, i := range importsOf(t, pkg) {
			if name, ours := strings.CutPrefix(i, "poa/internal/"); ours && !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s; it may import %v only", pkg, i, allowed)
			}
			if slices.Contains(pure, pkg) && (slices.Contains(impure, i) || strings.Contains(i, ".")) {
				t.Errorf("%s is pure and imports %s", pkg, i)
			}
		}
	}
}

// importsOf reads what a package's files import, tests left out. It reads
// them itself, so that go test knows when its cached answer is out of date.
func importsOf(t *testing.T, pkg string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(strings.TrimPrefix(pkg, "poa/internal/"), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var imports []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports = append(imports, path)
		}
	}
	if imports == nil {
		t.Fatalf("%s has no files that import anything: has it moved?", pkg)
	}
	return imports
}
