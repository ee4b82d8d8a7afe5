package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
)

// connector opens connections that keep every statement prepared and count
// what they execute, and counts them.
type connector struct {
	driver.Connector
	statements *atomic.Int64
	opened     *atomic.Int64
}

// driverConn is what the driver's connections can do beyond driver.Conn.
type driverConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.SessionResetter
	driver.Validator
}

// driverStmt is what the driver's statements can do beyond driver.Stmt.
type driverStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	dc, ok := inner.(driverConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the SQLite driver's connection %T lacks methods", inner), inner.Close())
	}
	c.opened.Add(1)
	return &conn{driverConn: dc, prepared: make(map[string]*prepared), statements: c.statements}, nil
}

// kept is how many statements a connection keeps prepared: all of this
// package's, and as many of those that others run in its transactions.
const kept = 256

// conn is a connection that prepares each statement text once and forgets those
// that were not used for longest. Like every driver.Conn it is used by one
// goroutine at a time.
type conn struct {
	driverConn
	prepared   map[string]*prepared
	uses       int64
	statements *atomic.Int64
}

// prepared is a statement, whether a result of it is being read, and when it
// was last used, in uses of its connection.
type prepared struct {
	driverStmt
	reading bool
	used    int64
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.statements.Add(1)
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args)
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.statements.Add(1)
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.reading = true
	return &rows{Rows: r, of: s}, nil
}

func (c *conn) statement(ctx context.Context, query string) (*prepared, error) {
	c.uses++
	if s := c.prepared[query]; s != nil {
		if s.reading {
			return nil, fmt.Errorf("a statement ran again while its result was read: %s", query)
		}
		s.used = c.uses
		return s, nil
	}
	if err := c.forget(); err != nil {
		return nil, err
	}
	inner, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	ds, ok := inner.(driverStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the SQLite driver's statement %T lacks methods", inner), inner.Close())
	}
	s := &prepared{driverStmt: ds, used: c.uses}
	c.prepared[query] = s
	return s, nil
}

// forget makes room for one more statement.
func (c *conn) forget() error {
	if len(c.prepared) < kept {
		return nil
	}
	var oldest string
	for query, s := range c.prepared {
		if !s.reading && (oldest == "" || s.used < c.prepared[oldest].used) {
			oldest = query
		}
	}
	if oldest == "" {
		return nil
	}
	err := c.prepared[oldest].Close()
	delete(c.prepared, oldest)
	return err
}

// Close finalizes the statements before the connection.
func (c *conn) Close() error {
	var errs []error
	for _, s := range c.prepared {
		errs = append(errs, s.Close())
	}
	clear(c.prepared)
	return errors.Join(append(errs, c.driverConn.Close())...)
}

// rows frees its statement for the next execution when it is closed.
type rows struct {
	driver.Rows
	of *prepared
}

func (r *rows) Close() error {
	r.of.reading = false
	return r.Rows.Close()
}
