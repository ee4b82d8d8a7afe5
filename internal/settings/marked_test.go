package settings_test

import "testing"

// TestMostAgingVotesAreRemembered raises and lowers batch.aging_votes, at run
// time and in a variable: the most it ever was stays known.
func TestMostAgingVotesAreRemembered(t *testing.T) {
	st := database(t)
	check := func(votes, marked int64, env ...string) {
		t.Helper()
		if p := open(t, st, env...).Current().Policy; p.AgingVotes != votes || p.AgingMarked != marked {
			t.Errorf("scores age from %d votes and are marked from %d, want %d and %d", p.AgingVotes, p.AgingMarked, votes, marked)
		}
	}
	check(5, 5)
	s := open(t, st)
	for _, votes := range []string{"20", "3"} {
		if err := change(t, s, "a try", map[string]string{"batch.aging_votes": votes}); err != nil {
			t.Fatal(err)
		}
	}
	if p := s.Current().Policy; p.AgingVotes != 3 || p.AgingMarked != 20 {
		t.Errorf("after changes %d and %d", p.AgingVotes, p.AgingMarked)
	}
	check(3, 20)
	check(30, 30, "POA_BATCH_AGING_VOTES=30")
	check(3, 30)
}
