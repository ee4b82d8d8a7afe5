package pgtest_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"poa/internal/store/postgres/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv("PGTEST_VICTIM") != "" {
		victim()
	}
	pgtest.Main(m)
}

// victim is a test process that starts a cluster, says where, and waits to be
// killed.
func victim() {
	c, err := pgtest.Start(pgtest.Options{NoSync: true})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(c.Dir())
	io.Copy(io.Discard, os.Stdin)
}

func start(t *testing.T, o pgtest.Options) *pgtest.Cluster {
	t.Helper()
	c, err := pgtest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Dir(c.Dir()) + "*"); len(left) > 0 {
			t.Errorf("Close left %v", left)
		}
	})
	return c
}

// ask returns the answer, as text, to a query of one value.
func ask(t *testing.T, url, sql string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func TestDatabasesOfTheirOwn(t *testing.T) {
	one, two := pgtest.New(t), pgtest.New(t)
	if a, b := ask(t, one, "SELECT current_database()::text"), ask(t, two, "SELECT current_database()::text"); a == b {
		t.Errorf("both are %s", a)
	}
	if got := ask(t, one, "SELECT current_setting('fsync')"); got != "on" {
		t.Errorf("fsync is %s", got)
	}
	if got := ask(t, one, "SELECT (ARRAY(SELECT unnest(ARRAY['B', 'a']) ORDER BY 1))[1]"); got != "a" {
		t.Errorf("%s comes first: text is not sorted by language", got)
	}
}

func TestStopAndStart(t *testing.T) {
	c := start(t, pgtest.Options{Conf: []string{"work_mem = '5MB'"}})
	url := c.URL("postgres")
	if got := ask(t, url, "SELECT current_setting('work_mem')"); got != "5MB" {
		t.Errorf("work_mem is %s", got)
	}
	for _, mode := range []pgtest.Mode{pgtest.Fast, pgtest.Immediate} {
		if err := c.Stop(mode); err != nil {
			t.Fatal(err)
		}
		if _, err := pgx.Connect(t.Context(), url); err == nil {
			t.Error("it takes connections while stopped")
		}
		if err := c.Stop(mode); err != nil {
			t.Errorf("stopping it twice: %v", err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ask(t, url, "SELECT 'it is back'")
	}
	if !strings.Contains(c.Log(), "ready to accept connections") {
		t.Errorf("the log is %q", c.Log())
	}
}

func TestAClusterFromAnother(t *testing.T) {
	first := start(t, pgtest.Options{NoSync: true})
	standby := start(t, pgtest.Options{
		NoSync: true,
		Fill: func(c *pgtest.Cluster) error {
			out, err := c.Command("pg_basebackup", "-D", c.Dir(), "-R", "-c", "fast", "-d", first.URL("")).CombinedOutput()
			if err != nil {
				return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
			}
			return nil
		},
	})
	if got := ask(t, standby.URL("postgres"), "SELECT pg_is_in_recovery()::text"); got != "true" {
		t.Errorf("in recovery: %s", got)
	}
}

func TestAFailingStartSaysWhy(t *testing.T) {
	_, err := pgtest.Start(pgtest.Options{Conf: []string{"no_such_setting = 1"}})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("%v, want the server's own words", err)
	}
}

func TestMissingBinariesSayWhatToInstall(t *testing.T) {
	if _, err := pgtest.FindBinaries(filepath.Join(t.TempDir(), "*"), "no-such-initdb"); err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("%v, want what to install", err)
	}
}

// A killed test process takes its server along, and the next start its files.
func TestNothingIsLeftOfAKilledProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PGTEST_VICTIM=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dir, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dir = strings.TrimSpace(dir)
	pidFile := filepath.Join(dir, "postmaster.pid")
	if _, err := os.Stat(pidFile); err != nil {
		t.Fatalf("the victim runs no server: %v", err)
	}
	pid := strings.SplitN(readFile(t, pidFile), "\n", 2)[0]
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for running(t, pid) {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	start(t, pgtest.Options{NoSync: true})
	if left, _ := filepath.Glob(filepath.Dir(dir) + "*"); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// running reports whether a process lives; one that only waits for its parent
// does not.
func running(t *testing.T, pid string) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
