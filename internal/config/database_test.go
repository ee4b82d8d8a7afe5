package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseDatabase(t *testing.T) {
	for _, test := range []struct {
		in   string
		want Database // zero: refused
	}{
		{"sqlite:poa.db", Database{Engine: SQLite, Path: "poa.db"}},
		{"sqlite:/var/lib/poa data/x", Database{Engine: SQLite, Path: "/var/lib/poa data/x"}},
		{"some/where.db", Database{Engine: SQLite, Path: "some/where.db"}},
		{"postgres://host/db", Database{Engine: Postgres, URL: "postgres://host/db"}},
		{"postgresql://u:p@h1:5432,h2:5433/db?target_session_attrs=read-write", Database{Engine: Postgres, URL: "postgresql://u:p@h1:5432,h2:5433/db?target_session_attrs=read-write"}},
		{"postgres:///db?host=/run/postgresql", Database{Engine: Postgres, URL: "postgres:///db?host=/run/postgresql"}},
		{"", Database{}}, {"sqlite:", Database{}}, {"poa", Database{}}, {"mysql://u:secret99@h/x.db", Database{}}, {"host=h password=secret99", Database{}},
		{"postgres://u:secret99/x@host/db", Database{}}, {"postgres://u:secret99#x@host/db", Database{}},
		{"postgres://u:secret99?x@host/db", Database{}}, {"postgres://u:secret99@x@host/db", Database{}}, {"postgres://u:secret99%@host/db", Database{}},
	} {
		got, err := ParseDatabase(test.in)
		if got != test.want || (err == nil) != (test.want != Database{}) {
			t.Errorf("ParseDatabase(%q) = %+v, %v, want %+v", test.in, got, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a secret: %v", err)
		}
		if strings.Contains(Mask(test.in), "://") && strings.Contains(Mask(test.in), "secret") {
			t.Errorf("masked, %q shows a secret: %s", test.in, Mask(test.in))
		}
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"sqlite:poa.db":                      "sqlite:poa.db",
		"postgres://host/db":                 "postgres://host/db",
		"postgres://u@host/db":               "postgres://u@host/db",
		"postgres://u:p%40ss@host:5432/db":   "postgres://u:xxxxx@host:5432/db",
		"postgres://u:@h1,h2/db?sslmode=off": "postgres://u:xxxxx@h1,h2/db?sslmode=off",
		"postgres://h/db?user=u&password=p":  "postgres://h/db?user=u&password=xxxxx",
		"postgres://h/db?pass%77ord=p&x=y":   "postgres://h/db?pass%77ord=xxxxx&x=y",
		"postgres://u:p@x@host/db":           "postgres://xxxxx",
	} {
		if got := Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRedact(t *testing.T) {
	const database = "postgres://poa:s%40cret%2299@host/db?sslpassword=key99"
	redact := Redact(database)
	for in, want := range map[string]string{
		"opening " + database + " failed":   "opening postgres://poa:xxxxx@host/db?sslpassword=xxxxx failed",
		`password "s@cret"99"`:              `password "xxxxx"`,
		`{"error":"s@cret\"99 is wrong"}`:   `{"error":"xxxxx is wrong"}`,
		"raw s%40cret%2299, the key key99!": "raw xxxxx, the key xxxxx!",
		"nothing to hide":                   "nothing to hide",
	} {
		if got := redact.Replace(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	// A password that the masked URL shows as the user's name stays readable
	// elsewhere, or every message would be spoilt.
	same := Redact("postgres://poa:poa@host/db")
	if got, want := same.Replace(fmt.Sprint("user poa at ", "postgres://poa:poa@host/db")), "user poa at postgres://poa:xxxxx@host/db"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
