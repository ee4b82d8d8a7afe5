package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"poa/internal/ledger"
	"poa/internal/sample"
)

// growthNFTs is how many NFTs are computed at each size.
const growthNFTs = 5000

// Growth is what votes and computations cost when the log has some size.
type Growth struct {
	Votes       int     `json:"votes"` // in the log
	Rate        float64 `json:"votes_per_second"`
	PerVote     float64 `json:"us_per_vote"`
	Written     float64 `json:"wal_bytes_per_vote"` // -1 where unknown
	PerNFT      float64 `json:"us_per_exact_computation"`
	VotesPerNFT float64 `json:"votes_per_nft"` // of those computed
}

// growth fills one database and measures at each size.
func (r *run) growth(ctx context.Context) (out []Growth, err error) {
	w := r.workload(r.NFTs, sample.Mix{})
	g, err := r.newGame(ctx, "growth", w, nil, true)
	if err != nil {
		return nil, err
	}
	have := 0
	for i, size := range r.Sizes {
		r.tell("growth: up to %d votes", size)
		measured := min(r.Votes, size-have)
		if fill := size - have - measured; fill > 0 {
			if err := g.take(ctx, w, uint64(2*i), fill); err != nil {
				return nil, err
			}
		}
		if err := g.db.settle(ctx); err != nil {
			return nil, err
		}
		at, err := r.growthAt(ctx, g, slices.Collect(w.Votes(uint64(2*i+1), measured)))
		if err != nil {
			return nil, fmt.Errorf("at %d votes: %w", size, err)
		}
		at.Votes = size
		out = append(out, at)
		have = size
	}
	return out, g.db.drop(ctx)
}

func (r *run) growthAt(ctx context.Context, g *game, votes []ledger.Vote) (out Growth, err error) {
	runtime.GC()
	before, err := g.db.written(ctx)
	if err != nil {
		return out, err
	}
	took, _, err := closedLoop(ctx, g.store, g, votes, r.Clients)
	if err != nil {
		return out, err
	}
	after, err := g.db.written(ctx)
	if err != nil {
		return out, err
	}
	n := float64(len(votes))
	out = Growth{Rate: n / took.Seconds(), PerVote: took.Seconds() / n * 1e6, Written: float64(after-before) / n}
	if after < 0 {
		out.Written = -1
	}
	numbers, err := g.rated(ctx)
	if err != nil {
		return out, err
	}
	some := everyNth(numbers, growthNFTs)
	runtime.GC()
	start := time.Now()
	if err := g.computeSome(ctx, some, r.Now); err != nil {
		return out, err
	}
	out.PerNFT = time.Since(start).Seconds() / float64(len(some)) * 1e6
	all, err := ratings(ctx, g.store)
	if err != nil {
		return out, err
	}
	for i := range all {
		if _, ok := slices.BinarySearch(some, all[i].NFT); ok {
			out.VotesPerNFT += float64(all[i].Matchups+all[i].SliderVotes+all[i].FireVotes) / float64(len(some))
		}
	}
	return out, nil
}

// everyNth returns up to n of the numbers, evenly spaced.
func everyNth(numbers []int64, n int) []int64 {
	if len(numbers) <= n {
		return numbers
	}
	some := make([]int64, n)
	for i := range some {
		some[i] = numbers[i*len(numbers)/n]
	}
	return some
}
