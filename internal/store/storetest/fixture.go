package storetest

import (
	"context"
	"iter"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"poa/internal/scoring"
	"poa/internal/store"
)

// base is the time at which the tests happen. Its microseconds must survive.
var base = time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.UTC)

func constants() scoring.Constants { return scoring.Defaults() }

// fixture is an open store with what tests do to it again and again. Its
// methods end the test on an error; they belong to the test's own goroutine.
type fixture struct {
	store.Store
	t *testing.T
}

func (f *fixture) migrate() {
	f.t.Helper()
	if err := f.Migrate(f.t.Context()); err != nil {
		f.t.Fatalf("Migrate: %v", err)
	}
}

func (f *fixture) prepare(c scoring.Constants) int64 {
	f.t.Helper()
	version, err := f.Prepare(f.t.Context(), c, "tester", base)
	if err != nil {
		f.t.Fatalf("Prepare: %v", err)
	}
	return version
}

func (f *fixture) update(fn func(context.Context, store.Tx) error) {
	f.t.Helper()
	if err := f.tryUpdate(fn); err != nil {
		f.t.Fatalf("Update: %v", err)
	}
}

func (f *fixture) tryUpdate(fn func(context.Context, store.Tx) error) error {
	ctx := f.t.Context()
	return f.Update(ctx, func(tx store.Tx) error { return fn(ctx, tx) })
}

func (f *fixture) view(fn func(context.Context, store.View) error) {
	f.t.Helper()
	ctx := f.t.Context()
	if err := f.View(ctx, func(v store.View) error { return fn(ctx, v) }); err != nil {
		f.t.Fatalf("View: %v", err)
	}
}

// put registers NFTs by id in a collection, new or moved, and returns how many
// are new.
func (f *fixture) put(collection string, ids ...string) int {
	f.t.Helper()
	var nfts []store.NFT
	for _, id := range ids {
		nfts = append(nfts, store.NFT{ID: id, Name: "name of " + id, Collection: collection, ImageURL: "https://img.example/" + id})
	}
	return f.putNFTs(nfts, true)
}

func (f *fixture) putNFTs(nfts []store.NFT, overwrite bool) int {
	f.t.Helper()
	created, err := f.PutNFTs(f.t.Context(), nfts, overwrite, base)
	if err != nil {
		f.t.Fatalf("PutNFTs: %v", err)
	}
	return created
}

// rated registers NFTs in a collection, gives them rating rows, and returns
// these in the order of ids, which is that of their numbers.
func (f *fixture) rated(collection string, ids ...string) []store.Rating {
	f.t.Helper()
	for _, id := range ids {
		f.put(collection, id)
	}
	f.update(func(ctx context.Context, tx store.Tx) error { return ensure(ctx, tx, ids, nil) })
	return f.ratings(ids...)
}

// voters makes the voter rows that are missing and returns all in the order of
// ids, which is that of the numbers of new ones.
func (f *fixture) voters(ids ...string) []store.Voter {
	f.t.Helper()
	for i := range ids {
		f.update(func(ctx context.Context, tx store.Tx) error { return ensure(ctx, tx, nil, ids[i:i+1]) })
	}
	var voters []store.Voter
	f.update(func(ctx context.Context, tx store.Tx) error {
		_, found, err := tx.Lock(ctx, nil, ids)
		voters = inOrder(ids, found, func(v store.Voter) string { return v.ID })
		return err
	})
	return voters
}

// ratings returns the rating rows of NFTs in the order of ids.
func (f *fixture) ratings(ids ...string) []store.Rating {
	f.t.Helper()
	var found []store.Rating
	f.view(func(ctx context.Context, v store.View) (err error) {
		found, err = v.Ratings(ctx, ids)
		return err
	})
	ratings := inOrder(ids, found, func(r store.Rating) string { return r.ID })
	if len(ratings) != len(ids) {
		f.t.Fatalf("%d of %d NFTs have a rating: %v", len(ratings), len(ids), ids)
	}
	return ratings
}

func (f *fixture) rating(id string) store.Rating {
	f.t.Helper()
	return f.ratings(id)[0]
}

// apply locks what c changes, gives its votes numbers and applies it.
func (f *fixture) apply(c *store.Changes) {
	f.t.Helper()
	f.update(func(ctx context.Context, tx store.Tx) error { return lockAndApply(ctx, tx, c) })
}

func (f *fixture) tryApply(c *store.Changes) error {
	return f.tryUpdate(func(ctx context.Context, tx store.Tx) error { return lockAndApply(ctx, tx, c) })
}

// lockAndApply writes the numbers it gives into c.Votes.
func lockAndApply(ctx context.Context, tx store.Tx, c *store.Changes) error {
	var nfts []int64
	var voters []string
	for _, v := range c.Votes {
		nfts = append(nfts, v.A)
		if v.B != 0 {
			nfts = append(nfts, v.B)
		}
		voters = append(voters, v.VoterID)
	}
	for _, r := range c.Ratings {
		nfts = append(nfts, r.NFT)
	}
	for _, o := range c.Opinions {
		nfts = append(nfts, o.NFT)
	}
	for _, s := range c.Scores {
		nfts = append(nfts, s.NFT)
	}
	for _, v := range c.Voters {
		voters = append(voters, v.ID)
	}
	nfts = append(nfts, c.Withdrawn...)
	if _, err := tx.LockRatings(ctx, distinct(nfts)); err != nil {
		return err
	}
	if _, _, err := tx.Lock(ctx, nil, distinct(voters)); err != nil {
		return err
	}
	numbers, err := tx.Numbers(ctx, len(c.Votes))
	if err != nil {
		return err
	}
	for i := range c.Votes {
		c.Votes[i].Number = numbers[i]
	}
	return tx.Apply(ctx, c)
}

// ensure makes rows with the default start values; all NFTs must be registered.
func ensure(ctx context.Context, tx store.Tx, nfts, voters []string) error {
	c := constants()
	unknown, err := tx.Ensure(ctx, nfts, voters, c.NewRating(), c.NewVoter(), base)
	if err == nil && len(unknown) > 0 {
		return unexpected("unknown NFTs", unknown)
	}
	return err
}

// contents is all that a store holds, but for rejects and settings.
type contents struct {
	NFTs        []store.NFT
	Ratings     []store.Rating
	Voters      []store.Voter
	Votes       []store.Vote
	Opinions    []store.Opinion
	History     []store.HistoryPoint
	Activity    []store.Activity
	Collections []store.Collection
	Counters    []store.Delta
}

func (f *fixture) contents() contents {
	f.t.Helper()
	var all contents
	f.view(func(ctx context.Context, v store.View) (err error) {
		all, err = read(ctx, v)
		return err
	})
	return all
}

func read(ctx context.Context, v store.View) (all contents, err error) {
	all.NFTs = Collect(v.AllNFTs(ctx), &err)
	all.Ratings = Collect(v.AllRatings(ctx), &err)
	all.Voters = Collect(v.AllVoters(ctx), &err)
	all.Votes = Collect(v.Log(ctx, 0), &err)
	all.Opinions = Collect(v.AllOpinions(ctx), &err)
	all.History = Collect(v.AllHistory(ctx), &err)
	if err != nil {
		return all, err
	}
	if all.Activity, err = v.Activity(ctx, 0, 1_000_000); err != nil {
		return all, err
	}
	if all.Collections, err = v.Collections(ctx); err != nil {
		return all, err
	}
	all.Counters, err = v.Counters(ctx)
	all.Counters = slices.DeleteFunc(all.Counters, func(d store.Delta) bool { return d.By == 0 })
	return all, err
}

// Collect reads a stream to its end or first error, and nothing where there is
// an error already.
func Collect[T any](stream iter.Seq2[T, error], err *error) (rows []T) {
	if *err != nil {
		return nil
	}
	for row, failed := range stream {
		if failed != nil {
			*err = failed
			return rows
		}
		rows = append(rows, row)
	}
	return rows
}

// inOrder arranges rows as ids says and leaves out ids without a row.
func inOrder[T any](ids []string, rows []T, id func(T) string) []T {
	var arranged []T
	for _, want := range ids {
		if i := slices.IndexFunc(rows, func(row T) bool { return id(row) == want }); i >= 0 {
			arranged = append(arranged, rows[i])
		}
	}
	return arranged
}

func distinct[T interface{ ~int64 | ~string }](values []T) []T {
	sorted := slices.Sorted(slices.Values(values))
	return slices.Compact(sorted)
}

// exactly compares floats bit for bit and times with their zone; a nil slice
// or map equals an empty one.
var exactly = cmp.Options{
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() }),
	cmpopts.EquateEmpty(),
}

// same reports how got differs from want.
func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got, exactly); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// weighed returns voters with the weights that a store keeps of them.
func weighed(voters []store.Voter) []store.Voter {
	kept, c := slices.Clone(voters), constants()
	for i := range kept {
		kept[i].KeptWeight = c.Weight(&kept[i].Voter)
	}
	return kept
}
