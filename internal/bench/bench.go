// Package bench measures what poa's work costs on SQLite and PostgreSQL, and
// beside it, in the same run and on the same machine, what the least that could
// be done would cost: a raw insert of the same votes, one SQL statement that
// computes the same scores. It also measures two plainer ways to take votes.
//
// A later part that belongs into the table, such as picking a batch or the
// resident memory of the service, gets a file of its own here, a field in
// Engine, a call in Engine.measure and its rows in Report.Tables.
package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"poa/internal/ledger"
	"poa/internal/sample"
)

// Options say what is measured and with how much work. Defaults and Quick
// return complete ones.
type Options struct {
	Postgres string   // URL of a server to make databases on; "" starts one for this run
	Engines  []string // of SQLite and PostgreSQL
	Seed     uint64

	NFTs, Voters int
	Clients      int // of the closed loop, one vote each at a time
	Rounds       int // each measures both sides of a ratio
	Votes        int // in a round, on each side

	Offered    int           // votes/s of the open loop
	OfferedFor time.Duration // how long they are offered

	// What is recomputed: so many NFTs, with so many votes in the log, in so
	// many rounds, each of which copies the database twice.
	RecomputeNFTs, RecomputeVotes, RecomputeRounds int

	// The service. Program is the path of poa, whose serve is measured.
	Program       string
	Connections   int // of clients over HTTP with one vote each
	HTTPVotes     int // in a round, over HTTP and by the ledger alone
	BesideOffered int // votes/s without and beside a backfill
	BesideFor     time.Duration
	BesideRounds  int
	ListenFor     time.Duration // how long statements are counted with so many live readers; 0 leaves it out
	PageRounds    int           // in which every page of the panel is fetched; 0 leaves the panel out
	Crowd         int           // NFTs to pick batches from and to serve; 0 leaves it out

	PlainVotes   int // taken in each of the plainer ways; 0 leaves them out
	PlainClients int

	Sizes []int // of the log, at which the growth of cost is measured; none leaves it out

	Now      func() time.Time
	Progress func(what string) // told of each step; nil for nobody
}

// The engines.
const (
	SQLite     = "SQLite"
	PostgreSQL = "PostgreSQL"
)

// Defaults returns the options of a full run.
func Defaults() Options {
	return Options{
		Engines: []string{SQLite, PostgreSQL}, Seed: 1,
		NFTs: 54_312, Voters: 20_000, Clients: 1000, Rounds: 5, Votes: 20_000,
		Offered: 1000, OfferedFor: 20 * time.Second,
		RecomputeNFTs: 54_312, RecomputeVotes: 1_000_000, RecomputeRounds: 3,
		Connections: 256, HTTPVotes: 10_000, BesideOffered: 300, BesideFor: 10 * time.Second, BesideRounds: 3, ListenFor: 10 * time.Second, PageRounds: 20,
		Crowd: 1_000_000, PlainVotes: 10_000, PlainClients: 64,
		Now: time.Now,
	}
}

// Quick returns the options of a run that ends within a minute on two cores.
// It recomputes fewer NFTs, with about as many votes on each, and leaves out the
// million of NFTs, the live readers and the panel.
func Quick() Options {
	o := Defaults()
	o.Rounds, o.Votes, o.OfferedFor, o.PlainVotes = 3, 5_000, 2*time.Second, 300
	o.RecomputeNFTs, o.RecomputeVotes, o.RecomputeRounds = 2_000, 30_000, 1
	o.HTTPVotes, o.BesideFor, o.BesideRounds, o.ListenFor, o.PageRounds, o.Crowd = 1_000, 2*time.Second, 1, 0, 0, 0
	return o
}

// Validate returns the first option that makes no sense.
func (o *Options) Validate() error {
	for _, n := range []struct {
		name  string
		value int
	}{
		{"NFTs", o.NFTs - 1}, {"voters", o.Voters}, {"clients", o.Clients}, {"rounds", o.Rounds}, {"votes", o.Votes},
		{"offered votes", o.Offered}, {"NFTs to recompute", o.RecomputeNFTs - 1}, {"votes to recompute", o.RecomputeVotes}, {"rounds of recomputing", o.RecomputeRounds}, {"plain clients", o.PlainClients},
		{"duration of the offer", int(o.OfferedFor)}, {"engines", len(o.Engines)},
		{"connections", o.Connections}, {"votes over HTTP", o.HTTPVotes}, {"votes beside a backfill", o.BesideOffered},
		{"time beside a backfill", int(o.BesideFor)}, {"rounds beside a backfill", o.BesideRounds},
	} {
		if n.value < 1 {
			return fmt.Errorf("too few %s", n.name)
		}
	}
	if o.Program == "" {
		return errors.New("the program to serve with is not named")
	}
	for i, size := range o.Sizes {
		if size < 1 || i > 0 && size <= o.Sizes[i-1] {
			return errors.New("the sizes of the log must be positive and ascend")
		}
	}
	return nil
}

// Report is what a run measured.
type Report struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	Machine Machine   `json:"machine"`
	Options Settings  `json:"options"`
	Engines []*Engine `json:"engines"`
}

// Settings are the options that a reader of a report needs.
type Settings struct {
	Seed           uint64 `json:"seed"`
	NFTs           int    `json:"nfts"`
	Voters         int    `json:"voters"`
	Clients        int    `json:"clients"`
	Rounds         int    `json:"rounds"`
	Votes          int    `json:"votes_per_round"`
	Offered        int    `json:"offered_votes_per_second"`
	RecomputeNFTs  int    `json:"recompute_nfts"`
	RecomputeVotes int    `json:"recompute_votes"`
	HTTPVotes      int    `json:"http_votes_per_round"`
	BesideOffered  int    `json:"beside_backfill_votes_per_second"`
	Crowd          int    `json:"crowd_nfts"`
	PlainVotes     int    `json:"plain_votes"`
	PlainClients   int    `json:"plain_clients"`
}

// Engine is what was measured on one database engine.
type Engine struct {
	Name       string       `json:"name"`
	Version    string       `json:"version"`
	Durability []string     `json:"durability"` // settings in force
	Seconds    float64      `json:"seconds"`
	Throughput []Throughput `json:"throughput"`
	Latency    Latency      `json:"latency"`
	Recompute  Recompute    `json:"recompute"`
	Service    Service      `json:"service"`
	Crowd      *Crowd       `json:"crowd,omitempty"`
	Plain      []Plain      `json:"plain,omitempty"`
	Growth     []Growth     `json:"growth,omitempty"`
}

// Run measures. Its databases are throwaway ones: files in the folder for
// temporary files, and databases named poa_bench_… on the server.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "poa-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the databases: %w", err)
	}
	defer os.RemoveAll(folder)
	start := o.Now()
	report := &Report{
		At: start.UTC().Truncate(time.Second), Machine: thisMachine(folder),
		Options: Settings{
			o.Seed, o.NFTs, o.Voters, o.Clients, o.Rounds, o.Votes, o.Offered,
			o.RecomputeNFTs, o.RecomputeVotes, o.HTTPVotes, o.BesideOffered, o.Crowd, o.PlainVotes, o.PlainClients,
		},
	}
	for _, name := range o.Engines {
		r := &run{Options: o, folder: folder, name: name, templates: make(map[template]database)}
		engine, err := r.measure(ctx)
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", name, err)
		}
		report.Engines = append(report.Engines, engine)
	}
	report.Seconds = o.Now().Sub(start).Seconds()
	return report, nil
}

// run measures one engine.
type run struct {
	Options
	folder    string
	name      string
	host      host
	templates map[template]database
}

// workload is generated votes that were cast up to now, on some NFTs.
type workload struct {
	*sample.Workload
	nfts int
}

func (r *run) workload(nfts int, mix sample.Mix) workload {
	o := sample.WorkloadOptions{Seed: r.Seed, NFTs: nfts, Voters: r.Voters, Mix: mix, End: r.Now()}
	return workload{sample.NewWorkload(o), nfts}
}

// Votes returns votes of a part with keys that come in no order, like the
// random ones that clients make: keys in order would be cheaper to index.
func (w workload) Votes(part uint64, n int) iter.Seq[ledger.Vote] {
	return func(yield func(ledger.Vote) bool) {
		for v := range w.Workload.Votes(part, n) {
			sum := sha256.Sum256([]byte(v.Key))
			v.Key = hex.EncodeToString(sum[:16])
			if !yield(v) {
				return
			}
		}
	}
}

func (r *run) tell(format string, args ...any) {
	if r.Progress != nil {
		r.Progress(r.name + ": " + fmt.Sprintf(format, args...))
	}
}

func (r *run) measure(ctx context.Context) (e *Engine, err error) {
	start := r.Now()
	r.tell("starting")
	if r.host, err = newHost(ctx, r.name, r.Postgres, r.folder, start); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.host.close()) }()
	e = &Engine{Name: r.name}
	if e.Version, err = r.host.version(ctx); err != nil {
		return nil, fmt.Errorf("asking for the version: %w", err)
	}
	for _, c := range cases() {
		t, err := r.throughput(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("votes per second, %s: %w", c.name, err)
		}
		e.Throughput = append(e.Throughput, t)
	}
	if e.Latency, e.Durability, err = r.latency(ctx); err != nil {
		return nil, fmt.Errorf("time from a vote to its score: %w", err)
	}
	owing, err := r.newOwing(ctx)
	if err != nil {
		return nil, fmt.Errorf("making NFTs to compute: %w", err)
	}
	if e.Recompute, err = r.recompute(ctx, owing); err != nil {
		return nil, fmt.Errorf("recomputing all NFTs: %w", err)
	}
	if e.Service, err = r.service(ctx, owing); err != nil {
		return nil, fmt.Errorf("the service: %w", err)
	}
	if err := owing.db.drop(ctx); err != nil {
		return nil, err
	}
	if r.Crowd > 0 {
		c, err := r.crowd(ctx)
		if err != nil {
			return nil, fmt.Errorf("%d NFTs: %w", r.Crowd, err)
		}
		e.Crowd = &c
	}
	if r.PlainVotes > 0 {
		if e.Plain, err = r.plain(ctx); err != nil {
			return nil, fmt.Errorf("plainer ways: %w", err)
		}
	}
	if len(r.Sizes) > 0 {
		if e.Growth, err = r.growth(ctx); err != nil {
			return nil, fmt.Errorf("growth: %w", err)
		}
	}
	e.Seconds = r.Now().Sub(start).Seconds()
	return e, nil
}
