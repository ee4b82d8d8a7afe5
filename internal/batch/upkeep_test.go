package batch

import (
	"testing"
	"time"
)

func TestUpkeepValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Upkeep)
		want   string
	}{
		{"defaults", func(*Upkeep) {}, ""},
		{"the shortest", func(u *Upkeep) { *u = Upkeep{time.Minute, day, day, 14 * day} }, ""},
		{"the longest", func(u *Upkeep) { *u = Upkeep{time.Hour, longest, longest, longest} }, ""},
		{"all too short", func(u *Upkeep) { *u = Upkeep{time.Second, time.Hour, -day, 7 * day} }, "every: must be from 1m0s to 1h0m0s, is 1s\n" +
			"activity: must be from 24h0m0s to 87600h0m0s, is 1h0m0s\nhistory: must be from 24h0m0s to 87600h0m0s, is -24h0m0s\n" +
			"runs: must be from 336h0m0s to 87600h0m0s, is 168h0m0s"},
		{"runs for ever", func(u *Upkeep) { u.Runs = 0 }, "runs: must be from 336h0m0s to 87600h0m0s, is 0s"},
		{"fractions", func(u *Upkeep) { u.Every += time.Millisecond }, "every: must be whole seconds, is 10m0.001s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := DefaultUpkeep()
			c.change(&u)
			got := ""
			if err := u.Validate(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
