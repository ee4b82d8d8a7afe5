package main

import "context"

type migrateCommand struct{}

func (c *migrateCommand) Run(ctx context.Context, m *Main) error {
	if err := m.open(ctx); err != nil {
		return err
	}
	before, want, err := m.schema(ctx)
	if err != nil {
		return err
	}
	if before > want {
		return m.fits(before, want)
	}
	if err := m.migrate(ctx); err != nil {
		return err
	}
	if m.cli.JSON {
		return m.printJSON(struct {
			Database string `json:"database"`
			Before   int64  `json:"before"`
			Now      int64  `json:"now"`
		}{m.database().String(), before, want})
	}
	if before == want {
		m.printf("%s is up to date: schema version %d\n", m.database(), want)
	} else {
		m.printf("%s migrated from schema version %d to %d\n", m.database(), before, want)
	}
	return nil
}
