package panel

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"poa/internal/access"
	"poa/internal/live"
	"poa/internal/store"
	"poa/internal/trigger"
)

const (
	// logPage is how many entries a page of the log has, and logDownload how
	// many a download has at most.
	logPage     = 100
	logDownload = 50_000
	// logChunk is how many entries of a download are read at once.
	logChunk = 1000
)

func (p *Panel) logRoutes() []route {
	l := &logPages{Panel: p}
	l.latest = newShared(time.Second, p.clock, l.read)
	return []route{
		{"GET", "/log", access.View, l.show},
		{"GET", "/log.csv", access.View, l.csv},
		{"GET", "/log.ndjson", access.View, l.ndjson},
	}
}

// logPages are the pages of the log. What the first one shows is read once a
// second for all who look at it with the same filter.
type logPages struct {
	*Panel
	latest *shared[logFilter, logRead]
}

// logFilter chooses entries, as it is written in a URL. Empty fields do not
// filter.
type logFilter struct {
	Kind, Reason, NFT, Collection string
	Run                           int64
	Before                        int64
}

// logRead is a page of entries.
type logRead struct {
	Entries []store.Activity
	Next    int64    // Before of the page after it, 0 where there is none
	After   live.ID  // from where the live stream goes on
	Names   []string // of all collections
}

// logView is what the page of the log shows.
type logView struct {
	logFilter
	logRead
	Err string // what is wrong with the filter
}

// activityKinds are the kinds of the log, in the order of the filter.
var activityKinds = [...]store.ActivityKind{
	store.Computed, store.Withdrawn, store.Deferred, store.Failed, store.RunStarted, store.RunEnded,
	store.Paused, store.Resumed, store.SettingsChanged, store.AccessChanged,
}

// kindTone is the tone of a kind's badge.
func kindTone(k store.ActivityKind) string {
	switch k {
	case store.Failed:
		return "bad"
	case store.Paused, store.Deferred, store.Withdrawn:
		return "warn"
	case store.RunStarted, store.RunEnded:
		return "info"
	case store.Resumed:
		return "ok"
	case store.SettingsChanged, store.AccessChanged:
		return "accent"
	}
	return ""
}

// reasonNames are the reasons of computations in words, in the order of the
// filter.
var reasonNames = [...]option{
	{string(trigger.Super), "super vote"},
	{string(trigger.Fire), "FIRE"},
	{string(trigger.Milestone), "milestone"},
	{string(trigger.HighActivity), "high activity"},
	{store.ReasonBatch, "batch"},
	{store.ReasonManual, "by hand"},
	{store.ReasonBackfill, "backfill"},
	{string(store.UpkeepRun), "upkeep"},
}

// reasonWord is a reason in words.
func reasonWord(reason string) string {
	for _, r := range reasonNames {
		if r.Value == reason {
			return r.Text
		}
	}
	return words(reason)
}

// reasonWords are an entry's reasons, the most urgent first, with how often
// each occurred: "super vote ×2, milestone".
func reasonWords(a *store.Activity) string {
	if a.Reason == "" {
		return ""
	}
	var others []string
	for reason := range a.Reasons {
		if reason != a.Reason {
			others = append(others, reason)
		}
	}
	slices.Sort(others)
	var list []string
	for _, reason := range append([]string{a.Reason}, others...) {
		word := reasonWord(reason)
		if n := a.Reasons[reason]; n > 1 {
			word += " ×" + strconv.Itoa(n)
		}
		list = append(list, word)
	}
	return strings.Join(list, ", ")
}

// logFilterOf reads the filter of a request.
func logFilterOf(q url.Values) (logFilter, error) {
	f := logFilter{Kind: q.Get("kind"), Reason: q.Get("reason"), NFT: strings.TrimSpace(q.Get("nft")), Collection: q.Get("collection")}
	if f.Kind != "" && !slices.Contains(activityKinds[:], store.ActivityKind(f.Kind)) {
		return f, invalid("There is no kind of entry named %q.", f.Kind)
	}
	for name, to := range map[string]*int64{"run": &f.Run, "before": &f.Before} {
		if text := q.Get(name); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n <= 0 {
				return f, invalid("%s must be a number above 0, is %q.", name, text)
			}
			*to = n
		}
	}
	return f, nil
}

// query is the filter as it is written in a URL, without the place of a page.
func (f logFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"kind": f.Kind, "reason": f.Reason, "nft": f.NFT, "collection": f.Collection} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Run != 0 {
		q.Set("run", strconv.FormatInt(f.Run, 10))
	}
	return q
}

// stream is the filter as the live stream takes it, which knows no collections.
func (f logFilter) stream() string {
	q := f.query()
	q.Del("collection")
	return q.Encode()
}

// some reports whether anything is filtered.
func (f logFilter) some() bool { return len(f.query()) > 0 }

// search is the filter as the store takes it. errNotFound where there is no
// such NFT.
func (l *logPages) search(ctx context.Context, f logFilter, limit int) (store.ActivitySearch, error) {
	s := store.ActivitySearch{Reason: f.Reason, ActivityQuery: store.ActivityQuery{Run: f.Run, Kind: store.ActivityKind(f.Kind), Before: f.Before, Limit: limit}}
	if f.Collection != "" {
		s.Collection = &f.Collection
	}
	if f.NFT == "" {
		return s, nil
	}
	err := l.Store.View(ctx, func(v store.View) error {
		nft, err := v.NFT(ctx, f.NFT)
		s.NFT = nft.Number
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return s, errNotFound
	}
	if err != nil {
		return s, fmt.Errorf("looking up an NFT: %w", err)
	}
	return s, nil
}

func (l *logPages) read(ctx context.Context, f logFilter) (r logRead, err error) {
	s, err := l.search(ctx, f, logPage)
	if err != nil {
		return r, err
	}
	// The place in the stream comes first: what happens meanwhile is seen
	// twice, which the page notices, and never missed.
	if r.After.After, err = l.Store.StreamEnd(ctx); err != nil {
		return r, fmt.Errorf("reading the end of the log: %w", err)
	}
	if r.Entries, r.Next, err = l.Store.SearchActivity(ctx, s); err != nil {
		return r, fmt.Errorf("reading the log: %w", err)
	}
	collections, err := l.Overview.Collections(ctx)
	if err != nil {
		return r, fmt.Errorf("reading the collections: %w", err)
	}
	for _, c := range collections {
		if c.Name != "" {
			r.Names = append(r.Names, c.Name)
		}
	}
	return r, nil
}

func (l *logPages) show(w http.ResponseWriter, r *http.Request) error {
	f, err := logFilterOf(r.URL.Query())
	if err != nil {
		return err
	}
	head := page{Title: "Live log", Sub: "What is computed and done, and why, as it happens. Times are UTC.", Scripts: []string{"log.js"}}
	read, err := l.latest.get(r.Context(), f)
	if errors.Is(err, errNotFound) {
		return l.renderStatus(w, r, http.StatusNotFound, head, logContent(logView{logFilter: f, Err: "there is no NFT with this id"}))
	}
	if err != nil {
		return err
	}
	return l.render(w, r, head, logContent(logView{logFilter: f, logRead: read}))
}

// at says which entries a page shows.
func (v *logView) at() string {
	switch {
	case len(v.Entries) == 0 && v.Next != 0:
		return "None that fits among the entries looked at so far"
	case v.Before != 0:
		return "Older entries"
	}
	return "The latest entries"
}

func (v *logView) pager() pager {
	p := pager{At: v.at()}
	q := v.query()
	if v.Before != 0 {
		p.First = with("/log", q)
	}
	if v.Next != 0 {
		p.Next = with("/log", q, "before", strconv.FormatInt(v.Next, 10))
	}
	return p
}

// nothing says why a page is empty.
func (v *logView) nothing() string {
	if v.some() {
		return "Nothing that fits the filter was found. What fits appears here as it happens."
	}
	return "Votes that trigger, batches and changes appear here as they happen."
}

// words for the script, which writes entries as the templates do.
func logWords() string {
	reasons, tones := map[string]string{}, map[string]string{}
	for _, r := range reasonNames {
		reasons[r.Value] = r.Text
	}
	for _, k := range activityKinds {
		tones[string(k)] = kindTone(k)
	}
	text, err := json.Marshal(map[string]any{"reasons": reasons, "tones": tones})
	if err != nil {
		return "{}"
	}
	return string(text)
}

func kindOptions() []option {
	list := []option{{"", "all kinds"}}
	for _, k := range activityKinds {
		list = append(list, option{string(k), words(string(k))})
	}
	return list
}

func reasonOptions() []option { return append([]option{{"", "all reasons"}}, reasonNames[:]...) }

func collectionOptions(names []string, current string) []option {
	list := []option{{"", "all collections"}}
	if current != "" && !slices.Contains(names, current) {
		list = append(list, option{current, current})
	}
	for _, name := range names {
		list = append(list, option{name, name})
	}
	return list
}

// entries calls f with the entries that fit a filter, newest first, up to
// logDownload of them.
func (l *logPages) entries(r *http.Request, f func(*store.Activity) error) error {
	filter, err := logFilterOf(r.URL.Query())
	if err != nil {
		return err
	}
	s, err := l.search(r.Context(), filter, logChunk)
	if err != nil {
		return err
	}
	for n := 0; n < logDownload; {
		list, next, err := l.Store.SearchActivity(r.Context(), s)
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		for i := range list {
			if err := f(&list[i]); err != nil {
				return err
			}
		}
		n += len(list)
		if next == 0 {
			return nil
		}
		s.Before = next
	}
	return nil
}

// file begins a download with its first bytes: until then an error can still be
// told by a page.
type file struct {
	http.ResponseWriter
	contentType, name string
	begun             bool
}

func (f *file) Write(p []byte) (int, error) {
	if !f.begun {
		f.begun = true
		f.Header().Set("Content-Type", f.contentType)
		f.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", f.name))
	}
	return f.ResponseWriter.Write(p)
}

// end ends a download. Where it broke off midway the connection is cut, so that
// nobody takes a part for the whole.
func (l *logPages) end(f *file, err error) error {
	if err == nil || !f.begun {
		return err
	}
	l.Log.Warn("a download broke off", "name", f.name, "err", err)
	panic(http.ErrAbortHandler)
}

func (l *logPages) ndjson(w http.ResponseWriter, r *http.Request) error {
	f := &file{ResponseWriter: w, contentType: "application/x-ndjson", name: l.fileName("ndjson")}
	err := l.entries(r, func(a *store.Activity) error {
		_, err := f.Write(append(live.Encode(a), '\n'))
		return err
	})
	return l.end(f, err)
}

func (l *logPages) csv(w http.ResponseWriter, r *http.Request) error {
	f := &file{ResponseWriter: w, contentType: "text/csv; charset=utf-8", name: l.fileName("csv")}
	out := csv.NewWriter(f)
	row := []string{"number", "at", "kind", "nft", "reason", "priority", "basis", "poa_before", "poa", "vote", "run", "who", "detail"}
	if err := out.Write(row); err != nil {
		return err
	}
	err := l.entries(r, func(a *store.Activity) error { return out.Write(csvRow(a)) })
	if err == nil {
		out.Flush()
		err = out.Error()
	}
	return l.end(f, err)
}

func (l *logPages) fileName(ending string) string {
	return "poa-log-" + l.now().Format("20060102T150405Z") + "." + ending
}

// csvRow is an entry for spreadsheets, which take text that begins as a formula
// for one: it gets an apostrophe.
func csvRow(a *store.Activity) []string {
	text := func(s string) string {
		if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
			return "'" + s
		}
		return s
	}
	score := func(x *float64) string {
		if x == nil {
			return ""
		}
		return strconv.FormatFloat(*x, 'f', 2, 64)
	}
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	priority := ""
	if a.Priority >= trigger.Medium {
		priority = a.Priority.String()
	}
	return []string{
		number(a.Number), machine(a.At), string(a.Kind), text(a.NFTID), a.Reason, priority, string(a.Basis),
		score(a.POABefore), score(a.POA), number(a.Vote), number(a.Run), text(a.Who), text(a.Detail),
	}
}
