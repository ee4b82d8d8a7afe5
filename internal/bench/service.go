package bench

import (
	"context"
	"errors"
	"fmt"

	"poa/internal/sample"
)

// Service is what was measured of poa serve, a process of its own on a database
// whose NFTs are all due, with its clients in this process.
type Service struct {
	Batch     RunTime     `json:"batch"`
	Backfill  RunTime     `json:"backfill"`
	HTTP      []HTTP      `json:"http"`
	Latency   Latency     `json:"latency"`
	Beside    Beside      `json:"votes_beside_backfill"`
	Listeners []Listening `json:"live_readers,omitempty"`
	Pages     []PageTimes `json:"pages,omitempty"`
	Viewers   []Viewing   `json:"open_pages,omitempty"`
}

// Numbers of the streams of votes, after that of the votes in the database.
const (
	besideStream = iota + 1
	offeredStream
	listenStream
	viewStream
	httpStream // and those after it
)

// service measures poa serve on a copy of a database whose NFTs are all due. It
// runs in adaptive mode, and has one batch, which begins when it starts.
func (r *run) service(ctx context.Context, owing *game) (out Service, err error) {
	r.tell("the service: starting")
	db, err := r.host.copy(ctx, owing.db, "service")
	if err != nil {
		return out, fmt.Errorf("copying the database: %w", err)
	}
	if err := db.settle(ctx); err != nil {
		return out, err
	}
	p, err := r.serve(ctx, db, r.Connections, "batch.mode=adaptive", "batch.every=168h")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, p.kill(), db.drop(context.WithoutCancel(ctx))) }()

	r.tell("the service: a batch of NFTs that are all due")
	if out.Batch, err = p.batch(ctx); err != nil {
		return out, fmt.Errorf("a batch: %w", err)
	}
	r.tell("the service: a backfill")
	if out.Backfill, err = p.backfill(ctx); err != nil {
		return out, fmt.Errorf("a backfill: %w", err)
	}
	w := r.workload(r.RecomputeNFTs, sample.Mix{})
	if out.HTTP, err = r.http(ctx, p, owing, w); err != nil {
		return out, fmt.Errorf("votes over HTTP: %w", err)
	}
	r.tell("the service: time from a vote to its score")
	if out.Latency, err = r.latencyOverHTTP(ctx, p, w); err != nil {
		return out, fmt.Errorf("time from a vote to its score: %w", err)
	}
	if out.Beside, err = r.beside(ctx, p, w); err != nil {
		return out, fmt.Errorf("votes beside a backfill: %w", err)
	}
	if r.ListenFor > 0 {
		if out.Listeners, err = r.listening(ctx, p); err != nil {
			return out, fmt.Errorf("live readers: %w", err)
		}
	}
	if r.PageRounds > 0 {
		r.tell("the service: pages of the panel")
		if out.Pages, err = r.pages(ctx, p, r.RecomputeNFTs); err != nil {
			return out, fmt.Errorf("pages of the panel: %w", err)
		}
	}
	if r.PageRounds > 0 && r.ListenFor > 0 {
		if out.Viewers, err = r.viewing(ctx, p); err != nil {
			return out, fmt.Errorf("open pages of the panel: %w", err)
		}
	}
	return out, nil
}
