package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
)

// RunSync checks every promise of store.Sync beyond those of store.Service.
// open is as for Run.
func RunSync(t *testing.T, open func(t *testing.T) store.Sync) {
	plain := opener(func(t *testing.T) store.Store { return open(t) })
	for _, area := range []struct {
		name string
		test func(*testing.T, *following)
	}{
		{"Leases", testLeases},
		{"LeaseRace", testLeaseRace},
		{"Known", testKnown},
		{"Favorites", testFavorites},
		{"RejectedRows", testRejectedRows},
	} {
		t.Run(area.name, func(t *testing.T) {
			f := plain.prepared(t)
			area.test(t, &following{f.Store.(store.Sync), f})
		})
	}
}

// following is a fixture of a store that follows another database.
type following struct {
	store.Sync
	*fixture
}

func (f *following) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func testLeases(t *testing.T, f *following) {
	ctx := t.Context()
	at := func(seconds int) time.Time { return base.Add(time.Duration(seconds) * time.Second) }
	if _, err := f.Lease(ctx, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Lease of none: %v", err)
	}
	if err := f.KeepLease(ctx, store.Lease{Name: "a", Term: 1, Until: at(5)}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("KeepLease of none: %v", err)
	}
	take := func(name, holder string, now, until int, wantOK bool, want store.Lease) store.Lease {
		t.Helper()
		got, ok, err := f.TakeLease(ctx, name, holder, at(now), at(until))
		f.must(err)
		if ok != wantOK {
			t.Errorf("%s takes %s: %v", holder, name, ok)
		}
		same(t, holder+" takes "+name, want, got)
		return got
	}
	first := take("a", "p1", 0, 10, true, store.Lease{Name: "a", Term: 1, Holder: "p1", Until: at(10)})
	take("a", "p2", 9, 20, false, first)
	take("b", "p2", 9, 20, true, store.Lease{Name: "b", Term: 1, Holder: "p2", Until: at(20)})

	first.State, first.Until = `{"at":"ünï"}`, at(15)
	f.must(f.KeepLease(ctx, first))
	take("a", "p2", 14, 20, false, first)
	second := take("a", "p2", 15, 20, true, store.Lease{Name: "a", Term: 2, Holder: "p2", Until: at(20), State: first.State})
	if err := f.KeepLease(ctx, first); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a lease was kept in a term that is over: %v", err)
	}
	got, err := f.Lease(ctx, "a")
	f.must(err)
	same(t, "the lease", second, got)

	// An ended lease that nobody took is its holder's still, and one that is
	// given back is anybody's.
	second.Until = at(100)
	f.must(f.KeepLease(ctx, second))
	second.Until = at(30)
	f.must(f.KeepLease(ctx, second))
	take("a", "p1", 30, 40, true, store.Lease{Name: "a", Term: 3, Holder: "p1", Until: at(40), State: first.State})
}

// Of many that take a lease at once, one gets it.
func testLeaseRace(t *testing.T, f *following) {
	ctx := t.Context()
	for round := range 5 {
		now := base.Add(time.Duration(round) * time.Minute)
		var all sync.WaitGroup
		var mu sync.Mutex
		winners := 0
		for i := range 8 {
			all.Go(func() {
				_, ok, err := f.TakeLease(ctx, "a", fmt.Sprint("p", i), now, now.Add(time.Minute))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				} else if ok {
					winners++
				}
			})
		}
		all.Wait()
		if winners != 1 {
			t.Errorf("round %d: %d processes took the lease", round, winners)
		}
	}
}

func testKnown(t *testing.T, f *following) {
	ctx := t.Context()
	n, v := f.rated("c", "n1", "n2"), f.voters("v1")
	f.put("d", "unrated")
	f.apply(&store.Changes{Votes: []store.Vote{
		matchup("k1", v[0], n[0], n[1], scoring.WinA), fireVote("k2", v[0], n[1]), sliderVote("ünï", v[0], n[1], 4),
	}})
	for _, c := range []struct{ ask, want []string }{
		{nil, nil}, {[]string{"k3"}, nil}, {[]string{"k2", "k3", "ünï", "k"}, []string{"k2", "ünï"}},
	} {
		got, err := f.KnownKeys(ctx, c.ask)
		f.must(err)
		slices.Sort(got)
		same(t, fmt.Sprint("keys ", c.ask), c.want, got)
	}
	got, err := f.NFTsByID(ctx, []string{"unrated", "none", "n2"})
	f.must(err)
	slices.SortFunc(got, func(a, b store.NFT) int { return int(a.Number - b.Number) })
	var want []store.NFT
	f.view(func(ctx context.Context, view store.View) error {
		for _, id := range []string{"n2", "unrated"} {
			nft, err := view.NFT(ctx, id)
			if err != nil {
				return err
			}
			want = append(want, nft)
		}
		return nil
	})
	same(t, "NFTs", want, got)
	if got, err = f.NFTsByID(ctx, nil); err != nil || len(got) > 0 {
		t.Errorf("NFTsByID of none: %v, %v", got, err)
	}
}

func testFavorites(t *testing.T, f *following) {
	ctx := t.Context()
	favorite := func(id, nft, voter string, second int) store.Favorite {
		at := base.Add(time.Duration(second) * time.Second)
		return store.Favorite{ID: id, FavoritePair: store.FavoritePair{NFT: nft, Voter: voter}, CreatedAt: at, At: at}
	}
	all := func() (found []store.Favorite) {
		for after := ""; ; {
			page, err := f.FavoritesAfter(ctx, after, 2)
			f.must(err)
			found = append(found, page...)
			if len(page) < 2 {
				return found
			}
			after = page[1].ID
		}
	}
	f.must(f.PutFavorites(ctx, nil, nil))
	same(t, "none", nil, all())
	a, b, c, d := favorite("a", "n1", "v1", 1), favorite("B", "n1", "v2", 2), favorite("ä", "n2", "v1", 3), favorite("d", "n1", "v1", 4)
	a.Pending = true
	f.must(f.PutFavorites(ctx, []store.Favorite{a, b, c, d}, nil))
	same(t, "by id, bytewise", []store.Favorite{b, a, d, c}, all())
	for what, q := range map[string]struct {
		pairs []store.FavoritePair
		want  []store.Favorite
	}{
		"of none":       {nil, nil},
		"of a pair":     {[]store.FavoritePair{{NFT: "n1", Voter: "v1"}, {NFT: "n1", Voter: "v1"}}, []store.Favorite{a, d}},
		"of two pairs":  {[]store.FavoritePair{{NFT: "n1", Voter: "v2"}, {NFT: "n2", Voter: "v1"}}, []store.Favorite{b, c}},
		"of other pair": {[]store.FavoritePair{{NFT: "n2", Voter: "v2"}}, nil},
	} {
		got, err := f.FavoritesOf(ctx, q.pairs)
		f.must(err)
		same(t, what, q.want, got)
	}

	a.Pending, a.CreatedAt, a.At = false, base.Add(9*time.Second), base.Add(9*time.Second)
	earlier := favorite("d", "n1", "v1", 3)
	f.must(f.PutFavorites(ctx, []store.Favorite{a, earlier}, []string{"B", "none"}))
	earlier.At = d.At
	same(t, "replaced and removed", []store.Favorite{a, earlier, c}, all())
}

func testRejectedRows(t *testing.T, f *following) {
	ctx := t.Context()
	reject := func(source, row, code string) store.Reject {
		return store.Reject{Source: source, Row: row, Code: code, Detail: "because of " + code, Raw: "{}", At: base}
	}
	a, b, c, line := reject("x", "a", "odd"), reject("x", "B", "ill"), reject("x", "c", "odd"), reject("x", "", "odd")
	line.Line = 7
	f.must(f.PutRejects(ctx, []store.Reject{a, b, c, line, reject("y", "a", "odd")}))
	of := func(rows ...string) []store.Reject {
		t.Helper()
		got, err := f.RejectsOfRows(ctx, "x", rows)
		f.must(err)
		return got
	}
	same(t, "of rows", []store.Reject{b, a}, of("a", "B", "z"))
	same(t, "of no rows", nil, of())
	with := func(code, after string, limit int) []store.Reject {
		t.Helper()
		got, err := f.RejectsWithCode(ctx, "x", code, after, limit)
		f.must(err)
		return got
	}
	same(t, "with a code", []store.Reject{a, c}, with("odd", "", 5))
	same(t, "a page", []store.Reject{a}, with("odd", "", 1))
	same(t, "after a row", []store.Reject{c}, with("odd", "a", 5))

	again := a
	again.Code, again.At = "worse", base.Add(time.Hour)
	f.must(f.PutRejects(ctx, []store.Reject{again}))
	same(t, "replaced", []store.Reject{again}, of("a"))
	f.must(f.DeleteRejects(ctx, "x", []string{"a", "z", ""}))
	var left []store.Reject
	f.view(func(ctx context.Context, v store.View) (err error) {
		left, err = v.Rejects(ctx, "x")
		return err
	})
	same(t, "left, by line and row", []store.Reject{b, c, line}, left)
}
