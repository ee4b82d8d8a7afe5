package gamesync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// TrialTable is the table that a trial writes to, in the game's database.
const TrialTable = "poa_trial"

// TrialTableSQL makes the trial table.
const TrialTableSQL = `CREATE TABLE ` + TrialTable + ` (
    nft_id             uuid PRIMARY KEY,
    poa_v2             numeric,
    poa_v2_updated_at  timestamptz,
    poa_v2_components  jsonb,
    poa_v2_confidence  numeric,
    poa_v2_explanation text,
    elo_mean           numeric,
    elo_sigma          numeric
)`

// outcome is what became of a row.
type outcome string

const (
	rowWritten   outcome = "written"
	rowUnchanged outcome = "unchanged" // it was so already
	rowNewer     outcome = "newer"     // the game's value is newer
	rowLocked    outcome = "locked"    // somebody holds the row
	rowMissing   outcome = "missing"   // there is no such row
	rowFailed    outcome = "failed"    // the database refused it, see detail
)

// scoreRow is a score as it is written; without one its columns become null.
type scoreRow struct {
	change                  // at is the score's own time where there is one
	poa, confidence         *float64
	components, explanation *string
	mean, sigma             float64

	outcome outcome
	detail  string
}

// gameTable is where scores are written to.
type gameTable struct {
	name       string // for people and as the lease's
	trial, elo bool
	pool       *pgxpool.Pool
	sql        string
	statements atomic.Int64
}

func openGameTable(ctx context.Context, s *WriteSettings) (*gameTable, error) {
	config, err := pgxpool.ParseConfig(s.To)
	if err != nil {
		return nil, fmt.Errorf("reading the URL of the game's database: %w", err) // pgx leaves the password out
	}
	c := config.ConnConfig
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "poa write-back"
	}
	g := &gameTable{trial: s.Mode == WriteTrial, elo: s.Elo}
	config.MaxConns, config.MaxConnIdleTime = 1, 5*time.Minute
	c.Tracer = statementCounter{&g.statements}
	if g.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("opening the game's database: %w", err)
	}
	g.name = fmt.Sprintf("%s of %s:%d/%s", g.table(), c.Host, c.Port, c.Database)
	g.sql = writeSQL(g.trial, g.elo)
	return g, nil
}

func (g *gameTable) close() { g.pool.Close() }

func (g *gameTable) table() string {
	if g.trial {
		return TrialTable
	}
	return "nfts"
}

// statementCounter counts the statements that are sent.
type statementCounter struct{ n *atomic.Int64 }

func (c statementCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c statementCounter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	c.n.Add(int64(data.Batch.Len()))
	return ctx
}

func (statementCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)     {}
func (statementCounter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (statementCounter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// scoreColumns are written in every case, eloColumns where that is switched on.
// Numbers become numeric as they are written in text, all their digits.
var (
	scoreColumns = []scoreColumn{
		{"poa_v2", "w.poa::text::numeric", "::float8", "w.poa"},
		{"poa_v2_updated_at", "CASE WHEN w.poa IS NULL THEN NULL ELSE w.at END", "", "CASE WHEN w.poa IS NULL THEN NULL ELSE w.at END"},
		{"poa_v2_components", "w.components::jsonb", "::jsonb", "w.components::jsonb"},
		{"poa_v2_confidence", "w.confidence::text::numeric", "::float8", "w.confidence"},
		{"poa_v2_explanation", "w.explanation", "", "w.explanation"},
	}
	eloColumns = []scoreColumn{
		{"elo_mean", "w.mean::text::numeric", "::float8", "w.mean"},
		{"elo_sigma", "w.sigma::text::numeric", "::float8", "w.sigma"},
	}
)

// scoreColumn is a column, what it is set to, and how it is compared: its value
// after a cast with another.
type scoreColumn struct{ name, value, cast, same string }

func writtenColumns(elo bool) []scoreColumn {
	if elo {
		return append(scoreColumns[:len(scoreColumns):len(scoreColumns)], eloColumns...)
	}
	return scoreColumns
}

// writeSettings go before each writing statement, for it alone: it looks up
// rows by key, waits for no lock of the table for long, and takes no time.
const writeSettings = `SELECT set_config('lock_timeout', '1s', true), set_config('statement_timeout', '10s', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
	set_config('jit', 'off', true)`

// writeSQL returns the statement that writes rows, given as arrays, and tells
// the outcome of each by its place from 1 on.
func writeSQL(trial, elo bool) string {
	columns := writtenColumns(elo)
	var names, values, sets, differ []string
	for _, c := range columns {
		names, values = append(names, c.name), append(values, c.value)
		differ = append(differ, fmt.Sprintf("t.%s%s IS DISTINCT FROM %s", c.name, c.cast, c.same))
		if trial {
			sets = append(sets, fmt.Sprintf("%s = excluded.%s", c.name, c.name))
		} else {
			sets = append(sets, fmt.Sprintf("%s = %s", c.name, c.value))
		}
	}
	given := `WITH given AS (
	SELECT * FROM unnest($1::uuid[], $2::float8[], $3::float8[], $4::text[], $5::text[], $6::timestamptz[], $7::float8[], $8::float8[])
		WITH ORDINALITY AS g (id, poa, confidence, components, explanation, at, mean, sigma, place)
)`
	outcomes := `
SELECT w.place, CASE WHEN w.missing THEN 'missing' WHEN w.newer THEN 'newer' WHEN NOT w.changed THEN 'unchanged'
	WHEN EXISTS (SELECT FROM done WHERE done.id = w.id) THEN 'written' ELSE 'locked' END
FROM seen w`
	if trial {
		return given + fmt.Sprintf(`, seen AS MATERIALIZED (
	SELECT w.*, n.id IS NULL AS missing, COALESCE(t.poa_v2_updated_at > w.at, false) AS newer,
		CASE WHEN t.nft_id IS NULL THEN w.poa IS NOT NULL ELSE %s END AS changed
	FROM given w LEFT JOIN nfts n ON n.id = w.id LEFT JOIN %s t ON t.nft_id = w.id
), done AS (
	INSERT INTO %s (nft_id, %s) SELECT w.id, %s FROM seen w WHERE w.changed AND NOT w.newer AND NOT w.missing
	ON CONFLICT (nft_id) DO UPDATE SET %s
	RETURNING nft_id AS id
)`, strings.Join(differ, " OR "), TrialTable, TrialTable, strings.Join(names, ", "), strings.Join(values, ", "), strings.Join(sets, ", ")) + outcomes
	}
	// A row that changed since the statement began is looked at again by UPDATE.
	return given + fmt.Sprintf(`, seen AS MATERIALIZED (
	SELECT w.*, t.id IS NULL AS missing, COALESCE(t.poa_v2_updated_at > w.at, false) AS newer, (%s) AS changed
	FROM given w LEFT JOIN nfts t ON t.id = w.id
), free AS MATERIALIZED (
	SELECT n.id FROM nfts n WHERE n.id IN (SELECT id FROM seen WHERE changed AND NOT newer) ORDER BY n.id
	FOR NO KEY UPDATE SKIP LOCKED
), done AS (
	UPDATE nfts t SET %s FROM seen w
	WHERE t.id = w.id AND t.id IN (SELECT id FROM free) AND (t.poa_v2_updated_at IS NULL OR t.poa_v2_updated_at <= w.at)
	RETURNING t.id
)`, strings.Join(differ, " OR "), strings.Join(sets, ", ")) + outcomes
}

// write writes rows in one transaction and notes the outcome of each. Where the
// database refuses a value, the others are written without it.
func (g *gameTable) write(ctx context.Context, rows []scoreRow) error {
	var known []*scoreRow
	for i := range rows {
		var id pgtype.UUID
		if id.Scan(rows[i].id) != nil { // it is not the game's
			rows[i].outcome = rowMissing
			continue
		}
		known = append(known, &rows[i])
	}
	return g.part(ctx, known)
}

// part writes rows, or halves of them.
func (g *gameTable) part(ctx context.Context, rows []*scoreRow) error {
	if len(rows) == 0 {
		return nil
	}
	err := g.send(ctx, rows)
	var answer *pgconn.PgError
	switch {
	case err == nil || !errors.As(err, &answer):
		return err
	case contended(answer.Code):
		for _, r := range rows {
			r.outcome = rowLocked
		}
		return nil
	case !refused(answer.Code):
		return err
	case len(rows) == 1:
		rows[0].outcome, rows[0].detail = rowFailed, answer.Message
		return nil
	}
	half := len(rows) / 2
	if err := g.part(ctx, rows[:half]); err != nil {
		return err
	}
	return g.part(ctx, rows[half:])
}

// contended reports a deadlock, a lock or statement timeout or a serialisation
// failure: nothing was written, and may be later.
func contended(code string) bool {
	return code == "40P01" || code == "40001" || code == "55P03" || code == "57014"
}

// refused reports whether an error is about a value: data, constraints, and what
// triggers raise.
func refused(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "P0")
}

// send sends the statement. The two of the batch are one transaction.
func (g *gameTable) send(ctx context.Context, rows []*scoreRow) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	batch := &pgx.Batch{}
	batch.Queue(writeSettings)
	batch.Queue(g.sql,
		columnOf(rows, func(r *scoreRow) string { return r.id }),
		columnOf(rows, func(r *scoreRow) *float64 { return r.poa }),
		columnOf(rows, func(r *scoreRow) *float64 { return r.confidence }),
		columnOf(rows, func(r *scoreRow) *string { return r.components }),
		columnOf(rows, func(r *scoreRow) *string { return r.explanation }),
		columnOf(rows, func(r *scoreRow) time.Time { return r.at }),
		columnOf(rows, func(r *scoreRow) float64 { return r.mean }),
		columnOf(rows, func(r *scoreRow) float64 { return r.sigma }),
	)
	results := g.pool.SendBatch(ctx, batch)
	err := g.read(results, rows)
	if err := errors.Join(err, results.Close()); err != nil {
		return fmt.Errorf("writing scores to %s: %w", g.name, err)
	}
	return nil
}

// read reads the outcomes.
func (g *gameTable) read(results pgx.BatchResults, rows []*scoreRow) error {
	if _, err := results.Exec(); err != nil {
		return err
	}
	answer, err := results.Query()
	if err != nil {
		return err
	}
	var place int
	var o outcome
	told := 0
	_, err = pgx.ForEachRow(answer, []any{&place, &o}, func() error {
		if place < 1 || place > len(rows) {
			return fmt.Errorf("an outcome of row %d of %d", place, len(rows))
		}
		rows[place-1].outcome = o
		told++
		return nil
	})
	if err == nil && told != len(rows) {
		err = fmt.Errorf("%d outcomes of %d rows", told, len(rows))
	}
	return err
}

func columnOf[V any](rows []*scoreRow, of func(*scoreRow) V) []V {
	values := make([]V, len(rows))
	for i, r := range rows {
		values[i] = of(r)
	}
	return values
}

// MissingError says what the role of the write-back cannot do, and what its
// owner can run for it.
type MissingError struct{ Message, SQL string }

func (e *MissingError) Error() string { return e.Message + "; needed: " + e.SQL }

// right is a privilege on a column.
type right struct{ table, column, privilege string }

// rights are those that the write-back needs, and a comparison.
func (g *gameTable) rights() []right {
	list := []right{{"nfts", "id", "SELECT"}}
	if g.trial {
		list = append(list, right{"nfts", "name", "SELECT"}, right{"nfts", "collection_name", "SELECT"}, right{"nfts", "poa_v2", "SELECT"},
			right{TrialTable, "nft_id", "SELECT"}, right{TrialTable, "nft_id", "INSERT"})
	}
	for _, c := range writtenColumns(g.elo) {
		list = append(list, right{g.table(), c.name, "SELECT"}, right{g.table(), c.name, "UPDATE"})
		if g.trial {
			list = append(list, right{g.table(), c.name, "INSERT"})
		}
	}
	return list
}

// check looks whether the tables are there and may be written.
func (g *gameTable) check(ctx context.Context, log *slog.Logger) error {
	if g.trial {
		if err := g.makeTrial(ctx); err != nil {
			return err
		}
	}
	var tables, columns, privileges []string
	for _, r := range g.rights() {
		tables, columns, privileges = append(tables, r.table), append(columns, r.column), append(privileges, r.privilege)
	}
	var role string
	var hidden bool
	var grants []string
	err := g.pool.QueryRow(ctx, `SELECT current_user::text, row_security_active('nfts'), ARRAY(
		SELECT format('GRANT %s (%s) ON %s TO %I', n.privilege, string_agg(n.field, ', ' ORDER BY n.place), n.name, current_user)
		FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS n (name, field, privilege, place)
		WHERE NOT has_column_privilege(n.name, n.field, n.privilege) GROUP BY n.name, n.privilege ORDER BY min(n.place))`,
		tables, columns, privileges).Scan(&role, &hidden, &grants)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", g.name, err)
	}
	if len(grants) > 0 {
		return &MissingError{fmt.Sprintf("the role %s may not write scores to %s", role, g.name), strings.Join(grants, "; ")}
	}
	if hidden {
		return g.checkPolicies(ctx, role, log)
	}
	return nil
}

// checkPolicies looks whether row-level security lets the role have any row: of
// those that it hides the write-back could not tell that they are not locked.
func (g *gameTable) checkPolicies(ctx context.Context, role string, log *slog.Logger) error {
	look, commands := "SELECT FROM nfts FOR NO KEY UPDATE SKIP LOCKED LIMIT 1", "ALL"
	if g.trial {
		look, commands = "SELECT FROM nfts LIMIT 1", "SELECT"
	}
	tag, err := g.pool.Exec(ctx, look)
	if err != nil {
		return fmt.Errorf("looking at rows of %s: %w", g.name, err)
	}
	if tag.RowsAffected() == 0 {
		return &MissingError{
			fmt.Sprintf("row-level security of nfts hides all rows from the role %s", role),
			fmt.Sprintf("CREATE POLICY poa_writes ON nfts FOR %s TO %s USING (true)", commands, pgx.Identifier{role}.Sanitize()),
		}
	}
	log.Warn("row-level security applies to the role: rows that its policies hide are not written", "role", role, "table", g.name)
	return nil
}

// makeTrial makes the trial table where it is not there and the role may.
func (g *gameTable) makeTrial(ctx context.Context) error {
	var there bool
	err := g.pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", TrialTable).Scan(&there)
	if err == nil && !there {
		_, err = g.pool.Exec(ctx, strings.Replace(TrialTableSQL, "TABLE", "TABLE IF NOT EXISTS", 1))
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "42501" {
		return &MissingError{fmt.Sprintf("the table %s is not in the game's database, and the role may not make it", TrialTable), TrialTableSQL}
	}
	if err != nil {
		return fmt.Errorf("looking for %s: %w", g.name, err)
	}
	return nil
}
