package live_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/live"
	"poa/internal/store"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/trigger"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// source is a log as PostgreSQL keeps it: the numbers of entries are not in
// the order of their positions.
type source struct {
	mu     sync.Mutex
	log    []store.Activity
	places []store.Position
	reads  int // calls of either method
	fail   error
	broken store.Position // reading from here fails
}

// add commits n entries, two to a transaction, and returns their numbers.
func (s *source) add(n int, set ...func(*store.Activity)) (numbers []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		i := int64(len(s.log))
		number := 1 + (i ^ 2) // 3, 4, 1, 2, 7, 8, 5, 6, …
		a := store.Activity{Number: number, At: start, Kind: store.Computed, NFT: i % 3, NFTID: fmt.Sprintf("n%d", i%3), Reason: "super"}
		for _, f := range set {
			f(&a)
		}
		s.log = append(s.log, a)
		s.places = append(s.places, store.Position{Transaction: uint64(100 + i/2), Number: number})
		numbers = append(numbers, number)
	}
	return numbers
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (s *source) Stream(_ context.Context, after store.Position, limit int) ([]store.Activity, store.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.fail != nil {
		return nil, store.Position{}, s.fail
	}
	if after == s.broken && after != (store.Position{}) {
		return nil, after, errors.New("a row cannot be read")
	}
	from := 0
	for from < len(s.places) && !less(after, s.places[from]) {
		from++
	}
	to := min(len(s.log), from+limit)
	if from == to {
		return nil, after, nil
	}
	return slices.Clone(s.log[from:to]), s.places[to-1], nil
}

func less(a, b store.Position) bool {
	return a.Transaction < b.Transaction || a.Transaction == b.Transaction && a.Number < b.Number
}

// StreamEnd says the horizon of transactions, as PostgreSQL does: a place that
// is no entry's.
func (s *source) StreamEnd(context.Context) (store.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.fail != nil {
		return store.Position{}, s.fail
	}
	if len(s.log)%2 == 1 { // its second entry comes
		return s.places[len(s.places)-1], nil
	}
	return store.Position{Transaction: uint64(100 + len(s.log)/2)}, nil
}

// breaks has reading fail with an error from now on, nil for none.
func (s *source) breaks(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// count returns the number of reads since the last call.
func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.reads = 0 }()
	return s.reads
}

// trim deletes the n oldest entries.
func (s *source) trim(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.log[:n] {
		s.places[i] = store.Position{} // before all places that are asked for
	}
	s.log, s.places = s.log[n:], s.places[n:]
}

// listener collects what it gets.
type listener struct {
	*live.Subscription
	done chan error

	mu     sync.Mutex
	events []live.Event
}

// listen subscribes, and takes events as they come.
func listen(t *testing.T, s *live.Stream, q live.Query) *listener {
	t.Helper()
	sub, err := s.Subscribe(q)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Subscription: sub, done: make(chan error, 1)}
	go func() {
		defer sub.Close()
		for {
			list, err := sub.Next(t.Context(), 7)
			if err != nil {
				l.done <- err
				return
			}
			l.mu.Lock()
			l.events = append(l.events, list...)
			l.mu.Unlock()
		}
	}()
	return l
}

// told returns what came so far: numbers of entries, "start" and "gap" with
// the number missed.
func (l *listener) told() (told []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return text(l.events)
}

func text(events []live.Event) (told []string) {
	for _, e := range events {
		switch e.Kind {
		case live.Start:
			told = append(told, "start")
		case live.Gap:
			told = append(told, fmt.Sprintf("gap %d", e.Missed))
		default:
			told = append(told, fmt.Sprint(e.Activity.Number))
		}
	}
	return told
}

func (l *listener) expect(t *testing.T, what string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, l.told()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// numbers writes numbers as told does.
func numbers(lists ...[]int64) (told []string) {
	for _, list := range lists {
		for _, n := range list {
			told = append(told, fmt.Sprint(n))
		}
	}
	return told
}

// run runs f with a started stream in virtual time.
func run(t *testing.T, o live.Options, f func(t *testing.T, src *source, s *live.Stream)) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{}
		s := live.New(src, o)
		s.Start()
		f(t, src, s)
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestListenersGetWhatHappensInOrder(t *testing.T) {
	run(t, live.Options{}, func(t *testing.T, src *source, s *live.Stream) {
		src.add(5)
		first := listen(t, s, live.Query{})
		pass(time.Second)
		a := src.add(1)
		pass(250 * time.Millisecond)
		first.expect(t, "within a poll", append([]string{"start"}, numbers(a)...)...)
		second := listen(t, s, live.Query{})
		b := src.add(1201) // more than two pages
		pass(250 * time.Millisecond)
		first.expect(t, "many at once", append([]string{"start"}, numbers(a, b)...)...)
		second.expect(t, "one who came later", append([]string{"start"}, numbers(b)...)...)
	})
}

func TestUnchangedIsWhileNothingHappens(t *testing.T) {
	run(t, live.Options{}, func(t *testing.T, src *source, s *live.Stream) {
		check := func(when string, since time.Time, want bool) {
			t.Helper()
			if got := s.Unchanged(since); got != want {
				t.Errorf("%s: %v", when, got)
			}
		}
		before := time.Now()
		pass(time.Second)
		check("while nobody listens", before, false)
		l := listen(t, s, live.Query{})
		pass(time.Second)
		check("since before somebody listened", before, false)
		at := time.Now()
		pass(time.Minute)
		check("while nothing happens", at, true)
		src.add(1)
		pass(time.Second)
		check("after an entry", at, false)
		at = time.Now()
		pass(time.Second)
		check("since the entry", at, true)
		for what, happens := range map[string]func(){"a change here": s.Changed, "a commit here": s.Nudge} {
			happens()
			check("after "+what, at, false)
			pass(time.Second)
			at = time.Now()
			pass(time.Second)
			check("since "+what, at, true)
		}
		src.breaks(errors.New("away"))
		pass(2 * time.Second)
		check("while reading fails", at, false)
		src.breaks(nil)
		pass(10 * time.Second)
		check("when it works again and told nothing", at, true)
		l.Close()
		pass(time.Second)
		check("after the last listener", at, false)
	})
}

func TestSteeredIsWhenARunOrPauseWasRead(t *testing.T) {
	run(t, live.Options{}, func(t *testing.T, src *source, s *live.Stream) {
		listen(t, s, live.Query{})
		pass(time.Second)
		src.add(3)
		pass(time.Second)
		if at := s.Steered(); !at.IsZero() {
			t.Errorf("computations steered at %v", at)
		}
		for _, kind := range []store.ActivityKind{store.RunStarted, store.RunEnded, store.Paused, store.Resumed, store.SettingsChanged} {
			before := time.Now()
			src.add(1, func(a *store.Activity) { a.Kind = kind })
			pass(time.Second)
			if at := s.Steered(); at.Before(before) || at.After(time.Now()) {
				t.Errorf("%s: steered at %v, after %v", kind, at, before)
			}
		}
	})
}

func TestStatementsDoNotDependOnListeners(t *testing.T) {
	reads := map[int]int{}
	for _, listeners := range []int{1, 100} {
		run(t, live.Options{Poll: 250 * time.Millisecond}, func(t *testing.T, src *source, s *live.Stream) {
			var all []*listener
			for range listeners {
				all = append(all, listen(t, s, live.Query{}))
			}
			var want []string
			for range 10 {
				pass(time.Second)
				want = append(want, numbers(src.add(3))...)
			}
			pass(time.Second)
			for _, l := range all {
				l.expect(t, "each", append([]string{"start"}, want...)...)
			}
			reads[listeners] = src.count()
		})
	}
	if reads[1] != reads[100] || reads[1] < 11*4-1 || reads[1] > 11*4+1 {
		t.Errorf("reads in 11 s at 4 a second: %d for one listener, %d for 100", reads[1], reads[100])
	}
}

func TestNothingIsReadWhileNobodyListens(t *testing.T) {
	run(t, live.Options{}, func(t *testing.T, src *source, s *live.Stream) {
		src.add(1)
		s.Nudge()
		pass(time.Hour)
		if n := src.count(); n != 0 {
			t.Errorf("%d reads before anyone listened", n)
		}
		l := listen(t, s, live.Query{})
		pass(time.Second)
		l.Close()
		pass(time.Second)
		src.count()
		s.Nudge()
		src.add(3)
		pass(time.Hour)
		if n := src.count(); n != 0 {
			t.Errorf("%d reads after the last listener left", n)
		}
		again := listen(t, s, live.Query{})
		pass(time.Second)
		again.expect(t, "after an idle time", append([]string{"start"}, numbers(src.add(0))...)...)
		n := src.add(2)
		pass(time.Second)
		again.expect(t, "after an idle time", append([]string{"start"}, numbers(n)...)...)
	})
}

func TestNudgeReadsEarlyAndNotTooOften(t *testing.T) {
	run(t, live.Options{Poll: time.Second}, func(t *testing.T, src *source, s *live.Stream) {
		l := listen(t, s, live.Query{})
		pass(1500 * time.Millisecond)
		n := src.add(1)
		s.Nudge()
		synctest.Wait()
		l.expect(t, "at once", append([]string{"start"}, numbers(n)...)...)
		src.count()
		for range 10_000 { // as many commits within a second
			time.Sleep(100 * time.Microsecond)
			s.Nudge()
		}
		if n := src.count(); n < 5 || n > 11 {
			t.Errorf("%d reads in a second of nudges, at most ten a poll are meant", n)
		}
	})
}

// Wherever a listener was, in whichever process, it goes on with the next
// entry.
func TestEveryPlaceCanBeResumed(t *testing.T) {
	for _, buffer := range []int{5, 1000} {
		run(t, live.Options{Buffer: buffer, ReplayEvery: time.Millisecond}, func(t *testing.T, src *source, other *live.Stream) {
			// ids are those that another process gave.
			collect := listen(t, other, live.Query{})
			pass(time.Second)
			var all []int64
			for i := range 12 {
				all = append(all, src.add(i%4)...)
				pass(time.Second)
			}
			if buffer < len(all) && other.Stats().Events != int64(len(all)) {
				t.Fatalf("the other process read %d entries of %d", other.Stats().Events, len(all))
			}
			ids := collect.events
			want := numbers(all)
			s := live.New(src, live.Options{Buffer: buffer, ReplayEvery: time.Millisecond})
			s.Start()
			anchor := listen(t, s, live.Query{})
			pass(time.Second)
			more := src.add(3)
			pass(time.Second)
			for i, e := range ids {
				id, err := live.ParseID(e.ID.String())
				if err != nil || id != e.ID {
					t.Fatalf("the id %v came back as %v, %v", e.ID, id, err)
				}
				l := listen(t, s, live.Query{After: &id})
				pass(time.Second)
				l.expect(t, fmt.Sprintf("after event %d, %v, buffer %d", i, id, buffer), slices.Concat([]string{"start"}, want[i:], numbers(more))...)
				l.Close()
			}
			late := src.add(2)
			pass(time.Second)
			anchor.expect(t, "one who listened all the time", append([]string{"start"}, numbers(more, late)...)...)
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestResumingWithinTheRingCostsNoStatement(t *testing.T) {
	run(t, live.Options{Poll: time.Hour}, func(t *testing.T, src *source, s *live.Stream) {
		l := listen(t, s, live.Query{})
		pass(time.Second)
		src.add(9)
		s.Nudge()
		pass(time.Minute)
		src.count()
		for _, e := range l.events {
			again := listen(t, s, live.Query{After: &e.ID})
			synctest.Wait()
			again.Close()
			if got := again.told(); got[0] != "start" || got[len(got)-1] != fmt.Sprint(l.events[9].Activity.Number) && e.ID != l.events[9].ID {
				t.Errorf("after %v came %v", e.ID, got)
			}
		}
		if n := src.count(); n != 0 {
			t.Errorf("%d reads for listeners whose place was at hand", n)
		}
	})
}

// All clients of a process come back at once after its restart.
func TestManyWhoComeBackCostOneQuery(t *testing.T) {
	run(t, live.Options{Poll: time.Hour}, func(t *testing.T, src *source, s *live.Stream) {
		var ids []live.ID
		l := listen(t, s, live.Query{})
		pass(time.Second)
		want := src.add(50)
		s.Nudge()
		pass(time.Minute)
		for _, e := range l.events {
			ids = append(ids, e.ID)
		}
		restarted := live.New(src, live.Options{Poll: time.Hour})
		restarted.Start()
		src.count()
		var back []*listener
		for _, id := range ids {
			back = append(back, listen(t, restarted, live.Query{After: &id}))
		}
		pass(time.Minute)
		for i, l := range back {
			l.expect(t, "each", append([]string{"start"}, numbers(want[i:])...)...)
		}
		if n := src.count(); n > 3 { // StreamEnd, the replay, and catching up
			t.Errorf("%d reads for %d listeners", n, len(ids))
		}
		if err := restarted.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestOldPlacesAreReplayedToABoundAndRateLimited(t *testing.T) {
	const replay, every = 500, 10 * time.Second
	run(t, live.Options{Replay: replay, ReplayEvery: every, Buffer: 100}, func(t *testing.T, src *source, s *live.Stream) {
		old := src.add(1200)
		live1 := listen(t, s, live.Query{})
		pass(time.Second)
		fresh := src.add(40)
		pass(time.Second)
		want := slices.Concat([]string{"start"}, numbers(old[:replay]), []string{"gap 0"}, numbers(fresh))
		var back []*listener
		for range 3 {
			back = append(back, listen(t, s, live.Query{After: &live.ID{}}))
		}
		for i, l := range back {
			synctest.Wait()
			l.expect(t, "in turn", want...)
			for _, waiting := range back[i+1:] {
				waiting.expect(t, "before its turn")
			}
			pass(every)
		}
		// From the gap on, the next part is to be had.
		gap := back[0].events[replay+1]
		l := listen(t, s, live.Query{After: &gap.ID})
		pass(every)
		l.expect(t, "from the gap", slices.Concat([]string{"start"}, numbers(old[replay:2*replay]), []string{"gap 0"}, numbers(fresh))...)
		last := l.events[replay+1]
		l = listen(t, s, live.Query{After: &last.ID})
		pass(every)
		l.expect(t, "the rest joins", slices.Concat([]string{"start"}, numbers(old[2*replay:], fresh))...)
		live1.expect(t, "the others", append([]string{"start"}, numbers(fresh)...)...)
		if got := s.Stats(); got.Replays != 5 || got.Gaps != 4 {
			t.Errorf("%+v, want 5 replays and 4 gaps", got)
		}
	})
}

func TestAReplayOfWholePagesJoinsTheRing(t *testing.T) {
	for _, n := range []int{0, 499, 500, 501, 1000} {
		run(t, live.Options{}, func(t *testing.T, src *source, s *live.Stream) {
			old := src.add(n)
			l := listen(t, s, live.Query{After: &live.ID{}})
			pass(time.Second)
			l.expect(t, fmt.Sprintf("all %d", n), append([]string{"start"}, numbers(old)...)...)
		})
	}
}

func TestADeletedPlaceIsAGap(t *testing.T) {
	run(t, live.Options{}, func(t *testing.T, src *source, s *live.Stream) {
		l := listen(t, s, live.Query{})
		pass(time.Second)
		all := src.add(10)
		pass(time.Second)
		id := l.events[3].ID
		l.Close()
		pass(time.Second)
		src.trim(5)
		l = listen(t, s, live.Query{After: &id})
		pass(time.Second)
		l.expect(t, "after upkeep", append([]string{"start", "gap 0"}, numbers(all[5:])...)...)
	})
}

func TestASlowReaderFindsAGapAndDelaysNobody(t *testing.T) {
	run(t, live.Options{Buffer: 10}, func(t *testing.T, src *source, s *live.Stream) {
		slow, err := s.Subscribe(live.Query{})
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		quick := listen(t, s, live.Query{})
		pass(time.Second)
		var got []live.Event
		take := func(limit int) {
			t.Helper()
			list, err := slow.Next(t.Context(), limit)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, list...)
		}
		var all []int64
		for range 4 {
			all = append(all, src.add(8)...)
			pass(time.Second)
			if len(got) == 0 {
				take(4) // start and three entries
			}
		}
		quick.expect(t, "a quick one", append([]string{"start"}, numbers(all)...)...)
		take(100)
		want := slices.Concat([]string{"start"}, numbers(all[:3]), []string{"gap 19"}, numbers(all[22:]))
		if diff := cmp.Diff(want, text(got)); diff != "" {
			t.Errorf("the slow one (-want +got):\n%s", diff)
		}
		if gap := got[4]; gap.ID != got[3].ID {
			t.Errorf("the gap is after %v, want %v", gap.ID, got[3].ID)
		}
		if n := s.Stats().Gaps; n != 1 {
			t.Errorf("%d gaps counted", n)
		}
	})
}

func TestFilters(t *testing.T) {
	run(t, live.Options{}, func(t *testing.T, src *source, s *live.Stream) {
		tests := []struct {
			name   string
			filter live.Filter
			want   []string
		}{
			{"none", live.Filter{}, []string{"start", "3", "4", "1", "2", "7", "8"}},
			{"kinds", live.Filter{Kinds: []store.ActivityKind{store.Failed, store.Deferred}}, []string{"start", "1", "2"}},
			{"nft", live.Filter{NFT: "n1"}, []string{"start", "4", "7"}},
			{"first reason", live.Filter{Reason: "fire"}, []string{"start", "7"}},
			{"other reason", live.Filter{Reason: "milestone"}, []string{"start", "7"}},
			{"run", live.Filter{Run: 5}, []string{"start", "8"}},
			{"all of them", live.Filter{NFT: "n0", Run: 5}, []string{"start"}},
		}
		var listeners []*listener
		for _, tt := range tests {
			listeners = append(listeners, listen(t, s, live.Query{Filter: tt.filter}))
		}
		pass(time.Second)
		src.add(2)
		src.add(1, func(a *store.Activity) { a.Kind = store.Failed })
		src.add(1, func(a *store.Activity) { a.Kind = store.Deferred })
		src.add(1, func(a *store.Activity) {
			a.Reason, a.Reasons = "fire", map[string]int{"fire": 1, "milestone": 2}
		})
		src.add(1, func(a *store.Activity) { a.Run = 5 })
		pass(time.Second)
		for i, tt := range tests {
			listeners[i].expect(t, tt.name, tt.want...)
			if at, want := listeners[i].At(), listeners[0].At(); at != want {
				t.Errorf("%s: is at %v, want %v, whatever fitted", tt.name, at, want)
			}
		}
		replayed := listen(t, s, live.Query{After: &live.ID{}, Filter: live.Filter{NFT: "n1"}})
		pass(time.Second)
		replayed.expect(t, "replayed", "start", "4", "7")
	})
}

func TestTheStreamGoesOnAfterFailures(t *testing.T) {
	var log strings.Builder
	var mu sync.Mutex
	handler := slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil)
	run(t, live.Options{Log: slog.New(handler)}, func(t *testing.T, src *source, s *live.Stream) {
		set := func(err error) {
			src.mu.Lock()
			defer src.mu.Unlock()
			src.fail = err
		}
		set(errors.New("connection refused"))
		l := listen(t, s, live.Query{})
		old := src.add(4)
		resumed := listen(t, s, live.Query{After: &live.ID{}})
		pass(time.Minute)
		if n := src.count(); n < 10 || n > 25 {
			t.Errorf("%d reads in a minute without a database, want one in five seconds at last", n)
		}
		set(nil)
		pass(10 * time.Second)
		l.expect(t, "begins late", "start")
		set(errors.New("connection reset"))
		n := src.add(3)
		pass(time.Minute)
		set(nil)
		pass(10 * time.Second)
		l.expect(t, "nothing is lost", append([]string{"start"}, numbers(n)...)...)
		resumed.expect(t, "nothing is lost", append([]string{"start"}, numbers(old, n)...)...)
	})
	if warnings := strings.Count(log.String(), "level=WARN"); warnings != 2 {
		t.Errorf("%d warnings for two outages:\n%s", warnings, log.String())
	}
}

// An old page that cannot be read holds up neither what happens now nor
// others who come back.
func TestABrokenOldPageHoldsUpNobodyElse(t *testing.T) {
	run(t, live.Options{Buffer: 5}, func(t *testing.T, src *source, s *live.Stream) {
		first := src.add(1)
		src.add(20)
		src.mu.Lock()
		src.broken = src.places[0]
		id := live.ID{After: src.places[18]}
		src.mu.Unlock()
		l := listen(t, s, live.Query{})
		stuck := listen(t, s, live.Query{After: &live.ID{After: src.broken, Number: first[0]}})
		back := listen(t, s, live.Query{After: &id})
		pass(time.Minute)
		n := src.add(1)
		pass(250 * time.Millisecond)
		l.expect(t, "what happens now", append([]string{"start"}, numbers(n)...)...)
		if got := back.told(); len(got) != 4 {
			t.Errorf("another who came back got %v, want two old entries and a new one", got)
		}
		stuck.expect(t, "the one who asked for it")
	})
}

type writer func([]byte) (int, error)

func (f writer) Write(p []byte) (int, error) { return f(p) }

func TestStopEndsAllListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := live.New(&source{}, live.Options{MaxListeners: 2})
		s.Start()
		l := listen(t, s, live.Query{})
		kept, err := s.Subscribe(live.Query{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Subscribe(live.Query{}); !errors.Is(err, live.ErrFull) {
			t.Errorf("the third of two listeners got %v", err)
		}
		pass(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stopping with an open subscription: %v", err)
		}
		if err := <-l.done; !errors.Is(err, live.ErrStopped) {
			t.Errorf("a listener got %v", err)
		}
		if _, err := s.Subscribe(live.Query{}); !errors.Is(err, live.ErrStopped) {
			t.Errorf("a listener who came too late got %v", err)
		}
		kept.Close()
		kept.Close()
		if _, err := kept.Next(t.Context(), 1); !errors.Is(err, live.ErrClosed) {
			t.Errorf("a closed subscription: %v", err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("stopping again: %v", err)
		}
	})
	t.Run("never started", func(t *testing.T) {
		if err := live.New(&source{}, live.Options{}).Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestIDs(t *testing.T) {
	id := live.ID{After: store.Position{Transaction: 1<<64 - 1, Number: 1<<63 - 1}, Number: 1<<63 - 1}
	if got, err := live.ParseID(id.String()); err != nil || got != id {
		t.Errorf("%v, %v; want %v", got, err, id)
	}
	if got, err := live.ParseID("7.9"); err != nil || got != (live.ID{After: store.Position{Transaction: 7, Number: 9}}) {
		t.Errorf("a position alone: %v, %v", got, err)
	}
	for _, text := range []string{"", "7", "1.2.3.4", "a.1.1", "1.-1.0", "1.1.-1", "-1.1.1", "1.1.x", "18446744073709551616.1.1"} {
		if id, err := live.ParseID(text); err == nil {
			t.Errorf("%q was taken for %v", text, id)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("1.2.3")
	f.Add("0.18446744073709551615.-1")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := live.ParseID(text)
		if err != nil {
			return
		}
		if again, err := live.ParseID(id.String()); err != nil || again != id {
			t.Errorf("%q is %v, and that is %v, %v", text, id, again, err)
		}
	})
}

func TestEncode(t *testing.T) {
	before, after := 27.5, 0.0
	full := store.Activity{
		Number: 12, At: start.In(time.FixedZone("", 3600)), Kind: store.Computed, NFT: 4, NFTID: "a\n\"b", Reason: "super",
		Reasons: map[string]int{"super": 2, "fire": 1}, Priority: trigger.High, Basis: store.Incremental,
		POABefore: &before, POA: &after, Vote: 99, Run: 3, Who: "ci", Detail: "line\r\nline",
	}
	tests := []struct {
		a    store.Activity
		want string
	}{
		{full, `{"number":12,"at":"2026-03-01T12:00:00Z","kind":"computed","nft":"a\n\"b","reason":"super","reasons":{"fire":1,"super":2},` +
			`"priority":"high","basis":"incremental","poa_before":27.5,"poa":0,"vote":99,"run":3,"who":"ci","detail":"line\r\nline"}`},
		{store.Activity{Number: 1, At: start, Kind: store.Paused}, `{"number":1,"at":"2026-03-01T12:00:00Z","kind":"paused"}`},
	}
	for _, tt := range tests {
		if got := string(live.Encode(&tt.a)); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
