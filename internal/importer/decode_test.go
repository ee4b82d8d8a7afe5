package importer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"poa/internal/ledger"
	"poa/internal/scoring"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func decoder() *voteDecoder {
	return &voteDecoder{source: "src", emptyWinner: scoring.Neither, now: func() time.Time { return now }}
}

// voteRow makes the values of a row from pairs of field name and content.
func voteRow(pairs ...string) []string {
	values := make([]string, len(voteFields))
	for i := 0; i < len(pairs); i += 2 {
		f := slices.IndexFunc(voteFields, func(f field) bool { return f.name == pairs[i] })
		values[f] = pairs[i+1]
	}
	return values
}

func TestVotes(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	matchup := func(o scoring.Outcome) ledger.Vote {
		return ledger.Vote{Key: "k", Voter: "v", A: "x", B: "y", Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: o, CastAt: at}}
	}
	super := matchup(scoring.WinB)
	super.Super = true
	single := func(k scoring.Kind, value float64) ledger.Vote {
		return ledger.Vote{Key: "k", Voter: "v", A: "x", Vote: scoring.Vote{Kind: k, Value: value, CastAt: at}}
	}
	pair := []string{"a", "x", "b", "y"}
	for _, test := range []struct {
		name    string
		row     []string
		with    func(*voteDecoder)
		want    ledger.Vote
		assumed bool
		code    ledger.Code
	}{
		{name: "left", row: append(pair, "outcome", "left"), want: matchup(scoring.WinA)},
		{name: "B", row: append(pair, "outcome", " B "), want: matchup(scoring.WinB)},
		{name: "tie, no winner", row: append(pair, "outcome", "tie"), want: matchup(scoring.Tie)},
		{name: "outcome is an id", row: append(pair, "outcome", "y"), want: matchup(scoring.WinB)},
		{name: "winner", row: append(pair, "winner", "y"), want: matchup(scoring.WinB)},
		{name: "winner by side", row: append(pair, "winner", "Left"), want: matchup(scoring.WinA)},
		{name: "winner is a word", row: append(pair, "winner", "neither"), want: matchup(scoring.Neither)},
		{name: "loser", row: append(pair, "loser", "y"), want: matchup(scoring.WinA)},
		{name: "all say the same", row: append(pair, "outcome", "right", "winner", "y", "loser", "x"), want: matchup(scoring.WinB)},
		{name: "winner and loser alone", row: []string{"winner", "x", "loser", "y"}, want: matchup(scoring.WinA)},
		{name: "winner and loser alone, a tie", row: []string{"winner", "x", "loser", "y", "outcome", "tie"}, code: ledger.CodeOutcome},
		{name: "nothing", row: pair, want: matchup(scoring.Neither), assumed: true},
		{name: "nothing is a tie", row: pair, with: func(d *voteDecoder) { d.emptyWinner = scoring.Tie }, want: matchup(scoring.Tie), assumed: true},
		{name: "super flag", row: append(pair, "winner", "y", "super", "Yes"), want: super},
		{name: "super kind", row: append(pair, "winner", "y", "kind", "Super Vote"), want: super},
		{name: "cross_coll", row: append(pair, "winner", "y", "kind", "cross_coll", "super", "0"), want: matchup(scoring.WinB)},
		{name: "slider", row: []string{"nft", "x", "value", " 70.5 "}, want: single(scoring.Slider, 70.5)},
		{name: "slider in a", row: []string{"a", "x", "value", "0", "kind", "slider"}, want: single(scoring.Slider, 0)},
		{name: "slider of 1 to 10", row: []string{"nft", "x", "value", "10"}, with: func(d *voteDecoder) { d.scale = Scale{1, 10} }, want: single(scoring.Slider, 100)},
		{name: "slider of 1 to 5", row: []string{"nft", "x", "value", "2"}, with: func(d *voteDecoder) { d.scale = Scale{1, 5} }, want: single(scoring.Slider, 25)},
		{name: "fire", row: []string{"nft", "x", "kind", "FIRE"}, want: single(scoring.Fire, 0)},
		{name: "unfire", row: []string{"a", "x", "kind", "unfire", "value", "0"}, want: single(scoring.Unfire, 0)},
		{name: "a value of 0 for a matchup", row: append(pair, "winner", "y", "value", "0"), want: matchup(scoring.WinB)},

		{name: "another winner", row: append(pair, "winner", "z"), code: ledger.CodeOutcome},
		{name: "contradiction", row: append(pair, "winner", "x", "outcome", "b"), code: ledger.CodeOutcome},
		{name: "winner of a tie", row: append(pair, "winner", "x", "outcome", "tie"), code: ledger.CodeOutcome},
		{name: "outcome 1", row: append(pair, "outcome", "1"), code: ledger.CodeOutcome},
		{name: "no b", row: []string{"a", "x", "winner", "x"}, code: ledger.CodeEmpty},
		{name: "a is b", row: []string{"a", "x", "b", "x", "outcome", "a"}, code: ledger.CodeSameNFT},
		{name: "kind", row: append(pair, "kind", "poke"), code: ledger.CodeKind},
		{name: "no kind", row: []string{"nft", "x"}, code: ledger.CodeKind},
		{name: "super word", row: append(pair, "super", "maybe"), code: ledger.CodeText},
		{name: "super slider", row: []string{"nft", "x", "value", "1", "super", "1"}, code: ledger.CodeNotAllowed},
		{name: "value of a matchup", row: append(pair, "winner", "x", "value", "7"), code: ledger.CodeNotAllowed},
		{name: "value of a fire", row: []string{"nft", "x", "kind", "fire", "value", "7"}, code: ledger.CodeNotAllowed},
		{name: "winner of a slider", row: []string{"nft", "x", "kind", "slider", "value", "7", "winner", "x"}, code: ledger.CodeOutcome},
		{name: "b of a slider", row: append(pair, "kind", "slider", "value", "7"), code: ledger.CodeNotAllowed},
		{name: "nft beside a", row: []string{"a", "x", "nft", "y", "value", "7"}, code: ledger.CodeNotAllowed},
		{name: "no value", row: []string{"a", "x", "kind", "slider"}, code: ledger.CodeValue},
		{name: "value off the scale", row: []string{"a", "x", "value", "101"}, code: ledger.CodeValue},
		{name: "value under the scale", row: []string{"a", "x", "value", "0"}, with: func(d *voteDecoder) { d.scale = Scale{1, 10} }, code: ledger.CodeValue},
		{name: "NaN", row: []string{"a", "x", "value", "NaN"}, code: ledger.CodeValue},
		{name: "time", row: append(pair, "cast_at", "01/02/2025"), code: codeTime},
		{name: "future", row: append(pair, "cast_at", "2027-01-01"), code: ledger.CodeFuture},
		{name: "past", row: append(pair, "cast_at", "20250102"), code: ledger.CodeTooOld},
		{name: "voter", row: append(pair, "voter", "v\x00"), code: ledger.CodeText},
		{name: "key", row: append(pair, "key", strings.Repeat("k", 201)), code: ledger.CodeTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := decoder()
			if test.with != nil {
				test.with(d)
			}
			got, assumed, err := d.vote(voteRow(append([]string{"key", "k", "voter", "v", "cast_at", "2025-01-02 03:04:05"}, test.row...)...))
			if test.code != "" {
				var bad *ledger.Error
				if !errors.As(err, &bad) || bad.Code != test.code {
					t.Errorf("error %v, want %s", err, test.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || assumed != test.assumed {
				t.Errorf("assumed %v, want %v; (-want +got):\n%s", assumed, test.assumed, diff)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	pair := []string{"voter", "v", "a", "x", "b", "y", "winner", "x", "cast_at", "2025-01-01"}
	keys := func(rows ...[]string) []string {
		d := decoder()
		var keys []string
		for _, r := range rows {
			v, _, err := d.vote(voteRow(append(slices.Clone(pair), r...)...))
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, v.Key)
		}
		return keys
	}
	got := keys([]string{"key", "final"}, []string{"id", "17"}, []string{"key", "k", "id", "17"}, nil, nil, []string{"outcome", "a"}, []string{"super", "1"}, []string{"cast_at", ""})
	hash := "src:cc007021abec809f3dfe5c7fc2719936"
	if want := []string{"final", "src:17", "k", hash, hash + "-2", hash + "-3"}; !slices.Equal(got[:6], want) {
		t.Errorf("%q, want %q", got[:6], want)
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(got))); len(distinct) != len(got) {
		t.Errorf("%q: some keys are the same", got)
	}
	// A row that is corrected or added does not change the keys of the others.
	others := keys([]string{"super", "1"}, nil, []string{"winner", "x"})
	if others[1] != got[3] || others[0] != got[6] || others[2] != got[4] {
		t.Errorf("%q, want the keys of %q", others, got)
	}
}

func TestTimes(t *testing.T) {
	day := func(hour, minute, sec, micro int) time.Time {
		return time.Date(2022, 9, 6, hour, minute, sec, micro*1000, time.UTC)
	}
	for _, test := range []struct {
		text string
		want time.Time
	}{
		{"2022-09-06T17:13:23Z", day(17, 13, 23, 0)},
		{"2022-09-06t17:13:23z", day(17, 13, 23, 0)},
		{"2022-09-06T17:13:23.123456789+02:00", day(15, 13, 23, 123456)},
		{"2022-09-06 17:13:23", day(17, 13, 23, 0)},
		{"2022-09-06 17:13:23.5", day(17, 13, 23, 500000)},
		{"2022-09-06 17:13:23.123456+00", day(17, 13, 23, 123456)},
		{"2022-09-06 17:13:23-0730", day(24, 43, 23, 0)},
		{"2022-09-06 17:13:23 +02:00", day(15, 13, 23, 0)},
		{"2022-09-06 17:13:23 UTC", day(17, 13, 23, 0)},
		{"2022-09-06 17:13:23.5 +0000 UTC", day(17, 13, 23, 500000)},
		{"2022-09-06 17:13", day(17, 13, 0, 0)},
		{"2022-09-06", day(0, 0, 0, 0)},
		{"1662484403", day(17, 13, 23, 0)},
		{"1662484403.123456789", day(17, 13, 23, 123456)},
		{"1662484403.5", day(17, 13, 23, 500000)},
		{"1662484403123", day(17, 13, 23, 123000)},
		{"1662484403123.45", day(17, 13, 23, 123450)},
		{"1662484403123456", day(17, 13, 23, 123456)},
		{"1662484403123456789", day(17, 13, 23, 123456)},
		{"99999999999", time.Date(5138, 11, 16, 9, 46, 39, 0, time.UTC)},
		{"100000000000", time.Date(1973, 3, 3, 9, 46, 40, 0, time.UTC)},
		{"-1.5", time.Date(1969, 12, 31, 23, 59, 58, 500000000, time.UTC)},
	} {
		got, err := parseTime(test.text)
		if err != nil || !got.Equal(test.want) || got.Location() != time.UTC {
			t.Errorf("%s: %v, %v; want %v", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"yesterday", "06.09.2022", "9/6/2022", "2022-13-01", "2022-09-06 25:00:00", "1.2.3", "12e4", "99999999999999999999", "-", ".", "2022-09-06 17:13:23 CET"} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("%s: %v, want an error", text, got)
		}
	}
}

func TestParseScale(t *testing.T) {
	for text, want := range map[string]Scale{"0-100": {0, 100}, "1-10": {1, 10}, " 0 - 1 ": {0, 1}} {
		if got, err := ParseScale(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "10-1", "1-1", "a-b", "0-NaN", "0-Inf"} {
		if got, err := ParseScale(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

func TestNFTs(t *testing.T) {
	row := func(id, name, collection, image, active string) []string {
		values := make([]string, len(nftFields))
		values[nftID], values[nftName], values[nftCollection], values[nftImage], values[nftActive] = id, name, collection, image, active
		return values
	}
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		name   string
		row    []string
		active bool
		code   ledger.Code
	}{
		{"all", row("1", "x", "c", "https://example.org/1.png", ""), true, ""},
		{"id alone", row("1", "", "", "", ""), true, ""},
		{"long name and image", row("1", long, "c", long, "true"), true, ""},
		{"inactive", row("1", "", "c", "", "false"), false, ""},
		{"no id", row(" ", "x", "c", "", ""), false, ledger.CodeEmpty},
		{"long id", row(long, "x", "c", "", ""), false, ledger.CodeTooLong},
		{"long collection", row("1", "x", long, "", ""), false, ledger.CodeTooLong},
		{"blank collection", row("1", "x", " ", "", ""), false, ledger.CodeEmpty},
		{"name", row("1", "x\xff", "c", "", ""), false, ledger.CodeText},
		{"image", row("1", "x", "c", "\x00", ""), false, ledger.CodeText},
		{"active", row("1", "x", "c", "", "maybe"), false, ledger.CodeText},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, active, err := nft(test.row)
			if test.code != "" {
				var bad *ledger.Error
				if !errors.As(err, &bad) || bad.Code != test.code {
					t.Errorf("error %v, want %s", err, test.code)
				}
				return
			}
			if err != nil || active != test.active || got.ID != test.row[nftID] || got.Name != test.row[nftName] || got.Collection != test.row[nftCollection] || got.ImageURL != test.row[nftImage] {
				t.Errorf("%+v, %v, %v", got, active, err)
			}
		})
	}
}

// votes are lists of votes that a ledger would take, with ids of all sorts.
func votes() *rapid.Generator[[]ledger.Vote] {
	id := rapid.StringOf(rapid.RuneFrom([]rune("ab,;\"'\n\r \t\\é界\u2028<x0"))).
		// Space at the end does not count in a field without quotes.
		Filter(func(s string) bool { return ledger.CheckID("id", s) == nil && strings.TrimRight(s, " \t") == s })
	return rapid.Custom(func(t *rapid.T) []ledger.Vote {
		list := make([]ledger.Vote, rapid.IntRange(1, 20).Draw(t, "n"))
		for i := range list {
			v := ledger.Vote{Key: strconv.Itoa(i) + "\n\"", Voter: id.Draw(t, "voter"), A: id.Draw(t, "a")}
			v.Kind = scoring.Kind(rapid.IntRange(1, 4).Draw(t, "kind"))
			v.CastAt = time.UnixMicro(rapid.Int64Range(ledger.Earliest.UnixMicro(), now.UnixMicro()).Draw(t, "cast at")).UTC()
			switch v.Kind {
			case scoring.Slider:
				v.Value = rapid.Float64Range(0, 100).Draw(t, "value")
			case scoring.Matchup:
				v.B = id.Filter(func(b string) bool { return b != v.A }).Draw(t, "b")
				v.Outcome = scoring.Outcome(rapid.IntRange(1, 4).Draw(t, "outcome"))
				v.Super = rapid.Bool().Draw(t, "super")
			}
			list[i] = v
		}
		return list
	})
}

// record is a vote as a row, by column.
func record(v ledger.Vote) map[string]string {
	r := map[string]string{
		"key": v.Key, "voter": v.Voter, "kind": v.Kind.String(), "a": v.A, "b": v.B, "outcome": v.Outcome.String(),
		"super": strconv.FormatBool(v.Super), "value": "", "cast_at": v.CastAt.Format(time.RFC3339Nano),
	}
	if v.Kind == scoring.Slider {
		r["value"] = strconv.FormatFloat(v.Value, 'g', -1, 64)
	}
	return r
}

// decodeAll reads a file of votes and fails for a row that is rejected.
func decodeAll(t rapid.TB, r io.Reader) []ledger.Vote {
	rows, _, err := open(r, maxRow, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := decoder()
	var list []ledger.Vote
	for {
		r, err := rows.next()
		if errors.Is(err, io.EOF) {
			return list
		} else if err := errors.Join(err, r.err); err != nil {
			t.Fatal(err)
		}
		v, _, err := d.vote(r.values)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
}

// What the standard library writes reads back the same.
func TestVotesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := votes().Draw(t, "votes")
		var table, lines bytes.Buffer
		columns := slices.Sorted(maps.Keys(record(want[0])))
		columns = rapid.Permutation(columns).Draw(t, "columns")
		c := csv.NewWriter(&table)
		c.UseCRLF = false
		_ = c.Write(columns)
		for _, v := range want {
			r := record(v)
			var fields []string
			for _, column := range columns {
				fields = append(fields, r[column])
			}
			_ = c.Write(fields)
			line, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			lines.Write(append(line, '\n'))
		}
		c.Flush()
		if diff := cmp.Diff(want, decodeAll(t, &table)); diff != "" {
			t.Fatalf("CSV (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, decodeAll(t, &lines)); diff != "" {
			t.Fatalf("JSONL (-want +got):\n%s", diff)
		}
	})
}

// FuzzVote checks that a row gives a vote that a ledger takes, or an error with
// a code.
func FuzzVote(f *testing.F) {
	f.Add("", "v", "x", "y", "", "left", "", "", "", "", "", "2022-09-06T17:13:23Z", "")
	f.Add("7", "v", "", "", "x", "", "", "", "slider", "1", "99.5", "1662484403.5", "k")
	f.Fuzz(func(t *testing.T, id, voter, a, b, nft, outcome, winner, loser, kind, super, value, castAt, key string) {
		d := decoder()
		v, assumed, err := d.vote(voteRow("id", id, "voter", voter, "a", a, "b", b, "nft", nft, "outcome", outcome,
			"winner", winner, "loser", loser, "kind", kind, "super", super, "value", value, "cast_at", castAt, "key", key))
		if err != nil {
			var bad *ledger.Error
			if !errors.As(err, &bad) || bad.Code == "" || bad.Message == "" {
				t.Fatalf("error %#v has no code or message", err)
			}
			return
		}
		if err := v.Check(now); err != nil {
			t.Fatalf("%+v: %v", v, err)
		}
		if assumed && (outcome != "" && strings.TrimSpace(outcome) != "" || winner != "" || loser != "") {
			t.Fatalf("%+v: the outcome was assumed", v)
		}
		if math.IsNaN(v.Value) || !v.CastAt.Equal(v.CastAt.Truncate(time.Microsecond)) {
			t.Fatalf("%+v", v)
		}
	})
}

func TestStorable(t *testing.T) {
	for s, want := range map[string]string{"é\n\ufffd": "é\n\ufffd", "a\x00\xffb": `a\x00\xffb`, "": ""} {
		if got := storable(s); got != want || !utf8.ValidString(got) {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
