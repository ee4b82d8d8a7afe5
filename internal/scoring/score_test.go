package scoring_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"poa/internal/scoring"
)

// once is a rating with one matchup of weight 1, so R = 1.
func once(mean, sigma float64) scoring.Rating {
	return scoring.Rating{Mean: mean, Sigma: sigma, Matchups: 1, MatchupWeight: 1e9}
}

// TestPublishedValues holds the values published for the original system: R = 1,
// no FIRE, the slider component at its neutral 50.
func TestPublishedValues(t *testing.T) {
	for _, c := range []struct {
		name                       string
		mean, sigma                float64
		wantElo, wantPOA, wantConf float64
	}{
		{"Elo component 32.17", 800 + 12*32.17, 350, 32.17, 27.87, 12.5},
		{"Elo component 30.58", 800 + 12*30.58, 350, 30.58, 27.23, 12.5},
		{"mean 631, sigma 150", 631, 150, 0, 15.00, 62.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := scoring.DefaultPublishing()
			r := once(c.mean, c.sigma)
			got, ok := p.Score(&r)
			want := scoring.Result{
				POA: c.wantPOA, Confidence: c.wantConf, Provisional: true,
				Components: scoring.Components{Elo: c.wantElo, Slider: 50, Fire: 0, Reliability: 1},
			}
			if diff := cmp.Diff(want, got, about); !ok || diff != "" {
				t.Errorf("score exists: %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestScore(t *testing.T) {
	p := scoring.DefaultPublishing()
	const unit = 1e9
	for _, c := range []struct {
		name   string
		rating scoring.Rating
		want   scoring.Result
	}{
		{
			"all three components", // 1.1 · (0.4·50 + 0.3·80 + 0.3·50)
			scoring.Rating{
				Mean: 1400, Sigma: 100, Matchups: 10, MatchupWeight: 11.3 * unit,
				Sliders: 2, SliderSum: 160 * unit, SliderWeight: 2 * unit, Fires: 1, FireWeight: 1 * unit,
			},
			scoring.Result{POA: 64.9, Confidence: 75, Components: scoring.Components{Elo: 50, Slider: 80, Fire: 50, Reliability: 1.1}},
		},
		{
			"only a slider rating", // 0.8 · (0.4·33.33 + 0.3·75)
			scoring.Rating{Mean: 1200, Sigma: 350, Sliders: 1, SliderSum: 60 * unit, SliderWeight: 0.8 * unit},
			scoring.Result{POA: 28.67, Confidence: 12.5, Provisional: true, Components: scoring.Components{Elo: 100.0 / 3, Slider: 75, Reliability: 0.8}},
		},
		{
			"only FIRE", // 1.5 · (0.4·33.33 + 0.3·50 + 0.3·ln 2.5/ln 4)
			scoring.Rating{Mean: 1200, Sigma: 350, Fires: 1, FireWeight: 1.5 * unit},
			scoring.Result{
				POA: 72.24, Confidence: 12.5, Provisional: true,
				Components: scoring.Components{Elo: 100.0 / 3, Slider: 50, Fire: 100 * math.Log(2.5) / math.Log(4), Reliability: 1.5},
			},
		},
		{
			"everything at its ceiling",
			scoring.Rating{
				Mean: 5000, Sigma: 50, Matchups: 20, MatchupWeight: 30 * unit,
				Sliders: 1, SliderSum: 150 * unit, SliderWeight: 1.5 * unit, Fires: 9, FireWeight: 13.5 * unit,
			},
			scoring.Result{POA: 100, Confidence: 87.5, Components: scoring.Components{Elo: 100, Slider: 100, Fire: 100, Reliability: 1.5}},
		},
		{
			"everything at its floor",
			scoring.Rating{Mean: -5000, Sigma: 400, Matchups: 9, MatchupWeight: 4 * unit, Sliders: 1, SliderWeight: 1 * unit},
			scoring.Result{Provisional: true, Components: scoring.Components{Reliability: 0.5}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := p.Score(&c.rating)
			if diff := cmp.Diff(c.want, got, about); !ok || diff != "" {
				t.Errorf("score exists: %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestScoreExists(t *testing.T) {
	p := scoring.DefaultPublishing()
	for _, c := range []struct {
		name   string
		rating scoring.Rating
		want   bool
	}{
		{"no vote", scoring.Rating{Mean: 1200, Sigma: 350}, false},
		{"only skips", scoring.Rating{Mean: 1200, Sigma: 350, Skips: 30}, false},
		{"only a FIRE that was withdrawn", scoring.Rating{Mean: 1200, Sigma: 350, FireVotes: 1}, false},
		{"a matchup", once(1200, 350), true},
		{"a slider rating", scoring.Rating{Mean: 1200, Sigma: 350, Sliders: 1, SliderWeight: 1e9}, true},
		{"a FIRE", scoring.Rating{Mean: 1200, Sigma: 350, Fires: 1, FireWeight: 1e9}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := p.Score(&c.rating)
			if ok != c.want || c.rating.Scorable() != c.want {
				t.Errorf("exists: %v, scorable: %v, want %v", ok, c.rating.Scorable(), c.want)
			}
			if !ok && got != (scoring.Result{}) {
				t.Errorf("a score that does not exist is %+v", got)
			}
		})
	}
}

func TestReliabilityOfNothing(t *testing.T) {
	if got := new(scoring.Rating).Reliability(); got != 1 {
		t.Errorf("R of no votes is %v, want 1", got)
	}
}

func TestNormalise(t *testing.T) {
	p := scoring.DefaultPublishing()
	for _, c := range []struct {
		name              string
		x                 float64
		calibration       scoring.Calibration
		mean, std, wanted float64
	}{
		{"the prior alone", 50, scoring.Calibration{}, 50, 15, 50},
		{"one standard deviation", 65, scoring.Calibration{}, 50, 15, 70},
		{"first rating", 80, scoring.Calibration{N: 1, Mean: 80}, 55, math.Sqrt(312.5), 50 + 20*math.Sqrt2},
		{"a generous voter's 80", 80, scoring.Calibration{N: 95, Mean: 80, M2: 95 * 100}, 78.5, math.Sqrt(149), 50 + 30/math.Sqrt(149)}, // variance (1125 + 9500 + 4275)/100
		{"a voter who always gives 50", 50, scoring.Calibration{N: 1000, Mean: 50}, 50, 5, 50},
		{"far above", 100, scoring.Calibration{N: 1000, Mean: 50}, 50, 5, 100},
		{"far below", 0, scoring.Calibration{N: 1000, Mean: 50}, 50, 5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			mean, std := p.Spread(c.calibration)
			got := []float64{mean, std, p.Normalise(c.x, c.calibration)}
			if diff := cmp.Diff([]float64{c.mean, c.std, c.wanted}, got, about); diff != "" {
				t.Errorf("mean, std and normalised (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFireComponent(t *testing.T) {
	p := scoring.DefaultPublishing()
	for weight, want := range map[float64]float64{0: 0, 1: 50, 2: 100 * math.Log(3) / math.Log(4), 3: 100, 3.5: 100, 300: 100} {
		r := once(1200, 350)
		r.Fires, r.FireWeight = 1, scoring.ToSum(weight)
		if got, _ := p.Score(&r); math.Abs(got.Fire-want) > 1e-9 {
			t.Errorf("FIRE weighing %v makes %v, want %v", weight, got.Fire, want)
		}
	}
}

func TestProvisional(t *testing.T) {
	p := scoring.DefaultPublishing()
	for matchups, want := range map[int64]bool{1: true, 9: true, 10: false, 11: false} {
		r := scoring.Rating{Matchups: matchups, MatchupWeight: 1e9, Sliders: 50, SliderWeight: 1e9}
		if got, _ := p.Score(&r); got.Provisional != want {
			t.Errorf("after %d matchups provisional is %v, want %v", matchups, got.Provisional, want)
		}
	}
}

func TestExplain(t *testing.T) {
	p := scoring.DefaultPublishing()
	c := scoring.Components{Elo: 50, Slider: 80.004, Fire: 50, Reliability: 1.1}
	want := "POA 64.90 = reliability 1.100 × (40% of Elo 50.00 + 30% of slider 80.00 + 30% of FIRE 50.00)"
	if got := p.Explain(64.9, c); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
