package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"poa/internal/ledger"
	"poa/internal/scoring"
)

// voteDoc is a vote as clients send it. The tags that describe it make the
// schema of the OpenAPI document; decodeVote reads it.
type voteDoc struct {
	Key     string   `json:"key" minLength:"1" maxLength:"200" doc:"The client's own key, unique among all votes: the same key counts once" example:"vote-1"`
	Voter   string   `json:"voter" minLength:"1" maxLength:"200" doc:"Id of the voter" example:"0xabc"`
	Kind    string   `json:"kind" enum:"matchup,slider,fire,unfire" doc:"What the vote expresses; unfire withdraws a FIRE"`
	A       string   `json:"a" minLength:"1" maxLength:"200" doc:"Id of the NFT, or of the first NFT of a matchup" example:"contract/1"`
	B       *string  `json:"b,omitempty" maxLength:"200" doc:"Id of the second NFT of a matchup" example:"contract/2"`
	Outcome *string  `json:"outcome,omitempty" enum:"a,b,tie,none" doc:"Who won a matchup; none: the voter chose neither"`
	Super   *bool    `json:"super,omitempty" doc:"A super matchup, which counts more"`
	Value   *float64 `json:"value,omitempty" minimum:"0" maximum:"100" doc:"The rating of a slider vote"`
	CastAt  *string  `json:"cast_at,omitempty" format:"date-time" doc:"When it was cast (RFC 3339); the time of arrival without it" example:"2026-01-31T18:30:00Z"`
}

// decodeVote reads one vote. Its error is a *ledger.Error. What the ledger
// checks is left to it.
func decodeVote(text []byte) (ledger.Vote, error) {
	var doc voteDoc
	if err := decodeStrictly(text, &doc); err != nil {
		return ledger.Vote{}, err
	}
	v := ledger.Vote{Key: doc.Key, Voter: doc.Voter, A: doc.A, B: value(doc.B), Vote: scoring.Vote{Super: value(doc.Super), Value: value(doc.Value)}}
	kind, ok := scoring.ParseKind(doc.Kind)
	if !ok {
		message := "must be matchup, slider, fire or unfire"
		if doc.Kind == "super" {
			message += `; a super vote is a matchup with "super": true`
		}
		return v, &ledger.Error{Code: ledger.CodeKind, Field: "kind", Message: message}
	}
	v.Kind = kind
	if doc.Outcome != nil {
		if v.Outcome, ok = scoring.ParseOutcome(*doc.Outcome); !ok {
			return v, &ledger.Error{Code: ledger.CodeOutcome, Field: "outcome", Message: "must be a, b, tie or none"}
		}
	}
	if kind == scoring.Slider && doc.Value == nil {
		return v, &ledger.Error{Code: ledger.CodeEmpty, Field: "value", Message: "must be given: a number from 0 to 100"}
	}
	if math.Signbit(v.Value) && v.Value == 0 { // JSON knows -0, which is no other rating than 0
		v.Value = 0
	}
	if doc.CastAt != nil {
		var err error
		if v.CastAt, err = castAt(*doc.CastAt); err != nil {
			return v, err
		}
	}
	return v, nil
}

// castAt reads a time. Microseconds are kept.
func castAt(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, &ledger.Error{Code: codeTime, Field: "cast_at", Message: "must be a time with its zone, such as 2026-01-31T18:30:00Z"}
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// decodeStrictly reads one JSON object without unknown fields and without text
// that JSON readers silently replace. Its error is a *ledger.Error.
func decodeStrictly(text []byte, into any) error {
	if !utf8.Valid(text) {
		return &ledger.Error{Code: ledger.CodeText, Message: "must be valid UTF-8"}
	}
	if brokenEscape(text) {
		return &ledger.Error{Code: ledger.CodeText, Message: "must not hold half of a surrogate pair (\\ud800 to \\udfff)"}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
	case errors.As(err, &wrongType):
		want := map[string]string{"string": "text", "bool": "true or false", "float64": "a number"}[wrongType.Type.String()]
		if want == "" {
			want = "an object with the fields of a vote"
		}
		return &ledger.Error{Code: codeType, Field: wrongType.Field, Message: fmt.Sprintf("must be %s, is %s", want, wrongType.Value)}
	default:
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return &ledger.Error{Code: codeUnknownField, Field: strings.Trim(name, `"`), Message: "is not a field of a vote"}
		}
		return &ledger.Error{Code: codeMalformed, Message: "must be JSON: " + jsonError(err)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &ledger.Error{Code: codeMalformed, Message: "must be one JSON object, with nothing after it"}
	}
	if bytes.Equal(bytes.TrimSpace(text), []byte("null")) {
		return &ledger.Error{Code: codeType, Message: "must be an object with the fields of a vote, is null"}
	}
	return checkNames(text)
}

// voteFields are the names of a voteDoc's fields.
var voteFields = [...]string{"key", "voter", "kind", "a", "b", "outcome", "super", "value", "cast_at"}

// checkNames refuses a vote whose fields another reader might take otherwise: a
// name given twice, of which encoding/json takes the last, and one in other
// letters, which it takes for the same. The vote has been decoded, so its text
// is an object without others in it.
func checkNames(text []byte) error {
	var given [len(voteFields)]bool
	for name := range names(text) {
		i := slices.IndexFunc(voteFields[:], func(field string) bool { return field == string(name) })
		if i < 0 {
			return &ledger.Error{Code: codeUnknownField, Field: string(name), Message: "is not a field of a vote"}
		}
		if given[i] {
			return &ledger.Error{Code: codeMalformed, Field: voteFields[i], Message: "must be given once"}
		}
		given[i] = true
	}
	return nil
}

// names yields the names, as they are written, in the text of a JSON object
// that holds no other.
func names(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for {
			begin := bytes.IndexByte(text, '"')
			if begin < 0 {
				return
			}
			text = text[begin+1:]
			end := 0
			for text[end] != '"' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			word := text[:end]
			text = bytes.TrimLeft(text[end+1:], " \t\r\n")
			if text[0] == ':' && !yield(word) {
				return
			}
		}
	}
}

func jsonError(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// brokenEscape reports whether JSON text escapes half of a surrogate pair.
func brokenEscape(text []byte) bool {
	const high, low = "89abAB", "cdefCDEF" // second digits of both halves
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return false
		}
		if text[i+1] != 'u' {
			text = text[i+2:]
			continue
		}
		text = text[i:]
		switch {
		case isEscape(text, low), isEscape(text, high) && !isEscape(text[6:], low):
			return true
		case isEscape(text, high):
			text = text[12:]
		default:
			text = text[2:]
		}
	}
}

// isEscape reports whether text begins with a \u escape of four digits whose
// first is d and whose second is one of those given.
func isEscape(text []byte, second string) bool {
	return len(text) >= 6 && text[0] == '\\' && text[1] == 'u' && (text[2] == 'd' || text[2] == 'D') && strings.IndexByte(second, text[3]) >= 0
}

// decodeMany takes a body apart into the texts of single votes: a JSON array or
// lines of JSON, by its content type.
func decodeMany(contentType string, body []byte) ([]json.RawMessage, error) {
	switch mediaTypeOf(contentType) {
	case "application/json":
		var items []json.RawMessage
		err := json.Unmarshal(body, &items)
		if err == nil && items == nil {
			return nil, &failure{codeMalformed, "body", "the body must be a JSON array of votes, is null"}
		}
		if err != nil {
			detail := "the body must be a JSON array of votes"
			if wrong := (*json.UnmarshalTypeError)(nil); !errors.As(err, &wrong) {
				detail += ": " + jsonError(err)
			}
			return nil, &failure{codeMalformed, "body", detail}
		}
		return items, nil
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		var items []json.RawMessage
		for line := range bytes.SplitSeq(body, []byte("\n")) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				items = append(items, line)
			}
		}
		return items, nil
	}
	return nil, unsupported(contentType, "application/json (an array) or application/x-ndjson (a vote a line)")
}

// mediaTypeOf returns the media type of a body, which is JSON where nothing is
// said.
func mediaTypeOf(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if mediaType == "" {
		return "application/json"
	}
	return mediaType
}

func unsupported(contentType, want string) error {
	p := statusProblem(http.StatusUnsupportedMediaType, "the body must be "+want+", as its Content-Type must say")
	p.Errors = []*huma.ErrorDetail{{Message: "must be " + want, Location: "header.Content-Type", Value: contentType}}
	return p
}
