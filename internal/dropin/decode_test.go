package dropin

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"poa/internal/ledger"
)

func TestDecode(t *testing.T) {
	number := func(n int) *int { return &n }
	for text, want := range map[string]request{
		`{}`:   {},
		`null`: {},
		`{"action":"run_batch","batchSize":20,"wallet":"0x1","nested":{"action":7}}`: {action: "run_batch", batchSize: number(20)},
		`{"nftId":null,"nftIds":null,"limit":null,"options":null,"dryRun":null}`:     {},
		`{"nftId":"contract/1","triggerType":"fire","limit":1e2}`:                    {nftID: "contract/1", triggerType: "fire", limit: number(100)},
		`{"nftIds":["a","b","a"],"options":{"skipExisting":false}}`:                  {nftIDs: []string{"a", "b"}, recompute: true},
		`{"nftIds":[],"collectionName":"Final Bosu","dryRun":true}`:                  {nftIDs: []string{}, collection: "Final Bosu", dryRun: true},
	} {
		got, err := decode([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(request{}), cmp.FilterPath(func(p cmp.Path) bool {
			return p.String() == "client" || p.String() == "http"
		}, cmp.Ignore())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// FuzzDecode: whatever is sent, it is read within its bounds or refused as
// invalid.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"action":"run_batch","batchSize":20}`, `{"action":"test_trigger","nftId":"a","triggerType":"fire_vote"}`,
		`{"nftIds":["a",null,7,"\u0000"],"options":{"skipExisting":true,"delayMs":1e400}}`, `{"limit":-1e99}`, `{"limit":0.5}`,
		`null`, `[]`, `{`, "{\"action\":\"\xff\"}", `{"nftId":"\ud800"}`, `{"options":{"options":{}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := decode(body)
		if err != nil {
			var refused *refusal
			if !errors.As(err, &refused) || refused.status != http.StatusBadRequest || refused.details == "" {
				t.Fatalf("%q: %#v", body, err)
			}
			return
		}
		ids := append([]string{}, q.nftIDs...)
		for _, id := range []string{q.nftID, q.collection} {
			if id != "" {
				ids = append(ids, id)
			}
		}
		seen := map[string]bool{}
		for i, id := range ids {
			if err := ledger.CheckID("id", id); err != nil {
				t.Fatalf("%q: %q is taken: %v", body, id, err)
			}
			if i < len(q.nftIDs) && seen[id] {
				t.Fatalf("%q: %q is taken twice", body, id)
			}
			seen[id] = true
		}
		if len(q.nftIDs) > maxNFTs {
			t.Fatalf("%d ids are taken", len(q.nftIDs))
		}
		for _, n := range []*int{q.limit, q.batchSize} {
			if got, err := upTo("number", n, maxLimit, 1); err == nil && (got < 1 || got > maxLimit) {
				t.Fatalf("%q: %d is taken", body, got)
			}
		}
	})
}

func TestPerformance(t *testing.T) {
	for _, c := range []struct {
		summary summary
		want    performance
	}{
		{summary{}, performance{}},
		{summary{Total: 3}, performance{}},
		{summary{Took: 10}, performance{}},
		{summary{Total: 3, Took: 700}, performance{Rate: 4.29, Each: 233.33}},
	} {
		if got := c.summary.performance(); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.summary, got, c.want)
		}
	}
}
