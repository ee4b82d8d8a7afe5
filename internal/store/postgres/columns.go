package postgres

import (
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"poa/internal/scoring"
	"poa/internal/store"
)

// The rows of store.Changes as columns, each an array to unnest.

func voteColumns(votes []store.Vote) InsertVotesParams {
	return InsertVotesParams{
		Numbers:     column(votes, func(v *store.Vote) int64 { return v.Number }),
		Keys:        column(votes, func(v *store.Vote) string { return v.Key }),
		Voters:      column(votes, func(v *store.Vote) int64 { return v.Voter }),
		Kinds:       column(votes, func(v *store.Vote) int16 { return int16(v.Kind) }),
		Supers:      column(votes, func(v *store.Vote) bool { return v.Super }),
		NftsA:       column(votes, func(v *store.Vote) int64 { return v.A }),
		NftsB:       column(votes, func(v *store.Vote) int64 { return v.B }),
		Outcomes:    column(votes, func(v *store.Vote) int16 { return int16(v.Outcome) }),
		Values:      column(votes, func(v *store.Vote) float64 { return v.Value }),
		Weights:     column(votes, func(v *store.Vote) int64 { return int64(v.Weight) }),
		CastAts:     column(votes, func(v *store.Vote) pgtype.Timestamptz { return stamp(v.CastAt) }),
		ReceivedAts: column(votes, func(v *store.Vote) pgtype.Timestamptz { return stamp(v.ReceivedAt) }),
	}
}

func ratingColumns(ratings []store.Rating) UpdateRatingsParams {
	return UpdateRatingsParams{
		NFTs:                column(ratings, func(r *store.Rating) int64 { return r.NFT }),
		Means:               column(ratings, func(r *store.Rating) float64 { return r.Mean }),
		Sigmas:              column(ratings, func(r *store.Rating) float64 { return r.Sigma }),
		Votes:               column(ratings, func(r *store.Rating) int64 { return r.Votes }),
		Wins:                column(ratings, func(r *store.Rating) int64 { return r.Wins }),
		Losses:              column(ratings, func(r *store.Rating) int64 { return r.Losses }),
		Ties:                column(ratings, func(r *store.Rating) int64 { return r.Ties }),
		Matchups:            column(ratings, func(r *store.Rating) int64 { return r.Matchups }),
		Skips:               column(ratings, func(r *store.Rating) int64 { return r.Skips }),
		SliderVotes:         column(ratings, func(r *store.Rating) int64 { return r.SliderVotes }),
		FireVotes:           column(ratings, func(r *store.Rating) int64 { return r.FireVotes }),
		MatchupWeights:      column(ratings, func(r *store.Rating) int64 { return int64(r.MatchupWeight) }),
		Sliders:             column(ratings, func(r *store.Rating) int64 { return r.Sliders }),
		SliderSums:          column(ratings, func(r *store.Rating) int64 { return int64(r.SliderSum) }),
		SliderWeights:       column(ratings, func(r *store.Rating) int64 { return int64(r.SliderWeight) }),
		Fires:               column(ratings, func(r *store.Rating) int64 { return r.Fires }),
		FireWeights:         column(ratings, func(r *store.Rating) int64 { return int64(r.FireWeight) }),
		Recents:             column(ratings, func(r *store.Rating) []byte { return packRecent(r.Recent) }),
		Versions:            column(ratings, func(r *store.Rating) int64 { return r.Version }),
		LastVotes:           column(ratings, func(r *store.Rating) int64 { return r.LastVote }),
		ExactMatchupWeights: column(ratings, func(r *store.Rating) int64 { return int64(r.ExactMatchupWeight) }),
		ExactVotes:          column(ratings, func(r *store.Rating) int64 { return r.ExactVote }),
		DueSinces:           column(ratings, func(r *store.Rating) pgtype.Timestamptz { return stamp(r.Due.Since) }),
		DueReasons:          column(ratings, func(r *store.Rating) string { return r.Due.Reason }),
		DuePriorities:       column(ratings, func(r *store.Rating) int16 { return int16(r.Due.Priority) }),
		WaitingSinces:       column(ratings, func(r *store.Rating) pgtype.Timestamptz { return stamp(r.WaitingSince) }),
	}
}

func voterColumns(voters []store.Voter, f *scoring.Folding) UpdateVotersParams {
	return UpdateVotersParams{
		Numbers:       column(voters, func(v *store.Voter) int64 { return v.Number }),
		Reliabilities: column(voters, func(v *store.Voter) float64 { return v.Reliability }),
		Judged:        column(voters, func(v *store.Voter) int64 { return v.Judged }),
		Votes:         column(voters, func(v *store.Voter) int64 { return v.Votes }),
		Weights:       column(voters, func(v *store.Voter) int64 { return int64(f.Weight(&v.Voter)) }),
		SliderNs:      column(voters, func(v *store.Voter) int64 { return v.Calibration.N }),
		SliderMeans:   column(voters, func(v *store.Voter) float64 { return v.Calibration.Mean }),
		SliderM2s:     column(voters, func(v *store.Voter) float64 { return v.Calibration.M2 }),
		LastVotes:     column(voters, func(v *store.Voter) int64 { return v.LastVote }),

		AllowanceSinces: column(voters, func(v *store.Voter) pgtype.Timestamptz { return stamp(v.Allowance.Since) }),
		AllowancesUsed:  column(voters, func(v *store.Voter) int64 { return v.Allowance.Used }),
	}
}

func opinionColumns(opinions []store.Opinion) UpsertOpinionsParams {
	return UpsertOpinionsParams{
		NFTs:     column(opinions, func(o *store.Opinion) int64 { return o.NFT }),
		Kinds:    column(opinions, func(o *store.Opinion) int16 { return int16(o.Kind) }),
		Voters:   column(opinions, func(o *store.Opinion) int64 { return o.Voter }),
		Standing: column(opinions, func(o *store.Opinion) bool { return o.Standing }),
		Values:   column(opinions, func(o *store.Opinion) float64 { return o.Value }),
		Weights:  column(opinions, func(o *store.Opinion) int64 { return int64(o.Weight) }),
		Scores:   column(opinions, func(o *store.Opinion) int64 { return int64(o.Score) }),
		CastAts:  column(opinions, func(o *store.Opinion) pgtype.Timestamptz { return stamp(o.CastAt) }),
		Votes:    column(opinions, func(o *store.Opinion) int64 { return o.Vote }),
	}
}

func scoreColumns(scores []store.Score) UpsertScoresParams {
	return UpsertScoresParams{
		NFTs:               column(scores, func(s *store.Score) int64 { return s.NFT }),
		Collections:        column(scores, func(s *store.Score) int64 { return s.Collection }),
		Poas:               column(scores, func(s *store.Score) float64 { return s.POA }),
		Confidences:        column(scores, func(s *store.Score) float64 { return s.Confidence }),
		Elos:               column(scores, func(s *store.Score) float64 { return s.Elo }),
		Sliders:            column(scores, func(s *store.Score) float64 { return s.Slider }),
		Fires:              column(scores, func(s *store.Score) float64 { return s.Fire }),
		Reliabilities:      column(scores, func(s *store.Score) float64 { return s.Reliability }),
		Provisionals:       column(scores, func(s *store.Score) bool { return s.Provisional }),
		Votes:              column(scores, func(s *store.Score) int64 { return s.Votes }),
		Agings:             column(scores, func(s *store.Score) bool { return s.Aging }),
		ComputedAts:        column(scores, func(s *store.Score) pgtype.Timestamptz { return stamp(s.ComputedAt) }),
		Reasons:            column(scores, func(s *store.Score) string { return s.Reason }),
		Bases:              column(scores, func(s *store.Score) string { return string(s.Basis) }),
		ThroughVotes:       column(scores, func(s *store.Score) int64 { return s.ThroughVote }),
		Versions:           column(scores, func(s *store.Score) int64 { return s.Version }),
		HistoryPoas:        column(scores, func(s *store.Score) float64 { return s.HistoryPOA }),
		HistoryConfidences: column(scores, func(s *store.Score) float64 { return s.HistoryConfidence }),
	}
}

func historyColumns(points []store.HistoryPoint) InsertHistoryParams {
	return InsertHistoryParams{
		NFTs:         column(points, func(h *store.HistoryPoint) int64 { return h.NFT }),
		Ats:          column(points, func(h *store.HistoryPoint) pgtype.Timestamptz { return stamp(h.At) }),
		Poas:         column(points, func(h *store.HistoryPoint) float64 { return h.POA }),
		Confidences:  column(points, func(h *store.HistoryPoint) float64 { return h.Confidence }),
		Means:        column(points, func(h *store.HistoryPoint) float64 { return h.Mean }),
		Sigmas:       column(points, func(h *store.HistoryPoint) float64 { return h.Sigma }),
		Votes:        column(points, func(h *store.HistoryPoint) int64 { return h.Votes }),
		Reasons:      column(points, func(h *store.HistoryPoint) string { return h.Reason }),
		Bases:        column(points, func(h *store.HistoryPoint) string { return string(h.Basis) }),
		ThroughVotes: column(points, func(h *store.HistoryPoint) int64 { return h.ThroughVote }),
		Versions:     column(points, func(h *store.HistoryPoint) int64 { return h.Version }),
	}
}

func activityColumns(entries []store.Activity) (InsertActivityParams, error) {
	reasons := make([]string, len(entries))
	for i := range entries {
		text, err := json.Marshal(entries[i].Reasons)
		if err != nil {
			return InsertActivityParams{}, fmt.Errorf("writing the reasons of an activity: %w", err)
		}
		reasons[i] = string(text)
	}
	return InsertActivityParams{
		Ats:        column(entries, func(a *store.Activity) pgtype.Timestamptz { return stamp(a.At) }),
		Kinds:      column(entries, func(a *store.Activity) string { return string(a.Kind) }),
		NFTs:       column(entries, func(a *store.Activity) int64 { return a.NFT }),
		Reason:     column(entries, func(a *store.Activity) string { return a.Reason }),
		Reasons:    reasons,
		Priorities: column(entries, func(a *store.Activity) int16 { return int16(a.Priority) }),
		Bases:      column(entries, func(a *store.Activity) string { return string(a.Basis) }),
		PoasBefore: column(entries, func(a *store.Activity) float64 { return orNaN(a.POABefore) }),
		Poas:       column(entries, func(a *store.Activity) float64 { return orNaN(a.POA) }),
		Votes:      column(entries, func(a *store.Activity) int64 { return a.Vote }),
		Details:    column(entries, func(a *store.Activity) string { return a.Detail }),
		Runs:       column(entries, func(a *store.Activity) int64 { return a.Run }),
		Whos:       column(entries, func(a *store.Activity) string { return a.Who }),
	}, nil
}

func deltaColumns(deltas []store.Delta) InsertCounterDeltasParams {
	return InsertCounterDeltasParams{
		Names:       column(deltas, func(d *store.Delta) string { return d.Name }),
		Collections: column(deltas, func(d *store.Delta) int64 { return d.Collection }),
		Bys:         column(deltas, func(d *store.Delta) int64 { return d.By }),
	}
}
