package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"poa/internal/store"
)

// classify adds to an error of the driver the error of package store that
// says what a caller can do about it. The driver's own text stays readable.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if kind := kindOf(err); kind != nil && !errors.Is(err, kind) {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

func kindOf(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() & 0xff {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_PROTOCOL:
		return store.ErrContention
	case codes.SQLITE_CONSTRAINT:
		if e.Code() == codes.SQLITE_CONSTRAINT_UNIQUE && strings.Contains(e.Error(), "votes.key") {
			return store.ErrKeyExists
		}
		return store.ErrData
	case codes.SQLITE_MISMATCH, codes.SQLITE_TOOBIG:
		return store.ErrData
	case codes.SQLITE_FULL, codes.SQLITE_READONLY, codes.SQLITE_IOERR, codes.SQLITE_CANTOPEN,
		codes.SQLITE_NOTADB, codes.SQLITE_PERM, codes.SQLITE_CORRUPT:
		return store.ErrUnavailable
	case codes.SQLITE_INTERRUPT:
		return context.Canceled
	case codes.SQLITE_ERROR:
		for _, s := range []string{"no such table", "no such column", "has no column named"} {
			if strings.Contains(e.Error(), s) {
				return store.ErrSchema
			}
		}
	}
	return nil
}

// doing says what failed.
func doing(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, classify(err))
}
