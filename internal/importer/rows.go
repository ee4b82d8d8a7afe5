package importer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"poa/internal/ledger"
)

// maxRow is the longest row, in bytes, without its line end.
const maxRow = 1 << 20

// lineEnd is the longest line end, in bytes.
const lineEnd = 2

// Codes of rows that cannot be read, beside those of package ledger.
const (
	codeLong   ledger.Code = "row_too_long"
	codeRagged ledger.Code = "column_count"
	codeQuote  ledger.Code = "bad_quote"
	codeJSON   ledger.Code = "bad_json"
)

// row is a row of a file.
type row struct {
	line   int64    // of its first line, from 1
	raw    string   // without the line end
	values []string // by field, "" for none; valid until the next row is read
	err    error    // *ledger.Error where the row could not be read
}

// rowReader reads rows. Blank ones are left out.
type rowReader interface {
	// next returns io.EOF after the last row; other errors end the reading.
	next() (row, error)
	// ignored names the columns that hold no field, as far as they were met.
	ignored() []string
}

// plain undoes compression and refuses what is not text in UTF-8. A byte order
// mark is dropped.
func plain(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, misfit("reading gzip: %w", err)
		}
		return plain(z)
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return nil, misfit("this is UTF-16: save it as UTF-8 first")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return nil, misfit("this is a zip archive or a spreadsheet: save it as CSV, or unpack it first")
	case bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}):
		if _, err := b.Discard(3); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// text is a window on the lines of a file.
type text struct {
	r      io.Reader
	buf    []byte
	at     int // where in buf the next row starts
	end    int
	line   int64 // number of the line at at
	limit  int   // longest row
	done   bool  // r is at its end
	failed error
}

func newText(r io.Reader, limit int) *text {
	return &text{r: r, line: 1, limit: limit, buf: make([]byte, min(limit+lineEnd, 64<<10))}
}

func (t *text) window() []byte { return t.buf[t.at:t.end] }

// more reads on. It is false at the end of the file and when a row of the
// longest size is in the window.
func (t *text) more() bool {
	if t.done || t.end-t.at == t.limit+lineEnd {
		return false
	}
	if t.at > 0 {
		t.end = copy(t.buf, t.window())
		t.at = 0
	}
	if t.end == len(t.buf) {
		t.buf = append(t.buf, make([]byte, min(len(t.buf), t.limit+lineEnd-len(t.buf)))...)
	}
	n, err := t.r.Read(t.buf[t.end:])
	t.end += n
	if err != nil {
		t.done = true
		if !errors.Is(err, io.EOF) {
			t.failed = err
		}
	}
	return true
}

// take moves past n bytes of the window and returns them without the line end.
func (t *text) take(n int) (raw []byte, line int64) {
	raw, line = t.window()[:n], t.line
	t.at += n
	t.line += int64(bytes.Count(raw, []byte{'\n'}))
	return trimEnd(raw), line
}

func trimEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'})
}

// firstLine returns the length of the window's first line with its end, or 0
// where the window holds no line end.
func (t *text) firstLine() int { return bytes.IndexByte(t.window(), '\n') + 1 }

// skipLong moves past a line that is longer than a row may be.
func (t *text) skipLong() (row, error) {
	const shown = 200
	head := string(t.window()[:min(shown, t.end-t.at)])
	r := row{line: t.line}
	size := 0
	for {
		if n := t.firstLine(); n > 0 {
			size += n
			t.take(n)
			break
		}
		size += t.end - t.at
		t.at = t.end
		if !t.more() {
			break
		}
	}
	if t.failed != nil {
		return row{}, t.failed
	}
	r.raw = fmt.Sprintf("%s … (shortened: the line has %d bytes with its end)", head, size)
	r.err = &ledger.Error{Code: codeLong, Message: fmt.Sprintf("the line has %d bytes with its end, at most %d are read", size, t.limit)}
	return r, nil
}

// values collects the fields of a row.
type values struct {
	text []string
	rank []int
}

func newValues(fields int) values {
	return values{make([]string, fields), make([]int, fields)}
}

func (v *values) reset() { clear(v.text) }

// set keeps the content of the column with the lowest rank. JSON objects have no
// order, so of two keys that differ in case only the smaller content counts.
func (v *values) set(t target, text string) {
	have, rank := v.text[t.field], v.rank[t.field]
	if text != "" && (have == "" || t.rank < rank || t.rank == rank && text < have) {
		v.text[t.field], v.rank[t.field] = text, t.rank
	}
}

// csvRows reads CSV: RFC 4180, with a delimiter of comma, semicolon or tab.
// Space around unquoted fields does not count.
type csvRows struct {
	text    *text
	comma   byte
	stops   string // what ends an unquoted cell
	cells   []cell
	scratch []byte // content of quoted cells that hold quotes
	header  []string
	targets []target // by column
	values  values
}

// cell is a field of the last row, a range of it or of scratch.
type cell struct {
	from, to  int
	quoted    bool
	inScratch bool
}

// newCSV reads the header.
func newCSV(t *text) (*csvRows, error) {
	c := &csvRows{text: t, comma: ','}
	var first []byte
	for {
		for t.firstLine() == 0 && t.more() {
		}
		first = t.window()
		if n := t.firstLine(); n > 0 {
			first = first[:n]
		}
		if len(first) == 0 || len(bytes.TrimSpace(first)) > 0 {
			break
		}
		t.take(len(first))
	}
	for _, other := range []byte{';', '\t'} {
		if bytes.Count(first, []byte{other}) > bytes.Count(first, []byte{c.comma}) {
			c.comma = other
		}
	}
	c.stops = string([]byte{c.comma, '\n'})
	size, err := c.record()
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		return nil, misfit("the file is empty")
	case t.failed != nil:
		return nil, t.failed
	default:
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	raw := string(t.window()[:size])
	for i := range c.cells {
		c.header = append(c.header, strings.TrimSpace(c.cell(i, raw)))
	}
	if header := strings.Join(c.header, ""); !utf8.ValidString(header) || strings.ContainsRune(header, 0) {
		return nil, misfit("the header is not text in UTF-8")
	}
	t.take(size)
	return c, nil
}

func (c *csvRows) use(columns *columns) {
	c.targets = make([]target, len(c.header))
	for i, name := range c.header {
		c.targets[i] = columns.target(name)
	}
	c.values = newValues(len(columns.fields))
}

func (c *csvRows) ignored() []string {
	var names []string
	for i, t := range c.targets {
		if t.field == noField {
			names = append(names, c.header[i])
		}
	}
	return names
}

func (c *csvRows) next() (row, error) {
	for {
		size, err := c.record()
		switch {
		case errors.Is(err, io.EOF), c.text.failed != nil:
			return row{}, cmpErr(c.text.failed, io.EOF)
		case errors.Is(err, errLong):
			return c.text.skipLong()
		case err != nil:
			// The next good row may begin on the next line already.
			raw, line := c.text.take(size)
			return row{line: line, raw: string(raw), err: err}, nil
		}
		raw, line := c.text.take(size)
		r := row{line: line, raw: string(raw), values: c.values.text}
		if c.collect(r.raw) {
			continue
		}
		if found := len(c.cells); found != len(c.header) {
			r.err = &ledger.Error{Code: codeRagged, Message: fmt.Sprintf("has %d columns, the header %d", found, len(c.header))}
		}
		return r, nil
	}
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// collect puts the cells of a row into values and reports whether all are
// empty.
func (c *csvRows) collect(raw string) (blank bool) {
	c.values.reset()
	blank = true
	for i := range c.cells {
		if c.cells[i].to > c.cells[i].from || c.cells[i].quoted {
			blank = false
		}
		if i < len(c.targets) && c.targets[i].field != noField {
			c.values.set(c.targets[i], c.cell(i, raw))
		}
	}
	return blank
}

// cell returns the content of a cell of the row raw. It is a part of raw, which
// is kept anyway as long as its vote is, in case that is rejected.
func (c *csvRows) cell(i int, raw string) string {
	if c.cells[i].inScratch {
		return string(c.scratch[c.cells[i].from:c.cells[i].to])
	}
	return raw[c.cells[i].from:c.cells[i].to]
}

var (
	errMore = errors.New("the row goes on")
	errLong = errors.New("the line is too long")
)

// record finds the cells of the record at the window's start and returns its
// size. After an error of type *ledger.Error the size is that of the first
// line.
func (c *csvRows) record() (int, error) {
	for {
		if c.text.failed != nil {
			return 0, c.text.failed
		}
		data := c.text.window()
		if len(data) == 0 {
			if !c.text.more() {
				return 0, io.EOF
			}
			continue
		}
		size, err := c.split(data)
		if err == nil && len(trimEnd(data[:size])) <= c.text.limit {
			return size, nil
		}
		first := c.text.firstLine()
		if (errors.Is(err, errMore) || first == 0) && c.text.more() {
			continue
		}
		// A stray quote makes a record of many lines: only the first is to blame.
		if first == 0 {
			first = len(data)
		}
		if len(trimEnd(data[:first])) > c.text.limit {
			return 0, errLong
		}
		if bad := (*ledger.Error)(nil); errors.As(err, &bad) {
			return first, bad
		}
		return first, &ledger.Error{Code: codeQuote, Message: "a quoted field does not end"}
	}
}

// split finds the cells of the record at data's start and returns its size.
func (c *csvRows) split(data []byte) (int, error) {
	c.cells, c.scratch = c.cells[:0], c.scratch[:0]
	for at := 0; ; {
		next, ends, err := c.split1(data, at)
		if err != nil {
			return 0, err
		}
		if ends {
			return next, nil
		}
		at = next
	}
}

// split1 finds the cell at data[at:], and returns where the next one or, if
// this one ends it, the next record starts.
func (c *csvRows) split1(data []byte, at int) (next int, ends bool, err error) {
	start := at
	for start < len(data) && (data[start] == ' ' || data[start] == '\t' && c.comma != '\t') {
		start++
	}
	if start < len(data) && data[start] == '"' {
		return c.splitQuoted(data, start+1)
	}
	stop := bytes.IndexAny(data[start:], c.stops)
	next = start + stop + 1
	switch {
	case stop >= 0:
		stop += start
		ends = data[stop] == '\n'
	case !c.text.done:
		return 0, false, errMore
	default:
		stop, next, ends = len(data), len(data), true
	}
	content := data[start:stop]
	if ends {
		content = bytes.TrimSuffix(content, []byte{'\r'})
	}
	content = bytes.TrimRight(content, " \t")
	c.cells = append(c.cells, cell{from: start, to: start + len(content)})
	return next, ends, nil
}

// splitQuoted is split1 for a cell whose content starts, after the quote, at at.
func (c *csvRows) splitQuoted(data []byte, at int) (next int, ends bool, err error) {
	content := cell{from: at, quoted: true}
	from := at
	for {
		quote := bytes.IndexByte(data[from:], '"')
		if quote < 0 || from+quote+1 == len(data) && !c.text.done {
			return 0, false, errMore
		}
		quote += from
		if quote+1 < len(data) && data[quote+1] == '"' {
			if !content.inScratch {
				content.inScratch, content.from = true, len(c.scratch)
			}
			c.scratch = append(c.scratch, data[from:quote+1]...)
			from = quote + 2
			continue
		}
		content.to = quote
		if content.inScratch {
			c.scratch = append(c.scratch, data[from:quote]...)
			content.to = len(c.scratch)
		}
		next, ends, err = c.afterQuote(data, quote+1)
		if err == nil {
			c.cells = append(c.cells, content)
		}
		return next, ends, err
	}
}

// afterQuote finds the delimiter or line end after a quoted cell.
func (c *csvRows) afterQuote(data []byte, at int) (next int, ends bool, err error) {
	for at < len(data) && (data[at] == ' ' || data[at] == '\t' && c.comma != '\t') {
		at++
	}
	rest := data[at:]
	switch {
	case len(rest) > 0 && rest[0] == c.comma:
		return at + 1, false, nil
	case len(rest) > 0 && rest[0] == '\n':
		return at + 1, true, nil
	case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
		return at + 2, true, nil
	case len(rest) == 0 && c.text.done, len(rest) == 1 && rest[0] == '\r' && c.text.done:
		return len(data), true, nil
	case len(rest) == 0, len(rest) == 1 && rest[0] == '\r':
		return 0, false, errMore
	}
	return 0, false, &ledger.Error{Code: codeQuote, Message: "text follows a closing quote; a quote inside a quoted field is written twice"}
}

// jsonRows reads JSON objects, one a line.
type jsonRows struct {
	text    *text
	columns *columns
	targets map[string]target // of the keys met so far
	unknown map[string]bool
	values  values
}

// mostColumns bounds the distinct keys that are remembered.
const mostColumns = 1000

// newJSONL returns the keys of the first objects.
func newJSONL(t *text) (*jsonRows, []string) {
	for (t.end < len(t.buf) || t.firstLine() == 0) && t.more() {
	}
	keys := make(map[string]bool)
	for line := range bytes.Lines(t.window()) {
		var object map[string]json.RawMessage
		if json.Unmarshal(line, &object) == nil {
			for k := range object {
				keys[k] = true
			}
		}
	}
	return &jsonRows{text: t, targets: make(map[string]target), unknown: make(map[string]bool)}, slices.Sorted(maps.Keys(keys))
}

func (j *jsonRows) use(columns *columns) {
	j.columns, j.values = columns, newValues(len(columns.fields))
}

func (j *jsonRows) ignored() []string { return slices.Sorted(maps.Keys(j.unknown)) }

func (j *jsonRows) next() (row, error) {
	for {
		size := j.text.firstLine()
		for size == 0 && j.text.more() {
			size = j.text.firstLine()
		}
		data := j.text.window()
		switch {
		case j.text.failed != nil:
			return row{}, j.text.failed
		case size == 0 && len(data) == 0:
			return row{}, io.EOF
		case size == 0:
			size = len(data)
		}
		if len(trimEnd(data[:size])) > j.text.limit {
			return j.text.skipLong()
		}
		raw, line := j.text.take(size)
		if len(bytes.TrimSpace(raw)) == 0 {
			continue
		}
		r := row{line: line, raw: string(raw), values: j.values.text}
		if err := j.decode(raw); err != nil {
			r.err = err
		}
		return r, nil
	}
}

func (j *jsonRows) decode(line []byte) error {
	j.values.reset()
	if !utf8.Valid(line) {
		return &ledger.Error{Code: ledger.CodeText, Message: "is not valid UTF-8"}
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return &ledger.Error{Code: codeJSON, Message: "is not a JSON object: " + err.Error()}
	}
	if object == nil {
		return &ledger.Error{Code: codeJSON, Message: "is not a JSON object"}
	}
	for key, raw := range object {
		t := j.target(key)
		if t.field == noField {
			continue
		}
		text, err := scalar(raw)
		if err != nil {
			return &ledger.Error{Code: codeJSON, Field: key, Message: err.Error()}
		}
		j.values.set(t, text)
	}
	return nil
}

func (j *jsonRows) target(key string) target {
	t, known := j.targets[key]
	if !known {
		t = j.columns.target(key)
		if len(j.targets) < mostColumns {
			j.targets[key] = t
			if t.field == noField {
				j.unknown[key] = true
			}
		}
	}
	return t
}

// scalar returns the content of a string, the literal of a number or boolean,
// and "" for null.
func scalar(raw json.RawMessage) (string, error) {
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", err
		}
		// Half of a surrogate pair is no character; it would become U+FFFD.
		if strings.ContainsRune(s, utf8.RuneError) && !bytes.ContainsRune(raw, utf8.RuneError) && !bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`)) {
			return "", errors.New("has half of a surrogate pair")
		}
		return s, nil
	case '{', '[':
		return "", errors.New("must be a string, a number, true, false or null")
	case 'n':
		return "", nil
	}
	return string(raw), nil
}

// open finds out the format of a file and what its columns hold.
func open(r io.Reader, limit int, kind Kind, mapping map[string]string) (rowReader, *columns, error) {
	b, err := plain(r)
	if err != nil {
		return nil, nil, err
	}
	first, err := firstByte(b)
	if err != nil {
		return nil, nil, err
	}
	switch t := newText(b, limit); first {
	case '[':
		return nil, nil, misfit("this is a JSON array: one object a line is needed (jq -c '.[]' makes that of it)")
	case '{':
		rows, keys := newJSONL(t)
		if t.failed != nil {
			return nil, nil, t.failed
		}
		columns, err := resolve(kind, mapping, keys)
		if err != nil {
			return nil, nil, &Misfit{err, true}
		}
		rows.use(columns)
		return rows, columns, nil
	default:
		rows, err := newCSV(t)
		if err != nil {
			return nil, nil, err
		}
		columns, err := resolve(kind, mapping, rows.header)
		if err != nil {
			return nil, nil, &Misfit{err, true}
		}
		if err := columns.unique(rows.header); err != nil {
			return nil, nil, &Misfit{err, true}
		}
		rows.use(columns)
		return rows, columns, nil
	}
}

// firstByte returns the first byte that is not space.
func firstByte(b *bufio.Reader) (byte, error) {
	for size := 512; ; size *= 2 {
		head, err := b.Peek(min(size, b.Size()))
		if trimmed := bytes.TrimLeft(head, " \t\r\n"); len(trimmed) > 0 {
			return trimmed[0], nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return 0, misfit("the file is empty")
		case err != nil:
			return 0, err
		case size >= b.Size():
			return 0, misfit("the file begins with nothing but space")
		}
	}
}
