package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/store"
	"poa/internal/trigger"
)

// entry is an activity about an NFT, or about none.
func entry(nft store.Rating, minute int, detail string) store.Activity {
	return store.Activity{
		At: base.Add(time.Duration(minute) * time.Minute), Kind: store.Computed, NFT: nft.NFT, NFTID: nft.ID,
		Reason: string(trigger.Fire), Reasons: map[string]int{string(trigger.Fire): 2}, Priority: trigger.High,
		Basis: store.Incremental, Vote: 4, Run: 5, Who: "ann", Detail: detail,
	}
}

func details(entries []store.Activity) (all []string) {
	for _, a := range entries {
		all = append(all, a.Detail)
	}
	return all
}

// testStream checks that a follower sees every entry once, in an order that
// does not change, also while others write.
func testStream(t *testing.T, open opener) {
	t.Run("pages", func(t *testing.T) {
		s := open.service(t)
		// A transaction elsewhere may hold entries back for a moment, those seen
		// before too: read waits until there are as many as wanted.
		read := func(after store.Position, limit, want int) ([]store.Activity, store.Position) {
			t.Helper()
			for {
				entries, end, err := s.Stream(t.Context(), after, limit)
				s.must(err)
				if len(entries) >= want {
					return entries, end
				}
			}
		}
		end := func(want store.Position) store.Position {
			t.Helper()
			for {
				end, err := s.StreamEnd(t.Context())
				s.must(err)
				if end.Number >= want.Number {
					return end
				}
			}
		}
		entries, start := read(store.Position{}, 10, 0)
		s.same("of an empty store", []store.Activity(nil), entries)
		s.same("its end", store.Position{}, start)
		s.same("its StreamEnd", store.Position{}, end(store.Position{}))

		n := s.rated("c", "n1")
		all := []store.Activity{entry(n[0], 9, "a"), entry(store.Rating{}, 1, "b"), entry(n[0], 5, "c"), {At: base, Kind: store.Failed, Detail: "d"}}
		poa := 12.5
		all[0].POA = &poa
		s.apply(&store.Changes{Activity: all[:3]})
		afterThree := s.follow(store.Position{}, "c")
		s.apply(&store.Changes{Activity: all[3:]})
		s.follow(afterThree, "d")

		got, last := read(store.Position{}, 10, 4)
		for i := range got {
			if got[i].Number < 1 {
				t.Errorf("entry %d has no number", i)
			}
			got[i].Number = 0
		}
		s.same("all", all, got)
		s.same("the end", last, end(last))
		got, _ = read(afterThree, 10, 1)
		s.same("after the end there was", []string{"d"}, details(got))
		var paged []string
		for at := (store.Position{}); ; {
			got, next := read(at, 2, min(1, len(all)-len(paged)))
			if len(got) == 0 {
				s.same("the position of the end stays", at, next)
				break
			}
			paged, at = append(paged, details(got)...), next
		}
		s.same("by pages", []string{"a", "b", "c", "d"}, paged)
	})

	t.Run("while others write", func(t *testing.T) {
		const writers, commits = 4, 25
		s := open.service(t)
		var g errgroup.Group
		for w := range writers {
			g.Go(func() error {
				for c := range commits {
					err := s.Update(t.Context(), func(tx store.Tx) error {
						err := tx.Apply(t.Context(), &store.Changes{Activity: []store.Activity{
							entry(store.Rating{}, c, fmt.Sprint(w, " ", c, " a")), entry(store.Rating{}, c, fmt.Sprint(w, " ", c, " b")),
						}})
						if err == nil {
							_, err = tx.VotesByKey(t.Context(), []string{"k"}) // the entries are written before the commit
						}
						return err
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		written := make(chan error, 1)
		go func() { written <- g.Wait() }()
		var seen []store.Activity
		var at store.Position
		for done := false; ; {
			got, next, err := s.Stream(t.Context(), at, 7)
			s.must(err)
			seen, at = append(seen, got...), next
			if len(got) == 0 && done && len(seen) >= 2*writers*commits {
				break
			}
			s.must(t.Context().Err())
			select {
			case err := <-written:
				s.must(err)
				done = true
			default:
			}
		}
		var again []store.Activity
		for len(again) < len(seen) { // see above: they may be held back again for a moment
			var err error
			again, _, err = s.Stream(t.Context(), store.Position{}, 1000)
			s.must(err)
		}
		s.same("the stream from its start", seen, again)
		once := slices.Compact(slices.Sorted(slices.Values(details(seen))))
		if len(once) != 2*writers*commits || len(seen) != len(once) {
			t.Errorf("%d entries were seen, %d different ones, want %d", len(seen), len(once), 2*writers*commits)
		}
	})
}

func testTrim(t *testing.T, open opener) {
	s := open.service(t)
	n := s.rated("c", "n1")
	var c store.Changes
	for i := range 10 {
		c.Activity = append(c.Activity, entry(n[0], i, fmt.Sprint(i)))
		c.History = append(c.History, point(n[0], i))
	}
	s.apply(&c)
	trim := func(activityMinute, historyMinute, limit int, wantActivity, wantHistory int64) {
		t.Helper()
		at := func(minute int) time.Time {
			if minute < 0 {
				return time.Time{}
			}
			return base.Add(time.Duration(minute) * time.Minute)
		}
		got, err := s.Trim(t.Context(), store.Before{Activity: at(activityMinute), History: at(historyMinute)}, limit)
		s.must(err)
		s.same("deleted", store.Trimmed{Activity: wantActivity, History: wantHistory}, got)
	}
	trim(-1, -1, 100, 0, 0)
	trim(5, -1, 3, 3, 0)
	trim(5, -1, 3, 2, 0)
	trim(5, 8, 100, 0, 8)
	left := s.contents()
	s.same("activity that is left", []string{"9", "8", "7", "6", "5"}, details(left.Activity))
	s.same("history that is left", c.History[8:], left.History)
	// A follower does not take what comes for what it has seen.
	end := s.follow(store.Position{}, "9")
	trim(100, 9, 4, 4, 1)
	s.apply(&store.Changes{Activity: []store.Activity{entry(n[0], 200, "new")}})
	s.follow(end, "new")
}

// follow waits (what was committed is held back while another transaction is
// under way, also one of the database's own upkeep) for the entry with those details after a position, and returns
// its position.
func (s *service) follow(after store.Position, detail string) store.Position {
	s.t.Helper()
	for {
		got, end, err := s.Stream(s.t.Context(), after, 100)
		s.must(err)
		if len(got) > 0 && got[len(got)-1].Detail == detail {
			return end
		}
		s.must(s.t.Context().Err())
	}
}

func testListActivity(t *testing.T, open opener) {
	s := open.service(t)
	n := s.rated("c", "n1", "n2", "n3")
	kinds := []store.ActivityKind{store.Computed, store.Computed, store.Failed, store.Deferred, store.Computed}
	var all []store.Activity // oldest first
	for i := range 240 {
		// Times are out of order by some minutes.
		a := entry(n[i%3], 2*i-(i*7)%9, fmt.Sprint(i))
		a.Kind, a.Run = kinds[i%len(kinds)], int64(i%4)
		if i%3 == 1 {
			a.Who = ""
		}
		if i%7 == 0 {
			a.NFT, a.NFTID = 0, ""
		}
		all = append(all, a)
		s.apply(&store.Changes{Activity: all[i:]})
	}
	stored := s.contents().Activity // newest first
	for i, a := range stored {
		all[len(all)-1-i].Number = a.Number
	}
	minute := func(m int) time.Time { return base.Add(time.Duration(m) * time.Minute) }
	for what, q := range map[string]store.ActivityQuery{
		"all":                     {},
		"of an NFT":               {NFT: n[1].NFT},
		"of a run":                {Run: 3},
		"of a kind":               {Kind: store.Failed},
		"of the frequent kind":    {Kind: store.Computed},
		"of no such kind":         {Kind: store.Paused},
		"of an NFT and kind":      {NFT: n[0].NFT, Kind: store.Deferred},
		"of a run and kind":       {Run: 1, Kind: store.Failed},
		"of a run, computed":      {Run: 1, Kind: store.Computed},
		"of all three":            {NFT: n[2].NFT, Run: 2, Kind: store.Computed},
		"by hand":                 {ByHand: true},
		"by hand, of an NFT":      {ByHand: true, NFT: n[0].NFT},
		"by hand, of a kind":      {ByHand: true, Kind: store.Failed},
		"by hand, computed":       {ByHand: true, Kind: store.Computed},
		"by hand, of a run":       {ByHand: true, Run: 1},
		"by hand, in hours":       {ByHand: true, Since: minute(100), Until: minute(300)},
		"since":                   {Since: minute(300)},
		"since a fraction":        {Since: minute(300).Add(time.Microsecond)},
		"until":                   {Until: minute(100)},
		"in an hour":              {Since: minute(200), Until: minute(260)},
		"in an hour, of a kind":   {Since: minute(200), Until: minute(260), Kind: store.Failed},
		"in an hour, of an NFT":   {Since: minute(200), Until: minute(260), NFT: n[0].NFT},
		"in an hour, of a run":    {Since: minute(200), Until: minute(260), Run: 2},
		"before everything":       {Until: base.Add(-time.Hour)},
		"after everything":        {Since: base.Add(24 * time.Hour)},
		"the wrong way around":    {Since: minute(260), Until: minute(200)},
		"of an NFT nobody has":    {NFT: 1 << 40},
		"of a run that was never": {Run: 1 << 40},
	} {
		var want []store.Activity
		for i := len(all) - 1; i >= 0; i-- {
			a := all[i]
			if (q.NFT == 0 || a.NFT == q.NFT) && (q.Run == 0 || a.Run == q.Run) && (q.Kind == "" || a.Kind == q.Kind) &&
				(!q.ByHand || a.Who != "" && a.Run == 0 && a.NFT != 0) && (q.Since.IsZero() || !a.At.Before(q.Since)) && (q.Until.IsZero() || a.At.Before(q.Until)) {
				want = append(want, a)
			}
		}
		for _, q.Limit = range []int{7, 1000} {
			var got []store.Activity
			for q.Before = 0; ; {
				page, err := s.ListActivity(t.Context(), q)
				s.must(err)
				got = append(got, page...)
				if len(page) < q.Limit {
					break
				}
				q.Before = page[len(page)-1].Number
			}
			s.same(fmt.Sprint(what, ", by ", q.Limit), want, got)
		}
	}
	empty := open.service(t)
	got, err := empty.ListActivity(t.Context(), store.ActivityQuery{Since: base, Until: base, Limit: 5})
	empty.must(err)
	empty.same("of an empty store", []store.Activity(nil), got)
}

// testState checks what a store tells of itself.
func testState(t *testing.T, open opener) {
	s := open.service(t)
	s.must(s.Ping(t.Context()))
	h, err := s.Health(t.Context())
	s.must(err)
	if h.SizeBytes == nil || *h.SizeBytes < 1000 {
		t.Errorf("the size of the database is %v", h.SizeBytes)
	}
	// Other tests may be at work on the same server.
	if h.ActiveSessions != nil && *h.ActiveSessions < 0 || h.WaitingLocks != nil && *h.WaitingLocks < 0 || h.ReplicaLag != nil && *h.ReplicaLag != 0 {
		t.Errorf("the server tells %+v", h)
	}
	closed := open(t).(store.Service)
	s.must(closed.Migrate(t.Context()))
	s.must(closed.Close())
	if err := closed.Ping(t.Context()); err == nil {
		t.Error("a closed store answers")
	}
}
