// Package dropin answers the admin API of the scheduler that poa replaces, so
// that the front end written for it goes on working: the same paths, actions
// and fields, answered from poa's own services. docs/dropin.md says which
// answers from what, and where the meaning differs from the old one.
//
// Every answer is {"success": true, "data": …} or, with a status from 400 on,
// {"success": false, "error": "…", "details": "…"}. Ids are text, times are in
// UTC as JavaScript writes them, and a value that does not exist is null.
package dropin

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"poa/internal/access"
	"poa/internal/batch"
	"poa/internal/scheduler"
	"poa/internal/settings"
	"poa/internal/store"
)

// Store is what the API needs of a store.
type Store interface {
	store.Service
	store.DropIn
}

// Runs starts and plans runs, as scheduler.Scheduler does.
type Runs interface {
	Plan(ctx context.Context, s batch.Settings, collection *string) ([]batch.Item, error)
	RunNow(ctx context.Context, m scheduler.Manual) (store.Run, error)
	Backfill(ctx context.Context, collection *string, name, who string) (store.Run, error)
}

// Options of the API.
type Options struct {
	Store    Store
	Runs     Runs
	Settings *settings.Service
	Guard    *access.Guard
	// Identified is told who sent a request, for the log of requests. It may be
	// nil.
	Identified func(context.Context, access.Client)
	// Computed is told of computations that are no run's: see operate.Options. It
	// may be nil.
	Computed func(reason, outcome string, n int64)
	// Wait is how long an answer waits for the end of a run: a minute where it is
	// 0.
	Wait time.Duration
	Now  func() time.Time // time.Now
	Log  *slog.Logger     // discarded
}

// API is the handler of all Paths.
type API struct {
	Options
	origins http.Handler
	stopped chan struct{}
	stop    sync.Once

	overview kept[overview]
	voters   kept[store.VoterTotals]
	ratings  kept[map[int64]store.RatingTotals]
	computed kept[int64]
}

const (
	// timeout is how long an answer may take, waiting for a run apart.
	timeout = 30 * time.Second
	// pollEvery is how often a run that is waited for is looked at.
	pollEvery = 250 * time.Millisecond
	// maxBody is the size of a request body, in bytes, and bodyTime how long a
	// client may take to send it.
	maxBody  = 256 << 10
	bodyTime = 15 * time.Second

	// What browsers are told that pages of other origins may send. The old front
	// end sends x-wallet-address, which nobody reads.
	methods = "GET, HEAD, POST"
	headers = "Authorization, Content-Type, X-Request-Id, X-Wallet-Address"
)

// Paths are those the API answers.
func Paths() []string {
	list := make([]string, len(endpoints))
	for i, e := range endpoints {
		list[i] = e.path
	}
	return list
}

// New returns the API.
func New(o Options) *API {
	if o.Wait <= 0 {
		o.Wait = time.Minute
	}
	if o.Computed == nil {
		o.Computed = func(string, string, int64) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &API{Options: o, stopped: make(chan struct{})}
	mux := http.NewServeMux()
	for _, e := range endpoints {
		mux.Handle(e.path, a.serve(e))
	}
	a.origins = o.Guard.AllowedOrigins().Share(mux, methods, headers)
	return a
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.origins.ServeHTTP(w, r) }

// Stop has requests that wait for a run answer at once.
func (a *API) Stop() { a.stop.Do(func() { close(a.stopped) }) }

// now is the time, as stored.
func (a *API) now() time.Time { return a.Now().UTC().Truncate(time.Microsecond) }

// endpoint is a path with its actions. Where there is one action without a
// name, none is asked for.
type endpoint struct {
	path      string
	get, post []action
	otherwise string // the GET action where none is named
}

// action is what can be asked of an endpoint.
type action struct {
	name string
	need access.Need
	do   func(*API, context.Context, *request) (any, error)
}

var endpoints = []endpoint{
	{
		path:      "/api/admin/poa-v2-scheduler",
		otherwise: "status",
		get: []action{
			{"status", access.View, (*API).status},
			{"config", access.View, (*API).config},
			{"batch_candidates", access.View, (*API).batchCandidates},
		},
		post: []action{
			{"test_trigger", access.Operate, (*API).testTrigger},
			{"run_batch", access.Operate, (*API).runBatch},
			{"simulate_trigger", access.View, (*API).simulateTrigger},
			{"check_trigger_conditions", access.View, (*API).checkTriggers},
		},
	},
	{
		path: "/api/compute-poa-v2",
		post: []action{
			{"compute_single", access.Operate, (*API).computeSingle},
			{"compute_batch", access.Operate, (*API).computeBatch},
			{"compute_collection", access.Operate, (*API).computeCollection},
			{"get_computation_candidates", access.View, (*API).computationCandidates},
			{"get_collection_stats", access.View, (*API).collectionStats},
		},
	},
	{
		path: "/api/admin/poa-v2-nfts",
		get:  []action{{"", access.View, (*API).topNFTs}},
		post: []action{
			{"compute_single", access.Operate, (*API).computeNFT},
			{"compute_batch", access.Operate, (*API).computeNFTs},
			{"get_nft_details", access.View, (*API).nftDetails},
		},
	},
	{
		path: "/api/test-poa-v2-schema",
		get:  []action{{"", access.View, (*API).schema}},
	},
	{
		path: "/api/admin/poa-v2-backfill",
		get:  []action{{"", access.View, (*API).backfillProgress}},
		// What computes asks for more itself.
		post: []action{{"", access.View, (*API).backfill}},
	},
}
