package exact_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/exact"
	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
	"poa/internal/trigger"
	"poa/internal/verify"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// open returns a database with the NFTs n0 to n7 and n votes of all kinds.
func open(t *testing.T, n int) (store.Store, *publish.Policy) {
	t.Helper()
	ctx := context.Background()
	st := sqlitetest.New(t)
	version, err := st.Prepare(ctx, scoring.Defaults(), "test", start)
	if err != nil {
		t.Fatal(err)
	}
	var nfts []store.NFT
	for i := range 8 {
		nfts = append(nfts, store.NFT{ID: fmt.Sprintf("n%d", i)})
	}
	if _, err := st.PutNFTs(ctx, nfts, false, start); err != nil {
		t.Fatal(err)
	}
	p := publish.Default(version)
	vote(t, st, p, "", n)
	return st, p
}

// vote casts n votes of all kinds with keys under a prefix.
func vote(t *testing.T, st store.Store, p *publish.Policy, prefix string, n int) {
	t.Helper()
	l := ledger.New(st, ledger.Options{Policy: p})
	random := rand.New(rand.NewPCG(1, uint64(len(prefix))))
	var votes []ledger.Vote
	for i := range n {
		a := random.IntN(7) // n7 gets no vote
		v := ledger.Vote{Key: fmt.Sprintf("%s%d", prefix, i), Voter: fmt.Sprintf("v%d", random.IntN(5)), A: fmt.Sprintf("n%d", a)}
		switch v.Kind = scoring.Kind(1 + random.IntN(4)); v.Kind {
		case scoring.Matchup:
			v.B, v.Outcome = fmt.Sprintf("n%d", (a+1+random.IntN(6))%7), scoring.Outcome(1+random.IntN(4))
		case scoring.Slider:
			v.Value = float64(random.IntN(101))
		}
		votes = append(votes, v)
	}
	answers, err := l.Submit(context.Background(), votes)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range answers {
		if a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func ratings(t *testing.T, st store.Store) (rows []store.Rating) {
	t.Helper()
	err := st.View(context.Background(), func(v store.View) error {
		for r, err := range v.AllRatings(context.Background()) {
			if err != nil {
				return err
			}
			rows = append(rows, r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func check(t *testing.T, st store.Store, p *publish.Policy) {
	t.Helper()
	err := st.View(context.Background(), func(v store.View) error {
		_, err := verify.Run(context.Background(), v, p, func(d verify.Difference) {
			t.Errorf("%s: %s is %s, want %s", d.Subject, d.Field, d.Stored, d.Want)
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func compute(t *testing.T, st store.Store, p *publish.Policy) []exact.Result {
	t.Helper()
	results, err := exact.Compute(context.Background(), st, p, []int64{8, 3, 1, 2, 3, 4, 5, 6, 7, 99}, publish.Cause{Reason: store.ReasonManual}, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	return results
}

// TestExactUsesTodaysVoters recomputes by the definition, from the log and the
// voters, and compares.
func TestExactUsesTodaysVoters(t *testing.T) {
	st, p := open(t, 600)
	before := ratings(t, st)
	results := compute(t, st, p)
	if len(results) != 7 {
		t.Fatalf("%d results, want one for each of the 7 rated NFTs", len(results))
	}
	want := byDefinition(t, st, p)
	moved := 0
	for i, r := range ratings(t, st) {
		if diff := cmp.Diff(want[r.NFT], r.Rating); diff != "" {
			t.Errorf("NFT %s, want to got:\n%s", r.ID, diff)
		}
		if r.Version != before[i].Version+1 || r.ExactVote != r.LastVote || r.ExactMatchupWeight != r.MatchupWeight {
			t.Errorf("NFT %s: version %d after %d, exact through %d of %d", r.ID, r.Version, before[i].Version, r.ExactVote, r.LastVote)
		}
		if r.Score == nil || r.Score.Basis != store.Exact || r.Score.Reason != store.ReasonManual || !r.Score.ComputedAt.Equal(start) {
			t.Errorf("NFT %s: published %+v", r.ID, r.Score)
		}
		if r.Mean != before[i].Mean || r.Sigma != before[i].Sigma {
			t.Errorf("NFT %s: an exact computation moved the mean or sigma", r.ID)
		}
		if r.Rating != before[i].Rating {
			moved++
		}
	}
	if moved == 0 {
		t.Error("no sum moved: the votes do not let voters drift, and the test shows nothing")
	}
	check(t, st, p)

	// Again: nothing is left to move.
	for _, r := range compute(t, st, p) {
		if r.Before.POA != r.After.POA {
			t.Errorf("NFT %s moved from %v to %v without a vote", r.ID, r.Before.POA, r.After.POA)
		}
	}
	vote(t, st, p, "later", 200)
	check(t, st, p)
}

// byDefinition computes the standing ratings of all NFTs from the log.
func byDefinition(t *testing.T, st store.Store, p *publish.Policy) map[int64]scoring.Rating {
	t.Helper()
	ctx := context.Background()
	want := map[int64]scoring.Rating{}
	err := st.View(ctx, func(v store.View) error {
		voters := map[int64]store.Voter{}
		for row, err := range v.AllVoters(ctx) {
			if err != nil {
				return err
			}
			voters[row.Number] = row
		}
		for r, err := range v.AllRatings(ctx) {
			if err != nil {
				return err
			}
			r.MatchupWeight, r.SliderSum, r.SliderWeight, r.FireWeight = 0, 0, 0, 0
			want[r.NFT] = r.Rating
		}
		latest := map[store.OpinionRef]store.Vote{}
		for vote, err := range v.Log(ctx, 0) {
			if err != nil {
				return err
			}
			ref := store.OpinionRef{NFT: vote.A, Voter: vote.Voter, Kind: min(vote.Kind, scoring.Fire)}
			if vote.Kind != scoring.Matchup {
				latest[ref] = vote
				continue
			}
			if vote.Outcome == scoring.Neither {
				continue
			}
			voter := voters[vote.Voter]
			for _, nft := range []int64{vote.A, vote.B} {
				r := want[nft]
				r.MatchupWeight += p.Constants.Weight(&voter.Voter)
				want[nft] = r
			}
		}
		for ref, vote := range latest {
			voter := voters[ref.Voter].Voter
			weight, r := p.Constants.Weight(&voter), want[ref.NFT]
			switch vote.Kind {
			case scoring.Slider:
				r.SliderWeight += weight
				r.SliderSum += p.Constants.SliderScore(vote.Value, voter.Calibration, weight)
			case scoring.Fire:
				r.FireWeight += weight
			}
			want[ref.NFT] = r
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// TestVoteDuringTheRead has a vote fold between the read and the write, on the
// first read only and on every one.
func TestVoteDuringTheRead(t *testing.T) {
	for _, reads := range []int{1, 100} {
		t.Run(fmt.Sprintf("first %d reads", reads), func(t *testing.T) {
			st, p := open(t, 300)
			n := 0
			racing := &racing{Store: st, after: func() {
				if n++; n <= reads {
					vote(t, st, p, fmt.Sprintf("race%d-", n), 30)
				}
			}}
			results, err := exact.Compute(context.Background(), racing, p, []int64{1, 2, 3}, publish.Cause{Reason: store.ReasonBatch}, time.Now)
			if err != nil || len(results) != 3 {
				t.Fatalf("%d results, %v", len(results), err)
			}
			want := byDefinition(t, st, p)
			for _, r := range ratings(t, st)[:3] {
				if diff := cmp.Diff(want[r.NFT], r.Rating); diff != "" {
					t.Errorf("NFT %s, want to got:\n%s", r.ID, diff)
				}
				if r.Score.ThroughVote != r.LastVote {
					t.Errorf("NFT %s: the score is through vote %d, the last is %d", r.ID, r.Score.ThroughVote, r.LastVote)
				}
			}
			if n != 2 {
				t.Errorf("%d snapshots were read without locks, want 2", n)
			}
			check(t, st, p)
		})
	}
}

// racing calls after at the end of every View.
type racing struct {
	store.Store
	after func()
}

func (r *racing) View(ctx context.Context, f func(store.View) error) error {
	err := r.Store.View(ctx, f)
	r.after()
	return err
}

func TestOneBrokenNFTStopsNoOther(t *testing.T) {
	st, p := open(t, 300)
	ctx := context.Background()
	err := st.Update(ctx, func(tx store.Tx) error {
		rows, err := tx.LockRatings(ctx, []int64{2})
		if err != nil {
			return err
		}
		rows[0].Matchups++
		return tx.Apply(ctx, &store.Changes{Ratings: rows})
	})
	if err != nil {
		t.Fatal(err)
	}
	results, err := exact.Compute(ctx, st, p, []int64{1, 2, 3}, publish.Cause{Reason: store.ReasonBatch}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if (r.Err != nil) != (r.NFT == 2) {
			t.Errorf("NFT %d: %v", r.NFT, r.Err)
		}
	}
	var activity []store.Activity
	err = st.View(ctx, func(v store.View) (err error) {
		activity, err = v.Activity(ctx, 2, 1)
		return err
	})
	if err != nil || len(activity) != 1 || activity[0].Kind != store.Failed || activity[0].Detail == "" {
		t.Errorf("activity %+v, %v", activity, err)
	}
}

func TestPreviewWritesNothing(t *testing.T) {
	st, p := open(t, 300)
	before := ratings(t, st)
	var want scoring.Result
	err := st.View(context.Background(), func(v store.View) error {
		_, result, ok, err := exact.Preview(context.Background(), v, p, 1)
		if !ok {
			t.Error("no score")
		}
		want = result
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, ratings(t, st)); diff != "" {
		t.Error(diff)
	}
	if got := compute(t, st, p)[0].After.Result; got != want {
		t.Errorf("previewed %+v, published %+v", want, got)
	}
}

func TestComputeAllIsCompute(t *testing.T) {
	st, p := open(t, 600)
	other, q := open(t, 600)
	var all []exact.Result
	numbers := []int64{1, 2, 3, 4, 5, 6, 7, 8}
	err := exact.ComputeAll(context.Background(), st, p, numbers, publish.Cause{Reason: store.ReasonManual}, func() time.Time { return start },
		func(results []exact.Result) { all = append(all, results...) })
	if err != nil || len(all) != 7 {
		t.Fatalf("%d results, %v", len(all), err)
	}
	compute(t, other, q)
	one, two := ratings(t, st), ratings(t, other)
	for i := range one {
		one[i].Recent, two[i].Recent = trigger.Recent{}, trigger.Recent{} // times of arrival
	}
	if diff := cmp.Diff(one, two); diff != "" {
		t.Error(diff)
	}
}

// TestComputeAllStopsAtAnError has one of many sets fail.
func TestComputeAllStopsAtAnError(t *testing.T) {
	st, p := open(t, 10)
	boom := fmt.Errorf("injected: %w", store.ErrUnavailable)
	numbers := make([]int64, 100_000)
	for i := range numbers {
		numbers[i] = int64(i + 1)
	}
	views := 0
	err := exact.ComputeAll(context.Background(), &failing{Store: st, fault: func() error {
		if views++; views > 3 {
			return boom
		}
		return nil
	}}, p, numbers, publish.Cause{Reason: store.ReasonManual}, time.Now, func([]exact.Result) {})
	if !errors.Is(err, store.ErrUnavailable) || views > 6 {
		t.Errorf("%v after %d sets", err, views)
	}
}

// failing fails views as fault says.
type failing struct {
	store.Store
	fault func() error
	mu    sync.Mutex // guards calls of fault
}

func (f *failing) View(ctx context.Context, do func(store.View) error) error {
	f.mu.Lock()
	err := f.fault()
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Store.View(ctx, do)
}

// TestVotesWaitForFewNFTs has a hundred and twenty NFTs computed beside votes:
// in several transactions, none of which writes many.
func TestVotesWaitForFewNFTs(t *testing.T) {
	st, p := open(t, 0)
	ctx := context.Background()
	const n = 120
	nfts, votes := make([]store.NFT, n), make([]ledger.Vote, n)
	for i := range nfts {
		nfts[i].ID = fmt.Sprintf("many%d", i)
		votes[i] = ledger.Vote{Key: nfts[i].ID, Voter: "v", A: nfts[i].ID, Vote: scoring.Vote{Kind: scoring.Slider, Value: 70}}
	}
	if _, err := st.PutNFTs(ctx, nfts, false, start); err != nil {
		t.Fatal(err)
	}
	l := ledger.New(st, ledger.Options{Policy: p})
	if _, err := l.Submit(ctx, votes); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	var numbers []int64
	for _, r := range ratings(t, st) {
		numbers = append(numbers, r.NFT)
	}
	w := &watched{Store: st}
	results, err := exact.Compute(ctx, w, p, numbers, publish.Cause{Reason: store.ReasonManual}, func() time.Time { return start })
	if err != nil || len(results) != n {
		t.Fatalf("%d results, %v", len(results), err)
	}
	if w.most > 50 || w.written != n {
		t.Errorf("%d ratings were written, up to %d in a transaction", w.written, w.most)
	}
}

// watched counts the ratings that transactions write.
type watched struct {
	store.Store
	written, most int
}

func (w *watched) Update(ctx context.Context, f func(store.Tx) error) error {
	return w.Store.Update(ctx, func(tx store.Tx) error { return f(&watchedTx{tx, w}) })
}

type watchedTx struct {
	store.Tx
	*watched
}

func (tx *watchedTx) Apply(ctx context.Context, c *store.Changes) error {
	tx.written += len(c.Ratings)
	tx.most = max(tx.most, len(c.Ratings))
	return tx.Tx.Apply(ctx, c)
}
