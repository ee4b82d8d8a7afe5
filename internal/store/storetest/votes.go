package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

// big does not survive a float64.
const big = 1<<53 + 1

// testRoundTrip writes each row type with every field set to what is hard to
// keep, and reads it back by every way there is.
func testRoundTrip(t *testing.T, open opener) {
	t.Run("ratings", func(t *testing.T) {
		full := store.Rating{
			Rating: scoring.Rating{
				Mean: 0.1 + 0.2, Sigma: math.Nextafter(350, 400),
				Votes: big, Wins: big + 2, Losses: big + 4, Ties: big + 6,
				Matchups: big + 8, Skips: big + 10, SliderVotes: big + 12, FireVotes: big + 14,
				MatchupWeight: math.MaxInt64, Sliders: big + 16, SliderSum: math.MaxInt64 - 1, SliderWeight: math.MaxInt64 - 2,
				Fires: big + 18, FireWeight: math.MaxInt64 - 3,
			},
			Recent:  trigger.Recent{math.MaxInt64, big, 1, 0, math.MinInt64},
			Version: big + 20, LastVote: big + 22, ExactMatchupWeight: big + 24, ExactVote: big + 26,
			Due: store.Due{Since: base.Add(time.Microsecond), Reason: "super 🔥", Priority: trigger.High},
		}
		waiting := store.Rating{
			Rating:       scoring.Rating{Mean: -math.MaxFloat64, Sigma: math.SmallestNonzeroFloat64, Votes: 3, Matchups: 3},
			Due:          store.Due{Since: base.Add(-time.Microsecond), Priority: trigger.Medium},
			WaitingSince: base.Add(999999 * time.Microsecond),
		}
		zero := store.Rating{}
		f := open.prepared(t)
		rows := f.rated("c", "full", "waiting", "zero")
		for i, r := range []store.Rating{full, waiting, zero} {
			r.NFT, r.ID, r.Collection = rows[i].NFT, rows[i].ID, rows[i].Collection
			rows[i] = r
		}
		f.apply(&store.Changes{Ratings: rows})
		same(t, "Ratings", rows, f.ratings("full", "waiting", "zero"))
		same(t, "AllRatings", byNumber(rows), f.contents().Ratings)

		// What was set must also be cleared.
		for i := range rows {
			cleared := store.Rating{NFT: rows[i].NFT, ID: rows[i].ID, Collection: rows[i].Collection}
			cleared.Mean, cleared.Sigma = 1200, 350
			rows[i] = cleared
		}
		f.apply(&store.Changes{Ratings: rows})
		same(t, "cleared", rows, f.ratings("full", "waiting", "zero"))
	})

	t.Run("ratings keep their score", func(t *testing.T) {
		f := open.prepared(t)
		r := f.rated("c", "n1")[0]
		other := score(r, 99, 98, 97)
		r.Score, r.Votes = &other, 1
		f.apply(&store.Changes{Ratings: []store.Rating{r}})
		if got := f.rating("n1"); got.Score != nil || got.Votes != 1 {
			t.Errorf("a rating brought the score %+v", got.Score)
		}
		s := score(r, 1, 2, 3)
		f.apply(&store.Changes{Scores: []store.Score{s}})
		r.Score, r.Votes = nil, 2
		f.apply(&store.Changes{Ratings: []store.Rating{r}})
		r.Score = &s
		same(t, "rating", r, f.rating("n1"))
	})

	t.Run("voters", func(t *testing.T) {
		f := open.prepared(t)
		rows := f.voters("v1", "v2", "v3")
		rows[0].Voter = scoring.Voter{
			Reliability: math.Nextafter(1, 2), Judged: big, Votes: big + 2,
			Calibration: scoring.Calibration{N: big + 4, Mean: 100.0 / 3, M2: math.MaxFloat64},
		}
		rows[0].LastVote, rows[0].Allowance = big+6, trigger.Allowance{Since: base.Add(time.Microsecond), Used: big + 8}
		rows[1].Voter = scoring.Voter{Reliability: 0.5, Calibration: scoring.Calibration{N: 1, Mean: math.SmallestNonzeroFloat64, M2: 1e-300}}
		f.apply(&store.Changes{Voters: rows})
		same(t, "AllVoters", weighed(rows), f.contents().Voters)
		same(t, "Lock", rows, f.voters("v1", "v2", "v3"))
		rows[0].Allowance = trigger.Allowance{}
		f.apply(&store.Changes{Voters: rows[:1]})
		same(t, "unused again", rows, f.voters("v1", "v2", "v3"))
	})

	t.Run("votes", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2")
		v := f.voters("v1", "v2")
		super := matchup("super", v[1], n[1], n[0], scoring.WinB)
		super.Super, super.Weight = true, math.MaxInt64
		early := sliderVote("early", v[0], n[0], math.SmallestNonzeroFloat64)
		early.CastAt, early.ReceivedAt, early.Weight = time.Date(1999, 12, 31, 23, 59, 59, 999999000, time.UTC), base.Add(time.Microsecond), 1
		late := sliderVote(`key "with" 'all' \ ünï 🜁`, v[0], n[1], 100.0/3)
		late.CastAt = time.Date(2262, 1, 1, 0, 0, 0, 1000, time.UTC)
		unfire := fireVote("unfire", v[0], n[0])
		unfire.Kind = scoring.Unfire
		votes := []store.Vote{
			super, early, late, unfire,
			fireVote("fire", v[1], n[1]),
			sliderVote("zero", v[1], n[0], 0),
			sliderVote("hundred", v[1], n[0], 100),
			matchup("a", v[0], n[0], n[1], scoring.WinA),
			matchup("tie", v[0], n[0], n[1], scoring.Tie),
			matchup("none", v[0], n[0], n[1], scoring.Neither),
			sliderVote(strings.Repeat("long", 64), v[0], n[0], 0.1+0.2),
		}
		f.apply(&store.Changes{Votes: votes})
		same(t, "Log", votes, f.contents().Votes)
		var keys []string
		for _, vote := range votes {
			keys = append(keys, vote.Key)
		}
		keys = append(keys, "nobody's")
		f.view(func(ctx context.Context, view store.View) error {
			found, err := view.VotesByKey(ctx, keys)
			same(t, "View.VotesByKey", votes, byVote(found))
			return err
		})
		f.update(func(ctx context.Context, tx store.Tx) error {
			found, err := tx.VotesByKey(ctx, keys)
			same(t, "Tx.VotesByKey", votes, byVote(found))
			return err
		})
	})

	t.Run("opinions", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2")
		v := f.voters("v1", "v2")
		rated := opinion(scoring.Slider, n[0], v[0], true)
		rated.Value, rated.Weight, rated.Score, rated.Vote = 100.0/3, math.MaxInt64, math.MaxInt64-1, big
		rated.CastAt = base.Add(time.Microsecond)
		rows := []store.Opinion{
			rated,
			opinion(scoring.Slider, n[0], v[1], true),
			opinion(scoring.Fire, n[0], v[0], true),
			opinion(scoring.Fire, n[0], v[1], false),
			opinion(scoring.Fire, n[1], v[0], true),
		}
		f.apply(&store.Changes{Opinions: rows})
		same(t, "AllOpinions", rows, f.contents().Opinions)
		f.found("Opinions", rows)

		rows[0].Opinion = scoring.Opinion{Standing: true, Value: 5, CastAt: base, Weight: 1, Score: 2}
		rows[2].Opinion = scoring.Opinion{CastAt: base.Add(time.Hour)}
		rows[0].Vote, rows[2].Vote = 8, 9
		added := opinion(scoring.Slider, n[1], v[1], true)
		f.apply(&store.Changes{Opinions: []store.Opinion{rows[0], added, rows[2]}})
		rows = slices.Insert(rows, 4, added)
		same(t, "replaced and added", rows, f.contents().Opinions)
		f.found("replaced and added", rows)
	})

	t.Run("scores", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2")
		f.rated("d", "n3")
		scores := []store.Score{
			{
				NFT: n[0].NFT, Collection: n[0].Collection,
				Result: scoring.Result{
					POA: 99.99, Confidence: 12.5, Provisional: true,
					Components: scoring.Components{Elo: 0.1 + 0.2, Slider: 100.0 / 3, Fire: math.SmallestNonzeroFloat64, Reliability: math.Nextafter(1.5, 1)},
				},
				Votes: big, Aging: true, ComputedAt: base.Add(time.Microsecond), Reason: store.ReasonManual, Basis: store.Exact,
				ThroughVote: big + 2, Version: 3, HistoryPOA: 98.01, HistoryConfidence: 0.07,
			},
			{NFT: n[1].NFT, Collection: n[1].Collection, ComputedAt: base, Reason: "fire", Basis: store.Incremental, Version: 1},
		}
		f.apply(&store.Changes{Scores: scores})
		for i, r := range f.ratings("n1", "n2") {
			same(t, "score", &scores[i], r.Score)
		}
		if s := f.rating("n3").Score; s != nil {
			t.Errorf("an NFT without a score has %+v", s)
		}
	})

	t.Run("history", func(t *testing.T) {
		f := open.prepared(t)
		r := f.rated("c", "n1")[0]
		full := store.HistoryPoint{
			NFT: r.NFT, At: base.Add(time.Microsecond), POA: 0.29, Confidence: 1.13, Mean: -math.MaxFloat64, Sigma: math.SmallestNonzeroFloat64,
			Votes: big, Reason: "milestone", Basis: store.Incremental, ThroughVote: big + 2, Version: 3,
		}
		f.apply(&store.Changes{History: []store.HistoryPoint{full, point(r, 1)}})
		same(t, "AllHistory", []store.HistoryPoint{full, point(r, 1)}, f.contents().History)
	})

	t.Run("activity", func(t *testing.T) {
		f := open.prepared(t)
		r := f.rated("c", "n1")[0]
		before, after := 0.1+0.2, 100.0/3
		rows := []store.Activity{
			{
				At: base.Add(time.Microsecond), Kind: store.Computed, NFT: r.NFT, NFTID: "n1", Reason: "super",
				Reasons: map[string]int{"super": 2, "fire": 1}, Priority: trigger.High, Basis: store.Incremental,
				POABefore: &before, POA: &after, Vote: big,
			},
			{At: base, Kind: store.Withdrawn, NFT: r.NFT, NFTID: "n1", Reason: "fire", Priority: trigger.High, POABefore: new(float64)},
			{At: base, Kind: store.Failed, Reason: store.ReasonBatch, Detail: `went "wrong": ünï 🜁`},
			{At: base, Kind: store.Deferred, NFT: r.NFT, NFTID: "n1", Reason: "milestone", Priority: trigger.Medium, POA: new(float64)},
		}
		f.apply(&store.Changes{Activity: rows})
		got := f.contents().Activity
		slices.Reverse(got)
		ascending(t, got, func(a store.Activity) int64 { return a.Number })
		for i := range got {
			got[i].Number = 0
		}
		same(t, "Activity", rows, got)
	})

	t.Run("refused or kept", func(t *testing.T) {
		f := open.prepared(t)
		r := f.rated("c", "n1")[0]
		v := f.voters("v1")[0]
		for _, text := range []string{"nul \x00 inside", "no UTF-8 \xff"} {
			before := f.contents()
			c := &store.Changes{Votes: []store.Vote{fireVote(text, v, r)}, History: []store.HistoryPoint{point(r, 1)}}
			err := f.tryApply(c)
			after := f.contents()
			switch {
			case err == nil:
				same(t, "vote", c.Votes[0], after.Votes[len(after.Votes)-1])
			case !errors.Is(err, store.ErrData):
				t.Errorf("%q: %v, want ErrData", text, err)
			default:
				same(t, "contents after ErrData", before, after)
			}
		}
		r.Mean = math.NaN()
		before := f.contents()
		err := f.tryApply(&store.Changes{Ratings: []store.Rating{r}, History: []store.HistoryPoint{point(r, 2)}})
		switch after := f.contents(); {
		case err == nil:
			if mean := f.rating("n1").Mean; !math.IsNaN(mean) {
				t.Errorf("NaN was kept as %v", mean)
			}
		case !errors.Is(err, store.ErrData):
			t.Errorf("a mean that is no number: %v, want ErrData", err)
		default:
			same(t, "contents after ErrData", before, after)
		}
	})
}

func testVotes(t *testing.T, open opener) {
	t.Run("numbers", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2")
		v := f.voters("v1")[0]
		var last int64
		for i, count := range []int{1, 5, 0, 2} {
			f.update(func(ctx context.Context, tx store.Tx) error {
				if _, _, err := tx.Lock(ctx, []string{"n1", "n2"}, []string{"v1"}); err != nil {
					return err
				}
				numbers, err := tx.Numbers(ctx, count)
				if err != nil || len(numbers) != count {
					return unexpected("Numbers", fmt.Sprint(numbers, err))
				}
				c := &store.Changes{}
				for j, number := range numbers {
					if number <= last {
						t.Errorf("number %d follows %d", number, last)
					}
					last = number
					vote := matchup(fmt.Sprint("k", i, j), v, n[0], n[1], scoring.Tie)
					vote.Number = number
					c.Votes = append(c.Votes, vote)
				}
				return tx.Apply(ctx, c)
			})
		}
		if log := f.contents().Votes; len(log) != 8 {
			t.Errorf("%d votes in the log, want 8", len(log))
		}
	})

	t.Run("the key exists", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2")
		v := f.voters("v1", "v2")
		f.apply(&store.Changes{Votes: []store.Vote{fireVote("taken", v[0], n[0])}})
		before := f.contents()
		changed := n[1]
		changed.Votes = 5
		err := f.tryUpdate(func(ctx context.Context, tx store.Tx) error {
			return lockAndApply(ctx, tx, &store.Changes{
				Votes:    []store.Vote{fireVote("free", v[1], n[1]), fireVote("taken", v[1], n[1]), fireVote("free too", v[1], n[1])},
				Ratings:  []store.Rating{changed},
				Opinions: []store.Opinion{opinion(scoring.Fire, n[1], v[1], true)},
				Scores:   []store.Score{score(changed, 1, 2, 3)},
				History:  []store.HistoryPoint{point(n[1], 1)},
				Activity: []store.Activity{{At: base, Kind: store.Computed, NFT: n[1].NFT}},
				Counters: []store.Delta{{Name: store.CountVoteKind + "fire", By: 3}},
			})
		})
		if !errors.Is(err, store.ErrKeyExists) {
			t.Errorf("Update: %v, want ErrKeyExists", err)
		}
		same(t, "contents", before, f.contents())
		f.apply(&store.Changes{Votes: []store.Vote{fireVote("free", v[1], n[1])}})
	})

	t.Run("log after a number", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1")[0]
		v := f.voters("v1")[0]
		c := &store.Changes{}
		for i := range 5 {
			c.Votes = append(c.Votes, fireVote(fmt.Sprint("k", i), v, n))
		}
		f.apply(c)
		f.view(func(ctx context.Context, view store.View) (err error) {
			for i := range c.Votes {
				rest := Collect(view.Log(ctx, c.Votes[i].Number), &err)
				if err != nil {
					return err
				}
				same(t, "Log", c.Votes[i+1:], rest)
			}
			return nil
		})
	})

	t.Run("nothing", func(t *testing.T) {
		f := open.prepared(t)
		before := f.contents()
		f.apply(&store.Changes{})
		f.update(func(ctx context.Context, tx store.Tx) error {
			votes, err := tx.VotesByKey(ctx, nil)
			if err != nil {
				return err
			}
			opinions, err := tx.Opinions(ctx, nil)
			if err != nil {
				return err
			}
			later, err := tx.LaterVotes(ctx, nil)
			if len(votes)+len(opinions)+len(later) != 0 {
				t.Errorf("found %v, %v, %v", votes, opinions, later)
			}
			return err
		})
		same(t, "contents", before, f.contents())
	})
}

// found checks that Opinions finds rows, in any order, and no others.
func (f *fixture) found(what string, rows []store.Opinion) {
	f.t.Helper()
	var refs []store.OpinionRef
	for _, o := range slices.Backward(rows) {
		refs = append(refs, o.OpinionRef)
	}
	refs = append(refs, store.OpinionRef{NFT: rows[0].NFT, Voter: 1 << 40, Kind: scoring.Fire})
	f.update(func(ctx context.Context, tx store.Tx) error {
		got, err := tx.Opinions(ctx, refs)
		same(f.t, what, rows, byKey(got))
		if err != nil || len(rows) < 2 {
			return err
		}
		got, err = tx.Opinions(ctx, refs[:1])
		same(f.t, what+", one of them", rows[len(rows)-1:], got)
		return err
	})
}

func byNumber(rows []store.Rating) []store.Rating {
	return slices.SortedFunc(slices.Values(rows), func(a, b store.Rating) int { return int(a.NFT - b.NFT) })
}

func byVote(rows []store.Vote) []store.Vote {
	return slices.SortedFunc(slices.Values(rows), func(a, b store.Vote) int { return int(a.Number - b.Number) })
}
