// Package publish turns ratings into published scores, with everything that
// belongs to it: history, activity and counters. The ledger publishes with the
// votes of a commit, exact computations publish on their own; both do it here.
package publish

import (
	"cmp"
	"math"
	"slices"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

// Policy is what is in force when votes are folded and scores published. It is
// not changed once in use: a change makes a new Policy.
type Policy struct {
	Constants      scoring.Constants
	Version        int64 // of the scoring, as given by store.Prepare
	Rules          trigger.Rules
	TriggersPaused bool  // triggers mark their NFTs due instead of computing
	AgingVotes     int64 // votes from which a score is recomputed when it is old
	// AgingMarked is the most that AgingVotes ever was on the database: scores of
	// NFTs with as many votes are surely marked.
	AgingMarked int64
}

// Default returns the policy with all defaults, under a scoring version.
func Default(version int64) *Policy {
	return &Policy{Constants: scoring.Defaults(), Version: version, Rules: trigger.Defaults(), AgingVotes: 5, AgingMarked: 5}
}

// Cause is why a score is computed.
type Cause struct {
	Reason   string         // the most urgent
	Reasons  map[string]int // how often each occurred; nil for one Reason
	Priority trigger.Priority
	Basis    store.Basis
	Run      int64  // the run it belongs to, 0 for none
	Who      string // who asked, for computations by hand
}

// Sheet collects the changes of one transaction. The zero Sheet is empty.
type Sheet struct {
	store.Changes
	deltas map[counter]int64
}

type counter struct {
	name       string
	collection int64
}

// Count changes a counter.
func (s *Sheet) Count(name string, collection, by int64) {
	if s.deltas == nil {
		s.deltas = make(map[counter]int64)
	}
	s.deltas[counter{name, collection}] += by
}

// Finish moves the counted deltas into Changes, each counter once, and returns
// them.
func (s *Sheet) Finish() *store.Changes {
	for c, by := range s.deltas {
		if by != 0 {
			s.Counters = append(s.Counters, store.Delta{Name: c.name, Collection: c.collection, By: by})
		}
	}
	s.deltas = nil
	slices.SortFunc(s.Counters, func(a, b store.Delta) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Collection, b.Collection))
	})
	return &s.Changes
}

// Score publishes the score of r as it stands, or withdraws it where none
// exists any more, and settles what was owed. It changes r and returns what is
// published then, nil for nothing. The caller writes r.
func (p *Policy) Score(s *Sheet, r *store.Rating, cause Cause, now time.Time) *store.Score {
	result, ok := p.Constants.Score(&r.Rating)
	r.Due = store.Due{}
	if !r.WaitingSince.IsZero() {
		r.WaitingSince = time.Time{}
		s.Count(store.CountReady, r.Collection, -1)
	}
	before := r.Score
	if before == nil && !ok {
		return nil
	}
	act := store.Activity{
		At: now, Kind: store.Computed, NFT: r.NFT, NFTID: r.ID, Reason: cause.Reason, Reasons: cause.Reasons,
		Priority: cause.Priority, Basis: cause.Basis, Vote: r.LastVote, Run: cause.Run, Who: cause.Who,
	}
	if act.Reasons == nil {
		act.Reasons = map[string]int{cause.Reason: 1}
	}
	s.Count(store.CountReason+cause.Reason, 0, 1)
	if before != nil {
		act.POABefore = &before.POA
		s.Count(store.CountScored, r.Collection, -1)
		s.Count(store.BinCounter(before.POA), r.Collection, -1)
		s.Count(store.CountPOASum, r.Collection, -hundredths(before.POA))
		s.Count(store.CountConfidenceSum, r.Collection, -hundredths(before.Confidence))
	}
	if !ok {
		act.Kind = store.Withdrawn
		s.Activity = append(s.Activity, act)
		s.Withdrawn = append(s.Withdrawn, r.NFT)
		r.Score = nil
		return nil
	}
	act.POA = &result.POA
	s.Activity = append(s.Activity, act)
	s.Count(store.CountScored, r.Collection, 1)
	s.Count(store.BinCounter(result.POA), r.Collection, 1)
	s.Count(store.CountPOASum, r.Collection, hundredths(result.POA))
	s.Count(store.CountConfidenceSum, r.Collection, hundredths(result.Confidence))

	score := store.Score{
		NFT: r.NFT, Collection: r.Collection, Result: result, Votes: r.Votes, Aging: r.Votes >= p.AgingVotes,
		ComputedAt: now, Reason: cause.Reason, Basis: cause.Basis, ThroughVote: r.LastVote, Version: p.Version,
	}
	if before != nil {
		score.HistoryPOA, score.HistoryConfidence = before.HistoryPOA, before.HistoryConfidence
	}
	if before == nil || moved(&score) {
		score.HistoryPOA, score.HistoryConfidence = score.POA, score.Confidence
		s.History = append(s.History, store.HistoryPoint{
			NFT: r.NFT, At: now, POA: score.POA, Confidence: score.Confidence, Mean: r.Mean, Sigma: r.Sigma,
			Votes: r.Votes, Reason: score.Reason, Basis: score.Basis, ThroughVote: score.ThroughVote, Version: score.Version,
		})
	}
	s.Scores = append(s.Scores, score)
	r.Score = &score
	return &score
}

// Defer marks r due, keeping an earlier or more urgent mark, and logs why.
func (s *Sheet) Defer(r *store.Rating, d trigger.Decision, why string, now time.Time) {
	if r.Due.Since.IsZero() {
		r.Due = store.Due{Since: now, Reason: string(d.Reason), Priority: d.Priority}
	} else if d.Priority > r.Due.Priority {
		r.Due.Reason, r.Due.Priority = string(d.Reason), d.Priority
	}
	s.Activity = append(s.Activity, store.Activity{
		At: now, Kind: store.Deferred, NFT: r.NFT, NFTID: r.ID, Reason: string(d.Reason), Reasons: map[string]int{string(d.Reason): 1},
		Priority: d.Priority, Vote: r.LastVote, Detail: why,
	})
}

// Settled reports whether no vote can change the marks that Wait keeps unless
// its score is computed: the NFT has a score, whatever that is, with votes
// enough to be recomputed when old.
func (p *Policy) Settled(r *store.Rating) bool {
	return r.Scorable() && r.WaitingSince.IsZero() && r.Votes >= max(p.AgingVotes, p.AgingMarked)
}

// Wait keeps the marks of a rating that was folded and not published: that it
// waits for its first score, and that its score is to be recomputed when old.
func (p *Policy) Wait(s *Sheet, r *store.Rating, now time.Time) {
	if r.Score != nil {
		if !r.Score.Aging && r.Votes >= p.AgingVotes {
			r.Score.Aging = true
			s.Scores = append(s.Scores, *r.Score)
		}
		return
	}
	switch waiting := !r.WaitingSince.IsZero(); {
	case r.Scorable() && !waiting:
		r.WaitingSince = now
		s.Count(store.CountReady, r.Collection, 1)
	case !r.Scorable() && waiting:
		r.WaitingSince = time.Time{}
		s.Count(store.CountReady, r.Collection, -1)
	}
}

// moved reports whether a score has left the last point of its history: POA by
// 0.5 or more, or confidence into another tier of ten.
func moved(s *store.Score) bool {
	return math.Abs(s.POA-s.HistoryPOA) >= 0.5 || math.Floor(s.Confidence/10) != math.Floor(s.HistoryConfidence/10)
}

func hundredths(x float64) int64 { return int64(math.Round(x * 100)) }

// KindName is the kind of a vote as the counters name it.
func KindName(v scoring.Vote) string {
	if v.Super {
		return "super"
	}
	return v.Kind.String()
}
