package store

import (
	"context"
	"time"
)

// Sync is what following another system's database needs of a store beyond the
// service. Every method is one short transaction of its own unless it says
// otherwise.
type Sync interface {
	Service

	// TakeLease takes the lease of that name until a time, unless it is held by
	// a lease that ends after now: then it returns that one and false. The taker
	// gets a new term and the state that the one before has left, "" at first.
	TakeLease(ctx context.Context, name, holder string, now, until time.Time) (Lease, bool, error)
	// KeepLease replaces the end and the state of a lease that is in its term
	// still, whether it has ended or not; ErrNotFound where another has taken it.
	KeepLease(ctx context.Context, l Lease) error
	// Lease returns a lease, whoever holds it; ErrNotFound.
	Lease(ctx context.Context, name string) (Lease, error)

	// KnownKeys returns which of those keys belong to committed votes, in any
	// order.
	KnownKeys(ctx context.Context, keys []string) ([]string, error)
	// NFTsByID returns the registered NFTs with those ids, in any order.
	NFTsByID(ctx context.Context, ids []string) ([]NFT, error)

	// PutFavorites inserts or replaces favourites by id, except that At never
	// becomes earlier, and removes others, in one transaction.
	PutFavorites(ctx context.Context, put []Favorite, remove []string) error
	// FavoritesAfter returns up to limit favourites with ids above after,
	// bytewise ascending.
	FavoritesAfter(ctx context.Context, after string, limit int) ([]Favorite, error)
	// FavoritesOf returns the favourites of those pairs of NFT and voter, by id.
	FavoritesOf(ctx context.Context, pairs []FavoritePair) ([]Favorite, error)

	// RejectsOfRows returns the rejects of a source with those rows, by row.
	RejectsOfRows(ctx context.Context, source string, rows []string) ([]Reject, error)
	// RejectsWithCode returns up to limit rejects of a source for that reason
	// with rows above after, bytewise ascending.
	RejectsWithCode(ctx context.Context, source, code, after string, limit int) ([]Reject, error)
	// DeleteRejects removes the rejects of a source with those rows.
	DeleteRejects(ctx context.Context, source string, rows []string) error
}

// Lease is work that one process does at a time, with the state it leaves to
// the next.
type Lease struct {
	Name   string
	Term   int64 // raised by every taker
	Holder string
	Until  time.Time
	State  string // the holder's own
}

// FavoritePair names whose favourite an NFT is, both by id.
type FavoritePair struct{ NFT, Voter string }

// Favorite is a favourite in another system's database, as it was seen last.
type Favorite struct {
	ID string // the other system's
	FavoritePair
	CreatedAt time.Time
	// At is the latest time at which it was taken to be given, for a withdrawal
	// to come after it.
	At time.Time
	// Pending: its FIRE may not be in the log yet.
	Pending bool
}
