package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/store"
)

func testPeople(t *testing.T, open opener) {
	s := open.service(t)
	ctx := t.Context()
	put := func(name string, role store.Role) store.Person {
		t.Helper()
		p := store.Person{Name: name, Role: role, CreatedAt: base, CreatedBy: "ann"}
		stored, err := s.PutPerson(ctx, p)
		s.must(err)
		p.Number = stored.Number
		s.same("stored person", p, stored)
		return stored
	}
	people := func() []store.Person {
		t.Helper()
		all, err := s.People(ctx)
		s.must(err)
		return all
	}
	refused := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	// save writes a whole person.
	save := func(p store.Person) error {
		got, err := s.ChangePerson(ctx, p.Number, func(now *store.Person) error {
			*now = p
			return nil
		})
		if err == nil {
			s.same("the person as changed", p, got)
		}
		return err
	}
	s.same("nobody", []store.Person(nil), people())
	eve, ann := put("eve", store.Viewer), put("ann", store.Operator)
	s.same("people by name", []store.Person{ann, eve}, people())
	_, err := s.PutPerson(ctx, store.Person{Name: "ann", Role: store.Viewer, CreatedAt: base})
	refused("a name in use", err, store.ErrNameTaken)
	for _, p := range []store.Person{ann, eve} {
		byName, err := s.PersonByName(ctx, p.Name)
		s.must(err)
		byNumber, err := s.PersonByNumber(ctx, p.Number)
		s.must(err)
		s.same("by name", p, byName)
		s.same("by number", p, byNumber)
	}
	_, err = s.PersonByName(ctx, "Ann")
	refused("an unknown name", err, store.ErrNotFound)
	_, err = s.PersonByNumber(ctx, 1<<40)
	refused("an unknown number", err, store.ErrNotFound)

	ann.PasswordHash = "$argon2id$v=19$x"
	s.must(save(ann))
	renamed := eve
	renamed.DisabledAt, renamed.Name, renamed.CreatedBy, renamed.LastSeen = base, "other", "other", base // of these only the first is written
	s.must(save(renamed))
	eve.DisabledAt = base
	s.same("saved", []store.Person{ann, eve}, people())
	refused("saving nobody", save(store.Person{Number: 1 << 40}), store.ErrNotFound)

	broken := errors.New("broken")
	_, err = s.ChangePerson(ctx, ann.Number, func(now *store.Person) error {
		s.same("as it is", ann, *now)
		now.Role = store.Viewer
		return broken
	})
	refused("a change that fails", err, broken)
	s.same("after a change that failed", []store.Person{ann, eve}, people())

	// Eve does not count while she is disabled or a viewer.
	demoted, disabled := ann, ann
	demoted.Role, disabled.DisabledAt = store.Viewer, base
	eve.Role = store.Operator
	s.must(save(eve))
	refused("demoting the last operator", save(demoted), store.ErrLastOperator)
	refused("disabling the last operator", save(disabled), store.ErrLastOperator)
	s.same("after refusals", []store.Person{ann, eve}, people())
	eve.DisabledAt = time.Time{}
	s.must(save(eve))
	s.must(save(demoted))
	s.same("the other operates", []store.Person{demoted, eve}, people())

	s.must(s.TouchPeople(ctx, nil))
	s.must(s.TouchPeople(ctx, map[int64]time.Time{ann.Number: base.Add(time.Hour), eve.Number: base, 1 << 40: base}))
	s.must(s.TouchPeople(ctx, map[int64]time.Time{ann.Number: base})) // told late
	demoted.LastSeen, eve.LastSeen = base.Add(time.Hour), base
	s.same("seen", []store.Person{demoted, eve}, people())

	t.Run("one after the other", func(t *testing.T) {
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error {
				_, err := s.ChangePerson(ctx, ann.Number, func(p *store.Person) error {
					p.PasswordHash += fmt.Sprint(i)
					return nil
				})
				return err
			})
		}
		s.must(g.Wait())
		p, err := s.PersonByNumber(ctx, ann.Number)
		s.must(err)
		s.same("length of the hash that eight added to", len(ann.PasswordHash)+8, len(p.PasswordHash))
	})

	t.Run("at once", func(t *testing.T) {
		var all []store.Person
		for i := range 6 {
			all = append(all, put(fmt.Sprint("operator ", i), store.Operator))
		}
		all = append(all, eve)
		var refused atomic.Int64
		var g errgroup.Group
		for i := range all {
			g.Go(func() error {
				p := all[i]
				p.Role = store.Viewer
				err := save(p)
				if errors.Is(err, store.ErrLastOperator) {
					refused.Add(1)
					return nil
				}
				return err
			})
		}
		s.must(g.Wait())
		left := slices.DeleteFunc(people(), func(p store.Person) bool { return !p.Operates() })
		if refused.Load() != 1 || len(left) != 1 {
			t.Errorf("%d refusals, %d operators are left", refused.Load(), len(left))
		}
	})
}

func testLinks(t *testing.T, open opener) {
	s := open.service(t)
	ctx := t.Context()
	link := func(hash byte, purpose store.LinkPurpose, person int64, minute int) store.Link {
		t.Helper()
		l := store.Link{
			Hash: []byte{hash, 0, 255}, Purpose: purpose, Person: person, Name: "ünï", Role: store.Viewer,
			CreatedAt: base.Add(time.Duration(minute) * time.Minute), CreatedBy: "ann", ExpiresAt: base.Add(time.Hour),
		}
		s.must(s.PutLink(ctx, l))
		return l
	}
	links := func(now time.Time) []store.Link {
		t.Helper()
		all, err := s.Links(ctx, now)
		s.must(err)
		return all
	}
	invite, reset, again := link(1, store.InviteLink, 0, 1), link(2, store.ResetLink, 7, 3), link(3, store.ResetLink, 7, 2)
	s.same("the newest first", []store.Link{reset, again, invite}, links(base))
	s.same("all expired", []store.Link(nil), links(base.Add(time.Hour)))
	if err := s.PutLink(ctx, invite); err == nil {
		t.Error("a link was stored twice")
	}
	for what, take := range map[string]func(context.Context, []byte, store.LinkPurpose, time.Time) (store.Link, error){
		"FindLink": s.FindLink, "TakeLink": s.TakeLink,
	} {
		for why, err := range map[string]error{
			"unknown":            second(take(ctx, []byte{9}, store.InviteLink, base)),
			"of another purpose": second(take(ctx, invite.Hash, store.ResetLink, base)),
			"expired":            second(take(ctx, invite.Hash, store.InviteLink, invite.ExpiresAt)),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s of a link that is %s: %v, want ErrNotFound", what, why, err)
			}
		}
	}
	found, err := s.FindLink(ctx, invite.Hash, store.InviteLink, base)
	s.must(err)
	s.same("found", invite, found)

	var taken atomic.Int64
	var g errgroup.Group
	for range 6 {
		g.Go(func() error {
			got, err := s.TakeLink(ctx, invite.Hash, store.InviteLink, invite.ExpiresAt.Add(-time.Microsecond))
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			taken.Add(1)
			same(t, "taken", invite, got)
			return err
		})
	}
	s.must(g.Wait())
	if taken.Load() != 1 {
		t.Errorf("a link was taken %d times", taken.Load())
	}
	s.same("after it was taken", []store.Link{reset, again}, links(base))

	link(4, store.SignInLink, 7, 4)
	other := link(5, store.ResetLink, 8, 5)
	deleted := func(purpose store.LinkPurpose, person, want int64) {
		t.Helper()
		n, err := s.DeleteLinks(ctx, purpose, person)
		s.must(err)
		s.same(fmt.Sprintf("%q links of %d", purpose, person), want, n)
	}
	deleted(store.ResetLink, 7, 2)
	deleted("", 7, 1)
	s.same("of another person", []store.Link{other}, links(base))
	deleted(store.ResetLink, 0, 1)
	deleted("", 0, 0)
}

func second[A, B any](_ A, b B) B { return b }

func testSessions(t *testing.T, open opener) {
	s := open.service(t)
	ctx := t.Context()
	ann, err := s.PutPerson(ctx, store.Person{Name: "ann", Role: store.Operator, CreatedAt: base})
	s.must(err)
	session := func(hash byte, person int64) store.Session {
		return store.Session{Hash: []byte{hash}, Person: person, Data: []byte{0, hash, 255}, ExpiresAt: base.Add(time.Hour)}
	}
	there := func(what string, want ...store.Session) {
		t.Helper()
		var got []store.Session
		for _, hash := range []byte{1, 2, 3, 4} {
			found, err := s.FindSession(ctx, []byte{hash}, base)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			s.must(err)
			got = append(got, found)
		}
		s.same(what, want, got)
	}
	var last int64
	version := func(what string, raised bool) {
		t.Helper()
		now, err := s.AccessVersion(ctx)
		s.must(err)
		if raised && now <= last || !raised && now != last {
			t.Errorf("%s: the version of who has access was %d and is %d, raised should be %v", what, last, now, raised)
		}
		last = now
	}
	version("at first", false)
	all := []store.Session{session(1, 0), session(2, ann.Number), session(3, ann.Number), session(4, ann.Number+1)}
	for _, x := range all {
		s.must(s.PutSession(ctx, x))
	}
	there("stored", all...)
	all[0].Person, all[0].Data, all[0].ExpiresAt = ann.Number, []byte("more"), base.Add(2*time.Hour)
	s.must(s.ReplaceSession(ctx, all[0]))
	there("replaced", all...)
	if _, err := s.FindSession(ctx, all[1].Hash, all[1].ExpiresAt); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an expired session: %v, want ErrNotFound", err)
	}
	s.must(s.TouchPeople(ctx, map[int64]time.Time{ann.Number: base}))
	ann.LastSeen = base
	version("stored, replaced and seen", false)
	s.must(s.DeleteSession(ctx, all[2].Hash))
	version("ended", true)
	s.must(s.DeleteSession(ctx, all[2].Hash))
	version("ended that had ended", false)
	there("ended", all[0], all[1], all[3])
	if err := s.ReplaceSession(ctx, all[2]); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("replacing a session that has ended: %v, want ErrNotFound", err)
	}
	there("replacing one that has ended", all[0], all[1], all[3])

	n, err := s.DeleteSessionsOf(ctx, ann.Number, base.Add(time.Minute))
	s.must(err)
	s.same("ended everywhere", int64(2), n)
	version("ended everywhere", true)
	there("of another person", all[3])
	ann.SignedOutAt = base.Add(time.Minute)
	found, err := s.PersonByNumber(ctx, ann.Number)
	s.must(err)
	s.same("signed out", ann, found)
	if _, err := s.DeleteSessionsOf(ctx, 1<<40, base); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("signing nobody out: %v, want ErrNotFound", err)
	}
	version("signing nobody out", false)

	change := func(change func(*store.Person)) error {
		_, err := s.ChangePerson(ctx, ann.Number, func(p *store.Person) error { change(p); return nil })
		return err
	}
	if err := change(func(p *store.Person) { p.Role = store.Viewer }); !errors.Is(err, store.ErrLastOperator) {
		t.Errorf("making the last operator a viewer: %v, want ErrLastOperator", err)
	}
	version("a change that is refused", false)
	s.must(change(func(p *store.Person) { p.PasswordHash = "another" }))
	version("changing an operator", true)
	s.must(second(s.PutPerson(ctx, store.Person{Name: "bob", Role: store.Operator, CreatedAt: base})))
	version("adding a person", false)
	s.must(change(func(p *store.Person) { p.Role = store.Viewer }))
	version("making somebody a viewer", true)
	s.must(change(func(p *store.Person) { p.DisabledAt = base }))
	version("disabling a viewer", true)
}

func testVoters(t *testing.T, open opener) {
	s := open.service(t)
	ctx := t.Context()
	names := []string{"0xb/2", "0xA/1", "0xb/10", "z\ud7ff", "0xb/1", "q%_1", "z\ue000", "q%x1"}
	all := s.voters(names...)
	n := s.rated("c", "n1")
	byID := func(id string) store.Voter { return all[slices.Index(names, id)] }
	s.view(func(ctx context.Context, v store.View) error {
		got, err := v.Voter(ctx, "0xb/10")
		s.same("by id", byID("0xb/10"), got)
		if _, err := v.Voter(ctx, "0xB/10"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown voter: %v, want ErrNotFound", err)
		}
		if _, again := v.Voter(ctx, "0xA/1"); again != nil {
			t.Errorf("after an unknown voter: %v", again)
		}
		return err
	})
	newest := slices.Clone(all)
	slices.Reverse(newest)
	for search, want := range map[string][]store.Voter{
		"":        newest,
		"0xb/":    {byID("0xb/1"), byID("0xb/10"), byID("0xb/2")},
		"0xb/1":   {byID("0xb/1"), byID("0xb/10")},
		"q%_":     {byID("q%_1")},
		"z\ud7ff": {byID("z\ud7ff")},
		"b":       nil,
	} {
		for _, limit := range []int{1, 2, 100} {
			var got []store.Voter
			for q := (store.VoterQuery{Search: search, Limit: limit}); ; {
				page, err := s.ListVoters(ctx, q)
				s.must(err)
				got = append(got, page...)
				if len(page) < limit {
					break
				}
				q.After = page[len(page)-1].Number
			}
			s.same(fmt.Sprintf("%q by %d", search, limit), want, got)
		}
	}
	if _, err := s.ListVoters(ctx, store.VoterQuery{Search: "q", After: 1 << 40, Limit: 5}); err == nil {
		t.Error("a search went on after a voter that does not exist")
	}

	recent := func(limit int) []string {
		t.Helper()
		found, err := s.RecentVoters(ctx, limit)
		s.must(err)
		return ids(found, func(v store.Voter) string { return v.ID })
	}
	s.same("nobody voted", []string(nil), recent(5))
	var c store.Changes
	c.Votes = append(c.Votes, fireVote("too long ago", byID("q%x1"), n[0]))
	for i := range store.RecentDepth {
		c.Votes = append(c.Votes, fireVote(fmt.Sprint("k", i), all[min(i, 1)], n[0])) // one of the first, then the second's
	}
	c.Votes[500].Voter, c.Votes[500].VoterID = byID("0xb/1").Number, "0xb/1"
	s.apply(&c)
	s.same("who voted last", []string{"0xA/1", "0xb/1", "0xb/2"}, recent(5))
	s.same("the last two", []string{"0xA/1", "0xb/1"}, recent(2))
}

func testCollectionsAfter(t *testing.T, open opener) {
	s := open.service(t)
	s.rated("b", "n1", "n2")
	s.rated("", "n3")
	s.rated("B", "n4")
	s.rated("bé", "n5")
	s.apply(&store.Changes{Counters: []store.Delta{{Name: store.CountVotes, Collection: s.collection("b"), By: 7}}})
	s.view(func(ctx context.Context, v store.View) error {
		all, err := v.Collections(ctx)
		s.must(err)
		for limit := 1; limit <= len(all)+1; limit++ {
			var got []store.Collection
			var after *string
			for {
				page, err := v.CollectionsAfter(ctx, after, limit)
				s.must(err)
				if got = append(got, page...); len(page) < limit {
					break
				}
				after = &page[limit-1].Name
			}
			s.same(fmt.Sprintf("collections by %d", limit), all, got)
		}
		return nil
	})
}

// collection returns the number of a collection, 0 where there is none.
func (f *fixture) collection(name string) (number int64) {
	f.view(func(ctx context.Context, v store.View) error {
		all, err := v.Collections(ctx)
		for _, c := range all {
			if c.Name == name {
				number = c.Number
			}
		}
		return err
	})
	return number
}

func testRecentlyComputed(t *testing.T, open opener) {
	s := open.service(t)
	n := s.rated("c", "n1", "n2", "n3", "long ago")
	var c store.Changes
	log := func(nft store.Rating, kind store.ActivityKind) {
		c.Activity = append(c.Activity, store.Activity{
			At: base.Add(time.Duration(len(c.Activity)) * time.Second), Kind: kind, NFT: nft.NFT, NFTID: nft.ID,
			Reason: "super", Reasons: map[string]int{"super": 1}, Basis: store.Incremental,
		})
	}
	log(n[3], store.Computed)
	for range store.RecentDepth - 7 {
		log(n[0], store.Computed)
	}
	log(n[1], store.Computed)
	log(n[2], store.Deferred)
	log(n[1], store.Computed)
	log(n[0], store.Computed)
	log(store.Rating{}, store.RunStarted)
	log(n[1], store.Withdrawn)
	s.apply(&store.Changes{Scores: []store.Score{score(n[0], 80, 20, 1), score(n[3], 60, 20, 1)}, Activity: c.Activity})
	recent := func(limit int) []string {
		t.Helper()
		found, err := s.RecentlyComputed(t.Context(), limit)
		s.must(err)
		for _, r := range found {
			s.same("rating", s.rating(r.NFT.ID), r.Rating)
			if r.NFT.ID != r.Activity.NFTID || r.Activity.Kind != store.Computed || r.NFT.ImageURL == "" {
				t.Errorf("%+v is told with %+v", r.NFT, r.Activity)
			}
		}
		return ids(found, func(r store.Recent) string { return fmt.Sprint(r.NFT.ID, " ", r.Activity.At.Sub(base)) })
	}
	at := func(id string, i int) string { return fmt.Sprint(id, " ", time.Duration(i)*time.Second) }
	s.same("the latest first", []string{at("n1", store.RecentDepth-3), at("n2", store.RecentDepth-4), at("long ago", 0)}, recent(10))
	s.same("the latest", []string{at("n1", store.RecentDepth-3)}, recent(1))
	s.apply(&store.Changes{Activity: []store.Activity{c.Activity[len(c.Activity)-2]}})
	s.same("not looked at any more", []string{at("n1", store.RecentDepth-3), at("n2", store.RecentDepth-4)}, recent(10))
}

func testTriggerCandidates(t *testing.T, open opener) {
	p := populate(t, open)
	for _, votes := range []int64{0, 3, 5, 6} {
		var want []store.Candidate
		for _, r := range p.ratings {
			if p.active[p.collection[r.NFT]] && !r.WaitingSince.IsZero() && r.Votes >= votes {
				want = append(want, store.Candidate{
					NFT: r.NFT, ID: r.ID, Collection: p.collection[r.NFT], Votes: r.Votes, Due: r.Due, WaitingSince: r.WaitingSince,
					Tries: p.failures[r.NFT].Tries,
				})
			}
		}
		slices.SortFunc(want, func(a, b store.Candidate) int {
			return cmp.Or(cmp.Compare(b.Votes, a.Votes), cmp.Compare(a.NFT, b.NFT))
		})
		for _, limit := range []int{0, 3, 20, 1000} {
			got, err := p.TriggerCandidates(t.Context(), votes, limit)
			p.must(err)
			p.same(fmt.Sprintf("%d votes, by %d", votes, limit), want[:min(limit, len(want))], got)
		}
	}
}

func testSettingAudit(t *testing.T, open opener) {
	s := open.service(t)
	var all []store.AuditEntry
	for i := range 20 {
		c := store.SettingChange{Name: []string{"a", "b", "c"}[i%3], To: fmt.Sprint(i), Who: "ann", Why: "ünï", At: base.Add(time.Duration(i) * time.Minute)}
		s.must(s.PutSettings(t.Context(), store.AnyVersion, []store.SettingChange{c}, store.Activity{At: c.At, Kind: store.SettingsChanged, Who: c.Who}))
		if i >= 3 {
			c.From = fmt.Sprint(i - 3)
		}
		all = append(all, store.AuditEntry{SettingChange: c})
	}
	slices.Reverse(all)
	for _, name := range []string{"", "b", "none"} {
		for _, limit := range []int{1, 6, 100} {
			var want, got []store.AuditEntry
			for _, e := range all {
				if name == "" || e.Name == name {
					want = append(want, e)
				}
			}
			for q := (store.SettingQuery{Name: name, Limit: limit}); ; {
				page, err := s.ListSettingChanges(t.Context(), q)
				s.must(err)
				for _, e := range page {
					q.Before, e.Number = e.Number, 0
					got = append(got, e)
				}
				if len(page) < limit {
					break
				}
			}
			s.same(fmt.Sprintf("of %q by %d", name, limit), want, got)
		}
	}
}

func testSearchActivity(t *testing.T, open opener) {
	s := open.service(t)
	n := append(s.rated("c1", "n1", "n2"), s.rated("c2", "n3")...)
	var all []store.Activity
	const rare = 700
	for i := range store.ActivityDepth * 5 / 4 {
		a := store.Activity{
			At: base.Add(time.Duration(i) * time.Second), Kind: store.Computed, Reason: []string{"super", "batch", "fire"}[i%3],
			Reasons: map[string]int{}, Run: int64(i % 5), Who: fmt.Sprint(i),
		}
		switch i % 4 {
		case 0:
			a.Kind, a.Reason = store.RunStarted, "batch"
		default:
			a.NFT, a.NFTID = n[i%4-1].NFT, n[i%4-1].ID
		}
		if i == rare {
			a.Reason = "rare"
		}
		all = append(all, a)
	}
	for chunk := range slices.Chunk(all, 2000) {
		s.apply(&store.Changes{Activity: chunk})
	}
	collections := []string{"c1", "c2", "none"}
	for what, q := range map[string]store.ActivitySearch{
		"all":                         {},
		"of a reason":                 {Reason: "fire"},
		"of a rare reason":            {Reason: "rare"},
		"of no such reason":           {Reason: "none"},
		"of a collection":             {Collection: &collections[1]},
		"of a reason in one":          {Reason: "super", Collection: &collections[0]},
		"of an unknown collection":    {Collection: &collections[2]},
		"of an NFT and reason":        {Reason: "rare", ActivityQuery: store.ActivityQuery{NFT: all[rare+1].NFT}},
		"of a run and reason":         {Reason: "fire", ActivityQuery: store.ActivityQuery{Run: 3}},
		"of a kind and reason":        {Reason: "batch", ActivityQuery: store.ActivityQuery{Kind: store.RunStarted}},
		"of a kind and collection":    {Collection: &collections[0], ActivityQuery: store.ActivityQuery{Kind: store.Computed}},
		"since, of a reason":          {Reason: "fire", ActivityQuery: store.ActivityQuery{Since: base.Add(3 * time.Hour)}},
		"until, of a reason":          {Reason: "fire", ActivityQuery: store.ActivityQuery{Until: base.Add(time.Hour)}},
		"by hand, of a reason":        {Reason: "fire", ActivityQuery: store.ActivityQuery{ByHand: true}},
		"by hand, of a collection":    {Collection: &collections[0], ActivityQuery: store.ActivityQuery{ByHand: true}},
		"of another NFT's collection": {Collection: &collections[1], ActivityQuery: store.ActivityQuery{NFT: n[0].NFT}},
	} {
		var want []string
		for _, a := range slices.Backward(all) {
			in := q.Collection == nil || *q.Collection == "c1" && (a.NFT == n[0].NFT || a.NFT == n[1].NFT) || *q.Collection == "c2" && a.NFT == n[2].NFT
			if in && (q.Reason == "" || a.Reason == q.Reason) && (q.NFT == 0 || a.NFT == q.NFT) && (q.Run == 0 || a.Run == q.Run) &&
				(q.Kind == "" || a.Kind == q.Kind) && (!q.ByHand || a.Run == 0 && a.NFT != 0) && !a.At.Before(q.Since) && (q.Until.IsZero() || a.At.Before(q.Until)) {
				want = append(want, a.Who)
			}
		}
		q.Limit = 1500
		var got []string
		for pages := 1; ; pages++ {
			page, next, err := s.SearchActivity(t.Context(), q)
			s.must(err)
			got = append(got, ids(page, func(a store.Activity) string { return a.Who })...)
			if next == 0 {
				break
			}
			if q.Before != 0 && next >= q.Before || pages > 20 {
				t.Fatalf("%s: page %d goes on at %d", what, pages, next)
			}
			q.Before = next
		}
		s.same(what, want, got)
	}
	page, next, err := s.SearchActivity(t.Context(), store.ActivitySearch{Reason: "rare", ActivityQuery: store.ActivityQuery{Limit: 5}})
	s.must(err)
	if len(page) != 0 || next == 0 {
		t.Errorf("what is beyond the depth was found at once: %v, next %d", page, next)
	}
	empty := open.service(t)
	page, next, err = empty.SearchActivity(t.Context(), store.ActivitySearch{Reason: "super", ActivityQuery: store.ActivityQuery{Limit: 5}})
	empty.must(err)
	if len(page) != 0 || next != 0 {
		t.Errorf("an empty store has %v, next %d", page, next)
	}
}

func testDistribution(t *testing.T, open opener) {
	s := open.service(t)
	s.rated("a", "n1")
	s.rated("b", "n2")
	a, b, none := "a", "b", "none"
	in := func(poa float64, collection, by int64) store.Delta {
		return store.Delta{Name: store.BinCounter(poa), Collection: collection, By: by}
	}
	numbers := []int64{s.collection(a), s.collection(b)}
	s.apply(&store.Changes{Counters: []store.Delta{in(0, numbers[0], 3), in(4.99, numbers[1], 2), in(5, numbers[0], 4), in(100, numbers[0], 5)}})
	s.must(s.MergeCounters(t.Context()))
	s.apply(&store.Changes{Counters: []store.Delta{in(5, numbers[0], -1), in(95, numbers[1], 7), {Name: store.CountScored, Collection: numbers[1], By: 7}}})
	for _, c := range []struct {
		collection *string
		want       store.Bins
	}{
		{nil, store.Bins{0: 5, 1: 3, 19: 12}},
		{&a, store.Bins{0: 3, 1: 3, 19: 5}},
		{&b, store.Bins{0: 2, 19: 7}},
		{&none, store.Bins{}},
	} {
		got, err := s.Distribution(t.Context(), c.collection)
		s.must(err)
		s.same("distribution", c.want, got)
	}

	t.Run("moves", func(t *testing.T) {
		s := open.service(t)
		r := s.rated("a", "n1", "n2")
		s.apply(&store.Changes{
			Scores:   []store.Score{score(r[0], 34.99, 20, 1), score(r[1], 35, 20, 1)},
			Counters: []store.Delta{in(34.99, r[0].Collection, 1), in(35, r[0].Collection, 1)},
		})
		s.put("b", "n1")
		for name, want := range map[string]store.Bins{"a": {7: 1}, "b": {6: 1}} {
			got, err := s.Distribution(t.Context(), &name)
			s.must(err)
			s.same("of "+name, want, got)
		}
	})
}

func testSamples(t *testing.T, open opener) {
	s := open.service(t)
	ctx := t.Context()
	noon := base.Truncate(time.Hour)
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	sample := func(minute int, name string, value int64) store.Sample {
		return store.Sample{At: at(minute), Name: name, Value: value}
	}
	samples := func(from, until, minutes int) []store.Sample {
		t.Helper()
		all, err := s.Samples(ctx, at(from), at(until), minutes)
		s.must(err)
		return all
	}
	const gauge = store.GaugePrefix + "x"
	s.must(s.AddSamples(ctx, nil))
	s.must(s.AddSamples(ctx, []store.Sample{sample(0, "a", 3), sample(0, gauge, 9), sample(1, "a", 4), {At: at(12).Add(59 * time.Second), Name: "b", Value: 1}}))
	s.must(s.AddSamples(ctx, []store.Sample{sample(1, "a", 5), sample(1, gauge, 7), sample(0, gauge, 8), sample(-1, "a", 100)})) // another process
	s.same("by the minute", []store.Sample{
		sample(-1, "a", 100), sample(0, "a", 3), sample(0, gauge, 9), sample(1, "a", 9), sample(1, gauge, 7), sample(12, "b", 1),
	}, samples(-60, 60, 1))
	s.same("from and until", []store.Sample{sample(0, "a", 3), sample(0, gauge, 9)}, samples(0, 1, 1))
	s.same("by ten minutes", []store.Sample{sample(-10, "a", 100), sample(0, "a", 12), sample(0, gauge, 9), sample(10, "b", 1)}, samples(-60, 60, 10))
	s.same("by the hour", []store.Sample{sample(-60, "a", 100), sample(0, "a", 12), sample(0, "b", 1), sample(0, gauge, 9)}, samples(-60, 60, 60))
	s.same("of a day", []store.Sample{
		{At: noon.Truncate(24 * time.Hour), Name: "a", Value: 112}, {At: noon.Truncate(24 * time.Hour), Name: "b", Value: 1},
		{At: noon.Truncate(24 * time.Hour), Name: gauge, Value: 9},
	}, samples(0, 24*60, 24*60))
	s.same("cut to a bin", samples(0, 10, 10), samples(9, 19, 10))
	s.same("by two minutes", []store.Sample{sample(-2, "a", 100), sample(0, "a", 12), sample(0, gauge, 9)}, samples(-2, 2, 2))

	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			return s.AddSamples(ctx, []store.Sample{sample(30, "b", 1), sample(31, "a", 2), sample(30, "a", 3)})
		})
	}
	s.must(g.Wait())
	s.same("at once", []store.Sample{sample(30, "a", 24), sample(30, "b", 8), sample(31, "a", 16)}, samples(30, 40, 1))
}

func testExpire(t *testing.T, open opener) {
	s := open.service(t)
	ctx := t.Context()
	base := base.Truncate(time.Hour)
	var samples []store.Sample
	for i := range 30 {
		samples = append(samples, store.Sample{At: base.Add(time.Duration(i) * time.Minute), Name: "a", Value: 1})
		s.must(s.PutSession(ctx, store.Session{Hash: []byte{byte(i)}, Data: []byte{1}, ExpiresAt: base.Add(time.Duration(i) * time.Minute)}))
	}
	s.must(s.AddSamples(ctx, samples))
	for i := range 4 {
		s.must(s.PutLink(ctx, store.Link{Hash: []byte{byte(i)}, Purpose: store.SetupLink, CreatedAt: base, ExpiresAt: base.Add(time.Duration(i) * time.Minute)}))
	}
	expire := func(now time.Time, limit int) (all int64) {
		t.Helper()
		for rounds := 0; ; rounds++ {
			n, more, err := s.Expire(ctx, now, limit)
			s.must(err)
			all += n
			if !more {
				return all
			}
			if rounds > 100 {
				t.Fatal("it does not end")
			}
		}
	}
	left := func(minutes int) (n int64) {
		t.Helper()
		all, err := s.Samples(ctx, base.Add(-time.Hour), base.Add(time.Hour), minutes)
		s.must(err)
		for _, x := range all {
			n += x.Value
		}
		return n
	}
	s.same("before anything is over", int64(0), expire(base.Add(-time.Second), 4))
	s.same("sessions and links", int64(11+4), expire(base.Add(10*time.Minute), 4))
	for i := range 30 {
		if _, err := s.FindSession(ctx, []byte{byte(i)}, base.Add(-time.Hour)); (err == nil) != (i > 10) {
			t.Errorf("session %d: %v", i, err)
		}
	}
	if n, more, err := s.Expire(ctx, base.Add(20*time.Minute), 4); err != nil || n < 1 || n > 6 || !more {
		t.Errorf("a step of 4 deletes %d, more: %v, %v", n, more, err)
	}
	s.same("minutes left", int64(30), left(1))
	expire(base.Add(store.MinutesKept+10*time.Minute), 4)
	s.same("minutes of the last 26 hours", int64(20), left(1))
	s.same("tens of minutes", int64(30), left(10))
	expire(base.Add(store.SamplesKept+20*time.Minute), 4)
	s.same("no minutes", int64(0), left(1))
	s.same("tens of minutes of eight days", int64(10), left(10))
	s.same("once more", int64(0), expire(base.Add(store.SamplesKept+20*time.Minute), 4))
}
