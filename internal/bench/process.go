package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is poa serve on a database, as a process of its own.
type process struct {
	cmd  *exec.Cmd
	log  *ending
	gone chan struct{} // closed when it has ended
	client
}

// startWithin is how long the program may take until it listens.
const startWithin = time.Minute

// serve starts the program on a database, which this process has closed, on a
// free loopback port. Settings are such as batch.mode=adaptive. What limits
// clients is off: the clients of a benchmark are few and fast.
func (r *run) serve(ctx context.Context, db database, clients int, settings ...string) (*process, error) {
	keys, err := makeKeys(ctx, db, r.Now())
	if err != nil {
		return nil, fmt.Errorf("making keys: %w", err)
	}
	people, err := r.signIn(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("signing in: %w", err)
	}
	if err := db.close(ctx); err != nil {
		return nil, err
	}
	config := filepath.Join(r.folder, "poa.yaml") // in place of the machine's own
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(r.Program, "serve", "--listen", "127.0.0.1:0", "--migrate"), log: new(ending), gone: make(chan struct{})}
	p.cmd.Dir = r.folder
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "POA_CONFIG=" + config, "DATABASE_URL=" + db.address()}
	settings = append(settings, "log.level=warn", "serve.public_metrics=true", "panel.try_it=true", "access.key_per_minute=0", "access.voter_per_minute=0", "access.anonymous_per_minute=0")
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		p.cmd.Env = append(p.cmd.Env, "POA_"+strings.ToUpper(strings.ReplaceAll(name, ".", "_"))+"="+value)
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.start(); err != nil {
		return nil, fmt.Errorf("starting %s serve: %w", r.Program, err)
	}
	p.client.keys, p.client.people, p.client.web = keys, people, connections(clients)
	return p, nil
}

// start returns when the program says where it serves. The signal that ends it
// when this process dies is bound to the thread that forks, which therefore
// waits for it and does nothing else.
func (p *process) start() error {
	p.cmd.Stderr = p.log
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	p.cmd.Stdout = in
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		in.Close()
		started <- err
		if err == nil {
			p.cmd.Wait()
			close(p.gone)
		}
	}()
	if err := <-started; err != nil {
		return errors.Join(err, out.Close())
	}
	err = out.SetReadDeadline(time.Now().Add(startWithin))
	if err != nil {
		return errors.Join(err, out.Close(), p.kill())
	}
	said := bufio.NewReader(out)
	line, err := said.ReadString('\n')
	go func() { // what else it says; writing to a closed pipe would end it
		_ = out.SetReadDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, said)
		out.Close()
	}()
	address, ok := strings.CutPrefix(line, "poa serves ")
	if err != nil || !ok {
		return errors.Join(fmt.Errorf("it did not say where it serves: %s%s", line, p.log), p.kill())
	}
	p.url, _, _ = strings.Cut(address, " ")
	return nil
}

// kill ends the process at once: its database is thrown away.
func (p *process) kill() error {
	if p.web != nil {
		p.web.CloseIdleConnections()
	}
	err := p.cmd.Process.Kill()
	<-p.gone
	if errors.Is(err, os.ErrProcessDone) {
		err = fmt.Errorf("%s ended by itself: %s", p.cmd, p.log)
	}
	return err
}

// memory returns the resident memory of the process.
func (p *process) memory() (m Memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return m, fmt.Errorf("reading the memory of poa serve: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		var kB int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kB); n == 1 {
			m.Now = kB << 10
		} else if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kB); n == 1 {
			m.Most = kB << 10
		}
	}
	if m.Now == 0 || m.Most == 0 {
		return m, errors.New("the system does not tell the memory of poa serve")
	}
	return m, nil
}

// cpu returns the processor time that the process has used.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the processor time of poa serve: %w", err)
	}
	// The name in brackets, the second field, may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const user, system, perSecond = 11, 12, 100 // USER_HZ is 100 on every Linux that Go runs on
	if len(fields) <= system {
		return 0, errors.New("the system does not tell the processor time of poa serve")
	}
	var ticks int64
	for _, field := range fields[user : system+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the processor time of poa serve: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / perSecond, nil
}

// ending keeps the end of what is written to it.
type ending struct {
	mu   sync.Mutex // guards what follows
	text []byte
}

func (e *ending) Write(p []byte) (int, error) {
	const kept = 4000
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text = append(e.text, p...)
	e.text = e.text[max(0, len(e.text)-kept):]
	return len(p), nil
}

func (e *ending) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.text)
}
