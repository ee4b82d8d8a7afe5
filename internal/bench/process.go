package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"poa/internal/program"
)

// process is poa serve on a database, as a process of its own.
type process struct {
	*program.Process
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
	cmd := exec.Command(r.Program, "serve", "--listen", "127.0.0.1:0", "--migrate")
	cmd.Dir = r.folder
	cmd.Env = append(program.Environment(append(settings, "database="+db.address(), "log.level=warn", "serve.public_metrics=true", "panel.try_it=true",
		"access.key_per_minute=0", "access.voter_per_minute=0", "access.anonymous_per_minute=0")...), "TMPDIR="+os.TempDir(), "POA_CONFIG="+config)
	p, url, err := program.Serve(cmd, startWithin)
	if err != nil {
		return nil, err
	}
	return &process{p, client{url: url, keys: keys, people: people, web: connections(clients)}}, nil
}

// kill ends the process at once: its database is thrown away.
func (p *process) kill() error {
	p.web.CloseIdleConnections()
	err := p.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = fmt.Errorf("poa serve ended by itself with exit code %d: %s", p.ExitCode(), p.Tail())
	}
	return err
}

// memory returns the resident memory of the process.
func (p *process) memory() (m Memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.ID()))
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
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.ID()))
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
