package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/sample"
	"poa/internal/scoring"
	"poa/internal/store"
)

// Plain is what a plainer way to take votes reaches.
type Plain struct {
	Way        string  `json:"way"`
	Votes      int     `json:"votes"`
	Clients    int     `json:"clients"`
	Rate       float64 `json:"votes_per_second"`    // until the last score is published
	Statements float64 `json:"statements_per_vote"` // transaction control included; -1 where unknown
	Written    float64 `json:"wal_bytes_per_vote"`  // -1 where unknown
}

// plainStore is a database as a program would use it that takes each vote by
// itself.
type plainStore interface {
	begin(ctx context.Context) (plainTx, error)
	// queue starts River, whose workers call work in a transaction each.
	queue(ctx context.Context, workers int, work func(context.Context, plainTx, *store.Vote) error) (queue, error)
	// statements returns how many were sent; -1 where unknown.
	statements() int64
	close() error
}

// plainTx is a transaction. Its statements have the placeholders $1, $2, …
type plainTx interface {
	exec(ctx context.Context, statement string, args ...any) error
	// query scans each row into dest and calls row after it.
	query(ctx context.Context, row func(), dest []any, statement string, args ...any) error
	time(t time.Time) any
	commit(ctx context.Context) error
	rollback()
}

// queue is a queue of jobs, one for each vote.
type queue interface {
	insert(ctx context.Context, tx plainTx, v *store.Vote) error
	failed() <-chan error
	stop(ctx context.Context) error
}

func (r *run) plain(ctx context.Context) ([]Plain, error) {
	naive, err := r.plainWay(ctx, "one transaction a vote", naively)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", naive.Way, err)
	}
	queued, err := r.plainWay(ctx, "one unique River job a vote", queued)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", queued.Way, err)
	}
	return []Plain{naive, queued}, nil
}

// plainWay measures one way on a database of its own.
func (r *run) plainWay(ctx context.Context, name string, take func(context.Context, plainStore, []store.Vote, int) error) (out Plain, err error) {
	r.tell("%s", name)
	out = Plain{Way: name, Votes: r.PlainVotes, Clients: r.PlainClients, Statements: -1, Written: -1}
	w := r.workload(r.NFTs, sample.Mix{})
	votes := slices.Collect(w.Votes(0, r.PlainVotes))
	g, err := r.newGame(ctx, "plain", w, votes, true)
	if err != nil {
		return out, err
	}
	rows := g.rows(votes, 1, r.Now().UTC().Truncate(time.Microsecond))
	s, err := g.db.plainStore(ctx, r.PlainClients)
	if err != nil {
		return out, err
	}
	runtime.GC()
	statements := s.statements()
	before, err := g.db.written(ctx)
	if err != nil {
		return out, errors.Join(err, s.close())
	}
	start := time.Now()
	if err := take(ctx, s, rows, r.PlainClients); err != nil {
		return out, errors.Join(err, s.close())
	}
	out.Rate = float64(len(rows)) / time.Since(start).Seconds()
	after, err := g.db.written(ctx)
	if after >= 0 {
		out.Written = float64(after-before) / float64(len(rows))
	}
	if n := s.statements(); n >= 0 {
		out.Statements = float64(n-statements) / float64(len(rows))
	}
	if err := errors.Join(err, s.close(), g.tookAll(ctx, len(rows))); err != nil {
		return out, err
	}
	return out, g.db.drop(ctx)
}

// tookAll checks that the log holds n votes and that all were folded.
func (g *game) tookAll(ctx context.Context, n int) error {
	counts, err := totals(ctx, g.store)
	if err != nil {
		return err
	}
	all, err := ratings(ctx, g.store)
	if err != nil {
		return err
	}
	folded := int64(0) // each matchup on two NFTs
	for i := range all {
		folded += all[i].Matchups + all[i].Skips + 2*(all[i].SliderVotes+all[i].FireVotes)
	}
	if folded != 2*int64(n) || counts["votes"] != int64(n) {
		return fmt.Errorf("of %d votes %d are in the log and %d are folded", n, counts["votes"], folded/2)
	}
	return nil
}

// each calls f for all rows, by some clients.
func each(ctx context.Context, rows []store.Vote, clients int, f func(context.Context, *store.Vote) error) error {
	var next atomic.Int64
	all, ctx := errgroup.WithContext(ctx)
	for range clients {
		all.Go(func() error {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(rows)) {
					return nil
				}
				if err := f(ctx, &rows[i]); err != nil {
					return err
				}
			}
		})
	}
	return all.Wait()
}

// inTx runs f in a transaction.
func inTx(ctx context.Context, s plainStore, f func(plainTx) error) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		tx.rollback()
		return err
	}
	return tx.commit(ctx)
}

// naively takes each vote by seven statements in a transaction of its own: lock
// two ratings and a voter, write the vote, both ratings (or one and an opinion),
// the voter and the score of the first NFT.
func naively(ctx context.Context, s plainStore, rows []store.Vote, clients int) error {
	return each(ctx, rows, clients, func(ctx context.Context, v *store.Vote) error {
		return inTx(ctx, s, func(tx plainTx) error {
			return errors.Join(insertVote(ctx, tx, v), foldOne(ctx, tx, v))
		})
	})
}

// queued writes each vote with a unique job in one transaction; a worker folds
// it and publishes the score in another, which completes the job.
func queued(ctx context.Context, s plainStore, rows []store.Vote, clients int) error {
	left := atomic.Int64{}
	left.Store(int64(len(rows)))
	done := make(chan struct{})
	q, err := s.queue(ctx, clients, func(ctx context.Context, tx plainTx, v *store.Vote) error {
		if err := foldOne(ctx, tx, v); err != nil {
			return err
		}
		if err := tx.commit(ctx); err != nil {
			return err
		}
		if left.Add(-1) == 0 {
			close(done)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("starting River: %w", err)
	}
	err = each(ctx, rows, clients, func(ctx context.Context, v *store.Vote) error {
		return inTx(ctx, s, func(tx plainTx) error {
			return errors.Join(insertVote(ctx, tx, v), q.insert(ctx, tx, v))
		})
	})
	if err == nil {
		select {
		case <-done:
		case err = <-q.failed():
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return errors.Join(err, q.stop(context.WithoutCancel(ctx)))
}

func insertVote(ctx context.Context, tx plainTx, v *store.Vote) error {
	var b, value any
	if v.Kind == scoring.Matchup {
		b = v.B
	}
	if v.Kind == scoring.Slider {
		value = v.Value
	}
	return tx.exec(ctx, `INSERT INTO votes (number, key, voter, kind, super, nft_a, nft_b, outcome, value, weight, cast_at, received_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		v.Number, v.Key, v.Voter, int64(v.Kind), v.Super, v.A, b, int64(v.Outcome), value, int64(v.Weight), tx.time(v.CastAt), tx.time(v.ReceivedAt))
}

// foldOne folds a vote into its NFTs and its voter and publishes the score of
// its first NFT. An opinion is taken to be the voter's first of that NFT.
func foldOne(ctx context.Context, tx plainTx, v *store.Vote) error {
	constants := scoring.Defaults()
	found, err := lockNFTs(ctx, tx, v)
	if err != nil {
		return err
	}
	voter, err := lockVoter(ctx, tx, v.Voter)
	if err != nil {
		return err
	}
	a := found[v.A]
	if v.Kind == scoring.Matchup {
		b := found[v.B]
		constants.FoldMatchup(v.Vote, &voter, &a.Rating, &b.Rating)
		err = updateRating(ctx, tx, v.B, b, v.Number)
	} else {
		var o scoring.Opinion
		constants.FoldOpinion(v.Vote, &voter, &a.Rating, &o)
		err = tx.exec(ctx, `INSERT INTO opinions (nft, kind, voter, standing, value, weight, score, cast_at, vote)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (nft, kind, voter) DO UPDATE SET value = excluded.value, weight = excluded.weight, score = excluded.score, vote = excluded.vote`,
			v.A, int64(v.Kind), v.Voter, o.Standing, o.Value, int64(o.Weight), int64(o.Score), tx.time(v.CastAt), v.Number)
	}
	if err != nil {
		return err
	}
	if err := updateRating(ctx, tx, v.A, a, v.Number); err != nil {
		return err
	}
	err = tx.exec(ctx, `UPDATE voters SET reliability = $1, judged = $2, votes = $3, weight = $4, slider_n = $5, slider_mean = $6, slider_m2 = $7,
		last_vote = $8 WHERE number = $9`, voter.Reliability, voter.Judged, voter.Votes, int64(constants.Weight(&voter)),
		voter.Calibration.N, voter.Calibration.Mean, voter.Calibration.M2, v.Number, v.Voter)
	if err != nil {
		return err
	}
	return putScore(ctx, tx, v, a, &constants)
}

// plainRating is a rating with its collection.
type plainRating struct {
	scoring.Rating
	collection int64
}

func lockNFTs(ctx context.Context, tx plainTx, v *store.Vote) (map[int64]*plainRating, error) {
	found := make(map[int64]*plainRating, 2)
	var nft int64
	var r plainRating
	var sums [4]int64
	dest := []any{
		&nft, &r.collection, &r.Mean, &r.Sigma, &r.Votes, &r.Wins, &r.Losses, &r.Ties, &r.Matchups, &r.Skips, &r.SliderVotes, &r.FireVotes,
		&sums[0], &r.Sliders, &sums[1], &sums[2], &r.Fires, &sums[3],
	}
	err := tx.query(ctx, func() {
		row := r
		row.MatchupWeight, row.SliderSum = scoring.Sum(sums[0]), scoring.Sum(sums[1])
		row.SliderWeight, row.FireWeight = scoring.Sum(sums[2]), scoring.Sum(sums[3])
		found[nft] = &row
	}, dest, `SELECT nft, collection, mean, sigma, votes, wins, losses, "ties", matchups, skips, slider_votes, fire_votes,
		matchup_weight, sliders, slider_sum, slider_weight, fires, fire_weight
		FROM ratings WHERE nft IN ($1, $2) ORDER BY nft FOR UPDATE`, v.A, v.B)
	if err == nil && (found[v.A] == nil || v.Kind == scoring.Matchup && found[v.B] == nil) {
		err = fmt.Errorf("vote %d names an NFT without a rating", v.Number)
	}
	return found, err
}

func lockVoter(ctx context.Context, tx plainTx, number int64) (v scoring.Voter, err error) {
	dest := []any{&v.Reliability, &v.Judged, &v.Votes, &v.Calibration.N, &v.Calibration.Mean, &v.Calibration.M2}
	err = tx.query(ctx, func() {}, dest, `SELECT reliability, judged, votes, slider_n, slider_mean, slider_m2 FROM voters WHERE number = $1 FOR UPDATE`, number)
	return v, err
}

func updateRating(ctx context.Context, tx plainTx, nft int64, r *plainRating, vote int64) error {
	return tx.exec(ctx, `UPDATE ratings SET mean = $1, sigma = $2, votes = $3, wins = $4, losses = $5, "ties" = $6, matchups = $7, skips = $8,
		slider_votes = $9, fire_votes = $10, matchup_weight = $11, sliders = $12, slider_sum = $13, slider_weight = $14, fires = $15,
		fire_weight = $16, version = version + 1, last_vote = $17 WHERE nft = $18`,
		r.Mean, r.Sigma, r.Votes, r.Wins, r.Losses, r.Ties, r.Matchups, r.Skips, r.SliderVotes, r.FireVotes, int64(r.MatchupWeight),
		r.Sliders, int64(r.SliderSum), int64(r.SliderWeight), r.Fires, int64(r.FireWeight), vote, nft)
}

func putScore(ctx context.Context, tx plainTx, v *store.Vote, r *plainRating, constants *scoring.Constants) error {
	s, ok := constants.Score(&r.Rating)
	if !ok {
		return nil
	}
	return tx.exec(ctx, `INSERT INTO scores (nft, collection, poa, confidence, elo, slider, fire, reliability, provisional, votes, aging,
		computed_at, reason, basis, through_vote, version, history_poa, history_confidence)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'vote', 'incremental', $13, 1, $3, $4)
		ON CONFLICT (nft) DO UPDATE SET poa = excluded.poa, confidence = excluded.confidence, elo = excluded.elo, slider = excluded.slider,
		fire = excluded.fire, reliability = excluded.reliability, provisional = excluded.provisional, votes = excluded.votes,
		aging = excluded.aging, computed_at = excluded.computed_at, through_vote = excluded.through_vote`,
		v.A, r.collection, s.POA, s.Confidence, s.Elo, s.Slider, s.Fire, s.Reliability, s.Provisional, r.Votes, r.Votes >= 5,
		tx.time(v.ReceivedAt), v.Number)
}
