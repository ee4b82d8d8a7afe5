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
	"time"

	"poa/internal/sample"
)

// Viewing is what open pages of the panel, which follow what happens, ask of
// the database. Each is open by somebody else.
type Viewing struct {
	Pages     int       `json:"pages"`
	Idle      float64   `json:"idle_statements_per_second"`
	Voting    float64   `json:"voting_statements_per_second"` // with votes
	CPU       float64   `json:"voting_cpu_share"`             // of poa serve, of one core
	Refreshes Quantiles `json:"refreshes"`                    // while votes came
}

// livePage is a page that follows the live stream.
type livePage struct {
	path   string
	stream string // parameters of the stream
	parts  []livePart
}

// livePart is a part of a page that is fetched again: a while after each event,
// but no more often than every so often, and in any case after some time; or a
// chart, which is fetched after some time only.
type livePart struct {
	path            string
	chart           bool
	wait, least, in time.Duration
}

// livePages are the pages with what each does, as their templates say.
func livePages(run int64) []livePage {
	const computed = "kind=computed,withdrawn"
	chart := func(path string, in time.Duration) livePart { return livePart{path: path, chart: true, in: in} }
	return []livePage{
		{"/", computed + ",run_ended", []livePart{
			{path: "/?span=hour", least: 3 * time.Second, in: 15 * time.Second}, {path: "/?span=hour", least: 5 * time.Second},
			chart("/charts/votes?span=hour", 10*time.Second), chart("/charts/computations?span=hour", 10*time.Second),
			chart("/charts/backlog?span=hour", 10*time.Second), chart("/charts/latency?span=hour", 10*time.Second),
			chart("/charts/distribution", time.Minute),
		}},
		{"/scheduler", "", []livePart{{path: "/scheduler?class=new", least: 2 * time.Second, in: 15 * time.Second}}},
		{fmt.Sprintf("/scheduler/runs/%d", run), fmt.Sprintf("run=%d", run), []livePart{{path: fmt.Sprintf("/scheduler/runs/%d", run), least: time.Second, in: 5 * time.Second}}},
		{"/log", "", nil},
		{"/nfts/nft-0000000", computed + ",deferred,failed&nft=nft-0000000", []livePart{
			{path: "/nfts/nft-0000000", wait: 200 * time.Millisecond}, {path: "/nfts/nft-0000000", wait: 400 * time.Millisecond},
			chart("/charts/nft?id=nft-0000000", 15*time.Second), chart("/charts/nft?id=nft-0000000&of=mean", 15*time.Second),
		}},
		{"/collections", computed + ",run_ended,settings_changed", []livePart{{path: "/collections", least: 3 * time.Second}}},
		{"/collections/Collection%201", computed + ",run_ended,settings_changed", []livePart{
			{path: "/collections/Collection%201", least: 3 * time.Second}, {path: "/collections/Collection%201", least: 5 * time.Second},
			chart("/charts/collection?name=Collection%201", 30*time.Second),
		}},
		{"/voters/voter-000000", computed, []livePart{{path: "/voters/voter-000000", least: 5 * time.Second}}},
		{"/try", computed, nil},
	}
}

const (
	// crowdOfPages is how many pages are open at the most.
	crowdOfPages = 100
	// viewingVotes is how many votes a second there are, each of which triggers:
	// enough that pages are always fetched again, and so few that what pages add
	// is seen beside what votes take.
	viewingVotes = 5
)

// viewing measures with no page open, with one of each, and with a hundred.
func (r *run) viewing(ctx context.Context, p *process) (out []Viewing, err error) {
	n := int(viewingVotes * r.ListenFor.Seconds())
	w := r.workload(r.RecomputeNFTs, sample.Mix{Super: 1})
	run, err := p.latestRun(ctx)
	if err != nil {
		return nil, err
	}
	pages := livePages(run)
	numbers := []int{0, len(pages), crowdOfPages}
	bodies, err := requestEach(slices.Collect(w.Votes(viewStream, n*len(numbers))))
	if err != nil {
		return nil, err
	}
	for i, number := range numbers {
		r.tell("the service: %d open pages", number)
		one, err := r.viewingOf(ctx, p, pages, number, bodies[i*n:(i+1)*n])
		if err != nil {
			return nil, fmt.Errorf("%d: %w", number, err)
		}
		out = append(out, one)
	}
	return out, nil
}

func (r *run) viewingOf(ctx context.Context, p *process, pages []livePage, number int, votes [][]byte) (out Viewing, err error) {
	// People open pages when they like: these are opened evenly over the time
	// after which most fetch their parts again, so that they do so at all times.
	v, err := p.view(ctx, pages, number, r.ListenFor*3/2)
	defer v.leave()
	if err != nil {
		return out, err
	}
	out.Pages = number
	runtime.GC()
	// As long as it takes for every part to be fetched again, and most twice.
	if out.Idle, err = p.rateOf(ctx, func() error { return pause(ctx, 3*r.ListenFor) }); err != nil {
		return out, err
	}
	v.taken()
	before, err := p.cpu()
	if err != nil {
		return out, err
	}
	out.Voting, err = p.rateOf(ctx, func() error {
		_, err := openLoop(ctx, len(votes), viewingVotes, func(ctx context.Context, i int) (bool, error) { return p.castOne(ctx, votes[i]) })
		return err
	})
	if err != nil {
		return out, err
	}
	after, err := p.cpu()
	out.CPU = (after - before).Seconds() / r.ListenFor.Seconds()
	took, failed := v.taken()
	out.Refreshes = quantiles(took)
	return out, errors.Join(err, failed)
}

// viewers have pages open.
type viewers struct {
	*process
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu   sync.Mutex // guards what follows
	took []time.Duration
	err  error
}

// view opens pages, in turn, each for somebody else, spread over a time.
func (p *process) view(ctx context.Context, pages []livePage, number int, over time.Duration) (*viewers, error) {
	ctx, cancel := context.WithCancel(ctx)
	v := &viewers{process: p, cancel: cancel}
	for i := range number {
		if err := v.open(ctx, p.people[i%len(p.people)], &pages[i%len(pages)]); err != nil {
			return v, err
		}
		if err := pause(ctx, over/time.Duration(number)); err != nil {
			return v, err
		}
	}
	return v, nil
}

// open fetches a page with its charts, and follows the stream from then on.
func (v *viewers) open(ctx context.Context, who *http.Cookie, page *livePage) error {
	if _, err := v.page(ctx, who, page.path, false); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url+"/api/v1/stream?"+page.stream, nil)
	if err != nil {
		return err
	}
	request.AddCookie(who)
	answer, err := v.web.Do(request)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return fmt.Errorf("the live stream: status %d", answer.StatusCode)
	}
	events := make([]chan struct{}, len(page.parts))
	for i := range page.parts {
		part := &page.parts[i]
		events[i] = make(chan struct{}, 1)
		if part.chart {
			if _, err := v.page(ctx, who, part.path, false); err != nil {
				answer.Body.Close()
				return err
			}
		}
		v.all.Go(func() { v.keep(ctx, who, part, events[i]) })
	}
	v.all.Go(func() { v.follow(ctx, answer, events) })
	return nil
}

// follow hands on that something happened, until the viewer leaves.
func (v *viewers) follow(ctx context.Context, answer *http.Response, parts []chan struct{}) {
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if kind, ok := strings.CutPrefix(lines.Text(), "event: "); !ok || kind == "start" {
			continue
		}
		for _, part := range parts {
			select {
			case part <- struct{}{}:
			default: // it knows already
			}
		}
	}
	if ctx.Err() == nil {
		v.failed(errors.Join(errors.New("a live stream ended by itself"), lines.Err()))
	}
}

// keep fetches a part again and again, as htmx and the panel's script do.
func (v *viewers) keep(ctx context.Context, who *http.Cookie, part *livePart, events <-chan struct{}) {
	if part.chart {
		events = nil
	}
	var again <-chan time.Time
	if part.in > 0 {
		ticker := time.NewTicker(part.in)
		defer ticker.Stop()
		again = ticker.C
	}
	for {
		least := part.least
		select {
		case <-events:
		case <-again:
			least = 0
		case <-ctx.Done():
			return
		}
		if pause(ctx, part.wait) != nil {
			return
		}
		start := time.Now()
		_, err := v.page(ctx, who, part.path, !part.chart)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			v.failed(err)
			return
		}
		v.mu.Lock()
		v.took = append(v.took, time.Since(start))
		v.mu.Unlock()
		if pause(ctx, time.Until(start.Add(least))) != nil {
			return
		}
	}
}

func (v *viewers) failed(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil {
		v.err = err
	}
}

// taken returns how long what was fetched again took since it was last asked,
// and the first error so far.
func (v *viewers) taken() ([]time.Duration, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	took := v.took
	v.took = nil
	return took, v.err
}

// leave closes all pages.
func (v *viewers) leave() {
	v.cancel()
	v.all.Wait()
}
