// Package e2e_test runs the program itself: processes of poa serve on real
// databases, with clients that vote over HTTP while processes are killed,
// databases restart and disks fill up. Everything is on loopback.
//
// POA_LONG in the environment, which `make long` sets, makes the tests as long
// as a release wants them: docs/architecture.md tells what is longer.
package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"poa/internal/program"
	"poa/internal/store/postgres/pgtest"
)

// binary is the path of the program that TestMain built.
var binary string

func TestMain(m *testing.M) {
	if description := os.Getenv(playerEnv); description != "" {
		if err := playOn(description); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	path, folder, err := program.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = path
	// The tests wait more than they compute, so more of them than there are
	// cores go on at once, unless -parallel says otherwise.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pgtest.Main(m)
	os.RemoveAll(folder)
}

// long reports whether the tests are to be long.
func long() bool { return os.Getenv("POA_LONG") != "" }
