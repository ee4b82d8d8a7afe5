package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// printJSON writes v as one JSON document.
func (m *Main) printJSON(v any) error {
	e := json.NewEncoder(m.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printLine writes v as one line of JSON.
func (m *Main) printLine(v any) error {
	e := json.NewEncoder(m.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// answer writes what a command did: a JSON document, or text for people.
func (m *Main) answer(doc any, format string, args ...any) error {
	if m.cli.JSON {
		return m.printJSON(doc)
	}
	m.printf(format, args...)
	return nil
}

// printf writes text for people.
func (m *Main) printf(format string, args ...any) {
	fmt.Fprintf(m.Stdout, format, args...)
}

// Terminal styles (ANSI).
const (
	bold = "\x1b[1m"
	red  = "\x1b[1;31m"
)

// style sets text in a style where w is a terminal and NO_COLOR is unset.
func (m *Main) style(w io.Writer, style, text string) string {
	if !m.isTerminal(w) || m.getenv("NO_COLOR") != "" || m.cli.JSON {
		return text
	}
	return style + text + "\x1b[0m"
}

func (m *Main) getenv(name string) string {
	value := ""
	for _, entry := range m.Env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}

// isTerminal reports whether w shows text to a person.
func (m *Main) isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && m.getenv("TERM") != "dumb"
}

// width returns the columns of standard output, 0 where it is no terminal.
func (m *Main) width() int {
	if f, ok := m.Stdout.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			return w
		}
	}
	return 0
}

// table is text in columns. A title that starts with > is of numbers, which
// are aligned right; one that starts with ~ is of text that may be shortened
// to fit a terminal.
type table struct {
	titles []string
	rows   [][]string
}

func newTable(titles ...string) *table { return &table{titles: titles} }

// add appends a row; control characters in its cells are made harmless.
func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// minShortened is how short a cell is made at most.
const minShortened = 12

// render returns the table in at most width columns as far as that can be
// done by shortening; a width of 0 is no bound.
func (t *table) render(width int) []string {
	const gap = 2
	widths := make([]int, len(t.titles))
	rows := make([][]string, 0, len(t.rows)+1)
	head := make([]string, len(t.titles))
	for i, title := range t.titles {
		head[i] = strings.TrimLeft(title, ">~")
	}
	for _, row := range append([][]string{head}, t.rows...) {
		rows = append(rows, append([]string(nil), row...))
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	total := gap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for width > 0 && total > width {
		widest := -1
		for i, title := range t.titles {
			if strings.HasPrefix(title, "~") && widths[i] > minShortened && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		total--
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, gap, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = shorten(row[i], widths[i])
			if strings.HasPrefix(t.titles[i], ">") {
				row[i] = strings.Repeat(" ", widths[i]-utf8.RuneCountInString(row[i])) + row[i]
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush() // to memory: cannot fail
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

func (m *Main) printTable(t *table) {
	lines := t.render(m.width())
	lines[0] = m.style(m.Stdout, bold, lines[0])
	m.printf("%s\n", strings.Join(lines, "\n"))
}

func shorten(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// clean replaces what is not printable, so that text from a database cannot
// steer a terminal; a tab becomes a space. The characters in allow stay.
func clean(s string, allow ...rune) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		for _, a := range allow {
			if r == a {
				return r
			}
		}
		if r == '\t' {
			return ' '
		}
		return '\uFFFD'
	}, s)
}

// plain is text that a shell takes as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`)

// quoted writes text as one word of a shell.
func quoted(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// line returns a command line that does more with the database in use, with the
// program named as it was called.
func (m *Main) line(args ...string) string {
	words := []string{cmp.Or(m.Program, "poa")}
	if m.cli.Database != "" {
		words = append(words, "--database", m.database().String())
	}
	words = append(words, args...)
	for i, word := range words {
		words[i] = quoted(word)
	}
	return strings.Join(words, " ")
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// ago says how long ago t was, in the largest unit that fits.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int64(d / unit.length); n > 0 {
			return plural(n, unit.name) + " ago"
		}
	}
	return "just now"
}

// plural writes "1 vote", "2 votes", "12,345 votes".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// grouped writes 12,345.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	start := len(s) % 3
	if n < 0 {
		return "-" + grouped(-n)
	}
	var parts []string
	if start > 0 {
		parts = append(parts, s[:start])
	}
	for i := start; i < len(s); i += 3 {
		parts = append(parts, s[i:i+3])
	}
	return strings.Join(parts, ",")
}
