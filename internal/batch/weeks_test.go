package batch

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"poa/internal/trigger"
)

// game is a small game in virtual time: NFTs get votes by a Zipf law, hours
// pass, and a plan is run in every window. It plays the store's part in
// keeping the lists.
type game struct {
	t        *testing.T
	settings Settings
	random   *rand.Rand
	now      time.Time
	nfts     []*Candidate
	reach    []float64 // cumulative odds of the NFTs

	last     time.Time       // window
	runs     int             // so far
	deadline map[int64]int   // run by which a waiting NFT is scored at the latest
	byClass  map[Class]int   // items computed
	fails    func() bool     // whether a computation fails
	failed   map[int64]int   // NFTs in the failed list, with their tries
	paused   func() bool     // whether triggers are
	longest  time.Duration   // wait for a first score
	report   []map[Class]int // slots by class, per run
}

func newGame(t *testing.T, n int, s Settings) *game {
	g := &game{
		t: t, settings: s, random: rand.New(rand.NewPCG(1, 2)), now: clock("2026-06-01T00:00:00Z"),
		deadline: map[int64]int{}, byClass: map[Class]int{}, failed: map[int64]int{},
		fails: func() bool { return false }, paused: func() bool { return false },
	}
	sum := 0.0
	for i := range n {
		sum += 1 / float64(i+1)
		g.nfts = append(g.nfts, &Candidate{NFT: int64(i + 1)})
		g.reach = append(g.reach, sum)
	}
	return g
}

// vote gives votes to n NFTs drawn by the Zipf law, spread over the hour up to
// now. Every 25th is a super vote, which computes at once or, while triggers
// are paused, marks its NFT due.
func (g *game) vote(n int) {
	begin := g.now.Add(-g.settings.Every)
	for i := range n {
		at := begin.Add(g.settings.Every * time.Duration(i) / time.Duration(n))
		x := g.random.Float64() * g.reach[len(g.reach)-1]
		c := g.nfts[sort.SearchFloat64s(g.reach, x)]
		super := g.random.IntN(25) == 0
		c.Votes++
		if super {
			c.Votes += 4
		}
		switch {
		case super && !g.paused():
			g.score(c, at)
		case super && c.DueSince.IsZero():
			c.DueSince, c.DueReason, c.DuePriority = at, string(trigger.Super), trigger.High
		}
		if c.ScoredAt.IsZero() && c.WaitingSince.IsZero() {
			c.WaitingSince = at
		}
	}
}

func (g *game) score(c *Candidate, at time.Time) {
	if !c.WaitingSince.IsZero() {
		g.longest = max(g.longest, at.Sub(c.WaitingSince))
	}
	c.ScoredAt, c.WaitingSince, c.DueSince, c.DueReason, c.DuePriority = at, time.Time{}, time.Time{}, "", 0
	c.Failures, c.RetryAt = 0, time.Time{}
	delete(g.deadline, c.NFT)
}

// lists returns the whole lists of candidates, as the store's indexes have
// them.
func (g *game) lists() Candidates {
	pick := func(keep func(*Candidate) bool, order func(a, b *Candidate) int) []Candidate {
		var kept []*Candidate
		for _, c := range g.nfts {
			if _, gone := g.failed[c.NFT]; !gone && keep(c) && !c.RetryAt.After(g.now) {
				kept = append(kept, c)
			}
		}
		slices.SortFunc(kept, func(a, b *Candidate) int { return cmp.Or(order(a, b), cmp.Compare(a.NFT, b.NFT)) })
		list := make([]Candidate, len(kept))
		for i, c := range kept {
			list[i] = *c
		}
		return list
	}
	waits := func(c *Candidate) bool { return !c.WaitingSince.IsZero() }
	return Candidates{
		Due: pick(func(c *Candidate) bool { return !c.DueSince.IsZero() }, func(a, b *Candidate) int {
			return cmp.Or(cmp.Compare(b.DuePriority, a.DuePriority), a.DueSince.Compare(b.DueSince))
		}),
		New:     pick(waits, func(a, b *Candidate) int { return cmp.Compare(b.Votes, a.Votes) }),
		Waiting: pick(waits, func(a, b *Candidate) int { return a.WaitingSince.Compare(b.WaitingSince) }),
		Old: pick(func(c *Candidate) bool {
			return !c.ScoredAt.IsZero() && g.now.Sub(c.ScoredAt) > g.settings.OldAfter && c.Votes >= g.settings.AgingVotes
		}, func(a, b *Candidate) int { return a.ScoredAt.Compare(b.ScoredAt) }),
	}
}

// window runs the window that the clock is in and checks the plan.
func (g *game) window() []Item {
	w, ok := g.settings.ToRun(g.last, g.now)
	if !ok {
		g.t.Fatalf("no window to run at %v after %v", g.now, g.last)
	}
	g.last = w.Start
	g.runs++
	whole := g.lists()
	head := func(list []Candidate, n int) []Candidate { return list[:min(n, len(list))] }
	need := Need(g.settings)
	heads := Candidates{
		Due: head(whole.Due, need.Due), New: head(whole.New, need.New),
		Waiting: head(whole.Waiting, need.Waiting), Old: head(whole.Old, need.Old),
	}
	g.setDeadlines(whole.Waiting)
	items := Plan(g.settings, heads, g.now)
	g.checkShares(whole, items)
	g.run(items)
	for nft, run := range g.deadline {
		if g.runs >= run {
			g.t.Fatalf("run %d: NFT %d should have its first score by now", g.runs, nft)
		}
	}
	return items
}

// setDeadlines computes, for each NFT that begins to wait, the run in which it
// is scored at the latest: a run takes at least so many of the longest waiting,
// and only those ahead of it can come first, whatever votes others get.
func (g *game) setDeadlines(waiting []Candidate) {
	perRun := max(1, g.settings.NewSlots()/g.settings.LongestWaitEvery)
	for ahead, c := range waiting {
		if _, set := g.deadline[c.NFT]; !set {
			g.deadline[c.NFT] = g.runs + ahead/perRun
		}
	}
}

// checkShares compares the slots of a run with what the whole lists offer.
func (g *game) checkShares(whole Candidates, items []Item) {
	due := map[int64]bool{}
	for _, c := range whole.Due {
		due[c.NFT] = true
	}
	onlyNew, old := 0, len(whole.Due)
	for _, c := range whole.New {
		if !due[c.NFT] {
			onlyNew++
		}
	}
	for _, c := range whole.Old {
		if !due[c.NFT] {
			old++
		}
	}
	got := map[Class]int{}
	for _, it := range items {
		got[it.Class]++
	}
	g.report = append(g.report, got)
	size, slots := g.settings.Size, g.settings.NewSlots()
	wantOld := min(old, max(size-slots, size-onlyNew))
	wantNew := min(onlyNew, size-wantOld)
	if n := got[New]; n < wantNew {
		g.t.Fatalf("run %d: %d slots are new, want %d of %d with %d on the old side", g.runs, n, wantNew, onlyNew, old)
	}
	if n := got[Due] + got[Old]; n < min(wantOld, size-got[New]) || got[Due]+got[Old]+got[New] > size {
		g.t.Fatalf("run %d: %d slots are due or old, want %d of %d", g.runs, n, wantOld, old)
	}
	// What is due comes first, in its order, and so do the oldest scores.
	g.checkOrder(Due, whole.Due, items)
	if got[Old] > 0 && got[Due] < min(len(whole.Due), size) {
		g.t.Fatalf("run %d: old scores are taken, but only %d of %d that are due", g.runs, got[Due], len(whole.Due))
	}
	g.checkOrder(Old, slices.DeleteFunc(whole.Old, func(c Candidate) bool { return due[c.NFT] }), items)
}

// checkOrder checks that the items of a class are the head of its list.
func (g *game) checkOrder(class Class, list []Candidate, items []Item) {
	i := 0
	for _, it := range items {
		if it.Class != class {
			continue
		}
		if it.NFT != list[i].NFT {
			g.t.Fatalf("run %d: the slot %d of %s goes to NFT %d, want %d", g.runs, i, class, it.NFT, list[i].NFT)
		}
		i++
	}
}

// run computes the items.
func (g *game) run(items []Item) {
	for _, it := range items {
		c := g.nfts[it.NFT-1]
		g.byClass[it.Class]++
		if !g.fails() {
			g.score(c, g.now)
			continue
		}
		c.Failures++
		delete(g.deadline, c.NFT) // the bound holds for those that can be computed
		at, again := g.settings.RetryAt(c.Failures, g.now)
		if !again {
			g.failed[c.NFT] = c.Failures
		}
		c.RetryAt = at
	}
}

// hours lets n windows pass with votes in each.
func (g *game) hours(n, votes int) {
	for range n {
		g.now = g.settings.Next(g.now).Start
		if votes > 0 {
			g.vote(votes)
		}
		g.window()
	}
}

// Three weeks with steady votes, in which triggers are paused two hours of
// every day; then votes stop, and the backlog goes.
func TestWeeks(t *testing.T) {
	g := newGame(t, 3000, Defaults())
	g.paused = func() bool { return g.now.Hour() < 2 }
	g.hours(21*24, 200)
	t.Logf("slots by class %v, longest wait %v", g.byClass, g.longest)
	slots := g.byClass[New] + g.byClass[Due] + g.byClass[Old]
	if slots < 21*24*20*95/100 || slots > 21*24*20 {
		t.Errorf("%d slots were used in 504 runs of 20", slots)
	}
	for class, n := range g.byClass {
		if n < 100 {
			t.Errorf("only %d slots went to %s", n, class)
		}
	}

	g.hours(21*24, 0)
	lists := g.lists()
	if len(lists.Due)+len(lists.New) > 0 {
		t.Errorf("three weeks without votes leave %d due and %d new", len(lists.Due), len(lists.New))
	}
	last := g.report[len(g.report)-1]
	if last[New] != 0 || last[Old] != 20 && len(lists.Old) > 0 {
		t.Errorf("the last run was %v: the slots of new ones go to old scores", last)
	}
}

// New NFTs with many votes arrive faster than they can be scored, for weeks.
// One with a single vote is scored all the same, and within its bound: window
// checks that for every NFT.
func TestNoneStarves(t *testing.T) {
	const hours = 14 * 24
	for _, size := range []int{2, 5, 20} {
		g := newGame(t, hours*size, Defaults().Sized(size))
		next := 0
		for hour := range hours {
			g.now = g.settings.Next(g.now).Start
			for range size {
				c := g.nfts[next]
				next++
				c.WaitingSince, c.Votes = g.now.Add(-time.Minute), int64(100+hour)
				if next%size == 1 {
					c.Votes = 1
				}
			}
			g.window()
		}
		unpopular := 0
		for _, c := range g.nfts {
			if c.Votes == 1 && !c.ScoredAt.IsZero() {
				unpopular++
			}
		}
		if unpopular == 0 {
			t.Errorf("size %d: no NFT with one vote was scored", size)
		}
	}
}

// Every tenth computation fails: it is tried again after its back-off, not
// sooner, and what fails every time ends in the failed list after Tries.
func TestFailuresAreRetried(t *testing.T) {
	g := newGame(t, 500, Defaults())
	n := 0
	g.fails = func() bool { n++; return n%10 == 0 }
	g.hours(7*24, 100)
	lists := g.lists()
	if len(lists.New) > 20 {
		t.Errorf("%d new NFTs wait after a week in which one of ten computations failed", len(lists.New))
	}

	g.fails = func() bool { return true }
	g.hours(14*24, 0)
	if len(g.failed) < 100 {
		t.Errorf("only %d NFTs are in the failed list", len(g.failed))
	}
	for nft, tries := range g.failed {
		if tries != g.settings.Retry.Tries {
			t.Errorf("NFT %d failed %d times, want %d", nft, tries, g.settings.Retry.Tries)
		}
	}
}

// The process is down for two days: the backlog waits, one run catches up, and
// then there is one per window again.
func TestDowntime(t *testing.T) {
	g := newGame(t, 1000, Defaults())
	g.hours(24, 100)
	before := g.runs
	g.now = g.now.Add(48*time.Hour + 20*time.Minute)
	g.vote(4800)
	g.window()
	if w, ok := g.settings.ToRun(g.last, g.now); ok {
		t.Fatalf("window %s runs too", w.Name())
	}
	g.hours(5, 100)
	if got := g.runs - before; got != 6 {
		t.Errorf("%d runs after two days of downtime and five hours, want 6", got)
	}
}
