package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"poa/internal/dropin"
)

// TestOldAdminAPI has a served poa answer the old scheduler's front end: a run
// that the request waits for, and its result.
func TestOldAdminAPI(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		poa(t, database, "migrate")
		gateway, operator, viewer := newKey(t, database, "voter-gateway"), newKey(t, database, "operator"), newKey(t, database, "viewer")
		t.Setenv("POA_ACCESS_ALLOWED_ORIGINS", "https://game.example")
		t.Setenv("POA_LOG_LEVEL", "debug") // which tells of requests
		s := serve(t, database)
		const path = "/api/admin/poa-v2-scheduler"
		s.want(401, "GET", path, "", "")
		s.want(200, "POST", "/api/v1/nfts", operator, `[{"id":"c/1","name":"One","collection":"Kabu"},{"id":"c/2","name":"Two","collection":"Kabu"}]`)
		for i, nft := range []string{"c/1", "c/2"} {
			s.want(201, "POST", "/api/v1/votes", gateway, fmt.Sprintf(`{"key":"k%d","voter":"ann","kind":"slider","a":%q,"value":70}`, i, nft))
		}
		s.want(403, "POST", path, viewer, `{"action":"run_batch"}`)
		var batch struct {
			Data struct {
				BatchResult struct {
					Success bool
					Run     struct{ State string }
				}
			}
		}
		if err := json.Unmarshal([]byte(s.want(200, "POST", path, operator, `{"action":"run_batch","batchSize":2}`)), &batch); err != nil {
			t.Fatal(err)
		}
		if r := batch.Data.BatchResult; !r.Success || r.Run.State != "done" {
			t.Errorf("the run is %+v", r)
		}
		// The scheduled batch may have taken one of them first.
		if status := s.want(200, "GET", path, viewer, ""); !strings.Contains(status, `"nfts_with_poa_v2":2`) || !strings.Contains(status, `"systemHealth":"healthy"`) {
			t.Errorf("the status is %s", status)
		}
		for _, other := range []string{"/api/admin/poa-v2-nfts", "/api/test-poa-v2-schema", "/api/admin/poa-v2-backfill"} {
			s.want(200, "GET", other, viewer, "")
		}
		s.want(200, "POST", "/api/compute-poa-v2", operator, `{"action":"compute_single","nftId":"c/1"}`)
		asks, err := http.NewRequestWithContext(t.Context(), "OPTIONS", s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		asks.Header.Set("Origin", "https://game.example")
		asks.Header.Set("Access-Control-Request-Method", "POST")
		may, err := http.DefaultClient.Do(asks)
		if err != nil {
			t.Fatal(err)
		}
		may.Body.Close()
		if origin := may.Header.Get("Access-Control-Allow-Origin"); may.StatusCode != http.StatusNoContent || origin != "https://game.example" {
			t.Errorf("a browser that asks is answered %s, allowing %q", may.Status, origin)
		}
		s.stop()
		if !strings.Contains(s.Log(), "path="+path+" status=200") {
			t.Errorf("the log does not tell of the requests:\n%s", s.Log())
		}
	})
}

// TestDocumentedProxiesWait: the proxies of the documentation wait for the old
// admin API as long as it may take, and send no POST of it twice, unlike votes.
func TestDocumentedProxiesWait(t *testing.T) {
	location := regexp.MustCompile(`(?ms)^ *location ~ (\S+) \{$(.*?)^ *\}$`)
	wait := regexp.MustCompile(`proxy_read_timeout (\d+)s;`)
	again := regexp.MustCompile(`proxy_next_upstream ([^;]*);`)
	const longest = 90 // seconds: waiting for a run, and what every request may take
	for _, page := range []string{"operations.md", "migrating.md"} {
		text, err := os.ReadFile(filepath.Join("../../docs", page))
		if err != nil {
			t.Fatal(err)
		}
		found := location.FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no location for the old admin API", page)
		}
		for _, path := range dropin.Paths() {
			if ok, err := regexp.MatchString(string(found[1]), path); err != nil || !ok {
				t.Errorf("%s: the location is not for %s: %v", page, path, err)
			}
		}
		block := found[2]
		seconds, repeats := wait.FindSubmatch(block), again.FindSubmatch(block)
		if seconds == nil || repeats == nil {
			t.Fatalf("%s: the location says not how long it waits and what it repeats:\n%s", page, block)
		}
		if n, err := strconv.Atoi(string(seconds[1])); err != nil || n <= longest {
			t.Errorf("%s: the proxy waits %s s, no longer than poa: %v", page, seconds[1], err)
		}
		if strings.Contains(string(repeats[1]), "non_idempotent") {
			t.Errorf("%s: the proxy repeats what is not safe to repeat: %s", page, repeats[1])
		}
	}
}
