package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"poa/internal/access"
	"poa/internal/ledger"
	"poa/internal/settings"
	"poa/internal/store"
)

// problemType begins the type of every problem; its code follows.
const problemType = "urn:poa:problem:"

// Codes of problems beside those of package ledger.
const (
	codeMalformed    ledger.Code = "malformed"
	codeUnknownField ledger.Code = "unknown_field"
	codeTime         ledger.Code = "invalid_time"
	codeType         ledger.Code = "invalid_type"
	codeTooMany      ledger.Code = "rate_limited"
	codeNotFound     ledger.Code = "not_found"
	codeNoKey        ledger.Code = "key_needed"
	codeBadKey       ledger.Code = "key_unknown"
	codeForbidden    ledger.Code = "role_insufficient"
	codeCrossOrigin  ledger.Code = "cross_origin"
	codeSetting      ledger.Code = "setting_refused"
	codeCursor       ledger.Code = "invalid_cursor"
	codeUnavailable  ledger.Code = "database_unavailable"
	codeTimeout      ledger.Code = "timeout"
	codeState        ledger.Code = "wrong_state"
	codePath         ledger.Code = "path_unknown"
	codeMethod       ledger.Code = "method_not_allowed"
	codeTooLarge     ledger.Code = "body_too_large"
	codeMediaType    ledger.Code = "media_type_unsupported"
	codeSlowBody     ledger.Code = "body_too_slow"
	codeInvalid      ledger.Code = "invalid_request"
)

// mapping says how an error is told.
type mapping struct {
	status int
	retry  time.Duration // after which trying again makes sense, 0 for never
}

// byCode maps the code of an error that names one. It is the one table of
// statuses.
var byCode = map[ledger.Code]mapping{
	ledger.CodeEmpty:      {http.StatusUnprocessableEntity, 0},
	ledger.CodeTooLong:    {http.StatusUnprocessableEntity, 0},
	ledger.CodeText:       {http.StatusUnprocessableEntity, 0},
	ledger.CodeKind:       {http.StatusUnprocessableEntity, 0},
	ledger.CodeOutcome:    {http.StatusUnprocessableEntity, 0},
	ledger.CodeNotAllowed: {http.StatusUnprocessableEntity, 0},
	ledger.CodeSameNFT:    {http.StatusUnprocessableEntity, 0},
	ledger.CodeValue:      {http.StatusUnprocessableEntity, 0},
	ledger.CodeFuture:     {http.StatusUnprocessableEntity, 0},
	ledger.CodeTooOld:     {http.StatusUnprocessableEntity, 0},
	ledger.CodeUnknownNFT: {http.StatusUnprocessableEntity, 0},
	ledger.CodeConflict:   {http.StatusConflict, 0},
	ledger.CodeInternal:   {http.StatusInternalServerError, 0},
	ledger.CodeTryAgain:   {http.StatusServiceUnavailable, time.Second},
	ledger.CodeUnknown:    {http.StatusServiceUnavailable, time.Second},

	codeMalformed:    {http.StatusBadRequest, 0},
	codeUnknownField: {http.StatusUnprocessableEntity, 0},
	codeTime:         {http.StatusUnprocessableEntity, 0},
	codeType:         {http.StatusUnprocessableEntity, 0},
	codeTooMany:      {http.StatusTooManyRequests, time.Second},
	codeNotFound:     {http.StatusNotFound, 0},
	codeNoKey:        {http.StatusUnauthorized, 0},
	codeBadKey:       {http.StatusUnauthorized, 0},
	codeForbidden:    {http.StatusForbidden, 0},
	codeCrossOrigin:  {http.StatusForbidden, 0},
	codeSetting:      {http.StatusUnprocessableEntity, 0},
	codeCursor:       {http.StatusUnprocessableEntity, 0},
	codeUnavailable:  {http.StatusServiceUnavailable, 5 * time.Second},
	codeTimeout:      {http.StatusServiceUnavailable, time.Second},
	codeState:        {http.StatusConflict, 0},
	codePath:         {http.StatusNotFound, 0},
	codeMethod:       {http.StatusMethodNotAllowed, 0},
	codeTooLarge:     {http.StatusRequestEntityTooLarge, 0},
	codeMediaType:    {http.StatusUnsupportedMediaType, 0},
	codeSlowBody:     {http.StatusRequestTimeout, 0},
	codeInvalid:      {http.StatusUnprocessableEntity, 0},
}

// byStatus are the codes of what is refused before a handler sees it: a path or
// method that nobody serves, and a request that does not fit its description.
var byStatus = map[int]ledger.Code{
	http.StatusBadRequest:            codeMalformed,
	http.StatusNotFound:              codePath,
	http.StatusMethodNotAllowed:      codeMethod,
	http.StatusRequestTimeout:        codeSlowBody,
	http.StatusRequestEntityTooLarge: codeTooLarge,
	http.StatusUnsupportedMediaType:  codeMediaType,
	http.StatusUnprocessableEntity:   codeInvalid,
	http.StatusInternalServerError:   ledger.CodeInternal,
}

// known are errors without a code, with theirs and what is said about them.
var known = []struct {
	err    error
	code   ledger.Code
	detail string // "" for the error's own text
}{
	{access.ErrNoKey, codeNoKey, ""},
	{access.ErrBadKey, codeBadKey, ""},
	{access.ErrCrossOrigin, codeCrossOrigin, ""},
	{ledger.ErrBusy, ledger.CodeTryAgain, ""},
	{ledger.ErrClosed, ledger.CodeTryAgain, ""},
	{store.ErrNotFound, codeNotFound, "what the request names does not exist"},
	{store.ErrContention, ledger.CodeTryAgain, "the database is contended: try again in a moment"},
	{store.ErrUnavailable, codeUnavailable, "the database cannot be reached or takes no writes now: try again in a moment"},
	{store.ErrOutcomeUnknown, ledger.CodeUnknown, "the connection to the database broke: the change may or may not be in force; look before repeating it"},
	{store.ErrData, ledger.CodeText, "the database refused a value of the request"},
	{context.DeadlineExceeded, codeTimeout, "the request took too long and was given up; votes may be recorded: repeat them with the same keys"},
}

// failure is an error with its code, where it is in the request, and what it
// means for people.
type failure struct {
	code     ledger.Code
	location string // such as body.voter, "" for the whole request
	detail   string
}

func (f *failure) Error() string { return f.detail }

func notFound(what, id string) error {
	return &failure{codeNotFound, "", fmt.Sprintf("there is no %s %q", what, id)}
}

// problemOf returns the problem that tells err, and after how long trying again
// makes sense. It is false for an error that nobody outside is to see.
func problemOf(err error) (p *huma.ErrorModel, retry time.Duration, ok bool) {
	// A field is named in the detail too, which may be all that people see.
	tell := func(code ledger.Code, location, message string) (*huma.ErrorModel, time.Duration, bool) {
		m, known := byCode[code]
		if !known {
			return internalProblem(), 0, false
		}
		p := &huma.ErrorModel{Type: problemType + string(code), Title: http.StatusText(m.status), Status: m.status, Detail: message}
		if location != "" {
			p.Errors = []*huma.ErrorDetail{{Message: message, Location: location}}
			p.Detail = located(location, message)
		}
		return p, m.retry, code != ledger.CodeInternal
	}
	var (
		model     *huma.ErrorModel
		fail      *failure
		refusal   *ledger.Error
		forbidden *access.Forbidden
		tooMany   *access.TooMany
		refused   *settings.Refused
	)
	switch {
	case errors.As(err, &model):
		return model, 0, true
	case errors.As(err, &fail):
		return tell(fail.code, fail.location, fail.detail)
	case errors.As(err, &refusal):
		location := ""
		if refusal.Field != "" {
			location = "body." + refusal.Field
		}
		return tell(refusal.Code, location, refusal.Message)
	case errors.As(err, &forbidden):
		return tell(codeForbidden, "", forbidden.Error())
	case errors.As(err, &tooMany):
		p, _, ok := tell(codeTooMany, "", tooMany.Error())
		return p, tooMany.Wait, ok
	case errors.As(err, &refused):
		p, retry, ok := tell(codeSetting, "", "nothing was changed; each problem is listed")
		for _, problem := range refused.Problems {
			p.Errors = append(p.Errors, &huma.ErrorDetail{Message: problem.Message, Location: settingLocation(problem.Setting)})
		}
		return p, retry, ok
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			detail := k.detail
			if detail == "" {
				detail = k.err.Error()
			}
			return tell(k.code, "", detail)
		}
	}
	return internalProblem(), 0, false
}

// settingLocation says where in the body of a change a setting is.
func settingLocation(name string) string {
	switch name {
	case "", "why", "values", "reason", "until":
		return "body." + name
	}
	return "body.values." + name
}

func internalProblem() *huma.ErrorModel {
	return &huma.ErrorModel{
		Type: problemType + string(ledger.CodeInternal), Title: http.StatusText(http.StatusInternalServerError), Status: http.StatusInternalServerError,
		Detail: "something went wrong inside; the log tells what, under the id of this request",
	}
}

// located says what is wrong with which field, as people name it.
func located(location, message string) string {
	_, field, within := strings.Cut(location, ".")
	if !within || field == "" {
		return message
	}
	return field + ": " + message
}

// statusProblem is the problem of a plain HTTP status.
func statusProblem(status int, detail string) *huma.ErrorModel {
	p := &huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail}
	if code, ok := byStatus[status]; ok {
		p.Type = problemType + string(code)
	}
	return p
}

// complete gives the problems that the framework makes, which know no code, the
// type and words of ours, and every problem its instance.
func complete(ctx huma.Context, _ string, body any) (any, error) {
	p, ok := body.(*huma.ErrorModel)
	if !ok {
		return body, nil
	}
	told := *p
	if told.Type == "" {
		told.Type = statusProblem(p.Status, "").Type
		if len(p.Errors) == 1 && isNotText(p.Errors[0]) {
			told.Type = problemType + string(ledger.CodeText)
		}
		switch {
		case p.Status == http.StatusRequestEntityTooLarge:
			told.Detail = fmt.Sprintf("the body must be at most %d bytes; send less at a time", ctx.Operation().MaxBodyBytes)
		case p.Status == http.StatusUnsupportedMediaType:
			told.Detail = "the body must be application/json, as its Content-Type must say"
		case p.Status == http.StatusBadRequest && len(p.Errors) == 0 && p.Detail == noBody:
			told.Detail = "the request needs a body: a JSON object as the documentation of the operation shows"
		case len(p.Errors) == 1:
			told.Detail = located(p.Errors[0].Location, p.Errors[0].Message)
		case len(p.Errors) > 1:
			told.Detail = "the request does not fit what the operation takes; each problem is listed"
		}
	}
	if told.Instance == "" {
		told.Instance = instanceOf(requestOf(ctx.Context()).id)
	}
	return &told, nil
}

// noBody is what the framework says where a body is missing.
const noBody = "request body is required"

// instanceOf names a request, "" for one without an id.
func instanceOf(id string) string {
	if id == "" {
		return ""
	}
	return "urn:poa:request:" + id
}

// problem turns an error of a handler into the one that is answered, and logs
// what nobody outside is to see.
func (s *server) problem(ctx context.Context, err error) error {
	p, retry, ok := problemOf(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return p // nobody waits for it
	}
	if !ok {
		s.Log.Error("a request failed", "request", requestOf(ctx).id, "err", err)
	} else if p.Status >= http.StatusInternalServerError {
		s.Log.Warn("a request could not be served now", "request", requestOf(ctx).id, "err", err)
	}
	p.Instance = instanceOf(requestOf(ctx).id)
	if headers := problemHeaders(p.Status, retry); len(headers) > 0 {
		return huma.ErrorWithHeaders(p, headers)
	}
	return p
}

func problemHeaders(status int, retry time.Duration) http.Header {
	h := http.Header{}
	if retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((retry+time.Second-1)/time.Second)))
	}
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	return h
}

// WriteProblem answers a request with the problem that tells err, and returns
// whether that tells all: if not, err is to be logged.
func WriteProblem(w http.ResponseWriter, err error) (told bool) {
	p, retry, ok := problemOf(err)
	for name, values := range problemHeaders(p.Status, retry) {
		w.Header()[name] = values
	}
	writeProblem(w, p)
	return ok
}

// Tell returns the status and words that tell err to people, as a problem
// would, and whether that tells all: if not, err is to be logged.
func Tell(err error) (status int, detail string, told bool) {
	p, _, told := problemOf(err)
	return p.Status, p.Detail, told
}

// writeProblem answers with a problem whose instance is the request that Outer
// has named in the answer's head.
func writeProblem(w http.ResponseWriter, p *huma.ErrorModel) {
	h := w.Header()
	if p.Instance == "" {
		p.Instance = instanceOf(h.Get("X-Request-Id"))
	}
	h.Del("Content-Length")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(p) // the client may have gone
}
