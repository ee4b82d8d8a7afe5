package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"poa/internal/store"
)

func testSettings(t *testing.T, open opener) {
	t.Run("settings", func(t *testing.T) {
		s := open.service(t)
		changes := []store.SettingChange{
			{Name: "batch.size", To: "20", Who: "ann", Why: "more", At: base.Add(time.Microsecond)},
			{Name: "batch.every", To: `"60m"`, Who: "bob", At: base},
			{Name: "batch.size", From: "ignored", To: "30", Who: "bob", Why: "ünï", At: base.Add(time.Hour)},
			{Name: "trigger.milestones", To: `[5,10]`, Who: "ann", At: base.Add(2 * time.Hour)},
			{Name: "batch.size", To: "30", Who: "ann", At: base.Add(3 * time.Hour)},
		}
		for _, c := range changes {
			s.must(s.PutSettings(t.Context(), []store.SettingChange{c}, store.Activity{At: c.At, Kind: store.SettingsChanged, Who: c.Who}))
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
	s.must(s.PutSettings(t.Context(), []store.SettingChange{{Name: "a", To: "1", Who: "ann", At: base}}, log))
	second := version()
	changes := []store.SettingChange{
		{Name: "a", To: "2", Who: "ann", Why: "x", At: base},
		{Name: "b", To: `"y"`, Who: "ann", Why: "x", At: base},
		{Name: "a", To: "3", Who: "ann", Why: "x", At: base},
	}
	log.Detail = "x"
	s.must(s.PutSettings(t.Context(), changes, log))
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
