package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/ledger"
	"poa/internal/sample"
	"poa/internal/store"
)

// rawRows is how many rows a transaction of the raw insert has.
const rawRows = 1000

// Throughput compares the ledger with a raw insert of the same votes into the
// same indexed table of a database of its own.
type Throughput struct {
	Case          string  `json:"case"`
	Ratio         Spread  `json:"ratio"`  // of the rates, round by round
	Ledger        Spread  `json:"ledger"` // votes/s
	Raw           Spread  `json:"raw"`    // rows/s
	Statements    float64 `json:"statements_per_vote"`
	Triggered     float64 `json:"triggered"` // share of the votes
	Group         float64 `json:"votes_per_commit"`
	LargestGroup  int64   `json:"largest_commit"`
	WrittenLedger float64 `json:"wal_bytes_per_vote"`         // -1 where unknown
	WrittenRaw    float64 `json:"wal_bytes_per_row_inserted"` // likewise
}

// workCase is a variant of the workload.
type workCase struct {
	name  string
	mix   sample.Mix
	inUse bool // rating and voter rows exist
}

func cases() []workCase {
	return []workCase{
		{"usual votes", sample.Mix{}, true},
		{"every vote triggers", sample.Mix{Super: 1}, true},
		{"first votes of NFTs and voters", sample.Mix{}, false},
	}
}

// throughput alternates rounds of both sides. The first round warms up and does
// not count, but for first votes, which there are only once. After it, planner
// statistics are brought up to date as they are in a database in use.
func (r *run) throughput(ctx context.Context, c workCase) (t Throughput, err error) {
	r.tell("votes per second, %s", c.name)
	rounds, warmUp := r.Rounds, 1
	if !c.inUse {
		rounds, warmUp = 1, 0
	}
	w := r.workload(r.NFTs, c.mix)
	votes := slices.Collect(w.Votes(0, (warmUp+rounds)*r.Votes))
	taken, err := r.newGame(ctx, "ledger", w, votes, c.inUse)
	if err != nil {
		return t, err
	}
	raw, err := r.newGame(ctx, "raw", w, votes, true)
	if err != nil {
		return t, err
	}
	t = Throughput{Case: c.name}
	var sums throughputSums
	rows := raw.rows(votes, 1, r.Now().UTC().Truncate(time.Microsecond))
	for round := range warmUp + rounds {
		from, to := round*r.Votes, (round+1)*r.Votes
		sides := []func() error{
			func() error { return sums.takeVotes(ctx, taken, votes[from:to], r.Clients) },
			func() error { return sums.insertRows(ctx, raw.db, rows[from:to]) },
		}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			runtime.GC()
			if err := side(); err != nil {
				return t, err
			}
		}
		if round < warmUp {
			sums = throughputSums{}
			if err := errors.Join(taken.db.settle(ctx), raw.db.settle(ctx)); err != nil {
				return t, err
			}
		}
	}
	sums.report(&t)
	return t, errors.Join(taken.db.drop(ctx), raw.db.drop(ctx))
}

// throughputSums collects the rounds that count.
type throughputSums struct {
	ledger, raw                []float64 // rates
	votes, triggered           int64
	statements                 int64
	commits, committed, most   int64
	writtenLedger, writtenRaw  int64
	unknownLedger, unknownRows bool // bytes written
}

func (s *throughputSums) takeVotes(ctx context.Context, g *game, votes []ledger.Vote, clients int) error {
	m := &meter{Store: g.store}
	statements := g.store.Statements()
	before, err := g.db.written(ctx)
	if err != nil {
		return err
	}
	took, triggered, err := closedLoop(ctx, m, g, votes, clients)
	if err != nil {
		return err
	}
	after, err := g.db.written(ctx)
	if err != nil {
		return err
	}
	s.ledger = append(s.ledger, float64(len(votes))/took.Seconds())
	s.votes += int64(len(votes))
	s.triggered += triggered
	s.statements += g.store.Statements() - statements
	s.commits += m.commits.Load()
	s.committed += m.votes.Load()
	s.most = max(s.most, m.largest.Load())
	s.writtenLedger += after - before
	s.unknownLedger = after < 0
	if m.votes.Load() != int64(len(votes)) {
		return fmt.Errorf("%d votes were handed in and %d committed", len(votes), m.votes.Load())
	}
	return nil
}

func (s *throughputSums) insertRows(ctx context.Context, db database, rows []store.Vote) error {
	before, err := db.written(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	for chunk := range slices.Chunk(rows, rawRows) {
		if err := db.insert(ctx, chunk); err != nil {
			return err
		}
	}
	took := time.Since(start)
	after, err := db.written(ctx)
	if err != nil {
		return err
	}
	s.raw = append(s.raw, float64(len(rows))/took.Seconds())
	s.writtenRaw += after - before
	s.unknownRows = after < 0
	return nil
}

func (s *throughputSums) report(t *Throughput) {
	ratios := make([]float64, len(s.ledger))
	for i := range ratios {
		ratios[i] = s.ledger[i] / s.raw[i]
	}
	votes := float64(s.votes)
	t.Ratio, t.Ledger, t.Raw = spread(ratios), spread(s.ledger), spread(s.raw)
	t.Statements = float64(s.statements) / votes
	t.Triggered = float64(s.triggered) / votes
	t.Group = float64(s.committed) / float64(s.commits)
	t.LargestGroup = s.most
	t.WrittenLedger, t.WrittenRaw = float64(s.writtenLedger)/votes, float64(s.writtenRaw)/votes
	if s.unknownLedger {
		t.WrittenLedger = -1
	}
	if s.unknownRows {
		t.WrittenRaw = -1
	}
}

// closedLoop hands votes in by clients that each wait for the answer to their
// last vote. It returns how long it took and how many votes triggered.
func closedLoop(ctx context.Context, st store.Store, g *game, votes []ledger.Vote, clients int) (took time.Duration, triggered int64, err error) {
	l := ledger.New(st, ledger.Options{Policy: g.policy})
	var fired atomic.Int64
	took, err = callers(ctx, len(votes), clients, func(ctx context.Context, i int) error {
		a, err := submit(ctx, l, votes[i:i+1])
		if len(a.Triggered) > 0 {
			fired.Add(1)
		}
		return err
	})
	return took, fired.Load(), errors.Join(err, l.Close(context.WithoutCancel(ctx)))
}

// callers makes n calls, a number of them at a time: each caller makes its next
// one when its last has ended. It returns how long all took.
func callers(ctx context.Context, n, number int, call func(ctx context.Context, i int) error) (time.Duration, error) {
	var next atomic.Int64
	all, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for range number {
		all.Go(func() error {
			for {
				i := int(next.Add(1) - 1)
				if i >= n {
					return nil
				}
				if err := call(ctx, i); err != nil {
					return err
				}
			}
		})
	}
	err := all.Wait()
	return time.Since(start), err
}

// submit hands in one new vote, which must be taken.
func submit(ctx context.Context, l *ledger.Ledger, vote []ledger.Vote) (ledger.Answer, error) {
	answers, err := submitAll(ctx, l, vote)
	if err != nil {
		return ledger.Answer{}, err
	}
	return answers[0], nil
}

// submitAll hands in new votes, which must all be taken.
func submitAll(ctx context.Context, l *ledger.Ledger, votes []ledger.Vote) ([]ledger.Answer, error) {
	answers, err := l.Submit(ctx, votes)
	if err != nil {
		return nil, err
	}
	for i := range answers {
		if err := answers[i].Err; err != nil {
			return nil, fmt.Errorf("vote %q was refused: %w", votes[i].Key, err)
		} else if answers[i].Duplicate {
			return nil, fmt.Errorf("vote %q was there before", votes[i].Key)
		}
	}
	return answers, nil
}
