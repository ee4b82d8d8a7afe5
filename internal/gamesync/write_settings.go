package gamesync

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// WriteSettings say whether and how scores are written back into a game.
type WriteSettings struct {
	Mode  string        `koanf:"mode"` // as a part of poa serve, one of WriteModes
	To    string        `koanf:"to"`   // postgres:// URL of the game's database
	Elo   bool          `koanf:"elo"`
	Rows  int           `koanf:"rows"` // of one transaction
	Rate  float64       `koanf:"rate"` // rows a second
	Poll  time.Duration `koanf:"poll"`
	Lease time.Duration `koanf:"lease"`
}

// The modes of a write-back.
const (
	WriteOff   = "off"
	WriteTrial = "trial" // into a table of its own
	WriteOn    = "on"    // into the game's own columns
)

// WriteModes are the allowed values of WriteSettings.Mode.
var WriteModes = [...]string{WriteOff, WriteTrial, WriteOn}

// WriteDefaults returns the settings as they are where nothing is said: nothing
// is written.
func WriteDefaults() WriteSettings {
	return WriteSettings{Mode: WriteOff, Rows: MaxWriteRows, Rate: 100, Poll: time.Second, Lease: 30 * time.Second}
}

// Validate returns the joined errors of all values that cannot be, each
// starting with the name of its setting.
func (s WriteSettings) Validate() error {
	var errs []error
	wrong := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
	}
	switch s.Mode {
	case WriteOff:
	case WriteTrial, WriteOn:
		if s.To == "" {
			wrong("to", "must be the postgres:// URL of the game's database where writeback.mode is %s", s.Mode)
		}
	default:
		wrong("mode", "must be one of %s, is %q", strings.Join(WriteModes[:], ", "), s.Mode)
	}
	if s.To != "" && !strings.HasPrefix(s.To, "postgres://") && !strings.HasPrefix(s.To, "postgresql://") {
		wrong("to", "must be a postgres:// URL") // what it is may hold a password
	}
	if s.Rows < 1 || s.Rows > MaxWriteRows {
		wrong("rows", "must be from 1 to %d, is %d", MaxWriteRows, s.Rows)
	}
	if !(s.Rate > 0) || math.IsInf(s.Rate, 0) {
		wrong("rate", "must be above 0, is %v", s.Rate)
	}
	if s.Poll < 10*time.Millisecond {
		wrong("poll", "must be at least 10ms, is %v", s.Poll)
	}
	if s.Lease < time.Second {
		wrong("lease", "must be at least 1s, is %v", s.Lease)
	}
	return errors.Join(errs...)
}
