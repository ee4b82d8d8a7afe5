package e2e_test

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/gamesync/gametest"
	"poa/internal/scoring"
	"poa/internal/store"
)

// writeSettings are those of a write-back in a hurry, by a role that may write
// the score columns and no more.
func (f *followed) writeSettings() []string {
	f.t.Helper()
	if f.to == "" {
		role := "writer_" + query[string](f.t, f.url, "SELECT current_database()")
		columns := "poa_v2, poa_v2_confidence, poa_v2_components, poa_v2_explanation, poa_v2_updated_at"
		for _, sql := range []string{
			"CREATE ROLE " + role + " LOGIN",
			"GRANT SELECT (id, " + columns + "), UPDATE (" + columns + ") ON nfts TO " + role,
		} {
			execute(f.t, f.url, sql)
		}
		f.to = strings.Replace(f.url, "postgres@", role+"@", 1)
	}
	return []string{"writeback.to=" + f.to, "writeback.rate=2000", "writeback.lease=1s", "writeback.poll=100ms"}
}

// writeBack writes all that is left to write.
func (f *followed) writeBack(database string) {
	f.t.Helper()
	var done struct {
		Complete bool
		Waiting  map[string]int64
		Written  int64
	}
	eventually(f.t, "all scores are written", func() bool {
		code, out := runWith(f.t, database, f.writeSettings(), "writeback", "run", "--once", "--json")
		if code == 2 && strings.Contains(out, "and holds that until") { // a process that was killed
			time.Sleep(100 * time.Millisecond)
			return false
		}
		if err := json.Unmarshal([]byte(out), &done); err != nil || code != 0 {
			f.t.Fatalf("poa writeback run --once: exit code %d, %v\n%s", code, err, out)
		}
		return true
	})
	if !done.Complete || len(done.Waiting) > 0 {
		f.t.Errorf("the last write-back left something: %+v", done)
	}
	f.t.Logf("the last write-back: %+v", done)
}

// columns are an NFT's score columns, "" and 0 for null.
type columns struct {
	ID, Explanation, Components string
	POA, Confidence             float64
	At                          time.Time
}

// checkColumns: the game's score columns are poa's scores; those of NFTs that
// poa has no score of are as they were.
func (f *followed) checkColumns(database string) {
	f.t.Helper()
	ctx := f.t.Context()
	conn, err := pgx.Connect(ctx, f.url)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT id::text, COALESCE(poa_v2_explanation, ''), COALESCE(poa_v2_components::text, ''), COALESCE(poa_v2, 0)::float8,
		COALESCE(poa_v2_confidence, 0)::float8, COALESCE(poa_v2_updated_at, 'epoch') FROM nfts`)
	if err != nil {
		f.t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[columns])
	if err != nil {
		f.t.Fatal(err)
	}
	game := make(map[string]columns, len(list))
	for _, c := range list {
		game[c.ID] = c
	}
	scored, withdrawn := 0, 0
	err = open(f.t, database).View(ctx, func(v store.View) error {
		for r, err := range v.AllRatings(ctx) {
			if err != nil {
				return err
			}
			switch {
			case r.Score != nil:
				scored++
				f.checkScore(ctx, v, &r, game[r.ID])
			case !r.Scorable() && r.FireVotes > 0:
				withdrawn++
				if c := game[r.ID]; c.Explanation != "" || c.Components != "" || c.POA != 0 {
					f.t.Errorf("the score of %s was withdrawn; the game has %+v", r.ID, c)
				}
			default:
				continue
			}
			delete(game, r.ID)
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range f.NFTs {
		f.checkUntouched(&f.NFTs[i], game)
	}
	f.t.Logf("%d scores are written, %d are withdrawn, of %d NFTs nothing was written", scored, withdrawn, len(game))
	if scored < 100 {
		f.t.Errorf("only %d NFTs have a score", scored)
	}
}

// checkScore compares the columns with a score.
func (f *followed) checkScore(ctx context.Context, v store.View, r *store.Rating, c columns) {
	f.t.Helper()
	s := r.Score
	publishing, err := v.ScoringVersion(ctx, s.Version)
	if err != nil {
		f.t.Fatal(err)
	}
	var parts map[string]float64
	if err := json.Unmarshal([]byte(c.Components), &parts); err != nil {
		f.t.Errorf("the components of %s are %q: %v", r.ID, c.Components, err)
		return
	}
	if c.POA != s.POA || c.Confidence != s.Confidence || !c.At.Equal(s.ComputedAt) || c.Explanation != publishing.Explain(s.POA, s.Components) ||
		len(parts) != 5 || parts["confidence"] != s.Confidence || (scoring.Components{
		Elo: parts["elo_component"], Slider: parts["slider_component"], Fire: parts["fire_component"], Reliability: parts["avg_reliability"],
	}) != s.Components {
		f.t.Errorf("%s: the game has %+v, poa has %+v", r.ID, c, s)
	}
}

// checkUntouched compares the columns of an NFT that poa has no score of with
// what they were.
func (f *followed) checkUntouched(n *gametest.NFT, game map[string]columns) {
	f.t.Helper()
	c, there := game[n.ID]
	if !there {
		return
	}
	was := columns{ID: n.ID, At: time.Unix(0, 0)}
	if n.Old != nil {
		was.POA, was.Confidence, was.At = n.Old.POA, n.Old.Confidence, n.Old.At
	}
	if math.Abs(c.POA-was.POA) > 1e-9 || math.Abs(c.Confidence-was.Confidence) > 1e-9 || !c.At.Equal(was.At) || strings.HasPrefix(c.Explanation, "POA ") {
		f.t.Errorf("poa has no score of %s; the game had %+v and has %+v", n.ID, was, c)
	}
}
