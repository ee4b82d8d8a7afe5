package overview_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/ledger"
	"poa/internal/overview"
	"poa/internal/publish"
	"poa/internal/samples"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/sqlite"
	"poa/internal/store/sqlite/sqlitetest"
)

// world is a service in virtual time, which starts at midnight UTC.
type world struct {
	*overview.Reader
	t      *testing.T
	store  *sqlite.Store
	ledger *ledger.Ledger
	keys   int
}

func inWorld(t *testing.T, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		st := sqlitetest.New(t)
		version, err := st.Prepare(ctx, scoring.Defaults(), "test", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var nfts []store.NFT
		for i := range 10 {
			nfts = append(nfts, store.NFT{ID: fmt.Sprint("n", i), Collection: fmt.Sprint("c", i%2), ImageURL: "https://img.example/" + fmt.Sprint(i)})
		}
		if _, err := st.PutNFTs(ctx, nfts, false, time.Now()); err != nil {
			t.Fatal(err)
		}
		recorder := samples.NewRecorder(samples.Options{Store: st})
		recorder.Start()
		defer recorder.Stop(ctx)
		l := ledger.New(st, ledger.Options{Policy: publish.Default(version), Observer: recorder})
		defer l.Close(ctx)
		f(&world{Reader: overview.New(overview.Options{Store: st, Samples: samples.NewReader(recorder)}), t: t, store: st, ledger: l})
	})
}

// cast casts a vote on an NFT by a voter of its own. FIRE triggers, a slider
// rating does not.
func (w *world) cast(nft string, kind scoring.Kind, value float64) {
	w.t.Helper()
	w.keys++
	answers, err := w.ledger.Submit(context.Background(), []ledger.Vote{{
		Key: fmt.Sprint(w.keys), Voter: fmt.Sprint("v", w.keys), A: nft, Vote: scoring.Vote{Kind: kind, Value: value},
	}})
	if err != nil || answers[0].Err != nil {
		w.t.Fatal(err, answers)
	}
}

func (w *world) overview() *overview.Overview {
	w.t.Helper()
	o, err := w.Overview(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func TestOverview(t *testing.T) {
	inWorld(t, func(w *world) {
		o := w.overview()
		if o.NFTs != 10 || o.Votes+o.Scored+o.Ready+o.VotesToday != 0 || o.Coverage() != 0 || !math.IsNaN(o.POA()) || !math.IsNaN(o.Confidence()) ||
			!o.WaitingSince.IsZero() || o.Distribution != (store.Bins{}) || len(o.Top)+len(o.Recent) != 0 {
			t.Errorf("before any vote: %+v", o)
		}
		w.cast("n1", scoring.Slider, 90)
		waits := time.Now()
		time.Sleep(time.Minute)
		w.cast("n2", scoring.Slider, 50)
		w.cast("n3", scoring.Fire, 0)
		w.cast("n4", scoring.Fire, 0)
		w.cast("n4", scoring.Fire, 0)
		time.Sleep(time.Second)
		o = w.overview()
		want := overview.Totals{NFTs: 10, Votes: 2, Scored: 2, Ready: 2}
		want.POASum, want.ConfidenceSum = o.POASum, o.ConfidenceSum
		if o.Totals != want || o.Coverage() != 0.2 || o.VotesToday != 5 || !o.WaitingSince.Equal(waits) {
			t.Errorf("%+v, want %+v; %d votes today, waiting since %v", o.Totals, want, o.VotesToday, o.WaitingSince)
		}
		var sum float64
		var inBins store.Bins
		for _, r := range o.Top {
			sum += r.Rating.Score.POA
			inBins.Add(store.BinCounter(r.Rating.Score.POA), 1)
		}
		if math.Abs(o.POA()-sum/2) > 1e-9 || o.Distribution != inBins {
			t.Errorf("the average is %v, want %v; the distribution %v, want %v", o.POA(), sum/2, o.Distribution, inBins)
		}
		var top, recent []string
		for i := range o.Top {
			top, recent = append(top, o.Top[i].NFT.ID), append(recent, o.Recent[i].NFT.ID+" "+o.Recent[i].NFT.ImageURL)
		}
		if diff := cmp.Diff([]string{"n4", "n3", "n4 https://img.example/4", "n3 https://img.example/3"}, append(top, recent...)); diff != "" {
			t.Error(diff)
		}
		all, err := w.Collections(context.Background())
		if err != nil || len(all) != 2 || overview.TotalsOf(all...) != o.Totals || overview.TotalsOf(all[0]).NFTs != 5 {
			t.Errorf("collections %+v, %v", all, err)
		}
		time.Sleep(24 * time.Hour)
		if o := w.overview(); o.VotesToday != 0 {
			t.Errorf("%d votes on the next day", o.VotesToday)
		}
	})
}

// Viewers who ask every three seconds, as pages do, cost what one does though
// they do not ask together.
func TestViewersNeedNotAskTogether(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cast("n1", scoring.Fire, 0)
		look := func(viewers int) int64 {
			time.Sleep(time.Minute)
			before := w.store.Statements()
			for range 10 {
				for range viewers {
					w.overview()
					time.Sleep(3 * time.Second / time.Duration(viewers))
				}
			}
			return w.store.Statements() - before
		}
		if one, hundred := look(1), look(100); one == 0 || hundred > one {
			t.Errorf("one viewer costs %d statements, a hundred cost %d", one, hundred)
		}
	})
}

func TestChangedCollectionsAreReadAnew(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx := context.Background()
		off := func() (n int) {
			all, err := w.Collections(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for i := range all {
				if !all[i].Active {
					n++
				}
			}
			return n
		}
		if n := off(); n != 0 {
			t.Fatalf("%d collections are off", n)
		}
		time.Sleep(time.Millisecond)
		if err := w.store.SetCollectionActive(ctx, "c1", false); err != nil {
			t.Fatal(err)
		}
		w.Changed()
		time.Sleep(time.Millisecond)
		if n := off(); n != 1 {
			t.Errorf("%d collections are off after one was switched", n)
		}
		if err := w.store.SetCollectionActive(ctx, "c0", false); err != nil {
			t.Fatal(err)
		}
		w.Steered = time.Now // heard all the time
		if n := off(); n != 2 {
			t.Errorf("%d collections are off after another was switched elsewhere", n)
		}
	})
}

// A hundred viewers cost what one does, and nobody costs nothing.
func TestViewersShare(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cast("n1", scoring.Fire, 0)
		look := func(viewers int) int64 {
			time.Sleep(time.Minute)
			before := w.store.Statements()
			var all sync.WaitGroup
			for range viewers {
				all.Go(func() {
					for range 20 {
						w.overview()
						time.Sleep(time.Second / 2)
					}
				})
			}
			all.Wait()
			return w.store.Statements() - before
		}
		none := w.store.Statements()
		time.Sleep(10 * time.Second)
		none = w.store.Statements() - none
		one, hundred := look(1), look(100)
		if none != 0 || one == 0 || hundred != one {
			t.Errorf("nobody costs %d statements, one viewer %d, a hundred %d", none, one, hundred)
		}
	})
}
