package dropin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/servicetest"
	"poa/internal/settings"
	"poa/internal/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	schedulerPath = "/api/admin/poa-v2-scheduler"
	computePath   = "/api/compute-poa-v2"
	nftsPath      = "/api/admin/poa-v2-nfts"
	schemaPath    = "/api/test-poa-v2-schema"
	backfillPath  = "/api/admin/poa-v2-backfill"
)

// scene is a request of the story, and what happens before it.
type scene struct {
	name   string // of the golden file
	before func(*world)
	role   store.Role // operator where it is ""
	method string     // POST where there is a body
	path   string
	body   string
}

const nobody store.Role = "nobody"

func story() []scene {
	const day = 24 * time.Hour
	long := strings.Repeat("x", 300<<10)
	var tooMany strings.Builder
	for i := range 501 {
		fmt.Fprintf(&tooMany, `,"n%d"`, i)
	}
	return []scene{
		{name: "empty-status", path: schedulerPath},
		{name: "empty-batch-candidates", path: schedulerPath + "?action=batch_candidates"},
		{name: "empty-nfts", path: nftsPath},
		{name: "empty-collection-stats", path: computePath, body: `{"action":"get_collection_stats"}`},
		{name: "empty-candidates", path: computePath, body: `{"action":"get_computation_candidates"}`},
		{name: "empty-backfill-progress", path: backfillPath},
		{name: "empty-backfill", path: backfillPath, body: `{}`},
		{name: "empty-run-batch", path: schedulerPath, body: `{"action":"run_batch"}`},

		{name: "status", before: func(w *world) { w.play(); w.clock.move(time.Minute) }, role: store.Viewer, path: schedulerPath},
		{name: "status-named", role: store.Viewer, path: schedulerPath + "?action=status"},
		{name: "config", role: store.Viewer, path: schedulerPath + "?action=config"},
		{name: "batch-candidates", role: store.Viewer, path: schedulerPath + "?action=batch_candidates"},
		{name: "check-triggers", role: store.Viewer, path: schedulerPath, body: `{"action":"check_trigger_conditions","nftId":"k3"}`},
		{name: "check-triggers-milestone", role: store.Viewer, path: schedulerPath, body: `{"action":"check_trigger_conditions","nftId":"k2"}`},
		{name: "check-triggers-unvoted", role: store.Viewer, path: schedulerPath, body: `{"action":"check_trigger_conditions","nftId":"moved"}`},
		{name: "simulate-trigger", role: store.Viewer, path: schedulerPath, body: `{"action":"simulate_trigger","nftId":"k2","triggerType":"milestone"}`},
		{name: "simulate-trigger-unvoted", role: store.Viewer, path: schedulerPath, body: `{"action":"simulate_trigger","nftId":"moved","triggerType":"fire"}`},
		{name: "simulate-trigger-skipped", role: store.Viewer, path: schedulerPath, body: `{"action":"simulate_trigger","nftId":"b3","triggerType":"super"}`},
		{name: "candidates", role: store.Viewer, path: computePath, body: `{"action":"get_computation_candidates"}`},
		{name: "candidates-limited", role: store.Viewer, path: computePath, body: `{"action":"get_computation_candidates","limit":2}`},
		{name: "collection-stats", role: store.Viewer, path: computePath, body: `{"action":"get_collection_stats"}`},
		{name: "nfts", role: store.Viewer, path: nftsPath},
		{name: "nfts-of-collection", role: store.Viewer, path: nftsPath + "?collection=BEEISH&limit=1"},
		{name: "nfts-of-unknown-collection", role: store.Viewer, path: nftsPath + "?collection=nowhere"},
		{name: "nft-details", role: store.Viewer, path: nftsPath, body: `{"action":"get_nft_details","nftId":"k1"}`},
		{name: "nft-details-unvoted", role: store.Viewer, path: nftsPath, body: `{"action":"get_nft_details","nftId":"moved"}`},
		{name: "schema", role: store.Viewer, path: schemaPath},
		{name: "backfill-progress", role: store.Viewer, path: backfillPath},
		{name: "backfill-dry-run", role: store.Viewer, path: backfillPath, body: `{"batchSize":2,"dryRun":true}`},

		{name: "test-trigger", path: schedulerPath, body: `{"action":"test_trigger","nftId":"k2","triggerType":"super_vote"}`},
		{name: "test-trigger-new-vote", path: schedulerPath, body: `{"action":"test_trigger","nftId":"k2","triggerType":"new_vote"}`},
		{name: "test-trigger-unvoted", path: schedulerPath, body: `{"action":"test_trigger","nftId":"moved","triggerType":"fire_vote"}`},
		{name: "test-trigger-skipped", path: schedulerPath, body: `{"action":"test_trigger","nftId":"b3","triggerType":"milestone"}`},
		{name: "compute-single", path: computePath, body: `{"action":"compute_single","nftId":"k1"}`},
		{name: "compute-single-first", path: computePath, body: `{"action":"compute_single","nftId":"loner"}`},
		{name: "compute-single-unvoted", path: computePath, body: `{"action":"compute_single","nftId":"moved"}`},
		{name: "nfts-compute-single", path: nftsPath, body: `{"action":"compute_single","nftId":"k4"}`},
		{name: "compute-batch", path: computePath, body: `{"action":"compute_batch","nftIds":["k1","k5","moved","nowhere","b3","k5"]}`},
		{name: "compute-batch-again", path: computePath, body: `{"action":"compute_batch","nftIds":["k1","k5"],"options":{"skipExisting":false,"batchSize":3,"delayMs":200.5}}`},
		{name: "nfts-compute-batch", path: nftsPath, body: `{"action":"compute_batch","nftIds":["k1","k5"]}`},
		{name: "after-computing", before: func(w *world) { w.clock.move(time.Minute) }, path: schedulerPath},
		{
			name: "backfill", path: backfillPath, body: `{"batchSize":1}`,
			before: func(w *world) { w.cast(won("gus", "b3", "k6"), won("gus", "b3", "k6"), won("gus", "moved", "k6")) },
		},
		{name: "run-batch", path: schedulerPath, body: `{"action":"run_batch","batchSize":2}`},
		{name: "run-batch-default", path: schedulerPath, body: `{"action":"run_batch"}`},
		{
			name: "compute-collection", path: computePath, body: `{"action":"compute_collection","collectionName":"BEEISH","limit":2}`,
			before: func(w *world) { w.clock.move(25 * time.Hour) },
		},
		{name: "batch-candidates-old", path: schedulerPath + "?action=batch_candidates"},
		{name: "compute-collection-whole", path: computePath, body: `{"action":"compute_collection","collectionName":"Kabu"}`},
		{name: "config-after-batch", before: func(w *world) {
			must(w.t, w.Scheduler.Tick(w.t.Context()))
			w.Queue.Wait()
		}, path: schedulerPath + "?action=config"},
		{name: "run-batch-cancelled", before: (*world).cancelRuns, path: schedulerPath, body: `{"action":"run_batch"}`},

		{
			name: "paused", path: schedulerPath + "?action=config",
			before: func(w *world) {
				w.cancelNone()
				must(w.t, w.Settings.Pause(w.t.Context(), settings.Batches, settings.Pause{Reason: "maintenance", Who: "ann"}))
			},
		},
		{
			name: "paused-until", path: schedulerPath + "?action=config",
			before: func(w *world) {
				until := time.Date(2026, time.March, 3, 6, 20, 0, 0, time.UTC)
				must(w.t, w.Settings.Pause(w.t.Context(), settings.Batches, settings.Pause{Until: until, Reason: "maintenance", Who: "ann"}))
			},
		},
		{
			name: "triggers-paused", path: schedulerPath, body: `{"action":"check_trigger_conditions","nftId":"k3"}`,
			before: func(w *world) {
				must(w.t, w.Settings.Pause(w.t.Context(), settings.Triggers, settings.Pause{Reason: "a storm of votes", Who: "bob"}))
			},
		},
		{name: "all-paused", before: func(w *world) {
			w.register("BEEISH", "late", "later")
			w.cast(super("ivy", "late", "later"), won("ivy", "late", "later")) // deferred
		}, path: schedulerPath},
		{name: "all-paused-nfts", path: nftsPath + "?limit=1"},
		{name: "overdue", before: func(w *world) {
			w.cast(fire("hal", "k6")) // deferred
			must(w.t, w.Settings.Resume(w.t.Context(), settings.Triggers, "bob", ""))
			must(w.t, w.Settings.Resume(w.t.Context(), settings.Batches, "bob", ""))
			w.clock.move(3 * time.Hour)
		}, path: schedulerPath + "?action=config"},
		{name: "failed", before: func(w *world) { w.breakNFT("k6") }, path: schedulerPath + "?action=config"},
		{name: "test-trigger-failing", path: schedulerPath, body: `{"action":"test_trigger","nftId":"k5","triggerType":"new_vote"}`, before: func(w *world) { w.miscount("k5") }},
		{name: "simulate-trigger-failing", path: schedulerPath, body: `{"action":"simulate_trigger","nftId":"k5","triggerType":"super"}`},
		{name: "compute-single-failing", path: computePath, body: `{"action":"compute_single","nftId":"k5"}`},
		{name: "compute-batch-failing", path: computePath, body: `{"action":"compute_batch","nftIds":["k5","k4"],"options":{"skipExisting":false}}`},
		{name: "after-a-day", before: func(w *world) { w.clock.move(day) }, path: schedulerPath},

		{name: "error-get-action", path: schedulerPath + "?action=nothing"},
		{name: "error-scheduler-action", path: schedulerPath, body: `{"action":"nothing"}`},
		{name: "error-no-action", path: schedulerPath, body: `{}`},
		{name: "error-compute-action", path: computePath, body: `{"action":"status"}`},
		{name: "error-nfts-action", path: nftsPath, body: `{"action":"run_batch"}`},
		{name: "error-no-nft", path: schedulerPath, body: `{"action":"test_trigger","triggerType":"new_vote"}`},
		{name: "error-unknown-nft", path: schedulerPath, body: `{"action":"test_trigger","nftId":"nowhere","triggerType":"new_vote"}`},
		{name: "error-simulate-unknown-nft", path: schedulerPath, body: `{"action":"simulate_trigger","nftId":"nowhere","triggerType":"fire"}`},
		{name: "error-check-unknown-nft", path: schedulerPath, body: `{"action":"check_trigger_conditions","nftId":"nowhere"}`},
		{name: "error-compute-unknown-nft", path: computePath, body: `{"action":"compute_single","nftId":"nowhere"}`},
		{name: "error-details-unknown-nft", path: nftsPath, body: `{"action":"get_nft_details","nftId":"nowhere"}`},
		{name: "error-nft-number", path: schedulerPath, body: `{"action":"test_trigger","nftId":12,"triggerType":"new_vote"}`},
		{name: "error-nft-nul", path: schedulerPath, body: `{"action":"test_trigger","nftId":"a\u0000","triggerType":"new_vote"}`},
		{name: "error-trigger-type", path: schedulerPath, body: `{"action":"test_trigger","nftId":"k1","triggerType":"super"}`},
		{name: "error-simulate-type", path: schedulerPath, body: `{"action":"simulate_trigger","nftId":"k1","triggerType":"super_vote"}`},
		{name: "error-batch-size", path: schedulerPath, body: `{"action":"run_batch","batchSize":0}`},
		{name: "error-batch-size-large", path: schedulerPath, body: `{"action":"run_batch","batchSize":1001}`},
		{name: "error-batch-size-fraction", path: schedulerPath, body: `{"action":"run_batch","batchSize":2.5}`},
		{name: "error-batch-size-text", path: schedulerPath, body: `{"action":"run_batch","batchSize":"20"}`},
		{name: "error-backfill-size", path: backfillPath, body: `{"batchSize":501}`},
		{name: "error-dry-run", path: backfillPath, body: `{"dryRun":"yes"}`},
		{name: "error-no-nfts", path: computePath, body: `{"action":"compute_batch"}`},
		{name: "error-nfts-empty", path: nftsPath, body: `{"action":"compute_batch","nftIds":[]}`},
		{name: "error-nfts-text", path: computePath, body: `{"action":"compute_batch","nftIds":"k1"}`},
		{name: "error-nfts-number", path: computePath, body: `{"action":"compute_batch","nftIds":["k1",7]}`},
		{name: "error-nfts-many", path: computePath, body: `{"action":"compute_batch","nftIds":["k1"` + tooMany.String() + `]}`},
		{name: "error-options", path: computePath, body: `{"action":"compute_batch","nftIds":["k1"],"options":[]}`},
		{name: "error-option", path: computePath, body: `{"action":"compute_batch","nftIds":["k1"],"options":{"skipExisting":1}}`},
		{name: "error-no-collection", path: computePath, body: `{"action":"compute_collection"}`},
		{name: "error-unknown-collection", path: computePath, body: `{"action":"compute_collection","collectionName":"nowhere"}`},
		{name: "error-collection-limit", path: computePath, body: `{"action":"compute_collection","collectionName":"Kabu","limit":-1}`},
		{name: "error-candidates-limit", path: computePath, body: `{"action":"get_computation_candidates","limit":1001}`},
		{name: "error-nfts-limit", path: nftsPath + "?limit=1001"},
		{name: "error-nfts-limit-text", path: nftsPath + "?limit=all"},
		{name: "error-nfts-collection", path: nftsPath + "?collection=%ff"},
		{name: "error-not-json", path: schedulerPath, body: `action=run_batch`},
		{name: "error-not-an-object", path: schedulerPath, body: `["run_batch"]`},
		{name: "error-null", path: schedulerPath, body: `null`},
		{name: "error-not-text", path: schedulerPath, body: "{\"action\":\"\xff\"}"},
		{name: "error-too-large", path: schedulerPath, body: `{"action":"` + long + `"}`},
		{name: "error-method", method: "PUT", path: schedulerPath, body: `{}`},
		{name: "error-method-of-schema", method: "POST", path: schemaPath, body: `{}`},
		{name: "error-method-of-compute", method: "GET", path: computePath},
		{name: "error-no-key", role: nobody, path: schedulerPath},
		{name: "error-viewer", role: store.Viewer, path: schedulerPath, body: `{"action":"run_batch"}`},
		{name: "error-viewer-backfill", role: store.Viewer, path: backfillPath, body: `{"batchSize":1}`},
		{name: "error-gateway", role: store.VoterGateway, path: schedulerPath},

		{name: "unavailable-config", before: func(w *world) { w.store.Fail(store.ErrUnavailable) }, path: schedulerPath + "?action=config"},
		{name: "error-unavailable", path: schedulerPath},
		{name: "error-unavailable-compute", path: computePath, body: `{"action":"compute_single","nftId":"k1"}`},
		{name: "error-contended", before: func(w *world) { w.store.Fail(store.ErrContention) }, path: nftsPath},
		{name: "error-inside", before: func(w *world) { w.store.Fail(errors.New("a secret inside")) }, path: backfillPath},
	}
}

// TestGolden tells a story and compares every answer of it. Both databases
// answer the same.
func TestGolden(t *testing.T) {
	servicetest.OnBoth(t, func(t *testing.T, st servicetest.Store) {
		w := start(t, st)
		told := map[string]bool{}
		for _, s := range story() {
			if told[s.name] {
				t.Fatalf("%s is told twice", s.name)
			}
			told[s.name] = true
			if s.before != nil {
				s.before(w)
			}
			w.clock.move(time.Second) // what was kept for a second is read anew
			method, role := s.method, s.role
			if method == "" {
				if method = "GET"; s.body != "" {
					method = "POST"
				}
			}
			if role == "" {
				role = store.Operator
			}
			got := w.ask(role, method, s.path, s.body)
			if kind := got.Header.Get("Content-Type"); kind != "application/json" {
				t.Errorf("%s: content type %q", s.name, kind)
			}
			compare(t, s.name, got)
		}
		if strings.Count(w.Logged.String(), "a secret inside") != 1 {
			t.Errorf("the log does not tell once what went wrong inside")
		}
		if t.Name() == "TestGolden/sqlite" {
			noOthers(t, told)
		}
	})
}

// compare compares an answer with its golden file, or writes that.
func compare(t *testing.T, name string, got response) {
	t.Helper()
	var body bytes.Buffer
	if err := json.Indent(&body, got.body, "", "  "); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, got.body)
	}
	text := fmt.Sprintf("%s\n", got.Status)
	for _, h := range []string{"Allow", "Retry-After", "WWW-Authenticate"} {
		if v := got.Header.Get(h); v != "" {
			text += fmt.Sprintf("%s: %s\n", h, v)
		}
	}
	text += "\n" + body.String()
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		must(t, os.WriteFile(file, []byte(text), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// noOthers checks that every golden file is of the story.
func noOthers(t *testing.T, told map[string]bool) {
	t.Helper()
	told[unfinished] = true // of a test of its own
	files, err := filepath.Glob("testdata/golden/*.txt")
	must(t, err)
	for _, file := range files {
		if !told[strings.TrimSuffix(filepath.Base(file), ".txt")] {
			t.Errorf("%s is of no scene", file)
		}
	}
}

// cancelRuns has runs be cancelled when they begin, until cancelNone.
func (w *world) cancelRuns() { w.store.cancel(true) }
func (w *world) cancelNone() { w.store.cancel(false) }

// breakNFT puts an NFT on the failed list.
func (w *world) breakNFT(id string) {
	w.t.Helper()
	ctx := w.t.Context()
	must(w.t, w.store.Update(ctx, func(tx store.Tx) error {
		locked, _, err := tx.Lock(ctx, []string{id}, nil)
		if err != nil {
			return err
		}
		at := w.clock.Now().UTC().Truncate(time.Microsecond)
		return tx.Apply(ctx, &store.Changes{Failures: []store.Failure{{NFT: locked[0].NFT, Error: "its sums do not add up", Tries: 5, FirstAt: at, LastAt: at}}})
	}))
}

// miscount makes an NFT's rating contradict the log, so that it cannot be
// computed.
func (w *world) miscount(id string) {
	w.t.Helper()
	ctx := w.t.Context()
	must(w.t, w.store.Update(ctx, func(tx store.Tx) error {
		locked, _, err := tx.Lock(ctx, []string{id}, nil)
		if err != nil {
			return err
		}
		locked[0].Matchups += 7
		return tx.Apply(ctx, &store.Changes{Ratings: locked})
	}))
}
