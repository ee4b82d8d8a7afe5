package batch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"poa/internal/trigger"
)

var noon = clock("2026-07-01T12:00:00Z")

// row makes n candidates with the numbers from first on.
func row(first, n int64, set func(i int64, c *Candidate)) []Candidate {
	var list []Candidate
	for i := range n {
		c := Candidate{NFT: first + i, ID: fmt.Sprintf("nft-%d", first+i)}
		set(i, &c)
		list = append(list, c)
	}
	return list
}

func dueRow(first, n int64) []Candidate {
	return row(first, n, func(i int64, c *Candidate) {
		c.DueSince, c.DueReason, c.DuePriority = noon.Add(-time.Hour), "super", trigger.High
	})
}

func newRow(first, n int64) []Candidate {
	return row(first, n, func(i int64, c *Candidate) { c.Votes, c.WaitingSince = 100-i, noon.Add(-time.Minute) })
}

func waitingRow(first, n int64) []Candidate {
	return row(first, n, func(i int64, c *Candidate) {
		c.Votes, c.WaitingSince = 1, noon.Add(time.Duration(i-100)*time.Hour)
	})
}

func oldRow(first, n int64) []Candidate {
	return row(first, n, func(i int64, c *Candidate) { c.Votes, c.ScoredAt = 9, noon.Add(time.Duration(i-60)*time.Hour) })
}

// ample are candidates of which each list alone could fill a run of 20.
func ample() Candidates {
	return Candidates{Due: dueRow(1000, 20), New: newRow(2000, 20), Waiting: waitingRow(3000, 20), Old: oldRow(4000, 20)}
}

// picture writes a plan as the class and number of its NFTs.
func picture(items []Item) string {
	var words []string
	for _, it := range items {
		words = append(words, fmt.Sprintf("%s %d", it.Class, it.NFT))
	}
	return strings.Join(words, ", ")
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int
		alter func(*Settings, *Candidates)
		want  string
	}{
		{"all classes ample", 20, nil, "due 1000, new 3000, new 2000, new 2001, due 1001, new 2002, new 2003, due 1002, new 3001, new 2004, " +
			"due 1003, new 2005, new 2006, new 2007, due 1004, new 2008, new 2009, due 1005, new 2010, new 2011"},
		{"what is due leaves slots to the old", 10, func(_ *Settings, c *Candidates) { c.Due = c.Due[:1] },
			"due 1000, new 3000, new 2000, new 2001, old 4000, new 2002, new 2003, old 4001, new 2004, new 2005"},
		{"new slots go to the old side", 10, func(_ *Settings, c *Candidates) { c.New, c.Waiting, c.Due = c.New[:2], nil, c.Due[:2] },
			"due 1000, new 2000, due 1001, old 4000, old 4001, old 4002, new 2001, old 4003, old 4004, old 4005"},
		{"old slots go to the new side", 10, func(_ *Settings, c *Candidates) { c.Due, c.Old = nil, nil },
			"new 3000, new 2000, new 2001, new 2002, new 2003, new 3001, new 2004, new 2005, new 2006, new 2007"},
		{"nothing to do", 20, func(_ *Settings, c *Candidates) { *c = Candidates{} }, ""},
		{"less than a run", 20, func(_ *Settings, c *Candidates) { *c = Candidates{New: c.New[:2], Due: c.Due[:1]} },
			"due 1000, new 2000, new 2001"},
		{"an NFT in every list", 20, func(_ *Settings, c *Candidates) {
			one := c.Due[:1]
			*c = Candidates{Due: one, New: one, Waiting: one, Old: one}
		}, "due 1000"},
		{"longest waiting is also most voted", 5, func(_ *Settings, c *Candidates) {
			*c = Candidates{New: c.New[:5], Waiting: []Candidate{c.New[0], c.New[4]}}
		}, "new 2000, new 2001, new 2002, new 2003, new 2004"},
		{"an NFT that is due takes no new slot", 5, func(_ *Settings, c *Candidates) {
			*c = Candidates{Due: c.New[:1], New: c.New[:5]}
		}, "due 2000, new 2001, new 2002, new 2003, new 2004"},
		{"the smallest run has both sides", 2, nil, "due 1000, new 3000"},
		{"few slots still have one by waiting", 5, nil, "due 1000, new 3000, new 2000, new 2001, new 2002"},
		{"failed ones that wait are left out", 3, func(_ *Settings, c *Candidates) {
			c.Due[0].RetryAt = noon.Add(time.Second)
			c.Due[1].RetryAt = noon
			c.Waiting[0].RetryAt = noon.Add(time.Hour)
		}, "due 1001, new 3001, new 2000"},
		{"only old", 3, func(s *Settings, _ *Candidates) { s.NewShare = 0 }, "due 1000, due 1001, due 1002"},
		{"only new", 3, func(s *Settings, _ *Candidates) { s.NewShare = 1 }, "new 3000, new 2000, new 2001"},
		{"all new by waiting", 6, func(s *Settings, _ *Candidates) { s.LongestWaitEvery = 1 },
			"due 1000, new 3000, new 3001, due 1001, new 3002, new 3003"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, list := Defaults().Sized(c.size), ample()
			if c.alter != nil {
				c.alter(&s, &list)
			}
			if diff := cmp.Diff(c.want, picture(Plan(s, list, noon))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewSlots(t *testing.T) {
	for _, c := range []struct {
		size  int
		share float64
		want  int
	}{
		{20, 0.7, 14}, {10, 0.7, 7}, {5, 0.7, 4}, {15, 0.7, 11}, {7, 0.7, 5}, {3, 0.7, 2}, {2, 0.7, 1},
		{2, 0.9, 1}, {20, 0.99, 19}, {20, 0.01, 1}, {20, 0, 0}, {20, 1, 20}, {1000, 0.7, 700},
	} {
		s := Defaults().Sized(c.size)
		s.NewShare = c.share
		if got := s.NewSlots(); got != c.want {
			t.Errorf("%v of %d slots are %d, want %d", c.share, c.size, got, c.want)
		}
	}
}

func TestReasons(t *testing.T) {
	owed := func(reason string) Candidates {
		return Candidates{Due: []Candidate{{NFT: 1, DueSince: clock("2026-07-01T10:04:31Z"), DueReason: reason}}}
	}
	waiting := func(d time.Duration) Candidates {
		return Candidates{Waiting: []Candidate{{NFT: 1, Votes: 1, WaitingSince: noon.Add(-d)}}}
	}
	aged := func(d time.Duration) Candidates {
		return Candidates{Old: []Candidate{{NFT: 1, Votes: 9, ScoredAt: noon.Add(-d)}}}
	}
	for _, c := range []struct {
		list Candidates
		want string
	}{
		{owed("super"), "owed since 2026-07-01 10:04 UTC: super vote"},
		{owed("fire"), "owed since 2026-07-01 10:04 UTC: FIRE vote"},
		{owed("milestone"), "owed since 2026-07-01 10:04 UTC: milestone"},
		{owed("high_activity"), "owed since 2026-07-01 10:04 UTC: high activity"},
		{owed("super vote while triggers were paused"), "owed since 2026-07-01 10:04 UTC: super vote while triggers were paused"},
		{owed(""), "owed since 2026-07-01 10:04 UTC: no reason recorded"},
		{Candidates{New: []Candidate{{NFT: 1, Votes: 12}}}, "12 votes, no score yet"},
		{Candidates{New: []Candidate{{NFT: 1, Votes: 1}}}, "1 vote, no score yet"},
		{waiting(200 * time.Minute), "waiting 3 h 20 min for a first score"},
		{waiting(59 * time.Second), "waiting 59 s for a first score"},
		{waiting(59 * time.Minute), "waiting 59 min for a first score"},
		{waiting(-time.Hour), "waiting 0 s for a first score"},
		{aged(31*time.Hour + 59*time.Minute), "score is 31 h old"},
		{aged(12 * 24 * time.Hour), "score is 12 days old"},
	} {
		items := Plan(Defaults(), c.list, noon)
		if len(items) != 1 || items[0].Reason != c.want {
			t.Errorf("%+v, want %q", items, c.want)
		}
	}
}

// candidates draws settings and lists from few NFTs, so that lists overlap.
func candidates(t *rapid.T) (Settings, Candidates) {
	s := Defaults().Sized(rapid.IntRange(2, 40).Draw(t, "size"))
	s.NewShare = rapid.Float64Range(0, 1).Draw(t, "share")
	s.LongestWaitEvery = rapid.IntRange(1, 10).Draw(t, "every")
	list := func(name string) []Candidate {
		numbers := rapid.SliceOfN(rapid.Int64Range(1, 60), 0, s.Size).Draw(t, name)
		var list []Candidate
		for _, n := range numbers {
			c := Candidate{NFT: n, ID: fmt.Sprint(n), Votes: n}
			if n%7 == 0 {
				c.RetryAt = noon.Add(time.Duration(n-28) * time.Minute)
			}
			list = append(list, c)
		}
		return list
	}
	return s, Candidates{Due: list("due"), New: list("new"), Waiting: list("waiting"), Old: list("old")}
}

// checkPlan reports what no plan may do, whatever the candidates are.
func checkPlan(t interface{ Fatalf(string, ...any) }, s Settings, c Candidates, items []Item) {
	may := make(map[int64]bool)
	source := map[Class]map[int64]bool{Due: {}, New: {}, Old: {}}
	for class, lists := range map[Class][][]Candidate{Due: {c.Due}, New: {c.New, c.Waiting}, Old: {c.Old}} {
		for _, list := range lists {
			for _, one := range list {
				if !one.RetryAt.After(noon) {
					may[one.NFT], source[class][one.NFT] = true, true
				}
			}
		}
	}
	if want := min(s.Size, len(may)); len(items) != want {
		t.Fatalf("%d items, want %d: %s", len(items), want, picture(items))
	}
	seen := make(map[int64]bool)
	for _, it := range items {
		if seen[it.NFT] {
			t.Fatalf("NFT %d is in twice: %s", it.NFT, picture(items))
		}
		seen[it.NFT] = true
		if !source[it.Class][it.NFT] {
			t.Fatalf("NFT %d is no candidate as %s", it.NFT, it.Class)
		}
		if it.Reason == "" {
			t.Fatalf("NFT %d has no reason", it.NFT)
		}
		if it.Class == Old {
			for n := range source[Due] {
				if !seen[n] && !inPlan(items, n) {
					t.Fatalf("old NFT %d is taken though %d is due: %s", it.NFT, n, picture(items))
				}
			}
		}
	}
}

func inPlan(items []Item, nft int64) bool {
	for _, it := range items {
		if it.NFT == nft {
			return true
		}
	}
	return false
}

func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, c := candidates(t)
		items := Plan(s, c, noon)
		checkPlan(t, s, c, items)
		if diff := cmp.Diff(items, Plan(s, c, noon)); diff != "" {
			t.Fatalf("another plan from the same candidates: %s", diff)
		}
	})
}

// Where every class has candidates enough the shares are exact, and so is the
// share of those chosen by waiting. Any beginning of the run keeps the shares
// but for a slot, so that the cap does not starve a class.
func TestSharesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Defaults().Sized(rapid.IntRange(2, 200).Draw(t, "size"))
		s.NewShare = rapid.Float64Range(0, 1).Draw(t, "share")
		s.LongestWaitEvery = rapid.IntRange(1, 20).Draw(t, "every")
		n := int64(s.Size)
		due := rapid.Int64Range(0, n).Draw(t, "due")
		items := Plan(s, Candidates{
			Due: dueRow(1000, due), New: newRow(2000, n), Waiting: waitingRow(3000, n), Old: oldRow(4000, n),
		}, noon)
		slots := s.NewSlots()
		classes, waited := map[Class]int{}, 0
		for i, it := range items {
			classes[it.Class]++
			if it.Class == New && it.NFT >= 3000 {
				waited++
			}
			want := float64((i+1)*slots) / float64(s.Size)
			if got := float64(classes[New]); got < want-1 || got > want+1 {
				t.Fatalf("%v of the first %d slots are new, want about %.1f", got, i+1, want)
			}
		}
		old := s.Size - slots
		want := map[Class]int{New: slots, Due: min(int(due), old), Old: old - min(int(due), old)}
		for class, n := range want {
			if classes[class] != n {
				t.Fatalf("%d slots are %s, want %d", classes[class], class, n)
			}
		}
		if slots > 0 && waited != max(1, slots/s.LongestWaitEvery) {
			t.Fatalf("%d of %d new slots by waiting, one of %d wanted", waited, slots, s.LongestWaitEvery)
		}
	})
}

// The heads of the lists that Need asks for give the plan that whole lists
// give.
func TestNeedIsEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Defaults().Sized(rapid.IntRange(2, 12).Draw(t, "size"))
		s.NewShare = rapid.Float64Range(0, 1).Draw(t, "share")
		list := func(name string) []Candidate {
			var list []Candidate
			for _, n := range rapid.SliceOfNDistinct(rapid.Int64Range(1, 40), 0, 40, rapid.ID).Draw(t, name) {
				list = append(list, Candidate{NFT: n})
			}
			return list
		}
		whole := Candidates{Due: list("due"), New: list("new"), Waiting: list("waiting"), Old: list("old")}
		head := func(list []Candidate, n int) []Candidate { return list[:min(n, len(list))] }
		need := Need(s)
		heads := Candidates{
			Due: head(whole.Due, need.Due), New: head(whole.New, need.New),
			Waiting: head(whole.Waiting, need.Waiting), Old: head(whole.Old, need.Old),
		}
		if want, got := picture(Plan(s, whole, noon)), picture(Plan(s, heads, noon)); got != want {
			t.Fatalf("from whole lists %s\nfrom their heads %s", want, got)
		}
	})
}

// FuzzPlan makes settings and lists from bytes: each list has the NFTs whose
// numbers are the bytes of a text.
func FuzzPlan(f *testing.F) {
	f.Add(uint16(20), 0.7, uint8(5), "abc", "defghijklmnop", "ponm", "xyz")
	f.Add(uint16(2), 0.0, uint8(1), "", "aaaa", "a", "")
	f.Add(uint16(1000), 1.0, uint8(200), "abc", "abc", "abc", "abc")
	f.Fuzz(func(t *testing.T, size uint16, share float64, every uint8, due, newest, waiting, old string) {
		s := Defaults().Sized(int(size))
		s.NewShare, s.LongestWaitEvery = share, int(every)
		if s.Validate() != nil {
			return
		}
		list := func(text string) []Candidate {
			var list []Candidate
			for i := range min(len(text), s.Size) {
				c := Candidate{NFT: int64(text[i]), Votes: int64(text[i])}
				c.RetryAt = noon.Add(time.Duration(int(text[i]) - 200))
				list = append(list, c)
			}
			return list
		}
		c := Candidates{Due: list(due), New: list(newest), Waiting: list(waiting), Old: list(old)}
		items := Plan(s, c, noon)
		checkPlan(t, s, c, items)
		if diff := cmp.Diff(items, Plan(s, c, noon)); diff != "" {
			t.Fatal(diff)
		}
	})
}
