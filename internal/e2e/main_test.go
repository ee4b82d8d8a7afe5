// Package e2e_test runs the program itself: processes of poa serve on real
// databases, with clients that vote over HTTP while processes are killed,
// databases restart and disks fill up. Everything is on loopback.
//
// POA_LONG in the environment makes the tests as long as a release wants them.
package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"poa/internal/store/postgres/pgtest"
)

// program is the path of the binary that TestMain built.
var program string

func TestMain(m *testing.M) {
	dir, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The tests wait more than they compute, so more of them than there are
	// cores go on at once, unless -parallel says otherwise.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pgtest.Main(m)
	os.RemoveAll(dir)
}

// build builds the program into a folder from which every user may run it.
func build() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "poa-e2e-"); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	program = filepath.Join(dir, "poa")
	if out, err := exec.Command("go", "build", "-o", program, "poa/cmd/poa").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return dir, nil
}

// long reports whether the tests are to be long.
func long() bool { return os.Getenv("POA_LONG") != "" }
