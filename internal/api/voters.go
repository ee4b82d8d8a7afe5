package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"poa/internal/access"
	"poa/internal/store"
)

// voterDoc is what is known of a voter.
type voterDoc struct {
	ID          string        `json:"id"`
	Reliability float64       `json:"reliability"`
	Judged      int64         `json:"judged" doc:"Matchups that taught something about the voter"`
	Weight      float64       `json:"weight" doc:"What the next vote weighs"`
	Votes       int64         `json:"votes"`
	Slider      calibratedDoc `json:"slider"`
	LastVote    int64         `json:"last_vote" doc:"Number of the latest vote, 0 for none"`
}

type calibratedDoc struct {
	Ratings int64   `json:"ratings"`
	Mean    float64 `json:"mean" doc:"Blended with the prior, as ratings are normalised with"`
	Std     float64 `json:"std" doc:"Likewise"`
}

func (s *server) voters() {
	register(s, operation{Method: http.MethodGet, Path: "/voters/{id}", ID: "getVoter", Tag: "voters", Need: access.View, Summary: "Get a voter"}, s.getVoter)
	register(s, operation{Method: http.MethodGet, Path: "/voters/{id}/votes", ID: "listVoterVotes", Tag: "voters", Need: access.View,
		Summary: "List the votes of a voter", Description: "Latest first."}, s.listVoterVotes)
}

// VoterPath is the voter that a path names.
type VoterPath struct {
	ID string `path:"id" maxLength:"600" doc:"Id of the voter, percent-encoded"`
}

// voter reads a voter's row.
func (s *server) voter(ctx context.Context, id string) (voter store.Voter, err error) {
	if err := checkID("path.id", id); err != nil {
		return voter, err
	}
	err = s.view(ctx, func(v store.View) (err error) {
		voter, err = v.Voter(ctx, id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return voter, notFound("voter", id)
	} else if err != nil {
		return voter, fmt.Errorf("reading a voter: %w", err)
	}
	return voter, nil
}

func (s *server) getVoter(ctx context.Context, in *VoterPath) (*out[voterDoc], error) {
	v, err := s.voter(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	constants := &s.Settings.Current().Policy.Constants
	mean, std := constants.Spread(v.Calibration)
	return answer(voterDoc{
		ID: v.ID, Reliability: v.Reliability, Judged: v.Judged, Weight: constants.Weight(&v.Voter).Float(), Votes: v.Votes,
		Slider: calibratedDoc{v.Calibration.N, mean, std}, LastVote: v.LastVote,
	}), nil
}

type voterPageIn struct {
	VoterPath
	Page
}

func (s *server) listVoterVotes(ctx context.Context, in *voterPageIn) (*out[list[voteRow]], error) {
	before, err := in.number("vote")
	if err != nil {
		return nil, err
	}
	v, err := s.voter(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.listVotes(ctx, 0, v.Number, before, in.Limit)
}
