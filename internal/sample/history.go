package sample

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
)

// History returns the votes cast up to the game's end, oldest first. Their keys
// name the seed and the end, so the same game twice in one database counts
// once. Who votes on what, and how, follows from the seed alone.
func (g *Game) History() iter.Seq[ledger.Vote] {
	return func(yield func(ledger.Vote) bool) {
		c := &cast{g: g, rng: rand.New(rand.NewPCG(g.seed, streamHistory))}
		times := g.times(rand.New(rand.NewPCG(g.seed, streamTimes)))
		for i, m := range g.plan {
			v := c.vote(m, times[i])
			v.Key = fmt.Sprintf("sample-%d-%d-%d", g.seed, g.end.Unix(), i+1)
			if !yield(v) {
				return
			}
		}
	}
}

// Votes returns the length of the history.
func (g *Game) Votes() int { return len(g.plan) }

// times returns ascending times for the plan: more of them lately than early,
// and most in the evening (UTC). How much it reads of rng depends on the hour
// at which the game ends.
func (g *Game) times(rng *rand.Rand) []time.Time {
	start := g.end.Add(-g.span)
	times := make([]time.Time, 0, len(g.plan))
	for len(times) < len(g.plan) {
		t := start.Add(time.Duration(math.Pow(rng.Float64(), 0.8) * float64(g.span))).Truncate(time.Microsecond)
		hour := float64(t.Hour()) + float64(t.Minute())/60
		if rng.Float64() < 0.55+0.45*math.Cos((hour-20)/24*2*math.Pi) {
			times = append(times, t)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// sparsePlan plans a history in which exactly heavy NFTs have 5 votes or more
// (a super vote counting 5), one of them most and the others fewer, and light
// NFTs have 1 to 4. FIRE votes and skips, which do not count, come on top.
func (g *Game) sparsePlan(heavy, most, light int) []move {
	rng := rand.New(rand.NewPCG(g.seed, streamPlan))
	order := rng.Perm(len(g.nfts))
	left := make([]int, heavy+light) // votes wanted by order[i]
	tail := make([]float64, most-5)  // law of 5, 6, … most-1
	for i := range tail {
		tail[i] = math.Pow(float64(i+5), -2)
	}
	heavyLaw, lightLaw := newAlias(tail), newAlias([]float64{0.5, 0.25, 0.15, 0.1})
	for i := range left {
		switch {
		case i == 0:
			left[i] = most
		case i < heavy:
			left[i] = 5 + heavyLaw.draw(rng)
		default:
			left[i] = 1 + lightLaw.draw(rng)
		}
	}
	var plan []move
	for i := 0; i+1 < heavy/5; i += 2 {
		plan = append(plan, move{kind: scoring.Matchup, super: true, a: order[i], b: order[i+1]})
		left[i] -= 5
		left[i+1] -= 5
	}
	var wanted []int // an NFT once for each vote it still wants
	for i, n := range left {
		wanted = append(wanted, slices.Repeat([]int{order[i]}, n)...)
	}
	rng.Shuffle(len(wanted), func(i, j int) { wanted[i], wanted[j] = wanted[j], wanted[i] })
	for len(wanted) > 0 {
		m := move{kind: scoring.Matchup, a: wanted[0]}
		if rng.Float64() < 0.1 || len(wanted) == 1 || wanted[1] == wanted[0] {
			m.kind = scoring.Slider
			wanted = wanted[1:]
		} else {
			m.b = wanted[1]
			wanted = wanted[2:]
		}
		plan = append(plan, m)
	}
	for range len(plan) / 50 {
		plan = append(plan, g.uncounted(rng, func() int { return order[rng.IntN(heavy)] }))
	}
	rng.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	return plan
}

// uncounted returns a FIRE, a withdrawal or a skip.
func (g *Game) uncounted(rng *rand.Rand, pick func() int) move {
	switch p := rng.Float64(); {
	case p < 0.60:
		return move{kind: scoring.Fire, a: g.better(pick(), pick())}
	case p < 0.70:
		return move{kind: scoring.Unfire, a: g.better(pick(), pick())}
	}
	m := move{kind: scoring.Matchup, skip: true, a: pick()}
	for m.b = pick(); m.b == m.a; {
		m.b = pick()
	}
	return m
}

// better returns the NFT with the higher quality.
func (g *Game) better(a, b int) int {
	if g.nfts[a].quality > g.nfts[b].quality {
		return a
	}
	return b
}

// densePlan plans n votes on all NFTs, some of them more popular than others.
func (g *Game) densePlan(n int) []move {
	rng := rand.New(rand.NewPCG(g.seed, streamPlan))
	order, popular := rng.Perm(len(g.nfts)), newZipf(len(g.nfts), 0.5)
	plan := make([]move, n)
	for i := range plan {
		plan[i] = g.move(rng, func() int { return order[popular.draw(rng)] })
	}
	return plan
}

// move returns a vote of any kind on NFTs that pick draws.
func (g *Game) move(rng *rand.Rand, pick func() int) move {
	p := rng.Float64()
	switch {
	case p < 0.06:
		return g.uncounted(rng, pick)
	case p < 0.18:
		return move{kind: scoring.Slider, a: pick()}
	}
	m := move{kind: scoring.Matchup, super: p > 0.96, a: pick()}
	for m.b = pick(); m.b == m.a; {
		m.b = pick()
	}
	return m
}

// Live is the game going on after its history. It is not safe for concurrent
// use.
type Live struct {
	cast
	n int
}

// Live returns a stream of further votes.
func (g *Game) Live() *Live {
	return &Live{cast: cast{g: g, rng: rand.New(rand.NewPCG(g.seed, streamLive))}}
}

// Next returns the next vote, cast at a given time. Keys name the time, so that
// a stream started again in the same database goes on with new votes.
func (l *Live) Next(at time.Time) ledger.Vote {
	l.n++
	at = at.UTC().Truncate(time.Microsecond)
	v := l.vote(l.g.move(l.rng, l.pick), at)
	v.Key = fmt.Sprintf("live-%d-%d-%d", l.g.seed, at.UnixMicro(), l.n)
	return v
}

// pick draws mostly NFTs that have votes, and of these some much more often
// than others, so that milestones and high activity are reached while watching.
func (l *Live) pick() int {
	switch p := l.rng.Float64(); {
	case p < 0.3:
		return l.rng.IntN(len(l.g.nfts))
	case p < 0.7:
		return l.g.chosen[l.rng.IntN(len(l.g.chosen))]
	}
	return l.g.chosen[l.rng.IntN(min(40, len(l.g.chosen)))]
}
