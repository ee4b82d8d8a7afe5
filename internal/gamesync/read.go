package gamesync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"poa/internal/ledger"
	"poa/internal/store"
)

// game reads the game's database, on one connection, by one statement at a
// time, each a transaction of its own that can write nothing. Its role needs
// SELECT on nfts, users, votes and favorites, and no more. It is not safe for
// concurrent use but for Statements.
type game struct {
	config     *pgx.ConnConfig
	conn       *pgx.Conn // nil while not connected
	statements atomic.Int64
}

// How sessions are set up, unless the URL says otherwise.
var sessionSettings = map[string]string{
	"application_name":              "poa sync",
	"default_transaction_read_only": "on",
	"statement_timeout":             "30s",
	"lock_timeout":                  "5s",
	"TimeZone":                      "UTC",
	// Where a policy would hide rows an error is wanted: favourites that are
	// hidden are not withdrawn.
	"row_security": "off",
	// A page must not be planned for one of another size.
	"plan_cache_mode": "force_custom_plan",
	"jit":             "off",
}

const connectWithin = 10 * time.Second

func newGame(url string) (*game, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("reading the URL of the game's database: %w", err) // pgx leaves the password out
	}
	for name, value := range sessionSettings {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWithin
	}
	g := &game{config: config}
	config.Tracer = g
	return g, nil
}

// TraceQueryStart counts a statement.
func (g *game) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	g.statements.Add(1)
	return ctx
}

// TraceQueryEnd does nothing.
func (g *game) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (g *game) close(ctx context.Context) error {
	if g.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := g.conn.Close(ctx)
	g.conn = nil
	return err
}

// rows runs a query and returns all that it selects. It connects where there
// is no connection.
func rows[T any](ctx context.Context, g *game, what string, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	if g.conn != nil && g.conn.IsClosed() {
		g.conn = nil
	}
	if g.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, g.config)
		if err != nil {
			return nil, fmt.Errorf("connecting to the game's database: %w", err)
		}
		g.conn = conn
	}
	found, err := g.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("reading %s of the game: %w", what, err)
	}
	all, err := pgx.CollectRows(found, scan)
	if err != nil {
		return nil, fmt.Errorf("reading %s of the game: %w", what, err)
	}
	return all, nil
}

// Of each table the columns of a row. Everything is read as text, so that no
// value of a single row can fail the statement; times are null or finite.
const (
	timeColumns = `CASE WHEN isfinite(r.created_at) THEN r.created_at::timestamptz END, COALESCE(NOT isfinite(r.created_at), false)`

	voteColumns = `SELECT r.id::text, ` + timeColumns + `, COALESCE(u.wallet_address, ''), COALESCE(r.vote_type_v2::text, ''),
	COALESCE(r.nft_a_id::text, ''), COALESCE(r.nft_b_id::text, ''), COALESCE(r.winner_id::text, ''), COALESCE(r.slider_value::text, ''),
	COALESCE(r.engagement_data->>'super_vote' = 'true', false)
FROM (SELECT * FROM votes `
	voteUsers = `) r LEFT JOIN users u ON u.id = r.user_id ORDER BY r.created_at, r.id`

	favoriteColumns = `SELECT r.id::text, ` + timeColumns + `, COALESCE(r.wallet_address, ''), COALESCE(r.vote_type::text, ''),
	COALESCE(r.nft_id::text, ''), '', '', '', false
FROM (SELECT * FROM favorites `
	favoriteEnd = `) r ORDER BY r.created_at, r.id`

	// Rows of the future wait for their time, or for the reconciliation.
	pageAfter = `WHERE (created_at, id) > ($1, $2) AND created_at <= now() ORDER BY created_at, id LIMIT $3`
	withIDs   = `WHERE id = ANY($1::uuid[])`
)

// selecting returns the query of whole rows with a condition.
func (t table) selecting(where string) string {
	if t == votes {
		return voteColumns + where + voteUsers
	}
	return favoriteColumns + where + favoriteEnd
}

func (t table) scan(r pgx.CollectableRow) (row, error) {
	at := pgtype.Timestamptz{}
	x := row{table: t}
	err := r.Scan(&x.ID, &at, &x.Endless, &x.Wallet, &x.Kind, &x.A, &x.B, &x.Winner, &x.Value, &x.Super)
	x.At = moment(at)
	return x, err
}

// moment is the zero Time for null.
func moment(t pgtype.Timestamptz) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}

// noID is below every id.
const noID = "00000000-0000-0000-0000-000000000000"

// after returns up to limit rows that come after a place, in the order of time
// and id, but for those of the future and those without a finite time.
func (g *game) after(ctx context.Context, t table, p place, limit int) ([]row, error) {
	if p.ID == "" {
		p.ID = noID
	}
	return rows(ctx, g, string(t), t.scan, t.selecting(pageAfter), p.At, p.ID, limit)
}

// withIDs returns those of the rows that are there, in the order of time and id.
func (g *game) withIDs(ctx context.Context, t table, ids []string) ([]row, error) {
	return rows(ctx, g, string(t), t.scan, t.selecting(withIDs), ids)
}

// ref is a row's id and time.
type ref struct {
	id string
	at time.Time // zero for null and infinity
}

func scanRef(r pgx.CollectableRow) (ref, error) {
	var x ref
	var at pgtype.Timestamptz
	err := r.Scan(&x.id, &at)
	x.at = moment(at)
	return x, err
}

// since returns all rows from a time on, without those of the future, in the
// order of time and id.
func (g *game) since(ctx context.Context, t table, from time.Time) ([]ref, error) {
	return rows(ctx, g, string(t), scanRef,
		`SELECT id::text, created_at::timestamptz FROM `+string(t)+` WHERE created_at >= $1 AND created_at <= now() ORDER BY created_at, id`, from)
}

// byID returns up to limit rows with ids above after, by id. Only favourites
// have their times, those that are finite: ids alone come from an index.
func (g *game) byID(ctx context.Context, t table, after string, limit int) ([]ref, error) {
	columns := `SELECT id::text, NULL::timestamptz FROM votes`
	if t == favorites {
		columns = `SELECT id::text, CASE WHEN isfinite(created_at) THEN created_at::timestamptz END FROM favorites`
	}
	if after == "" {
		return rows(ctx, g, string(t), scanRef, columns+` ORDER BY id LIMIT $1`, limit)
	}
	return rows(ctx, g, string(t), scanRef, columns+` WHERE id > $1::uuid ORDER BY id LIMIT $2`, after, limit)
}

const nftColumns = `SELECT id::text, COALESCE(name, ''), COALESCE(collection_name, ''), COALESCE(image, '') FROM nfts`

func scanNFT(r pgx.CollectableRow) (n store.NFT, err error) {
	err = r.Scan(&n.ID, &n.Name, &n.Collection, &n.ImageURL)
	n.Collection = collectionName(n.Collection)
	return n, err
}

// collectionName returns the name under which poa knows a collection of the
// game, which must be one that requests may name: "", for none, where it is
// blank, and where it is longer than ledger.MaxID its beginning, with a mark that
// keeps it apart from others that begin alike.
func collectionName(name string) string {
	if strings.TrimSpace(name) == "" {
		return ""
	}
	if len(name) <= ledger.MaxID {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	mark := "… " + hex.EncodeToString(sum[:4])
	end := ledger.MaxID - len(mark)
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end] + mark
}

// nftsAfter returns up to limit NFTs with ids above after, by id.
func (g *game) nftsAfter(ctx context.Context, after string, limit int) ([]store.NFT, error) {
	if after == "" {
		return rows(ctx, g, "nfts", scanNFT, nftColumns+` ORDER BY id LIMIT $1`, limit)
	}
	return rows(ctx, g, "nfts", scanNFT, nftColumns+` WHERE id > $1::uuid ORDER BY id LIMIT $2`, after, limit)
}

// nfts returns those of the NFTs that are there.
func (g *game) nfts(ctx context.Context, ids []string) ([]store.NFT, error) {
	return rows(ctx, g, "nfts", scanNFT, nftColumns+` WHERE id = ANY($1::uuid[])`, ids)
}

// estimates returns how many NFTs, votes and favourites there are about, as the
// server thinks; less than 0 where it has no idea.
func (g *game) estimates(ctx context.Context) (total int64, err error) {
	counts, err := rows(ctx, g, "sizes", pgx.RowTo[float32],
		`SELECT reltuples FROM pg_class WHERE oid IN ('nfts'::regclass, 'votes'::regclass, 'favorites'::regclass)`)
	for _, n := range counts {
		if n < 0 {
			return -1, err
		}
		total += int64(n)
	}
	return total, err
}

// errGame is a game's database that cannot be followed as it is.
type errGame struct{ error }

func (e errGame) Unwrap() error { return e.error }

// clockSkew is by how much the clocks of the game's server and of this machine
// may differ: well below what the ledger allows a vote to be ahead.
const clockSkew = ledger.FutureTolerance / 2

// check sees that the game can be read and that the clocks agree, and returns
// warnings.
func (g *game) check(ctx context.Context, now func() time.Time) (warnings []string, err error) {
	clock, err := rows(ctx, g, "clock", pgx.RowTo[time.Time], `SELECT clock_timestamp()`)
	if err != nil {
		return nil, err
	}
	if skew := now().Sub(clock[0]); skew.Abs() > clockSkew {
		return nil, errGame{fmt.Errorf("this machine's clock is %v off that of the game's database: set both by NTP", skew.Round(time.Second))}
	}
	for _, t := range []table{votes, favorites} {
		_, err := g.withIDs(ctx, t, []string{noID})
		if err == nil {
			_, err = g.byID(ctx, t, "", 1)
		}
		if err == nil {
			_, err = g.since(ctx, t, clock[0])
		}
		if err != nil {
			return nil, unfit(err)
		}
		indexed, err := rows(ctx, g, "indexes", pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM pg_index i
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
			WHERE i.indrelid = $1::text::regclass AND a.attname = 'created_at' AND i.indisvalid AND i.indpred IS NULL)`, string(t))
		if err != nil {
			return nil, err
		}
		if !indexed[0] {
			warnings = append(warnings, fmt.Sprintf("the game's table %[1]s has no index that begins with created_at, so each look for new rows reads all of it; "+
				"make one: CREATE INDEX CONCURRENTLY ON %[1]s (created_at, id)", t))
		}
	}
	if _, err := g.nfts(ctx, []string{noID}); err != nil {
		return nil, unfit(err)
	}
	return warnings, nil
}

// unfit marks an error by which the server says that tables or rights are
// missing.
func unfit(err error) error {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && len(pg.Code) == 5 && pg.Code[:2] == "42" {
		return errGame{err}
	}
	return err
}

// Refused reports whether an error says that the game's database is not as it
// must be, or that its role may not read it: no repetition helps against that.
func Refused(err error) bool {
	var refused errGame
	return errors.As(err, &refused)
}
