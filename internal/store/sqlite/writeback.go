package sqlite

import (
	"context"
	"time"

	"poa/internal/store"
)

var _ store.Writeback = (*Store)(nil)

// PutUnwritten writes and removes NFTs whose score is not written.
func (s *Store) PutUnwritten(ctx context.Context, target string, put []store.Unwritten, remove []int64) error {
	if len(put) == 0 && len(remove) == 0 {
		return nil
	}
	return doing("writing down what is not written", s.write(ctx, func(q *Queries) error {
		ctx := context.Background()
		for _, nft := range remove {
			if err := q.deleteUnwritten(ctx, deleteUnwrittenParams{Target: target, Nft: nft}); err != nil {
				return err
			}
		}
		for i := range put {
			u := &put[i]
			err := q.putUnwritten(ctx, putUnwrittenParams{
				Target: target, Nft: u.NFT, Since: micros(u.Since), At: micros(u.At), Reason: string(u.Reason),
				Detail: u.Detail, Tries: int64(u.Tries), NextTry: optionalMicros(u.NextTry),
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// UnwrittenDue returns the head of those that are to be tried.
func (s *Store) UnwrittenDue(ctx context.Context, target string, now time.Time, limit int) ([]store.Unwritten, error) {
	until := micros(now)
	rows, err := s.now().unwrittenDue(ctx, unwrittenDueParams{Target: target, Now: &until, UpTo: atMost(limit)})
	return convert(rows, func(r *unwrittenDueRow) store.Unwritten { return toUnwritten((*listUnwrittenRow)(r)) }),
		doing("reading what is to be written again", err)
}

// ListUnwritten returns a page of those whose score is not written.
func (s *Store) ListUnwritten(ctx context.Context, target string, after int64, limit int) ([]store.Unwritten, error) {
	rows, err := s.now().listUnwritten(ctx, listUnwrittenParams{Target: target, After: after, UpTo: atMost(limit)})
	return convert(rows, toUnwritten), doing("reading what is not written", err)
}

func toUnwritten(r *listUnwrittenRow) store.Unwritten {
	u := &r.UnwrittenRow
	return store.Unwritten{
		NFT: u.Nft, ID: r.NftID, Since: fromMicros(u.Since), At: fromMicros(u.At), Reason: store.UnwrittenReason(u.Reason),
		Detail: u.Detail, Tries: int(u.Tries), NextTry: fromOptionalMicros(u.NextTry),
	}
}

// CountUnwritten counts those whose score is not written.
func (s *Store) CountUnwritten(ctx context.Context, target string) ([]store.UnwrittenCount, error) {
	rows, err := s.now().countUnwritten(ctx, target)
	return convert(rows, func(r *countUnwrittenRow) store.UnwrittenCount {
		return store.UnwrittenCount{Reason: store.UnwrittenReason(r.Reason), NFTs: r.Total, Since: fromMicros(r.Since)}
	}), doing("counting what is not written", err)
}
