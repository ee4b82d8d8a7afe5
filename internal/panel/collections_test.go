package panel

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

func TestCollections(t *testing.T) {
	s := open(t)
	_, err := s.Store.PutNFTs(t.Context(), []store.NFT{{ID: "alone"}, {ID: "b", Collection: "bears"}}, false, time.Now())
	must(t, err)
	s.cast(super())
	v := s.sign(store.Viewer, "vera")
	list := v.get("/collections", http.StatusOK)
	list.holds(t, `href="/collections/art"`, "bears", "(no collection)", `href="/collections/"`, "66.7 %")
	list.lacks(t, "Switch off", "Compute…")
	if ordered := v.get("/collections?order=nfts", http.StatusOK); strings.Index(ordered.body, ">art<") > strings.Index(ordered.body, ">bears<") {
		t.Error("the larger collection does not come first")
	}
	page := v.get("/collections/art", http.StatusOK)
	page.holds(t, "Picture 1", "Highest scores", "66.7 % coverage")
	page.lacks(t, "Switch off")
	v.get("/collections/", http.StatusOK).holds(t, "(no collection)")
	v.get("/collections/nothing", http.StatusNotFound)
	var d chartData
	must(t, json.Unmarshal([]byte(v.get("/charts/collection?name=art", http.StatusOK).body), &d))
	total := 0.0
	for _, n := range d.Series[0].Values {
		if n != nil {
			total += *n
		}
	}
	if total != 2 {
		t.Errorf("the distribution is of %v scores, want 2", total)
	}
	v.get("/charts/collection?name=nothing", http.StatusNotFound)
}

func TestSwitchACollection(t *testing.T) {
	s := open(t)
	s.sign(store.Viewer, "vera").post("/collections/switch", http.StatusForbidden, "name", "art", "active", "false")
	o := s.sign(store.Operator, "olga")
	done := o.post("/collections/switch", http.StatusSeeOther, "name", "art", "active", "false", "back", "/collections")
	if to := done.Header.Get("Location"); to != "/collections" {
		t.Errorf("then to %q", to)
	}
	o.get("/collections", http.StatusOK).holds(t, "Switch on", "art is switched off")
	o.get("/log", http.StatusOK).holds(t, "collection &#34;art&#34; switched off", "by olga")
	away := o.post("/collections/switch", http.StatusSeeOther, "name", "art", "active", "true", "back", "https://evil.example/")
	if to := away.Header.Get("Location"); strings.Contains(to, "evil") {
		t.Errorf("then to %q", to)
	}
	o.post("/collections/switch", http.StatusNotFound, "name", "nothing", "active", "false")
}

func TestComputeACollection(t *testing.T) {
	s := open(t)
	_, err := s.Store.PutNFTs(t.Context(), []store.NFT{{ID: "b", Collection: "bears"}}, false, time.Now())
	must(t, err)
	s.cast(ledger.Vote{A: "c/3", B: "b", Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinA}})
	viewer := s.sign(store.Viewer, "vera")
	preview := viewer.get("/collections/art?compute=7", http.StatusOK)
	preview.holds(t, "1 NFT: 1 without a score", "for a first score", `href="/nfts/c%2F3"`, `value="7"`)
	preview.lacks(t, "Compute 1 NFT now", `>b</a>`)
	viewer.post("/collections/compute", http.StatusForbidden, "name", "art", "size", "7")
	for _, wrong := range []string{"0", "x", "100001", "-1"} {
		viewer.get("/collections/art?compute="+wrong, http.StatusUnprocessableEntity).holds(t, "Must be a whole number from 1 to 100,000")
	}
	o := s.sign(store.Operator, "olga")
	o.get("/collections/art?compute=7", http.StatusOK).holds(t, "Compute 1 NFT now")
	o.post("/collections/compute", http.StatusUnprocessableEntity, "name", "art", "size", "0")
	o.post("/collections/compute", http.StatusNotFound, "name", "nothing", "size", "7")
	o.post("/collections/compute", http.StatusSeeOther, "name", "art", "size", "7")
	o.get("/collections/art", http.StatusOK).holds(t, "has begun: up to 7 NFTs of art")
	s.work()
	runs, err := s.Store.Runs(t.Context(), store.ManualRun, 0, 10)
	must(t, err)
	if len(runs) != 1 || runs[0].RequestedBy != "olga" || runs[0].Done != 1 || runs[0].Collection == nil || *runs[0].Collection != "art" {
		t.Errorf("runs: %+v", runs)
	}
	rated, err := s.Operate.Find(t.Context(), "c/3")
	must(t, err)
	if rated.Rating.Score == nil || rated.Rating.Score.Reason != store.ReasonManual {
		t.Errorf("score: %+v", rated.Rating.Score)
	}
	viewer.get("/collections/art?compute=8", http.StatusOK).holds(t, "There is nothing to compute")
}

func TestVoters(t *testing.T) {
	s := open(t)
	s.cast(super())
	s.cast(ledger.Vote{A: "c/1", Vote: scoring.Vote{Kind: scoring.Slider, Value: 80}, Voter: "zoe"})
	v := s.sign(store.Viewer, "vera")
	v.get("/voters", http.StatusOK).holds(t, "voter-1", "zoe", `href="/voters/zoe"`)
	found := v.get("/voters?q=zo", http.StatusOK)
	found.holds(t, "zoe")
	found.lacks(t, "voter-1")
	v.get("/voters?show=newest", http.StatusOK).holds(t, "voter-1", "zoe")
	v.get("/voters/zoe", http.StatusOK).holds(t, "rated 80", "1 slider rating", "until 3 matchups are judged; 0 were", `href="/nfts/c%2F1"`)
	v.get("/voters/voter-1", http.StatusOK).holds(t, "won against", "super")
	v.get("/voters/nobody", http.StatusNotFound)
	v.get("/voters?after=x", http.StatusUnprocessableEntity)
}

func TestPagesOfVoters(t *testing.T) {
	s := open(t)
	for i := range votersPage + 5 {
		s.cast(ledger.Vote{A: "c/1", Voter: fmt.Sprintf("w-%03d", i), Vote: scoring.Vote{Kind: scoring.Slider, Value: 50}})
	}
	v := s.sign(store.Viewer, "vera")
	for _, start := range []string{"/voters?show=newest", "/voters?q=w-"} {
		seen := map[string]bool{}
		for path := start; path != ""; {
			page := v.get(path, http.StatusOK)
			for i := range votersPage + 5 {
				if id := fmt.Sprintf("w-%03d", i); strings.Contains(page.body, ">"+id+"<") {
					if seen[id] {
						t.Fatalf("%s: %s is on two pages", start, id)
					}
					seen[id] = true
				}
			}
			path = nextOf(page.body)
		}
		if len(seen) != votersPage+5 {
			t.Errorf("%s: %d voters on the pages", start, len(seen))
		}
	}
	first := v.get("/nfts/c%2F1", http.StatusOK)
	second := v.get(nextOf(first.body), http.StatusOK)
	second.holds(t, "Earlier votes")
	second.lacks(t, "w-054")
}

func TestReliabilityInWords(t *testing.T) {
	c := scoring.Defaults()
	say := func(judged int64, reliability float64) string {
		v := voterView{Constants: &c}
		v.Judged, v.Reliability = judged, reliability
		return v.judging()
	}
	for _, test := range []struct {
		judged      int64
		reliability float64
		want        string
	}{
		{0, 1, "weighs 1.000 until 3 matchups are judged; 0 were"}, {1, 1.2, "1 was"}, {3, 1.2, "weighs 1.200, more than"},
		{3, 0.8, "weighs 0.800, less than"}, {3, 1, "weighs 1.000, as much as"},
	} {
		if got := say(test.judged, test.reliability); !strings.Contains(got, test.want) {
			t.Errorf("%d judged, %v: %q does not hold %q", test.judged, test.reliability, got, test.want)
		}
	}
}
