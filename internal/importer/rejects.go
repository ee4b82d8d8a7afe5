package importer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// rejectsFile takes the rows that were rejected. It comes into being with the
// first of them.
type rejectsFile struct {
	path string
	file *os.File
	csv  *csv.Writer
}

// newRejects removes what an earlier run left.
func newRejects(path string) (*rejectsFile, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing old rejects: %w", err)
	}
	return &rejectsFile{path: path}, nil
}

// write adds rows and brings them to disk.
func (f *rejectsFile) write(rows []reject) error {
	if len(rows) == 0 {
		return nil
	}
	if f.file == nil {
		file, err := os.Create(f.path)
		if err != nil {
			return fmt.Errorf("writing rejects: %w", err)
		}
		f.file, f.csv = file, csv.NewWriter(file)
		if err := f.csv.Write([]string{"line", "code", "reason", "row"}); err != nil {
			return fmt.Errorf("writing rejects: %w", err)
		}
	}
	for _, r := range rows {
		if err := f.csv.Write([]string{strconv.FormatInt(r.line, 10), string(r.err.Code), r.err.Error(), r.raw}); err != nil {
			return fmt.Errorf("writing rejects: %w", err)
		}
	}
	f.csv.Flush()
	if err := f.csv.Error(); err != nil {
		return fmt.Errorf("writing rejects: %w", err)
	}
	return nil
}

func (f *rejectsFile) close() error {
	if f.file == nil {
		return nil
	}
	if err := f.file.Close(); err != nil {
		return fmt.Errorf("writing rejects: %w", err)
	}
	return nil
}

// storable returns s with everything that is no text (NUL, invalid UTF-8)
// written as \x and two hexadecimal digits.
func storable(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}
