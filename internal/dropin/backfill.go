package dropin

import (
	"context"
	"fmt"
	"strconv"

	"poa/internal/access"
	"poa/internal/store"
)

// backfillProgress says how many of the NFTs that could have a score have one.
func (a *API) backfillProgress(ctx context.Context, _ *request) (any, error) {
	list, err := a.collections(ctx)
	if err != nil {
		return nil, err
	}
	ready, err := a.ready(ctx, candidatesShown)
	if err != nil {
		return nil, err
	}
	next := make([]candidate, len(ready))
	for i, r := range ready {
		next[i] = asCandidate(r)
	}
	t := sum(list)
	eligible, percent := t.Scored+t.Ready, "0"
	if eligible > 0 {
		percent = strconv.FormatFloat(float64(t.Scored)*100/float64(eligible), 'f', 1, 64)
	}
	type progress struct {
		Eligible  int64  `json:"totalEligible"`
		Completed int64  `json:"completed"`
		Remaining int64  `json:"remaining"`
		Percent   string `json:"progressPercent"`
	}
	return struct {
		Progress progress    `json:"backfillProgress"`
		Next     []candidate `json:"nextCandidates"`
		Summary  string      `json:"summary"`
	}{
		progress{eligible, t.Scored, t.Ready, percent + "%"}, next,
		fmt.Sprintf("%d/%d NFTs have POA v2 scores (%s%% complete)", t.Scored, eligible, percent),
	}, nil
}

// countedNFT is an NFT of a backfill.
type countedNFT struct {
	namedNFT
	Votes int64 `json:"votes"`
}

func asCounted(r store.Ranked) countedNFT { return countedNFT{asNamed(r.NFT), r.Rating.Votes} }

// backfill computes the NFTs without a score that have most votes, or lists
// them.
func (a *API) backfill(ctx context.Context, q *request) (any, error) {
	if !q.dryRun {
		if err := a.allow(q, access.Operate); err != nil {
			return nil, err
		}
	}
	size, err := upTo("batchSize", q.batchSize, maxNFTs, 10)
	if err != nil {
		return nil, err
	}
	ready, err := a.ready(ctx, size)
	if err != nil {
		return nil, err
	}
	if q.dryRun {
		list := make([]countedNFT, len(ready))
		for i, r := range ready {
			list[i] = asCounted(r)
		}
		return struct {
			Candidates []countedNFT `json:"candidates"`
		}{list}, nil
	}
	numbers, byNumber := make([]int64, len(ready)), make(map[int64]store.Ranked, len(ready))
	for i, r := range ready {
		numbers[i], byNumber[r.NFT.Number] = r.NFT.Number, r
	}
	results, err := a.exactly(ctx, q, store.ReasonBackfill, numbers)
	if err != nil {
		return nil, fmt.Errorf("computing NFTs: %w", err)
	}
	type filled struct {
		countedNFT
		POA        float64 `json:"poa_v2"`
		Confidence float64 `json:"confidence"`
	}
	type failed struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Error string `json:"error"`
	}
	doc := struct {
		Processed int      `json:"processed"`
		Failed    int      `json:"errorCount"`
		Results   []filled `json:"results"`
		Errors    []failed `json:"errors"`
	}{Results: []filled{}, Errors: []failed{}}
	for _, r := range results {
		nft := byNumber[r.NFT]
		if r.Err != nil {
			doc.Errors = append(doc.Errors, failed{r.ID, nft.NFT.Name, r.Err.Error()})
		} else if r.After != nil {
			doc.Results = append(doc.Results, filled{asCounted(nft), r.After.POA, r.After.Confidence})
		}
	}
	doc.Processed, doc.Failed = len(doc.Results), len(doc.Errors)
	return doc, nil
}
