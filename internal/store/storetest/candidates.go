package storetest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"poa/internal/store"
	"poa/internal/trigger"
)

// population is a store with NFTs in every state a batch can find them in, and
// what it holds.
type population struct {
	*service
	ratings    []store.Rating
	collection map[int64]string // by NFT
	active     map[string]bool
	failures   map[int64]store.Failure
}

// populate makes the same NFTs each time. Few different votes and times make
// many ties.
func populate(t *testing.T, open opener) *population {
	t.Helper()
	p := &population{
		service: open.service(t), collection: map[int64]string{}, active: map[string]bool{}, failures: map[int64]store.Failure{},
	}
	random := rand.New(rand.NewPCG(1, 2))
	var registered []store.NFT
	var all []string
	for i := range 400 {
		collection := fmt.Sprint("c", random.IntN(8))
		registered = append(registered, store.NFT{ID: fmt.Sprintf("n%03d", i), Name: fmt.Sprint("NFT ", i), Collection: collection})
		all = append(all, registered[i].ID)
		p.active[collection] = collection != "c3" && collection != "c5"
	}
	p.putNFTs(registered, false)
	p.update(func(ctx context.Context, tx store.Tx) error { return ensure(ctx, tx, all, nil) })
	for name, active := range p.active {
		p.must(p.SetCollectionActive(t.Context(), name, active))
	}
	p.ratings = p.fixture.ratings(all...)
	at := func(n int) time.Time { return base.Add(-time.Duration(random.IntN(n)) * time.Hour) }
	var c store.Changes
	for i := range p.ratings {
		r := &p.ratings[i]
		p.collection[r.NFT] = registered[i].Collection
		r.Votes = int64(random.IntN(6))
		switch random.IntN(3) {
		case 0:
			r.WaitingSince = at(10)
			c.Counters = append(c.Counters, store.Delta{Name: store.CountReady, Collection: r.Collection, By: 1})
		case 1:
			s := score(*r, 50, 20, 1)
			s.Aging, s.ComputedAt = random.IntN(4) > 0, at(48)
			r.Score = &s
			c.Scores = append(c.Scores, s)
		}
		if random.IntN(3) == 0 {
			r.Due = store.Due{Since: at(5), Reason: string(trigger.Super), Priority: trigger.Priority(random.IntN(3))}
		}
		if random.IntN(8) == 0 {
			f := store.Failure{NFT: r.NFT, ID: r.ID, Error: "broken", Tries: 1 + random.IntN(3), FirstAt: at(9), LastAt: at(9), Run: 3}
			if random.IntN(3) > 0 {
				f.NextTry = base.Add(time.Duration(random.IntN(5)-3) * time.Hour)
			}
			p.failures[r.NFT] = f
			c.Failures = append(c.Failures, f)
		}
		c.Ratings = append(c.Ratings, *r)
	}
	slices.SortFunc(c.Counters, func(a, b store.Delta) int { return cmp.Compare(a.Collection, b.Collection) })
	p.apply(&c)
	return p
}

// choose returns the candidates that pass, in order, up to limit.
func (p *population) choose(w store.Wanted, limit int, pass func(*store.Rating) bool, order func(a, b *store.Rating) int) []store.Candidate {
	var chosen []*store.Rating
	for i := range p.ratings {
		r := &p.ratings[i]
		name := p.collection[r.NFT]
		if w.Collection == nil && !p.active[name] || w.Collection != nil && name != *w.Collection {
			continue
		}
		if f, failed := p.failures[r.NFT]; failed && (f.NextTry.IsZero() || f.NextTry.After(w.Now)) {
			continue
		}
		if pass(r) {
			chosen = append(chosen, r)
		}
	}
	slices.SortFunc(chosen, func(a, b *store.Rating) int { return cmp.Or(order(a, b), cmp.Compare(a.NFT, b.NFT)) })
	var candidates []store.Candidate
	for _, r := range chosen[:min(limit, len(chosen))] {
		c := store.Candidate{
			NFT: r.NFT, ID: r.ID, Collection: p.collection[r.NFT], Votes: r.Votes, Due: r.Due, WaitingSince: r.WaitingSince,
			Tries: p.failures[r.NFT].Tries,
		}
		if r.Score != nil {
			c.ComputedAt = r.Score.ComputedAt
		}
		candidates = append(candidates, c)
	}
	return candidates
}

func (p *population) candidates(w store.Wanted) store.Candidates {
	owes := func(r *store.Rating) int {
		if r.Due.Since.IsZero() {
			return 0
		}
		return 1
	}
	failed := func(r *store.Rating) bool {
		_, failed := p.failures[r.NFT]
		return failed
	}
	waits := func(r *store.Rating) bool { return !r.WaitingSince.IsZero() }
	return store.Candidates{
		Due: p.choose(w, w.Due, func(r *store.Rating) bool { return failed(r) || owes(r) == 1 },
			func(a, b *store.Rating) int { // failures that owe nothing last, by time
				if o := cmp.Compare(owes(b), owes(a)); o != 0 || owes(a) == 0 {
					return cmp.Or(o, p.failures[a.NFT].NextTry.Compare(p.failures[b.NFT].NextTry))
				}
				return cmp.Or(cmp.Compare(b.Due.Priority, a.Due.Priority), a.Due.Since.Compare(b.Due.Since))
			}),
		ByVotes:   p.choose(w, w.ByVotes, waits, func(a, b *store.Rating) int { return cmp.Compare(b.Votes, a.Votes) }),
		ByWaiting: p.choose(w, w.ByWaiting, waits, func(a, b *store.Rating) int { return a.WaitingSince.Compare(b.WaitingSince) }),
		Old: p.choose(w, w.Old,
			func(r *store.Rating) bool {
				return r.Score != nil && r.Score.Aging && r.Score.ComputedAt.Before(w.OldBefore)
			},
			func(a, b *store.Rating) int { return a.Score.ComputedAt.Compare(b.Score.ComputedAt) }),
	}
}

func testCandidates(t *testing.T, open opener) {
	p := populate(t, open)
	check := func(what string, w store.Wanted) {
		t.Helper()
		got, err := p.Candidates(t.Context(), w)
		p.must(err)
		p.same(what, p.candidates(w), got)
	}
	for _, n := range []int{0, 1, 2, 7, 20, 1000} {
		for hours := range 3 {
			w := store.Wanted{
				Now: base.Add(time.Duration(hours-1) * time.Hour), OldBefore: base.Add(-time.Duration(12*hours) * time.Hour),
				Due: n, ByVotes: n, ByWaiting: n, Old: n,
			}
			check(fmt.Sprint(n, " of all, ", hours), w)
			for _, name := range []string{"c0", "c3", "", "none"} { // c3 is inactive, the last two have no NFTs
				w.Collection = &name
				check(fmt.Sprintf("%d of %q", n, name), w)
			}
		}
	}
	check("only due", store.Wanted{Now: base, Due: 3})
	check("only old", store.Wanted{Now: base, Old: 3, OldBefore: base})
}

func testBacklog(t *testing.T, open opener) {
	p := populate(t, open)
	var want store.Backlog
	older := func(oldest *time.Time, at time.Time) {
		if oldest.IsZero() || at.Before(*oldest) {
			*oldest = at
		}
	}
	oldBefore := base.Add(-24 * time.Hour)
	for _, r := range p.ratings {
		if !p.active[p.collection[r.NFT]] {
			continue
		}
		if !r.Due.Since.IsZero() {
			want.Due++
			older(&want.OldestDue, r.Due.Since)
		} else if f, failed := p.failures[r.NFT]; failed && !f.NextTry.IsZero() {
			want.Due++
		}
		if !r.WaitingSince.IsZero() {
			want.New++
			older(&want.OldestNew, r.WaitingSince)
		}
		if r.Score != nil && r.Score.Aging && r.Score.ComputedAt.Before(oldBefore) {
			want.Old++
		}
	}
	backlog := func(limit int64) store.Backlog {
		t.Helper()
		got, err := p.Backlog(t.Context(), oldBefore, limit)
		p.must(err)
		return got
	}
	p.same("before counters are merged", want, backlog(1000))
	p.must(p.MergeCounters(t.Context()))
	p.same("afterwards", want, backlog(1000))
	want.Old = 5
	p.same("old up to a limit", want, backlog(5))

	empty := open.service(t)
	got, err := empty.Backlog(t.Context(), oldBefore, 10)
	empty.must(err)
	empty.same("of an empty store", store.Backlog{}, got)
}
