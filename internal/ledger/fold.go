package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

// errMissing: rating or voter rows have to be inserted before the group can be
// folded.
var errMissing = errors.New("rows are missing")

// fold is the work of one commit.
type fold struct {
	policy *publish.Policy
	now    time.Time
	group  []*pending
	prior  map[string]Answer // answers of an attempt whose outcome was unknown, by key
	told   map[string]bool   // keys of those that were given

	ratings  map[string]*store.Rating // by NFT id
	voters   map[string]*store.Voter  // by id
	opinions map[store.OpinionRef]*store.Opinion
	known    map[string]*store.Vote // by key: committed before, or earlier in this group

	firstNumber int64                     // all votes of this commit have numbers from here
	touched     []*store.Rating           // in the order of their first vote
	changed     []*store.Opinion          // likewise
	causes      map[*store.Rating]*causes // of those that triggered
	unsettled   map[*store.Rating]bool    // those whose marks a vote may change (see publish.Policy.Settled)
	answers     []Answer
	sheet       publish.Sheet
}

// causes are the triggers of one NFT in this commit.
type causes struct {
	reasons map[string]int
	first   trigger.Decision // the most urgent, the earliest of equals
	capped  bool             // there are votes over their voter's cap
}

func (f *fold) run(ctx context.Context, tx store.Tx) ([]Answer, error) {
	if err := f.load(ctx, tx); err != nil {
		return nil, err
	}
	f.answers, f.told = make([]Answer, len(f.group)), make(map[string]bool)
	fresh := f.settleKnown()
	if len(fresh) == 0 {
		return f.answers, nil
	}
	if err := f.loadOpinions(ctx, tx, fresh); err != nil {
		return nil, err
	}
	numbers, err := tx.Numbers(ctx, len(fresh))
	if err != nil {
		return nil, fmt.Errorf("reserving vote numbers: %w", err)
	}
	f.firstNumber = numbers[0]
	f.sheet.Votes = make([]store.Vote, 0, len(fresh)) // never grows: f.known points into it
	next := 0
	for _, i := range fresh {
		v := &f.group[i].vote
		if first := f.known[v.Key]; first != nil { // a key twice in one group
			f.repeated(i, first)
			continue
		}
		f.vote(i, numbers[next])
		next++
	}
	if err := f.loadScores(ctx, tx); err != nil {
		return nil, err
	}
	f.publish()
	return f.answers, tx.Apply(ctx, f.changes())
}

// load locks the rows of the group and looks its keys up, in a statement after
// the locks.
func (f *fold) load(ctx context.Context, tx store.Tx) error {
	nfts, voters := ids(f.group)
	ratingRows, voterRows, err := tx.Lock(ctx, nfts, voters)
	if err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	if len(ratingRows) < len(nfts) || len(voterRows) < len(voters) {
		return errMissing
	}
	f.ratings = make(map[string]*store.Rating, len(ratingRows))
	f.unsettled = make(map[*store.Rating]bool)
	for i := range ratingRows {
		r := &ratingRows[i]
		f.ratings[r.ID] = r
		if !f.policy.Settled(r) {
			f.unsettled[r] = true
		}
	}
	f.voters = make(map[string]*store.Voter, len(voterRows))
	for i := range voterRows {
		f.voters[voterRows[i].ID] = &voterRows[i]
	}
	keys := make([]string, 0, len(f.group))
	for _, p := range f.group {
		if p.refused == nil {
			keys = append(keys, p.vote.Key)
		}
	}
	known, err := tx.VotesByKey(ctx, keys)
	if err != nil {
		return fmt.Errorf("looking keys up: %w", err)
	}
	f.known = make(map[string]*store.Vote, len(known))
	for i := range known {
		f.known[known[i].Key] = &known[i]
	}
	return nil
}

// settleKnown answers the votes that are refused or were committed before, and
// returns the places of the others.
func (f *fold) settleKnown() (fresh []int) {
	for i, p := range f.group {
		if p.refused != nil {
			f.answers[i].Err = p.refused
		} else if first := f.known[p.vote.Key]; first != nil {
			f.repeated(i, first)
		} else {
			fresh = append(fresh, i)
		}
	}
	return fresh
}

// repeated answers a vote whose key is known.
func (f *fold) repeated(i int, first *store.Vote) {
	v := &f.group[i].vote
	if !v.same(first) {
		f.answers[i].Err = &Error{CodeConflict, "key", fmt.Sprintf("key %q belongs to another vote (number %d); give every vote a key of its own", v.Key, first.Number)}
		return
	}
	if prior, ok := f.prior[v.Key]; ok && prior.Number == first.Number && !f.told[v.Key] {
		// This very vote, committed by an attempt whose outcome was unknown. Others
		// of its key are duplicates.
		f.told[v.Key] = true
		f.answers[i] = prior
		return
	}
	f.answers[i] = Answer{Number: first.Number, Duplicate: true}
}

func (f *fold) loadOpinions(ctx context.Context, tx store.Tx, fresh []int) error {
	f.opinions = make(map[store.OpinionRef]*store.Opinion)
	var refs []store.OpinionRef
	for _, i := range fresh {
		v := &f.group[i].vote
		if v.Kind == scoring.Matchup {
			continue
		}
		ref := f.opinionRef(v)
		if _, ok := f.opinions[ref]; !ok {
			f.opinions[ref] = &store.Opinion{OpinionRef: ref}
			refs = append(refs, ref)
		}
	}
	if len(refs) == 0 {
		return nil
	}
	rows, err := tx.Opinions(ctx, refs)
	if err != nil {
		return fmt.Errorf("reading opinions: %w", err)
	}
	for i := range rows {
		*f.opinions[rows[i].OpinionRef] = rows[i]
	}
	return nil
}

func (f *fold) opinionRef(v *Vote) store.OpinionRef {
	ref := store.OpinionRef{NFT: f.ratings[v.A].NFT, Voter: f.voters[v.Voter].Number, Kind: v.Kind}
	if v.Kind == scoring.Unfire {
		ref.Kind = scoring.Fire
	}
	return ref
}

// vote folds the vote at place i of the group, under a number.
func (f *fold) vote(i int, number int64) {
	v := f.group[i].vote
	if v.CastAt.IsZero() {
		v.CastAt = f.now
	}
	v.CastAt = v.CastAt.UTC().Truncate(time.Microsecond)
	v.Value += 0 // -0 becomes 0
	voter := f.voters[v.Voter]
	row := store.Vote{
		Number: number, Key: v.Key, Voter: voter.Number, VoterID: v.Voter, AID: v.A, BID: v.B, ReceivedAt: f.now, Vote: v.Vote,
	}
	voter.LastVote = number
	nfts := []*store.Rating{f.ratings[v.A]}
	if v.Kind == scoring.Matchup {
		nfts = append(nfts, f.ratings[v.B])
		row.B = nfts[1].NFT
	}
	row.A = nfts[0].NFT
	before := [2]int64{}
	for j, r := range nfts {
		before[j] = r.Votes
	}
	changed := false
	if v.Kind == scoring.Matchup {
		row.Weight = f.policy.Constants.FoldMatchup(v.Vote, &voter.Voter, &nfts[0].Rating, &nfts[1].Rating)
	} else {
		o := f.opinions[f.opinionRef(&v)]
		castBefore := o.CastAt
		row.Weight, changed = f.policy.Constants.FoldOpinion(v.Vote, &voter.Voter, &nfts[0].Rating, &o.Opinion)
		if changed || !o.CastAt.Equal(castBefore) {
			if !f.isFresh(o.Vote) {
				f.changed = append(f.changed, o)
			}
			o.Vote = number
		}
	}
	f.sheet.Votes = append(f.sheet.Votes, row)
	f.known[v.Key] = &f.sheet.Votes[len(f.sheet.Votes)-1]
	f.sheet.Count(store.CountVoteKind+publish.KindName(v.Vote), 0, 1)
	f.answers[i].Number = number
	urgent, capped := f.overCap(&v, voter, changed)
	for j, r := range nfts {
		f.touch(r, number)
		if v.Kind != scoring.Unfire {
			r.Recent.Add(v.CastAt)
		}
		f.sheet.Count(store.CountVotes, r.Collection, r.Votes-before[j])
		event := trigger.Event{
			Vote: v.Vote, Changed: changed, VotesBefore: before[j], VotesAfter: r.Votes, Recent: r.Recent, ReceivedAt: f.now, Capped: capped,
		}
		if d, ok := f.policy.Rules.Decide(event); ok {
			f.fire(i, r, d)
		} else if capped {
			f.cap(i, r, urgent)
		}
	}
}

// overCap reports whether a super or FIRE vote is over its voter's cap, and
// which rule would hold otherwise; one that is not uses the allowance up by
// one. While triggers are paused no vote computes, so none is counted.
func (f *fold) overCap(v *Vote, voter *store.Voter, changed bool) (trigger.Decision, bool) {
	d, ok := f.policy.Rules.Urgent(v.Vote, changed)
	if !ok || v.Trusted || f.policy.TriggersPaused {
		return d, false
	}
	return d, !f.policy.Rules.Allow(&voter.Allowance, f.now)
}

// isFresh reports whether the last vote of a locked row belongs to this
// commit: numbers reserved under the locks are above all that the rows know.
func (f *fold) isFresh(number int64) bool { return number >= f.firstNumber }

// touch notes that a vote was folded into r.
func (f *fold) touch(r *store.Rating, number int64) {
	if !f.isFresh(r.LastVote) {
		f.touched = append(f.touched, r)
	}
	r.LastVote = number
	r.Version++
}

// causesOf returns the causes of r, to be added to.
func (f *fold) causesOf(r *store.Rating) *causes {
	if f.causes == nil {
		f.causes = make(map[*store.Rating]*causes)
	}
	if f.causes[r] == nil {
		f.causes[r] = &causes{reasons: make(map[string]int)}
	}
	return f.causes[r]
}

// cap notes that the vote at place i would trigger a computation of r, were it
// not over its voter's cap.
func (f *fold) cap(i int, r *store.Rating, d trigger.Decision) {
	f.causesOf(r).capped = true
	a := &f.answers[i]
	a.Triggered = append(a.Triggered, Triggered{NFT: r.ID, Decision: d, Capped: true})
}

// fire notes that the vote at place i triggers a computation of r.
func (f *fold) fire(i int, r *store.Rating, d trigger.Decision) {
	c := f.causesOf(r)
	if d.Priority > c.first.Priority {
		c.first = d
	}
	c.reasons[string(d.Reason)]++
	a := &f.answers[i]
	a.Triggered = append(a.Triggered, Triggered{NFT: r.ID, Decision: d})
}

// loadScores reads the scores of the NFTs for which publish needs them.
func (f *fold) loadScores(ctx context.Context, tx store.Tx) error {
	var nfts []int64
	byNumber := make(map[int64]*store.Rating)
	for _, r := range f.touched {
		if f.causes[r] != nil || f.unsettled[r] {
			nfts = append(nfts, r.NFT)
			byNumber[r.NFT] = r
		}
	}
	if len(nfts) == 0 {
		return nil
	}
	scores, err := tx.Scores(ctx, nfts)
	if err != nil {
		return fmt.Errorf("reading scores: %w", err)
	}
	for i := range scores {
		byNumber[scores[i].NFT].Score = &scores[i]
	}
	return nil
}

// publish computes each triggered NFT once, from its final state.
func (f *fold) publish() {
	for _, r := range f.touched {
		c := f.causes[r]
		if c == nil {
			if f.unsettled[r] {
				f.policy.Wait(&f.sheet, r, f.now)
			}
			continue
		}
		if why := f.deferred(c); why != "" {
			d := c.first
			if c.capped {
				d = trigger.Decision{Reason: trigger.VoterCap, Priority: trigger.High}
			}
			f.sheet.Defer(r, d, why, f.now)
			f.policy.Wait(&f.sheet, r, f.now)
			continue
		}
		f.policy.Score(&f.sheet, r, publish.Cause{
			Reason: string(c.first.Reason), Reasons: c.reasons, Priority: c.first.Priority, Basis: store.Incremental,
		}, f.now)
	}
	for i := range f.answers {
		for j := range f.answers[i].Triggered {
			t := &f.answers[i].Triggered[j]
			r := f.ratings[t.NFT]
			if t.Deferred = f.deferred(f.causes[r]); t.Deferred == "" {
				t.Score, t.Capped = r.Score, false // another vote may have computed what was capped
			}
		}
	}
}

// deferred returns why the computation that c asks for is put off, "" where it
// is not.
func (f *fold) deferred(c *causes) string {
	switch {
	case f.policy.TriggersPaused:
		return "triggers are paused; the next batch takes it"
	case len(c.reasons) == 0:
		return fmt.Sprintf("the voter has had %d super and FIRE votes computed at once within an hour, the most that may be; the next batch takes it",
			f.policy.Rules.VoterCapPerHour)
	}
	return ""
}

// changes gathers what the commit writes.
func (f *fold) changes() *store.Changes {
	c := f.sheet.Finish()
	for _, r := range f.touched {
		c.Ratings = append(c.Ratings, *r)
	}
	for _, v := range f.voters {
		if f.isFresh(v.LastVote) {
			c.Voters = append(c.Voters, *v)
		}
	}
	for _, o := range f.changed {
		c.Opinions = append(c.Opinions, *o)
	}
	return c
}
