package sqlite

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

// micros and fromMicros are inverse for the zero Time too.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// optionalMicros maps the zero Time to NULL.
func optionalMicros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

func fromOptionalMicros(us *int64) time.Time {
	if us == nil {
		return time.Time{}
	}
	return fromMicros(*us)
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// jsonStrings returns the JSON array that statements take a set of ids or
// keys as.
func jsonStrings(ids []string) (string, error) {
	if ids == nil {
		return "[]", nil
	}
	b, err := json.Marshal(ids)
	return string(b), err
}

// jsonNumbers is jsonStrings for numbers.
func jsonNumbers(numbers []int64) string {
	b := make([]byte, 1, 2+8*len(numbers))
	b[0] = '['
	for i, n := range numbers {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, ']'))
}

// jsonRefs is jsonStrings for opinions: [[nft, kind, voter], …].
func jsonRefs(refs []store.OpinionRef) string {
	b := make([]byte, 1, 2+24*len(refs))
	b[0] = '['
	for i, r := range refs {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '['), r.NFT, 10)
		b = strconv.AppendInt(append(b, ','), int64(r.Kind), 10)
		b = strconv.AppendInt(append(b, ','), r.Voter, 10)
		b = append(b, ']')
	}
	return string(append(b, ']'))
}

// jsonRead is jsonStrings for ratings as they were read: [[nft, last vote], …].
func jsonRead(read []store.Rating) string {
	b := make([]byte, 1, 2+20*len(read))
	b[0] = '['
	for i := range read {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '['), read[i].NFT, 10)
		b = strconv.AppendInt(append(b, ','), read[i].LastVote, 10)
		b = append(b, ']')
	}
	return string(append(b, ']'))
}

// packRecent and unpackRecent keep the latest vote times in one column.
func packRecent(r trigger.Recent) []byte {
	b := make([]byte, 0, 8*trigger.RecentKept)
	for _, us := range r {
		b = binary.LittleEndian.AppendUint64(b, uint64(us))
	}
	return b
}

func unpackRecent(b []byte) (r trigger.Recent) {
	for i := range r {
		r[i] = int64(binary.LittleEndian.Uint64(b[8*i:])) // the table checks the length
	}
	return r
}

func toNFT(r nftRow, collection string) store.NFT {
	return store.NFT{Number: r.Number, ID: r.ID, Name: r.Name, Collection: collection, ImageURL: r.ImageUrl}
}

func toRating(r *ratingRow, id string) store.Rating {
	out := store.Rating{
		NFT: r.Nft, ID: id, Collection: r.Collection,
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
		WaitingSince: fromOptionalMicros(r.WaitingSince),
	}
	if r.DueSince != nil {
		out.Due = store.Due{Since: fromMicros(*r.DueSince), Reason: r.DueReason, Priority: trigger.Priority(r.DuePriority)}
	}
	return out
}

func fromRating(r *store.Rating) updateRatingParams {
	p := updateRatingParams{
		Mean: r.Mean, Sigma: r.Sigma,
		Votes: r.Votes, Wins: r.Wins, Losses: r.Losses, Ties: r.Ties,
		Matchups: r.Matchups, Skips: r.Skips, SliderVotes: r.SliderVotes, FireVotes: r.FireVotes,
		MatchupWeight: int64(r.MatchupWeight),
		Sliders:       r.Sliders, SliderSum: int64(r.SliderSum), SliderWeight: int64(r.SliderWeight),
		Fires: r.Fires, FireWeight: int64(r.FireWeight),
		Recent: packRecent(r.Recent), Version: r.Version, LastVote: r.LastVote,
		ExactMatchupWeight: int64(r.ExactMatchupWeight), ExactVote: r.ExactVote,
		DueSince: optionalMicros(r.Due.Since), DueReason: r.Due.Reason, DuePriority: int64(r.Due.Priority),
		WaitingSince: optionalMicros(r.WaitingSince),
		Nft:          r.NFT,
	}
	if p.WaitingSince != nil {
		p.WaitingVotes = &r.Votes
	}
	return p
}

func toVoter(r *voterRow) store.Voter {
	return store.Voter{
		Number: r.Number, ID: r.ID,
		Voter: scoring.Voter{
			Reliability: r.Reliability, Judged: r.Judged, Votes: r.Votes,
			Calibration: scoring.Calibration{N: r.SliderN, Mean: r.SliderMean, M2: r.SliderM2},
		},
		Allowance: trigger.Allowance{Since: fromOptionalMicros(r.AllowanceSince), Used: r.AllowanceUsed},
		LastVote:  r.LastVote,
	}
}

func fromVoter(v *store.Voter, f *scoring.Folding) updateVoterParams {
	return updateVoterParams{
		Reliability: v.Reliability, Judged: v.Judged, Votes: v.Votes, Weight: int64(f.Weight(&v.Voter)),
		SliderN: v.Calibration.N, SliderMean: v.Calibration.Mean, SliderM2: v.Calibration.M2,
		LastVote: v.LastVote, AllowanceSince: optionalMicros(v.Allowance.Since), AllowanceUsed: v.Allowance.Used, Number: v.Number,
	}
}

func toVote(r *Votes, voterID, a, b string) store.Vote {
	v := store.Vote{
		Number: r.Number, Key: r.Key, Voter: r.Voter, VoterID: voterID,
		A: r.NftA, AID: a, BID: b,
		ReceivedAt: fromMicros(r.ReceivedAt), Weight: scoring.Sum(r.Weight),
		Vote: scoring.Vote{
			Kind: scoring.Kind(r.Kind), Super: r.Super != 0, Outcome: scoring.Outcome(r.Outcome), CastAt: fromMicros(r.CastAt),
		},
	}
	if r.NftB != nil {
		v.B = *r.NftB
	}
	if r.Value != nil {
		v.Value = *r.Value
	}
	return v
}

func fromVote(v *store.Vote) insertVoteParams {
	p := insertVoteParams{
		Number: v.Number, Key: v.Key, Voter: v.Voter, Kind: int64(v.Kind), Super: flag(v.Super),
		NftA: v.A, Outcome: int64(v.Outcome), Weight: int64(v.Weight),
		CastAt: micros(v.CastAt), ReceivedAt: micros(v.ReceivedAt),
	}
	if v.Kind == scoring.Matchup {
		p.NftB = &v.B
	}
	if v.Kind == scoring.Slider {
		p.Value = &v.Value
	}
	return p
}

func toOpinion(r *opinionRow) store.Opinion {
	return store.Opinion{
		OpinionRef: store.OpinionRef{NFT: r.Nft, Voter: r.Voter, Kind: scoring.Kind(r.Kind)},
		Opinion: scoring.Opinion{
			Standing: r.Standing != 0, Value: r.Value, CastAt: fromMicros(r.CastAt),
			Weight: scoring.Sum(r.Weight), Score: scoring.Sum(r.Score),
		},
		Vote: r.Vote,
	}
}

func fromOpinion(o *store.Opinion) putOpinionParams {
	return putOpinionParams{
		Nft: o.NFT, Kind: int64(o.Kind), Voter: o.Voter, Standing: flag(o.Standing), Value: o.Value,
		Weight: int64(o.Weight), Score: int64(o.Score), CastAt: micros(o.CastAt), Vote: o.Vote,
	}
}

func toScore(r *scoreRow) store.Score {
	return store.Score{
		NFT: r.Nft, Collection: r.Collection,
		Result: scoring.Result{
			POA: r.Poa, Confidence: r.Confidence,
			Components:  scoring.Components{Elo: r.Elo, Slider: r.Slider, Fire: r.Fire, Reliability: r.Reliability},
			Provisional: r.Provisional != 0,
		},
		Votes: r.Votes, Aging: r.Aging != 0, ComputedAt: fromMicros(r.ComputedAt),
		Reason: r.Reason, Basis: store.Basis(r.Basis), ThroughVote: r.ThroughVote, Version: r.Version,
		HistoryPOA: r.HistoryPoa, HistoryConfidence: r.HistoryConfidence,
	}
}

func fromScore(s *store.Score) putScoreParams {
	return putScoreParams{
		Nft: s.NFT, Collection: s.Collection, Poa: s.POA, Confidence: s.Confidence,
		Elo: s.Elo, Slider: s.Slider, Fire: s.Fire, Reliability: s.Reliability,
		Provisional: flag(s.Provisional), Votes: s.Votes, Aging: flag(s.Aging), ComputedAt: micros(s.ComputedAt),
		Reason: s.Reason, Basis: string(s.Basis), ThroughVote: s.ThroughVote, Version: s.Version,
		HistoryPoa: s.HistoryPOA, HistoryConfidence: s.HistoryConfidence,
	}
}

func toHistoryPoint(r *historyRow) store.HistoryPoint {
	return store.HistoryPoint{
		NFT: r.Nft, At: fromMicros(r.At), POA: r.Poa, Confidence: r.Confidence, Mean: r.Mean, Sigma: r.Sigma,
		Votes: r.Votes, Reason: r.Reason, Basis: store.Basis(r.Basis), ThroughVote: r.ThroughVote, Version: r.Version,
	}
}

func fromHistoryPoint(h *store.HistoryPoint) insertHistoryParams {
	return insertHistoryParams{
		Nft: h.NFT, At: micros(h.At), Poa: h.POA, Confidence: h.Confidence, Mean: h.Mean, Sigma: h.Sigma,
		Votes: h.Votes, Reason: h.Reason, Basis: string(h.Basis), ThroughVote: h.ThroughVote, Version: h.Version,
	}
}

func toActivity(r *activityRow, nftID string) (store.Activity, error) {
	a := store.Activity{
		Number: r.Number, At: fromMicros(r.At), Kind: store.ActivityKind(r.Kind), NFTID: nftID,
		Reason: r.Reason, Priority: trigger.Priority(r.Priority), Basis: store.Basis(r.Basis),
		POABefore: r.PoaBefore, POA: r.Poa, Vote: r.Vote, Who: r.Who, Detail: r.Detail,
	}
	if r.Nft != nil {
		a.NFT = *r.Nft
	}
	if r.Run != nil {
		a.Run = *r.Run
	}
	if err := json.Unmarshal([]byte(r.Reasons), &a.Reasons); err != nil {
		return a, fmt.Errorf("reasons of activity %d: %w", r.Number, err)
	}
	return a, nil
}

func fromActivity(a *store.Activity) (insertActivityParams, error) {
	p := insertActivityParams{
		At: micros(a.At), Kind: string(a.Kind), Reason: a.Reason, Priority: int64(a.Priority), Basis: string(a.Basis),
		PoaBefore: a.POABefore, Poa: a.POA, Vote: a.Vote, Who: a.Who, Detail: a.Detail,
	}
	if a.NFT != 0 {
		p.Nft = &a.NFT
	}
	if a.Run != 0 {
		p.Run = &a.Run
	}
	reasons, err := json.Marshal(a.Reasons)
	p.Reasons = string(reasons)
	return p, err
}
