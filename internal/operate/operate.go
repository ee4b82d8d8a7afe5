// Package operate is what operators do by hand to single NFTs and runs, for
// the API and the panel alike. What is done is in the log with their name.
package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"poa/internal/exact"
	"poa/internal/outlook"
	"poa/internal/publish"
	"poa/internal/samples"
	"poa/internal/settings"
	"poa/internal/store"
)

// Errors beside store.ErrNotFound, which is for an NFT or run that is not there.
var (
	ErrNotFailed = errors.New("the NFT is not on the failed list")
	ErrEnded     = errors.New("the run has ended")
	ErrUpkeep    = errors.New("upkeep cannot be cancelled")
)

// Options of a Service. Now and Computed may be nil.
type Options struct {
	Store    store.Service
	Settings func() *settings.InForce
	Now      func() time.Time // time.Now
	// Computed is told of computations, which nobody else tells of: the reason,
	// an outcome of package samples, and how many.
	Computed func(reason, outcome string, n int64)
}

// Service does what operators do by hand. Its methods are safe for concurrent
// use.
type Service struct{ Options }

// New returns a service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Computed == nil {
		o.Computed = func(string, string, int64) {}
	}
	return &Service{o}
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// Find returns an NFT with its rating, the zero one where it has none yet.
func (s *Service) Find(ctx context.Context, id string) (found store.Ranked, err error) {
	err = s.Store.View(ctx, func(v store.View) error {
		if found.NFT, err = v.NFT(ctx, id); err != nil {
			return err
		}
		ratings, err := v.Ratings(ctx, []string{id})
		if len(ratings) > 0 {
			found.Rating = ratings[0]
		}
		return err
	})
	if err != nil {
		return found, fmt.Errorf("reading an NFT: %w", err)
	}
	return found, nil
}

// Check is what the next vote on an NFT would do.
type Check struct {
	store.Ranked
	Votes  []outlook.Vote // each kind, in a fixed order
	Paused settings.Pause // of triggers
}

// Check returns what each kind of vote on an NFT would do, cast now by a new
// voter; matchups against an average NFT.
func (s *Service) Check(ctx context.Context, id string) (Check, error) {
	found, err := s.Find(ctx, id)
	if err != nil {
		return Check{}, err
	}
	in := s.Settings()
	rating := found.Rating
	if rating.NFT == 0 {
		rating.Rating = in.Policy.Constants.NewRating()
	}
	return Check{found, outlook.Votes(in.Policy, rating, s.now()), in.Triggers}, nil
}

// Compute computes the score of an NFT exactly and publishes it. Before and
// After of the result are nil where there is no score, both of an NFT on which
// nobody has voted. An NFT that could not be computed is an error.
func (s *Service) Compute(ctx context.Context, id, who string) (exact.Result, error) {
	found, err := s.Find(ctx, id)
	if err != nil {
		return exact.Result{}, err
	}
	nothing := exact.Result{NFT: found.NFT.Number, ID: id}
	if found.Rating.NFT == 0 {
		return nothing, nil
	}
	cause := publish.Cause{Reason: store.ReasonManual, Who: who}
	results, err := exact.Compute(ctx, s.Store, s.Settings().Policy, []int64{found.Rating.NFT}, cause, s.Now)
	if err != nil {
		return nothing, err
	}
	if len(results) == 0 {
		return nothing, nil
	}
	result := results[0]
	s.Computed(store.ReasonManual, Outcome(&result), 1)
	if result.Err != nil {
		return result, fmt.Errorf("computing %s: %w", id, result.Err)
	}
	return result, nil
}

// Outcome names what a computation came to, as package samples does.
func Outcome(r *exact.Result) string {
	switch {
	case r.Err != nil:
		return samples.Failed
	case r.Before != nil && r.After == nil:
		return samples.Withdrawn
	case r.Before == nil && r.After == nil, r.Before != nil && r.Before.POA == r.After.POA:
		return samples.Unchanged
	}
	return samples.Changed
}

// RetryFailure has the next batch try a failed NFT again. ErrNotFailed.
func (s *Service) RetryFailure(ctx context.Context, id, who string) error {
	log := store.Activity{Kind: store.Deferred, Reason: store.ReasonManual, Who: who, Detail: "a computation that failed is to be tried again"}
	return s.failed(ctx, id, log, func(nft int64) error { return s.Store.RetryFailure(ctx, nft, s.now()) })
}

// DiscardFailure takes an NFT off the failed list. ErrNotFailed.
func (s *Service) DiscardFailure(ctx context.Context, id, who string) error {
	log := store.Activity{Kind: store.Failed, Reason: store.ReasonManual, Who: who, Detail: "taken off the failed list by hand"}
	return s.failed(ctx, id, log, func(nft int64) error { return s.Store.DiscardFailure(ctx, nft) })
}

// failed does something to an entry of the failed list, and logs it.
func (s *Service) failed(ctx context.Context, id string, log store.Activity, do func(nft int64) error) error {
	found, err := s.Find(ctx, id)
	if err != nil {
		return err
	}
	if err := do(found.NFT.Number); errors.Is(err, store.ErrNotFound) {
		return ErrNotFailed
	} else if err != nil {
		return fmt.Errorf("changing the failed list: %w", err)
	}
	log.At, log.NFT, log.NFTID = s.now(), found.NFT.Number, id
	return s.log(ctx, log)
}

// SwitchCollection switches a collection on or off; why may be "".
// store.ErrNotFound.
func (s *Service) SwitchCollection(ctx context.Context, name string, active bool, why, who string) error {
	if err := s.Store.SetCollectionActive(ctx, name, active); err != nil {
		return fmt.Errorf("switching a collection: %w", err)
	}
	state := "off"
	if active {
		state = "on"
	}
	detail := fmt.Sprintf("collection %q switched %s", name, state)
	if why != "" {
		detail += ": " + why
	}
	return s.log(ctx, store.Activity{At: s.now(), Kind: store.SettingsChanged, Who: who, Detail: detail})
}

func (s *Service) log(ctx context.Context, entry store.Activity) error {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		return tx.Apply(ctx, &store.Changes{Activity: []store.Activity{entry}})
	})
	if err != nil {
		return fmt.Errorf("logging an activity: %w", err)
	}
	return nil
}

// Register registers NFTs, or updates those that are, and returns how many
// are new and how many were there. Each id counts once.
func (s *Service) Register(ctx context.Context, nfts []store.NFT, who string) (created, updated int, err error) {
	distinct := map[string]bool{}
	for i := range nfts {
		distinct[nfts[i].ID] = true
	}
	if created, err = s.Store.PutNFTs(ctx, nfts, true, s.now()); err != nil {
		return 0, 0, fmt.Errorf("registering NFTs: %w", err)
	}
	updated = len(distinct) - created
	detail := fmt.Sprintf("%d registered, %d updated", created, updated)
	const line = 40 // bytes that the log shows without a break
	if len(distinct) == 1 && len(nfts[0].ID) <= line {
		detail += ": " + nfts[0].ID
	}
	return created, updated, s.log(ctx, store.Activity{At: s.now(), Kind: store.NFTsRegistered, Who: who, Detail: detail})
}

// Cancel asks for the end of a run, after the chunk under way, and returns the
// run. Who asks first is kept. ErrEnded, ErrUpkeep, both with the run.
func (s *Service) Cancel(ctx context.Context, number int64, who string) (store.Run, error) {
	run, err := s.Store.Run(ctx, number)
	switch {
	case err != nil:
		return run, fmt.Errorf("reading a run: %w", err)
	case run.State != store.RunRunning:
		return run, ErrEnded
	case run.Kind == store.UpkeepRun:
		return run, ErrUpkeep
	}
	if err := s.Store.RequestCancel(ctx, number, who); err != nil {
		return run, fmt.Errorf("cancelling a run: %w", err)
	}
	if run.Cancel == "" {
		log := store.Activity{At: s.now(), Kind: store.CancelAsked, Reason: string(run.Kind), Run: number, Who: who, Detail: "the end of the run was asked for"}
		if err := s.log(ctx, log); err != nil {
			return run, err
		}
	}
	if run, err = s.Store.Run(ctx, number); err != nil {
		return run, fmt.Errorf("reading a run: %w", err)
	}
	return run, nil
}
