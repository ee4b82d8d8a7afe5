package panel

import (
	"net/http"
	"time"

	"poa/internal/access"
)

// now is the time, as stored.
func (p *Panel) now() time.Time { return p.Now().UTC().Truncate(time.Microsecond) }

// who names the person behind a request in audits.
func who(r *http.Request) string { return access.From(r.Context()).Name() }

// record logs what the person behind a request did, where the service that did
// it keeps no record.
func (p *Panel) record(r *http.Request, what string) error {
	return p.People.Record(r.Context(), who(r), what)
}
