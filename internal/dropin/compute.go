package dropin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"poa/internal/exact"
	"poa/internal/operate"
	"poa/internal/publish"
	"poa/internal/store"
)

// summary is what computations of many NFTs came to.
type summary struct {
	Total       int64    `json:"total_processed"`
	Successful  int64    `json:"successful_computations"`
	Failed      int64    `json:"failed_computations"`
	POA         float64  `json:"avg_poa_v2"`
	Confidence  float64  `json:"avg_confidence"`
	Took        int64    `json:"processing_time_ms"`
	Collections []string `json:"collections_processed"`
}

type performance struct {
	Rate float64 `json:"nftsPerSecond"`
	Each float64 `json:"avgTimePerNft"` // ms
}

func (s *summary) performance() performance {
	return performance{ratio(float64(s.Total)*1000, float64(s.Took)), ratio(float64(s.Took), float64(s.Total))}
}

// average sets the averages over scores.
func (s *summary) average(scores []*store.Score) {
	var poa, confidence float64
	for _, score := range scores {
		poa += score.POA
		confidence += score.Confidence
	}
	s.POA, s.Confidence = ratio(poa, float64(len(scores))), ratio(confidence, float64(len(scores)))
}

// failedNFT is the error of an NFT that cannot be computed.
type failedNFT struct{ err error }

func (f *failedNFT) Error() string { return f.err.Error() }

// exactly computes NFTs, by number, and publishes their scores.
func (a *API) exactly(ctx context.Context, q *request, reason string, numbers []int64) ([]exact.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cause := publish.Cause{Reason: reason, Who: q.client.Name()}
	results, err := exact.Compute(ctx, a.Store, a.Settings.Current().Policy, numbers, cause, a.Now)
	for i := range results {
		a.Computed(reason, operate.Outcome(&results[i]), 1)
	}
	return results, err
}

// one is an NFT that was computed.
type one struct {
	before *float64     // its score, nil for none
	after  *computation // nil where it has none
}

// computeOne computes an NFT and publishes its score; *failedNFT where it
// cannot be computed.
func (a *API) computeOne(ctx context.Context, q *request, nft *store.Ranked) (one, error) {
	if nft.Rating.NFT == 0 { // nobody has voted on it
		return one{}, nil
	}
	results, err := a.exactly(ctx, q, store.ReasonManual, []int64{nft.NFT.Number})
	if err != nil {
		return one{}, fmt.Errorf("computing an NFT: %w", err)
	}
	var done one
	for _, r := range results { // one
		if r.Err != nil {
			return one{}, &failedNFT{r.Err}
		}
		if r.Before != nil {
			done.before = &r.Before.POA
		}
	}
	found, err := a.byNumber(ctx, []int64{nft.NFT.Number})
	if err != nil {
		return one{}, err
	}
	now := found[nft.NFT.Number]
	done.after, err = a.published(ctx, &now)
	return done, err
}

// single finds and computes the NFT that a request names.
func (a *API) single(ctx context.Context, q *request) (store.Ranked, one, error) {
	nft, err := a.find(ctx, q.nftID)
	if err != nil {
		return nft, one{}, err
	}
	done, err := a.computeOne(ctx, q, &nft)
	var failed *failedNFT
	if errors.As(err, &failed) {
		err = &refusal{status: http.StatusInternalServerError, text: "Computation failed", details: failed.Error()}
	}
	return nft, done, err
}

// computeSingle answers compute_single of the computation API.
func (a *API) computeSingle(ctx context.Context, q *request) (any, error) {
	nft, done, err := a.single(ctx, q)
	if err != nil {
		return nil, err
	}
	if nft.Rating.NFT == 0 {
		nft.Rating.Rating = a.Settings.Current().Policy.Constants.NewRating()
	}
	type ratedNFT struct {
		namedNFT
		Mean     float64  `json:"eloMean"`
		Votes    int64    `json:"totalVotes"`
		Previous *float64 `json:"previousPoa"`
	}
	return struct {
		NFT         ratedNFT     `json:"nft"`
		Computation *computation `json:"computation"`
		Computed    bool         `json:"computed"`
	}{ratedNFT{asNamed(nft.NFT), round(nft.Rating.Mean, 2), nft.Rating.Votes, done.before}, done.after, done.after != nil}, nil
}

// computeNFT answers compute_single of the list of NFTs.
func (a *API) computeNFT(ctx context.Context, q *request) (any, error) {
	nft, done, err := a.single(ctx, q)
	if err != nil {
		return nil, err
	}
	return struct {
		Computed bool         `json:"computed"`
		Result   *computation `json:"result"`
		NFT      string       `json:"nftId"`
	}{done.after != nil, done.after, nft.NFT.ID}, nil
}

// failure is an NFT that was not computed, and why.
type failure struct {
	NFT   string `json:"nft_id"`
	Error string `json:"error"`
}

// computeBatch answers compute_batch of the computation API.
func (a *API) computeBatch(ctx context.Context, q *request) (any, error) {
	s, failures, err := a.many(ctx, q, !q.recompute)
	if err != nil {
		return nil, err
	}
	return struct {
		Summary     summary     `json:"summary"`
		Performance performance `json:"performance"`
		Failures    []failure   `json:"failures"`
	}{s, s.performance(), failures}, nil
}

// computeNFTs answers compute_batch of the list of NFTs.
func (a *API) computeNFTs(ctx context.Context, q *request) (any, error) {
	s, failures, err := a.many(ctx, q, true)
	if err != nil {
		return nil, err
	}
	return struct {
		Summary  summary   `json:"summary"`
		NFTs     []string  `json:"nftIds"`
		Failures []failure `json:"failures"`
	}{s, q.nftIDs, failures}, nil
}

// many computes the NFTs that a request names, without those that have a score
// where they are to be skipped. NFTs that are not known, or cannot be computed,
// are failures; those without votes are neither.
func (a *API) many(ctx context.Context, q *request, skip bool) (summary, []failure, error) {
	if len(q.nftIDs) == 0 {
		return summary{}, nil, invalid("nftIds must be a list of at least one id")
	}
	began := a.Now()
	s, failures := summary{Total: int64(len(q.nftIDs))}, []failure{}
	var ratings []store.Rating
	var known []string
	err := a.Store.View(ctx, func(v store.View) (err error) {
		if known, err = v.KnownNFTs(ctx, q.nftIDs); err == nil {
			ratings, err = v.Ratings(ctx, q.nftIDs)
		}
		return err
	})
	if err != nil {
		return s, nil, fmt.Errorf("reading NFTs: %w", err)
	}
	for _, id := range q.nftIDs {
		if !slices.Contains(known, id) {
			failures = append(failures, failure{id, "there is no such NFT"})
		}
	}
	var wanted, all []int64
	for _, r := range ratings {
		all = append(all, r.NFT)
		if !skip || r.Score == nil {
			wanted = append(wanted, r.NFT)
		}
	}
	results, err := a.exactly(ctx, q, store.ReasonManual, wanted)
	if err != nil {
		return s, nil, fmt.Errorf("computing NFTs: %w", err)
	}
	var scores []*store.Score
	for _, r := range results {
		if r.Err != nil {
			failures = append(failures, failure{r.ID, r.Err.Error()})
		} else if r.After != nil {
			scores = append(scores, r.After)
		}
	}
	s.Failed, s.Successful = int64(len(failures)), int64(len(scores))
	s.average(scores)
	nfts, err := a.byNumber(ctx, all)
	s.Collections = collectionsOf(nfts)
	s.Took = a.Now().Sub(began).Milliseconds()
	return s, failures, err
}

// collectionsOf returns the names of the collections of NFTs.
func collectionsOf(nfts map[int64]store.Ranked) []string {
	names := map[string]bool{}
	for _, r := range nfts {
		if r.NFT.Collection != "" {
			names[r.NFT.Collection] = true
		}
	}
	return slices.AppendSeq(make([]string, 0, len(names)), slices.Values(slices.Sorted(maps.Keys(names))))
}
