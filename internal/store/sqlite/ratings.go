package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"poa/internal/store"
)

// keptRatings is how many ratings are kept in memory, some 500 bytes each.
const keptRatings = 12_288

// ratings keeps rating rows that were read or written lately, so that a commit
// need not read again what an earlier one wrote: a row of 28 columns costs
// several microseconds, and people vote on the same NFTs.
//
// It belongs to the writing connection, and only a transaction of that one may
// use it. What other connections write, also those of other processes, changes
// the connection's data_version.
type ratings struct {
	writer  int64 // connection, counted from 1, and
	version int64 // its data_version for which what follows holds
	rows    map[int64]*store.Rating
	numbers map[string]int64 // of rows, by NFT id
}

func (k *ratings) clear() { k.rows, k.numbers = nil, nil }

// keep remembers rows as they are stored.
func (k *ratings) keep(rows map[int64]*store.Rating) {
	if k.rows == nil {
		k.rows, k.numbers = make(map[int64]*store.Rating), make(map[string]int64)
	}
	for number, r := range rows {
		if k.rows[number] == nil {
			k.makeRoom()
			k.numbers[r.ID] = number
		}
		k.rows[number] = r
	}
}

// makeRoom forgets any row where as many are kept as may be. Which one hardly
// matters: those that are often voted on come back at once.
func (k *ratings) makeRoom() {
	for number, r := range k.rows {
		if len(k.rows) < keptRatings {
			return
		}
		delete(k.rows, number)
		delete(k.numbers, r.ID)
	}
}

// sync forgets everything when another connection has written, or this one is
// new.
func (k *ratings) sync(ctx context.Context, q *Queries, writer int64) error {
	var version int64
	if err := q.db.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err != nil {
		return err
	}
	if writer != k.writer || version != k.version {
		k.clear()
		k.writer, k.version = writer, version
	}
	return nil
}

// lockRatings returns the ratings with those NFT ids, without their scores, by
// ascending number. It reads those that are not kept.
func (t *tx) lockRatings(ctx context.Context, ids []string) ([]store.Rating, error) {
	if !t.synced {
		if err := t.store.ratings.sync(ctx, t.q, t.store.writers.Load()); err != nil {
			return nil, err
		}
		t.synced = true
	}
	out := make([]store.Rating, 0, len(ids))
	var unknown []string
	for _, id := range ids {
		if r := t.kept(id); r != nil {
			out = append(out, *r)
		} else {
			unknown = append(unknown, id)
		}
	}
	numbers, err := numbersOf(ctx, t.q, unknown)
	if err != nil {
		return nil, err
	}
	read, err := readRatings(ctx, t.q, numbers)
	if err != nil {
		return nil, err
	}
	for _, r := range read {
		t.note(r)
	}
	out = append(out, read...)
	slices.SortFunc(out, func(a, b store.Rating) int { return cmp.Compare(a.NFT, b.NFT) })
	return slices.CompactFunc(out, func(a, b store.Rating) bool { return a.NFT == b.NFT }), nil
}

// kept returns the row with that NFT id as this transaction knows it, nil where
// it has to be read.
func (t *tx) kept(id string) *store.Rating {
	known := &t.store.ratings
	number, ok := t.numbers[id]
	if !ok {
		number = known.numbers[id] // none has the number 0
	}
	return cmp.Or(t.written[number], known.rows[number])
}

// note remembers a row that this transaction read or wrote, until it commits.
func (t *tx) note(r store.Rating) {
	if t.written == nil {
		t.written, t.numbers = make(map[int64]*store.Rating), make(map[string]int64)
	}
	t.written[r.NFT], t.numbers[r.ID] = &r, r.NFT
}

// wrote notes a row that was written, if its row is known: its id and
// collection are those of the table, which writing a rating leaves alone.
func (t *tx) wrote(r *store.Rating) {
	was := cmp.Or(t.written[r.NFT], t.store.ratings.rows[r.NFT])
	if was == nil {
		return
	}
	now := *r
	now.ID, now.Collection, now.Score = was.ID, was.Collection, nil
	now.WaitingSince, now.Due.Since = asStored(r.WaitingSince), asStored(r.Due.Since)
	if now.Due.Since.IsZero() {
		now.Due = store.Due{}
	}
	t.note(now)
}

// asStored returns a time as it is read back.
func asStored(t time.Time) time.Time { return fromOptionalMicros(optionalMicros(t)) }
