package live

import "context"

// Query says what a listener wants.
type Query struct {
	After  *ID // go on after this place; nil: from now on
	Filter Filter
}

// Subscription is one listener's. Use it from one goroutine, and Close it.
type Subscription struct {
	stream *Stream
	after  *ID
	filter Filter

	// Guarded by the stream's mu.
	joined bool    // next is set
	next   int64   // sequence number in the ring
	own    []Event // to be taken before those of the ring
	at     ID      // the last place passed, whether the entry there fitted or not
	closed bool
}

// Subscribe begins to listen: to everything that becomes visible after the
// first event, a Start, or after a place. It returns ErrFull or ErrStopped.
func (s *Stream) Subscribe(q Query) (*Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, ErrStopped
	}
	if len(s.subs) >= s.MaxListeners {
		return nil, ErrFull
	}
	sub := &Subscription{stream: s, after: q.After, filter: q.Filter}
	s.subs[sub] = struct{}{}
	switch {
	case q.After != nil:
		s.asking = append(s.asking, sub)
		if s.started {
			s.settle()
		}
	case s.started:
		sub.join(s.ring.end(), s.ring.latest())
	}
	signal(s.wake)
	return sub, nil
}

// join lets the listener go on with an event of the ring.
func (sub *Subscription) join(next int64, at ID) {
	sub.joined, sub.next, sub.at = true, next, at
	sub.own = []Event{{Kind: Start, ID: at}}
}

// Close ends the subscription. It may be called more than once.
func (sub *Subscription) Close() {
	s := sub.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub.closed {
		return
	}
	sub.closed = true
	delete(s.subs, sub)
	if len(s.subs) == 0 {
		signal(s.wake)
		if s.stopped {
			close(s.empty)
		}
	}
}

// Next waits for events and returns up to limit of them, at least one. It
// returns ErrStopped when the process shuts down, ErrClosed, or ctx's error.
func (sub *Subscription) Next(ctx context.Context, limit int) ([]Event, error) {
	for {
		list, changed, err := sub.take(limit)
		if err != nil || len(list) > 0 {
			return list, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// At returns where the listener is: the place to go on from after all events
// that Next returned, which with a Filter may lie behind the last of them.
func (sub *Subscription) At() ID {
	sub.stream.mu.Lock()
	defer sub.stream.mu.Unlock()
	return sub.at
}

// take returns the events there are, or what to wait for.
func (sub *Subscription) take(limit int) (list []Event, changed <-chan struct{}, err error) {
	s := sub.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case sub.closed:
		return nil, nil, ErrClosed
	case s.stopped:
		return nil, nil, ErrStopped
	case !sub.joined:
		return nil, s.changed, nil
	}
	n := min(limit, len(sub.own))
	list, sub.own = append(list, sub.own[:n]...), sub.own[n:]
	if n > 0 {
		sub.at = list[n-1].ID
	}
	if len(sub.own) > 0 {
		return list, nil, nil
	}
	sub.own = nil
	if s.started && sub.next < s.ring.start && len(list) < limit {
		list = append(list, s.gap(sub.at, s.ring.start-sub.next))
		sub.next = s.ring.start
	}
	for sub.next < s.ring.end() && len(list) < limit {
		e := s.ring.at(sub.next)
		sub.next++
		if sub.at = e.ID; sub.filter.fits(e.Activity) {
			list = append(list, *e)
		}
	}
	return list, s.changed, nil
}
