package exporter

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"poa/internal/scoring"
)

// writer writes rows field by field. The fields of a row, and their order, are
// the same for all rows of a table.
type writer struct {
	w      *bufio.Writer
	format Format
	row    []byte
	fields int   // in row
	naming bool  // the fields of the header are written: their names
	rows   int64 // written, without the header
	err    error
}

func newWriter(w io.Writer, f Format) *writer {
	return &writer{w: bufio.NewWriterSize(w, 64<<10), format: f}
}

// header writes the names of the fields that row writes, where the format has
// a header.
func (w *writer) header(row func()) {
	if w.format != CSV {
		return
	}
	w.naming = true
	row()
	w.naming = false
	w.err = w.line()
}

// end ends a row.
func (w *writer) end() error {
	if w.err != nil {
		return w.err
	}
	if w.format == JSONL {
		w.row = append(w.row, '}')
	}
	if w.err = w.line(); w.err == nil {
		w.rows++
	}
	return w.err
}

func (w *writer) line() error {
	_, err := w.w.Write(append(w.row, '\n'))
	w.row, w.fields = w.row[:0], 0
	return err
}

func (w *writer) flush() error {
	if w.err != nil {
		return w.err
	}
	return w.w.Flush()
}

// begin begins a field. It is false where only its name is wanted.
func (w *writer) begin(name string) bool {
	if w.fields > 0 {
		w.row = append(w.row, ',')
	} else if w.format == JSONL {
		w.row = append(w.row, '{')
	}
	w.fields++
	if w.format == JSONL {
		w.row = append(append(append(w.row, '"'), name...), '"', ':')
		return true
	}
	if w.naming {
		w.row = append(w.row, name...)
		return false
	}
	return true
}

// none writes a field that says nothing.
func (w *writer) none(name string) {
	if w.begin(name) && w.format == JSONL {
		w.row = append(w.row, "null"...)
	}
}

func (w *writer) text(name, s string) {
	if s == "" {
		w.none(name)
		return
	}
	if !w.begin(name) {
		return
	}
	if w.format == JSONL {
		w.row = appendJSON(w.row, s)
	} else {
		w.row = appendCSV(w.row, s)
	}
}

func (w *writer) integer(name string, n int64) {
	if w.begin(name) {
		w.row = strconv.AppendInt(w.row, n, 10)
	}
}

// float writes the shortest number that reads back as x.
func (w *writer) float(name string, x float64) {
	if w.begin(name) {
		w.row = strconv.AppendFloat(w.row, x, 'g', -1, 64)
	}
}

// sum writes all nine decimals of s but zeros at the end.
func (w *writer) sum(name string, s scoring.Sum) {
	if !w.begin(name) {
		return
	}
	if s < 0 {
		w.row = append(w.row, '-')
	}
	const unit = 1e9
	whole, rest := s/unit, s%unit
	w.row = strconv.AppendInt(w.row, abs(int64(whole)), 10)
	if rest != 0 {
		digits := strconv.FormatInt(unit+abs(int64(rest)), 10)[1:]
		w.row = append(append(w.row, '.'), strings.TrimRight(digits, "0")...)
	}
}

func abs(n int64) int64 { return max(n, -n) }

func (w *writer) truth(name string, b bool) {
	if w.begin(name) {
		w.row = strconv.AppendBool(w.row, b)
	}
}

func (w *writer) time(name string, t time.Time) {
	if t.IsZero() {
		w.none(name)
		return
	}
	if !w.begin(name) {
		return
	}
	if w.format == JSONL {
		w.row = append(w.row, '"')
	}
	w.row = t.UTC().AppendFormat(w.row, "2006-01-02T15:04:05.999999Z07:00")
	if w.format == JSONL {
		w.row = append(w.row, '"')
	}
}

// appendCSV quotes s where a reader would otherwise take it for something else;
// space at the ends is quoted because many readers drop it.
func appendCSV(b []byte, s string) []byte {
	if !strings.ContainsAny(s, "\",\r\n") && strings.TrimSpace(s) == s {
		return append(b, s...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(s, `"`, `""`)...)
	return append(b, '"')
}

func appendJSON(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return appendEscaped(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	// Encoding a string into memory does not fail.
	_ = e.Encode(s)
	return append(b, bytes.TrimSuffix(quoted.Bytes(), []byte{'\n'})...)
}
