package api_test

import (
	"net/http"
	"testing"

	"poa/internal/store"
)

// TestOddText sends what is no text wherever people write or search: each
// database has the same answer, which names the field, and nothing is kept.
func TestOddText(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1")
		before := len(read[page](t, s.get("/activity?limit=200", 200)).Items)
		for _, c := range []struct{ method, path, body, location string }{
			{"POST", "/scheduler/pause", `{"reason":"x\u0000"}`, "body.reason"},
			{"POST", "/triggers/pause", `{"reason":"\u0000"}`, "body.reason"},
			{"POST", "/scheduler/resume", `{"why":"x\u0000"}`, "body.why"},
			{"POST", "/triggers/resume", `{"why":"\u0000x"}`, "body.why"},
			{"PATCH", "/settings", `{"values":{"scoring.publishing.provisional_below":9},"why":"t\u0000"}`, "body.why"},
			{"PATCH", "/collections", `{"name":"art","active":false,"why":"\u0000"}`, "body.why"},
			{"PATCH", "/collections", `{"name":"art\u0000","active":false}`, "body.name"},
			{"POST", "/runs", `{"collection":"\u0000"}`, "body.collection"},
			{"POST", "/runs", `{"name":"\u0000"}`, "body.name"},
			{"POST", "/backfills", `{"collection":"art\u0000"}`, "body.collection"},
			{"PUT", "/nfts/c%2F1", `{"name":"\u0000"}`, "body.name"},
			{"PUT", "/nfts/c%2F1", `{"image_url":"\u0000"}`, "body.image_url"},
			{"PUT", "/nfts/c%2F1", `{"collection":"\u0000"}`, "body.collection"},
			{"PUT", "/nfts/%00", `{}`, "path.id"},
			{"GET", "/nfts/%00", "", "path.id"},
			{"GET", "/nfts/%ff/score", "", "path.id"},
			{"GET", "/voters/%00", "", "path.id"},
			{"GET", "/voters/%ff/votes", "", "path.id"},
			{"GET", "/activity?nft=%00", "", "query.nft"},
			{"GET", "/nfts?search=%00", "", "query.search"},
			{"GET", "/nfts?search=%ff", "", "query.search"},
			{"GET", "/nfts?search=a%00b&status=scored", "", "query.search"},
			{"GET", "/nfts?collection=%00", "", "query.collection"},
			{"GET", "/leaderboard?collection=%00", "", "query.collection"},
			{"GET", "/leaderboard?collection=%ff", "", "query.collection"},
			{"GET", "/scheduler/plan?collection=%00", "", "query.collection"},
		} {
			p := read[problem](t, s.want(http.StatusUnprocessableEntity, c.method, c.path, store.Operator, c.body))
			if p.Type != "urn:poa:problem:invalid_text" || len(p.Errors) != 1 || p.Errors[0].Location != c.location || p.Errors[0].Message != "must be valid UTF-8 without NUL" {
				t.Errorf("%s %s %s: %+v, want it at %s", c.method, c.path, c.body, p, c.location)
			}
		}
		if after := len(read[page](t, s.get("/activity?limit=200", 200)).Items); after != before {
			t.Errorf("%d entries became %d in the log", before, after)
		}
	})
}
