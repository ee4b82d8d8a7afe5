package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// RunTime is what a run of the scheduler took.
type RunTime struct {
	NFTs       int64   `json:"nfts"` // computed
	Left       int64   `json:"left"` // still due
	Seconds    float64 `json:"seconds"`
	Rate       float64 `json:"nfts_per_second"`
	CPU        float64 `json:"cpu_us_per_nft"` // of poa serve; the server's is not in it
	Statements float64 `json:"statements_per_nft"`
	Reason     string  `json:"reason,omitempty"` // why it ended early
}

// runText is a run as the service tells of it.
type runText struct {
	Number             int64
	State, Reason      string
	Done, Failed       int64
	CreatedAt, EndedAt time.Time
}

func (r *runText) UnmarshalJSON(text []byte) error {
	type plain runText
	times := struct {
		*plain
		CreatedAt time.Time `json:"created_at"`
		EndedAt   time.Time `json:"ended_at"`
	}{plain: (*plain)(r)}
	err := json.Unmarshal(text, &times)
	r.CreatedAt, r.EndedAt = times.CreatedAt, times.EndedAt
	return err
}

// lookEvery is how often somebody who waits looks.
const lookEvery = 100 * time.Millisecond

// until looks until done.
func until(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// spent is what a process has spent so far.
type spent struct {
	cpu        time.Duration
	statements float64
}

func (p *process) spent(ctx context.Context) (s spent, err error) {
	if s.cpu, err = p.cpu(); err != nil {
		return s, err
	}
	s.statements, err = p.statements(ctx)
	return s, err
}

// batch waits for the end of the batch that began when the process started.
func (p *process) batch(ctx context.Context) (out RunTime, err error) {
	var page struct{ Items []runText }
	err = until(ctx, func() (bool, error) {
		err := p.get(ctx, "/runs?kind=batch&limit=1", &page)
		return len(page.Items) > 0 && page.Items[0].State != "running", err
	})
	if err != nil {
		return out, err
	}
	return p.ranFor(ctx, page.Items[0], spent{})
}

// backfill computes all rated NFTs.
func (p *process) backfill(ctx context.Context) (out RunTime, err error) {
	before, err := p.spent(ctx)
	if err != nil {
		return out, err
	}
	b, err := p.startBackfill(ctx)
	if err != nil {
		return out, err
	}
	if b, err = p.ended(ctx, b); err != nil {
		return out, err
	}
	return p.ranFor(ctx, b, before)
}

func (p *process) startBackfill(ctx context.Context) (b runText, err error) {
	text, err := p.call(ctx, http.MethodPost, "/api/v1/backfills", p.keys.operator, []byte(`{}`), http.StatusAccepted)
	if err != nil {
		return b, err
	}
	return b, json.Unmarshal(text, &b)
}

// ended waits for the end of a run.
func (p *process) ended(ctx context.Context, b runText) (runText, error) {
	err := until(ctx, func() (bool, error) {
		err := p.get(ctx, fmt.Sprintf("/runs/%d", b.Number), &b)
		return b.State != "running", err
	})
	return b, err
}

func (p *process) ranFor(ctx context.Context, b runText, before spent) (out RunTime, err error) {
	after, err := p.spent(ctx)
	if err != nil {
		return out, err
	}
	var now struct{ Backlog struct{ Due int64 } }
	if err := p.get(ctx, "/scheduler", &now); err != nil {
		return out, err
	}
	if b.Failed > 0 || b.Done == 0 {
		return out, fmt.Errorf("%d of %d computations failed", b.Failed, b.Done)
	}
	n := float64(b.Done)
	out = RunTime{NFTs: b.Done, Left: now.Backlog.Due, Seconds: b.EndedAt.Sub(b.CreatedAt).Seconds(), Reason: b.Reason}
	out.Rate = n / out.Seconds
	out.CPU = float64((after.cpu - before.cpu).Microseconds()) / n
	out.Statements = (after.statements - before.statements) / n
	return out, nil
}

// Beside compares the time from a vote to its answer without and beside an
// adaptive backfill, of votes that arrive at an even pace.
type Beside struct {
	Offered float64   `json:"offered_per_second"`
	Ratio   float64   `json:"p99_ratio"`
	Without Quantiles `json:"without"`
	With    Quantiles `json:"with"`
	Rate    float64   `json:"nfts_per_second"`  // of the backfill meanwhile
	Slowed  string    `json:"slowed,omitempty"` // why pacing slowed down when it was last seen to
}

// beside alternates phases without and with backfills.
func (r *run) beside(ctx context.Context, p *process, w workload) (out Beside, err error) {
	n := int(float64(r.BesideOffered) * r.BesideFor.Seconds())
	bodies, err := requestEach(slices.Collect(w.Votes(besideStream, n*2*r.BesideRounds)))
	if err != nil {
		return out, err
	}
	offer := func(into *casts) error {
		c, err := openLoop(ctx, n, r.BesideOffered, func(ctx context.Context, i int) (bool, error) { return p.castOne(ctx, bodies[i]) })
		bodies = bodies[n:]
		into.all = append(into.all, c.all...)
		return err
	}
	var without, with casts
	var computed int64
	var took time.Duration
	for round := range r.BesideRounds {
		r.tell("the service: votes without and beside a backfill, round %d", round+1)
		if err := offer(&without); err != nil {
			return out, err
		}
		b := p.backfills(ctx)
		err := offer(&with)
		done, lasted, slowed, ended := b.end()
		if err := errors.Join(err, ended); err != nil {
			return out, err
		}
		computed, took = computed+done, took+lasted
		if slowed != "" {
			out.Slowed = slowed
		}
	}
	out.Offered, out.Rate = float64(r.BesideOffered), float64(computed)/took.Seconds()
	out.Without, out.With = quantiles(without.all), quantiles(with.all)
	out.Ratio = out.With.P99 / out.Without.P99
	return out, nil
}

// backfills are backfills one after the other.
type backfills struct {
	stop     context.CancelFunc
	work     errgroup.Group
	computed int64
	took     time.Duration
	slowed   string
}

// backfills starts a backfill, and another one whenever one has ended.
func (p *process) backfills(ctx context.Context) *backfills {
	until, stop := context.WithCancel(ctx)
	b := &backfills{stop: stop}
	b.work.Go(func() error {
		for until.Err() == nil {
			if err := b.one(ctx, until, p); err != nil {
				return err
			}
		}
		return nil
	})
	return b
}

// one starts a backfill and waits for its end, which it asks for when until is
// over.
func (b *backfills) one(ctx, until context.Context, p *process) error {
	run, err := p.startBackfill(ctx)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for asked := false; run.State == "running"; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if until.Err() != nil && !asked {
			asked = true
			// It may have ended meanwhile.
			if _, err := p.call(ctx, http.MethodPost, fmt.Sprintf("/api/v1/runs/%d/cancel", run.Number), p.keys.operator, nil, http.StatusAccepted); err != nil && p.get(ctx, fmt.Sprintf("/runs/%d", run.Number), &run) == nil && run.State == "running" {
				return err
			}
		}
		var now struct {
			Pacing *struct {
				Healthy, Stopped bool
				Reason           string
			}
		}
		if err := errors.Join(p.get(ctx, fmt.Sprintf("/runs/%d", run.Number), &run), p.get(ctx, "/scheduler", &now)); err != nil {
			return err
		}
		if now.Pacing != nil && !now.Pacing.Healthy {
			b.slowed = now.Pacing.Reason
		}
	}
	b.computed += run.Done
	b.took += run.EndedAt.Sub(run.CreatedAt)
	return nil
}

// end ends the backfill under way. It returns how many NFTs all of them
// computed, in which time, and why they slowed down, "" where they did not.
func (b *backfills) end() (computed int64, took time.Duration, slowed string, err error) {
	b.stop()
	err = b.work.Wait()
	return b.computed, b.took, b.slowed, err
}
