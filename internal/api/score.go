package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"poa/internal/access"
	"poa/internal/exact"
	"poa/internal/scoring"
	"poa/internal/store"
)

// findIn is server.find in a snapshot.
func findIn(ctx context.Context, v store.View, id string) (store.Ranked, error) {
	if err := checkID("path.id", id); err != nil {
		return store.Ranked{}, err
	}
	nft, err := v.NFT(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Ranked{}, notFound("NFT", id)
	}
	if err != nil {
		return store.Ranked{}, fmt.Errorf("reading an NFT: %w", err)
	}
	ratings, err := v.Ratings(ctx, []string{id})
	if err != nil {
		return store.Ranked{}, fmt.Errorf("reading a rating: %w", err)
	}
	if len(ratings) == 0 {
		return store.Ranked{NFT: nft}, nil
	}
	return store.Ranked{NFT: nft, Rating: ratings[0]}, nil
}

// partsDoc are the parts a score is made of.
type partsDoc struct {
	Elo         float64 `json:"elo"`
	Slider      float64 `json:"slider"`
	Fire        float64 `json:"fire"`
	Reliability float64 `json:"reliability"`
	POA         float64 `json:"poa"`
	Confidence  float64 `json:"confidence"`
	Provisional bool    `json:"provisional"`
}

func asParts(r scoring.Result) *partsDoc {
	return &partsDoc{r.Elo, r.Slider, r.Fire, r.Reliability, r.POA, r.Confidence, r.Provisional}
}

// inputsDoc is the running state that a score is read from.
type inputsDoc struct {
	Mean          float64 `json:"mean"`
	Sigma         float64 `json:"sigma"`
	Votes         int64   `json:"votes"`
	Wins          int64   `json:"wins" doc:"A super vote counts more than one, as in losses and ties"`
	Losses        int64   `json:"losses"`
	Ties          int64   `json:"ties"`
	Matchups      int64   `json:"matchups" doc:"Decided and tied ones"`
	Skips         int64   `json:"skips" doc:"Matchups in which the voter chose neither"`
	SliderVotes   int64   `json:"slider_votes" doc:"Given"`
	FireVotes     int64   `json:"fire_votes" doc:"Given"`
	MatchupWeight float64 `json:"matchup_weight"`
	Sliders       int64   `json:"standing_sliders"`
	SliderSum     float64 `json:"slider_sum"`
	SliderWeight  float64 `json:"slider_weight"`
	Fires         int64   `json:"standing_fires"`
	FireWeight    float64 `json:"fire_weight"`
	LastVote      int64   `json:"last_vote" doc:"Number of the latest vote, 0 for none"`
}

func asInputs(r *store.Rating) inputsDoc {
	return inputsDoc{
		Mean: r.Mean, Sigma: r.Sigma, Votes: r.Votes, Wins: r.Wins, Losses: r.Losses, Ties: r.Ties, Matchups: r.Matchups, Skips: r.Skips,
		SliderVotes: r.SliderVotes, FireVotes: r.FireVotes, MatchupWeight: r.MatchupWeight.Float(), Sliders: r.Sliders,
		SliderSum: r.SliderSum.Float(), SliderWeight: r.SliderWeight.Float(), Fires: r.Fires, FireWeight: r.FireWeight.Float(), LastVote: r.LastVote,
	}
}

// explainedDoc is a score with what it is made of.
type explainedDoc struct {
	NFT         string             `json:"nft"`
	Score       *scoreDoc          `json:"score,omitempty" doc:"As published; absent where there is none"`
	Explanation string             `json:"explanation" doc:"How the parts make up the score, or why there is none, in a sentence"`
	VotesSince  int64              `json:"votes_since" doc:"Votes counted since it was published"`
	Constants   scoring.Publishing `json:"constants" doc:"With which it was published, or those in force where there is no score"`
	Inputs      inputsDoc          `json:"inputs" doc:"The running state now"`
	Now         *partsDoc          `json:"incremental_now,omitempty" doc:"What the running sums give now"`
	Exact       *partsDoc          `json:"exact_now,omitempty" doc:"What an exact computation would give now; with exact=true"`
	Due         *dueDoc            `json:"due,omitempty"`
}

func (s *server) scores() {
	register(s, operation{
		Method: http.MethodGet, Path: "/nfts/{id}/score", ID: "getScore", Tag: "scores", Need: access.Read,
		Summary: "Get a score with its explanation",
	}, s.getScore)
	register(s, operation{
		Method: http.MethodGet, Path: "/nfts/{id}/history", ID: "getHistory", Tag: "scores", Need: access.Read,
		Summary: "Get the history of a score", Description: "Latest first. A point is kept when the score has moved enough since the last.",
	}, s.getHistory)
	register(s, operation{
		Method: http.MethodGet, Path: "/leaderboard", ID: "getLeaderboard", Tag: "scores", Need: access.Read,
		Summary: "List the NFTs with the highest scores",
	}, s.getLeaderboard)
}

type getScoreIn struct {
	NFTPath
	Exact bool `query:"exact" doc:"Also compute, without publishing, what an exact computation would give now; it reads all votes on the NFT"`
}

func (s *server) getScore(ctx context.Context, in *getScoreIn) (*out[explainedDoc], error) {
	policy := s.Settings.Current().Policy
	var doc explainedDoc
	err := s.view(ctx, func(v store.View) error {
		found, err := findIn(ctx, v, in.ID)
		if err != nil {
			return err
		}
		r := &found.Rating
		doc = explainedDoc{NFT: found.NFT.ID, Constants: policy.Constants.Publishing, Inputs: asInputs(r), Due: asDue(r.Due)}
		if now, ok := policy.Constants.Score(&r.Rating); ok {
			doc.Now = asParts(now)
		}
		if in.Exact && r.NFT != 0 {
			_, result, ok, err := exact.Preview(ctx, v, policy, r.NFT)
			if err != nil {
				return fmt.Errorf("computing the exact score of NFT %q: %w", in.ID, err)
			}
			if ok {
				doc.Exact = asParts(result)
			}
		}
		if r.Score == nil {
			doc.Explanation = NoScore(r)
			return nil
		}
		if doc.Constants, err = v.ScoringVersion(ctx, r.Score.Version); err != nil {
			return fmt.Errorf("reading scoring version %d: %w", r.Score.Version, err)
		}
		score := asScore(r.Score)
		doc.Score, doc.VotesSince = &score, r.Votes-r.Score.Votes
		doc.Explanation = doc.Constants.Explain(r.Score.POA, r.Score.Components)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer(doc), nil
}

// NoScore says in a sentence why an NFT has no score.
func NoScore(r *store.Rating) string {
	switch {
	case r.Votes+r.Skips+r.FireVotes == 0:
		return "Nobody has voted on it."
	case r.Scorable():
		return "Its votes have triggered no computation yet; the next batches take it."
	case r.Matchups == 0 && r.FireVotes == 0 && r.SliderVotes == 0:
		return "In every matchup shown, the voter chose neither."
	}
	return "No FIRE stands any more, and it has no other votes."
}

type pointDoc struct {
	At          time.Time `json:"at"`
	POA         float64   `json:"poa"`
	Confidence  float64   `json:"confidence"`
	Mean        float64   `json:"mean"`
	Sigma       float64   `json:"sigma"`
	Votes       int64     `json:"votes"`
	Reason      string    `json:"reason"`
	Basis       string    `json:"basis" enum:"incremental,exact"`
	ThroughVote int64     `json:"through_vote"`
	Version     int64     `json:"scoring_version"`
}

func asPoint(p store.HistoryPoint) pointDoc {
	return pointDoc{p.At.UTC(), p.POA, p.Confidence, p.Mean, p.Sigma, p.Votes, p.Reason, string(p.Basis), p.ThroughVote, p.Version}
}

// items is a list without pages.
type items[T any] struct {
	Items []T `json:"items" nullable:"false"`
}

func all[T, U any](rows []T, show func(T) U) *out[items[U]] {
	list := items[U]{Items: make([]U, len(rows))}
	for i, row := range rows {
		list.Items[i] = show(row)
	}
	return answer(list)
}

type historyIn struct {
	NFTPath
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Latest points"`
}

func (s *server) getHistory(ctx context.Context, in *historyIn) (*out[items[pointDoc]], error) {
	var points []store.HistoryPoint
	err := s.view(ctx, func(v store.View) error {
		found, err := findIn(ctx, v, in.ID)
		if err != nil {
			return err
		}
		if points, err = v.History(ctx, found.NFT.Number, in.Limit); err != nil {
			return fmt.Errorf("reading the history of a score: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all(points, asPoint), nil
}

// rankedDoc is an entry of the leaderboard.
type rankedDoc struct {
	Rank int64 `json:"rank"`
	NFTDoc
}

type leaderboardIn struct {
	Page
	Filter
}

func (s *server) getLeaderboard(ctx context.Context, in *leaderboardIn) (*out[list[rankedDoc]], error) {
	after, err := in.rank()
	if err != nil {
		return nil, err
	}
	collection, err := in.collection()
	if err != nil {
		return nil, err
	}
	var key *store.RankKey
	n := int64(0)
	if after != nil {
		key, n = &after.key, after.before
	}
	rows, err := s.Store.Leaderboard(ctx, collection, key, in.Limit)
	if err != nil {
		return nil, fmt.Errorf("reading the leaderboard: %w", err)
	}
	show := func(r store.Ranked) rankedDoc {
		n++
		return rankedDoc{n, asNFT(r)}
	}
	return answer(paged(rows, in.Limit, show, func(r store.Ranked) string {
		return rank{store.RankKey{POA: r.Rating.Score.POA, NFT: r.NFT.Number}, n}.cursor()
	})), nil
}
