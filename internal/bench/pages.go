package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"poa/internal/people"
	"poa/internal/store"
)

// PageTimes is how long a page of the panel takes, with its compression, until
// its last byte is here.
type PageTimes struct {
	Name string `json:"name"`
	Path string `json:"path"` // of the last time it was fetched
	Quantiles
	Bytes int `json:"bytes"` // of the largest, compressed
}

// panelPage is a page of the panel. Its path has {nft}, {voter}, {number} and
// {poa}, which are others in every round, and {run}.
type panelPage struct{ name, path string }

// panelPages are all pages that are read, and what they fetch besides.
var panelPages = [...]panelPage{
	{"overview", "/"},
	{"overview, a week", "/?span=week"},
	{"chart of votes, an hour", "/charts/votes?span=hour"},
	{"chart of computations, a day", "/charts/computations?span=day"},
	{"chart of the backlog, a week", "/charts/backlog?span=week"},
	{"chart of latency, a week", "/charts/latency?span=week"},
	{"chart of the distribution", "/charts/distribution"},
	{"scheduler", "/scheduler"},
	{"scheduler, old scores", "/scheduler?class=old"},
	{"preview of a batch", "/scheduler/run?size=200"},
	{"preview of a batch of a collection", "/scheduler/run?collection=Collection%201"},
	{"test of a trigger", "/scheduler/test?nft={nft}"},
	{"test of a trigger, searching", "/scheduler/test?nft=nft-00"},
	{"runs", "/scheduler/runs"},
	{"runs of upkeep", "/scheduler/runs?kind=upkeep"},
	{"a run", "/scheduler/runs/{run}"},
	{"log", "/log"},
	{"log of a kind", "/log?kind=computed"},
	{"log of a rare kind", "/log?kind=paused"},
	{"log of a reason", "/log?reason=super"},
	{"log of a rare reason", "/log?reason=manual"},
	{"log of an NFT", "/log?nft={nft}"},
	{"log of a collection", "/log?collection=Collection%201"},
	{"log of a run", "/log?run={run}"},
	{"NFTs, highest first", "/nfts"},
	{"NFTs, highest first, deep", "/nfts?show=high&poa={poa}&after={number}&from={number}"},
	{"NFTs, lowest first", "/nfts?show=low"},
	{"NFTs, lowest first, deep", "/nfts?show=low&poa={poa}&after={number}&from={number}"},
	{"NFTs, all", "/nfts?show=all"},
	{"NFTs, all, deep", "/nfts?show=all&after={number}&from={number}"},
	{"NFTs, ready", "/nfts?show=ready"},
	{"NFTs, ready, deep", "/nfts?show=ready&after={number}&from={number}"},
	{"NFTs, due", "/nfts?show=due"},
	{"NFTs, due, deep", "/nfts?show=due&after={number}&from={number}"},
	{"NFTs of a collection", "/nfts?collection=Collection%201"},
	{"NFTs of a collection, ready, deep", "/nfts?collection=Collection%201&show=ready&after={number}&from={number}"},
	{"NFTs, as tiles", "/nfts?view=tiles"},
	{"NFTs, search by id", "/nfts?q={nft}"},
	{"NFTs, search for many", "/nfts?q=nft-0"},
	{"NFTs, search for many, deep", "/nfts?q=nft-0&after={number}&from={number}"},
	{"NFTs, search for many that are due", "/nfts?q=nft-0&show=due"},
	{"NFTs, search for many in a collection", "/nfts?q=nft-0&collection=Collection%201&show=ready"},
	{"NFTs, search for none", "/nfts?q=nothing"},
	{"an NFT", "/nfts/{nft}"},
	{"an NFT, computed exactly", "/nfts/{nft}?exact=1"},
	{"an NFT of many votes", "/nfts/nft-0000000"},
	{"chart of an NFT", "/charts/nft?id={nft}"},
	{"collections", "/collections"},
	{"collections by score", "/collections?order=poa"},
	{"a collection", "/collections/Collection%201"},
	{"chart of a collection", "/charts/collection?name=Collection%201"},
	{"voters", "/voters"},
	{"voters, newest", "/voters?show=newest"},
	{"voters, search for many", "/voters?q=voter-0"},
	{"a voter", "/voters/{voter}"},
	{"settings", "/settings"},
	{"audit log", "/audit"},
	{"audit log of a kind", "/audit?of=settings"},
	{"people", "/people"},
	{"keys", "/people/keys"},
	{"your account", "/me"},
	{"arena", "/try"},
	{"jobs", "/jobs/"},
}

const (
	// pageCallers fetch pages at the same time.
	pageCallers = 3
	// pageEvery is how much later each round begins than the one before: when
	// nothing is shared any more that was read for that one.
	pageEvery = 2100 * time.Millisecond
)

// pages fetches every page, each in several rounds.
func (r *run) pages(ctx context.Context, p *process, nfts int) ([]PageTimes, error) {
	run, err := p.latestRun(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]PageTimes, len(panelPages))
	took := make([][]time.Duration, len(panelPages))
	var mu sync.Mutex // guards took, and the bytes in out
	next := time.Now()
	for round := range r.PageRounds {
		if err := pause(ctx, time.Until(next)); err != nil {
			return nil, err
		}
		next = time.Now().Add(pageEvery)
		place := r.placeholders(round, nfts, run)
		_, err := callers(ctx, len(panelPages), pageCallers, func(ctx context.Context, i int) error {
			path := place.Replace(panelPages[i].path)
			start := time.Now()
			n, err := p.page(ctx, p.people[0], path, false)
			d := time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			took[i] = append(took[i], d)
			out[i].Path, out[i].Bytes = path, max(n, out[i].Bytes)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for i := range out {
		out[i].Name, out[i].Quantiles = panelPages[i].name, quantiles(took[i])
	}
	return out, nil
}

// placeholders says what stands in the paths of a round.
func (r *run) placeholders(round, nfts int, run int64) *strings.Replacer {
	const step = 7919 // a prime, so that rounds are far apart
	number := (round+1)*step%nfts + 1
	return strings.NewReplacer(
		"{nft}", fmt.Sprintf("nft-%07d", number-1),
		"{voter}", fmt.Sprintf("voter-%06d", (round+1)*step%r.Voters),
		"{number}", strconv.Itoa(number),
		"{poa}", strconv.Itoa(10+(round+1)*step%40),
		"{run}", strconv.FormatInt(run, 10),
	)
}

// latestRun returns the number of the latest batch.
func (p *process) latestRun(ctx context.Context) (int64, error) {
	var page struct{ Items []runText }
	if err := p.get(ctx, "/runs?kind=batch&limit=1", &page); err != nil {
		return 0, err
	}
	if len(page.Items) == 0 {
		return 0, fmt.Errorf("there was no batch whose page could be read")
	}
	return page.Items[0].Number, nil
}

// page fetches a page, or where part is set what a page fetches again, for
// somebody signed in. It returns its bytes as they came.
func (c *client) page(ctx context.Context, who *http.Cookie, path string, part bool) (bytes int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return 0, err
	}
	request.AddCookie(who)
	request.Header.Set("Accept", "text/html")
	request.Header.Set("Accept-Encoding", "gzip")
	if part {
		request.Header.Set("HX-Request", "true")
	}
	answer, err := c.web.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d", path, answer.StatusCode)
	}
	return int(n), err
}

// signIn makes operators, one for each page that is open, and signs them in.
// Their sessions are what it returns.
func (r *run) signIn(ctx context.Context, db database) ([]*http.Cookie, error) {
	if r.PageRounds == 0 {
		return nil, nil
	}
	s, err := db.open(ctx)
	if err != nil {
		return nil, err
	}
	signedIn := make([]*http.Cookie, crowdOfPages)
	service := people.New(people.Options{Store: s.(store.Service), Now: r.Now})
	for i := range signedIn {
		token, err := service.Welcome(ctx, fmt.Sprintf("poa bench %d", i+1))
		if err != nil {
			return nil, err
		}
		answer := httptest.NewRecorder()
		if err := service.Enter(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil), token); err != nil {
			return nil, err
		}
		signedIn[i] = answer.Result().Cookies()[0]
	}
	return signedIn, nil
}
