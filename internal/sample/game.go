// Package sample generates a game: collections of NFTs, voters of differing
// taste and diligence, the votes they cast so far and the votes they go on to
// cast. Demo, benchmark and tests run on it. Everything follows from a seed,
// but for the times of votes and their keys, which follow from the seed and the
// time at which the history ends.
package sample

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"poa/internal/artwork"
	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// traits is the number of dimensions in which NFTs differ and tastes with them.
const traits = 3

// Game is a generated game. It does not change: its iterators can be used any
// number of times and concurrently.
type Game struct {
	seed     uint64
	end      time.Time
	span     time.Duration
	nfts     []nft
	voters   []voter
	activity *alias // of voters
	plan     []move // the votes of the history, without who, when and how
	chosen   []int  // NFTs that have votes, shuffled
}

type nft struct {
	collection string
	serial     int     // within the collection, from 1
	quality    float64 // what voters agree on: standard normal, shifted by collection
	trait      [traits]float64
}

// id is "kabu-12" for Kabu #12.
func (n *nft) id() string {
	return fmt.Sprintf("%s-%d", strings.ToLower(strings.ReplaceAll(n.collection, " ", "-")), n.serial)
}

type voter struct {
	id    string
	taste [traits]float64
	noise float64 // of a perceived quality: small for the diligent
	dice  bool    // votes at random
	// Slider habits: where the voter's ratings centre, how far they spread, and
	// the steps they fall on.
	centre, spread, grid float64
}

// collection is a name and a number of NFTs.
type collection struct {
	name string
	size int
}

// published are the collections of the original game with their sizes, and
// invented ones for the rest.
func published() []collection {
	return []collection{
		{"BEARISH", 2500}, {"Pengztracted", 7777}, {"Fugz", 5555}, {"Final Bosu", 8888},
		{"Kabu", 4444}, {"BEEISH", 4444}, {"Canna Sapiens", 6000},
		{"Lantern Moths", 5000}, {"Tin Gardens", 4321}, {"Paper Foxes", 3333}, {"Slow Comets", 2050},
	}
}

// Published generates a game of the published size and shape: 54,312 NFTs, of
// which 687 have five or more votes, none more than 28, and most have none;
// cast over the six weeks up to end.
func Published(seed uint64, end time.Time) *Game {
	g := newGame(seed, end, 6*7*24*time.Hour, published(), 600)
	g.plan = g.sparsePlan(687, 28, 4500)
	g.findChosen()
	return g
}

// Small generates a game of 60 NFTs and 600 votes, cast over the three weeks up
// to end.
func Small(seed uint64, end time.Time) *Game {
	g := newGame(seed, end, 3*7*24*time.Hour, []collection{{"BEARISH", 15}, {"Fugz", 15}, {"Kabu", 15}, {"Paper Foxes", 15}}, 25)
	g.plan = g.densePlan(600)
	g.findChosen()
	return g
}

func newGame(seed uint64, end time.Time, span time.Duration, collections []collection, voters int) *Game {
	g := &Game{seed: seed, end: end.UTC().Truncate(time.Microsecond), span: span, activity: newZipf(voters, 0.8)}
	rng := rand.New(rand.NewPCG(seed, streamNFTs))
	for _, c := range collections {
		shift := 0.4 * rng.NormFloat64()
		for serial := 1; serial <= c.size; serial++ {
			n := nft{collection: c.name, serial: serial, quality: shift + rng.NormFloat64()}
			for i := range n.trait {
				n.trait[i] = rng.NormFloat64()
			}
			g.nfts = append(g.nfts, n)
		}
	}
	rng = rand.New(rand.NewPCG(seed, streamVoters))
	for range voters {
		g.voters = append(g.voters, newVoter(rng))
	}
	return g
}

func newVoter(rng *rand.Rand) voter {
	v := voter{
		id:     fmt.Sprintf("0x%016x%016x%08x", rng.Uint64(), rng.Uint64(), rng.Uint32()),
		noise:  0.3 + 1.2*rng.Float64()*rng.Float64(),
		dice:   rng.Float64() < 0.07,
		centre: 50 + 15*rng.NormFloat64(),
		spread: 6 + 18*rng.Float64(),
		grid:   [...]float64{1, 1, 5, 10}[rng.IntN(4)],
	}
	for i := range v.taste {
		v.taste[i] = 0.35 * rng.NormFloat64()
	}
	return v
}

// findChosen lists the NFTs that the history has votes on.
func (g *Game) findChosen() {
	voted := make([]bool, len(g.nfts))
	for _, m := range g.plan {
		voted[m.a] = true
		if m.kind == scoring.Matchup {
			voted[m.b] = true
		}
	}
	for i, yes := range voted {
		if yes {
			g.chosen = append(g.chosen, i)
		}
	}
	rng := rand.New(rand.NewPCG(g.seed, streamChosen))
	rng.Shuffle(len(g.chosen), func(i, j int) { g.chosen[i], g.chosen[j] = g.chosen[j], g.chosen[i] })
}

// NFTs returns all NFTs of the game. Their pictures are those of package artwork.
func (g *Game) NFTs() iter.Seq[store.NFT] {
	return func(yield func(store.NFT) bool) {
		for i := range g.nfts {
			n := &g.nfts[i]
			if !yield(store.NFT{ID: n.id(), Name: fmt.Sprintf("%s #%d", n.collection, n.serial), Collection: n.collection, ImageURL: artwork.Path(n.id())}) {
				return
			}
		}
	}
}

// move is a vote before anybody has cast it.
type move struct {
	kind  scoring.Kind
	super bool
	skip  bool // a matchup without a choice
	a, b  int  // indexes of NFTs; b for matchups only
}

// given is a FIRE that can be withdrawn.
type given struct{ voter, nft int }

// cast is the state of a sequence of votes.
type cast struct {
	g     *Game
	rng   *rand.Rand
	fires []given // a few that stand
}

// vote lets somebody cast a move. An unfire withdraws one of the FIREs given
// before, and becomes a FIRE where there is none.
func (c *cast) vote(m move, at time.Time) ledger.Vote {
	who := c.g.activity.draw(c.rng)
	if m.kind == scoring.Unfire {
		if len(c.fires) == 0 {
			m.kind = scoring.Fire
		} else {
			i := c.rng.IntN(len(c.fires))
			who, m.a = c.fires[i].voter, c.fires[i].nft
			c.fires = append(c.fires[:i], c.fires[i+1:]...)
		}
	}
	if m.kind == scoring.Fire && len(c.fires) < 100 {
		c.fires = append(c.fires, given{who, m.a})
	}
	v := &c.g.voters[who]
	a := &c.g.nfts[m.a]
	vote := ledger.Vote{Voter: v.id, A: a.id(), Vote: scoring.Vote{Kind: m.kind, CastAt: at}}
	switch m.kind {
	case scoring.Slider:
		vote.Value = v.rate(c.rng, a)
	case scoring.Matchup:
		b := &c.g.nfts[m.b]
		vote.B, vote.Super, vote.Outcome = b.id(), m.super, scoring.Neither
		if !m.skip {
			vote.Outcome = v.choose(c.rng, a, b)
		}
	}
	return vote
}

// perceive returns the quality of n in the eyes of v, this time.
func (v *voter) perceive(rng *rand.Rand, n *nft) float64 {
	q := n.quality + v.noise*rng.NormFloat64()
	for i, t := range v.taste {
		q += t * n.trait[i]
	}
	return q
}

func (v *voter) choose(rng *rand.Rand, a, b *nft) scoring.Outcome {
	if v.dice {
		return scoring.WinA + scoring.Outcome(rng.IntN(2))
	}
	switch diff := v.perceive(rng, a) - v.perceive(rng, b); {
	case math.Abs(diff) < 0.08:
		return scoring.Tie
	case diff > 0:
		return scoring.WinA
	}
	return scoring.WinB
}

func (v *voter) rate(rng *rand.Rand, n *nft) float64 {
	x := v.centre + v.spread*v.perceive(rng, n)
	if v.dice {
		x = 100 * rng.Float64()
	}
	return math.Min(100, math.Max(0, math.Round(x/v.grid)*v.grid))
}
