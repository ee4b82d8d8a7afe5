package operate_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/config"
	"poa/internal/ledger"
	"poa/internal/operate"
	"poa/internal/samples"
	"poa/internal/scoring"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
)

// TestByHand computes NFTs and cancels runs, and sees who is told of it.
func TestByHand(t *testing.T) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	st := sqlitetest.New(t)
	set, err := settings.Open(ctx, st, settings.Options{
		Load: func(stored map[string]string) (*config.Config, error) {
			return config.Load(config.Options{Stored: stored})
		}, Who: "test",
	})
	must(err)
	told := map[string]int64{}
	s := operate.New(operate.Options{Store: st, Settings: set.Current, Computed: func(reason, outcome string, n int64) { told[reason+" "+outcome] += n }})
	_, err = st.PutNFTs(ctx, []store.NFT{{ID: "c/1"}, {ID: "c/2"}}, false, time.Now())
	must(err)

	if _, err := s.Compute(ctx, "nothing", "alice"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown NFT: %v", err)
	}
	if r, err := s.Compute(ctx, "c/2", "alice"); err != nil || r.Before != nil || r.After != nil || len(told) != 0 {
		t.Errorf("an NFT without votes: %+v, %v, told %v", r, err, told)
	}
	l := ledger.New(st, ledger.Options{Policy: set.Current().Policy})
	answers, err := l.Submit(ctx, []ledger.Vote{{Key: "1", Voter: "v", A: "c/1", Vote: scoring.Vote{Kind: scoring.Slider, Value: 80}}})
	must(err)
	must(answers[0].Err)
	must(l.Close(ctx))
	if r, err := s.Compute(ctx, "c/1", "alice"); err != nil || r.Before != nil || r.After == nil || told["manual "+samples.Changed] != 1 {
		t.Errorf("a first score: %+v, %v, told %v", r, err, told)
	}
	if r, err := s.Compute(ctx, "c/1", "alice"); err != nil || r.Before == nil || told["manual "+samples.Unchanged] != 1 {
		t.Errorf("the same again: %+v, %v, told %v", r, err, told)
	}

	start := func(kind store.RunKind) int64 {
		t.Helper()
		run, _, err := st.StartRun(ctx, store.Run{Kind: kind, Window: "one", Plan: "{}", State: store.RunRunning, RequestedBy: "test", CreatedAt: time.Now()}, store.Activity{At: time.Now(), Kind: store.RunStarted})
		must(err)
		return run.Number
	}
	manual, upkeep := start(store.ManualRun), start(store.UpkeepRun)
	scheduled := start(store.BatchRun)
	for _, number := range []int64{manual, scheduled} {
		for _, who := range []string{"alice", "bob"} { // the first to ask is kept
			if run, err := s.Cancel(ctx, number, who); err != nil || run.Cancel != "alice" {
				t.Errorf("cancelled %+v, %v", run, err)
			}
		}
	}
	logged := func(kind store.ActivityKind) (list []string) {
		t.Helper()
		entries, err := st.ListActivity(ctx, store.ActivityQuery{Kind: kind, Limit: 10})
		must(err)
		for _, a := range entries {
			if a.At.IsZero() || a.NFT != 0 {
				t.Errorf("%+v", a)
			}
			list = append(list, fmt.Sprintf("%s %d %s: %s", a.Reason, a.Run, a.Who, a.Detail))
		}
		return list
	}
	if diff := cmp.Diff([]string{"batch 3 alice: the end of the run was asked for", "manual 1 alice: the end of the run was asked for"}, logged(store.CancelAsked)); diff != "" {
		t.Errorf("logged of cancelled runs (-want +got):\n%s", diff)
	}
	for _, nfts := range [][]store.NFT{{{ID: "c/3"}, {ID: "c/1"}, {ID: "c/3", Name: "again"}}, {{ID: "c/3", Name: "renamed"}}} {
		_, _, err := s.Register(ctx, nfts, "key game")
		must(err)
	}
	if diff := cmp.Diff([]string{" 0 key game: 0 registered, 1 updated: c/3", " 0 key game: 1 registered, 1 updated"}, logged(store.NFTsRegistered)); diff != "" {
		t.Errorf("logged of NFTs (-want +got):\n%s", diff)
	}
	if _, err := s.Cancel(ctx, upkeep, "alice"); !errors.Is(err, operate.ErrUpkeep) {
		t.Errorf("upkeep: %v", err)
	}
	if _, err := s.Cancel(ctx, 99, "alice"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no run: %v", err)
	}
	if err := s.DiscardFailure(ctx, "c/1", "alice"); !errors.Is(err, operate.ErrNotFailed) {
		t.Errorf("not failed: %v", err)
	}
}
