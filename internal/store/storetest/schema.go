package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/scoring"
	"poa/internal/store"
)

func testSchema(t *testing.T, open opener) {
	current := func(t *testing.T, f *fixture) {
		t.Helper()
		have, want, err := f.Schema(t.Context())
		if err != nil || have != want || want < 1 {
			t.Errorf("Schema() = %d, %d, %v; want two equal positive numbers", have, want, err)
		}
	}

	t.Run("untouched", func(t *testing.T) {
		f := open.empty(t)
		have, want, err := f.Schema(t.Context())
		if err != nil || have != 0 || want < 1 {
			t.Errorf("Schema() = %d, %d, %v; want 0 and a positive number", have, want, err)
		}
		if _, err := f.Prepare(t.Context(), constants(), "tester", base); err == nil {
			t.Error("Prepare worked without a schema")
		}
	})

	t.Run("migrate twice", func(t *testing.T) {
		f := open.prepared(t)
		current(t, f)
		f.rated("c", "n1")
		before := f.contents()
		f.migrate()
		current(t, f)
		same(t, "contents after the second Migrate", before, f.contents())
	})

	t.Run("migrate at once", func(t *testing.T) {
		f := open.empty(t)
		var g errgroup.Group
		for range 2 {
			g.Go(func() error { return f.Migrate(t.Context()) })
		}
		if err := g.Wait(); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
		current(t, f)
	})

	t.Run("durability", func(t *testing.T) {
		settings, err := open.prepared(t).Durability(t.Context())
		if err != nil || len(settings) == 0 {
			t.Fatalf("Durability() = %v, %v", settings, err)
		}
		for _, d := range settings {
			if d.Name == "" || d.Value == "" || d.Want == "" {
				t.Errorf("a setting lacks its name, value or what it should be: %+v", d)
			}
		}
	})

	t.Run("statements", func(t *testing.T) {
		f := open.prepared(t)
		before := f.Statements()
		f.update(func(ctx context.Context, tx store.Tx) error {
			_, err := tx.VotesByKey(ctx, []string{"k"})
			return err
		})
		if sent := f.Statements() - before; sent < 3 || sent > 6 {
			t.Errorf("begin, one query and commit were counted as %d statements", sent)
		}
	})

	t.Run("closed", func(t *testing.T) {
		s := open(t)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if err := s.Update(t.Context(), func(store.Tx) error { return nil }); err == nil {
			t.Error("Update worked on a closed store")
		}
		if err := s.View(t.Context(), func(store.View) error { return nil }); err == nil {
			t.Error("View worked on a closed store")
		}
	})
}

func testPrepare(t *testing.T, open opener) {
	migrated := func(t *testing.T) *fixture {
		f := open.empty(t)
		f.migrate()
		return f
	}
	published := func(f *fixture, version int64) (p scoring.Publishing, err error) {
		err = f.View(f.t.Context(), func(v store.View) error {
			p, err = v.ScoringVersion(f.t.Context(), version)
			return err
		})
		return p, err
	}

	t.Run("versions", func(t *testing.T) {
		f := migrated(t)
		first, second := constants(), constants()
		second.EloWeight, second.SliderWeight = 0.1+0.2, 0.7-0.3
		one := f.prepare(first)
		if one < 1 {
			t.Errorf("the first version is %d", one)
		}
		if again := f.prepare(first); again != one {
			t.Errorf("equal constants made version %d, want %d", again, one)
		}
		two := f.prepare(second)
		if two <= one {
			t.Errorf("other publishing constants gave version %d after %d", two, one)
		}
		if back := f.prepare(first); back != one {
			t.Errorf("going back gave version %d, want %d", back, one)
		}
		for version, c := range map[int64]scoring.Constants{one: first, two: second} {
			p, err := published(f, version)
			if err != nil {
				t.Errorf("ScoringVersion(%d): %v", version, err)
			}
			same(t, "constants of the version", c.Publishing, p)
		}
		if _, err := published(f, two+1); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a version nobody made: %v, want ErrNotFound", err)
		}
	})

	t.Run("folding is fixed", func(t *testing.T) {
		f := migrated(t)
		version := f.prepare(constants())
		for _, c := range []struct {
			name   string
			change func(*scoring.Constants)
			named  []string
		}{
			{"a float", func(c *scoring.Constants) { c.SigmaDecay = 0.97 }, []string{"sigma_decay"}},
			{"a float's last bit", func(c *scoring.Constants) { c.ReliabilityRate += 1e-16 }, []string{"reliability_rate"}},
			{"a count", func(c *scoring.Constants) { c.SuperVotes = 4 }, []string{"super_votes"}},
			{"two", func(c *scoring.Constants) { c.StartMean, c.K = 1000, 24 }, []string{"start_mean", "k"}},
			{"publishing as well", func(c *scoring.Constants) { c.SuperK, c.SigmaScale = 60, 500 }, []string{"super_k"}},
		} {
			changed := constants()
			c.change(&changed)
			_, err := f.Prepare(t.Context(), changed, "tester", base)
			if !errors.Is(err, store.ErrFoldingFixed) {
				t.Errorf("%s: %v, want ErrFoldingFixed", c.name, err)
				continue
			}
			for _, name := range c.named {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%s: %q does not name %s", c.name, err, name)
				}
			}
			if strings.Contains(err.Error(), "elo_scale") {
				t.Errorf("%s: %q names a constant that does not differ", c.name, err)
			}
		}
		if got := f.prepare(constants()); got != version {
			t.Errorf("after refusals the version is %d, want %d", got, version)
		}
		if _, err := published(f, version+1); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a refused Prepare left a version: %v", err)
		}
	})

	t.Run("other folding constants", func(t *testing.T) {
		f := migrated(t)
		own := constants()
		own.StartMean, own.ReliabilityMinJudged = 1000.1, 6
		version := f.prepare(own)
		if again := f.prepare(own); again != version {
			t.Errorf("the database's own constants made version %d, want %d", again, version)
		}
		if _, err := f.Prepare(t.Context(), constants(), "tester", base); !errors.Is(err, store.ErrFoldingFixed) {
			t.Errorf("the defaults: %v, want ErrFoldingFixed", err)
		}
	})

	t.Run("at once", func(t *testing.T) {
		f := migrated(t)
		versions := make([]int64, 4)
		var g errgroup.Group
		for i := range versions {
			g.Go(func() (err error) {
				versions[i], err = f.Prepare(t.Context(), constants(), "tester", base.Add(time.Duration(i)*time.Second))
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatalf("Prepare: %v", err)
		}
		if len(distinct(versions)) != 1 {
			t.Errorf("equal constants gave versions %v", versions)
		}
	})
}
