package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"poa/internal/config"
	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/samples"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/sqlite"
)

// who is named as the author of what the command line changes.
const who = "command line"

// database returns the database in force. Its String is without password.
func (m *Main) database() config.Database {
	db, err := config.ParseDatabase(m.config.Database)
	if err != nil {
		panic("a database setting passed its check and cannot be read: " + err.Error())
	}
	return db
}

// open opens the database, whatever its schema. The stores' errors name it.
func (m *Main) open(ctx context.Context) (err error) {
	db := m.database()
	if db.Engine == config.SQLite {
		m.store, err = asStore(sqlite.Open(ctx, db.Path))
	} else {
		m.store, err = asStore(postgres.Open(ctx, db.URL))
	}
	return err
}

// asStore keeps a failed open from becoming a store that is not nil.
func asStore[S store.Store](s S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openToWrite opens the database and creates its tables where poa has not
// touched it.
func (m *Main) openToWrite(ctx context.Context) error {
	if err := m.open(ctx); err != nil {
		return err
	}
	have, want, err := m.schema(ctx)
	if err != nil {
		return err
	}
	if have == 0 {
		return m.migrate(ctx)
	}
	return m.fits(have, want)
}

// openToRead opens a database that has data already, without making one.
func (m *Main) openToRead(ctx context.Context) error {
	db := m.database()
	if db.Engine == config.SQLite {
		if _, err := os.Stat(db.Path); errors.Is(err, fs.ErrNotExist) {
			return m.untouched()
		}
	}
	if err := m.open(ctx); err != nil {
		return err
	}
	have, want, err := m.schema(ctx)
	if err != nil {
		return err
	}
	if have == 0 {
		return m.untouched()
	}
	return m.fits(have, want)
}

func (m *Main) schema(ctx context.Context) (have, want int64, err error) {
	if have, want, err = m.store.Schema(ctx); err != nil {
		return 0, 0, fmt.Errorf("looking at the schema of %s: %w", m.database(), err)
	}
	return have, want, nil
}

func (m *Main) untouched() error {
	return withHint(fmt.Errorf("the database %s is empty", m.database()),
		"poa sample, or poa import FILE; or name another database with --database")
}

func (m *Main) fits(have, want int64) error {
	switch {
	case have < want:
		return withHint(fmt.Errorf("the database %s has schema version %d; this program works with version %d", m.database(), have, want),
			"poa migrate")
	case have > want:
		return withHint(fmt.Errorf("the database %s has schema version %d; this program knows versions up to %d", m.database(), have, want),
			"use the newer program that made this database")
	}
	return nil
}

// policy fixes or checks the folding constants and returns what is in force.
func (m *Main) policy(ctx context.Context) (*publish.Policy, error) {
	s, err := m.openSettings(ctx)
	if err != nil {
		return nil, err
	}
	return s.Current().Policy, nil
}

// newLedger starts the intake of votes.
func (m *Main) newLedger(p *publish.Policy) *ledger.Ledger {
	return m.newLedgerOf(p, m.config.Ledger.MaxCommit, m.config.Ledger.MaxCommit)
}

// newLedgerOf is newLedger with other sizes than the settings': votes in one
// commit, and votes of it that are folded together.
func (m *Main) newLedgerOf(p *publish.Policy, commit, fold int) *ledger.Ledger {
	return ledger.New(m.store, ledger.Options{
		Policy: p, Now: m.Now, MaxCommit: commit, MaxFold: fold, MaxQueue: m.config.Ledger.MaxQueue, Observer: m.recorder(), Log: m.log,
	})
}

// recorder returns what counts for the panel's charts what this process does
// beside a service. What it has not yet added to the database's samples,
// endRecorder adds.
func (m *Main) recorder() *samples.Recorder {
	if m.samples == nil {
		m.samples = samples.NewRecorder(samples.Options{Store: m.service(), CountsOnly: true, Now: m.Now, Log: m.log})
		m.samples.Start()
	}
	return m.samples
}

// endRecorder ends a recorder that there is. It does so also when the command
// was interrupted: what it did until then is in force.
func (m *Main) endRecorder() {
	if m.samples != nil {
		m.samples.Stop(context.Background())
		m.samples = nil
	}
}
