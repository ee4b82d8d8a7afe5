package panel

import (
	"encoding/json"
	"net/http"
	"strings"

	"poa/internal/access"
)

// JobsPath is where the job queue's own pages are, which Options.Jobs serves.
const JobsPath = "/jobs/ui"

// jobsPolicy is the content security policy of the job queue's pages, whose
// scripts put style elements into the page. Our page of jobs has them in a frame.
const jobsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'" +
	"; font-src 'self'; form-action 'none'; frame-ancestors 'self'; base-uri 'none'"

func (p *Panel) jobsRoutes() []route {
	if p.Jobs == nil {
		return nil
	}
	routes := []route{
		{"GET", "/jobs/", access.View, p.showJobs},
		{"GET", JobsPath + "/", access.View, p.jobs},
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		routes = append(routes, route{method, JobsPath + "/", access.View, p.jobsReadOnly})
	}
	return routes
}

func (p *Panel) showJobs(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path != "/jobs/" {
		return errNotFound
	}
	w.Header().Set("Content-Security-Policy", p.headers["Content-Security-Policy"]+"; frame-src 'self'")
	return p.render(w, r, page{Title: "Jobs", Sub: "The queue that hands out the steps of runs, for looking only."}, jobsPage())
}

// jobs are the queue's own pages.
func (p *Panel) jobs(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Security-Policy", jobsPolicy)
	if strings.HasPrefix(r.URL.Path, JobsPath+"/assets/") { // their names change with what is in them
		w.Header().Set("Cache-Control", "private, max-age=86400, immutable")
	}
	p.Jobs.ServeHTTP(w, r)
	return nil
}

// jobsReadOnly refuses to change jobs: what happens to them is decided by the
// runs they are steps of, and is in the log with a name.
func (p *Panel) jobsReadOnly(w http.ResponseWriter, r *http.Request) error {
	const detail = "Jobs can only be looked at here. They are steps of runs: cancel a run, or pause batches, on the scheduler's page."
	w.Header().Set("Allow", "GET, HEAD")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		return &problem{http.StatusMethodNotAllowed, "Jobs are read-only", detail}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusMethodNotAllowed)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": detail}) // the client may have gone
	return nil
}
