package batch

import (
	"fmt"
	"math"
	"time"

	"poa/internal/trigger"
)

// Class is what a slot of a run was given for.
type Class string

// The classes. Due and Old share the slots that New leaves.
const (
	Due Class = "due" // a computation is owed
	New Class = "new" // no score though one could exist
	Old Class = "old" // the score is old and has votes enough
)

// Candidate is an NFT that a run could take.
type Candidate struct {
	NFT        int64  `json:"nft"` // number
	ID         string `json:"id"`
	Name       string `json:"name,omitempty"`
	Collection string `json:"collection,omitempty"`
	Votes      int64  `json:"votes"`

	WaitingSince time.Time `json:"waiting_since,omitzero"` // scorable since, while there is no score
	ScoredAt     time.Time `json:"scored_at,omitzero"`     // when the published score was computed

	DueSince    time.Time        `json:"due_since,omitzero"`
	DueReason   string           `json:"due_reason,omitempty"` // a trigger's reason, or text
	DuePriority trigger.Priority `json:"due_priority,omitempty"`

	Failures int       `json:"failures,omitempty"` // computations that failed in a row
	RetryAt  time.Time `json:"retry_at,omitzero"`  // not before, after a failure
}

// Candidates are the lists a plan is made from, each the head of an index and
// in its order. NFTs of inactive collections, and those that failed and are
// not to be tried again yet, are left out by the caller: they would take the
// place of others in a bounded list. The same NFT may occur in several lists.
type Candidates struct {
	Due     []Candidate // high priority first, then longest due
	New     []Candidate // without a score, most votes first
	Waiting []Candidate // without a score, longest waiting first
	Old     []Candidate // OldAfter old with AgingVotes or more, oldest first
}

// Lengths are the lengths of the four lists of Candidates.
type Lengths struct{ Due, New, Waiting, Old int }

// Need says how many candidates of each list a plan needs, at most. Every slot
// may go to any class when the others have none. A list that shares all its
// NFTs with the others still has one left for the last slot, so Size is
// enough.
func Need(s Settings) Lengths { return Lengths{s.Size, s.Size, s.Size, s.Size} }

// Item is a slot of a run.
type Item struct {
	Candidate
	Class  Class  `json:"class"`
	Reason string `json:"reason"` // a clause for people
}

// Plan returns the NFTs of a run, at most s.Size and none twice, in the order
// in which they are to be computed. It depends on its arguments alone.
//
// NewSlots of the slots are for new NFTs, the others for what is due and then
// for old scores. Slots that one side cannot fill go to the other. An NFT that
// is due takes a slot as such, whether it has a score or not, and then none as
// a new one.
//
// Of every LongestWaitEvery new slots the first goes to the NFT that has waited
// longest, and always one of a run, so that none starves however small the run
// or early its end; the others go by votes.
//
// Both sides alternate in proportion to their slots, what is due first, so
// that a run that ends early has kept the shares.
func Plan(s Settings, c Candidates, now time.Time) []Item {
	p := planner{now: now, taken: make(map[int64]bool, s.Size)}
	due, old := c.Due, c.Old
	takeOld := func(items []Item, slots int) []Item {
		items = p.take(items, &due, slots, Due, dueReason)
		return p.take(items, &old, slots, Old, oldReason)
	}
	older := takeOld(nil, s.Size-s.NewSlots())
	newer := p.takeNew(&c, s.Size-len(older), s.LongestWaitEvery)
	older = takeOld(older, s.Size-len(newer))
	return interleave(older, newer)
}

// NewSlots is how many of Size slots are for new NFTs: NewShare of them,
// rounded to the nearest with a half rounded up, but at least one for each
// side unless NewShare is 0 or 1.
func (s Settings) NewSlots() int {
	n := int(math.Round(float64(s.Size) * s.NewShare))
	if s.NewShare > 0 && s.NewShare < 1 && s.Size >= 2 {
		return min(max(n, 1), s.Size-1)
	}
	return n
}

type planner struct {
	now   time.Time
	taken map[int64]bool
}

// next removes and returns the first candidate of list that may be taken.
func (p *planner) next(list *[]Candidate) (Candidate, bool) {
	for len(*list) > 0 {
		c := (*list)[0]
		*list = (*list)[1:]
		if !p.taken[c.NFT] && !c.RetryAt.After(p.now) {
			p.taken[c.NFT] = true
			return c, true
		}
	}
	return Candidate{}, false
}

// take appends candidates of list to items until these are slots.
func (p *planner) take(items []Item, list *[]Candidate, slots int, class Class, reason func(Candidate, time.Time) string) []Item {
	for len(items) < slots {
		c, ok := p.next(list)
		if !ok {
			break
		}
		items = append(items, Item{c, class, reason(c, p.now)})
	}
	return items
}

// takeNew fills slots with NFTs without a score, one of every by waiting time.
func (p *planner) takeNew(c *Candidates, slots, every int) []Item {
	votes, waiting := c.New, c.Waiting
	byWait := max(1, slots/every)
	var items []Item
	for i := range slots {
		n := len(items)
		if i%every == 0 && i/every < byWait {
			items = p.take(items, &waiting, n+1, New, waitingReason)
		}
		if len(items) == n {
			items = p.take(items, &votes, n+1, New, votesReason)
		}
		if len(items) == n {
			items = p.take(items, &waiting, n+1, New, waitingReason)
		}
		if len(items) == n {
			break
		}
	}
	return items
}

// interleave merges a and b in proportion to their lengths, beginning with a.
func interleave(a, b []Item) []Item {
	items := make([]Item, 0, len(a)+len(b))
	for i, j := 0, 0; i < len(a) || j < len(b); {
		if j == len(b) || i < len(a) && i*len(b) <= j*len(a) {
			items = append(items, a[i])
			i++
		} else {
			items = append(items, b[j])
			j++
		}
	}
	return items
}

func votesReason(c Candidate, _ time.Time) string {
	if c.Votes == 1 {
		return "1 vote, no score yet"
	}
	return fmt.Sprintf("%d votes, no score yet", c.Votes)
}

func waitingReason(c Candidate, now time.Time) string {
	return fmt.Sprintf("waiting %s for a first score", span(now.Sub(c.WaitingSince)))
}

func oldReason(c Candidate, now time.Time) string {
	return fmt.Sprintf("score is %s old", span(now.Sub(c.ScoredAt)))
}

func dueReason(c Candidate, _ time.Time) string {
	if c.DueSince.IsZero() {
		return "tried again after " + count(c.Failures, "failure", "failures")
	}
	why := c.DueReason
	switch trigger.Reason(why) {
	case trigger.Super:
		why = "super vote"
	case trigger.Fire:
		why = "FIRE vote"
	case trigger.HighActivity:
		why = "high activity"
	case trigger.VoterCap:
		why = "super or FIRE vote over its voter's cap"
	case "":
		why = "no reason recorded"
	}
	return fmt.Sprintf("owed since %s: %s", c.DueSince.UTC().Format("2006-01-02 15:04 UTC"), why)
}
