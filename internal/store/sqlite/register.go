package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"poa/internal/store"
)

// registerAtOnce is how many NFTs go into one transaction: few enough that
// votes never wait long for the writing connection.
const registerAtOnce = 2000

// PutNFTs registers NFTs, some thousand in each transaction. When one fails
// those before it stay, and created counts them; repeating the call is safe.
func (s *Store) PutNFTs(ctx context.Context, nfts []store.NFT, overwrite bool, now time.Time) (created int, err error) {
	for chunk := range slices.Chunk(lastOfEach(nfts), registerAtOnce) {
		var r registration
		err := s.write(ctx, func(q *Queries) error {
			r = registration{
				q: q, overwrite: overwrite, now: micros(now),
				collections: make(map[string]int64), counters: make(map[counterKey]int64),
			}
			if overwrite {
				s.ratings.clear() // NFTs may move to other collections
			}
			return r.put(chunk)
		})
		if err != nil {
			return created, doing("registering NFTs", err)
		}
		created += r.created
	}
	return created, nil
}

// lastOfEach leaves the last of several entries with one id, in the order
// given.
func lastOfEach(nfts []store.NFT) []store.NFT {
	last := make(map[string]int, len(nfts))
	for i := range nfts {
		last[nfts[i].ID] = i
	}
	if len(last) == len(nfts) {
		return nfts
	}
	out := make([]store.NFT, 0, len(last))
	for i := range nfts {
		if last[nfts[i].ID] == i {
			out = append(out, nfts[i])
		}
	}
	return out
}

type counterKey struct {
	name       string
	collection int64
}

// registration puts NFTs in one transaction.
type registration struct {
	q           *Queries
	overwrite   bool
	now         int64
	collections map[string]int64 // numbers by name
	counters    map[counterKey]int64
	created     int
}

// put runs without a context: like a commit of votes it is short.
func (r *registration) put(nfts []store.NFT) error {
	ctx := context.Background()
	for i := range nfts {
		if err := r.putOne(ctx, &nfts[i]); err != nil {
			return fmt.Errorf("NFT %q: %w", nfts[i].ID, err)
		}
	}
	for k, by := range r.counters {
		if err := r.q.addToCounter(ctx, addToCounterParams{Name: k.name, Collection: k.collection, Value: by}); err != nil {
			return err
		}
	}
	return nil
}

func (r *registration) putOne(ctx context.Context, n *store.NFT) error {
	collection, err := r.collection(ctx, n.Collection)
	if err != nil {
		return err
	}
	inserted, err := r.q.insertNFT(ctx, insertNFTParams{
		ID: n.ID, Name: n.Name, Collection: collection, ImageUrl: n.ImageURL, CreatedAt: r.now,
	})
	if err != nil {
		return err
	}
	if inserted > 0 {
		r.created++
		r.counters[counterKey{store.CountNFTs, collection}]++
		return nil
	}
	if !r.overwrite {
		return nil
	}
	old, err := r.q.placeOfNFT(ctx, n.ID)
	if err != nil {
		return err
	}
	err = r.q.updateNFT(ctx, updateNFTParams{Name: n.Name, Collection: collection, ImageUrl: n.ImageURL, Number: old.Number})
	if err != nil || old.Collection == collection {
		return err
	}
	return r.move(ctx, old.Number, old.Collection, collection)
}

func (r *registration) collection(ctx context.Context, name string) (int64, error) {
	if number, ok := r.collections[name]; ok {
		return number, nil
	}
	if err := r.q.insertCollection(ctx, name); err != nil {
		return 0, err
	}
	number, err := r.q.collectionNumber(ctx, name)
	r.collections[name] = number
	return number, err
}

// move takes an NFT's rating, score and share of the counters from one
// collection to another.
func (r *registration) move(ctx context.Context, nft, from, to int64) error {
	count := func(name string, by int64) {
		r.counters[counterKey{name, from}] -= by
		r.counters[counterKey{name, to}] += by
	}
	count(store.CountNFTs, 1)
	ratings, err := r.q.moveRating(ctx, moveRatingParams{Collection: to, Nft: nft})
	if err != nil {
		return err
	}
	for _, rating := range ratings { // one or none
		count(store.CountVotes, rating.Votes)
		if rating.WaitingSince != nil {
			count(store.CountReady, 1)
		}
	}
	scores, err := r.q.moveScore(ctx, moveScoreParams{Collection: to, Nft: nft})
	if err != nil {
		return err
	}
	for _, s := range scores {
		count(store.CountScored, 1)
		count(store.BinCounter(s.Poa), 1)
		count(store.CountPOASum, hundredths(s.Poa))
		count(store.CountConfidenceSum, hundredths(s.Confidence))
	}
	return nil
}

func hundredths(x float64) int64 { return int64(math.Round(x * 100)) }
