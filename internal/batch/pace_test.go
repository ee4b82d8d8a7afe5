package batch

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

func adaptive() Settings {
	s := Defaults()
	s.Mode = Adaptive
	return s
}

// healthy are signals of an idle database.
func healthy() Signals {
	return Signals{Latency: new(11700 * time.Microsecond), VotesWaiting: new(0), SessionsPerCore: new(0.5), WaitingLocks: new(0), ReplicationLag: new(time.Duration(0))}
}

// step is one decision followed.
type step struct {
	Chunk int
	Pause time.Duration
}

// drive follows a pacer over n NFTs in virtual time until it stops, and
// returns its steps.
func drive(s Settings, p Pacer, n int, took func(chunk int) time.Duration, signals func(step int) Signals) (Pacer, []step) {
	now, steps := p.Started, []step{}
	for !p.Next.Stop {
		steps = append(steps, step{p.Next.Chunk, p.Next.Pause})
		work := took(p.Next.Chunk)
		now = now.Add(p.Next.Pause + work)
		n -= p.Next.Chunk
		p = p.Step(s, Work{NFTs: p.Next.Chunk, Took: work, Left: n}, signals(len(steps)), now)
	}
	return p, steps
}

func each(d time.Duration) func(int) time.Duration {
	return func(chunk int) time.Duration { return time.Duration(chunk) * d }
}

func always(g Signals) func(int) Signals { return func(int) Signals { return g } }

func TestFixedPace(t *testing.T) {
	for _, c := range []struct {
		name   string
		took   time.Duration
		alter  func(*Settings)
		done   int
		pause  time.Duration
		says   string
		elapse time.Duration
	}{
		{"short work pauses for the delay", 100 * ms, nil, 20, 500 * ms, "all that was planned is done, 20 NFTs", 20*100*ms + 19*500*ms},
		{"long work pauses as long", time.Second, nil, 20, time.Second, "all that was planned is done", 39 * time.Second},
		{"the cap ends it", 2 * time.Second, nil, 11, 2 * time.Second,
			"the next NFT does not fit into the time cap of 45 s: after 42 s 11 NFTs are done, 9 are left", 42 * time.Second},
		{"nicer", 100 * ms, func(s *Settings) { s.Niceness = 9 }, 20, 900 * ms, "all that was planned is done", 20*100*ms + 19*900*ms},
		{"no pause", 100 * ms, func(s *Settings) { s.Niceness, s.Delay = 0, 0 }, 20, 0, "all that was planned is done", 2 * time.Second},
		{"one that takes longer than the cap", time.Minute, nil, 1, 0, "after 60 s 1 NFT is done, 19 are left", time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Defaults()
			if c.alter != nil {
				c.alter(&s)
			}
			p, steps := drive(s, BeginRun(s, 0, noon), s.Size, each(c.took), always(Signals{}))
			if p.Done != c.done || p.Elapsed != c.elapse {
				t.Errorf("%d done in %v, want %d in %v", p.Done, p.Elapsed, c.done, c.elapse)
			}
			for i, st := range steps {
				if want := (step{1, c.pause}); i > 0 && st != want || i == 0 && st != (step{1, 0}) {
					t.Errorf("step %d is %v, want %v", i, st, want)
				}
			}
			if !strings.Contains(p.Next.Reason, c.says) {
				t.Errorf("stopped with %q, want %q", p.Next.Reason, c.says)
			}
		})
	}
}

// Fixed mode is not swayed by signals.
func TestFixedPaceAsksNoSignals(t *testing.T) {
	s := Defaults()
	bad := Signals{VotesWaiting: new(10_000), WaitingLocks: new(500)}
	calm, want := drive(s, BeginRun(s, 0, noon), s.Size, each(ms), always(healthy()))
	p, got := drive(s, BeginRun(s, 0, noon), s.Size, each(ms), always(bad))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(calm.State(), p.State()); diff != "" {
		t.Error(diff)
	}
}

// A whole collection that is due fits into one run on a healthy machine, with
// as much pause as work.
func TestAdaptiveCoversTheCollectionInOneRun(t *testing.T) {
	s := adaptive()
	took := func(chunk int) time.Duration { return 10*ms + time.Duration(chunk)*190*time.Microsecond }
	p, steps := drive(s, BeginRun(s, 0, noon), 54_312, took, always(healthy()))
	if p.Done != 54_312 || p.Elapsed > s.Cap {
		t.Fatalf("%d done in %v: %s", p.Done, p.Elapsed, p.Next.Reason)
	}
	if p.Slowdowns != 0 || !p.State().Healthy {
		t.Errorf("slowed down on a healthy database: %+v", p.State())
	}
	var chunks []int
	for i, st := range steps {
		chunks = append(chunks, st.Chunk)
		if i > 0 && st.Pause < took(steps[i-1].Chunk) {
			t.Errorf("a pause of %v after work of %v", st.Pause, took(steps[i-1].Chunk))
		}
	}
	if diff := cmp.Diff([]int{20, 120, 220, 320, 420, 520, 620, 720, 820, 920, 1000, 1000}, chunks[:12]); diff != "" {
		t.Error(diff)
	}
	t.Logf("%v in %d chunks", p.Elapsed, len(steps))
}

// At the first sign of ill health the chunk is halved and the pause is long;
// it doubles while that lasts; afterwards the chunk grows again.
func TestAdaptiveBacksOffAtOnceAndRecovers(t *testing.T) {
	s := adaptive()
	slow := healthy()
	slow.Latency = new(120 * ms)
	signals := func(n int) Signals {
		if n >= 11 && n <= 14 {
			return slow
		}
		return healthy()
	}
	p := BeginBackfill(s, 0, noon)
	var seen []step
	var states []State
	now := noon
	for n := 1; n <= 24; n++ {
		took := each(100 * time.Microsecond)(p.Next.Chunk)
		now = now.Add(p.Next.Pause + took)
		p = p.Step(s, Work{NFTs: p.Next.Chunk, Took: took, Left: -1}, signals(n), now)
		seen = append(seen, step{p.Next.Chunk, p.Next.Pause})
		states = append(states, p.State())
	}
	at := func(n int) step { return seen[n-1] }
	if got, want := at(10), (step{1000, 92 * ms}); got != want {
		t.Errorf("before: %v, want %v", got, want)
	}
	for n, want := range map[int]step{11: {500, 500 * ms}, 12: {250, time.Second}, 13: {125, 2 * time.Second}, 14: {62, 4 * time.Second}} {
		if got := at(n); got != want {
			t.Errorf("slow step %d: %v, want %v", n, got, want)
		}
	}
	if got, want := states[10].Reason, "database latency 65.8 ms is 5.6 × its baseline of 11.7 ms"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	if states[9].Healthy == states[10].Healthy {
		t.Error("the states before and after the slow-down are both", states[9].Healthy)
	}
	// The short average takes a step more to forget, then a constant is added.
	if got, want := at(15), (step{31, 5 * time.Second}); got != want {
		t.Errorf("the last slow step: %v, want %v", got, want)
	}
	for n := 16; n <= 24; n++ {
		want := step{31 + 100*(n-15), max(50*ms, each(100*time.Microsecond)(at(n-1).Chunk))}
		if got := at(n); got != want || !states[n-1].Healthy || states[n-1].Reason != "" {
			t.Errorf("recovering step %d: %v, want %v, state %+v", n, got, want, states[n-1])
		}
	}
	if p.Slowdowns != 1 || p.FirstReason != states[10].Reason {
		t.Errorf("%d slow-downs, first because %q", p.Slowdowns, p.FirstReason)
	}
}

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name  string
		alter func(*Signals)
		want  string
	}{
		{"healthy", func(*Signals) {}, ""},
		{"at the limits", func(g *Signals) {
			*g = Signals{VotesWaiting: new(50), SessionsPerCore: new(4.0), WaitingLocks: new(8), ReplicationLag: new(10 * time.Second), Latency: new(50 * ms)}
		}, ""},
		{"votes", func(g *Signals) { g.VotesWaiting = new(51) }, "51 votes wait in the ledger, the limit is 50"},
		{"latency", func(g *Signals) { g.Latency = new(84300 * time.Microsecond) }, "database latency 48 ms is 4.1 × its baseline of 11.7 ms"},
		{"sessions", func(g *Signals) { g.SessionsPerCore = new(5.5) }, "5.5 database sessions are active per core, the limit is 4"},
		{"locks", func(g *Signals) { g.WaitingLocks = new(9) }, "9 sessions wait for a lock, the limit is 8"},
		{"replication", func(g *Signals) { g.ReplicationLag = new(12400 * ms) }, "a replica is 12.4 s behind, the limit is 10 s"},
		{"votes come first", func(g *Signals) {
			*g = Signals{VotesWaiting: new(1200), Latency: new(time.Second), WaitingLocks: new(99), SessionsPerCore: new(99.0), ReplicationLag: new(time.Hour)}
		}, "1200 votes wait in the ledger, the limit is 50"},
		{"nothing known", func(g *Signals) { *g = Signals{} }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := adaptive()
			p := BeginRun(s, 0, noon)
			p = p.Step(s, Work{NFTs: 20, Took: ms, Left: -1}, healthy(), noon.Add(ms))
			g := healthy()
			c.alter(&g)
			p = p.Step(s, Work{NFTs: 120, Took: ms, Left: -1}, g, noon.Add(time.Second))
			if p.Next.Reason != c.want || p.State().Healthy != (c.want == "") {
				t.Errorf("%q, want %q; state %+v", p.Next.Reason, c.want, p.State())
			}
			if grown := p.Next.Chunk == 220; grown != (c.want == "") {
				t.Errorf("the next chunk is %d", p.Next.Chunk)
			}
		})
	}
}

// What cannot be read is reported as such and slows nothing down.
func TestUnknownSignals(t *testing.T) {
	s := adaptive()
	begin := BeginRun(s, 0, noon)
	p := begin.Step(s, Work{NFTs: 20, Took: ms, Left: -1}, Signals{Latency: new(ms), VotesWaiting: new(3)}, noon.Add(ms))
	want := State{Mode: Adaptive, Chunk: 120, Pause: 50 * ms, Healthy: true, Unknown: []string{"active sessions", "waiting locks", "replication lag"}}
	if diff := cmp.Diff(want, p.State()); diff != "" {
		t.Error(diff)
	}
	p = begin.Step(s, Work{NFTs: 20, Took: ms, Left: -1}, Signals{}, noon.Add(ms))
	if got := p.State(); len(got.Unknown) != 5 || !got.Healthy {
		t.Errorf("with nothing known: %+v", got)
	}
}

// Latencies of microseconds jump by large factors without meaning anything.
func TestLatencyNoiseIsNoSignal(t *testing.T) {
	s := adaptive()
	noise := func(n int) Signals {
		latency := 20 * time.Microsecond
		if n%10 == 9 {
			latency = 4 * ms
		}
		return Signals{Latency: &latency}
	}
	p, _ := drive(s, BeginRun(s, 0, noon), 50_000, each(100*time.Microsecond), noise)
	if p.Slowdowns > 0 {
		t.Errorf("slowed down: %s", p.FirstReason)
	}
}

// A baseline does not follow a slow spell, but a slow first statement is soon
// forgotten, and a baseline can be handed on to the next run.
func TestBaseline(t *testing.T) {
	s := adaptive()
	feed := func(p Pacer, latency time.Duration, steps int) Pacer {
		for range steps {
			p = p.Step(s, Work{NFTs: 1, Left: -1}, Signals{Latency: &latency}, noon)
		}
		return p
	}
	p := feed(BeginBackfill(s, 0, noon), 10*ms, 20)
	if p = feed(p, 100*ms, 10); p.Unhealthy != 9 && p.Unhealthy != 10 {
		t.Errorf("of ten slow steps %d count", p.Unhealthy)
	}
	if p = feed(p, 100*ms, 300); p.Unhealthy != 0 {
		t.Errorf("what has been usual for long is still unhealthy: baseline %v", p.Baseline)
	}
	p = feed(feed(BeginBackfill(s, 0, noon), time.Second, 1), 10*ms, 60)
	if p.Baseline > 15*ms {
		t.Errorf("a slow first statement left a baseline of %v", p.Baseline)
	}
	if p = feed(BeginRun(s, 10*ms, noon), 100*ms, 1); p.Unhealthy != 1 {
		t.Error("a run that begins on a slow database does not see that")
	}
}

// A pacer goes on from its JSON as if nothing had happened.
func TestPacerSurvivesJSON(t *testing.T) {
	s := adaptive()
	signals := func(n int) Signals {
		g := healthy()
		if n%7 == 3 {
			g.VotesWaiting = new(99)
		}
		return g
	}
	p, now := BeginRun(s, 0, noon), noon
	for n := range 20 {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back Pacer
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, back); diff != "" {
			t.Fatal(diff)
		}
		w := Work{NFTs: p.Next.Chunk, Took: 30 * ms, Left: -1}
		now = now.Add(p.Next.Pause + w.Took)
		p = back.Step(s, w, signals(n), now)
	}
	if p.Slowdowns != 3 {
		t.Errorf("%d slow-downs, want 3", p.Slowdowns)
	}
}

func TestClockDuringARun(t *testing.T) {
	s := Defaults()
	w := Work{NFTs: 1, Took: time.Second, Left: 10}
	p := BeginRun(s, 0, noon).Step(s, w, Signals{}, noon.Add(-time.Hour))
	for range 5 {
		p = p.Step(s, w, Signals{}, noon.Add(-time.Hour))
	}
	if p.Elapsed != 11*time.Second {
		t.Errorf("six NFTs and five pauses of a second took %v by a clock that went back", p.Elapsed)
	}
	// Another process goes on half a minute after the first was killed.
	p = p.Step(s, w, Signals{}, noon.Add(44*time.Second))
	if !p.Next.Stop {
		t.Errorf("goes on after %v", p.Elapsed)
	}
}

func TestRate(t *testing.T) {
	s := Defaults()
	p := BeginRun(s, 0, noon)
	if p.Rate() != 0 {
		t.Errorf("rate %v before the first NFT", p.Rate())
	}
	for n := range 4 { // 0.25 s of work each, 0.5 s of pause between
		p = p.Step(s, Work{NFTs: 1, Took: 250 * ms, Left: 16 - n}, Signals{}, noon)
	}
	if want := 4 / 2.5; p.Rate() != want {
		t.Errorf("rate %v, want %v", p.Rate(), want)
	}
}

func TestMeasuredTimesForPeople(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0 µs": 0, "850 µs": 850 * time.Microsecond, "2 ms": 2 * ms, "11.7 ms": 11_700 * time.Microsecond,
		"48 ms": 48 * ms, "123 ms": 123_400 * time.Microsecond, "1 s": time.Second, "44.2 s": 44_210 * ms,
		"999 s": 999 * time.Second, "3600 s": time.Hour,
	} {
		if got := short(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

func TestBackfillHasNoCap(t *testing.T) {
	s := Defaults()
	p, steps := drive(s, BeginBackfill(s, 0, noon), 5000, each(20*ms), always(Signals{}))
	if p.Done != 5000 || len(steps) != 5000 || p.Elapsed < 2499*time.Second {
		t.Errorf("%d done in %v", p.Done, p.Elapsed)
	}
}

// Settings changed during a run are in force with the next step.
func TestModeChangesDuringARun(t *testing.T) {
	s := Defaults()
	p := BeginBackfill(s, 0, noon).Step(s, Work{NFTs: 1, Took: 10 * ms, Left: -1}, healthy(), noon.Add(10*ms))
	p = p.Step(adaptive(), Work{NFTs: 1, Took: 10 * ms, Left: -1}, healthy(), noon.Add(time.Second))
	if p.Mode != Adaptive || p.Next.Chunk != 120 {
		t.Errorf("after the change to adaptive: %+v", p.State())
	}
	p = p.Step(s, Work{NFTs: 120, Took: 10 * ms, Left: -1}, healthy(), noon.Add(2*time.Second))
	if p.Mode != Fixed || p.Next.Chunk != 1 || p.Next.Pause != 500*ms {
		t.Errorf("after the change to fixed: %+v", p.State())
	}
}

func TestStopSaysWhyItWasSlow(t *testing.T) {
	s := adaptive()
	busy := healthy()
	busy.VotesWaiting = new(300)
	p, _ := drive(s, BeginRun(s, 0, noon), 10_000, each(ms), always(busy))
	want := "; slowed down 1 time, first because 300 votes wait in the ledger, the limit is 50"
	if !strings.HasSuffix(p.Next.Reason, want) {
		t.Errorf("%q does not end with %q", p.Next.Reason, want)
	}
	if p.Done < s.Size {
		t.Errorf("%d NFTs done, fewer than a run in fixed mode", p.Done)
	}
	if got := p.State().String(); !strings.HasPrefix(got, "adaptive, stopped: the next NFT does not fit into the time cap of 45 s") {
		t.Errorf("state %q", got)
	}
}

func TestStateForPeople(t *testing.T) {
	for want, s := range map[string]State{
		"fixed, one NFT after a pause of 500 ms":               {Mode: Fixed, Chunk: 1, Pause: 500 * ms, Healthy: true},
		"adaptive, healthy, 420 NFTs after a pause of 84.5 ms": {Mode: Adaptive, Chunk: 420, Pause: 84500 * time.Microsecond, Healthy: true},
		"adaptive, slowed to 20 NFTs after a pause of 5 s: 9 sessions wait for a lock, the limit is 8": {
			Mode: Adaptive, Chunk: 20, Pause: 5 * time.Second, Reason: "9 sessions wait for a lock, the limit is 8"},
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Whatever happens: pauses are at least what delay and niceness ask for,
// chunks stay in bounds, every slow-down and stop has a reason, an unhealthy
// step never grows the chunk, and a run whose NFTs take a steady time stays
// within its cap.
func TestPacerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Defaults()
		s.Mode = rapid.SampledFrom([]string{Fixed, Adaptive}).Draw(t, "mode")
		s.Niceness = rapid.Float64Range(0, 10).Draw(t, "niceness")
		s.Delay = time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "delay"))
		perNFT := time.Duration(rapid.Int64Range(0, int64(s.Cap)).Draw(t, "each"))
		if s.Mode == Adaptive {
			perNFT /= 1000
		}
		left := rapid.IntRange(1, 100_000).Draw(t, "left")
		p, now := BeginRun(s, 0, noon), noon
		for range 100 {
			if p.Next.Stop {
				break
			}
			chunk, took := min(p.Next.Chunk, left), time.Duration(min(p.Next.Chunk, left))*perNFT
			now = now.Add(p.Next.Pause + took)
			left -= chunk
			grown := p.Grown
			p = p.Step(s, Work{NFTs: chunk, Took: took, Left: left}, drawSignals(t), now)
			if p.Next.Stop {
				if p.Next.Reason == "" {
					t.Fatal("stopped without a reason")
				}
				continue
			}
			if left == 0 {
				t.Fatal("goes on with nothing left")
			}
			shortest := s.Delay
			if s.Mode == Adaptive && p.Unhealthy == 0 {
				shortest = s.Adaptive.Delay
			}
			if want := max(shortest, time.Duration(float64(took)*s.Niceness)); p.Next.Pause < want {
				t.Fatalf("a pause of %v after %v of work, want %v", p.Next.Pause, took, want)
			}
			if p.Next.Chunk < 1 || p.Next.Chunk > min(left, s.Adaptive.ChunkMax) || s.Mode == Fixed && p.Next.Chunk != 1 {
				t.Fatalf("a chunk of %d with %d left", p.Next.Chunk, left)
			}
			if slow := p.Unhealthy > 0; slow != (p.Next.Reason != "") || slow == p.State().Healthy {
				t.Fatalf("state %+v with %d unhealthy steps", p.State(), p.Unhealthy)
			}
			if p.Unhealthy > 0 && p.Grown > max(grown/2, s.Adaptive.FirstChunk) {
				t.Fatalf("an unhealthy step takes the chunk from %d to %d", grown, p.Grown)
			}
			if s.Mode == Adaptive && p.Unhealthy == 0 && p.Grown != min(grown+s.Adaptive.Growth, s.Adaptive.ChunkMax) {
				t.Fatalf("a healthy step takes the chunk from %d to %d", grown, p.Grown)
			}
		}
		first := s.Adaptive.FirstChunk
		if s.Mode == Fixed {
			first = 1
		}
		if p.Elapsed > max(s.Cap, time.Duration(first)*perNFT) {
			t.Fatalf("a run took %v", p.Elapsed)
		}
	})
}

func drawSignals(t *rapid.T) Signals {
	var g Signals
	if rapid.Bool().Draw(t, "latency known") {
		g.Latency = new(time.Duration(rapid.Int64Range(0, int64(200*ms)).Draw(t, "latency")))
	}
	if rapid.Bool().Draw(t, "votes known") {
		g.VotesWaiting = new(rapid.IntRange(0, 100).Draw(t, "votes"))
	}
	if rapid.Bool().Draw(t, "sessions known") {
		g.SessionsPerCore = new(rapid.Float64Range(0, 6).Draw(t, "sessions"))
	}
	if rapid.Bool().Draw(t, "locks known") {
		g.WaitingLocks = new(rapid.IntRange(0, 12).Draw(t, "locks"))
	}
	if rapid.Bool().Draw(t, "lag known") {
		g.ReplicationLag = new(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "lag")))
	}
	return g
}
