package exporter_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/exporter"
	"poa/internal/importer"
	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/sample"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
	"poa/internal/store/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func onSQLite(t *testing.T) store.Store {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "poa.db"))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func onPostgres(t *testing.T) store.Store {
	st, err := postgres.Open(t.Context(), pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// database prepares an empty database and starts a ledger on it.
func database(t *testing.T, st store.Store) (store.Store, *ledger.Ledger) {
	t.Helper()
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	version, err := st.Prepare(t.Context(), scoring.Defaults(), "test", now)
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(st, ledger.Options{Policy: publish.Default(version), Now: func() time.Time { return now }})
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return st, l
}

// record puts NFTs and votes into a database.
func record(t *testing.T, st store.Store, l *ledger.Ledger, nfts []store.NFT, votes iter.Seq[ledger.Vote]) {
	t.Helper()
	if _, err := st.PutNFTs(t.Context(), nfts, false, now); err != nil {
		t.Fatal(err)
	}
	for chunk := range slices.Chunk(slices.Collect(votes), 5000) {
		answers, err := l.Submit(t.Context(), chunk)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range answers {
			if a.Err != nil {
				t.Fatalf("%+v: %v", chunk[i], a.Err)
			}
		}
	}
}

// strange are votes of all kinds with ids, values and times that are hard to
// write down.
func strange() ([]store.NFT, iter.Seq[ledger.Vote]) {
	ids := []string{" a ", "b,\"c\"", "d\r\ne", "\ttab\t", "é界\u2028", "=1+1", `{"x":[1]}`, "null", "0012", "left"}
	var nfts []store.NFT
	for i, id := range ids {
		nfts = append(nfts, store.NFT{ID: id, Name: ids[len(ids)-1-i], Collection: []string{"", "on, and on", "off"}[i%3], ImageURL: "data:,\"x\""})
	}
	return nfts, func(yield func(ledger.Vote) bool) {
		for i := range 400 {
			v := ledger.Vote{Key: " k\n" + strconv.Itoa(i), Voter: ids[i*i%7], A: ids[i%10]}
			v.CastAt = now.Add(-time.Duration(i*i%397) * time.Hour).Add(-time.Duration(i) * time.Microsecond)
			switch v.Kind = scoring.Kind(i*7%11%4 + 1); v.Kind {
			case scoring.Matchup:
				v.B, v.Outcome, v.Super = ids[(i+1+i%9)%10], scoring.Outcome(i%4+1), i%5 == 0
				if v.A == v.B {
					v.B = ids[(i+1)%10]
				}
			case scoring.Slider:
				v.Value = 100 / math.Pi * float64(i%4)
			}
			if !yield(v) {
				return
			}
		}
	}
}

// state is what an import of NFTs and votes must bring back, by id: numbers and
// times of arrival are each database's own.
type state struct {
	NFTs     map[string]store.NFT
	Ratings  map[string]store.Rating
	Voters   map[string]scoring.Voter
	Votes    []store.Vote
	Opinions map[string]scoring.Opinion
	Active   map[string]bool
}

func contents(t *testing.T, st store.Store) state {
	t.Helper()
	s := state{
		NFTs: make(map[string]store.NFT), Ratings: make(map[string]store.Rating), Voters: make(map[string]scoring.Voter),
		Opinions: make(map[string]scoring.Opinion), Active: make(map[string]bool),
	}
	nfts, voters := make(map[int64]string), make(map[int64]string)
	err := st.View(t.Context(), func(v store.View) (err error) {
		for _, n := range storetest.Collect(v.AllNFTs(t.Context()), &err) {
			nfts[n.Number] = n.ID
			n.Number = 0
			s.NFTs[n.ID] = n
		}
		for _, r := range storetest.Collect(v.AllRatings(t.Context()), &err) {
			r.NFT, r.Collection, r.LastVote, r.Due, r.WaitingSince, r.Score = 0, 0, 0, store.Due{}, time.Time{}, nil
			s.Ratings[r.ID] = r
		}
		for _, voter := range storetest.Collect(v.AllVoters(t.Context()), &err) {
			voters[voter.Number] = voter.ID
			s.Voters[voter.ID] = voter.Voter
		}
		for _, vote := range storetest.Collect(v.Log(t.Context(), 0), &err) {
			vote.Number, vote.Voter, vote.A, vote.B, vote.ReceivedAt = 0, 0, 0, 0, time.Time{}
			s.Votes = append(s.Votes, vote)
		}
		for _, o := range storetest.Collect(v.AllOpinions(t.Context()), &err) {
			s.Opinions[nfts[o.NFT]+"\x00"+voters[o.Voter]+"\x00"+o.Kind.String()] = o.Opinion
		}
		if err != nil {
			return err
		}
		collections, err := v.Collections(t.Context())
		for _, c := range collections {
			s.Active[c.Name] = c.Active
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func export(t *testing.T, st store.Store, table exporter.Table, f exporter.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := exporter.Write(t.Context(), st, &b, table, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func load(t *testing.T, st store.Store, l *ledger.Ledger, file []byte) importer.Summary {
	t.Helper()
	s, err := importer.Read(t.Context(), bytes.NewReader(file), "export", 0, importer.Options{
		Store: st, Ledger: l, Rejects: filepath.Join(t.TempDir(), "rejects.csv"), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Rejected != 0 || len(s.Ignored) != 0 {
		t.Errorf("%+v", s)
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	for _, test := range []struct {
		name     string
		votes    func(t *testing.T, st store.Store, l *ledger.Ledger)
		from, to func(*testing.T) store.Store
		format   exporter.Format
	}{
		{"strange votes, CSV", recordStrange, onSQLite, onSQLite, exporter.CSV},
		{"strange votes, JSONL, to PostgreSQL", recordStrange, onSQLite, onPostgres, exporter.JSONL},
		{"the small game, CSV, from PostgreSQL", recordSmall, onPostgres, onSQLite, exporter.CSV},
		{"the demo, CSV", recordDemo, onSQLite, onSQLite, exporter.CSV},
		{"berlin, JSONL", recordBerlin, onSQLite, onSQLite, exporter.JSONL},
	} {
		t.Run(test.name, func(t *testing.T) {
			st, l := database(t, test.from(t))
			test.votes(t, st, l)
			want := contents(t, st)
			copied, l := database(t, test.to(t))
			load(t, copied, l, export(t, st, exporter.NFTs, test.format))
			votes := export(t, st, exporter.Votes, test.format)
			if s := load(t, copied, l, votes); int(s.Recorded) != len(want.Votes) || s.NewNFTs != 0 {
				t.Errorf("%+v, want %d votes", s, len(want.Votes))
			}
			if diff := cmp.Diff(want, contents(t, copied)); diff != "" {
				t.Errorf("state (-before +after):\n%s", diff)
			}
			// And once more, from the copy: the votes are the same.
			if s := load(t, st, l, export(t, copied, exporter.Votes, test.format)); int(s.Duplicates) != len(want.Votes) {
				t.Errorf("%+v, want %d duplicates", s, len(want.Votes))
			}
		})
	}
}

func recordStrange(t *testing.T, st store.Store, l *ledger.Ledger) {
	nfts, votes := strange()
	record(t, st, l, nfts, votes)
	if err := st.SetCollectionActive(t.Context(), "off", false); err != nil {
		t.Fatal(err)
	}
}

func recordSmall(t *testing.T, st store.Store, l *ledger.Ledger) {
	g := sample.Small(4, now)
	record(t, st, l, slices.Collect(g.NFTs()), g.History())
}

func recordDemo(t *testing.T, st store.Store, l *ledger.Ledger) {
	g := sample.Published(4, now)
	record(t, st, l, slices.Collect(g.NFTs()), g.History())
}

// recordBerlin imports the votes on Berlin's streets from the folder that
// POA_TEST_DATA names or, without it, as many generated ones.
func recordBerlin(t *testing.T, st store.Store, l *ledger.Ledger) {
	folder := os.Getenv("POA_TEST_DATA")
	if folder == "" {
		w := sample.NewWorkload(sample.WorkloadOptions{Seed: 8, NFTs: 4481, Voters: 251, End: now})
		record(t, st, l, slices.Collect(w.NFTs()), w.Votes(0, 7281))
		return
	}
	file, err := os.ReadFile(filepath.Join(folder, "berlin_cycling", "votes.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if s := load(t, st, l, file); s.Recorded != 7281 {
		t.Fatalf("%+v, want 7,281 votes", s)
	}
}

// rows parses an export into maps from column to content.
func rows(t *testing.T, file []byte, f exporter.Format) []map[string]string {
	t.Helper()
	var all []map[string]string
	if f == exporter.CSV {
		records, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records[1:] {
			row := make(map[string]string)
			for i, name := range records[0] {
				row[name] = record[i]
			}
			all = append(all, row)
		}
		return all
	}
	for line := range bytes.Lines(file) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		var object map[string]any
		if err := d.Decode(&object); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		row := make(map[string]string)
		for name, value := range object {
			switch v := value.(type) {
			case nil:
				row[name] = ""
			case bool:
				row[name] = strconv.FormatBool(v)
			case json.Number:
				row[name] = v.String()
			case string:
				row[name] = v
			default:
				t.Fatalf("%s: %s is %v", line, name, v)
			}
		}
		all = append(all, row)
	}
	return all
}

// Every number of every table reads back bit for bit, in both formats.
func TestTables(t *testing.T) {
	st, l := database(t, onSQLite(t))
	recordSmall(t, st, l)
	var want struct {
		ratings []store.Rating
		history map[string][]store.HistoryPoint
		scores  int
	}
	err := st.View(t.Context(), func(v store.View) (err error) {
		want.ratings = storetest.Collect(v.AllRatings(t.Context()), &err)
		want.history = make(map[string][]store.HistoryPoint)
		ids := make(map[int64]string)
		for _, r := range want.ratings {
			ids[r.NFT] = r.ID
			if r.Score != nil {
				want.scores++
			}
		}
		for _, h := range storetest.Collect(v.AllHistory(t.Context()), &err) {
			want.history[ids[h.NFT]] = append(want.history[ids[h.NFT]], h)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want.scores < 20 || len(want.history) < 20 {
		t.Fatalf("only %d scores and %d histories to export", want.scores, len(want.history))
	}
	for _, f := range []exporter.Format{exporter.CSV, exporter.JSONL} {
		t.Run(string(f), func(t *testing.T) {
			ratings := rows(t, export(t, st, exporter.Ratings, f), f)
			scores := rows(t, export(t, st, exporter.Scores, f), f)
			history := rows(t, export(t, st, exporter.History, f), f)
			if len(ratings) != len(want.ratings) || len(scores) != want.scores {
				t.Fatalf("%d ratings and %d scores, want %d and %d", len(ratings), len(scores), len(want.ratings), want.scores)
			}
			for i, r := range want.ratings {
				row := ratings[i]
				same(t, row, "nft", r.ID)
				same(t, row, "mean", r.Mean)
				same(t, row, "sigma", r.Sigma)
				same(t, row, "votes", r.Votes)
				same(t, row, "ties", r.Ties)
				same(t, row, "matchup_weight", r.MatchupWeight)
				same(t, row, "slider_sum", r.SliderSum)
				same(t, row, "fire_weight", r.FireWeight)
				same(t, row, "waiting_since", r.WaitingSince)
				if r.Score == nil {
					continue
				}
				row = scores[0]
				scores = scores[1:]
				same(t, row, "nft", r.ID)
				same(t, row, "poa", r.Score.POA)
				same(t, row, "confidence", r.Score.Confidence)
				same(t, row, "elo", r.Score.Elo)
				same(t, row, "reliability", r.Score.Reliability)
				same(t, row, "provisional", r.Score.Provisional)
				same(t, row, "computed_at", r.Score.ComputedAt)
				same(t, row, "reason", r.Score.Reason)
				if row["name"] == "" || row["collection"] == "" {
					t.Errorf("%v has no name or collection", row)
				}
			}
			for _, row := range history {
				points := want.history[row["nft"]]
				if len(points) == 0 {
					t.Fatalf("a point too many: %v", row)
				}
				same(t, row, "poa", points[0].POA)
				same(t, row, "mean", points[0].Mean)
				same(t, row, "at", points[0].At)
				same(t, row, "through_vote", points[0].ThroughVote)
				want.history[row["nft"]] = append(points[1:len(points):len(points)], points[0])
			}
		})
	}
}

// same fails where a field does not read back as want.
func same(t *testing.T, row map[string]string, name string, want any) {
	t.Helper()
	text, ok := row[name]
	good := ok
	switch want := want.(type) {
	case string:
		good = good && text == want
	case bool:
		good = good && text == strconv.FormatBool(want)
	case int64:
		n, err := strconv.ParseInt(text, 10, 64)
		good = good && err == nil && n == want
	case float64:
		x, err := strconv.ParseFloat(text, 64)
		good = good && err == nil && math.Float64bits(x) == math.Float64bits(want)
	case scoring.Sum:
		x, err := strconv.ParseFloat(text, 64)
		good = good && err == nil && scoring.ToSum(x) == want
	case time.Time:
		at, err := time.Parse(time.RFC3339Nano, text)
		good = good && (want.IsZero() && text == "" || err == nil && at.Equal(want))
	default:
		t.Fatalf("%s: no comparison for %T", name, want)
	}
	if !good {
		t.Errorf("%s is %q, want %v", name, text, want)
	}
}

func TestEmptyTables(t *testing.T) {
	st, _ := database(t, onSQLite(t))
	for _, table := range exporter.Tables() {
		if file := string(export(t, st, table, exporter.CSV)); strings.Count(file, "\n") != 1 || !strings.Contains(file, ",") {
			t.Errorf("%s as CSV: %q, want a header", table, file)
		}
		if file := export(t, st, table, exporter.JSONL); len(file) != 0 {
			t.Errorf("%s as JSONL: %q, want nothing", table, file)
		}
	}
}

// short is a store whose streams end early: with an error, or without.
type short struct {
	store.Store
	err error
}

type shortView struct {
	store.View
	err error
}

func (s short) View(ctx context.Context, f func(store.View) error) error {
	return s.Store.View(ctx, func(v store.View) error { return f(shortView{v, s.err}) })
}

func (v shortView) Log(ctx context.Context, after int64) iter.Seq2[store.Vote, error] {
	return cut(v.View.Log(ctx, after), v.err)
}

func (v shortView) AllNFTs(ctx context.Context) iter.Seq2[store.NFT, error] {
	return cut(v.View.AllNFTs(ctx), v.err)
}

func (v shortView) AllRatings(ctx context.Context) iter.Seq2[store.Rating, error] {
	return cut(v.View.AllRatings(ctx), v.err)
}

func cut[T any](rows iter.Seq2[T, error], failed error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n := 0
		for row, err := range rows {
			if n++; n == 6 {
				if failed != nil {
					yield(row, failed)
				}
				return
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// full is a disk that is full after so many bytes.
type full int

var errFull = errors.New("disk full")

func (f *full) Write(p []byte) (int, error) {
	if *f -= full(len(p)); *f < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestNoShortFileLooksWhole(t *testing.T) {
	st, l := database(t, onSQLite(t))
	recordSmall(t, st, l)
	lost := errors.New("connection lost")
	for _, table := range exporter.Tables() {
		t.Run(string(table), func(t *testing.T) {
			for _, failed := range []error{lost, nil} {
				path := filepath.Join(t.TempDir(), "out.csv")
				if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := exporter.File(t.Context(), short{st, failed}, path, table, exporter.CSV); err == nil || failed != nil && !errors.Is(err, lost) {
					t.Errorf("stream that ends with %v: error %v", failed, err)
				}
				if kept, err := os.ReadFile(path); err != nil || string(kept) != "before" {
					t.Errorf("the older file: %q, %v", kept, err)
				}
				if _, err := os.Stat(path + ".partial"); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("a part was left: %v", err)
				}
			}
			for size := full(0); size < 1000; size += 333 {
				disk := size
				if _, err := exporter.Write(t.Context(), st, &disk, table, exporter.JSONL); !errors.Is(err, errFull) {
					t.Errorf("disk of %d bytes: error %v", size, err)
				}
			}
		})
	}
}

func TestFile(t *testing.T) {
	st, l := database(t, onSQLite(t))
	recordSmall(t, st, l)
	want := export(t, st, exporter.Votes, exporter.CSV)
	for _, name := range []string{"votes.csv", "votes.csv.gz"} {
		path := filepath.Join(t.TempDir(), name)
		n, err := exporter.File(t.Context(), st, path, exporter.Votes, exporter.CSV)
		if err != nil || n != 600 {
			t.Fatalf("%d rows, %v", n, err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var r io.Reader = file
		if strings.HasSuffix(name, ".gz") {
			if r, err = gzip.NewReader(file); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from what Write gives (%v)", name, err)
		}
	}
	if _, err := exporter.File(t.Context(), st, filepath.Join(t.TempDir(), "no", "x"), exporter.Votes, exporter.CSV); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: error %v", err)
	}
	if _, err := exporter.Write(t.Context(), st, io.Discard, "moods", exporter.CSV); err == nil {
		t.Error("a table that does not exist was exported")
	}
	if _, err := exporter.Write(t.Context(), st, io.Discard, exporter.Votes, "xml"); err == nil {
		t.Error("a format that does not exist was written")
	}
}
