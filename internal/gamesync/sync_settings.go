package gamesync

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Settings say which game is followed, and how.
type Settings struct {
	Enabled        bool          `koanf:"enabled"` // as a part of poa serve
	From           string        `koanf:"from"`    // postgres:// URL of the game's database
	SliderScale    int           `koanf:"slider_scale"`
	Poll           time.Duration `koanf:"poll"`
	Overlap        time.Duration `koanf:"overlap"`
	FavoritesEvery time.Duration `koanf:"favorites_every"`
	ReconcileEvery time.Duration `koanf:"reconcile_every"`
	Lease          time.Duration `koanf:"lease"`
}

// The scales of the game's slider.
const (
	TenPoint     = 10  // 1 to 10
	HundredPoint = 100 // 0 to 100
)

// Defaults returns the settings as they are where nothing is said: no game is
// followed.
func Defaults() Settings {
	return Settings{
		Poll: time.Second, Overlap: time.Minute, FavoritesEvery: time.Minute, ReconcileEvery: time.Hour, Lease: 15 * time.Second,
	}
}

// Validate returns the joined errors of all values that cannot be, each
// starting with the name of its setting.
func (s Settings) Validate() error {
	var errs []error
	wrong := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
	}
	switch {
	case s.From == "" && s.Enabled:
		wrong("from", "must be the postgres:// URL of the game's database where sync.enabled is true")
	case s.From != "" && !strings.HasPrefix(s.From, "postgres://") && !strings.HasPrefix(s.From, "postgresql://"):
		wrong("from", "must be a postgres:// URL") // what it is may hold a password
	}
	switch s.SliderScale {
	case 0:
		if s.Enabled {
			wrong("slider_scale", "must say what the game's slider runs to: 10 (ratings from 1 to 10) or 100 (from 0 to 100)")
		}
	case TenPoint, HundredPoint:
	default:
		wrong("slider_scale", "must be 10 (ratings from 1 to 10) or 100 (from 0 to 100), is %d", s.SliderScale)
	}
	for _, d := range []struct {
		name     string
		is, from time.Duration
	}{
		{"poll", s.Poll, 10 * time.Millisecond}, {"overlap", s.Overlap, time.Second}, {"favorites_every", s.FavoritesEvery, time.Second},
		{"reconcile_every", s.ReconcileEvery, time.Second}, {"lease", s.Lease, time.Second},
	} {
		if d.is < d.from {
			wrong(d.name, "must be at least %v, is %v", d.from, d.is)
		}
	}
	return errors.Join(errs...)
}
