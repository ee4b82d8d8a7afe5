package batch

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// names returns the koanf names of all settings, nested ones joined by dots.
func names(t reflect.Type, prefix string) []string {
	var all []string
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Tag.Get("koanf")
		if f.Type.Kind() == reflect.Struct {
			all = append(all, names(f.Type, name+".")...)
		} else {
			all = append(all, name)
		}
	}
	return all
}

func TestValidateNamesEverySetting(t *testing.T) {
	if err := Defaults().Validate(); err != nil {
		t.Fatalf("the defaults are refused: %v", err)
	}
	bad := []struct {
		name  string
		spoil func(*Settings)
		says  string
	}{
		{"every", func(s *Settings) { s.Every = 0 }, "is 0s"},
		{"every", func(s *Settings) { s.Every = 90*time.Second + time.Millisecond }, "whole seconds"},
		{"size", func(s *Settings) { s.Size = 1 }, "from 2 to 1000, is 1"},
		{"cap", func(s *Settings) { s.Cap = -time.Second }, "is -1s"},
		{"cap", func(s *Settings) { s.Cap = 2 * time.Hour }, "must not be above every (1h0m0s)"},
		{"delay", func(s *Settings) { s.Delay = -1 }, "is -1ns"},
		{"niceness", func(s *Settings) { s.Niceness = math.NaN() }, "is NaN"},
		{"niceness", func(s *Settings) { s.Niceness = math.Inf(1) }, "is +Inf"},
		{"new_share", func(s *Settings) { s.NewShare = 70 }, "from 0 to 1, is 70"},
		{"longest_wait_every", func(s *Settings) { s.LongestWaitEvery = 0 }, "is 0"},
		{"old_after", func(s *Settings) { s.OldAfter = 0 }, "is 0s"},
		{"aging_votes", func(s *Settings) { s.AgingVotes = 0 }, "is 0"},
		{"mode", func(s *Settings) { s.Mode = "fast" }, `must be fixed or adaptive, is "fast"`},
		{"adaptive.first_chunk", func(s *Settings) { s.Adaptive.FirstChunk = 0 }, "is 0"},
		{"adaptive.growth", func(s *Settings) { s.Adaptive.Growth = 0 }, "is 0"},
		{"adaptive.chunk_max", func(s *Settings) { s.Adaptive.ChunkMax = 1_000_000 }, "is 1000000"},
		{"adaptive.chunk_max", func(s *Settings) { s.Adaptive.ChunkMax = 10 }, "must not be below adaptive.first_chunk (20)"},
		{"adaptive.decrease", func(s *Settings) { s.Adaptive.Decrease = 1 }, "is 1"},
		{"adaptive.delay", func(s *Settings) { s.Adaptive.Delay = -1 }, "is -1ns"},
		{"adaptive.pause_max", func(s *Settings) { s.Adaptive.PauseMax = 100 * time.Millisecond }, "must not be below delay (500ms)"},
		{"adaptive.latency_tolerance", func(s *Settings) { s.Adaptive.LatencyTolerance = 1 }, "is 1"},
		{"adaptive.latency_floor", func(s *Settings) { s.Adaptive.LatencyFloor = 0 }, "is 0s"},
		{"adaptive.votes_waiting", func(s *Settings) { s.Adaptive.VotesWaiting = -1 }, "is -1"},
		{"adaptive.sessions_per_core", func(s *Settings) { s.Adaptive.SessionsPerCore = 0 }, "is 0"},
		{"adaptive.waiting_locks", func(s *Settings) { s.Adaptive.WaitingLocks = -1 }, "is -1"},
		{"adaptive.replication_lag", func(s *Settings) { s.Adaptive.ReplicationLag = 0 }, "is 0s"},
		{"retry.first", func(s *Settings) { s.Retry.First = 0 }, "is 0s"},
		{"retry.factor", func(s *Settings) { s.Retry.Factor = 0.5 }, "is 0.5"},
		{"retry.tries", func(s *Settings) { s.Retry.Tries = 0 }, "is 0"},
	}
	missing := names(reflect.TypeFor[Settings](), "")
	for _, b := range bad {
		missing = slices.DeleteFunc(missing, func(n string) bool { return n == b.name })
		s := Defaults()
		b.spoil(&s)
		err := s.Validate()
		if err == nil {
			t.Errorf("a bad %s is taken", b.name)
			continue
		}
		named := slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(line string) bool {
			return strings.HasPrefix(line, b.name+": ") && strings.Contains(line, b.says)
		})
		if !named {
			t.Errorf("a bad %s is refused with %q, want %q", b.name, err, b.says)
		}
	}
	if len(missing) > 0 {
		t.Errorf("no check is tested for %v", missing)
	}
}

func TestValidateReportsAll(t *testing.T) {
	err := Settings{Mode: Fixed}.Validate()
	for _, want := range []string{"every: ", "size: ", "cap: ", "adaptive.growth: ", "retry.tries: "} {
		if !strings.Contains("\n"+err.Error(), "\n"+want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestSettingsKeepTheirNamesInJSON(t *testing.T) {
	text, err := json.Marshal(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	var back Settings
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Defaults(), back); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{`"longest_wait_every":5`, `"adaptive":{"first_chunk":20`, `"retry":{"first":`} {
		if !strings.Contains(string(text), name) {
			t.Errorf("%s is missing in %s", name, text)
		}
	}
}

func TestRetryAt(t *testing.T) {
	now := time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)
	s := Defaults()
	var waits []time.Duration
	for failures := 1; ; failures++ {
		at, again := s.RetryAt(failures, now)
		if !again {
			break
		}
		waits = append(waits, at.Sub(now))
	}
	want := []time.Duration{5 * time.Minute, 15 * time.Minute, 45 * time.Minute, 135 * time.Minute}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Error("four retries after the first of five tries:", diff)
	}
	s.Retry.Tries, s.Retry.Factor = 1000, 100
	if at, again := s.RetryAt(999, now); !again || at.Sub(now) != 7*24*time.Hour {
		t.Errorf("the longest wait is %v, want 7 days", at.Sub(now))
	}
}
