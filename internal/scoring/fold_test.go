package scoring_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"poa/internal/scoring"
)

var (
	noon  = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	about = cmpopts.EquateApprox(0, 1e-9)
)

func decided(o scoring.Outcome) scoring.Vote {
	return scoring.Vote{Kind: scoring.Matchup, Outcome: o, CastAt: noon}
}

func super(o scoring.Outcome) scoring.Vote {
	v := decided(o)
	v.Super = true
	return v
}

func TestFoldMatchupMoves(t *testing.T) {
	f := scoring.DefaultFolding()
	for _, c := range []struct {
		name         string
		vote         scoring.Vote
		meanA, meanB float64
		wantA, wantB float64
	}{
		{"equal, A wins", decided(scoring.WinA), 1200, 1200, 1216, 1184},
		{"equal, B wins", decided(scoring.WinB), 1200, 1200, 1184, 1216},
		{"equal, tie", decided(scoring.Tie), 1200, 1200, 1200, 1200},
		{"equal, none", decided(scoring.Neither), 1200, 1200, 1200, 1200},
		{"equal, super", super(scoring.WinA), 1200, 1200, 1232, 1168},
		{"10 to 1, favourite wins", decided(scoring.WinA), 1400, 1000, 1400 + 32.0/11, 1000 - 32.0/11},
		{"10 to 1, upset", decided(scoring.WinB), 1400, 1000, 1400 - 320.0/11, 1000 + 320.0/11},
		{"10 to 1, tie", decided(scoring.Tie), 1400, 1000, 1400 - 144.0/11, 1000 + 144.0/11},
		{"1 to 10, super upset", super(scoring.WinA), 1000, 1400, 1000 + 640.0/11, 1400 - 640.0/11},
		{"100 to 1, none", decided(scoring.Neither), 1800, 1000, 1800, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b, voter := f.NewRating(), f.NewRating(), f.NewVoter()
			a.Mean, b.Mean = c.meanA, c.meanB
			f.FoldMatchup(c.vote, &voter, &a, &b)
			if diff := cmp.Diff([]float64{c.wantA, c.wantB}, []float64{a.Mean, b.Mean}, about); diff != "" {
				t.Errorf("means (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFoldMatchupCounts(t *testing.T) {
	f := scoring.DefaultFolding()
	const one = scoring.Sum(1e9)
	sigma := math.Sqrt(350*350+100) * 0.98 // 343.14
	for _, c := range []struct {
		name string
		vote scoring.Vote
		a, b scoring.Rating
	}{
		{
			"win", decided(scoring.WinA),
			scoring.Rating{Sigma: sigma, Votes: 1, Wins: 1, Matchups: 1, MatchupWeight: one},
			scoring.Rating{Sigma: sigma, Votes: 1, Losses: 1, Matchups: 1, MatchupWeight: one},
		},
		{
			"super loss", super(scoring.WinB),
			scoring.Rating{Sigma: sigma, Votes: 5, Losses: 5, Matchups: 1, MatchupWeight: one},
			scoring.Rating{Sigma: sigma, Votes: 5, Wins: 5, Matchups: 1, MatchupWeight: one},
		},
		{
			"super tie", super(scoring.Tie),
			scoring.Rating{Sigma: sigma, Votes: 5, Ties: 5, Matchups: 1, MatchupWeight: one},
			scoring.Rating{Sigma: sigma, Votes: 5, Ties: 5, Matchups: 1, MatchupWeight: one},
		},
		{"none", decided(scoring.Neither), scoring.Rating{Sigma: 350, Skips: 1}, scoring.Rating{Sigma: 350, Skips: 1}},
		{"super none", super(scoring.Neither), scoring.Rating{Sigma: 350, Skips: 1}, scoring.Rating{Sigma: 350, Skips: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b, voter := f.NewRating(), f.NewRating(), f.NewVoter()
			if weight := f.FoldMatchup(c.vote, &voter, &a, &b); weight != one {
				t.Errorf("a new voter weighs %v, want 1", weight.Float())
			}
			a.Mean, b.Mean = 0, 0
			if diff := cmp.Diff([]scoring.Rating{c.a, c.b}, []scoring.Rating{a, b}); diff != "" {
				t.Errorf("ratings (-want +got):\n%s", diff)
			}
			if voter.Votes != 1 {
				t.Errorf("the voter has %d votes, want 1", voter.Votes)
			}
		})
	}
}

func TestSigma(t *testing.T) {
	for _, c := range []struct {
		name                string
		sigma, noise, decay float64
		want                float64
	}{
		{"start", 350, 10, 0.98, 343.139971440227},
		{"the noise outweighs the decay", 50, 10, 0.99, math.Sqrt(2600) * 0.99},
		{"floor", 50, 10, 0.98, 50},
		{"ceiling", 400, 10, 1, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := scoring.DefaultFolding()
			f.SigmaNoise, f.SigmaDecay = c.noise, c.decay
			a, b, voter := f.NewRating(), f.NewRating(), f.NewVoter()
			a.Sigma, b.Sigma = c.sigma, c.sigma
			f.FoldMatchup(decided(scoring.Tie), &voter, &a, &b)
			if math.Abs(a.Sigma-c.want) > 1e-9 || a.Sigma != b.Sigma {
				t.Errorf("sigmas are %v and %v, want %v", a.Sigma, b.Sigma, c.want)
			}
		})
	}
}

func TestReliability(t *testing.T) {
	f := scoring.DefaultFolding()
	for _, c := range []struct {
		name         string
		meanA, meanB float64
		vote         scoring.Vote
		before, want float64
		judged       int64
	}{
		{"agreed, full gap", 1400, 1000, decided(scoring.WinA), 1, 1.02, 1},
		{"agreed, beyond a full gap", 2000, 1000, decided(scoring.WinA), 1, 1.02, 1},
		{"agreed, half a gap", 1000, 1200, decided(scoring.WinB), 1, 1.015, 1},
		{"agreed, hardly a gap", 1200.0004, 1200, decided(scoring.WinA), 1, 1.01000001, 1},
		{"disagreed, full gap", 1400, 1000, decided(scoring.WinB), 1, 0.98, 1},
		{"disagreed, half a gap", 1000, 1200, decided(scoring.WinA), 1, 0.985, 1},
		{"super teaches the same", 1400, 1000, super(scoring.WinA), 1, 1.02, 1},
		{"ceiling", 1400, 1000, decided(scoring.WinA), 1.49, 1.5, 1},
		{"floor", 1400, 1000, decided(scoring.WinB), 0.51, 0.5, 1},
		{"equal means teach nothing", 1200, 1200, decided(scoring.WinA), 1, 1, 0},
		{"a tie teaches nothing", 1400, 1000, decided(scoring.Tie), 1, 1, 0},
		{"no choice teaches nothing", 1400, 1000, decided(scoring.Neither), 1, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := f.NewRating(), f.NewRating()
			a.Mean, b.Mean = c.meanA, c.meanB
			voter := scoring.Voter{Reliability: c.before}
			f.FoldMatchup(c.vote, &voter, &a, &b)
			if math.Abs(voter.Reliability-c.want) > 1e-12 || voter.Judged != c.judged {
				t.Errorf("reliability %v after %d judged, want %v after %d", voter.Reliability, voter.Judged, c.want, c.judged)
			}
		})
	}
}

func TestWeightIsThatOfBeforeTheVote(t *testing.T) {
	c := scoring.Defaults()
	for _, tt := range []struct {
		name   string
		judged int64
		want   float64
	}{
		{"too few judged", 2, 1},
		{"enough judged", 3, 1.4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			voter := scoring.Voter{Reliability: 1.4, Judged: tt.judged}
			a, b := c.NewRating(), c.NewRating()
			a.Mean = 1600
			if got := c.FoldMatchup(decided(scoring.WinA), &voter, &a, &b); got != scoring.ToSum(tt.want) {
				t.Errorf("the matchup weighs %v, want %v", got.Float(), tt.want)
			}
			if a.MatchupWeight != scoring.ToSum(tt.want) || voter.Reliability != 1.42 {
				t.Errorf("the rating got %v from a voter now at %v", a.MatchupWeight.Float(), voter.Reliability)
			}
		})
	}
}

// opinions folds votes of one voter on one NFT and returns all three states.
func opinions(votes ...scoring.Vote) (scoring.Voter, scoring.Rating, scoring.Opinion, []bool) {
	c := scoring.Defaults()
	voter, nft := c.NewVoter(), c.NewRating()
	var o scoring.Opinion
	var changed []bool
	for _, v := range votes {
		_, did := c.FoldOpinion(v, &voter, &nft, &o)
		changed = append(changed, did)
	}
	return voter, nft, o, changed
}

func at(minute int, kind scoring.Kind, value float64) scoring.Vote {
	return scoring.Vote{Kind: kind, Value: value, CastAt: noon.Add(time.Duration(minute) * time.Minute)}
}

func TestFoldFire(t *testing.T) {
	const fire, unfire, one = scoring.Fire, scoring.Unfire, scoring.Sum(1e9)
	for _, c := range []struct {
		name    string
		votes   []scoring.Vote
		changed []bool
		fires   int64
		given   int64 // FIRE votes counted
		castAt  int   // minute
	}{
		{"given", []scoring.Vote{at(1, fire, 0)}, []bool{true}, 1, 1, 1},
		{"given again", []scoring.Vote{at(1, fire, 0), at(2, fire, 0)}, []bool{true, false}, 1, 2, 2},
		{"withdrawn", []scoring.Vote{at(1, fire, 0), at(2, unfire, 0)}, []bool{true, true}, 0, 1, 2},
		{"withdrawal of none", []scoring.Vote{at(1, unfire, 0)}, []bool{false}, 0, 0, 1},
		{"withdrawn twice", []scoring.Vote{at(1, fire, 0), at(2, unfire, 0), at(3, unfire, 0)}, []bool{true, true, false}, 0, 1, 3},
		{"given anew", []scoring.Vote{at(1, fire, 0), at(2, unfire, 0), at(3, fire, 0)}, []bool{true, true, true}, 1, 2, 3},
		{"the withdrawal arrives first", []scoring.Vote{at(2, unfire, 0), at(1, fire, 0)}, []bool{false, false}, 0, 1, 2},
		{"a late withdrawal", []scoring.Vote{at(2, fire, 0), at(1, unfire, 0)}, []bool{true, false}, 1, 1, 2},
		{"at the same time the later folded stands", []scoring.Vote{at(1, fire, 0), at(1, unfire, 0)}, []bool{true, true}, 0, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			voter, nft, o, changed := opinions(c.votes...)
			if diff := cmp.Diff(c.changed, changed); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
			want := scoring.Rating{Mean: 1200, Sigma: 350, FireVotes: c.given, Fires: c.fires, FireWeight: one * scoring.Sum(c.fires)}
			if diff := cmp.Diff(want, nft); diff != "" {
				t.Errorf("rating (-want +got):\n%s", diff)
			}
			wantOpinion := scoring.Opinion{
				Standing: c.fires == 1, CastAt: noon.Add(time.Duration(c.castAt) * time.Minute), Weight: one * scoring.Sum(c.fires),
			}
			if diff := cmp.Diff(wantOpinion, o); diff != "" {
				t.Errorf("opinion (-want +got):\n%s", diff)
			}
			if voter.Votes != int64(len(c.votes)) {
				t.Errorf("the voter has %d votes, want %d", voter.Votes, len(c.votes))
			}
		})
	}
}

func TestFoldSlider(t *testing.T) {
	first := 50 + 20*math.Sqrt2 // 80 as a first rating: z = 25/√312.5 = √2
	t.Run("first", func(t *testing.T) {
		voter, nft, o, _ := opinions(at(1, scoring.Slider, 80))
		if diff := cmp.Diff(scoring.Calibration{N: 1, Mean: 80}, voter.Calibration); diff != "" {
			t.Errorf("calibration (-want +got):\n%s", diff)
		}
		score := scoring.ToSum(first)
		want := scoring.Rating{Mean: 1200, Sigma: 350, Votes: 1, SliderVotes: 1, Sliders: 1, SliderSum: score, SliderWeight: 1e9}
		if diff := cmp.Diff(want, nft); diff != "" {
			t.Errorf("rating (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(scoring.Opinion{Standing: true, Value: 80, CastAt: noon.Add(time.Minute), Weight: 1e9, Score: score}, o); diff != "" {
			t.Errorf("opinion (-want +got):\n%s", diff)
		}
	})

	t.Run("again", func(t *testing.T) {
		voter, nft, o, changed := opinions(at(1, scoring.Slider, 80), at(2, scoring.Slider, 40))
		if diff := cmp.Diff(scoring.Calibration{N: 2, Mean: 60, M2: 800}, voter.Calibration); diff != "" {
			t.Errorf("calibration (-want +got):\n%s", diff)
		}
		if !changed[1] || o.Value != 40 || nft.Sliders != 1 || nft.SliderVotes != 2 || nft.Votes != 2 {
			t.Errorf("the second rating left %+v and %+v", nft, o)
		}
		if nft.SliderSum != o.Score || nft.SliderWeight != o.Weight {
			t.Errorf("the sums %d and %d are not the opinion's %d and %d", nft.SliderSum, nft.SliderWeight, o.Score, o.Weight)
		}
	})

	t.Run("late", func(t *testing.T) {
		voter, nft, o, changed := opinions(at(2, scoring.Slider, 80), at(1, scoring.Slider, 40))
		if changed[1] || o.Value != 80 || nft.SliderSum != scoring.ToSum(first) {
			t.Errorf("a rating cast earlier replaced the later one: %+v", o)
		}
		if voter.Calibration.N != 2 || nft.SliderVotes != 2 || nft.Votes != 2 {
			t.Errorf("a rating that does not stand must count: %+v, %+v", voter, nft)
		}
	})

	t.Run("the same once more", func(t *testing.T) {
		_, nft, o, changed := opinions(at(1, scoring.Slider, 80), at(2, scoring.Slider, 80))
		if !changed[1] || o.Score >= scoring.ToSum(first) || nft.SliderSum != o.Score {
			t.Errorf("the same rating is normalised anew: %+v", o)
		}
	})

	t.Run("weighted", func(t *testing.T) {
		c := scoring.Defaults()
		voter, nft := scoring.Voter{Reliability: 1.5, Judged: 3}, c.NewRating()
		var o scoring.Opinion
		weight, _ := c.FoldOpinion(at(1, scoring.Slider, 80), &voter, &nft, &o)
		if weight != 15e8 || nft.SliderWeight != 15e8 || nft.SliderSum != scoring.ToSum(1.5*first) {
			t.Errorf("weight %v, sums %v and %v", weight.Float(), nft.SliderSum.Float(), nft.SliderWeight.Float())
		}
	})
}

func TestNamesOfKindsAndOutcomes(t *testing.T) {
	for k, name := range map[scoring.Kind]string{scoring.Matchup: "matchup", scoring.Slider: "slider", scoring.Fire: "fire", scoring.Unfire: "unfire"} {
		if got, ok := scoring.ParseKind(name); !ok || got != k || k.String() != name {
			t.Errorf("%q is %v (%v) and back %q", name, got, ok, k)
		}
	}
	for o, name := range map[scoring.Outcome]string{scoring.WinA: "a", scoring.WinB: "b", scoring.Tie: "tie", scoring.Neither: "none"} {
		if got, ok := scoring.ParseOutcome(name); !ok || got != o || o.String() != name {
			t.Errorf("%q is %v (%v) and back %q", name, got, ok, o)
		}
	}
	for _, name := range []string{"", "unknown", "A", "Fire", "fire "} {
		if k, ok := scoring.ParseKind(name); ok {
			t.Errorf("kind %q is %v", name, k)
		}
		if o, ok := scoring.ParseOutcome(name); ok {
			t.Errorf("outcome %q is %v", name, o)
		}
	}
	if got := scoring.Kind(9).String(); got != "unknown" {
		t.Errorf("an unknown kind is called %q", got)
	}
	if got := scoring.NoOutcome.String(); got != "" {
		t.Errorf("no outcome is called %q", got)
	}
}

func TestSum(t *testing.T) {
	for x, want := range map[float64]scoring.Sum{0: 0, 1: 1e9, 0.1: 1e8, 1.0 / 3: 333333333, 2.0 / 3: 666666667, -0.5: -5e8, 4e-10: 0, 6e-10: 1} {
		if got := scoring.ToSum(x); got != want {
			t.Errorf("ToSum(%v) = %d, want %d", x, got, want)
		}
	}
	if got := scoring.Sum(1_500_000_000).Float(); got != 1.5 {
		t.Errorf("Float() = %v, want 1.5", got)
	}
}
