package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Engine is a kind of database.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Database is where poa keeps its data. Its String never shows a password.
type Database struct {
	Engine Engine
	Path   string // of an SQLite file
	URL    string // of a PostgreSQL database, with its password
}

const mask = "xxxxx"

// ParseDatabase reads the database setting. Its errors do not repeat what they
// refuse: it may hold a password.
func ParseDatabase(s string) (Database, error) {
	scheme, rest, found := strings.Cut(s, ":")
	switch {
	case s == "":
		return Database{}, errors.New("must not be empty; " + databaseForms)
	case found && scheme == "sqlite":
		if rest == "" {
			return Database{}, errors.New("names no file after \"sqlite:\"")
		}
		return Database{Engine: SQLite, Path: rest}, nil
	case strings.HasPrefix(s, "postgres://"), strings.HasPrefix(s, "postgresql://"):
		if _, err := split(s); err != nil {
			return Database{}, err
		}
		return Database{Engine: Postgres, URL: s}, nil
	case strings.HasSuffix(s, ".db") && !strings.Contains(s, "://"):
		return Database{Engine: SQLite, Path: s}, nil
	case found && strings.HasPrefix(rest, "//"):
		return Database{}, fmt.Errorf("has the scheme %q, which poa does not know; %s", scheme, databaseForms)
	}
	return Database{}, errors.New("is none that poa knows; " + databaseForms)
}

const databaseForms = "give sqlite:PATH, a path ending in .db, or a postgres:// or postgresql:// URL"

func (d Database) String() string {
	if d.Engine == SQLite {
		return "sqlite:" + d.Path
	}
	return Mask(d.URL)
}

// Mask returns a database setting with its passwords replaced. Of a URL that
// cannot be taken apart safely only the scheme remains.
func Mask(database string) string {
	scheme, _, isURL := strings.Cut(database, "://")
	if !isURL {
		return database
	}
	p, err := split(database)
	if err != nil {
		return scheme + "://" + mask
	}
	var b strings.Builder
	b.WriteString(scheme + "://")
	if p.hasUser {
		b.WriteString(p.user)
		if p.hasPassword {
			b.WriteString(":" + mask)
		}
		b.WriteByte('@')
	}
	b.WriteString(p.place)
	for i, pair := range p.query {
		b.WriteByte("?&"[min(i, 1)])
		key, _, hasValue := strings.Cut(pair, "=")
		if hasValue && secretKey(key) {
			pair = key + "=" + mask
		}
		b.WriteString(pair)
	}
	return b.String()
}

// parts are the pieces of a PostgreSQL URL, as written.
type parts struct {
	user, password       string
	hasUser, hasPassword bool
	place                string   // hosts, ports and path
	query                []string // key=value
}

// split takes a URL apart where that is unambiguous. A URL with several hosts,
// which net/url refuses, is fine; a name or password that is not
// percent-encoded is not: it would be taken for a host or path, and shown.
func split(database string) (parts, error) {
	_, rest, _ := strings.Cut(database, "://")
	ambiguous := errors.New("is not a URL that can be read safely: a special character in its user name, password or parameters must be percent-encoded, like %40 for @ and %2F for /")
	var p parts
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if user, hosts, ok := strings.Cut(rest[:end], "@"); ok {
		p.hasUser = true
		p.user, p.password, p.hasPassword = strings.Cut(user, ":")
		rest = hosts + rest[end:]
	}
	if strings.ContainsAny(rest, "@#") {
		return parts{}, ambiguous
	}
	place, query, ok := strings.Cut(rest, "?")
	if p.place = place; ok {
		p.query = strings.Split(query, "&")
	}
	for _, text := range append([]string{p.user, p.password, p.place}, p.query...) {
		if _, err := url.PathUnescape(text); err != nil {
			return parts{}, ambiguous
		}
	}
	return p, nil
}

func secretKey(key string) bool {
	if plain, err := url.PathUnescape(key); err == nil {
		key = plain
	}
	return strings.Contains(strings.ToLower(key), "password")
}

// Redact returns a replacer that takes a database setting and its passwords
// out of text for people, in whatever way they are written. A password that
// the masked setting shows anyway, as its user name for instance, is replaced
// only where the whole setting stands.
func Redact(database string) *strings.Replacer {
	masked := Mask(database)
	if masked == database {
		return strings.NewReplacer()
	}
	pairs := forms(database, masked)
	p, err := split(database)
	if err != nil {
		return strings.NewReplacer(pairs...)
	}
	secrets := []string{p.password}
	for _, pair := range p.query {
		if key, value, _ := strings.Cut(pair, "="); secretKey(key) {
			secrets = append(secrets, value)
		}
	}
	for _, secret := range secrets {
		plain, _ := url.PathUnescape(secret)
		for _, s := range []string{secret, plain} {
			if s != "" && !strings.Contains(masked, s) {
				pairs = append(pairs, forms(s, mask)...)
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// forms returns pairs for a replacer: text as it is and as JSON writes it.
func forms(text, by string) []string {
	quoted, _ := json.Marshal(text)
	return []string{text, by, string(quoted[1 : len(quoted)-1]), by}
}
