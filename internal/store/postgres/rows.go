package postgres

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

// stamp and moment convert times; the zero Time is null.
func stamp(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}
}

func moment(t pgtype.Timestamptz) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}

// limit converts a number of rows for LIMIT.
func limit(n int) int32 { return int32(max(0, min(n, math.MaxInt32))) }

// column returns one column of rows, as an array to unnest.
func column[R, C any](rows []R, of func(*R) C) []C {
	values := make([]C, len(rows))
	for i := range rows {
		values[i] = of(&rows[i])
	}
	return values
}

// convert returns what each row stands for.
func convert[R, T any](rows []R, of func(*R) T) []T { return column(rows, of) }

func packRecent(r trigger.Recent) []byte {
	b := make([]byte, 0, 8*len(r))
	for _, us := range r {
		b = binary.LittleEndian.AppendUint64(b, uint64(us))
	}
	return b
}

func unpackRecent(b []byte) (r trigger.Recent) {
	for i := range r {
		if len(b) >= 8*(i+1) {
			r[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
	return r
}

// ratingOf leaves Score nil.
func ratingOf(row *RatingsRow) store.Rating {
	r := &row.Rating
	return store.Rating{
		NFT: r.NFT, ID: row.ID, Collection: r.Collection,
		Rating: scoring.Rating{
			Mean: r.Mean, Sigma: r.Sigma,
			Votes: r.Votes, Wins: r.Wins, Losses: r.Losses, Ties: r.Ties,
			Matchups: r.Matchups, Skips: r.Skips, SliderVotes: r.SliderVotes, FireVotes: r.FireVotes,
			MatchupWeight: scoring.Sum(r.MatchupWeight),
			Sliders:       r.Sliders, SliderSum: scoring.Sum(r.SliderSum), SliderWeight: scoring.Sum(r.SliderWeight),
			Fires: r.Fires, FireWeight: scoring.Sum(r.FireWeight),
		},
		Recent: unpackRecent(r.Recent), Version: r.Version, LastVote: r.LastVote,
		ExactMatchupWeight: scoring.Sum(r.ExactMatchupWeight), ExactVote: r.ExactVote,
		Due:          store.Due{Since: moment(r.DueSince), Reason: r.DueReason.String, Priority: trigger.Priority(r.DuePriority.Int16)},
		WaitingSince: moment(r.WaitingSince),
	}
}

// withScores adds the scores to their ratings.
func withScores(ratings []store.Rating, scores []Score) []store.Rating {
	published := make(map[int64]*Score, len(scores))
	for i := range scores {
		published[scores[i].NFT] = &scores[i]
	}
	for i := range ratings {
		if s := published[ratings[i].NFT]; s != nil {
			score := scoreOf(s)
			ratings[i].Score = &score
		}
	}
	return ratings
}

func scoreOf(s *Score) store.Score {
	return store.Score{
		NFT: s.NFT, Collection: s.Collection,
		Result: scoring.Result{
			POA: s.POA, Confidence: s.Confidence, Provisional: s.Provisional,
			Components: scoring.Components{Elo: s.Elo, Slider: s.Slider, Fire: s.Fire, Reliability: s.Reliability},
		},
		Votes: s.Votes, Aging: s.Aging, ComputedAt: moment(s.ComputedAt), Reason: s.Reason, Basis: store.Basis(s.Basis),
		ThroughVote: s.ThroughVote, Version: s.Version, HistoryPOA: s.HistoryPOA, HistoryConfidence: s.HistoryConfidence,
	}
}

func voterOf(v *Voter) store.Voter {
	return store.Voter{
		Number: v.Number, ID: v.ID, LastVote: v.LastVote, Allowance: trigger.Allowance{Since: moment(v.AllowanceSince), Used: v.AllowanceUsed},
		Voter: scoring.Voter{
			Reliability: v.Reliability, Judged: v.Judged, Votes: v.Votes,
			Calibration: scoring.Calibration{N: v.SliderN, Mean: v.SliderMean, M2: v.SliderM2},
		},
	}
}

func voteOf(row *VotesByKeyRow) store.Vote {
	v := &row.Vote
	return store.Vote{
		Number: v.Number, Key: v.Key, Voter: v.Voter, VoterID: row.VoterID,
		A: v.A, AID: row.AID, B: v.B.Int64, BID: row.BID.String,
		ReceivedAt: moment(v.ReceivedAt), Weight: scoring.Sum(v.Weight),
		Vote: scoring.Vote{
			Kind: scoring.Kind(v.Kind), Super: v.Super, Outcome: scoring.Outcome(v.Outcome),
			Value: v.Value.Float64, CastAt: moment(v.CastAt),
		},
	}
}

func opinionOf(o *Opinion) store.Opinion {
	return store.Opinion{
		OpinionRef: store.OpinionRef{NFT: o.NFT, Voter: o.Voter, Kind: scoring.Kind(o.Kind)},
		Opinion: scoring.Opinion{
			Standing: o.Standing, Value: o.Value, CastAt: moment(o.CastAt),
			Weight: scoring.Sum(o.Weight), Score: scoring.Sum(o.Score),
		},
		Vote: o.Vote,
	}
}

func nftOf(row *NFTsRow) store.NFT {
	n := &row.NFT
	return store.NFT{Number: n.Number, ID: n.ID, Name: n.Name, Collection: row.CollectionName, ImageURL: n.ImageURL}
}

func historyOf(h *History) store.HistoryPoint {
	return store.HistoryPoint{
		NFT: h.NFT, At: moment(h.At), POA: h.POA, Confidence: h.Confidence, Mean: h.Mean, Sigma: h.Sigma,
		Votes: h.Votes, Reason: h.Reason, Basis: store.Basis(h.Basis), ThroughVote: h.ThroughVote, Version: h.Version,
	}
}

func entryOf(a *ActivityRow) (store.Activity, error) {
	entry := store.Activity{
		Number: a.Number, At: moment(a.At), Kind: store.ActivityKind(a.Kind), NFT: a.NFT.Int64, NFTID: a.NftID.String,
		Reason: a.Reason, Priority: trigger.Priority(a.Priority), Basis: store.Basis(a.Basis),
		POABefore: number(a.POABefore), POA: number(a.POA), Vote: a.Vote, Run: a.Run.Int64, Who: a.Who, Detail: a.Detail,
	}
	if err := json.Unmarshal(a.Reasons, &entry.Reasons); err != nil {
		return entry, fmt.Errorf("the reasons of activity %d: %w", a.Number, err)
	}
	return entry, nil
}

// number is nil for null.
func number(f pgtype.Float8) *float64 {
	if !f.Valid {
		return nil
	}
	return &f.Float64
}

// orNaN is NaN for nil.
func orNaN(f *float64) float64 {
	if f == nil {
		return math.NaN()
	}
	return *f
}
