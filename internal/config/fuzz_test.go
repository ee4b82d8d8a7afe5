package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// FuzzLoad sees that whatever a file, the environment and the database hold is
// refused with every problem named, or makes settings that can be shown; those
// that are no text read back from a printed file as they were.
func FuzzLoad(f *testing.F) {
	f.Add("batch: {size: 30, every: 30m}\n", "POA_TRIGGER_MILESTONES=1, 2,3", "batch.niceness", "1.5")
	f.Add("scoring:\n  folding: {k: .nan}\n", "POA_SCORING_PUBLISHING_FIRE_WEIGHT=0.3", "trigger.milestones", "[5, 10]")
	f.Add("batch: {niceness: .inf, adaptive: {sessions_per_core: .nan}}\n", "POA_BATCH_RETRY_FACTOR=NaN", "batch.every", `"1h"`)
	f.Add("a: &a [*a]\n? {}\n", "POA_=", "scoring", "null")
	f.Add("log.level: debug\n", "POA_LEDGER_MAX_COMMIT=9223372036854775808", "batch.size", "1e300")
	f.Fuzz(func(t *testing.T, file, variable, name, stored string) {
		l := newLoader()
		l.stored(map[string]string{name: stored})
		l.content([]byte(file), Source{FromFile, "poa.yaml"})
		l.environment([]string{variable})
		c, err := l.result()
		var refused *Error
		if errors.As(err, &refused) && len(refused.Problems) > 0 {
			return
		}
		if err != nil {
			t.Fatalf("%v is no refusal", err)
		}
		var printed strings.Builder
		if err := c.Print(&printed); err != nil {
			t.Fatal(err)
		}
		again := newLoader()
		again.content([]byte(printed.String()), Source{FromFile, "printed.yaml"})
		for i, v := range c.Values {
			if _, err := v.MarshalJSON(); err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			if _, text := v.Value.(string); text {
				continue
			}
			if back := again.layered.Get(v.Name); !reflect.DeepEqual(back, v.Value) {
				t.Fatalf("%s is %v and reads back as %v from\n%s", c.Values[i].Name, v.Value, back, printed.String())
			}
		}
	})
}
