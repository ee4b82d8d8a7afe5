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
	cast(t, st, p, votes)
}

// drift has all voters of open rate an NFT beside n0 to n2, which moves what
// their ratings of those are worth.
func drift(t *testing.T, st store.Store, p *publish.Policy) {
	t.Helper()
	var votes []ledger.Vote
	for i := range 5 {
		votes = append(votes, ledger.Vote{
			Key: fmt.Sprintf("drift%d", i), Voter: fmt.Sprintf("v%d", i), A: "n5", Vote: scoring.Vote{Kind: scoring.Slider, Value: 100},
		})
	}
	cast(t, st, p, votes)
}

func cast(t *testing.T, st store.Store, p *publish.Policy, votes []ledger.Vote) {
	t.Helper()
	l := ledger.New(st, ledger.Options{Policy: p})
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

func opinions(t *testing.T, st store.Store) (rows []store.Opinion) {
	t.Helper()
	err := st.View(context.Background(), func(v store.View) error {
		for o, err := range v.AllOpinions(context.Background()) {
			if err != nil {
				return err
			}
			rows = append(rows, o)
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

// TestVotesDuringTheRead has votes fold between the read and the write. What is
// kept then is what a computation right before these votes leaves.
func TestVotesDuringTheRead(t *testing.T) {
	st, p := open(t, 300)
	before, q := open(t, 300)
	some := []int64{1, 2, 3}
	cause := publish.Cause{Reason: store.ReasonBatch}
	reads := 0
	beside := &racing{Store: st, after: func() {
		reads++
		race(t, st, p)
	}}
	results, err := exact.Compute(context.Background(), beside, p, some, cause, time.Now)
	if err != nil || len(results) != 3 || reads != 1 {
		t.Fatalf("%d results from %d reads, %v", len(results), reads, err)
	}
	if _, err := exact.Compute(context.Background(), before, q, some, cause, time.Now); err != nil {
		t.Fatal(err)
	}
	race(t, before, q)

	replaced := 0
	got, want := ratings(t, st), ratings(t, before)
	for i := range got {
		r, w := &got[i], &want[i]
		if diff := cmp.Diff(w.Rating, r.Rating); diff != "" {
			t.Errorf("NFT %s, want to got:\n%s", r.ID, diff)
		}
		if r.Version != w.Version || r.LastVote != w.LastVote || r.ExactVote != w.ExactVote || r.ExactMatchupWeight != w.ExactMatchupWeight {
			t.Errorf("NFT %s: %+v, want %+v", r.ID, r, w)
		}
		if i >= len(some) {
			continue
		}
		if r.ExactVote == r.LastVote || !r.Due.Since.IsZero() {
			t.Errorf("NFT %s: exact through vote %d of %d, due since %v", r.ID, r.ExactVote, r.LastVote, r.Due.Since)
		}
		if r.Score == nil || r.Score.Basis != store.Exact || r.Score.ThroughVote != r.LastVote {
			t.Errorf("NFT %s: published %+v, the last vote is %d", r.ID, r.Score, r.LastVote)
		}
	}
	one, two := opinions(t, st), opinions(t, before)
	for i := range one {
		one[i].CastAt, two[i].CastAt = time.Time{}, time.Time{} // times of arrival
		if one[i].NFT <= 3 && one[i].Vote > 300 {
			replaced++
		}
	}
	if diff := cmp.Diff(two, one); diff != "" {
		t.Errorf("opinions, want to got:\n%s", diff)
	}
	if replaced == 0 {
		t.Error("no opinion was replaced meanwhile: the votes show nothing of them")
	}
	check(t, st, p)
}

// race has the voters v0 and v1 play n0, n1 and n2 against each other, rate each
// of them, and give or withdraw a FIRE.
func race(t *testing.T, st store.Store, p *publish.Policy) {
	t.Helper()
	fires := map[string]bool{}
	for _, o := range opinions(t, st) {
		if o.Kind == scoring.Fire && o.Standing {
			fires[fmt.Sprintf("n%d by %d", o.NFT-1, o.Voter)] = true
		}
	}
	voters := map[string]int64{}
	err := st.View(context.Background(), func(v store.View) error {
		for row, err := range v.AllVoters(context.Background()) {
			if err != nil {
				return err
			}
			voters[row.ID] = row.Number
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var votes []ledger.Vote
	for _, voter := range []string{"v0", "v1"} {
		for i := range 3 {
			nft := fmt.Sprintf("n%d", i)
			fire := scoring.Fire
			if fires[fmt.Sprintf("%s by %d", nft, voters[voter])] {
				fire = scoring.Unfire
			}
			for _, v := range []ledger.Vote{
				{B: fmt.Sprintf("n%d", (i+1)%3), Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinB}},
				{Vote: scoring.Vote{Kind: scoring.Slider, Value: float64(20 * i)}},
				{Vote: scoring.Vote{Kind: fire}},
			} {
				v.Key, v.Voter, v.A = fmt.Sprintf("race%d", len(votes)), voter, nft
				votes = append(votes, v)
			}
		}
	}
	cast(t, st, p, votes)
}

// TestTwoComputationsAtOnce has others compute the same NFTs between the read
// and the write, with and without votes around them.
func TestTwoComputationsAtOnce(t *testing.T) {
	for name, meanwhile := range map[string]func(t *testing.T, st store.Store, p *publish.Policy){
		"alone":       func(t *testing.T, st store.Store, p *publish.Policy) { compute(t, st, p) },
		"after votes": func(t *testing.T, st store.Store, p *publish.Policy) { race(t, st, p); compute(t, st, p) },
		"before votes": func(t *testing.T, st store.Store, p *publish.Policy) {
			compute(t, st, p)
			race(t, st, p)
		},
		"of voters who drifted": func(t *testing.T, st store.Store, p *publish.Policy) {
			drift(t, st, p)
			compute(t, st, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			st, p := open(t, 300)
			beside := &racing{Store: st, after: func() { meanwhile(t, st, p) }}
			results, err := exact.Compute(context.Background(), beside, p, []int64{1, 2, 3}, publish.Cause{Reason: store.ReasonBatch}, time.Now)
			if err != nil || len(results) != 3 {
				t.Fatalf("%d results, %v", len(results), err)
			}
			check(t, st, p)
			for _, r := range ratings(t, st)[:3] {
				if r.Score.Reason != store.ReasonBatch || r.Score.ThroughVote != r.LastVote {
					t.Errorf("NFT %s: published %+v, the last vote is %d", r.ID, r.Score, r.LastVote)
				}
			}
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
