package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/sqlite"
	"poa/internal/store/storetest"
)

// crowd are clients that keep voting through whatever process runs, and repeat
// each vote by its key until it is acknowledged.
type crowd struct {
	api
	nfts int
	stop chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex // guards what follows
	alive  []*process
	acked  map[string]int64 // vote number by key
	turned int              // answers that said to try again
	cut    int              // requests without an answer
}

// newCrowd starts clients that vote on NFTs n0, n1, …
func newCrowd(a api, clients, nfts int, processes ...*process) *crowd {
	c := &crowd{api: a, nfts: nfts, stop: make(chan struct{}), alive: processes, acked: map[string]int64{}}
	for i := range clients {
		c.wg.Go(func() { c.client(i) })
	}
	a.t.Cleanup(c.finish)
	return c
}

func (c *crowd) client(id int) {
	random := rand.New(rand.NewPCG(uint64(id), 11))
	for n := 0; !c.t.Failed(); n++ {
		select {
		case <-c.stop:
			return
		default:
		}
		v := c.vote(random, fmt.Sprintf("c%d-%d", id, n))
		for !c.try(v, c.process(random.IntN)) && !c.t.Failed() {
			time.Sleep(time.Duration(5+random.IntN(30)) * time.Millisecond)
		}
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // some hundred votes a second in all
	}
}

// try sends a vote once and reports whether it was acknowledged.
func (c *crowd) try(v vote, p *process) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := send(ctx, c.web, "POST", p.url+"/api/v1/votes", c.keys.gateway, v)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil: // the process died, or is not up yet
		c.cut++
		return false
	case r.status == http.StatusCreated, r.status == http.StatusOK:
		var a answer
		if err := json.Unmarshal(r.body, &a); err != nil || a.Number == 0 {
			c.t.Errorf("vote %s: %s, %v", v.Key, r.body, err)
		}
		if a.Duplicate != (r.status == http.StatusOK) {
			c.t.Errorf("vote %s: %s", v.Key, r)
		}
		c.acked[v.Key] = a.Number
		return true
	}
	if err := temporary(r); err != nil {
		c.t.Errorf("vote %s: %v", v.Key, err)
	}
	c.turned++
	return false
}

func (c *crowd) process(pick func(int) int) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alive[pick(len(c.alive))]
}

// replace puts a new process in the place of a dead one.
func (c *crowd) replace(dead, p *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.alive {
		if c.alive[i] == dead {
			c.alive[i] = p
		}
	}
}

func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

// refused is how many answers said to try again.
func (c *crowd) refused() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turned
}

// more waits for further acknowledged votes.
func (c *crowd) more(n int) {
	c.t.Helper()
	before := c.count()
	eventually(c.t, fmt.Sprintf("%d more votes", n), func() bool { return c.count() >= before+n })
}

// turnedAway waits for further answers that say to try again.
func (c *crowd) turnedAway(n int) {
	c.t.Helper()
	before := c.refused()
	eventually(c.t, fmt.Sprintf("%d answers that say to try again", n), func() bool { return c.refused() >= before+n })
}

// vote makes a vote of any kind. Voters are so many that none exceeds its rate.
func (c *crowd) vote(random *rand.Rand, key string) vote {
	a := random.IntN(c.nfts)
	v := vote{Key: key, Voter: fmt.Sprintf("v%d", random.IntN(5000)), A: nftID(a)}
	switch n := random.IntN(100); {
	case n < 60:
		v.Kind, v.Super, v.B = "matchup", n < 10, nftID((a+1+random.IntN(c.nfts-1))%c.nfts)
		v.Outcome = []string{"a", "b", "tie", "none"}[random.IntN(4)]
	case n < 80:
		x := float64(random.IntN(101))
		v.Kind, v.Value = "slider", &x
	case n < 90:
		v.Kind = "fire"
	default:
		v.Kind = "unfire"
	}
	return v
}

// finish ends the clients once each has its last vote acknowledged.
func (c *crowd) finish() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.wg.Wait()
}

// check compares the log with what was acknowledged, and verifies the state.
func (c *crowd) check(database string) {
	c.t.Helper()
	st := open(c.t, database)
	ctx := context.Background()
	err := st.View(ctx, func(v store.View) error {
		inLog := 0
		for vote, err := range v.Log(ctx, 0) {
			if err != nil {
				return err
			}
			if !strings.HasPrefix(vote.Key, "c") {
				continue // not of the crowd
			}
			inLog++
			if number, ok := c.acked[vote.Key]; !ok || number != vote.Number {
				c.t.Errorf("vote %s is in the log as number %d, acknowledged as %d (%v)", vote.Key, vote.Number, number, ok)
			}
		}
		if inLog != len(c.acked) {
			c.t.Errorf("%d votes in the log, %d acknowledged", inLog, len(c.acked))
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	verified(c.t, database)
	c.t.Logf("%d votes acknowledged, %d told to try again, %d without an answer", len(c.acked), c.turned, c.cut)
}

// open opens a database beside the processes.
func open(t *testing.T, database string) store.Service {
	t.Helper()
	var st store.Service
	var err error
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		st, err = sqlite.Open(t.Context(), path)
	} else {
		st, err = postgres.Open(t.Context(), database)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func stateOf(t *testing.T, database string) storetest.State {
	t.Helper()
	return storetest.StateOf(t, open(t, database))
}
