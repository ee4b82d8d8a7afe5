package panel

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"poa/internal/access"
	"poa/internal/store"
)

// nftsPage is how many NFTs a page of the list has.
const nftsPage = 50

// maxSearch is the length of a search, in bytes.
const maxSearch = 200

func (p *Panel) nftsRoutes() []route {
	list := newShared(time.Second, p.clock, p.readNFTs)
	return []route{
		{"GET", "/nfts", access.View, func(w http.ResponseWriter, r *http.Request) error { return p.showNFTs(w, r, list) }},
	}
}

// Which NFTs a list has, and in which order. Each is index work, which a free
// choice of order for every filter would not be.
const (
	showHigh   = "high"
	showLow    = "low"
	showScored = "scored"
	showReady  = "ready"
	showDue    = "due"
	showAll    = "all"
)

// showOptions are offered without a search, searchOptions with one: what a
// search finds is in the order of ids and names.
var (
	showOptions = [...]option{
		{showHigh, "highest score first"}, {showLow, "lowest score first"}, {showReady, "ready: votes, no score yet"},
		{showDue, "due: a computation is owed"}, {showAll, "all, as registered"},
	}
	searchOptions = [...]option{
		{showAll, "any"}, {showScored, "scored"}, {showReady, "ready: votes, no score yet"}, {showDue, "due: a computation is owed"},
	}
)

// nftFilter chooses NFTs, as it is written in a URL.
type nftFilter struct {
	Search     string
	Collection string // "": all; see noCollection
	Show       string
	After      int64   // number of the last NFT of the page before
	POA        float64 // and its score, in the orders by score
	From       int64   // how many the pages before had
}

// noCollection stands for the NFTs without a collection in a URL. No collection
// can have this name.
const noCollection = " "

// nftFilterOf reads the filter of a request.
func nftFilterOf(q url.Values) (f nftFilter, err error) {
	f = nftFilter{Search: strings.TrimSpace(q.Get("q")), Collection: q.Get("collection"), Show: q.Get("show")}
	if len(f.Search) > maxSearch {
		return f, invalid("A search has at most %d bytes.", maxSearch)
	}
	if f.Show == "" {
		f.Show = q.Get("status") // as the API names it
	}
	f.Show = f.shown()
	for name, to := range map[string]*int64{"after": &f.After, "from": &f.From} {
		if text := q.Get(name); text != "" {
			if *to, err = strconv.ParseInt(text, 10, 64); err != nil || *to < 0 {
				return f, invalid("%s must be a number from 0, is %q.", name, text)
			}
		}
	}
	if text := q.Get("poa"); text != "" {
		if f.POA, err = strconv.ParseFloat(text, 64); err != nil {
			return f, invalid("poa must be a number, is %q.", text)
		}
	}
	return f, nil
}

// shown is what the filter shows: with a search no order by score but any that
// are found, without one the highest scores where nothing is said.
func (f nftFilter) shown() string {
	options, otherwise := showOptions[:], showHigh
	if f.Search != "" {
		options, otherwise = searchOptions[:], showAll
	}
	if slices.ContainsFunc(options, func(o option) bool { return o.Value == f.Show }) {
		return f.Show
	}
	return otherwise
}

// query is the filter as it is written in a URL, without the place of a page.
func (f nftFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"q": f.Search, "collection": f.Collection, "show": f.Show} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

func (f nftFilter) collection() *string {
	switch f.Collection {
	case "":
		return nil
	case noCollection:
		return new(string)
	}
	return &f.Collection
}

func (f nftFilter) byScore() bool { return f.Show == showHigh || f.Show == showLow }

// readNFTs reads a page of NFTs and one more, which tells that a page follows.
func (p *Panel) readNFTs(ctx context.Context, f nftFilter) (rows []store.Ranked, err error) {
	var after *store.RankKey
	if f.After != 0 {
		after = &store.RankKey{POA: f.POA, NFT: f.After}
	}
	switch f.Show {
	case showHigh:
		rows, err = p.Store.Leaderboard(ctx, f.collection(), after, nftsPage+1)
	case showLow:
		rows, err = p.Store.LowestScores(ctx, f.collection(), after, nftsPage+1)
	default:
		q := store.NFTQuery{Search: f.Search, Collection: f.collection(), After: f.After, Limit: nftsPage + 1}
		if f.Show != showAll {
			q.Status = store.NFTStatus(f.Show)
		}
		rows, err = p.Store.ListNFTs(ctx, q)
	}
	if err != nil {
		return nil, fmt.Errorf("listing NFTs: %w", err)
	}
	return rows, nil
}

// nftsView is what the page of NFTs shows.
type nftsView struct {
	nftFilter
	Tiles       bool
	Rows        []store.Ranked
	More        bool
	Collections []store.Collection
}

func (p *Panel) showNFTs(w http.ResponseWriter, r *http.Request, list *shared[nftFilter, []store.Ranked]) error {
	f, err := nftFilterOf(r.URL.Query())
	if err != nil {
		return err
	}
	v := nftsView{nftFilter: f, Tiles: r.URL.Query().Get("view") == "tiles"}
	if v.Rows, err = list.get(r.Context(), f); err != nil {
		return err
	}
	if len(v.Rows) > nftsPage {
		v.Rows, v.More = v.Rows[:nftsPage], true
	}
	if v.Collections, err = p.Overview.Collections(r.Context()); err != nil {
		return fmt.Errorf("reading the collections: %w", err)
	}
	return p.render(w, r, page{Title: "NFTs"}, nftsContent(v))
}

// query is the filter and view as they are written in a URL.
func (v *nftsView) query() url.Values {
	q := v.nftFilter.query()
	if v.Tiles {
		q.Set("view", "tiles")
	}
	return q
}

func (v *nftsView) pager() pager {
	p := pager{}
	if n := int64(len(v.Rows)); n > 0 {
		p.At = count(v.From+1) + " to " + count(v.From+n)
	}
	if v.After != 0 {
		p.First = with("/nfts", v.query())
	}
	if v.More {
		last := &v.Rows[len(v.Rows)-1]
		place := []string{"after", strconv.FormatInt(last.NFT.Number, 10), "from", strconv.FormatInt(v.From+int64(len(v.Rows)), 10)}
		if v.byScore() && last.Rating.Score != nil {
			place = append(place, "poa", strconv.FormatFloat(last.Rating.Score.POA, 'f', -1, 64))
		}
		p.Next = with("/nfts", v.query(), place...)
	}
	return p
}

func (v *nftsView) views() []tab {
	q := v.nftFilter.query()
	return []tab{{"Rows", with("/nfts", q), !v.Tiles}, {"Tiles", with("/nfts", q, "view", "tiles"), v.Tiles}}
}

func (v *nftsView) showOptions() []option {
	if v.Search != "" {
		return searchOptions[:]
	}
	return showOptions[:]
}

func (v *nftsView) collectionOptions() []option {
	list := []option{{"", "all"}}
	for _, c := range v.Collections {
		o := option{c.Name, c.Name}
		if c.Name == "" {
			o = option{noCollection, "(none)"}
		}
		list = append(list, o)
	}
	if !v.known() {
		list = append(list, option{v.Collection, strings.TrimSpace(v.Collection + " (unknown)")})
	}
	return list
}

// known reports whether there is the collection of the filter.
func (v *nftsView) known() bool {
	name := v.collection()
	return name == nil || slices.ContainsFunc(v.Collections, func(c store.Collection) bool { return c.Name == *name })
}

// nothing says why the list is empty.
func (v *nftsView) nothing() (title, text string) {
	switch {
	case !v.known():
		return "No such collection", "Choose one that there is, or all."
	case v.Search != "":
		return "Nothing found", "A search finds NFTs whose id or name begins with it."
	case v.byScore():
		return "No scores yet", "The first votes that trigger, or the next batch, make them."
	case v.Show == showReady:
		return "None is waiting", "Every NFT that can have a score has one."
	case v.Show == showDue:
		return "Nothing is owed", "An NFT is due when a trigger could not compute it at once."
	}
	return "No NFTs yet", "Register them over the API, or with poa import."
}

// ratingStatus names how far an NFT is, and the tone of its badge.
func ratingStatus(r *store.Rating) (tone, text string) {
	switch {
	case !r.Due.Since.IsZero():
		return "warn", "due"
	case r.Score != nil && r.Score.Provisional:
		return "", "provisional"
	case r.Score != nil:
		return "ok", "scored"
	case r.Scorable():
		return "info", "ready"
	}
	return "", "no votes"
}
