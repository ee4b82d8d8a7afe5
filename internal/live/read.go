package live

import (
	"context"
	"slices"
	"time"

	"poa/internal/store"
)

// due says when something is done next.
type due struct {
	what     string
	at       time.Time
	last     time.Time
	failures int // in a row
}

// follow reads while anyone listens.
func (s *Stream) follow(ctx context.Context) {
	read, replay := due{what: "reading activity"}, due{what: "reading older activity"}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		case <-s.nudged:
			if soon := read.last.Add(min(s.Poll/10, nudgeSpacing)); read.failures == 0 && soon.Before(read.at) {
				read.at = soon
			}
		}
		if !s.listened() {
			return
		}
		if !time.Now().Before(read.at) {
			more, err := s.read(ctx)
			every := s.Poll
			if more {
				every = 0
			}
			s.outcome(ctx, &read, every, err)
		}
		if s.asked() && !time.Now().Before(replay.at) {
			queried, err := s.replay(ctx)
			every := s.ReplayEvery
			if !queried {
				every = 0
			}
			s.outcome(ctx, &replay, every, err)
		}
		next := read.at
		if s.asked() && replay.at.Before(next) {
			next = replay.at
		}
		timer.Reset(time.Until(next))
	}
}

// listened reports whether anyone listens. Where nobody does, the ring is
// given up: what happens until the next listener comes is not read.
func (s *Stream) listened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.subs) > 0 {
		return true
	}
	s.started, s.ring, s.asking = false, ring{}, nil
	return false
}

// asked reports whether a listener waits for a replay.
func (s *Stream) asked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started && len(s.asking) > 0
}

// outcome says when to go on, and backs off from failures. It tells of the
// first one and of their end.
func (s *Stream) outcome(ctx context.Context, d *due, every time.Duration, err error) {
	d.last = time.Now()
	d.at = d.last.Add(every)
	if err == nil {
		if d.failures > 0 {
			s.Log.Info(d.what+" for the live stream works again", "failures", d.failures)
		}
		d.failures = 0
		return
	}
	d.failures++
	if d.failures == 1 && ctx.Err() == nil {
		s.Log.Warn(d.what+" for the live stream failed; it is tried again", "err", err)
	}
	d.at = d.last.Add(max(s.Poll, min(longestWait, s.Poll<<min(d.failures, 10))))
}

// read takes the next page into the ring, or begins. It reports whether there
// may be more at once.
func (s *Stream) read(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	began := time.Now()
	s.mu.Lock()
	started, after := s.started, s.position
	s.mu.Unlock()
	if !started {
		end, err := s.source.StreamEnd(ctx)
		if err == nil {
			s.begin(end, began)
		}
		return false, err
	}
	page, end, err := s.source.Stream(ctx, after, pageSize)
	if err != nil {
		return false, err
	}
	list := events(page, after, end)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.position = end
	if len(list) < pageSize {
		s.heard = began
	}
	if len(list) > 0 {
		s.Changed()
		s.ring.append(list)
		if slices.ContainsFunc(page, steers) {
			s.steered = time.Now()
		}
		s.stats.Events += int64(len(list))
		s.broadcast()
	}
	return len(list) == pageSize, nil
}

// Steered returns when an entry was last read that is about a run, a pause or
// settings, rather than an NFT; zero for never. Entries are read while somebody
// listens.
func (s *Stream) Steered() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steered
}

func steers(a store.Activity) bool {
	switch a.Kind {
	case store.RunStarted, store.RunEnded, store.Paused, store.Resumed, store.SettingsChanged:
		return true
	}
	return false
}

// begin takes the ring into use, at a position that began to be read at a time.
// What happened before was not read.
func (s *Stream) begin(at store.Position, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Changed()
	s.started, s.heard, s.position, s.ring = true, began, at, newRing(s.Buffer, at)
	for sub := range s.subs {
		if sub.after == nil {
			sub.join(s.ring.end(), s.ring.latest())
		}
	}
	s.settle()
	s.broadcast()
}

// settle lets those go on whose place is in the ring by now, and forgets those
// who have left. The caller holds mu.
func (s *Stream) settle() {
	var rest []*Subscription
	for _, sub := range s.asking {
		if sub.closed {
			continue
		}
		if seq, ok := s.ring.after(*sub.after); ok {
			sub.join(seq, *sub.after)
			continue
		}
		rest = append(rest, sub)
	}
	if len(rest) < len(s.asking) {
		s.broadcast()
	}
	s.asking = rest
}

// replay serves the listener who has asked longest for a place that is not in
// the ring. It reports whether it sent a query.
func (s *Stream) replay(ctx context.Context) (queried bool, err error) {
	s.mu.Lock()
	s.settle()
	if len(s.asking) == 0 {
		s.mu.Unlock()
		return false, nil
	}
	// The next one's turn comes whatever becomes of this.
	sub := s.asking[0]
	s.asking = append(s.asking[1:], sub)
	s.stats.Replays++
	s.mu.Unlock()

	old, err := s.older(ctx, sub.after.After)
	if err != nil {
		return true, err
	}
	// Whatever of these came after the ring's beginning is in the ring once
	// that has caught up, so the two can be told apart.
	for n := 0; n <= s.Buffer; n += pageSize {
		if more, err := s.read(ctx); err != nil {
			return true, err
		} else if !more {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = slices.DeleteFunc(s.asking, func(other *Subscription) bool { return other == sub })
	s.splice(sub, old)
	s.settle() // others may find their place in what was read
	s.broadcast()
	return true, nil
}

// older is what was read after a place that is not in the ring.
type older struct {
	events []Event
	end    store.Position // where they end
	all    bool           // there was no more to read
}

// older reads what follows a place, up to a bound or to where the ring is.
func (s *Stream) older(ctx context.Context, after store.Position) (older, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	// The entry that a place names is within the first page.
	old := older{end: after}
	for len(old.events) < s.Replay+pageSize && !old.all && !s.has(old.events) {
		page, end, err := s.source.Stream(ctx, old.end, pageSize)
		if err != nil {
			return old, err
		}
		old.events = append(old.events, events(page, old.end, end)...)
		old.end, old.all = end, len(page) < pageSize
	}
	return old, nil
}

// has reports whether the last of a list of events is in the ring.
func (s *Stream) has(list []Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(list) > 0 && s.ring.has(list[len(list)-1])
}

// splice lets a listener go on with the events after its place, and then with
// the ring. They go into the ring if they fit, so that others who come from
// about there cost no query. The caller holds mu.
func (s *Stream) splice(sub *Subscription, old older) {
	id := *sub.after
	if seq, ok := s.ring.after(id); ok {
		sub.join(seq, id)
		return
	}
	list := old.events
	whole := s.ring.base != nil && (old.all || !before(old.end, *s.ring.base))
	if meet := slices.IndexFunc(list, s.ring.has); meet >= 0 {
		list, whole = list[:meet], true
	}
	seen := 1 + slices.IndexFunc(list, func(e Event) bool { return e.Activity.Number == id.Number })
	found := id.Number == 0 || seen > 0
	if whole && found && s.ring.prepend(list, id.After) {
		sub.join(s.ring.start+int64(seen), id)
		return
	}
	sub.join(s.ring.start, id)
	if !found { // deleted by upkeep, or never there
		sub.own = append(sub.own, s.gap(id, 0))
	}
	if list = list[seen:]; len(list) > s.Replay {
		list, whole = list[:s.Replay], false
	}
	for _, e := range list {
		if id = e.ID; sub.filter.fits(e.Activity) {
			sub.own = append(sub.own, e)
		}
	}
	if !whole {
		sub.own = append(sub.own, s.gap(id, 0))
	}
}

// gap returns a gap after a place. The caller holds mu.
func (s *Stream) gap(after ID, missed int64) Event {
	s.stats.Gaps++
	return Event{Kind: Gap, ID: after, Missed: missed}
}

func before(a, b store.Position) bool {
	if a.Transaction != b.Transaction {
		return a.Transaction < b.Transaction
	}
	return a.Number < b.Number
}
