package scoring

import (
	"errors"
	"fmt"
	"math"
)

// Folding holds the constants that shape what is stored: means, sigmas,
// counts and voter reliability. They are fixed when a database is created.
type Folding struct {
	StartMean  float64 `koanf:"start_mean" json:"start_mean"`   // Elo mean of an NFT nobody has judged
	StartSigma float64 `koanf:"start_sigma" json:"start_sigma"` // its uncertainty
	EloScale   float64 `koanf:"elo_scale" json:"elo_scale"`     // mean difference at which the odds are 10 to 1
	K          float64 `koanf:"k" json:"k"`                     // largest step of a mean after a regular matchup
	SuperK     float64 `koanf:"super_k" json:"super_k"`         // and after a super one
	SuperVotes int64   `koanf:"super_votes" json:"super_votes"` // votes that a super vote counts as

	SigmaNoise float64 `koanf:"sigma_noise" json:"sigma_noise"` // added to sigma (in quadrature) before each matchup
	SigmaDecay float64 `koanf:"sigma_decay" json:"sigma_decay"` // factor by which a matchup shrinks sigma, (0, 1]
	SigmaMin   float64 `koanf:"sigma_min" json:"sigma_min"`
	SigmaMax   float64 `koanf:"sigma_max" json:"sigma_max"`

	ReliabilityStart     float64 `koanf:"reliability_start" json:"reliability_start"`
	ReliabilityMin       float64 `koanf:"reliability_min" json:"reliability_min"`
	ReliabilityMax       float64 `koanf:"reliability_max" json:"reliability_max"`
	ReliabilityStep      float64 `koanf:"reliability_step" json:"reliability_step"`             // reward of a judged vote before the two factors below
	ReliabilityBase      float64 `koanf:"reliability_base" json:"reliability_base"`             // share of the step that does not depend on the gap, [0, 1]
	ReliabilityGapScale  float64 `koanf:"reliability_gap_scale" json:"reliability_gap_scale"`   // mean difference that counts as a full gap
	ReliabilityRate      float64 `koanf:"reliability_rate" json:"reliability_rate"`             // learning rate, (0, 1]
	ReliabilityMinJudged int64   `koanf:"reliability_min_judged" json:"reliability_min_judged"` // judged votes before a voter's reliability weighs
}

// DefaultFolding returns the folding constants of POA v2.
func DefaultFolding() Folding {
	return Folding{
		StartMean: 1200, StartSigma: 350, EloScale: 400, K: 32, SuperK: 64, SuperVotes: 5,
		SigmaNoise: 10, SigmaDecay: 0.98, SigmaMin: 50, SigmaMax: 400,
		ReliabilityStart: 1, ReliabilityMin: 0.5, ReliabilityMax: 1.5,
		ReliabilityStep: 0.10, ReliabilityBase: 0.5, ReliabilityGapScale: 400,
		ReliabilityRate: 0.2, ReliabilityMinJudged: 3,
	}
}

// Publishing holds the constants that turn stored state into a score. A change
// makes a new scoring version; it never touches a mean, a sigma or a voter.
type Publishing struct {
	EloFloor     float64 `koanf:"elo_floor" json:"elo_floor"`         // mean that scores 0
	EloCeiling   float64 `koanf:"elo_ceiling" json:"elo_ceiling"`     // mean that scores 100
	EloWeight    float64 `koanf:"elo_weight" json:"elo_weight"`       // the three weights sum to 1
	SliderWeight float64 `koanf:"slider_weight" json:"slider_weight"` //
	FireWeight   float64 `koanf:"fire_weight" json:"fire_weight"`     //

	SliderNeutral  float64 `koanf:"slider_neutral" json:"slider_neutral"`       // slider component without any rating, [0, 100]
	FireSaturation float64 `koanf:"fire_saturation" json:"fire_saturation"`     // summed FIRE weight that scores 100
	SigmaScale     float64 `koanf:"sigma_scale" json:"sigma_scale"`             // sigma at which confidence is 0
	Provisional    int64   `koanf:"provisional_below" json:"provisional_below"` // matchups below which a score is provisional

	SliderPriorCount float64 `koanf:"slider_prior_count" json:"slider_prior_count"` // weight of the calibration prior, in ratings
	SliderPriorMean  float64 `koanf:"slider_prior_mean" json:"slider_prior_mean"`
	SliderPriorStd   float64 `koanf:"slider_prior_std" json:"slider_prior_std"`
	SliderStdMin     float64 `koanf:"slider_std_min" json:"slider_std_min"` // smallest spread a voter is credited with
	SliderClamp      float64 `koanf:"slider_clamp" json:"slider_clamp"`     // z beyond which a rating counts as the extreme
}

// DefaultPublishing returns the publishing constants of POA v2.
func DefaultPublishing() Publishing {
	return Publishing{
		EloFloor: 800, EloCeiling: 2000, EloWeight: 0.40, SliderWeight: 0.30, FireWeight: 0.30,
		SliderNeutral: 50, FireSaturation: 3, SigmaScale: 400, Provisional: 10,
		SliderPriorCount: 5, SliderPriorMean: 50, SliderPriorStd: 15, SliderStdMin: 5, SliderClamp: 2.5,
	}
}

// Validate reports every constant out of its range, joined.
func (f Folding) Validate() error {
	var c checks
	c.finite("start_mean", f.StartMean)
	c.positive("elo_scale", f.EloScale)
	c.positive("k", f.K)
	c.positive("super_k", f.SuperK)
	c.that("super_votes", f.SuperVotes >= 1 && f.SuperVotes <= 1000, "must be from 1 to 1000, is %d", f.SuperVotes)
	c.within("sigma_noise", f.SigmaNoise, 0, 1e6)
	c.positive("sigma_decay", f.SigmaDecay)
	c.within("sigma_decay", f.SigmaDecay, 0, 1)
	c.positive("sigma_min", f.SigmaMin)
	c.below("sigma_min", f.SigmaMin, "sigma_max", f.SigmaMax)
	c.within("start_sigma", f.StartSigma, f.SigmaMin, f.SigmaMax)
	c.within("reliability_min", f.ReliabilityMin, 0.001, 10)
	c.within("reliability_max", f.ReliabilityMax, 0.001, 10)
	c.below("reliability_min", f.ReliabilityMin, "reliability_max", f.ReliabilityMax)
	c.within("reliability_start", f.ReliabilityStart, f.ReliabilityMin, f.ReliabilityMax)
	c.within("reliability_step", f.ReliabilityStep, 0, 1)
	c.within("reliability_base", f.ReliabilityBase, 0, 1)
	c.positive("reliability_gap_scale", f.ReliabilityGapScale)
	c.within("reliability_rate", f.ReliabilityRate, 0, 1)
	c.that("reliability_min_judged", f.ReliabilityMinJudged >= 0, "must not be negative, is %d", f.ReliabilityMinJudged)
	return c.err()
}

// Validate reports every constant out of its range, joined.
func (p Publishing) Validate() error {
	var c checks
	c.below("elo_floor", p.EloFloor, "elo_ceiling", p.EloCeiling)
	c.within("elo_weight", p.EloWeight, 0, 1)
	c.within("slider_weight", p.SliderWeight, 0, 1)
	c.within("fire_weight", p.FireWeight, 0, 1)
	sum := p.EloWeight + p.SliderWeight + p.FireWeight
	c.that("elo_weight", math.Abs(sum-1) <= 1e-9, "the three component weights must sum to 1, they sum to %v", sum)
	c.within("slider_neutral", p.SliderNeutral, 0, 100)
	c.positive("fire_saturation", p.FireSaturation)
	c.positive("sigma_scale", p.SigmaScale)
	c.that("provisional_below", p.Provisional >= 0, "must not be negative, is %d", p.Provisional)
	c.positive("slider_prior_count", p.SliderPriorCount)
	c.within("slider_prior_mean", p.SliderPriorMean, 0, 100)
	c.positive("slider_prior_std", p.SliderPriorStd)
	c.positive("slider_std_min", p.SliderStdMin)
	c.positive("slider_clamp", p.SliderClamp)
	return c.err()
}

// checks collects the constants that are out of range.
type checks []error

func (c *checks) that(name string, ok bool, format string, args ...any) {
	if !ok {
		*c = append(*c, fmt.Errorf("%s: "+format, append([]any{name}, args...)...))
	}
}

func (c *checks) finite(name string, x float64) {
	c.that(name, !math.IsNaN(x) && !math.IsInf(x, 0), "must be a finite number, is %v", x)
}

func (c *checks) positive(name string, x float64) {
	c.that(name, x > 0 && !math.IsInf(x, 0), "must be a positive number, is %v", x)
}

func (c *checks) within(name string, x, low, high float64) {
	c.that(name, x >= low && x <= high, "must be from %v to %v, is %v", low, high, x)
}

func (c *checks) below(name string, low float64, otherName string, high float64) {
	c.finite(name, low)
	c.finite(otherName, high)
	c.that(name, low < high, "must be below %s (%v), is %v", otherName, high, low)
}

func (c checks) err() error { return errors.Join(c...) }
