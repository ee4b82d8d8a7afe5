package gamesync

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// pageRows is how many rows are read and handed to the ledger together.
const pageRows = 4000

// stream is a table that is read in pages, in the order of time and id.
type stream struct {
	table table
	at    place // of the last row read
	rows  []row // read and not taken yet
	ended bool  // no page comes after rows
}

// first reads the NFTs where that was never done, and estimates the work.
func (w *session) first(ctx context.Context) error {
	nfts := w.sweeps()[0]
	if w.state.Sweeps[nfts.name].Done.IsZero() {
		var err error
		if w.total, err = w.game.estimates(ctx); err != nil {
			return err
		}
	}
	for w.state.Sweeps[nfts.name].Done.IsZero() {
		if err := w.step(ctx, nfts); err != nil {
			return err
		}
		if err := w.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

// advance tells how far the first reading is.
func (w *session) advance(n int) {
	w.rows += int64(n)
	w.update(func(st *Status) { st.Rows += int64(n) })
	if w.Progress != nil && w.looked.IsZero() {
		p := Progress{Rows: w.rows}
		if w.total > 0 {
			p.Total = max(w.total, w.rows)
		}
		w.Progress(p)
	}
}

// catchUp reads whole pages from where the reading stands, votes and
// favourites together in the order of their times.
func (w *session) catchUp(ctx context.Context) error {
	w.update(func(st *Status) { st.Stage = Reading })
	streams := []*stream{{table: votes, at: w.state.At[votes]}, {table: favorites, at: w.state.At[favorites]}}
	for {
		began := w.Now()
		if err := w.fill(ctx, streams); err != nil {
			return err
		}
		taken := merge(streams)
		if len(taken) == 0 {
			w.looked = time.Time{} // a look at what overlaps comes next
			return w.look(ctx)
		}
		if err := w.process(ctx, taken, 0); err != nil {
			return err
		}
		for i := range taken {
			w.took(taken[i].table, ref{taken[i].ID, taken[i].At})
		}
		w.forget()
		w.advance(len(taken))
		w.current(began, streams)
		if err := w.save(ctx); err != nil {
			return err
		}
	}
}

// fill reads the next page of each stream that has no rows left.
func (w *session) fill(ctx context.Context, streams []*stream) (err error) {
	for _, s := range streams {
		if len(s.rows) > 0 || s.ended {
			continue
		}
		if s.rows, err = w.game.after(ctx, s.table, s.at, pageRows); err != nil {
			return err
		}
		s.ended = len(s.rows) < pageRows
		if n := len(s.rows); n > 0 {
			s.at = place{s.rows[n-1].At, s.rows[n-1].ID}
		}
	}
	return nil
}

// merge takes rows off the streams in the order of their times, as far as no
// row of a page to come may be earlier.
func merge(streams []*stream) (taken []row) {
	var horizon time.Time // zero for none
	for _, s := range streams {
		if !s.ended && (horizon.IsZero() || s.at.At.Before(horizon)) {
			horizon = s.at.At
		}
	}
	for _, s := range streams {
		n := len(s.rows)
		if !horizon.IsZero() {
			n, _ = slices.BinarySearchFunc(s.rows, horizon, func(r row, t time.Time) int {
				return cmp.Or(r.At.Compare(t), -1) // up to the horizon and with it
			})
		}
		taken = append(taken, s.rows[:n]...)
		s.rows = s.rows[n:]
	}
	byTime(taken)
	return taken
}

func byTime(all []row) {
	slices.SortStableFunc(all, func(a, b row) int { return a.At.Compare(b.At) })
}

// took notes that a row of a table was taken, in the order of time and id.
func (w *session) took(t table, r ref) {
	w.seen[t][r.id] = r.at
	if at := w.state.At[t]; r.at.After(at.At) || r.at.Equal(at.At) && r.id > at.ID {
		w.state.At[t] = place{r.at, r.id}
		w.changed = true
	}
}

// forget drops what was seen before what a look reads again.
func (w *session) forget() {
	for t, seen := range w.seen {
		from := w.from(t)
		for id, at := range seen {
			if at.Before(from) {
				delete(seen, id)
			}
		}
	}
}

// from is since when a look reads a table again: rows of transactions that
// began before those that are known and committed after them are there.
func (w *session) from(t table) time.Time { return w.state.At[t].At.Add(-w.Settings.Overlap) }

// current tells until when poa has everything, while rows are still to come.
func (w *session) current(began time.Time, streams []*stream) {
	until := began
	for _, s := range streams {
		if at := w.state.At[s.table].At; !s.ended && at.Before(until) {
			until = at
		}
	}
	w.update(func(st *Status) { st.CurrentUntil = until })
}

// look takes what is new, by the ids of all rows in the overlap and after it.
func (w *session) look(ctx context.Context) error {
	began, before := w.Now(), w.game.statements.Load()
	var all []row
	found := map[table][]ref{}
	for _, t := range []table{votes, favorites} {
		refs, err := w.game.since(ctx, t, w.from(t))
		if err != nil {
			return err
		}
		found[t] = slices.DeleteFunc(refs, func(r ref) bool {
			at, known := w.seen[t][r.id]
			return known && at.Equal(r.at)
		})
		for chunk := range slices.Chunk(found[t], pageRows) {
			page, err := w.game.withIDs(ctx, t, ids(chunk))
			if err != nil {
				return err
			}
			all = append(all, page...)
		}
	}
	byTime(all)
	for chunk := range slices.Chunk(all, pageRows) {
		if err := w.process(ctx, chunk, 0); err != nil {
			return err
		}
	}
	w.advance(len(all))
	for t, refs := range found {
		for _, r := range refs {
			w.took(t, r)
		}
	}
	w.forget()
	w.looked = began
	w.update(func(st *Status) {
		st.Stage, st.CurrentUntil = Following, began
		if len(all) == 0 {
			st.Statements.Idle += w.game.statements.Load() - before
			st.Statements.Looks++
		}
	})
	return w.saveChanged(ctx)
}

func ids(refs []ref) []string {
	list := make([]string, len(refs))
	for i, r := range refs {
		list[i] = r.id
	}
	return list
}

// purpose of processing rows.
type purpose int

const (
	late    purpose = 1 << iota // they were found by a reconciliation
	retried                     // they were rejected before
)

// item is a row on its way to the ledger.
type item struct {
	row  *row
	vote ledger.Vote
}

// process brings rows into poa and accounts for them: those that make sense to
// the ledger, in their order, the others to the rejects. Rows that were
// rejected before are left alone, unless they are to be tried again.
func (w *session) process(ctx context.Context, list []row, why purpose) error {
	if why&retried == 0 {
		var err error
		if list, err = w.withoutRejected(ctx, list); err != nil {
			return err
		}
	}
	var rejects []store.Reject
	now := w.Now().UTC().Truncate(time.Microsecond)
	reject := func(r *row, why error) { rejects = append(rejects, r.reject(why, now)) }
	items := make([]item, 0, len(list))
	for i := range list {
		r := &list[i]
		v, refusal := r.vote(w.Settings.SliderScale)
		if refusal != nil {
			reject(r, refusal)
			continue
		}
		items = append(items, item{r, v})
	}
	items, err := w.withKnownNFTs(ctx, items, reject)
	if err != nil {
		return err
	}
	if err := w.submit(ctx, items, why, reject); err != nil {
		return err
	}
	return w.record(ctx, list, rejects, why)
}

// record writes the rejects. Of rows that are tried again those leave them that
// were taken this time.
func (w *session) record(ctx context.Context, list []row, rejects []store.Reject, why purpose) error {
	if why&retried != 0 {
		refused := make(map[string]bool, len(rejects))
		for i := range rejects {
			refused[rejects[i].Row] = true
		}
		taken := map[table][]string{}
		for i := range list {
			if r := &list[i]; !refused[r.ID] {
				taken[r.table] = append(taken[r.table], r.ID)
			}
		}
		for t, rows := range taken {
			if err := w.Store.DeleteRejects(ctx, t.source(), rows); err != nil {
				return fmt.Errorf("taking rows off the rejects: %w", err)
			}
		}
		return nil
	}
	if len(rejects) == 0 {
		return nil
	}
	if err := w.Store.PutRejects(ctx, rejects); err != nil {
		return fmt.Errorf("recording rejected rows: %w", err)
	}
	w.update(func(st *Status) {
		st.Rejected += int64(len(rejects))
		for i := range rejects {
			st.ByCode[rejects[i].Code]++
		}
	})
	return nil
}

// withoutRejected leaves out the rows that were rejected before.
func (w *session) withoutRejected(ctx context.Context, list []row) ([]row, error) {
	rejected := map[table]map[string]bool{}
	for _, t := range []table{votes, favorites} {
		var rows []string
		for i := range list {
			if list[i].table == t {
				rows = append(rows, list[i].ID)
			}
		}
		var err error
		if rejected[t], err = w.rejected(ctx, t, rows); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(r row) bool { return rejected[r.table][r.ID] }), nil
}

// rejected returns which rows of a table were rejected before.
func (w *session) rejected(ctx context.Context, t table, rows []string) (map[string]bool, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	found, err := w.Store.RejectsOfRows(ctx, t.source(), rows)
	if err != nil {
		return nil, fmt.Errorf("looking up rejected rows: %w", err)
	}
	is := make(map[string]bool, len(found))
	for i := range found {
		is[found[i].Row] = true
	}
	return is, nil
}

// withKnownNFTs registers NFTs that poa does not know and the game does, and
// rejects what is about others.
func (w *session) withKnownNFTs(ctx context.Context, items []item, reject func(*row, error)) ([]item, error) {
	named := map[string]bool{}
	for _, it := range items {
		named[it.vote.A] = true
		if it.vote.B != "" {
			named[it.vote.B] = true
		}
	}
	known, err := w.known(ctx, named)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(items, func(it item) bool {
		for _, n := range []struct{ field, id string }{{"nft_a_id", it.vote.A}, {"nft_b_id", it.vote.B}} {
			if n.id != "" && !known[n.id] {
				if it.row.table == favorites {
					n.field = "nft_id"
				}
				reject(it.row, refuse(ledger.CodeUnknownNFT, n.field, "%s is in no row of nfts", n.id))
				return true
			}
		}
		return false
	}), nil
}

// known returns which of the NFTs are registered, after it has registered those
// that the game knows.
func (w *session) known(ctx context.Context, named map[string]bool) (map[string]bool, error) {
	list := slices.Collect(maps.Keys(named))
	known, err := w.registered(ctx, list)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(id string) bool { return known[id] })
	if len(list) == 0 {
		return known, nil
	}
	nfts, err := w.game.nfts(ctx, list)
	if err != nil {
		return nil, err
	}
	for _, n := range nfts {
		known[n.ID] = true
	}
	return known, w.register(ctx, nfts)
}

// registered returns which of the NFTs poa knows.
func (w *session) registered(ctx context.Context, list []string) (map[string]bool, error) {
	known := make(map[string]bool, len(list))
	if len(list) == 0 {
		return known, nil
	}
	err := w.Store.View(ctx, func(v store.View) error {
		found, err := v.KnownNFTs(ctx, list)
		for _, id := range found {
			known[id] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking up NFTs: %w", err)
	}
	return known, nil
}

// register puts NFTs as the game has them.
func (w *session) register(ctx context.Context, nfts []store.NFT) error {
	if len(nfts) == 0 {
		return nil
	}
	created, err := w.Store.PutNFTs(ctx, nfts, true, w.Now())
	if err != nil {
		return fmt.Errorf("registering NFTs: %w", err)
	}
	if created > 0 {
		w.state.NewNFTs, w.changed = true, true
	}
	w.update(func(st *Status) {
		st.NFTs += int64(created)
		st.NFTsChanged += int64(len(nfts) - created)
	})
	return nil
}

// submit hands items to the ledger, with the favourites among them noted
// before and after.
func (w *session) submit(ctx context.Context, items []item, why purpose, reject func(*row, error)) error {
	items, noted, err := w.favored(ctx, items)
	if err != nil || len(items) == 0 {
		return err
	}
	list := make([]ledger.Vote, len(items))
	for i := range items {
		list[i] = items[i].vote
		list[i].Trusted = w.Now().Sub(list[i].CastAt) > historic
	}
	if err := w.note(ctx, noted, true, nil); err != nil {
		return err
	}
	var refused []string // favourites
	err = w.deliver(ctx, list, why, func(i int, err error) {
		reject(items[i].row, err)
		if items[i].row.table == favorites {
			refused = append(refused, items[i].row.ID)
		}
	})
	if err != nil {
		return err
	}
	noted = slices.DeleteFunc(noted, func(f store.Favorite) bool { return slices.Contains(refused, f.ID) })
	return w.note(ctx, noted, false, refused)
}

// historic is the age from which votes are history: as many of a voter's as
// there are arrive at once, so its hourly cap is not for them.
const historic = time.Hour

// deliver hands votes to the ledger and counts the answers.
func (w *session) deliver(ctx context.Context, list []ledger.Vote, why purpose, refused func(i int, err error)) error {
	var recorded, duplicates, withdrawn int64
	triggered := map[string]int64{}
	err := ledger.Deliver(ctx, w.Ledger, list, func(i int, a ledger.Answer) {
		switch {
		case a.Err != nil:
			refused(i, a.Err)
			return
		case a.Duplicate:
			duplicates++
		default:
			recorded++
			if list[i].Kind == scoring.Unfire {
				withdrawn++
			}
		}
		for _, t := range a.Triggered {
			triggered[string(t.Reason)]++
		}
	})
	w.update(func(st *Status) {
		st.Recorded += recorded
		st.Duplicates += duplicates
		st.Withdrawn += withdrawn
		if why&late != 0 {
			st.Late += recorded
		}
		for reason, n := range triggered {
			st.Triggered[reason] += n
		}
	})
	return err
}
