package api_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"poa/internal/access"
	"poa/internal/api"
)

// TestRequestsInTheLog: those that failed or took long are information, all
// others detail.
func TestRequestsInTheLog(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		kind   string
		took   time.Duration
		want   string
	}{
		{"quick", http.StatusOK, "application/json", time.Second, "level=DEBUG"},
		{"the client's fault", http.StatusConflict, "application/problem+json", time.Millisecond, "level=DEBUG"},
		{"failed", http.StatusInternalServerError, "application/problem+json", time.Millisecond, "level=INFO"},
		{"not now", http.StatusServiceUnavailable, "application/problem+json", time.Millisecond, "level=INFO"},
		{"slow", http.StatusOK, "application/json", time.Second + 1, "level=INFO"},
		{"a live stream", http.StatusOK, "text/event-stream", time.Hour, "level=DEBUG"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			guard, err := access.New(nil, nil, access.Defaults(), func() time.Time { return now }, nil)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
			h := api.Outer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				now = now.Add(c.took)
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.status)
			}), guard, log, func() time.Time { return now })
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil))
			if line := out.String(); !strings.Contains(line, c.want) || !strings.Contains(line, "path=/x") || strings.Count(line, "\n") != 1 {
				t.Errorf("logged %q, want %s", line, c.want)
			}
		})
	}
}
