package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// step is a place in a transaction at which a fault is injected.
type step string

const (
	stepBegin   step = "begin"
	stepLock    step = "lock"
	stepKeys    step = "keys"
	stepOpinion step = "opinions"
	stepNumbers step = "numbers"
	stepApply   step = "apply"
	stepCommit  step = "commit" // before it
	stepAnswer  step = "answer" // after it: the commit is in force
)

// faulty is a store that fails where fault says so.
type faulty struct {
	store.Store
	fault func(step) error
}

func (f *faulty) Update(ctx context.Context, do func(store.Tx) error) error {
	if err := f.fault(stepBegin); err != nil {
		return err
	}
	err := f.Store.Update(ctx, func(tx store.Tx) error {
		if err := do(&faultyTx{tx, f}); err != nil {
			return err
		}
		return f.fault(stepCommit)
	})
	if err != nil {
		return err
	}
	return f.fault(stepAnswer)
}

type faultyTx struct {
	store.Tx
	f *faulty
}

func (t *faultyTx) Lock(ctx context.Context, nfts, voters []string) ([]store.Rating, []store.Voter, error) {
	if err := t.f.fault(stepLock); err != nil {
		return nil, nil, err
	}
	return t.Tx.Lock(ctx, nfts, voters)
}

func (t *faultyTx) VotesByKey(ctx context.Context, keys []string) ([]store.Vote, error) {
	if err := t.f.fault(stepKeys); err != nil {
		return nil, err
	}
	return t.Tx.VotesByKey(ctx, keys)
}

func (t *faultyTx) Opinions(ctx context.Context, refs []store.OpinionRef) ([]store.Opinion, error) {
	if err := t.f.fault(stepOpinion); err != nil {
		return nil, err
	}
	return t.Tx.Opinions(ctx, refs)
}

func (t *faultyTx) Numbers(ctx context.Context, n int) ([]int64, error) {
	if err := t.f.fault(stepNumbers); err != nil {
		return nil, err
	}
	return t.Tx.Numbers(ctx, n)
}

func (t *faultyTx) Apply(ctx context.Context, c *store.Changes) error {
	if err := t.f.fault(stepApply); err != nil {
		return err
	}
	return t.Tx.Apply(ctx, c)
}

// TestInjectedFailures fails each step of a commit once, in each way a store
// can fail, and expects every vote to be answered truly.
func TestInjectedFailures(t *testing.T) {
	steps := []step{stepBegin, stepLock, stepKeys, stepOpinion, stepNumbers, stepApply, stepCommit}
	kinds := map[string]struct {
		err  error
		want ledger.Code // of every answer; "" where the vote must count
	}{
		"contention":     {store.ErrContention, ""},
		"key exists":     {store.ErrKeyExists, ""},
		"data":           {store.ErrData, ""}, // fails once: the halves pass
		"unforeseen":     {errors.New("a defect"), ""},
		"unavailable":    {store.ErrUnavailable, ledger.CodeTryAgain},
		"outcome, lost":  {store.ErrOutcomeUnknown, ""},
		"panic":          {errPanic, ""},
		"outcome, there": {store.ErrOutcomeUnknown, ""},
	}
	for name, kind := range kinds {
		at := steps
		if name == "outcome, there" {
			at = []step{stepAnswer}
		}
		for _, s := range at {
			if errors.Is(kind.err, store.ErrOutcomeUnknown) && s != stepCommit && s != stepAnswer {
				continue
			}
			if kind.err == errPanic && (s == stepBegin || s == stepCommit) {
				continue
			}
			t.Run(fmt.Sprintf("%s at %s", name, s), func(t *testing.T) {
				var left atomic.Int32
				g := newGame(t, failing(s, kind.err, &left))
				g.one(matchup("warm", "v", "n0", "n1", scoring.WinA)) // the rows exist
				before := g.rating("n0").Votes
				left.Store(1)
				votes := []ledger.Vote{
					super("a", "v", "n0", "n1", scoring.WinA), opinion("b", "v", "n0", scoring.Slider, 70), matchup("c", "v", "n0", "n1", scoring.WinB),
				}
				answers := g.submit(votes...)
				if left.Load() > 0 {
					t.Fatal("the fault was never met")
				}
				for i, a := range answers {
					if code(a.Err) != kind.want || a.Duplicate {
						t.Errorf("vote %d answered %+v, want code %q", i, a, kind.want)
					}
				}
				want := before
				if kind.want == "" {
					want += 7
					if len(answers[0].Triggered) != 2 || answers[0].Triggered[0].Score == nil {
						t.Errorf("the super vote answered %+v", answers[0])
					}
				}
				if r := g.rating("n0"); r.Votes != want {
					t.Errorf("%d votes counted, want %d", r.Votes, want)
				}
				g.verify()
				// Repeating is safe: what counted is a duplicate, the rest counts now.
				for i, a := range g.submit(votes...) {
					if a.Err != nil || a.Duplicate != (kind.want == "") {
						t.Errorf("repeated vote %d answered %+v", i, a)
					}
				}
				g.verify()
			})
		}
	}
}

var errPanic = errors.New("panic")

// failing fails step s while left is above 0.
func failing(s step, err error, left *atomic.Int32) option {
	return func(_ *ledger.Options, st *store.Store) {
		*st = &faulty{Store: *st, fault: func(at step) error {
			if at != s || left.Load() == 0 {
				return nil
			}
			left.Add(-1)
			if err == errPanic {
				panic("injected")
			}
			return fmt.Errorf("injected at %s: %w", s, err)
		}}
	}
}

// TestOneBadVoteFailsAlone has the database refuse one vote of a group for
// good: its neighbours count, in order.
func TestOneBadVoteFailsAlone(t *testing.T) {
	g := newGame(t, func(_ *ledger.Options, st *store.Store) {
		*st = &poisoned{*st}
	})
	votes := make([]ledger.Vote, 9)
	for i := range votes {
		votes[i] = matchup(fmt.Sprint("k", i), "v", "n0", "n1", scoring.WinA)
	}
	votes[4].Key = "poison"
	last := int64(0)
	for i, a := range g.submit(votes...) {
		if i == 4 {
			if code(a.Err) != ledger.CodeInternal {
				t.Errorf("the bad vote answered %+v", a)
			}
			continue
		}
		if a.Err != nil || a.Number <= last {
			t.Errorf("vote %d answered %+v after number %d", i, a, last)
		}
		last = a.Number
	}
	if n := g.rating("n0").Votes; n != 8 {
		t.Errorf("%d votes counted, want 8", n)
	}
	g.verify()
}

// poisoned refuses to write votes with the key poison.
type poisoned struct{ store.Store }

func (p *poisoned) Update(ctx context.Context, f func(store.Tx) error) error {
	return p.Store.Update(ctx, func(tx store.Tx) error { return f(&poisonedTx{tx}) })
}

type poisonedTx struct{ store.Tx }

func (t *poisonedTx) Apply(ctx context.Context, c *store.Changes) error {
	for _, v := range c.Votes {
		if v.Key == "poison" {
			return fmt.Errorf("refused: %w", store.ErrData)
		}
	}
	return t.Tx.Apply(ctx, c)
}

// TestUnknownOutcomeHoldsOthersUpForAWhile loses the database in the middle of
// a commit: its votes are told that nobody knows, and those behind them that
// they were not recorded, well before the patience for other troubles ends.
func TestUnknownOutcomeHoldsOthersUpForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var state atomic.Int32 // 1: the next commit breaks the connection; 2: the database is away
		g := newGame(t, func(_ *ledger.Options, st *store.Store) {
			*st = &faulty{Store: *st, fault: func(at step) error {
				switch {
				case at == stepAnswer && state.CompareAndSwap(1, 2):
					return store.ErrOutcomeUnknown
				case at == stepBegin && state.Load() == 2:
					return store.ErrUnavailable
				}
				return nil
			}}
		})
		g.one(matchup("warm", "v", "n0", "n1", scoring.WinA)) // the rows exist
		state.Store(1)
		began := time.Now()
		var first, second ledger.Answer
		var wg sync.WaitGroup
		wg.Go(func() { first = g.submit(matchup("first", "v", "n0", "n1", scoring.WinA))[0] })
		time.Sleep(time.Second)
		wg.Go(func() { second = g.submit(matchup("second", "v", "n0", "n1", scoring.WinA))[0] })
		wg.Wait()
		if took := time.Since(began); code(first.Err) != ledger.CodeUnknown || code(second.Err) != ledger.CodeTryAgain || took < 5*time.Second || took > 7*time.Second {
			t.Errorf("after %v: %+v, %+v", took, first, second)
		}
		state.Store(0)
		for i, a := range g.submit(matchup("first", "v", "n0", "n1", scoring.WinA), matchup("second", "v", "n0", "n1", scoring.WinA)) {
			if a.Err != nil || a.Duplicate != (i == 0) {
				t.Errorf("vote %d, repeated, answered %+v", i, a)
			}
		}
		g.verify()
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
		g.store.Close()
	})
}
