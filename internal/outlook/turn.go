package outlook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"poa/internal/settings"
	"poa/internal/store"
)

// NFT is what decides when batches compute an NFT.
type NFT struct {
	Rating  store.Rating
	Failure *store.Failure // of its last computation, nil for none
	Off     bool           // its collection is switched off
}

// Of returns what decides about an NFT. The caller has read the collections.
func Of(ctx context.Context, st store.Service, n *store.Ranked, collections []store.Collection) (NFT, error) {
	failures, err := st.FailuresOf(ctx, []int64{n.NFT.Number})
	if err != nil {
		return NFT{}, fmt.Errorf("reading the failures of an NFT: %w", err)
	}
	of := NFT{Rating: n.Rating, Off: SwitchedOff(collections, n.NFT.Collection)}
	if len(failures) > 0 {
		of.Failure = &failures[0]
	}
	return of, nil
}

// SwitchedOff reports whether the collection with a name is inactive.
func SwitchedOff(collections []store.Collection, name string) bool {
	return slices.ContainsFunc(collections, func(c store.Collection) bool { return c.Name == name && !c.Active })
}

// Turn is how batches treat an NFT. It says nothing of runs of its collection
// alone, or of pauses: see Waits.
type Turn int

const (
	Never   Turn = iota // nothing stands that could give a score
	GivenUp             // after failures, until an operator has it tried again
	Off                 // its collection is switched off
	Again               // tried again later, after a failure
	Owed                // taken as due
	First               // taken as one without a score
	Few                 // not taken: it has a score and too few votes
	Fresh               // taken when its score is old
	Old                 // taken as one whose score is old
)

// Turn returns how batches treat the NFT.
func (n *NFT) Turn(in *settings.InForce, now time.Time) Turn {
	r := &n.Rating
	due := !r.Due.Since.IsZero() || n.Failure != nil
	switch {
	case n.Failure != nil && n.Failure.NextTry.IsZero():
		return GivenUp
	case !due && r.Score == nil && !r.Scorable():
		return Never
	case n.Off:
		return Off
	case n.Failure != nil && n.Failure.NextTry.After(now):
		return Again
	case due:
		return Owed
	case r.Score == nil:
		return First
	case r.Votes < in.Policy.AgingVotes:
		return Few
	case !r.Score.ComputedAt.Before(now.Add(-in.Batch.OldAfter)):
		return Fresh
	}
	return Old
}

// Waits reports whether a batch will compute the NFT if nothing else does.
func (t Turn) Waits() bool {
	switch t {
	case Again, Owed, First, Fresh, Old:
		return true
	}
	return false
}

// Follows says what comes of a vote on the NFT that computes nothing at once,
// because no rule holds or because triggers are paused. It goes on after "the
// vote".
func (v *Vote) Follows(in *settings.InForce, n NFT, now time.Time) string {
	if !v.Computes && !v.Changes {
		return "changes no score"
	}
	n.Rating = v.Rating
	if v.Computes {
		n.Rating.Due.Since = now
	}
	return n.Turn(in, now).Follows(in, now)
}

// Follows says what comes of a vote that has computed nothing at once, where
// this is the turn of its NFT with it. It goes on after "the vote".
func (t Turn) Follows(in *settings.InForce, now time.Time) string {
	if t.Waits() && in.Batches.On(now) {
		return t.follows(in) + "; batches are paused"
	}
	return t.follows(in)
}

func (t Turn) follows(in *settings.InForce) string {
	switch t {
	case GivenUp:
		return "waits for a trigger: batches have given the NFT up"
	case Off:
		return "waits for a trigger: its collection is switched off"
	case Again:
		return "waits for a batch: tried again after a failure"
	case Owed:
		return "waits for a batch: a computation is owed"
	case First:
		return "waits for a batch: the first score"
	case Few:
		return fmt.Sprintf("waits for a trigger: no batch below %d votes", in.Policy.AgingVotes)
	case Fresh:
		return fmt.Sprintf("waits for a batch: the score must be %s old", age(in.Batch.OldAfter))
	case Old:
		return "waits for a batch: the score is old"
	}
	return "changes no score"
}

// age writes a length of time as a setting: 24 h rather than 24h0m0s.
func age(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return d.String()
}
