package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/scoring"
	"poa/internal/store"
)

// TestKeptRatings has two stores of one file write ratings in turns, some
// transactions failing, and compares what locking returns with the table.
func TestKeptRatings(t *testing.T) {
	ctx, path, now := t.Context(), filepath.Join(t.TempDir(), "poa.db"), time.Date(2026, 5, 6, 7, 8, 9, 1234, time.UTC)
	constants := scoring.Constants{Folding: scoring.DefaultFolding(), Publishing: scoring.DefaultPublishing()}
	var stores []*Store
	for range 2 {
		s, err := Open(ctx, path)
		must(t, err)
		defer s.Close()
		must(t, s.Migrate(ctx))
		_, err = s.Prepare(ctx, constants, "test", now)
		must(t, err)
		stores = append(stores, s)
	}
	ids := make([]string, 12)
	var nfts []store.NFT
	for i := range ids {
		ids[i] = fmt.Sprint("n", i)
		nfts = append(nfts, store.NFT{ID: ids[i], Collection: "a"})
	}
	_, err := stores[0].PutNFTs(ctx, nfts, false, now)
	must(t, err)
	must(t, stores[0].Update(ctx, func(tx store.Tx) error {
		_, err := tx.Ensure(ctx, ids, nil, constants.NewRating(), constants.NewVoter(), now)
		return err
	}))

	random := rand.New(rand.NewPCG(1, 2))
	failure := errors.New("undone")
	some := func() []string {
		random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		return ids[:1+random.IntN(len(ids))]
	}
	kept := 0
	for round := range 300 {
		s := stores[min(1, random.IntN(5)/4)] // the first more often: it keeps some
		undone := random.IntN(5) == 0
		err := s.Update(ctx, func(w store.Tx) error {
			tx := w.(*tx)
			for range 1 + random.IntN(2) {
				locked, _, err := tx.Lock(ctx, some(), nil)
				must(t, err)
				table, err := readRatings(ctx, tx.q, numbersIn(locked))
				must(t, err)
				if diff := cmp.Diff(table, locked); diff != "" {
					t.Fatalf("round %d (-table +locked)\n%s", round, diff)
				}
				for i := range locked {
					r := &locked[i]
					r.Votes++
					r.Mean += random.Float64()
					r.Version++
					r.Collection += int64(random.IntN(2)) // which writing a rating ignores
					switch random.IntN(4) {
					case 0:
						r.Due = store.Due{Since: now.Add(time.Duration(round)), Reason: "super", Priority: 1}
					case 1:
						r.Due = store.Due{Reason: "nothing is owed"}
					case 2:
						r.WaitingSince = now.Add(time.Duration(round)).In(time.FixedZone("", 3600))
					}
				}
				must(t, tx.Apply(ctx, &store.Changes{Ratings: locked}))
			}
			if undone {
				return failure
			}
			return nil
		})
		if undone != errors.Is(err, failure) || !undone && err != nil {
			t.Fatal(err)
		}
		if round%50 == 49 {
			for i := range nfts {
				nfts[i].Collection = fmt.Sprint("moved", round)
			}
			_, err := s.PutNFTs(ctx, nfts, true, now)
			must(t, err)
		}
		kept += len(stores[0].ratings.rows)
	}
	if kept == 0 {
		t.Error("no ratings were kept")
	}
}

func numbersIn(ratings []store.Rating) (numbers []int64) {
	for _, r := range ratings {
		numbers = append(numbers, r.NFT)
	}
	return numbers
}

func TestKeptRatingsAreBounded(t *testing.T) {
	var k ratings
	for i := range int64(2) {
		rows := make(map[int64]*store.Rating)
		for n := range int64(keptRatings) {
			number := i*keptRatings/2 + n
			rows[number] = &store.Rating{NFT: number, ID: fmt.Sprint(number)}
		}
		k.keep(rows)
	}
	if len(k.rows) != keptRatings || len(k.numbers) != keptRatings {
		t.Fatalf("%d rows and %d numbers are kept", len(k.rows), len(k.numbers))
	}
	for number, r := range k.rows {
		if k.numbers[r.ID] != number {
			t.Fatalf("row %d is not found by its id", number)
		}
	}
}

// TestKeptRatingsOfAnotherConnection: a new writing connection knows nothing
// of what happened before it.
func TestKeptRatingsOfAnotherConnection(t *testing.T) {
	k := ratings{writer: 1}
	k.keep(map[int64]*store.Rating{1: {NFT: 1, ID: "a"}})
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "poa.db"))
	must(t, err)
	defer s.Close()
	q := New(s.writer)
	must(t, k.sync(t.Context(), q, 1))
	k.keep(map[int64]*store.Rating{1: {NFT: 1, ID: "a"}})
	must(t, k.sync(t.Context(), q, 1))
	if len(k.rows) != 1 {
		t.Fatal("the connection is the same, and nobody wrote")
	}
	must(t, k.sync(t.Context(), q, 2))
	if len(k.rows) != 0 {
		t.Error("rows of another connection are still known")
	}
}
