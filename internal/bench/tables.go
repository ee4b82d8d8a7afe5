package bench

import (
	"fmt"
	"strings"
	"time"
)

// Table is a part of a report for people. All columns but the first are of
// numbers.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

// Tables returns the report as tables.
func (r *Report) Tables() []Table {
	head := []string{"what", "bar"}
	for _, e := range r.Engines {
		head = append(head, e.Name)
	}
	grid := &grid{engines: r.Engines}
	var tables []Table
	add := func(title string) {
		tables = append(tables, Table{title, head, grid.rows})
		grid.rows = nil
	}
	for i, c := range cases() {
		r.throughputRows(grid, i)
		add(fmt.Sprintf("Votes per second, %s: %d clients, one vote at a time, beside a raw insert of the same rows", c.name, r.Options.Clients))
	}
	latencyRows(grid, func(e *Engine) *Latency { return &e.Latency })
	add(fmt.Sprintf("From a vote to its published score, %s votes/s offered at an even pace", thousands(r.Options.Offered)))
	recomputeRows(grid)
	add(fmt.Sprintf("Exact recompute of NFTs that are all due, with %s votes in the log, beside hand-written SQL", thousands(r.Options.RecomputeVotes)))
	r.serviceTables(grid, add)
	if r.Options.PlainVotes > 0 {
		plainRows(grid)
		add(fmt.Sprintf("Plainer ways to take votes, %d clients", r.Options.PlainClients))
	}
	for _, e := range r.Engines {
		if len(e.Growth) > 0 {
			tables = append(tables, growthTable(e))
		}
	}
	return tables
}

// grid collects rows with a cell for each engine.
type grid struct {
	engines []*Engine
	rows    [][]string
}

func (g *grid) row(what, bar string, cell func(*Engine) string) {
	row := []string{what, bar}
	for _, e := range g.engines {
		row = append(row, cell(e))
	}
	g.rows = append(g.rows, row)
}

// The least ratios of the ledger to the raw insert.
var leastRatio = map[string]float64{SQLite: 0.4, PostgreSQL: 0.2}

const (
	mostStatements = 0.05 // a vote, on PostgreSQL
	mostP50        = 5.0  // milliseconds
	mostP99        = 50.0
	mostRecompute  = 2.0 // times the hand-written SQL
)

// missed marks a value that misses its bar.
func missed(value string, misses bool) string {
	if misses {
		return value + " (missed)"
	}
	return value
}

func (r *Report) throughputRows(g *grid, i int) {
	usual := i == 0 // the bars are for the usual votes
	bar := func(text string) string {
		if usual {
			return text
		}
		return ""
	}
	of := func(e *Engine) *Throughput { return &e.Throughput[i] }
	g.row("ledger ÷ raw insert", bar(fmt.Sprintf("≥ %v SQLite, ≥ %v PostgreSQL", leastRatio[SQLite], leastRatio[PostgreSQL])), func(e *Engine) string {
		return missed(ranged(of(e).Ratio, "%.2f"), usual && of(e).Ratio.Median < leastRatio[e.Name])
	})
	g.row("ledger, votes/s", "", func(e *Engine) string { return rangedCount(of(e).Ledger) })
	g.row("raw insert, rows/s", "", func(e *Engine) string { return rangedCount(of(e).Raw) })
	g.row("statements a vote", bar(fmt.Sprintf("≤ %v PostgreSQL", mostStatements)), func(e *Engine) string {
		return missed(fmt.Sprintf("%.3f", of(e).Statements), usual && e.Name == PostgreSQL && of(e).Statements > mostStatements)
	})
	g.row("votes a commit (largest)", "", func(e *Engine) string { return fmt.Sprintf("%.0f (%d)", of(e).Group, of(e).LargestGroup) })
	g.row("WAL bytes a vote (raw: a row)", "", func(e *Engine) string {
		return known(of(e).WrittenLedger, "%s (%s)", of(e).WrittenLedger, of(e).WrittenRaw)
	})
	g.row("votes that trigger", "", func(e *Engine) string { return fmt.Sprintf("%.1f %%", 100*of(e).Triggered) })
}

func latencyRows(g *grid, latency func(*Engine) *Latency) {
	quantile := func(what, bar string, most float64, of func(*Latency) float64) {
		g.row(what, bar, func(e *Engine) string {
			v := of(latency(e))
			return missed(inMilliseconds(v), most > 0 && v > most)
		})
	}
	quantile("p50", fmt.Sprintf("≤ %v ms", mostP50), mostP50, func(l *Latency) float64 { return l.Triggered.P50 })
	quantile("p95", "", 0, func(l *Latency) float64 { return l.Triggered.P95 })
	quantile("p99", fmt.Sprintf("≤ %v ms", mostP99), mostP99, func(l *Latency) float64 { return l.Triggered.P99 })
	quantile("longest", "", 0, func(l *Latency) float64 { return l.Triggered.Max })
	g.row("votes that triggered", "", func(e *Engine) string { return thousands(latency(e).Triggered.Count) })
	quantile("p99 of all votes", "", 0, func(l *Latency) float64 { return l.All.P99 })
	g.row("votes/s taken", "", func(e *Engine) string { return thousands(int(latency(e).Taken)) })
	if len(g.engines) > 0 && latency(g.engines[0]).Group > 0 {
		g.row("votes a commit", "", func(e *Engine) string { return fmt.Sprintf("%.1f", latency(e).Group) })
	}
}

func recomputeRows(g *grid) {
	g.row("exact ÷ SQL, time", fmt.Sprintf("≤ %v", mostRecompute), func(e *Engine) string {
		return missed(ranged(e.Recompute.Ratio, "%.2f"), e.Recompute.Ratio.Median > mostRecompute)
	})
	g.row("exact", "", func(e *Engine) string { return ranged(e.Recompute.Exact, "%.2f") + " s" })
	g.row("hand-written SQL", "", func(e *Engine) string { return ranged(e.Recompute.SQL, "%.2f") + " s" })
	g.row("NFTs", "", func(e *Engine) string { return thousands(e.Recompute.NFTs) })
	g.row("exact, an NFT", "", func(e *Engine) string { return fmt.Sprintf("%.0f µs", e.Recompute.PerNFT) })
	g.row("scores that differ between both", "", func(e *Engine) string { return fmt.Sprintf("%d (by 0.01)", e.Recompute.Differ) })
}

func plainRows(g *grid) {
	if len(g.engines) == 0 {
		return
	}
	for i, p := range g.engines[0].Plain {
		of := func(e *Engine) *Plain { return &e.Plain[i] }
		g.row(p.Way+", votes/s", "", func(e *Engine) string { return thousands(int(of(e).Rate)) })
		g.row("  the ledger takes, times as many", "", func(e *Engine) string {
			return fmt.Sprintf("%.0f", e.Throughput[0].Ledger.Median/of(e).Rate)
		})
		g.row("  statements a vote", "", func(e *Engine) string {
			if of(e).Statements < 0 {
				return "–"
			}
			return fmt.Sprintf("%.1f", of(e).Statements)
		})
		g.row("  WAL bytes a vote", "", func(e *Engine) string { return known(of(e).Written, "%s", of(e).Written) })
	}
}

func growthTable(e *Engine) Table {
	t := Table{
		Title: "How cost grows, " + e.Name,
		Head:  []string{"votes in the log", "votes/s", "µs a vote", "WAL bytes a vote", "µs an exact computation", "votes behind it"},
	}
	for _, g := range e.Growth {
		t.Rows = append(t.Rows, []string{
			thousands(g.Votes), thousands(int(g.Rate)), fmt.Sprintf("%.0f", g.PerVote), known(g.Written, "%s", g.Written),
			fmt.Sprintf("%.0f", g.PerNFT), fmt.Sprintf("%.1f", g.VotesPerNFT),
		})
	}
	return t
}

// Circumstances say where, when and with what a report was made.
func (r *Report) Circumstances() []string {
	m := r.Machine
	lines := []string{
		fmt.Sprintf("%s, measured in %v with poa %s, %s, %s", r.At.Format("2 January 2006 15:04 MST"),
			(time.Duration(r.Seconds) * time.Second).String(), m.Program, m.Go, m.Platform),
		fmt.Sprintf("%s, %d cores, %.1f GB of memory, databases on %s", m.CPU, m.Cores, float64(m.Memory)/1e9, m.Filesystem),
	}
	for _, e := range r.Engines {
		lines = append(lines, fmt.Sprintf("%s %s (%s), measured in %.0f s", e.Name, e.Version, strings.Join(e.Durability, ", "), e.Seconds))
	}
	o := r.Options
	return append(lines,
		fmt.Sprintf("%s NFTs by a Zipf law (s = 1), %s voters, 85 %% regular, 10 %% slider, 4 %% super, 1 %% FIRE, seed %d", thousands(o.NFTs), thousands(o.Voters), o.Seed),
		fmt.Sprintf("medians of %d rounds of %s votes, which alternate between both sides, with the extremes", o.Rounds, thousands(o.Votes)),
		"the program that makes the load shares the cores with the databases")
}

// Markdown returns the report as a part of a Markdown document.
func (r *Report) Markdown() string {
	var b strings.Builder
	for _, line := range r.Circumstances() {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, t := range r.Tables() {
		fmt.Fprintf(&b, "\n### %s\n\n| %s |\n|---|%s\n", t.Title, strings.Join(t.Head, " | "), strings.Repeat("---:|", len(t.Head)-1))
		for _, row := range t.Rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	return b.String()
}

// ranged writes a median with the extremes.
func ranged(s Spread, format string) string {
	if s.Min == s.Max {
		return fmt.Sprintf(format, s.Median)
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.Median, s.Min, s.Max)
}

func rangedCount(s Spread) string {
	if s.Min == s.Max {
		return thousands(int(s.Median))
	}
	return fmt.Sprintf("%s (%s–%s)", thousands(int(s.Median)), thousands(int(s.Min)), thousands(int(s.Max)))
}

// known writes counts of bytes, or a dash where the first is unknown.
func known(first float64, format string, counts ...float64) string {
	if first < 0 {
		return "–"
	}
	texts := make([]any, len(counts))
	for i, n := range counts {
		texts[i] = thousands(int(n))
	}
	return fmt.Sprintf(format, texts...)
}

// thousands writes 12,345.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
