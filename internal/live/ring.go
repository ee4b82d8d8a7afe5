package live

import (
	"slices"

	"poa/internal/store"
)

// ring holds the latest events in commit order, without a hole, under
// sequence numbers of this process.
type ring struct {
	limit   int
	events  []Event
	start   int64           // sequence number of the first event; negative ones are fine
	numbers map[int64]int64 // sequence number by number of the entry
	// base is the position after which the first event comes, nil where that
	// is not known.
	base *store.Position
}

func newRing(limit int, base store.Position) ring {
	return ring{limit: limit, numbers: map[int64]int64{}, base: &base}
}

// end returns the sequence number after the last event.
func (r *ring) end() int64 { return r.start + int64(len(r.events)) }

// at returns the event with a sequence number.
func (r *ring) at(seq int64) *Event { return &r.events[seq-r.start] }

// latest returns the place after the last event.
func (r *ring) latest() ID {
	if len(r.events) > 0 {
		return r.events[len(r.events)-1].ID
	}
	return ID{After: *r.base}
}

// has reports whether the ring holds an event.
func (r *ring) has(e Event) bool {
	_, ok := r.numbers[e.Activity.Number]
	return ok
}

// after returns the sequence number of the event after a place, if the ring
// knows the place.
func (r *ring) after(id ID) (int64, bool) {
	if id.Number != 0 {
		seq, ok := r.numbers[id.Number]
		return seq + 1, ok
	}
	if r.base != nil && *r.base == id.After {
		return r.start, true
	}
	for i := range r.events {
		if p := r.events[i].pageEnd; p != nil && *p == id.After {
			return r.start + int64(i) + 1, true
		}
	}
	return 0, false
}

// append adds a page that was read after the last event, and drops the oldest
// events above the limit.
func (r *ring) append(page []Event) {
	for i, e := range page {
		r.numbers[e.Activity.Number] = r.end() + int64(i)
	}
	r.events = append(r.events, page...)
	if drop := len(r.events) - r.limit; drop > 0 {
		r.drop(drop)
	}
}

// drop drops the n oldest events.
func (r *ring) drop(n int) {
	r.base = r.events[n-1].pageEnd
	for i := range r.events[:n] {
		delete(r.numbers, r.events[i].Activity.Number)
		r.events[i] = Event{} // the array may live on for a while
	}
	r.events = r.events[n:]
	r.start += int64(n)
}

// prepend adds a page that was read after base and lies right before the first
// event, if there is room.
func (r *ring) prepend(page []Event, base store.Position) bool {
	if len(r.events)+len(page) > r.limit {
		return false
	}
	if len(page) > 0 && r.base != nil {
		page[len(page)-1].pageEnd = r.base
	}
	r.events = slices.Concat(page, r.events)
	r.start -= int64(len(page))
	for i, e := range page {
		r.numbers[e.Activity.Number] = r.start + int64(i)
	}
	r.base = &base
	return true
}
