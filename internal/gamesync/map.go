package gamesync

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// table is one of the game's tables that hold votes.
type table string

// The tables.
const (
	votes     table = "votes"
	favorites table = "favorites"
)

// source is the name under which a table's rows are rejected.
func (t table) source() string { return "sync:" + string(t) }

// row is a row of votes or favorites, "" for null. Its JSON is what is kept of
// a rejected one.
type row struct {
	table   table
	ID      string    `json:"id"`
	At      time.Time `json:"created_at,omitzero"`
	Endless bool      `json:"endless,omitempty"` // created_at is infinity, of either sign
	Wallet  string    `json:"wallet,omitempty"`
	Kind    string    `json:"vote_type,omitempty"`
	A       string    `json:"nft_a,omitempty"`
	B       string    `json:"nft_b,omitempty"`
	Winner  string    `json:"winner,omitempty"`
	Value   string    `json:"slider_value,omitempty"`
	Super   bool      `json:"super,omitempty"`
}

// The codes of rows that make no sense, beside those of package ledger.
const (
	codeNoVoter ledger.Code = "no_voter"
	codeWallet  ledger.Code = "invalid_wallet"
	codeNFT     ledger.Code = "invalid_nft" // no uuid
	codeWinner  ledger.Code = "winner_not_in_pair"
	codeNoTime  ledger.Code = "no_time"
)

func refuse(code ledger.Code, field, format string, args ...any) *ledger.Error {
	return &ledger.Error{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}

// vote returns what a row stands for, or why it makes no sense. Whether its
// NFTs exist is not looked up.
func (r *row) vote(scale int) (ledger.Vote, *ledger.Error) {
	v := ledger.Vote{Vote: scoring.Vote{CastAt: r.At}}
	switch {
	case r.Endless:
		return v, refuse(codeNoTime, "created_at", "is infinity: when it was cast is not known")
	case r.At.IsZero():
		return v, refuse(codeNoTime, "created_at", "is null: when it was cast is not known")
	}
	var refusal *ledger.Error
	if v.Voter, refusal = r.voter(); refusal != nil {
		return v, refusal
	}
	if r.table == favorites {
		v.Key = favoriteKey(r.ID, r.At)
		v.Kind = scoring.Fire
		if r.Kind != "fire" && r.Kind != "slider_max" {
			return v, refuse(ledger.CodeKind, "vote_type", "must be fire or slider_max, is %q", r.Kind)
		}
		v.A, refusal = nftID("nft_id", r.A)
		return v, refusal
	}
	v.Key = voteKey(r.ID)
	switch r.Kind {
	case "same_coll", "cross_coll":
		return v, r.matchup(&v)
	case "slider":
		return v, r.slider(&v, scale)
	}
	return v, refuse(ledger.CodeKind, "vote_type_v2", "must be same_coll, cross_coll or slider, is %q", r.Kind)
}

var wallet = regexp.MustCompile(`^0x[0-9a-f]{40}$`)

// voter returns the wallet, whose letters mean the same in either case.
func (r *row) voter() (string, *ledger.Error) {
	id := strings.ToLower(r.Wallet)
	switch {
	case r.Wallet == "" && r.table == votes:
		return "", refuse(codeNoVoter, "user_id", "is null, or of no user with a wallet")
	case !wallet.MatchString(id):
		return "", refuse(codeWallet, "wallet_address", "must be 0x and 40 hexadecimal digits, is %.100q", r.Wallet)
	}
	return id, nil
}

// nftID returns the id of an NFT as the game writes it itself.
func nftID(field, text string) (string, *ledger.Error) {
	if text == "" {
		return "", refuse(ledger.CodeEmpty, field, "must not be null")
	}
	var id pgtype.UUID
	if err := id.Scan(text); err != nil {
		return "", refuse(codeNFT, field, "must be the uuid of an NFT, is %.100q", text)
	}
	return id.String(), nil
}

func (r *row) matchup(v *ledger.Vote) (refusal *ledger.Error) {
	if v.A, refusal = nftID("nft_a_id", r.A); refusal != nil {
		return refusal
	}
	if v.B, refusal = nftID("nft_b_id", r.B); refusal != nil {
		return refusal
	}
	v.Kind, v.Super = scoring.Matchup, r.Super
	switch {
	case v.A == v.B:
		return refuse(ledger.CodeSameNFT, "nft_b_id", "must be another NFT than nft_a_id")
	case r.Winner == "":
		v.Outcome = scoring.Neither
	case strings.EqualFold(r.Winner, v.A):
		v.Outcome = scoring.WinA
	case strings.EqualFold(r.Winner, v.B):
		v.Outcome = scoring.WinB
	default:
		return refuse(codeWinner, "winner_id", "%s is neither nft_a_id nor nft_b_id", r.Winner)
	}
	return nil
}

func (r *row) slider(v *ledger.Vote, scale int) (refusal *ledger.Error) {
	if v.A, refusal = nftID("nft_a_id", r.A); refusal != nil {
		return refusal
	}
	if r.Value == "" {
		return refuse(ledger.CodeValue, "slider_value", "must not be null")
	}
	x, err := strconv.ParseFloat(r.Value, 64)
	low, high := 0.0, float64(scale)
	if scale == TenPoint {
		low = 1
	}
	if err != nil || !(x >= low && x <= high) {
		return refuse(ledger.CodeValue, "slider_value", "must be from %v to %v, as sync.slider_scale says, is %.50s", low, high, r.Value)
	}
	v.Kind = scoring.Slider
	v.Value = math.Min(100, (x-low)*100/(high-low))
	return nil
}

// reject returns what is recorded of a row that is not taken.
func (r *row) reject(why error, now time.Time) store.Reject {
	code := ledger.CodeInternal
	if refusal, ok := why.(*ledger.Error); ok {
		code = refusal.Code
	}
	raw, err := json.Marshal(r)
	if err != nil {
		raw = []byte(fmt.Sprintf(`{"id":%q}`, r.ID)) // a time that JSON has no form for
	}
	return store.Reject{Source: r.table.source(), Row: r.ID, Code: string(code), Detail: why.Error(), Raw: string(raw), At: now}
}

// The keys of votes. A favourite is given again when its created_at moves, so
// that belongs to its key; a withdrawal belongs to what it withdraws.
func voteKey(id string) string { return "game:vote:" + id }

func favoriteKey(id string, at time.Time) string {
	return fmt.Sprintf("game:favorite:%s:%d", id, at.UnixMicro())
}

func withdrawalKey(id string, at time.Time) string { return favoriteKey(id, at) + ":gone" }
