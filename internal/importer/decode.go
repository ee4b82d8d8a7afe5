package importer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// codeTime: a time in a format nobody can be sure of.
const codeTime ledger.Code = "invalid_time"

// Scale is what slider ratings of a file run from and to. The zero Scale is 0
// to 100.
type Scale struct{ Min, Max float64 }

// ParseScale reads a scale like "1-10".
func ParseScale(s string) (Scale, error) {
	low, high, ok := strings.Cut(s, "-")
	from, err1 := strconv.ParseFloat(strings.TrimSpace(low), 64)
	to, err2 := strconv.ParseFloat(strings.TrimSpace(high), 64)
	if !ok || err1 != nil || err2 != nil || !(from < to) || math.IsInf(to-from, 0) {
		return Scale{}, fmt.Errorf("scale: must be like 0-100 or 1-10, is %q", s)
	}
	return Scale{from, to}, nil
}

// rating maps a value on the scale to 0 to 100.
func (s Scale) rating(text string) (float64, error) {
	if s == (Scale{}) {
		s = Scale{0, 100}
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(x >= s.Min && x <= s.Max) {
		return 0, &ledger.Error{Code: ledger.CodeValue, Field: "value", Message: fmt.Sprintf("must be a number from %v to %v, is %q", s.Min, s.Max, text)}
	}
	if s == (Scale{0, 100}) {
		return x, nil
	}
	return (x - s.Min) / (s.Max - s.Min) * 100, nil
}

// voteDecoder turns rows into votes.
type voteDecoder struct {
	source      string
	scale       Scale
	emptyWinner scoring.Outcome
	now         func() time.Time
	// seen counts the rows without a key or id by the beginning of their hash:
	// rows that say the same are votes of their own.
	seen map[uint64]uint32
}

// vote returns a vote that a ledger can take, but for NFTs that are not
// registered, or a *ledger.Error. It reports whether the outcome was assumed,
// because nothing in the row tells it.
func (d *voteDecoder) vote(values []string) (v ledger.Vote, assumed bool, err error) {
	v.Voter = values[voteVoter]
	if v.Kind, v.Super, err = kindOf(values); err != nil {
		return v, false, err
	}
	if text := strings.TrimSpace(values[voteSuper]); text != "" {
		super, err := truth("super", text)
		if err != nil {
			return v, false, err
		}
		v.Super = v.Super || super
	}
	if text := strings.TrimSpace(values[voteCastAt]); text != "" {
		if v.CastAt, err = parseTime(text); err != nil {
			return v, false, &ledger.Error{Code: codeTime, Field: "cast_at", Message: err.Error()}
		}
	}
	if v.Kind == scoring.Matchup {
		assumed, err = d.matchup(&v, values)
	} else {
		err = d.single(&v, values)
	}
	if err != nil {
		return v, false, err
	}
	// The key of a row without one is made of what was checked before.
	v.Key = "-"
	if err := v.Check(d.now()); err != nil {
		return v, false, err
	}
	v.Key = d.key(&v, values)
	if err := ledger.CheckID("key", v.Key); err != nil {
		return v, false, err
	}
	return v, assumed, nil
}

// key returns the file's own key, one made of its id, or one made of the
// vote's content.
func (d *voteDecoder) key(v *ledger.Vote, values []string) string {
	switch {
	case values[voteKey] != "":
		return values[voteKey]
	case values[voteID] != "":
		return d.source + ":" + values[voteID]
	}
	content := make([]byte, 0, 256)
	for _, id := range []string{v.Voter, v.A, v.B} {
		content = append(append(content, id...), 0)
	}
	content = append(content, byte(v.Kind), byte(v.Outcome), 0)
	if v.Super {
		content[len(content)-1] = 1
	}
	content = binary.BigEndian.AppendUint64(content, math.Float64bits(v.Value))
	if !v.CastAt.IsZero() {
		content = binary.BigEndian.AppendUint64(content, uint64(v.CastAt.UnixMicro()))
	}
	hash := sha256.Sum256(content)
	key := d.source + ":" + hex.EncodeToString(hash[:16])
	// Hashes that begin alike only make the count of one begin later.
	short := binary.BigEndian.Uint64(hash[:])
	if d.seen == nil {
		d.seen = make(map[uint64]uint32)
	}
	d.seen[short]++
	if n := d.seen[short]; n > 1 {
		key += "-" + strconv.FormatUint(uint64(n), 10)
	}
	return key
}

// kindOf reads the kind, or finds it from what else the row holds.
func kindOf(values []string) (kind scoring.Kind, super bool, err error) {
	text := strings.TrimSpace(values[voteKind])
	switch normalise(text) {
	case "":
		switch {
		case values[voteB] != "", values[voteLoser] != "", values[voteWinner] != "":
			return scoring.Matchup, false, nil
		case values[voteValue] != "":
			return scoring.Slider, false, nil
		}
		return 0, false, &ledger.Error{Code: ledger.CodeKind, Field: "kind", Message: "is empty, and the row has neither a second NFT nor a value"}
	case "matchup", "match", "regular", "normal", "pairwise", "pair", "comparison", "compare", "duel", "headtohead", "elo", "samecoll", "crosscoll":
		return scoring.Matchup, false, nil
	case "super", "supervote":
		return scoring.Matchup, true, nil
	case "slider", "rating", "rate":
		return scoring.Slider, false, nil
	case "fire", "favorite", "favourite":
		return scoring.Fire, false, nil
	case "unfire":
		return scoring.Unfire, false, nil
	}
	return 0, false, &ledger.Error{Code: ledger.CodeKind, Field: "kind", Message: fmt.Sprintf("must be matchup, super, slider, fire or unfire, is %q", text)}
}

// single fills in a vote on one NFT.
func (d *voteDecoder) single(v *ledger.Vote, values []string) error {
	v.A, v.B = values[voteA], values[voteB]
	if nft := values[voteNFT]; v.A == "" {
		v.A = nft
	} else if nft != "" && nft != v.A {
		return &ledger.Error{Code: ledger.CodeNotAllowed, Field: "nft", Message: fmt.Sprintf("is %q, but a is %q", nft, v.A)}
	}
	if strings.TrimSpace(values[voteOutcome]) != "" || values[voteWinner] != "" || values[voteLoser] != "" {
		return &ledger.Error{Code: ledger.CodeOutcome, Field: "outcome", Message: "belongs to matchups only; leave it out"}
	}
	text := strings.TrimSpace(values[voteValue])
	if v.Kind != scoring.Slider {
		if text == "" {
			return nil
		}
		if x, err := strconv.ParseFloat(text, 64); err != nil || x != 0 {
			return &ledger.Error{Code: ledger.CodeNotAllowed, Field: "value", Message: "belongs to slider votes only; leave it out"}
		}
		return nil
	}
	var err error
	v.Value, err = d.scale.rating(text)
	return err
}

// matchup fills in a comparison. It reports whether the outcome was assumed,
// because the row has neither an outcome nor a winner.
func (d *voteDecoder) matchup(v *ledger.Vote, values []string) (assumed bool, err error) {
	v.A, v.B = values[voteA], values[voteB]
	winner, loser := values[voteWinner], values[voteLoser]
	if v.A == "" && v.B == "" && winner != "" && loser != "" {
		v.A, v.B = winner, loser
	}
	if text := strings.TrimSpace(values[voteValue]); text != "" {
		if x, err := strconv.ParseFloat(text, 64); err != nil || x != 0 {
			return false, &ledger.Error{Code: ledger.CodeNotAllowed, Field: "value", Message: "belongs to slider votes only; leave it out"}
		}
	}
	told := scoring.NoOutcome
	for _, of := range []struct {
		name string
		read func() (scoring.Outcome, error)
	}{
		{"outcome", func() (scoring.Outcome, error) { return readOutcome(values[voteOutcome], v) }},
		{"winner", func() (scoring.Outcome, error) { return readWinner(winner, v) }},
		{"loser", func() (scoring.Outcome, error) { return readLoser(loser, v) }},
	} {
		outcome, err := of.read()
		switch {
		case err != nil:
			return false, &ledger.Error{Code: ledger.CodeOutcome, Field: of.name, Message: err.Error()}
		case outcome == scoring.NoOutcome:
		case told == scoring.NoOutcome:
			told = outcome
		case told != outcome:
			return false, &ledger.Error{Code: ledger.CodeOutcome, Field: of.name, Message: fmt.Sprintf("says %s, but another column says %s", outcome, told)}
		}
	}
	v.Outcome = told
	if told == scoring.NoOutcome {
		v.Outcome = d.emptyWinner
		assumed = true
	}
	return assumed, nil
}

// readOutcome reads a side, a word, or the id of the winner.
func readOutcome(text string, v *ledger.Vote) (scoring.Outcome, error) {
	if o := outcomeWord(text); o != scoring.NoOutcome {
		return o, nil
	}
	switch text {
	case "":
		return scoring.NoOutcome, nil
	case v.A:
		return scoring.WinA, nil
	case v.B:
		return scoring.WinB, nil
	}
	return scoring.NoOutcome, fmt.Errorf("must be a, b, left, right, tie or none, or the id of one of the two NFTs, is %q", text)
}

// readWinner reads the id of the winner, a side or a word.
func readWinner(text string, v *ledger.Vote) (scoring.Outcome, error) {
	switch text {
	case "":
		return scoring.NoOutcome, nil
	case v.A:
		return scoring.WinA, nil
	case v.B:
		return scoring.WinB, nil
	}
	if o := outcomeWord(text); o != scoring.NoOutcome {
		return o, nil
	}
	return scoring.NoOutcome, fmt.Errorf("must be the id of one of the two NFTs, a, b, left, right, tie or none, is %q", text)
}

func readLoser(text string, v *ledger.Vote) (scoring.Outcome, error) {
	o, err := readWinner(text, v)
	switch o {
	case scoring.WinA:
		return scoring.WinB, err
	case scoring.WinB:
		return scoring.WinA, err
	}
	return o, err
}

func outcomeWord(text string) scoring.Outcome {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "a", "left", "l", "first":
		return scoring.WinA
	case "b", "right", "r", "second":
		return scoring.WinB
	case "tie", "tied", "draw", "equal", "both", "same":
		return scoring.Tie
	case "none", "neither", "skip", "skipped":
		return scoring.Neither
	}
	return scoring.NoOutcome
}

func truth(field, text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "t", "yes", "y", "1":
		return true, nil
	case "false", "f", "no", "n", "0":
		return false, nil
	}
	return false, &ledger.Error{Code: ledger.CodeText, Field: field, Message: fmt.Sprintf("must be true or false, is %q", text)}
}

// timeLayouts are tried in order; fractions of a second are read by all that
// have seconds. A time without a zone is in UTC.
var timeLayouts = []string{
	"2006-01-02T15:04:05Z07:00",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05Z07",
	"2006-01-02T15:04:05 Z07:00",
	"2006-01-02T15:04:05 Z0700",
	"2006-01-02T15:04:05 -0700 MST",
	"2006-01-02T15:04:05 UTC",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
	"2006-01-02",
}

// parseTime reads a date and time, year first, or a count since 1970: seconds
// below 1e11 (the year 5138), milliseconds below 1e14, microseconds below 1e17,
// nanoseconds above. Microseconds are kept.
func parseTime(text string) (time.Time, error) {
	if text[0] >= '0' && text[0] <= '9' || text[0] == '-' || text[0] == '.' {
		if t, ok := parseUnix(text); ok {
			return t, nil
		}
	}
	normal := text
	if len(text) > 10 && (text[10] == ' ' || text[10] == 't') {
		normal = text[:10] + "T" + text[11:]
	}
	if n := len(normal) - 1; normal[n] == 'z' {
		normal = normal[:n] + "Z"
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, normal); err == nil {
			return t.UTC().Truncate(time.Microsecond), nil
		}
	}
	return time.Time{}, fmt.Errorf("must be like 2026-01-31T18:30:00Z, 2026-01-31 18:30:00 (UTC) or seconds since 1970, is %q", text)
}

// parseUnix reads a decimal count since 1970 without losing a digit that counts.
func parseUnix(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.Trim(fraction, "0123456789") != "" {
		return time.Time{}, false
	}
	perSecond := int64(1)
	for limit := int64(1e11); (n >= limit || n <= -limit) && perSecond < 1e9; limit *= 1000 {
		perSecond *= 1000
	}
	nanos := n % perSecond * (1e9 / perSecond)
	// The fraction's digits, down to nanoseconds.
	digits := len(strconv.FormatInt(1e9/perSecond, 10)) - 1
	if digits > 0 && fraction != "" {
		f, err := strconv.ParseInt((fraction + "000000000")[:digits], 10, 64)
		if err != nil {
			return time.Time{}, false
		}
		if strings.HasPrefix(whole, "-") {
			f = -f
		}
		nanos += f
	}
	return time.Unix(n/perSecond, nanos).UTC().Truncate(time.Microsecond), true
}

// nft reads an NFT, and whether its collection is active.
func nft(values []string) (n store.NFT, active bool, err error) {
	n = store.NFT{ID: values[nftID], Name: values[nftName], Collection: values[nftCollection], ImageURL: values[nftImage]}
	if err := ledger.CheckID("id", n.ID); err != nil {
		return n, false, err
	}
	if n.Collection != "" {
		if err := ledger.CheckID("collection", n.Collection); err != nil {
			return n, false, err
		}
	}
	// These may be longer than an id.
	for _, f := range []struct{ name, text string }{{"name", n.Name}, {"image", n.ImageURL}} {
		if storable(f.text) != f.text {
			return n, false, &ledger.Error{Code: ledger.CodeText, Field: f.name, Message: "must be valid UTF-8 without NUL"}
		}
	}
	active = true
	if text := strings.TrimSpace(values[nftActive]); text != "" {
		active, err = truth("collection_active", text)
	}
	return n, active, err
}
