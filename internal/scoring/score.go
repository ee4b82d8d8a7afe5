package scoring

import (
	"errors"
	"fmt"
	"math"
)

// Constants are all constants of the scoring.
type Constants struct {
	Folding
	Publishing
}

// Defaults returns the constants of POA v2.
func Defaults() Constants {
	return Constants{Folding: DefaultFolding(), Publishing: DefaultPublishing()}
}

// Components are the parts a score is made of.
type Components struct {
	Elo         float64 // 0 to 100
	Slider      float64 // 0 to 100
	Fire        float64 // 0 to 100
	Reliability float64 // R: mean weight of the votes behind the score
}

// Result is a score as the formula gives it.
type Result struct {
	POA        float64 // 0 to 100, rounded to 2 decimals
	Confidence float64 // percent, rounded to 2 decimals
	Components
	Provisional bool
}

// Spread returns the mean and standard deviation (at least SliderStdMin) that
// normalise the ratings of a voter with calibration c: the voter's own, blended
// with the prior.
func (p *Publishing) Spread(c Calibration) (mean, std float64) {
	n, prior := float64(c.N), p.SliderPriorCount
	mean = (prior*p.SliderPriorMean + n*c.Mean) / (prior + n)
	off := c.Mean - p.SliderPriorMean
	variance := (prior*p.SliderPriorStd*p.SliderPriorStd + c.M2 + prior*n/(prior+n)*off*off) / (prior + n)
	return mean, math.Max(p.SliderStdMin, math.Sqrt(variance))
}

// Normalise maps a slider rating (0 to 100) to what it means coming from a
// voter with calibration c, which includes it: 0 to 100.
func (p *Publishing) Normalise(x float64, c Calibration) float64 {
	mean, std := p.Spread(c)
	z := clamp((x-mean)/std, -p.SliderClamp, p.SliderClamp)
	return (z + p.SliderClamp) / (2 * p.SliderClamp) * 100
}

// SliderScore returns the contribution weight·normalised of a rating x.
func (p *Publishing) SliderScore(x float64, c Calibration, weight Sum) Sum {
	return ToSum(weight.Float() * p.Normalise(x, c))
}

// Score reads the score from a rating. It is false where no score exists yet
// (see Rating.Scorable).
func (p *Publishing) Score(r *Rating) (Result, bool) {
	if !r.Scorable() {
		return Result{}, false
	}
	c := Components{
		Elo:         clamp((r.Mean-p.EloFloor)/(p.EloCeiling-p.EloFloor)*100, 0, 100),
		Slider:      p.SliderNeutral,
		Reliability: r.Reliability(),
	}
	if r.Sliders > 0 {
		c.Slider = clamp(r.SliderSum.Float()/r.SliderWeight.Float(), 0, 100)
	}
	c.Fire = math.Min(100, 100*math.Log1p(r.FireWeight.Float())/math.Log1p(p.FireSaturation))
	elo, slider, fire := p.Shares(c)
	sum := elo + slider + fire
	return Result{
		POA:         round2(math.Min(100, c.Reliability*sum)),
		Confidence:  round2(clamp((1-r.Sigma/p.SigmaScale)*100, 0, 100)),
		Components:  c,
		Provisional: r.Matchups < p.Provisional,
	}, true
}

// Shares returns what each component adds to the sum that reliability scales:
// the component times its weight.
func (p *Publishing) Shares(c Components) (elo, slider, fire float64) {
	return p.EloWeight * c.Elo, p.SliderWeight * c.Slider, p.FireWeight * c.Fire
}

// Terms is the number of votes R averages over: decided and tied matchups and
// standing opinions, one each.
func (r *Rating) Terms() int64 { return r.Matchups + r.Sliders + r.Fires }

// Reliability returns R: the mean weight over Terms, 1 where there is none.
func (r *Rating) Reliability() float64 {
	n := r.Terms()
	if n == 0 {
		return 1
	}
	return (r.MatchupWeight + r.SliderWeight + r.FireWeight).Float() / float64(n)
}

// Explain says in one sentence how the components c make up poa.
func (p *Publishing) Explain(poa float64, c Components) string {
	return fmt.Sprintf("POA %.2f = reliability %.3f × (%.0f%% of Elo %.2f + %.0f%% of slider %.2f + %.0f%% of FIRE %.2f)",
		poa, c.Reliability, p.EloWeight*100, c.Elo, p.SliderWeight*100, c.Slider, p.FireWeight*100, c.Fire)
}

func round2(x float64) float64 { return math.Round(x*100) / 100 }

// Validate reports every constant out of its range, joined.
func (c Constants) Validate() error {
	return errors.Join(c.Folding.Validate(), c.Publishing.Validate())
}
