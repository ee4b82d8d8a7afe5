package bench

import (
	"fmt"
	"time"
)

const (
	mostBeside = 3.0         // times the p99 of votes without a backfill
	mostPick   = 5.0         // milliseconds
	mostMemory = 200_000_000 // bytes
	mostMore   = 1.1         // times the statements with one live reader
	batchCap   = 45 * time.Second
)

// serviceTables adds the tables of the service.
func (r *Report) serviceTables(g *grid, add func(title string)) {
	o := r.Options
	for i := range g.ways() {
		way := g.engines[0].Service.HTTP[i]
		httpRows(g, i)
		title := "Votes per second over HTTP: %d connections, one vote a request, beside the ledger alone with as many callers"
		if way.Together > 1 {
			title = "Votes per second over HTTP: %d connections, %d votes a request, beside the ledger alone with as many callers"
			add(fmt.Sprintf(title, way.Callers, way.Together))
			continue
		}
		add(fmt.Sprintf(title, way.Callers))
	}
	latencyRows(g, func(e *Engine) *Latency { return &e.Service.Latency })
	add(fmt.Sprintf("From a vote to its published score over HTTP, %s votes/s offered at an even pace", thousands(o.Offered)))
	runRows(g)
	add(fmt.Sprintf("Runs in adaptive mode: %s NFTs, %s votes in the log", thousands(o.RecomputeNFTs), thousands(o.RecomputeVotes)))
	besideRows(g)
	add(fmt.Sprintf("Votes over HTTP without and beside an adaptive backfill, %s votes/s offered at an even pace", thousands(o.BesideOffered)))
	if listenRows(g); len(g.rows) > 0 {
		add(fmt.Sprintf("Statements a second with live readers, idle and with %d votes/s that all trigger", listeningVotes))
	}
	if pageRows(g, mostPage, func(e *Engine) []PageTimes { return e.Service.Pages }); len(g.rows) > 0 {
		add(fmt.Sprintf("Pages of the panel with %s NFTs, %d at a time, p95 (p50)", thousands(o.RecomputeNFTs), pageCallers))
	}
	if viewRows(g); len(g.rows) > 0 {
		add(fmt.Sprintf("Statements a second with open pages of the panel, each of somebody else, idle and with %d votes/s that all trigger", viewingVotes))
	}
	if o.Crowd > 0 {
		crowdRows(g)
		add(fmt.Sprintf("%s NFTs", thousands(o.Crowd)))
		if pageRows(g, mostPageCrowd, func(e *Engine) []PageTimes { return e.Crowd.Panels }); len(g.rows) > 0 {
			add(fmt.Sprintf("Pages of the panel with %s NFTs, %d at a time, p95 (p50)", thousands(o.Crowd), pageCallers))
		}
	}
}

// ways are the ways to post votes that were measured.
func (g *grid) ways() int {
	if len(g.engines) == 0 {
		return 0
	}
	return len(g.engines[0].Service.HTTP)
}

func httpRows(g *grid, i int) {
	of := func(e *Engine) *HTTP { return &e.Service.HTTP[i] }
	g.row("HTTP ÷ ledger alone", "", func(e *Engine) string { return ranged(of(e).Ratio, "%.2f") })
	g.row("over HTTP, votes/s", "", func(e *Engine) string { return rangedCount(of(e).Service) })
	g.row("ledger alone, votes/s", "", func(e *Engine) string { return rangedCount(of(e).Ledger) })
	g.row("request, p50", "", func(e *Engine) string { return inMilliseconds(of(e).Requests.P50) })
	g.row("request, p95", "", func(e *Engine) string { return inMilliseconds(of(e).Requests.P95) })
	g.row("request, p99", "", func(e *Engine) string { return inMilliseconds(of(e).Requests.P99) })
	g.row("statements a vote", "", func(e *Engine) string { return fmt.Sprintf("%.3f", of(e).Statements) })
	g.row("processor time of poa serve, a vote", "", func(e *Engine) string { return fmt.Sprintf("%.0f µs", of(e).CPU) })
}

func runRows(g *grid) {
	times := func(what, bar string, of func(*Engine) *RunTime) {
		g.row(what, bar, func(e *Engine) string {
			t := of(e)
			misses := bar != "" && (t.Left > 0 || t.Seconds > batchCap.Seconds())
			return missed(fmt.Sprintf("%.1f s", t.Seconds), misses)
		})
		g.row("  NFTs computed (left due)", "", func(e *Engine) string {
			return fmt.Sprintf("%s (%s)", thousands(int(of(e).NFTs)), thousands(int(of(e).Left)))
		})
		g.row("  NFTs/s", "", func(e *Engine) string { return thousands(int(of(e).Rate)) })
		g.row("  statements an NFT", "", func(e *Engine) string { return fmt.Sprintf("%.2f", of(e).Statements) })
		g.row("  processor time of poa serve, an NFT", "", func(e *Engine) string { return fmt.Sprintf("%.0f µs", of(e).CPU) })
	}
	times("batch, all NFTs due", fmt.Sprintf("all within %v", batchCap), func(e *Engine) *RunTime { return &e.Service.Batch })
	times("backfill, none due", "", func(e *Engine) *RunTime { return &e.Service.Backfill })
}

func besideRows(g *grid) {
	of := func(e *Engine) *Beside { return &e.Service.Beside }
	g.row("p99 beside ÷ without", fmt.Sprintf("≤ %v", mostBeside), func(e *Engine) string {
		return missed(fmt.Sprintf("%.1f", of(e).Ratio), of(e).Ratio > mostBeside)
	})
	for _, q := range []struct {
		what string
		of   func(*Quantiles) float64
	}{
		{"p50", func(q *Quantiles) float64 { return q.P50 }},
		{"p95", func(q *Quantiles) float64 { return q.P95 }},
		{"p99", func(q *Quantiles) float64 { return q.P99 }},
		{"longest", func(q *Quantiles) float64 { return q.Max }},
	} {
		g.row(q.what+", without (beside)", "", func(e *Engine) string {
			return fmt.Sprintf("%.2f (%.2f) ms", q.of(&of(e).Without), q.of(&of(e).With))
		})
	}
	g.row("votes in each", "", func(e *Engine) string { return thousands(of(e).With.Count) })
	g.row("the backfill meanwhile, NFTs/s", "", func(e *Engine) string { return thousands(int(of(e).Rate)) })
	g.row("it slowed down because", "", func(e *Engine) string {
		if of(e).Slowed == "" {
			return "–"
		}
		return of(e).Slowed
	})
}

func listenRows(g *grid) {
	if len(g.engines) == 0 || len(g.engines[0].Service.Listeners) == 0 {
		return
	}
	list := g.engines[0].Service.Listeners
	for _, what := range []struct {
		name string
		of   func(*Listening) float64
	}{
		{"idle", func(l *Listening) float64 { return l.Idle }},
		{"with votes", func(l *Listening) float64 { return l.Voting }},
	} {
		for i := range list {
			last := i == len(list)-1
			bar := ""
			if last {
				bar = "as with one"
			}
			g.row(fmt.Sprintf("%s, %d readers", what.name, list[i].Readers), bar, func(e *Engine) string {
				rate := what.of(&e.Service.Listeners[i])
				return missed(fmt.Sprintf("%.1f", rate), last && rate > mostMore*what.of(&e.Service.Listeners[i-1]))
			})
		}
	}
	g.row("events each reader got", "", func(e *Engine) string {
		return thousands(int(e.Service.Listeners[len(list)-1].Events))
	})
}

func crowdRows(g *grid) {
	g.row("picking a batch of 20, p50", fmt.Sprintf("≤ %v ms", mostPick), func(e *Engine) string {
		return missed(inMilliseconds(e.Crowd.Pick.P50), e.Crowd.Pick.P50 > mostPick)
	})
	g.row("p99", "", func(e *Engine) string { return inMilliseconds(e.Crowd.Pick.P99) })
	g.row("longest", "", func(e *Engine) string { return inMilliseconds(e.Crowd.Pick.Max) })
	g.row("statements", "", func(e *Engine) string { return fmt.Sprintf("%.1f", e.Crowd.Statements) })
	megabytes := func(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }
	g.row("resident memory of poa serve, highest", "≤ "+megabytes(mostMemory), func(e *Engine) string {
		return missed(megabytes(e.Crowd.Panel.Most), e.Crowd.Panel.Most > mostMemory)
	})
	for _, when := range []struct {
		name string
		of   func(*Crowd) Memory
	}{
		{"at its start", func(c *Crowd) Memory { return c.Start }},
		{"after votes", func(c *Crowd) Memory { return c.Votes }},
		{"after a batch", func(c *Crowd) Memory { return c.Batch }},
		{"after lists of the API of every kind", func(c *Crowd) Memory { return c.Pages }},
		{"after pages of the panel", func(c *Crowd) Memory { return c.Panel }},
	} {
		g.row("  "+when.name+" (highest until then)", "", func(e *Engine) string {
			m := when.of(e.Crowd)
			return fmt.Sprintf("%s (%s)", megabytes(m.Now), megabytes(m.Most))
		})
	}
	g.row("  NFTs of that batch", "", func(e *Engine) string { return thousands(int(e.Crowd.Picked)) })
	g.row("filling the database", "", func(e *Engine) string { return fmt.Sprintf("%.0f s", e.Crowd.Filled) })
}

func inMilliseconds(v float64) string { return fmt.Sprintf("%.2f ms", v) }
