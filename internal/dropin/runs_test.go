package dropin_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

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
