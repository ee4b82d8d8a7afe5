package panel

import (
	"slices"
	"strings"

	"poa/internal/store"
)

// navItem is a link of the navigation.
type navItem struct {
	name, path, icon string
	key              string // that goes there, after g: panel.js has the same
	apart            bool   // a line above it
}

var navigation = [...]navItem{
	{"Overview", "/", "overview", "o", false},
	{"Scheduler", "/scheduler", "scheduler", "s", false},
	{"Live log", "/log", "log", "l", false},
	{"NFTs", "/nfts", "nfts", "n", true},
	{"Collections", "/collections", "collections", "c", false},
	{"Voters", "/voters", "voters", "v", false},
	{"Try it", "/try", "arena", "t", false},
	{"Settings", "/settings", "settings", "e", true},
	{"Audit log", "/audit", "audit", "a", false},
	{"People and keys", "/people", "people", "p", false},
	{"Jobs", "/jobs/", "jobs", "j", false},
}

// nav is what the person who looks can go to.
func (s *shell) nav() []navItem {
	var items []navItem
	for _, item := range navigation {
		if s.panel.leads(item.path, s.person) {
			items = append(items, item)
		}
	}
	return items
}

// leads reports whether a person may see the page at a path.
func (p *Panel) leads(path string, person *store.Person) bool {
	for _, r := range p.table {
		if r.method == "GET" && (r.path == path || path == "/" && r.path == "/{$}") {
			return person != nil && slices.Contains(r.need.Roles(), person.Role)
		}
	}
	return false
}

// current reports whether an item leads to the page at a path, or to one above
// it.
func (i navItem) current(path string) bool {
	return path == i.path || i.path != "/" && strings.HasPrefix(path, strings.TrimSuffix(i.path, "/")+"/")
}

func (s *shell) asset(name string) string { return s.panel.assets.path(name) }
