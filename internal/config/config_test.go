package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, o Options) *Config {
	t.Helper()
	c, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sourceOf(t *testing.T, c *Config, name string) string {
	t.Helper()
	for _, v := range c.Values {
		if v.Name == name {
			return v.Source.String()
		}
	}
	t.Fatalf("no setting %s", name)
	return ""
}

func TestEverySettingIsExplained(t *testing.T) {
	explained := explanations()
	walk(reflect.ValueOf(Default()), "", func(name string, v any) {
		if explained[name] == "" {
			t.Errorf("%s has no explanation", name)
		}
		delete(explained, name)
		for i := range name {
			if name[i] == '.' {
				if text, ok := explanations()[name[:i]]; !ok || text == "" {
					t.Errorf("section %s has no explanation", name[:i])
				}
				delete(explained, name[:i])
			}
		}
		raw := v
		if d, ok := v.(time.Duration); ok {
			raw = d.String()
		}
		if got, err := convert(raw, v); name != "trigger.milestones" && (err != nil || got != v) {
			t.Errorf("%s: a value of type %T cannot be set: %v", name, v, err)
		}
	})
	for name := range explained {
		t.Errorf("%s is explained and is no setting", name)
	}
}

func TestDefaultsAreValid(t *testing.T) {
	c := load(t, Options{})
	if diff := cmp.Diff(Default(), c.Settings); diff != "" {
		t.Errorf("settings without any layer (-default +loaded):\n%s", diff)
	}
	for _, v := range c.Values {
		if v.Source != (Source{Layer: FromDefault}) {
			t.Errorf("%s comes from %s", v.Name, v.Source)
		}
	}
}

func TestLaterLayersWin(t *testing.T) {
	machine := write(t, "etc.yaml", "log: {level: warn}\nbatch: {aging_votes: 7}\nledger: {max_commit: 10, max_queue: 11}\n")
	own := write(t, "own.yaml", "ledger: {max_commit: 20}\ntrigger:\n  milestones: [3, 6]\n  high_activity_in: 36h\n  fire: false\nscoring:\n")
	c := load(t, Options{
		Places: []string{machine, filepath.Join(t.TempDir(), "absent.yaml"), own},
		Env:    []string{"POA_BATCH_AGING_VOTES=8", "DATABASE_URL=shared.db", "POA_SCORING_FOLDING_K=40", "POA_LEDGER_MAX_QUEUE="},
		Flags:  []Flag{{"--verbose", "log.level", "debug"}},
	})
	want := Default()
	want.Database, want.Log.Level, want.Batch.AgingVotes = "shared.db", "debug", 8
	want.Ledger = Ledger{MaxCommit: 20, MaxQueue: 11}
	want.Trigger.Milestones, want.Trigger.HighActivityIn, want.Trigger.Fire = []int64{3, 6}, 36*time.Hour, false
	want.Scoring.Folding.K = 40
	if diff := cmp.Diff(want, c.Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"database":                  "environment DATABASE_URL",
		"log.level":                 "flag --verbose",
		"log.format":                "default",
		"batch.aging_votes":         "environment POA_BATCH_AGING_VOTES",
		"ledger.max_commit":         "file " + own,
		"ledger.max_queue":          "file " + machine,
		"scoring.folding.k":         "environment POA_SCORING_FOLDING_K",
		"trigger.milestones":        "file " + own,
		"scoring.folding.elo_scale": "default",
	} {
		if got := sourceOf(t, c, name); got != want {
			t.Errorf("%s comes from %q, want %q", name, got, want)
		}
	}
}

func TestNamedFileReplacesPlaces(t *testing.T) {
	place := write(t, "place.yaml", "batch: {aging_votes: 7}\nledger: {max_commit: 10}\n")
	named := write(t, "named.yaml", "ledger: {max_commit: 20}\n")
	other := write(t, "other.yaml", "ledger: {max_commit: 30}\n")
	for name, test := range map[string]struct {
		o          Options
		commit     int
		agingVotes int64
	}{
		"places":                         {Options{Places: []string{place}}, 10, 7},
		"POA_CONFIG":                     {Options{Places: []string{place}, Env: []string{"POA_CONFIG=" + named}}, 20, 5},
		"a file named before POA_CONFIG": {Options{File: other, Env: []string{"POA_CONFIG=" + named}}, 30, 5},
	} {
		t.Run(name, func(t *testing.T) {
			c := load(t, test.o)
			if c.Ledger.MaxCommit != test.commit || c.Batch.AgingVotes != test.agingVotes {
				t.Errorf("max_commit %d, aging_votes %d, want %d and %d", c.Ledger.MaxCommit, c.Batch.AgingVotes, test.commit, test.agingVotes)
			}
		})
	}
	if _, err := Load(Options{File: filepath.Join(t.TempDir(), "absent.yaml")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a named file that is absent: %v", err)
	}
}

func TestOwnDatabaseVariableWins(t *testing.T) {
	for _, env := range [][]string{
		{"DATABASE_URL=shared.db", "POA_DATABASE=own.db"},
		{"POA_DATABASE=own.db", "DATABASE_URL=shared.db"},
	} {
		if c := load(t, Options{Env: env}); c.Database != "own.db" {
			t.Errorf("%v: the database is %s", env, c.Database)
		}
	}
}

func TestProblemsAreReportedTogether(t *testing.T) {
	file := write(t, "bad.yaml", `
database: {path: x.db}
log: loud
ledger: {max_comit: 5, max_queue: many}
scoring:
  folding: {sigma_min: 500, reliability_rate: .nan}
trigger: {milestones: [5, x], high_activity_in: 24}
batch:
  aging_votes:
tigger: {fire: true}
`)
	_, err := Load(Options{File: file, Env: []string{"POA_TRIGGER_SUPER=perhaps", "POA_SCORING_PUBLISHING_FIRE_WEIGHT=0.5", "POA_LOG_FORMAT=xml"}})
	var invalid *Error
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want an *Error", err)
	}
	in := "(file " + file + "): "
	want := []string{
		"batch.aging_votes " + in + "has no value; remove the line for the default, 5",
		"database " + in + "takes one value, not settings below it",
		"ledger.max_comit " + in + "is no setting; did you mean ledger.max_commit?",
		"ledger.max_queue " + in + "must be a whole number, is many",
		"log " + in + "is a section and takes no value of its own; put settings below it",
		"log.format (environment POA_LOG_FORMAT): must be one of text, json, is \"xml\"",
		"scoring.folding.reliability_rate " + in + "must be from 0 to 1, is NaN",
		"scoring.folding.sigma_min " + in + "must be below sigma_max (400), is 500",
		"scoring.folding.start_sigma (default): must be from 500 to 400, is 350; set are scoring.folding.sigma_min (file " + file + "), scoring.folding.reliability_rate (file " + file + ")",
		"scoring.publishing.elo_weight (default): the three component weights must sum to 1, they sum to 1.2; set are scoring.publishing.fire_weight (environment POA_SCORING_PUBLISHING_FIRE_WEIGHT)",
		"tigger.fire " + in + "is no setting; did you mean trigger.fire?",
		"trigger.high_activity_in " + in + "must be a duration with its unit, such as 90m or 24h, is 24",
		"trigger.milestones " + in + "must be a list of whole numbers, such as [5, 10]; x is none",
		"trigger.super (environment POA_TRIGGER_SUPER): must be true or false, is perhaps",
	}
	var got []string
	for _, p := range invalid.Problems {
		got = append(got, p.String())
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestBoundsOfTheLedger(t *testing.T) {
	load(t, Options{Env: []string{"POA_LEDGER_MAX_COMMIT=10000", "POA_LEDGER_MAX_QUEUE=1000000"}})
	_, err := Load(Options{Env: []string{"POA_LEDGER_MAX_COMMIT=10001", "POA_LEDGER_MAX_QUEUE=1000001"}})
	for _, want := range []string{"POA_LEDGER_MAX_COMMIT): must be from 1 to 10000, is 10001", "POA_LEDGER_MAX_QUEUE): must be from 1 to 1000000, is 1000001"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestFilesThatAreNoSettings(t *testing.T) {
	for name, text := range map[string]string{
		"a list":       "- 1\n- 2\n",
		"broken":       "log: {level\n",
		"a key twice":  "batch: {aging_votes: 1}\nbatch: {aging_votes: 2}\n",
		"only a value": "postgres://u:secret99@host/db\n",
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, "x.yaml", text)
			_, err := Load(Options{File: file})
			if err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, want an error that names the file", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
	for name, text := range map[string]string{"empty": "", "only comments": "# nothing\n"} {
		t.Run(name, func(t *testing.T) { load(t, Options{File: write(t, "x.yaml", text)}) })
	}
}

func TestMistypedVariablesAreWarnedAbout(t *testing.T) {
	c := load(t, Options{Env: []string{"POA_LOG_LEVL=debug", "POA_SERVICE_HOST=10.0.0.1", "POA_CONFIG=", "HOME=/"}})
	want := []string{"the environment variable POA_LOG_LEVL is no setting of poa; did you mean POA_LOG_LEVEL?"}
	if diff := cmp.Diff(want, c.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestPrintedSettingsAreAConfigFile(t *testing.T) {
	env := []string{
		"POA_DATABASE=sqlite:odd name: #1.db", "POA_TRIGGER_MILESTONES=1, 2,3", "POA_TRIGGER_HIGH_ACTIVITY_IN=90m30s",
		"POA_SCORING_FOLDING_K=1e-7", "POA_SCORING_PUBLISHING_SIGMA_SCALE=12345678", "POA_LOG_LEVEL=warn", "POA_TRIGGER_FIRE=false",
	}
	first := load(t, Options{Env: env})
	var printed strings.Builder
	if err := first.Print(&printed); err != nil {
		t.Fatal(err)
	}
	second := load(t, Options{File: write(t, "printed.yaml", printed.String())})
	if diff := cmp.Diff(first.Settings, second.Settings); diff != "" {
		t.Errorf("settings read back from\n%s\n(-printed +read):\n%s", printed.String(), diff)
	}
	for _, v := range first.Values {
		if n := strings.Count(printed.String(), "("+v.Source.String()+")"); n == 0 {
			t.Errorf("the source of %s, %s, is not printed", v.Name, v.Source)
		}
	}
}

func TestPasswordsAreNotPrinted(t *testing.T) {
	c := load(t, Options{Env: []string{"DATABASE_URL=postgres://poa:secret99@host/db?sslpassword=secret99"}})
	var printed strings.Builder
	if err := c.Print(&printed); err != nil {
		t.Fatal(err)
	}
	for _, v := range c.Values {
		text, err := v.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		printed.Write(text)
	}
	if strings.Contains(printed.String(), "secret") {
		t.Errorf("a password is printed:\n%s", printed.String())
	}
}

func TestPasswordsInTheWrongPlaceAreNotReported(t *testing.T) {
	file := write(t, "leak.yaml", "database: [postgres://u:secret99@h]\npostgres://u:secret99@h/db: 1\nlog: {level: \"postgres://u:secret99@h\"}\nledger: {max_queue: postgres://u:secret99@h/x@y}\n")
	_, err := Load(Options{File: file})
	var invalid *Error
	if !errors.As(err, &invalid) || len(invalid.Problems) != 4 {
		t.Fatalf("got %v, want four problems", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("a password is reported: %v", err)
	}
}

func TestNearest(t *testing.T) {
	for _, test := range []struct {
		name string
		want string
		d    int
	}{
		{"", "k", 1}, {"fire", "fire", 0}, {"fier", "fire", 2}, {"ifre", "fire", 2}, {"fires", "fire", 1}, {"süper", "super", 1},
	} {
		got, d := Nearest(test.name, []string{"super", "fire", "milestones", "k"})
		if got != test.want || d != test.d {
			t.Errorf("Nearest(%q) = %q, %d, want %q, %d", test.name, got, d, test.want, test.d)
		}
	}
	if got, _ := Nearest("x", nil); got != "" {
		t.Errorf("nearest of none: %q", got)
	}
}

func TestTextOfValues(t *testing.T) {
	c, err := Load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range c.Values {
		if v.Name == "database" {
			continue // its text has no secrets
		}
		if v.Text() == "" {
			if s, ok := v.Value.(string); !ok || s != "" {
				t.Errorf("%s has no text", v.Name)
			}
			continue
		}
		got, err := v.Parse(v.Text())
		if diff := cmp.Diff(v.Value, got); diff != "" || err != nil {
			t.Errorf("%s read from its text %q: %v\n%s", v.Name, v.Text(), err, diff)
		}
		stored, err := Encode(v.Value)
		if text := v.StoredText(string(stored)); err != nil || text != v.Text() {
			t.Errorf("%s stored as %s is shown as %q, %v", v.Name, stored, text, err)
		}
	}
	for name, text := range map[string]string{"batch.niceness": "Inf", "batch.size": " ", "trigger.milestones": "[]", "trigger.super": "maybe", "batch.every": "1"} {
		i := slices.IndexFunc(c.Values, func(v Value) bool { return v.Name == name })
		if got, err := c.Values[i].Parse(text); err == nil {
			t.Errorf("%s is read from %q as %v", name, text, got)
		}
	}
}
