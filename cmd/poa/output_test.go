package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/exact"
	"poa/internal/store"
)

func TestTable(t *testing.T) {
	tab := newTable(">#", "~NAME", ">POA", "NOTE")
	tab.add("1", "Kabu #1", "3.50", "")
	tab.add("10", "a name that is rather long", "33.75", "new")
	tab.add("2", "steers\x1b[31m\nthe terminal", "0.00", "é")
	for name, test := range map[string]struct {
		width int
		want  string
	}{
		"unbounded": {0, `
 #  NAME                          POA  NOTE
 1  Kabu #1                      3.50
10  a name that is rather long  33.75  new
 2  steers�[31m�the terminal     0.00  é`},
		"shortened": {35, `
 #  NAME                  POA  NOTE
 1  Kabu #1              3.50
10  a name that is ra…  33.75  new
 2  steers�[31m�the t…   0.00  é`},
		"too narrow": {10, `
 #  NAME            POA  NOTE
 1  Kabu #1        3.50
10  a name that…  33.75  new
 2  steers�[31m…   0.00  é`},
	} {
		t.Run(name, func(t *testing.T) {
			lines := tab.render(test.width)
			if diff := cmp.Diff(test.want, "\n"+strings.Join(lines, "\n")); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGathered(t *testing.T) {
	for name, test := range map[string]struct{ message, want string }{
		"one line":        {"no such file", "no such file"},
		"lines of ours":   {"invalid settings:\n  a: b\n  a: b", "invalid settings:\n  a: b\n  a: b"},
		"one attempt":     {"failed to connect:\n\thost 1: refused", "failed to connect: host 1: refused"},
		"the same twice":  {"failed to connect:\n\thost 1: refused\n\thost 1: refused", "failed to connect: host 1: refused"},
		"two hosts":       {"failed to connect:\n\thost 1: refused\n\thost 2: refused", "failed to connect: host 1: refused; host 2: refused"},
		"and what follow": {"failed:\n\thost 1: refused\nclosing", "failed: host 1: refused\nclosing"},
	} {
		if got := gathered(test.message); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	if got := clean("a\tb\x00c\nd", '\n'); got != "a b\uFFFDc\nd" {
		t.Errorf("clean: %q", got)
	}
}

func TestLine(t *testing.T) {
	m := &Main{}
	if got := m.line("top"); got != "poa top" {
		t.Errorf("called by an unknown name: %s", got)
	}
	m = &Main{Program: "bin/poa", Stderr: io.Discard, Args: []string{"--database", "it's.db", "version"}}
	m.errs = &redactor{w: m.Stderr}
	m.cli.Database = "it's.db"
	if err := m.configure(); err != nil {
		t.Fatal(err)
	}
	if got, want := m.line("score", "a b"), `bin/poa --database 'sqlite:it'\''s.db' score 'a b'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNotListening(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for address, want := range map[string]string{
		taken.Addr().String(): "stop what uses that address",
		"127.0.0.1:99999":     "a port up to 65535",
	} {
		_, err := net.Listen("tcp", address)
		if err == nil {
			t.Fatalf("%s can be listened on", address)
		}
		if hint := (&Main{}).hint(notListening(err)); !strings.Contains(hint, want) {
			t.Errorf("%s: %s", address, hint)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "just now", 999 * time.Millisecond: "just now", time.Second: "1 second ago", 90 * time.Minute: "1 hour ago", 49 * time.Hour: "2 days ago",
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestProgressLines(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var errs bytes.Buffer
	m := &Main{Stderr: &errs, errs: &errs, Now: func() time.Time { return now }}
	p := m.progress("rows", 0)
	for _, step := range []struct {
		after              time.Duration
		count, done, total int64
	}{
		{time.Second, 1000, 50, 1000},
		{4 * time.Second, 5000, 250, 1000},
		{4 * time.Second, 9000, 450, 1000},
		{time.Second, 10000, 0, 0},
	} {
		now = now.Add(step.after)
		p.set(step.count, step.done, step.total)
	}
	p.end()
	want := "5,000 rows, 25 %, 1,000/s, 15s left\n10,000 rows, 1,000/s\n"
	if diff := cmp.Diff(want, errs.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	errs.Reset()
	m.cli.JSON = true
	p = m.progress("rows", 0)
	now = now.Add(time.Hour)
	p.set(1, 1, 1)
	if errs.Len() > 0 {
		t.Errorf("beside JSON: %s", errs.String())
	}
}

func TestLargestChanges(t *testing.T) {
	var sum computed
	score := func(poa float64) *store.Score {
		s := &store.Score{}
		s.POA = poa
		return s
	}
	for i := range 30 {
		sum.add(exact.Result{ID: fmt.Sprint(i), Before: score(50), After: score(50 + float64((i*7)%30-15))})
	}
	sum.add(exact.Result{ID: "new", After: score(1)})
	sum.add(exact.Result{ID: "gone", Before: score(1)})
	sum.add(exact.Result{ID: "none"})
	sum.add(exact.Result{ID: "broken", Err: fmt.Errorf("why")})
	got := sum
	got.Largest, got.Failures = nil, nil
	want := computed{Computed: 33, New: 1, Changed: 29, Unchanged: 1, Withdrawn: 1, Unscored: 1, Failed: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	var sizes []float64
	for _, c := range sum.Largest {
		sizes = append(sizes, c.size())
	}
	if diff := cmp.Diff([]float64{15, 14, 14, 13, 13, 12, 12, 11, 11, 10}, sizes); diff != "" {
		t.Errorf("sizes of the largest changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]failure{{"broken", "why"}}, sum.Failures); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}
