package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"poa/internal/store"
)

const (
	chunkSize     = 2000 // NFTs or rejects a transaction writes
	chunkAttempts = 5    // at a chunk that meets contention
	hundredths    = 100
)

// PutNFTs registers NFTs, some thousand in a transaction. One process at a time
// registers: then numbers ascend with registration and nothing deadlocks. After
// an error some may be registered; it can be repeated.
func (s *Store) PutNFTs(ctx context.Context, nfts []store.NFT, overwrite bool, now time.Time) (int, error) {
	nfts = lastBy(nfts, func(n *store.NFT) string { return n.ID })
	created := 0
	for chunk := range slices.Chunk(nfts, chunkSize) {
		n, err := s.putChunk(ctx, chunk, overwrite, now)
		created += n
		if err != nil {
			return created, fmt.Errorf("registering NFTs: %w", err)
		}
	}
	return created, nil
}

// lastBy keeps the last of the rows with the same key, where the first stood.
func lastBy[T any, K comparable](rows []T, key func(*T) K) []T {
	place := make(map[K]int, len(rows))
	kept := make([]T, 0, len(rows))
	for i := range rows {
		k := key(&rows[i])
		if at, again := place[k]; again {
			kept[at] = rows[i]
			continue
		}
		place[k] = len(kept)
		kept = append(kept, rows[i])
	}
	return kept
}

func (s *Store) putChunk(ctx context.Context, nfts []store.NFT, overwrite bool, now time.Time) (created int, err error) {
	for range chunkAttempts {
		err = s.update(ctx, func(l *link) error {
			created, err = l.putNFTs(ctx, nfts, overwrite, now)
			return err
		})
		if !errors.Is(err, store.ErrContention) {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	return created, nil
}

func (l *link) putNFTs(ctx context.Context, nfts []store.NFT, overwrite bool, now time.Time) (created int, err error) {
	ids := column(nfts, func(n *store.NFT) string { return n.ID })
	names := column(nfts, func(n *store.NFT) string { return n.Name })
	collections := column(nfts, func(n *store.NFT) string { return n.Collection })
	images := column(nfts, func(n *store.NFT) string { return n.ImageURL })
	if err := errors.Join(l.q.AdvisoryLock(ctx, registerLock), l.q.InsertCollections(ctx, collections)); err != nil {
		return 0, err
	}
	var moved []UpdateNFTsRow
	if overwrite {
		moved, err = l.q.UpdateNFTs(ctx, UpdateNFTsParams{Ids: ids, Names: names, Collections: collections, ImageUrls: images})
		if err != nil {
			return 0, l.failure(ctx, "overwriting NFTs", err)
		}
	}
	fresh, err := l.q.InsertNFTs(ctx, InsertNFTsParams{
		Ids: ids, Names: names, Collections: collections, ImageUrls: images, N: int64(len(nfts)), CreatedAt: stamp(now),
	})
	if err != nil {
		return 0, l.failure(ctx, "inserting NFTs", err)
	}
	deltas := make(totals)
	for _, f := range fresh {
		created += int(f.Created)
		deltas.add(store.CountNFTs, f.Collection, f.Created)
	}
	if err := l.move(ctx, moved, deltas); err != nil {
		return 0, err
	}
	return created, l.q.InsertCounterDeltas(ctx, deltaColumns(deltas.deltas()))
}

// move takes the ratings, scores and counters of NFTs to their new collection.
// Their NFT rows are locked, so a rating that is being made becomes visible
// before this.
func (l *link) move(ctx context.Context, moved []UpdateNFTsRow, deltas totals) error {
	if len(moved) == 0 {
		return nil
	}
	nfts := column(moved, func(m *UpdateNFTsRow) int64 { return m.Number })
	ratings, err := tx{l}.LockRatings(ctx, nfts)
	if err != nil {
		return err
	}
	byNFT := make(map[int64]*store.Rating, len(ratings))
	for i := range ratings {
		byNFT[ratings[i].NFT] = &ratings[i]
	}
	for _, m := range moved {
		counts := countsOf(byNFT[m.Number])
		for name, by := range counts {
			deltas.add(name, m.Was, -by)
			deltas.add(name, m.Now, by)
		}
	}
	collections := column(moved, func(m *UpdateNFTsRow) int64 { return m.Now })
	return errors.Join(
		l.q.MoveRatings(ctx, MoveRatingsParams{NFTs: nfts, Collections: collections}),
		l.q.MoveScores(ctx, MoveScoresParams{NFTs: nfts, Collections: collections}),
	)
}

// countsOf returns what one NFT adds to its collection's counters.
func countsOf(r *store.Rating) map[string]int64 {
	counts := map[string]int64{store.CountNFTs: 1}
	if r == nil {
		return counts
	}
	counts[store.CountVotes] = r.Votes
	if !r.WaitingSince.IsZero() {
		counts[store.CountReady] = 1
	}
	if r.Score != nil {
		counts[store.CountScored] = 1
		counts[store.BinCounter(r.Score.POA)] = 1
		counts[store.CountPOASum] = int64(math.Round(r.Score.POA * hundredths))
		counts[store.CountConfidenceSum] = int64(math.Round(r.Score.Confidence * hundredths))
	}
	return counts
}

// totals sums up counter deltas.
type totals map[counterKey]int64

type counterKey struct {
	name       string
	collection int64
}

func (t totals) add(name string, collection, by int64) { t[counterKey{name, collection}] += by }

// deltas returns the sums that are not 0, by name and collection.
func (t totals) deltas() []store.Delta {
	keys := slices.SortedFunc(maps.Keys(t), func(a, b counterKey) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.collection, b.collection))
	})
	var ds []store.Delta
	for _, k := range keys {
		if t[k] != 0 {
			ds = append(ds, store.Delta{Name: k.name, Collection: k.collection, By: t[k]})
		}
	}
	return ds
}

// SetCollectionActive switches a collection.
func (s *Store) SetCollectionActive(ctx context.Context, name string, active bool) error {
	return s.update(ctx, func(l *link) error {
		switched, err := l.q.SetCollectionActive(ctx, SetCollectionActiveParams{Name: name, Active: active})
		if err != nil {
			return l.failure(ctx, "switching a collection", err)
		}
		if len(switched) == 0 {
			return fmt.Errorf("collection %q: %w", name, store.ErrNotFound)
		}
		return nil
	})
}

// MergeCounters folds pending counter deltas into their counters, unless
// another process is doing so.
func (s *Store) MergeCounters(ctx context.Context) error {
	return s.update(ctx, func(l *link) error { return l.q.MergeCounterDeltas(ctx, mergeLock) })
}

// PutRejects records rejected rows, some thousand in a transaction.
func (s *Store) PutRejects(ctx context.Context, rejects []store.Reject) error {
	type place struct {
		source string
		line   int64
		row    string
	}
	rejects = lastBy(rejects, func(r *store.Reject) place { return place{r.Source, r.Line, r.Row} })
	for chunk := range slices.Chunk(rejects, chunkSize) {
		err := s.update(ctx, func(l *link) error {
			return l.q.UpsertRejects(ctx, UpsertRejectsParams{
				Sources: column(chunk, func(r *store.Reject) string { return r.Source }),
				Lines:   column(chunk, func(r *store.Reject) int64 { return r.Line }),
				Rows:    column(chunk, func(r *store.Reject) string { return r.Row }),
				Codes:   column(chunk, func(r *store.Reject) string { return r.Code }),
				Details: column(chunk, func(r *store.Reject) string { return r.Detail }),
				Raws:    column(chunk, func(r *store.Reject) string { return r.Raw }),
				Ats:     column(chunk, func(r *store.Reject) pgtype.Timestamptz { return stamp(r.At) }),
			})
		})
		if err != nil {
			return fmt.Errorf("recording rejects: %w", err)
		}
	}
	return nil
}

// lockSettings has changes of settings take turns: then the version stays what
// it is seen to be, From is what a change replaces, and changes are numbered in
// the order of their commits.
func (l *link) lockSettings(ctx context.Context, asOf int64) error {
	if err := l.q.AdvisoryLock(ctx, settingLock); err != nil {
		return err
	}
	version, err := l.q.SettingsVersion(ctx)
	if err != nil {
		return l.failure(ctx, "reading the version of the settings", err)
	}
	if asOf != store.AnyVersion && asOf != version {
		return fmt.Errorf("storing settings: %w", store.ErrChanged)
	}
	return nil
}

func (l *link) putSettings(ctx context.Context, changes ...store.SettingChange) error {
	var errs []error
	for _, c := range changes {
		errs = append(errs,
			l.q.InsertSettingAudit(ctx, InsertSettingAuditParams{At: stamp(c.At), Who: c.Who, Name: c.Name, FromValue: c.From, ToValue: c.To, Why: c.Why}),
			l.q.UpsertSetting(ctx, UpsertSettingParams{Name: c.Name, Value: c.To, ChangedAt: stamp(c.At)}))
	}
	return errors.Join(errs...)
}
