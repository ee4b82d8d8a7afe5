package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantilesAreNearestRanks(t *testing.T) {
	var durations []time.Duration
	for i := 200; i > 0; i-- {
		durations = append(durations, time.Duration(i)*time.Millisecond)
	}
	for _, test := range []struct {
		name      string
		durations []time.Duration
		want      Quantiles
	}{
		{"none", nil, Quantiles{}},
		{"one", durations[:1], Quantiles{Count: 1, P50: 200, P95: 200, P99: 200, Max: 200}},
		{"1 to 200 ms", durations, Quantiles{Count: 200, P50: 100, P95: 190, P99: 198, Max: 200}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, quantiles(test.durations)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{3, 1, 2}, Spread{2, 1, 3}},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1, 4}},
	} {
		if diff := cmp.Diff(test.want, spread(test.values)); diff != "" {
			t.Errorf("%v: %s", test.values, diff)
		}
	}
}

func TestTablesMarkMissedBars(t *testing.T) {
	side := func(name string, ratio, statements, p50, p99, recompute float64) *Engine {
		e := &Engine{
			Name: name, Latency: Latency{Triggered: Quantiles{P50: p50, P99: p99}}, Recompute: Recompute{Ratio: Spread{Median: recompute}},
			Growth: []Growth{{Votes: 100_000, PerVote: 80, Written: -1}},
		}
		for range cases() {
			e.Throughput = append(e.Throughput, Throughput{Ratio: Spread{Median: ratio}, Statements: statements})
		}
		return e
	}
	for _, test := range []struct {
		name   string
		engine *Engine
		want   []string // rows that miss
	}{
		{"SQLite at its bars", side(SQLite, 0.4, 4, 5, 50, 2), nil},
		{"SQLite below", side(SQLite, 0.39, 4, 5.01, 50.01, 2.01), []string{"ledger ÷ raw insert", "p50", "p99", "exact ÷ SQL, time"}},
		{"PostgreSQL at its bars", side(PostgreSQL, 0.2, 0.05, 5, 50, 2), nil},
		{"PostgreSQL below", side(PostgreSQL, 0.19, 0.051, 5, 50, 2), []string{"ledger ÷ raw insert", "statements a vote"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := Report{Engines: []*Engine{test.engine}}
			var got []string
			for _, table := range r.Tables() {
				for _, row := range table.Rows {
					if len(row) != len(table.Head) {
						t.Errorf("%s: row %q under %q", table.Title, row, table.Head)
					}
					if strings.Contains(row[len(row)-1], "missed") {
						got = append(got, row[0])
					}
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if md := r.Markdown(); strings.Count(md, "\n### ") != len(r.Tables()) || !strings.Contains(md, "| 100,000 | 0 | 80 | – |") {
				t.Errorf("Markdown:\n%s", md)
			}
		})
	}
}

func TestTablesOfTheService(t *testing.T) {
	type bars struct {
		left               int64
		seconds, beside    float64
		idle, voting, pick float64
		most               int64
	}
	for _, test := range []struct {
		name string
		bars bars
		want []string // rows that miss
	}{
		{"at the bars", bars{0, 45, 3, 11, 110, 5, 200_000_000}, nil},
		{"too late", bars{0, 45.1, 3, 10, 100, 5, 1}, []string{"batch, all NFTs due"}},
		{"not all", bars{1, 44, 3, 10, 100, 5, 1}, []string{"batch, all NFTs due"}},
		{"beyond the others", bars{0, 45, 3.1, 12, 112, 5.1, 201_000_000}, []string{
			"p99 beside ÷ without", "idle, 100 readers", "with votes, 100 readers", "picking a batch of 20, p50", "resident memory of poa serve, highest",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := test.bars
			e := &Engine{Name: SQLite, Crowd: &Crowd{Pick: Quantiles{P50: b.pick}, Panel: Memory{Most: b.most}}, Service: Service{
				Batch: RunTime{NFTs: 5, Left: b.left, Seconds: b.seconds}, Backfill: RunTime{NFTs: 5, Left: 9, Seconds: 99},
				HTTP:      []HTTP{{Callers: 256, Together: 1}, {Callers: 16, Together: 100}},
				Beside:    Beside{Ratio: b.beside},
				Listeners: []Listening{{Idle: 1, Voting: 1}, {Readers: 1, Idle: 10, Voting: 100}, {Readers: 100, Idle: b.idle, Voting: b.voting}},
			}}
			r := Report{Engines: []*Engine{e}, Options: Settings{Crowd: 1_000_000}}
			g := &grid{engines: r.Engines}
			var got []string
			titles := map[string]bool{}
			r.serviceTables(g, func(title string) {
				titles[title] = true
				for _, row := range g.rows {
					if strings.Contains(row[2], "missed") {
						got = append(got, row[0])
					}
				}
				g.rows = nil
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if len(titles) != 7 {
				t.Errorf("titles %v", titles)
			}
		})
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 54_312: "54,312", 1_000_000: "1,000,000", -1234: "-1,234", -123: "-123"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"one NFT":        func(o *Options) { o.NFTs = 1 },
		"no clients":     func(o *Options) { o.Clients = 0 },
		"no engine":      func(o *Options) { o.Engines = nil },
		"unknown engine": func(o *Options) { o.Engines = []string{"Oracle"} },
		"falling sizes":  func(o *Options) { o.Sizes = []int{1000, 100} },
		"no pace":        func(o *Options) { o.Offered = 0 },
		"no program":     func(o *Options) { o.Program = "" },
		"no connections": func(o *Options) { o.Connections = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			o := tiny()
			change(&o)
			if _, err := Run(t.Context(), o); err == nil {
				t.Error("no error")
			}
		})
	}
	for name, o := range map[string]Options{"full": Defaults(), "quick": Quick(), "tiny": tiny()} {
		o.Program = "poa"
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTablesOfPages(t *testing.T) {
	page := func(p95 float64) []PageTimes { return []PageTimes{{Name: "overview", Quantiles: Quantiles{P95: p95}}} }
	for _, test := range []struct {
		name               string
		page, crowd, added float64
		want               []string // rows that miss
	}{
		{"at the bars", 50, 150, 1.1, nil},
		{"slow", 50.1, 150.1, 1, []string{"overview", "overview"}},
		{"a statement for each", 1, 1, 1.2, []string{"idle, 100 pages", "with votes, 100 pages"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &Engine{Name: SQLite, Crowd: &Crowd{Panels: page(test.crowd)}, Service: Service{
				Pages: page(test.page), Viewers: []Viewing{{}, {Pages: 9, Idle: 10, Voting: 10}, {Pages: 100, Idle: 10 * test.added, Voting: 10 * test.added}},
			}}
			g := &grid{engines: []*Engine{e}}
			pageRows(g, mostPage, func(e *Engine) []PageTimes { return e.Service.Pages })
			viewRows(g)
			pageRows(g, mostPageCrowd, func(e *Engine) []PageTimes { return e.Crowd.Panels })
			var got []string
			for _, row := range g.rows {
				if strings.Contains(row[2], "missed") {
					got = append(got, row[0])
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
