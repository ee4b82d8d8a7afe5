package storetest

import (
	"fmt"
	"testing"
	"time"

	"poa/internal/store"
)

// RunWriteback checks every promise of store.Writeback beyond those of
// store.Sync. open is as for Run.
func RunWriteback(t *testing.T, open func(t *testing.T) store.Writeback) {
	plain := opener(func(t *testing.T) store.Store { return open(t) })
	t.Run("Unwritten", func(t *testing.T) { testUnwritten(t, plain) })
}

func testUnwritten(t *testing.T, open opener) {
	s := open.service(t)
	w := s.Service.(store.Writeback)
	const target, other = "nfts of a game", "nfts of another"
	n := s.rated("c", "n1", "n2", "n3", "n4")
	minute := func(m int) time.Time { return base.Add(time.Duration(m) * time.Minute) }
	due := func(target string, m, limit int) []store.Unwritten {
		t.Helper()
		list, err := w.UnwrittenDue(t.Context(), target, minute(m), limit)
		s.must(err)
		return list
	}
	list := func(after int64, limit int) []store.Unwritten {
		t.Helper()
		list, err := w.ListUnwritten(t.Context(), target, after, limit)
		s.must(err)
		return list
	}
	s.must(w.PutUnwritten(t.Context(), target, nil, nil))
	s.same("none is due", []store.Unwritten(nil), due(target, 100, 10))

	locked := store.Unwritten{NFT: n[2].NFT, ID: "n3", Since: minute(-5), At: minute(-4), Reason: store.UnwrittenLocked, Tries: 1, NextTry: minute(1)}
	failed := store.Unwritten{NFT: n[0].NFT, ID: "n1", Since: minute(-3), At: minute(-3), Reason: store.UnwrittenFailed, Detail: "it said no", Tries: 2, NextTry: minute(3)}
	soon := store.Unwritten{NFT: n[1].NFT, ID: "n2", Since: minute(-2), At: minute(-2), Reason: store.UnwrittenLocked, Tries: 1, NextTry: minute(1)}
	missing := store.Unwritten{NFT: n[3].NFT, ID: "n4", Since: minute(-9), At: minute(-1), Reason: store.UnwrittenMissing}
	s.must(w.PutUnwritten(t.Context(), target, []store.Unwritten{locked, failed, soon, missing}, nil))
	s.must(w.PutUnwritten(t.Context(), other, []store.Unwritten{failed}, []int64{locked.NFT}))

	s.same("due before", []store.Unwritten(nil), due(target, 0, 10))
	s.same("due, by time and number", []store.Unwritten{soon, locked, failed}, due(target, 3, 10))
	s.same("the first two", []store.Unwritten{soon, locked}, due(target, 3, 2))
	s.same("another target's", []store.Unwritten{failed}, due(other, 3, 10))
	s.same("all", []store.Unwritten{failed, soon, locked, missing}, list(0, 10))
	s.same("a page", []store.Unwritten{soon, locked}, list(failed.NFT, 2))
	counts, err := w.CountUnwritten(t.Context(), target)
	s.must(err)
	s.same("counts", []store.UnwrittenCount{
		{Reason: store.UnwrittenFailed, NFTs: 1, Since: minute(-3)}, {Reason: store.UnwrittenLocked, NFTs: 2, Since: minute(-5)},
		{Reason: store.UnwrittenMissing, NFTs: 1, Since: minute(-9)},
	}, counts)

	// A later change keeps the first one's time; an earlier one does not undo it.
	again := locked
	again.Since, again.At, again.Tries, again.NextTry = minute(2), minute(2), 5, minute(30)
	s.must(w.PutUnwritten(t.Context(), target, []store.Unwritten{again}, []int64{soon.NFT, n[3].NFT}))
	locked.At, locked.Tries, locked.NextTry = minute(2), 5, minute(30)
	s.same("after a later change", []store.Unwritten{failed, locked}, list(0, 10))
	again.Since, again.At = minute(-20), minute(-20)
	s.must(w.PutUnwritten(t.Context(), target, []store.Unwritten{again}, nil))
	locked.Since = minute(-20)
	s.same("after an earlier one", []store.Unwritten{failed, locked}, list(0, 10))

	t.Run("of many", func(t *testing.T) {
		ids := make([]string, 300)
		for i := range ids {
			ids[i] = fmt.Sprintf("m%03d", i)
		}
		var many []store.Unwritten
		for i, r := range s.rated("d", ids...) {
			many = append(many, store.Unwritten{NFT: r.NFT, ID: r.ID, Since: base, At: base, Reason: store.UnwrittenLocked, NextTry: minute(1000 - i)})
		}
		s.must(w.PutUnwritten(t.Context(), target, many, nil))
		s.same("the head", []store.Unwritten{many[299], many[298]}, due(target, 1000, 4)[2:])
	})
}
