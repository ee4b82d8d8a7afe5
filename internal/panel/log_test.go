package panel

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"poa/internal/store"
)

// remark logs entries.
func (s *site) remark(list ...store.Activity) {
	s.t.Helper()
	for i := range list {
		list[i].At = s.now()
	}
	must(s.t, s.Store.Update(s.t.Context(), func(tx store.Tx) error {
		return tx.Apply(s.t.Context(), &store.Changes{Activity: list})
	}))
}

func TestLog(t *testing.T) {
	s := open(t)
	s.cast(super())
	s.remark(store.Activity{Kind: store.Paused, Who: "alice", Detail: "batches: <moving> the disk"})
	v := s.sign(store.Viewer, "vera")
	page := v.get("/log", http.StatusOK)
	page.holds(t, `href="/nfts/c%2F1"`, "super vote", "batches: &lt;moving&gt; the disk", "by alice", `data-live=""`, `data-after="`, "accepted the invitation")

	v.get("/log?kind=paused", http.StatusOK).lacks(t, `href="/nfts/c%2F1"`)
	v.get("/log?reason=super", http.StatusOK).holds(t, `href="/nfts/c%2F1"`, `data-live="reason=super"`)
	v.get("/log?reason=fire", http.StatusOK).holds(t, "Nothing that fits the filter was found")
	one := v.get("/log?nft=c%2F1", http.StatusOK)
	one.holds(t, `href="/nfts/c%2F1"`, `data-live="nft=c%2F1"`)
	one.lacks(t, `href="/nfts/c%2F2"`)
	art := v.get("/log?collection=art", http.StatusOK)
	art.holds(t, `href="/nfts/c%2F1"`, `data-live=""`, `data-collection="art"`)
	art.lacks(t, "accepted the invitation")
	v.get("/log?collection=none", http.StatusOK).lacks(t, `href="/nfts/c%2F1"`)
	v.get("/log?nft=nothing", http.StatusNotFound).holds(t, "There is no NFT with this id.")
	for _, bad := range []string{"kind=x", "run=x", "run=-1", "before=0", "before=99999999999999999999"} {
		v.get("/log?"+bad, http.StatusUnprocessableEntity)
	}
}

func TestPagesOfTheLog(t *testing.T) {
	s := open(t)
	var list []store.Activity
	for i := range logPage + 50 {
		list = append(list, store.Activity{Kind: store.Resumed, Detail: fmt.Sprintf("entry-%03d", i)})
	}
	s.remark(list...)
	v := s.sign(store.Viewer, "vera")
	first := v.get("/log?kind=resumed", http.StatusOK)
	first.holds(t, "entry-149", "entry-050", "Next page", "The latest entries")
	first.lacks(t, "entry-049", "To the beginning")
	next := strings.ReplaceAll(between(first.body, `href="`, `" rel="next"`), "&amp;", "&")
	second := v.get(next, http.StatusOK)
	second.holds(t, "entry-049", "entry-000", "To the beginning", "Older entries")
	second.lacks(t, "entry-050", "Next page", "data-live=")
}

// between returns the shortest text that ends with end and follows begin.
func between(text, begin, end string) string {
	text, _, _ = strings.Cut(text, end)
	return text[strings.LastIndex(text, begin)+len(begin):]
}

// TestLogIsRead sees that viewers of one page share what was read.
func TestLogIsRead(t *testing.T) {
	s := open(t)
	at := time.Now()
	s.Now = func() time.Time { return at }
	v := s.sign(store.Viewer, "vera")
	live := http.Header{"Hx-Request": {"true"}}
	v.send(http.MethodGet, "/log?kind=computed", live)
	before := s.Store.Statements()
	for range 20 {
		v.send(http.MethodGet, "/log?kind=computed", live)
	}
	if n := s.Store.Statements() - before; n != 0 {
		t.Errorf("20 looks cost %d statements", n)
	}
}

func TestDownloadsOfTheLog(t *testing.T) {
	s := open(t)
	s.cast(super())
	s.remark(store.Activity{Kind: store.Failed, Who: "=cmd", Detail: `-1+2 "quoted", and more`})
	v := s.sign(store.Viewer, "vera")

	got := v.get("/log.csv?kind=failed", http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	must(t, err)
	if len(rows) != 2 || rows[0][0] != "number" || rows[1][2] != "failed" || rows[1][11] != "'=cmd" || rows[1][12] != `'-1+2 "quoted", and more` {
		t.Errorf("rows %q", rows)
	}
	if d := got.Header.Get("Content-Disposition"); !strings.HasPrefix(d, `attachment; filename="poa-log-`) || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/csv") {
		t.Errorf("headers %v", got.Header)
	}
	rows, err = csv.NewReader(strings.NewReader(v.get("/log.csv?nft=c%2F1", http.StatusOK).body)).ReadAll()
	must(t, err)
	if len(rows) != 2 || rows[1][3] != "c/1" || rows[1][4] != "super" || rows[1][8] == "" {
		t.Errorf("rows %q", rows)
	}

	lines := strings.Split(strings.TrimSpace(v.get("/log.ndjson", http.StatusOK).body), "\n")
	for _, line := range lines {
		var e struct {
			Number int64
			Kind   string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Number == 0 || e.Kind == "" {
			t.Errorf("line %q: %v", line, err)
		}
	}
	if len(lines) != 5 { // two computed, one failed, two about people
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	v.get("/log.csv?kind=x", http.StatusUnprocessableEntity)
	v.get("/log.ndjson?nft=nothing", http.StatusNotFound)
	s.stranger().get("/log.csv", http.StatusSeeOther)
}

// TestDownloadsAreWhole sees that a download has more than one read.
func TestDownloadsAreWhole(t *testing.T) {
	s := open(t)
	for range 3 {
		s.remark(make([]store.Activity, 900)...)
	}
	v := s.sign(store.Viewer, "vera")
	if n := strings.Count(v.get("/log.ndjson", http.StatusOK).body, "\n"); n != 2702 {
		t.Errorf("%d lines", n)
	}
}

func TestReasonWords(t *testing.T) {
	for want, a := range map[string]store.Activity{
		"":                          {},
		"FIRE":                      {Reason: "fire"},
		"super vote ×2, milestone":  {Reason: "super", Reasons: map[string]int{"super": 2, "milestone": 1}},
		"batch":                     {Reason: "batch", Reasons: map[string]int{"batch": 1}},
		"something new, by hand ×3": {Reason: "something_new", Reasons: map[string]int{"manual": 3}},
	} {
		if got := reasonWords(&a); got != want {
			t.Errorf("%+v: %q, want %q", a, got, want)
		}
	}
}
