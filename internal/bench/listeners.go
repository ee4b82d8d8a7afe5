package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poa/internal/sample"
)

// Listening is what the service asks of its database while somebody reads the
// live stream.
type Listening struct {
	Readers int     `json:"readers"`
	Idle    float64 `json:"idle_statements_per_second"`
	Voting  float64 `json:"voting_statements_per_second"` // with votes
	Events  float64 `json:"events_per_reader"`            // while votes came
}

// listeningVotes is how many votes a second there are, each of which triggers.
const listeningVotes = 50

// listening measures with nobody, one and a hundred who listen.
func (r *run) listening(ctx context.Context, p *process) (out []Listening, err error) {
	n := int(listeningVotes * r.ListenFor.Seconds())
	w := r.workload(r.RecomputeNFTs, sample.Mix{Super: 1})
	numbers := []int{0, 1, 100}
	bodies, err := requestEach(slices.Collect(w.Votes(listenStream, n*len(numbers))))
	if err != nil {
		return nil, err
	}
	for i, readers := range numbers {
		r.tell("the service: %d live readers", readers)
		one, err := r.listeningTo(ctx, p, readers, bodies[i*n:(i+1)*n])
		if err != nil {
			return nil, fmt.Errorf("%d: %w", readers, err)
		}
		out = append(out, one)
	}
	return out, nil
}

func (r *run) listeningTo(ctx context.Context, p *process, readers int, votes [][]byte) (out Listening, err error) {
	a, err := p.audience(ctx, readers)
	defer a.leave()
	if err != nil {
		return out, err
	}
	out = Listening{Readers: readers}
	runtime.GC()
	out.Idle, err = p.rateOf(ctx, func() error { return pause(ctx, r.ListenFor) })
	if err != nil {
		return out, err
	}
	a.events.Store(0)
	out.Voting, err = p.rateOf(ctx, func() error {
		_, err := openLoop(ctx, len(votes), listeningVotes, func(ctx context.Context, i int) (bool, error) { return p.castOne(ctx, votes[i]) })
		return err
	})
	if readers > 0 {
		out.Events = float64(a.events.Load()) / float64(readers)
	}
	return out, errors.Join(err, a.failed())
}

// rateOf returns how many statements a second the service sends meanwhile.
func (p *process) rateOf(ctx context.Context, meanwhile func() error) (float64, error) {
	before, err := p.statements(ctx)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := meanwhile(); err != nil {
		return 0, err
	}
	took := time.Since(start)
	after, err := p.statements(ctx)
	return (after - before) / took.Seconds(), err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// audience are readers of the live stream.
type audience struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
	events atomic.Int64 // that all of them got

	mu  sync.Mutex // guards what follows
	err error      // of the first whose stream broke
}

// audience returns readers who have all been let in.
func (p *process) audience(ctx context.Context, readers int) (*audience, error) {
	ctx, cancel := context.WithCancel(ctx)
	a := &audience{cancel: cancel}
	for range readers {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v1/stream", nil)
		if err != nil {
			return a, err
		}
		request.Header.Set("Authorization", "Bearer "+p.keys.operator)
		answer, err := p.web.Do(request)
		if err != nil {
			return a, err
		}
		a.all.Go(func() { a.read(ctx, answer) })
		if answer.StatusCode != http.StatusOK {
			return a, fmt.Errorf("the live stream: status %d", answer.StatusCode)
		}
	}
	return a, nil
}

// read counts events until the reader leaves.
func (a *audience) read(ctx context.Context, answer *http.Response) {
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "id:") {
			a.events.Add(1)
		}
	}
	if ctx.Err() == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.err = errors.Join(a.err, errors.New("a live stream ended by itself"), lines.Err())
	}
}

func (a *audience) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// leave ends all streams.
func (a *audience) leave() {
	a.cancel()
	a.all.Wait()
}
