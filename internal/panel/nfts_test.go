package panel

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"poa/internal/artwork"
	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/settings"
	"poa/internal/store"
)

// hostile are ids and names that would break a page that trusts them.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `a/b//c/../d`, `?q=1&x=%2F#f`, `..`, `.`, `'";--`,
	"ünï 漢字 \u202e", "{{.}} ${x}", `C:\x`, strings.Repeat("w", ledger.MaxID), "a+b c%20d",
}

func TestListOfNFTs(t *testing.T) {
	s := open(t)
	s.cast(super())
	s.cast(ledger.Vote{A: "c/3", B: "c/1", Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinA}})
	v := s.sign(store.Viewer, "vera")
	scored := v.get("/nfts", http.StatusOK)
	scored.holds(t, "Picture 1", "Picture 2", `href="/nfts/c%2F1"`)
	scored.lacks(t, "Picture 3")
	if strings.Index(scored.body, "Picture 1") > strings.Index(scored.body, "Picture 2") {
		t.Error("the higher score does not come first")
	}
	lowest := v.get("/nfts?show=low", http.StatusOK)
	if strings.Index(lowest.body, "Picture 1") < strings.Index(lowest.body, "Picture 2") {
		t.Error("the lower score does not come first")
	}
	ready := v.get("/nfts?show=ready", http.StatusOK)
	ready.holds(t, "Picture 3", "ready")
	ready.lacks(t, "Picture 1")
	v.get("/nfts?show=all&collection=art", http.StatusOK).holds(t, "Picture 1", "Picture 3")
	v.get("/nfts?show=all&collection=other", http.StatusOK).holds(t, "No such collection", `<option value="other" selected>other (unknown)</option>`)
	v.get("/nfts?show=all&collection=+", http.StatusOK).lacks(t, "Picture 1") // all are in one
	found := v.get("/nfts?q=c%2F2", http.StatusOK)
	found.holds(t, "Picture 2", `value="c/2"`)
	found.lacks(t, "Picture 1")
	v.get("/nfts?q=Picture+3&show=high", http.StatusOK).holds(t, `href="/nfts/c%2F3"`) // a search finds any
	v.get("/nfts?q=Picture+3&show=scored", http.StatusOK).lacks(t, `href="/nfts/c%2F3"`)
	v.get("/nfts?view=tiles", http.StatusOK).holds(t, `<ul class="tiles`, "Picture 1")
	for _, wrong := range []string{"/nfts?after=x", "/nfts?poa=x", "/nfts?from=-1", "/nfts?q=" + strings.Repeat("q", 201), "/nfts?q=%00", "/nfts?q=%ff", "/nfts?collection=%00"} {
		v.get(wrong, http.StatusUnprocessableEntity)
	}
}

func TestPagesOfNFTs(t *testing.T) {
	s := open(t)
	var nfts []store.NFT
	for i := range 2 * nftsPage {
		nfts = append(nfts, store.NFT{ID: fmt.Sprintf("p-%03d", i), Collection: "many"})
	}
	_, err := s.Store.PutNFTs(t.Context(), nfts, false, time.Now())
	must(t, err)
	for i := range nfts {
		s.cast(ledger.Vote{A: nfts[i].ID, Vote: scoring.Vote{Kind: scoring.Fire}})
	}
	v := s.sign(store.Viewer, "vera")
	for _, show := range []string{showHigh, showLow, showAll} {
		seen := map[string]bool{}
		path := "/nfts?collection=many&show=" + show
		for pages := 0; path != ""; pages++ {
			if pages > 2 {
				t.Fatalf("%s: more pages than NFTs", show)
			}
			page := v.get(path, http.StatusOK)
			for _, n := range nfts {
				if strings.Contains(page.body, ">"+n.ID+"<") {
					if seen[n.ID] {
						t.Errorf("%s: %s is on two pages", show, n.ID)
					}
					seen[n.ID] = true
				}
			}
			path = nextOf(page.body)
		}
		if len(seen) != len(nfts) {
			t.Errorf("%s: %d of %d NFTs are on the pages", show, len(seen), len(nfts))
		}
	}
}

// nextOf is where the next page of a list is, "" for none.
func nextOf(body string) string {
	before, _, ok := strings.Cut(body, `" rel="next"`)
	if !ok {
		return ""
	}
	return strings.ReplaceAll(before[strings.LastIndex(before, `href="`)+len(`href="`):], "&amp;", "&")
}

func TestBillOfAnNFT(t *testing.T) {
	s := open(t)
	s.cast(super())
	s.cast(ledger.Vote{A: "c/1", Vote: scoring.Vote{Kind: scoring.Slider, Value: 90}, Voter: "voter-2"})
	v := s.sign(store.Viewer, "vera")
	page := v.get("/nfts/c%2F1", http.StatusOK)
	rated, err := s.Operate.Find(t.Context(), "c/1")
	must(t, err)
	score := rated.Rating.Score
	publishing := scoring.DefaultPublishing()
	elo, slider, fire := publishing.Shares(score.Components)
	page.holds(t, "The bill", poa(score.POA), poa(elo), poa(slider), poa(fire), poa(elo+slider+fire), fixed(score.Reliability, 3),
		publishing.Explain(score.POA, score.Components), "provisional", "super vote", "incremental", "(1 since)",
		"won against", `href="/nfts/c%2F2"`, "rated 90", `href="/voters/voter-2"`, "What the next vote would do", "computes at once: FIRE, high priority",
		`data-live="nft=c%2F1"`)
	page.lacks(t, "Compute and publish", "Exact now")
	v.get("/nfts/c%2F1?exact=1", http.StatusOK).holds(t, "Exact now", "An exact computation gives POA")
	v.get("/nfts/c%2F3", http.StatusOK).holds(t, "Nobody has voted on it.", "mean 1200.0", "sigma 350.0")
	v.get("/nfts/nobody", http.StatusNotFound)
}

func TestComputeAnNFTByHand(t *testing.T) {
	s := open(t)
	s.cast(super())
	s.cast(ledger.Vote{A: "c/1", Vote: scoring.Vote{Kind: scoring.Slider, Value: 90}, Voter: "voter-2"})
	s.sign(store.Viewer, "vera").post("/nfts/compute", http.StatusForbidden, "nft", "c/1")
	o := s.sign(store.Operator, "olga")
	done := o.post("/nfts/compute", http.StatusSeeOther, "nft", "c/1")
	if to := done.Header.Get("Location"); to != "/nfts/c%2F1" {
		t.Errorf("then to %q", to)
	}
	page := o.get("/nfts/c%2F1", http.StatusOK)
	page.holds(t, "Computed and published: POA", "Compute and publish", "by hand", "by olga")
	rated, err := s.Operate.Find(t.Context(), "c/1")
	must(t, err)
	if score := rated.Rating.Score; score.Reason != store.ReasonManual || score.Basis != store.Exact {
		t.Errorf("published because of %s, %s", score.Reason, score.Basis)
	}
	o.post("/nfts/compute", http.StatusNotFound, "nft", "nobody")
	o.post("/nfts/compute", http.StatusUnprocessableEntity)
	o.post("/nfts/compute", http.StatusSeeOther, "nft", "c/3")
	o.get("/nfts/c%2F3", http.StatusOK).holds(t, "There is nothing to compute")
}

func TestWhenABatchTakesAnNFT(t *testing.T) {
	s := open(t)
	v := s.sign(store.Viewer, "vera")
	v.get("/nfts/c%2F3", http.StatusOK).holds(t, "it has no vote that counts")
	s.cast(ledger.Vote{A: "c/3", B: "c/1", Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinA}})
	// Another page of the votes, so that nothing read before is shown.
	v.get("/nfts/c%2F3?before=1000", http.StatusOK).holds(t, "Batches take it as one that has votes and no score. It is number ", "of 2 that the next batch takes")
	s.cast(ledger.Vote{A: "c/2", Vote: scoring.Vote{Kind: scoring.Fire}})
	v.get("/nfts/c%2F2", http.StatusOK).holds(t, "Batches recompute old scores of NFTs with 5 votes or more; it has 0")
	v.get("/nfts/c%2F2?before=1000", http.StatusOK).holds(t,
		`waits for a trigger: no batch below 5 votes</th><td>matchup, won; matchup, lost; matchup, tied; slider rating</td>`,
		`changes no score</th><td>matchup, neither; super matchup, neither; FIRE that stands already</td>`)
	must(t, s.Settings.Pause(t.Context(), settings.Batches, settings.Pause{Reason: "a copy", Who: "test"}))
	v.get("/nfts/c%2F3?before=1002", http.StatusOK).holds(t, "Batches are paused. Batches take it", "waits for a batch: the first score; batches are paused")
	must(t, s.Operate.SwitchCollection(t.Context(), "art", false, "", "test"))
	deadline := time.Now().Add(20 * time.Second) // totals are read once a second
	for {
		if page := v.get("/nfts/c%2F3?before=1001", http.StatusOK); strings.Contains(page.body, "Its collection is switched off") {
			page.holds(t, "waits for a trigger: its collection is switched off")
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("a collection that is off is not told of\n%s", page.body)
		}
	}
}

func TestHistoryOfAnNFT(t *testing.T) {
	s := open(t)
	s.cast(super())
	v := s.sign(store.Viewer, "vera")
	for of, series := range map[string]int{"score": 2, "mean": 3} {
		var d chartData
		must(t, json.Unmarshal([]byte(v.get("/charts/nft?id=c%2F1&of="+of, http.StatusOK).body), &d))
		if len(d.Times) != 1 || len(d.Series) != series || len(d.Series[0].Values) != 1 {
			t.Errorf("%s: %d times, %d series", of, len(d.Times), len(d.Series))
		}
	}
	var d chartData
	must(t, json.Unmarshal([]byte(v.get("/charts/nft?id=c%2F3", http.StatusOK).body), &d))
	if len(d.Times) != 0 {
		t.Errorf("an NFT without a score has a history of %d", len(d.Times))
	}
	v.get("/charts/nft?id=nobody", http.StatusNotFound)
}

func TestPointsOfOneSecond(t *testing.T) {
	at := time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)
	h := nftPoints{Points: []store.HistoryPoint{{At: at, POA: 1}, {At: at.Add(time.Millisecond), POA: 2}, {At: at.Add(time.Second), POA: 3}}}
	d := h.scoreChart()
	if len(d.Times) != 2 || *d.Series[0].Values[0] != 2 || *d.Series[0].Values[1] != 3 {
		t.Errorf("%d points, want the last of each second", len(d.Times))
	}
}

func TestHostileNamesOfNFTsAndVoters(t *testing.T) {
	s := open(t)
	var nfts []store.NFT
	for _, text := range hostile {
		nfts = append(nfts, store.NFT{ID: text, Name: "name " + text, Collection: text, ImageURL: "javascript:" + text})
	}
	_, err := s.Store.PutNFTs(t.Context(), nfts, false, time.Now())
	must(t, err)
	for _, text := range hostile {
		s.cast(ledger.Vote{A: text, Voter: text, Vote: scoring.Vote{Kind: scoring.Fire}})
	}
	o := s.sign(store.Operator, "olga")
	paths := []string{"/nfts?show=all", "/nfts?view=tiles", "/collections", "/voters", "/log"}
	for _, text := range hostile {
		paths = append(paths, nftPath(text), collectionPath(text), voterPath(text), "/nfts?q="+url.QueryEscape(text), "/voters?q="+url.QueryEscape(text),
			withNumber(collectionPath(text), "compute", 5))
	}
	for _, path := range paths {
		page := o.get(path, http.StatusOK)
		page.lacks(t, "<script>alert", "<img src=x", `"><img`, `src="javascript:`)
	}
	for _, text := range hostile {
		o.get(nftPath(text), http.StatusOK).holds(t, "What the next vote would do", "given")
		o.get(voterPath(text), http.StatusOK).holds(t, "What a vote weighs", "given")
		to := o.post("/nfts/compute", http.StatusSeeOther, "nft", text).Header.Get("Location")
		o.get(to, http.StatusOK).holds(t, "Computed and published")
	}
}

func TestPicturesOfAGeneratedGame(t *testing.T) {
	s := open(t)
	s.stranger().get("/art/kabu-12.svg", http.StatusNotFound)
	with := *s.Panel
	with.SampleArt = true
	pages, err := with.handler()
	must(t, err)
	w := httptest.NewRecorder()
	pages.ServeHTTP(w, httptest.NewRequest(http.MethodGet, artwork.Path("kabu-12"), nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/svg+xml" {
		t.Errorf("status %d, %s", w.Code, w.Header().Get("Content-Type"))
	}
	_, err = s.Store.PutNFTs(t.Context(), []store.NFT{{ID: "c/1", Name: "Picture 1", Collection: "art", ImageURL: artwork.Path("kabu-12")}, {ID: "c/2", Collection: "art", ImageURL: "ipfs://bafy/2.png"}}, true, time.Now())
	must(t, err)
	v := s.sign(store.Viewer, "vera")
	v.get("/nfts/c%2F1", http.StatusOK).holds(t, `<img src="/art/kabu-12.svg" alt="" width="240" height="240" loading="lazy"`)
	v.get("/nfts/c%2F2", http.StatusOK).lacks(t, "bafy")
	s.Panel.Images, err = s.Panel.Images.WithGateway("https://ipfs.io/ipfs/")
	must(t, err)
	v.get("/nfts/c%2F2", http.StatusOK).holds(t, `src="https://ipfs.io/ipfs/bafy/2.png"`)
}
