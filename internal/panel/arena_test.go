package panel

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"poa/internal/settings"
	"poa/internal/store"
)

var keyField = regexp.MustCompile(`name="key" value="([A-Z2-7]{26})-matchup-a"`)

// arenaForm are the fields of a vote of the page.
func arenaForm(t *testing.T, page answered, kind, side string, more ...string) []string {
	t.Helper()
	key := keyField.FindStringSubmatch(page.body)
	if key == nil {
		t.Fatalf("the page has no key\n%s", page.body)
	}
	a := map[string]string{"a": "c/1", "b": "c/2"}[side]
	return append([]string{"kind", kind, "key", key[1] + "-" + kind + "-" + side, "a", a, "shown_a", "c/1", "shown_b", "c/2"}, more...)
}

const arenaPair = "/try?a=c%2F1&b=c%2F2"

func TestArenaTellsWhatVotesCause(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	page := alice.get(arenaPair, http.StatusOK)
	page.holds(t, "Picture 1", "Picture 2", "try:alice", "Nothing yet")
	cast := func(kind, side string, more ...string) string {
		t.Helper()
		form := arenaForm(t, alice.get(arenaPair, http.StatusOK), kind, side, more...)
		return alice.post("/try", http.StatusSeeOther, form...).Header.Get("Location")
	}

	if to := cast("matchup", "a", "b", "c/2", "outcome", "a"); to != "/try" {
		t.Errorf("after a matchup to %q", to)
	}
	alice.get(arenaPair, http.StatusOK).holds(t, "Picture 1 over Picture 2", "1200.0 →</span> 1216.0", "1200.0 →</span> 1184.0",
		"No rule held: 1 vote, the next milestone is 5, and 1 of 5 votes came within 24h. The vote waits for a batch: the first score.", "no trigger", "Your reliability stays 1.000")

	cast("matchup", "a", "b", "c/2", "outcome", "b", "super", "yes")
	alice.get(arenaPair, http.StatusOK).holds(t, "Super vote: Picture 2 over Picture 1", ">super vote</span>", "committed in", "Computed in the commit of the vote, with high priority.", "Your reliability 1.000 → 0.989; it weighs 1 until 3 votes were judged, 1 so far")

	if to := cast("fire", "b"); to != arenaPair {
		t.Errorf("after a FIRE to %q", to)
	}
	alice.get(arenaPair, http.StatusOK).holds(t, "FIRE for Picture 2", "Withdraw FIRE", ">FIRE</span>")
	cast("slider", "a", "value", "80")
	alice.get(arenaPair, http.StatusOK).holds(t, "Picture 1 rated 80", `value="80"`, "Rate again", "slider part")
	cast("unfire", "b")
	withdrawn := alice.get(arenaPair, http.StatusOK)
	withdrawn.holds(t, "FIRE withdrawn from Picture 2")
	withdrawn.lacks(t, "Withdraw FIRE")
	cast("matchup", "a", "b", "c/2", "outcome", "none")
	alice.get(arenaPair, http.StatusOK).holds(t, "neither Picture 1 nor Picture 2", "changes no rating")

	must(t, s.Settings.Pause(t.Context(), settings.Triggers, settings.Pause{Reason: "a bot", Who: "alice"}))
	cast("matchup", "a", "b", "c/2", "outcome", "tie", "super", "yes")
	alice.get(arenaPair, http.StatusOK).holds(t, "super vote, put off")
	s.sign(store.Operator, "bob").get(arenaPair, http.StatusOK).holds(t, "Nothing yet")
}

func TestArenaRefuses(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	page := alice.get(arenaPair, http.StatusOK)
	for name, c := range map[string]struct {
		form   []string
		status int
		want   string
	}{
		"no key":        {[]string{"kind", "fire", "a", "c/1", "key", "x"}, 422, "load it again"},
		"no kind":       {arenaForm(t, page, "love", "a"), 422, "no kind of vote"},
		"no outcome":    {arenaForm(t, page, "matchup", "a", "b", "c/2"), 422, "Outcome: must be a, b, tie or none."},
		"out of range":  {arenaForm(t, page, "slider", "a", "value", "101"), 422, "from 0 to 100"},
		"no number":     {arenaForm(t, page, "slider", "a", "value", "x"), 422, "from 0 to 100"},
		"with itself":   {arenaForm(t, page, "matchup", "a", "b", "c/1", "outcome", "a"), 422, "another NFT"},
		"nothing there": {arenaForm(t, page, "matchup", "a", "b", "c/9", "outcome", "a"), 404, "There is nothing here"},
	} {
		t.Run(name, func(t *testing.T) { alice.post("/try", c.status, c.form...).holds(t, c.want) })
	}
	alice.get("/try?a=c%2F1&b=c%2F9", http.StatusNotFound)

	form := arenaForm(t, page, "fire", "a")
	alice.post("/try", http.StatusSeeOther, form...)
	alice.post("/try", http.StatusSeeOther, form...)
	alice.get(arenaPair, http.StatusOK).holds(t, "sent twice and counted once")
}

// TestArenaPairs sees that two different NFTs of active collections are shown.
func TestArenaPairs(t *testing.T) {
	s := open(t)
	alice := s.sign(store.Operator, "alice")
	for range 20 {
		page := alice.send(http.MethodPost, "/try", http.Header{"Hx-Request": {"true"}}, arenaForm(t, alice.get(arenaPair, http.StatusOK), "matchup", "a", "b", "c/2", "outcome", "tie")...)
		if page.StatusCode != http.StatusOK || strings.Count(page.body, `class="pick"`) != 2 {
			t.Fatalf("status %d\n%s", page.StatusCode, page.body)
		}
		if n := strings.Count(page.body, `class="duelist"`); n != 2 {
			t.Errorf("%d NFTs", n)
		}
	}
	must(t, s.Store.SetCollectionActive(t.Context(), "art", false))
	alice.get("/try", http.StatusOK)
}
