// Package program runs poa in processes of its own, for tests and for the
// benchmark.
package program

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"poa/internal/config"
)

// Build builds the program into a folder of its own, from which every user may
// run it. Remove the folder when the program is no longer needed.
func Build() (path, folder string, err error) {
	if folder, err = os.MkdirTemp("", "poa-program-"); err != nil {
		return "", "", err
	}
	path = filepath.Join(folder, "poa")
	out, err := exec.Command("go", "build", "-o", path, "poa/cmd/poa").CombinedOutput()
	if err = errors.Join(err, os.Chmod(folder, 0o755)); err != nil {
		return "", "", errors.Join(fmt.Errorf("building the program: %w\n%s", err, out), os.RemoveAll(folder))
	}
	return path, folder, nil
}

// Environment is that of a process of the program: settings such as
// batch.every=10s, and of this process's own nothing but the path.
func Environment(settings ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH")}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		env = append(env, config.Variable(name)+"="+value)
	}
	return env
}

// Process is a command that goes on until it is stopped. It dies with the
// process that started it.
type Process struct {
	Began time.Time
	Gone  <-chan struct{} // closed when it has ended
	cmd   *exec.Cmd
	log   output
}

// Start starts a command. What it writes goes to its log.
func Start(cmd *exec.Cmd) (*Process, error) { return start(cmd, nil) }

// Launch starts a command and waits until it has written a line that said
// matches; it returns the match and its groups. A process that does not say so
// within the limit is killed and returned with the error.
func Launch(cmd *exec.Cmd, said *regexp.Regexp, limit time.Duration) (*Process, []string, error) {
	p, err := start(cmd, said)
	if err != nil {
		return nil, nil, err
	}
	select {
	case match := <-p.log.found:
		return p, match, nil
	case <-p.Gone:
		err = fmt.Errorf("it ended with exit code %d", p.ExitCode())
	case <-time.After(limit):
		err = fmt.Errorf("it took longer than %v", limit)
		_ = p.Kill() // it may have ended just now
	}
	return p, nil, fmt.Errorf("starting %s: %w\n%s", strings.Join(cmd.Args, " "), err, p.Tail())
}

// Serve is Launch for poa serve; it returns the URL of the service, such as
// http://127.0.0.1:8080.
func Serve(cmd *exec.Cmd, limit time.Duration) (*Process, string, error) {
	p, said, err := Launch(cmd, regexp.MustCompile(`(?m)^poa serves (\S+) `), limit)
	if err != nil {
		return p, "", err
	}
	return p, said[1], nil
}

// start starts a command. The signal that ends it when this process dies is
// bound to the thread that forks, which therefore waits for it and does nothing
// else.
func start(cmd *exec.Cmd, said *regexp.Regexp) (*Process, error) {
	gone := make(chan struct{})
	p := &Process{Began: time.Now(), Gone: gone, cmd: cmd, log: output{said: said, found: make(chan []string, 1)}}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // ExitCode tells how it ended
			close(gone)
		}
	}()
	return p, <-started
}

// Kill ends the process at once, as kill -9 does, and returns when it is gone:
// os.ErrProcessDone where it had ended by itself.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	<-p.Gone
	return err
}

// Terminate asks the process to end.
func (p *Process) Terminate() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

// ID is that of the process.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// ExitCode is that of a process that has ended, -1 of one that was killed.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Log is what the process wrote to its standard output and error, the last MiB
// of it.
func (p *Process) Log() string {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return string(p.log.text)
}

// Tail is the end of the log, for people.
func (p *Process) Tail() string {
	log := p.Log()
	return log[max(0, len(log)-6000):]
}

// output is what a process wrote.
type output struct {
	mu    sync.Mutex // guards what follows
	text  []byte
	said  *regexp.Regexp // nil: nobody waits for a line, or it was found
	found chan []string
}

func (o *output) Write(p []byte) (int, error) {
	const kept = 1 << 20
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if o.said != nil {
		whole := o.text[:bytes.LastIndexByte(o.text, '\n')+1]
		if match := o.said.FindStringSubmatch(string(whole)); match != nil {
			o.said = nil
			o.found <- match
		}
	}
	o.text = o.text[max(0, len(o.text)-kept):]
	return len(p), nil
}
