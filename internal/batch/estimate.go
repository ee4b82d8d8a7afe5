package batch

import (
	"math"
	"time"
)

// Cost is what a run will take on a healthy database.
type Cost struct {
	NFTs   int           `json:"nfts"`   // that fit into the cap
	Left   int           `json:"left"`   // that do not
	Work   time.Duration `json:"work"`   // computing
	Pauses time.Duration `json:"pauses"` // between
	Total  time.Duration `json:"total"`
}

// Estimate returns what a run over n NFTs costs when each takes perNFT to
// compute: the times that its Pacer would give it.
func Estimate(s Settings, n int, perNFT time.Duration) Cost {
	var cost Cost
	if n <= 0 {
		return cost
	}
	var now time.Time
	for p := BeginRun(s, 0, now); !p.Next.Stop; {
		done := min(p.Next.Chunk, n-cost.NFTs)
		took := time.Duration(done) * max(perNFT, 0)
		cost.Pauses += p.Next.Pause
		cost.Work += took
		cost.NFTs += done
		now = now.Add(p.Next.Pause + took)
		p = p.Step(s, Work{NFTs: done, Took: took, Left: n - cost.NFTs}, Signals{}, now)
	}
	cost.Left = n - cost.NFTs
	cost.Total = cost.Work + cost.Pauses
	return cost
}

// Backlog is how many NFTs of each class wait.
type Backlog struct {
	New int64 `json:"new"`
	Due int64 `json:"due"`
	Old int64 `json:"old"`
}

// Total is the number of all that wait.
func (b Backlog) Total() int64 { return b.New + b.Due + b.Old }

// Measured is what earlier runs have shown; 0 for what is not known.
type Measured struct {
	PerNFT time.Duration `json:"per_nft"` // time to compute one, without pauses
	Rate   float64       `json:"rate"`    // NFTs per second in adaptive mode, with pauses
}

// Coverage is when a backlog will be covered, if nothing is added to it.
type Coverage struct {
	Runs int64 `json:"runs"` // until all is covered
	// Times from the start of the next run, at most; 0 where none waits.
	All time.Duration `json:"all"`
	New time.Duration `json:"new"`
	Due time.Duration `json:"due"`
	Old time.Duration `json:"old"`
}

// Cover returns when a backlog is covered at the pace of the settings. In
// fixed mode, and in adaptive mode while no rate is known, that is after whole
// runs, each an interval long. In adaptive mode a run covers what the rate
// gives within the cap, and the last ends when it is done.
func Cover(s Settings, b Backlog, m Measured) Coverage {
	byRate := s.Mode == Adaptive && m.Rate > 0
	var perRun float64
	if byRate {
		perRun = m.Rate * s.Cap.Seconds()
	} else {
		slow := s
		slow.Mode = Fixed
		perRun = float64(Estimate(slow, s.Size, m.PerNFT).NFTs)
	}
	wall := func(runs float64) time.Duration {
		if runs == 0 {
			return 0
		}
		full := math.Ceil(runs) - 1
		last := s.Every.Seconds()
		if byRate {
			last = (runs - full) * s.Cap.Seconds()
		}
		return seconds(full*s.Every.Seconds() + last)
	}
	newRun := perRun * float64(s.NewSlots()) / float64(s.Size)
	oldRun := perRun - newRun
	c := Coverage{All: wall(runs(b.Total(), b.Total(), perRun, perRun))}
	c.Runs = int64(math.Ceil(runs(b.Total(), b.Total(), perRun, perRun)))
	c.New = wall(runs(b.New, b.Total(), newRun, perRun))
	c.Due = wall(runs(b.Due, b.New+b.Due, oldRun, perRun))
	if b.Old > 0 {
		c.Old = wall(runs(b.Due+b.Old, b.Total(), oldRun, perRun))
	}
	return c
}

// runs is how many runs, and parts of one, cover part of all NFTs: the part at
// its own share of a run, or sooner where the rest is covered first and leaves
// its slots.
func runs(part, all int64, perRunPart, perRunAll float64) float64 {
	if part <= 0 {
		return 0
	}
	n := math.Min(float64(part)/perRunPart, float64(all)/perRunAll)
	// Shares are rounded fractions: a whole number of runs stays whole.
	if whole := math.Round(n); whole > 0 && math.Abs(n-whole) < 1e-9*whole {
		return whole
	}
	return n
}

// seconds returns x seconds, or the longest Duration (292 years).
func seconds(x float64) time.Duration {
	if x >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(x * float64(time.Second))
}
