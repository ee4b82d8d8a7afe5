package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
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
	"poa/internal/people":  {"access", "store"},
}

// pure packages import the standard library only, and no part of it that does
// I/O.
var pure = []string{"poa/internal/scoring", "poa/internal/trigger", "poa/internal/batch"}

var impure = []string{"os", "net", "net/http", "database/sql", "context", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"}

func TestImportsRunOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "poa/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		allowed, walled := layers[p.ImportPath]
		if !walled {
			continue
		}
		seen++
		for _, i := range p.Imports {
			if name, ours := strings.CutPrefix(i, "poa/internal/"); ours && !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s; it may import %v only", p.ImportPath, i, allowed)
			}
			if slices.Contains(pure, p.ImportPath) && (slices.Contains(impure, i) || strings.Contains(i, ".")) {
				t.Errorf("%s is pure and imports %s", p.ImportPath, i)
			}
		}
	}
	if seen < len(layers) {
		t.Errorf("only %d of %d walled packages were found", seen, len(layers))
	}
}
