package dropin

import (
	"context"
	"fmt"
	"strconv"

	"poa/internal/scoring"
	"poa/internal/store"
)

const (
	recentListed  = 5
	readyListed   = 10
	votesListed   = 10
	votesSearched = 500 // for standing FIREs
)

// scoredNFT is an NFT with all that was in its row of the old table.
type scoredNFT struct {
	listedNFT
	Mean        float64     `json:"elo_mean"`
	Sigma       float64     `json:"elo_sigma"`
	Votes       int64       `json:"total_votes"`
	POA         *float64    `json:"poa_v2"`
	Confidence  *float64    `json:"poa_v2_confidence"`
	Explanation *string     `json:"poa_v2_explanation"`
	At          *moment     `json:"poa_v2_updated_at"`
	Components  *components `json:"poa_v2_components"`
}

func (a *API) asScored(ctx context.Context, r *store.Ranked) (scoredNFT, error) {
	n := scoredNFT{listedNFT: asListed(r.NFT), Mean: round(r.Rating.Mean, 2), Sigma: round(r.Rating.Sigma, 2), Votes: r.Rating.Votes}
	c, err := a.published(ctx, r)
	if err == nil && c != nil {
		n.POA, n.Confidence, n.Explanation, n.At, n.Components = &c.POA, &c.Confidence, &c.Explanation, &c.At, &c.Components
	}
	return n, err
}

// topNFTs lists the NFTs with the highest scores, with what was computed last
// and what waits.
func (a *API) topNFTs(ctx context.Context, q *request) (any, error) {
	limit, err := upTo("limit", q.limit, maxLimit, 20)
	if err != nil {
		return nil, err
	}
	o, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	ranked, err := a.Store.Leaderboard(ctx, text(q.collection), nil, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the leaderboard: %w", err)
	}
	list, err := a.collections(ctx)
	if err != nil {
		return nil, err
	}
	type counts struct {
		Scored     int64   `json:"totalWithPOAv2"`
		Recent     int64   `json:"recentComputations"`
		Ready      int64   `json:"readyCandidates"`
		POA        float64 `json:"avgPOAv2"`
		Confidence float64 `json:"avgConfidence"`
	}
	doc := struct {
		Top        []scoredNFT  `json:"topNFTs"`
		Recent     []computed   `json:"recentlyComputed"`
		Candidates []candidate  `json:"computationCandidates"`
		System     systemStatus `json:"systemStats"`
		Summary    counts       `json:"summary"`
	}{
		Top: make([]scoredNFT, len(ranked)), Recent: o.Recent[:min(recentListed, len(o.Recent))],
		Candidates: o.Candidates[:min(readyListed, len(o.Candidates))], System: o.System,
	}
	for i := range ranked {
		if doc.Top[i], err = a.asScored(ctx, &ranked[i]); err != nil {
			return nil, err
		}
	}
	t := sum(list)
	if q.collection != "" {
		t = totals{}
		for _, c := range list {
			if c.Name == q.collection {
				t = totals(c)
			}
		}
	}
	poa, confidence := t.averages()
	doc.Summary = counts{t.Scored, o.Last24h, t.Ready, poa, confidence}
	return doc, nil
}

// voteDoc is a vote as the old table had it. Votes that were no row of it are
// left out.
type voteDoc struct {
	ID     string   `json:"id"`
	At     moment   `json:"created_at"`
	Type   string   `json:"vote_type_v2"`
	Winner *string  `json:"winner_id"`
	Value  *float64 `json:"slider_value"`
	Super  bool     `json:"super_vote"`
}

type fireDoc struct {
	ID    string `json:"id"`
	At    moment `json:"created_at"`
	Voter string `json:"user_id"`
}

// nftDetails shows an NFT with its latest votes.
func (a *API) nftDetails(ctx context.Context, q *request) (any, error) {
	nft, err := a.find(ctx, q.nftID)
	if err != nil {
		return nil, err
	}
	rated := nft.Rating.NFT != 0
	if !rated {
		nft.Rating.Rating = a.Settings.Current().Policy.Constants.NewRating()
	}
	row, err := a.asScored(ctx, &nft)
	if err != nil {
		return nil, err
	}
	votes, fires, average := []voteDoc{}, []fireDoc{}, (*float64)(nil)
	if rated {
		if votes, fires, err = a.votes(ctx, &nft); err != nil {
			return nil, err
		}
		if average, err = a.sliderAverage(ctx, &nft); err != nil {
			return nil, err
		}
	}
	type detailedNFT struct {
		scoredNFT
		Wins    int64    `json:"wins"`
		Losses  int64    `json:"losses"`
		Average *float64 `json:"slider_average"` // 0 to 100, as given
		Sliders int64    `json:"slider_count"`
	}
	type analytics struct {
		Fires   int64  `json:"fireVoteCount"`
		Votes   int    `json:"recentVoteCount"`
		Rate    string `json:"winRate"` // percent
		Sliders bool   `json:"hasSliderData"`
		Scored  bool   `json:"hasPOAv2"`
	}
	r := &nft.Rating
	rate := "0"
	if r.Votes > 0 {
		rate = strconv.FormatFloat(float64(r.Wins)*100/float64(r.Votes), 'f', 1, 64)
	}
	return struct {
		NFT       detailedNFT `json:"nft"`
		Fires     []fireDoc   `json:"fireVotes"`
		Votes     []voteDoc   `json:"recentVotes"`
		Analytics analytics   `json:"analytics"`
	}{
		detailedNFT{row, r.Wins, r.Losses, average, r.Sliders}, fires, votes,
		analytics{r.Fires, len(votes), rate, r.Sliders > 0, r.Score != nil},
	}, nil
}

// votes returns the latest votes on an NFT, and the FIREs that stand among more
// of them.
func (a *API) votes(ctx context.Context, nft *store.Ranked) ([]voteDoc, []fireDoc, error) {
	rows, err := a.Store.VotesOf(ctx, nft.NFT.Number, 0, 0, votesSearched)
	if err != nil {
		return nil, nil, fmt.Errorf("reading votes: %w", err)
	}
	votes, fires := []voteDoc{}, []fireDoc{}
	settled := map[int64]bool{} // voters whose latest FIRE or withdrawal was seen
	var shown []store.Vote
	for _, v := range rows {
		switch v.Kind {
		case scoring.Fire, scoring.Unfire:
			if v.Kind == scoring.Fire && !settled[v.Voter] {
				fires = append(fires, fireDoc{v.Key, moment(v.CastAt), v.VoterID})
			}
			settled[v.Voter] = true
		default:
			if len(shown) < votesListed {
				shown = append(shown, v)
			}
		}
	}
	collections, err := a.opponents(ctx, nft, shown)
	if err != nil {
		return nil, nil, err
	}
	for i := range shown {
		votes = append(votes, asVote(&shown[i], collections))
	}
	return votes, fires, nil
}

// opponents returns the collections of the NFTs of votes, by number.
func (a *API) opponents(ctx context.Context, nft *store.Ranked, votes []store.Vote) (map[int64]string, error) {
	collections := map[int64]string{nft.NFT.Number: nft.NFT.Collection}
	var others []int64
	for _, v := range votes {
		for _, number := range []int64{v.A, v.B} {
			if _, seen := collections[number]; !seen && number != 0 {
				collections[number] = ""
				others = append(others, number)
			}
		}
	}
	found, err := a.byNumber(ctx, others)
	for number, r := range found {
		collections[number] = r.NFT.Collection
	}
	return collections, err
}

func asVote(v *store.Vote, collections map[int64]string) voteDoc {
	d := voteDoc{ID: v.Key, At: moment(v.CastAt), Type: "cross_coll", Super: v.Super}
	switch {
	case v.Kind == scoring.Slider:
		d.Type, d.Value = "slider", &v.Value
	case collections[v.A] == collections[v.B]:
		d.Type = "same_coll"
	}
	switch v.Outcome {
	case scoring.WinA:
		d.Winner = &v.AID
	case scoring.WinB:
		d.Winner = &v.BID
	}
	return d
}

// sliderAverage is the mean of the standing slider ratings, nil where there are
// none.
func (a *API) sliderAverage(ctx context.Context, nft *store.Ranked) (*float64, error) {
	var standing []store.Standing
	err := a.Store.View(ctx, func(v store.View) (err error) {
		standing, err = v.Standing(ctx, []int64{nft.NFT.Number})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading opinions: %w", err)
	}
	total, n := 0.0, 0
	for _, s := range standing {
		for _, o := range s.Opinions {
			if o.Kind == scoring.Slider {
				total += o.Value
				n++
			}
		}
	}
	if n == 0 {
		return nil, nil
	}
	average := ratio(total, float64(n))
	return &average, nil
}
