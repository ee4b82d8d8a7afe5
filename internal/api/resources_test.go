package api_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/api"
	"poa/internal/store"
)

// odd are ids that are hard on a path.
var odd = []string{
	"contract/token", "/a", "a/", "a//b", "..", ".", "../../etc", "with space", "plus+and&and=", "percent%2Fencoded", "100%", "ünïcödé", "日本", "a?b#c", "semi;colon", `back\slash`, "new\nline", `"quoted"`, "score", "fire",
}

func TestOddIds(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		type nft struct{ ID, Name, Status string }
		for i, id := range odd {
			path := "/nfts/" + url.PathEscape(id)
			if id == "." || id == ".." { // PathEscape leaves dots
				path = "/nfts/" + strings.ReplaceAll(id, ".", "%2E")
			}
			body := fmt.Sprintf(`{"name":"number %d","collection":"odd/ones"}`, i)
			made := read[nft](t, s.want(http.StatusCreated, "PUT", path, store.Operator, body))
			if made.ID != id || made.Name != fmt.Sprintf("number %d", i) {
				t.Errorf("%q was registered as %+v", id, made)
			}
			s.want(http.StatusOK, "PUT", path, store.Operator, body)
			if got := read[nft](t, s.get(path, 200)); got != made {
				t.Errorf("%q is %+v", id, got)
			}
			if got := read[struct{ NFT string }](t, s.get(path+"/score", 200)); got.NFT != id {
				t.Errorf("the score of %q is that of %q", id, got.NFT)
			}
			s.want(http.StatusCreated, "DELETE", path+"/fire?voter=ann&key=k"+fmt.Sprint(i), store.VoterGateway, "")
			s.get(path+"/history", 200)
			s.get(path+"/votes", 200)
			s.get(path+"/triggers", 200)
		}
	})
}

func TestRegister(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		done := read[struct{ Created, Updated int }](t, s.want(200, "POST", "/nfts", store.Operator, `[{"id":"1","name":"One"},{"id":"2","collection":"x"},{"id":"1","name":"Uno"}]`))
		if done.Created != 2 || done.Updated != 0 {
			t.Errorf("%+v", done)
		}
		if got := read[struct{ Name string }](t, s.get("/nfts/1", 200)); got.Name != "Uno" {
			t.Errorf("%+v", got)
		}
		s.want(201, "PUT", "/nfts/9", store.Operator, `{}`)
		logged := read[struct {
			Items []struct{ Who, Detail string }
		}](t, s.get("/activity?kind=nfts_registered", 200)).Items
		if len(logged) != 2 || logged[0].Detail != "1 registered, 0 updated: 9" || logged[1].Detail != "2 registered, 0 updated" || logged[1].Who != "the operator" {
			t.Errorf("logged: %+v", logged)
		}
		for _, c := range []struct{ name, body, location string }{
			{"no id", `[{"id":"3"},{"name":"x"}]`, "body[1]"},
			{"blank id", `[{"id":"3"},{"id":" "}]`, "body[1].id"},
			{"NUL", `[{"id":"3"},{"id":"4","name":"\u0000"}]`, "body[1].name"},
			{"long collection", `[{"id":"3"},{"id":"4","collection":"` + strings.Repeat("é", 101) + `"}]`, "body[1].collection"},
			{"unknown field", `[{"id":"3"},{"id":"4","image":"x"}]`, "body[1].image"},
			{"none", `[]`, "body"},
		} {
			p := read[problem](t, s.want(http.StatusUnprocessableEntity, "POST", "/nfts", store.Operator, c.body))
			if len(p.Errors) == 0 || p.Errors[0].Location != c.location {
				t.Errorf("%s: %+v, want it at %s", c.name, p, c.location)
			}
		}
		s.get("/nfts/3", 404)
		s.want(http.StatusBadRequest, "POST", "/nfts", store.Operator, "[{\"id\":\"\xff\"}]")
		s.want(http.StatusBadRequest, "PUT", "/nfts/9", store.Operator, `{"name":"\udfff"}`)
		s.want(http.StatusUnprocessableEntity, "PUT", "/nfts/%20", store.Operator, `{}`)
		s.want(http.StatusUnprocessableEntity, "PUT", "/nfts/"+strings.Repeat("x", 201), store.Operator, `{}`)
	})
}

type page struct {
	Items []struct {
		ID, Status string
		Rank       int64
		Number     int64
		Kind, Who  string
		NFT        string
		Detail     string
	}
	Next *string
}

// pages reads all pages of a list.
func (s *service) pages(path string) (items []string, pages int) {
	s.t.Helper()
	cursor := ""
	for {
		p := read[page](s.t, s.get(path+cursor, 200))
		for _, i := range p.Items {
			items = append(items, i.ID)
		}
		if pages++; p.Next == nil {
			return items, pages
		}
		cursor = "&cursor=" + url.QueryEscape(*p.Next)
	}
}

func TestPages(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		var ids []string
		for i := range 7 {
			ids = append(ids, fmt.Sprintf("c/%d", i))
		}
		s.register(ids...)
		for i := range 6 {
			s.vote(fmt.Sprint("v", i), fmt.Sprintf(`"voter":"ann","kind":"fire","a":"c/%d"`, i))
		}
		if got, n := s.pages("/nfts?limit=3"); !slices.Equal(got, ids) || n != 3 {
			t.Errorf("%d pages: %v", n, got)
		}
		got, _ := s.pages("/nfts?limit=2&status=scored&collection=art")
		if !slices.Equal(got, ids[:6]) {
			t.Errorf("scored: %v", got)
		}
		if got, _ := s.pages("/nfts?search=c/6"); !slices.Equal(got, ids[6:]) {
			t.Errorf("found: %v", got)
		}
		if got, _ := s.pages("/nfts?no_collection=true"); got != nil {
			t.Errorf("without a collection: %v", got)
		}
		ranked := s.get("/leaderboard?limit=4", 200)
		first := read[page](t, ranked)
		second := read[page](t, s.get("/leaderboard?limit=4&cursor="+*first.Next, 200))
		if len(second.Items) != 2 || second.Items[0].Rank != 5 || second.Items[0].ID != "c/4" || second.Next != nil {
			t.Errorf("the second page: %+v", second)
		}
		for _, bad := range []string{"/nfts?cursor=" + *first.Next, "/leaderboard?cursor=xxx", "/runs?cursor=cnVuOi0x"} {
			if p := read[problem](t, s.get(bad, 422)); p.Type != "urn:poa:problem:invalid_cursor" || p.Errors[0].Location != "query.cursor" {
				t.Errorf("%s: %+v", bad, p)
			}
		}
		for _, bad := range []string{"/nfts?limit=0", "/nfts?limit=201", "/nfts?limit=x", "/nfts?status=old", "/nfts?colection=art", "/nfts?collection=a&no_collection=true"} {
			s.get(bad, 422)
		}
	})
}

func TestScore(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1", "c/2")
		type explained struct {
			Score       *struct{ POA float64 }
			Explanation string
			Inputs      struct{ Mean float64 }
			Exact       *struct{ POA float64 } `json:"exact_now"`
		}
		if got := read[explained](t, s.get("/nfts/c%2F1/score?exact=true", 200)); got.Score != nil || got.Exact != nil || got.Explanation != "Nobody has voted on it." {
			t.Errorf("without votes: %+v", got)
		}
		s.vote("k1", matchup)
		if got := read[explained](t, s.get("/nfts/c%2F1/score", 200)); got.Score != nil || got.Inputs.Mean != 1216 || !strings.HasPrefix(got.Explanation, "Its votes have triggered") {
			t.Errorf("ready: %+v", got)
		}
		s.vote("k2", `"voter":"ann","kind":"matchup","a":"c/1","b":"c/2","outcome":"a","super":true`)
		got := read[explained](t, s.get("/nfts/c%2F1/score?exact=true", 200))
		if got.Score == nil || got.Exact == nil || got.Exact.POA != got.Score.POA || !strings.HasPrefix(got.Explanation, fmt.Sprintf("POA %.2f = ", got.Score.POA)) {
			t.Errorf("scored: %+v", got)
		}
		history := read[struct{ Items []struct{ POA float64 } }](t, s.get("/nfts/c%2F1/history", 200))
		if len(history.Items) != 1 || history.Items[0].POA != got.Score.POA {
			t.Errorf("history: %+v", history)
		}
		for _, path := range []string{"/nfts/x", "/nfts/x/score", "/nfts/x/history", "/nfts/x/votes", "/nfts/x/triggers", "/voters/x", "/voters/x/votes", "/runs/99", "/runs/99/items", "/activity?nft=x"} {
			if p := read[problem](t, s.get(path, 404)); p.Type != "urn:poa:problem:not_found" {
				t.Errorf("%s: %+v", path, p)
			}
		}
	})
}

func TestVoter(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1", "c/2")
		s.vote("k1", `"voter":"0x/ann","kind":"slider","a":"c/1","value":80`)
		s.vote("k2", `"voter":"0x/ann","kind":"fire","a":"c/2"`)
		v := read[struct {
			ID     string
			Votes  int64
			Weight float64
			Slider struct{ Ratings int64 }
		}](t, s.get("/voters/0x%2Fann", 200))
		if v.ID != "0x/ann" || v.Votes != 2 || v.Weight != 1 || v.Slider.Ratings != 1 {
			t.Errorf("%+v", v)
		}
		if got := read[page](t, s.get("/voters/0x%2Fann/votes?limit=1", 200)); len(got.Items) != 1 || got.Items[0].Number != 2 || got.Next == nil {
			t.Errorf("%+v", got)
		}
	})
}

func TestCollections(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1", "c/2")
		s.vote("k1", matchup)
		type collection struct {
			Name                string
			Active              bool
			NFTs, Ready, Scored int64
			Coverage            *float64
		}
		got := read[struct{ Items []collection }](t, s.get("/collections", 200)).Items
		if len(got) != 1 || got[0].Name != "art" || !got[0].Active || got[0].NFTs != 2 || got[0].Ready != 2 || *got[0].Coverage != 0 {
			t.Errorf("%+v", got)
		}
		long := strings.Repeat("ü", 100)
		s.want(200, "POST", "/nfts", store.Operator, `[{"id":"d/1"},{"id":"d/2","collection":"Zoo"},{"id":"d/3","collection":"`+long+`"}]`)
		for _, limit := range []int{1, 2, 3, 4, 5} {
			var names []string
			pages, cursor := 0, ""
			for more := true; more; pages++ {
				p := read[struct {
					Items []collection
					Next  *string
				}](t, s.get(fmt.Sprintf("/collections?limit=%d%s", limit, cursor), 200))
				for _, c := range p.Items {
					names = append(names, c.Name)
					if want := map[bool]int64{true: 2, false: 1}[c.Name == "art"]; c.NFTs != want {
						t.Errorf("%q has %d NFTs, want %d", c.Name, c.NFTs, want)
					}
				}
				if more = p.Next != nil; more {
					cursor = "&cursor=" + *p.Next
				}
			}
			if want := []string{"", "Zoo", "art", long}; !slices.Equal(names, want) || pages != 4/limit+1 {
				t.Errorf("by %d: %d pages with %q", limit, pages, names)
			}
		}
		ofNFTs := *read[page](t, s.get("/nfts?limit=1", 200)).Next
		for _, bad := range []string{"limit=0", "limit=1001", "cursor=xxx", "cursor=" + ofNFTs, "cursor=Y29sbGVjdGlvbjoA"} { // the last is collection:NUL
			s.get("/collections?"+bad, 422)
		}
		if got := read[collection](t, s.want(200, "PATCH", "/collections", store.Operator, `{"name":"art","active":false,"why":"sold"}`)); got.Active {
			t.Errorf("%+v", got)
		}
		if got := s.activity("settings_changed"); len(got) != 1 || got[0] != `the operator: collection "art" switched off: sold` {
			t.Errorf("logged: %q", got)
		}
		s.want(404, "PATCH", "/collections", store.Operator, `{"name":"nobody's","active":false}`)
		if p := read[problem](t, s.want(422, "PATCH", "/collections", store.Operator, `{"name":"art","active":"no"}`)); p.Errors[0].Location != "body.active" {
			t.Errorf("%+v", p)
		}
	})
}

// activity returns who did what of a kind, newest first.
func (s *service) activity(kind string) (list []string) {
	s.t.Helper()
	for _, i := range read[page](s.t, s.get("/activity?kind="+kind, 200)).Items {
		list = append(list, i.Who+": "+i.Detail)
	}
	return list
}

func TestRuns(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1", "c/2", "c/3", "c/4")
		s.vote("k1", matchup)
		s.vote("k2", `"voter":"ann","kind":"matchup","a":"c/3","b":"c/4","outcome":"tie"`)
		plan := read[struct {
			Items []struct{ NFT, Class, Why string }
			Total float64 `json:"total_seconds"`
		}](t, s.get("/scheduler/plan", 200))
		if len(plan.Items) != 4 || plan.Items[0].Class != "new" || plan.Items[0].Why == "" || plan.Total <= 0 {
			t.Errorf("plan: %+v", plan)
		}
		type run struct {
			Number           int64
			Kind, State      string
			Done, Total      int64
			RequestedBy      string `json:"requested_by"`
			Cancel, Name, By string
			Reason           string
		}
		started := read[run](t, s.want(http.StatusAccepted, "POST", "/runs", store.Operator, `{"size":2,"name":"mine"}`))
		again := read[run](t, s.want(http.StatusAccepted, "POST", "/runs", store.Operator, `{"size":2,"name":"mine"}`))
		if started.Number != again.Number || started.Kind != "manual" || started.State != "running" || started.RequestedBy != "the operator" {
			t.Errorf("%+v and again %+v", started, again)
		}
		status := read[struct{ Running []run }](t, s.get("/scheduler", 200))
		if len(status.Running) != 1 {
			t.Errorf("running: %+v", status.Running)
		}
		s.work()
		if done := read[run](t, s.get(fmt.Sprintf("/runs/%d", started.Number), 200)); done.State != "done" || done.Done != 2 {
			t.Errorf("%+v", done)
		}
		items := read[page](t, s.get(fmt.Sprintf("/runs/%d/items?limit=50", started.Number), 200)).Items
		computed := 0
		for _, i := range items {
			if i.Kind == "computed" {
				computed++
			}
		}
		if computed != 2 || len(items) != 4 { // and that it began and ended
			t.Errorf("items: %+v", items)
		}
		backfill := read[run](t, s.want(http.StatusAccepted, "POST", "/backfills", store.Operator, `{"collection":"art"}`))
		cancelled := read[run](t, s.want(http.StatusAccepted, "POST", fmt.Sprintf("/runs/%d/cancel", backfill.Number), store.Operator, ""))
		if cancelled.Cancel != "the operator" || cancelled.Total != 4 {
			t.Errorf("%+v", cancelled)
		}
		s.work()
		if ended := read[run](t, s.get(fmt.Sprintf("/runs/%d", backfill.Number), 200)); ended.State != "cancelled" || ended.Reason != "cancelled by the operator" {
			t.Errorf("%+v", ended)
		}
		if p := read[problem](t, s.want(http.StatusConflict, "POST", fmt.Sprintf("/runs/%d/cancel", backfill.Number), store.Operator, "")); p.Type != "urn:poa:problem:wrong_state" {
			t.Errorf("%+v", p)
		}
		if got := read[page](t, s.get("/backfills", 200)); len(got.Items) != 1 || got.Items[0].Kind != "backfill" {
			t.Errorf("backfills: %+v", got)
		}
		if got := read[page](t, s.get("/runs?kind=manual", 200)); len(got.Items) != 1 {
			t.Errorf("runs by hand: %+v", got)
		}
		for body, want := range map[string]int{`{"size":100000}`: 90, `{"size":90}`: 0, `{}`: 0} { // 45 s, one each half second
			if got := read[struct{ Fits int }](t, s.want(http.StatusAccepted, "POST", "/runs", store.Operator, body)); got.Fits != want {
				t.Errorf("%s: %d fit, want %d", body, got.Fits, want)
			}
		}
		for _, path := range []string{"/runs", "/backfills"} {
			s.want(404, "POST", path, store.Operator, `{"collection":"nobody's"}`)
			s.want(422, "POST", path, store.Operator, `{"size":0}`)
		}
		s.get("/scheduler/plan?collection=nobody's", 404)
	})
}

func TestPauses(t *testing.T) {
	for _, c := range []struct{ path, field string }{{"/scheduler", "paused"}, {"/triggers", "triggers_paused"}} {
		t.Run(c.path, func(t *testing.T) {
			s := start(t)
			until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
			s.want(200, "POST", c.path+"/pause", store.Operator, `{"reason":"repairs","until":"`+until+`"}`)
			got := read[map[string]any](t, s.get("/scheduler", 200))
			p, ok := got[c.field].(map[string]any)
			if !ok || p["reason"] != "repairs" || p["who"] != "the operator" || p["until"] != until {
				t.Errorf("%v", got)
			}
			if log := s.activity("paused"); len(log) != 1 || !strings.Contains(log[0], "the operator: ") || !strings.Contains(log[0], "repairs") {
				t.Errorf("logged: %v", log)
			}
			s.want(200, "POST", c.path+"/resume", store.Operator, `{"why":"done"}`)
			if got := read[map[string]any](t, s.get("/scheduler", 200)); got[c.field] != nil {
				t.Errorf("resumed: %v", got)
			}
			for _, bad := range []string{`{}`, `{"reason":" "}`, `{"reason":"x","until":"2001-01-01T00:00:00Z"}`, `{"reason":"x","until":"soon"}`} {
				s.want(422, "POST", c.path+"/pause", store.Operator, bad)
			}
		})
	}
}

func TestPausedTriggersMarkTheirNFTsDue(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1", "c/2")
		s.want(200, "POST", "/triggers/pause", store.Operator, `{"reason":"repairs"}`)
		s.vote("k1", `"voter":"ann","kind":"fire","a":"c/1"`)
		type nft struct {
			Status string
			Due    *struct{ Reason, Priority string }
		}
		if got := read[nft](t, s.get("/nfts/c%2F1", 200)); got.Status != "ready" || got.Due == nil || got.Due.Reason != "fire" || got.Due.Priority != "high" {
			t.Errorf("%+v", got)
		}
		if got := read[page](t, s.get("/nfts?status=due", 200)); len(got.Items) != 1 {
			t.Errorf("due: %+v", got)
		}
		s.want(200, "POST", "/triggers/resume", store.Operator, `{}`)
		changes := read[struct {
			Items []struct{ From, To map[string]any }
		}](t, s.get("/settings/changes", 200)).Items
		if len(changes) != 2 || changes[1].From != nil || changes[1].To["since"] == nil || changes[0].From["since"] == nil || changes[0].To["since"] != nil {
			t.Errorf("the pause and its end in the audit: %+v", changes)
		}
	})
}

func TestTriggers(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1", "c/2")
		type checks struct {
			Checks []struct {
				Vote, Reason       string
				Possible, Computes bool
			}
		}
		got := read[checks](t, s.get("/nfts/c%2F1/triggers", 200)).Checks
		if len(got) != 10 || got[0].Computes || got[4].Reason != "super" || !got[4].Computes || got[7].Reason != "fire" || got[9].Possible {
			t.Errorf("%+v", got)
		}
		if rules := read[struct{ Milestones []int }](t, s.get("/triggers", 200)); len(rules.Milestones) != 5 {
			t.Errorf("%+v", rules)
		}
		type computed struct{ Before, After *struct{ Reason string } }
		if got := read[computed](t, s.want(200, "POST", "/nfts/c%2F1/compute", store.Operator, "")); got.After != nil {
			t.Errorf("without votes: %+v", got)
		}
		s.vote("k1", matchup)
		if got := read[computed](t, s.want(200, "POST", "/nfts/c%2F1/compute", store.Operator, "")); got.Before != nil || got.After == nil || got.After.Reason != "manual" {
			t.Errorf("%+v", got)
		}
		if log := read[page](t, s.get("/activity?nft=c/1&kind=computed", 200)); len(log.Items) != 1 || log.Items[0].Who != "the operator" {
			t.Errorf("logged: %+v", log)
		}
	})
}

func TestSettings(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1", "c/2")
		type setting struct {
			Name, Source, Fixed string
			Value, Default      any
		}
		find := func(name string) setting {
			for _, v := range read[struct{ Items []setting }](t, s.get("/settings", 200)).Items {
				if v.Name == name {
					return v
				}
			}
			t.Fatalf("no setting %s", name)
			return setting{}
		}
		if got := find("batch.size"); got.Value != 20.0 || got.Source != "default" || got.Fixed != "" {
			t.Errorf("%+v", got)
		}
		if got := find("scoring.folding.k"); got.Fixed == "" {
			t.Errorf("%+v", got)
		}
		changed := read[struct {
			Settings        []setting
			ScoringVersion  int64 `json:"scoring_version"`
			BackfillAdvised bool  `json:"backfill_advised"`
		}](t, s.want(200, "PATCH", "/settings", store.Operator, `{"values":{"batch.size":40,"scoring.publishing.slider_neutral":40,"batch.every":"30m","trigger.milestones":[3,9]},"why":"a test"}`))
		if len(changed.Settings) != 4 || !changed.BackfillAdvised || changed.ScoringVersion != 2 {
			t.Errorf("%+v", changed)
		}
		if got := find("batch.size"); got.Value != 40.0 || got.Source != "database" {
			t.Errorf("%+v", got)
		}
		s.vote("k1", `"voter":"ann","kind":"fire","a":"c/1"`)
		if got := read[struct {
			Score struct {
				Slider  float64
				Version int64 `json:"scoring_version"`
			}
		}](t, s.get("/nfts/c%2F1", 200)); got.Score.Slider != 40 || got.Score.Version != 2 {
			t.Errorf("the change is not in force: %+v", got)
		}
		changes := read[struct {
			Items []struct {
				Name, Who, Why string
				From, To       any
			}
		}](t, s.get("/settings/changes", 200)).Items
		if len(changes) != 4 || changes[0].Who != "the operator" || changes[0].Why != "a test" {
			t.Errorf("%+v", changes)
		}
		from := map[string]any{}
		for _, c := range changes {
			from[c.Name] = c.From
		}
		want := map[string]any{
			"batch.size": 20.0, "scoring.publishing.slider_neutral": 50.0, "batch.every": "1h", "trigger.milestones": []any{5.0, 10.0, 25.0, 50.0, 100.0},
		}
		if diff := cmp.Diff(want, from); diff != "" {
			t.Errorf("changed from values that were not stored:\n%s", diff)
		}
		for _, c := range []struct{ name, body, location string }{
			{"folding", `{"values":{"scoring.folding.k":30},"why":"x"}`, "body.values.scoring.folding.k"},
			{"unknown", `{"values":{"batch.sice":30},"why":"x"}`, "body.values.batch.sice"},
			{"of the process", `{"values":{"log.level":"debug"},"why":"x"}`, "body.values.log.level"},
			{"out of range", `{"values":{"batch.size":-1},"why":"x"}`, "body.values.batch.size"},
			{"wrong type", `{"values":{"batch.size":"many"},"why":"x"}`, "body.values.batch.size"},
			{"without why", `{"values":{"batch.size":30},"why":" "}`, "body.why"},
			{"without why at all", `{"values":{"scoring.publishing.slider_neutral":40}}`, "body.why"},
			{"why that is no text", `{"values":{"batch.adaptive.growth":30},"why":7}`, "body.why"},
			{"a field too many", `{"values":{"batch.adaptive.growth":30},"why":"x","whim":"y"}`, "body.whim"},
			{"nothing", `{"values":{},"why":"x"}`, "body.values"},
			{"no values", `{"why":"x"}`, "body"},
			{"null", `{"values":null,"why":"x"}`, "body.values"},
		} {
			p := read[problem](t, s.want(422, "PATCH", "/settings", store.Operator, c.body))
			if len(p.Errors) == 0 || p.Errors[0].Location != c.location {
				t.Errorf("%s: %+v, want it at %s", c.name, p, c.location)
			}
		}
		if got := find("batch.size"); got.Value != 40.0 {
			t.Errorf("a refused change is in force: %+v", got)
		}
	})
}

func TestFailures(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1", "c/2")
		s.vote("k1", matchup)
		nft, err := s.number("c/1")
		must(t, err)
		at := time.Now().UTC().Truncate(time.Microsecond)
		broken := store.Failure{NFT: nft, ID: "c/1", Error: "it broke", Tries: 5, FirstAt: at, LastAt: at}
		must(t, s.store.Update(t.Context(), func(tx store.Tx) error {
			return tx.Apply(t.Context(), &store.Changes{Failures: []store.Failure{broken}})
		}))
		type failures struct {
			Items []struct {
				NFT, Error string
				NextTry    *string `json:"next_try"`
			}
		}
		if got := read[failures](t, s.get("/failures", 200)).Items; len(got) != 1 || got[0].NFT != "c/1" || got[0].NextTry != nil {
			t.Errorf("%+v", got)
		}
		s.want(http.StatusNoContent, "POST", "/failures/c%2F1/retry", store.Operator, "")
		if got := read[failures](t, s.get("/failures", 200)).Items; len(got) != 1 || got[0].NextTry == nil {
			t.Errorf("to be tried again: %+v", got)
		}
		s.want(http.StatusNoContent, "DELETE", "/failures/c%2F1", store.Operator, "")
		if got := read[failures](t, s.get("/failures", 200)).Items; len(got) != 0 {
			t.Errorf("discarded: %+v", got)
		}
		s.want(404, "DELETE", "/failures/c%2F1", store.Operator, "")
		s.want(404, "POST", "/failures/c%2F2/retry", store.Operator, "")
		if got := s.activity("failed"); len(got) != 1 || got[0] != "the operator: taken off the failed list by hand" {
			t.Errorf("logged: %v", got)
		}
	})
}

// number returns the number of an NFT.
func (s *service) number(id string) (n int64, err error) {
	err = s.store.View(s.t.Context(), func(v store.View) error {
		nft, err := v.NFT(s.t.Context(), id)
		n = nft.Number
		return err
	})
	return n, err
}

func TestActivity(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1", "c/2")
		before := time.Now().UTC().Add(-time.Minute).Format(time.RFC3339)
		s.vote("k1", `"voter":"ann","kind":"fire","a":"c/1"`)
		s.vote("k2", `"voter":"ann","kind":"fire","a":"c/2"`)
		for query, want := range map[string]int{
			"": 2, "?kind=computed": 2, "?kind=failed": 0, "?nft=c/2": 1, "?since=" + before: 2, "?until=" + before: 0, "?limit=1": 1,
		} {
			if got := read[page](t, s.get("/activity"+query, 200)); len(got.Items) != want {
				t.Errorf("%s: %+v", query, got)
			}
		}
		for _, bad := range []string{"?kind=other", "?since=today", "?run=0", "?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"} {
			s.get("/activity"+bad, 422)
		}
	})
}

func TestTotals(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1", "c/2")
		s.vote("k1", `"voter":"ann","kind":"fire","a":"c/1"`)
		got := read[struct {
			NFTs, Scored    int64
			Votes, Computed map[string]int64
		}](t, s.get("/totals", 200))
		if got.NFTs != 2 || got.Scored != 1 || got.Votes["fire"] != 1 || got.Computed["fire"] != 1 {
			t.Errorf("%+v", got)
		}
		if got := read[struct{ Name, Role string }](t, s.want(200, "GET", "/self", store.Viewer, "")); got.Name != "the viewer" || got.Role != "viewer" {
			t.Errorf("%+v", got)
		}
	})
}

func TestStream(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		s.register("c/1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", s.URL+api.Prefix+"/stream", nil)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+s.keys[store.Viewer])
		r.Header.Set("Accept-Encoding", "gzip")
		got, err := s.Client().Do(r)
		must(t, err)
		defer got.Body.Close()
		if got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/event-stream" || got.Header.Get("Content-Encoding") != "" {
			t.Fatalf("status %d, %v", got.StatusCode, got.Header)
		}
		s.vote("k1", `"voter":"ann","kind":"fire","a":"c/1"`)
		lines := bufio.NewScanner(got.Body)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data: ") && strings.Contains(lines.Text(), `"c/1"`) {
				return
			}
		}
		t.Errorf("the vote did not come: %v", lines.Err())
	})
}
