package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"time"

	"poa/internal/batch"
	"poa/internal/sample"
	"poa/internal/scheduler"
	"poa/internal/store"
)

// Crowd is what picking a batch and serving cost with a great many NFTs, each
// of which has a rating; three in ten are due and four in ten wait for a score.
type Crowd struct {
	NFTs       int       `json:"nfts"`
	Filled     float64   `json:"filled_seconds"`
	Pick       Quantiles `json:"pick"` // of a batch of twenty
	Statements float64   `json:"statements_per_pick"`
	// Of poa serve at its start, after votes, after a batch in adaptive mode, and
	// after pages of every kind.
	Start  Memory      `json:"memory_at_start"`
	Votes  Memory      `json:"memory_after_votes"`
	Batch  Memory      `json:"memory_after_batch"`
	Pages  Memory      `json:"memory_after_pages"`
	Panel  Memory      `json:"memory_after_panel"` // after pages of the panel
	Picked int64       `json:"batch_nfts"`         // computed by that batch
	Panels []PageTimes `json:"panel,omitempty"`
}

// Memory is the resident memory of a process, in bytes.
type Memory struct {
	Now  int64 `json:"bytes"`
	Most int64 `json:"most_bytes"` // so far
}

// crowd measures on a database of its own.
func (r *run) crowd(ctx context.Context) (out Crowd, err error) {
	r.tell("%d NFTs: filling a database", r.Crowd)
	db, err := r.host.create(ctx, "crowd")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, db.drop(context.WithoutCancel(ctx))) }()
	g := &game{db: db}
	if err := g.prepare(ctx, r.Now()); err != nil {
		return out, err
	}
	out.NFTs = r.Crowd
	start := time.Now()
	if err := db.fill(ctx, r.Crowd, r.Now()); err != nil {
		return out, fmt.Errorf("filling: %w", err)
	}
	if err := db.settle(ctx); err != nil {
		return out, err
	}
	out.Filled = time.Since(start).Seconds()
	r.tell("%d NFTs: picking batches", r.Crowd)
	if err := out.pick(ctx, g.store, r.Now); err != nil {
		return out, fmt.Errorf("picking a batch: %w", err)
	}
	r.tell("%d NFTs: the memory of the service", r.Crowd)
	return out, r.memory(ctx, db, &out)
}

// pick plans batches as the schedule does.
func (c *Crowd) pick(ctx context.Context, s store.Store, now func() time.Time) error {
	const times = 200
	planner := scheduler.New(scheduler.Options{Store: s.(store.Service), Now: now})
	took := make([]time.Duration, times)
	before := s.Statements()
	for i := range took {
		start := time.Now()
		items, err := planner.Plan(ctx, batch.Defaults(), nil)
		took[i] = time.Since(start)
		if err != nil {
			return err
		}
		if want := batch.Defaults().Size; len(items) != want {
			return fmt.Errorf("a plan has %d NFTs, not %d", len(items), want)
		}
	}
	c.Pick, c.Statements = quantiles(took), float64(s.Statements()-before)/times
	return nil
}

// memory looks at the memory of a service while it is used.
func (r *run) memory(ctx context.Context, db database, out *Crowd) (err error) {
	const perSecond, callersOfPages = 100, 8
	p, err := r.serve(ctx, db, callersOfPages, "batch.mode=adaptive", "batch.every=168h", "batch.cap=10s")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.kill()) }()
	if out.Start, err = p.memory(); err != nil {
		return err
	}
	n := int(perSecond * r.BesideFor.Seconds())
	bodies, err := requestEach(slices.Collect(r.workload(r.Crowd, sample.Mix{}).Votes(0, n)))
	if err != nil {
		return err
	}
	runtime.GC()
	if _, err := openLoop(ctx, n, perSecond, func(ctx context.Context, i int) (bool, error) { return p.castOne(ctx, bodies[i]) }); err != nil {
		return fmt.Errorf("voting: %w", err)
	}
	if out.Votes, err = p.memory(); err != nil {
		return err
	}
	b, err := p.batch(ctx)
	if err != nil {
		return fmt.Errorf("a batch: %w", err)
	}
	out.Picked = b.NFTs
	if out.Batch, err = p.memory(); err != nil {
		return err
	}
	if err := p.readPages(ctx, callersOfPages); err != nil {
		return fmt.Errorf("reading pages: %w", err)
	}
	if out.Pages, err = p.memory(); err != nil {
		return err
	}
	if r.PageRounds > 0 {
		r.tell("%d NFTs: pages of the panel", r.Crowd)
		if out.Panels, err = r.pages(ctx, p, r.Crowd); err != nil {
			return fmt.Errorf("pages of the panel: %w", err)
		}
	}
	out.Panel, err = p.memory()
	return err
}

// readPages reads every page there is many times, several at once.
func (p *process) readPages(ctx context.Context, number int) error {
	const times = 20
	paths := []string{
		"/leaderboard?limit=200", "/leaderboard?limit=200&collection=Collection%203", "/nfts?limit=200", "/nfts?limit=200&status=due",
		"/nfts?limit=200&status=ready", "/nfts?limit=200&status=scored", "/nfts?limit=200&search=nft%2077", "/nfts?limit=200&search=nft-00",
		"/nfts?limit=200&collection=Collection%203", "/nfts/nft-0000042", "/nfts/nft-0000042/score", "/nfts/nft-0000042/history",
		"/nfts/nft-0000042/votes", "/voters/voter-000042/votes", "/collections", "/totals", "/activity?limit=200", "/runs", "/scheduler",
		"/scheduler/plan", "/failures", "/settings",
	}
	_, err := callers(ctx, times*len(paths), number, func(ctx context.Context, i int) error {
		_, err := p.call(ctx, http.MethodGet, "/api/v1"+paths[i%len(paths)], p.keys.operator, nil, http.StatusOK)
		return err
	})
	return err
}
