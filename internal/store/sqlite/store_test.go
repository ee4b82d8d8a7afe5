package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"poa/internal/scoring"
	"poa/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var base = time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.UTC)

func openAt(t *testing.T, path string, more url.Values) *Store {
	t.Helper()
	s, err := open(t.Context(), path, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// newDatabase opens a new database with a schema, two NFTs and their ratings, and
// a voter, all with number 1 and 2.
func newDatabase(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "poa.db")
	s := openAt(t, path, nil)
	c := scoring.Defaults()
	must(t, s.Migrate(t.Context()))
	_, err := s.Prepare(t.Context(), c, "tester", base)
	must(t, err)
	_, err = s.PutNFTs(t.Context(), []store.NFT{{ID: "n1"}, {ID: "n2"}}, false, base)
	must(t, err)
	must(t, s.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Ensure(t.Context(), []string{"n1", "n2"}, []string{"v1"}, c.NewRating(), c.NewVoter(), base)
		return err
	}))
	return s, path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// vote commits one vote with that key.
func vote(ctx context.Context, s *Store, key string) error {
	return s.Update(ctx, func(tx store.Tx) error { return insertOne(ctx, tx, key) })
}

func insertOne(ctx context.Context, tx store.Tx, key string) error {
	numbers, err := tx.Numbers(ctx, 1)
	if err != nil {
		return err
	}
	return tx.Apply(ctx, &store.Changes{Votes: []store.Vote{{
		Number: numbers[0], Key: key, Voter: 1, A: 1, B: 2, ReceivedAt: base, Weight: scoring.ToSum(1),
		Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinA, CastAt: base},
	}}})
}

// keysOf returns the keys of the log in order.
func keysOf(t *testing.T, s *Store) (keys []string) {
	t.Helper()
	must(t, s.View(t.Context(), func(v store.View) error {
		for vote, err := range v.Log(t.Context(), 0) {
			if err != nil {
				return err
			}
			keys = append(keys, vote.Key)
		}
		return nil
	}))
	return keys
}

func wantKeys(t *testing.T, s *Store, want ...string) {
	t.Helper()
	if got := keysOf(t, s); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the log has the votes %q, want %q", got, want)
	}
}

func TestOpen(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "notes.txt")
	must(t, os.WriteFile(text, []byte(strings.Repeat("certainly no database\n", 100)), 0o600))

	for _, c := range []struct{ name, path, says string }{
		{"missing folder", filepath.Join(folder, "none", "poa.db"), "no such file or directory"},
		{"file for a folder", filepath.Join(text, "poa.db"), "not a"},
		{"a folder", folder, "unable to open"},
		{"not a database", text, "file is not a database"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), c.path)
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), c.says) || !strings.Contains(fmt.Sprint(err), c.path) {
				t.Errorf("Open: %v; want ErrUnavailable with the path and %q", err, c.says)
			}
		})
	}
	for _, path := range []string{"", ":memory:"} {
		if _, err := Open(t.Context(), path); err == nil {
			t.Errorf("Open(%q) worked", path)
		}
	}
	t.Run("special characters", func(t *testing.T) {
		path := filepath.Join(folder, "a b?mode=ro&c#d%41.db")
		must(t, openAt(t, path, nil).Migrate(t.Context()))
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	})
	t.Run("several at once", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "poa.db")
		var g errgroup.Group
		for range 4 {
			g.Go(func() error {
				s, err := Open(t.Context(), path)
				if err != nil {
					return err
				}
				return errors.Join(s.Migrate(t.Context()), s.Close())
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestDurability(t *testing.T) {
	s, _ := newDatabase(t)
	read := func() map[string]store.Durability {
		settings, err := s.Durability(t.Context())
		must(t, err)
		out := make(map[string]store.Durability)
		for _, d := range settings {
			out[d.Name] = d
		}
		return out
	}
	d := read()
	if j := d["journal_mode"]; j.Value != "wal" || !j.OK {
		t.Errorf("journal_mode: %+v", j)
	}
	if y := d["synchronous"]; y.Value != "FULL" || !y.OK {
		t.Errorf("synchronous: %+v", y)
	}
	// It is the writing connection that is asked.
	onWriter(t, s, `PRAGMA synchronous = NORMAL`)
	if y := read()["synchronous"]; y.Value != "NORMAL" || y.OK {
		t.Errorf("synchronous after NORMAL was set: %+v", y)
	}
}

func onWriter(t *testing.T, s *Store, statement string) {
	t.Helper()
	_, err := s.writer.ExecContext(t.Context(), statement)
	must(t, err)
}

func TestUnmigrated(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "poa.db"), nil)
	if err := vote(t.Context(), s, "k"); !errors.Is(err, store.ErrSchema) {
		t.Errorf("a vote without a schema: %v, want ErrSchema", err)
	}
	must(t, s.Migrate(t.Context()))
	if err := vote(t.Context(), s, "k"); !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), "folding") {
		t.Errorf("a vote before Prepare: %v, want ErrSchema", err)
	}
}

func TestNewerSchema(t *testing.T) {
	s, _ := newDatabase(t)
	onWriter(t, s, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	if err := s.Migrate(t.Context()); !errors.Is(err, store.ErrSchema) {
		t.Errorf("Migrate of a newer database: %v, want ErrSchema", err)
	}
}

func TestRefusedValues(t *testing.T) {
	s, _ := newDatabase(t)
	must(t, vote(t.Context(), s, "k"))
	if err := vote(t.Context(), s, "k"); !errors.Is(err, store.ErrKeyExists) || errors.Is(err, store.ErrData) {
		t.Errorf("a key twice: %v, want ErrKeyExists", err)
	}
	err := s.PutSettings(t.Context(), store.AnyVersion, []store.SettingChange{{Name: "x", To: "not JSON", At: base}}, store.Activity{At: base})
	if !errors.Is(err, store.ErrData) || !strings.Contains(err.Error(), "json_valid") {
		t.Errorf("a setting that is not JSON: %v, want ErrData with the cause", err)
	}
	err = s.Update(t.Context(), func(tx store.Tx) error {
		return tx.Apply(t.Context(), &store.Changes{Votes: []store.Vote{{Number: 1, Key: "other"}}})
	})
	if !errors.Is(err, store.ErrData) || errors.Is(err, store.ErrKeyExists) {
		t.Errorf("a vote number twice: %v, want ErrData", err)
	}
	wantKeys(t, s, "k")
}

func TestIgnoredFailureIsNotCommitted(t *testing.T) {
	s, _ := newDatabase(t)
	must(t, vote(t.Context(), s, "k"))
	err := s.Update(t.Context(), func(tx store.Tx) error {
		_ = insertOne(t.Context(), tx, "new")
		_ = insertOne(t.Context(), tx, "k")
		_ = insertOne(t.Context(), tx, "newer")
		return nil
	})
	if !errors.Is(err, store.ErrKeyExists) {
		t.Errorf("Update: %v, want ErrKeyExists", err)
	}
	wantKeys(t, s, "k")
}

// TestFull fills the database to its page limit and goes on with more room.
func TestFull(t *testing.T) {
	s, path := newDatabase(t)
	var pages int
	must(t, s.writer.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&pages))
	onWriter(t, s, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+3))

	var acknowledged []string
	var err error
	key := func() string { return fmt.Sprintf("%04d %s", len(acknowledged), strings.Repeat("x", 200)) }
	for err == nil && len(acknowledged) < 1000 {
		if err = vote(t.Context(), s, key()); err == nil {
			acknowledged = append(acknowledged, key())
		}
	}
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "full") {
		t.Fatalf("after %d votes: %v, want ErrUnavailable that says full", len(acknowledged), err)
	}
	if len(acknowledged) == 0 {
		t.Fatal("no vote went in before the database was full")
	}
	wantKeys(t, s, acknowledged...)
	if err := vote(t.Context(), s, key()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a second try: %v, want ErrUnavailable", err)
	}
	pinged(t, s, "full")

	// There is room for a vote again, and not for a group of them.
	onWriter(t, s, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+203))
	must(t, vote(t.Context(), s, key()))
	acknowledged = append(acknowledged, key())
	pinged(t, s, "full")

	onWriter(t, s, `PRAGMA max_page_count = 1000000`)
	must(t, s.Ping(t.Context()))
	must(t, vote(t.Context(), s, key()))
	acknowledged = append(acknowledged, key())
	must(t, s.Close())
	wantKeys(t, openAt(t, path, nil), acknowledged...)
}

// TestPingLooksForRoom: a file is seen to be full before a vote is refused, and
// looking leaves nothing behind.
func TestPingLooksForRoom(t *testing.T) {
	s, _ := newDatabase(t)
	pages := func() (n int) {
		t.Helper()
		must(t, s.writer.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&n))
		return n
	}
	before := pages()
	must(t, s.Ping(t.Context()))
	must(t, s.Ping(t.Context()))
	if after := pages(); after > before+1 {
		t.Errorf("the file grew from %d to %d pages", before, after)
	}
	onWriter(t, s, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages()+20))
	pinged(t, s, "full")
	onWriter(t, s, `PRAGMA max_page_count = 1000000`)
	must(t, s.Ping(t.Context()))
	must(t, s.Ping(t.Context()))
}

// pinged checks that Ping says why the file takes no writes.
func pinged(t *testing.T, s *Store, why string) {
	t.Helper()
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), why) {
		t.Errorf("Ping: %v, want ErrUnavailable that says %s", err, why)
	}
}

func TestReadOnly(t *testing.T) {
	s, path := newDatabase(t)
	must(t, vote(t.Context(), s, "k"))
	ro := openAt(t, path, url.Values{"mode": {"ro"}})
	if err := vote(t.Context(), ro, "other"); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("a vote: %v, want ErrUnavailable that says readonly", err)
	}
	pinged(t, ro, "readonly")
	if _, err := ro.Prepare(t.Context(), scoring.Defaults(), "reader", base); err != nil {
		t.Errorf("Prepare with what the database has: %v", err)
	}
	wantKeys(t, ro, "k")
}

func TestViewsCannotWrite(t *testing.T) {
	s, _ := newDatabase(t)
	err := s.View(t.Context(), func(v store.View) error {
		return v.(*view).q.insertCollection(t.Context(), "c")
	})
	if err := classify(err); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a write in a view: %v, want a refusal", err)
	}
}

// hold keeps the write lock of s until release is called.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	held, done := make(chan struct{}), make(chan struct{})
	var g errgroup.Group
	g.Go(func() error {
		return s.Update(t.Context(), func(store.Tx) error {
			close(held)
			<-done
			return nil
		})
	})
	<-held
	return func() {
		close(done)
		must(t, g.Wait())
	}
}

func TestTwoProcesses(t *testing.T) {
	t.Run("waiting in vain", func(t *testing.T) {
		s, path := newDatabase(t)
		impatient := openAt(t, path, url.Values{"_busy_timeout": {"1"}})
		release := hold(t, s)
		err := vote(t.Context(), impatient, "k")
		release()
		if !errors.Is(err, store.ErrContention) {
			t.Errorf("a vote while the other store writes: %v, want ErrContention", err)
		}
		must(t, vote(t.Context(), impatient, "k"))
		wantKeys(t, s, "k")
	})
	t.Run("cancelled while waiting", func(t *testing.T) {
		s, path := newDatabase(t)
		other := openAt(t, path, nil)
		release := hold(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := vote(ctx, other, "k")
		release()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a vote: %v, want DeadlineExceeded", err)
		}
		must(t, vote(t.Context(), other, "k"))
		wantKeys(t, s, "k")
	})
	t.Run("taking turns", func(t *testing.T) {
		s, path := newDatabase(t)
		var g errgroup.Group
		const each = 50
		for n, one := range []*Store{s, openAt(t, path, nil), openAt(t, path, nil)} {
			for i := range each {
				key := fmt.Sprint(n, "/", i)
				g.Go(func() error {
					for {
						if err := vote(t.Context(), one, key); !errors.Is(err, store.ErrContention) {
							return err
						}
					}
				})
			}
		}
		must(t, g.Wait())
		if got := len(keysOf(t, s)); got != 3*each {
			t.Errorf("%d votes are in the log, want %d", got, 3*each)
		}
	})
}

func TestCancelled(t *testing.T) {
	s, _ := newDatabase(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()

	if err := vote(gone, s, "before"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	during, cancel := context.WithCancel(t.Context())
	err := s.Update(during, func(tx store.Tx) error {
		err := insertOne(during, tx, "during")
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before the commit: %v", err)
	}
	release := hold(t, s)
	waiting, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := vote(waiting, s, "waiting"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled while waiting: %v", err)
	}
	release()
	err = s.View(gone, func(store.View) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a view: %v", err)
	}
	must(t, vote(t.Context(), s, "after"))
	wantKeys(t, s, "after")
}

// TestCancelledView interrupts a stream between two pages.
func TestCancelledView(t *testing.T) {
	s, _ := newDatabase(t)
	nfts := make([]store.NFT, 2*page)
	for i := range nfts {
		nfts[i].ID = fmt.Sprint("more", i)
	}
	_, err := s.PutNFTs(t.Context(), nfts, false, base)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	read := 0
	err = s.View(ctx, func(v store.View) error {
		for _, err := range v.AllNFTs(ctx) {
			if err != nil {
				return err
			}
			read++
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || read != page {
		t.Errorf("the stream gave %d NFTs and %v, want one page of %d and Canceled", read, err, page)
	}
	wantKeys(t, s)
}

func TestPanicRollsBack(t *testing.T) {
	s, _ := newDatabase(t)
	func() {
		defer func() {
			if recover() != "stop" {
				t.Error("the panic did not come through")
			}
		}()
		_ = s.Update(t.Context(), func(tx store.Tx) error {
			must(t, insertOne(t.Context(), tx, "k"))
			panic("stop")
		})
	}()
	must(t, vote(t.Context(), s, "after"))
	wantKeys(t, s, "after")
}

// TestSnapshotFromTheStart: a view shows the state at its beginning even if it
// reads for the first time later.
func TestSnapshotFromTheStart(t *testing.T) {
	s, _ := newDatabase(t)
	must(t, s.View(t.Context(), func(v store.View) error {
		must(t, vote(t.Context(), s, "later"))
		counts, err := v.Counts(t.Context())
		if counts.Votes != 0 {
			t.Errorf("the view shows %d votes that were committed after it began", counts.Votes)
		}
		return err
	}))
	wantKeys(t, s, "later")
}

// TestStreamsCrossPages: what a stream yields is complete and in order where it
// takes several pages.
func TestStreamsCrossPages(t *testing.T) {
	s, _ := newDatabase(t)
	const votes = 2*page + 1
	must(t, s.Update(t.Context(), func(tx store.Tx) error {
		for i := range votes {
			if err := insertOne(t.Context(), tx, fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	}))
	keys := keysOf(t, s)
	if len(keys) != votes {
		t.Fatalf("%d votes came, want %d", len(keys), votes)
	}
	for i, key := range keys {
		if key != fmt.Sprint(i) {
			t.Fatalf("vote %d is %q", i, key)
		}
	}
}

// TestVirtualTime: nothing in a store waits on what a bubble cannot see.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newDatabase(t)
		release := hold(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := vote(ctx, s, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a vote behind a transaction that never ends: %v, want DeadlineExceeded", err)
		}
		release()
		must(t, vote(t.Context(), s, "k"))
		wantKeys(t, s, "k")
	})
}
