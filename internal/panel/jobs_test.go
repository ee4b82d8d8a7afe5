package panel

import (
	"net/http"
	"strings"
	"testing"

	"poa/internal/store"
)

// TestJobsAreReadOnly sees that nothing but reads reaches the job queue.
func TestJobsAreReadOnly(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	page := alice.get("/jobs/", http.StatusOK)
	page.holds(t, `<iframe class="jobs" src="/jobs/ui/jobs?state=completed"`)
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-src 'self'") {
		t.Errorf("the page of jobs has policy %s", csp)
	}
	queue := alice.get("/jobs/ui/jobs", http.StatusOK)
	queue.holds(t, "jobs at /jobs/ui/jobs")
	if csp := queue.Header.Get("Content-Security-Policy"); csp != jobsPolicy {
		t.Errorf("the pages of the queue have policy %s", csp)
	}
	alice.get("/jobs/other", http.StatusNotFound)
	json := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		got := alice.send(method, "/jobs/ui/api/jobs/cancel", json)
		if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, allowed %q", method, got.StatusCode, got.Header.Get("Allow"))
		}
		got.holds(t, `"message":"Jobs can only be looked at here.`)
		got.lacks(t, "jobs at")
	}
	alice.post("/jobs/ui/api/jobs/cancel", http.StatusMethodNotAllowed).holds(t, "Jobs are read-only")
}
