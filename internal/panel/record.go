package panel

import (
	"fmt"
	"net/http"
	"time"

	"poa/internal/access"
	"poa/internal/store"
)

// now is the time, as stored.
func (p *Panel) now() time.Time { return p.Now().UTC().Truncate(time.Microsecond) }

// who names the person behind a request in audits.
func who(r *http.Request) string { return access.From(r.Context()).Name() }

// record logs what somebody did about people and keys, for the audit.
func (p *Panel) record(r *http.Request, who, what string) error {
	a := store.Activity{At: p.now(), Kind: store.AccessChanged, Who: who, Detail: what}
	err := p.Store.Update(r.Context(), func(tx store.Tx) error {
		return tx.Apply(r.Context(), &store.Changes{Activity: []store.Activity{a}})
	})
	if err != nil {
		return fmt.Errorf("logging an activity: %w", err)
	}
	return nil
}
