package panel

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"poa/internal/access"
	"poa/internal/batch"
	"poa/internal/overview"
	"poa/internal/scheduler"
	"poa/internal/store"
)

const (
	collectionTop = 12      // scores on the page of a collection
	maxCompute    = 100_000 // NFTs of a run by hand
	previewed     = 20      // of them that its preview lists
)

func (p *Panel) collectionsRoutes() []route {
	c := collectionPages{p, newShared(3*time.Second, p.clock, p.readCollection).quietly(p.Live.Unchanged)}
	return []route{
		{"GET", "/collections", access.View, c.list},
		{"GET", "/collections/{$}", access.View, c.one},
		{"GET", "/collections/{id}", access.View, c.one},
		{"POST", "/collections/switch", access.Operate, c.turn},
		{"POST", "/collections/compute", access.Operate, c.compute},
		{"GET", "/charts/collection", access.View, c.chart},
	}
}

// collectionPages are the pages of collections. What one shows besides its
// totals is read once in three seconds for all who look, and less often while
// nothing happens.
type collectionPages struct {
	*Panel
	ones *shared[string, collectionRead]
}

// collectionRead is what is read of a collection beside its totals.
type collectionRead struct {
	Top   []store.Ranked
	Ready []store.Ranked
	Bins  store.Bins
}

func (p *Panel) readCollection(ctx context.Context, name string) (r collectionRead, err error) {
	if r.Top, err = p.Store.Leaderboard(ctx, &name, nil, collectionTop); err != nil {
		return r, fmt.Errorf("reading the highest scores of a collection: %w", err)
	}
	if r.Ready, err = p.Store.ListNFTs(ctx, store.NFTQuery{Collection: &name, Status: store.StatusReady, Limit: collectionTop}); err != nil {
		return r, fmt.Errorf("reading what is ready in a collection: %w", err)
	}
	if r.Bins, err = p.Store.Distribution(ctx, &name); err != nil {
		return r, fmt.Errorf("reading the distribution of a collection: %w", err)
	}
	return r, nil
}

// collectionRow is a collection with what follows from its totals.
type collectionRow struct {
	store.Collection
	overview.Totals
}

func (c *collectionRow) title() string { return collectionName(c.Collection.Name) }

// collectionName is a collection's name, and words for those without.
func collectionName(name string) string {
	if name == "" {
		return "(no collection)"
	}
	return name
}

// collectionOrders are the orders of the table; the first is by name.
var collectionOrders = map[string]func(a, b collectionRow) int{
	"nfts":       func(a, b collectionRow) int { return cmp.Compare(b.Totals.NFTs, a.Totals.NFTs) },
	"votes":      func(a, b collectionRow) int { return cmp.Compare(b.Totals.Votes, a.Totals.Votes) },
	"ready":      func(a, b collectionRow) int { return cmp.Compare(b.Totals.Ready, a.Totals.Ready) },
	"scored":     func(a, b collectionRow) int { return cmp.Compare(b.Totals.Scored, a.Totals.Scored) },
	"coverage":   func(a, b collectionRow) int { return cmp.Compare(b.Coverage(), a.Coverage()) },
	"poa":        func(a, b collectionRow) int { return compareMeans(b.POA(), a.POA()) },
	"confidence": func(a, b collectionRow) int { return compareMeans(b.Confidence(), a.Confidence()) },
}

// compareMeans compares averages; where there is none it is the least.
func compareMeans(a, b float64) int { return cmp.Compare(known(a), known(b)) }

func known(mean float64) float64 {
	if math.IsNaN(mean) {
		return -1
	}
	return mean
}

// collectionsView is what the page of collections shows.
type collectionsView struct {
	Rows  []collectionRow
	Order string // a key of collectionOrders, "" for by name
	Total overview.Totals
}

// column is a heading that orders the table.
type column struct{ Key, Name, Title string }

var collectionColumns = [...]column{
	{"nfts", "NFTs", ""}, {"votes", "Votes on NFTs", "Weighted: a super vote counts more than one, and a matchup on both of its NFTs"}, {"ready", "Ready", "Votes, no score yet"},
	{"scored", "Scored", ""}, {"coverage", "Coverage", "Scored, of all NFTs"}, {"poa", "Average POA", ""}, {"confidence", "Confidence", "Average"},
}

func (v *collectionsView) orderBy(key string) string {
	if key == "" {
		return "/collections"
	}
	return "/collections?order=" + key
}

func (c collectionPages) list(w http.ResponseWriter, r *http.Request) error {
	all, err := c.Overview.Collections(r.Context())
	if err != nil {
		return fmt.Errorf("reading the collections: %w", err)
	}
	v := collectionsView{Order: r.URL.Query().Get("order"), Total: overview.TotalsOf(all...)}
	for i := range all {
		if all[i].Name == "" && all[i].NFTs == 0 {
			continue // nothing is without a collection
		}
		v.Rows = append(v.Rows, collectionRow{all[i], overview.TotalsOf(all[i])})
	}
	if order := collectionOrders[v.Order]; order != nil {
		slices.SortStableFunc(v.Rows, order)
	} else {
		v.Order = ""
	}
	return c.render(w, r, page{Title: "Collections"}, collectionsContent(v))
}

// find returns a collection with its totals; errNotFound.
func (c collectionPages) find(ctx context.Context, name string) (row collectionRow, err error) {
	all, err := c.Overview.Collections(ctx)
	if err != nil {
		return row, fmt.Errorf("reading the collections: %w", err)
	}
	for i := range all {
		if all[i].Name == name {
			return collectionRow{all[i], overview.TotalsOf(all[i])}, nil
		}
	}
	return row, errNotFound
}

// collectionView is what the page of a collection shows.
type collectionView struct {
	collectionRow
	collectionRead
	Size    int // of a run by hand
	Preview *runPreview
	Err     string // what is wrong with the size
}

// runPreview is what a run by hand would take.
type runPreview struct {
	Items   []batch.Item // the first
	Total   int
	Classes map[batch.Class]int
	Cost    batch.Cost
	Paused  bool
}

func (c collectionPages) one(w http.ResponseWriter, r *http.Request) error {
	row, err := c.find(r.Context(), named(r))
	if err != nil {
		return err
	}
	v := collectionView{collectionRow: row, Size: c.Settings.Current().Batch.Size}
	if v.collectionRead, err = c.ones.get(r.Context(), row.Collection.Name); err != nil {
		return err
	}
	status := http.StatusOK
	if text := r.URL.Query().Get("compute"); text != "" {
		if v.Size, v.Err = sizeOf(text); v.Err != "" {
			status = http.StatusUnprocessableEntity
		} else if v.Preview, err = c.preview(r.Context(), row.Collection.Name, v.Size); err != nil {
			return err
		}
	}
	head := page{Title: row.title(), Crumb: "Collections", CrumbPath: "/collections", Charts: true}
	return c.renderStatus(w, r, status, head, collectionContent(v))
}

// sizeOf reads how many NFTs a run by hand takes.
func sizeOf(text string) (int, string) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > maxCompute {
		return 20, fmt.Sprintf("must be a whole number from 1 to %s, is %q", count(maxCompute), text)
	}
	return n, ""
}

// preview plans a run by hand of one collection. Beyond what it lists it
// counts only.
func (c collectionPages) preview(ctx context.Context, name string, size int) (*runPreview, error) {
	in := c.Settings.Current()
	s := in.Batch
	s.Size = size
	items, err := c.Runs.Plan(ctx, s, &name)
	if err != nil {
		return nil, fmt.Errorf("planning a run by hand: %w", err)
	}
	p := &runPreview{Total: len(items), Classes: map[batch.Class]int{}, Paused: in.Batches.On(c.now())}
	for _, item := range items {
		p.Classes[item.Class]++
	}
	p.Items, p.Cost = items[:min(previewed, len(items))], batch.Estimate(s, len(items), 0)
	return p, nil
}

// words say how many of which class a run takes, and for how long.
func (p *runPreview) words() string {
	var list []string
	for _, class := range [...]struct {
		batch.Class
		words string
	}{{batch.Due, "due"}, {batch.New, "without a score"}, {batch.Old, "with an old score"}} {
		if n := p.Classes[class.Class]; n > 0 {
			list = append(list, count(n)+" "+class.words)
		}
	}
	text := fmt.Sprintf("%s: %s. About %s on a quiet database", plural(p.Total, "NFT"), strings.Join(list, ", "), span(p.Cost.Total))
	if p.Cost.Left > 0 {
		text += fmt.Sprintf(", with %s left when its time is up", count(p.Cost.Left))
	}
	return text + "."
}

func (c collectionPages) turn(w http.ResponseWriter, r *http.Request) error {
	name, active := r.PostFormValue("name"), r.PostFormValue("active") == "true"
	err := c.Operate.SwitchCollection(r.Context(), name, active, strings.TrimSpace(r.PostFormValue("why")), who(r))
	if errors.Is(err, store.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	c.Overview.Changed()
	text := collectionName(name) + " is switched off: batches leave its NFTs out."
	if active {
		text = collectionName(name) + " is switched on."
	}
	return c.done(w, r, here(r.PostFormValue("back")), text)
}

func (c collectionPages) compute(w http.ResponseWriter, r *http.Request) error {
	name := r.PostFormValue("name")
	size, wrong := sizeOf(r.PostFormValue("size"))
	if wrong != "" {
		return invalid("The number of NFTs %s.", wrong)
	}
	if _, err := c.find(r.Context(), name); err != nil {
		return err
	}
	run, err := c.Runs.RunNow(r.Context(), scheduler.Manual{Size: size, Collection: &name, Who: who(r), Name: "panel-" + rand.Text()})
	if err != nil {
		return err
	}
	return c.done(w, r, collectionPath(name), fmt.Sprintf("Run %d has begun: up to %s of %s. The log and the scheduler page show how it goes.", run.Number, plural(size, "NFT"), collectionName(name)))
}

func (c collectionPages) chart(w http.ResponseWriter, r *http.Request) error {
	row, err := c.find(r.Context(), r.URL.Query().Get("name"))
	if err != nil {
		return err
	}
	read, err := c.ones.get(r.Context(), row.Collection.Name)
	if err != nil {
		return err
	}
	return c.json(w, distributionChart(read.Bins))
}

func (v *collectionView) self() string { return collectionPath(v.Collection.Name) }

func (v *collectionView) chartURL() string {
	return "/charts/collection?" + url.Values{"name": {v.Collection.Name}}.Encode()
}

// listPath is the list of the collection's NFTs.
func (v *collectionView) listPath(show string) string {
	name := v.Collection.Name
	if name == "" {
		name = noCollection
	}
	return with("/nfts", nil, "collection", name, "show", show)
}
