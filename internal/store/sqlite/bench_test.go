package sqlite_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/sqlite"
)

const (
	benchNFTs   = 54_312
	benchVoters = 20_000
	benchCommit = 500 // votes
)

// BenchmarkCommit is a commit of 500 matchups on NFTs chosen by a Zipf law, as
// the ledger makes them: lock, look the keys up, fold, write, with every tenth
// vote publishing two scores. It reports votes per second.
func BenchmarkCommit(b *testing.B) {
	for _, ensure := range []bool{false, true} {
		b.Run(fmt.Sprintf("ensure=%v", ensure), func(b *testing.B) { benchmarkCommit(b, ensure) })
	}
}

func benchmarkCommit(b *testing.B, ensure bool) {
	s, game := newGame(b)
	before := s.Statements()
	for b.Loop() {
		if err := game.commit(b, ensure); err != nil {
			b.Fatal(err)
		}
	}
	votes := float64(b.N * benchCommit)
	b.ReportMetric(votes/b.Elapsed().Seconds(), "votes/s")
	b.ReportMetric(float64(s.Statements()-before)/votes, "statements/vote")
}

// game makes commits of generated votes.
type game struct {
	store     store.Store
	constants scoring.Constants
	rng       *rand.Rand
	weights   []float64 // cumulative Zipf weights of the NFTs
	now       time.Time
	votes     int
}

func newGame(b *testing.B) (*sqlite.Store, *game) {
	b.Helper()
	ctx := b.Context()
	s, err := sqlite.Open(ctx, filepath.Join(b.TempDir(), "poa.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	g := &game{store: s, constants: scoring.Defaults(), rng: rand.New(rand.NewPCG(1, 2)), now: time.Unix(1_700_000_000, 0).UTC()}
	nfts := make([]store.NFT, benchNFTs)
	ids := make([]string, benchNFTs)
	sum := 0.0
	for i := range nfts {
		ids[i] = nftID(i)
		nfts[i] = store.NFT{ID: ids[i], Name: fmt.Sprint("NFT ", i), Collection: fmt.Sprint("collection ", i%20)}
		sum += 1 / float64(i+1)
		g.weights = append(g.weights, sum)
	}
	voters := make([]string, benchVoters)
	for i := range voters {
		voters[i] = voterID(i)
	}
	err = s.Migrate(ctx)
	if err == nil {
		_, err = s.Prepare(ctx, g.constants, "bench", g.now)
	}
	if err == nil {
		_, err = s.PutNFTs(ctx, nfts, false, g.now)
	}
	if err == nil {
		err = s.Update(ctx, func(tx store.Tx) error {
			_, err := tx.Ensure(ctx, ids, voters, g.constants.NewRating(), g.constants.NewVoter(), g.now)
			return err
		})
	}
	if err != nil {
		b.Fatal(err)
	}
	return s, g
}

func nftID(i int) string   { return fmt.Sprintf("0x7a3b9c5d1e2f4a6b8c0d/%d", i*7919%benchNFTs) }
func voterID(i int) string { return fmt.Sprintf("0x%032x", i) }

func (g *game) pick() string {
	x := g.rng.Float64() * g.weights[len(g.weights)-1]
	i, _ := slices.BinarySearch(g.weights, x)
	return nftID(i)
}

type cast struct{ key, voter, a, b string }

func (g *game) commit(b *testing.B, ensure bool) error {
	ctx := b.Context()
	casts := make([]cast, benchCommit)
	keys := make([]string, benchCommit)
	nfts, voters := map[string]bool{}, map[string]bool{}
	for i := range casts {
		c := cast{key: fmt.Sprintf("%016x%016x", g.rng.Uint64(), g.rng.Uint64()), voter: voterID(g.rng.IntN(benchVoters)), a: g.pick(), b: g.pick()}
		for c.b == c.a {
			c.b = g.pick()
		}
		casts[i], keys[i] = c, c.key
		nfts[c.a], nfts[c.b], voters[c.voter] = true, true, true
	}
	return g.store.Update(ctx, func(tx store.Tx) error {
		nftIDs, voterIDs := slices.Collect(maps.Keys(nfts)), slices.Collect(maps.Keys(voters))
		if ensure {
			if _, err := tx.Ensure(ctx, nftIDs, voterIDs, g.constants.NewRating(), g.constants.NewVoter(), g.now); err != nil {
				return err
			}
		}
		ratings, vs, err := tx.Lock(ctx, nftIDs, voterIDs)
		if err != nil {
			return err
		}
		if _, err := tx.VotesByKey(ctx, keys); err != nil {
			return err
		}
		numbers, err := tx.Numbers(ctx, len(casts))
		if err != nil {
			return err
		}
		return tx.Apply(ctx, g.fold(casts, numbers, ratings, vs))
	})
}

func (g *game) fold(casts []cast, numbers []int64, ratings []store.Rating, voters []store.Voter) *store.Changes {
	c := &store.Changes{Ratings: ratings, Voters: voters}
	rating, voter := map[string]*store.Rating{}, map[string]*store.Voter{}
	for i := range ratings {
		rating[ratings[i].ID] = &ratings[i]
	}
	for i := range voters {
		voter[voters[i].ID] = &voters[i]
	}
	due := map[*store.Rating]bool{}
	for i, k := range casts {
		g.votes++
		g.now = g.now.Add(time.Second)
		a, b, w := rating[k.a], rating[k.b], voter[k.voter]
		v := scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinA, CastAt: g.now}
		weight := g.constants.FoldMatchup(v, &w.Voter, &a.Rating, &b.Rating)
		w.LastVote = numbers[i]
		for _, r := range []*store.Rating{a, b} {
			r.Version++
			r.LastVote = numbers[i]
			r.Recent.Add(g.now)
			if r.Score == nil && r.WaitingSince.IsZero() {
				r.WaitingSince = g.now
			}
			if g.votes%10 == 0 {
				due[r] = true
				r.WaitingSince = time.Time{}
			}
		}
		c.Votes = append(c.Votes, store.Vote{
			Number: numbers[i], Key: k.key, Voter: w.Number, A: a.NFT, B: b.NFT, ReceivedAt: g.now, Weight: weight, Vote: v,
		})
	}
	for r := range due {
		result, _ := g.constants.Score(&r.Rating)
		c.Scores = append(c.Scores, store.Score{
			NFT: r.NFT, Collection: r.Collection, Result: result, Votes: r.Votes, ComputedAt: g.now,
			Reason: "milestone", Basis: store.Incremental, ThroughVote: r.LastVote, Version: 1,
		})
		c.Activity = append(c.Activity, store.Activity{
			At: g.now, Kind: store.Computed, NFT: r.NFT, Reason: "milestone", Basis: store.Incremental, POA: &result.POA, Vote: r.LastVote,
		})
	}
	return c
}
