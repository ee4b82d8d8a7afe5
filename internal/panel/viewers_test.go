package panel

import (
	"net/http"
	"testing"
	"time"

	"poa/internal/live"
	"poa/internal/scheduler"
	"poa/internal/store"
)

// followed is a site with a listener on its stream, which reads once and then
// not for long, and a clock that only the test moves. What the site shows is as
// the stream has begun to follow.
func followed(t *testing.T) *site {
	t.Helper()
	s := open(t)
	s.cast(super())
	s.Live.Poll = time.Hour // the reader looks at it when somebody listens
	sub, err := s.Live.Subscribe(live.Query{})
	must(t, err)
	t.Cleanup(sub.Close)
	_, err = sub.Next(t.Context(), 1) // that it has begun
	must(t, err)
	at := time.Now()
	s.Now = func() time.Time { return at }
	s.pass = func(d time.Duration) { at = at.Add(d) }
	return s
}

// TestManyOpenPagesReadAsMuchAsOneOfEach has pages that follow what happens
// fetch their parts again for a minute in which nothing does: each of them
// open once, and each ten times by people who opened them at different times.
func TestManyOpenPagesReadAsMuchAsOneOfEach(t *testing.T) {
	s := followed(t)
	run, err := s.Panel.Runs.RunNow(t.Context(), scheduler.Manual{Who: "test", Name: "once"})
	must(t, err)
	s.work()
	v := s.sign(store.Operator, "alice")
	fetched := []struct {
		path  string
		every time.Duration
	}{
		{"/?span=hour", 15 * time.Second}, {"/charts/votes?span=hour", 10 * time.Second}, {"/charts/distribution", time.Minute},
		{"/scheduler?class=new", 15 * time.Second},
		{runPath(run.Number), 5 * time.Second},
		{"/nfts/c%2F1", 15 * time.Second}, {"/charts/nft?id=c%2F1", 15 * time.Second}, {"/charts/nft?id=c%2F1&of=mean", 15 * time.Second},
		{"/collections", 15 * time.Second},
		{"/collections/art", 15 * time.Second}, {"/charts/collection?name=art", 30 * time.Second},
		{"/voters/voter-1", 15 * time.Second},
	}
	look := func(viewers int) int64 {
		s.pass(time.Minute)
		before := s.Store.Statements()
		const step = 500 * time.Millisecond
		for passed := time.Duration(0); passed < time.Minute; passed += step {
			for viewer := range viewers {
				opened := time.Duration(viewer) * 15 * time.Second / time.Duration(viewers)
				for _, f := range fetched {
					if at := passed - opened.Truncate(step); at >= 0 && at%f.every == 0 {
						v.send(http.MethodGet, f.path, http.Header{"Hx-Request": {"true"}})
					}
				}
			}
			s.pass(step)
		}
		return s.Store.Statements() - before
	}
	// Whether a session has ended is asked every two seconds, by the clock.
	const asked = 10
	if one, ten := look(1), look(10); one < 50 || ten > one+one/10+asked {
		t.Errorf("in a minute one of each page costs %d statements, ten of each %d", one, ten)
	}
}

// TestPagesThatAreSharedForLongShowWhatChanged sees a page whose content is
// shared while nothing happens.
func TestPagesThatAreSharedForLongShowWhatChanged(t *testing.T) {
	s := followed(t)
	v := s.sign(store.Viewer, "vera")
	v.get("/nfts/c%2F1", http.StatusOK).holds(t, "<dt>Votes</dt><dd>5")
	before := s.Store.Statements()
	s.pass(10 * time.Second)
	for range 10 {
		v.send(http.MethodGet, "/nfts/c%2F1", http.Header{"Hx-Request": {"true"}})
	}
	if n := s.Store.Statements() - before; n > 2 { // whether a session has ended
		t.Errorf("a page on which nothing happened costs %d statements", n)
	}
	s.cast(super())
	s.Live.Changed()
	v.get("/nfts/c%2F1", http.StatusOK).holds(t, "<dt>Votes</dt><dd>10")
}
