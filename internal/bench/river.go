package bench

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"poa/internal/store"
)

// jobArgs are the arguments of a job: the vote it is for.
type jobArgs struct {
	Vote store.Vote `json:"vote"`
}

func (jobArgs) Kind() string { return "vote" }

func (jobArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}

// riverQueue is River on a driver whose transactions are of type T.
type riverQueue[T any] struct {
	client *river.Client[T]
	inner  func(plainTx) T
	errs   chan error
}

// startRiver makes River's tables and starts its workers. complete marks a job
// as completed in a transaction.
func startRiver[T any](ctx context.Context, driver riverdriver.Driver[T], s plainStore, inner func(plainTx) T, workers int,
	complete func(context.Context, T, *river.Job[jobArgs]) error, work func(context.Context, plainTx, *store.Vote) error,
) (*riverQueue[T], error) {
	quiet := slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	q := &riverQueue[T]{inner: inner, errs: make(chan error, 1)}
	kinds := river.NewWorkers()
	river.AddWorker(kinds, river.WorkFunc(func(ctx context.Context, job *river.Job[jobArgs]) error {
		err := inTxWithout(ctx, s, func(tx plainTx) error {
			if err := complete(ctx, inner(tx), job); err != nil {
				return err
			}
			return work(ctx, tx, &job.Args.Vote)
		})
		if err != nil {
			select {
			case q.errs <- err:
			default:
			}
		}
		return err
	}))
	q.client, err = river.NewClient(driver, &river.Config{
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		FetchCooldown: 5 * time.Millisecond, FetchPollInterval: 10 * time.Millisecond,
		Workers: kinds, Logger: quiet,
	})
	if err != nil {
		return nil, err
	}
	return q, q.client.Start(context.WithoutCancel(ctx))
}

// inTxWithout is inTx for a function that commits.
func inTxWithout(ctx context.Context, s plainStore, f func(plainTx) error) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.rollback()
	return f(tx)
}

func (q *riverQueue[T]) insert(ctx context.Context, tx plainTx, v *store.Vote) error {
	_, err := q.client.InsertTx(ctx, q.inner(tx), jobArgs{*v}, nil)
	return err
}

func (q *riverQueue[T]) failed() <-chan error { return q.errs }

func (q *riverQueue[T]) stop(ctx context.Context) error { return q.client.Stop(ctx) }
