package gametest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// LiveOptions say how the game is played on. A zero field means its default.
type LiveOptions struct {
	Seed      uint64
	For       time.Duration // after which the players stop (required)
	Votes     float64       // a second: 50
	Favorites float64       // given, repeated or withdrawn a second: 10
	// One vote in so many is broken, and so is one favourite given: 50; negative
	// for none.
	BrokenEvery int
	// Long is how many long transactions are open at a time, 2 (negative for
	// none), each for between LongFrom (5 s) and LongTo (90 s): it inserts votes
	// and counts them on their NFTs, whose rows it keeps locked. What is open at
	// the end is committed then.
	Long             int
	LongFrom, LongTo time.Duration
	// LockTimeout is how long a statement of the game waits for a lock before it
	// fails; 0 for ever. A failure ends Live with an error.
	LockTimeout time.Duration
}

// Played counts what Live did.
type Played struct {
	Votes, Late           int // Late: valid votes of long transactions
	Broken                int
	Given, Repeated, Gone int // favourites
}

func (p *Played) add(q Played) {
	p.Votes += q.Votes
	p.Late += q.Late
	p.Broken += q.Broken
	p.Given += q.Given
	p.Repeated += q.Repeated
	p.Gone += q.Gone
}

// longEvery is the share of the NFTs that only long transactions vote on, so
// that the game does not wait for itself.
const longEvery = 16

// Live plays on: it writes votes and favourites into a filled database until its
// time is over or ctx ends. Any process can do so that generates the same game.
func (g *Game) Live(ctx context.Context, url string, o LiveOptions) (Played, error) {
	orDefault(&o.Votes, 50)
	orDefault(&o.Favorites, 10)
	orDefault(&o.BrokenEvery, 50)
	orDefault(&o.Long, 2)
	orDefault(&o.LongFrom, 5*time.Second)
	orDefault(&o.LongTo, max(90*time.Second, o.LongFrom))
	until, stop := context.WithTimeout(ctx, o.For)
	defer stop()
	var (
		wait sync.WaitGroup
		mu   sync.Mutex // guards what follows
		all  Played
		errs []error
	)
	play := func(seed uint64, f func(*player) error) {
		wait.Go(func() {
			p := &player{g: g, o: o, rng: rand.New(rand.NewPCG(g.o.Seed^o.Seed<<1, seed))}
			err := p.connect(ctx, url)
			if err == nil {
				err = errors.Join(f(p), p.conn.Close(context.WithoutCancel(ctx)))
			}
			mu.Lock()
			defer mu.Unlock()
			all.add(p.played)
			if err != nil && ctx.Err() == nil {
				errs = append(errs, err)
				stop()
			}
		})
	}
	play(101, func(p *player) error { return p.vote(ctx, until) })
	play(102, func(p *player) error { return p.favorites(ctx, until) })
	for slot := range max(0, o.Long) {
		play(103+uint64(slot), func(p *player) error { return p.long(ctx, until, slot) })
	}
	wait.Wait()
	return all, errors.Join(errs...)
}

// player is one connection of the game.
type player struct {
	g      *Game
	o      LiveOptions
	rng    *rand.Rand
	conn   *pgx.Conn
	played Played
}

func (p *player) connect(ctx context.Context, url string) (err error) {
	if p.conn, err = pgx.Connect(ctx, url); err != nil {
		return fmt.Errorf("playing on: %w", err)
	}
	_, err = p.conn.Exec(ctx, "SELECT set_config('lock_timeout', $1, false)", fmt.Sprint(p.o.LockTimeout.Milliseconds()))
	return err
}

// paced calls f with how many things are due, at rate a second, until the time
// is over.
func paced(ctx, until context.Context, rate float64, f func(n int) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	began, done := time.Now(), 0
	for {
		select {
		case <-until.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if n := int(time.Since(began).Seconds()*rate) - done; n > 0 {
			if err := f(n); err != nil {
				return err
			}
			done += n
		}
	}
}

// broken draws whether the next row is to be broken.
func (p *player) broken() bool { return p.o.BrokenEvery > 0 && p.rng.IntN(p.o.BrokenEvery) == 0 }

// insert queues a vote with its place among the broken ones or its counts. at
// nil leaves its time to the database: when the transaction began.
func (p *player) insert(batch *pgx.Batch, v *Vote, broken Reason, dated bool) {
	columns, values := voteColumns, v.row()
	if !dated {
		columns, values = columns[:len(columns)-1], values[:len(values)-1]
	}
	batch.Queue(insertSQL("votes", columns), values...)
	if broken != "" {
		batch.Queue(insertSQL("gametest.broken", brokenColumns), "votes", v.ID, string(broken))
		return
	}
	ids := []string{v.A}
	if v.B != "" {
		ids = append(ids, v.B)
	}
	slices.Sort(ids)
	for _, id := range ids {
		batch.Queue("UPDATE nfts SET total_votes = total_votes + 1 WHERE id = $1", id)
	}
}

func insertSQL(table string, columns []string) string {
	names, places := "", ""
	for i, c := range columns {
		if i > 0 {
			names, places = names+", ", places+", "
		}
		names, places = names+c, places+fmt.Sprintf("$%d", i+1)
	}
	return "INSERT INTO " + table + " (" + names + ") VALUES (" + places + ")"
}

// draw draws a vote on NFTs of the given lane: whose first byte modulo
// longEvery is it, or with lane 0 all but those of long transactions.
func (p *player) draw(lane int) Vote {
	for {
		v := p.g.vote(p.rng, nil)
		if p.inLane(v.A, lane) && (v.B == "" || p.inLane(v.B, lane)) {
			return v
		}
	}
}

// inLane reports whether an NFT is of a lane.
func (p *player) inLane(id string, lane int) bool {
	var first int
	fmt.Sscanf(id[:2], "%x", &first)
	own := first % longEvery
	if lane == 0 {
		return own == 0 || own > max(0, p.o.Long)
	}
	return own == lane
}

// vote casts votes one by one, each in a transaction of its own.
func (p *player) vote(ctx, until context.Context) error {
	flaws := voteFlaws()
	return paced(ctx, until, p.o.Votes, func(n int) error {
		for range n {
			v, reason := p.draw(0), Reason("")
			dated := false
			if p.broken() {
				flaw := flaws[p.rng.IntN(len(flaws))]
				v.CreatedAt = time.Now()
				flaw.apply(p.g, p.rng, &v)
				reason, dated = flaw.reason, true
			}
			err := pgx.BeginFunc(ctx, p.conn, func(tx pgx.Tx) error {
				batch := &pgx.Batch{}
				p.insert(batch, &v, reason, dated)
				return tx.SendBatch(ctx, batch).Close()
			})
			if err != nil {
				return fmt.Errorf("the game casting a vote: %w", err)
			}
			if reason != "" {
				p.played.Broken++
			} else {
				p.played.Votes++
			}
		}
		return nil
	})
}

// long casts votes in transactions that stay open, so that their times are
// older than their commits.
func (p *player) long(ctx, until context.Context, slot int) error {
	const votes = 5
	for until.Err() == nil {
		err := pgx.BeginFunc(ctx, p.conn, func(tx pgx.Tx) error {
			drawn := make([]Vote, votes)
			batch := &pgx.Batch{}
			for i := range drawn {
				drawn[i] = p.draw(1 + slot)
				p.insert(batch, &drawn[i], "", false)
			}
			if err := tx.SendBatch(ctx, batch).Close(); err != nil {
				return err
			}
			open := time.NewTimer(p.o.LongFrom + time.Duration(p.rng.Int64N(int64(p.o.LongTo-p.o.LongFrom)+1)))
			defer open.Stop()
			select {
			case <-open.C:
			case <-until.Done():
			}
			return ctx.Err()
		})
		if err != nil {
			return fmt.Errorf("the game casting votes in a long transaction: %w", err)
		}
		p.played.Votes += votes
		p.played.Late += votes
	}
	return ctx.Err()
}

// favorites gives, repeats and withdraws favourites.
func (p *player) favorites(ctx, until context.Context) error {
	return paced(ctx, until, p.o.Favorites, func(n int) error {
		for range n {
			if err := p.favorite(ctx); err != nil {
				return fmt.Errorf("the game writing a favourite: %w", err)
			}
		}
		return nil
	})
}

// someFavorite picks one of the valid favourites, from a random place on.
const someFavorite = `(SELECT f.id FROM favorites f WHERE f.id >= $1
	AND NOT EXISTS (SELECT FROM gametest.broken b WHERE b.source = 'favorites' AND b.id = f.id) ORDER BY f.id LIMIT 1)`

func (p *player) favorite(ctx context.Context) error {
	switch kind := p.rng.IntN(10); {
	case kind < 3:
		tag, err := p.conn.Exec(ctx, "DELETE FROM favorites WHERE id = "+someFavorite, uuid(p.rng))
		p.played.Gone += int(tag.RowsAffected())
		return err
	case kind < 6:
		tag, err := p.conn.Exec(ctx, `UPDATE favorites SET created_at = now(),
			vote_type = CASE WHEN $2 THEN vote_type WHEN vote_type = 'fire' THEN 'slider_max' ELSE 'fire' END WHERE id = `+someFavorite,
			uuid(p.rng), p.rng.IntN(3) > 0)
		p.played.Repeated += int(tag.RowsAffected())
		return err
	}
	f := p.g.favorite(p.rng, time.Now())
	if p.broken() {
		return p.brokenFavorite(ctx, f)
	}
	// The same wallet is not written in two ways for one NFT.
	tag, err := p.conn.Exec(ctx, `INSERT INTO favorites (id, wallet_address, nft_id, vote_type)
		SELECT $1, $2::text, $3::text, $4 WHERE NOT EXISTS (SELECT FROM favorites WHERE lower(wallet_address) = lower($2) AND nft_id = $3)
		ON CONFLICT (wallet_address, nft_id) DO NOTHING`, f.ID, f.Wallet, f.NFT, f.Kind)
	p.played.Given += int(tag.RowsAffected())
	return err
}

func (p *player) brokenFavorite(ctx context.Context, f Favorite) error {
	flaws := favoriteFlaws()
	flaw := flaws[p.rng.IntN(len(flaws))]
	flaw.apply(p.g, p.rng, &f)
	err := pgx.BeginFunc(ctx, p.conn, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(insertSQL("favorites", favoriteColumns), f.row()...)
		batch.Queue(insertSQL("gametest.broken", brokenColumns), "favorites", f.ID, string(flaw.reason))
		return tx.SendBatch(ctx, batch).Close()
	})
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "23505" { // there is one already
		return nil
	}
	if err == nil {
		p.played.Broken++
	}
	return err
}
