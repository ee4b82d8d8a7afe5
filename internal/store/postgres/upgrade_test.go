package postgres_test

import (
	"io/fs"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/trigger"
)

// A database of the first schema, with data, is brought up to date.
func TestUpgrade(t *testing.T) {
	url := pgtest.New(t)
	conn := connect(t, url)
	db := stdlib.OpenDB(*conn.Config())
	files, err := fs.Sub(postgres.Migrations, "migrations")
	must(t, err)
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files)
	must(t, err)
	_, err = provider.UpTo(t.Context(), 1)
	must(t, err)
	must(t, db.Close())
	for _, statement := range []string{
		`INSERT INTO collections (name) VALUES ('c')`,
		`INSERT INTO nfts (id, name, collection, image_url, created_at) VALUES ('n1', repeat('long ', 2000), 1, '', now())`,
		`INSERT INTO ratings VALUES (1, 1, 1200, 350, 3, 1, 1, 1, 3, 0, 0, 0, 3, 0, 0, 0, 0, 0, decode(repeat('00', 40), 'hex'), 1, 1, 0, 0,
			'2025-03-01 12:00Z', 'super', 2, NULL, NULL)`,
		`INSERT INTO voters VALUES (1, 'v1', 1, 0, 3, 1000000000, 0, 0, 0, 1, now())`,
		`INSERT INTO activity (at, kind, nft, reason, reasons, priority, basis, vote, detail)
			VALUES (now(), 'computed', 1, 'super', '{"super":1}', 2, 'exact', 1, 'old')`,
		`INSERT INTO scores SELECT n, 1, n / 2.0, 60, 1, 1, 1, 1, false, 5, true, now(), 'batch', 'exact', 1, 1, 1, 1
			FROM unnest(ARRAY[0, 9, 10, 199, 200]) n`,
	} {
		_, err := conn.Exec(t.Context(), statement)
		must(t, err)
	}

	s := open(t, url)
	defer s.Close()
	must(t, s.Migrate(t.Context()))
	have, want, err := s.Schema(t.Context())
	if err != nil || have != want {
		t.Errorf("Schema() = %d, %d, %v", have, want, err)
	}
	_, err = s.Prepare(t.Context(), scoring.Defaults(), "tester", start)
	must(t, err)
	var entries []store.Activity
	for len(entries) == 0 { // held back while the server's own upkeep is under way
		must(t, t.Context().Err())
		entries, _, err = s.Stream(t.Context(), store.Position{}, 10)
		must(t, err)
	}
	if len(entries) != 1 || entries[0].Detail != "old" || entries[0].NFTID != "n1" || entries[0].Run != 0 || entries[0].Who != "" {
		t.Errorf("the activity is %+v", entries)
	}
	must(t, s.View(t.Context(), func(v store.View) error {
		for voter, err := range v.AllVoters(t.Context()) {
			if err != nil || voter.ID != "v1" || voter.Votes != 3 || voter.Allowance != (trigger.Allowance{}) {
				t.Errorf("the voter is %+v, %v", voter, err)
			}
		}
		return nil
	}))
	found, err := s.Candidates(t.Context(), store.Wanted{Now: start.Add(time.Hour), Due: 5})
	must(t, err)
	if len(found.Due) != 1 || found.Due[0].ID != "n1" || !found.Due[0].Due.Since.Equal(start) {
		t.Errorf("the candidates are %+v", found)
	}
	bins, err := s.Distribution(t.Context(), nil)
	must(t, err)
	if bins != (store.Bins{0: 2, 1: 1, 19: 2}) {
		t.Errorf("the distribution is %v", bins)
	}
}
