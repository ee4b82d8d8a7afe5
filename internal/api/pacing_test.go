package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/servicetest"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
)

// slowSaves is a store that takes time to save runs.
type slowSaves struct {
	servicetest.Store
	saving func()
}

func (s *slowSaves) Update(ctx context.Context, do func(store.Tx) error) error {
	return s.Store.Update(ctx, func(tx store.Tx) error { return do(&slowTx{tx.(store.ServiceTx), s.saving}) })
}

type slowTx struct {
	store.ServiceTx
	saving func()
}

func (x *slowTx) SaveRun(ctx context.Context, r store.Run) (string, error) {
	x.saving()
	return x.ServiceTx.SaveRun(ctx, r)
}

// TestSlowDatabaseIsTold sees that the schedule tells why a run goes slowly. The
// clock of its process moves only while runs are saved.
func TestSlowDatabaseIsTold(t *testing.T) {
	clock, saves := time.Now(), 0
	st := &slowSaves{Store: sqlitetest.New(t), saving: func() {
		saves++
		clock = clock.Add(2 * time.Millisecond)
		if saves == 3 {
			clock = clock.Add(9 * time.Second) // which ends the step too
		}
	}}
	s := start(t, func(o *options) { o.store, o.now = st, func() time.Time { return clock } })
	s.want(200, "PATCH", "/settings", store.Operator, `{"values":{"batch.mode":"adaptive"},"why":"a test"}`)
	var ids []string
	var votes []ledger.Vote
	for i := range 400 {
		ids = append(ids, fmt.Sprintf("c/%d", i))
		votes = append(votes, ledger.Vote{Key: ids[i], Voter: ids[i], A: ids[i], Vote: scoring.Vote{Kind: scoring.Slider, Value: 80}})
	}
	s.register(ids...)
	_, err := s.Ledger.Submit(t.Context(), votes)
	must(t, err)
	s.want(http.StatusAccepted, "POST", "/runs", store.Operator, `{"size":400}`)
	must(t, s.Queue.Step(t.Context()))
	type scheduler struct {
		Running []struct{ Done int64 }
		Pacing  struct {
			Mode             string
			Healthy, Stopped bool
			Chunk            int
			Reason           string
		}
	}
	got := read[scheduler](t, s.get("/scheduler", 200))
	if p := got.Pacing; len(got.Running) != 1 || got.Running[0].Done >= 400 || p.Mode != "adaptive" || p.Healthy || p.Stopped || p.Chunk == 0 ||
		!strings.HasPrefix(p.Reason, "database latency ") || !strings.HasSuffix(p.Reason, " its baseline of 2 ms") {
		t.Errorf("%+v", got)
	}
	must(t, s.Queue.Run(t.Context()))
	if got := read[scheduler](t, s.get("/scheduler", 200)); len(got.Running) != 0 {
		t.Errorf("after the run: %+v", got)
	}
}
