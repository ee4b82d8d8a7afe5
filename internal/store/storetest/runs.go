package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/store"
)

func testRuns(t *testing.T, open opener) {
	s := open.service(t)
	ctx := t.Context()
	collection := "c1"
	asked := store.Run{
		Kind: store.BackfillRun, Window: "w1", Collection: &collection, Plan: `{"size":3}`, State: store.RunRunning,
		RequestedBy: "ann", CreatedAt: base, Total: 50, LeaseUntil: base,
	}
	log := store.Activity{At: base, Kind: store.RunStarted, Reason: string(store.BackfillRun), Who: "ann", Detail: "ünï"}

	run, created, err := s.StartRun(ctx, asked, log)
	s.must(err)
	asked.Number = run.Number
	s.same("started", asked, run)
	if !created || run.Number < 1 {
		t.Errorf("created %v with number %d", created, run.Number)
	}
	again, created, err := s.StartRun(ctx, store.Run{Kind: store.BackfillRun, Window: "w1", State: store.RunRunning, CreatedAt: base}, log)
	s.must(err)
	s.same("started again", run, again)
	if created {
		t.Error("a window was started twice")
	}
	log.Run = run.Number
	entries := s.contents().Activity
	for i := range entries {
		entries[i].Number = 0
	}
	s.same("logged", []store.Activity{log}, entries)

	other, created, err := s.StartRun(ctx, store.Run{Kind: store.BatchRun, Window: "w1", State: store.RunRunning, CreatedAt: base, LeaseUntil: base}, log)
	s.must(err)
	if !created || other.Number <= run.Number || other.Collection != nil {
		t.Errorf("a run of another kind: %v, %+v", created, other)
	}

	claim := func(step int64, holder string, now time.Time) (store.Run, bool) {
		t.Helper()
		run, ok, err := s.ClaimRun(ctx, run.Number, step, holder, now, now.Add(20*time.Second))
		s.must(err)
		return run, ok
	}
	orphans := func(now time.Time) (numbers []int64) {
		t.Helper()
		found, err := s.OrphanedRuns(ctx, now)
		s.must(err)
		for _, r := range found {
			numbers = append(numbers, r.Number)
		}
		return numbers
	}
	s.same("orphans before their lease ends", []int64(nil), orphans(base.Add(-time.Second)))
	s.same("orphans", []int64{run.Number, other.Number}, orphans(base))
	if _, ok := claim(1, "p1", base); ok {
		t.Error("a step was claimed that has not come")
	}
	if _, ok := claim(0, "p1", base.Add(-time.Microsecond)); ok {
		t.Error("a run was claimed under another's lease")
	}
	claimed, ok := claim(0, "p1", base)
	want := run
	want.Steps, want.Holder, want.LeaseUntil = 1, "p1", base.Add(20*time.Second)
	s.same("claimed", want, claimed)
	if !ok {
		t.Error("a free run was not claimed")
	}
	if _, ok := claim(0, "p2", base.Add(time.Hour)); ok {
		t.Error("a step was claimed twice")
	}
	if _, ok := claim(1, "p2", base.Add(time.Second)); ok {
		t.Error("the next step was claimed under the lease")
	}
	s.same("orphans while one is held", []int64{other.Number}, orphans(base.Add(time.Second)))

	save := func(r store.Run) (cancel string, err error) {
		err = s.tryUpdate(func(ctx context.Context, tx store.Tx) (err error) {
			cancel, err = tx.(store.ServiceTx).SaveRun(ctx, r)
			return err
		})
		return cancel, err
	}
	want.Plan, want.Cursor, want.Total, want.Done, want.Changed, want.Failed, want.LeaseUntil = `{"size":4}`, 7, 60, 8, 5, 2, base.Add(time.Minute)
	saved := want
	saved.Kind, saved.Window, saved.RequestedBy, saved.Cancel, saved.CreatedAt = "", "", "", "nobody", time.Time{} // not written
	if cancel, err := save(saved); err != nil || cancel != "" {
		t.Errorf("SaveRun: %q, %v", cancel, err)
	}
	s.same("saved", want, s.run(run.Number))

	s.must(s.RequestCancel(ctx, run.Number, "bob"))
	s.must(s.RequestCancel(ctx, run.Number, "eve"))
	want.Cancel = "bob"
	if cancel, err := save(want); err != nil || cancel != "bob" {
		t.Errorf("SaveRun of a run to cancel: %q, %v", cancel, err)
	}

	// Another process takes over: the first may not save any more, but its
	// transaction goes on.
	if _, ok := claim(1, "p2", base.Add(time.Hour)); !ok {
		t.Error("a run whose lease ended was not taken over")
	}
	s.update(func(ctx context.Context, tx store.Tx) error {
		if _, err := tx.(store.ServiceTx).SaveRun(ctx, want); !errors.Is(err, store.ErrNotFound) {
			return unexpected("SaveRun of a lost run", err)
		}
		_, err := tx.Numbers(ctx, 1)
		return err
	})
	if _, err := save(store.Run{Number: 1 << 40, Steps: 1, State: store.RunDone}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("SaveRun of an unknown run: %v, want ErrNotFound", err)
	}
	want.Steps, want.Holder, want.State, want.EndedAt, want.StopReason = 2, "p2", store.RunCancelled, base.Add(2*time.Hour), "cancelled"
	if _, err := save(want); err != nil {
		t.Errorf("SaveRun by the new holder: %v", err)
	}
	s.same("ended", want, s.run(run.Number))
	if _, ok := claim(2, "p3", base.Add(24*time.Hour)); ok {
		t.Error("a run was claimed that has ended")
	}
	if _, err := save(want); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("SaveRun of a run that has ended: %v, want ErrNotFound", err)
	}
	for what, number := range map[string]int64{"an ended": run.Number, "an unknown": 1 << 40} {
		if err := s.RequestCancel(ctx, number, "bob"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("RequestCancel of %s run: %v, want ErrNotFound", what, err)
		}
	}
	if _, err := s.Run(ctx, 1<<40); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown run: %v, want ErrNotFound", err)
	}
	s.same("orphans in the end", []int64{other.Number}, orphans(base.Add(24*time.Hour)))

	t.Run("listed", func(t *testing.T) {
		var batches []int64
		for i := range 5 {
			r, _, err := s.StartRun(ctx, store.Run{Kind: store.BatchRun, Window: fmt.Sprint("b", i), State: store.RunRunning, CreatedAt: base}, log)
			s.must(err)
			batches = append([]int64{r.Number}, batches...)
		}
		batches = append(batches, other.Number)
		list := func(kind store.RunKind, before int64, limit int) (numbers []int64) {
			t.Helper()
			runs, err := s.Runs(ctx, kind, before, limit)
			s.must(err)
			for _, r := range runs {
				numbers = append(numbers, r.Number)
			}
			return numbers
		}
		s.same("batches", batches, list(store.BatchRun, 0, 100))
		s.same("the latest", batches[:1], list(store.BatchRun, 0, 1))
		s.same("a page", batches[3:5], list(store.BatchRun, batches[2], 2))
		s.same("all", append(batches, run.Number), list("", 0, 100))
		s.same("a page of all", []int64{run.Number}, list("", other.Number, 100))
		s.same("of a kind without", []int64(nil), list(store.UpkeepRun, 0, 100))
	})

	t.Run("at once", func(t *testing.T) {
		var started, claimed atomic.Int64
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error {
				r, created, err := s.StartRun(ctx, store.Run{Kind: store.BatchRun, Window: "race", State: store.RunRunning, CreatedAt: base, LeaseUntil: base}, log)
				if err != nil {
					return err
				}
				if created {
					started.Add(1)
				}
				_, ok, err := s.ClaimRun(ctx, r.Number, 0, fmt.Sprint("p", i), base, base.Add(time.Hour))
				if ok {
					claimed.Add(1)
				}
				return err
			})
		}
		s.must(g.Wait())
		if started.Load() != 1 || claimed.Load() != 1 {
			t.Errorf("a window was started %d times and its step claimed %d times", started.Load(), claimed.Load())
		}
	})
}

func testFailures(t *testing.T, open opener) {
	s := open.service(t)
	ctx := t.Context()
	n := s.rated("c", "n1", "n2", "n3")
	failure := func(i, tries, minute int, next time.Time) store.Failure {
		return store.Failure{
			NFT: n[i].NFT, ID: n[i].ID, Error: fmt.Sprint("ünï ", tries), Tries: tries, FirstAt: base,
			LastAt: base.Add(time.Duration(minute) * time.Minute), NextTry: next, Run: int64(minute),
		}
	}
	list := func(limit int) []store.Failure {
		t.Helper()
		all, err := s.Failures(ctx, limit)
		s.must(err)
		return all
	}
	of := func(nfts ...int64) []store.Failure {
		t.Helper()
		found, err := s.FailuresOf(ctx, nfts)
		s.must(err)
		return found
	}
	s.same("of nobody", []store.Failure(nil), list(10))
	a, b, c := failure(0, 1, 1, base.Add(time.Hour)), failure(1, 2, 3, time.Time{}), failure(2, 1, 2, base)
	s.apply(&store.Changes{Failures: []store.Failure{c, a, b}, Recovered: []int64{1 << 40}})
	s.same("the latest first", []store.Failure{b, c, a}, list(10))
	s.same("the latest", []store.Failure{b}, list(1))
	s.same("of some", []store.Failure{a, c}, of(c.NFT, a.NFT, c.NFT, 1<<40))
	s.same("of none", []store.Failure(nil), of())

	a = failure(0, 2, 9, time.Time{})
	s.apply(&store.Changes{Failures: []store.Failure{a}, Recovered: []int64{c.NFT}})
	s.same("replaced and recovered", []store.Failure{a, b}, list(10))
	if err := s.tryApply(&store.Changes{Failures: []store.Failure{a, a}}); err == nil {
		t.Error("a failure was taken twice")
	}

	s.must(s.RetryFailure(ctx, a.NFT, base.Add(time.Second)))
	a.NextTry = base.Add(time.Second)
	s.same("to be retried", []store.Failure{a}, of(a.NFT))
	s.must(s.DiscardFailure(ctx, b.NFT))
	s.same("discarded", []store.Failure{a}, list(10))
	for what, err := range map[string]error{
		"RetryFailure": s.RetryFailure(ctx, b.NFT, base), "DiscardFailure": s.DiscardFailure(ctx, b.NFT),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s of an NFT that is not on the list: %v, want ErrNotFound", what, err)
		}
	}
	err := s.tryUpdate(func(ctx context.Context, tx store.Tx) error {
		if err := tx.Apply(ctx, &store.Changes{Recovered: []int64{a.NFT}}); err != nil {
			return err
		}
		return errors.New("rolled back")
	})
	if err == nil {
		t.Error("the error of a transaction was lost")
	}
	s.same("after a rollback", []store.Failure{a}, list(10))
}

func testKeys(t *testing.T, open opener) {
	s := open.service(t)
	ctx := t.Context()
	put := func(name string, hash byte) store.Key {
		t.Helper()
		k := store.Key{Name: name, Role: store.Operator, Hash: []byte{hash, 0, 255}, CreatedAt: base, CreatedBy: "ann"}
		stored, err := s.PutKey(ctx, k)
		s.must(err)
		k.Number = stored.Number
		s.same("stored key", k, stored)
		return stored
	}
	keys := func() []store.Key {
		t.Helper()
		all, err := s.Keys(ctx)
		s.must(err)
		return all
	}
	s.same("no keys", []store.Key(nil), keys())
	ci, game := put("ci", 1), put("game", 2)
	s.same("keys", []store.Key{ci, game}, keys())
	found, err := s.KeyByHash(ctx, ci.Hash)
	s.must(err)
	s.same("by hash", ci, found)
	if _, err := s.KeyByHash(ctx, []byte{9}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown hash: %v, want ErrNotFound", err)
	}
	if _, err := s.PutKey(ctx, store.Key{Name: "ci", Hash: []byte{3}, CreatedAt: base}); !errors.Is(err, store.ErrNameTaken) {
		t.Errorf("a name in use: %v, want ErrNameTaken", err)
	}
	if _, err := s.PutKey(ctx, store.Key{Name: "new", Hash: ci.Hash, CreatedAt: base}); err == nil || errors.Is(err, store.ErrNameTaken) {
		t.Errorf("a hash in use: %v, want another error", err)
	}

	s.must(s.TouchKeys(ctx, nil))
	s.must(s.TouchKeys(ctx, map[int64]time.Time{ci.Number: base.Add(time.Hour), game.Number: base, 1 << 40: base}))
	s.must(s.TouchKeys(ctx, map[int64]time.Time{ci.Number: base})) // told late
	ci.LastUsed, game.LastUsed = base.Add(time.Hour), base
	s.same("used", []store.Key{ci, game}, keys())

	s.must(s.RevokeKey(ctx, "ci", base.Add(2*time.Hour)))
	s.must(s.RevokeKey(ctx, "ci", base.Add(3*time.Hour)))
	ci.RevokedAt = base.Add(2 * time.Hour)
	s.same("revoked", []store.Key{ci, game}, keys())
	if _, err := s.KeyByHash(ctx, ci.Hash); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a revoked key: %v, want ErrNotFound", err)
	}
	if err := s.RevokeKey(ctx, "nobody", base); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoking an unknown key: %v, want ErrNotFound", err)
	}
}

func (s *service) run(number int64) store.Run {
	s.t.Helper()
	r, err := s.Run(s.t.Context(), number)
	s.must(err)
	return r
}

// testTrimRuns: what ended long ago goes, the longest ago first; what runs,
// what ended since and the latest stay.
func testTrimRuns(t *testing.T, open opener) {
	s := open.service(t)
	ctx := t.Context()
	start := func(window string) store.Run {
		t.Helper()
		run, created, err := s.StartRun(ctx, store.Run{Kind: store.ManualRun, Window: window, Plan: "{}", State: store.RunRunning, CreatedAt: base, LeaseUntil: base},
			store.Activity{At: base, Kind: store.RunStarted})
		s.must(err)
		if !created {
			t.Fatalf("run %s was there", window)
		}
		return run
	}
	end := func(r store.Run, minute int) store.Run {
		t.Helper()
		r.State, r.EndedAt = store.RunDone, base.Add(time.Duration(minute)*time.Minute)
		s.update(func(ctx context.Context, tx store.Tx) error {
			_, err := tx.(store.ServiceTx).SaveRun(ctx, r)
			return err
		})
		return r
	}
	trim := func(minute, limit int, want int64) {
		t.Helper()
		before := store.Before{}
		if minute >= 0 {
			before.Runs = base.Add(time.Duration(minute) * time.Minute)
		}
		got, err := s.Trim(ctx, before, limit)
		s.must(err)
		s.same("deleted", store.Trimmed{Runs: want}, got)
	}
	left := func(want ...store.Run) {
		t.Helper()
		got, err := s.Runs(ctx, "", 0, 100)
		s.must(err)
		s.same("left", want, got)
	}
	running := start("runs on")
	var ended []store.Run
	for i, minute := range []int{5, 1, 4, 2, 3} {
		ended = append(ended, end(start(fmt.Sprint(i)), minute))
	}
	last := end(start("last"), 0)
	trim(-1, 100, 0)
	trim(1, 100, 0)
	trim(4, 2, 2)
	left(last, ended[4], ended[2], ended[0], running)
	trim(4, 100, 1)
	trim(4, 100, 0)
	left(last, ended[2], ended[0], running)
	trim(100, 100, 2)
	left(last, running)
	if next := start("again"); next.Number <= last.Number {
		t.Errorf("number %d was used again after %d", next.Number, last.Number)
	}
}
