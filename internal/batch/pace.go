package batch

import (
	"fmt"
	"math"
	"time"
)

// Signals are what is known of the database's health. Nil stands for what
// cannot be read, which is not taken for unhealthy.
type Signals struct {
	// Latency is that of the run's own statement, one whose work does not
	// depend on the size of the chunk.
	Latency         *time.Duration `json:"latency,omitempty"`
	VotesWaiting    *int           `json:"votes_waiting,omitempty"`     // in the ledger's queue
	SessionsPerCore *float64       `json:"sessions_per_core,omitempty"` // active
	WaitingLocks    *int           `json:"waiting_locks,omitempty"`     // sessions that wait for one
	ReplicationLag  *time.Duration `json:"replication_lag,omitempty"`   // of the slowest replica
}

// Unknown names the signals that cannot be read.
func (g Signals) Unknown() []string {
	var names []string
	for _, s := range []struct {
		name string
		gone bool
	}{
		{"database latency", g.Latency == nil},
		{"waiting votes", g.VotesWaiting == nil},
		{"active sessions", g.SessionsPerCore == nil},
		{"waiting locks", g.WaitingLocks == nil},
		{"replication lag", g.ReplicationLag == nil},
	} {
		if s.gone {
			names = append(names, s.name)
		}
	}
	return names
}

// Work is what was done since the last decision.
type Work struct {
	NFTs int           // computed or failed
	Took time.Duration // without the pause before
	Left int           // of the run or backfill, as far as known; negative for not known
}

// Decision is what to do next: stop, or pause and then compute a chunk. No
// transaction may be open in the pause.
type Decision struct {
	Stop  bool          `json:"stop"`
	Chunk int           `json:"chunk"` // NFTs to compute, at least 1 unless Stop
	Pause time.Duration `json:"pause"` // before them
	// Reason says why the run stops or slows down, "" for neither.
	Reason string `json:"reason,omitempty"`
}

// Pacer paces one run or backfill. It is a value that can be stored between
// steps, also as JSON, and goes on in another process. Its fields are for
// reading.
//
// In fixed mode NFTs are computed one by one, with a pause of work time ×
// niceness, at least Settings.Delay, between. In adaptive mode a first chunk
// is followed by others that grow by a constant while the database is healthy
// and shrink by a factor at once when it is not; the pause is then at least
// Settings.Delay too, and doubles with every unhealthy step that follows. The
// chunk stays at least as large as the first, so that a run does the work of
// one in fixed mode whatever the state of the database.
type Pacer struct {
	Mode    string        `json:"mode"`
	Capped  bool          `json:"capped"` // ends at Settings.Cap
	Started time.Time     `json:"started"`
	Elapsed time.Duration `json:"elapsed"` // work and pauses, and the time in which nobody went on
	Done    int           `json:"done"`
	Next    Decision      `json:"next"`

	Grown    int           `json:"grown"`    // adaptive: size of a full chunk now
	PerNFT   time.Duration `json:"per_nft"`  // time to compute one, averaged over the last few steps
	Latency  time.Duration `json:"latency"`  // database latency, averaged over the last few steps
	Baseline time.Duration `json:"baseline"` // and over long; 0 for not known

	Unhealthy   int      `json:"unhealthy"`              // steps in a row until now
	Slowdowns   int      `json:"slowdowns"`              // times it turned unhealthy
	FirstReason string   `json:"first_reason,omitempty"` // of the first of them
	Unknown     []string `json:"unknown,omitempty"`      // signals that could not be read at the last step
}

// Weights of a new value in the averages. A baseline falls faster than it
// rises, so that a slow first statement does not hide what follows and a long
// slow time is still seen as one.
const (
	recentWeight   = 0.5
	baselineRises  = 0.01
	baselineFalls  = 0.1
	longestDoubled = 20 // doublings of a pause; PauseMax ends it far sooner
)

// BeginRun returns the pacer of a batch run that starts now. The baseline is
// that of the last run's pacer, 0 for none.
func BeginRun(s Settings, baseline time.Duration, now time.Time) Pacer {
	p := Pacer{Mode: s.Mode, Capped: true, Started: now, Baseline: baseline, Grown: s.Adaptive.FirstChunk}
	p.Next.Chunk = 1
	if s.Mode == Adaptive {
		p.Next.Chunk = p.Grown
	}
	return p
}

// BeginBackfill is BeginRun for a backfill: it has no cap.
func BeginBackfill(s Settings, baseline time.Duration, now time.Time) Pacer {
	p := BeginRun(s, baseline, now)
	p.Capped = false
	return p
}

// Step takes what was done since the last decision and returns the pacer with
// the next one. The settings may differ from those before. Time that went
// back does not lengthen a run.
func (p Pacer) Step(s Settings, w Work, g Signals, now time.Time) Pacer {
	p.Mode = s.Mode
	p.Done += w.NFTs
	p.Elapsed = max(p.Elapsed+p.Next.Pause+w.Took, now.Sub(p.Started))
	p.Unknown = g.Unknown()
	if w.NFTs > 0 {
		p.PerNFT = average(p.PerNFT, w.Took/time.Duration(w.NFTs), recentWeight)
	}
	complaint := p.complaint(s.Adaptive, g)
	p.learn(g)
	p.adapt(s, complaint)

	d := Decision{Chunk: 1, Pause: nice(w.Took, s.Niceness, s.Delay)}
	if s.Mode == Adaptive {
		d = Decision{Chunk: p.Grown, Pause: p.pause(s, w.Took), Reason: complaint}
	}
	p.Next = p.stop(s, w, d)
	return p
}

// complaint returns the first reason to slow down, "" for none. Votes come
// first.
func (p *Pacer) complaint(a AdaptiveSettings, g Signals) string {
	if v := g.VotesWaiting; v != nil && *v > a.VotesWaiting {
		return fmt.Sprintf("%s in the ledger, the limit is %d", count(*v, "vote waits", "votes wait"), a.VotesWaiting)
	}
	if l := g.Latency; l != nil && p.Baseline > 0 {
		recent, usual := average(p.Latency, *l, recentWeight), max(p.Baseline, a.LatencyFloor)
		if times := float64(recent) / float64(usual); times > a.LatencyTolerance {
			return fmt.Sprintf("database latency %s is %.1f × its baseline of %s", short(recent), times, short(usual))
		}
	}
	if c := g.SessionsPerCore; c != nil && *c > a.SessionsPerCore {
		return fmt.Sprintf("%s database sessions are active per core, the limit is %s", digits(*c), digits(a.SessionsPerCore))
	}
	if n := g.WaitingLocks; n != nil && *n > a.WaitingLocks {
		return fmt.Sprintf("%s for a lock, the limit is %d", count(*n, "session waits", "sessions wait"), a.WaitingLocks)
	}
	if l := g.ReplicationLag; l != nil && *l > a.ReplicationLag {
		return fmt.Sprintf("a replica is %s behind, the limit is %s", short(*l), short(a.ReplicationLag))
	}
	return ""
}

// learn moves the averages of the latency.
func (p *Pacer) learn(g Signals) {
	if g.Latency == nil || *g.Latency < 0 {
		return
	}
	l := *g.Latency
	p.Latency = average(p.Latency, l, recentWeight)
	if l > p.Baseline {
		p.Baseline = average(p.Baseline, l, baselineRises)
	} else {
		p.Baseline = average(p.Baseline, l, baselineFalls)
	}
}

// adapt grows or shrinks the chunk and counts slow-downs. In fixed mode there
// are none.
func (p *Pacer) adapt(s Settings, complaint string) {
	if s.Mode != Adaptive {
		p.Unhealthy = 0
		return
	}
	a := s.Adaptive
	if complaint == "" {
		p.Unhealthy = 0
		p.Grown = min(max(p.Grown+a.Growth, a.FirstChunk), a.ChunkMax)
		return
	}
	if p.Unhealthy == 0 {
		p.Slowdowns++
	}
	if p.FirstReason == "" {
		p.FirstReason = complaint
	}
	p.Unhealthy++
	p.Grown = min(max(int(float64(p.Grown)*a.Decrease), a.FirstChunk), a.ChunkMax)
}

// pause returns the pause of adaptive mode after work that took so long.
func (p *Pacer) pause(s Settings, took time.Duration) time.Duration {
	if p.Unhealthy == 0 {
		return nice(took, s.Niceness, s.Adaptive.Delay)
	}
	longest := s.Adaptive.PauseMax
	doubled := min(nice(took, s.Niceness, s.Delay), longest) << min(max(p.Unhealthy-1, 0), longestDoubled) // a stored pacer may say anything
	return nice(took, s.Niceness, min(doubled, longest))
}

// stop turns d into a stop where nothing is left or the cap leaves no time for
// an NFT, and fits its chunk into what the cap leaves.
func (p *Pacer) stop(s Settings, w Work, d Decision) Decision {
	if w.Left == 0 {
		return Decision{Stop: true, Reason: p.doneReason()}
	}
	if w.Left > 0 {
		d.Chunk = min(d.Chunk, w.Left)
	}
	if !p.Capped {
		return d
	}
	rest := s.Cap - p.Elapsed - d.Pause
	if rest <= 0 || rest < p.PerNFT {
		return Decision{Stop: true, Reason: p.capReason(s, w)}
	}
	if p.PerNFT > 0 {
		d.Chunk = int(min(int64(d.Chunk), int64(rest/p.PerNFT)))
	}
	return d
}

// doneReason says that the plan is done. More may wait than was planned.
func (p *Pacer) doneReason() string {
	if p.Done == 0 {
		return "nothing was planned"
	}
	return "all that was planned is done, " + count(p.Done, "NFT", "NFTs")
}

func (p *Pacer) capReason(s Settings, w Work) string {
	left := "it is not known how many are left"
	if w.Left > 0 {
		left = count(w.Left, "is", "are") + " left"
	}
	reason := fmt.Sprintf("the next NFT does not fit into the time cap of %s: after %s %s done, %s",
		short(s.Cap), short(p.Elapsed), count(p.Done, "NFT is", "NFTs are"), left)
	if p.FirstReason != "" {
		reason += fmt.Sprintf("; slowed down %s, first because %s", count(p.Slowdowns, "time", "times"), p.FirstReason)
	}
	return reason
}

// Rate is the NFTs per second so far, pauses included; 0 for none.
func (p Pacer) Rate() float64 {
	if p.Elapsed <= 0 {
		return 0
	}
	return float64(p.Done) / p.Elapsed.Seconds()
}

// State is the pacing as people see it.
type State struct {
	Mode    string        `json:"mode"`
	Chunk   int           `json:"chunk"`
	Pause   time.Duration `json:"pause"`
	Healthy bool          `json:"healthy"`           // always in fixed mode, which asks no signals
	Stopped bool          `json:"stopped"`           //
	Reason  string        `json:"reason,omitempty"`  // why it is slow or stopped
	Unknown []string      `json:"unknown,omitempty"` // signals that cannot be read; in adaptive mode
}

// State returns the pacing as people see it.
func (p Pacer) State() State {
	s := State{
		Mode: p.Mode, Chunk: p.Next.Chunk, Pause: p.Next.Pause,
		Healthy: p.Unhealthy == 0, Stopped: p.Next.Stop, Reason: p.Next.Reason,
	}
	if p.Mode == Adaptive {
		s.Unknown = p.Unknown
	}
	return s
}

func (s State) String() string {
	switch {
	case s.Stopped:
		return fmt.Sprintf("%s, stopped: %s", s.Mode, s.Reason)
	case s.Mode != Adaptive:
		return fmt.Sprintf("%s, one NFT after a pause of %s", s.Mode, short(s.Pause))
	case !s.Healthy:
		return fmt.Sprintf("%s, slowed to %d NFTs after a pause of %s: %s", s.Mode, s.Chunk, short(s.Pause), s.Reason)
	}
	return fmt.Sprintf("%s, healthy, %d NFTs after a pause of %s", s.Mode, s.Chunk, short(s.Pause))
}

// average moves an average towards x; one of 0 starts there.
func average(old, x time.Duration, weight float64) time.Duration {
	if old == 0 {
		return x
	}
	return old + time.Duration(math.Round(weight*float64(x-old)))
}

// nice returns the pause after work that took so long, at least shortest.
func nice(took time.Duration, niceness float64, shortest time.Duration) time.Duration {
	return max(shortest, time.Duration(float64(took)*niceness))
}
