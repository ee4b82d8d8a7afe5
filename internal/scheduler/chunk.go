package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"poa/internal/batch"
	"poa/internal/exact"
	"poa/internal/publish"
	"poa/internal/store"
)

// chunk computes NFTs, saves the run's progress with the failures among them,
// paces what follows, and returns who asked to cancel the run.
func (t *step) chunk(ctx context.Context, nfts []int64, left int) (cancel string, err error) {
	began := t.Now()
	failed := map[int64]error{}
	results, err := t.bisect(ctx, nfts, failed)
	if err != nil {
		return "", err
	}
	seen := Chunk{Kind: t.run.Kind}
	for _, r := range results {
		if r.Err != nil {
			failed[r.NFT] = r.Err
		} else if changed(r) {
			seen.Changed++
		} else {
			seen.Unchanged++
		}
	}
	t.run.Changed += int64(seen.Changed)
	t.run.Done += int64(len(nfts))
	t.run.Failed += int64(len(failed))
	t.run.Cursor = max(t.run.Cursor, nfts[len(nfts)-1])
	t.plan.Left = left
	took := t.Now().Sub(began)
	cancel, latency, err := t.progress(ctx, failed)
	if err != nil {
		return "", err
	}
	seen.Failed, seen.Took = len(failed), took
	t.Observer.Computed(seen)
	t.plan.Pacer = t.plan.Pacer.Step(t.paced(), batch.Work{NFTs: len(nfts), Took: took, Left: left}, t.signals(ctx, latency), t.Now())
	t.plan.Ready = t.Now().Add(t.plan.Pacer.Next.Pause)
	t.mu.Lock()
	t.pacing = t.plan.Pacer.State()
	t.mu.Unlock()
	return cancel, nil
}

func changed(r exact.Result) bool {
	return (r.Before == nil) != (r.After == nil) || (r.Before != nil && r.Before.POA != r.After.POA)
}

// bisect computes NFTs and, where the store refuses a set of them, its halves,
// so that one NFT fails alone. What can pass, such as a database that is away,
// is an error.
func (t *step) bisect(ctx context.Context, nfts []int64, failed map[int64]error) ([]exact.Result, error) {
	cause := publish.Cause{Reason: string(t.run.Kind), Run: t.run.Number}
	if t.run.Kind == store.ManualRun {
		cause.Who = t.run.RequestedBy
	}
	results, err := exact.Compute(ctx, t.Store, t.in.Policy, nfts, cause, t.Now)
	switch {
	case err == nil:
		return results, nil
	case ctx.Err() != nil, errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrContention), errors.Is(err, store.ErrOutcomeUnknown):
		return nil, err
	case len(nfts) == 1:
		failed[nfts[0]] = err
		return nil, nil
	}
	half := len(nfts) / 2
	first, err := t.bisect(ctx, nfts[:half], failed)
	if err != nil {
		return nil, err
	}
	second, err := t.bisect(ctx, nfts[half:], failed)
	return append(first, second...), err
}

// progress saves the run and puts NFTs on the failed list. The time of the saving statement, which does not depend on the chunk, is the
// latency that pacing goes by.
func (t *step) progress(ctx context.Context, failed map[int64]error) (cancel string, latency time.Duration, err error) {
	changes, err := t.failures(ctx, failed)
	if err != nil {
		return "", 0, err
	}
	t.run.LeaseUntil = t.Now().Add(lease)
	if err := t.encode(); err != nil {
		return "", 0, err
	}
	err = t.Store.Update(ctx, func(tx store.Tx) (err error) {
		began := t.Now()
		cancel, err = tx.(store.ServiceTx).SaveRun(ctx, t.run)
		latency = t.Now().Sub(began)
		if err != nil || changes == nil {
			return err
		}
		return tx.Apply(ctx, changes)
	})
	if err != nil {
		return "", 0, fmt.Errorf("saving the progress of run %d: %w", t.run.Number, err)
	}
	return cancel, latency, nil
}

// failures returns the additions to the failed list, nil for none. What is
// computed leaves the list with its computation.
func (t *step) failures(ctx context.Context, failed map[int64]error) (*store.Changes, error) {
	if len(failed) == 0 {
		return nil, nil
	}
	listed, err := t.Store.FailuresOf(ctx, slices.Collect(maps.Keys(failed)))
	if err != nil {
		return nil, fmt.Errorf("reading the failed list: %w", err)
	}
	before := map[int64]store.Failure{}
	for _, f := range listed {
		before[f.NFT] = f
	}
	var c store.Changes
	now := t.Now().UTC().Truncate(time.Microsecond)
	for nft, err := range failed {
		f := before[nft]
		if f.Tries == 0 {
			f.FirstAt = now
		}
		f.NFT, f.Error, f.LastAt, f.Run, f.NextTry = nft, err.Error(), now, t.run.Number, time.Time{}
		f.Tries++
		if at, again := t.in.Batch.RetryAt(f.Tries, now); again {
			f.NextTry = at.UTC().Truncate(time.Microsecond)
		}
		c.Failures = append(c.Failures, f)
		t.Log.Warn("an NFT could not be computed", "nft", nft, "tries", f.Tries, "run", t.run.Number, "err", err)
	}
	return &c, nil
}

// signals reads what pacing in adaptive mode goes by. What cannot be read
// stays unknown.
func (t *step) signals(ctx context.Context, latency time.Duration) batch.Signals {
	g := batch.Signals{Latency: &latency}
	if t.in.Batch.Mode != batch.Adaptive {
		return g
	}
	if t.VotesWaiting != nil {
		n := t.VotesWaiting()
		g.VotesWaiting = &n
	}
	health, err := t.Store.Health(ctx)
	if err != nil {
		t.Log.Warn("the database's health is unknown", "err", err)
		return g
	}
	if health.ActiveSessions != nil && t.Cores > 0 {
		perCore := float64(*health.ActiveSessions) / float64(t.Cores)
		g.SessionsPerCore = &perCore
	}
	if health.WaitingLocks != nil {
		n := int(*health.WaitingLocks)
		g.WaitingLocks = &n
	}
	g.ReplicationLag = health.ReplicaLag
	return g
}
