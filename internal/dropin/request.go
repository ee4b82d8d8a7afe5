package dropin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"poa/internal/access"
	"poa/internal/ledger"
)

// request is what a client asks for. Fields it does not give are nil, or empty.
type request struct {
	action      string
	nftID       string
	nftIDs      []string
	collection  string
	limit       *int
	batchSize   *int
	triggerType string
	dryRun      bool
	recompute   bool // also NFTs that have a score: options.skipExisting is false

	client access.Client
	http   *http.Request
	acted  bool // it may have changed something
}

// The largest numbers that are taken.
const (
	maxNFTs  = 500  // computed by one request, in one transaction
	maxLimit = 1000 // listed, or computed by a run
)

// decoder reads the fields of a JSON object. It keeps the first refusal.
type decoder struct {
	fields map[string]json.RawMessage
	err    error
}

// decode reads the body of a request: a JSON object. Fields that are not known
// are left alone, as the old API did.
func decode(body []byte) (request, error) {
	if !utf8.Valid(body) {
		return request{}, invalid("the body must be valid UTF-8")
	}
	d := decoder{}
	if err := json.Unmarshal(body, &d.fields); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return request{}, invalid("the body must be a JSON object, such as {\"action\": \"…\"}; it is %s", wrong.Value)
		}
		return request{}, invalid("the body must be JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	q := request{
		action:      d.text("action"),
		nftID:       d.id("nftId"),
		collection:  d.id("collectionName"),
		limit:       d.whole("limit"),
		batchSize:   d.whole("batchSize"),
		triggerType: d.text("triggerType"),
		dryRun:      d.flag("dryRun", false),
		nftIDs:      d.ids("nftIds"),
	}
	options := decoder{err: d.err}
	if !d.read("options", "an object", &options.fields) {
		options.fields = nil
	}
	if d.err == nil {
		q.recompute = !options.flag("skipExisting", true)
		options.whole("batchSize")
		options.number("delayMs")
		if d.err = options.err; d.err != nil {
			d.err = invalid("options: %s", options.err.(*refusal).details)
		}
	}
	return q, d.err
}

// read decodes a field that is given. It is false where it is not, or is null,
// or cannot be read.
func (d *decoder) read(name, want string, into any) bool {
	text, given := d.fields[name]
	if !given || bytes.Equal(text, []byte("null")) {
		return false
	}
	if err := json.Unmarshal(text, into); err != nil {
		d.refuse(name, "must be %s, is %s", want, shown(text))
		return false
	}
	return true
}

func (d *decoder) refuse(name, format string, args ...any) {
	if d.err == nil {
		d.err = invalid("%s %s", name, fmt.Sprintf(format, args...))
	}
}

// shown is JSON text as it is quoted in a refusal.
func shown(text []byte) string {
	const most = 60
	if s := string(text); utf8.RuneCountInString(s) > most {
		return string([]rune(s)[:most]) + "…"
	}
	return string(text)
}

func (d *decoder) text(name string) (s string) {
	d.read(name, "text", &s)
	return s
}

func (d *decoder) flag(name string, otherwise bool) bool {
	b := otherwise
	if !d.read(name, "true or false", &b) {
		return otherwise
	}
	return b
}

// id reads an id, or a name that has the bounds of one.
func (d *decoder) id(name string) string {
	s := ""
	if d.read(name, "text", &s) {
		d.check(name, s)
	}
	return s
}

func (d *decoder) check(name, id string) {
	var refused *ledger.Error
	if err := ledger.CheckID(name, id); errors.As(err, &refused) {
		d.refuse(name, "%s", refused.Message)
	}
}

// ids reads a list of ids. One that is given twice counts once.
func (d *decoder) ids(name string) []string {
	var items []json.RawMessage
	if !d.read(name, "a list of ids", &items) {
		return nil
	}
	if len(items) > maxNFTs {
		d.refuse(name, "must hold at most %d ids, holds %d; send several requests, or start a backfill", maxNFTs, len(items))
		return nil
	}
	list, seen := []string{}, map[string]bool{}
	for i, text := range items {
		element := fmt.Sprintf("%s[%d]", name, i)
		var s *string
		if err := json.Unmarshal(text, &s); err != nil || s == nil {
			d.refuse(element, "must be text, is %s", shown(text))
			return nil
		}
		d.check(element, *s)
		if !seen[*s] {
			seen[*s] = true
			list = append(list, *s)
		}
	}
	return list
}

func (d *decoder) number(name string) *float64 {
	var f float64
	if !d.read(name, "a number", &f) {
		return nil
	}
	return &f
}

func (d *decoder) whole(name string) *int {
	f := d.number(name)
	if f == nil {
		return nil
	}
	if *f != math.Trunc(*f) || math.Abs(*f) > 1<<31 {
		d.refuse(name, "must be a whole number, is %s", shown(d.fields[name]))
		return nil
	}
	n := int(*f)
	return &n
}

// upTo returns a number that is given within its bounds, from 1, and otherwise
// where none is.
func upTo(name string, n *int, most, otherwise int) (int, error) {
	if n == nil {
		return otherwise, nil
	}
	if *n < 1 || *n > most {
		return 0, invalid("%s must be from 1 to %d, is %d", name, most, *n)
	}
	return *n, nil
}

// decodeQuery reads the query of a GET.
func decodeQuery(values url.Values) (request, error) {
	q := request{action: values.Get("action"), collection: values.Get("collection")}
	if q.collection != "" {
		var refused *ledger.Error
		if err := ledger.CheckID("collection", q.collection); errors.As(err, &refused) {
			return q, invalid("collection %s", refused.Message)
		}
	}
	if text := values.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return q, invalid("limit must be a whole number, is %s", shown([]byte(strconv.Quote(text))))
		}
		q.limit = &n
	}
	return q, nil
}

// readBody reads the body of a POST. It must be called JSON: pages of other
// origins can send other bodies without asking beforehand.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &refusal{status: http.StatusUnsupportedMediaType, text: "Unsupported media type", details: "the body must be JSON, with Content-Type: application/json"}
	}
	// Servers that cannot set it have a limit of their own.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, text: "Body too large", details: fmt.Sprintf("the body must be at most %d bytes", maxBody)}
	case err != nil:
		return nil, &refusal{status: http.StatusBadRequest, text: "Body unreadable", details: "the body could not be read to its end"}
	}
	return body, nil
}
