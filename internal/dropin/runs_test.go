package dropin_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/access"
	"poa/internal/dropin"
	"poa/internal/servicetest"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
)

// unfinished is the golden file of a run that outlasts its request.
const unfinished = "run-batch-unfinished"

const runBatch = `{"action":"run_batch","batchSize":3}`

// run returns the latest run.
func (w *world) run() store.Run {
	w.t.Helper()
	runs, err := w.store.Runs(w.t.Context(), store.ManualRun, 0, 1)
	must(w.t, err)
	if len(runs) == 0 {
		w.t.Fatal("there is no run")
	}
	return runs[0]
}

func TestRunThatOutlastsItsRequest(t *testing.T) {
	servicetest.OnBoth(t, func(t *testing.T, st servicetest.Store) {
		w := start(t, st, func(o *dropin.Options, _ *access.Settings) { o.Wait = time.Millisecond })
		w.play()
		w.Queue.Hold()
		compare(t, unfinished, w.ask(store.Operator, "POST", schedulerPath, runBatch))
		w.release()
		if r := w.run(); r.State != store.RunDone || r.Done != 3 {
			t.Errorf("the run is %s with %d done", r.State, r.Done)
		}
	})
}

// TestStopAnswers: a process that stops does not wait for runs.
func TestStopAnswers(t *testing.T) {
	w := start(t, sqlitetest.New(t), func(o *dropin.Options, _ *access.Settings) { o.Wait = time.Hour })
	w.Queue.Hold()
	w.api.Stop()
	got := w.ask(store.Operator, "POST", schedulerPath, runBatch)
	var doc struct {
		Data struct {
			BatchResult struct{ Run struct{ State string } }
		}
	}
	must(t, json.Unmarshal(got.body, &doc))
	if got.StatusCode != 200 || doc.Data.BatchResult.Run.State != "running" {
		t.Errorf("%s\n%s", got.Status, got.body)
	}
	w.release()
}

// TestClientThatGoes: a run does not end with the request that began it.
func TestClientThatGoes(t *testing.T) {
	w := start(t, sqlitetest.New(t), func(o *dropin.Options, _ *access.Settings) { o.Wait = time.Hour })
	w.play()
	w.Queue.Hold()
	ctx, leave := context.WithCancel(t.Context())
	r := w.request(ctx, store.Operator, "POST", schedulerPath, runBatch)
	gone := make(chan error, 1)
	go func() {
		resp, err := w.Client().Do(r)
		if err == nil {
			err = resp.Body.Close()
		}
		gone <- err
	}()
	for !w.Queue.Holds() { // until the run has begun
		time.Sleep(time.Millisecond)
	}
	leave()
	if err := <-gone; err == nil {
		t.Error("the request was answered")
	}
	w.release()
	if r := w.run(); r.State != store.RunDone || r.Done != 3 || r.RequestedBy != "the operator" {
		t.Errorf("the run of %s is %s with %d done", r.RequestedBy, r.State, r.Done)
	}
}

// TestRepeatedRequestJoinsItsRun: a request that comes again while its run is
// under way, from whichever process, waits for that run. Another client, other
// arguments, a run that is being cancelled and one that has ended make a new one.
func TestRepeatedRequestJoinsItsRun(t *testing.T) {
	servicetest.OnBoth(t, func(t *testing.T, st servicetest.Store) {
		w := start(t, st, func(o *dropin.Options, _ *access.Settings) { o.Wait = time.Millisecond })
		w.play()
		w.Queue.Hold()
		key := w.NewKey(store.Operator, "another")
		begin := func(path, body string, header ...string) int64 {
			t.Helper()
			got := w.ask(store.Operator, "POST", path, body, header...)
			type run struct{ ID int64 }
			var doc struct {
				Data struct {
					Run         run
					BatchResult struct{ Run run }
				}
			}
			must(t, json.Unmarshal(got.body, &doc))
			if got.StatusCode != 200 {
				t.Fatalf("%s\n%s", got.Status, got.body)
			}
			return max(doc.Data.Run.ID, doc.Data.BatchResult.Run.ID)
		}
		of := func(limit string) string {
			return `{"action":"compute_collection","collectionName":"Kabu"` + limit + `}`
		}
		batch, collection, all := begin(schedulerPath, runBatch), begin(computePath, of(`,"limit":3`)), begin(computePath, of(""))
		again := []int64{begin(schedulerPath, runBatch), begin(computePath, of(`,"limit":3`)), begin(computePath, of(""))}
		if diff := cmp.Diff([]int64{batch, collection, all}, again); diff != "" {
			t.Errorf("a repeated request has another run (-first +again):\n%s", diff)
		}
		runs := map[int64]bool{batch: true, collection: true, all: true}
		for what, begin := range map[string]func() int64{
			"another client":    func() int64 { return begin(schedulerPath, runBatch, "Authorization", "Bearer "+key) },
			"another size":      func() int64 { return begin(schedulerPath, `{"action":"run_batch","batchSize":2}`) },
			"a size by default": func() int64 { return begin(schedulerPath, `{"action":"run_batch"}`) },
			"a cancelled run": func() int64 {
				must(t, w.store.RequestCancel(t.Context(), batch, "ann"))
				return begin(schedulerPath, runBatch)
			},
			"at once": func() int64 {
				var numbers [8]int64
				var all sync.WaitGroup
				for i := range numbers {
					all.Go(func() { numbers[i] = begin(computePath, of(`,"limit":1`)) })
				}
				all.Wait()
				for _, n := range numbers {
					if n != numbers[0] {
						t.Errorf("requests at once have the runs %v", numbers)
						break
					}
				}
				return numbers[0]
			},
		} {
			if n := begin(); n == 0 || runs[n] {
				t.Errorf("%s: run %d is not a new one", what, n)
			} else {
				runs[n] = true
			}
		}
		w.release()
		if n := begin(schedulerPath, runBatch); n == 0 || runs[n] {
			t.Errorf("after the end: run %d is not a new one", n)
		}
	})
}
