// Package scoring holds the POA v2 formulas: how a vote is folded into the
// ratings of its NFTs and into its voter, and how a score is read from a
// rating. It is pure: no I/O, no clock, no randomness.
//
// Ids of NFTs and voters do not occur here: callers pass the states that a
// vote touches.
package scoring

import (
	"math"
	"time"
)

// Kind is what a vote expresses.
type Kind uint8

// The kinds of vote. The numbers are stored: do not renumber.
const (
	Matchup Kind = 1 // two NFTs compared
	Slider  Kind = 2 // one NFT rated from 0 to 100
	Fire    Kind = 3 // one NFT given FIRE
	Unfire  Kind = 4 // a FIRE withdrawn
)

func (k Kind) String() string {
	switch k {
	case Matchup:
		return "matchup"
	case Slider:
		return "slider"
	case Fire:
		return "fire"
	case Unfire:
		return "unfire"
	}
	return "unknown"
}

// ParseKind is the inverse of Kind.String.
func ParseKind(s string) (Kind, bool) {
	for k := Matchup; k <= Unfire; k++ {
		if k.String() == s {
			return k, true
		}
	}
	return 0, false
}

// Outcome is the result of a matchup. Votes of other kinds have NoOutcome.
type Outcome uint8

// The outcomes of a matchup. The numbers are stored: do not renumber.
const (
	NoOutcome Outcome = 0
	WinA      Outcome = 1
	WinB      Outcome = 2
	Tie       Outcome = 3
	Neither   Outcome = 4 // the voter chose none: counted as a skip, changes no rating
)

func (o Outcome) String() string {
	switch o {
	case WinA:
		return "a"
	case WinB:
		return "b"
	case Tie:
		return "tie"
	case Neither:
		return "none"
	}
	return ""
}

// ParseOutcome is the inverse of Outcome.String.
func ParseOutcome(s string) (Outcome, bool) {
	for o := WinA; o <= Neither; o++ {
		if o.String() == s {
			return o, true
		}
	}
	return NoOutcome, false
}

// Sum is a fixed-point number in units of 1e-9. The sums a score needs are
// kept this way so that they are exact whatever the order of additions and
// withdrawals, in Go and in either database. The range is ±9.2e9.
type Sum int64

const sumUnit = 1e9

// ToSum rounds x to the nearest representable Sum.
func ToSum(x float64) Sum { return Sum(math.Round(x * sumUnit)) }

// Float returns the value of s.
func (s Sum) Float() float64 { return float64(s) / sumUnit }

// Vote is what the fold needs to know of a vote.
type Vote struct {
	Kind    Kind
	Super   bool
	Outcome Outcome
	Value   float64 // slider rating, 0 to 100
	CastAt  time.Time
}

// Rating is the running state of an NFT.
type Rating struct {
	Mean  float64 // Elo mean
	Sigma float64 // Elo uncertainty

	// Weighted counts: a super vote counts Folding.SuperVotes, any other 1.
	Votes, Wins, Losses, Ties int64
	// Plain counts of votes by kind. Matchups are the decided and tied ones,
	// Skips those without a choice.
	Matchups, Skips, SliderVotes, FireVotes int64

	// The sums of the standing state; each with the number of its terms.
	MatchupWeight Sum   // Σ r over Matchups
	Sliders       int64 // standing slider ratings
	SliderSum     Sum   // Σ r·normalised over them
	SliderWeight  Sum   // Σ r over them
	Fires         int64 // standing FIRE votes
	FireWeight    Sum   // Σ r over them
}

// Scorable reports whether a score exists: there is a decided or tied matchup,
// or a standing opinion.
func (r *Rating) Scorable() bool { return r.Matchups > 0 || r.Sliders > 0 || r.Fires > 0 }

// Voter is the running state of a voter.
type Voter struct {
	Reliability float64
	Judged      int64 // matchups that taught something about the voter
	Votes       int64 // votes cast, all kinds, each counting 1

	Calibration Calibration
}

// Calibration is the running count, mean and sum of squared deviations
// (Welford) of all slider ratings a voter gave.
type Calibration struct {
	N        int64
	Mean, M2 float64
}

// Opinion is a voter's standing slider rating of an NFT, or standing FIRE.
type Opinion struct {
	Standing bool      // false: withdrawn
	Value    float64   // slider rating, 0 to 100; 0 for a FIRE
	CastAt   time.Time // of the vote that set it
	Weight   Sum       // r, as it is in the NFT's sums now; 0 when withdrawn
	Score    Sum       // r·normalised, likewise; 0 for a FIRE
}

// NewRating returns the state of an NFT without votes.
func (f *Folding) NewRating() Rating { return Rating{Mean: f.StartMean, Sigma: f.StartSigma} }

// NewVoter returns the state of a voter without votes.
func (f *Folding) NewVoter() Voter { return Voter{Reliability: f.ReliabilityStart} }

// Weight returns what a vote by v weighs now: the reliability, or 1 until
// enough votes were judged.
func (f *Folding) Weight(v *Voter) Sum {
	if v.Judged < f.ReliabilityMinJudged {
		return ToSum(1)
	}
	return ToSum(v.Reliability)
}

// FoldMatchup folds a matchup vote into both NFTs and the voter and returns
// the weight it was given.
func (f *Folding) FoldMatchup(v Vote, voter *Voter, a, b *Rating) Sum {
	weight := f.Weight(voter)
	voter.Votes++
	if v.Outcome == Neither {
		a.Skips++
		b.Skips++
		return weight
	}
	meanA, meanB := a.Mean, b.Mean
	k, votes := f.K, int64(1)
	if v.Super {
		k, votes = f.SuperK, f.SuperVotes
	}
	score := 0.5
	switch v.Outcome {
	case WinA:
		score = 1
		a.Wins += votes
		b.Losses += votes
	case WinB:
		score = 0
		a.Losses += votes
		b.Wins += votes
	default:
		a.Ties += votes
		b.Ties += votes
	}
	expected := 1 / (1 + math.Pow(10, (meanB-meanA)/f.EloScale))
	step := k * (score - expected)
	a.Mean = meanA + step
	b.Mean = meanB - step
	for _, r := range [2]*Rating{a, b} {
		r.Sigma = clamp(math.Sqrt(r.Sigma*r.Sigma+f.SigmaNoise*f.SigmaNoise)*f.SigmaDecay, f.SigmaMin, f.SigmaMax)
		r.Votes += votes
		r.Matchups++
		r.MatchupWeight += weight
	}
	if v.Outcome != Tie && meanA != meanB {
		f.judge(voter, math.Abs(meanA-meanB), (v.Outcome == WinA) == (meanA > meanB))
	}
	return weight
}

// judge moves a voter's reliability after a decided matchup between means that
// differ by diff, up when the voter chose the higher one.
func (f *Folding) judge(v *Voter, diff float64, agreed bool) {
	gap := math.Min(1, diff/f.ReliabilityGapScale)
	step := f.ReliabilityStep * (f.ReliabilityBase + (1-f.ReliabilityBase)*gap) * f.ReliabilityRate
	if !agreed {
		step = -step
	}
	v.Reliability = clamp(v.Reliability+step, f.ReliabilityMin, f.ReliabilityMax)
	v.Judged++
}

// FoldOpinion folds a slider, FIRE or unfire vote into its NFT, its voter and
// the voter's opinion of that NFT (the zero Opinion where there is none), and
// returns the weight it was given and whether the standing opinion changed.
//
// The opinion with the latest CastAt stands, whatever the order of arrival;
// of two with the same CastAt the one folded later. A FIRE that stands already
// and a withdrawal of none are recorded and change nothing.
func (c *Constants) FoldOpinion(v Vote, voter *Voter, nft *Rating, o *Opinion) (Sum, bool) {
	weight := c.Weight(voter)
	voter.Votes++
	switch v.Kind {
	case Slider:
		nft.Votes++
		nft.SliderVotes++
		voter.Calibration.add(v.Value)
	case Fire:
		nft.FireVotes++
	}
	if !o.CastAt.IsZero() && v.CastAt.Before(o.CastAt) {
		return weight, false
	}
	before := *o
	o.CastAt = v.CastAt
	if v.Kind != Slider && o.Standing == (v.Kind == Fire) {
		return weight, false
	}
	o.Standing = v.Kind != Unfire
	o.Value, o.Weight, o.Score = 0, 0, 0
	if o.Standing {
		o.Weight = weight
	}
	if v.Kind == Slider {
		o.Value = v.Value
		o.Score = c.SliderScore(v.Value, voter.Calibration, weight)
	}
	nft.replace(v.Kind == Slider, before, *o)
	return weight, true
}

// replace moves an opinion's contribution in the sums from before to after.
func (r *Rating) replace(slider bool, before, after Opinion) {
	count := int64(0)
	if after.Standing {
		count++
	}
	if before.Standing {
		count--
	}
	if slider {
		r.Sliders += count
		r.SliderSum += after.Score - before.Score
		r.SliderWeight += after.Weight - before.Weight
		return
	}
	r.Fires += count
	r.FireWeight += after.Weight - before.Weight
}

func (c *Calibration) add(x float64) {
	c.N++
	delta := x - c.Mean
	c.Mean += delta / float64(c.N)
	c.M2 += delta * (x - c.Mean)
}

func clamp(x, low, high float64) float64 { return math.Min(high, math.Max(low, x)) }
