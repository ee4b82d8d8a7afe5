// Package settings holds what is in force in a running process: the layered
// settings, those changed at run time among them, and the pauses. Changes are
// stored, audited and picked up by every process within seconds.
package settings

import (
	"time"

	"poa/internal/batch"
	"poa/internal/publish"
)

// InForce is what is in force at a moment. It is not changed once made.
type InForce struct {
	Policy   *publish.Policy
	Batch    batch.Settings
	Upkeep   batch.Upkeep
	Batches  Pause // of batches and backfills
	Triggers Pause // reflected in Policy.TriggersPaused
}

// Pause is an operator's pause. The zero Pause is none.
type Pause struct {
	Since  time.Time `json:"since,omitzero"` // zero: none
	Until  time.Time `json:"until,omitzero"` // zero: until resumed
	Reason string    `json:"reason"`
	Who    string    `json:"who"`
}

// On reports whether the pause is in force.
func (p Pause) On(now time.Time) bool {
	return !p.Since.IsZero() && (p.Until.IsZero() || now.Before(p.Until))
}
