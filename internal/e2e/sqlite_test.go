package e2e_test

import (
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFullDisk lets a process write no further in its files, under load, and
// then lets it again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	database := "sqlite:" + filepath.Join(t.TempDir(), "poa.db")
	a := api{t, web(t), makeKeys(t, database)}
	p := serve(t, database, lively...)
	a.register(p, 100)
	a.pauseTriggers(p)
	c := newCrowd(a, 8, 100, p)
	live := a.listen(t.Context(), func() string { return p.url })
	stop := a.readers(p)
	for range 2 {
		c.more(100)
		back := limitFiles(t, p)
		c.turnedAway(40)
		eventually(t, "the process not to be ready", func() bool { return a.status(p, "/readyz") == http.StatusServiceUnavailable })
		var list struct{ Items []struct{ ID string } }
		a.call(p, "GET", "/nfts?limit=5", nil, &list)
		if len(list.Items) != 5 {
			t.Errorf("a full database lists %v", list)
		}
		back()
		mended := time.Now()
		c.more(100)
		a.goesOn(p, live, mended)
	}
	stop()
	c.finish()
	a.allRunsEnd(p)
	p.stop(t)
	if log := p.Log(); !strings.Contains(log, "the database is unavailable") {
		t.Errorf("the log does not say what is wrong:\n%s", log)
	}
	c.check(database)
}

// limitFiles lets a process write nothing beyond the first 64 KiB of a file.
// All of its files are longer, but for the WAL after a checkpoint, which soon
// is again.
func limitFiles(t *testing.T, p *process) (back func()) {
	t.Helper()
	var before unix.Rlimit
	limit := func(new, old *unix.Rlimit) {
		if err := unix.Prlimit(p.ID(), unix.RLIMIT_FSIZE, new, old); err != nil {
			t.Fatal(err)
		}
	}
	limit(nil, &before)
	limit(&unix.Rlimit{Cur: 64 << 10, Max: before.Max}, nil)
	return func() { limit(&before, nil) }
}

// TestReadOnlyFile starts a process on a file that it may not write: it says
// so and ends. Once the file may be written it serves what was there.
func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "poa-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "poa.db")
	database := "sqlite:" + path
	a := api{t, web(t), makeKeys(t, database)}
	nobody := unprivileged(t)
	own(t, nobody, dir)
	start := func() (*process, error) {
		cmd := command(t, database, lively, "serve", "--listen", "127.0.0.1:0")
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: nobody}
		return launch(t, cmd)
	}
	p, err := start()
	if err != nil {
		t.Fatal(err)
	}
	a.register(p, 100)
	c := newCrowd(a, 4, 100, p)
	c.more(50)
	c.finish()
	p.stop(t)

	for _, mode := range []struct{ file, dir os.FileMode }{{0o444, 0o755}, {0o444, 0o555}} {
		chmod(t, mode.file, path)
		chmod(t, mode.dir, dir)
		p, err := start()
		if err == nil {
			t.Fatal("it serves a file that it may not write")
		}
		if log := p.Log(); p.ExitCode() != 2 || !strings.Contains(log, "readonly database") || !strings.Contains(log, "try: check that the database's folder exists and may be written") {
			t.Errorf("exit code %d, standard error:\n%s", p.ExitCode(), log)
		}
	}
	chmod(t, 0o755, dir)
	files, err := filepath.Glob(path + "*") // those beside it were made with its mode
	if err != nil {
		t.Fatal(err)
	}
	chmod(t, 0o644, files...)
	p, err = start()
	if err != nil {
		t.Fatal(err)
	}
	a.cast(p, vote{Key: "mended", Voter: "v", Kind: "fire", A: "n1"})
	p.stop(t)
	c.check(database)
}

func chmod(t *testing.T, mode os.FileMode, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}

// unprivileged returns a user who heeds the modes of files: nobody where the
// test runs as root, and nil for the test's own user.
func unprivileged(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// own gives a folder and its files to a user.
func own(t *testing.T, who *syscall.Credential, dir string) {
	t.Helper()
	if who == nil {
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, dir) {
		if err := os.Chown(f, int(who.Uid), int(who.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}
