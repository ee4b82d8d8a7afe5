package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"riverqueue.com/riverui"

	"poa/internal/store"
)

// River is a Queue on River: one job per step. D is a River driver and T its
// transaction.
type River[D riverdriver.Driver[T], T any] struct {
	// PollOnly asks the database for jobs instead of waiting for notifications,
	// which a pooler in transaction mode does not pass on. Set it before Start.
	PollOnly bool

	driver D
	raw    func(store.Tx) T
	log    *slog.Logger
	client *river.Client[T]
}

// NewRiver returns a queue. raw gives the driver's transaction behind a
// store's. What River has to say goes to log, in detail unless it warns.
func NewRiver[D riverdriver.Driver[T], T any](driver D, raw func(store.Tx) T, log *slog.Logger) *River[D, T] {
	return &River[D, T]{driver: driver, raw: raw, log: slog.New(detail{log.Handler()})}
}

// detail is a handler that takes information as detail: which process leads
// and how many jobs were worked concerns nobody while all is well.
type detail struct{ slog.Handler }

func (h detail) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, lowered(level))
}

func (h detail) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lowered(r.Level)
	return h.Handler.Handle(ctx, r)
}

func (h detail) WithAttrs(attrs []slog.Attr) slog.Handler { return detail{h.Handler.WithAttrs(attrs)} }

func (h detail) WithGroup(name string) slog.Handler { return detail{h.Handler.WithGroup(name)} }

func lowered(level slog.Level) slog.Level {
	if level < slog.LevelWarn {
		return min(level, slog.LevelDebug)
	}
	return level
}

// stepJob is the job of a step. Unique by run and step: the steps that end,
// take over and repeat a run ask for the same one.
type stepJob struct{ Step }

func (stepJob) Kind() string { return "poa_run_step" }

func (stepJob) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		MaxAttempts: 3, // a lease that ends asks for the step anew
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
			rivertype.JobStateRunning, rivertype.JobStateScheduled,
		}},
	}
}

// migrator is silent: what it does is told by those who ask for it.
func (q *River[D, T]) migrator() (*rivermigrate.Migrator[T], error) {
	return rivermigrate.New(q.driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
}

// Migrate brings River's tables up to date. Processes that do so at once get
// in each other's way, so a failure is looked at again: what was missing may
// have been made meanwhile.
func (q *River[D, T]) Migrate(ctx context.Context) error {
	m, err := q.migrator()
	if err != nil {
		return fmt.Errorf("migrating the job queue: %w", err)
	}
	const attempts = 5
	for n := 1; ; n++ {
		_, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		if err == nil {
			return nil
		}
		if n == attempts || pause(ctx, time.Duration(n)*200*time.Millisecond) != nil {
			return fmt.Errorf("migrating the job queue: %w", err)
		}
	}
}

// Migrated reports whether River's tables are those this program works with.
func (q *River[D, T]) Migrated(ctx context.Context) (bool, error) {
	m, err := q.migrator()
	if err != nil {
		return false, fmt.Errorf("looking at the tables of the job queue: %w", err)
	}
	result, err := m.Validate(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("looking at the tables of the job queue: %w", err)
	}
	return result.OK, nil
}

// Present reports whether River's table of jobs is there. It costs one small
// read, where Migrated costs a transaction.
func (q *River[D, T]) Present(ctx context.Context) (bool, error) {
	there, err := q.driver.GetExecutor().TableExists(ctx, &riverdriver.TableExistsParams{Table: "river_job"})
	if err != nil {
		return false, fmt.Errorf("looking for the table of the job queue: %w", err)
	}
	return there, nil
}

// UI returns River's own pages, for paths below prefix. They can change jobs
// too: pass them what reads only. They read when they are looked at, never else.
func (q *River[D, T]) UI(prefix string) (http.Handler, error) {
	reader, err := river.NewClient(q.driver, &river.Config{Logger: q.log}) // works no jobs
	if err != nil {
		return nil, fmt.Errorf("opening the job queue to look at it: %w", err)
	}
	ui, err := riverui.NewHandler(&riverui.HandlerOpts{Endpoints: riverui.NewEndpoints(reader, nil), Logger: q.log, Prefix: prefix})
	if err != nil {
		return nil, fmt.Errorf("making the pages of the job queue: %w", err)
	}
	return ui, nil
}

// Insert asks for a step of a run.
func (q *River[D, T]) Insert(ctx context.Context, s Step) error {
	_, err := q.client.Insert(ctx, stepJob{s}, nil)
	return err
}

// Start begins to work jobs.
func (q *River[D, T]) Start(ctx context.Context, work Work) error {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &stepWorker[D, T]{queue: q, work: work}); err != nil {
		return err
	}
	client, err := river.NewClient(q.driver, &river.Config{
		Logger: q.log,
		Queues: map[string]river.QueueConfig{
			// A batch, a backfill and upkeep, and one more by hand.
			river.QueueDefault: {MaxWorkers: 4, FetchCooldown: 10 * time.Millisecond},
		},
		Workers:                     workers,
		PollOnly:                    q.PollOnly,
		JobTimeout:                  2 * lease,
		RescueStuckJobsAfter:        3 * lease,
		CompletedJobRetentionPeriod: time.Hour,
	})
	if err != nil {
		return err
	}
	q.client = client
	return client.Start(context.WithoutCancel(ctx))
}

// Stop waits for the jobs under way until ctx ends, then cancels them.
func (q *River[D, T]) Stop(ctx context.Context) error {
	if q.client == nil {
		return nil
	}
	if err := q.client.Stop(ctx); err == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return q.client.StopAndCancel(grace)
}

type stepWorker[D riverdriver.Driver[T], T any] struct {
	river.WorkerDefaults[stepJob]
	queue *River[D, T]
	work  Work
}

func (w *stepWorker[D, T]) Work(ctx context.Context, job *river.Job[stepJob]) error {
	return w.work(ctx, job.Args.Step, func(ctx context.Context, tx store.Tx, next *Step, at time.Time) error {
		raw := w.queue.raw(tx)
		if _, err := river.JobCompleteTx[D](ctx, raw, job); err != nil {
			return fmt.Errorf("completing the job of a step: %w", err)
		}
		if next == nil {
			return nil
		}
		opts := &river.InsertOpts{}
		if time.Until(at) > 0 {
			opts.ScheduledAt = at
		}
		if _, err := w.queue.client.InsertTx(ctx, raw, stepJob{*next}, opts); err != nil {
			return fmt.Errorf("asking for the next step: %w", err)
		}
		return nil
	})
}
