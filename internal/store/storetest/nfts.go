package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/scoring"
	"poa/internal/store"
)

func testNFTs(t *testing.T, open opener) {
	nft := func(t *testing.T, f *fixture, id string) store.NFT {
		t.Helper()
		var n store.NFT
		f.view(func(ctx context.Context, v store.View) (err error) {
			n, err = v.NFT(ctx, id)
			return err
		})
		if n.Number < 1 {
			t.Errorf("NFT %q has the number %d", id, n.Number)
		}
		return n
	}
	registered := func(t *testing.T, f *fixture, want store.NFT) {
		t.Helper()
		got := nft(t, f, want.ID)
		want.Number = got.Number
		same(t, "registered NFT", want, got)
	}
	nfts := func(f *fixture) map[string]int64 {
		counts := map[string]int64{}
		for _, c := range f.contents().Collections {
			counts[c.Name] = c.NFTs
		}
		return counts
	}

	t.Run("create", func(t *testing.T) {
		f := open.prepared(t)
		entries := []store.NFT{
			{ID: "n1", Name: `Quo"te's \ and ünï 🜁`, Collection: "art", ImageURL: "ipfs://x?y=z&ü"},
			{ID: "n2"},
			{ID: "0xab/12", Collection: "art"},
		}
		if created := f.putNFTs(entries, false); created != 3 {
			t.Errorf("created %d, want 3", created)
		}
		for _, n := range entries {
			registered(t, f, n)
		}
		same(t, "NFTs by collection", map[string]int64{"": 1, "art": 2}, nfts(f))
		for _, c := range f.contents().Collections {
			if !c.Active || c.Number < 1 {
				t.Errorf("new collection %+v is not active or has no number", c)
			}
		}
	})

	t.Run("nothing", func(t *testing.T) {
		f := open.prepared(t)
		if created := f.putNFTs(nil, true); created != 0 {
			t.Errorf("created %d of no NFTs", created)
		}
	})

	t.Run("leave alone", func(t *testing.T) {
		f := open.prepared(t)
		f.put("art", "n1")
		before := f.contents()
		if created := f.putNFTs([]store.NFT{{ID: "n1", Name: "other", ImageURL: "other"}}, false); created != 0 {
			t.Errorf("created %d, want 0", created)
		}
		same(t, "NFTs", before.NFTs, f.contents().NFTs)
		if got := nfts(f)["art"]; got != 1 {
			t.Errorf("art has %d NFTs, want 1", got)
		}
	})

	t.Run("overwrite", func(t *testing.T) {
		f := open.prepared(t)
		f.put("art", "n1", "n2")
		number := nft(t, f, "n1").Number
		changed := store.NFT{Number: number, ID: "n1", Name: "new", Collection: "art", ImageURL: ""}
		if created := f.putNFTs([]store.NFT{changed, {ID: "n3"}}, true); created != 1 {
			t.Errorf("created %d, want 1", created)
		}
		same(t, "overwritten NFT", changed, nft(t, f, "n1"))
		same(t, "NFTs by collection", map[string]int64{"": 1, "art": 2}, nfts(f))
	})

	t.Run("the last of several counts", func(t *testing.T) {
		f := open.prepared(t)
		for _, overwrite := range []bool{false, true} {
			id := map[bool]string{false: "kept", true: "overwritten"}[overwrite]
			last := store.NFT{ID: id, Name: "last", Collection: "b", ImageURL: "l"}
			created := f.putNFTs([]store.NFT{{ID: id, Name: "first", Collection: "a"}, {ID: id + "'"}, last}, overwrite)
			if created != 2 {
				t.Errorf("overwrite %v: created %d, want 2", overwrite, created)
			}
			registered(t, f, last)
		}
		if got := nfts(f); got["a"] != 0 || got["b"] != 2 || got[""] != 2 {
			t.Errorf("NFTs by collection: %v", got)
		}
	})

	t.Run("numbers ascend with registration", func(t *testing.T) {
		f := open.prepared(t)
		var last int64
		for _, id := range []string{"z", "m", "a"} {
			f.put("c", id)
			f.put("c", "z")
			if n := nft(t, f, id).Number; n <= last {
				t.Errorf("%q has the number %d after %d", id, n, last)
			} else {
				last = n
			}
		}
	})

	t.Run("ids are compared bytewise", func(t *testing.T) {
		f := open.prepared(t)
		ids := []string{"a", "A", "a ", "\u00e9", "e\u0301", "ß", "ss"}
		if created := f.put("c", ids...); created != len(ids) {
			t.Errorf("created %d, want %d", created, len(ids))
		}
		f.put("C", "x")
		f.put("c ", "y")
		var names []string
		for _, c := range f.contents().Collections {
			if c.NFTs > 0 {
				names = append(names, c.Name)
			}
		}
		same(t, "collections", []string{"C", "c", "c "}, names)
	})

	t.Run("unknown", func(t *testing.T) {
		f := open.prepared(t)
		err := f.View(t.Context(), func(v store.View) error {
			_, err := v.NFT(t.Context(), "nobody")
			return err
		})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("NFT: %v, want ErrNotFound", err)
		}
	})

	t.Run("known", func(t *testing.T) {
		f := open.prepared(t)
		f.rated("c", "n1", "n2")
		f.put("c", "n3")
		f.voters("v1", "v2")
		f.view(func(ctx context.Context, v store.View) error {
			nfts, err := v.KnownNFTs(ctx, []string{"n3", "N1", "n1", ""})
			if err != nil {
				return err
			}
			slices.Sort(nfts)
			same(t, "known NFTs", []string{"n1", "n3"}, nfts)
			voters, err := v.KnownVoters(ctx, []string{"v2", "n1", "v"})
			if err != nil {
				return err
			}
			same(t, "known voters", []string{"v2"}, voters)
			none, err := v.KnownVoters(ctx, nil)
			same(t, "known of none", nil, none)
			return err
		})
	})

	t.Run("switch a collection", func(t *testing.T) {
		f := open.prepared(t)
		f.put("a", "n1")
		f.put("b", "n2")
		for _, active := range []bool{false, false, true} {
			if err := f.SetCollectionActive(t.Context(), "a", active); err != nil {
				t.Fatal(err)
			}
			f.put("a", "n1", "n3")
			for _, c := range f.contents().Collections {
				if want := c.Name != "a" || active; c.Active != want {
					t.Errorf("collection %q is active: %v, want %v", c.Name, c.Active, want)
				}
			}
		}
		if err := f.SetCollectionActive(t.Context(), "nowhere", true); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown collection: %v, want ErrNotFound", err)
		}
	})

	t.Run("at once", func(t *testing.T) {
		f := open.prepared(t)
		ids := []string{"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"}
		created := make([]int, 6)
		var g errgroup.Group
		for i := range created {
			g.Go(func() error {
				var nfts []store.NFT
				for j := range ids {
					nfts = append(nfts, store.NFT{ID: ids[(i*3+j)%len(ids)], Collection: "c"})
				}
				return repeated(func() (err error) {
					created[i], err = f.PutNFTs(t.Context(), nfts, i%2 == 0, base)
					return err
				})
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, n := range created {
			sum += n
		}
		if counted := nfts(f)["c"]; sum != len(ids) || counted != int64(len(ids)) {
			t.Errorf("created %v and counted %d, want %d in all", created, counted, len(ids))
		}
	})
}

// testMoves moves NFTs to other collections and checks that all that is kept by
// collection goes with them.
func testMoves(t *testing.T, open opener) {
	// 0.29 and 1.13 are a little less than 29 and 113 hundredths as floats.
	prepare := func(t *testing.T) *fixture {
		f := open.prepared(t)
		ratings := f.rated("old", "scored", "waiting", "unvoted", "stays")
		f.put("old", "unrated")
		scored, waiting, stays := &ratings[0], &ratings[1], &ratings[3]
		scored.Votes, scored.Matchups, scored.Version = 7, 3, 3
		scored.Due = store.Due{Since: base, Reason: "super", Priority: 2}
		waiting.Votes, waiting.Sliders, waiting.WaitingSince = 4, 1, base
		stays.Votes, stays.Fires = 5, 1
		old := scored.Collection
		f.apply(&store.Changes{
			Ratings: []store.Rating{*scored, *waiting, *stays},
			Scores:  []store.Score{score(*scored, 0.29, 1.13, 1), score(*stays, 50, 20, 1)},
			Counters: []store.Delta{
				{Name: store.CountVotes, Collection: old, By: 16}, {Name: store.CountReady, Collection: old, By: 1},
				{Name: store.CountScored, Collection: old, By: 2}, {Name: store.CountPOASum, Collection: old, By: 5029},
				{Name: store.CountConfidenceSum, Collection: old, By: 2113},
			},
		})
		return f
	}
	totals := func(f *fixture) map[string]store.Collection {
		all := map[string]store.Collection{}
		for _, c := range f.contents().Collections {
			c.Number, c.Active = 0, false
			all[c.Name] = c
		}
		return all
	}
	number := func(t *testing.T, f *fixture, name string) int64 {
		t.Helper()
		for _, c := range f.contents().Collections {
			if c.Name == name {
				return c.Number
			}
		}
		t.Fatalf("no collection %q", name)
		return 0
	}
	ids := []string{"scored", "waiting", "unvoted", "unrated"}
	stays := store.Collection{Name: "old", NFTs: 1, Votes: 5, Scored: 1, POASum: 5000, ConfidenceSum: 2000}
	moved := store.Collection{NFTs: 4, Votes: 11, Ready: 1, Scored: 1, POASum: 29, ConfidenceSum: 113}

	for _, name := range []string{"new", "", "the last of several"} {
		t.Run("to "+name, func(t *testing.T) {
			f := prepare(t)
			before := f.ratings(ids[:3]...)
			if name == "the last of several" {
				var entries []store.NFT
				for _, c := range []string{"first", "old", name} {
					for _, id := range ids {
						entries = append(entries, store.NFT{ID: id, Collection: c})
					}
				}
				f.putNFTs(entries, true)
			} else {
				f.put(name, ids...)
			}
			to := number(t, f, name)
			for i := range before {
				before[i].Collection = to
				if before[i].Score != nil {
					before[i].Score.Collection = to
				}
			}
			same(t, "moved ratings", before, f.ratings(ids[:3]...))
			want := moved
			want.Name = name
			got := totals(f)
			same(t, "totals of the old collection", stays, got["old"])
			same(t, "totals of the new collection", want, got[name])
		})
	}

	t.Run("not without overwrite", func(t *testing.T) {
		f := prepare(t)
		before := f.contents()
		f.putNFTs([]store.NFT{{ID: "scored", Collection: "old2"}}, false)
		same(t, "ratings", before.Ratings, f.contents().Ratings)
		same(t, "totals", stays.NFTs+moved.NFTs, totals(f)["old"].NFTs)
	})

	t.Run("and back", func(t *testing.T) {
		f := prepare(t)
		before := f.contents()
		f.put("new", ids...)
		f.put("old", ids...)
		after := f.contents()
		same(t, "ratings", before.Ratings, after.Ratings)
		same(t, "counters", before.Counters, after.Counters)
	})

	t.Run("is found there", func(t *testing.T) {
		f := prepare(t)
		f.put("new", ids...)
		name := "new"
		f.view(func(ctx context.Context, v store.View) error {
			top, err := v.Top(ctx, &name, 10)
			if err != nil {
				return err
			}
			if len(top) != 1 || top[0].NFT.ID != "scored" || top[0].NFT.Collection != "new" {
				t.Errorf("Top of the new collection: %+v", top)
			}
			rated, err := v.RatedNFTs(ctx, &name, 0, 10)
			if len(rated) != 3 {
				t.Errorf("%d rated NFTs in the new collection, want 3", len(rated))
			}
			return err
		})
	})
}

func testEnsure(t *testing.T, open opener) {
	start := scoring.Rating{Mean: 1000.1, Sigma: 0.1 + 0.2}
	voter := scoring.Voter{Reliability: 0.7}

	t.Run("start values", func(t *testing.T) {
		f := open.prepared(t)
		f.put("c", "n1", "n2", "n3")
		f.update(func(ctx context.Context, tx store.Tx) error {
			unknown, err := tx.Ensure(ctx, []string{"n2", "x", "n1", "y"}, []string{"v2", "v1"}, start, voter, base)
			slices.Sort(unknown)
			same(t, "unknown NFTs", []string{"x", "y"}, unknown)
			return err
		})
		all := f.contents()
		if len(all.Ratings) != 2 || len(all.Voters) != 2 {
			t.Fatalf("%d ratings and %d voters, want 2 and 2", len(all.Ratings), len(all.Voters))
		}
		for i, r := range all.Ratings {
			want := store.Rating{NFT: all.NFTs[i].Number, ID: all.NFTs[i].ID, Collection: all.Collections[0].Number, Rating: start}
			same(t, "new rating", want, r)
		}
		for _, v := range all.Voters {
			if v.Number < 1 || (v.ID != "v1" && v.ID != "v2") {
				t.Errorf("new voter %+v", v)
			}
			same(t, "new voter", voter, v.Voter)
		}
	})

	t.Run("rows that exist stay", func(t *testing.T) {
		f := open.prepared(t)
		r := f.rated("c", "n1")[0]
		v := f.voters("v1")[0]
		r.Votes, r.Version, v.Votes = 9, 9, 9
		f.apply(&store.Changes{Ratings: []store.Rating{r}, Voters: []store.Voter{v}})
		f.put("c", "n2")
		f.update(func(ctx context.Context, tx store.Tx) error {
			_, err := tx.Ensure(ctx, []string{"n1", "n2"}, []string{"v1", "v2"}, start, voter, base.Add(time.Hour))
			return err
		})
		same(t, "rating", r, f.rating("n1"))
		same(t, "voter", v, f.voters("v1")[0])
		same(t, "new rating", start, f.rating("n2").Rating)
	})

	t.Run("nothing", func(t *testing.T) {
		f := open.prepared(t)
		f.update(func(ctx context.Context, tx store.Tx) error {
			unknown, err := tx.Ensure(ctx, nil, nil, start, voter, base)
			same(t, "unknown NFTs", nil, unknown)
			return err
		})
		if all := f.contents(); len(all.Ratings)+len(all.Voters) != 0 {
			t.Errorf("rows came from nothing: %+v", all)
		}
	})
}

func testLock(t *testing.T, open opener) {
	f := open.prepared(t)
	f.rated("c", "n5", "n1")
	f.rated("d", "n9", "n3")
	f.put("c", "unrated")
	f.voters("v7")
	f.voters("v2", "v4")
	all := f.contents()

	t.Run("order and content", func(t *testing.T) {
		f.update(func(ctx context.Context, tx store.Tx) error {
			ratings, voters, err := tx.Lock(ctx, []string{"n1", "n9", "unrated", "n5", "n3", "nobody"}, []string{"v2", "v7", "nobody", "v4"})
			if err != nil {
				return err
			}
			same(t, "ratings", all.Ratings, ratings)
			same(t, "voters", all.Voters, weighed(voters))
			ascending(t, ratings, func(r store.Rating) int64 { return r.NFT })
			ascending(t, voters, func(v store.Voter) int64 { return v.Number })
			return nil
		})
	})

	t.Run("by number", func(t *testing.T) {
		f.update(func(ctx context.Context, tx store.Tx) error {
			ratings, err := tx.LockRatings(ctx, []int64{all.Ratings[3].NFT, 1 << 40, all.Ratings[0].NFT})
			same(t, "ratings", []store.Rating{all.Ratings[0], all.Ratings[3]}, ratings)
			return err
		})
	})

	t.Run("nothing", func(t *testing.T) {
		f.update(func(ctx context.Context, tx store.Tx) error {
			ratings, voters, err := tx.Lock(ctx, nil, nil)
			if err != nil {
				return err
			}
			byNumber, err := tx.LockRatings(ctx, nil)
			if len(ratings)+len(voters)+len(byNumber) != 0 {
				t.Errorf("locked %v, %v, %v", ratings, voters, byNumber)
			}
			return err
		})
	})

	t.Run("scores", func(t *testing.T) {
		scored := all.Ratings[1]
		s := score(scored, 12.34, 56.78, 3)
		f.apply(&store.Changes{Scores: []store.Score{s}})
		f.update(func(ctx context.Context, tx store.Tx) error {
			ratings, _, err := tx.Lock(ctx, []string{scored.ID}, nil)
			if err != nil {
				return err
			}
			same(t, "Lock, without the score", []store.Rating{scored}, ratings)
			scores, err := tx.Scores(ctx, []int64{all.Ratings[3].NFT, scored.NFT, all.Ratings[0].NFT, 1 << 40})
			if err != nil {
				return err
			}
			same(t, "Scores", []store.Score{s}, scores)
			scored.Score = &s
			ratings, err = tx.LockRatings(ctx, []int64{scored.NFT})
			same(t, "LockRatings", []store.Rating{scored}, ratings)
			return err
		})
	})
}

func ascending[T any](t *testing.T, rows []T, number func(T) int64) {
	t.Helper()
	for i := 1; i < len(rows); i++ {
		if number(rows[i]) <= number(rows[i-1]) {
			t.Errorf("row %d has the number %d after %d", i, number(rows[i]), number(rows[i-1]))
		}
	}
}
