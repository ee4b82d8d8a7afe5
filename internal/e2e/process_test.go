package e2e_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"poa/internal/program"
)

const (
	// patience is how long anything may take before a test gives up. It says
	// nothing about how long it should take.
	patience = time.Minute
	// stopsWithin is the promise of a graceful shutdown.
	stopsWithin = 10 * time.Second
)

// process is a running command, mostly poa serve.
type process struct {
	*program.Process
	url string // http://127.0.0.1:PORT
}

// command returns a command of the program with settings such as
// batch.every=10s.
func command(t *testing.T, database string, settings []string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = t.TempDir(), environment(database, settings)
	return cmd
}

func environment(database string, settings []string) []string {
	return program.Environment(append([]string{"database=" + database, "log.level=warn"}, settings...)...)
}

// serve starts a process on a free port and returns when it listens. What is
// left of it is killed when the test ends.
func serve(t *testing.T, database string, settings ...string) *process {
	t.Helper()
	p, err := launch(t, command(t, database, settings, "serve", "--listen", "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// launch starts a process that serves and waits until it says where. One that
// does not has ended.
func launch(t *testing.T, cmd *exec.Cmd) (*process, error) {
	t.Helper()
	p, url, err := program.Serve(cmd, patience)
	if p == nil {
		t.Fatal(err)
	}
	watch(t, p)
	return &process{p, url}, err
}

// start starts a command that goes on by itself.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p, err := program.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	watch(t, p)
	return &process{Process: p}
}

// watch kills a process when the test ends, and shows its log if that failed.
func watch(t *testing.T, p *program.Process) {
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the log of process %d ends with:\n%s", p.ID(), p.Tail())
		}
	})
}

// terminate asks the process to end.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
}

// stop ends the process and checks that it keeps its promise.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.terminate(t)
	p.ends(t)
}

// ends waits for the end of a process that was asked for it.
func (p *process) ends(t *testing.T) {
	t.Helper()
	select {
	case <-p.Gone:
	case <-time.After(stopsWithin):
		t.Fatalf("the process has not ended %v after the signal", stopsWithin)
	}
	if code := p.ExitCode(); code != 0 {
		t.Errorf("the process ended with exit code %d", code)
	}
}

// run runs a command of the program to its end.
func run(t *testing.T, database string, args ...string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience) // long tests leave much to verify
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = t.TempDir(), environment(database, nil)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// must runs a command of the program that must succeed.
func must(t *testing.T, database string, args ...string) string {
	t.Helper()
	code, out := run(t, database, args...)
	if code != 0 {
		t.Fatalf("poa %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// verified checks that the database is what its vote log says.
func verified(t *testing.T, database string) {
	t.Helper()
	if code, out := run(t, database, "verify"); code != 0 || !strings.Contains(out, "no difference") {
		t.Errorf("poa verify: exit code %d\n%s", code, out)
	}
}

// eventually waits until done is true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	within(t, patience, what, done)
}

func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain for %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
