package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
)

//go:embed sql/recompute_postgres.sql
var recomputePostgres string

//go:embed sql/fill_postgres.sql
var fillPostgres string

// postgresHost makes databases on a server.
type postgresHost struct {
	cluster *pgtest.Cluster // nil where the server is somebody else's
	url     string          // of a database to connect to
	admin   *pgx.Conn
	prefix  string
	made    []*postgresDatabase // not dropped yet
}

// newPostgresHost connects to the server at address, or starts one with
// PostgreSQL's defaults, which sync every commit to disk.
func newPostgresHost(ctx context.Context, address string, now time.Time) (h *postgresHost, err error) {
	h = &postgresHost{url: address, prefix: fmt.Sprintf("poa_bench_%x_", now.UnixNano())}
	if address == "" {
		if h.cluster, err = pgtest.Start(pgtest.Options{}); err != nil {
			return nil, fmt.Errorf("starting a PostgreSQL server: %w", err)
		}
		h.url = h.cluster.URL("postgres")
	}
	if h.admin, err = pgx.Connect(ctx, h.url); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *postgresHost) version(ctx context.Context) (version string, err error) {
	err = h.admin.QueryRow(ctx, `SHOW server_version`).Scan(&version)
	version, _, _ = strings.Cut(version, " ")
	return version, err
}

func (h *postgresHost) create(ctx context.Context, label string) (database, error) {
	return h.createFrom(ctx, label, "template0")
}

func (h *postgresHost) copy(ctx context.Context, from database, label string) (database, error) {
	source := from.(*postgresDatabase)
	if err := source.close(ctx); err != nil {
		return nil, err
	}
	return h.createFrom(ctx, label, source.name)
}

func (h *postgresHost) createFrom(ctx context.Context, label, template string) (database, error) {
	db := &postgresDatabase{host: h, name: h.prefix + label}
	u, err := url.Parse(h.url)
	if err != nil {
		return nil, fmt.Errorf("reading the server's URL: %w", err)
	}
	u.Path = "/" + db.name
	db.url = u.String()
	if _, err = h.admin.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", db.name, template)); err != nil {
		return nil, err
	}
	h.made = append(h.made, db)
	return db, nil
}

func (h *postgresHost) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	for _, db := range slices.Clone(h.made) {
		errs = append(errs, db.drop(ctx))
	}
	if h.admin != nil {
		errs = append(errs, h.admin.Close(ctx))
	}
	if h.cluster != nil {
		errs = append(errs, h.cluster.Close())
	}
	return errors.Join(errs...)
}

// postgresDatabase is a database on a server.
type postgresDatabase struct {
	host      *postgresHost
	name, url string
	store     *postgres.Store
	direct    *pgx.Conn
}

func (d *postgresDatabase) open(ctx context.Context) (store.Store, error) {
	if d.store == nil {
		s, err := postgres.Open(ctx, d.url)
		if err != nil {
			return nil, err
		}
		d.store = s
	}
	return d.store, nil
}

func (d *postgresDatabase) connection(ctx context.Context) (*pgx.Conn, error) {
	if d.direct == nil {
		c, err := pgx.Connect(ctx, d.url)
		if err != nil {
			return nil, err
		}
		d.direct = c
	}
	return d.direct, nil
}

var voteColumns = []string{
	"number", "key", "voter", "kind", "super", "nft_a", "nft_b", "outcome", "value", "weight", "cast_at", "received_at",
}

// insert copies: on this table faster than INSERT with arrays.
func (d *postgresDatabase) insert(ctx context.Context, rows []store.Vote) error {
	conn, err := d.connection(ctx)
	if err != nil {
		return err
	}
	values := make([]any, len(voteColumns))
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"votes"}, voteColumns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		v := &rows[i]
		var b, value any
		if v.Kind == scoring.Matchup {
			b = v.B
		}
		if v.Kind == scoring.Slider {
			value = v.Value
		}
		return append(values[:0], v.Number, v.Key, v.Voter, int16(v.Kind), v.Super, v.A, b, int16(v.Outcome), value,
			int64(v.Weight), v.CastAt, v.ReceivedAt), nil
	}))
	if err != nil {
		return fmt.Errorf("copying votes: %w", err)
	}
	return nil
}

func (d *postgresDatabase) settle(ctx context.Context) error {
	conn, err := d.connection(ctx)
	if err != nil {
		return err
	}
	for _, statement := range []string{`VACUUM ANALYZE`, `CHECKPOINT`} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (d *postgresDatabase) written(ctx context.Context) (n int64, err error) {
	err = d.host.admin.QueryRow(ctx, `SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint`).Scan(&n)
	return n, err
}

func (d *postgresDatabase) owe(ctx context.Context, at time.Time) error {
	conn, err := d.connection(ctx)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `UPDATE ratings SET due_since = $1, due_reason = 'batch', due_priority = 1`, at)
	return err
}

func (d *postgresDatabase) fill(ctx context.Context, nfts int, at time.Time) error {
	conn, err := d.connection(ctx)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, fillPostgres, nfts, at)
	return err
}

func (d *postgresDatabase) recompute(ctx context.Context, version int64, at time.Time) error {
	conn, err := d.connection(ctx)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, recomputePostgres, version, at)
	return err
}

func (d *postgresDatabase) address() string { return d.url }

func (d *postgresDatabase) close(ctx context.Context) error {
	var errs []error
	if d.direct != nil {
		errs = append(errs, d.direct.Close(ctx))
		d.direct = nil
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
		d.store = nil
	}
	return errors.Join(errs...)
}

func (d *postgresDatabase) drop(ctx context.Context) error {
	d.host.made = slices.DeleteFunc(d.host.made, func(other *postgresDatabase) bool { return other == d })
	err := d.close(ctx)
	_, dropped := d.host.admin.Exec(context.WithoutCancel(ctx), "DROP DATABASE "+d.name+" WITH (FORCE)")
	return errors.Join(err, dropped)
}
