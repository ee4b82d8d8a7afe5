package program

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long anything may take before a test gives up.
const patience = time.Minute

func shell(script string) *exec.Cmd { return exec.Command("sh", "-c", script) }

func TestServe(t *testing.T) {
	p, url, err := Serve(shell(`echo a warning >&2; printf 'poa serves http://127.0'; echo '.0.1:8080 from sqlite:poa.db'; exec sleep 3600`), patience)
	if err != nil {
		t.Fatal(err)
	}
	if url != "http://127.0.0.1:8080" {
		t.Errorf("the URL is %q", url)
	}
	if want := "a warning\npoa serves http://127.0.0.1:8080 from sqlite:poa.db\n"; p.Log() != want {
		t.Errorf("the log is %q, want %q", p.Log(), want)
	}
	if err := p.Terminate(); err != nil {
		t.Error(err)
	}
	<-p.Gone
	if err := p.Kill(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("killing what has ended: %v", err)
	}
}

func TestLaunchInVain(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		limit  time.Duration
		code   int
		want   string
	}{
		"it ends":    {`echo the disk is full >&2; exit 2`, patience, 2, "it ended with exit code 2\nthe disk is full\n"},
		"it is slow": {`exec sleep 3600`, time.Millisecond, -1, "it took longer than 1ms"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _, err := Launch(shell(test.script), regexp.MustCompile("ready"), test.limit)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("the error is %v, want one with %q", err, test.want)
			}
			if code := p.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
		})
	}
	if _, _, err := Launch(exec.Command("/there/is/no/program"), nil, patience); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("starting no program: %v", err)
	}
}

func TestLogKeepsTheEnd(t *testing.T) {
	p, err := Start(shell(`yes 0123456 | head -c 2000000; echo the end`))
	if err != nil {
		t.Fatal(err)
	}
	<-p.Gone
	if log := p.Log(); len(log) != 1<<20 || !strings.HasSuffix(log, "0123456\nthe end\n") {
		t.Errorf("a log of %d bytes ends with %q", len(log), log[max(0, len(log)-20):])
	}
	if tail := p.Tail(); len(tail) != 6000 || !strings.HasSuffix(p.Log(), tail) {
		t.Errorf("%d bytes are no tail of the log", len(tail))
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("PATH", "/bin")
	t.Setenv("POA_LOG_LEVEL", "debug")
	want := []string{"PATH=/bin", "POA_DATABASE=postgres://host/poa?sslmode=disable", "POA_BATCH_EVERY=10s"}
	if got := Environment("database=postgres://host/poa?sslmode=disable", "batch.every=10s"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
