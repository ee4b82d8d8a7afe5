package outlook_test

import (
	"testing"
	"time"

	"poa/internal/batch"
	"poa/internal/outlook"
	"poa/internal/store"
)

func TestLeft(t *testing.T) {
	begun := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	const capped = `{"pacer":{"capped":true,"started":"2026-02-01T12:00:00Z"}}`
	for _, test := range []struct {
		name  string
		run   store.Run
		after time.Duration
		want  time.Duration
		known bool
	}{
		{"at its pace", store.Run{State: store.RunRunning, Plan: capped, Done: 10, Total: 20}, 5 * time.Second, 5 * time.Second, true},
		{"no longer than its cap", store.Run{State: store.RunRunning, Plan: capped, Done: 10, Total: 100_000}, 5 * time.Second, 40 * time.Second, true},
		{"past its cap", store.Run{State: store.RunRunning, Plan: capped, Done: 10, Total: 100_000}, time.Minute, 0, true},
		{"a backfill has none", store.Run{State: store.RunRunning, Plan: `{}`, Done: 10, Total: 1010}, 5 * time.Second, 500 * time.Second, true},
		{"nothing done", store.Run{State: store.RunRunning, Plan: capped, Total: 20}, 5 * time.Second, 0, false},
		{"ended", store.Run{State: store.RunStopped, Plan: capped, Done: 10, Total: 20}, 5 * time.Second, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run.CreatedAt = begun
			left, known := outlook.Left(&test.run, batch.Defaults(), begun.Add(test.after))
			if left != test.want || known != test.known {
				t.Errorf("%v left, known: %v; want %v, %v", left, known, test.want, test.known)
			}
		})
	}
}
