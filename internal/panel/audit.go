package panel

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"poa/internal/access"
	"poa/internal/config"
	"poa/internal/settings"
	"poa/internal/store"
)

// auditPage is how many entries a page of the audit log has.
const auditPage = 50

func (p *Panel) auditRoutes() []route {
	return []route{{"GET", "/audit", access.View, p.showAudit}}
}

// auditRow is an entry of the audit log.
type auditRow struct {
	Number   int64 // in its source
	At       time.Time
	Who      string
	What     string // in words, "" where Name says it
	NFT      string // the id of the only one it is about, "" for none
	Name     string // of a setting
	Path     string // leads to what it is about, "" for nowhere
	From, To string // of a setting or pause
	Why      string
}

// auditSource is a place that keeps audit entries: its read returns those with
// numbers below before (0: all), the latest first, as many as limit if there are
// so many.
type auditSource struct {
	kind, name string // the value and text of the filter
	read       func(ctx context.Context, before int64, limit int) ([]auditRow, error)
}

// auditSources are all places, in the order of their positions in a URL.
func (p *Panel) auditSources() []auditSource {
	return []auditSource{
		{"settings", "settings and pauses", p.auditOfSetting("")},
		{"access", "people and keys", p.auditOfActivity(store.ActivityQuery{Kind: store.AccessChanged})},
		{"collections", "collections", p.auditOfActivity(store.ActivityQuery{Kind: store.SettingsChanged})},
		{"registered", "NFTs registered", p.auditOfActivity(store.ActivityQuery{Kind: store.NFTsRegistered})},
		{"cancelled", "cancelled runs", p.auditOfActivity(store.ActivityQuery{Kind: store.CancelAsked})},
		{"manual", "batches by hand", p.auditOfRuns(store.ManualRun)},
		{"backfill", "backfills", p.auditOfRuns(store.BackfillRun)},
		{"nfts", "NFTs by hand", p.auditOfActivity(store.ActivityQuery{ByHand: true})},
	}
}

// auditOfSetting reads the changes of a setting or pause, "" for all.
func (p *Panel) auditOfSetting(name string) func(context.Context, int64, int) ([]auditRow, error) {
	return func(ctx context.Context, before int64, limit int) ([]auditRow, error) {
		list, err := p.Store.ListSettingChanges(ctx, store.SettingQuery{Name: name, Before: before, Limit: limit})
		if err != nil {
			return nil, fmt.Errorf("reading changes of settings: %w", err)
		}
		rows := make([]auditRow, len(list))
		for i, e := range list {
			rows[i] = auditRow{Number: e.Number, At: e.At, Who: e.Who, Name: e.Name, From: p.auditValue(e.Name, e.From), To: p.auditValue(e.Name, e.To), Why: e.Why}
			if strings.HasPrefix(e.Name, settings.PauseName("")) {
				rows[i].Path = "/scheduler"
			}
		}
		return rows, nil
	}
}

// auditOfActivity reads the log's entries that q asks for, but for those that
// the audit of settings tells.
func (p *Panel) auditOfActivity(q store.ActivityQuery) func(context.Context, int64, int) ([]auditRow, error) {
	return func(ctx context.Context, before int64, limit int) (rows []auditRow, err error) {
		q := q
		q.Before, q.Limit = before, 2*limit
		for len(rows) < limit {
			list, err := p.Store.ListActivity(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("reading the log: %w", err)
			}
			for i := range list {
				a := &list[i]
				if !settings.Audited(a) {
					row := auditRow{Number: a.Number, At: a.At, Who: a.Who, What: doneByHand(a), NFT: a.NFTID}
					if a.Run != 0 {
						row.Path = runPath(a.Run)
					}
					rows = append(rows, row)
				}
				q.Before = a.Number
			}
			if len(list) < q.Limit {
				break
			}
		}
		return rows[:min(len(rows), limit)], nil
	}
}

// doneByHand says what somebody did. Of a computation the entry has its outcome,
// of all else the words.
func doneByHand(a *store.Activity) string {
	switch {
	case a.Kind == store.CancelAsked:
		return fmt.Sprintf("Cancelled run %d (%s).", a.Run, kindWord(store.RunKind(a.Reason)))
	case a.Kind == store.NFTsRegistered:
		return "NFTs: " + a.Detail + "."
	case a.Basis != store.Exact:
		return sentence(a.Detail)
	case a.Kind == store.Failed:
		return sentence("could not be computed: " + a.Detail)
	case a.POA == nil:
		return "Computed: the score was withdrawn."
	case a.POABefore == nil:
		return fmt.Sprintf("Computed: POA %s, the first score.", poa(*a.POA))
	}
	return fmt.Sprintf("Computed: POA %s, before %s.", poa(*a.POA), poa(*a.POABefore))
}

// auditOfRuns reads the runs that people started.
func (p *Panel) auditOfRuns(kind store.RunKind) func(context.Context, int64, int) ([]auditRow, error) {
	return func(ctx context.Context, before int64, limit int) ([]auditRow, error) {
		list, err := p.Store.Runs(ctx, kind, before, limit)
		if err != nil {
			return nil, fmt.Errorf("reading runs: %w", err)
		}
		rows := make([]auditRow, len(list))
		for i := range list {
			rows[i] = auditOfRun(&list[i])
		}
		return rows, nil
	}
}

func auditOfRun(r *store.Run) auditRow {
	what := "Started a batch"
	if r.Kind == store.BackfillRun {
		what = "Started a backfill"
	}
	if r.Collection != nil {
		what += fmt.Sprintf(" of the collection %q", *r.Collection)
	}
	what += "."
	if r.Cancel != "" {
		what += " Cancelled by " + r.Cancel + "."
	}
	return auditRow{Number: r.Number, At: r.CreatedAt, Who: r.RequestedBy, What: what, Path: fmt.Sprintf("/log?run=%d", r.Number)}
}

// auditView is what the page shows.
type auditView struct {
	Rows    []auditRow
	Of      string // the filter
	Options []option
	Pager   pager
}

func (p *Panel) showAudit(w http.ResponseWriter, r *http.Request) error {
	of := r.URL.Query().Get("of")
	sources := p.auditSources()
	v := auditView{Of: of, Options: p.auditOptions(sources)}
	if of != "" {
		if !slices.ContainsFunc(v.Options, func(o option) bool { return o.Value == of }) {
			return invalid("There are no entries of %q.", of)
		}
		i := slices.IndexFunc(sources, func(s auditSource) bool { return s.kind == of })
		if i < 0 {
			sources = []auditSource{{read: p.auditOfSetting(of)}}
		} else {
			sources = sources[i : i+1]
		}
	}
	places, err := auditPlaces(r.URL.Query().Get("before"), len(sources))
	if err != nil {
		return err
	}
	begins := slices.Max(places) == 0
	rows, more, err := mergeAudit(r.Context(), sources, places)
	if err != nil {
		return err
	}
	v.Rows, v.Pager.At = rows, "The latest entries"
	if !begins {
		v.Pager.At, v.Pager.First = "Older entries", with("/audit", nil, "of", of)
	}
	if more {
		v.Pager.Next = with("/audit", nil, "of", of, "before", auditPlace(places))
	}
	return p.render(w, r, page{Title: "Audit log", Sub: "Who changed what, when and why. Times are UTC."}, auditContent(v))
}

// mergeAudit returns the latest entries of all sources below their places, which
// it moves on, and whether there are more.
func mergeAudit(ctx context.Context, sources []auditSource, places []int64) (rows []auditRow, more bool, err error) {
	lists := make([][]auditRow, len(sources))
	for i, s := range sources {
		if lists[i], err = s.read(ctx, places[i], auditPage+1); err != nil {
			return nil, false, err
		}
	}
	for {
		latest := -1
		for i, list := range lists {
			if len(list) > 0 && (latest < 0 || list[0].At.After(lists[latest][0].At)) {
				latest = i
			}
		}
		if latest < 0 || len(rows) == auditPage {
			return rows, latest >= 0, nil
		}
		row := lists[latest][0]
		rows, lists[latest], places[latest] = append(rows, row), lists[latest][1:], row.Number
	}
}

// auditPlaces reads the places of n sources from a URL: numbers with dots
// between them. Without text all are 0.
func auditPlaces(text string, n int) ([]int64, error) {
	places := make([]int64, n)
	if text == "" {
		return places, nil
	}
	parts := strings.Split(text, ".")
	if len(parts) != n {
		return nil, invalid("The place in the list, %q, cannot be read. Go to its beginning.", text)
	}
	for i, part := range parts {
		number, err := strconv.ParseInt(part, 10, 64)
		if err != nil || number < 0 {
			return nil, invalid("The place in the list, %q, cannot be read. Go to its beginning.", text)
		}
		places[i] = number
	}
	return places, nil
}

func auditPlace(places []int64) string {
	parts := make([]string, len(places))
	for i, n := range places {
		parts[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(parts, ".")
}

// auditOptions are the choices of the filter: every source, pause and setting
// that can be changed at run time.
func (p *Panel) auditOptions(sources []auditSource) []option {
	list := []option{{"", "everything"}}
	for _, s := range sources {
		list = append(list, option{s.kind, s.name})
	}
	for _, what := range []settings.Subject{settings.Batches, settings.Triggers} {
		list = append(list, option{settings.PauseName(what), "pause of " + string(what)})
	}
	for _, v := range p.Settings.List() {
		if settings.RunTime(v.Name) {
			list = append(list, option{v.Name, v.Name})
		}
	}
	return list
}

// auditValue writes a stored value of a setting or pause for people; "" stands
// for the default and for no pause.
func (p *Panel) auditValue(name, stored string) string {
	if strings.HasPrefix(name, settings.PauseName("")) {
		return pauseText(stored)
	}
	list := p.Settings.List()
	i := settingAt(list, name)
	switch {
	case i >= 0 && stored == "":
		return list[i].DefaultText()
	case i >= 0:
		return list[i].StoredText(stored)
	}
	return stored
}

func settingAt(list []config.Value, name string) int {
	return slices.IndexFunc(list, func(v config.Value) bool { return v.Name == name })
}

// pauseText writes a stored pause.
func pauseText(stored string) string {
	var p settings.Pause
	switch err := json.Unmarshal([]byte(stored), &p); {
	case stored == "" || err == nil && p.Since.IsZero():
		return "running"
	case err != nil:
		return stored
	case p.Until.IsZero():
		return "paused"
	}
	return "paused until " + p.Until.UTC().Format("2 Jan 15:04")
}
