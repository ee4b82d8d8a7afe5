package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"poa/internal/exporter"
)

type exportCommand struct {
	What   string `arg:"" name:"what" help:"scores, history, votes, ratings or nfts."`
	Format string `placeholder:"csv|jsonl" help:"Format. [by the name of --output, or csv]"`
	Output string `short:"o" placeholder:"FILE" help:"File, gzipped where its name ends in .gz. It is replaced when the export is complete. [standard output]"`
}

// check returns what is exported and how.
func (c *exportCommand) check(asJSON bool) (exporter.Table, exporter.Format, error) {
	table, format := exporter.Table(c.What), exporter.Format(c.Format)
	if !slices.Contains(exporter.Tables(), table) {
		return "", "", fmt.Errorf("there is no export of %q; there are scores, history, votes, ratings and nfts", c.What)
	}
	switch {
	case format == exporter.CSV, format == exporter.JSONL:
	case format != "":
		return "", "", fmt.Errorf("--format must be csv or jsonl, is %q", c.Format)
	case strings.HasSuffix(strings.TrimSuffix(c.Output, ".gz"), ".jsonl"), asJSON && c.Output == "":
		format = exporter.JSONL
	case !namesFormat(c.Output):
		return "", "", fmt.Errorf("--output %s: its name tells neither CSV nor JSONL; end it in .csv or .jsonl, or give --format", c.Output)
	default:
		format = exporter.CSV
	}
	return table, format, nil
}

// namesFormat reports whether a file's name can be that of a CSV file.
func namesFormat(path string) bool {
	switch filepath.Ext(strings.TrimSuffix(path, ".gz")) {
	case "", ".", ".csv", ".txt":
		return true
	}
	return false
}

func (c *exportCommand) Run(ctx context.Context, m *Main) error {
	table, format, err := c.check(m.cli.JSON)
	if err != nil {
		return usageError{err}
	}
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	if c.Output == "" || c.Output == "-" {
		_, err := exporter.Write(ctx, m.store, m.Stdout, table, format)
		return err
	}
	rows, err := exporter.File(ctx, m.store, c.Output, table, format)
	if err != nil {
		return err
	}
	return m.answer(struct {
		What string `json:"what"`
		File string `json:"file"`
		Rows int64  `json:"rows"`
	}{c.What, c.Output, rows}, "%s of %s written to %s\n", plural(rows, "row"), c.What, clean(c.Output))
}
