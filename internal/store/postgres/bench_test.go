package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
)

var start = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// game is a prepared database with NFTs that have ratings, and voters.
type game struct {
	*postgres.Store
	url          string
	nfts, voters []string
}

func newGame(t testing.TB, nfts, voters int) *game {
	t.Helper()
	g := &game{url: pgtest.New(t)}
	g.Store = open(t, g.url)
	t.Cleanup(func() { g.Close() })
	ctx := t.Context()
	must(t, g.Migrate(ctx))
	_, err := g.Prepare(ctx, scoring.Defaults(), "test", start)
	must(t, err)
	g.nfts, g.voters = names("nft", nfts), names("voter", voters)
	must(t, g.register(ctx, g.nfts, g.voters))
	return g
}

// names returns n ids.
func names(of string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%07d", of, i)
	}
	return ids
}

// register makes NFTs with ratings, and voters.
func (g *game) register(ctx context.Context, nfts, voters []string) error {
	rows := make([]store.NFT, len(nfts))
	for i := range rows {
		rows[i] = store.NFT{ID: nfts[i], Name: "a name", Collection: "works"}
	}
	if _, err := g.PutNFTs(ctx, rows, false, start); err != nil {
		return err
	}
	return g.Update(ctx, func(tx store.Tx) error {
		c := scoring.Defaults()
		unknown, err := tx.Ensure(ctx, nfts, voters, c.NewRating(), c.NewVoter(), start)
		if len(unknown) > 0 {
			return fmt.Errorf("%d NFTs are unknown", len(unknown))
		}
		return err
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pick draws n different ids by a Zipf law.
func pick(zipf *rand.Zipf, from []string, n int) []string {
	seen := make(map[uint64]bool, n)
	var ids []string
	for range n {
		if i := zipf.Uint64(); !seen[i] {
			seen[i] = true
			ids = append(ids, from[i])
		}
	}
	return ids
}

// commit writes n matchups the way the ledger does, on NFTs and by voters given
// (each in turn), with a score for every tenth NFT.
func (g *game) commit(ctx context.Context, n int, nfts, voters []string, key func(i int) string) error {
	return g.Update(ctx, func(tx store.Tx) error {
		ratings, by, err := tx.Lock(ctx, nfts, voters)
		if err != nil {
			return err
		}
		keys := make([]string, n)
		for i := range keys {
			keys[i] = key(i)
		}
		if known, err := tx.VotesByKey(ctx, keys); err != nil || len(known) > 0 {
			return fmt.Errorf("%d keys are known: %w", len(known), err)
		}
		numbers, err := tx.Numbers(ctx, n)
		if err != nil {
			return err
		}
		c := scoring.Defaults()
		changes := &store.Changes{Ratings: ratings, Voters: by}
		for i := range n {
			a, b, v := &ratings[(2*i)%len(ratings)], &ratings[(2*i+1)%len(ratings)], &by[i%len(by)]
			vote := store.Vote{
				Number: numbers[i], Key: keys[i], Voter: v.Number, A: a.NFT, B: b.NFT, ReceivedAt: start,
				Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinA, CastAt: start},
			}
			vote.Weight = c.FoldMatchup(vote.Vote, &v.Voter, &a.Rating, &b.Rating)
			changes.Votes = append(changes.Votes, vote)
		}
		for i := range ratings {
			r := &ratings[i]
			r.Version++
			r.LastVote = numbers[n-1]
			if i%10 == 0 {
				result, _ := c.Score(&r.Rating)
				changes.Scores = append(changes.Scores, store.Score{
					NFT: r.NFT, Collection: r.Collection, Result: result, ComputedAt: start,
					Reason: "milestone", Basis: store.Incremental, ThroughVote: r.LastVote, Version: 1,
				})
				changes.Activity = append(changes.Activity, store.Activity{
					At: start, Kind: store.Computed, NFT: r.NFT, Reason: "milestone", Reasons: map[string]int{"milestone": 1},
					POA: &result.POA, Vote: r.LastVote,
				})
			}
		}
		changes.Counters = []store.Delta{{Name: store.CountVotes, Collection: ratings[0].Collection, By: int64(2 * n)}}
		return tx.Apply(ctx, changes)
	})
}

// BenchmarkCommit is the store's share of a group commit of 500 votes, one
// after the other, among as many NFTs and voters as the design counts on.
func BenchmarkCommit(b *testing.B) {
	for _, mode := range []string{"", "&default_query_exec_mode=exec"} {
		b.Run("mode="+mode, func(b *testing.B) {
			const votes = 500
			g := newGame(b, 54312, 20000)
			g.Store = open(b, g.url+mode)
			defer g.Close()
			random := rand.New(rand.NewPCG(1, 2))
			nfts := rand.NewZipf(random, 1.0001, 60, uint64(len(g.nfts)-1))
			voters := rand.NewZipf(random, 1.0001, 2000, uint64(len(g.voters)-1))
			before := g.Statements()
			var touched, by int
			run := 0
			for b.Loop() {
				n, v := pick(nfts, g.nfts, 2*votes), pick(voters, g.voters, votes)
				touched, by = touched+len(n), by+len(v)
				must(b, g.commit(b.Context(), votes, n, v, func(i int) string { return fmt.Sprintf("key-%s-%d-%d", mode, run, i) }))
				run++
			}
			b.ReportMetric(float64(run*votes)/b.Elapsed().Seconds(), "votes/s")
			b.ReportMetric(float64(g.Statements()-before)/float64(run*votes), "statements/vote")
			b.ReportMetric(float64(touched)/float64(run), "ratings/op")
			b.ReportMetric(float64(by)/float64(run), "voters/op")
		})
	}
}

// BenchmarkRawInsert is the yardstick for BenchmarkCommit: the same votes go
// into the same indexed table, 500 a statement, and nothing else is done.
func BenchmarkRawInsert(b *testing.B) {
	const votes = 500
	g := newGame(b, 54312, 20000)
	conn, err := pgx.Connect(b.Context(), g.url)
	must(b, err)
	defer conn.Close(context.Background())
	random := rand.New(rand.NewPCG(1, 2))
	nfts := rand.NewZipf(random, 1.0001, 60, uint64(len(g.nfts)-1))
	voters := rand.NewZipf(random, 1.0001, 2000, uint64(len(g.voters)-1))
	run := 0
	for b.Loop() {
		var keys []string
		var as, bs, by []int64
		for i := range votes {
			keys = append(keys, fmt.Sprintf("key-%d-%d", run, i))
			as, bs, by = append(as, int64(nfts.Uint64())), append(bs, int64(nfts.Uint64())), append(by, int64(voters.Uint64()))
		}
		_, err := conn.Exec(b.Context(), `INSERT INTO votes (number, key, voter, kind, super, nft_a, nft_b, outcome, weight, cast_at, received_at)
			SELECT nextval('vote_numbers'), unnest($1::text[]), unnest($2::bigint[]), 1, false, unnest($3::bigint[]), unnest($4::bigint[]), 1, 1000000000, $5, $5`,
			keys, by, as, bs, start)
		must(b, err)
		run++
	}
	b.ReportMetric(float64(run*votes)/b.Elapsed().Seconds(), "votes/s")
}
