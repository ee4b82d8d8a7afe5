// Package verify folds the vote log again and compares the result with what
// the database keeps.
package verify

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"

	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
)

// Difference is a value that is not what the log says.
type Difference struct {
	Subject string `json:"subject"` // such as `nft "x"`, `voter "y"`, `vote 17`
	Field   string `json:"field"`
	Stored  string `json:"stored"`
	Want    string `json:"want"`
}

// Summary counts what was compared.
type Summary struct {
	Votes       int64 `json:"votes"`
	Ratings     int64 `json:"ratings"`
	Voters      int64 `json:"voters"`
	Opinions    int64 `json:"opinions"`
	Differences int64 `json:"differences"`
}

// Run compares everything in one snapshot and reports each difference:
//
//   - means, sigmas, counts and voters, with the weights that exact computations
//     read, against a new fold of the log in number order, and each vote's weight
//     against the one it folds with, bit for bit;
//   - slider and FIRE sums against the contributions of their opinions, and
//     which opinions stand, through which vote, against the log;
//   - the matchup part of R's sum against its value at the last exact
//     computation plus the weights of the matchups in the log since;
//   - published scores and kept counters against the rows they are about.
//
// A rating's version says how often it was folded and computed, which is in no
// other place, so that is not compared.
//
// It keeps the folded state of every NFT, voter and opinion in memory, some
// hundred bytes each.
func Run(ctx context.Context, v store.View, p *publish.Policy, report func(Difference)) (Summary, error) {
	f := folder{
		constants: &p.Constants, version: p.Version, report: report,
		ratings: map[int64]*rating{}, voters: map[int64]*voter{}, opinions: map[store.OpinionRef]*opinion{},
		counters: map[store.Delta]int64{},
	}
	for _, step := range []struct {
		what string
		run  func(context.Context, store.View) error
	}{
		{"ratings", f.loadRatings}, {"the vote log", f.foldLog}, {"opinions", f.compareOpinions},
		{"voters", f.compareVoters}, {"NFTs", f.countNFTs},
	} {
		if err := step.run(ctx, v); err != nil {
			return f.sum, fmt.Errorf("reading %s: %w", step.what, err)
		}
	}
	f.compareRatings()
	if err := f.compareCounters(ctx, v); err != nil {
		return f.sum, fmt.Errorf("reading counters: %w", err)
	}
	return f.sum, nil
}

type folder struct {
	constants *scoring.Constants
	version   int64 // of the scoring in force
	report    func(Difference)
	sum       Summary
	ratings   map[int64]*rating
	voters    map[int64]*voter
	opinions  map[store.OpinionRef]*opinion
	counters  map[store.Delta]int64 // expected values; keys have By 0
}

type rating struct {
	stored        store.Rating
	folded        scoring.Rating // its sums stay unused but for MatchupWeight
	lastVote      int64
	matchupWeight scoring.Sum // ExactMatchupWeight plus what the log adds
	// Sums over the stored opinions.
	sliders, fires                      int64
	sliderSum, sliderWeight, fireWeight scoring.Sum
}

type voter struct {
	id       string
	folded   scoring.Voter
	lastVote int64
	found    bool
}

type opinion struct {
	folded scoring.Opinion
	vote   int64 // the last one that set it or its time
	found  bool
}

func (f *folder) differ(subject, field string, stored, want any) {
	f.sum.Differences++
	f.report(Difference{subject, field, fmt.Sprint(stored), fmt.Sprint(want)})
}

// check reports a difference unless the two are equal, floats bit for bit.
func check[T comparable](f *folder, subject, field string, stored, want T) {
	if stored != want {
		f.differ(subject, field, stored, want)
	}
}

func (f *folder) loadRatings(ctx context.Context, v store.View) error {
	for r, err := range v.AllRatings(ctx) {
		if err != nil {
			return err
		}
		f.ratings[r.NFT] = &rating{stored: r, folded: f.constants.NewRating(), matchupWeight: r.ExactMatchupWeight}
		f.sum.Ratings++
	}
	return nil
}

func (f *folder) foldLog(ctx context.Context, v store.View) error {
	last := int64(0)
	for vote, err := range v.Log(ctx, 0) {
		if err != nil {
			return err
		}
		f.sum.Votes++
		if vote.Number <= last {
			f.differ(voteName(vote.Number), "number", vote.Number, fmt.Sprintf("above %d", last))
		}
		last = vote.Number
		f.vote(&vote)
	}
	return nil
}

func (f *folder) vote(v *store.Vote) {
	subject := voteName(v.Number)
	a := f.ratings[v.A]
	b := f.ratings[v.B]
	if a == nil || (v.Kind == scoring.Matchup && b == nil) {
		f.differ(subject, "rating row of its NFT", "missing", "present")
		return
	}
	who := f.voters[v.Voter]
	if who == nil {
		who = &voter{id: v.VoterID, folded: f.constants.NewVoter()}
		f.voters[v.Voter] = who
	}
	who.lastVote = v.Number
	name := publish.KindName(v.Vote)
	f.count(store.CountVoteKind+name, 0, 1)
	var weight scoring.Sum
	if v.Kind == scoring.Matchup {
		weight = f.constants.FoldMatchup(v.Vote, &who.folded, &a.folded, &b.folded)
		f.matchup(b, v)
	} else {
		weight = f.opinion(a, who, v)
		check(f, subject, "outcome", v.Outcome, scoring.NoOutcome)
	}
	f.matchup(a, v)
	check(f, subject, "weight", v.Weight, weight)
}

// matchup notes a vote as one of r's.
func (f *folder) matchup(r *rating, v *store.Vote) {
	r.lastVote = v.Number
	if v.Kind == scoring.Matchup && v.Outcome != scoring.Neither && v.Number > r.stored.ExactVote {
		r.matchupWeight += v.Weight
	}
}

func (f *folder) opinion(a *rating, who *voter, v *store.Vote) scoring.Sum {
	ref := store.OpinionRef{NFT: v.A, Voter: v.Voter, Kind: v.Kind}
	if v.Kind == scoring.Unfire {
		ref.Kind = scoring.Fire
	}
	o := f.opinions[ref]
	if o == nil {
		o = &opinion{}
		f.opinions[ref] = o
	}
	before := o.folded.CastAt
	weight, changed := f.constants.FoldOpinion(v.Vote, &who.folded, &a.folded, &o.folded)
	if changed || !o.folded.CastAt.Equal(before) {
		o.vote = v.Number
	}
	return weight
}

func (f *folder) compareOpinions(ctx context.Context, v store.View) error {
	for o, err := range v.AllOpinions(ctx) {
		if err != nil {
			return err
		}
		f.sum.Opinions++
		subject := fmt.Sprintf("%s opinion of voter number %d on NFT number %d", o.Kind, o.Voter, o.NFT)
		want := f.opinions[o.OpinionRef]
		if want == nil {
			f.differ(subject, "votes in the log", "none", "at least one")
			continue
		}
		want.found = true
		check(f, subject, "standing", o.Standing, want.folded.Standing)
		check(f, subject, "value", o.Value, want.folded.Value)
		check(f, subject, "vote", o.Vote, want.vote)
		check(f, subject, "cast_at", o.CastAt.UnixMicro(), want.folded.CastAt.UnixMicro())
		r := f.ratings[o.NFT]
		if r == nil || !o.Standing {
			check(f, subject, "contribution", o.Weight+o.Score, 0)
			continue
		}
		if o.Kind == scoring.Slider {
			r.sliders++
			r.sliderSum += o.Score
			r.sliderWeight += o.Weight
		} else {
			r.fires++
			r.fireWeight += o.Weight
		}
	}
	for ref, o := range f.opinions {
		if !o.found {
			f.differ(fmt.Sprintf("%s opinion of voter number %d on NFT number %d", ref.Kind, ref.Voter, ref.NFT), "row", "missing", "present")
		}
	}
	return nil
}

func (f *folder) compareVoters(ctx context.Context, v store.View) error {
	for row, err := range v.AllVoters(ctx) {
		if err != nil {
			return err
		}
		f.sum.Voters++
		want := f.voters[row.Number]
		if want == nil { // a voter whose votes were all refused
			want = &voter{folded: f.constants.NewVoter()}
			f.voters[row.Number] = want
		}
		want.found = true
		subject := fmt.Sprintf("voter %q", row.ID)
		checkFields(f, subject, row.Voter, want.folded)
		check(f, subject, "weight", row.KeptWeight, f.constants.Weight(&want.folded))
		check(f, subject, "last_vote", row.LastVote, want.lastVote)
	}
	for number, who := range f.voters {
		if !who.found {
			f.differ(fmt.Sprintf("voter %q (number %d)", who.id, number), "row", "missing", "present")
		}
	}
	return nil
}

func (f *folder) compareRatings() {
	for _, nft := range sortedKeys(f.ratings) {
		r := f.ratings[nft]
		s := &r.stored
		subject := fmt.Sprintf("NFT %q", s.ID)
		want := r.folded
		want.MatchupWeight = r.matchupWeight
		want.Sliders, want.SliderSum, want.SliderWeight = r.sliders, r.sliderSum, r.sliderWeight
		want.Fires, want.FireWeight = r.fires, r.fireWeight
		checkFields(f, subject, s.Rating, want)
		check(f, subject, "last_vote", s.LastVote, r.lastVote)
		if s.ExactVote < 0 || s.ExactVote > r.lastVote {
			f.differ(subject, "exact_vote", s.ExactVote, fmt.Sprintf("from 0 to %d", r.lastVote))
		}
		check(f, subject, "waits for a score", !s.WaitingSince.IsZero(), s.Scorable() && s.Score == nil)
		f.count(store.CountVotes, s.Collection, r.folded.Votes)
		if !s.WaitingSince.IsZero() {
			f.count(store.CountReady, s.Collection, 1)
		}
		if s.Score != nil {
			f.score(subject, s)
		}
	}
}

// score compares a published score with its rating. One that was computed
// through the rating's last vote under the constants in force is what the
// rating's sums give; the sums of an earlier one are not kept.
func (f *folder) score(subject string, r *store.Rating) {
	s := r.Score
	f.count(store.CountScored, r.Collection, 1)
	f.count(store.BinCounter(s.POA), r.Collection, 1)
	f.count(store.CountPOASum, r.Collection, int64(math.Round(s.POA*100)))
	f.count(store.CountConfidenceSum, r.Collection, int64(math.Round(s.Confidence*100)))
	if s.ThroughVote > r.LastVote {
		f.differ(subject, "score's last vote", s.ThroughVote, fmt.Sprintf("at most %d", r.LastVote))
	}
	if want, _ := f.constants.Score(&r.Rating); s.ThroughVote == r.LastVote && s.Version == f.version {
		checkFields(f, subject, s.Result, want)
	}
}

func (f *folder) countNFTs(ctx context.Context, v store.View) error {
	collections, err := v.Collections(ctx)
	if err != nil {
		return err
	}
	numbers := make(map[string]int64, len(collections))
	for _, c := range collections {
		numbers[c.Name] = c.Number
	}
	for n, err := range v.AllNFTs(ctx) {
		if err != nil {
			return err
		}
		f.count(store.CountNFTs, numbers[n.Collection], 1)
		if r := f.ratings[n.Number]; r != nil {
			check(f, fmt.Sprintf("NFT %q", n.ID), "collection of its rating", r.stored.Collection, numbers[n.Collection])
		}
	}
	return nil
}

func (f *folder) count(name string, collection, by int64) {
	f.counters[store.Delta{Name: name, Collection: collection}] += by
}

// compareCounters compares the kept counters with what was counted. How often
// scores were computed is not in the log and is left out.
func (f *folder) compareCounters(ctx context.Context, v store.View) error {
	stored, err := v.Counters(ctx)
	if err != nil {
		return err
	}
	for _, d := range stored {
		key := store.Delta{Name: d.Name, Collection: d.Collection}
		if _, kept := f.counters[key]; kept || !isComputed(d.Name) {
			check(f, counterName(key), "value", d.By, f.counters[key])
		}
		delete(f.counters, key)
	}
	for key, want := range f.counters {
		check(f, counterName(key), "value", 0, want)
	}
	return nil
}

func isComputed(name string) bool {
	return len(name) > len(store.CountReason) && name[:len(store.CountReason)] == store.CountReason
}

func counterName(d store.Delta) string {
	if d.Collection == 0 {
		return fmt.Sprintf("counter %s", d.Name)
	}
	return fmt.Sprintf("counter %s of collection number %d", d.Name, d.Collection)
}

func voteName(number int64) string { return fmt.Sprintf("vote %d", number) }

// checkFields compares two states of one kind field by field.
func checkFields[T any](f *folder, subject string, stored, want T) {
	s, w := reflect.ValueOf(stored), reflect.ValueOf(want)
	for i := range s.NumField() {
		if a, b := s.Field(i).Interface(), w.Field(i).Interface(); a != b {
			f.differ(subject, s.Type().Field(i).Name, a, b)
		}
	}
}

func sortedKeys[V any](m map[int64]V) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
