package storetest

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"poa/internal/scoring"
	"poa/internal/store"
)

func testScores(t *testing.T, open opener) {
	t.Run("never replaced by an earlier one", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2")
		f.apply(&store.Changes{Scores: []store.Score{score(n[0], 10, 10, 5)}})
		for _, c := range []struct {
			name    string
			through int64
			want    float64
		}{
			{"earlier", 4, 10},
			{"same", 5, 20},
			{"later", 9, 30},
			{"earlier than that", 8, 30},
		} {
			poa := map[string]float64{"earlier": 15, "same": 20, "later": 30, "earlier than that": 40}[c.name]
			f.apply(&store.Changes{Scores: []store.Score{score(n[0], poa, poa, c.through), score(n[1], poa, poa, c.through)}})
			if got := f.rating("n1").Score; got.POA != c.want || got.HistoryPOA != c.want {
				t.Errorf("%s: POA is %v, want %v", c.name, got.POA, c.want)
			}
		}
		if got := f.rating("n2").Score.POA; got != 30 {
			t.Errorf("the neighbour's POA is %v, want 30", got)
		}
	})

	t.Run("withdrawn", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2", "n3")
		f.apply(&store.Changes{
			Scores:  []store.Score{score(n[0], 10, 10, 5), score(n[1], 20, 20, 5)},
			History: []store.HistoryPoint{point(n[0], 1)},
		})
		r := n[0]
		r.Votes = 3
		f.apply(&store.Changes{Ratings: []store.Rating{r}, Withdrawn: []int64{n[2].NFT, n[0].NFT}})
		after := f.contents()
		if s := f.rating("n1").Score; s != nil {
			t.Errorf("the withdrawn score is still %+v", s)
		}
		if f.rating("n2").Score == nil {
			t.Error("a neighbour's score went too")
		}
		if f.rating("n1").Votes != 3 || len(after.History) != 1 {
			t.Error("the rating or the history of the withdrawn score is not as it should be")
		}
		// A score may come again, through any vote.
		f.apply(&store.Changes{Scores: []store.Score{score(n[0], 30, 30, 1)}})
		if s := f.rating("n1").Score; s == nil || s.POA != 30 {
			t.Errorf("the new score is %+v", s)
		}
	})
}

func testCounters(t *testing.T, open opener) {
	setUp := func(t *testing.T) (f *fixture, a, b int64) {
		f = open.prepared(t)
		a = f.rated("a", "n1")[0].Collection
		b = f.rated("b", "n2")[0].Collection
		if a > b {
			a, b = b, a
		}
		return f, a, b
	}
	merge := func(f *fixture) {
		f.t.Helper()
		if err := f.MergeCounters(f.t.Context()); err != nil {
			f.t.Fatalf("MergeCounters: %v", err)
		}
	}
	fires := store.CountVoteKind + "fire"

	t.Run("add up", func(t *testing.T) {
		f, a, b := setUp(t)
		want := []store.Delta{
			{Name: store.CountNFTs, Collection: a, By: 1}, {Name: store.CountNFTs, Collection: b, By: 1},
			{Name: store.CountVotes, Collection: a, By: 7}, {Name: store.CountVotes, Collection: b, By: 1 << 40},
			{Name: fires, By: -1},
		}
		// A repeated delta counts each time; one that returns to 0 may be gone.
		deltas := []store.Delta{
			{Name: fires, By: 2}, {Name: store.CountVotes, Collection: b, By: 1 << 40}, {Name: store.CountReady, Collection: a, By: 1},
			{Name: store.CountVotes, Collection: a, By: 3},
		}
		f.apply(&store.Changes{Counters: deltas})
		f.apply(&store.Changes{Counters: []store.Delta{
			{Name: store.CountVotes, Collection: a, By: 4}, {Name: fires, By: -3}, {Name: store.CountReady, Collection: a, By: -1},
		}})
		same(t, "pending", want, f.contents().Counters)
		for _, what := range []string{"merged", "merged twice"} {
			merge(f)
			same(t, what, want, f.contents().Counters)
		}
		f.apply(&store.Changes{Counters: []store.Delta{{Name: fires, By: 5}}})
		want[len(want)-1].By = 4
		same(t, "merged and pending", want, f.contents().Counters)
	})

	t.Run("totals of a collection", func(t *testing.T) {
		f, a, b := setUp(t)
		f.apply(&store.Changes{Counters: []store.Delta{
			{Name: store.CountVotes, Collection: a, By: 1}, {Name: store.CountReady, Collection: a, By: 2},
			{Name: store.CountScored, Collection: a, By: 3}, {Name: store.CountPOASum, Collection: a, By: 4},
			{Name: store.CountConfidenceSum, Collection: a, By: 5}, {Name: store.CountVotes, Collection: b, By: 6},
			{Name: store.CountVotes, By: 100},
		}})
		want := []store.Collection{
			{Number: a, Active: true, NFTs: 1, Votes: 1, Ready: 2, Scored: 3, POASum: 4, ConfidenceSum: 5},
			{Number: b, Active: true, NFTs: 1, Votes: 6},
		}
		for _, what := range []string{"pending", "merged"} {
			got := f.contents().Collections
			slices.SortFunc(got, func(x, y store.Collection) int { return cmp.Compare(x.Number, y.Number) })
			for i := range got {
				got[i].Name = ""
			}
			same(t, what, want, got)
			merge(f)
		}
	})

	t.Run("many in one commit", func(t *testing.T) {
		f, a, _ := setUp(t)
		c := &store.Changes{}
		for range 3000 {
			c.Counters = append(c.Counters, store.Delta{Name: store.CountVotes, Collection: a, By: 2})
		}
		f.apply(c)
		merge(f)
		for _, d := range f.contents().Counters {
			if d.Name == store.CountVotes && d.By != 6000 {
				t.Errorf("3,000 deltas of 2 make %d", d.By)
			}
		}
	})
}

// testStanding checks what exact computations read.
func testStanding(t *testing.T, open opener) {
	type game struct {
		*fixture
		nfts   []store.Rating
		voters []store.Voter
	}
	// A voter's reliability weighs from MinJudged judged votes on: v1 and v3 have
	// them by default, v2 has not.
	play := func(t *testing.T, minJudged int64) game {
		f := open.empty(t)
		f.migrate()
		own := constants()
		own.ReliabilityMinJudged = minJudged
		f.prepare(own)
		n := f.rated("c", "n1", "n2", "n3", "n4")
		v := f.voters("v1", "v2", "v3")
		v[0].Reliability, v[0].Judged = 1.2, 5
		v[1].Reliability, v[1].Judged = 1.4, 2
		v[2].Reliability, v[2].Judged = 0.7, 3
		v[2].Calibration = scoring.Calibration{N: 2, Mean: 61, M2: 0.5}
		n[0].Votes, n[0].Matchups = 7, 3
		super := matchup("m4", v[0], n[0], n[2], scoring.WinB)
		super.Super = true
		s := score(n[0], 55, 12, 4)
		f.apply(&store.Changes{
			Ratings: n[:1], Voters: v, Scores: []store.Score{s},
			Votes: []store.Vote{
				matchup("m1", v[0], n[0], n[1], scoring.WinA),
				matchup("m2", v[1], n[1], n[0], scoring.Tie),
				matchup("m3", v[2], n[0], n[1], scoring.Neither),
				super,
				sliderVote("s1", v[0], n[0], 30), sliderVote("s2", v[2], n[0], 61),
				fireVote("f1", v[1], n[0]), fireVote("f2", v[2], n[0]), fireVote("f3", v[2], n[1]),
			},
			Opinions: []store.Opinion{
				opinion(scoring.Slider, n[0], v[0], true), opinion(scoring.Slider, n[0], v[2], true),
				opinion(scoring.Fire, n[0], v[1], false), opinion(scoring.Fire, n[0], v[2], true),
				opinion(scoring.Fire, n[1], v[2], false),
			},
		})
		n[0].Score = &s
		return game{f, n, v}
	}
	read := func(g game, nfts ...int64) []store.Standing {
		g.t.Helper()
		var all []store.Standing
		g.view(func(ctx context.Context, v store.View) (err error) {
			all, err = v.Standing(ctx, nfts)
			return err
		})
		for _, s := range all {
			slices.SortFunc(s.Opinions, func(a, b store.StandingOpinion) int { return compareOpinions(a.Opinion, b.Opinion) })
		}
		return all
	}
	want := func(g game, matchups []int64, weights []float64) []store.Standing {
		var all []store.Standing
		for i, r := range g.nfts {
			all = append(all, store.Standing{Rating: r, Matchups: matchups[i], TodaysWeights: scoring.ToSum(weights[i])})
		}
		all[0].Opinions = []store.StandingOpinion{
			{Opinion: opinion(scoring.Slider, g.nfts[0], g.voters[0], true), Voter: g.voters[0].Voter},
			{Opinion: opinion(scoring.Slider, g.nfts[0], g.voters[2], true), Voter: g.voters[2].Voter},
			{Opinion: opinion(scoring.Fire, g.nfts[0], g.voters[2], true), Voter: g.voters[2].Voter},
		}
		return all
	}

	for _, c := range []struct {
		name      string
		minJudged int64
		weights   []float64 // by NFT
	}{
		{"voters' weights of now", 3, []float64{1.2 + 1 + 1.2, 1.2 + 1, 1.2, 0}},
		{"reliability weighs at once", 0, []float64{1.2 + 1.4 + 1.2, 1.2 + 1.4, 1.2, 0}},
		{"reliability weighs late", 6, []float64{3, 2, 1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := play(t, c.minJudged)
			n := g.nfts
			got := read(g, n[3].NFT, n[0].NFT, 1<<40, n[2].NFT, n[1].NFT)
			same(t, "Standing", want(g, []int64{3, 2, 1, 0}, c.weights), got)
		})
	}

	t.Run("voters drift", func(t *testing.T) {
		g := play(t, 3)
		g.voters[0].Reliability, g.voters[0].Calibration = 0.5, scoring.Calibration{N: 9, Mean: 10, M2: 11}
		g.voters[1].Judged = 3
		g.apply(&store.Changes{Voters: g.voters[:2]})
		n := g.nfts
		got := read(g, n[0].NFT, n[1].NFT, n[2].NFT, n[3].NFT)
		same(t, "Standing", want(g, []int64{3, 2, 1, 0}, []float64{0.5 + 1.4 + 0.5, 0.5 + 1.4, 0.5, 0}), got)
	})

	t.Run("one of many", func(t *testing.T) {
		g := play(t, 3)
		all := want(g, []int64{3, 2, 1, 0}, []float64{3.4, 2.2, 1.2, 0})
		same(t, "Standing", all[1:2], read(g, g.nfts[1].NFT))
		same(t, "of an NFT without rating", nil, read(g, 1<<40))
	})
}

// testLaterVotes checks what an exact computation learns of the votes that came
// after it had read.
func testLaterVotes(t *testing.T, open opener) {
	f := open.prepared(t)
	n := f.rated("c", "n1", "n2", "n3")
	v := f.voters("v1", "v2")
	votes := []store.Vote{
		matchup("m1", v[0], n[0], n[1], scoring.WinA),
		sliderVote("s1", v[0], n[0], 30),
		matchup("m2", v[1], n[1], n[0], scoring.Neither),
		fireVote("f1", v[1], n[0]),
		fireVote("u1", v[1], n[0]),
		matchup("m3", v[0], n[2], n[1], scoring.Tie),
	}
	votes[4].Kind = scoring.Unfire
	c := &store.Changes{Votes: votes}
	f.apply(c)
	later := func(after ...int64) (found []store.LaterVote) {
		read := make([]store.Rating, len(after))
		var nfts []int64
		for i := range after {
			read[i].NFT, read[i].LastVote = n[i].NFT, after[i]
			nfts = append(nfts, n[i].NFT)
		}
		f.update(func(ctx context.Context, tx store.Tx) (err error) {
			if _, err := tx.LockRatings(ctx, nfts); err != nil {
				return err
			}
			found, err = tx.LaterVotes(ctx, read)
			return err
		})
		slices.SortFunc(found, func(a, b store.LaterVote) int {
			return cmp.Or(cmp.Compare(a.NFT, b.NFT), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Voter, b.Voter))
		})
		return found
	}
	entry := func(nft, voter int, kind scoring.Kind) store.LaterVote {
		return store.LaterVote{NFT: n[nft].NFT, Voter: v[voter].Number, Kind: kind}
	}
	number := func(i int) int64 { return c.Votes[i].Number }
	same(t, "all of one NFT", []store.LaterVote{
		entry(0, 0, scoring.Matchup), entry(0, 1, scoring.Matchup), entry(0, 0, scoring.Slider), entry(0, 1, scoring.Fire), entry(0, 1, scoring.Unfire),
	}, later(0))
	same(t, "those after a vote", []store.LaterVote{entry(0, 1, scoring.Fire), entry(0, 1, scoring.Unfire)}, later(number(2)))
	same(t, "each NFT after a vote of its own", []store.LaterVote{
		entry(0, 1, scoring.Unfire), entry(1, 0, scoring.Matchup), entry(1, 1, scoring.Matchup), entry(2, 0, scoring.Matchup),
	}, later(number(3), number(0), 0))
	same(t, "none", nil, later(number(4), number(5)))
	same(t, "of no NFT", nil, later())
}

func compareOpinions(a, b store.Opinion) int {
	return cmp.Or(cmp.Compare(a.NFT, b.NFT), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Voter, b.Voter))
}

func byKey(rows []store.Opinion) []store.Opinion {
	return slices.SortedFunc(slices.Values(rows), compareOpinions)
}
