package live_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/live"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
)

// database is a store that streams.
type database interface {
	store.Store
	live.Source
}

// log commits an entry. It holds between writing it and the commit.
func log(t *testing.T, st database, what string, hold func()) {
	ctx := t.Context()
	err := st.Update(ctx, func(tx store.Tx) error {
		err := tx.Apply(ctx, &store.Changes{Activity: []store.Activity{
			{At: time.Now().UTC().Truncate(time.Microsecond), Kind: store.Paused, Detail: what, Who: "test"},
		}})
		if err != nil {
			return err
		}
		// Writes may be sent with the next query only.
		_, err = tx.VotesByKey(ctx, []string{"none"})
		hold()
		return err
	})
	if err != nil {
		t.Errorf("logging %s: %v", what, err)
	}
}

func atOnce() {}

// until takes events of a subscription up to an entry, and returns the details
// of the entries and the events' ids.
func until(t *testing.T, sub *live.Subscription, last string) (details []string, ids []live.ID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		list, err := sub.Next(ctx, 3)
		if err != nil {
			t.Fatalf("waiting for %s: %v; there were %v", last, err, details)
		}
		for _, e := range list {
			ids = append(ids, e.ID)
			switch {
			case e.Activity != nil:
				details = append(details, e.Activity.Detail)
			case e.Kind != live.Start:
				details = append(details, string(e.Kind))
			}
		}
		if slices.Contains(details, last) {
			return details, ids
		}
	}
}

// subscribe listens, and waits until it is settled from where.
func subscribe(t *testing.T, s *live.Stream, q live.Query) *live.Subscription {
	t.Helper()
	sub, err := s.Subscribe(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	if q.After == nil {
		if list, err := sub.Next(t.Context(), 1); err != nil || list[0].Kind != live.Start {
			t.Fatalf("the first event is %v, %v", list, err)
		}
	}
	return sub
}

func start1(t *testing.T, src live.Source) *live.Stream {
	s := live.New(src, live.Options{Poll: 2 * time.Millisecond, ReplayEvery: time.Millisecond})
	s.Start()
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// delayed has a transaction that began first commit last, while two processes
// follow, and sees that both tell every entry once, in one order, and that a
// listener of one process can go on in the other after any of them.
func delayed(t *testing.T, open func() database, overtaken bool) {
	writer, other := open(), open()
	log(t, writer, "before", atOnce)
	first, second := start1(t, writer), start1(t, other)
	a, b := subscribe(t, first, live.Query{}), subscribe(t, second, live.Query{})

	written, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		log(t, writer, "late", func() { close(written); <-release })
	}()
	<-written
	want := []string{"late"}
	if overtaken {
		for i := range 5 { // these are committed, and have higher numbers
			want = append(want, fmt.Sprint("quick ", i))
			log(t, other, want[i+1], atOnce)
		}
	}
	c := subscribe(t, second, live.Query{}) // begins while the late one is under way
	close(release)
	<-ended
	log(t, other, "last", atOnce)
	want = append(want, "last")

	got, ids := until(t, a, "last")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the first process (-want +got):\n%s", diff)
	}
	for name, sub := range map[string]*live.Subscription{"the second process": b, "one that came meanwhile": c} {
		if got, _ := until(t, sub, "last"); !cmp.Equal(want, got) {
			t.Errorf("%s told %v, want %v", name, got, want)
		}
	}
	third := start1(t, open())
	for i, id := range ids[:len(ids)-1] {
		for name, s := range map[string]*live.Stream{"the other process": second, "a third process": third} {
			if got, _ := until(t, subscribe(t, s, live.Query{After: &id}), "last"); !cmp.Equal(want[i+1:], got) {
				t.Errorf("%s after %q: %v", name, want[i], got)
			}
		}
	}
	everything, _ := until(t, subscribe(t, third, live.Query{After: &live.ID{}}), "last")
	if diff := cmp.Diff(append([]string{"before"}, want...), everything); diff != "" {
		t.Errorf("from the beginning (-want +got):\n%s", diff)
	}
}

func prepare(t *testing.T, st database, err error) database {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	if err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Prepare(t.Context(), scoring.Defaults(), "test", time.Now()); err != nil {
		t.Fatal(err)
	}
	return st
}

func TestALateCommitIsSeenOncePostgres(t *testing.T) {
	url := pgtest.New(t)
	delayed(t, func() database {
		st, err := postgres.Open(t.Context(), url)
		return prepare(t, st, err)
	}, true)
}

func TestALateCommitIsSeenOnceSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "poa.db")
	delayed(t, func() database {
		st, err := sqlite.Open(t.Context(), path)
		return prepare(t, st, err)
	}, false) // one writer at a time: nothing overtakes
}
