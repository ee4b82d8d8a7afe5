package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"poa/internal/ledger"
)

// HTTP compares votes posted to poa serve with the same votes handed to a
// ledger in this process, by as many callers with as many votes in each call.
type HTTP struct {
	Callers    int       `json:"callers"` // over HTTP each has a connection, kept alive
	Together   int       `json:"votes_per_request"`
	Ratio      Spread    `json:"ratio"`   // of the rates, round by round
	Service    Spread    `json:"service"` // votes/s
	Ledger     Spread    `json:"ledger"`  // votes/s
	Requests   Quantiles `json:"requests"`
	Statements float64   `json:"statements_per_vote"` // of poa serve
	CPU        float64   `json:"cpu_us_per_vote"`     // of poa serve; the server's is not in it
}

// httpWay is a way to post votes.
type httpWay struct{ callers, together int }

func (r *run) httpWays() []httpWay {
	const many, callers = 100, 16
	return []httpWay{{r.Connections, 1}, {callers, many}}
}

// http alternates rounds of both sides, in each way. The first round warms up.
func (r *run) http(ctx context.Context, p *process, owing *game, w workload) (out []HTTP, err error) {
	db, err := r.host.copy(ctx, owing.db, "alone")
	if err != nil {
		return nil, fmt.Errorf("copying the database: %w", err)
	}
	alone := &game{db: db}
	if err := errors.Join(alone.prepare(ctx, r.Now()), db.settle(ctx)); err != nil {
		return nil, err
	}
	for i, way := range r.httpWays() {
		votes := slices.Collect(w.Votes(uint64(httpStream+i), (1+r.Rounds)*r.HTTPVotes))
		h, err := r.httpWay(ctx, p, alone, way, votes)
		if err != nil {
			return nil, fmt.Errorf("%d in a request: %w", way.together, err)
		}
		out = append(out, h)
	}
	return out, db.drop(ctx)
}

func (r *run) httpWay(ctx context.Context, p *process, alone *game, way httpWay, votes []ledger.Vote) (HTTP, error) {
	var sums httpSums
	for round, votes := range slices.Collect(slices.Chunk(votes, r.HTTPVotes)) {
		r.tell("the service: %d votes in a request, round %d", way.together, round)
		sides := []func() error{
			func() error { return sums.post(ctx, p, way, votes) },
			func() error { return sums.handIn(ctx, alone, way, votes) },
		}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			runtime.GC()
			if err := side(); err != nil {
				return HTTP{}, err
			}
		}
		if round == 0 {
			sums = httpSums{}
		}
	}
	return sums.report(way), nil
}

// httpSums collects the rounds that count.
type httpSums struct {
	service, ledger []float64 // rates
	requests        []time.Duration
	votes           int
	cpu             time.Duration
	statements      float64
}

// post posts votes.
func (s *httpSums) post(ctx context.Context, p *process, way httpWay, votes []ledger.Vote) error {
	chunks := slices.Collect(slices.Chunk(votes, way.together))
	send, err := p.sender(chunks, way.together == 1)
	if err != nil {
		return err
	}
	before, err := p.spent(ctx)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	took, err := callers(ctx, len(chunks), way.callers, func(ctx context.Context, i int) error {
		start := time.Now()
		err := send(ctx, i)
		took := time.Since(start)
		mu.Lock()
		defer mu.Unlock()
		s.requests = append(s.requests, took)
		return err
	})
	if err != nil {
		return err
	}
	after, err := p.spent(ctx)
	if err != nil {
		return err
	}
	s.service = append(s.service, float64(len(votes))/took.Seconds())
	s.votes += len(votes)
	s.cpu += after.cpu - before.cpu
	s.statements += after.statements - before.statements
	return nil
}

// sender returns what posts the votes of a chunk. Their texts are made before.
func (p *process) sender(chunks [][]ledger.Vote, single bool) (func(ctx context.Context, i int) error, error) {
	bodies := make([][]byte, len(chunks))
	for i, chunk := range chunks {
		var err error
		if single {
			bodies[i], err = requestOf(&chunk[0])
		} else {
			bodies[i], err = requestOfAll(chunk)
		}
		if err != nil {
			return nil, err
		}
	}
	if single {
		return func(ctx context.Context, i int) error { _, err := p.castOne(ctx, bodies[i]); return err }, nil
	}
	return func(ctx context.Context, i int) error { return p.castMany(ctx, bodies[i], len(chunks[i])) }, nil
}

// handIn hands votes to a ledger.
func (s *httpSums) handIn(ctx context.Context, g *game, way httpWay, votes []ledger.Vote) error {
	chunks := slices.Collect(slices.Chunk(votes, way.together))
	l := ledger.New(g.store, ledger.Options{Policy: g.policy})
	took, err := callers(ctx, len(chunks), way.callers, func(ctx context.Context, i int) error { _, err := submitAll(ctx, l, chunks[i]); return err })
	if err := errors.Join(err, l.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	s.ledger = append(s.ledger, float64(len(votes))/took.Seconds())
	return nil
}

func (s *httpSums) report(way httpWay) HTTP {
	ratios := make([]float64, len(s.service))
	for i := range ratios {
		ratios[i] = s.service[i] / s.ledger[i]
	}
	votes := float64(s.votes)
	return HTTP{
		Callers: way.callers, Together: way.together, Ratio: spread(ratios), Service: spread(s.service), Ledger: spread(s.ledger),
		Requests: quantiles(s.requests), Statements: s.statements / votes, CPU: float64(s.cpu.Microseconds()) / votes,
	}
}

// latencyOverHTTP is latency over HTTP.
func (r *run) latencyOverHTTP(ctx context.Context, p *process, w workload) (Latency, error) {
	n := int(float64(r.Offered) * r.OfferedFor.Seconds())
	bodies, err := requestEach(slices.Collect(w.Votes(offeredStream, n)))
	if err != nil {
		return Latency{}, err
	}
	runtime.GC()
	c, err := openLoop(ctx, n, r.Offered, func(ctx context.Context, i int) (bool, error) { return p.castOne(ctx, bodies[i]) })
	return c.latency(), err
}
