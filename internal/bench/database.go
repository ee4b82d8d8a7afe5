package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
)

// host makes databases of one engine.
type host interface {
	version(ctx context.Context) (string, error)
	// create makes an empty database.
	create(ctx context.Context, label string) (database, error)
	// copy makes a database with the content of another, which is not in use
	// meanwhile.
	copy(ctx context.Context, from database, label string) (database, error)
	close() error
}

func newHost(ctx context.Context, engine, postgresURL, folder string, now time.Time) (host, error) {
	switch engine {
	case SQLite:
		return &sqliteHost{folder: folder}, nil
	case PostgreSQL:
		return newPostgresHost(ctx, postgresURL, now)
	}
	return nil, fmt.Errorf("no such engine: %q", engine)
}

// database is one database, reached through poa's store and beside it.
type database interface {
	// open returns the database's store, which it opens on the first call.
	open(ctx context.Context) (store.Store, error)
	// address names the database as poa's setting does.
	address() string
	// close leaves the database to another process. It opens again when used.
	close(ctx context.Context) error
	// insert writes rows into the table of votes, and nothing else, in one
	// transaction, by the fastest way that the engine has.
	insert(ctx context.Context, rows []store.Vote) error
	// settle brings planner statistics up to date and writes dirty pages out, so
	// that what is measured next does not pay for what went before.
	settle(ctx context.Context) error
	// written returns the bytes of write-ahead log since some fixed point; -1
	// where the engine does not tell.
	written(ctx context.Context) (int64, error)
	// owe marks all NFTs due, in this database's own way.
	owe(ctx context.Context, at time.Time) error
	// fill fills an empty database with NFTs that are rated.
	fill(ctx context.Context, nfts int, at time.Time) error
	// recompute computes all NFTs that are due, by hand-written SQL in one
	// transaction, under a scoring version.
	recompute(ctx context.Context, version int64, at time.Time) error
	// plainStore returns the database for the plainer ways to take votes.
	plainStore(ctx context.Context, connections int) (plainStore, error)
	// drop closes and removes the database.
	drop(ctx context.Context) error
}

// game is a database with the NFTs of a workload.
type game struct {
	db     database
	store  store.Store
	policy *publish.Policy
	nfts   map[string]int64 // numbers by id
	voters map[string]int64 // likewise, of those met so far
}

// some is how many rows a transaction of set-up writes.
const some = 5000

// template names a database that others are copied from.
type template struct {
	nfts  int
	inUse bool
}

// newGame makes a database with the workload's NFTs. Where inUse is set, every
// NFT has its rating row and every voter of votes a row, as in a database that
// has been in use for long.
func (r *run) newGame(ctx context.Context, label string, w workload, votes []ledger.Vote, inUse bool) (*game, error) {
	from, err := r.template(ctx, w, inUse)
	if err != nil {
		return nil, fmt.Errorf("registering NFTs: %w", err)
	}
	db, err := r.host.copy(ctx, from, label)
	if err != nil {
		return nil, fmt.Errorf("making a database: %w", err)
	}
	g := &game{db: db, nfts: make(map[string]int64), voters: make(map[string]int64)}
	if err := g.prepare(ctx, r.Now()); err != nil {
		return nil, fmt.Errorf("opening a database: %w", err)
	}
	if inUse {
		if err := g.ensureVoters(ctx, votes, r.Now()); err != nil {
			return nil, fmt.Errorf("adding voters: %w", err)
		}
	}
	if err := g.readNumbers(ctx); err != nil {
		return nil, fmt.Errorf("reading NFTs and voters: %w", err)
	}
	return g, nil
}

// template returns a database with the workload's NFTs, which it makes on the
// first call.
func (r *run) template(ctx context.Context, w workload, inUse bool) (database, error) {
	of := template{w.nfts, inUse}
	if db, ok := r.templates[of]; ok {
		return db, nil
	}
	db, err := r.host.create(ctx, fmt.Sprintf("template_%d", len(r.templates)))
	if err != nil {
		return nil, err
	}
	g := &game{db: db}
	if err := g.prepare(ctx, r.Now()); err != nil {
		return nil, err
	}
	if err := g.register(ctx, slices.Collect(w.NFTs()), inUse, r.Now()); err != nil {
		return nil, err
	}
	r.templates[of] = db
	return db, nil
}

func (g *game) register(ctx context.Context, nfts []store.NFT, inUse bool, now time.Time) error {
	for chunk := range slices.Chunk(nfts, some) {
		if _, err := g.store.PutNFTs(ctx, chunk, false, now); err != nil {
			return err
		}
		if !inUse {
			continue
		}
		if err := g.ensure(ctx, chunk, now); err != nil {
			return err
		}
	}
	return nil
}

// prepare opens the store and makes its tables and its policy, where they do
// not exist yet.
func (g *game) prepare(ctx context.Context, now time.Time) (err error) {
	if g.store, err = g.db.open(ctx); err != nil {
		return err
	}
	if err := g.store.Migrate(ctx); err != nil {
		return err
	}
	version, err := g.store.Prepare(ctx, scoring.Defaults(), "poa bench", now)
	if err != nil {
		return err
	}
	g.policy = publish.Default(version)
	return nil
}

func (g *game) ensure(ctx context.Context, nfts []store.NFT, now time.Time) error {
	ids := make([]string, len(nfts))
	for i := range nfts {
		ids[i] = nfts[i].ID
	}
	return g.ensureRows(ctx, ids, nil, now)
}

func (g *game) ensureVoters(ctx context.Context, votes []ledger.Vote, now time.Time) error {
	seen := make(map[string]bool)
	var ids []string
	for i := range votes {
		if id := votes[i].Voter; !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return g.ensureRows(ctx, nil, ids, now)
}

func (g *game) ensureRows(ctx context.Context, nfts, voters []string, now time.Time) error {
	folding := &g.policy.Constants.Folding
	return g.store.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Ensure(ctx, nfts, voters, folding.NewRating(), folding.NewVoter(), now)
		return err
	})
}

func (g *game) readNumbers(ctx context.Context) error {
	return g.store.View(ctx, func(v store.View) error {
		for nft, err := range v.AllNFTs(ctx) {
			if err != nil {
				return err
			}
			g.nfts[nft.ID] = nft.Number
		}
		for voter, err := range v.AllVoters(ctx) {
			if err != nil {
				return err
			}
			g.voters[voter.ID] = voter.Number
		}
		return nil
	})
}

// rows returns votes as rows of the log, numbered from first.
func (g *game) rows(votes []ledger.Vote, first int64, now time.Time) []store.Vote {
	rows := make([]store.Vote, len(votes))
	for i := range votes {
		v := &votes[i]
		rows[i] = store.Vote{
			Number: first + int64(i), Key: v.Key, Voter: g.voters[v.Voter], A: g.nfts[v.A], B: g.nfts[v.B],
			ReceivedAt: now, Weight: scoring.ToSum(1), Vote: v.Vote,
		}
	}
	return rows
}
