package verify_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/sqlite"
	"poa/internal/verify"
)

// TestEveryTamperingIsNamed changes one stored value at a time behind poa's
// back and expects verify to name it.
func TestEveryTamperingIsNamed(t *testing.T) {
	for _, c := range []struct{ change, subject, field string }{
		{"UPDATE ratings SET mean = mean + 1e-12 WHERE nft = 1", `NFT "n0"`, "Mean"},
		{"UPDATE ratings SET sigma = sigma * 1.0000001 WHERE nft = 1", `NFT "n0"`, "Sigma"},
		{"UPDATE ratings SET votes = votes + 1 WHERE nft = 1", `NFT "n0"`, "Votes"},
		{"UPDATE ratings SET wins = wins + 1 WHERE nft = 1", `NFT "n0"`, "Wins"},
		{"UPDATE ratings SET losses = losses + 1 WHERE nft = 1", `NFT "n0"`, "Losses"},
		{"UPDATE ratings SET ties = ties + 1 WHERE nft = 1", `NFT "n0"`, "Ties"},
		{"UPDATE ratings SET matchups = matchups + 1 WHERE nft = 1", `NFT "n0"`, "Matchups"},
		{"UPDATE ratings SET skips = skips + 1 WHERE nft = 1", `NFT "n0"`, "Skips"},
		{"UPDATE ratings SET slider_votes = slider_votes + 1 WHERE nft = 1", `NFT "n0"`, "SliderVotes"},
		{"UPDATE ratings SET fire_votes = fire_votes + 1 WHERE nft = 1", `NFT "n0"`, "FireVotes"},
		{"UPDATE ratings SET matchup_weight = matchup_weight + 2 WHERE nft = 1", `NFT "n0"`, "MatchupWeight"},
		{"UPDATE ratings SET exact_matchup_weight = 7 WHERE nft = 1", `NFT "n0"`, "MatchupWeight"},
		{"UPDATE ratings SET sliders = sliders + 1 WHERE nft = 1", `NFT "n0"`, "Sliders"},
		{"UPDATE ratings SET slider_sum = slider_sum + 2 WHERE nft = 1", `NFT "n0"`, "SliderSum"},
		{"UPDATE ratings SET slider_weight = slider_weight - 2 WHERE nft = 1", `NFT "n0"`, "SliderWeight"},
		{"UPDATE ratings SET fires = fires + 1 WHERE nft = 1", `NFT "n0"`, "Fires"},
		{"UPDATE ratings SET fire_weight = fire_weight + 2 WHERE nft = 1", `NFT "n0"`, "FireWeight"},
		{"UPDATE ratings SET last_vote = 1 WHERE nft = 1", `NFT "n0"`, "last_vote"},
		{"UPDATE ratings SET exact_vote = 1000 WHERE nft = 1", `NFT "n0"`, "exact_vote"},
		{"UPDATE ratings SET exact_vote = -1 WHERE nft = 1", `NFT "n0"`, "exact_vote"},
		{"UPDATE ratings SET waiting_since = 5, waiting_votes = votes WHERE nft = 1", `NFT "n0"`, "waits for a score"},
		{"UPDATE voters SET reliability = reliability + 1e-12 WHERE number = 1", `voter "v0"`, "Reliability"},
		{"UPDATE voters SET judged = judged - 1 WHERE number = 1", `voter "v0"`, "Judged"},
		{"UPDATE voters SET votes = votes - 1 WHERE number = 1", `voter "v0"`, "Votes"},
		{"UPDATE voters SET slider_mean = slider_mean + 1 WHERE number = 1", `voter "v0"`, "Calibration"},
		{"UPDATE voters SET weight = weight * 3 WHERE number = 1", `voter "v0"`, "weight"},
		{"UPDATE voters SET last_vote = 1 WHERE number = 1", `voter "v0"`, "last_vote"},
		{"DELETE FROM voters WHERE number = 1", `voter "" (number 1)`, "row"}, // its id is gone with it
		{"UPDATE votes SET outcome = 3 - outcome WHERE number = 1", `NFT "n0"`, "Mean"},
		{"UPDATE votes SET weight = weight + 1 WHERE number = 1", "vote 1", "weight"},
		{"DELETE FROM votes WHERE number = 1", `NFT "n0"`, "Votes"},
		{"UPDATE opinions SET value = 3 WHERE kind = 2 AND nft = 1 AND voter = 1", "slider opinion", "value"},
		{"UPDATE opinions SET standing = 1 - standing WHERE kind = 3 AND nft = 1 AND voter = 1", "fire opinion", "standing"},
		{"UPDATE opinions SET weight = weight + 1 WHERE kind = 2 AND nft = 1 AND voter = 1", `NFT "n0"`, "SliderWeight"},
		{"UPDATE opinions SET score = score + 1 WHERE kind = 2 AND nft = 1 AND voter = 1", `NFT "n0"`, "SliderSum"},
		{"UPDATE opinions SET cast_at = cast_at + 1 WHERE kind = 2 AND nft = 1 AND voter = 1", "slider opinion", "cast_at"},
		{"UPDATE opinions SET vote = vote + 1 WHERE kind = 2 AND nft = 1 AND voter = 1", "slider opinion", "vote"},
		{"UPDATE votes SET outcome = 1 WHERE number = 3", "vote 3", "outcome"},
		{"DELETE FROM opinions WHERE kind = 2 AND nft = 1 AND voter = 1", "slider opinion", "row"},
		{"UPDATE scores SET through_vote = 1000 WHERE nft = 1", `NFT "n0"`, "score's last vote"},
		{"UPDATE scores SET poa = poa + 0.01 WHERE nft = 1", `NFT "n0"`, "POA"},
		{"UPDATE scores SET confidence = confidence + 1 WHERE nft = 1", `NFT "n0"`, "Confidence"},
		{"UPDATE counters SET value = value + 1 WHERE name = 'votes.matchup'", "counter votes.matchup", "value"},
		{"UPDATE counters SET value = value + 1 WHERE name = 'scored'", "counter scored", "value"},
		{"DELETE FROM counters WHERE name = 'nfts'", "counter nfts", "value"},
	} {
		t.Run(c.change, func(t *testing.T) {
			path, policy := play(t)
			tamper(t, path, c.change)
			differences := run(t, path, policy)
			for _, d := range differences {
				if strings.HasPrefix(d.Subject, c.subject) && d.Field == c.field && d.Stored != d.Want {
					return
				}
			}
			t.Errorf("no difference of %s, %s among %+v", c.subject, c.field, differences)
		})
	}
}

func TestNothingIsNamedWithoutTampering(t *testing.T) {
	path, policy := play(t)
	if d := run(t, path, policy); len(d) > 0 {
		t.Errorf("%+v", d)
	}
}

// play makes a small game with votes of all kinds.
func play(t *testing.T) (path string, policy *publish.Policy) {
	t.Helper()
	ctx := context.Background()
	path = filepath.Join(t.TempDir(), "poa.db")
	st, err := sqlite.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	version, err := st.Prepare(ctx, scoring.Defaults(), "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	policy = publish.Default(version)
	if _, err := st.PutNFTs(ctx, []store.NFT{{ID: "n0"}, {ID: "n1"}, {ID: "n2"}}, false, time.Now()); err != nil {
		t.Fatal(err)
	}
	var votes []ledger.Vote
	for i := range 40 {
		v := ledger.Vote{Key: fmt.Sprint(i), Voter: fmt.Sprintf("v%d", i%2), A: fmt.Sprintf("n%d", i%3)}
		switch {
		case i == 0 || i%5 == 1:
			v.Kind, v.B, v.Outcome = scoring.Matchup, fmt.Sprintf("n%d", (i+1)%3), scoring.WinA
		case i%5 == 0:
			v.Kind = scoring.Fire
		default:
			v.Kind, v.Value = scoring.Slider, float64(10+i)
		}
		votes = append(votes, v)
	}
	l := ledger.New(st, ledger.Options{Policy: policy})
	answers, err := l.Submit(ctx, votes)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range answers {
		if a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return path, policy
}

func tamper(t *testing.T, path, change string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	result, err := db.Exec(change)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%d rows changed, %v", n, err)
	}
}

func run(t *testing.T, path string, policy *publish.Policy) (differences []verify.Difference) {
	t.Helper()
	ctx := context.Background()
	st, err := sqlite.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var sum verify.Summary
	err = st.View(ctx, func(v store.View) (err error) {
		sum, err = verify.Run(ctx, v, policy, func(d verify.Difference) { differences = append(differences, d) })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Differences != int64(len(differences)) {
		t.Errorf("%d differences counted, %d reported", sum.Differences, len(differences))
	}
	return differences
}
