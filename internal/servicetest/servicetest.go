// Package servicetest puts together what the APIs and the panel stand on, for
// their tests: a ledger and a scheduler with the settings in force.
package servicetest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"poa/internal/access"
	"poa/internal/config"
	"poa/internal/ledger"
	"poa/internal/scheduler"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite/sqlitetest"
)

// Store is what both databases can do.
type Store interface {
	store.Service
	store.DropIn
}

// OnBoth runs a test on an empty database of each kind.
func OnBoth(t *testing.T, test func(t *testing.T, st Store)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqlitetest.New(t)) })
	t.Run("postgres", func(t *testing.T) {
		st, err := postgres.Open(t.Context(), pgtest.New(t))
		must(t, err)
		t.Cleanup(func() { must(t, st.Close()) })
		must(t, st.Migrate(t.Context()))
		test(t, st)
	})
}

// Service is a service without what serves it. Its runs make no pauses, and go
// on when the test says so.
type Service struct {
	Store     Store
	Settings  *settings.Service
	Ledger    *ledger.Ledger
	Scheduler *scheduler.Scheduler
	Queue     *Queue
	Log       *slog.Logger
	Logged    *Log // what was written to Log, of all levels
	t         *testing.T
	now       func() time.Time
}

// New starts a service, which ends with the test. now may be nil for time.Now.
func New(t *testing.T, st Store, now func() time.Time) *Service {
	t.Helper()
	if now == nil {
		now = time.Now
	}
	ctx := t.Context()
	s := &Service{Store: st, Queue: &Queue{}, Logged: &Log{}, t: t, now: now}
	s.Log = slog.New(slog.NewTextHandler(s.Logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	s.Settings, err = settings.Open(ctx, st, settings.Options{
		Load: func(stored map[string]string) (*config.Config, error) {
			return config.Load(config.Options{Stored: stored})
		}, Who: "test", Now: now, Log: s.Log,
	})
	must(t, err)
	s.Ledger = ledger.New(st, ledger.Options{Policy: s.Settings.Current().Policy, Patience: 200 * time.Millisecond, Now: now, Log: s.Log})
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		must(t, s.Ledger.Close(stop))
		s.Queue.Wait()
	})
	s.Settings.OnChange(func(in *settings.InForce) { s.Ledger.SetPolicy(in.Policy) })
	s.Scheduler = scheduler.New(scheduler.Options{
		Store: st, Queue: s.Queue, VotesWaiting: s.Ledger.Waiting, Process: "test", Now: now, Log: s.Log,
		Settings: func() *settings.InForce {
			in := *s.Settings.Current()
			in.Batch.Delay, in.Batch.Niceness = 0, 0
			return &in
		},
	})
	if err := s.Scheduler.Start(ctx); !errors.Is(err, errDriven) { // so that the schedule starts nothing
		t.Fatal(err)
	}
	return s
}

// NewKey makes an API key.
func (s *Service) NewKey(role store.Role, name string) string {
	s.t.Helper()
	key, hash := access.NewKey()
	_, err := s.Store.PutKey(s.t.Context(), store.Key{Name: name, Role: role, Hash: hash, CreatedAt: s.now().UTC().Truncate(time.Microsecond), CreatedBy: "test"})
	must(s.t, err)
	return key
}

// Keys makes an API key for each role.
func (s *Service) Keys() map[store.Role]string {
	s.t.Helper()
	keys := map[store.Role]string{}
	for _, role := range access.Roles() {
		keys[role] = s.NewKey(role, "the "+string(role))
	}
	return keys
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Log is text that is read while it is written.
type Log struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
