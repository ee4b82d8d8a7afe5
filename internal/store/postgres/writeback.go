package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"poa/internal/store"
)

var _ store.Writeback = (*Store)(nil)

// PutUnwritten writes and removes NFTs whose score is not written.
func (s *Store) PutUnwritten(ctx context.Context, target string, put []store.Unwritten, remove []int64) error {
	if len(put) == 0 && len(remove) == 0 {
		return nil
	}
	put = lastBy(put, func(u *store.Unwritten) int64 { return u.NFT })
	return s.update(ctx, func(l *link) error {
		if len(remove) > 0 {
			if err := l.q.DeleteUnwritten(ctx, DeleteUnwrittenParams{Target: target, NFTs: remove}); err != nil {
				return err
			}
		}
		if len(put) == 0 {
			return nil
		}
		return l.q.UpsertUnwritten(ctx, UpsertUnwrittenParams{
			Target:    target,
			NFTs:      column(put, func(u *store.Unwritten) int64 { return u.NFT }),
			Sinces:    column(put, func(u *store.Unwritten) pgtype.Timestamptz { return stamp(u.Since) }),
			Ats:       column(put, func(u *store.Unwritten) pgtype.Timestamptz { return stamp(u.At) }),
			Reasons:   column(put, func(u *store.Unwritten) string { return string(u.Reason) }),
			Details:   column(put, func(u *store.Unwritten) string { return u.Detail }),
			Tries:     column(put, func(u *store.Unwritten) int64 { return int64(u.Tries) }),
			NextTries: column(put, func(u *store.Unwritten) pgtype.Timestamptz { return stamp(u.NextTry) }),
		})
	})
}

// UnwrittenDue returns the head of those that are to be tried.
func (s *Store) UnwrittenDue(ctx context.Context, target string, now time.Time, n int) (due []store.Unwritten, err error) {
	err = s.read(ctx, func(l *link) error {
		l.gathered.Queue(settingsPage)
		rows, err := l.q.UnwrittenDue(ctx, UnwrittenDueParams{Target: target, Now: stamp(now), UpTo: limit(n)})
		due = convert(rows, func(r *UnwrittenDueRow) store.Unwritten { return unwrittenOf((*ListUnwrittenRow)(r)) })
		return l.failure(ctx, "reading what is to be written again", err)
	})
	return due, err
}

// ListUnwritten returns a page of those whose score is not written.
func (s *Store) ListUnwritten(ctx context.Context, target string, after int64, n int) (list []store.Unwritten, err error) {
	err = s.read(ctx, func(l *link) error {
		l.gathered.Queue(settingsPage)
		rows, err := l.q.ListUnwritten(ctx, ListUnwrittenParams{Target: target, After: after, UpTo: limit(n)})
		list = convert(rows, unwrittenOf)
		return l.failure(ctx, "reading what is not written", err)
	})
	return list, err
}

func unwrittenOf(r *ListUnwrittenRow) store.Unwritten {
	return store.Unwritten{
		NFT: r.NFT, ID: r.NftID, Since: moment(r.Since), At: moment(r.At), Reason: store.UnwrittenReason(r.Reason),
		Detail: r.Detail, Tries: int(r.Tries), NextTry: moment(r.NextTry),
	}
}

// CountUnwritten counts those whose score is not written.
func (s *Store) CountUnwritten(ctx context.Context, target string) ([]store.UnwrittenCount, error) {
	rows, err := s.now().CountUnwritten(ctx, target)
	counts := convert(rows, func(r *CountUnwrittenRow) store.UnwrittenCount {
		return store.UnwrittenCount{Reason: store.UnwrittenReason(r.Reason), NFTs: r.Total, Since: moment(r.Since)}
	})
	return counts, s.failure(ctx, "counting what is not written", err)
}
