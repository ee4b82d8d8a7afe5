package browser

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Program is a command of poa that goes on until it is stopped.
type Program struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
	log  *text
}

// text is what a program wrote.
type text struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.Write(p)
}

// Launch starts a command and waits until it has written a line that said
// matches; it returns that line. The program dies with this one.
func Launch(cmd *exec.Cmd, said *regexp.Regexp, limit time.Duration) (p *Program, line string, err error) {
	p = &Program{cmd: cmd, gone: make(chan struct{}), log: &text{}}
	cmd.Stderr = p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	cmd.Stdout = in
	started := make(chan error)
	go func() { // the signal is bound to the thread that forks
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
		return nil, "", errors.Join(err, out.Close())
	}
	found := make(chan string, 1)
	go func() { // reads on, so that the program does not block
		defer out.Close()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(p.log, lines.Text())
			if said.MatchString(lines.Text()) {
				select {
				case found <- lines.Text():
				default:
				}
			}
		}
	}()
	select {
	case line = <-found:
		return p, line, nil
	case <-p.gone:
		err = errors.New("it ended")
	case <-time.After(limit):
		err = errors.New("it took too long")
	}
	p.Kill()
	return nil, "", fmt.Errorf("starting %v: %w\n%s", cmd.Args, err, p.Log())
}

// Log is what the program wrote.
func (p *Program) Log() string {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.text.String()
}

// Kill ends the program.
func (p *Program) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.gone
}
