package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"poa/internal/config"
	"poa/internal/importer"
	"poa/internal/ledger"
	"poa/internal/store"
)

// usageError is a command line that cannot be understood.
type usageError struct{ error }

// findings is the error of a command that worked and found what it was asked
// to look for. An empty one has nothing to add to what was printed.
type findings struct{ error }

func (f findings) Error() string {
	if f.error == nil {
		return ""
	}
	return f.error.Error()
}

func (f findings) Unwrap() error { return f.error }

var errInterrupted = withHint(errors.New("interrupted"), "run it again: what was recorded is kept and counts once")

// hinted is an error that knows what to try.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func withHint(err error, format string, args ...any) error {
	return hinted{err, fmt.Sprintf(format, args...)}
}

// report writes an error with a hint what to try, and returns the exit code.
func (m *Main) report(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailure
	if f := (findings{}); errors.As(err, &f) {
		if code = exitFindings; f.error == nil {
			return code
		}
	}
	if code == exitFailure && ctx.Err() != nil {
		// Whatever else broke did so because of the signal.
		if m.log != nil {
			m.log.Debug("stopped", "err", err)
		}
		err = errInterrupted
	}
	message, hint := gathered(err.Error()), m.hint(err)
	if m.cli.JSON {
		m.reportJSON(err, message, hint)
		return code
	}
	label := m.style(m.Stderr, red, "error:")
	fmt.Fprintf(m.errs, "%s %s\n", label, clean(message, '\n'))
	fmt.Fprintf(m.errs, "%s %s\n", m.style(m.Stderr, bold, "try:"), clean(hint, '\n'))
	return code
}

// gathered puts the lines that a driver sets off by a tab behind the one they
// belong to, each once: PostgreSQL's lists every attempt to connect.
func gathered(message string) string {
	var b strings.Builder
	seen := map[string]bool{}
	for i, line := range strings.Split(message, "\n") {
		detail, setOff := strings.CutPrefix(line, "\t")
		switch {
		case !setOff && i > 0:
			b.WriteString("\n" + line)
		case !setOff:
			b.WriteString(line)
		case seen[detail]:
		case len(seen) > 0:
			b.WriteString("; " + detail)
		default:
			b.WriteString(" " + detail)
		}
		if setOff {
			seen[detail] = true
		}
	}
	return b.String()
}

func (m *Main) reportJSON(err error, message, hint string) {
	type problem struct {
		Setting string        `json:"setting"`
		Source  config.Source `json:"source"`
		Message string        `json:"message"`
	}
	doc := struct {
		Error    string    `json:"error"`
		Code     string    `json:"code,omitempty"`
		Field    string    `json:"field,omitempty"`
		Problems []problem `json:"problems,omitempty"`
		Hint     string    `json:"hint"`
	}{Error: message, Hint: hint}
	if refusal := (*ledger.Error)(nil); errors.As(err, &refusal) {
		doc.Code, doc.Field = string(refusal.Code), refusal.Field
	}
	if invalid := (*config.Error)(nil); errors.As(err, &invalid) {
		for _, p := range invalid.Problems {
			doc.Problems = append(doc.Problems, problem(p))
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		text = []byte(`{"error":"the error cannot be written as JSON"}`)
	}
	fmt.Fprintf(m.errs, "%s\n", text)
}

// hint says what to try about an error.
func (m *Main) hint(err error) string {
	if h := (hinted{}); errors.As(err, &h) {
		return h.hint
	}
	if usage := (usageError{}); errors.As(err, &usage) {
		return m.command + " --help"
	}
	if refusal := (*ledger.Error)(nil); errors.As(err, &refusal) {
		return refusalHint(refusal)
	}
	if invalid := (*config.Error)(nil); errors.As(err, &invalid) {
		return "correct each where it is set; `poa config print` run without them shows what is allowed"
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		if hint, ok := postgresHints[pg.Code]; ok {
			return hint
		}
	}
	if parse := (*pgconn.ParseConfigError)(nil); errors.As(err, &parse) {
		return "correct the database URL; its parameters are those of PostgreSQL, such as ?sslmode=require"
	}
	if m.onSQLite() && errors.Is(err, store.ErrUnavailable) {
		return "check that the database's folder exists and may be written, that the file is an SQLite database, and that the disk is not full"
	}
	if misfit := (*importer.Misfit)(nil); errors.As(err, &misfit) {
		return misfitHint(misfit)
	}
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	if connect := (*pgconn.ConnectError)(nil); errors.As(err, &connect) {
		return unreachable
	}
	return "run it again with --verbose to see more of what is done"
}

const unreachable = "check that the database server runs and that host, port, user and password in the database URL are right"

func (m *Main) onSQLite() bool { return m.config != nil && m.database().Engine == config.SQLite }

// hints are tried in order.
var hints = [...]struct {
	err  error
	hint string
}{
	{store.ErrFoldingFixed, "set scoring.folding to the values in the database, or use a new database for new ones"},
	{store.ErrSchema, "poa migrate"},
	{store.ErrOutcomeUnknown, "run it again: what was recorded is kept and counts once"},
	{store.ErrUnavailable, unreachable + "; that it accepts writes, and that its disk is not full"},
	{store.ErrContention, "run it again in a moment; other programs use the database heavily"},
	{store.ErrNotFound, "check the name; `poa collections` and `poa top` show what there is"},
	{ledger.ErrBusy, "run it again in a moment"},
	{syscall.EISDIR, "name a file; that is a directory"},
	{fs.ErrNotExist, "check the path; relative ones start at the current directory"},
	{fs.ErrPermission, "check that you may read and write that path"},
	{os.ErrDeadlineExceeded, unreachable},
	{context.DeadlineExceeded, unreachable},
}

const pooled = "there is a pooler in transaction mode before the database: add default_query_exec_mode=exec to the database URL " +
	"(jobs are then polled for), or give it a direct one; if the pooler follows prepared statements set serve.poll_jobs"

// postgresHints are by SQLSTATE.
var postgresHints = map[string]string{
	"28P01": "check the user name and password in the database URL",
	"28000": "check the user name in the database URL, and that pg_hba.conf lets it in",
	"3D000": "create the database first: createdb NAME",
	"42P05": pooled, // prepared statement exists
	"26000": pooled, // or does not
	"42501": "grant the user the rights to use, and for poa migrate to create, tables in the database",
	"53300": "the server has no connection left: raise max_connections or stop other programs",
	"57P03": "the server is starting or stopping: run it again in a moment",
}

func misfitHint(m *importer.Misfit) string {
	if m.Columns {
		return "name the column of a field with --map FIELD=COLUMN, and say with --kind votes or --kind nfts what the file holds: poa import --help"
	}
	return "give a CSV file with a header, or one of a JSON object a line, gzipped or not: poa import --help"
}

func refusalHint(e *ledger.Error) string {
	switch e.Code {
	case ledger.CodeUnknownNFT:
		return "check the id, or register the NFT: poa import --kind nfts FILE"
	case ledger.CodeConflict:
		return "give the vote another --key, or leave --key out for a random one"
	case ledger.CodeTryAgain, ledger.CodeUnknown:
		return "run it again with the same --key: it counts once"
	case ledger.CodeInternal:
		return "the log above says why the database refused it"
	}
	return "correct it and run it again: poa vote --help"
}
