package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"poa/internal/store"
)

var _ store.Sync = (*Store)(nil)

// TakeLease takes a lease by one INSERT, which waits for one that is under way.
func (s *Store) TakeLease(ctx context.Context, name, holder string, now, until time.Time) (lease store.Lease, ok bool, err error) {
	err = s.update(ctx, func(l *link) error {
		rows, err := l.q.TakeLease(ctx, TakeLeaseParams{Name: name, Holder: holder, Now: stamp(now), Until: stamp(until)})
		if err != nil {
			return l.failure(ctx, "taking a lease", err)
		}
		if ok = len(rows) > 0; ok {
			lease = leaseOf(&rows[0])
			return nil
		}
		row, err := l.q.Lease(ctx, name)
		lease = leaseOf(&row)
		return l.failure(ctx, "reading a lease", err)
	})
	if err != nil {
		return store.Lease{}, false, err
	}
	return lease, ok, nil
}

func leaseOf(r *Lease) store.Lease {
	return store.Lease{Name: r.Name, Term: r.Term, Holder: r.Holder, Until: moment(r.Until), State: r.State}
}

// KeepLease writes a lease that is in its term still.
func (s *Store) KeepLease(ctx context.Context, lease store.Lease) error {
	return s.change(ctx, fmt.Sprintf("keeping the lease %q in term %d", lease.Name, lease.Term), func(q *Queries) ([]int64, error) {
		return q.KeepLease(ctx, KeepLeaseParams{Name: lease.Name, Term: lease.Term, Until: stamp(lease.Until), State: lease.State})
	})
}

// Lease returns a lease.
func (s *Store) Lease(ctx context.Context, name string) (store.Lease, error) {
	row, err := s.now().Lease(ctx, name)
	if err != nil {
		return store.Lease{}, s.failure(ctx, fmt.Sprintf("reading the lease %q", name), err)
	}
	return leaseOf(&row), nil
}

// KnownKeys returns the keys that belong to votes.
func (s *Store) KnownKeys(ctx context.Context, keys []string) (known []string, err error) {
	err = s.read(ctx, func(l *link) error {
		known, err = l.q.KnownKeys(ctx, keys)
		return l.failure(ctx, "looking keys up", err)
	})
	return known, err
}

// NFTsByID returns registered NFTs.
func (s *Store) NFTsByID(ctx context.Context, ids []string) (nfts []store.NFT, err error) {
	err = s.read(ctx, func(l *link) error {
		rows, err := l.q.NFTsByID(ctx, ids)
		nfts = convert(rows, func(r *NFTsByIDRow) store.NFT { return nftOf((*NFTsRow)(r)) })
		return l.failure(ctx, "reading NFTs", err)
	})
	return nfts, err
}

// PutFavorites writes and removes favourites, some thousand in a statement.
func (s *Store) PutFavorites(ctx context.Context, put []store.Favorite, remove []string) error {
	put = lastBy(put, func(f *store.Favorite) string { return f.ID })
	return s.update(ctx, func(l *link) error {
		var errs []error
		for chunk := range slices.Chunk(put, chunkSize) {
			errs = append(errs, l.q.UpsertFavorites(ctx, UpsertFavoritesParams{
				Ids:        column(chunk, func(f *store.Favorite) string { return f.ID }),
				NFTs:       column(chunk, func(f *store.Favorite) string { return f.NFT }),
				Voters:     column(chunk, func(f *store.Favorite) string { return f.Voter }),
				CreatedAts: column(chunk, func(f *store.Favorite) pgtype.Timestamptz { return stamp(f.CreatedAt) }),
				Ats:        column(chunk, func(f *store.Favorite) pgtype.Timestamptz { return stamp(f.At) }),
				Pendings:   column(chunk, func(f *store.Favorite) bool { return f.Pending }),
			}))
		}
		if len(remove) > 0 {
			errs = append(errs, l.q.DeleteFavorites(ctx, remove))
		}
		return errors.Join(errs...)
	})
}

// FavoritesAfter returns a page of favourites.
func (s *Store) FavoritesAfter(ctx context.Context, after string, n int) (found []store.Favorite, err error) {
	err = s.read(ctx, func(l *link) error {
		l.gathered.Queue(settingsPage)
		rows, err := l.q.FavoritesAfter(ctx, FavoritesAfterParams{After: after, UpTo: limit(n)})
		found = convert(rows, favoriteOf)
		return l.failure(ctx, "reading favourites", err)
	})
	return found, err
}

// FavoritesOf returns the favourites of pairs.
func (s *Store) FavoritesOf(ctx context.Context, pairs []store.FavoritePair) (found []store.Favorite, err error) {
	err = s.read(ctx, func(l *link) error {
		rows, err := l.q.FavoritesOf(ctx, FavoritesOfParams{
			NFTs:   column(pairs, func(p *store.FavoritePair) string { return p.NFT }),
			Voters: column(pairs, func(p *store.FavoritePair) string { return p.Voter }),
		})
		found = convert(rows, favoriteOf)
		return l.failure(ctx, "looking favourites up", err)
	})
	return found, err
}

func favoriteOf(r *GameFavorite) store.Favorite {
	return store.Favorite{
		ID: r.ID, FavoritePair: store.FavoritePair{NFT: r.NFT, Voter: r.Voter},
		CreatedAt: moment(r.CreatedAt), At: moment(r.At), Pending: r.Pending,
	}
}

// RejectsOfRows returns the rejects of rows.
func (s *Store) RejectsOfRows(ctx context.Context, source string, ids []string) (found []store.Reject, err error) {
	err = s.read(ctx, func(l *link) error {
		rows, err := l.q.RejectsOfRows(ctx, RejectsOfRowsParams{Source: source, Rows: ids})
		found = convert(rows, rejectOf)
		return l.failure(ctx, "looking rejects up", err)
	})
	return found, err
}

// RejectsWithCode returns a page of the rejects for one reason.
func (s *Store) RejectsWithCode(ctx context.Context, source, code, after string, n int) (found []store.Reject, err error) {
	err = s.read(ctx, func(l *link) error {
		l.gathered.Queue(settingsPage)
		rows, err := l.q.RejectsWithCode(ctx, RejectsWithCodeParams{Source: source, Code: code, After: after, UpTo: limit(n)})
		found = convert(rows, rejectOf)
		return l.failure(ctx, "reading rejects", err)
	})
	return found, err
}

// DeleteRejects removes the rejects of rows.
func (s *Store) DeleteRejects(ctx context.Context, source string, rows []string) error {
	return s.update(ctx, func(l *link) error {
		return l.q.DeleteRejects(ctx, DeleteRejectsParams{Source: source, Rows: rows})
	})
}

func rejectOf(r *Reject) store.Reject {
	return store.Reject{Source: r.Source, Line: r.Line, Row: r.Row, Code: r.Code, Detail: r.Detail, Raw: r.Raw, At: moment(r.At)}
}
