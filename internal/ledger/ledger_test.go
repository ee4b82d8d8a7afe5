package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
	"poa/internal/store/storetest"
	"poa/internal/trigger"
	"poa/internal/verify"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// game is a ledger on a fresh SQLite file with the NFTs n0 to n9.
type game struct {
	*ledger.Ledger
	t      *testing.T
	store  store.Store
	policy *publish.Policy
}

type option func(*ledger.Options, *store.Store)

func newGame(t *testing.T, options ...option) *game {
	t.Helper()
	ctx := context.Background()
	st := sqlitetest.New(t)
	version, err := st.Prepare(ctx, scoring.Defaults(), "test", start)
	if err != nil {
		t.Fatal(err)
	}
	nfts := make([]store.NFT, 10)
	for i := range nfts {
		nfts[i] = store.NFT{ID: fmt.Sprintf("n%d", i), Collection: "test"}
	}
	if _, err := st.PutNFTs(ctx, nfts, false, start); err != nil {
		t.Fatal(err)
	}
	g := &game{t: t, store: st, policy: publish.Default(version)}
	o := ledger.Options{Policy: g.policy}
	var wrapped store.Store = st
	for _, f := range options {
		f(&o, &wrapped)
	}
	g.Ledger = ledger.New(wrapped, o)
	t.Cleanup(func() { g.Close(ctx) })
	return g
}

// submit submits votes in one call.
func (g *game) submit(votes ...ledger.Vote) []ledger.Answer {
	g.t.Helper()
	answers, err := g.Submit(context.Background(), votes)
	if err != nil {
		g.t.Fatal(err)
	}
	return answers
}

// one submits a vote that must count.
func (g *game) one(v ledger.Vote) ledger.Answer {
	g.t.Helper()
	a := g.submit(v)[0]
	if a.Err != nil {
		g.t.Fatalf("vote %s: %v", v.Key, a.Err)
	}
	return a
}

func (g *game) rating(id string) store.Rating {
	g.t.Helper()
	var rows []store.Rating
	err := g.store.View(context.Background(), func(v store.View) (err error) {
		rows, err = v.Ratings(context.Background(), []string{id})
		return err
	})
	if err != nil || len(rows) != 1 {
		g.t.Fatalf("rating of %s: %d rows, %v", id, len(rows), err)
	}
	return rows[0]
}

func (g *game) counts() store.Counts {
	g.t.Helper()
	var c store.Counts
	err := g.store.View(context.Background(), func(v store.View) (err error) {
		c, err = v.Counts(context.Background())
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

// verify fails the test unless the log and the stored state agree.
func (g *game) verify() verify.Summary {
	g.t.Helper()
	var sum verify.Summary
	err := g.store.View(context.Background(), func(v store.View) (err error) {
		sum, err = verify.Run(context.Background(), v, g.policy, func(d verify.Difference) {
			g.t.Errorf("%s: %s is %s, want %s", d.Subject, d.Field, d.Stored, d.Want)
		})
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return sum
}

func matchup(key, voter, a, b string, o scoring.Outcome) ledger.Vote {
	return ledger.Vote{Key: key, Voter: voter, A: a, B: b, Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: o}}
}

func super(key, voter, a, b string, o scoring.Outcome) ledger.Vote {
	v := matchup(key, voter, a, b, o)
	v.Super = true
	return v
}

func opinion(key, voter, nft string, kind scoring.Kind, value float64) ledger.Vote {
	return ledger.Vote{Key: key, Voter: voter, A: nft, Vote: scoring.Vote{Kind: kind, Value: value}}
}

func code(err error) ledger.Code {
	var e *ledger.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestBadVotesAreRefusedAloneAndNamed(t *testing.T) {
	future := matchup("k", "v", "n0", "n1", scoring.WinA)
	future.CastAt = time.Now().Add(time.Hour)
	absurd := matchup("k", "v", "n0", "n1", scoring.WinA)
	absurd.CastAt = time.UnixMicro(1_700_000_000)
	withValue := matchup("k", "v", "n0", "n1", scoring.WinA)
	withValue.Value = 3
	withB := opinion("k", "v", "n0", scoring.Fire, 0)
	withB.B = "n1"
	superSlider := opinion("k", "v", "n0", scoring.Slider, 3)
	superSlider.Super = true
	withOutcome := opinion("k", "v", "n0", scoring.Slider, 3)
	withOutcome.Outcome = scoring.Tie
	for name, c := range map[string]struct {
		vote  ledger.Vote
		code  ledger.Code
		field string
	}{
		"unknown A":        {matchup("k", "v", "nowhere", "n1", scoring.WinA), ledger.CodeUnknownNFT, "a"},
		"unknown B":        {matchup("k", "v", "n0", "nowhere", scoring.WinA), ledger.CodeUnknownNFT, "b"},
		"A = B":            {matchup("k", "v", "n0", "n0", scoring.WinA), ledger.CodeSameNFT, "b"},
		"no outcome":       {matchup("k", "v", "n0", "n1", scoring.NoOutcome), ledger.CodeOutcome, "outcome"},
		"odd outcome":      {matchup("k", "v", "n0", "n1", 9), ledger.CodeOutcome, "outcome"},
		"no kind":          {ledger.Vote{Key: "k", Voter: "v", A: "n0"}, ledger.CodeKind, "kind"},
		"slider above":     {opinion("k", "v", "n0", scoring.Slider, 100.5), ledger.CodeValue, "value"},
		"slider below":     {opinion("k", "v", "n0", scoring.Slider, -1), ledger.CodeValue, "value"},
		"slider NaN":       {opinion("k", "v", "n0", scoring.Slider, math.NaN()), ledger.CodeValue, "value"},
		"FIRE NaN":         {opinion("k", "v", "n0", scoring.Fire, math.NaN()), ledger.CodeNotAllowed, "value"},
		"no key":           {matchup("", "v", "n0", "n1", scoring.WinA), ledger.CodeEmpty, "key"},
		"blank voter":      {matchup("k", " \t", "n0", "n1", scoring.WinA), ledger.CodeEmpty, "voter"},
		"long voter":       {matchup("k", strings.Repeat("v", 201), "n0", "n1", scoring.WinA), ledger.CodeTooLong, "voter"},
		"NUL":              {matchup("k\x00", "v", "n0", "n1", scoring.WinA), ledger.CodeText, "key"},
		"invalid UTF-8":    {matchup("k", "v", "n\xff", "n1", scoring.WinA), ledger.CodeText, "a"},
		"in the future":    {future, ledger.CodeFuture, "cast_at"},
		"absurd time":      {absurd, ledger.CodeTooOld, "cast_at"},
		"matchup's value":  {withValue, ledger.CodeNotAllowed, "value"},
		"FIRE's B":         {withB, ledger.CodeNotAllowed, "b"},
		"super slider":     {superSlider, ledger.CodeNotAllowed, "super"},
		"slider's outcome": {withOutcome, ledger.CodeOutcome, "outcome"},
		"matchup's no B":   {matchup("k", "v", "n0", "", scoring.WinA), ledger.CodeEmpty, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGame(t)
			answers := g.submit(matchup("before", "v", "n2", "n3", scoring.WinA), c.vote, matchup("after", "v", "n2", "n3", scoring.WinB))
			var e *ledger.Error
			if !errors.As(answers[1].Err, &e) || e.Code != c.code || e.Field != c.field {
				t.Errorf("got %v, want code %s of field %s", answers[1].Err, c.code, c.field)
			}
			if answers[0].Err != nil || answers[2].Err != nil {
				t.Errorf("neighbours: %v, %v", answers[0].Err, answers[2].Err)
			}
			if n := g.counts().Votes; n != 2 {
				t.Errorf("%d votes are in the log, want 2", n)
			}
			g.verify()
		})
	}
}

func TestSameKeyCountsOnce(t *testing.T) {
	g := newGame(t)
	v := matchup("k", "v", "n0", "n1", scoring.WinA)
	// Twice in one commit, again later, with a changed content, and with a time.
	answers := g.submit(v, v)
	if answers[0].Duplicate || !answers[1].Duplicate || answers[0].Number != answers[1].Number || answers[0].Number == 0 {
		t.Errorf("in one commit: %+v", answers)
	}
	if again := g.one(v); !again.Duplicate || again.Number != answers[0].Number {
		t.Errorf("later: %+v", again)
	}
	other := v
	other.Outcome = scoring.WinB
	timed := v
	timed.CastAt = start
	for _, v := range []ledger.Vote{other, timed} {
		if a := g.submit(v)[0]; code(a.Err) != ledger.CodeConflict {
			t.Errorf("another vote with the key: %+v", a)
		}
	}
	if r := g.rating("n0"); r.Votes != 1 {
		t.Errorf("%d votes counted", r.Votes)
	}
	g.verify()
}

func TestTriggersPublishInTheCommit(t *testing.T) {
	g := newGame(t)
	a := g.one(super("s", "v", "n0", "n1", scoring.WinA))
	if len(a.Triggered) != 2 || a.Triggered[0].NFT != "n0" || a.Triggered[0].Reason != trigger.Super || a.Triggered[0].Score == nil {
		t.Fatalf("super: %+v", a.Triggered)
	}
	r := g.rating("n0")
	if r.Score == nil || r.Score.POA != a.Triggered[0].Score.POA || r.Score.ThroughVote != a.Number || r.Score.Basis != store.Incremental || r.Score.Reason != "super" {
		t.Errorf("published %+v", r.Score)
	}
	// 1232 after K = 64 from equal means: Elo 36; POA = 0.4·36 + 0.3·50.
	if r.Mean != 1232 || r.Score.POA != 29.4 {
		t.Errorf("mean %v, POA %v", r.Mean, r.Score.POA)
	}
	// The super vote of 5 crossed the milestone of 5; a regular vote has nothing left to cross.
	if a := g.one(matchup("m", "w", "n0", "n2", scoring.WinA)); len(a.Triggered) != 0 {
		t.Errorf("regular: %+v", a.Triggered)
	}
	if a := g.one(opinion("f", "v", "n3", scoring.Fire, 0)); len(a.Triggered) != 1 || a.Triggered[0].Score.Fire != 50 {
		t.Errorf("FIRE: %+v", a.Triggered)
	}
	if a := g.one(opinion("f2", "v", "n3", scoring.Fire, 0)); len(a.Triggered) != 0 {
		t.Errorf("FIRE again: %+v", a.Triggered)
	}
	if a := g.one(opinion("u", "v", "n3", scoring.Unfire, 0)); len(a.Triggered) != 1 || a.Triggered[0].Score != nil {
		t.Errorf("unfire: %+v", a.Triggered)
	}
	if r := g.rating("n3"); r.Score != nil || r.Fires != 0 || r.FireWeight != 0 {
		t.Errorf("a withdrawn FIRE left %+v", r)
	}
	g.verify()
}

func TestOneScorePerNFTAndCommit(t *testing.T) {
	g := newGame(t)
	answers := g.submit(super("1", "v", "n0", "n1", scoring.WinA), opinion("2", "v", "n0", scoring.Fire, 0), super("3", "w", "n0", "n2", scoring.WinB))
	final := g.rating("n0").Score
	for i, a := range answers {
		if a.Triggered[0].Score == nil || a.Triggered[0].Score.POA != final.POA {
			t.Errorf("vote %d answered %+v, published is %v", i+1, a.Triggered[0].Score, final.POA)
		}
	}
	var activity []store.Activity
	err := g.store.View(context.Background(), func(v store.View) (err error) {
		activity, err = v.Activity(context.Background(), g.rating("n0").NFT, 10)
		return err
	})
	if err != nil || len(activity) != 1 {
		t.Fatalf("%d activity entries, %v", len(activity), err)
	}
	if r := activity[0].Reasons; r["super"] != 2 || r["fire"] != 1 {
		t.Errorf("reasons %v", r)
	}
	g.verify()
}

// commitsSeen is an Observer that keeps all commits.
type commitsSeen []ledger.Commit

func (s *commitsSeen) Committed(c ledger.Commit)           { *s = append(*s, c) }
func (*commitsSeen) Answered(*ledger.Vote, *ledger.Answer) {}

// Parts of a commit are folded as if each were a commit, and answered alike.
func TestPartsOfACommit(t *testing.T) {
	var votes []ledger.Vote
	for i := range 40 {
		voter, a, b := fmt.Sprintf("v%d", i/9), fmt.Sprintf("n%d", i%7), fmt.Sprintf("n%d", 7+i%3)
		switch key := fmt.Sprint(i); {
		case i%10 == 9: // one of before, mostly of an earlier part
			votes = append(votes, votes[i-7])
		case i == 21:
			votes = append(votes, matchup(key, voter, a, "nowhere", scoring.WinA))
		case i%5 == 1:
			votes = append(votes, opinion(key, voter, a, scoring.Fire, 0))
		case i%5 == 3:
			votes = append(votes, super(key, voter, a, b, scoring.Outcome(1+i%3)))
		default:
			votes = append(votes, matchup(key, voter, a, b, scoring.Outcome(1+i%3)))
		}
	}
	run := func(commit, fold int) (answers []ledger.Answer, state storetest.State, seen ledger.Commit) {
		synctest.Test(t, func(t *testing.T) {
			var commits commitsSeen
			g := newGame(t, func(o *ledger.Options, _ *store.Store) {
				o.MaxCommit, o.MaxFold, o.Observer = commit, fold, &commits
			})
			answers, state = g.submit(votes...), storetest.StateOf(t, g.store)
			g.verify()
			for _, c := range commits {
				seen.Votes += c.Votes
				seen.Activity = append(seen.Activity, c.Activity...)
			}
			if got, want := len(commits), (len(votes)+commit-1)/commit; got != want {
				t.Errorf("%d commits, want %d", got, want)
			}
		})
		return answers, state, seen
	}
	answers, state, seen := run(8, 8)
	partAnswers, partState, partSeen := run(40, 8)
	for i := range answers {
		answers[i].Took, partAnswers[i].Took = 0, 0
	}
	if diff := cmp.Diff(answers, partAnswers); diff != "" {
		t.Errorf("answers:\n%s", diff)
	}
	if diff := cmp.Diff(state, partState); diff != "" {
		t.Errorf("state:\n%s", diff)
	}
	if diff := cmp.Diff(seen, partSeen); diff != "" {
		t.Errorf("observed:\n%s", diff)
	}
	if code(answers[21].Err) != ledger.CodeUnknownNFT || !answers[39].Duplicate || state.Counts.History == 0 {
		t.Errorf("this test tells little: %+v, %+v, %+v", answers[21], answers[39], state.Counts)
	}
}

func TestPausedTriggersMarkDue(t *testing.T) {
	g := newGame(t)
	paused := *g.policy
	paused.TriggersPaused = true
	g.SetPolicy(&paused)
	a := g.one(super("s", "v", "n0", "n1", scoring.WinA))
	if len(a.Triggered) != 2 || a.Triggered[0].Deferred == "" || a.Triggered[0].Score != nil {
		t.Errorf("answered %+v", a.Triggered)
	}
	r := g.rating("n0")
	if r.Score != nil || r.Due.Since.IsZero() || r.Due.Reason != "super" || r.Due.Priority != trigger.High || r.WaitingSince.IsZero() {
		t.Errorf("due %+v, waiting %v", r.Due, r.WaitingSince)
	}
	g.SetPolicy(g.policy)
	g.one(super("t", "v", "n0", "n1", scoring.WinA))
	if r := g.rating("n0"); r.Score == nil || !r.Due.Since.IsZero() || !r.WaitingSince.IsZero() {
		t.Errorf("after a computation: %+v", r)
	}
	g.verify()
}

func TestManyCallersFoldEveryVoteOnce(t *testing.T) {
	g := newGame(t)
	var wg sync.WaitGroup
	for c := range 20 {
		wg.Go(func() {
			for i := range 20 {
				votes := []ledger.Vote{
					matchup(fmt.Sprintf("m%d-%d", c, i), fmt.Sprintf("v%d", c%5), fmt.Sprintf("n%d", i%10), fmt.Sprintf("n%d", (i+1+c%9)%10), scoring.Outcome(1+i%4)),
					opinion(fmt.Sprintf("s%d-%d", c, i), fmt.Sprintf("v%d", c%5), fmt.Sprintf("n%d", i%10), scoring.Kind(2+i%3), map[bool]float64{true: float64(i * 5)}[i%3 == 0]),
				}
				answers, err := g.Submit(context.Background(), votes)
				if err != nil || answers[0].Err != nil || answers[1].Err != nil {
					t.Errorf("%v %+v", err, answers)
				}
			}
		})
	}
	wg.Wait()
	if sum := g.verify(); sum.Votes != 800 {
		t.Errorf("%d votes in the log, want 800", sum.Votes)
	}
}

func TestBackPressureAndDrain(t *testing.T) {
	gate := make(chan struct{})
	g := newGame(t, func(o *ledger.Options, st *store.Store) {
		o.MaxQueue, o.MaxCommit = 3, 1
		*st = &faulty{Store: *st, fault: func(s step) error {
			if s == stepLock {
				<-gate
			}
			return nil
		}}
	})
	results := make(chan error, 10)
	submit := func(key string) {
		_, err := g.Submit(context.Background(), []ledger.Vote{matchup(key, "v", "n0", "n1", scoring.WinA)})
		results <- err
	}
	go submit("first") // is being committed
	waitFor(t, func() bool { return g.Waiting() == 0 })
	for i := range 3 {
		go submit(fmt.Sprint(i))
	}
	waitFor(t, func() bool { return g.Waiting() == 3 })
	if _, err := g.Submit(context.Background(), []ledger.Vote{matchup("over", "v", "n0", "n1", scoring.WinA)}); !errors.Is(err, ledger.ErrBusy) {
		t.Errorf("a full queue answered %v", err)
	}
	closed := make(chan error)
	go func() { closed <- g.Close(context.Background()) }()
	close(gate)
	if err := <-closed; err != nil {
		t.Errorf("closing: %v", err)
	}
	for range 4 {
		if err := <-results; err != nil {
			t.Errorf("a waiting vote: %v", err)
		}
	}
	if _, err := g.Submit(context.Background(), []ledger.Vote{matchup("late", "v", "n0", "n1", scoring.WinA)}); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("a closed ledger answered %v", err)
	}
	if n := g.counts().Votes; n != 4 {
		t.Errorf("%d votes, want 4", n)
	}
}

func TestHighActivityInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGame(t, func(o *ledger.Options, _ *store.Store) {
			policy := *o.Policy
			policy.Rules.Milestone = false
			o.Policy = &policy
		})
		for i := range 4 {
			if a := g.one(matchup(fmt.Sprint(i), "v", "n0", fmt.Sprintf("n%d", i+1), scoring.WinA)); len(a.Triggered) != 0 {
				t.Fatalf("vote %d triggered %+v", i+1, a.Triggered)
			}
			time.Sleep(7 * time.Hour)
		}
		// The first of the four is 28 hours old.
		if a := g.one(matchup("5", "v", "n0", "n5", scoring.WinA)); len(a.Triggered) != 0 {
			t.Errorf("four in 24 hours triggered %+v", a.Triggered)
		}
		if a := g.one(matchup("6", "v", "n0", "n6", scoring.WinA)); len(a.Triggered) != 1 || a.Triggered[0].Reason != trigger.HighActivity {
			t.Errorf("five in 24 hours triggered %+v", a.Triggered)
		}
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
		g.store.Close()
	})
}

// waitFor polls a condition that other goroutines bring about.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 5000 {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("waited in vain")
}
