package batch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestEstimate(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Settings
		n    int
		each time.Duration
		want Cost
	}{
		{"a run", Defaults(), 20, 100 * ms, Cost{NFTs: 20, Work: 2 * time.Second, Pauses: 9500 * ms, Total: 11500 * ms}},
		{"long work", Defaults(), 20, time.Second, Cost{NFTs: 20, Work: 20 * time.Second, Pauses: 19 * time.Second, Total: 39 * time.Second}},
		{"more than the cap", Defaults(), 20, 2 * time.Second, Cost{NFTs: 11, Left: 9, Work: 22 * time.Second, Pauses: 20 * time.Second, Total: 42 * time.Second}},
		{"nothing", Defaults(), 0, time.Second, Cost{}},
		{"time not known", Defaults(), 20, 0, Cost{NFTs: 20, Pauses: 9500 * ms, Total: 9500 * ms}},
		{"two chunks", adaptive(), 100, ms, Cost{NFTs: 100, Work: 100 * ms, Pauses: 50 * ms, Total: 150 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Estimate(c.s, c.n, c.each)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if c := Estimate(adaptive(), 54_312, 200*time.Microsecond); c.Left != 0 || c.Total > 45*time.Second || c.Pauses < c.Work*9/10 {
		t.Errorf("the whole collection: %+v", c)
	}
}

func TestCover(t *testing.T) {
	brisk := adaptive()
	for _, c := range []struct {
		name string
		s    Settings
		b    Backlog
		m    Measured
		want Coverage
	}{
		{"nothing", Defaults(), Backlog{}, Measured{}, Coverage{}},
		{"one run", Defaults(), Backlog{New: 14, Due: 2, Old: 4}, Measured{}, Coverage{1, time.Hour, time.Hour, time.Hour, time.Hour}},
		{"one class takes all slots", Defaults(), Backlog{New: 100}, Measured{}, Coverage{Runs: 5, All: 5 * time.Hour, New: 5 * time.Hour}},
		{"old ones end later", Defaults(), Backlog{New: 28, Due: 6, Old: 106}, Measured{},
			Coverage{7, 7 * time.Hour, 2 * time.Hour, time.Hour, 7 * time.Hour}},
		{"new ones end later", Defaults(), Backlog{New: 194, Due: 3, Old: 3}, Measured{},
			Coverage{10, 10 * time.Hour, 10 * time.Hour, time.Hour, time.Hour}},
		{"the cap makes runs smaller", Defaults(), Backlog{New: 22}, Measured{PerNFT: 2 * time.Second}, Coverage{Runs: 2, All: 2 * time.Hour, New: 2 * time.Hour}},
		{"the whole collection at the fixed pace", Defaults(), Backlog{Due: 54_312}, Measured{}, Coverage{Runs: 2716, All: 2716 * time.Hour, Due: 2716 * time.Hour}},
		{"the whole collection at a rate", brisk, Backlog{Due: 54_312}, Measured{Rate: 2000}, Coverage{Runs: 1, All: 27156 * ms, Due: 27156 * ms}},
		{"several runs at a rate", brisk, Backlog{Due: 9000}, Measured{Rate: 80}, Coverage{Runs: 3, All: 2*time.Hour + 22500*ms, Due: 2*time.Hour + 22500*ms}},
		{"no rate yet", brisk, Backlog{New: 100}, Measured{}, Coverage{Runs: 5, All: 5 * time.Hour, New: 5 * time.Hour}},
		{"beyond all time", Defaults(), Backlog{Old: 1 << 40}, Measured{}, Coverage{Runs: 54975581389, All: 1<<63 - 1, Old: 1<<63 - 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Cover(c.s, c.b, c.m)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The estimate is what plans do: the backlog is planned away, run by run, and
// each class ends when Cover says.
func TestCoverAgreesWithPlans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Defaults().Sized(rapid.IntRange(2, 30).Draw(t, "size"))
		s.NewShare = rapid.Float64Range(0, 1).Draw(t, "share")
		size := rapid.Int64Range(0, 200)
		b := Backlog{New: size.Draw(t, "new"), Due: size.Draw(t, "due"), Old: size.Draw(t, "old")}
		left := Candidates{Due: dueRow(1000, b.Due), New: newRow(2000, b.New), Old: oldRow(4000, b.Old)}
		left.Waiting = left.New
		var got Coverage
		for {
			items := Plan(s, left, noon)
			if len(items) == 0 {
				break
			}
			got.Runs++
			got.All = time.Duration(got.Runs) * s.Every
			done := map[int64]bool{}
			for _, it := range items {
				done[it.NFT] = true
				*map[Class]*time.Duration{New: &got.New, Due: &got.Due, Old: &got.Old}[it.Class] = got.All
			}
			rest := func(list []Candidate) []Candidate {
				var rest []Candidate
				for _, c := range list {
					if !done[c.NFT] {
						rest = append(rest, c)
					}
				}
				return rest
			}
			left = Candidates{Due: rest(left.Due), New: rest(left.New), Waiting: rest(left.New), Old: rest(left.Old)}
		}
		if diff := cmp.Diff(got, Cover(s, b, Measured{})); diff != "" {
			t.Fatalf("%+v in runs of %d, %d for new ones: planned and estimated\n%s", b, s.Size, s.NewSlots(), diff)
		}
	})
}
