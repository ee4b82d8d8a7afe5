package dropin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"poa/internal/exact"
	"poa/internal/outlook"
	"poa/internal/scoring"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/trigger"
)

// outcome is what became of a computation. Result is null where the NFT has
// nothing a score could be made of.
type outcome struct {
	Success bool         `json:"success"`
	Result  *computation `json:"result"`
	Error   string       `json:"error,omitempty"`
}

// votedNFT is an NFT with its vote count.
type votedNFT struct {
	namedNFT
	Votes int64 `json:"totalVotes"`
}

// triggerType checks the type that a request names.
func triggerType(q *request, allowed ...string) error {
	if !slices.Contains(allowed, q.triggerType) {
		return invalid("triggerType must be one of %s, is %q", strings.Join(allowed, ", "), q.triggerType)
	}
	return nil
}

// testTrigger computes and publishes an NFT's score as a trigger would. Nobody
// voted, so it is recorded as a computation by hand.
func (a *API) testTrigger(ctx context.Context, q *request) (any, error) {
	if err := triggerType(q, "new_vote", "milestone", "fire_vote", "super_vote"); err != nil {
		return nil, err
	}
	nft, err := a.find(ctx, q.nftID)
	if err != nil {
		return nil, err
	}
	result, err := a.outcome(ctx, q, &nft)
	if err != nil {
		return nil, err
	}
	priority := trigger.Medium
	if q.triggerType == "fire_vote" || q.triggerType == "super_vote" {
		priority = trigger.High
	}
	type tested struct {
		Type     string `json:"type"`
		Priority string `json:"priority"`
	}
	return struct {
		NFT     votedNFT `json:"nft"`
		Trigger tested   `json:"trigger"`
		Result  outcome  `json:"result"`
	}{votedNFT{asNamed(nft.NFT), nft.Rating.Votes}, tested{q.triggerType, priority.String()}, result}, nil
}

// outcome computes an NFT. That it cannot be computed is an outcome too.
func (a *API) outcome(ctx context.Context, q *request, nft *store.Ranked) (outcome, error) {
	done, err := a.computeOne(ctx, q, nft)
	var failed *failedNFT
	switch {
	case errors.As(err, &failed):
		a.Log.Error("an NFT could not be computed", "nft", nft.NFT.ID, "err", failed.err)
		return outcome{Error: failed.err.Error()}, nil
	case err != nil:
		return outcome{}, err
	}
	return outcome{Success: true, Result: done.after}, nil
}

// simulateTrigger computes what an NFT's score would be now and publishes
// nothing.
func (a *API) simulateTrigger(ctx context.Context, q *request) (any, error) {
	if err := triggerType(q, "milestone", "super", "fire"); err != nil {
		return nil, err
	}
	nft, err := a.find(ctx, q.nftID)
	if err != nil {
		return nil, err
	}
	simulated, err := a.simulate(ctx, &nft)
	if err != nil {
		return nil, err
	}
	return struct {
		NFT        string  `json:"nftId"`
		Trigger    string  `json:"triggerType"`
		Simulation outcome `json:"simulation"`
	}{q.nftID, q.triggerType, simulated}, nil
}

func (a *API) simulate(ctx context.Context, nft *store.Ranked) (outcome, error) {
	if nft.Rating.NFT == 0 { // nobody has voted on it
		return outcome{Success: true}, nil
	}
	policy := a.Settings.Current().Policy
	var (
		rating   store.Rating
		result   scoring.Result
		scorable bool
		failed   error
	)
	err := a.Store.View(ctx, func(v store.View) error {
		var err error
		rating, result, scorable, err = exact.Preview(ctx, v, policy, nft.NFT.Number)
		if err != nil && rating.NFT != 0 { // it was read, and cannot be computed
			failed, err = err, nil
		}
		return err
	})
	switch {
	case err != nil:
		return outcome{}, fmt.Errorf("computing what a score would be: %w", err)
	case failed != nil:
		return outcome{Error: failed.Error()}, nil
	case !scorable:
		return outcome{Success: true}, nil
	}
	return outcome{Success: true, Result: asComputation(nft.NFT.ID, &rating, result, &policy.Constants.Publishing, a.now())}, nil
}

// condition says whether the next vote of a kind computes a score at once.
type condition struct {
	Compute  bool   `json:"shouldCompute"`
	Priority string `json:"priority"`
	Reason   string `json:"reason"`
}

// checkTriggers says what the next vote on an NFT would do.
func (a *API) checkTriggers(ctx context.Context, q *request) (any, error) {
	nft, err := a.find(ctx, q.nftID)
	if err != nil {
		return nil, err
	}
	in := a.Settings.Current()
	rating := nft.Rating
	if rating.NFT == 0 {
		rating.Rating = in.Policy.Constants.NewRating()
	}
	collections, err := a.collections(ctx)
	if err != nil {
		return nil, err
	}
	stands, err := outlook.Of(ctx, a.Store, &nft, collections)
	if err != nil {
		return nil, err
	}
	next := map[string]condition{}
	for _, v := range outlook.Votes(in.Policy, rating, a.now()) {
		next[v.Name] = asCondition(v, in, stands, a.now())
	}
	type conditions struct {
		Regular condition `json:"regularVote"`
		Super   condition `json:"superVote"`
		Fire    condition `json:"fireVote"`
	}
	type summary struct {
		Regular bool `json:"wouldTriggerOnRegular"`
		Super   bool `json:"wouldTriggerOnSuper"`
		Fire    bool `json:"wouldTriggerOnFire"`
	}
	type checkedNFT struct {
		votedNFT
		Scored bool `json:"hasPOAv2"`
	}
	c := conditions{next["matchup, won"], next["super matchup, won"], next["FIRE"]}
	return struct {
		NFT        checkedNFT `json:"nft"`
		Conditions conditions `json:"triggerConditions"`
		Summary    summary    `json:"summary"`
	}{
		checkedNFT{votedNFT{asNamed(nft.NFT), nft.Rating.Votes}, nft.Rating.Score != nil}, c,
		summary{c.Regular.Compute, c.Super.Compute, c.Fire.Compute},
	}, nil
}

func asCondition(v outlook.Vote, in *settings.InForce, nft outlook.NFT, now time.Time) condition {
	if !v.Computes {
		return condition{Priority: "low", Reason: "no rule holds; the vote " + v.Follows(in, nft, now)}
	}
	reason := map[trigger.Reason]string{
		trigger.Super: "super vote", trigger.Fire: "FIRE vote", trigger.HighActivity: "high activity",
		trigger.Milestone: fmt.Sprintf("vote milestone: %d", v.Milestone),
	}[v.Reason]
	if in.Triggers.On(now) {
		return condition{Priority: v.Priority.String(), Reason: reason + ", but triggers are paused; the vote " + v.Follows(in, nft, now)}
	}
	return condition{true, v.Priority.String(), reason}
}
