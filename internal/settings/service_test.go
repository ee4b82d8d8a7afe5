package settings_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"poa/internal/config"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
)

// open opens the settings of a process on a database, with an environment.
func open(t *testing.T, st store.Service, env ...string) *settings.Service {
	t.Helper()
	s, err := settings.Open(context.Background(), st, settings.Options{
		Load: func(stored map[string]string) (*config.Config, error) {
			return config.Load(config.Options{Env: env, Stored: stored})
		},
		Who: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func database(t *testing.T) store.Service {
	t.Helper()
	return sqlitetest.New(t)
}

func change(t *testing.T, s *settings.Service, why string, values map[string]string) error {
	t.Helper()
	c := settings.Change{Values: map[string]json.RawMessage{}, Who: "ada", Why: why}
	for name, v := range values {
		c.Values[name] = json.RawMessage(v)
	}
	return s.Change(context.Background(), c)
}

// problems returns what a refusal names.
func problems(t *testing.T, err error) string {
	t.Helper()
	var refused *settings.Refused
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	return refused.Error()
}

func TestChangesAreInForceEverywhereAndAudited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := database(t)
		a, b := open(t, st), open(t, st)
		b.Start()
		changed := make(chan *settings.InForce, 1)
		b.OnChange(func(in *settings.InForce) { changed <- in })
		version := a.Current().Policy.Version
		err := change(t, a, "livelier", map[string]string{
			"trigger.milestones": "[3, 9]", "batch.every": `"15m"`, "scoring.publishing.elo_weight": "0.5", "scoring.publishing.slider_weight": "0.2",
			"upkeep.history": `"720h"`,
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		<-changed
		for _, s := range []*settings.Service{a, b} {
			in := s.Current()
			if in.Batch.Every != 15*time.Minute || len(in.Policy.Rules.Milestones) != 2 || in.Policy.Constants.EloWeight != 0.5 || in.Policy.Version != version+1 ||
				in.Upkeep.History != 720*time.Hour {
				t.Errorf("in force: %+v %+v %+v", in.Batch, in.Upkeep, in.Policy)
			}
		}
		b.Stop()
		var audit []store.SettingChange
		err = st.View(context.Background(), func(v store.View) (err error) {
			audit, err = v.SettingChanges(context.Background(), 10)
			return err
		})
		if err != nil || len(audit) != 5 || audit[0].Who != "ada" || audit[0].Why != "livelier" {
			t.Errorf("audit %+v, %v", audit, err)
		}
		activity, err := st.ListActivity(context.Background(), store.ActivityQuery{Limit: 10})
		if err != nil || len(activity) != 1 || activity[0].Kind != store.SettingsChanged || activity[0].Who != "ada" {
			t.Errorf("activity %+v, %v", activity, err)
		}
		st.Close()
	})
}

func TestChangesThatAreRefused(t *testing.T) {
	st := database(t)
	s := open(t, st, "POA_BATCH_SIZE=30")
	for name, c := range map[string]struct {
		values map[string]string
		why    string
		want   []string
	}{
		"folding":          {map[string]string{"scoring.folding.k": "40"}, "x", []string{"scoring.folding.k", "fixed when a database is created"}},
		"pinned":           {map[string]string{"batch.size": "10"}, "x", []string{"batch.size", "POA_BATCH_SIZE"}},
		"own of a process": {map[string]string{"log.level": `"debug"`}, "x", []string{"log.level", "restart"}},
		"unknown":          {map[string]string{"batch.sise": "1"}, "x", []string{"batch.sise", "no setting"}},
		"out of range":     {map[string]string{"batch.new_share": "2"}, "x", []string{"batch.new_share"}},
		"not together":     {map[string]string{"scoring.publishing.elo_weight": "0.9"}, "x", []string{"sum to 1"}},
		"wrong type":       {map[string]string{"batch.every": `"soon"`}, "x", []string{"batch.every", "duration"}},
		"runs too short":   {map[string]string{"upkeep.runs": `"24h"`}, "x", []string{"upkeep.runs", "336h"}},
		"no reason":        {map[string]string{"batch.every": `"15m"`}, " ", []string{"why"}},
		"nothing":          {nil, "x", []string{"at least one"}},
		"one of two":       {map[string]string{"batch.every": `"15m"`, "batch.new_share": "-1"}, "x", []string{"batch.new_share"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := problems(t, change(t, s, c.why, c.values))
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q does not say %q", text, want)
				}
			}
			if in := s.Current(); in.Batch.Every != time.Hour || in.Batch.Size != 30 {
				t.Errorf("a refused change is in force: %+v", in.Batch)
			}
		})
	}
}

func TestPauseEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := database(t)
		a, b := open(t, st), open(t, st)
		b.Start()
		err := a.Pause(context.Background(), settings.Triggers, settings.Pause{Until: time.Now().Add(10 * time.Minute), Reason: "a bot", Who: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if in := b.Current(); !in.Policy.TriggersPaused || in.Triggers.Reason != "a bot" || in.Triggers.Who != "ada" {
			t.Errorf("%+v", in.Triggers)
		}
		time.Sleep(10 * time.Minute)
		if b.Current().Policy.TriggersPaused {
			t.Error("the pause did not end")
		}
		if err := a.Pause(context.Background(), settings.Batches, settings.Pause{Reason: "maintenance", Who: "ada"}); err != nil {
			t.Fatal(err)
		}
		if err := a.Resume(context.Background(), settings.Batches, "bob", "done"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if b.Current().Batches.On(time.Now()) {
			t.Error("batches are paused after they were resumed")
		}
		b.Stop()
		for _, p := range []settings.Pause{{}, {Reason: "x", Until: time.Now().Add(-time.Hour)}} {
			problems(t, a.Pause(context.Background(), settings.Batches, p))
		}
		st.Close()
	})
}
