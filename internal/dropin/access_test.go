package dropin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/access"
	"poa/internal/dropin"
	"poa/internal/servicetest"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
)

// TestRoles sends every call of the client with every role. What computes is
// for operators.
func TestRoles(t *testing.T) {
	w := start(t, sqlitetest.New(t), func(_ *dropin.Options, s *access.Settings) { s.PublicReads = true })
	w.play()
	const wallet = "0x00000000000000000000000000000000000000aa"
	computes := []string{"test_trigger", "run_batch", "compute_single", "compute_batch", "compute_collection", `"batchSize":3}`}
	for _, c := range calls {
		method, operate := "GET", false
		if c.body != "" {
			method = "POST"
		}
		for _, word := range computes {
			operate = operate || strings.Contains(c.body, word)
		}
		for role, want := range map[store.Role]int{nobody: 401, store.VoterGateway: 403, store.Viewer: 200, store.Operator: 200} {
			if role == store.Viewer && operate {
				want = 403
			}
			// Who claims to be an admin by a wallet is nobody.
			got := w.ask(role, method, c.path, c.body, "x-wallet-address", wallet)
			if got.StatusCode != want {
				t.Errorf("%s %s as %s: %s, want %d\n%s", c.path, c.body, role, got.Status, want, got.body)
			}
		}
	}
	if got := w.ask(nobody, "GET", schedulerPath, "", "Authorization", "Bearer poa_unknown"); got.StatusCode != 401 || !strings.Contains(string(got.body), "unknown or revoked") {
		t.Errorf("an unknown key: %s\n%s", got.Status, got.body)
	}
}

// TestRefusedBeforeTheBody: who may not look learns nothing of what is wrong
// with a body.
func TestRefusedBeforeTheBody(t *testing.T) {
	w := start(t, sqlitetest.New(t))
	if got := w.ask(nobody, "POST", schedulerPath, `not JSON`); got.StatusCode != 401 {
		t.Errorf("%s\n%s", got.Status, got.body)
	}
}

func TestRateLimit(t *testing.T) {
	w := start(t, sqlitetest.New(t), func(_ *dropin.Options, s *access.Settings) { s.KeyPerMinute = 2 })
	statuses := []int{}
	var last response
	for range 3 {
		last = w.ask(store.Viewer, "GET", schemaPath, "")
		statuses = append(statuses, last.StatusCode)
	}
	if diff := cmp.Diff([]int{200, 200, 429}, statuses); diff != "" || last.Header.Get("Retry-After") == "" {
		t.Errorf("Retry-After %q (-want +got):\n%s", last.Header.Get("Retry-After"), diff)
	}
}

// TestContentType: a body that a page of another origin can send without asking
// beforehand is refused.
func TestContentType(t *testing.T) {
	w := start(t, sqlitetest.New(t))
	for kind, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON": 200,
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/jsonx": 415, ";": 415,
	} {
		if got := w.ask(store.Operator, "POST", backfillPath, `{"dryRun":true}`, "Content-Type", kind); got.StatusCode != want {
			t.Errorf("%q: %s, want %d\n%s", kind, got.Status, want, got.body)
		}
	}
}

func TestOtherOrigins(t *testing.T) {
	w := start(t, sqlitetest.New(t), func(_ *dropin.Options, s *access.Settings) { s.AllowedOrigins = "https://game.example" })
	for _, path := range dropin.Paths() {
		got := w.ask(nobody, "OPTIONS", path, "", "Origin", "https://game.example",
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,x-wallet-address")
		allowed := strings.ToLower(got.Header.Get("Access-Control-Allow-Headers"))
		for _, name := range []string{"authorization", "content-type", "x-wallet-address"} {
			if !strings.Contains(allowed, name) {
				t.Errorf("%s: header %s is not allowed", path, name)
			}
		}
		if got.StatusCode != 204 || got.Header.Get("Access-Control-Allow-Origin") != "https://game.example" || !strings.Contains(got.Header.Get("Access-Control-Allow-Methods"), "POST") {
			t.Errorf("%s: %s, %v", path, got.Status, got.Header)
		}
	}
	for origin, want := range map[string]string{"https://game.example": "https://game.example", "https://other.example": ""} {
		for _, role := range []store.Role{store.Viewer, nobody} { // errors can be read too
			got := w.ask(role, "GET", schedulerPath, "", "Origin", origin)
			if h := got.Header.Get("Access-Control-Allow-Origin"); h != want {
				t.Errorf("%s as %s: allowed is %q", origin, role, h)
			}
			if !strings.Contains(strings.Join(got.Header.Values("Vary"), ","), "Origin") {
				t.Errorf("%s as %s: Vary is %q", origin, role, got.Header.Values("Vary"))
			}
		}
	}
}

// always has the same person signed in.
type always struct{ person store.Person }

func (s always) Person(*http.Request, func() error) (*store.Person, error) { return &s.person, nil }

// TestSessionFromAnotherOrigin: pages of allowed origins act for who is signed
// in, others do not.
func TestSessionFromAnotherOrigin(t *testing.T) {
	w := start(t, sqlitetest.New(t), func(o *dropin.Options, s *access.Settings) {
		s.AllowedOrigins = "https://game.example"
		guard, err := access.New(o.Store, always{store.Person{Number: 1, Name: "otto", Role: store.Operator}}, *s, o.Now, nil)
		must(t, err)
		o.Guard = guard
	})
	for origin, want := range map[string]int{"https://game.example": 200, "https://other.example": 403} {
		if got := w.ask(nobody, "POST", backfillPath, `{"batchSize":1}`, "Origin", origin); got.StatusCode != want {
			t.Errorf("from %s: %s\n%s", origin, got.Status, got.body)
		}
	}
}

// TestAudit: the log tells which key computed, and the log of requests who sent
// them.
func TestAudit(t *testing.T) {
	servicetest.OnBoth(t, func(t *testing.T, st servicetest.Store) {
		counted := map[string]int64{} // computations that are no run's
		w := start(t, st, func(o *dropin.Options, _ *access.Settings) {
			o.Computed = func(reason, outcome string, n int64) { counted[reason+" "+outcome] += n }
		})
		w.play()
		w.clock.move(time.Minute)
		since := w.clock.Now()
		for _, c := range []struct{ path, body string }{
			{schedulerPath, `{"action":"test_trigger","nftId":"k1","triggerType":"super_vote"}`},
			{schedulerPath, `{"action":"simulate_trigger","nftId":"k1","triggerType":"super"}`},
			{computePath, `{"action":"compute_single","nftId":"k2"}`},
			{nftsPath, `{"action":"compute_batch","nftIds":["k4"]}`},
			{backfillPath, `{"batchSize":1}`},
			{schedulerPath, `{"action":"run_batch","batchSize":1}`},
			{computePath, `{"action":"compute_collection","collectionName":"BEEISH"}`},
		} {
			if got := w.ask(store.Operator, "POST", c.path, c.body); got.StatusCode != 200 {
				t.Fatalf("%s: %s\n%s", c.body, got.Status, got.body)
			}
			w.clock.move(time.Second)
		}
		entries, err := w.store.ListActivity(t.Context(), store.ActivityQuery{Since: since, Limit: 100})
		must(t, err)
		type entry struct {
			Kind                    store.ActivityKind
			NFT, Reason, Basis, Who string
			Run                     int64
		}
		var got []entry
		for _, e := range entries {
			got = append([]entry{{e.Kind, e.NFTID, e.Reason, string(e.Basis), e.Who, e.Run}}, got...)
		}
		const who = "the operator"
		want := []entry{
			{store.Computed, "k1", "manual", "exact", who, 0},
			{store.Computed, "k2", "manual", "exact", who, 0},
			{store.Computed, "k4", "manual", "exact", who, 0},
			{store.Computed, "b1", "backfill", "exact", who, 0},
			{store.RunStarted, "", "manual", "", who, 1},
			{store.Computed, "k5", "manual", "exact", who, 1},
			{store.RunEnded, "", "manual", "", who, 1},
			{store.RunStarted, "", "backfill", "", who, 2},
			{store.Computed, "b1", "backfill", "exact", "", 2},
			{store.Computed, "b2", "backfill", "exact", "", 2},
			{store.RunEnded, "", "backfill", "", who, 2},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		counts := map[string]int64{"manual changed": 3, "backfill changed": 1}
		if diff := cmp.Diff(counts, counted); diff != "" {
			t.Errorf("computations counted for the charts (-want +got):\n%s", diff)
		}
		if n := strings.Count(w.Logged.String(), `who="the operator"`); n != 7 {
			t.Errorf("the log of requests names the key %d times, want 7", n)
		}
	})
}

// TestViewersCostNothing: what several viewers look at is read once a second,
// and what is counted once a minute.
func TestViewersCostNothing(t *testing.T) {
	servicetest.OnBoth(t, func(t *testing.T, st servicetest.Store) {
		w := start(t, st)
		w.play()
		look := func() int64 {
			before := w.store.Statements()
			if got := w.ask(store.Viewer, "GET", schedulerPath, ""); got.StatusCode != 200 {
				t.Fatalf("%s\n%s", got.Status, got.body)
			}
			return w.store.Statements() - before
		}
		w.ask(store.Viewer, "GET", schedulerPath, "") // also looks the key up
		var all sync.WaitGroup
		before := w.store.Statements()
		for range 20 {
			all.Go(func() { w.ask(store.Viewer, "GET", schedulerPath, "") })
		}
		all.Wait()
		if n := w.store.Statements() - before; n != 0 {
			t.Errorf("20 more viewers cost %d statements", n)
		}
		w.clock.move(time.Second)
		second := look()
		w.clock.move(time.Minute)
		w.ask(store.Viewer, "GET", schemaPath, "") // the key is looked up anew, and voters are summed up
		minute := look()
		if second == 0 || minute <= second {
			t.Errorf("%d statements after a second, %d after a minute", second, minute)
		}
		t.Logf("%d statements a second at most, while anybody looks", second)
		// What an operator does shows at once.
		if got := w.ask(store.Operator, "POST", schedulerPath, `{"action":"test_trigger","nftId":"k4","triggerType":"new_vote"}`); got.StatusCode != 200 {
			t.Fatal(string(got.body))
		}
		var doc struct {
			Data struct {
				RecentActivity struct{ RecentComputations []struct{ ID string } }
			}
		}
		must(t, json.Unmarshal(w.ask(store.Viewer, "GET", schedulerPath, "").body, &doc))
		if list := doc.Data.RecentActivity.RecentComputations; len(list) == 0 || list[0].ID != "k4" {
			t.Errorf("the latest computation is not listed first: %v", list)
		}
	})
}
