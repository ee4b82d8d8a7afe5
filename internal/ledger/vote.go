package ledger

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

// Vote is a vote as a client hands it in. A zero CastAt stands for the time
// of arrival.
type Vote struct {
	Key   string // the client's own, unique among all votes: the same key counts once
	Voter string // id
	A     string // id of the NFT, or of the first NFT of a matchup
	B     string // id of the second NFT of a matchup, "" for all other kinds
	// Trusted votes come from records of the operator's own and not from a voter
	// just now: many may arrive at once, and their voters' cap is not for them.
	Trusted bool
	scoring.Vote
}

// Answer tells what became of a vote. Err is nil for votes that count, and for
// duplicates of votes that count.
type Answer struct {
	Number    int64 // in the log; of a duplicate, the first one's
	Duplicate bool  // the key was known, with the same content
	Triggered []Triggered
	Err       error         // *Error for a vote that was refused
	Took      time.Duration // from its arrival to the answer; 0 where it was refused at once
}

// Triggered is a computation that a vote caused for one of its NFTs.
type Triggered struct {
	NFT string // id
	trigger.Decision
	// Score is what was published with the vote; nil where the computation was
	// deferred (the NFT is due) or the NFT has no score.
	Score    *store.Score
	Deferred string // why the computation was put off, "" where it was not
	Capped   bool   // it was put off because of the voter's cap
}

// Code names the reason of a refusal, for programs.
type Code string

// The codes.
const (
	CodeEmpty      Code = "empty"           // a required field is empty
	CodeTooLong    Code = "too_long"        // more than MaxID bytes
	CodeText       Code = "invalid_text"    // invalid UTF-8 or a NUL
	CodeKind       Code = "invalid_kind"    // no such kind of vote
	CodeOutcome    Code = "invalid_outcome" // no such outcome, or not for this kind
	CodeNotAllowed Code = "not_allowed"     // the field does not belong to this kind
	CodeSameNFT    Code = "same_nft"        // A and B are the same
	CodeValue      Code = "invalid_value"   // not a number from 0 to 100
	CodeFuture     Code = "cast_in_future"  // cast_at is later than now
	CodeTooOld     Code = "cast_too_early"  // cast_at is before Earliest
	CodeUnknownNFT Code = "unknown_nft"     // not registered
	CodeConflict   Code = "key_conflict"    // the key belongs to another vote
	CodeInternal   Code = "internal"        // the database refused this vote
	CodeTryAgain   Code = "try_again"       // not recorded now: repeat with the same key
	CodeUnknown    Code = "outcome_unknown" // may be recorded: repeat with the same key
)

// Error is a refusal of one vote.
type Error struct {
	Code    Code
	Field   string // key, voter, a, b, kind, outcome, super, value, cast_at, or "" for the whole vote
	Message string // for people: what is wrong, and what to do
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// MaxID is the longest id or key, in bytes.
const MaxID = 200

// Earliest is the first moment a vote can have been cast at: a time before it
// is a unit or format mistaken by the sender.
var Earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// FutureTolerance is how far cast_at may lie ahead of this machine's clock.
const FutureTolerance = 5 * time.Minute

// CheckID returns nil for text that can be an id or key, a *Error naming field
// otherwise.
func CheckID(field, id string) error {
	switch {
	case strings.TrimSpace(id) == "":
		return &Error{CodeEmpty, field, "must not be empty"}
	case len(id) > MaxID:
		return &Error{CodeTooLong, field, fmt.Sprintf("must be at most %d bytes, is %d", MaxID, len(id))}
	}
	return CheckText(field, id)
}

// CheckText returns nil for text that both databases can keep, a *Error naming
// field otherwise.
func CheckText(field, text string) error {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return &Error{CodeText, field, "must be valid UTF-8 without NUL"}
	}
	return nil
}

// Check returns nil for a vote that can be taken, and a *Error naming the
// first field that is wrong otherwise. Whether the NFTs are registered is not
// looked up.
func (v *Vote) Check(now time.Time) error {
	for _, id := range []struct{ field, text string }{{"key", v.Key}, {"voter", v.Voter}, {"a", v.A}} {
		if err := CheckID(id.field, id.text); err != nil {
			return err
		}
	}
	if v.Kind < scoring.Matchup || v.Kind > scoring.Unfire {
		return &Error{CodeKind, "kind", "must be matchup, slider, fire or unfire"}
	}
	if err := v.checkMatchup(); err != nil {
		return err
	}
	if v.Kind == scoring.Slider {
		if !(v.Value >= 0 && v.Value <= 100) {
			return &Error{CodeValue, "value", fmt.Sprintf("must be a number from 0 to 100, is %v", v.Value)}
		}
	} else if v.Value != 0 || math.IsNaN(v.Value) {
		return &Error{CodeNotAllowed, "value", "belongs to slider votes only; leave it out"}
	}
	switch {
	case v.CastAt.IsZero():
	case v.CastAt.After(now.Add(FutureTolerance)):
		return &Error{CodeFuture, "cast_at", fmt.Sprintf("is in the future: %s, now it is %s; check the sender's clock and zone",
			v.CastAt.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))}
	case v.CastAt.Before(Earliest):
		return &Error{CodeTooOld, "cast_at", fmt.Sprintf("is before %d: %s; check the unit of the timestamp", Earliest.Year(), v.CastAt.UTC().Format(time.RFC3339))}
	}
	return nil
}

func (v *Vote) checkMatchup() error {
	if v.Kind != scoring.Matchup {
		switch {
		case v.B != "":
			return &Error{CodeNotAllowed, "b", "belongs to matchups only; leave it out"}
		case v.Outcome != scoring.NoOutcome:
			return &Error{CodeOutcome, "outcome", "belongs to matchups only; leave it out"}
		case v.Super:
			return &Error{CodeNotAllowed, "super", "belongs to matchups only; leave it out"}
		}
		return nil
	}
	if err := CheckID("b", v.B); err != nil {
		return err
	}
	switch {
	case v.A == v.B:
		return &Error{CodeSameNFT, "b", "must be another NFT than a"}
	case v.Outcome < scoring.WinA || v.Outcome > scoring.Neither:
		return &Error{CodeOutcome, "outcome", "must be a, b, tie or none"}
	}
	return nil
}

// same reports whether v, handed in with the key of stored, is the same vote.
// A repetition without a time is the same whenever it arrives.
func (v *Vote) same(stored *store.Vote) bool {
	return v.Voter == stored.VoterID && v.A == stored.AID && v.B == stored.BID &&
		v.Kind == stored.Kind && v.Super == stored.Super && v.Outcome == stored.Outcome && v.Value == stored.Value &&
		(v.CastAt.IsZero() || v.CastAt.Truncate(time.Microsecond).Equal(stored.CastAt))
}
