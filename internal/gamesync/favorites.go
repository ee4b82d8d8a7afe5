package gamesync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// A favourite is a row as long as it stands. poa keeps which it has seen:
// one that is there no more was withdrawn. The withdrawal counts as cast one
// tick after what it withdraws, since the game does not keep when it was: so it
// is the same vote whenever and however often it is found, and a favourite that
// was given anew stands whichever of the two is found first.
const tick = time.Microsecond

// favored leaves out the favourites that were taken as they are, and returns
// with the rest what is to be noted of those that were not.
func (w *session) favored(ctx context.Context, items []item) ([]item, []store.Favorite, error) {
	var pairs []store.FavoritePair
	for _, it := range items {
		if it.row.table == favorites {
			pairs = append(pairs, store.FavoritePair{NFT: it.vote.A, Voter: it.vote.Voter})
		}
	}
	if len(pairs) == 0 {
		return items, nil, nil
	}
	existing, err := w.Store.FavoritesOf(ctx, pairs)
	if err != nil {
		return nil, nil, fmt.Errorf("looking up favourites: %w", err)
	}
	seen := make(map[string]*store.Favorite, len(existing))
	for i := range existing {
		seen[existing[i].ID] = &existing[i]
	}
	var skipped int64
	items = slices.DeleteFunc(items, func(it item) bool {
		f := seen[it.row.ID]
		same := it.row.table == favorites && f != nil && !f.Pending && f.CreatedAt.Equal(it.row.At)
		if same {
			skipped++
		}
		return same
	})
	w.update(func(st *Status) { st.Duplicates += skipped })
	if err := w.revive(ctx, items, seen); err != nil {
		return nil, nil, err
	}
	var noted []store.Favorite
	for _, it := range items {
		if it.row.table == favorites {
			noted = append(noted, store.Favorite{
				ID: it.row.ID, FavoritePair: store.FavoritePair{NFT: it.vote.A, Voter: it.vote.Voter}, CreatedAt: it.row.At, At: it.vote.CastAt,
			})
		}
	}
	return items, noted, nil
}

// revive gives favourites that come back after they were withdrawn, with the
// same id and time, a vote of their own after the withdrawal: rows that were
// restored, or hidden for a while.
func (w *session) revive(ctx context.Context, items []item, seen map[string]*store.Favorite) error {
	open := map[string]*item{} // by the key of the withdrawal that may be there
	for i := range items {
		if it := &items[i]; it.row.table == favorites && seen[it.row.ID] == nil {
			open[withdrawalKey(it.row.ID, it.vote.CastAt)] = it
		}
	}
	for len(open) > 0 {
		gone, err := w.Store.KnownKeys(ctx, slices.Collect(maps.Keys(open)))
		if err != nil {
			return fmt.Errorf("looking up withdrawals: %w", err)
		}
		next := map[string]*item{}
		for _, key := range gone {
			it := open[key]
			it.vote.CastAt = it.vote.CastAt.Add(2 * tick)
			it.vote.Key = favoriteKey(it.row.ID, it.vote.CastAt)
			next[withdrawalKey(it.row.ID, it.vote.CastAt)] = it
		}
		open = next
	}
	return nil
}

// note keeps favourites, as pending before their votes are handed to the
// ledger and as taken after that, and drops others.
func (w *session) note(ctx context.Context, list []store.Favorite, pending bool, drop []string) error {
	if len(list) == 0 && len(drop) == 0 {
		return nil
	}
	for i := range list {
		list[i].Pending = pending
	}
	if err := w.Store.PutFavorites(ctx, list, drop); err != nil {
		return fmt.Errorf("noting favourites: %w", err)
	}
	return nil
}

// sweepFavorites compares a page of the game's favourites with those that were
// seen: it takes what is new or was repeated, and withdraws what has vanished.
func (w *session) sweepFavorites(ctx context.Context, after string) (last string, err error) {
	there, err := w.game.byID(ctx, favorites, after, sweepRows)
	if err != nil {
		return "", err
	}
	if len(there) == sweepRows {
		last = there[len(there)-1].id
	}
	unseen := make(map[string]time.Time, len(there))
	for _, r := range there {
		unseen[r.id] = r.at
	}
	var gone []store.Favorite
	err = w.noted(ctx, after, last, func(f store.Favorite) {
		at, stands := unseen[f.ID]
		switch {
		case !stands:
			gone = append(gone, f)
		case !f.Pending && (at.IsZero() || at.Equal(f.CreatedAt)):
			delete(unseen, f.ID)
		}
	})
	if err != nil {
		return "", err
	}
	if err := w.fetch(ctx, favorites, slices.Sorted(maps.Keys(unseen))); err != nil {
		return "", err
	}
	return last, w.withdraw(ctx, gone)
}

// noted calls f with the favourites that were seen, with ids above after and up
// to last, "" for all.
func (w *session) noted(ctx context.Context, after, last string, f func(store.Favorite)) error {
	for {
		page, err := w.Store.FavoritesAfter(ctx, after, sweepRows)
		if err != nil {
			return fmt.Errorf("reading the favourites that were seen: %w", err)
		}
		for _, favorite := range page {
			if last != "" && favorite.ID > last {
				return nil
			}
			f(favorite)
		}
		if len(page) < sweepRows {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

// withdraw takes back favourites that have vanished, and then forgets them.
func (w *session) withdraw(ctx context.Context, gone []store.Favorite) error {
	for chunk := range slices.Chunk(gone, pageRows) {
		if err := w.withdrawSome(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (w *session) withdrawSome(ctx context.Context, gone []store.Favorite) error {
	heirs, err := w.heirs(ctx, gone)
	if err != nil {
		return err
	}
	var list []ledger.Vote
	var inherited []store.Favorite
	drop := make([]string, len(gone))
	for i, f := range gone {
		drop[i] = f.ID
		vote := ledger.Vote{Voter: f.Voter, A: f.NFT}
		if f.Pending { // it was seen, but may have vanished before its FIRE was recorded
			vote.Key, vote.Kind, vote.CastAt = favoriteKey(f.ID, f.At), scoring.Fire, f.At
			list = append(list, vote)
		}
		if heir := heirs[f.FavoritePair]; heir != nil && !heir.At.After(f.At) {
			heir.At = f.At
			inherited = append(inherited, *heir)
			continue
		}
		vote.Key, vote.Kind, vote.CastAt = withdrawalKey(f.ID, f.At), scoring.Unfire, f.At.Add(tick)
		list = append(list, vote)
	}
	err = w.deliver(ctx, list, 0, func(i int, err error) {
		w.Log.Error("the withdrawal of a favourite was refused", "key", list[i].Key, "err", err)
	})
	if err != nil {
		return err
	}
	if err := w.Store.PutFavorites(ctx, inherited, drop); err != nil {
		return fmt.Errorf("noting withdrawn favourites: %w", err)
	}
	return nil
}

// heirs returns of the pairs of vanished favourites those that have another one
// that stands: a wallet written in other letters is the same voter. Where that
// was given earlier, the FIRE stands on, and its withdrawal must come after
// that of both.
func (w *session) heirs(ctx context.Context, gone []store.Favorite) (map[store.FavoritePair]*store.Favorite, error) {
	pairs := make([]store.FavoritePair, len(gone))
	vanished := make(map[string]bool, len(gone))
	for i, f := range gone {
		pairs[i], vanished[f.ID] = f.FavoritePair, true
	}
	all, err := w.Store.FavoritesOf(ctx, pairs)
	if err != nil {
		return nil, fmt.Errorf("looking up favourites: %w", err)
	}
	heirs := map[store.FavoritePair]*store.Favorite{}
	for i := range all {
		f := &all[i]
		if other := heirs[f.FavoritePair]; !vanished[f.ID] && (other == nil || f.At.After(other.At)) {
			heirs[f.FavoritePair] = f
		}
	}
	return heirs, nil
}
