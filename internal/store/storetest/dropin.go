package storetest

import (
	"context"
	"testing"
	"time"

	"poa/internal/store"
)

// testDropIn checks what the old scheduler's admin API needs.
func testDropIn(t *testing.T, open opener) {
	t.Run("NFTs by number", func(t *testing.T) {
		s := open.service(t)
		d := s.Service.(store.DropIn)
		rows := s.rated("c", "z", "a")
		s.put("c", "unrated")
		s.apply(&store.Changes{Scores: []store.Score{score(rows[1], 40, 10, 1)}})
		var unrated store.NFT
		s.view(func(ctx context.Context, v store.View) (err error) {
			unrated, err = v.NFT(ctx, "unrated")
			return err
		})
		got, err := d.NFTs(t.Context(), []int64{unrated.Number, rows[1].NFT, 987_654, rows[0].NFT})
		s.must(err)
		s.same("ids", []string{"unrated", "a", "z"}, ids(got, func(r store.Ranked) string { return r.NFT.ID }))
		s.same("ratings", []store.Rating{{}, s.rating("a"), rows[0]}, []store.Rating{got[0].Rating, got[1].Rating, got[2].Rating})
		s.same("NFT", unrated, got[0].NFT)
		for _, numbers := range [][]int64{nil, {987_654}} {
			got, err = d.NFTs(t.Context(), numbers)
			s.must(err)
			s.same("of none", 0, len(got))
		}
	})

	t.Run("computations since", func(t *testing.T) {
		s := open.service(t)
		d := s.Service.(store.DropIn)
		nft := s.rated("c", "a")[0]
		count := func(since time.Duration) int64 {
			n, err := d.ComputedSince(t.Context(), base.Add(since))
			s.must(err)
			return n
		}
		s.same("of no activity", int64(0), count(-time.Hour))
		// The times of entries may be a little out of order.
		for _, at := range []time.Duration{0, time.Hour, 2*time.Hour + time.Minute, 2 * time.Hour, 3 * time.Hour} {
			for _, kind := range []store.ActivityKind{store.Computed, store.Deferred} {
				s.apply(&store.Changes{Activity: []store.Activity{{At: base.Add(at), Kind: kind, NFT: nft.NFT, NFTID: "a", Reason: "fire"}}})
			}
		}
		for since, want := range map[time.Duration]int64{
			-time.Hour: 5, 0: 5, time.Microsecond: 4, 2 * time.Hour: 3, 2*time.Hour + time.Second: 2, 3 * time.Hour: 1, 4 * time.Hour: 0,
		} {
			s.same("since "+since.String(), want, count(since))
		}
	})

	t.Run("totals", func(t *testing.T) {
		s := open.service(t)
		d := s.Service.(store.DropIn)
		voters, err := d.VoterTotals(t.Context(), 3)
		s.must(err)
		s.same("of no voters", store.VoterTotals{}, voters)
		ratings, err := d.RatingTotals(t.Context())
		s.must(err)
		s.same("of no ratings", 0, len(ratings))

		list := s.voters("a", "b", "c", "d")
		for i, v := range []struct {
			judged, sliders int64
			reliability     float64
		}{{3, 1, 1.25}, {2, 0, 0.5}, {10, 0, 0.75}, {0, 2, 1}} {
			list[i].Judged, list[i].Calibration.N, list[i].Reliability = v.judged, v.sliders, v.reliability
		}
		a, b := s.rated("a", "a1", "a2", "a3"), s.rated("b", "b1")
		a[0].Mean, a[0].Votes, a[1].Mean, a[1].Votes = 1250, 3, 1150.5, 1
		changed := []store.Rating{a[0], a[1]}
		s.update(func(ctx context.Context, tx store.Tx) error {
			if _, _, err := tx.Lock(ctx, []string{"a1", "a2"}, []string{"a", "b", "c", "d"}); err != nil {
				return err
			}
			return tx.Apply(ctx, &store.Changes{Ratings: changed, Voters: list})
		})
		voters, err = d.VoterTotals(t.Context(), 3)
		s.must(err)
		s.same("voters", store.VoterTotals{Sliding: 2, Judged: 2, Reliability: 1}, voters)
		ratings, err = d.RatingTotals(t.Context())
		s.must(err)
		s.same("ratings", []store.RatingTotals{
			{Collection: a[0].Collection, Rated: 3, Voted: 2, Means: 1250 + 1150.5 + 1200},
			{Collection: b[0].Collection, Rated: 1, Means: 1200},
		}, ratings)
	})
}
