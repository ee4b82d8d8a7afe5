package gamesync

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"poa/internal/ledger"
	"poa/internal/store"
)

// sweepRows is how many ids are compared at once.
const sweepRows = 10_000

// task is a pass over a whole table that is repeated.
type task struct {
	name  string
	every time.Duration // 0: only when it is wanted
	// page deals with a page of ids above after and returns the last id of it,
	// "" where no page comes after it.
	page func(ctx context.Context, after string) (last string, err error)
}

// sweeps returns the passes, the one over the NFTs first.
func (w *session) sweeps() []task {
	return []task{
		{"nfts", w.Settings.ReconcileEvery, w.sweepNFTs},
		{"favorites", w.Settings.FavoritesEvery, w.sweepFavorites},
		{"votes", w.Settings.ReconcileEvery, w.sweepVotes},
		{"rejected votes", 0, func(ctx context.Context, after string) (string, error) { return w.retry(ctx, votes, after) }},
		{"rejected favorites", 0, func(ctx context.Context, after string) (string, error) { return w.retry(ctx, favorites, after) }},
	}
}

// sweep does one page of a pass that is under way or due. With once, those are
// due that have not begun since a moment. It is false where there is none.
func (w *session) sweep(ctx context.Context, once bool, since time.Time) (bool, error) {
	for _, t := range w.sweeps() {
		s := w.state.Sweeps[t.name]
		due := !s.Began.IsZero() || s.Wanted ||
			t.every > 0 && (once && s.Done.Before(since) || !once && w.Now().Sub(s.Done) >= t.every)
		if due {
			return true, w.step(ctx, t)
		}
	}
	return false, nil
}

// step does the next page of a pass.
func (w *session) step(ctx context.Context, t task) error {
	before := w.game.statements.Load()
	s := w.state.Sweeps[t.name]
	if s.Began.IsZero() {
		s = sweep{Began: w.Now().UTC(), Done: s.Done}
	}
	last, err := t.page(ctx, s.After)
	if err != nil {
		return err
	}
	if s.After = last; last == "" {
		s = sweep{Done: s.Began, Wanted: s.Wanted}
		w.Log.Debug("a pass over the game is done", "of", t.name, "took", w.Now().Sub(s.Done))
		if t.name == "nfts" && w.state.NewNFTs {
			w.want("rejected votes", "rejected favorites")
			w.state.NewNFTs = false
		}
	}
	w.state.Sweeps[t.name], w.changed = s, true
	w.update(func(st *Status) { st.Statements.Sweeps += w.game.statements.Load() - before })
	return w.saveChanged(ctx)
}

// want has passes begin.
func (w *session) want(names ...string) {
	for _, name := range names {
		s := w.state.Sweeps[name]
		s.Wanted = true
		w.state.Sweeps[name] = s
	}
}

// sweepNFTs brings a page of NFTs up to date: the game does not tell when it
// changes one.
func (w *session) sweepNFTs(ctx context.Context, after string) (last string, err error) {
	nfts, err := w.game.nftsAfter(ctx, after, pageRows)
	if err != nil || len(nfts) == 0 {
		return "", err
	}
	list := make([]string, len(nfts))
	for i := range nfts {
		list[i] = nfts[i].ID
	}
	if len(list) == pageRows {
		last = list[len(list)-1]
	}
	known, err := w.Store.NFTsByID(ctx, list)
	if err != nil {
		return "", fmt.Errorf("reading NFTs: %w", err)
	}
	same := make(map[store.NFT]bool, len(known))
	for _, n := range known {
		n.Number = 0
		same[n] = true
	}
	w.advance(len(nfts))
	return last, w.register(ctx, slices.DeleteFunc(nfts, func(n store.NFT) bool { return same[n] }))
}

// sweepVotes takes those of a page of votes that are neither in the log nor
// among the rejects: rows that a long transaction brought later than the
// overlap, and those without a time.
func (w *session) sweepVotes(ctx context.Context, after string) (last string, err error) {
	refs, err := w.game.byID(ctx, votes, after, sweepRows)
	if err != nil {
		return "", err
	}
	if len(refs) == sweepRows {
		last = refs[len(refs)-1].id
	}
	keys := make([]string, len(refs))
	for i, r := range refs {
		keys[i] = voteKey(r.id)
	}
	found, err := w.Store.KnownKeys(ctx, keys)
	if err != nil {
		return "", fmt.Errorf("looking up votes: %w", err)
	}
	known := make(map[string]bool, len(found))
	for _, key := range found {
		known[key] = true
	}
	var missing []string
	for i, r := range refs {
		if !known[keys[i]] {
			missing = append(missing, r.id)
		}
	}
	return last, w.fetch(ctx, votes, missing)
}

// fetch takes rows that a pass has found, but for those that were rejected.
func (w *session) fetch(ctx context.Context, t table, missing []string) error {
	for chunk := range slices.Chunk(missing, pageRows) {
		rejected, err := w.rejected(ctx, t, chunk)
		if err != nil {
			return err
		}
		wanted := slices.DeleteFunc(slices.Clone(chunk), func(id string) bool { return rejected[id] })
		if len(wanted) == 0 {
			continue
		}
		list, err := w.game.withIDs(ctx, t, wanted)
		if err != nil {
			return err
		}
		w.advance(len(list))
		if err := w.process(ctx, list, late); err != nil {
			return err
		}
	}
	return nil
}

// retry takes rows that were rejected because an NFT was unknown, where poa
// knows all of theirs now. Only these are read again.
func (w *session) retry(ctx context.Context, t table, after string) (last string, err error) {
	rejects, err := w.Store.RejectsWithCode(ctx, t.source(), string(ledger.CodeUnknownNFT), after, pageRows)
	if err != nil || len(rejects) == 0 {
		return "", err
	}
	if len(rejects) == pageRows {
		last = rejects[len(rejects)-1].Row
	}
	wants := make([][]string, len(rejects))
	named := map[string]bool{}
	for i := range rejects {
		r := row{table: t}
		if err := json.Unmarshal([]byte(rejects[i].Raw), &r); err != nil {
			return "", fmt.Errorf("reading reject %s of %s: %w", rejects[i].Row, rejects[i].Source, err)
		}
		v, _ := r.vote(w.Settings.SliderScale)
		wants[i] = []string{v.A}
		if v.B != "" {
			wants[i] = append(wants[i], v.B)
		}
		for _, id := range wants[i] {
			named[id] = true
		}
	}
	known, err := w.registered(ctx, slices.Collect(maps.Keys(named)))
	if err != nil {
		return "", err
	}
	var again []string
	for i := range rejects {
		if !slices.ContainsFunc(wants[i], func(id string) bool { return !known[id] }) {
			again = append(again, rejects[i].Row)
		}
	}
	if len(again) == 0 {
		return last, nil
	}
	found, err := w.game.withIDs(ctx, t, again)
	if err != nil {
		return "", err
	}
	w.advance(len(found))
	return last, w.process(ctx, found, late|retried)
}
