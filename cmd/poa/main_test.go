package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rogpeppe/go-internal/testscript"

	"poa/internal/store/postgres/pgtest"
)

// TestMain makes the test binary the program where it is called by its name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "poa" {
		main() // exits
	}
	pgtest.Main(m)
}

// script runs the scripts in a folder, each in a directory of its own with the
// program on its PATH, on the database that the function names.
func script(t *testing.T, dir string, database func() string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			bin := filepath.Join(env.WorkDir, ".bin")
			if err := os.Mkdir(bin, 0o700); err != nil {
				return err
			}
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			if database != nil {
				env.Setenv("DATABASE_URL", database())
			}
			return os.Symlink(program, filepath.Join(bin, "poa"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "sql": runSQL},
	})
}

// exits runs a command and checks its exit code: exits 2 poa top.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			ts.Fatalf("running %s: %v", args[1], err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// runSQL changes an SQLite file behind the program's back: sql FILE STATEMENT.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	result, err := db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		ts.Fatalf("the statement changed no row")
	}
}

func TestSQLite(t *testing.T) { script(t, "testdata/sqlite", nil) }

func TestBothOnSQLite(t *testing.T) {
	script(t, "testdata/both", func() string { return "sqlite:both.db" })
}

func TestBothOnPostgres(t *testing.T) {
	script(t, "testdata/both", func() string { return pgtest.New(t) })
}

// TestSameOnBoth writes the sample into both databases by a clock that stands
// still: everything that is kept is then equal, bit for bit.
func TestSameOnBoth(t *testing.T) {
	databases := []string{filepath.Join(t.TempDir(), "poa.db"), pgtest.New(t)}
	exports := map[int]string{} // by step
	for i, database := range databases {
		for step, args := range [][]string{
			{"sample"}, {"export", "scores"}, {"compute", "--all"}, {"top"}, {"collections"}, {"score", "kabu-15"},
			{"export", "nfts"}, {"export", "votes"}, {"export", "ratings"}, {"export", "scores"}, {"export", "history"},
		} {
			command := strings.Join(args, " ")
			code, stdout, stderr := run(t.Context(), t, nil, append(args, "--database", database)...)
			if code != exitOK {
				t.Fatalf("%s on %s: exit code %d\n%s", command, database, code, stderr)
			}
			switch {
			case step == 0: // its output names the database
			case i == 0:
				exports[step] = stdout
			default:
				if diff := cmp.Diff(exports[step], stdout); diff != "" {
					t.Errorf("%s (-SQLite +PostgreSQL):\n%s", command, diff)
				}
			}
		}
	}
}

// run runs the program inside the test, at a time that stands still.
func run(ctx context.Context, t *testing.T, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	m := &Main{Stdin: stdin, Stdout: &out, Stderr: &errs, Args: args, Now: func() time.Time { return now }}
	code = m.Run(ctx)
	return code, out.String(), errs.String()
}

func TestInterruptedWhileWaitingForInput(t *testing.T) {
	database := filepath.Join(t.TempDir(), "poa.db")
	stdin, input := io.Pipe()
	defer input.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		// The second write returns once the first was read.
		_, _ = io.WriteString(input, "id,voter,nft,value\n")
		_, _ = io.WriteString(input, "1,ann,x,50\n")
		cancel()
	}()
	code, _, stderr := run(ctx, t, stdin, "import", "-", "--database", database, "--rejects", filepath.Join(t.TempDir(), "rejects"))
	if code != exitFailure || !strings.Contains(stderr, "error: interrupted\ntry: run it again") {
		t.Errorf("exit code %d, standard error:\n%s", code, stderr)
	}
	code, stdout, stderr := run(context.Background(), t, nil, "verify", "--database", database)
	if code != exitOK {
		t.Errorf("verify after the interruption: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// TestSignal stops the program itself, while it waits for input.
func TestSignal(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var errs bytes.Buffer
	cmd := &exec.Cmd{Path: program, Args: []string{"poa", "import", "-"}, Dir: dir, Stderr: &errs}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Once there is a database, the program listens to signals.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "poa.db")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no database after a minute: %s", errs.String())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailure || !strings.Contains(errs.String(), "error: interrupted") {
		t.Errorf("exit code %d, standard error:\n%s", code, errs.String())
	}
}

// TestFileSizeLimit: a limit of the size of files is an error like a full disk,
// not the end of the program in the middle of its work.
func TestFileSizeLimit(t *testing.T) {
	cmd := exec.Command("sh", "-c", `ulimit -f 400; exec "$0" "$@"`, binary(t), "sample", "--database", "sqlite:"+filepath.Join(t.TempDir(), "poa.db"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailure {
		t.Fatalf("it ended with %v\n%s", err, stderr.String())
	}
	if !strings.Contains(stderr.String(), "error:") || !strings.Contains(stderr.String(), "that the disk is not full") {
		t.Errorf("standard error:\n%s", stderr.String())
	}
}

func TestPoolerHint(t *testing.T) {
	for _, code := range []string{"42P05", "26000"} {
		err := fmt.Errorf("reading: %w", &pgconn.PgError{Code: code})
		if hint := (&Main{}).hint(err); !strings.Contains(hint, "default_query_exec_mode=exec") || !strings.Contains(hint, "serve.poll_jobs") {
			t.Errorf("%s: %s", code, hint)
		}
	}
}

// TestPostgresHints meets errors of a server that runs.
func TestPostgresHints(t *testing.T) {
	base, err := url.Parse(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	absent, nobody := *base, *base
	absent.Path = "/absent"
	nobody.User = url.UserPassword("nobody", "hunter2")
	for name, test := range map[string]struct{ url, hint string }{
		"a database that is not there": {absent.String(), "try: create the database first: createdb NAME"},
		"a user that is not there":     {nobody.String(), "try: check the user name in the database URL"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, command := range []string{"top", "sample", "migrate"} {
				code, _, stderr := run(t.Context(), t, nil, command, "--database", test.url)
				if code != exitFailure || !strings.Contains(stderr, test.hint) || strings.Contains(stderr, "hunter") {
					t.Errorf("%s: exit code %d, standard error:\n%s", command, code, stderr)
				}
			}
		})
	}
}

func TestSchemaVersions(t *testing.T) {
	m := &Main{Stderr: io.Discard, Env: []string{"DATABASE_URL=sqlite:x.db"}}
	m.errs = &redactor{w: m.Stderr}
	if err := m.configure(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		have, want int64
		message    string
		hint       string
	}{
		{2, 2, "", ""},
		{1, 2, "the database sqlite:x.db has schema version 1; this program works with version 2", "poa migrate"},
		{3, 2, "the database sqlite:x.db has schema version 3; this program knows versions up to 2", "use the newer program that made this database"},
	} {
		err := m.fits(test.have, test.want)
		if test.message == "" {
			if err != nil {
				t.Errorf("version %d of %d: %v", test.have, test.want, err)
			}
			continue
		}
		if err == nil || err.Error() != test.message || m.hint(err) != test.hint {
			t.Errorf("version %d of %d: %v, hint %q", test.have, test.want, err, m.hint(err))
		}
	}
}
