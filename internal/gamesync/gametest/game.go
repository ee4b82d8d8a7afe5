// Package gametest makes the database of a game that poa serves: its tables,
// written from their description, a generated history with rows that make no
// sense among the good ones, and a writer that goes on playing.
//
// What follows from the seed is the same each time; which rows are valid is
// read back from the database (ValidVotes, ValidFavorites, BrokenRows), whichever
// process wrote them.
package gametest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Options describe a game. A zero field means its default.
type Options struct {
	Seed      uint64
	NFTs      int // 54,312, in the published collections
	Users     int // 3,000
	Votes     int // 20,000 valid ones
	Favorites int // 3,000 valid ones
	Broken    int // rows of every sort of Broken: 3; negative for none
	// The slider's scale: 1 to 10 if TenPoint, else 0 to 100.
	TenPoint bool
	// The share of the NFTs with votes that have an old score: 0.7.
	OldScores float64
	// The history's end (required) and length (six weeks).
	End  time.Time
	Span time.Duration
}

// NFT is a row of nfts.
type NFT struct {
	ID, Token, Name, Collection, Contract string
	Votes, Wins, Losses                   int
	SliderSum                             float64
	Sliders, Fires                        int
	Mean, Sigma                           float64
	Old                                   *OldScore // nil where it has none
}

// OldScore is a score by the formula that poa replaces.
type OldScore struct {
	POA, Confidence, Elo, Slider, Fire, Reliability float64
	At                                              time.Time
}

// User is a row of users.
type User struct {
	ID, Wallet  string
	CreatedAt   time.Time
	Reliability float64
}

// The values of votes.vote_type_v2.
const (
	SameCollection  = "same_coll"
	CrossCollection = "cross_coll"
	Slider          = "slider"
)

// The values of favorites.vote_type.
const (
	Fire      = "fire"
	SliderMax = "slider_max"
)

// Vote is a row of votes; "" and nil stand for null.
type Vote struct {
	ID, User, Kind string
	A, B, Winner   string
	Value          any // float64, or text that numeric reads
	Super          bool
	Wallet         string // in engagement_data
	CreatedAt      any    // time.Time, or text that timestamptz reads
}

// Favorite is a row of favorites.
type Favorite struct {
	ID, Wallet, NFT, Kind string
	CreatedAt             any
}

// Broken names a row that makes no sense.
type Broken struct {
	Source string // votes or favorites
	ID     string
	Reason Reason
}

// Reason says what is wrong with a row.
type Reason string

// The sorts of broken rows.
const (
	UnknownNFT    Reason = "nft_a_id or nft_b_id is in no row of nfts"
	MissingNFT    Reason = "nft_a_id is null, or nft_b_id of a matchup"
	UnknownWinner Reason = "winner_id is neither of the pair"
	SelfMatch     Reason = "both NFTs are the same"
	NullUser      Reason = "user_id is null"
	UnknownKind   Reason = "the kind is none that is known"
	NoKind        Reason = "the kind is null"
	NoValue       Reason = "a slider without a value"
	OffScale      Reason = "slider_value is outside of the scale"
	NotANumber    Reason = "slider_value is NaN"
	NoTime        Reason = "created_at is null"
	EndlessTime   Reason = "created_at is infinity"
	FutureTime    Reason = "created_at is days ahead"

	FavoriteOfUnknown Reason = "nft_id is in no row of nfts"
	FavoriteOfText    Reason = "nft_id is no uuid"
	IllWallet         Reason = "wallet_address is no wallet"
	FavoriteKind      Reason = "vote_type of a favorite is none that is known"
	FavoriteNoTime    Reason = "created_at of a favorite is null"
)

// Game is a generated game.
type Game struct {
	o         Options
	NFTs      []NFT
	Users     []User
	Votes     []Vote // valid and broken, shuffled in time as they were cast
	Favorites []Favorite
	Broken    []Broken
}

// collections are the published ones and invented ones for the rest, with
// their sizes.
var collections = [...]struct {
	name string
	size int
}{
	{"BEARISH", 2500}, {"Pengztracted", 7777}, {"Fugz", 5555}, {"Final Bosu", 8888},
	{"Kabu", 4444}, {"BEEISH", 4444}, {"Canna Sapiens", 6000},
	{"Lantern Moths", 5000}, {"Tin Gardens", 4321}, {"Paper Foxes", 3333}, {"Slow Comets", 2050},
}

func orDefault[T int | float64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// New generates a game. Of games with fewer NFTs than the published one every
// collection has its share.
func New(o Options) *Game {
	orDefault(&o.NFTs, 54_312)
	orDefault(&o.Users, 3_000)
	orDefault(&o.Votes, 20_000)
	orDefault(&o.Favorites, 3_000)
	orDefault(&o.Broken, 3)
	orDefault(&o.OldScores, 0.7)
	orDefault(&o.Span, 42*24*time.Hour)
	o.End = o.End.UTC().Truncate(time.Microsecond)
	g := &Game{o: o}
	g.makeNFTs(rand.New(rand.NewPCG(o.Seed, 1)))
	g.makeUsers(rand.New(rand.NewPCG(o.Seed, 2)))
	g.makeVotes(rand.New(rand.NewPCG(o.Seed, 3)))
	g.makeFavorites(rand.New(rand.NewPCG(o.Seed, 4)))
	g.breakSome(rand.New(rand.NewPCG(o.Seed, 5)))
	g.scoreOld(rand.New(rand.NewPCG(o.Seed, 6)))
	return g
}

// uuid draws a random (version 4) UUID.
func uuid(rng *rand.Rand) string {
	high, low := rng.Uint64()&^0xf000|0x4000, rng.Uint64()&^(3<<62)|1<<63
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", high>>32, high>>16&0xffff, high&0xffff, low>>48, low&(1<<48-1))
}

func address(rng *rand.Rand) string {
	return fmt.Sprintf("0x%016x%016x%08x", rng.Uint64(), rng.Uint64(), rng.Uint32())
}

func (g *Game) makeNFTs(rng *rand.Rand) {
	total, done := 0, 0
	for _, c := range collections {
		total += c.size
	}
	for _, c := range collections {
		done += c.size
		contract := address(rng)
		for serial := 1; len(g.NFTs) < g.o.NFTs*done/total; serial++ {
			g.NFTs = append(g.NFTs, NFT{
				ID: uuid(rng), Token: fmt.Sprint(serial), Name: fmt.Sprintf("%s #%d", c.name, serial),
				Collection: c.name, Contract: contract, Mean: 1200, Sigma: 350,
			})
		}
	}
}

// makeUsers gives every fifth a wallet in mixed case, as checksummed ones are.
func (g *Game) makeUsers(rng *rand.Rand) {
	for i := range g.o.Users {
		u := User{
			ID: uuid(rng), Wallet: address(rng), Reliability: math.Round(100*(0.7+0.6*rng.Float64())) / 100,
			CreatedAt: g.o.End.Add(-g.o.Span - time.Duration(rng.Int64N(int64(g.o.Span)))).Truncate(time.Microsecond),
		}
		if i%5 == 0 {
			u.Wallet = mixCase(rng, u.Wallet)
		}
		g.Users = append(g.Users, u)
	}
}

func mixCase(rng *rand.Rand, wallet string) string {
	digits := []byte(wallet)
	for i := 2; i < len(digits); i++ {
		if rng.IntN(2) == 0 {
			digits[i] = strings.ToUpper(string(digits[i]))[0]
		}
	}
	return string(digits)
}

// played is how many NFTs have votes: so many that they have about 11 each.
func (g *Game) played() int { return min(len(g.NFTs), max(10, g.o.Votes*2/11)) }

// pick draws one of the NFTs that have votes, spread over all of them.
func (g *Game) pick(rng *rand.Rand) int {
	played := g.played()
	return rng.IntN(played) * (len(g.NFTs) / played)
}

// pair draws two different NFTs, and says of which kind their matchup is.
func (g *Game) pair(rng *rand.Rand) (a, b int, kind string) {
	a = g.pick(rng)
	for b = g.pick(rng); b == a; {
		b = g.pick(rng)
	}
	if g.NFTs[a].Collection == g.NFTs[b].Collection {
		return a, b, SameCollection
	}
	return a, b, CrossCollection
}

func (g *Game) rating(rng *rand.Rand) float64 {
	if g.o.TenPoint {
		return float64(1 + rng.IntN(10))
	}
	return float64(rng.IntN(101))
}

// vote draws a valid vote.
func (g *Game) vote(rng *rand.Rand, at any) Vote {
	u := &g.Users[rng.IntN(len(g.Users))]
	v := Vote{ID: uuid(rng), User: u.ID, Wallet: u.Wallet, CreatedAt: at}
	if rng.Float64() < 0.12 {
		v.Kind, v.A, v.Value = Slider, g.NFTs[g.pick(rng)].ID, g.rating(rng)
		return v
	}
	a, b, kind := g.pair(rng)
	v.Kind, v.A, v.B, v.Super = kind, g.NFTs[a].ID, g.NFTs[b].ID, rng.Float64() < 0.04
	switch p := rng.Float64(); {
	case p < 0.04 && !v.Super: // neither
	case p < 0.5:
		v.Winner = v.A
	default:
		v.Winner = v.B
	}
	return v
}

// times returns n moments of the history, ascending. Some are equal, and one
// in twenty of all come together, as after a restore.
func (g *Game) times(n int) []time.Time {
	times := make([]time.Time, n)
	start := g.o.End.Add(-g.o.Span)
	for i := range times {
		at := i
		if i > n/2 && i < n/2+n/20 {
			at = n / 2
		} else if i%20 == 1 {
			at = i - 1
		}
		times[i] = start.Add(time.Duration(float64(g.o.Span) * float64(at) / float64(n))).Truncate(time.Microsecond)
	}
	return times
}

func (g *Game) makeVotes(rng *rand.Rand) {
	index := g.index()
	for _, at := range g.times(g.o.Votes) {
		v := g.vote(rng, at)
		g.Votes = append(g.Votes, v)
		g.count(&v, index)
	}
}

func (g *Game) index() map[string]int {
	index := make(map[string]int, len(g.NFTs))
	for i := range g.NFTs {
		index[g.NFTs[i].ID] = i
	}
	return index
}

// count counts a vote as the game does.
func (g *Game) count(v *Vote, index map[string]int) {
	a := &g.NFTs[index[v.A]]
	a.Votes++
	if v.Kind == Slider {
		a.Sliders++
		a.SliderSum += v.Value.(float64)
		return
	}
	b := &g.NFTs[index[v.B]]
	b.Votes++
	if v.Winner == "" {
		return
	}
	won, lost := a, b
	if v.Winner == v.B {
		won, lost = b, a
	}
	won.Wins++
	lost.Losses++
	step := 32 / (1 + math.Pow(10, (won.Mean-lost.Mean)/400))
	won.Mean, lost.Mean = won.Mean+step, lost.Mean-step
	won.Sigma, lost.Sigma = math.Max(50, won.Sigma*0.98), math.Max(50, lost.Sigma*0.98)
}

func (g *Game) makeFavorites(rng *rand.Rand) {
	index := g.index()
	seen := map[[2]string]bool{}
	for _, at := range g.times(g.o.Favorites) {
		f := g.favorite(rng, at)
		for seen[[2]string{strings.ToLower(f.Wallet), f.NFT}] {
			f = g.favorite(rng, at)
		}
		seen[[2]string{strings.ToLower(f.Wallet), f.NFT}] = true
		if f.Kind == Fire {
			g.NFTs[index[f.NFT]].Fires++
		}
		g.Favorites = append(g.Favorites, f)
	}
}

// favorite draws a valid favourite. One in five wallets is written in lower
// case, whatever it is in users.
func (g *Game) favorite(rng *rand.Rand, at any) Favorite {
	f := Favorite{ID: uuid(rng), Wallet: g.Users[rng.IntN(len(g.Users))].Wallet, NFT: g.NFTs[g.pick(rng)].ID, Kind: Fire, CreatedAt: at}
	if rng.IntN(5) == 0 {
		f.Kind = SliderMax
	}
	if rng.IntN(5) == 0 {
		f.Wallet = strings.ToLower(f.Wallet)
	}
	return f
}

// scoreOld fills the score columns of a part of the NFTs that have votes.
func (g *Game) scoreOld(rng *rand.Rand) {
	for i := range g.NFTs {
		n := &g.NFTs[i]
		if n.Votes == 0 || rng.Float64() >= g.o.OldScores {
			continue
		}
		s := &OldScore{
			Elo: math.Min(100, math.Max(0, (n.Mean-800)/12)), Slider: 50, Fire: math.Min(100, 25*float64(n.Fires)),
			Reliability: 0.8 + 0.4*rng.Float64(), Confidence: 100 * (1 - n.Sigma/400),
			At: g.o.End.Add(-time.Duration(rng.Int64N(int64(10 * 24 * time.Hour)))).Truncate(time.Microsecond),
		}
		if n.Sliders > 0 {
			if s.Slider = n.SliderSum / float64(n.Sliders); g.o.TenPoint {
				s.Slider = (s.Slider - 1) / 9 * 100
			}
		}
		s.POA = math.Min(100, s.Reliability*(0.4*s.Elo+0.3*s.Slider+0.3*s.Fire))
		n.Old = s
	}
}
