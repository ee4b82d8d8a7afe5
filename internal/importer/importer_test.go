package importer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/importer"
	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/sample"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
	"poa/internal/store/storetest"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// database is an empty SQLite database with a ledger.
func database(t *testing.T) (store.Store, *ledger.Ledger) {
	t.Helper()
	ctx := t.Context()
	st := sqlitetest.New(t)
	version, err := st.Prepare(ctx, scoring.Defaults(), "test", now)
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(st, ledger.Options{Policy: publish.Default(version), Now: func() time.Time { return now }})
	t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	return st, l
}

// options are those of an import whose rejects do not fall into the package.
func options(t *testing.T, st store.Store, l ledger.Submitter) importer.Options {
	return importer.Options{
		Store: st, Ledger: l, Rejects: filepath.Join(t.TempDir(), "rejects.csv"), Now: func() time.Time { return now },
	}
}

func read(t *testing.T, file string, o importer.Options) importer.Summary {
	t.Helper()
	s, err := importer.Read(t.Context(), strings.NewReader(file), "file.csv", 0, o)
	if err != nil {
		t.Fatal(err)
	}
	s.Elapsed = 0
	return s
}

// state is what a database holds.
type state struct {
	NFTs     []store.NFT
	Ratings  []store.Rating
	Voters   []store.Voter
	Votes    []store.Vote
	Opinions []store.Opinion
	History  []store.HistoryPoint
	Rejects  []store.Reject
	Counters []store.Delta
}

func contents(t *testing.T, st store.Store) (s state) {
	t.Helper()
	err := st.View(t.Context(), func(v store.View) (err error) {
		s.NFTs = storetest.Collect(v.AllNFTs(t.Context()), &err)
		s.Ratings = storetest.Collect(v.AllRatings(t.Context()), &err)
		s.Voters = storetest.Collect(v.AllVoters(t.Context()), &err)
		s.Votes = storetest.Collect(v.Log(t.Context(), 0), &err)
		s.Opinions = storetest.Collect(v.AllOpinions(t.Context()), &err)
		s.History = storetest.Collect(v.AllHistory(t.Context()), &err)
		if err != nil {
			return err
		}
		if s.Rejects, err = v.Rejects(t.Context(), "file.csv"); err != nil {
			return err
		}
		s.Counters, err = v.Counters(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// berlin returns the file of votes on Berlin's streets from the folder that
// POA_TEST_DATA names or, without it, a generated one of the same size.
func berlin(t *testing.T) []byte {
	t.Helper()
	if folder := os.Getenv("POA_TEST_DATA"); folder != "" {
		file, err := os.ReadFile(filepath.Join(folder, "berlin_cycling", "votes.csv"))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	const votes, nfts, voters = 7281, 4481, 251
	var b bytes.Buffer
	b.WriteString("vote_id,voter_id,left_id,right_id,result,winner_id,loser_id,created_at\n")
	for i := range votes {
		left, right := fmt.Sprintf("berlin-%d", i%nfts), fmt.Sprintf("berlin-%d", (i*7+1)%nfts)
		if left == right {
			right = "berlin-0"
		}
		rest := fmt.Sprintf("left,%s,%s", left, right)
		switch i % 5 {
		case 0:
			rest = "tie,,"
		case 1, 2:
			rest = fmt.Sprintf("right,%s,%s", right, left)
		}
		at := time.Date(2022, 9, 6, 17, 13, 23, 0, time.UTC).Add(time.Duration(i) * time.Minute)
		fmt.Fprintf(&b, "%d,v%03d,%s,%s,%s,%s\n", i+1, i%voters, left, right, rest, at.Format(time.RFC3339))
	}
	return b.Bytes()
}

func TestBerlinTwice(t *testing.T) {
	st, l := database(t)
	path := filepath.Join(t.TempDir(), "votes.csv")
	if err := os.WriteFile(path, berlin(t), 0o600); err != nil {
		t.Fatal(err)
	}
	var last importer.Progress
	o := options(t, st, l)
	o.Progress = func(p importer.Progress) { last = p }
	first, err := importer.File(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	if first.Rows != 7281 || first.Recorded != 7281 || first.NewNFTs != 4481 || first.NewVoters != 251 || first.Rejected != 0 || first.Duplicates != 0 {
		t.Errorf("%+v, want 7,281 votes, 4,481 NFTs and 251 voters", first)
	}
	if len(first.Ignored) != 0 || first.NoWinner != 0 || first.Triggered["milestone"] == 0 {
		t.Errorf("%+v", first)
	}
	if size := int64(len(berlin(t))); last.Rows != 7281 || last.Bytes != size || last.Total != size {
		t.Errorf("progress at the end %+v, want 7,281 rows and %d bytes", last, size)
	}
	if _, err := os.Stat(o.Rejects); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a rejects file was left: %v", err)
	}
	want := contents(t, st)
	if len(want.Votes) != 7281 || len(want.NFTs) != 4481 || len(want.Voters) != 251 {
		t.Errorf("%d votes, %d NFTs, %d voters", len(want.Votes), len(want.NFTs), len(want.Voters))
	}
	if v := want.Votes[0]; v.Key != "votes:1" || v.Outcome == scoring.NoOutcome || v.CastAt.Year() != 2022 {
		t.Errorf("the first vote is %+v", v)
	}

	// Again, gzipped and under another name.
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(berlin(t)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := importer.Read(t.Context(), &zipped, "votes.csv.gz", 0, o)
	if err != nil {
		t.Fatal(err)
	}
	if again.Rows != 7281 || again.Duplicates != 7281 || again.Recorded != 0 || again.NewNFTs != 0 || again.NewVoters != 0 || again.Rejected != 0 {
		t.Errorf("the second time: %+v", again)
	}
	if diff := cmp.Diff(want, contents(t, st)); diff != "" {
		t.Errorf("the second time changed something:\n%s", diff)
	}
}

// A run that ends anywhere and is repeated comes to the same as one that does
// not; also where keys are made of the rows, some of them the same.
func TestInterruptedRun(t *testing.T) {
	var file strings.Builder
	file.WriteString("voter,a,b,winner,cast_at\n")
	for v := range sample.Small(3, now).History() {
		if v.Kind == scoring.Matchup {
			for range 60 { // more than are submitted together
				fmt.Fprintf(&file, "%s,%s,%s,%s,%s\n", v.Voter, v.A, v.B, v.Outcome, v.CastAt.Format(time.RFC3339))
			}
		}
	}
	wantStore, l := database(t)
	want := read(t, file.String(), options(t, wantStore, l))
	if want.Recorded < 25_000 || want.Recorded != want.Rows {
		t.Fatalf("%+v", want)
	}
	st, l := database(t)
	o := options(t, st, l)
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(importer.Progress) { cancel() }
	first, err := importer.Read(ctx, strings.NewReader(file.String()), "file.csv", 0, o)
	if !errors.Is(err, context.Canceled) || first.Recorded == 0 || first.Recorded == want.Recorded {
		t.Fatalf("the run was not interrupted: %v, %+v", err, first)
	}
	o.Progress = nil
	if s := read(t, file.String(), o); s.Recorded+s.Duplicates != want.Recorded || s.Duplicates < first.Recorded {
		t.Errorf("the second run: %+v, after %+v", s, first)
	}
	if diff := cmp.Diff(contents(t, wantStore).Votes, contents(t, st).Votes); diff != "" {
		t.Errorf("votes (-in one run +in two):\n%s", diff)
	}
	if diff := cmp.Diff(contents(t, wantStore).Voters, contents(t, st).Voters); diff != "" {
		t.Errorf("voters (-in one run +in two):\n%s", diff)
	}
}

func TestRejects(t *testing.T) {
	st, l := database(t)
	o := options(t, st, l)
	file := "id,voter,nft,a,b,winner,value,note\n" +
		"1,v,,x,y,x,,\n" + // 2: good
		"2,v,,x,x,x,,\n" + // 3
		"3,v,z,,,,50,\n" + // 4: good
		"4,v,z,,,,500,\n" + // 5
		"5,v,z\n" + // 6
		"1,v,,x,y,y,,\n" + // 7: conflict with line 2
		"6,v,\"z\n\",,,,\"a\"b,\n" + // 8 and 9
		"3,v,z,,,,50,\n" + // 10: duplicate of line 4
		"7,v\xff,z,,,,5,\n" // 11
	got := read(t, file, o)
	want := importer.Summary{
		Kind: importer.Votes, Source: "file", Rows: 10, Recorded: 2, Duplicates: 1, Rejected: 7,
		ByCode:    map[string]int64{"same_nft": 1, "invalid_value": 1, "column_count": 1, "key_conflict": 1, "bad_quote": 2, "invalid_text": 1},
		Triggered: map[string]int64{}, NewNFTs: 3, NewVoters: 1, NoTime: 2, Ignored: []string{"note"}, Rejects: o.Rejects,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	saved, err := os.ReadFile(o.Rejects)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(saved)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if i > 0 && records[i][2] == "" {
			t.Errorf("no reason: %q", records[i])
		}
		records[i][2] = ""
	}
	wantRecords := [][]string{
		{"line", "code", "", "row"},
		{"3", "same_nft", "", "2,v,,x,x,x,,"},
		{"5", "invalid_value", "", "4,v,z,,,,500,"},
		{"6", "column_count", "", "5,v,z"},
		{"7", "key_conflict", "", "1,v,,x,y,y,,"},
		{"8", "bad_quote", "", "6,v,\"z"},
		{"9", "bad_quote", "", "\",,,,\"a\"b,"},
		{"11", "invalid_text", "", "7,v\xff,z,,,,5,"},
	}
	if diff := cmp.Diff(wantRecords, records); diff != "" {
		t.Errorf("rejects file (-want +got):\n%s", diff)
	}
	stored := contents(t, st).Rejects
	if len(stored) != 7 || stored[0].Line != 3 || stored[0].Code != "same_nft" || stored[6].Raw != `7,v\xff,z,,,,5,` {
		t.Errorf("recorded rejects: %+v", stored)
	}

	// Nothing is wrong any more: the file goes away.
	if s := read(t, "id,voter,a,b,winner\n1,v,x,y,x\n", o); s.Rejected != 0 || s.Rejects != "" {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat(o.Rejects); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the rejects file was left: %v", err)
	}
}

func TestAllKinds(t *testing.T) {
	st, l := database(t)
	o := options(t, st, l)
	o.Scale = importer.Scale{Min: 1, Max: 10}
	o.Source = "game"
	s := read(t, strings.Join([]string{
		`{"id":1,"user":"v","vote_type":"super","nft_a":"x","nft_b":"y","winner":"x","created_at":1700000000}`,
		`{"id":2,"user":"v","vote_type":"slider","nft":"x","rating":10,"created_at":1700000001}`,
		`{"id":3,"user":"w","vote_type":"fire","nft":"y"}`,
		`{"id":4,"user":"w","nft_a":"x","nft_b":"y","mood":7}`,
	}, "\n"), o)
	if s.Recorded != 4 || s.NoWinner != 1 || s.NoTime != 2 || s.NewVoters != 2 || s.NewNFTs != 2 || s.Triggered["super"] != 2 || s.Triggered["fire"] != 1 {
		t.Errorf("%+v", s)
	}
	if diff := cmp.Diff([]string{"mood"}, s.Ignored); diff != "" {
		t.Errorf("ignored columns (-want +got):\n%s", diff)
	}
	var got []string
	for _, v := range contents(t, st).Votes {
		got = append(got, fmt.Sprintln(v.Key, v.VoterID, v.Kind, v.Super, v.AID, v.BID, v.Outcome, v.Value, v.CastAt.Unix()))
	}
	want := []string{
		"game:1 v matchup true x y a 0 1700000000\n", "game:2 v slider false x   100 1700000001\n",
		fmt.Sprintf("game:3 w fire false y   0 %d\n", now.Unix()), fmt.Sprintf("game:4 w matchup false x y none 0 %d\n", now.Unix()),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("votes (-want +got):\n%s", diff)
	}
}

func TestStrict(t *testing.T) {
	st, l := database(t)
	o := options(t, st, l)
	read(t, "id,voter,a,b,winner\n1,v,x,y,x\n", o)
	o.Strict = true
	s := read(t, "id,voter,a,b,winner\n2,v,x,y,y\n3,v,x,z,x\n4,w,x,y,x\n5,v,z,x,x\n6,v,y,x,x\n", o)
	if s.Recorded != 2 || s.ByCode["unknown_nft"] != 2 || s.ByCode["unknown_voter"] != 1 || s.NewNFTs != 0 || s.NewVoters != 0 {
		t.Errorf("%+v", s)
	}
	if c := contents(t, st); len(c.NFTs) != 2 || len(c.Voters) != 1 || len(c.Votes) != 3 {
		t.Errorf("%d NFTs, %d voters, %d votes", len(c.NFTs), len(c.Voters), len(c.Votes))
	}
}

func TestNFTs(t *testing.T) {
	st, l := database(t)
	o := options(t, st, l)
	read(t, "id,voter,a,b,winner\n1,v,x,y,x\n", o)
	file := "nft id,Name,Collection Name,Image,active,traits\nx,Xi,Greek,http://x,true,\ny,Psi,Greek,,,\nz,Zet,Slavic,,no,\nz,Other,Greek,,,\n,Nobody,,,,\n"
	s := read(t, file, o)
	if s.Kind != importer.NFTs || s.Recorded != 1 || s.Duplicates != 3 || s.Rejected != 1 || s.ByCode["empty"] != 1 {
		t.Errorf("%+v", s)
	}
	nfts := func() (list []string) {
		for _, n := range contents(t, st).NFTs {
			list = append(list, fmt.Sprintf("%s %s %s %s", n.ID, n.Name, n.Collection, n.ImageURL))
		}
		return list
	}
	if diff := cmp.Diff([]string{"x   ", "y   ", "z Zet Slavic "}, nfts()); diff != "" {
		t.Errorf("NFTs (-want +got):\n%s", diff)
	}
	active := func(name string) (active bool) {
		err := st.View(t.Context(), func(v store.View) error {
			collections, err := v.Collections(t.Context())
			for _, c := range collections {
				if c.Name == name {
					active = c.Active
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return active
	}
	if active("Slavic") || !active("") {
		t.Error("the wrong collection was switched off")
	}
	// An operator's word counts more than a file imported again.
	if err := st.SetCollectionActive(t.Context(), "Slavic", true); err != nil {
		t.Fatal(err)
	}
	read(t, file, o)
	if !active("Slavic") {
		t.Error("the second import switched a collection off")
	}
	o.Overwrite = true
	read(t, file, o)
	if diff := cmp.Diff([]string{"x Xi Greek http://x", "y Psi Greek ", "z Other Greek "}, nfts()); diff != "" {
		t.Errorf("NFTs, overwritten (-want +got):\n%s", diff)
	}
}

// Nothing is read, and no rejects file touched, where columns are missing.
func TestMissingColumn(t *testing.T) {
	st, l := database(t)
	o := options(t, st, l)
	if err := os.WriteFile(o.Rejects, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := importer.Read(t.Context(), strings.NewReader("left,right,winner\nx,y,x\n"), "file.csv", 0, o)
	if err == nil || !strings.Contains(err.Error(), "no column for voter") {
		t.Errorf("error %v", err)
	}
	if kept, err := os.ReadFile(o.Rejects); err != nil || string(kept) != "kept" {
		t.Errorf("the rejects file: %q, %v", kept, err)
	}
}

func TestReadError(t *testing.T) {
	st, l := database(t)
	broken := errors.New("broken pipe")
	r := io.MultiReader(strings.NewReader("voter,a,b,winner\n"+strings.Repeat("v,x,y,x\n", 5000)), iotest.ErrReader(broken))
	s, err := importer.Read(t.Context(), r, "file.csv", 0, options(t, st, l))
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if got := int64(len(contents(t, st).Votes)); got != s.Recorded {
		t.Errorf("%d votes recorded, the summary says %d", got, s.Recorded)
	}
}

// script is a ledger that answers from a script.
type script struct {
	calls  [][]ledger.Vote
	answer func(call int, votes []ledger.Vote) ([]ledger.Answer, error)
}

func (s *script) Submit(_ context.Context, votes []ledger.Vote) ([]ledger.Answer, error) {
	s.calls = append(s.calls, votes)
	return s.answer(len(s.calls), votes)
}

func TestPatience(t *testing.T) {
	again := ledger.Answer{Err: &ledger.Error{Code: ledger.CodeTryAgain, Message: "not now"}}
	file := "voter,a,b,winner\nv,x,y,x\nv,x,z,x\nv,y,z,y\n"
	run := func(t *testing.T, s *script) (importer.Summary, error) {
		o := importer.Options{Store: everything{}, Ledger: s, Rejects: filepath.Join(t.TempDir(), "r.csv")}
		return importer.Read(t.Context(), strings.NewReader(file), "file.csv", 0, o)
	}
	t.Run("full queue", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answer: func(call int, votes []ledger.Vote) ([]ledger.Answer, error) {
				if call <= 100 {
					return nil, ledger.ErrBusy
				}
				return make([]ledger.Answer, len(votes)), nil
			}}
			if got, err := run(t, s); err != nil || got.Recorded != 3 || len(s.calls) != 101 {
				t.Errorf("%+v, %v after %d calls", got, err, len(s.calls))
			}
		})
	})
	t.Run("some votes later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answer: func(call int, votes []ledger.Vote) ([]ledger.Answer, error) {
				answers := make([]ledger.Answer, len(votes))
				if call == 1 {
					answers[0], answers[2] = again, again
				}
				return answers, nil
			}}
			got, err := run(t, s)
			if err != nil || got.Recorded != 3 || len(s.calls) != 2 {
				t.Fatalf("%+v, %v after %d calls", got, err, len(s.calls))
			}
			if diff := cmp.Diff([]ledger.Vote{s.calls[0][0], s.calls[0][2]}, s.calls[1]); diff != "" {
				t.Errorf("handed in again (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("never", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answer: func(_ int, votes []ledger.Vote) ([]ledger.Answer, error) {
				answers := make([]ledger.Answer, len(votes))
				answers[len(answers)-1] = again
				return answers, nil
			}}
			got, err := run(t, s)
			if err == nil || !strings.Contains(err.Error(), "run it again") || got.Rejected != 0 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	})
	t.Run("closed", func(t *testing.T) {
		s := &script{answer: func(int, []ledger.Vote) ([]ledger.Answer, error) { return nil, ledger.ErrClosed }}
		if _, err := run(t, s); !errors.Is(err, ledger.ErrClosed) {
			t.Errorf("error %v, want %v", err, ledger.ErrClosed)
		}
	})
}

// everything is a store that knows every NFT and voter.
type everything struct{ store.Store }

func (everything) View(_ context.Context, f func(store.View) error) error { return f(allKnown{}) }

type allKnown struct{ store.View }

func (allKnown) KnownNFTs(_ context.Context, ids []string) ([]string, error)   { return ids, nil }
func (allKnown) KnownVoters(_ context.Context, ids []string) ([]string, error) { return ids, nil }
