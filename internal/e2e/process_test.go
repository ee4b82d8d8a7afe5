package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience is how long anything may take before a test gives up. It says
	// nothing about how long it should take.
	patience = time.Minute
	// stopsWithin is the promise of a graceful shutdown.
	stopsWithin = 10 * time.Second
)

// process is a running poa serve.
type process struct {
	cmd     *exec.Cmd
	url     string // http://127.0.0.1:PORT
	started time.Time
	log     *text
	gone    chan struct{} // closed when it has ended
}

// text is what a process wrote.
type text struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.String()
}

// environment is that of the program: nothing of the test's own but the path,
// and settings such as batch.every=10s.
func environment(database string, settings []string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "DATABASE_URL=" + database, "POA_LOG_LEVEL=warn"}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		env = append(env, "POA_"+strings.ToUpper(strings.ReplaceAll(name, ".", "_"))+"="+value)
	}
	return env
}

// command returns a command of the program, which dies with the test.
func command(t *testing.T, database string, settings []string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = environment(database, settings)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// serve starts a process on a free port and returns when it listens. What is
// left of it is killed when the test ends.
func serve(t *testing.T, database string, settings ...string) *process {
	t.Helper()
	p, err := launch(command(t, database, settings, "serve", "--listen", "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	watch(t, p)
	return p
}

// watch kills a process when the test ends, and shows its log if that failed.
func watch(t *testing.T, p *process) {
	t.Cleanup(func() {
		p.kill()
		if log := p.log.String(); t.Failed() {
			t.Logf("the log of process %d ends with:\n%s", p.cmd.Process.Pid, log[max(0, len(log)-6000):])
		}
	})
}

// launch starts a process that serves and waits until it says where. The
// parent-death signal is bound to the thread that forks, which therefore waits
// for the process and does nothing else.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: &text{}, gone: make(chan struct{}), started: time.Now()}
	cmd.Stderr = p.log
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = in
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		in.Close()
		started <- err
		if err == nil {
			cmd.Wait()
			close(p.gone)
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, out.Close())
	}
	out.SetReadDeadline(time.Now().Add(patience))
	said := bufio.NewReader(out)
	line, err := said.ReadString('\n')
	out.SetReadDeadline(time.Time{})
	go func() { // what else it says; writing to a closed pipe would end it
		io.Copy(io.Discard, said)
		out.Close()
	}()
	address, ok := strings.CutPrefix(line, "poa serves ")
	if err != nil || !ok {
		p.kill()
		return p, fmt.Errorf("the process did not come up (%v, exit code %d): %s\n%s", err, p.code(), line, p.log)
	}
	p.url, _, _ = strings.Cut(address, " ")
	return p, nil
}

// kill kills the process, as kill -9 does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.gone
}

// code is the exit code of a process that has ended, -1 of one that was killed.
func (p *process) code() int { return p.cmd.ProcessState.ExitCode() }

// terminate asks the process to end.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
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
	case <-p.gone:
	case <-time.After(stopsWithin):
		t.Fatalf("the process has not ended %v after the signal", stopsWithin)
	}
	if code := p.code(); code != 0 {
		t.Errorf("the process ended with exit code %d", code)
	}
}

// run runs a command of the program to its end.
func run(t *testing.T, database string, args ...string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience) // long tests leave much to verify
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = environment(database, nil)
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
