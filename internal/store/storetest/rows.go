package storetest

import (
	"fmt"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

// unexpected is an error for what must not have happened inside a transaction.
func unexpected(what string, got any) error { return fmt.Errorf("%s: %v", what, got) }

func newVote(key string, by store.Voter, a store.Rating) store.Vote {
	return store.Vote{
		Key: key, Voter: by.Number, VoterID: by.ID, A: a.NFT, AID: a.ID,
		ReceivedAt: base.Add(time.Second), Weight: scoring.ToSum(1),
		Vote: scoring.Vote{CastAt: base},
	}
}

func matchup(key string, by store.Voter, a, b store.Rating, outcome scoring.Outcome) store.Vote {
	v := newVote(key, by, a)
	v.B, v.BID = b.NFT, b.ID
	v.Kind, v.Outcome = scoring.Matchup, outcome
	return v
}

func sliderVote(key string, by store.Voter, a store.Rating, value float64) store.Vote {
	v := newVote(key, by, a)
	v.Kind, v.Value = scoring.Slider, value
	return v
}

func fireVote(key string, by store.Voter, a store.Rating) store.Vote {
	v := newVote(key, by, a)
	v.Kind = scoring.Fire
	return v
}

func opinion(kind scoring.Kind, nft store.Rating, by store.Voter, standing bool) store.Opinion {
	o := store.Opinion{
		OpinionRef: store.OpinionRef{NFT: nft.NFT, Voter: by.Number, Kind: kind},
		Opinion:    scoring.Opinion{Standing: standing, CastAt: base},
		Vote:       7,
	}
	if standing {
		o.Weight = scoring.ToSum(1)
	}
	if standing && kind == scoring.Slider {
		o.Value, o.Score = 61, scoring.ToSum(61)
	}
	return o
}

func score(of store.Rating, poa, confidence float64, through int64) store.Score {
	return store.Score{
		NFT: of.NFT, Collection: of.Collection,
		Result: scoring.Result{
			POA: poa, Confidence: confidence,
			Components: scoring.Components{Elo: 41, Slider: 42, Fire: 43, Reliability: 1.01},
		},
		Votes: 4, ComputedAt: base, Reason: string(trigger.Milestone), Basis: store.Incremental,
		ThroughVote: through, Version: 1, HistoryPOA: poa, HistoryConfidence: confidence,
	}
}

func point(of store.Rating, minute int) store.HistoryPoint {
	return store.HistoryPoint{
		NFT: of.NFT, At: base.Add(time.Duration(minute) * time.Minute), POA: float64(minute), Confidence: 30,
		Mean: 1234.5, Sigma: 300, Votes: int64(minute), Reason: store.ReasonBatch, Basis: store.Exact,
		ThroughVote: int64(minute), Version: 1,
	}
}
