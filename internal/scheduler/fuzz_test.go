package scheduler

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/batch"
)

// FuzzStoredPlan sees that a plan that was stored is refused or read as it is
// written, and that whatever it says a run can go on by it.
func FuzzStoredPlan(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"size":5,"begun":true,"left":-1,"step":3,"ready":"2026-01-31T18:30:00Z","classes":{"new":2},"pacer":{"mode":"adaptive","grown":120,"unhealthy":2,"next":{"chunk":20,"pause":500000000}}}`))
	f.Add([]byte(`{"pacer":{"mode":"adaptive","capped":true,"unhealthy":-5,"grown":-1,"per_nft":-1,"elapsed":9223372036854775807,"next":{"chunk":-3,"pause":-1}}}`))
	f.Add([]byte(`{"classes":null,"pacer":{"baseline":1,"latency":-9223372036854775808}}`))
	f.Add([]byte(`{"pacer":{"mode":"adaptive","baseline":1,"unhealthy":-5}}`))
	f.Add([]byte(`null`))
	now := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text []byte) {
		var p, back plan
		if json.Unmarshal(text, &p) != nil {
			return
		}
		written, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &back); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		again, err := json.Marshal(back)
		if diff := cmp.Diff(string(written), string(again)); diff != "" || err != nil {
			t.Fatalf("%v %s", err, diff)
		}
		s := batch.Defaults()
		latency := time.Second
		for _, s.Mode = range []string{batch.Fixed, batch.Adaptive} {
			next := p.Pacer.Step(s, batch.Work{NFTs: 1, Took: time.Second, Left: -1}, batch.Signals{Latency: &latency}, now).Next
			if !next.Stop && (next.Chunk < 1 || next.Pause < 0) {
				t.Fatalf("%s goes on with %+v", written, next)
			}
		}
	})
}
