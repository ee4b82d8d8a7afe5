package api

import (
	"context"
	"errors"
	"net/http"

	"poa/internal/access"
	"poa/internal/outlook"
	"poa/internal/settings"
	"poa/internal/store"
)

// checkDoc is what a vote of some kind would do.
type checkDoc struct {
	Vote      string `json:"vote" doc:"Which vote" example:"matchup, won"`
	Possible  bool   `json:"possible" doc:"false: a FIRE that does not stand cannot be withdrawn"`
	Computes  bool   `json:"computes" doc:"The score is computed at once"`
	Reason    string `json:"reason,omitempty"`
	Priority  string `json:"priority,omitempty"`
	Milestone int64  `json:"milestone,omitempty"`
	Votes     int64  `json:"votes_after"`
}

func asCheck(v outlook.Vote) checkDoc {
	d := checkDoc{Vote: v.Name, Possible: v.Possible, Computes: v.Computes, Votes: v.Votes}
	if v.Computes {
		d.Reason, d.Priority, d.Milestone = string(v.Reason), v.Priority.String(), v.Milestone
	}
	return d
}

type triggersDoc struct {
	Paused            *pauseDoc `json:"paused,omitempty" doc:"Votes mark NFTs due instead of computing"`
	Super             bool      `json:"super"`
	Fire              bool      `json:"fire"`
	Milestone         bool      `json:"milestone"`
	Milestones        []int64   `json:"milestones" nullable:"false"`
	MilestoneHighFrom int64     `json:"milestone_high_from"`
	HighActivity      bool      `json:"high_activity"`
	HighActivityVotes int       `json:"high_activity_votes"`
	HighActivityIn    float64   `json:"high_activity_in_seconds"`
	VoterCapPerHour   int64     `json:"voter_cap_per_hour" doc:"Super and FIRE votes of one voter that compute at once in an hour, 0 for no cap"`
}

type checksDoc struct {
	NFT    string     `json:"nft"`
	Votes  int64      `json:"votes" doc:"Vote count now"`
	Paused *pauseDoc  `json:"paused,omitempty" doc:"Triggers are paused: what would compute marks the NFT due instead"`
	Checks []checkDoc `json:"checks" nullable:"false"`
}

// computedDoc is a computation by hand.
type computedDoc struct {
	NFT    string    `json:"nft"`
	Before *scoreDoc `json:"before,omitempty"`
	After  *scoreDoc `json:"after,omitempty" doc:"Absent where nothing stands that could give a score"`
}

func (s *server) triggers() {
	register(s, operation{Method: http.MethodGet, Path: "/triggers", ID: "getTriggers", Tag: "triggers", Need: access.View,
		Summary: "Get the rules in force and their pause"}, s.getTriggers)
	register(s, operation{Method: http.MethodPost, Path: "/triggers/pause", ID: "pauseTriggers", Tag: "triggers", Need: access.Operate, Status: http.StatusOK,
		Summary: "Pause triggers", Description: "Votes are still taken and folded; what would compute a score marks its NFT due."}, s.pause(settings.Triggers))
	register(s, operation{Method: http.MethodPost, Path: "/triggers/resume", ID: "resumeTriggers", Tag: "triggers", Need: access.Operate, Status: http.StatusOK,
		Summary: "Resume triggers"}, s.resume(settings.Triggers))
	register(s, operation{Method: http.MethodGet, Path: "/nfts/{id}/triggers", ID: "checkTriggers", Tag: "triggers", Need: access.View,
		Summary: "Check what the next vote on an NFT would do", Description: "For each kind of vote, cast now by a new voter; matchups against an average NFT."}, s.checkTriggers)
	register(s, operation{Method: http.MethodPost, Path: "/nfts/{id}/compute", ID: "computeNFT", Tag: "triggers", Need: access.Operate, Status: http.StatusOK,
		Summary: "Compute the score of an NFT now", Description: "Exactly, and published; recorded as manual."}, s.computeNFT)
}

func (s *server) getTriggers(context.Context, *struct{}) (*out[triggersDoc], error) {
	in := s.Settings.Current()
	r := in.Policy.Rules
	d := triggersDoc{
		Paused: asPause(in.Triggers, s.Now()), Super: r.Super, Fire: r.Fire, Milestone: r.Milestone, Milestones: r.Milestones, MilestoneHighFrom: r.MilestoneHighFrom,
		HighActivity: r.HighActivity, HighActivityVotes: r.HighActivityVotes, HighActivityIn: r.HighActivityIn.Seconds(),
		VoterCapPerHour: r.VoterCapPerHour,
	}
	if d.Milestones == nil {
		d.Milestones = []int64{}
	}
	return answer(d), nil
}

func (s *server) checkTriggers(ctx context.Context, in *NFTPath) (*out[checksDoc], error) {
	if err := checkID("path.id", in.ID); err != nil {
		return nil, err
	}
	check, err := s.Operate.Check(ctx, in.ID)
	if err != nil {
		return nil, noNFT(err, in.ID)
	}
	doc := checksDoc{NFT: in.ID, Votes: check.Rating.Votes, Paused: asPause(check.Paused, s.Now()), Checks: make([]checkDoc, len(check.Votes))}
	for i, v := range check.Votes {
		doc.Checks[i] = asCheck(v)
	}
	return answer(doc), nil
}

func (s *server) computeNFT(ctx context.Context, in *NFTPath) (*out[computedDoc], error) {
	if err := checkID("path.id", in.ID); err != nil {
		return nil, err
	}
	result, err := s.Operate.Compute(ctx, in.ID, who(ctx))
	if err != nil {
		return nil, noNFT(err, in.ID)
	}
	doc := computedDoc{NFT: in.ID}
	if result.Before != nil {
		before := asScore(result.Before)
		doc.Before = &before
	}
	if result.After != nil {
		after := asScore(result.After)
		doc.After = &after
	}
	return answer(doc), nil
}

// noNFT names the NFT that was not found.
func noNFT(err error, id string) error {
	if errors.Is(err, store.ErrNotFound) {
		return notFound("NFT", id)
	}
	return err
}
