package storetest

import (
	"testing"

	"poa/internal/scoring"
	"poa/internal/store"
)

// State is what two databases with the same votes have in common.
type State struct {
	Counts  store.Counts
	Ratings map[string]scoring.Rating // by id of the NFT
	Voters  map[string]scoring.Voter  // by id
	Weights []scoring.Sum             // of the votes, in their order
}

// StateOf reads the state of a database.
func StateOf(t testing.TB, st store.Store) State {
	t.Helper()
	ctx := t.Context()
	s := State{Ratings: map[string]scoring.Rating{}, Voters: map[string]scoring.Voter{}}
	err := st.View(ctx, func(v store.View) (err error) {
		for _, r := range Collect(v.AllRatings(ctx), &err) {
			s.Ratings[r.ID] = r.Rating
		}
		for _, voter := range Collect(v.AllVoters(ctx), &err) {
			s.Voters[voter.ID] = voter.Voter
		}
		for _, vote := range Collect(v.Log(ctx, 0), &err) {
			s.Weights = append(s.Weights, vote.Weight)
		}
		if err != nil {
			return err
		}
		s.Counts, err = v.Counts(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
