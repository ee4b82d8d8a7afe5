package dropin

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"poa/internal/store"
)

// candidatesListed is how many candidates are listed beside their collections'.
const candidatesListed = 20

// computationCandidates lists the NFTs that could have a score and have none,
// most votes first, also by collection.
func (a *API) computationCandidates(ctx context.Context, q *request) (any, error) {
	limit, err := upTo("limit", q.limit, maxLimit, 100)
	if err != nil {
		return nil, err
	}
	ready, err := a.ready(ctx, limit)
	if err != nil {
		return nil, err
	}
	type candidateNFT struct {
		listedNFT
		Mean  float64  `json:"elo_mean"`
		Sigma float64  `json:"elo_sigma"`
		Votes int64    `json:"total_votes"`
		POA   *float64 `json:"poa_v2"`
	}
	type groupedNFT struct {
		ID    string  `json:"id"`
		Name  string  `json:"name"`
		Mean  float64 `json:"eloMean"`
		Sigma float64 `json:"eloSigma"`
		Votes int64   `json:"totalVotes"`
	}
	type group struct {
		Collection string     `json:"collection"`
		Count      int        `json:"count"`
		Votes      float64    `json:"avgVotes"`
		Top        groupedNFT `json:"topNFT"`
	}
	doc := struct {
		Total       int                     `json:"totalCandidates"`
		Candidates  []candidateNFT          `json:"candidates"`
		Collections map[string][]groupedNFT `json:"byCollection"`
		Groups      []group                 `json:"collectionSummary"`
	}{len(ready), []candidateNFT{}, map[string][]groupedNFT{}, []group{}}
	for _, r := range ready {
		mean, sigma := round(r.Rating.Mean, 2), round(r.Rating.Sigma, 2)
		if len(doc.Candidates) < candidatesListed {
			doc.Candidates = append(doc.Candidates, candidateNFT{asListed(r.NFT), mean, sigma, r.Rating.Votes, nil})
		}
		name := r.NFT.Collection
		doc.Collections[name] = append(doc.Collections[name], groupedNFT{r.NFT.ID, r.NFT.Name, mean, sigma, r.Rating.Votes})
	}
	for name, list := range doc.Collections {
		votes := int64(0)
		for _, n := range list {
			votes += n.Votes
		}
		doc.Groups = append(doc.Groups, group{name, len(list), ratio(float64(votes), float64(len(list))), list[0]})
	}
	slices.SortFunc(doc.Groups, func(x, y group) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Collection, y.Collection))
	})
	return doc, nil
}

type statsOfCollection struct {
	Collection string  `json:"collection"`
	NFTs       int64   `json:"total_nfts"`
	Voted      int64   `json:"nfts_with_votes"`
	Scored     int64   `json:"nfts_with_poa_v2"`
	Votes      int64   `json:"total_votes"`
	Elo        float64 `json:"avg_elo"`
	Ready      int64   `json:"ready_for_computation"`
	Average    float64 `json:"avg_votes_per_nft"`
	Coverage   float64 `json:"poa_v2_coverage"` // percent
}

// collectionStats lists the collections that have NFTs, most NFTs without a
// score first.
func (a *API) collectionStats(ctx context.Context, _ *request) (any, error) {
	list, err := a.collections(ctx)
	if err != nil {
		return nil, err
	}
	ratings, err := a.ratings.get(ctx, a.Now(), totalsFor, a.ratingTotals)
	if err != nil {
		return nil, fmt.Errorf("summing up ratings: %w", err)
	}
	type overall struct {
		NFTs   int64 `json:"totalNFTs"`
		Voted  int64 `json:"nftsWithVotes"`
		Scored int64 `json:"nftsWithPOAv2"`
		Ready  int64 `json:"readyForComputation"`
	}
	doc := struct {
		Total int                 `json:"totalCollections"`
		List  []statsOfCollection `json:"collectionStats"`
		All   overall             `json:"overallStats"`
	}{List: []statsOfCollection{}}
	start := a.Settings.Current().Policy.Constants.StartMean
	for _, c := range list {
		if c.NFTs == 0 {
			continue
		}
		r := ratings[c.Number]
		means := r.Means + float64(c.NFTs-r.Rated)*start
		doc.List = append(doc.List, statsOfCollection{
			Collection: c.Name, NFTs: c.NFTs, Voted: r.Voted, Scored: c.Scored, Votes: c.Votes, Ready: c.Ready,
			Elo: math.Round(means / float64(c.NFTs)), Average: ratio(float64(c.Votes), float64(r.Voted)), Coverage: ratio(float64(c.Scored)*100, float64(c.NFTs)),
		})
		doc.All.NFTs += c.NFTs
		doc.All.Voted += r.Voted
		doc.All.Scored += c.Scored
		doc.All.Ready += c.Ready
	}
	doc.Total = len(doc.List)
	slices.SortFunc(doc.List, func(x, y statsOfCollection) int {
		return cmp.Or(cmp.Compare(y.Ready, x.Ready), cmp.Compare(x.Collection, y.Collection))
	})
	return doc, nil
}

func (a *API) ratingTotals(ctx context.Context) (map[int64]store.RatingTotals, error) {
	list, err := a.Store.RatingTotals(ctx)
	byNumber := make(map[int64]store.RatingTotals, len(list))
	for _, r := range list {
		byNumber[r.Collection] = r
	}
	return byNumber, err
}
