package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"poa/internal/batch"
	"poa/internal/settings"
	"poa/internal/store"
)

// plan is what a run carries from step to step, as JSON in its row.
type plan struct {
	Size    int                 `json:"size,omitempty"`  // asked for by hand
	Begun   bool                `json:"begun,omitempty"` // Pacer is set
	Items   []batch.Item        `json:"items,omitempty"` // planned and not done yet
	Classes map[batch.Class]int `json:"classes,omitempty"`
	Left    int                 `json:"left,omitempty"` // after the last chunk; negative: not known
	Ready   time.Time           `json:"ready,omitzero"` // when the next chunk may begin
	Step    int64               `json:"step,omitempty"` // the last step that saved something
	Pacer   batch.Pacer         `json:"pacer"`
}

// step is a step under way.
type step struct {
	*Scheduler
	run      store.Run
	plan     plan
	in       *settings.InForce
	settle   Settle
	deadline time.Time // when it hands over
	lost     int64     // steps before this one that saved nothing
}

// maxLost is how many steps in a row may save nothing before the run fails:
// half an hour of leases.
const maxLost = 90

// work does a step of a run, if it is there to be claimed.
func (s *Scheduler) work(ctx context.Context, job Step, settle Settle) error {
	now := s.Now()
	run, ok, err := s.Store.ClaimRun(ctx, job.Run, job.Step, s.Process, now, now.Add(lease))
	if err != nil {
		return fmt.Errorf("claiming run %d: %w", job.Run, err)
	}
	if !ok { // another process has it, or it has ended
		return s.Store.Update(ctx, func(tx store.Tx) error { return settle(ctx, tx, nil, time.Time{}) })
	}
	t := &step{Scheduler: s, run: run, in: s.Settings(), settle: settle, deadline: now.Add(stepTime)}
	if err := json.Unmarshal([]byte(run.Plan), &t.plan); err != nil {
		return t.end(ctx, store.RunFailed, "its plan cannot be read: "+err.Error())
	}
	t.lost = run.Steps - 1 - t.plan.Step
	switch {
	case run.Cancel != "":
		return t.end(ctx, store.RunCancelled, "cancelled by "+run.Cancel)
	case t.lost > maxLost:
		return t.end(ctx, store.RunFailed, "it made no progress in many steps; the log says why")
	}
	if run.Kind == store.UpkeepRun {
		return t.upkeep(ctx)
	}
	return t.compute(ctx)
}

// compute computes chunks and pauses between them until the run ends or the
// step's time is over.
func (t *step) compute(ctx context.Context) error {
	cancel := ""
	for {
		t.in = t.Settings()
		now := t.Now()
		switch {
		case cancel != "":
			return t.end(ctx, store.RunCancelled, "cancelled by "+cancel)
		case t.run.Kind == store.BackfillRun && t.in.Batches.On(now):
			return t.handOver(ctx, now.Add(stepTime))
		case t.run.Kind == store.BatchRun && t.in.Batches.On(now):
			return t.end(ctx, store.RunStopped, "batches were paused")
		}
		if !t.plan.Begun {
			t.begin(now)
		} else if d := t.plan.Pacer.Next; d.Stop {
			return t.end(ctx, t.stopState(), d.Reason)
		} else if t.plan.Ready.After(t.deadline) {
			return t.handOver(ctx, t.plan.Ready)
		} else if err := pause(ctx, t.plan.Ready.Sub(now)); err != nil {
			return err
		}
		nfts, left, err := t.next(ctx)
		if err != nil {
			return err
		}
		if len(nfts) == 0 {
			return t.end(ctx, store.RunDone, "")
		}
		if cancel, err = t.chunk(ctx, nfts, left); err != nil {
			return err
		}
	}
}

// begin sets the pacer when the first chunk is due.
func (t *step) begin(now time.Time) {
	t.mu.Lock()
	baseline := t.baseline
	t.mu.Unlock()
	t.plan.Begun, t.plan.Classes = true, map[batch.Class]int{}
	t.plan.Pacer = batch.BeginRun(t.paced(), baseline, now)
	if t.run.Kind == store.BackfillRun {
		t.plan.Pacer = batch.BeginBackfill(t.paced(), baseline, now)
	}
}

// paced returns the settings of this run: those in force, with the size that
// was asked for.
func (t *step) paced() batch.Settings {
	if t.plan.Size > 0 {
		return t.in.Batch.Sized(t.plan.Size)
	}
	return t.in.Batch
}

// stopState tells a run that did all it meant to from one that its cap stopped.
func (t *step) stopState() store.RunState {
	if t.plan.Left == 0 {
		return store.RunDone
	}
	return store.RunStopped
}

// next returns the NFTs of the next chunk, and how many the run means to do
// after them, negative for not known.
func (t *step) next(ctx context.Context) (nfts []int64, left int, err error) {
	// Steps that saved nothing may have computed for longer than their lease:
	// take less.
	size := max(1, t.plan.Pacer.Next.Chunk>>min(t.lost, 20))
	if t.run.Kind == store.BackfillRun {
		err = t.Store.View(ctx, func(v store.View) (err error) {
			nfts, err = v.RatedNFTs(ctx, t.run.Collection, t.run.Cursor, size)
			return err
		})
		if err != nil {
			return nil, 0, fmt.Errorf("reading the NFTs of a backfill: %w", err)
		}
		// Total leaves out rated NFTs that cannot have a score, and those that came
		// since: only an empty page is the end.
		if left = int(t.run.Total-t.run.Done) - len(nfts); left <= 0 {
			left = -1
		}
		return nfts, left, nil
	}
	if len(t.plan.Items) == 0 {
		if err := t.fill(ctx, size); err != nil {
			return nil, 0, err
		}
	}
	taken := min(size, len(t.plan.Items))
	for _, item := range t.plan.Items[:taken] {
		nfts = append(nfts, item.NFT)
		t.plan.Classes[item.Class]++
	}
	t.plan.Items = t.plan.Items[taken:]
	left = len(t.plan.Items)
	if more := t.run.Total > t.run.Done+int64(taken+left); more || left == 0 && t.paced().Mode == batch.Adaptive {
		left = -1
	}
	return nfts, left, nil
}

// planned is how many NFTs a run in fixed mode plans at a time, more than the
// default cap leaves time for. The row of the run is saved after each NFT with
// what is left of them, so a large size must not make it large.
const planned = 100

// fill plans what a batch or manual run takes next: of its size in fixed mode
// as many as planned, in adaptive mode a chunk.
func (t *step) fill(ctx context.Context, chunk int) error {
	s := t.paced()
	want := s.Size - int(t.run.Done)
	size := min(planned, want)
	if s.Mode == batch.Adaptive {
		size = chunk
		if t.plan.Size > 0 { // asked for: no more than that
			size = min(chunk, want)
		}
	}
	t.run.Total = t.run.Done
	if size <= 0 {
		return nil
	}
	items, err := t.Plan(ctx, s.Sized(size), t.run.Collection)
	if err != nil {
		return err
	}
	t.plan.Items = items
	t.run.Total += int64(len(items))
	if s.Mode == batch.Fixed && len(items) == size { // there may be as many as are wanted
		t.run.Total = t.run.Done + int64(want)
	}
	return nil
}

// Plan returns what a run of s would take now, of one collection if collection
// is not nil.
func (s *Scheduler) Plan(ctx context.Context, b batch.Settings, collection *string) ([]batch.Item, error) {
	now := s.Now().UTC()
	need := batch.Need(b)
	found, err := s.Store.Candidates(ctx, store.Wanted{
		Collection: collection, Now: now, OldBefore: now.Add(-b.OldAfter),
		Due: need.Due, ByVotes: need.New, ByWaiting: need.Waiting, Old: need.Old,
	})
	if err != nil {
		return nil, fmt.Errorf("looking for NFTs to compute: %w", err)
	}
	return batch.Plan(b, batch.Candidates{
		Due: candidates(found.Due), New: candidates(found.ByVotes), Waiting: candidates(found.ByWaiting), Old: candidates(found.Old),
	}, now), nil
}

func candidates(rows []store.Candidate) []batch.Candidate {
	list := make([]batch.Candidate, len(rows))
	for i, r := range rows {
		list[i] = batch.Candidate{
			NFT: r.NFT, ID: r.ID, Collection: r.Collection, Votes: r.Votes, WaitingSince: r.WaitingSince, ScoredAt: r.ComputedAt,
			DueSince: r.Due.Since, DueReason: r.Due.Reason, DuePriority: r.Due.Priority, Failures: r.Tries,
		}
	}
	return list
}

// end ends the run.
func (t *step) end(ctx context.Context, state store.RunState, reason string) error {
	now := t.Now().UTC().Truncate(time.Microsecond)
	t.run.State, t.run.StopReason, t.run.EndedAt = state, reason, now
	log := store.Activity{
		At: now, Kind: store.RunEnded, Reason: string(t.run.Kind), Run: t.run.Number, Who: t.run.RequestedBy, Detail: summary(&t.run),
	}
	if t.plan.Begun {
		t.mu.Lock()
		t.measured = batch.Measured{PerNFT: t.plan.Pacer.PerNFT, Rate: t.plan.Pacer.Rate()}
		t.baseline = t.plan.Pacer.Baseline
		t.mu.Unlock()
	}
	return t.save(ctx, nil, now, log)
}

func summary(r *store.Run) string {
	text := fmt.Sprintf("%s: %d computed, %d of them changed, %d failed", r.State, r.Done-r.Failed, r.Changed, r.Failed)
	if r.StopReason != "" {
		text += "; " + r.StopReason
	}
	return text
}

// handOver ends the step and asks for the next one. A short wait is left to
// the next step: a queue looks for later jobs now and then only.
func (t *step) handOver(ctx context.Context, at time.Time) error {
	if now := t.Now(); at.Sub(now) < stepTime {
		at = now
	}
	t.run.LeaseUntil = at
	return t.save(ctx, &Step{Run: t.run.Number, Step: t.run.Steps}, at)
}

// save ends the step: in one transaction the run is written, the delivered
// step marked as done and the next one asked for.
func (t *step) save(ctx context.Context, next *Step, at time.Time, log ...store.Activity) error {
	if err := t.encode(); err != nil {
		return err
	}
	saved := false
	err := t.Store.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.(store.ServiceTx).SaveRun(ctx, t.run); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		} else if err != nil { // another process has taken over
			return t.settle(ctx, tx, nil, at)
		}
		saved = true
		if len(log) > 0 {
			if err := tx.Apply(ctx, &store.Changes{Activity: log}); err != nil {
				return err
			}
		}
		return t.settle(ctx, tx, next, at)
	})
	if err != nil {
		return fmt.Errorf("saving run %d: %w", t.run.Number, err)
	}
	if saved && t.run.State != store.RunRunning {
		t.Observer.Ended(t.run)
	}
	return nil
}

func (t *step) encode() error {
	t.plan.Step = t.run.Steps
	text, err := json.Marshal(t.plan)
	if err != nil {
		return fmt.Errorf("encoding the plan of run %d: %w", t.run.Number, err)
	}
	t.run.Plan = string(text)
	return nil
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
