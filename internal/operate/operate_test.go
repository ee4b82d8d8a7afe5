package operate_test

import (
	"errors"
	"testing"
	"time"

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
	if run, err := s.Cancel(ctx, manual, "alice"); err != nil || run.Cancel != "alice" {
		t.Errorf("cancelled %+v, %v", run, err)
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
