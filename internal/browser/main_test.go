// The browser tests: every page is looked at as viewer and operator, light and
// dark, wide and on a phone, and what people do most is done as they do it.
package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poa/internal/program"
)

const (
	// patience is how long anything may take before a test gives up. It says
	// nothing about how long it should take.
	patience = 2 * time.Minute
	password = "correct horse battery"
)

var (
	binary   string          // the path of the program that TestMain built
	chromium context.Context // of the browser
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	path, folder, err := program.Build()
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	binary = path
	var cancel context.CancelFunc
	if chromium, cancel, err = Start(context.Background(), filepath.Join(folder, "profile")); err != nil {
		return 0, err
	}
	defer cancel()
	return m.Run(), nil
}

// service is a running poa serve on a small generated game.
type service struct {
	t        *testing.T
	url      string
	database string
	settings []string
	gateway  string // an API key that may cast votes
}

// command is a command of the program on the service's database.
func (s *service) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = s.t.TempDir()
	cmd.Env = program.Environment(append([]string{"database=" + s.database, "log.level=warn", "panel.try_it=true", "panel.sample_art=true"}, s.settings...)...)
	return cmd
}

func (s *service) run(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...).Output()
	if err != nil {
		s.t.Fatalf("poa %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// serve starts a service with settings such as batch.delay=100ms.
func serve(t *testing.T, settings ...string) *service {
	t.Helper()
	s := &service{t: t, settings: settings, database: "sqlite:" + filepath.Join(t.TempDir(), "poa.db")}
	s.run("sample")
	s.gateway = s.run("key", "create", "--role", "voter-gateway", "--name", "game")
	p, url, err := program.Serve(s.command("serve", "--listen", "127.0.0.1:0"), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill() // it may have ended
		if t.Failed() {
			t.Logf("the service wrote:\n%s", p.Tail())
		}
	})
	s.url = url
	return s
}

// vote casts a vote, given as JSON, and returns the answer.
func (s *service) vote(vote string) (answer struct {
	Number    int64
	Triggered []struct {
		NFT   string
		Score struct{ POA float64 }
	}
}) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/api/v1/votes", strings.NewReader(vote))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.gateway)
	r.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err == nil && got.StatusCode != http.StatusCreated {
		err = fmt.Errorf("status %d", got.StatusCode)
	}
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(body)).Decode(&answer)
	}
	if err != nil {
		s.t.Fatalf("casting %s: %v\n%s", vote, err, body)
	}
	return answer
}

// visitor is somebody who is signed in in a tab of their own.
type visitor struct {
	*Tab
	t *testing.T
	s *service
}

// open opens a tab of somebody who is not signed in.
func (s *service) open() *visitor {
	s.t.Helper()
	tab, err := NewTab(chromium)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(tab.Close)
	v := &visitor{tab, s.t, s}
	v.look(1440, "light")
	return v
}

// sign opens a tab of a new person, who takes up an invitation there.
func (s *service) sign(role string) *visitor {
	s.t.Helper()
	link := s.run("person", "create", "--role", role, "--name", role, "--url", s.url)
	v := s.open()
	v.visit(strings.TrimPrefix(link, s.url))
	v.fill(`[name=password]`, password)
	v.fill(`[name=again]`, password)
	v.do(`document.querySelector("[name=again]").form.requestSubmit()`)
	v.wait(`document.querySelector(".side .me")?.textContent === "` + role + `"`)
	return v
}

func (v *visitor) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *visitor) look(width int64, scheme string) {
	v.t.Helper()
	v.must(v.Look(width, 900, scheme))
}

func (v *visitor) visit(path string) {
	v.t.Helper()
	v.must(v.Visit(v.s.url + path))
}

func (v *visitor) wait(expression string) {
	v.t.Helper()
	v.must(v.Wait(expression, patience))
}

// do runs a script on the page.
func (v *visitor) do(script string) {
	v.t.Helper()
	_, err := Eval[any](v.Tab, script+"; 0")
	v.must(err)
}

// fill writes into a field as typing does.
func (v *visitor) fill(selector, text string) {
	v.t.Helper()
	v.do(fmt.Sprintf(`{ const field = document.querySelector(%q); field.value = %q; field.dispatchEvent(new Event("input", {bubbles: true})); field.dispatchEvent(new Event("change", {bubbles: true})); }`, selector, text))
}

// click clicks a button or link.
func (v *visitor) click(selector string) {
	v.t.Helper()
	v.wait(fmt.Sprintf(`document.querySelector(%q)`, selector))
	v.do(fmt.Sprintf(`document.querySelector(%q).click()`, selector))
}

// clean checks that the pages complained about nothing.
func (v *visitor) clean(where string) {
	v.t.Helper()
	for _, e := range v.Errors() {
		v.t.Errorf("%s: %s", where, e)
	}
}
