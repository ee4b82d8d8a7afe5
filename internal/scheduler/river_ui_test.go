package scheduler_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"poa/internal/scheduler"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// shown is a queue that can be looked at.
type shown interface {
	Migrate(context.Context) error
	UI(prefix string) (http.Handler, error)
}

// TestUI sees that the queue's own pages read from both engines, and load
// nothing from elsewhere.
func TestUI(t *testing.T) {
	engines := map[string]func(*testing.T) shown{
		"sqlite": func(t *testing.T) shown {
			db, err := sqlite.OpenPlain(filepath.Join(t.TempDir(), "poa.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			return scheduler.NewRiver[*riversqlite.Driver, *sql.Tx](riversqlite.New(db), sqlite.RawTx, slog.New(slog.DiscardHandler))
		},
		"postgres": func(t *testing.T) shown {
			st, err := postgres.Open(t.Context(), pgtest.New(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { st.Close() })
			return scheduler.NewRiver[*riverpgxv5.Driver, pgx.Tx](riverpgxv5.New(st.Pool()), postgres.RawTx, slog.New(slog.DiscardHandler))
		},
	}
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			q := open(t)
			if err := q.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			ui, err := q.UI("/jobs/ui")
			if err != nil {
				t.Fatal(err)
			}
			get := func(path, accept string) string {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/jobs/ui"+path, nil)
				r.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				ui.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					t.Fatalf("%s: status %d\n%s", path, w.Code, w.Body)
				}
				return w.Body.String()
			}
			page := get("/jobs", "text/html")
			if !strings.Contains(page, `src="/jobs/ui/assets/`) || strings.Contains(page, "://") {
				t.Errorf("the page loads from elsewhere:\n%s", page)
			}
			for _, path := range []string{"/api/states", "/api/queues?limit=20", "/api/jobs?limit=20&state=completed"} {
				if text := get(path, "application/json"); !json.Valid([]byte(text)) {
					t.Errorf("%s is no JSON: %s", path, text)
				}
			}
		})
	}
}
