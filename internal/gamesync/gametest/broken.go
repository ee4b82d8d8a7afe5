package gametest

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// flaw makes a valid row one that makes no sense.
type flaw[R any] struct {
	reason Reason
	apply  func(g *Game, rng *rand.Rand, row *R)
}

// voteFlaws are the sorts of broken votes.
func voteFlaws() []flaw[Vote] {
	matchup := func(f func(g *Game, rng *rand.Rand, v *Vote)) func(*Game, *rand.Rand, *Vote) {
		return func(g *Game, rng *rand.Rand, v *Vote) {
			for v.Kind == Slider {
				*v = g.vote(rng, v.CreatedAt)
			}
			f(g, rng, v)
		}
	}
	rating := func(value func(g *Game, rng *rand.Rand) any) func(*Game, *rand.Rand, *Vote) {
		return func(g *Game, rng *rand.Rand, v *Vote) {
			v.Kind, v.B, v.Winner, v.Super, v.Value = Slider, "", "", false, value(g, rng)
		}
	}
	off := func(g *Game, rng *rand.Rand) any {
		low := [...]float64{-1, 101}
		if g.o.TenPoint {
			low = [...]float64{0, 55}
		}
		return low[rng.IntN(2)]
	}
	return []flaw[Vote]{
		{UnknownNFT, matchup(func(g *Game, rng *rand.Rand, v *Vote) { v.A, v.Winner = uuid(rng), v.B })},
		{UnknownNFT, matchup(func(g *Game, rng *rand.Rand, v *Vote) { v.B, v.Winner = uuid(rng), v.A })},
		{UnknownNFT, func(g *Game, rng *rand.Rand, v *Vote) {
			v.Kind, v.A, v.B, v.Winner, v.Super, v.Value = Slider, uuid(rng), "", "", false, g.rating(rng)
		}},
		{MissingNFT, matchup(func(g *Game, rng *rand.Rand, v *Vote) { v.A, v.Winner = "", v.B })},
		{MissingNFT, matchup(func(g *Game, rng *rand.Rand, v *Vote) { v.B, v.Winner = "", v.A })},
		{UnknownWinner, matchup(func(g *Game, rng *rand.Rand, v *Vote) { v.Winner = uuid(rng) })},
		{UnknownWinner, matchup(func(g *Game, rng *rand.Rand, v *Vote) { // one that exists
			for v.Winner == "" || v.Winner == v.A || v.Winner == v.B {
				v.Winner = g.NFTs[g.pick(rng)].ID
			}
		})},
		{SelfMatch, matchup(func(g *Game, rng *rand.Rand, v *Vote) { v.B, v.Winner = v.A, v.A })},
		{NullUser, func(g *Game, rng *rand.Rand, v *Vote) { v.User, v.Wallet = "", "" }},
		{UnknownKind, func(g *Game, rng *rand.Rand, v *Vote) { v.Kind = "swipe" }},
		{NoKind, func(g *Game, rng *rand.Rand, v *Vote) { v.Kind = "" }},
		{NoValue, rating(func(*Game, *rand.Rand) any { return nil })},
		{OffScale, rating(off)},
		{NotANumber, rating(func(*Game, *rand.Rand) any { return "NaN" })},
		{NoTime, func(g *Game, rng *rand.Rand, v *Vote) { v.CreatedAt = nil }},
		{EndlessTime, func(g *Game, rng *rand.Rand, v *Vote) { v.CreatedAt = "infinity" }},
		{FutureTime, func(g *Game, rng *rand.Rand, v *Vote) {
			v.CreatedAt = g.o.End.Add(96*time.Hour + time.Duration(rng.IntN(1e9))*1000)
		}},
	}
}

// favoriteFlaws are the sorts of broken favourites.
func favoriteFlaws() []flaw[Favorite] {
	return []flaw[Favorite]{
		{FavoriteOfUnknown, func(g *Game, rng *rand.Rand, f *Favorite) { f.NFT = uuid(rng) }},
		{FavoriteOfText, func(g *Game, rng *rand.Rand, f *Favorite) { f.NFT = fmt.Sprintf("Kabu #%d", rng.IntN(4444)) }},
		{IllWallet, func(g *Game, rng *rand.Rand, f *Favorite) { f.Wallet = fmt.Sprintf("0x%x", rng.Uint32()) }},
		{IllWallet, func(g *Game, rng *rand.Rand, f *Favorite) { f.Wallet = fmt.Sprintf("collector-%d.eth", rng.IntN(1e9)) }},
		{FavoriteKind, func(g *Game, rng *rand.Rand, f *Favorite) { f.Kind = "smile" }},
		{FavoriteNoTime, func(g *Game, rng *rand.Rand, f *Favorite) { f.CreatedAt = nil }},
	}
}

// breakSome adds the broken rows, with times anywhere in the history.
func (g *Game) breakSome(rng *rand.Rand) {
	at := func() time.Time {
		return g.o.End.Add(-time.Duration(rng.Int64N(int64(g.o.Span)))).Truncate(time.Microsecond)
	}
	favored := map[[2]string]bool{}
	for _, f := range g.Favorites {
		favored[[2]string{f.Wallet, f.NFT}] = true
	}
	for range max(0, g.o.Broken) {
		for _, flaw := range voteFlaws() {
			v := g.vote(rng, at())
			flaw.apply(g, rng, &v)
			g.Votes = append(g.Votes, v)
			g.Broken = append(g.Broken, Broken{"votes", v.ID, flaw.reason})
		}
		for _, flaw := range favoriteFlaws() {
			f := g.favorite(rng, at())
			for flaw.apply(g, rng, &f); favored[[2]string{f.Wallet, f.NFT}]; {
				f = g.favorite(rng, at())
				flaw.apply(g, rng, &f)
			}
			favored[[2]string{f.Wallet, f.NFT}] = true
			g.Favorites = append(g.Favorites, f)
			g.Broken = append(g.Broken, Broken{"favorites", f.ID, flaw.reason})
		}
	}
}
