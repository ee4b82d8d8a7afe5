package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/people"
	"poa/internal/store/postgres/pgtest"
)

// notRun are the programs in the examples of docs/operations.md that no test
// runs, with the reason.
var notRun = map[string]string{
	"install":       "it writes into the machine's own folders",
	"systemctl":     "there is no systemd; where it starts and stops poa, the test does",
	"pg_basebackup": "it wants a second PostgreSQL with replication",
	"echo":          "it is the standby's configuration",
	"pg_ctl":        "it starts the standby",
	"psql":          "it makes the standby synchronous",
}

// shellPrograms begin lines that a shell runs, those that follow each other
// together.
var shellPrograms = []string{"cd", "cp", "pg_dump", "createdb", "pg_restore"}

// examples runs the examples of a page against databases and folders of its
// own.
type examples struct {
	t        *testing.T
	replace  *strings.Replacer // what the page calls databases, folders and so on
	database string            // in POA_DATABASE, "" until it is exported
	served   string            // the database of the server
	server   *server
	keys     map[string]string
	skipped  map[string]bool
	ran      int
}

// block runs a block of shell lines.
func (e *examples) block(text string) {
	var shell []string
	for _, line := range shellCommands(comment.ReplaceAllString(text, "")) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		line = e.replace.Replace(line)
		words := shellWords(line, func(name string) string { return e.keys[name] })
		if slices.Contains(shellPrograms, words[0]) {
			shell = append(shell, line)
			continue
		}
		e.shell(shell)
		shell = nil
		switch words[0] {
		case "poa":
			e.poa(words[1:])
		case "curl":
			if status, body, err := curl(e.server.URL, words[1:]); err != nil || status >= 300 {
				e.t.Errorf("%s\n%d %v\n%s", line, status, err, body)
			}
		case "export":
			_, e.database, _ = strings.Cut(words[1], "=")
		case "systemctl":
			e.systemctl(words[1:])
			continue
		default:
			if notRun[words[0]] == "" {
				e.t.Errorf("no way to run %q", line)
			}
			e.skipped[words[0]] = true
			continue
		}
		e.ran++
	}
	e.shell(shell)
}

// comment is a comment at the end of a line, or one that is the line.
var comment = regexp.MustCompile(`(?m)(^|[ \t]+)# .*$`)

// poa runs the program: a server goes on, in place of the one before.
func (e *examples) poa(args []string) {
	e.t.Helper()
	if e.database != "" && !slices.Contains(args, "--database") {
		args = append(args, "--database", e.database)
	}
	if args[0] == "serve" {
		if e.server != nil {
			e.server.stop()
		}
		e.served = args[slices.Index(args, "--database")+1]
		e.server = serve(e.t, e.served)
		return
	}
	out := succeeds(e.t, nil, args, exitOK)
	if i := slices.Index(args, "--role"); args[0] == "key" && i > 0 {
		e.keys[strings.ToUpper(args[i+1])] = strings.TrimSpace(out)
	}
}

// invite makes a person, who follows the link.
func (e *examples) invite(name string) {
	e.t.Helper()
	link := succeeds(e.t, nil, []string{"person", "create", "--role", "viewer", "--name", name, "--database", e.database}, exitOK)
	_, token, _ := strings.Cut(strings.TrimSpace(link), people.SetupPath+"?token=")
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := browser.PostForm(e.server.URL+people.SetupPath, url.Values{"token": {token}, "password": {"correct horse battery"}, "again": {"correct horse battery"}})
	if err != nil {
		e.t.Fatal(err)
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusSeeOther {
		e.t.Fatalf("the link gives status %d", got.StatusCode)
	}
}

// systemctl starts and stops the server as systemd would.
func (e *examples) systemctl(args []string) {
	switch strings.Join(args, " ") {
	case "stop poa":
		e.server.stop()
	case "start poa":
		e.server = serve(e.t, e.served)
	default:
		e.skipped["systemctl"] = true
	}
}

// shell runs lines in a shell, with PostgreSQL's programs, as its
// administrator.
func (e *examples) shell(lines []string) {
	e.t.Helper()
	if len(lines) == 0 {
		return
	}
	e.ran += len(lines)
	cluster := pgtest.Shared(e.t)
	tools := filepath.Dir(cluster.Command("pg_dump").Path)
	admin, err := url.Parse(cluster.URL("postgres"))
	if err != nil {
		e.t.Fatal(err)
	}
	cmd := exec.Command("sh", "-ec", strings.Join(lines, "\n"))
	cmd.Dir = e.t.TempDir()
	cmd.Env = []string{"PATH=" + tools + ":" + os.Getenv("PATH"), "POA_DATABASE=" + e.database,
		"PGHOST=" + admin.Hostname(), "PGPORT=" + admin.Port(), "PGUSER=" + admin.User.Username()}
	if out, err := cmd.CombinedOutput(); err != nil {
		e.t.Errorf("%s\n%v\n%s", strings.Join(lines, "\n"), err, out)
	}
}

// one returns the only column of a statement's only row.
func one(t *testing.T, database, sql string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// administer runs SQL a statement at a time, as CREATE DATABASE wants it.
func administer(t *testing.T, database, sql string) {
	t.Helper()
	for statement := range strings.SplitSeq(sql, ";") {
		if strings.TrimSpace(statement) != "" {
			execute(t, database, statement)
		}
	}
}

// The commands, requests and SQL of the operations page do what it says, in its
// order, but for those that notRun names.
func TestExamplesOfOperations(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"lib", "backup"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"nfts.csv":  "id,name\n1,One\n2,Two\n",
		"votes.csv": "key,voter,kind,a,b,outcome,cast_at\nk1,0xabc…,matchup,1,2,a,2026-01-31T18:30:00Z\nk2,0xdef,matchup,1,2,tie,2026-01-31T18:31:00Z\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cluster := pgtest.Shared(t)
	admin := cluster.URL("postgres")
	ours, err := url.Parse(as(t, cluster.URL("poa"), "poa", "change-me"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, statement := range []string{"DROP DATABASE IF EXISTS poa_restored WITH (FORCE)", "DROP DATABASE IF EXISTS poa WITH (FORCE)", "DROP ROLE IF EXISTS poa"} {
			conn, err := pgx.Connect(context.Background(), admin)
			if err == nil {
				_, err = conn.Exec(context.Background(), statement)
				conn.Close(context.Background())
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	e := &examples{t: t, keys: map[string]string{}, skipped: map[string]bool{}, replace: strings.NewReplacer(
		"/var/lib/poa", filepath.Join(dir, "lib"), "/backup", filepath.Join(dir, "backup"),
		" nfts.csv votes.csv", " "+filepath.Join(dir, "nfts.csv")+" "+filepath.Join(dir, "votes.csv"),
		"poa:change-me@127.0.0.1:5432/", "poa:change-me@"+ours.Host+"/", "poa:change-me@127.0.0.1/", "poa:change-me@"+ours.Host+"/",
		"$POA/", "http://127.0.0.1:8080/", "2026-11-23T18:00:00Z", time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	)}
	pieces := 0
	for _, b := range codeBlocks(string(page)) {
		switch {
		case b.language == "sh":
			if strings.Contains(b.text, "$OPERATOR") {
				e.poa([]string{"key", "create", "--role", "operator", "--name", "for " + fmt.Sprint(e.ran)})
			}
			if strings.Contains(b.text, "poa person disable bob") {
				e.invite("bob")
			}
			e.block(b.text)
		case b.language == "nginx": // no test has nginx
		case strings.Contains(b.text, "CREATE ROLE"):
			pieces++
			administer(t, admin, b.text)
		case strings.Contains(b.text, "UPDATE voters"):
			pieces++
			e.poa([]string{"import", filepath.Join(dir, "nfts.csv"), filepath.Join(dir, "votes.csv")})
			for _, database := range []string{e.database, "sqlite:" + filepath.Join(dir, "lib", "poa.db")} {
				execute(t, database, b.text)
				poa(t, database, "verify")
			}
			if n := one(t, e.database, "SELECT count(*) FROM voters WHERE id LIKE 'removed-%'"); n != 1 {
				t.Errorf("%d voters were removed, want 1", n)
			}
		default:
			t.Errorf("no way to run the block\n%s", b.text)
		}
	}
	e.server.stop()
	for name := range notRun {
		if !e.skipped[name] {
			t.Errorf("%s is in the list of what is not run, and not on the page", name)
		}
	}
	if e.ran < 25 || pieces != 2 {
		t.Errorf("%d commands and %d pieces of SQL ran", e.ran, pieces)
	}
}

// The page about following a game: a role that may read it, and the command.
func TestExamplesOfSync(t *testing.T) {
	page, err := os.ReadFile("../../docs/sync.md")
	if err != nil {
		t.Fatal(err)
	}
	game := smallGame(t)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), game)
		if err == nil {
			_, err = conn.Exec(context.Background(), "DROP OWNED BY poa_reader; DROP ROLE poa_reader")
			conn.Close(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
	})
	var commands []string
	for _, b := range codeBlocks(string(page)) {
		switch b.language {
		case "sql":
			execute(t, game, b.text)
		case "sh":
			commands = append(commands, shellCommands(b.text)...)
		default:
			t.Errorf("no way to run the block\n%s", b.text)
		}
	}
	env := []string{"POA_DATABASE=sqlite:" + filepath.Join(t.TempDir(), "poa.db")}
	synced := 0
	for _, line := range commands {
		words := shellWords(comment.ReplaceAllString(line, ""), func(string) string { return "" })
		switch {
		case words[0] == "export" && strings.HasPrefix(words[1], "POA_SYNC_FROM=postgres://poa_reader:…@"):
			env = append(env, "POA_SYNC_FROM="+as(t, game, "poa_reader", "…"))
		case words[0] == "poa" && words[1] == "sync":
			out := succeeds(t, env, append(words[1:], "--once"), exitFindings) // the game has broken rows
			if !strings.Contains(out, " votes new, ") {
				t.Errorf("%s printed\n%s", line, out)
			}
			synced++
		default:
			t.Errorf("no way to run %q", line)
		}
	}
	if synced == 0 {
		t.Error("nothing was synced")
	}
	succeeds(t, env, []string{"verify"}, exitOK)
}

// The page about the old admin API: what lets its pages ask from elsewhere.
func TestExamplesOfDropin(t *testing.T) {
	page, err := os.ReadFile("../../docs/dropin.md")
	if err != nil {
		t.Fatal(err)
	}
	served := 0
	for _, b := range codeBlocks(string(page)) {
		if b.language != "sh" {
			continue
		}
		for _, line := range shellCommands(b.text) {
			variable, ok := strings.CutSuffix(strings.TrimSpace(line), " poa serve")
			name, value, set := strings.Cut(variable, "=")
			if !ok || !set {
				t.Errorf("no way to run %q", line)
				continue
			}
			t.Setenv(name, value)
			s := serve(t, "sqlite:"+filepath.Join(t.TempDir(), "poa.db"))
			for origin := range strings.SplitSeq(value, ",") {
				if got := allowedOrigin(t, s.URL+"/api/admin/poa-v2-scheduler", origin); got != origin {
					t.Errorf("%s is answered with %q", origin, got)
				}
			}
			if got := allowedOrigin(t, s.URL+"/api/admin/poa-v2-scheduler", "https://elsewhere.example"); got != "" {
				t.Errorf("elsewhere is answered with %q", got)
			}
			s.stop()
			served++
		}
	}
	if served == 0 {
		t.Error("nothing was served")
	}
}

// allowedOrigin asks as a browser does before a page's request to elsewhere.
func allowedOrigin(t *testing.T, address, origin string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", http.MethodPost)
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	return got.Header.Get("Access-Control-Allow-Origin")
}
