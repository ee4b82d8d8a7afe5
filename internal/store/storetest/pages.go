package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"poa/internal/scoring"
	"poa/internal/store"
)

func rankedIDs(page []store.Ranked) []string {
	return ids(page, func(r store.Ranked) string { return r.NFT.ID })
}

// list reads an NFT query to its end, by pages.
func (s *service) list(q store.NFTQuery) []store.Ranked {
	s.t.Helper()
	var all []store.Ranked
	for {
		page, err := s.ListNFTs(s.t.Context(), q)
		s.must(err)
		all = append(all, page...)
		if len(page) < q.Limit {
			return all
		}
		q.After = page[len(page)-1].NFT.Number
	}
}

func testListNFTs(t *testing.T, open opener) {
	p := populate(t, open)
	p.put("c1", "without a rating")
	has := map[store.NFTStatus]func(*store.Rating) bool{
		"":                 func(*store.Rating) bool { return true },
		store.StatusScored: func(r *store.Rating) bool { return r.Score != nil },
		store.StatusReady:  func(r *store.Rating) bool { return !r.WaitingSince.IsZero() },
		store.StatusDue:    func(r *store.Rating) bool { return !r.Due.Since.IsZero() },
	}
	collections := []string{"", "c1", "c3", "none"} // the first stands for all
	for status, has := range has {
		for i := range collections {
			var want []store.Rating
			for _, r := range p.ratings {
				if (i == 0 || p.collection[r.NFT] == collections[i]) && has(&r) {
					want = append(want, r)
				}
			}
			for _, limit := range []int{7, 1000} {
				q := store.NFTQuery{Status: status, Limit: limit}
				if i > 0 {
					q.Collection = &collections[i]
				}
				got := p.list(q)
				if n := len(got) - 1; status == "" && i < 2 {
					unrated := got[n]
					p.same("without a rating", "without a rating", unrated.NFT.ID)
					p.same("without a rating", store.Rating{}, unrated.Rating)
					got = got[:n]
				}
				var ratings []store.Rating
				for _, r := range got {
					ratings = append(ratings, r.Rating)
					if r.NFT.ID != r.Rating.ID || r.NFT.Number != r.Rating.NFT || r.NFT.Collection != p.collection[r.NFT.Number] || r.NFT.Name == "" {
						t.Errorf("%+v is ranked with the rating of %q", r.NFT, r.Rating.ID)
					}
				}
				p.same(fmt.Sprintf("status %q of %q by %d", status, collections[i], limit), want, ratings)
			}
		}
	}
	if _, err := p.ListNFTs(t.Context(), store.NFTQuery{Status: "odd", Limit: 5}); err == nil {
		t.Error("a status that no NFT can have was listed")
	}
}

func testSearch(t *testing.T, open opener) {
	s := open.service(t)
	long := strings.Repeat("x", 3000)
	s.putNFTs([]store.NFT{
		{ID: "0xb/2", Name: "Brass"}, {ID: "0xA/1", Name: "amber"}, {ID: "0xb/10", Name: "Amber 2", Collection: "c"},
		{ID: "0xb/1", Name: "beta"}, {ID: "amber", Name: "zed"}, {ID: "q%_1", Name: "100%"}, {ID: "q%x1", Name: "Übel"},
		{ID: "z1", Name: "AMBER"}, {ID: "z2", Name: "amb", Collection: "c"}, {ID: "z\U0010ffff1", Name: long},
		{ID: "z\ud7ff", Name: long + "y"}, {ID: "z\ue000", Name: "a'b"},
	}, false)
	s.update(func(ctx context.Context, tx store.Tx) error { return ensure(ctx, tx, []string{"amber", "0xA/1"}, nil) })
	n := s.ratings("amber")
	s.apply(&store.Changes{Scores: []store.Score{score(n[0], 1, 1, 1)}})
	collection := "c"
	for _, c := range []struct {
		q    store.NFTQuery
		want []string
	}{
		{store.NFTQuery{Search: "0xb/"}, []string{"0xb/1", "0xb/10", "0xb/2"}},
		{store.NFTQuery{Search: "0xB/"}, nil}, // ids have case
		{store.NFTQuery{Search: "amb"}, []string{"amber", "z2", "0xA/1", "z1", "0xb/10"}},
		{store.NFTQuery{Search: "AMBER"}, []string{"amber", "0xA/1", "z1", "0xb/10"}[1:]},
		{store.NFTQuery{Search: "amber"}, []string{"amber", "0xA/1", "z1", "0xb/10"}},
		{store.NFTQuery{Search: "b"}, []string{"0xb/1", "0xb/2"}},
		{store.NFTQuery{Search: "q%"}, []string{"q%_1", "q%x1"}},
		{store.NFTQuery{Search: "q%_"}, []string{"q%_1"}},
		{store.NFTQuery{Search: "Übe"}, []string{"q%x1"}},
		{store.NFTQuery{Search: "z\ud7ff"}, []string{"z\ud7ff"}},
		{store.NFTQuery{Search: "z\U0010ffff"}, []string{"z\U0010ffff1"}},
		{store.NFTQuery{Search: "a'"}, []string{"z\ue000"}},
		{store.NFTQuery{Search: long}, []string{"z\U0010ffff1", "z\ud7ff"}},
		{store.NFTQuery{Search: long + "y"}, []string{"z\ud7ff"}},
		{store.NFTQuery{Search: "nothing"}, nil},
		{store.NFTQuery{Search: "amb", Collection: &collection}, []string{"z2", "0xb/10"}},
		{store.NFTQuery{Search: "0xb", Collection: &collection}, []string{"0xb/10"}},
		{store.NFTQuery{Search: "a", Status: store.StatusScored}, []string{"amber"}},
		{store.NFTQuery{Search: "amb", Status: store.StatusReady}, nil},
		{store.NFTQuery{Search: "amb", Status: store.StatusDue}, nil},
	} {
		for _, limit := range []int{1, 2, 100} {
			c.q.Limit = limit
			s.same(fmt.Sprintf("%.20q by %d", c.q.Search, limit), c.want, rankedIDs(s.list(c.q)))
		}
	}
	if _, err := s.ListNFTs(t.Context(), store.NFTQuery{Search: "a", After: 1 << 40, Limit: 5}); err == nil {
		t.Error("a search went on after an NFT that does not exist")
	}
}

func testLeaderboard(t *testing.T, open opener) {
	testRanking(t, open, store.Service.Leaderboard, func(a, b store.Rating) int {
		return cmp.Or(cmp.Compare(b.Score.POA, a.Score.POA), cmp.Compare(a.NFT, b.NFT))
	})
}

func testLowestScores(t *testing.T, open opener) {
	testRanking(t, open, store.Service.LowestScores, func(a, b store.Rating) int {
		return cmp.Or(cmp.Compare(a.Score.POA, b.Score.POA), cmp.Compare(b.NFT, a.NFT))
	})
}

// testRanking compares the pages of a list with all scores in its order.
func testRanking(t *testing.T, open opener, list func(st store.Service, ctx context.Context, collection *string, after *store.RankKey, limit int) ([]store.Ranked, error), order func(a, b store.Rating) int) {
	s := open.service(t)
	var all []store.Rating
	var c store.Changes
	for i := range 60 {
		r := s.rated(fmt.Sprint("c", i%3), fmt.Sprintf("n%02d", i))[0]
		if i%10 != 9 {
			sc := score(r, float64(i*7%5)/3, 20, 1)
			r.Score = &sc
			c.Scores = append(c.Scores, sc)
			all = append(all, r)
		}
	}
	s.apply(&c)
	slices.SortFunc(all, order)
	names := []string{"", "c0", "c1", "none"} // the first stands for all
	for i := range names {
		var want []store.Rating
		for _, r := range all {
			if i == 0 || r.Collection == s.collection(names[i]) {
				want = append(want, r)
			}
		}
		var collection *string
		if i > 0 {
			collection = &names[i]
		}
		for _, limit := range []int{1, 7, 100} {
			var got []store.Rating
			for after := (*store.RankKey)(nil); ; {
				page, err := list(s, t.Context(), collection, after, limit)
				s.must(err)
				for _, r := range page {
					got = append(got, r.Rating)
					after = &store.RankKey{POA: r.Rating.Score.POA, NFT: r.NFT.Number}
				}
				if len(page) < limit {
					break
				}
			}
			s.same(fmt.Sprintf("of %q by %d", names[i], limit), want, got)
		}
	}
}

func testVotesOf(t *testing.T, open opener) {
	s := open.service(t)
	n := s.rated("c", "n1", "n2", "n3")
	v := s.voters("v1", "v2")
	var c store.Changes
	for i := range 40 {
		by, a, b := v[i%2], n[i%3], n[(i+1)%3]
		switch key := fmt.Sprint("k", i); i % 4 {
		case 0:
			c.Votes = append(c.Votes, fireVote(key, by, a))
		case 1:
			c.Votes = append(c.Votes, sliderVote(key, by, a, float64(i)))
		default:
			c.Votes = append(c.Votes, matchup(key, by, a, b, scoring.WinA))
		}
	}
	s.apply(&c)
	for what, q := range map[string]struct{ nft, voter int64 }{
		"of an NFT": {n[0].NFT, 0}, "of a voter": {0, v[1].Number}, "of a voter on an NFT": {n[1].NFT, v[0].Number},
		"of an unknown NFT": {1 << 40, 0}, "of an unknown voter": {0, 1 << 40},
	} {
		var want []store.Vote
		for _, vote := range slices.Backward(c.Votes) {
			if (q.nft == 0 || vote.A == q.nft || vote.B == q.nft) && (q.voter == 0 || vote.Voter == q.voter) {
				want = append(want, vote)
			}
		}
		for _, limit := range []int{1, 6, 100} {
			var got []store.Vote
			for before := int64(0); ; {
				page, err := s.VotesOf(t.Context(), q.nft, q.voter, before, limit)
				s.must(err)
				got = append(got, page...)
				if len(page) < limit {
					break
				}
				before = page[len(page)-1].Number
			}
			s.same(fmt.Sprint(what, " by ", limit), want, got)
		}
	}
}
