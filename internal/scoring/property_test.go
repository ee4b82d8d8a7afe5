package scoring_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"poa/internal/scoring"
)

const players = 3 // NFTs, and voters, in a small game

// game is a small game folded vote by vote, with the log from which its sums
// can be added up again.
type game struct {
	scoring.Constants
	nfts     [players]scoring.Rating
	voters   [players]scoring.Voter
	sliders  [players][players]scoring.Opinion // by NFT and voter
	fires    [players][players]scoring.Opinion
	matchups [players]scoring.Sum // weights in the log, by NFT
	ratings  [players][]float64   // slider ratings given, by voter
	cast     [players]int64       // votes, by voter
}

// move is a vote with the numbers of those it touches. B counts for matchups.
type move struct {
	Vote        scoring.Vote
	Voter, A, B int
}

func newGame(c scoring.Constants) *game {
	g := &game{Constants: c}
	for i := range players {
		g.nfts[i], g.voters[i] = c.NewRating(), c.NewVoter()
	}
	return g
}

func (g *game) fold(m move) {
	voter := &g.voters[m.Voter]
	before := g.Weight(voter)
	var weight scoring.Sum
	switch m.Vote.Kind {
	case scoring.Matchup:
		weight = g.FoldMatchup(m.Vote, voter, &g.nfts[m.A], &g.nfts[m.B])
		if m.Vote.Outcome != scoring.Neither {
			g.matchups[m.A] += weight
			g.matchups[m.B] += weight
		}
	case scoring.Slider:
		g.ratings[m.Voter] = append(g.ratings[m.Voter], m.Vote.Value)
		weight, _ = g.FoldOpinion(m.Vote, voter, &g.nfts[m.A], &g.sliders[m.A][m.Voter])
	default:
		weight, _ = g.FoldOpinion(m.Vote, voter, &g.nfts[m.A], &g.fires[m.A][m.Voter])
	}
	if weight != before {
		panic(fmt.Sprintf("%+v weighs %d, the voter before it %d", m, weight, before))
	}
	g.cast[m.Voter]++
}

// failer is a *testing.T or *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check says what must hold after any votes.
func (g *game) check(t failer) {
	t.Helper()
	means := 0.0
	for i := range g.nfts {
		r := &g.nfts[i]
		means += r.Mean
		g.checkRating(t, i, r)
		g.checkScore(t, i, r)
	}
	if want := players * g.StartMean; math.Abs(means-want) > 1e-6 {
		t.Fatalf("the means sum to %v, want %v", means, want)
	}
	for i := range g.voters {
		v := &g.voters[i]
		between(t, "reliability", v.Reliability, g.ReliabilityMin, g.ReliabilityMax)
		if v.Votes != g.cast[i] || v.Judged > v.Votes {
			t.Fatalf("voter %d cast %d votes and has %+v", i, g.cast[i], *v)
		}
		checkCalibration(t, v.Calibration, g.ratings[i])
		mean, std := g.Spread(v.Calibration)
		between(t, "calibrated mean", mean, 0, 100)
		between(t, "calibrated standard deviation", std, g.SliderStdMin, 100)
	}
}

func (g *game) checkRating(t failer, i int, r *scoring.Rating) {
	t.Helper()
	between(t, "sigma", r.Sigma, g.SigmaMin, g.SigmaMax)
	if r.Votes != r.Wins+r.Losses+r.Ties+r.SliderVotes {
		t.Fatalf("NFT %d: the votes are not the sum of their kinds: %+v", i, *r)
	}
	want := scoring.Rating{MatchupWeight: g.matchups[i]}
	for v := range g.voters {
		for _, o := range []scoring.Opinion{g.sliders[i][v], g.fires[i][v]} {
			if o.Standing != (o.Weight > 0) || !o.Standing && (o.Value != 0 || o.Score != 0) {
				t.Fatalf("NFT %d: opinion %+v", i, o)
			}
		}
		if o := g.sliders[i][v]; o.Standing {
			want.Sliders++
			want.SliderSum += o.Score
			want.SliderWeight += o.Weight
			between(t, "contribution of a slider rating", o.Score.Float(), 0, 100*o.Weight.Float()+1e-9)
		}
		if o := g.fires[i][v]; o.Standing {
			want.Fires++
			want.FireWeight += o.Weight
		}
	}
	sums := scoring.Rating{
		MatchupWeight: r.MatchupWeight, Sliders: r.Sliders, SliderSum: r.SliderSum,
		SliderWeight: r.SliderWeight, Fires: r.Fires, FireWeight: r.FireWeight,
	}
	if diff := cmp.Diff(want, sums); diff != "" {
		t.Fatalf("NFT %d: sums of its votes (-want +got):\n%s", i, diff)
	}
}

func (g *game) checkScore(t failer, i int, r *scoring.Rating) {
	t.Helper()
	s, ok := g.Score(r)
	if ok != (r.Matchups+r.Sliders+r.Fires > 0) || ok != r.Scorable() {
		t.Fatalf("NFT %d: a score exists: %v, for %+v", i, ok, *r)
	}
	if !ok {
		return
	}
	between(t, "POA", s.POA, 0, 100)
	between(t, "confidence", s.Confidence, 0, 100)
	between(t, "Elo component", s.Elo, 0, 100)
	between(t, "slider component", s.Slider, 0, 100)
	between(t, "FIRE component", s.Fire, 0, 100)
	between(t, "R", s.Reliability, g.ReliabilityMin, math.Max(1, g.ReliabilityMax))
	sum := g.EloWeight*s.Elo + g.SliderWeight*s.Slider + g.FireWeight*s.Fire
	if want := math.Min(100, s.Reliability*sum); math.Abs(s.POA-want) > 0.005+1e-9 {
		t.Fatalf("NFT %d: POA %v of components that make %v", i, s.POA, want)
	}
	if s.POA != math.Round(s.POA*100)/100 || s.Confidence != math.Round(s.Confidence*100)/100 {
		t.Fatalf("NFT %d: %v and %v are not rounded", i, s.POA, s.Confidence)
	}
}

// checkCalibration compares Welford's running figures with two passes.
func checkCalibration(t failer, c scoring.Calibration, given []float64) {
	t.Helper()
	mean, m2 := 0.0, 0.0
	for _, x := range given {
		mean += x / float64(len(given))
	}
	for _, x := range given {
		m2 += (x - mean) * (x - mean)
	}
	if c.N != int64(len(given)) || math.Abs(c.Mean-mean) > 1e-9 || math.Abs(c.M2-m2) > 1e-6 {
		t.Fatalf("calibration %+v after %v, whose mean is %v and M2 %v", c, given, mean, m2)
	}
}

func between(t failer, what string, x, low, high float64) {
	t.Helper()
	if !(x >= low && x <= high) {
		t.Fatalf("%s is %v, must be from %v to %v", what, x, low, high)
	}
}

func drawMove(t *rapid.T) move {
	m := move{
		Vote: scoring.Vote{
			Kind:   scoring.Kind(rapid.IntRange(1, 4).Draw(t, "kind")),
			CastAt: noon.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "minute")) * time.Minute),
		},
		Voter: rapid.IntRange(0, players-1).Draw(t, "voter"),
		A:     rapid.IntRange(0, players-1).Draw(t, "nft"),
	}
	switch m.Vote.Kind {
	case scoring.Matchup:
		m.B = (m.A + rapid.IntRange(1, players-1).Draw(t, "other")) % players
		m.Vote.Outcome = scoring.Outcome(rapid.IntRange(1, 4).Draw(t, "outcome"))
		m.Vote.Super = rapid.Bool().Draw(t, "super")
	case scoring.Slider:
		m.Vote.Value = rapid.Float64Range(0, 100).Draw(t, "value")
	}
	return m
}

// drawConstants draws valid constants far from the defaults.
func drawConstants(t *rapid.T) scoring.Constants {
	number := func(name string, low, high float64) float64 { return rapid.Float64Range(low, high).Draw(t, name) }
	c := scoring.Defaults()
	c.StartMean, c.EloScale = number("start_mean", -5000, 5000), number("elo_scale", 1, 2000)
	c.K, c.SuperK = number("k", 0.1, 500), number("super_k", 0.1, 500)
	c.SuperVotes = rapid.Int64Range(1, 20).Draw(t, "super_votes")
	c.SigmaNoise, c.SigmaDecay = number("sigma_noise", 0, 100), number("sigma_decay", 0.01, 1)
	c.ReliabilityMin, c.ReliabilityMax = number("reliability_min", 0.001, 0.9), number("reliability_max", 1, 10)
	c.ReliabilityStep, c.ReliabilityRate = number("reliability_step", 0, 1), number("reliability_rate", 0, 1)
	c.ReliabilityMinJudged = rapid.Int64Range(0, 5).Draw(t, "reliability_min_judged")
	c.EloFloor, c.EloCeiling = number("elo_floor", -5000, 0), number("elo_ceiling", 1, 5000)
	c.EloWeight = number("elo_weight", 0, 1)
	c.SliderWeight = number("slider_weight", 0, 1) * (1 - c.EloWeight)
	c.FireWeight = math.Max(0, 1-c.EloWeight-c.SliderWeight)
	c.FireSaturation, c.SigmaScale = number("fire_saturation", 0.1, 100), number("sigma_scale", 10, 1000)
	c.SliderPriorCount, c.SliderPriorStd = number("slider_prior_count", 0.1, 50), number("slider_prior_std", 0.1, 60)
	c.SliderStdMin, c.SliderClamp = number("slider_std_min", 0.1, 20), number("slider_clamp", 0.1, 5)
	if err := c.Validate(); err != nil {
		t.Fatalf("drew bad constants: %v", err)
	}
	return c
}

func TestInvariants(t *testing.T) {
	for _, c := range []struct {
		name      string
		constants func(*rapid.T) scoring.Constants
	}{
		{"default constants", func(*rapid.T) scoring.Constants { return scoring.Defaults() }},
		{"any constants", drawConstants},
	} {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				g := newGame(c.constants(t))
				for range rapid.IntRange(0, 60).Draw(t, "votes") {
					g.fold(drawMove(t))
					g.check(t)
				}
			})
		})
	}
}

// anyRating draws a rating as votes may leave it, with a score.
func anyRating(t *rapid.T) scoring.Rating {
	count := func(name string) int64 { return rapid.Int64Range(0, 50).Draw(t, name) }
	weight := func(name string, n int64) scoring.Sum {
		return scoring.Sum(n) * scoring.ToSum(rapid.Float64Range(0.5, 1.5).Draw(t, name))
	}
	r := scoring.Rating{
		Mean: rapid.Float64Range(300, 2500).Draw(t, "mean"), Sigma: rapid.Float64Range(50, 400).Draw(t, "sigma"),
		Matchups: 1 + count("matchups"), Sliders: count("sliders"), Fires: count("fires"),
	}
	r.MatchupWeight, r.SliderWeight, r.FireWeight = weight("r", r.Matchups), weight("slider r", r.Sliders), weight("FIRE r", r.Fires)
	r.SliderSum = scoring.ToSum(r.SliderWeight.Float() * rapid.Float64Range(0, 100).Draw(t, "slider"))
	return r
}

func TestPOARisesWithEachComponent(t *testing.T) {
	p := scoring.DefaultPublishing()
	for _, c := range []struct {
		name  string
		raise func(*scoring.Rating, float64)
		part  func(scoring.Result) float64
	}{
		{"Elo", func(r *scoring.Rating, x float64) { r.Mean += x }, func(s scoring.Result) float64 { return s.Elo }},
		{"slider", func(r *scoring.Rating, x float64) {
			if r.Sliders > 0 {
				r.SliderSum = min(r.SliderSum+scoring.ToSum(x), 100*r.SliderWeight)
			}
		}, func(s scoring.Result) float64 { return s.Slider }},
		{"FIRE", func(r *scoring.Rating, x float64) {
			// R must not change with it, so its sum goes from matchups to FIRE.
			moved := min(scoring.ToSum(x/100), r.MatchupWeight)
			r.FireWeight += moved
			r.MatchupWeight -= moved
		}, func(s scoring.Result) float64 { return s.Fire }},
		{"reliability", func(r *scoring.Rating, x float64) { r.MatchupWeight += scoring.ToSum(x) }, func(s scoring.Result) float64 { return s.Reliability }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				low := anyRating(t)
				high := low
				c.raise(&high, rapid.Float64Range(0, 500).Draw(t, "more"))
				a, _ := p.Score(&low)
				b, _ := p.Score(&high)
				if c.part(b) < c.part(a) || b.POA < a.POA {
					t.Fatalf("raising it took the component from %v to %v and POA from %v to %v", c.part(a), c.part(b), a.POA, b.POA)
				}
				if up := c.part(b) - c.part(a); up > 1 && a.POA > 0 && b.POA < 100 && a.Reliability == b.Reliability && b.POA == a.POA {
					t.Fatalf("the component rose by %v and POA stayed %v", up, a.POA)
				}
			})
		})
	}
}

func TestMatchupIsSymmetric(t *testing.T) {
	f := scoring.DefaultFolding()
	swapped := map[scoring.Outcome]scoring.Outcome{
		scoring.WinA: scoring.WinB, scoring.WinB: scoring.WinA, scoring.Tie: scoring.Tie, scoring.Neither: scoring.Neither,
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyRating(t), anyRating(t)
		if rapid.Bool().Draw(t, "equal means") {
			b.Mean = a.Mean
		}
		voter := scoring.Voter{Reliability: rapid.Float64Range(0.5, 1.5).Draw(t, "reliability"), Judged: rapid.Int64Range(0, 6).Draw(t, "judged")}
		vote := decided(scoring.Outcome(rapid.IntRange(1, 4).Draw(t, "outcome")))
		vote.Super = rapid.Bool().Draw(t, "super")
		back := vote
		back.Outcome = swapped[vote.Outcome]

		a1, b1, voter1, a2, b2, voter2 := a, b, voter, a, b, voter
		w1 := f.FoldMatchup(vote, &voter1, &a1, &b1)
		w2 := f.FoldMatchup(back, &voter2, &b2, &a2)
		if w1 != w2 || voter1 != voter2 {
			t.Fatalf("the voter is %+v (weighing %d) and swapped %+v (%d)", voter1, w1, voter2, w2)
		}
		// E of A and E of B are rounded apart, so means may differ in their last
		// bits, but not those of equals.
		if math.Abs(a1.Mean-a2.Mean) > 1e-9 || math.Abs(b1.Mean-b2.Mean) > 1e-9 {
			t.Fatalf("means are %v, %v and swapped %v, %v", a1.Mean, b1.Mean, a2.Mean, b2.Mean)
		}
		if a.Mean != b.Mean {
			a2.Mean, b2.Mean = a1.Mean, b1.Mean
		}
		if diff := cmp.Diff([]scoring.Rating{a1, b1}, []scoring.Rating{a2, b2}); diff != "" {
			t.Fatalf("swapped (-straight +swapped):\n%s", diff)
		}
	})
}

func TestMatchupKeepsTheSumOfMeans(t *testing.T) {
	f := scoring.DefaultFolding()
	rapid.Check(t, func(t *rapid.T) {
		a, b, voter := anyRating(t), anyRating(t), f.NewVoter()
		vote := decided(scoring.Outcome(rapid.IntRange(1, 4).Draw(t, "outcome")))
		vote.Super = rapid.Bool().Draw(t, "super")
		beforeA, beforeB := a.Mean, b.Mean
		f.FoldMatchup(vote, &voter, &a, &b)
		if math.Abs((a.Mean+b.Mean)-(beforeA+beforeB)) > 1e-9 {
			t.Fatalf("means %v and %v became %v and %v", beforeA, beforeB, a.Mean, b.Mean)
		}
		k := f.K
		if vote.Super {
			k = f.SuperK
		}
		switch {
		case math.Abs(a.Mean-beforeA) > k:
			t.Fatalf("a mean moved from %v to %v, by more than %v", beforeA, a.Mean, k)
		case vote.Outcome == scoring.WinA && a.Mean <= beforeA, vote.Outcome == scoring.WinB && b.Mean <= beforeB:
			t.Fatalf("the winner did not rise: %v, %v became %v, %v", beforeA, beforeB, a.Mean, b.Mean)
		}
	})
}

func TestWithdrawnFireLeavesNothing(t *testing.T) {
	c := scoring.Defaults()
	rapid.Check(t, func(t *rapid.T) {
		nft := anyRating(t)
		before := nft
		weights := rapid.SliceOfN(rapid.Float64Range(0.5, 1.5), 1, 30).Draw(t, "reliabilities")
		standing := make([]scoring.Opinion, len(weights))
		fold := func(i int, v scoring.Vote) {
			// The voter has drifted before the withdrawal.
			voter := scoring.Voter{Reliability: weights[i], Judged: 3}
			if v.Kind == scoring.Unfire {
				voter.Reliability = 1
			}
			if _, changed := c.FoldOpinion(v, &voter, &nft, &standing[i]); !changed {
				t.Fatalf("%v changed nothing", v.Kind)
			}
		}
		for i := range weights {
			fold(i, at(1, scoring.Fire, 0))
		}
		if nft.Fires != before.Fires+int64(len(weights)) || nft.FireWeight <= before.FireWeight {
			t.Fatalf("the FIRE votes left %+v", nft)
		}
		for _, i := range rapid.Permutation(indexes(len(weights))).Draw(t, "order") {
			fold(i, at(2, scoring.Unfire, 0))
		}
		nft.FireVotes = before.FireVotes
		if nft != before {
			t.Fatalf("after the withdrawals %+v, before %+v", nft, before)
		}
	})
}

func TestOpinionStandsByCastAt(t *testing.T) {
	c := scoring.Defaults()
	rapid.Check(t, func(t *rapid.T) {
		kinds := rapid.SampledFrom([][]scoring.Kind{{scoring.Slider}, {scoring.Fire, scoring.Unfire}}).Draw(t, "kinds")
		var votes []scoring.Vote
		for minute := range rapid.IntRange(1, 12).Draw(t, "votes") {
			v := at(minute, rapid.SampledFrom(kinds).Draw(t, "kind"), 0)
			if v.Kind == scoring.Slider {
				v.Value = rapid.Float64Range(0, 100).Draw(t, "value")
			}
			votes = append(votes, v)
		}
		last := votes[len(votes)-1]
		arrived := rapid.Permutation(votes).Draw(t, "arrival")
		voter, nft, o := c.NewVoter(), c.NewRating(), scoring.Opinion{}
		for _, v := range arrived {
			c.FoldOpinion(v, &voter, &nft, &o)
		}
		if o.Standing != (last.Kind != scoring.Unfire) || !o.CastAt.Equal(last.CastAt) || o.Value != last.Value {
			t.Fatalf("after %v the opinion %+v stands", arrived, o)
		}
		inOrderVoter, inOrderNFT, inOrder := c.NewVoter(), c.NewRating(), scoring.Opinion{}
		for _, v := range votes {
			c.FoldOpinion(v, &inOrderVoter, &inOrderNFT, &inOrder)
		}
		// Only what a slider rating contributes depends on the order: it is
		// normalised with what was known of the voter then.
		if last.Kind == scoring.Slider {
			nft.SliderSum, o.Score = inOrderNFT.SliderSum, inOrder.Score
		}
		if nft != inOrderNFT || o != inOrder {
			t.Fatalf("in another order %+v and %+v, want %+v and %+v", nft, o, inOrderNFT, inOrder)
		}
	})
}

func TestSumsDoNotDependOnTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		terms := rapid.SliceOf(rapid.Float64Range(0, 150)).Draw(t, "terms")
		var sum, other scoring.Sum
		for _, x := range terms {
			sum += scoring.ToSum(x)
		}
		for _, x := range rapid.Permutation(terms).Draw(t, "order") {
			other += scoring.ToSum(x)
		}
		if sum != other {
			t.Fatalf("%d and %d", sum, other)
		}
	})
}

func TestNormaliseKeepsOrder(t *testing.T) {
	p := scoring.DefaultPublishing()
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.SliceOfN(rapid.Float64Range(0, 100), 0, 40).Draw(t, "given")
		c := welford(given)
		x := rapid.SliceOfN(rapid.Float64Range(0, 100), 2, 2).Draw(t, "ratings")
		slices.Sort(x)
		low, high := p.Normalise(x[0], c), p.Normalise(x[1], c)
		if low > high || low < 0 || high > 100 {
			t.Fatalf("%v and %v became %v and %v", x[0], x[1], low, high)
		}
	})
}

// welford gives ratings to an NFT and returns the voter's calibration.
func welford(given []float64) scoring.Calibration {
	c := scoring.Defaults()
	voter, nft, o := c.NewVoter(), c.NewRating(), scoring.Opinion{}
	for i, x := range given {
		c.FoldOpinion(at(i, scoring.Slider, x), &voter, &nft, &o)
	}
	return voter.Calibration
}

func TestCalibrationAgreesWithTwoPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Many ratings close together, far from 0, are where naive sums of
		// squares lose their digits.
		around := rapid.Float64Range(0, 99).Draw(t, "around")
		spread := rapid.SampledFrom([]float64{1e-6, 1e-3, 1}).Draw(t, "spread")
		var given []float64
		for _, x := range rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 300).Draw(t, "offsets") {
			given = append(given, around+spread*x)
		}
		c := welford(given)
		checkCalibration(t, c, given)
		if c.M2 < 0 || c.M2 > spread*spread*float64(len(given)) {
			t.Fatalf("M2 of %d ratings within %v is %v", len(given), spread, c.M2)
		}
	})
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// FuzzFold folds any votes: three bytes each for kind and outcome, for who and
// what, and for value and time.
func FuzzFold(f *testing.F) {
	f.Add([]byte{0x00, 0x00, 0x00, 0x01, 0x12, 0x40, 0x02, 0x23, 0x80})
	f.Add([]byte("matchups, sliders and FIRE in any order whatever"))
	f.Add([]byte{0x02, 0x00, 0x10, 0x03, 0x00, 0x20, 0x02, 0x00, 0x18, 0x03, 0x00, 0x08})
	f.Add([]byte{0x10, 0x00, 0xff, 0x10, 0x04, 0xff, 0x10, 0x00, 0xff, 0x10, 0x04, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		g, again := newGame(scoring.Defaults()), newGame(scoring.Defaults())
		for ; len(data) >= 3; data = data[3:] {
			m := move{
				Vote: scoring.Vote{
					Kind:   scoring.Kind(1 + data[0]&3),
					CastAt: noon.Add(time.Duration(data[2]) * time.Minute),
				},
				Voter: int(data[1]) % players, A: int(data[1]>>2) % players,
			}
			switch m.Vote.Kind {
			case scoring.Matchup:
				m.B = (m.A + 1 + int(data[1]>>7)) % players
				m.Vote.Outcome, m.Vote.Super = scoring.Outcome(1+data[0]>>2&3), data[0]>>4&1 == 1
			case scoring.Slider:
				m.Vote.Value = float64(data[0]>>2) * 100 / 63
			}
			g.fold(m)
			g.check(t)
			again.fold(m)
		}
		if again.nfts != g.nfts || again.voters != g.voters || again.sliders != g.sliders || again.fires != g.fires {
			t.Fatal("folding the same votes again gave another state")
		}
	})
}
