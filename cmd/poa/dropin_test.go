package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
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
