package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/store"
)

func testSettings(t *testing.T, open opener) {
	t.Run("settings", func(t *testing.T) {
		s := open.service(t)
		changes := []store.SettingChange{
			{Name: "batch.size", To: "20", Who: "ann", Why: "more", At: base.Add(time.Microsecond)},
			{Name: "batch.every", From: `"1h"`, To: `"60m"`, Who: "bob", At: base},
			{Name: "batch.size", From: "ignored", To: "30", Who: "bob", Why: "ünï", At: base.Add(time.Hour)},
			{Name: "trigger.milestones", To: `[5,10]`, Who: "ann", At: base.Add(2 * time.Hour)},
			{Name: "batch.size", To: "30", Who: "ann", At: base.Add(3 * time.Hour)},
		}
		for _, c := range changes {
			s.must(s.PutSettings(t.Context(), store.AnyVersion, []store.SettingChange{c}, store.Activity{At: c.At, Kind: store.SettingsChanged, Who: c.Who}))
		}
		changes[2].From, changes[4].From = "20", "30"
		slices.Reverse(changes)
		s.view(func(ctx context.Context, v store.View) error {
			values, err := v.Settings(ctx)
			if err != nil {
				return err
			}
			s.same("values", map[string]string{"batch.size": "30", "batch.every": `"60m"`, "trigger.milestones": `[5,10]`}, values)
			for _, limit := range []int{2, 100} {
				audit, err := v.SettingChanges(ctx, limit)
				if err != nil {
					return err
				}
				s.same("audit", changes[:min(limit, len(changes))], audit)
			}
			return nil
		})
	})

	t.Run("no settings", func(t *testing.T) {
		s := open.service(t)
		s.view(func(ctx context.Context, v store.View) error {
			values, err := v.Settings(ctx)
			s.same("values", map[string]string(nil), values)
			return err
		})
	})
}

// testSettingsAsOf stores settings beside a version that is no more, and has two
// writers at a time do so beside the same one.
func testSettingsAsOf(t *testing.T, open opener) {
	const writers, rounds = 4, 10
	s := open.service(t)
	put := func(asOf int64, to string) error {
		return s.PutSettings(t.Context(), asOf, []store.SettingChange{{Name: "a", To: to, Who: "ann", At: base}}, store.Activity{At: base, Kind: store.SettingsChanged, Detail: to})
	}
	before, err := s.SettingsVersion(t.Context())
	s.must(err)
	s.must(put(before, "1"))
	if err := put(before, "2"); !errors.Is(err, store.ErrChanged) {
		t.Errorf("beside a version that is no more: %v, want ErrChanged", err)
	}
	s.must(put(store.AnyVersion, "3"))
	s.same("logged", []string{"3", "1"}, details(s.contents().Activity))

	for round := range rounds {
		asOf, err := s.SettingsVersion(t.Context())
		s.must(err)
		var stored atomic.Int64
		var g errgroup.Group
		for w := range writers {
			g.Go(func() error {
				err := repeated(func() error { return put(asOf, fmt.Sprint(round*writers+w)) })
				if err == nil {
					stored.Add(1)
				} else if !errors.Is(err, store.ErrChanged) {
					return err
				}
				return nil
			})
		}
		s.must(g.Wait())
		if n := stored.Load(); n != 1 {
			t.Fatalf("%d of %d writers stored settings beside the same version", n, writers)
		}
	}
}

func testSettingsVersion(t *testing.T, open opener) {
	s := open.service(t)
	version := func() int64 {
		t.Helper()
		v, err := s.SettingsVersion(t.Context())
		s.must(err)
		return v
	}
	first := version()
	s.same("unchanged", first, version())
	log := store.Activity{At: base, Kind: store.SettingsChanged, Who: "ann", Detail: "first"}
	s.must(s.PutSettings(t.Context(), store.AnyVersion, []store.SettingChange{{Name: "a", To: "1", Who: "ann", At: base}}, log))
	second := version()
	changes := []store.SettingChange{
		{Name: "a", To: "2", Who: "ann", Why: "x", At: base},
		{Name: "b", To: `"y"`, Who: "ann", Why: "x", At: base},
		{Name: "a", To: "3", Who: "ann", Why: "x", At: base},
	}
	log.Detail = "x"
	s.must(s.PutSettings(t.Context(), store.AnyVersion, changes, log))
	third := version()
	if first >= second || second >= third {
		t.Errorf("versions %d, %d, %d do not ascend", first, second, third)
	}
	changes[0].From, changes[2].From = "1", "2"
	slices.Reverse(changes)
	s.view(func(ctx context.Context, v store.View) error {
		audit, err := v.SettingChanges(ctx, 3)
		if err != nil {
			return err
		}
		s.same("audit", changes, audit)
		values, err := v.Settings(ctx)
		s.same("values", map[string]string{"a": "3", "b": `"y"`}, values)
		return err
	})
	s.same("logged", []string{"x", "first"}, details(s.contents().Activity))
}
