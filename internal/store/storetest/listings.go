package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
)

// testListings checks what is listed for people and for runs.
func testListings(t *testing.T, open opener) {
	t.Run("top", func(t *testing.T) {
		f := open.prepared(t)
		a := f.rated("a", "a80", "a90", "a80 too", "a none")
		b := f.rated("b", "b80", "b100", "b0")
		var scores []store.Score
		for _, s := range []struct {
			of  store.Rating
			poa float64
		}{{b[0], 80}, {b[1], 100}, {b[2], 0}, {a[2], 80}, {a[0], 80}, {a[1], 90}} {
			scores = append(scores, score(s.of, s.poa, 10, 1))
		}
		f.apply(&store.Changes{Scores: scores})
		inA, inB, nowhere := "a", "b", "nowhere"
		for _, c := range []struct {
			name       string
			collection *string
			limit      int
			want       []string
		}{
			{"all", nil, 10, []string{"b100", "a90", "a80", "a80 too", "b80", "b0"}},
			{"a limit inside a tie", nil, 3, []string{"b100", "a90", "a80"}},
			{"one collection", &inA, 10, []string{"a90", "a80", "a80 too"}},
			{"the other, limited", &inB, 2, []string{"b100", "b80"}},
			{"an unknown collection", &nowhere, 10, nil},
		} {
			f.view(func(ctx context.Context, v store.View) error {
				top, err := v.Top(ctx, c.collection, c.limit)
				var ids []string
				for _, r := range top {
					ids = append(ids, r.NFT.ID)
					same(t, c.name+": rating", f.rating(r.NFT.ID), r.Rating)
					want := store.NFT{Number: r.Rating.NFT, ID: r.NFT.ID, Name: "name of " + r.NFT.ID, Collection: r.NFT.ID[:1], ImageURL: "https://img.example/" + r.NFT.ID}
					same(t, c.name+": NFT", want, r.NFT)
				}
				same(t, c.name, c.want, ids)
				return err
			})
		}
	})

	t.Run("ratings", func(t *testing.T) {
		f := open.prepared(t)
		rows := f.rated("c", "z", "a", "m")
		f.put("c", "unrated")
		f.view(func(ctx context.Context, v store.View) error {
			got, err := v.Ratings(ctx, []string{"m", "unrated", "nobody", "z"})
			same(t, "by number", []store.Rating{rows[0], rows[2]}, got)
			if err != nil {
				return err
			}
			got, err = v.Ratings(ctx, nil)
			same(t, "of none", nil, got)
			return err
		})
	})

	t.Run("rated NFTs", func(t *testing.T) {
		f := open.prepared(t)
		var all, inB []int64
		for i := range 9 {
			name := []string{"a", "b", ""}[i%3]
			r := f.rated(name, fmt.Sprint("n", i))[0]
			f.put(name, fmt.Sprint("unrated", i))
			all = append(all, r.NFT)
			if name == "b" {
				inB = append(inB, r.NFT)
			}
		}
		b, none, nowhere := "b", "", "nowhere"
		for _, c := range []struct {
			name       string
			collection *string
			after      int64
			limit      int
			want       []int64
		}{
			{"all", nil, 0, 100, all},
			{"a page", nil, 0, 4, all[:4]},
			{"the next page", nil, all[3], 4, all[4:8]},
			{"the last page", nil, all[7], 4, all[8:]},
			{"after all", nil, all[8], 4, nil},
			{"of one collection", &b, 0, 100, inB},
			{"of one collection, a page", &b, inB[0], 1, inB[1:2]},
			{"without a collection", &none, 0, 1, all[2:3]},
			{"of an unknown collection", &nowhere, 0, 100, nil},
		} {
			f.view(func(ctx context.Context, v store.View) error {
				got, err := v.RatedNFTs(ctx, c.collection, c.after, c.limit)
				same(t, c.name, c.want, got)
				return err
			})
		}
	})

	t.Run("collections", func(t *testing.T) {
		f := open.prepared(t)
		for _, name := range []string{"b", "é", "a", "B", ""} {
			f.put(name, "n"+name)
		}
		var names []string
		for _, c := range f.contents().Collections {
			names = append(names, c.Name)
		}
		same(t, "by name", []string{"", "B", "a", "b", "é"}, names)
	})

	t.Run("history and activity", func(t *testing.T) {
		f := open.prepared(t)
		n := f.rated("c", "n1", "n2")
		// Two commits, and times that do not ascend: what was recorded last is the latest.
		var points []store.HistoryPoint
		var entries []store.Activity
		for commit := range 2 {
			c := &store.Changes{}
			for i := range 6 {
				of := n[i%2]
				minute := commit*100 + i
				if i == 3 {
					minute = 0
				}
				c.History = append(c.History, point(of, minute))
				c.Activity = append(c.Activity, store.Activity{At: base.Add(time.Duration(minute) * time.Second), Kind: store.Computed, NFT: of.NFT, NFTID: of.ID, Vote: int64(i)})
			}
			f.apply(c)
			points = append(points, c.History...)
			entries = append(entries, c.Activity...)
		}
		same(t, "AllHistory", points, f.contents().History)
		slices.Reverse(points)
		slices.Reverse(entries)
		ofN2 := slices.DeleteFunc(slices.Clone(points), func(p store.HistoryPoint) bool { return p.NFT != n[1].NFT })
		entriesOfN2 := slices.DeleteFunc(slices.Clone(entries), func(a store.Activity) bool { return a.NFT != n[1].NFT })
		f.view(func(ctx context.Context, v store.View) error {
			for _, limit := range []int{1, 4, 6, 100} {
				got, err := v.History(ctx, n[1].NFT, limit)
				if err != nil {
					return err
				}
				same(t, fmt.Sprint("History, limit ", limit), ofN2[:min(limit, 6)], got)
				for _, c := range []struct {
					nft  int64
					want []store.Activity
				}{{n[1].NFT, entriesOfN2}, {0, entries}, {1 << 40, nil}} {
					got, err := v.Activity(ctx, c.nft, limit)
					if err != nil {
						return err
					}
					for i := range got {
						got[i].Number = 0
					}
					same(t, fmt.Sprint("Activity of ", c.nft, ", limit ", limit), c.want[:min(limit, len(c.want))], got)
				}
			}
			got, err := v.History(ctx, 1<<40, 5)
			same(t, "History of an unknown NFT", nil, got)
			return err
		})
	})

	t.Run("counts", func(t *testing.T) {
		f := open.prepared(t)
		counts := func() (c store.Counts) {
			t.Helper()
			f.view(func(ctx context.Context, v store.View) (err error) {
				c, err = v.Counts(ctx)
				return err
			})
			return c
		}
		same(t, "of an empty store", store.Counts{}, counts())
		n := f.rated("c", "n1", "n2", "n3")
		f.put("c", "n4")
		v := f.voters("v1", "v2")
		f.apply(&store.Changes{
			Votes:    []store.Vote{fireVote("k1", v[0], n[0]), fireVote("k2", v[0], n[1]), fireVote("k3", v[1], n[1]), fireVote("k4", v[1], n[1]), fireVote("k5", v[1], n[0])},
			Opinions: []store.Opinion{opinion(scoring.Fire, n[0], v[0], false)},
			Scores:   []store.Score{score(n[0], 1, 1, 1), score(n[1], 1, 1, 1)},
			History:  []store.HistoryPoint{point(n[0], 1), point(n[0], 2), point(n[0], 3), point(n[0], 4), point(n[0], 5), point(n[0], 6)},
		})
		same(t, "of a small store", store.Counts{NFTs: 4, Voters: 2, Votes: 5, Ratings: 3, Opinions: 1, Scores: 2, History: 6}, counts())
	})
}

// testRecords checks what is kept beside the game: rejected rows and settings.
func testRecords(t *testing.T, open opener) {
	t.Run("rejects", func(t *testing.T) {
		f := open.prepared(t)
		reject := func(source string, line int64, code string) store.Reject {
			return store.Reject{Source: source, Line: line, Code: code, Detail: "ünï " + code, Raw: `a,"b",` + code, At: base.Add(time.Microsecond)}
		}
		rejects := func(source string) (rows []store.Reject) {
			t.Helper()
			f.view(func(ctx context.Context, v store.View) (err error) {
				rows, err = v.Rejects(ctx, source)
				return err
			})
			return rows
		}
		put := func(rows ...store.Reject) {
			t.Helper()
			if err := f.PutRejects(t.Context(), rows); err != nil {
				t.Fatalf("PutRejects: %v", err)
			}
		}
		put()
		put(reject("x", 10, "a"), reject("x", 9, "b"), reject("y", 9, "c"))
		same(t, "by line", []store.Reject{reject("x", 9, "b"), reject("x", 10, "a")}, rejects("x"))
		again := reject("x", 9, "again")
		again.At = base.Add(time.Hour)
		put(reject("x", 11, "d"), again)
		same(t, "replaced", []store.Reject{again, reject("x", 10, "a"), reject("x", 11, "d")}, rejects("x"))
		same(t, "of the other source", []store.Reject{reject("y", 9, "c")}, rejects("y"))
		same(t, "of none", nil, rejects("z"))
	})
}
