package bench

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/program"
	"poa/internal/store/postgres/pgtest"
)

// binary is the path of the program that TestMain built, whose service is
// measured.
var binary string

func TestMain(m *testing.M) {
	path, folder, err := program.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = path
	pgtest.Main(m)
	os.RemoveAll(folder)
}

// tiny returns options for a run of a few seconds.
func tiny() Options {
	o := Defaults()
	o.NFTs, o.Voters, o.Clients, o.Rounds, o.Votes = 60, 40, 20, 2, 300
	o.Offered, o.OfferedFor = 200, time.Second/2
	o.RecomputeNFTs, o.RecomputeVotes, o.RecomputeRounds = 50, 900, 2
	o.Program, o.Connections, o.HTTPVotes = binary, 8, 200
	o.BesideOffered, o.BesideFor, o.BesideRounds = 100, time.Second/2, 1
	o.ListenFor, o.PageRounds, o.Crowd = time.Second/5, 1, 2_000
	o.PlainVotes, o.PlainClients = 60, 4
	o.Sizes = []int{400, 900}
	return o
}

func TestRunOnBothEngines(t *testing.T) {
	o := tiny()
	var told []string
	o.Progress = func(what string) { told = append(told, what) }
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Engines) != 2 || len(told) == 0 || report.Machine.Cores < 1 || report.Seconds <= 0 {
		t.Fatalf("report %+v, told %q", report, told)
	}
	for i, name := range []string{SQLite, PostgreSQL} {
		t.Run(name, func(t *testing.T) { checkEngine(t, report.Engines[i], name, &o) })
	}
}

func checkEngine(t *testing.T, e *Engine, name string, o *Options) {
	if e.Name != name || e.Version == "" || len(e.Durability) < 2 {
		t.Errorf("engine %q, version %q, durability %q", e.Name, e.Version, e.Durability)
	}
	if len(e.Throughput) != len(cases()) {
		t.Fatalf("%d cases of throughput", len(e.Throughput))
	}
	for _, c := range e.Throughput {
		t.Run(c.Case, func(t *testing.T) { checkThroughput(t, &c, name == PostgreSQL, o) })
	}
	if all := e.Throughput[1]; all.Triggered != 1 {
		t.Errorf("where every vote is to trigger, %v of them did", all.Triggered)
	}
	if usual, first := e.Throughput[0], e.Throughput[2]; first.Statements <= usual.Statements {
		t.Errorf("first votes need %v statements each, no more than %v", first.Statements, usual.Statements)
	}
	l := e.Latency
	if l.All.Count != 100 || l.Triggered.Count < 1 || l.Triggered.Count >= l.All.Count || l.Taken <= 0 || l.Group < 1 {
		t.Errorf("latency %+v", l)
	}
	for _, q := range []Quantiles{l.All, l.Triggered} {
		if !slices.IsSorted([]float64{0, q.P50, q.P95, q.P99, q.Max}) {
			t.Errorf("quantiles do not ascend: %+v", q)
		}
	}
	if c := e.Recompute; c.NFTs != o.RecomputeNFTs || c.Votes != o.RecomputeVotes || c.Differ > 1 {
		t.Errorf("recompute %+v", c)
	}
	checkSpreads(t, e.Recompute.Ratio, e.Recompute.Exact, e.Recompute.SQL)
	checkService(t, &e.Service, o)
	checkCrowd(t, e.Crowd, o)
	if len(e.Plain) != 2 {
		t.Fatalf("plain ways: %+v", e.Plain)
	}
	for _, p := range e.Plain {
		if p.Votes != o.PlainVotes || p.Rate <= 0 || (p.Statements >= 7) != (name == PostgreSQL) || (p.Written > 0) != (name == PostgreSQL) {
			t.Errorf("plain way %+v", p)
		}
	}
	if len(e.Growth) != 2 || e.Growth[1].VotesPerNFT <= e.Growth[0].VotesPerNFT {
		t.Fatalf("growth %+v", e.Growth)
	}
	for i, g := range e.Growth {
		if g.Votes != o.Sizes[i] || g.PerVote <= 0 || g.PerNFT <= 0 || (g.Written > 0) != (name == PostgreSQL) {
			t.Errorf("growth %+v", g)
		}
	}
}

func checkService(t *testing.T, s *Service, o *Options) {
	for what, run := range map[string]RunTime{"batch": s.Batch, "backfill": s.Backfill} {
		if run.NFTs != int64(o.RecomputeNFTs) || run.Left != 0 || run.Seconds <= 0 || run.Rate <= 0 || run.CPU < 0 || run.Statements <= 0 {
			t.Errorf("%s %+v", what, run)
		}
	}
	if len(s.HTTP) != 2 || s.HTTP[0].Together != 1 || s.HTTP[1].Together != 100 {
		t.Fatalf("HTTP %+v", s.HTTP)
	}
	for _, h := range s.HTTP {
		checkSpreads(t, h.Ratio, h.Service, h.Ledger)
		if h.Requests.Count*h.Together != o.Rounds*o.HTTPVotes || h.Requests.P50 <= 0 || h.Statements <= 0 {
			t.Errorf("HTTP %+v", h)
		}
	}
	if s.HTTP[1].Statements >= s.HTTP[0].Statements {
		t.Errorf("%v statements a vote with many in a request, %v with one", s.HTTP[1].Statements, s.HTTP[0].Statements)
	}
	if l := s.Latency; l.All.Count != 100 || l.Triggered.Count < 1 || l.Triggered.Count >= l.All.Count || l.Taken <= 0 {
		t.Errorf("latency over HTTP %+v", l)
	}
	if b := s.Beside; b.With.Count != 50 || b.Without.Count != 50 || b.Ratio <= 0 || b.Rate <= 0 {
		t.Errorf("votes beside a backfill %+v", b)
	}
	if len(s.Listeners) != 3 {
		t.Fatalf("live readers %+v", s.Listeners)
	}
	for i, readers := range []int{0, 1, 100} {
		if l := s.Listeners[i]; l.Readers != readers || l.Idle < 0 || l.Voting <= l.Idle || (l.Events > 0) != (readers > 0) {
			t.Errorf("live readers %+v", l)
		}
	}
	checkPages(t, s.Pages, o)
	checkViewers(t, s.Viewers)
}

func checkPages(t *testing.T, pages []PageTimes, o *Options) {
	if len(pages) != len(panelPages) {
		t.Fatalf("%d pages of the panel", len(pages))
	}
	for _, p := range pages {
		if p.Name == "" || strings.Contains(p.Path, "{") || p.Count != o.PageRounds || p.P50 <= 0 || p.P95 < p.P50 || p.Bytes == 0 {
			t.Errorf("page %+v", p)
		}
	}
}

func checkViewers(t *testing.T, list []Viewing) {
	if len(list) != 3 || list[0].Pages != 0 || list[1].Pages != len(livePages(1)) || list[2].Pages != crowdOfPages {
		t.Fatalf("open pages %+v", list)
	}
	for _, v := range list {
		if v.Idle < 0 || v.Voting <= 0 || v.CPU < 0 {
			t.Errorf("open pages %+v", v)
		}
	}
}

func checkCrowd(t *testing.T, c *Crowd, o *Options) {
	if c == nil || c.NFTs != o.Crowd || c.Pick.Count == 0 || c.Statements <= 0 || c.Picked == 0 {
		t.Fatalf("crowd %+v", c)
	}
	for when, m := range map[string]Memory{"start": c.Start, "votes": c.Votes, "batch": c.Batch, "pages": c.Pages, "panel": c.Panel} {
		if m.Now <= 0 || m.Now > m.Most || m.Most > c.Panel.Most {
			t.Errorf("%+v of memory at %s, %+v in the end", m, when, c.Panel)
		}
	}
	checkPages(t, c.Panels, o)
}

func checkThroughput(t *testing.T, c *Throughput, wal bool, o *Options) {
	checkSpreads(t, c.Ratio, c.Ledger, c.Raw)
	if c.Statements <= 0 || c.Triggered <= 0 || c.Triggered > 1 {
		t.Errorf("%v statements a vote, %v of the votes triggered", c.Statements, c.Triggered)
	}
	if c.Group < 1 || c.Group > float64(o.Clients) || c.LargestGroup > int64(o.Clients) {
		t.Errorf("%v votes in a commit, %d in the largest, by %d clients", c.Group, c.LargestGroup, o.Clients)
	}
	if (c.WrittenLedger > 0) != wal || (c.WrittenRaw > 0) != wal {
		t.Errorf("%v and %v bytes written", c.WrittenLedger, c.WrittenRaw)
	}
}

func checkSpreads(t *testing.T, spreads ...Spread) {
	t.Helper()
	for _, s := range spreads {
		if s.Min <= 0 || s.Median < s.Min || s.Max < s.Median {
			t.Errorf("spread %+v", s)
		}
	}
}

func TestServerOfSomebodyElseIsLeftAsItWas(t *testing.T) {
	address := pgtest.New(t)
	databases := func() (n int) {
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_database`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := databases()
	h, err := newPostgresHost(t.Context(), address, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.create(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.copy(t.Context(), a, "b"); err != nil {
		t.Fatal(err)
	}
	if got := databases(); got != before+2 {
		t.Errorf("%d databases, there were %d before two were made", got, before)
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	if got := databases(); got != before {
		t.Errorf("%d databases are left, there were %d", got, before)
	}
}
