package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"poa/internal/store"
)

// failure says what was being done when err occurred before a commit, and which
// of the store's errors it is. It returns nil for nil.
func (l *link) failure(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	kind := kindOf(err)
	if lost := l.conn.Conn().IsClosed(); lost {
		// Other connections are likely to be dead too: a server that restarted.
		l.store.pool.Reset()
		if kind == nil && ctx.Err() == nil {
			kind = store.ErrUnavailable
		}
	}
	if kind == nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, kind, err)
}

// kindOf returns which of the store's errors the server's answer is, nil for
// none.
func kindOf(err error) error {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return nil
	}
	switch code := answer.Code; {
	case code == "40P01", code == "40001", code == "55P03", // deadlock, serialisation, lock timeout
		code == "57014", code == "25P04": // cancelled, by a timeout or a person
		return store.ErrContention
	case code == "23505" && answer.ConstraintName == "votes_key":
		return store.ErrKeyExists
	case strings.HasPrefix(code, "22"), strings.HasPrefix(code, "23"): // data, integrity
		return store.ErrData
	case code == "57P01", code == "57P02", code == "57P03", // shutting down, crashed, starting
		code == "57P05", code == "25P03", // thrown out while idle
		code == "25006",               // read-only: a standby
		strings.HasPrefix(code, "53"), // out of disk, memory, connections
		strings.HasPrefix(code, "58"), // the operating system failed
		strings.HasPrefix(code, "08"): // connection
		return store.ErrUnavailable
	case code == "42P01", code == "42703", code == "3F000": // no such table, column, schema
		return store.ErrSchema
	}
	return nil
}

// unavailable marks an error of a statement outside of the store's
// transactions, where nothing was changed, if it is the connection's.
func (s *Store) unavailable(ctx context.Context, err error) error {
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) || ctx.Err() != nil || errors.Is(err, store.ErrSchema) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
