// Package overview reads what everybody looks at, once for all who look.
package overview

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"poa/internal/samples"
	"poa/internal/snapshot"
	"poa/internal/store"
)

const (
	// totalsEvery is how long what was read is shared: as long as open pages
	// wait before they ask again, so that many that do not ask together have it
	// read as often as one.
	totalsEvery = 3 * time.Second
	// listed is how many NFTs each list has.
	listed = 12
)

// Options of a Reader. A zero field means its default.
type Options struct {
	Store   store.Service   // required
	Samples *samples.Reader // required
	// Steered tells when it was last heard that collections may have been changed
	// elsewhere, which are then read anew: never.
	Steered func() time.Time
	// Unchanged tells whether nothing has happened since a time, as far as is
	// known, so that what was read then is shared for longer: never.
	Unchanged func(since time.Time) bool
	Now       func() time.Time // time.Now
}

// Reader reads what the panel's first pages show: once in three seconds at
// the most however many look, less often while nothing happens, and never while
// nobody looks. Do not change what it
// returns. Its methods are safe for concurrent use.
type Reader struct {
	Options
	collections *snapshot.Snapshot[[]store.Collection]
	lists       *snapshot.Snapshot[lists]
	changed     atomic.Int64 // when somebody last changed a collection here, in microseconds
}

// lists are what is read beside the collections.
type lists struct {
	distribution store.Bins
	top          []store.Ranked
	recent       []store.Recent
	longest      store.Candidate
}

// New returns a reader.
func New(o Options) *Reader {
	if o.Steered == nil {
		o.Steered = func() time.Time { return time.Time{} }
	}
	if o.Unchanged == nil {
		o.Unchanged = func(time.Time) bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Reader{Options: o}
	r.collections = snapshot.New(totalsEvery, o.Now, r.readCollections).Quietly(o.Unchanged)
	r.lists = snapshot.New(totalsEvery, o.Now, r.readLists).Quietly(o.Unchanged)
	return r
}

// Overview is the state of all scoring.
type Overview struct {
	Totals
	VotesToday   int64     // recorded since midnight UTC; those of other processes come up to a minute late
	WaitingSince time.Time // of the NFT of an active collection that waits longest for its first score, zero for none
	Distribution store.Bins
	Top          []store.Ranked // highest scores first
	Recent       []store.Recent // computed last, the latest first
}

// Totals are those of all collections, or of one.
type Totals struct {
	NFTs, Scored  int64
	Votes         int64 // on the NFTs, weighted, each NFT's own: not those cast
	Ready         int64 // votes enough for a score, and none
	POASum        int64 // hundredths
	ConfidenceSum int64
}

// TotalsOf returns the totals of collections.
func TotalsOf(collections ...store.Collection) (t Totals) {
	for i := range collections {
		c := &collections[i]
		t.NFTs += c.NFTs
		t.Votes += c.Votes
		t.Scored += c.Scored
		t.Ready += c.Ready
		t.POASum += c.POASum
		t.ConfidenceSum += c.ConfidenceSum
	}
	return t
}

// Coverage is the share of NFTs that have a score, from 0 to 1; 0 of none.
func (t Totals) Coverage() float64 {
	if t.NFTs == 0 {
		return 0
	}
	return float64(t.Scored) / float64(t.NFTs)
}

// POA and Confidence are the averages of all scores, NaN where there are none.
func (t Totals) POA() float64        { return t.mean(t.POASum) }
func (t Totals) Confidence() float64 { return t.mean(t.ConfidenceSum) }

func (t Totals) mean(hundredths int64) float64 {
	if t.Scored == 0 {
		return math.NaN()
	}
	return float64(hundredths) / 100 / float64(t.Scored)
}

// Overview returns the state of all scoring.
func (r *Reader) Overview(ctx context.Context) (*Overview, error) {
	collections, err := r.Collections(ctx)
	if err != nil {
		return nil, err
	}
	read, err := r.lists.Get(ctx)
	if err != nil {
		return nil, err
	}
	today, err := r.Samples.VotesToday(ctx)
	if err != nil {
		return nil, err
	}
	return &Overview{
		Totals: TotalsOf(collections...), VotesToday: today, WaitingSince: read.longest.WaitingSince,
		Distribution: read.distribution, Top: read.top, Recent: read.recent,
	}, nil
}

// Collections returns all collections by name, up to three seconds old but as
// they were after the last Changed and Steered.
func (r *Reader) Collections(ctx context.Context) ([]store.Collection, error) {
	least := time.UnixMicro(r.changed.Load())
	if steered := r.Steered(); steered.After(least) {
		least = steered
	}
	return r.collections.After(ctx, least)
}

// Changed has collections read anew, which somebody has changed.
func (r *Reader) Changed() { r.changed.Store(r.Now().UnixMicro()) }

func (r *Reader) readCollections(ctx context.Context) (all []store.Collection, err error) {
	err = r.Store.View(ctx, func(v store.View) error {
		all, err = v.Collections(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading totals: %w", err)
	}
	return all, nil
}

func (r *Reader) readLists(ctx context.Context) (l lists, err error) {
	if l.distribution, err = r.Store.Distribution(ctx, nil); err != nil {
		return l, fmt.Errorf("reading the distribution: %w", err)
	}
	if l.top, err = r.Store.Leaderboard(ctx, nil, nil, listed); err != nil {
		return l, fmt.Errorf("reading the highest scores: %w", err)
	}
	if l.recent, err = r.Store.RecentlyComputed(ctx, listed); err != nil {
		return l, fmt.Errorf("reading what was computed last: %w", err)
	}
	waiting, err := r.Store.Candidates(ctx, store.Wanted{Now: r.Now(), ByWaiting: 1})
	if err != nil {
		return l, fmt.Errorf("reading what waits longest: %w", err)
	}
	if len(waiting.ByWaiting) > 0 {
		l.longest = waiting.ByWaiting[0]
	}
	return l, nil
}
