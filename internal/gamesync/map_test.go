package gamesync

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"poa/internal/ledger"
	"poa/internal/scoring"
)

const (
	idA   = "0a000000-0000-4000-8000-00000000000a"
	idB   = "0b000000-0000-4000-8000-00000000000b"
	idRow = "0c000000-0000-4000-8000-00000000000c"
)

var (
	cast  = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	mixed = "0x" + strings.Repeat("aB", 20)
	lower = strings.ToLower(mixed)
)

func voteRow(change func(*row)) row {
	r := row{table: votes, ID: idRow, At: cast, Wallet: mixed, Kind: "same_coll", A: idA, B: idB, Winner: idA}
	change(&r)
	return r
}

func sliderRow(value string) row {
	return voteRow(func(r *row) { r.Kind, r.B, r.Winner, r.Value = "slider", "", "", value })
}

func favoriteRow(change func(*row)) row {
	r := row{table: favorites, ID: idRow, At: cast, Wallet: mixed, Kind: "fire", A: idA}
	change(&r)
	return r
}

func TestRowsThatMakeSense(t *testing.T) {
	matchup := func(outcome scoring.Outcome, super bool) ledger.Vote {
		return ledger.Vote{Key: "game:vote:" + idRow, Voter: lower, A: idA, B: idB, Vote: scoring.Vote{Kind: scoring.Matchup, Outcome: outcome, Super: super, CastAt: cast}}
	}
	rating := func(value float64) ledger.Vote {
		return ledger.Vote{Key: "game:vote:" + idRow, Voter: lower, A: idA, Vote: scoring.Vote{Kind: scoring.Slider, Value: value, CastAt: cast}}
	}
	fire := ledger.Vote{Key: "game:favorite:" + idRow + ":1772366400123456", Voter: lower, A: idA, Vote: scoring.Vote{Kind: scoring.Fire, CastAt: cast}}
	for name, c := range map[string]struct {
		row   row
		scale int
		want  ledger.Vote
	}{
		"won by a":                   {voteRow(func(*row) {}), TenPoint, matchup(scoring.WinA, false)},
		"won by b":                   {voteRow(func(r *row) { r.Winner = idB }), TenPoint, matchup(scoring.WinB, false)},
		"neither":                    {voteRow(func(r *row) { r.Winner = "" }), TenPoint, matchup(scoring.Neither, false)},
		"across collections, super":  {voteRow(func(r *row) { r.Kind, r.Super = "cross_coll", true }), TenPoint, matchup(scoring.WinA, true)},
		"ids in capitals":            {voteRow(func(r *row) { r.A, r.Winner = strings.ToUpper(idA), strings.ToUpper(idA) }), TenPoint, matchup(scoring.WinA, false)},
		"lowest of ten":              {sliderRow("1"), TenPoint, rating(0)},
		"middle of ten":              {sliderRow("5.5"), TenPoint, rating(50)},
		"highest of ten":             {sliderRow("10"), TenPoint, rating(100)},
		"lowest of a hundred":        {sliderRow("0"), HundredPoint, rating(0)},
		"seven of a hundred":         {sliderRow("7"), HundredPoint, rating(7)},
		"highest of a hundred":       {sliderRow("100"), HundredPoint, rating(100)},
		"a slider is never super":    {func() row { r := sliderRow("10"); r.Super = true; return r }(), TenPoint, rating(100)},
		"favourite":                  {favoriteRow(func(*row) {}), TenPoint, fire},
		"favourite by slider":        {favoriteRow(func(r *row) { r.Kind = "slider_max" }), TenPoint, fire},
		"favourite of a capital NFT": {favoriteRow(func(r *row) { r.A = strings.ToUpper(idA) }), TenPoint, fire},
	} {
		got, refusal := c.row.vote(c.scale)
		if refusal != nil {
			t.Errorf("%s: %v", name, refusal)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := got.Check(cast); err != nil {
			t.Errorf("%s: the ledger would refuse it: %v", name, err)
		}
	}
}

func TestRowsThatMakeNoSense(t *testing.T) {
	for name, c := range map[string]struct {
		row   row
		scale int
		code  ledger.Code
		field string
	}{
		"no voter":              {voteRow(func(r *row) { r.Wallet = "" }), TenPoint, codeNoVoter, "user_id"},
		"a voter without hex":   {voteRow(func(r *row) { r.Wallet = "collector.eth" }), TenPoint, codeWallet, "wallet_address"},
		"no kind":               {voteRow(func(r *row) { r.Kind = "" }), TenPoint, ledger.CodeKind, "vote_type_v2"},
		"an unknown kind":       {voteRow(func(r *row) { r.Kind = "swipe" }), TenPoint, ledger.CodeKind, "vote_type_v2"},
		"no a":                  {voteRow(func(r *row) { r.A = "" }), TenPoint, ledger.CodeEmpty, "nft_a_id"},
		"no b":                  {voteRow(func(r *row) { r.B = "" }), TenPoint, ledger.CodeEmpty, "nft_b_id"},
		"a match with itself":   {voteRow(func(r *row) { r.B = idA }), TenPoint, ledger.CodeSameNFT, "nft_b_id"},
		"a winner of no pair":   {voteRow(func(r *row) { r.Winner = idRow }), TenPoint, codeWinner, "winner_id"},
		"no time":               {voteRow(func(r *row) { r.At = time.Time{} }), TenPoint, codeNoTime, "created_at"},
		"an endless time":       {voteRow(func(r *row) { r.At, r.Endless = time.Time{}, true }), TenPoint, codeNoTime, "created_at"},
		"a rating without NFT":  {func() row { r := sliderRow("3"); r.A = ""; return r }(), TenPoint, ledger.CodeEmpty, "nft_a_id"},
		"no rating":             {sliderRow(""), TenPoint, ledger.CodeValue, "slider_value"},
		"no number":             {sliderRow("NaN"), TenPoint, ledger.CodeValue, "slider_value"},
		"an endless rating":     {sliderRow("Infinity"), HundredPoint, ledger.CodeValue, "slider_value"},
		"a huge rating":         {sliderRow("1" + strings.Repeat("0", 400)), HundredPoint, ledger.CodeValue, "slider_value"},
		"zero of ten":           {sliderRow("0"), TenPoint, ledger.CodeValue, "slider_value"},
		"55 of ten":             {sliderRow("55"), TenPoint, ledger.CodeValue, "slider_value"},
		"101 of a hundred":      {sliderRow("101"), HundredPoint, ledger.CodeValue, "slider_value"},
		"less than nothing":     {sliderRow("-1"), HundredPoint, ledger.CodeValue, "slider_value"},
		"a favourite of text":   {favoriteRow(func(r *row) { r.A = "Kabu #12" }), TenPoint, codeNFT, "nft_id"},
		"a favourite of none":   {favoriteRow(func(r *row) { r.A = "" }), TenPoint, ledger.CodeEmpty, "nft_id"},
		"an unknown favourite":  {favoriteRow(func(r *row) { r.Kind = "smile" }), TenPoint, ledger.CodeKind, "vote_type"},
		"a favourite's wallet":  {favoriteRow(func(r *row) { r.Wallet = "0x12" }), TenPoint, codeWallet, "wallet_address"},
		"a favourite of nobody": {favoriteRow(func(r *row) { r.Wallet = "" }), TenPoint, codeWallet, "wallet_address"},
	} {
		_, refusal := c.row.vote(c.scale)
		if refusal == nil {
			t.Errorf("%s: was taken", name)
			continue
		}
		if refusal.Code != c.code || refusal.Field != c.field || refusal.Message == "" {
			t.Errorf("%s: refused with %s of %s: %s", name, refusal.Code, refusal.Field, refusal.Message)
		}
		reject := c.row.reject(refusal, cast)
		if reject.Row != idRow || reject.Source != "sync:"+string(c.row.table) || reject.Code != string(c.code) || !strings.Contains(reject.Raw, idRow) {
			t.Errorf("%s: the reject is %+v", name, reject)
		}
	}
}

// Pages of both tables are taken in the order of time, and no row before one
// that is still to come.
func TestMerge(t *testing.T) {
	at := func(s int) time.Time { return cast.Add(time.Duration(s) * time.Second) }
	rows := func(t table, ended bool, seconds ...int) *stream {
		s := &stream{table: t, ended: ended}
		for _, x := range seconds {
			s.rows = append(s.rows, row{table: t, At: at(x)})
			s.at.At = at(x)
		}
		return s
	}
	for name, c := range map[string]struct {
		a, b *stream
		want []int // seconds, negative of favourites
		left [2]int
	}{
		"both at their end":    {rows(votes, true, 1, 3, 5), rows(favorites, true, 2, 9), []int{1, -2, 3, 5, -9}, [2]int{}},
		"more votes to come":   {rows(votes, false, 1, 3, 5), rows(favorites, true, 2, 5, 9), []int{1, -2, 3, 5, -5}, [2]int{0, 1}},
		"more of both to come": {rows(votes, false, 1, 3, 5), rows(favorites, false, 2, 4), []int{1, -2, 3, -4}, [2]int{1, 0}},
		"one has none":         {rows(votes, false, 1, 3), rows(favorites, true), []int{1, 3}, [2]int{}},
		"none":                 {rows(votes, true), rows(favorites, true), nil, [2]int{}},
	} {
		var got []int
		for _, r := range merge([]*stream{c.a, c.b}) {
			s := int(r.At.Sub(cast) / time.Second)
			if r.table == favorites {
				s = -s
			}
			got = append(got, s)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if left := [2]int{len(c.a.rows), len(c.b.rows)}; left != c.left {
			t.Errorf("%s: %v rows are left, want %v", name, left, c.left)
		}
	}
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Settings)
		want   []string // beginnings of the errors
	}{
		"nothing said":       {func(*Settings) {}, nil},
		"all that is needed": {func(s *Settings) { s.Enabled, s.From, s.SliderScale = true, "postgres://h/d", 10 }, nil},
		"for the command":    {func(s *Settings) { s.From = "postgresql://h/d" }, nil},
		"nothing to follow":  {func(s *Settings) { s.Enabled = true }, []string{"from: ", "slider_scale: "}},
		"another database":   {func(s *Settings) { s.From = "mysql://me:secret@h/d" }, []string{"from: "}},
		"a scale of five":    {func(s *Settings) { s.SliderScale = 5 }, []string{"slider_scale: "}},
		"no time between":    {func(s *Settings) { s.Poll, s.Lease = 0, time.Millisecond }, []string{"poll: ", "lease: "}},
		"no reconciliation":  {func(s *Settings) { s.ReconcileEvery, s.FavoritesEvery, s.Overlap = 0, 0, 0 }, []string{"overlap: ", "favorites_every: ", "reconcile_every: "}},
	} {
		s := Defaults()
		c.change(&s)
		var got []string
		if err := s.Validate(); err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], c.want[i]) || strings.Contains(got[i], "secret") {
				t.Errorf("%s: %q, want %q", name, got[i], c.want[i])
			}
		}
	}
}
