package sample_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/ledger"
	"poa/internal/sample"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

var end = time.Date(2026, 3, 1, 18, 0, 0, 0, time.UTC)

// digest names a sequence by the hash of its content.
func digest[T any](seq iter.Seq[T]) string {
	h := sha256.New()
	for x := range seq {
		fmt.Fprintf(h, "%+v\n", x)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// live returns the first n votes of a game's stream, a second apart.
func live(g *sample.Game, n int) iter.Seq[ledger.Vote] {
	return func(yield func(ledger.Vote) bool) {
		l := g.Live()
		for i := range n {
			if !yield(l.Next(end.Add(time.Duration(i) * time.Second))) {
				return
			}
		}
	}
}

// The README, the benchmark and the docs show what these seeds give.
func TestSameSeedSameGame(t *testing.T) {
	small, published := sample.Small(1, end), sample.Published(1, end)
	workload := sample.NewWorkload(sample.WorkloadOptions{Seed: 1, End: end})
	for _, test := range []struct{ name, got, want string }{
		{"small NFTs", digest(small.NFTs()), "3b049cfed05fabe8"},
		{"small history", digest(small.History()), "ed74f8e6d60fa676"},
		{"small live", digest(live(small, 500)), "85c2f1b8e6db50a8"},
		{"published NFTs", digest(published.NFTs()), "0618ccf6eaad6714"},
		{"published history", digest(published.History()), "6a56dee3d054b7d3"},
		{"published live", digest(live(published, 500)), "8525c2b2174275f9"},
		{"workload NFTs", digest(workload.NFTs()), "c26ac5aa33532aa3"},
		{"workload votes", digest(workload.Votes(0, 1000)), "b3f53d2d450a01b4"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %s, want %s", test.name, test.got, test.want)
		}
	}
	if again := sample.Small(1, end); digest(again.History()) != digest(small.History()) {
		t.Error("the same seed gave another history")
	}
	if other := sample.Small(2, end); digest(other.History()) == digest(small.History()) {
		t.Error("another seed gave the same history")
	}
	if digest(workload.Votes(1, 1000)) == digest(workload.Votes(0, 1000)) {
		t.Error("another part gave the same votes")
	}
}

// A demo begun a little later, or at another hour of the day, is the same game:
// only the times of its votes, and the keys that name its end, are others.
func TestTheEndMovesOnlyTimes(t *testing.T) {
	for name, game := range map[string]func(seed uint64, end time.Time) *sample.Game{"small": sample.Small, "published": sample.Published} {
		t.Run(name, func(t *testing.T) {
			read := func(end time.Time) (votes []ledger.Vote, f *folder) {
				g := game(7, end)
				f = newFolder()
				f.fold(t, g.History(), names(g.NFTs()), end)
				for v := range g.History() {
					v.Key, v.CastAt = "", time.Time{}
					votes = append(votes, v)
				}
				return votes, f
			}
			votes, f := read(end)
			for _, later := range []time.Duration{10 * time.Second, 7 * time.Hour} {
				otherVotes, other := read(end.Add(later))
				if diff := cmp.Diff(votes, otherVotes); diff != "" {
					t.Fatalf("%v later somebody else votes, or otherwise (-first +later):\n%s", later, diff)
				}
				if diff := cmp.Diff(f.ratings, other.ratings); diff != "" {
					t.Errorf("%v later the ratings are others:\n%s", later, diff)
				}
				if diff := cmp.Diff(f.voters, other.voters); diff != "" {
					t.Errorf("%v later the voters are others:\n%s", later, diff)
				}
			}
		})
	}
}

func TestPublishedShape(t *testing.T) {
	g := sample.Published(7, end)
	known := make(map[string]string)
	sizes := make(map[string]int)
	for n := range g.NFTs() {
		known[n.ID] = n.Collection
		sizes[n.Collection]++
	}
	if len(known) != 54_312 {
		t.Errorf("%d NFTs, want 54,312", len(known))
	}
	for name, size := range map[string]int{"BEARISH": 2500, "Pengztracted": 7777, "Fugz": 5555, "Final Bosu": 8888, "Kabu": 4444, "BEEISH": 4444, "Canna Sapiens": 6000} {
		if sizes[name] != size {
			t.Errorf("%s has %d NFTs, want %d", name, sizes[name], size)
		}
	}
	f := newFolder()
	f.fold(t, g.History(), known, end)
	five, most, none := 0, int64(0), 0
	for id := range known {
		r := f.ratings[id]
		if r == nil || r.Votes == 0 {
			none++
			continue
		}
		most = max(most, r.Votes)
		if r.Votes >= 5 {
			five++
		}
	}
	if five != 687 || most != 28 || none < 40_000 {
		t.Errorf("%d NFTs with five votes or more, at most %d votes, %d without; want 687, 28, and most without", five, most, none)
	}
}

// folder folds votes as the ledger does and counts what triggers.
type folder struct {
	constants scoring.Constants
	rules     trigger.Rules
	ratings   map[string]*scoring.Rating
	recent    map[string]*trigger.Recent
	voters    map[string]*scoring.Voter
	opinions  map[[3]string]*scoring.Opinion
	votes     int
	triggered int // votes
	kinds     map[string]int
}

func newFolder() *folder {
	return &folder{
		constants: scoring.Defaults(), rules: trigger.Defaults(),
		ratings: map[string]*scoring.Rating{}, recent: map[string]*trigger.Recent{}, voters: map[string]*scoring.Voter{},
		opinions: map[[3]string]*scoring.Opinion{}, kinds: map[string]int{},
	}
}

// fold fails the test for any vote that a ledger at the given time would
// refuse. The votes arrive when they are cast, or at that time where it is set.
func (f *folder) fold(t *testing.T, votes iter.Seq[ledger.Vote], known map[string]string, at time.Time) {
	t.Helper()
	keys := make(map[string]bool)
	for v := range votes {
		if err := v.Check(at); err != nil {
			t.Fatalf("%+v: %v", v, err)
		}
		if keys[v.Key] {
			t.Fatalf("key %s twice", v.Key)
		}
		keys[v.Key] = true
		f.votes++
		kind := v.Kind.String()
		if v.Super {
			kind = "super"
		}
		f.kinds[kind]++
		voter := f.voters[v.Voter]
		if voter == nil {
			fresh := f.constants.NewVoter()
			voter = &fresh
			f.voters[v.Voter] = voter
		}
		ids := []string{v.A}
		if v.Kind == scoring.Matchup {
			ids = append(ids, v.B)
		}
		before := make([]int64, len(ids))
		for i, id := range ids {
			if _, ok := known[id]; !ok {
				t.Fatalf("%+v: no such NFT", v)
			}
			if f.ratings[id] == nil {
				fresh := f.constants.NewRating()
				f.ratings[id], f.recent[id] = &fresh, &trigger.Recent{}
			}
			before[i] = f.ratings[id].Votes
			if v.Kind != scoring.Unfire {
				f.recent[id].Add(v.CastAt)
			}
		}
		changed := false
		if v.Kind == scoring.Matchup {
			f.constants.FoldMatchup(v.Vote, voter, f.ratings[v.A], f.ratings[v.B])
		} else {
			key := [3]string{v.Voter, v.A, fmt.Sprint(v.Kind == scoring.Slider)}
			if f.opinions[key] == nil {
				f.opinions[key] = &scoring.Opinion{}
			}
			_, changed = f.constants.FoldOpinion(v.Vote, voter, f.ratings[v.A], f.opinions[key])
		}
		fires := false
		for i, id := range ids {
			_, ok := f.rules.Decide(trigger.Event{
				Vote: v.Vote, Changed: changed, VotesBefore: before[i], VotesAfter: f.ratings[id].Votes,
				Recent: *f.recent[id], ReceivedAt: at,
			})
			fires = fires || ok
		}
		if fires {
			f.triggered++
		}
	}
}

func names(nfts iter.Seq[store.NFT]) map[string]string {
	known := make(map[string]string)
	for n := range nfts {
		known[n.ID] = n.Collection
	}
	return known
}

// Quality shows in the scores, though voters differ and some throw dice.
func TestSmallGame(t *testing.T) {
	g := sample.Small(1, end)
	known := names(g.NFTs())
	if len(known) != 60 || g.Votes() != 600 {
		t.Errorf("%d NFTs, %d votes; want 60 and 600", len(known), g.Votes())
	}
	f := newFolder()
	f.fold(t, g.History(), known, end)
	if f.votes != 600 {
		t.Errorf("%d votes, want 600", f.votes)
	}
	for _, kind := range []string{"matchup", "super", "slider", "fire", "unfire"} {
		if f.kinds[kind] == 0 {
			t.Errorf("no %s vote", kind)
		}
	}
	var last time.Time
	for v := range g.History() {
		if v.CastAt.Before(last) || v.CastAt.After(end) {
			t.Fatalf("%s was cast at %v, after one at %v; the history ends at %v", v.Key, v.CastAt, last, end)
		}
		last = v.CastAt
	}
	var means []float64
	low, high := 0, 0
	for _, r := range f.ratings {
		means = append(means, r.Mean)
	}
	for _, v := range f.voters {
		if v.Reliability > 1.02 {
			high++
		} else if v.Reliability < 0.98 {
			low++
		}
	}
	if spread := slices.Max(means) - slices.Min(means); spread < 150 {
		t.Errorf("means spread over %.0f, want at least 150", spread)
	}
	if high <= low {
		t.Errorf("%d reliable voters, %d unreliable ones; want more reliable ones", high, low)
	}
}

func TestLiveVotes(t *testing.T) {
	g := sample.Published(3, end)
	known := names(g.NFTs())
	f := newFolder()
	f.fold(t, g.History(), known, end)
	f.votes, f.triggered = 0, 0
	clear(f.kinds)
	f.fold(t, live(g, 2000), known, end.Add(time.Hour))
	if share := float64(f.triggered) / float64(f.votes); share < 0.05 || share > 0.6 {
		t.Errorf("%.1f%% of the live votes trigger; a watcher sees nothing, or everything", share*100)
	}
	for _, kind := range []string{"matchup", "super", "slider", "fire", "unfire"} {
		if f.kinds[kind] == 0 {
			t.Errorf("no %s vote", kind)
		}
	}
	// Restarted, the stream must not hand out keys it has used.
	a, b := g.Live(), g.Live()
	if a.Next(end).Key == b.Next(end.Add(time.Second)).Key {
		t.Error("a restarted stream repeats its keys")
	}
}

func TestWorkloadShares(t *testing.T) {
	const n = 200_000
	for _, test := range []struct {
		name      string
		o         sample.WorkloadOptions
		low, high float64 // share of votes that trigger
	}{
		{"spread out", sample.WorkloadOptions{}, 0.08, 0.12},
		{"dense", sample.WorkloadOptions{Span: time.Hour}, 0.4, 1},
		{"all super", sample.WorkloadOptions{Mix: sample.Mix{Super: 1}}, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Seed, test.o.End = 5, end
			w := sample.NewWorkload(test.o)
			f := newFolder()
			f.fold(t, w.Votes(0, n), names(w.NFTs()), end)
			share := float64(f.triggered) / n
			t.Logf("%.2f%% of the votes trigger; %v", share*100, f.kinds)
			if share < test.low || share > test.high {
				t.Errorf("%.2f%% of the votes trigger, want %.0f to %.0f%%", share*100, test.low*100, test.high*100)
			}
			if test.name == "all super" {
				return
			}
			for kind, want := range map[string]float64{"matchup": 0.85, "slider": 0.10, "super": 0.04, "fire": 0.01} {
				if got := float64(f.kinds[kind]) / n; math.Abs(got-want) > 0.003 {
					t.Errorf("%.2f%% %s votes, want %.2f%%", got*100, kind, want*100)
				}
			}
		})
	}
}

// The most chosen NFT of N has a share of 1/H(N), the k-th a k-th of that.
func TestWorkloadIsZipf(t *testing.T) {
	const n, nfts = 300_000, 1000
	w := sample.NewWorkload(sample.WorkloadOptions{Seed: 9, NFTs: nfts, Mix: sample.Mix{Slider: 1}, End: end})
	counts := make(map[string]int)
	for v := range w.Votes(0, n) {
		counts[v.A]++
	}
	var sorted []int
	for _, c := range counts {
		sorted = append(sorted, c)
	}
	slices.Sort(sorted)
	slices.Reverse(sorted)
	harmonic := 0.0
	for k := 1; k <= nfts; k++ {
		harmonic += 1 / float64(k)
	}
	for _, k := range []int{1, 2, 3, 10, 30} {
		want := n / harmonic / float64(k)
		if got := float64(sorted[k-1]); math.Abs(got-want) > 5*math.Sqrt(want) {
			t.Errorf("NFT of rank %d was chosen %.0f times, want about %.0f", k, got, want)
		}
	}
}

func BenchmarkWorkload(b *testing.B) {
	w := sample.NewWorkload(sample.WorkloadOptions{Seed: 1, End: end})
	for range w.Votes(0, b.N) {
	}
}

func BenchmarkPublished(b *testing.B) {
	for b.Loop() {
		sample.Published(1, end)
	}
}
