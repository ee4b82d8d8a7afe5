package sqlite

import (
	"regexp"
	"strings"
	"testing"
)

// TestPlans: what a commit, a batch, an exact computation and a list ask for
// is found by index, and sorted by it where it is sorted, however large the
// tables are.
func TestPlans(t *testing.T) {
	s, _ := newDatabase(t)
	scan := regexp.MustCompile(`^SCAN (\w+)( VIRTUAL TABLE|$| USING)`)
	sortsAllowed := map[string]string{
		// These sort or group the set they were given.
		"nftNumbers": nftNumbers, "votesByKey": votesByKey, "opinionsByRef": opinionsByRef, "knownNFTs": knownNFTs,
		"knownVoters": knownVoters,
		"favoritesOf": favoritesOf, "rejectsOfRows": rejectsOfRows,
		"standingOpinions": standingOpinions, "insertMissingVoters": insertMissingVoters,
	}
	sortsForbidden := map[string]string{
		"ratingsByNumber": ratingsByNumber, "scoresByNumber": scoresByNumber, "votersByID": votersByID,
		"unknownNFTs": unknownNFTs, "insertMissingRatings": insertMissingRatings,
		"updateRating": updateRating, "updateVoter": updateVoter, "deleteScore": deleteScore,
		"nftByID": nftByID, "nftsByNumber": nftsByNumber, "nftsAfter": nftsAfter,
		"ratedNFTs": ratedNFTs, "ratedNFTsOf": ratedNFTsOf, "votesAfter": votesAfter, "votersAfter": votersAfter,
		"opinionsAfter": opinionsAfter, "historyAfter": historyAfter,
		"topNFTsOf": topNFTsOf, "historyOf": historyOf, "activityOf": activityOf,
		"activityRange": activityRange, "matchupsOf": matchupsOf, "matchupsAgainst": matchupsAgainst, "laterVotes": laterVotes, "moveRating": moveRating, "moveScore": moveScore, "rejectsOf": rejectsOf,
		"takeLease": takeLease, "keepLease": keepLease, "leaseByName": leaseByName, "knownKeys": knownKeys, "nftsByID": nftsByID,
		"favoritesAfter": favoritesAfter, "rejectsWithCode": rejectsWithCode, "deleteReject": deleteReject, "deleteFavorite": deleteFavorite,
	}
	for name, query := range sortsAllowed {
		for _, step := range plan(t, s, query) {
			if m := scan.FindStringSubmatch(step); m != nil && m[1] != "k" {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
	for name, query := range sortsForbidden {
		for _, step := range plan(t, s, query) {
			if m := scan.FindStringSubmatch(step); m != nil && m[1] != "k" || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
	// A search by name begins at its prefix.
	if steps := strings.Join(plan(t, s, findByName), "; "); !strings.Contains(steps, "USING INDEX nfts_name (<expr>>? AND <expr><?)") {
		t.Errorf("findByName: %s", steps)
	}
	// The overall top reads its index from the start, as far as the limit.
	if steps := strings.Join(plan(t, s, topNFTs), "; "); steps != "SCAN scores USING COVERING INDEX scores_poa" {
		t.Errorf("topNFTs: %s", steps)
	}
}

// plan returns the steps of a statement's plan.
func plan(t *testing.T, s *Store, query string) (steps []string) {
	t.Helper()
	// The parameters are not needed for a plan, but the driver insists.
	args := make([]any, max(strings.Count(query, "?"), 1))
	rows, err := s.readers.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		must(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	must(t, rows.Err())
	if len(steps) == 0 {
		t.Errorf("no plan for %s", query)
	}
	return steps
}
