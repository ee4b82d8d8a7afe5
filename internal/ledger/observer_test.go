package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// watch is an Observer that remembers.
type watch struct {
	mu       sync.Mutex
	answers  map[string]string // by key of the vote
	commits  []int             // sizes
	activity map[string]int    // by kind and reason
}

func (w *watch) Answered(v *ledger.Vote, a *ledger.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	outcome := "counted"
	if a.Err != nil {
		outcome = a.Err.Error()
		if c := (*ledger.Error)(nil); errors.As(a.Err, &c) {
			outcome = string(c.Code)
		}
	} else if a.Duplicate {
		outcome = "duplicate"
	}
	w.answers[v.Key] = outcome
}

func (w *watch) Committed(c ledger.Commit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits = append(w.commits, c.Votes)
	for _, a := range c.Activity {
		w.activity[fmt.Sprint(a.Kind, " ", a.Reason)]++
	}
}

func TestObserverIsToldOfEveryAnswerAndCommit(t *testing.T) {
	w := &watch{answers: map[string]string{}, activity: map[string]int{}}
	var once atomic.Int32
	once.Store(1)
	g := newGame(t, func(o *ledger.Options, _ *store.Store) { o.Observer = ledger.Observers{w} }, failing(stepApply, store.ErrContention, &once))
	bad := matchup("bad", "v", "n0", "n0", scoring.WinA)
	g.submit(matchup("a", "v", "n0", "n1", scoring.WinA), bad, super("b", "v", "n0", "n1", scoring.WinA),
		opinion("c", "v", "nowhere", scoring.Fire, 0))
	g.submit(matchup("a", "v", "n0", "n1", scoring.WinA))
	if diff := cmp.Diff([]int{2}, w.commits); diff != "" {
		t.Errorf("commits, none for a repeated attempt or duplicates alone (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"computed super": 2}, w.activity); diff != "" {
		t.Errorf("activity (-want +got):\n%s", diff)
	}
	want := map[string]string{"a": "duplicate", "bad": "same_nft", "b": "counted", "c": "unknown_nft"}
	if diff := cmp.Diff(want, w.answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if err := g.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Submit(context.Background(), []ledger.Vote{matchup("late", "v", "n0", "n1", scoring.WinA)}); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("a closed ledger answered %v", err)
	}
	if got := w.answers["late"]; got != ledger.ErrClosed.Error() {
		t.Errorf("the observer was told %q", got)
	}
}

// A commit whose outcome was unknown is told of once: where it is found to be
// in force, and where it was lost and is repeated.
func TestObserverIsToldOfCommitsThatWereUnsure(t *testing.T) {
	for _, at := range []step{stepCommit, stepAnswer} {
		for times := range 3 {
			t.Run(fmt.Sprint(at, " ", times), func(t *testing.T) {
				w := &watch{answers: map[string]string{}, activity: map[string]int{}}
				var left atomic.Int32
				g := newGame(t, func(o *ledger.Options, _ *store.Store) { o.Observer = w }, failing(at, store.ErrOutcomeUnknown, &left))
				g.one(matchup("warm", "v", "n0", "n1", scoring.WinA)) // the rows exist
				left.Store(int32(times))
				g.submit(matchup("a", "v", "n0", "n1", scoring.WinA), super("b", "v", "n0", "n1", scoring.WinA))
				if diff := cmp.Diff([]int{1, 2}, w.commits); diff != "" || left.Load() != 0 {
					t.Errorf("commits (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(map[string]int{"computed super": 2}, w.activity); diff != "" {
					t.Errorf("activity (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestAnswersTellHowLongTheyTook(t *testing.T) {
	now := newClock()
	g := newGame(t, func(o *ledger.Options, _ *store.Store) { o.Now = now })
	answers := g.submit(matchup("a", "v", "n0", "n1", scoring.WinA), matchup("bad", "v", "n0", "n0", scoring.WinA))
	if took := answers[0].Took; took < time.Second || took > time.Minute {
		t.Errorf("by a clock that goes on a second each time a vote took %v", took)
	}
	if took := answers[1].Took; took != 0 {
		t.Errorf("what was refused at once took %v", took)
	}
}

// newClock returns a clock that goes on a second each time it is looked at.
func newClock() func() time.Time {
	var looks atomic.Int64
	return func() time.Time { return start.Add(time.Duration(looks.Add(1)) * time.Second) }
}
