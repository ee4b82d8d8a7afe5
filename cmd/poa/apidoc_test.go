package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestExamplesOfTheAPI runs every example of docs/api.md, in order, against a
// service. Each must succeed.
func TestExamplesOfTheAPI(t *testing.T) {
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	database := "sqlite:" + t.TempDir() + "/poa.db"
	poa(t, database, "migrate")
	s := serve(t, database)
	defer s.stop()
	keys, ran := map[string]string{}, 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for _, line := range shellCommands(block[1]) {
			words := shellWords(line, func(name string) string { return keys[name] })
			if name, command, ok := strings.Cut(line, "=$("); ok && !strings.HasPrefix(line, "curl") {
				keys[name] = poa(t, database, strings.Fields(strings.TrimSuffix(command, ")"))[1:]...)
				continue
			}
			if words[0] != "curl" {
				t.Fatalf("the example is no curl: %s", line)
			}
			ran++
			if status, body, err := curl(s.URL, words[1:]); err != nil || status >= 300 {
				t.Errorf("%s\n%d %v\n%s", line, status, err, body)
			}
		}
	}
	if ran < 35 {
		t.Errorf("only %d examples ran", ran)
	}
}

// shellCommands takes a block apart into commands: lines, unless they end with a
// backslash or within quotes.
func shellCommands(block string) (list []string) {
	command := ""
	for line := range strings.SplitSeq(strings.TrimSpace(block), "\n") {
		command += line
		switch {
		case strings.HasSuffix(command, "\\"):
			command = strings.TrimSuffix(command, "\\")
		case strings.Count(command, "'")%2 == 1:
			command += "\n"
		default:
			list = append(list, command)
			command = ""
		}
	}
	return list
}

// shellWords splits a command as a shell does: quotes of both kinds, and
// variables outside of single ones.
func shellWords(line string, variable func(string) string) (words []string) {
	var word strings.Builder
	inside, quote := false, byte(0)
	end := func() {
		if inside {
			words = append(words, word.String())
		}
		word.Reset()
		inside = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inside = c, true
		case quote == 0 && c == ' ':
			end()
		case c == '$' && quote != '\'':
			name := variableName.FindString(line[i+1:])
			word.WriteString(variable(name))
			inside = true
			i += len(name)
		default:
			word.WriteByte(c)
			inside = true
		}
	}
	end()
	return words
}

var variableName = regexp.MustCompile(`^[A-Z]+`)

// curl does what curl would, with the service at another address.
func curl(address string, args []string) (status int, body string, err error) {
	method, url, header, data := "", "", http.Header{}, ""
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-X":
			i++
			method = args[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			header.Set(name, value)
		case "-d", "--data-binary":
			i++
			data = args[i]
		default:
			if url != "" {
				return 0, "", fmt.Errorf("what is %q?", args[i])
			}
			url = strings.Replace(args[i], "http://127.0.0.1:8080", address, 1)
		}
	}
	r, err := http.NewRequest(method, url, strings.NewReader(data))
	if err != nil {
		return 0, "", err
	}
	r.Header = header
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	return got.StatusCode, string(text), err
}
