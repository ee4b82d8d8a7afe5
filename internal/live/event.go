package live

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"poa/internal/store"
	"poa/internal/trigger"
)

// ID is a place in the stream that a listener can go on from, in any process
// on the same database: after the entry with that number, which comes after a
// position. Number 0 stands for the position itself. The zero ID is the
// beginning of the log.
type ID struct {
	After  store.Position
	Number int64 // of the activity entry
}

// String returns the ID as text: transaction, number and entry, separated by
// dots.
func (id ID) String() string {
	return fmt.Sprintf("%d.%d.%d", id.After.Transaction, id.After.Number, id.Number)
}

// ParseID is the inverse of ID.String. The entry may be left out.
func ParseID(text string) (ID, error) {
	wrong := fmt.Errorf("%q is no place in the stream; take the id of an event as it came", text)
	parts := strings.Split(text, ".")
	if len(parts) == 2 {
		parts = append(parts, "0")
	}
	if len(parts) != 3 {
		return ID{}, wrong
	}
	var id ID
	var errs [3]error
	id.After.Transaction, errs[0] = strconv.ParseUint(parts[0], 10, 64)
	id.After.Number, errs[1] = strconv.ParseInt(parts[1], 10, 64)
	id.Number, errs[2] = strconv.ParseInt(parts[2], 10, 64)
	if errs != [3]error{} || id.After.Number < 0 || id.Number < 0 {
		return ID{}, wrong
	}
	return id, nil
}

// Kind is what an event tells: a store.ActivityKind, or one of these.
type Kind string

// The kinds of events beside those of activity.
const (
	Start Kind = "start" // the first event: where the listener is
	Gap   Kind = "gap"   // entries were missed here, those after the event's ID
	End   Kind = "end"   // the last event, over HTTP: the process is shutting down
)

// Event is what listeners get. It is shared by all of them: do not change what
// it points to.
type Event struct {
	Kind Kind
	// ID is where a listener that has seen this event goes on. That of a Gap
	// is the place before it: going on from there asks for what was missed.
	ID       ID
	Activity *store.Activity // nil for Start and Gap
	Missed   int64           // of a Gap: entries of all kinds, 0 where the number is not known
	data     []byte          // of activity, encoded once for all listeners
	// pageEnd is the position after the event, of the last one of a page;
	// those of the others are not known.
	pageEnd *store.Position
}

// entry is an activity entry as JSON.
type entry struct {
	Number    int64          `json:"number"`
	At        time.Time      `json:"at"`
	Kind      string         `json:"kind"`
	NFT       string         `json:"nft,omitempty"`
	Reason    string         `json:"reason,omitempty"`
	Reasons   map[string]int `json:"reasons,omitempty"`
	Priority  string         `json:"priority,omitempty"`
	Basis     string         `json:"basis,omitempty"`
	POABefore *float64       `json:"poa_before,omitempty"`
	POA       *float64       `json:"poa,omitempty"`
	Vote      int64          `json:"vote,omitempty"`
	Run       int64          `json:"run,omitempty"`
	Who       string         `json:"who,omitempty"`
	Detail    string         `json:"detail,omitempty"`
}

// Encode returns an activity entry as one JSON object.
func Encode(a *store.Activity) []byte {
	e := entry{
		Number: a.Number, At: a.At.UTC(), Kind: string(a.Kind), NFT: a.NFTID, Reason: a.Reason, Reasons: a.Reasons,
		Basis: string(a.Basis), POABefore: a.POABefore, POA: a.POA, Vote: a.Vote, Run: a.Run, Who: a.Who, Detail: a.Detail,
	}
	if a.Priority >= trigger.Medium {
		e.Priority = a.Priority.String()
	}
	return mustJSON(e)
}

// mustJSON encodes a value that consists of text, numbers that are finite, and
// times.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		data, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return data
}

// Data returns the event's content as one JSON object: the entry; of a Start
// where it is; of a Gap after which place entries were missed, and how many
// where that is known.
func (e *Event) Data() []byte {
	if e.data != nil {
		return e.data
	}
	return mustJSON(struct {
		After  string `json:"after"`
		Missed int64  `json:"missed,omitempty"`
	}{e.ID.String(), e.Missed})
}

// events makes events of a page of entries that lies between two positions.
func events(page []store.Activity, after, end store.Position) []Event {
	list := make([]Event, len(page))
	for i := range page {
		a := &page[i]
		list[i] = Event{Kind: Kind(a.Kind), ID: ID{after, a.Number}, Activity: a, data: Encode(a)}
	}
	if len(list) > 0 {
		list[len(list)-1].pageEnd = &end
	}
	return list
}

// Filter chooses entries. Empty fields do not filter; an entry must fit all
// others.
type Filter struct {
	Kinds  []store.ActivityKind // any of them
	NFT    string               // id
	Reason string               // one of the entry's reasons
	Run    int64                // number of a run
}

func (f *Filter) fits(a *store.Activity) bool {
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, a.Kind) {
		return false
	}
	if f.NFT != "" && f.NFT != a.NFTID || f.Run != 0 && f.Run != a.Run {
		return false
	}
	return f.Reason == "" || f.Reason == a.Reason || a.Reasons[f.Reason] > 0
}
