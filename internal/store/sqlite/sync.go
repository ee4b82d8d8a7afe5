package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"poa/internal/store"
)

var _ store.Sync = (*Store)(nil)

// TakeLease takes a lease, which is made ended where there is none.
func (s *Store) TakeLease(ctx context.Context, name, holder string, now, until time.Time) (lease store.Lease, ok bool, err error) {
	err = s.write(ctx, func(q *Queries) error {
		if err := q.makeLease(ctx, name); err != nil {
			return err
		}
		taken, err := q.takeLease(ctx, takeLeaseParams{Name: name, Holder: holder, Now: micros(now), Until: micros(until)})
		if err != nil {
			return err
		}
		ok = taken > 0
		row, err := q.leaseByName(ctx, name)
		lease = toLease(&row)
		return err
	})
	if err != nil {
		return store.Lease{}, false, doing("taking a lease", err)
	}
	return lease, ok, nil
}

func toLease(r *leaseRow) store.Lease {
	return store.Lease{Name: r.Name, Term: r.Term, Holder: r.Holder, Until: fromMicros(r.Until), State: r.State}
}

// KeepLease writes a lease that is in its term still.
func (s *Store) KeepLease(ctx context.Context, l store.Lease) error {
	return s.change(ctx, fmt.Sprintf("keeping the lease %q in term %d", l.Name, l.Term), func(q *Queries) (int64, error) {
		return q.keepLease(ctx, keepLeaseParams{Name: l.Name, Term: l.Term, Until: micros(l.Until), State: l.State})
	})
}

// Lease returns a lease.
func (s *Store) Lease(ctx context.Context, name string) (store.Lease, error) {
	row, err := s.now().leaseByName(ctx, name)
	if err != nil {
		return store.Lease{}, doing(fmt.Sprintf("reading the lease %q", name), found(err))
	}
	return toLease(&row), nil
}

// KnownKeys returns the keys that belong to votes.
func (s *Store) KnownKeys(ctx context.Context, keys []string) ([]string, error) {
	set, err := jsonStrings(keys)
	if err != nil {
		return nil, err
	}
	known, err := s.now().knownKeys(ctx, set)
	return known, doing("looking keys up", err)
}

// NFTsByID returns registered NFTs.
func (s *Store) NFTsByID(ctx context.Context, ids []string) ([]store.NFT, error) {
	set, err := jsonStrings(ids)
	if err != nil {
		return nil, err
	}
	rows, err := s.now().nftsByID(ctx, set)
	return convert(rows, func(r *nftsByIDRow) store.NFT { return toNFT(r.NftRow, r.CollectionName) }), doing("reading NFTs", err)
}

// PutFavorites writes and removes favourites.
func (s *Store) PutFavorites(ctx context.Context, put []store.Favorite, remove []string) error {
	return doing("writing favourites", s.write(ctx, func(q *Queries) error {
		for _, f := range put {
			err := q.putFavorite(ctx, putFavoriteParams{
				ID: f.ID, Nft: f.NFT, Voter: f.Voter, CreatedAt: micros(f.CreatedAt), At: micros(f.At), Pending: flag(f.Pending),
			})
			if err != nil {
				return err
			}
		}
		for _, id := range remove {
			if err := q.deleteFavorite(ctx, id); err != nil {
				return err
			}
		}
		return nil
	}))
}

// FavoritesAfter returns a page of favourites.
func (s *Store) FavoritesAfter(ctx context.Context, after string, limit int) ([]store.Favorite, error) {
	rows, err := s.now().favoritesAfter(ctx, favoritesAfterParams{ID: after, Limit: atMost(limit)})
	return convert(rows, toFavorite), doing("reading favourites", err)
}

// FavoritesOf returns the favourites of pairs.
func (s *Store) FavoritesOf(ctx context.Context, pairs []store.FavoritePair) ([]store.Favorite, error) {
	named := make(map[store.FavoritePair]bool, len(pairs))
	list := make([][2]string, 0, len(pairs))
	for _, p := range pairs {
		if !named[p] {
			named[p] = true
			list = append(list, [2]string{p.NFT, p.Voter})
		}
	}
	set, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("looking favourites up: %w", err)
	}
	rows, err := s.now().favoritesOf(ctx, string(set))
	return convert(rows, toFavorite), doing("looking favourites up", err)
}

func toFavorite(r *favoriteRow) store.Favorite {
	return store.Favorite{
		ID: r.ID, FavoritePair: store.FavoritePair{NFT: r.Nft, Voter: r.Voter},
		CreatedAt: fromMicros(r.CreatedAt), At: fromMicros(r.At), Pending: r.Pending != 0,
	}
}

// RejectsOfRows returns the rejects of rows.
func (s *Store) RejectsOfRows(ctx context.Context, source string, ids []string) ([]store.Reject, error) {
	set, err := jsonStrings(ids)
	if err != nil {
		return nil, err
	}
	rows, err := s.now().rejectsOfRows(ctx, rejectsOfRowsParams{Source: source, Rows: set})
	return convert(rows, toReject), doing("looking rejected rows up", err)
}

// RejectsWithCode returns a page of the rejects for one reason.
func (s *Store) RejectsWithCode(ctx context.Context, source, code, after string, limit int) ([]store.Reject, error) {
	rows, err := s.now().rejectsWithCode(ctx, rejectsWithCodeParams{Source: source, Code: code, After: after, UpTo: atMost(limit)})
	return convert(rows, toReject), doing("reading rejected rows", err)
}

// DeleteRejects removes the rejects of rows.
func (s *Store) DeleteRejects(ctx context.Context, source string, rows []string) error {
	return doing("removing rejected rows", s.write(ctx, func(q *Queries) error {
		for _, row := range rows {
			if err := q.deleteReject(ctx, deleteRejectParams{Source: source, Row: row}); err != nil {
				return err
			}
		}
		return nil
	}))
}

func toReject(r *rejectRow) store.Reject {
	return store.Reject{Source: r.Source, Line: r.Line, Row: r.Row, Code: r.Code, Detail: r.Detail, Raw: r.Raw, At: fromMicros(r.At)}
}
