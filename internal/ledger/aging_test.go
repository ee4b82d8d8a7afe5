package ledger_test

import (
	"testing"

	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
)

// TestAgingVotesAreLowered votes on an NFT that has votes enough to be
// recomputed when old only since the setting was lowered.
func TestAgingVotesAreLowered(t *testing.T) {
	var policy publish.Policy
	g := newGame(t, func(o *ledger.Options, _ *store.Store) {
		policy = *o.Policy
		policy.AgingVotes, policy.AgingMarked = 20, 20
		policy.Rules.Milestone, policy.Rules.HighActivity = false, false
		high := policy
		o.Policy = &high
	})
	g.one(super("1", "v", "n0", "n1", scoring.WinA))
	g.one(super("2", "v", "n0", "n1", scoring.WinA))
	if r := g.rating("n0"); r.Votes != 10 || r.Score == nil || r.Score.Aging {
		t.Fatalf("%d votes, score %+v", r.Votes, r.Score)
	}
	policy.AgingVotes = 5
	g.SetPolicy(&policy)
	g.one(matchup("3", "v", "n0", "n1", scoring.WinA))
	if r := g.rating("n0"); r.Votes != 11 || !r.Score.Aging {
		t.Errorf("%d votes, score %+v", r.Votes, r.Score)
	}
}
