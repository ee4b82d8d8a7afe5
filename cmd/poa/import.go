package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"poa/internal/config"
	"poa/internal/importer"
	"poa/internal/scoring"
	"poa/internal/store/sqlite"
)

// An import folds more votes at once than a service, and as many on both
// databases, so that both publish the same scores. On SQLite it commits several
// folds together: the entries of a vote fall anywhere in the indexes, and the
// more votes a commit has, the more of them share a page that has to be
// written. PostgreSQL writes its pages later, and its transactions lock rows
// that others wait for. Memory is bounded.
const (
	importFold   = 6        // times the ledger's setting
	importFolds  = 5        // in a commit on SQLite
	importMemory = 69 << 20 // bytes of Go's own memory; beyond, it is collected more often
	importPages  = 10000    // set aside for what SQLite caches: a commit fits in
)

type importCommand struct {
	Files       []string          `arg:"" name:"file" help:"CSV or JSONL files, gzipped or not; - is standard input."`
	Kind        string            `placeholder:"votes|nfts" help:"What the files hold. [found out from the columns]"`
	Source      string            `placeholder:"NAME" help:"Begins the keys of votes without one: the same source and id is the same vote. [the file's name]"`
	Map         map[string]string `mapsep:"none" placeholder:"FIELD=COLUMN" help:"Column that holds a field, such as winner=winner_id; may be repeated. [found by name]"`
	Strict      bool              `help:"Reject votes on unknown NFTs or by unknown voters, instead of creating them."`
	Overwrite   bool              `help:"Replace name, collection and image of NFTs that are registered already."`
	Rejects     string            `placeholder:"FILE" help:"Where rejected rows are written. [NAME.rejects.csv]"`
	SliderScale string            `placeholder:"FROM-TO" help:"What slider ratings run from and to, such as 1-10. [0-100]"`
	EmptyWinner string            `placeholder:"none|tie" help:"What a matchup without any outcome counts as. [none]"`
}

// options checks the flags.
func (c *importCommand) options() (o importer.Options, err error) {
	o = importer.Options{Source: c.Source, Map: c.Map, Strict: c.Strict, Overwrite: c.Overwrite, Rejects: c.Rejects}
	switch o.Kind = importer.Kind(c.Kind); o.Kind {
	case "", importer.Votes, importer.NFTs:
	default:
		return o, fmt.Errorf("--kind must be votes or nfts, is %q", c.Kind)
	}
	if c.SliderScale != "" {
		if o.Scale, err = importer.ParseScale(c.SliderScale); err != nil {
			return o, fmt.Errorf("--slider-scale: %w", err)
		}
	}
	switch c.EmptyWinner {
	case "", "none":
	case "tie":
		o.EmptyWinner = scoring.Tie
	default:
		return o, fmt.Errorf("--empty-winner must be none or tie, is %q", c.EmptyWinner)
	}
	if len(c.Files) > 1 && c.Rejects != "" {
		return o, errors.New("--rejects takes the rows of one file; import the files one by one")
	}
	names := make(map[string]string)
	for _, file := range c.Files {
		if file != "-" {
			if _, err := os.Stat(file); err != nil { // before a database is made
				return o, err
			}
		}
		base := filepath.Base(file)
		if other, twice := names[base]; twice {
			return o, fmt.Errorf("%s and %s have the same name; import them one by one, each with a --source and --rejects of its own", other, file)
		}
		names[base] = file
	}
	return o, nil
}

func (c *importCommand) Run(ctx context.Context, m *Main) error {
	o, err := c.options()
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		return usageError{err}
	}
	folds := 1
	if m.database().Engine == config.SQLite { // before it is opened
		folds = importFolds
		if err := sqlite.ReservePages(importPages); err != nil {
			m.log.Debug("the import takes more memory", "err", err)
		}
	}
	if err := m.openToWrite(ctx); err != nil {
		return err
	}
	policy, err := m.policy(ctx)
	if err != nil {
		return err
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(importMemory))
	fold := importFold * m.config.Ledger.MaxCommit
	l := m.newLedgerOf(policy, folds*fold, fold)
	o.Store, o.Ledger, o.Now = m.store, l, m.Now
	rejected, err := c.files(ctx, m, o)
	// The ledger drains even where ctx has ended.
	if err = errors.Join(err, l.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	if rejected {
		return findings{}
	}
	return nil
}

// files imports one file after the other.
func (c *importCommand) files(ctx context.Context, m *Main, o importer.Options) (rejected bool, err error) {
	for _, file := range c.Files {
		sum, err := c.file(ctx, m, file, o)
		rejected = rejected || sum.Rejected > 0
		if err != nil && sum.Rows == 0 {
			return rejected, err
		}
		if err := errors.Join(err, m.showImport(file, sum)); err != nil {
			return rejected, err
		}
	}
	return rejected, nil
}

func (c *importCommand) file(ctx context.Context, m *Main, file string, o importer.Options) (importer.Summary, error) {
	p := m.progress("rows", 0)
	defer p.end()
	o.Progress = func(at importer.Progress) { p.set(at.Rows, at.Bytes, at.Total) }
	if file == "-" {
		return importer.Read(ctx, interruptible(ctx, m.Stdin), "stdin", 0, o)
	}
	return importer.File(ctx, file, o)
}

// interruptible returns a reader of r that ends with ctx, also while r waits
// for input that never comes.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	reader, writer := io.Pipe()
	context.AfterFunc(ctx, func() { writer.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(writer, r)
		writer.CloseWithError(err)
	}()
	return reader
}

// showImport prints what became of a file.
func (m *Main) showImport(file string, s importer.Summary) error {
	if m.cli.JSON {
		return m.printLine(struct {
			File string `json:"file"`
			importer.Summary
		}{file, s})
	}
	what := "vote"
	if s.Kind == importer.NFTs {
		what = "NFT"
	}
	rate := int64(float64(s.Rows) / max(s.Elapsed.Seconds(), 0.001))
	m.printf("%s: %s in %.1f s (%s/s): %s new, %s known before, %s rejected\n", clean(file), plural(s.Rows, "row"),
		s.Elapsed.Seconds(), grouped(rate), plural(s.Recorded, what), grouped(s.Duplicates), grouped(s.Rejected))
	if s.Kind == importer.Votes {
		m.printf("  %s and %s created; computed at once: %s\n", plural(s.NewNFTs, "NFT"), plural(s.NewVoters, "voter"), tally(s.Triggered, "none"))
	}
	if s.NoWinner > 0 {
		m.printf("  %s named no winner and counted as --empty-winner says\n", plural(s.NoWinner, "matchup"))
	}
	if s.NoTime > 0 {
		m.printf("  %s had no time and got that of the import\n", plural(s.NoTime, "vote"))
	}
	if len(s.Ignored) > 0 {
		m.printf("  columns not used: %s\n", clean(strings.Join(s.Ignored, ", ")))
	}
	if s.Rejected > 0 {
		m.printf("  rejected: %s; see %s\n", tally(s.ByCode, ""), clean(s.Rejects))
	}
	return nil
}

// tally writes counts by name: "3 fire, 12 milestone".
func tally(counts map[string]int64, none string) string {
	if len(counts) == 0 {
		return none
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, grouped(counts[name])+" "+strings.ReplaceAll(name, "_", " "))
	}
	return strings.Join(parts, ", ")
}
