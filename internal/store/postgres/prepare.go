package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
)

// Names in meta.
const (
	metaFolding = "folding"
	metaCreated = "created_at"
)

// Prepare fixes or checks the folding constants and returns the number of the
// scoring version with c's publishing constants.
func (s *Store) Prepare(ctx context.Context, c scoring.Constants, who string, now time.Time) (int64, error) {
	have, want, err := s.Schema(ctx)
	if err != nil {
		return 0, err
	}
	if have != want {
		return 0, fmt.Errorf("%w: it has version %d, this program works with %d", store.ErrSchema, have, want)
	}
	var version int64
	err = s.update(ctx, func(l *link) error {
		if err := l.q.AdvisoryLock(ctx, prepareLock); err != nil {
			return err
		}
		if err := l.fixFolding(ctx, c.Folding, now); err != nil {
			return err
		}
		if err := l.q.AdoptActivity(ctx); err != nil {
			return err
		}
		version, err = l.scoringVersion(ctx, c.Publishing, who, now)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.folding.Store(&c.Folding)
	return version, nil
}

// fixFolding keeps the folding constants of a new database and compares those
// of another.
func (l *link) fixFolding(ctx context.Context, f scoring.Folding, now time.Time) error {
	fixed, found, err := l.readFolding(ctx)
	if err != nil {
		return err
	}
	if found {
		if names := differences(fixed, f); len(names) > 0 {
			return fmt.Errorf("%w: %s", store.ErrFoldingFixed, strings.Join(names, ", "))
		}
		return nil
	}
	value, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("writing the folding constants: %w", err)
	}
	return errors.Join(
		l.q.InsertMeta(ctx, InsertMetaParams{Name: metaFolding, Value: string(value)}),
		l.q.InsertMeta(ctx, InsertMetaParams{Name: metaCreated, Value: now.UTC().Format(time.RFC3339Nano)}),
	)
}

func (l *link) readFolding(ctx context.Context) (f scoring.Folding, found bool, err error) {
	values, err := l.q.Meta(ctx, metaFolding)
	if err != nil {
		return f, false, l.failure(ctx, "reading the folding constants", err)
	}
	if len(values) == 0 {
		return f, false, nil
	}
	if err := json.Unmarshal([]byte(values[0]), &f); err != nil {
		return f, false, fmt.Errorf("reading the folding constants: %w", err)
	}
	return f, true, nil
}

// fixedFolding returns the constants the database was created with.
func (l *link) fixedFolding(ctx context.Context) (*scoring.Folding, error) {
	if f := l.store.folding.Load(); f != nil {
		return f, nil
	}
	f, found, err := l.readFolding(ctx)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: no folding constants are fixed, it was not prepared", store.ErrSchema)
	}
	l.store.folding.Store(&f)
	return &f, nil
}

// differences names the constants that differ, with both values.
func differences(fixed, given scoring.Folding) []string {
	was, is := fields(fixed), fields(given)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if was[name] != is[name] {
			names = append(names, fmt.Sprintf("%s is %s, not %s", name, was[name], is[name]))
		}
	}
	return names
}

// fields returns the constants as they are written in JSON, by name.
func fields(f scoring.Folding) map[string]json.Number {
	var m map[string]json.Number
	text, err := json.Marshal(f)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		panic(fmt.Sprintf("folding constants are numbers: %v", err)) // Validate refuses what JSON cannot express
	}
	return m
}

// scoringVersion finds or makes the version with the constants p.
func (l *link) scoringVersion(ctx context.Context, p scoring.Publishing, who string, now time.Time) (int64, error) {
	versions, err := l.q.ScoringVersions(ctx)
	if err != nil {
		return 0, l.failure(ctx, "reading the scoring versions", err)
	}
	var last int64
	for _, v := range versions {
		var known scoring.Publishing
		if err := json.Unmarshal(v.Publishing, &known); err != nil {
			return 0, fmt.Errorf("reading scoring version %d: %w", v.Number, err)
		}
		if known == p {
			return v.Number, nil
		}
		last = v.Number
	}
	text, err := json.Marshal(p)
	if err != nil {
		return 0, fmt.Errorf("writing a scoring version: %w", err)
	}
	return last + 1, l.q.InsertScoringVersion(ctx, InsertScoringVersionParams{
		Number: last + 1, Publishing: string(text), CreatedAt: stamp(now), Who: who,
	})
}
