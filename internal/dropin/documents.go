package dropin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"poa/internal/batch"
	"poa/internal/scoring"
	"poa/internal/store"
)

// moment is a time as JavaScript's toISOString writes it.
type moment time.Time

func (m moment) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(m).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// momentOf is nil for the zero time.
func momentOf(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	m := moment(t)
	return &m
}

// text is nil for no text.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func round(x float64, digits int) float64 {
	unit := math.Pow10(digits)
	return math.Round(x*unit) / unit
}

// ratio is a/b rounded to 2 decimals, 0 where b is 0.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return round(a/b, 2)
}

// listedNFT is an NFT in the lists of NFTs.
type listedNFT struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	Collection *string `json:"collection_name"`
}

func asListed(n store.NFT) listedNFT { return listedNFT{n.ID, n.Name, text(n.Collection)} }

// namedNFT is an NFT that an answer is about.
type namedNFT struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	Collection *string `json:"collection"`
}

func asNamed(n store.NFT) namedNFT { return namedNFT{n.ID, n.Name, text(n.Collection)} }

// candidate is an NFT that waits for a computation.
type candidate struct {
	listedNFT
	Votes int64 `json:"total_votes"`
}

func asCandidate(r store.Ranked) candidate { return candidate{asListed(r.NFT), r.Rating.Votes} }

// computed is an entry of the log of computations.
type computed struct {
	listedNFT
	POA *float64 `json:"poa_v2"`
	At  moment   `json:"poa_v2_updated_at"`
}

type components struct {
	Elo         float64 `json:"elo_component"`
	Slider      float64 `json:"slider_component"`
	Fire        float64 `json:"fire_component"`
	Confidence  float64 `json:"confidence"`
	Reliability float64 `json:"avg_reliability"`
}

func asComponents(r scoring.Result) components {
	return components{round(r.Elo, 2), round(r.Slider, 2), round(r.Fire, 2), r.Confidence, round(r.Reliability, 3)}
}

// computation is a score with what it was made of.
type computation struct {
	NFT         string     `json:"nft_id"`
	POA         float64    `json:"poa_v2"`
	Confidence  float64    `json:"poa_v2_confidence"`
	Components  components `json:"poa_v2_components"`
	Explanation string     `json:"poa_v2_explanation"`
	At          moment     `json:"computation_timestamp"`
	Sources     sources    `json:"data_sources"`
}

type sources struct {
	Matchups    int64   `json:"elo_votes"`
	Sliders     int64   `json:"slider_votes"`
	Fires       int64   `json:"fire_votes"`
	Reliability float64 `json:"avg_user_reliability"`
}

// asComputation shows a score under the publishing constants it was made with.
func asComputation(id string, r *store.Rating, result scoring.Result, p *scoring.Publishing, at time.Time) *computation {
	return &computation{
		NFT: id, POA: result.POA, Confidence: result.Confidence, Components: asComponents(result),
		Explanation: p.Explain(result.POA, result.Components), At: moment(at),
		Sources: sources{r.Matchups, r.Sliders, r.Fires, round(result.Reliability, 3)},
	}
}

// publishing returns the constants a score was published with.
func (a *API) publishing(ctx context.Context, version int64) (*scoring.Publishing, error) {
	if p := a.Settings.Current().Policy; p.Version == version {
		return &p.Constants.Publishing, nil
	}
	var p scoring.Publishing
	err := a.Store.View(ctx, func(v store.View) (err error) {
		p, err = v.ScoringVersion(ctx, version)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading scoring version %d: %w", version, err)
	}
	return &p, nil
}

// published shows an NFT's score as it is published, nil where there is none.
func (a *API) published(ctx context.Context, r *store.Ranked) (*computation, error) {
	s := r.Rating.Score
	if s == nil {
		return nil, nil
	}
	p, err := a.publishing(ctx, s.Version)
	if err != nil {
		return nil, err
	}
	return asComputation(r.NFT.ID, &r.Rating, s.Result, p, s.ComputedAt), nil
}

// find returns the NFT that a request names.
func (a *API) find(ctx context.Context, id string) (store.Ranked, error) {
	if id == "" {
		return store.Ranked{}, invalid("nftId must be given: the id of an NFT")
	}
	var found store.Ranked
	err := a.Store.View(ctx, func(v store.View) (err error) {
		if found.NFT, err = v.NFT(ctx, id); err != nil {
			return err
		}
		ratings, err := v.Ratings(ctx, []string{id})
		if len(ratings) > 0 {
			found.Rating = ratings[0]
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return found, notFound("NFT", id)
	}
	if err != nil {
		return found, fmt.Errorf("reading an NFT: %w", err)
	}
	return found, nil
}

// byNumber returns NFTs by number.
func (a *API) byNumber(ctx context.Context, numbers []int64) (map[int64]store.Ranked, error) {
	list, err := a.Store.NFTs(ctx, numbers)
	if err != nil {
		return nil, fmt.Errorf("reading NFTs: %w", err)
	}
	found := make(map[int64]store.Ranked, len(list))
	for _, r := range list {
		found[r.NFT.Number] = r
	}
	return found, nil
}

// ready returns the NFTs of active collections that could have a score and have
// none, most votes first, at most limit.
func (a *API) ready(ctx context.Context, limit int) ([]store.Ranked, error) {
	now := a.now()
	found, err := a.Store.Candidates(ctx, store.Wanted{Now: now, OldBefore: now, ByVotes: limit})
	if err != nil {
		return nil, fmt.Errorf("looking for NFTs to compute: %w", err)
	}
	numbers := make([]int64, len(found.ByVotes))
	for i, c := range found.ByVotes {
		numbers[i] = c.NFT
	}
	list, err := a.Store.NFTs(ctx, numbers)
	if err != nil {
		return nil, fmt.Errorf("reading NFTs: %w", err)
	}
	return list, nil
}

// triggerVotes is from how many votes on the old API listed an NFT without a
// score as one that should have been triggered.
const triggerVotes = 5

// neglected returns the first of ready that have votes enough for a trigger.
func neglected(ready []store.Ranked, limit int) []candidate {
	list := []candidate{}
	for _, r := range ready {
		if r.Rating.Votes >= triggerVotes && len(list) < limit {
			list = append(list, asCandidate(r))
		}
	}
	return list
}

// recent returns the latest computations of the last 24 hours from the log.
func (a *API) recent(ctx context.Context, limit int) ([]computed, error) {
	entries, err := a.Store.ListActivity(ctx, store.ActivityQuery{Kind: store.Computed, Since: a.now().Add(-day), Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("reading the activity: %w", err)
	}
	var numbers []int64
	seen := map[int64]bool{}
	for _, e := range entries {
		if !seen[e.NFT] {
			seen[e.NFT] = true
			numbers = append(numbers, e.NFT)
		}
	}
	nfts, err := a.byNumber(ctx, numbers)
	if err != nil {
		return nil, err
	}
	list := make([]computed, len(entries))
	for i, e := range entries {
		n := nfts[e.NFT].NFT
		n.ID = e.NFTID
		list[i] = computed{asListed(n), e.POA, moment(e.At)}
	}
	return list, nil
}

const day = 24 * time.Hour

// split returns the NFTs of a plan, those without a score and those with one.
func (a *API) split(ctx context.Context, items []batch.Item) (unscored, scored []store.Ranked, err error) {
	numbers := make([]int64, len(items))
	for i, item := range items {
		numbers[i] = item.NFT
	}
	list, err := a.Store.NFTs(ctx, numbers)
	if err != nil {
		return nil, nil, fmt.Errorf("reading NFTs: %w", err)
	}
	for _, r := range list {
		if r.Rating.Score == nil {
			unscored = append(unscored, r)
		} else {
			scored = append(scored, r)
		}
	}
	return unscored, scored, nil
}
