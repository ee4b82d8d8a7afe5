package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"poa/internal/store"
)

const matchup = `"voter":"ann","kind":"matchup","a":"c/1","b":"c/2","outcome":"a"`

func TestCastVote(t *testing.T) {
	s := start(t)
	s.register("c/1", "c/2")
	type answer struct {
		Key       string
		Number    int64
		Duplicate bool
		Triggered []struct {
			NFT, Reason, Priority string
			Score                 *struct{ POA float64 }
		}
	}
	first := read[answer](t, s.want(http.StatusCreated, "POST", "/votes", store.VoterGateway, `{"key":"k1","voter":"ann","kind":"matchup","a":"c/1","b":"c/2","outcome":"a","super":true,"cast_at":"2026-01-31T18:30:00.123456+01:00"}`))
	if first.Key != "k1" || first.Number != 1 || first.Duplicate || len(first.Triggered) != 2 || first.Triggered[0].Reason != "super" || first.Triggered[0].Score == nil {
		t.Errorf("the first vote: %+v", first)
	}
	again := read[answer](t, s.want(http.StatusOK, "POST", "/votes", store.VoterGateway, `{"key":"k1","voter":"ann","kind":"matchup","a":"c/1","b":"c/2","outcome":"a","super":true,"cast_at":"2026-01-31T17:30:00.123456Z"}`))
	if !again.Duplicate || again.Number != 1 {
		t.Errorf("the same vote again: %+v", again)
	}
	votes := read[struct {
		Items []struct {
			Number int64
			CastAt string `json:"cast_at"`
		}
	}](t, s.get("/nfts/c%2F1/votes", 200))
	if len(votes.Items) != 1 || votes.Items[0].CastAt != "2026-01-31T17:30:00.123456Z" {
		t.Errorf("the log: %+v", votes.Items)
	}
}

func TestRefusedVotes(t *testing.T) {
	s := start(t)
	s.register("c/1", "c/2")
	s.vote("taken", matchup)
	for _, c := range []struct {
		name, body     string
		status         int
		code, location string
	}{
		{"no JSON", `{`, 400, "malformed", ""},
		{"nothing", ``, 400, "malformed", ""},
		{"two objects", `{"key":"k"} {}`, 400, "malformed", ""},
		{"null", `null`, 422, "invalid_type", ""},
		{"list", `[]`, 422, "invalid_type", ""},
		{"unknown field", `{"key":"k",` + matchup + `,"weight":2}`, 422, "unknown_field", "body.weight"},
		{"a field twice", `{"key":"k","key":"l",` + matchup + `}`, 400, "malformed", "body.key"},
		{"a field twice, apart", `{"key":"k","super":false ,` + matchup + `, "super" : true}`, 400, "malformed", "body.super"},
		{"a field twice, null first", `{"b":null,"key":"k",` + matchup + `}`, 400, "malformed", "body.b"},
		{"a field in capitals", `{"KEY":"k",` + matchup + `}`, 422, "unknown_field", "body.KEY"},
		{"a field and its capitals", `{"key":"k","Key":"l",` + matchup + `}`, 422, "unknown_field", "body.Key"},
		{"an escaped field", `{"\u006bey":"k",` + matchup + `}`, 422, "unknown_field", `body.\u006bey`},
		{"wrong type", `{"key":5,` + matchup + `}`, 422, "invalid_type", "body.key"},
		{"invalid UTF-8", `{"key":"` + "\xff" + `",` + matchup + `}`, 422, "invalid_text", ""},
		{"half a surrogate pair", `{"key":"\ud800",` + matchup + `}`, 422, "invalid_text", ""},
		{"NUL", `{"key":"\u0000",` + matchup + `}`, 422, "invalid_text", "body.key"},
		{"no key", `{` + matchup + `}`, 422, "empty", "body.key"},
		{"no kind", `{"key":"k","voter":"ann","a":"c/1"}`, 422, "invalid_kind", "body.kind"},
		{"super as a kind", `{"key":"k","voter":"ann","kind":"super","a":"c/1","b":"c/2","outcome":"a"}`, 422, "invalid_kind", "body.kind"},
		{"no such outcome", `{"key":"k","voter":"ann","kind":"matchup","a":"c/1","b":"c/2","outcome":"A"}`, 422, "invalid_outcome", "body.outcome"},
		{"no outcome", `{"key":"k","voter":"ann","kind":"matchup","a":"c/1","b":"c/2"}`, 422, "invalid_outcome", "body.outcome"},
		{"against itself", `{"key":"k","voter":"ann","kind":"matchup","a":"c/1","b":"c/1","outcome":"a"}`, 422, "same_nft", "body.b"},
		{"slider without value", `{"key":"k","voter":"ann","kind":"slider","a":"c/1"}`, 422, "empty", "body.value"},
		{"slider beyond", `{"key":"k","voter":"ann","kind":"slider","a":"c/1","value":100.5}`, 422, "invalid_value", "body.value"},
		{"super FIRE", `{"key":"k","voter":"ann","kind":"fire","a":"c/1","super":true}`, 422, "not_allowed", "body.super"},
		{"time without zone", `{"key":"k",` + matchup + `,"cast_at":"2026-01-31T18:30:00"}`, 422, "invalid_time", "body.cast_at"},
		{"time in the future", `{"key":"k",` + matchup + `,"cast_at":"2222-01-31T18:30:00Z"}`, 422, "cast_in_future", "body.cast_at"},
		{"time long ago", `{"key":"k",` + matchup + `,"cast_at":"1970-01-31T18:30:00Z"}`, 422, "cast_too_early", "body.cast_at"},
		{"unknown NFT", `{"key":"k","voter":"ann","kind":"fire","a":"nobody's"}`, 422, "unknown_nft", "body.a"},
		{"key of another vote", `{"key":"taken","voter":"ann","kind":"fire","a":"c/1"}`, 409, "key_conflict", "body.key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			r := s.request("POST", "/votes", s.keys[store.VoterGateway], "application/json", c.body)
			p := read[problem](t, r)
			location := ""
			if len(p.Errors) > 0 {
				location = p.Errors[0].Location
			}
			if r.StatusCode != c.status || p.Status != c.status || p.Type != "urn:poa:problem:"+c.code || location != c.location {
				t.Errorf("got %d %s at %q, want %d %s at %q\n%s", r.StatusCode, p.Type, location, c.status, c.code, c.location, r.body)
			}
			if _, field, _ := strings.Cut(c.location, "."); field != "" && !strings.HasPrefix(p.Detail, field+": ") {
				t.Errorf("the detail %q does not name %s", p.Detail, field)
			}
			if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
		})
	}
}

type many struct {
	Recorded, Duplicates, Refused int
	Items                         []struct {
		Index, Status int
		Vote          *struct {
			Key    string
			Number int64
		}
		Error *problem
	}
}

func TestCastMany(t *testing.T) {
	lines := []string{
		`{"key":"k1",` + matchup + `}`,
		`{"key":"k2","voter":"ann","kind":"slider","a":"c/1","value":"high"}`,
		`{"key":"k1",` + matchup + `}`,
		`{"key":"k3","voter":"ann","kind":"fire","a":"c/3"}`,
		`17`,
		`{"key":"k4","voter":"bob","kind":"slider","a":"c/2","value":0}`,
	}
	for _, c := range []struct{ name, contentType, body string }{
		{"array", "application/json", "[" + lines[0] + "," + lines[1] + "," + lines[2] + "," + lines[3] + "," + lines[4] + "," + lines[5] + "]"},
		{"lines", "application/x-ndjson; charset=utf-8", "\n" + lines[0] + "\r\n" + lines[1] + "\n\n" + lines[2] + "\n" + lines[3] + "\n" + lines[4] + "\n" + lines[5]},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t)
			s.register("c/1", "c/2")
			r := s.request("POST", "/votes/batch", s.keys[store.VoterGateway], c.contentType, c.body)
			if r.StatusCode != 200 {
				t.Fatalf("status %d\n%s", r.StatusCode, r.body)
			}
			m := read[many](t, r)
			if m.Recorded != 2 || m.Duplicates != 1 || m.Refused != 3 || len(m.Items) != 6 {
				t.Fatalf("%+v", m)
			}
			for i, want := range []int{201, 422, 200, 422, 422, 201} {
				if m.Items[i].Status != want || m.Items[i].Index != i {
					t.Errorf("item %d: %+v, want status %d", i, m.Items[i], want)
				}
			}
			if at := m.Items[1].Error.Errors[0].Location; at != "body[1].value" {
				t.Errorf("the second is wrong at %q", at)
			}
		})
	}
}

func TestOneBrokenLineLosesNoOther(t *testing.T) {
	s := start(t)
	s.register("c/1", "c/2")
	body := `{"key":"k1",` + matchup + "}\n{\"key\":\n" + `{"key":"k2",` + matchup + "}\n"
	m := read[many](t, s.request("POST", "/votes/batch", s.keys[store.VoterGateway], "application/x-ndjson", body))
	if m.Recorded != 2 || m.Refused != 1 || m.Items[1].Status != 400 {
		t.Errorf("%+v", m)
	}
}

func TestManyIsBounded(t *testing.T) {
	s := start(t)
	body := []byte{'['}
	for i := range 5001 {
		body = fmt.Appendf(body, "%d,", i)
	}
	body[len(body)-1] = ']'
	p := read[problem](t, s.want(422, "POST", "/votes/batch", store.VoterGateway, string(body)))
	if p.Type != "urn:poa:problem:too_long" {
		t.Errorf("%+v", p)
	}
	s.want(http.StatusRequestEntityTooLarge, "POST", "/votes/batch", store.VoterGateway, `["`+string(make([]byte, 9<<20))+`"]`)
	s.want(http.StatusBadRequest, "POST", "/votes/batch", store.VoterGateway, `[{"key":1},`)
	s.want(http.StatusBadRequest, "POST", "/votes/batch", store.VoterGateway, `{"key":1}`)
	for role, path := range map[store.Role]string{store.VoterGateway: "/votes/batch", store.Operator: "/nfts"} {
		r := s.request("POST", path, s.keys[role], "application/json", " null ")
		if p := read[problem](t, r); r.StatusCode < 400 || r.StatusCode >= 500 || len(p.Errors) != 1 || p.Errors[0].Location != "body" || !strings.Contains(p.Detail, "array") {
			t.Errorf("null for %s: %s", path, r.body)
		}
	}
	if r := s.request("POST", "/votes/batch", s.keys[store.VoterGateway], "text/csv", "a,b"); r.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("status %d for CSV", r.StatusCode)
	}
	if m := read[many](t, s.want(200, "POST", "/votes/batch", store.VoterGateway, `[]`)); len(m.Items) != 0 {
		t.Errorf("no votes: %+v", m)
	}
}

func TestWithdrawFire(t *testing.T) {
	s := start(t)
	s.register("a/b c", "c/2")
	s.vote("f1", `"voter":"ann","kind":"fire","a":"a/b c"`)
	path := "/nfts/a%2Fb%20c/fire?voter=ann&key=f2"
	s.want(http.StatusCreated, "DELETE", path, store.VoterGateway, "")
	s.want(http.StatusOK, "DELETE", path, store.VoterGateway, "")
	score := read[struct{ Explanation string }](t, s.get("/nfts/a%2Fb%20c/score", 200))
	if score.Explanation != "No FIRE stands any more, and it has no other votes." {
		t.Errorf("explained: %q", score.Explanation)
	}
	for _, c := range []struct {
		name, path string
		status     int
		location   string
	}{
		{"no voter", "/nfts/c%2F2/fire?key=k", 422, "query.voter"},
		{"unknown NFT", "/nfts/c%2F9/fire?voter=ann&key=k", 404, ""},
		{"time without zone", "/nfts/c%2F2/fire?voter=ann&key=k&cast_at=today", 422, "query.cast_at"},
		{"unknown parameter", "/nfts/c%2F2/fire?voter=ann&key=k&kind=fire", 422, "query.kind"},
		{"key of another vote", "/nfts/c%2F2/fire?voter=ann&key=f1", 409, "query.key"},
		{"blank id", "/nfts/%20/fire?voter=ann&key=k", 422, "path.id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			p := read[problem](t, s.want(c.status, "DELETE", c.path, store.VoterGateway, ""))
			location := ""
			if len(p.Errors) > 0 {
				location = p.Errors[0].Location
			}
			if location != c.location {
				t.Errorf("wrong at %q, want %q: %+v", location, c.location, p)
			}
		})
	}
}
