package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/store"
	"poa/internal/store/postgres/pgtest"
)

// TestOneBatchPerWindow has three processes on one PostgreSQL take votes while,
// in each window, the one that works on the batch is killed, and with it the
// leader of the job queue.
func TestOneBatchPerWindow(t *testing.T) {
	t.Parallel()
	const every = time.Minute
	windows, size := 2, 10
	if long() {
		windows, size = 60, 20
	}
	database := pgtest.New(t)
	a := api{t, web(t), makeKeys(t, database)}
	backlog(a, database, 400)

	// A killed run goes on when its lease has ended, so it takes most of a
	// window: the first one must not be almost over.
	if now := time.Now(); now.Truncate(every).Add(every).Sub(now) < 38*time.Second {
		time.Sleep(time.Until(now.Truncate(every).Add(every)))
	}
	first := time.Now().Truncate(every).UTC()
	start := func() *process {
		return serve(t, database, "batch.every="+every.String(), "batch.cap=45s", fmt.Sprintf("batch.size=%d", size))
	}
	processes := []*process{start(), start(), start()}
	c := newCrowd(a, 12, 400, processes...)
	replace := func(i int) {
		dead := processes[i]
		dead.Kill()
		processes[i] = start()
		c.replace(dead, processes[i])
	}
	for n := range windows {
		window := first.Add(time.Duration(n) * every)
		var r batchRun
		find := func() bool {
			return slices.ContainsFunc(a.runs(processes[0], "batch"), func(found batchRun) bool { r = found; return found.Name == window.Format(time.RFC3339) })
		}
		within(t, time.Until(window)+patience, "the batch to be at work", func() bool { return find() && r.Done >= 2 })
		if r.State != string(store.RunRunning) || r.Total != int64(size) {
			t.Fatalf("window %d: %+v, want a batch of %d at work", n, r, size)
		}
		holder := r.Holder
		victims := []int{holderOf(t, processes, holder), leaderOf(t, processes, database)}
		slices.Sort(victims)
		for _, i := range slices.Compact(victims) {
			replace(i)
		}
		within(t, patience, "the end of the killed batch", func() bool { return find() && r.State != string(store.RunRunning) })
		if r.State != string(store.RunDone) || r.Done != int64(size) || r.Failed != 0 || r.Holder == holder {
			t.Errorf("window %d: %+v, want all of it done by another process than %s", n, r, holder)
		}
	}
	c.finish()
	oncePerWindow(a, processes[0], first, every, windows)
	for _, p := range processes {
		p.stop(t)
	}
	c.check(database)
}

// backlog leaves n NFTs with a vote and without a score, in a window so long
// that its batch is long over.
func backlog(a api, database string, n int) {
	a.t.Helper()
	p := serve(a.t, database, "batch.every=168h")
	a.firstBatchEnds(p)
	a.register(p, n)
	a.pauseTriggers(p)
	votes := make([]vote, n)
	for i := range votes {
		votes[i] = vote{Key: "backlog-" + nftID(i), Voter: "v" + nftID(i), Kind: "fire", A: nftID(i)}
	}
	if got := a.castMany(p, votes); got.Recorded != n {
		a.t.Fatalf("%+v", got)
	}
	p.stop(a.t)
}

// holderOf returns which process a run's holder is.
func holderOf(t *testing.T, processes []*process, holder string) int {
	t.Helper()
	i := slices.IndexFunc(processes, func(p *process) bool { return strings.HasSuffix(holder, fmt.Sprintf("/%d", p.ID())) })
	if i < 0 {
		t.Fatalf("%q is none of the processes", holder)
	}
	return i
}

// leaderOf returns which process leads the job queue, the first one where none
// does: its id in the queue ends with the time at which it began.
func leaderOf(t *testing.T, processes []*process, database string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var id string
	err = conn.QueryRow(t.Context(), "SELECT leader_id FROM river_leader").Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	const form = "2006_01_02T15_04_05"
	i := strings.LastIndex(id, "_") // a fraction of a second follows
	began, err := time.Parse(form+".000000", id[max(0, i-len(form)):max(0, i)]+"."+id[i+1:])
	if err != nil {
		t.Fatalf("the leader is %q: %v", id, err)
	}
	leader := 0
	for i, p := range processes {
		if p.Began.Before(began) && (p.Began.After(processes[leader].Began) || !processes[leader].Began.Before(began)) {
			leader = i
		}
	}
	return leader
}

// oncePerWindow checks that each window has one batch, which began once and
// ended once.
func oncePerWindow(a api, p *process, first time.Time, every time.Duration, windows int) {
	a.t.Helper()
	seen := map[string]int{}
	for _, r := range a.runs(p, "batch") {
		seen[r.Name]++
		var page struct{ Items []struct{ Kind string } }
		a.call(p, "GET", fmt.Sprintf("/runs/%d/items?limit=200", r.Number), nil, &page)
		kinds := map[string]int{}
		for _, item := range page.Items {
			kinds[item.Kind]++
		}
		if kinds["run_started"] != 1 || r.State != string(store.RunRunning) && kinds["run_ended"] != 1 {
			a.t.Errorf("the batch of %s: %v", r.Name, kinds)
		}
	}
	for n := range windows {
		name := first.Add(time.Duration(n) * every).Format(time.RFC3339)
		if seen[name] != 1 {
			a.t.Errorf("window %s has %d batches", name, seen[name])
		}
	}
}

// TestKilledBetweenQueueAndClaim kills a process that has taken a step from the
// job queue and not claimed it yet: the queue believes that somebody works on
// it, and the run must go on all the same.
func TestKilledBetweenQueueAndClaim(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := api{t, web(t), makeKeys(t, database)}
	backlog(a, database, 10)
	p := serve(t, database, "batch.every=168h")
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	// Whoever claims a run waits for the lock that this test holds.
	_, err = conn.Exec(ctx, `
		CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN new; END';
		CREATE TRIGGER wait BEFORE UPDATE ON runs FOR EACH ROW WHEN (new.steps > old.steps) EXECUTE FUNCTION wait();
		SELECT pg_advisory_lock(4711)`)
	if err != nil {
		t.Fatal(err)
	}
	a.call(p, "POST", "/runs", map[string]any{"name": "to be killed", "size": 5}, nil)
	eventually(t, "the step to be taken", func() bool {
		var waiting bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		return waiting
	})
	p.Kill()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock(4711)"); err != nil {
		t.Fatal(err)
	}
	p = serve(t, database, "batch.every=168h")
	within(t, 2*patience, "the killed run to go on to its end", func() bool {
		runs := a.runs(p, "manual")
		return len(runs) == 1 && runs[0].State == string(store.RunDone) && runs[0].Done == 5
	})
	verified(t, database)
}
