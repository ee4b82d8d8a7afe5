package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestReadme runs the README's examples: its commands work, in its order, and
// its picture is what the program prints.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	for name, content := range map[string]string{
		"nfts.csv":  "id,name,collection\ncontract/42,Number 42,Pairs\ncontract/7,Number 7,Pairs\n",
		"votes.csv": "id,voter,left,right,result,created_at\n1,0xdef,contract/42,contract/7,left,2025-03-01T10:00:00Z\n2,0xdef,contract/7,contract/42,tie,2025-03-01T10:01:00Z\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shell, pictures := blocks(string(text), "sh"), blocks(string(text), "")
	commands := 0
	for _, line := range strings.Split(strings.Join(shell, "\n"), "\n") {
		switch args := strings.Fields(line); {
		case len(args) == 0:
		case args[0] == "make":
			if !regexp.MustCompile(`(?m)^` + args[1] + `:.*##`).Match(makefile) {
				t.Errorf("the Makefile has no target %s", args[1])
			}
		case args[0] == "export": // so that a shell finds what make build makes
			if line != `export PATH="$PWD/bin:$PATH"` || !strings.Contains(string(makefile), "-o bin/poa ./cmd/poa") {
				t.Errorf("%q does not lead to what the Makefile builds", line)
			}
		case args[0] == "poa":
			commands++
			readmeRun(t, args[1:])
		default:
			t.Errorf("no way to test %q", line)
		}
	}
	if commands < 5 || len(pictures) != 1 {
		t.Fatalf("the README has %d commands and %d pictures", commands, len(pictures))
	}
	sample := []string{"--database", filepath.Join(dir, "sample.db")}
	printed := ""
	for _, command := range tryCommands(string(makefile)) {
		printed += readmeRun(t, append(sample[:2:2], command...))
	}
	for _, line := range strings.Split(pictures[0], "\n") {
		if !strings.Contains(printed, line+"\n") {
			t.Errorf("the program does not print the line\n%s\nit prints\n%s", line, printed)
		}
	}
}

// blocks returns the fenced blocks of a language.
func blocks(markdown, language string) (found []string) {
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(markdown, -1) {
		if m[1] == language {
			found = append(found, strings.TrimSuffix(m[2], "\n"))
		}
	}
	return found
}

// tryCommands returns the commands of the target try.
func tryCommands(makefile string) (commands [][]string) {
	for _, m := range regexp.MustCompile(`bin/poa --database sqlite:\$\$dir/poa.db ([a-z][^&\n]*) &&`).FindAllStringSubmatch(makefile, -1) {
		commands = append(commands, strings.Fields(m[1]))
	}
	return commands
}

func readmeRun(t *testing.T, args []string) string {
	t.Helper()
	var out, errs bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Args: args, Now: time.Now}
	if code := m.Run(context.Background()); code != exitOK {
		t.Errorf("poa %s: exit code %d\n%s%s", strings.Join(args, " "), code, &out, &errs)
	}
	return out.String()
}
