package settings_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"poa/internal/config"
	"poa/internal/settings"
	"poa/internal/store"
)

// meanwhile is a store on which something is done right before the next
// settings are stored.
type meanwhile struct {
	store.Service
	do func()
}

func (m *meanwhile) PutSettings(ctx context.Context, asOf int64, changes []store.SettingChange, log store.Activity) error {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Service.PutSettings(ctx, asOf, changes, log)
}

// TestChangesOfTwoProcessesAreCheckedTogether has another process store, between
// the check of a change and its storing, what it does not fit, and what it fits.
func TestChangesOfTwoProcessesAreCheckedTogether(t *testing.T) {
	st := &meanwhile{Service: database(t)}
	a, b := open(t, st), open(t, st)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	st.do = func() { must(change(t, b, "short windows", map[string]string{"batch.every": `"1m"`})) }
	if text := problems(t, change(t, a, "long runs", map[string]string{"batch.cap": `"30m"`})); !strings.Contains(text, "batch.cap") {
		t.Errorf("refused for %q", text)
	}
	st.do = func() { must(change(t, b, "more", map[string]string{"batch.size": "30"})) }
	must(change(t, a, "shorter runs", map[string]string{"batch.cap": `"30s"`}))
	in := open(t, st).Current().Batch
	if in.Every != time.Minute || in.Cap != 30*time.Second || in.Size != 30 {
		t.Errorf("in force %v, %v and %d", in.Every, in.Cap, in.Size)
	}
}

// leftOut returns the names of the stored settings that are left out.
func leftOut(s *settings.Service) string {
	var names []string
	for _, p := range s.LeftOut() {
		names = append(names, p.Setting)
	}
	return strings.Join(names, " ")
}

// TestStoredSettingsThatDoNotFitHere changes, in one process, settings that do
// not fit the variables of another: that one begins, goes on, and follows all
// else.
func TestStoredSettingsThatDoNotFitHere(t *testing.T) {
	for name, c := range map[string]struct {
		env    []string
		change map[string]string
		out    string
	}{
		"named":                {[]string{"POA_BATCH_EVERY=10m"}, map[string]string{"batch.cap": `"30m"`}, "batch.cap"},
		"another one is named": {[]string{"POA_BATCH_CAP=30m"}, map[string]string{"batch.every": `"10m"`}, "batch.every"},
		"two": {[]string{"POA_BATCH_EVERY=10m", "POA_SCORING_PUBLISHING_FIRE_WEIGHT=0.3"},
			map[string]string{"batch.cap": `"30m"`, "scoring.publishing.elo_weight": "0.3", "scoring.publishing.slider_weight": "0.2", "scoring.publishing.fire_weight": "0.5"},
			"batch.cap scoring.publishing.elo_weight scoring.publishing.slider_weight"},
		"none": {[]string{"POA_BATCH_EVERY=40m"}, map[string]string{"batch.cap": `"30m"`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := database(t)
				a, b := open(t, st), open(t, st, c.env...)
				b.Start()
				c.change["batch.size"] = "33"
				if err := change(t, a, "a try", c.change); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				if err := a.Pause(t.Context(), settings.Triggers, settings.Pause{Reason: "a bot", Who: "ada"}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				for _, s := range []*settings.Service{b, open(t, st, c.env...)} {
					if got := leftOut(s); got != c.out {
						t.Errorf("left out is %q, want %q: %v", got, c.out, s.LeftOut())
					}
					if in := s.Current(); in.Batch.Size != 33 || in.Batch.Cap > in.Batch.Every || !in.Policy.TriggersPaused {
						t.Errorf("in force %+v, triggers paused %v", in.Batch, in.Policy.TriggersPaused)
					}
				}
				b.Stop()
				st.Close()
			})
		})
	}
}

// TestChangesBesideWhatIsLeftOut changes settings where stored ones do not fit.
func TestChangesBesideWhatIsLeftOut(t *testing.T) {
	st := database(t)
	if err := change(t, open(t, st), "long runs", map[string]string{"batch.cap": `"30m"`, "batch.adaptive.pause_max": `"2m"`}); err != nil {
		t.Fatal(err)
	}
	b := open(t, st, "POA_BATCH_EVERY=10m")
	for _, values := range []map[string]string{
		{"batch.cap": `"30m"`}, {"batch.cap": `"20m"`}, {"batch.size": "40", "batch.cap": `"30m"`}, {"batch.delay": `"5m"`},
	} {
		problems(t, change(t, b, "a try", values))
	}
	if err := change(t, b, "more", map[string]string{"batch.size": "40"}); err != nil {
		t.Errorf("a setting that has nothing to do with it: %v", err)
	}
	if got := leftOut(b); got != "batch.cap" || b.Current().Batch.Size != 40 {
		t.Errorf("left out is %q; in force %+v", got, b.Current().Batch)
	}
	if err := change(t, b, "shorter runs", map[string]string{"batch.cap": `"5m"`}); err != nil {
		t.Fatal(err)
	}
	if got := leftOut(b); got != "" || b.Current().Batch.Cap != 5*time.Minute {
		t.Errorf("left out is %q; in force %+v", got, b.Current().Batch)
	}
}

// TestPausesAreHonouredBesideASpoiltFile spoils a process's config file while it
// runs.
func TestPausesAreHonouredBesideASpoiltFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "poa.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("batch: {size: 30}")
	s, err := settings.Open(t.Context(), database(t), settings.Options{
		Load: func(stored map[string]string) (*config.Config, error) {
			return config.Load(config.Options{File: file, Stored: stored})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := change(t, s, "longer", map[string]string{"batch.cap": `"50s"`}); err != nil {
		t.Fatal(err)
	}
	write("batch: {sise: 30}")
	if err := s.Pause(t.Context(), settings.Triggers, settings.Pause{Reason: "a bot", Who: "ada"}); err != nil {
		t.Errorf("the pause: %v", err)
	}
	if in := s.Current(); !in.Policy.TriggersPaused || in.Batch.Size != 30 || in.Batch.Cap != 50*time.Second {
		t.Errorf("in force %+v, triggers paused %v", in.Batch, in.Policy.TriggersPaused)
	}
	if text := problems(t, change(t, s, "more", map[string]string{"batch.delay": `"1s"`})); !strings.Contains(text, "sise") {
		t.Errorf("refused for %q", text)
	}
	if !slices.Equal(s.LeftOut(), nil) {
		t.Errorf("left out are %v", s.LeftOut())
	}
}
