package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"poa/internal/bench"
)

type benchCommand struct {
	Quick    bool          `help:"Measure less, within a minute."`
	Long     bool          `help:"Measure also how cost grows with the number of votes; takes long."`
	Sizes    []int         `default:"100000,1000000,10000000" placeholder:"VOTES" help:"Numbers of votes at which --long measures, ascending. [${default}]"`
	Engine   []string      `enum:"sqlite,postgres" default:"sqlite,postgres" help:"What to measure: sqlite, postgres. [both]"`
	Postgres string        `placeholder:"URL" help:"Make the databases on this PostgreSQL server. [one started for this run from the installed programs, with PostgreSQL's defaults]"`
	Seed     uint64        `default:"1" help:"Seed of the generated votes."`
	Clients  int           `placeholder:"N" help:"Clients that vote at the same time. [1000]"`
	Votes    int           `placeholder:"N" help:"Votes in a round. [20000]"`
	Rounds   int           `placeholder:"N" help:"Rounds. [5]"`
	For      time.Duration `placeholder:"TIME" help:"How long votes are offered at an even pace. [20s]"`
	Markdown bool          `help:"Print Markdown, for docs/benchmarks.md."`
}

// options returns what is measured.
func (c *benchCommand) options(m *Main) bench.Options {
	o := bench.Defaults()
	if c.Quick {
		o = bench.Quick()
	}
	o.Postgres, o.Seed, o.Now = c.Postgres, c.Seed, m.Now
	o.Clients = cmp.Or(c.Clients, o.Clients)
	o.Votes = cmp.Or(c.Votes, o.Votes)
	o.Rounds = cmp.Or(c.Rounds, o.Rounds)
	o.OfferedFor = cmp.Or(c.For, o.OfferedFor)
	o.Engines = nil
	for _, e := range []struct{ flag, name string }{{"sqlite", bench.SQLite}, {"postgres", bench.PostgreSQL}} {
		if slices.Contains(c.Engine, e.flag) {
			o.Engines = append(o.Engines, e.name)
		}
	}
	if c.Long {
		o.Sizes = c.Sizes
	}
	if !m.cli.JSON {
		o.Progress = func(what string) { fmt.Fprintln(m.errs, what) }
	}
	return o
}

func (c *benchCommand) Run(ctx context.Context, m *Main) error {
	o := c.options(m)
	m.hide(c.Postgres)
	var err error
	if o.Program, err = os.Executable(); err != nil {
		return fmt.Errorf("finding this program, whose service is measured: %w", err)
	}
	if err := o.Validate(); err != nil {
		return usageError{err}
	}
	report, err := bench.Run(ctx, o)
	if err != nil {
		return withHint(err, "with --engine sqlite no PostgreSQL is needed; TMPDIR names the folder that the databases are made in")
	}
	switch {
	case m.cli.JSON:
		return m.printJSON(report)
	case c.Markdown:
		m.printf("%s", report.Markdown())
		return nil
	}
	for _, line := range report.Circumstances() {
		m.printf("%s\n", clean(line))
	}
	for _, t := range report.Tables() {
		m.printf("\n%s\n", t.Title)
		titles := []string{"~" + t.Head[0]}
		for _, title := range t.Head[1:] {
			titles = append(titles, ">"+title)
		}
		table := newTable(titles...)
		for _, row := range t.Rows {
			table.add(row...)
		}
		m.printTable(table)
	}
	return nil
}
