package sample

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// Mix are the shares of the kinds of votes; they need not sum to 1.
type Mix struct{ Regular, Slider, Super, Fire float64 }

// WorkloadOptions describe a Workload. A zero field stands for its default.
type WorkloadOptions struct {
	Seed   uint64
	NFTs   int     // 54,312
	Voters int     // 20,000
	S      float64 // exponent of the Zipf law by which NFTs are chosen, 1.0
	Mix    Mix     // 85 % regular, 10 % slider, 4 % super, 1 % FIRE; Mix{Super: 1} makes every vote trigger

	// The votes of a stream are cast evenly over Span, the last one at End
	// (required). Super and FIRE votes and milestones trigger whatever the
	// times are: 4, 1 and about 6 % of the votes, whatever their number, until
	// most NFTs have passed the last milestone. High activity adds to them only
	// for votes cast within a day of their arrival, on the most chosen NFTs: it
	// is below 1 % at the default Span of 180 days if votes arrive at End, and
	// nine of ten votes trigger if Span is an hour.
	Span time.Duration
	End  time.Time
}

// Workload generates votes for benchmarks: as many as wanted, fast, in constant
// memory. It is safe for concurrent use.
type Workload struct {
	o      WorkloadOptions
	nfts   []string
	voters []string
	zipf   *alias
	kinds  *alias
}

// NewWorkload builds the tables that the votes are drawn from.
func NewWorkload(o WorkloadOptions) *Workload {
	if o.NFTs == 0 {
		o.NFTs = 54_312
	}
	if o.Voters == 0 {
		o.Voters = 20_000
	}
	if o.S == 0 {
		o.S = 1
	}
	if o.Mix == (Mix{}) {
		o.Mix = Mix{Regular: 0.85, Slider: 0.10, Super: 0.04, Fire: 0.01}
	}
	if o.Span == 0 {
		o.Span = 180 * 24 * time.Hour
	}
	w := &Workload{
		o: o, nfts: make([]string, o.NFTs), voters: make([]string, o.Voters), zipf: newZipf(o.NFTs, o.S),
		kinds: newAlias([]float64{o.Mix.Regular, o.Mix.Slider, o.Mix.Super, o.Mix.Fire}),
	}
	for i := range w.nfts {
		w.nfts[i] = fmt.Sprintf("nft-%07d", i)
	}
	// Which NFTs are popular has nothing to do with their order in the database.
	rand.New(rand.NewPCG(o.Seed, streamNFTs)).Shuffle(len(w.nfts), func(i, j int) { w.nfts[i], w.nfts[j] = w.nfts[j], w.nfts[i] })
	for i := range w.voters {
		w.voters[i] = fmt.Sprintf("voter-%06d", i)
	}
	return w
}

// NFTs returns the NFTs to register, in collections of 5,000.
func (w *Workload) NFTs() iter.Seq[store.NFT] {
	return func(yield func(store.NFT) bool) {
		for i := range w.o.NFTs {
			nft := store.NFT{
				ID: fmt.Sprintf("nft-%07d", i), Name: fmt.Sprintf("NFT %d", i),
				Collection: fmt.Sprintf("Collection %d", i/5000+1),
			}
			if !yield(nft) {
				return
			}
		}
	}
}

// Votes returns n votes of the stream part, with keys of their own. Streams of
// different parts are independent; the same part gives the same votes each time.
func (w *Workload) Votes(part uint64, n int) iter.Seq[ledger.Vote] {
	return func(yield func(ledger.Vote) bool) {
		rng := rand.New(rand.NewPCG(w.o.Seed, streamVotes+part))
		key := fmt.Appendf(nil, "w%d-%d-", w.o.Seed, part)
		start := w.o.End.Add(-w.o.Span)
		step := float64(w.o.Span) / float64(n)
		for i := range n {
			v := w.vote(rng)
			v.Key = string(strconv.AppendInt(key, int64(i), 10))
			v.CastAt = start.Add(time.Duration(step * float64(i+1))).Truncate(time.Microsecond)
			if !yield(v) {
				return
			}
		}
	}
}

func (w *Workload) vote(rng *rand.Rand) ledger.Vote {
	a := w.zipf.draw(rng)
	v := ledger.Vote{Voter: w.voters[rng.IntN(len(w.voters))], A: w.nfts[a]}
	kind := w.kinds.draw(rng)
	switch kind {
	case 1:
		v.Kind, v.Value = scoring.Slider, float64(rng.IntN(101))
		return v
	case 3:
		v.Kind = scoring.Fire
		return v
	}
	b := w.zipf.draw(rng)
	for b == a {
		b = w.zipf.draw(rng)
	}
	v.B, v.Kind, v.Super = w.nfts[b], scoring.Matchup, kind == 2
	switch p := rng.Float64(); {
	case p < 0.01 && !v.Super:
		v.Outcome = scoring.Neither
	case p < 0.06:
		v.Outcome = scoring.Tie
	case p < 0.53:
		v.Outcome = scoring.WinA
	default:
		v.Outcome = scoring.WinB
	}
	return v
}

// Numbers of the random streams, so that one does not shift when another is
// read further.
const (
	streamNFTs = iota + 1
	streamVoters
	streamPlan
	streamChosen
	streamHistory
	streamLive
	streamTimes
	streamVotes = 1 << 32
)
