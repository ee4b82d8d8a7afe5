package samples

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"poa/internal/snapshot"
	"poa/internal/store"
)

// Range is how far back charts go.
type Range string

// The ranges.
const (
	Hour Range = "hour" // 60 points
	Day  Range = "day"  // 144 points
	Week Range = "week" // 168 points
)

// Ranges are all of them, the shortest first.
var Ranges = [...]Range{Hour, Day, Week}

// readEvery is how long what was read is shared, unless this process adds to it.
const readEvery = time.Minute

// shape returns how many points a range has and how many minutes each; ok is
// false for what is no range.
func (r Range) shape() (points, minutes int, ok bool) {
	switch r {
	case Hour:
		return 60, 1, true
	case Day:
		return 144, 10, true
	case Week:
		return 168, 60, true
	}
	return 0, 0, false
}

// Reader reads samples back. It reads each range about once a minute however
// many look, and never while nobody does. Its methods are safe for concurrent
// use.
type Reader struct {
	recorder *Recorder
	now      func() time.Time
	ranges   map[Range]*snapshot.Snapshot[[]store.Sample]
}

// NewReader returns a reader of the samples that a recorder's store has, with
// what this process has counted since, which the store does not have yet.
func NewReader(r *Recorder) *Reader {
	reader := &Reader{recorder: r, now: r.Now, ranges: map[Range]*snapshot.Snapshot[[]store.Sample]{}}
	for _, of := range Ranges {
		reader.ranges[of] = snapshot.New(readEvery, r.Now, func(ctx context.Context) ([]store.Sample, error) {
			_, minutes, _ := of.shape()
			from, until := of.window(r.Now())
			return r.Store.Samples(ctx, from, until, minutes)
		})
	}
	return reader
}

// window returns when a range begins and ends that ends with the bin of now.
func (r Range) window(now time.Time) (from, until time.Time) {
	points, minutes, _ := r.shape()
	bin := time.Duration(minutes) * time.Minute
	until = now.UTC().Truncate(bin).Add(bin)
	return until.Add(-time.Duration(points) * bin), until
}

// series are the samples of a range, in bins of equal length. The last bin is
// the one that is under way.
type series struct {
	start  time.Time     // of the first bin
	step   time.Duration // from one to the next
	points int
	counts map[string][]int64
	told   map[string][]bool // which bins have a value
}

func (r *Reader) series(ctx context.Context, of Range) (*series, error) {
	points, minutes, ok := of.shape()
	if !ok {
		return nil, fmt.Errorf("there is no range %q: it is hour, day or week", of)
	}
	read, pending, err := r.read(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("reading samples: %w", err)
	}
	start, _ := of.window(r.now())
	s := &series{
		start: start, step: time.Duration(minutes) * time.Minute, points: points,
		counts: map[string][]int64{}, told: map[string][]bool{},
	}
	for _, list := range [][]store.Sample{read, pending} {
		for i := range list {
			s.add(&list[i])
		}
	}
	return s, nil
}

// read returns what the store has and what it does not have yet, both of one
// moment: between two of this process's flushes.
func (r *Reader) read(ctx context.Context, of Range) (stored, pending []store.Sample, err error) {
	_, flushed := r.recorder.pending()
	for {
		if stored, err = r.ranges[of].After(ctx, flushed); err != nil {
			return nil, nil, err
		}
		before := flushed
		if pending, flushed = r.recorder.pending(); flushed.Equal(before) {
			return stored, pending, nil
		}
	}
}

func (s *series) add(x *store.Sample) {
	since := x.At.Sub(s.start)
	i := int(since / s.step)
	if since < 0 || i >= s.points {
		return
	}
	if s.counts[x.Name] == nil {
		s.counts[x.Name], s.told[x.Name] = make([]int64, s.points), make([]bool, s.points)
	}
	if strings.HasPrefix(x.Name, store.GaugePrefix) {
		s.counts[x.Name][i] = max(s.counts[x.Name][i], x.Value)
	} else {
		s.counts[x.Name][i] += x.Value
	}
	s.told[x.Name][i] = true
}

// sum returns the sum of a count over the bins that begin at a time or later.
func (s *series) sum(name string, from time.Time) (n int64) {
	for i, v := range s.counts[name] {
		if !s.start.Add(time.Duration(i) * s.step).Before(from) {
			n += v
		}
	}
	return n
}

// names returns the names that begin with prefix, without it, in order.
func (s *series) names(prefix string) []string {
	var names []string
	for name := range s.counts {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

// Values are the values of a line, one a bin; NaN, null in JSON, where there is
// none.
type Values []float64

// MarshalJSON writes null for NaN.
func (v Values) MarshalJSON() ([]byte, error) {
	out := make([]*float64, len(v))
	for i := range v {
		if !math.IsNaN(v[i]) {
			out[i] = &v[i]
		}
	}
	return json.Marshal(out)
}

// Line is a line of a chart.
type Line struct {
	Name   string `json:"name"`
	Values Values `json:"values"`
}

// Charts are the charts of a range. Every kind of vote and every reason has its
// line, in the same order each time; the last bin is the one that is under way.
type Charts struct {
	Range   Range   `json:"range"`
	Seconds int64   `json:"seconds"` // of a bin
	Times   []int64 `json:"times"`   // when bins begin, in seconds since 1970

	Votes          []Line `json:"votes"`           // a bin, by kind, as they came; History where there is any
	Computations   []Line `json:"computations"`    // a bin, by reason, failed and deferred ones not counted
	Backlog        []Line `json:"backlog"`         // NFTs: new, due, old; the most in a bin
	OldestUnscored Values `json:"oldest_unscored"` // age in seconds of the vote that waits longest, the most in a bin
	Latency        []Line `json:"latency"`         // p50 and p99 of vote to score in milliseconds, of votes that triggered
}

// The lines that a chart has whether or not anything happened.
var (
	voteKinds = []string{"matchup", "super", "slider", "fire", "unfire"}
	reasons   = []string{"super", "fire", "milestone", "high_activity", "batch", "manual", "backfill"}
)

// Charts returns the charts of a range; an error names one that does not exist.
func (r *Reader) Charts(ctx context.Context, of Range) (*Charts, error) {
	s, err := r.series(ctx, of)
	if err != nil {
		return nil, err
	}
	c := &Charts{Range: of, Seconds: int64(s.step / time.Second), Times: make([]int64, s.points), OldestUnscored: s.gauge(oldestUnscored)}
	for i := range c.Times {
		c.Times[i] = s.start.Add(time.Duration(i) * s.step).Unix()
	}
	for _, kind := range with(voteKinds, s.names(votes)) {
		c.Votes = append(c.Votes, Line{kind, s.total(votes + kind)})
	}
	for _, reason := range with(reasons, s.reasons()) {
		c.Computations = append(c.Computations, Line{reason, s.total(
			computed+reason+"."+Changed, computed+reason+"."+Unchanged, computed+reason+"."+Withdrawn)})
	}
	c.Backlog = []Line{{"new", s.gauge(backlogNew)}, {"due", s.gauge(backlogDue)}, {"old", s.gauge(backlogOld)}}
	c.Latency = []Line{{"p50", s.quantile(.5)}, {"p99", s.quantile(.99)}}
	return c, nil
}

// with returns the names that are expected, and after them those that are not.
func with(expected, found []string) []string {
	all := slices.Clone(expected)
	for _, name := range found {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// reasons returns the reasons of computations.
func (s *series) reasons() []string {
	var all []string
	for _, name := range s.names(computed) {
		reason := name[:strings.LastIndexByte(name, '.')]
		if !slices.Contains(all, reason) {
			all = append(all, reason)
		}
	}
	return all
}

// total adds counts up, by bin.
func (s *series) total(names ...string) Values {
	all := make(Values, s.points)
	for _, name := range names {
		for i, n := range s.counts[name] {
			all[i] += float64(n)
		}
	}
	return all
}

func (s *series) gauge(name string) Values {
	all := make(Values, s.points)
	for i := range all {
		all[i] = math.NaN()
		if s.told[name] != nil && s.told[name][i] {
			all[i] = float64(s.counts[name][i])
		}
	}
	return all
}

// quantile returns a quantile of the latency in milliseconds, by bin, as if the
// votes of a bucket were spread evenly over it. Those of the last bucket count
// as its lower bound.
func (s *series) quantile(q float64) Values {
	var counts [len(bounds) + 1][]int64
	for b := range counts {
		counts[b] = s.counts[bucket(b)]
	}
	all := make(Values, s.points)
	for i := range all {
		var buckets [len(counts)]int64
		for b := range counts {
			if counts[b] != nil {
				buckets[b] = counts[b][i]
			}
		}
		all[i] = quantile(buckets, q)
	}
	return all
}

func quantile(buckets [len(bounds) + 1]int64, q float64) float64 {
	var n int64
	for _, in := range buckets {
		n += in
	}
	if n == 0 {
		return math.NaN()
	}
	rank := q * float64(n)
	lower := time.Duration(0)
	for b, in := range buckets {
		if b == len(bounds) {
			break
		}
		if in > 0 && float64(in) >= rank {
			width := float64(bounds[b] - lower)
			return (float64(lower) + width*rank/float64(in)) / float64(time.Millisecond)
		}
		rank -= float64(in)
		lower = bounds[b]
	}
	return float64(lower) / float64(time.Millisecond)
}

// LastDay is what happened in the last 24 hours, to ten minutes.
type LastDay struct {
	Fired        []Count // triggers that votes fired, by rule; outcomes Computed and Deferred
	Computations []Count // by reason; all outcomes but Computed
}

// Count counts something by outcome.
type Count struct {
	Name     string
	Total    int64
	Outcomes map[string]int64
}

// LastDay returns what happened in the last 24 hours. Every rule and reason is
// there.
func (r *Reader) LastDay(ctx context.Context) (LastDay, error) {
	s, err := r.series(ctx, Day)
	if err != nil {
		return LastDay{}, err
	}
	return LastDay{Fired: s.byOutcome(fired, reasons[:4]), Computations: s.byOutcome(computed, reasons)}, nil
}

func (s *series) byOutcome(prefix string, expected []string) []Count {
	var all []Count
	for _, name := range expected {
		all = append(all, Count{Name: name, Outcomes: map[string]int64{}})
	}
	for _, name := range s.names(prefix) {
		dot := strings.LastIndexByte(name, '.')
		of, outcome := name[:dot], name[dot+1:]
		i := slices.IndexFunc(all, func(c Count) bool { return c.Name == of })
		if i < 0 {
			i = len(all)
			all = append(all, Count{Name: of, Outcomes: map[string]int64{}})
		}
		n := s.sum(prefix+name, time.Time{})
		all[i].Outcomes[outcome] += n
		all[i].Total += n
	}
	return all
}

// VotesToday returns how many votes were recorded since midnight, UTC, History
// not counted. Those of other processes come up to a minute late.
func (r *Reader) VotesToday(ctx context.Context) (n int64, err error) {
	s, err := r.series(ctx, Day)
	if err != nil {
		return 0, err
	}
	midnight := r.now().UTC().Truncate(24 * time.Hour)
	for _, kind := range s.names(votes) {
		if kind != History {
			n += s.sum(votes+kind, midnight)
		}
	}
	return n, nil
}
