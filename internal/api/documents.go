package api

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"poa/internal/access"
)

//go:embed page
var pageFiles embed.FS

// documents adds the OpenAPI document and the page made of it. All operations
// must be registered before.
func (s *server) documents() error {
	if s.Stream != nil {
		s.api.OpenAPI().AddOperation(streamOperation())
	}
	spec, err := s.api.OpenAPI().MarshalJSON()
	if err != nil {
		return fmt.Errorf("writing the OpenAPI document: %w", err)
	}
	page, err := renderPage(s.api.OpenAPI())
	if err != nil {
		return fmt.Errorf("writing the page of the API: %w", err)
	}
	style, err := pageFiles.ReadFile("page/style.css")
	if err != nil {
		return err
	}
	s.file("/openapi.json", "application/vnd.oai.openapi+json;version=3.1", spec)
	s.file("/docs", "text/html; charset=utf-8", page)
	s.file("/docs/style.css", "text/css; charset=utf-8", style)
	return nil
}

// file serves content that stays the same while the process runs.
func (s *server) file(path, contentType string, content []byte) {
	s.mux.HandleFunc("GET "+Prefix+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		_, _ = w.Write(content) // the client may have gone
	})
}

// streamOperation describes the live stream, which is served beside the others.
func streamOperation() *huma.Operation {
	text := &huma.Schema{Type: huma.TypeString}
	problem := &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/ErrorModel"}},
	}}
	param := func(in, name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: in, Description: doc, Schema: text}
	}
	return &huma.Operation{
		Method: http.MethodGet, Path: Prefix + "/stream", OperationID: "stream", Tags: []string{"activity"}, Summary: "Follow what is done, as it happens in any process",
		Description: described(operation{Need: access.View, Description: "Server-sent events: the event is the kind of activity, the data a JSON object as in the list of activity. " +
			"A client that connects again with Last-Event-ID goes on where it was; the event gap says that something was missed."}),
		Security: security(access.View), Extensions: map[string]any{"x-need": string(access.View)},
		Parameters: []*huma.Param{
			param("header", "Last-Event-ID", "Where to go on: the id of the last event"), param("query", "after", "The same, for clients that cannot set headers"),
			param("query", "kind", "Only these kinds, separated by commas"), param("query", "nft", "Only this NFT"),
			param("query", "reason", "Only this reason"), param("query", "run", "Only this run"),
		},
		Responses: map[string]*huma.Response{
			"200": {Description: "Events until the client goes or the process ends", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: text}}},
			"400": problem, "401": problem, "403": problem, "429": problem, "503": problem,
		},
	}
}

// The page shows the document to people: its operations by tag.
type pageView struct {
	Title, Version string
	Description    []string
	Tags           []tagView
	Codes          []codeView
}

type tagView struct {
	Name       string
	Operations []operationView
}

type operationView struct {
	ID, Method, Path, Summary string
	Description               []string
	Parameters                []*huma.Param
	Bodies                    []bodyView
	Responses                 []responseView
}

type bodyView struct {
	Type   string
	Fields []fieldView
}

type fieldView struct {
	Name, Type, Doc string
	Range           string
	Required        bool
	Depth           int
}

type responseView struct {
	Status, Description string
	Bodies              []bodyView
}

type codeView struct {
	Code   string
	Status int
}

func renderPage(doc *huma.OpenAPI) ([]byte, error) {
	view := pageView{Title: doc.Info.Title, Version: doc.Info.Version, Description: paragraphs(doc.Info.Description)}
	byTag := map[string]int{}
	for _, path := range sortedKeys(doc.Paths) {
		item := doc.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			tag := op.Tags[0]
			if _, ok := byTag[tag]; !ok {
				byTag[tag] = len(view.Tags)
				view.Tags = append(view.Tags, tagView{Name: tag})
			}
			t := &view.Tags[byTag[tag]]
			t.Operations = append(t.Operations, viewOf(doc, op))
		}
	}
	for code, m := range byCode {
		view.Codes = append(view.Codes, codeView{string(code), m.status})
	}
	slices.SortFunc(view.Codes, func(a, b codeView) int { return strings.Compare(a.Code, b.Code) })
	page, err := template.New("page.html").Funcs(template.FuncMap{"typeOf": typeOf, "rangeOf": rangeOf}).ParseFS(pageFiles, "page/page.html")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.Execute(&b, view)
	return b.Bytes(), err
}

func viewOf(doc *huma.OpenAPI, op *huma.Operation) operationView {
	v := operationView{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: paragraphs(op.Description), Parameters: op.Parameters}
	if op.RequestBody != nil {
		v.Bodies = bodies(doc, op.RequestBody.Content)
	}
	for _, status := range sortedKeys(op.Responses) {
		r := op.Responses[status]
		view := responseView{Status: status, Description: r.Description}
		if strings.HasPrefix(status, "2") {
			view.Bodies = bodies(doc, r.Content)
		}
		v.Responses = append(v.Responses, view)
	}
	return v
}

func bodies(doc *huma.OpenAPI, content map[string]*huma.MediaType) []bodyView {
	var list []bodyView
	for _, mediaType := range sortedKeys(content) {
		b := bodyView{Type: mediaType}
		if s := content[mediaType].Schema; s != nil {
			b.Type += ": " + typeOf(s)
			b.Fields = fields(doc, s, 0)
		}
		list = append(list, b)
	}
	return list
}

// deepest is how far down fields within fields are shown.
const deepest = 3

// fields lists the fields of a schema with those within.
func fields(doc *huma.OpenAPI, s *huma.Schema, depth int) []fieldView {
	for s != nil && (s.Ref != "" || s.Items != nil) {
		if s.Ref != "" {
			s = doc.Components.Schemas.SchemaFromRef(s.Ref)
		} else {
			s = s.Items
		}
	}
	if s == nil || depth > deepest {
		return nil
	}
	var list []fieldView
	for _, name := range sortedKeys(s.Properties) {
		p := s.Properties[name]
		list = append(list, fieldView{Name: name, Type: typeOf(p), Doc: p.Description, Range: rangeOf(p), Required: slices.Contains(s.Required, name), Depth: depth})
		list = append(list, fields(doc, p, depth+1)...)
	}
	return list
}

// typeOf says the type of a value to people.
func typeOf(s *huma.Schema) string {
	switch {
	case s == nil:
		return "any"
	case s.Ref != "":
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case s.Items != nil:
		return "list of " + typeOf(s.Items)
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			words[i] = fmt.Sprint(e)
		}
		return strings.Join(words, " | ")
	case s.Format != "":
		return s.Type + " (" + s.Format + ")"
	case s.Type == "":
		return "any"
	}
	return s.Type
}

// rangeOf says within which bounds a value is and what stands where it is left
// out, "" where there is nothing to say.
func rangeOf(s *huma.Schema) string {
	if s == nil {
		return ""
	}
	var parts []string
	number := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		parts = append(parts, "from "+number(*s.Minimum)+" to "+number(*s.Maximum))
	case s.Minimum != nil:
		parts = append(parts, "at least "+number(*s.Minimum))
	case s.Maximum != nil:
		parts = append(parts, "at most "+number(*s.Maximum))
	}
	if s.MaxLength != nil {
		parts = append(parts, fmt.Sprintf("at most %d characters", *s.MaxLength))
	}
	if s.Default != nil {
		parts = append(parts, fmt.Sprintf("%v where it is left out", s.Default))
	}
	return strings.Join(parts, "; ")
}

func paragraphs(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
