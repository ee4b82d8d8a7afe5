package dropin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"poa/internal/scheduler"
	"poa/internal/store"
)

// runDoc is a run that an answer waited for. It may still be under way.
type runDoc struct {
	ID     int64   `json:"id"`
	State  string  `json:"state"`
	Reason *string `json:"reason"` // why it ended
}

func asRun(r *store.Run) runDoc { return runDoc{r.Number, string(r.State), text(r.StopReason)} }

// lookedThrough is how many of the latest runs are looked through for one that
// the same request began.
const lookedThrough = 50

// runName returns the name of the run that a request is for: of the one that the
// same client began with the same arguments while that is under way, else a new
// one. So a request that is repeated, by a browser or by a proxy that gave it up,
// waits for the run that there is. Two that come at once get the same new name.
func (a *API) runName(ctx context.Context, kind store.RunKind, q *request, size int, collection string) (string, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %q", q.client.Name(), size, collection))
	prefix := "dropin-" + hex.EncodeToString(sum[:8]) + "-"
	runs, err := a.Store.Runs(ctx, kind, 0, lookedThrough)
	if err != nil {
		return "", fmt.Errorf("looking for a run that a request began before: %w", err)
	}
	latest := int64(0)
	for i := range runs {
		r := &runs[i]
		latest = max(latest, r.Number)
		if r.State == store.RunRunning && r.Cancel == "" && strings.HasPrefix(r.Window, prefix) {
			return r.Window, nil
		}
	}
	return fmt.Sprintf("%s%d", prefix, latest), nil
}

// await waits until a run ends, for at most Wait, and returns it as it is then.
// The run does not depend on who waits.
func (a *API) await(ctx context.Context, run store.Run) (store.Run, error) {
	enough := time.NewTimer(a.Wait)
	defer enough.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		// A database that is away for a moment is not the end of the run.
		if latest, err := a.Store.Run(ctx, run.Number); err == nil {
			run = latest
		} else if ctx.Err() == nil {
			a.Log.Warn("a run that is waited for could not be read", "run", run.Number, "err", err)
		}
		if run.State != store.RunRunning {
			return run, nil
		}
		select {
		case <-poll.C:
		case <-enough.C:
			return run, nil
		case <-a.stopped:
			return run, nil
		case <-ctx.Done():
			return run, ctx.Err()
		}
	}
}

// summaryOf sums up what a run did so far. The averages are over its latest
// computations, at most maxLimit.
func (a *API) summaryOf(ctx context.Context, run *store.Run) (summary, error) {
	ended := run.EndedAt
	if run.State == store.RunRunning {
		ended = a.now()
	}
	s := summary{Total: run.Done, Successful: run.Done - run.Failed, Failed: run.Failed, Took: ended.Sub(run.CreatedAt).Milliseconds()}
	entries, err := a.Store.ListActivity(ctx, store.ActivityQuery{Run: run.Number, Kind: store.Computed, Limit: maxLimit})
	if err != nil {
		return s, fmt.Errorf("reading what a run did: %w", err)
	}
	numbers := make([]int64, len(entries)) // a run takes no NFT twice
	for i, e := range entries {
		numbers[i] = e.NFT
	}
	nfts, err := a.byNumber(ctx, numbers)
	if err != nil {
		return s, err
	}
	var scores []*store.Score
	for _, number := range numbers {
		if score := nfts[number].Rating.Score; score != nil {
			scores = append(scores, score)
		}
	}
	s.average(scores)
	s.Collections = collectionsOf(nfts)
	return s, nil
}

// runBatch starts a run now and waits for it.
func (a *API) runBatch(ctx context.Context, q *request) (any, error) {
	size, err := upTo("batchSize", q.batchSize, maxLimit, 0)
	if err != nil {
		return nil, err
	}
	name, err := a.runName(ctx, store.ManualRun, q, size, "")
	if err != nil {
		return nil, err
	}
	run, err := a.Runs.RunNow(ctx, scheduler.Manual{Size: size, Who: q.client.Name(), Name: name})
	if err != nil {
		return nil, err
	}
	run, s, err := a.finish(ctx, run)
	if err != nil {
		return nil, err
	}
	type batchResult struct {
		Success bool    `json:"success"`
		Summary summary `json:"summary"`
		Error   string  `json:"error,omitempty"`
		Run     runDoc  `json:"run"`
	}
	result := batchResult{Success: true, Summary: s, Run: asRun(&run)}
	switch run.State {
	case store.RunFailed:
		result.Success, result.Error = false, "the run failed: "+run.StopReason
	case store.RunCancelled:
		result.Success, result.Error = false, "the run was "+run.StopReason
	}
	return struct {
		Result batchResult `json:"batchResult"`
		Size   *int        `json:"customBatchSize"`
		At     moment      `json:"timestamp"`
	}{result, q.batchSize, moment(a.Now())}, nil
}

// finish waits for a run and sums it up.
func (a *API) finish(ctx context.Context, run store.Run) (store.Run, summary, error) {
	run, err := a.await(ctx, run)
	if err != nil {
		return run, summary{}, err
	}
	s, err := a.summaryOf(ctx, &run)
	return run, s, err
}

// computeCollection starts a run, or without a limit a backfill, of one
// collection and waits for it.
func (a *API) computeCollection(ctx context.Context, q *request) (any, error) {
	if q.collection == "" {
		return nil, invalid("collectionName must be given")
	}
	limit, err := upTo("limit", q.limit, maxLimit, 0)
	if err != nil {
		return nil, err
	}
	if err := a.knownCollection(ctx, q.collection); err != nil {
		return nil, err
	}
	kind := store.ManualRun
	if limit == 0 {
		kind = store.BackfillRun
	}
	name, err := a.runName(ctx, kind, q, limit, q.collection)
	if err != nil {
		return nil, err
	}
	var run store.Run
	if kind == store.ManualRun {
		run, err = a.Runs.RunNow(ctx, scheduler.Manual{Size: limit, Collection: &q.collection, Who: q.client.Name(), Name: name})
	} else {
		run, err = a.Runs.Backfill(ctx, &q.collection, name, q.client.Name())
	}
	if err != nil {
		return nil, err
	}
	run, s, err := a.finish(ctx, run)
	if err != nil {
		return nil, err
	}
	return struct {
		Collection  string      `json:"collection"`
		Summary     summary     `json:"summary"`
		Performance performance `json:"performance"`
		Run         runDoc      `json:"run"`
	}{q.collection, s, s.performance(), asRun(&run)}, nil
}

func (a *API) knownCollection(ctx context.Context, name string) error {
	list, err := a.collections(ctx)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.Name == name {
			return nil
		}
	}
	return notFound("Collection", name)
}
