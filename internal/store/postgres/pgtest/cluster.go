package pgtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser    = "postgres"
	startTimeout = time.Minute
	stopTimeout  = time.Minute
	dirPattern   = "poa-pgtest-"
	lockSuffix   = ".lock"
)

// Options of a cluster. The zero value is a cluster with PostgreSQL's defaults.
type Options struct {
	// NoSync switches off everything that makes commits durable, for speed.
	NoSync bool
	// Conf are further settings, in postgresql.conf's syntax, one a line.
	Conf []string
	// Fill fills the empty data directory in place of initdb, for instance
	// with Command("pg_basebackup", …).
	Fill func(c *Cluster) error
}

// Mode is a way to stop a server.
type Mode syscall.Signal

// The ways to stop a server.
const (
	Fast      = Mode(syscall.SIGINT)  // roll back, write a checkpoint, exit
	Immediate = Mode(syscall.SIGQUIT) // exit at once; the next start recovers from the log
)

// Cluster is a PostgreSQL server with its files. It listens on 127.0.0.1 and on
// a Unix socket in its directory and trusts whoever connects. Its methods are
// not safe for concurrent use.
type Cluster struct {
	bin    string // directory of the binaries
	dir    string // holds data, the log and the socket
	lock   *os.File
	port   int
	conf   []string
	owner  *syscall.Credential // whom the server runs as; nil for this process's user
	server *server             // nil while stopped
}

// server is a running postmaster.
type server struct {
	process *os.Process
	exited  chan struct{} // closed when it has exited
	err     error         // how, once it has
}

// Start makes a cluster and starts it.
func Start(o Options) (*Cluster, error) {
	bin, err := findBinaries("/usr/lib/postgresql/*/bin", "initdb")
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	sweep()
	c := &Cluster{bin: bin, owner: owner, conf: o.Conf}
	if err := c.create(o); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := c.Start(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Dir returns the data directory.
func (c *Cluster) Dir() string { return filepath.Join(c.dir, "data") }

// Port returns the TCP port on 127.0.0.1.
func (c *Cluster) Port() int { return c.port }

// Command returns a command of PostgreSQL, such as pg_basebackup, that runs as
// the cluster's owner in its directory.
func (c *Cluster) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	return cmd
}

// Start starts a stopped cluster and returns when it takes connections.
func (c *Cluster) Start() error {
	if c.server != nil {
		return errors.New("starting PostgreSQL: it runs")
	}
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	defer log.Close()
	cmd := c.Command("postgres", "-D", c.Dir())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Pdeathsig = syscall.Signal(Immediate)
	cmd.SysProcAttr.Setpgid = true // an interrupt on the terminal is the test's to handle
	if c.server, err = launch(cmd); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	if err := c.ready(); err != nil {
		return errors.Join(err, c.Stop(Immediate))
	}
	return nil
}

// launch starts cmd. The parent-death signal is bound to the thread that
// forked, so that thread waits for the process and does nothing else.
func launch(cmd *exec.Cmd) (*server, error) {
	s := &server{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		s.process = cmd.Process
		started <- err
		if err == nil {
			s.err = cmd.Wait()
			close(s.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return s, nil
}

// ready waits until the server takes connections.
func (c *Cluster) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-again.C:
		case <-c.server.exited:
			return fmt.Errorf("PostgreSQL did not start (%v):\n%s", c.server.err, c.Log())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL takes no connections: %w\n%s", err, c.Log())
		}
	}
}

// Stop stops the server and returns when it has exited. It does nothing when
// the server is stopped.
func (c *Cluster) Stop(mode Mode) error {
	s := c.server
	if s == nil {
		return nil
	}
	c.server = nil
	if err := s.process.Signal(syscall.Signal(mode)); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-s.exited:
		return nil
	case <-timeout.C:
		s.process.Kill()
		<-s.exited
		return fmt.Errorf("PostgreSQL had to be killed, it did not stop within %v:\n%s", stopTimeout, c.Log())
	}
}

// Log returns the end of the server's log.
func (c *Cluster) Log() string {
	log, err := os.ReadFile(c.logFile())
	if err != nil {
		return err.Error()
	}
	const end = 4000
	return string(bytes.TrimSpace(log[max(0, len(log)-end):]))
}

// Close stops the server and removes its files.
func (c *Cluster) Close() error {
	err := c.Stop(Immediate)
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	if c.lock != nil {
		err = errors.Join(err, os.Remove(c.lock.Name()), c.lock.Close())
	}
	return err
}

func (c *Cluster) logFile() string { return filepath.Join(c.dir, "log") }

// create makes the cluster's files.
func (c *Cluster) create(o Options) error {
	var err error
	if c.lock, err = claim(); err != nil {
		return fmt.Errorf("making a PostgreSQL cluster: %w", err)
	}
	c.dir = strings.TrimSuffix(c.lock.Name(), lockSuffix)
	for _, dir := range []string{c.dir, c.Dir()} {
		if err := c.mkdir(dir); err != nil {
			return fmt.Errorf("making a PostgreSQL cluster: %w", err)
		}
	}
	if c.port, err = freePort(); err != nil {
		return fmt.Errorf("finding a free port: %w", err)
	}
	fill := o.Fill
	if fill == nil {
		fill = initdb
	}
	if err := fill(c); err != nil {
		return err
	}
	return c.configure(o)
}

// mkdir makes a directory that belongs to the server's owner.
func (c *Cluster) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil || c.owner == nil {
		return err
	}
	return os.Chown(dir, int(c.owner.Uid), int(c.owner.Gid))
}

func initdb(c *Cluster) error {
	out, err := c.Command("initdb", "-D", c.Dir(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// configure appends the cluster's settings to postgresql.conf, where the last
// word on a setting counts.
func (c *Cluster) configure(o Options) error {
	conf := []string{
		"listen_addresses = '127.0.0.1'",
		fmt.Sprintf("port = %d", c.port),
		fmt.Sprintf("unix_socket_directories = '%s'", c.dir),
		"shared_buffers = 128MB",
	}
	if o.NoSync {
		conf = append(conf, "fsync = off", "synchronous_commit = off", "full_page_writes = off")
	}
	conf = append(conf, o.Conf...)
	f, err := os.OpenFile(filepath.Join(c.Dir(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configuring PostgreSQL: %w", err)
	}
	_, err = f.WriteString("\n" + strings.Join(conf, "\n") + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("configuring PostgreSQL: %w", err)
	}
	return nil
}

// findBinaries returns the directory of the newest PostgreSQL that holds a
// program, of those that match Debian's pattern, else of the one on PATH.
func findBinaries(debian, program string) (string, error) {
	dirs, err := filepath.Glob(debian)
	if err != nil {
		return "", err
	}
	version := func(dir string) int {
		v, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		return v
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, program)); err == nil {
			return dir, nil
		}
	}
	if path, err := exec.LookPath(program); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("PostgreSQL's server programs are missing: these tests start a server of their own; install them, for instance with: apt-get install postgresql")
}

// unprivileged returns whom to run the server as: PostgreSQL refuses to run as
// root, and then it is Debian's postgres user.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(superuser)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL refuses to run as root and there is no user %s to run it as; install it, for instance with: apt-get install postgresql: %w", superuser, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", superuser, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", superuser, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// claim makes a file that is locked until this process ends. The cluster's
// directory has its name, less the suffix.
func claim() (*os.File, error) {
	f, err := os.CreateTemp("", dirPattern+"*"+lockSuffix)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// sweep removes the files of clusters whose test processes were killed. It
// leaves alone what it cannot remove.
func sweep() {
	locks, err := filepath.Glob(filepath.Join(os.TempDir(), dirPattern+"*"+lockSuffix))
	if err != nil {
		return
	}
	for _, name := range locks {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			os.RemoveAll(strings.TrimSuffix(name, lockSuffix))
			os.Remove(name)
		}
		f.Close()
	}
}
