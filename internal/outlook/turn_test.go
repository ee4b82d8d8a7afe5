package outlook

import (
	"testing"
	"time"

	"poa/internal/batch"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/trigger"
)

var now = time.Date(2026, time.July, 1, 10, 40, 0, 0, time.UTC)

// inForce are the defaults, with batches of all NFTs with 5 votes or more.
func inForce() *settings.InForce {
	return &settings.InForce{
		Policy: &publish.Policy{Constants: scoring.Defaults(), Rules: trigger.Defaults(), AgingVotes: 5},
		Batch:  batch.Settings{Every: time.Hour, OldAfter: 24 * time.Hour},
	}
}

// rating is one with matchups, of which each counts a vote, and a score of an
// age, or none where that is 0.
func rating(matchups int64, age time.Duration) store.Rating {
	constants := scoring.Defaults()
	r := store.Rating{NFT: 1, Rating: constants.NewRating()}
	r.Votes, r.Matchups, r.MatchupWeight = matchups, matchups, scoring.ToSum(float64(matchups))
	if age > 0 {
		r.Score = &store.Score{ComputedAt: now.Add(-age)}
	}
	return r
}

func TestTurn(t *testing.T) {
	owed := rating(1, 0)
	owed.Due.Since = now
	withdrawn := rating(0, time.Hour)
	failed := func(r store.Rating, next time.Time) NFT {
		return NFT{Rating: r, Failure: &store.Failure{NextTry: next}}
	}
	for name, c := range map[string]struct {
		nft  NFT
		want Turn
	}{
		"no votes":                               {NFT{Rating: rating(0, 0)}, Never},
		"no votes, switched off":                 {NFT{Rating: rating(0, 0), Off: true}, Never},
		"no score":                               {NFT{Rating: rating(1, 0)}, First},
		"no score, switched off":                 {NFT{Rating: rating(1, 0), Off: true}, Off},
		"owed":                                   {NFT{Rating: owed}, Owed},
		"owed, switched off":                     {NFT{Rating: owed, Off: true}, Off},
		"few votes, an old score":                {NFT{Rating: rating(4, 25*time.Hour)}, Few},
		"nothing stands any more":                {NFT{Rating: withdrawn}, Few},
		"enough votes, a fresh score":            {NFT{Rating: rating(5, 24*time.Hour)}, Fresh},
		"enough votes, an old score":             {NFT{Rating: rating(5, 25*time.Hour)}, Old},
		"given up":                               {failed(rating(5, 0), time.Time{}), GivenUp},
		"failed":                                 {failed(rating(5, 0), now.Add(time.Second)), Again},
		"failed and to be tried again":           {failed(rating(4, time.Hour), now), Owed},
		"failed in a collection that is no more": {NFT{Rating: rating(5, 0), Failure: &store.Failure{NextTry: now.Add(time.Second)}, Off: true}, Off},
	} {
		if got := c.nft.Turn(inForce(), now); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestFollows asks what comes of votes that compute nothing at once.
func TestFollows(t *testing.T) {
	const (
		won, neither, fire, again = "matchup, won", "matchup, neither", "FIRE", "FIRE that stands already"

		nothing = "changes no score"
		first   = "waits for a batch: the first score"
		few     = "waits for a trigger: no batch below 5 votes"
		fresh   = "waits for a batch: the score must be 24 h old"
		owed    = "waits for a batch: a computation is owed"
		off     = "waits for a trigger: its collection is switched off"
		paused  = "; batches are paused"
	)
	triggers := func(in *settings.InForce) { in.Triggers.Since = now }
	batches := func(in *settings.InForce) { in.Batches.Since = now }
	fired := rating(0, time.Hour) // scored by FIRE
	fired.Matchups, fired.Fires, fired.FireWeight = 0, 1, scoring.ToSum(1)
	for name, c := range map[string]struct {
		vote string
		nft  NFT
		with func(*settings.InForce)
		want string
	}{
		"the first vote":                          {won, NFT{Rating: rating(0, 0)}, nil, first},
		"the first vote while paused":             {won, NFT{Rating: rating(0, 0)}, batches, first + paused},
		"the first vote where it is switched off": {won, NFT{Rating: rating(0, 0), Off: true}, batches, off},
		"neither as the first vote":               {neither, NFT{Rating: rating(0, 0)}, batches, nothing},
		"neither of an NFT that waits":            {neither, NFT{Rating: rating(1, 0)}, nil, nothing},
		"FIRE again":                              {again, NFT{Rating: fired}, nil, nothing},
		"a matchup after FIRE":                    {won, NFT{Rating: fired}, batches, few},
		"one of few votes":                        {won, NFT{Rating: rating(2, time.Hour)}, nil, few},
		"one of many votes":                       {won, NFT{Rating: rating(6, time.Hour)}, nil, fresh},
		"one of many votes while paused":          {won, NFT{Rating: rating(6, time.Hour)}, batches, fresh + paused},
		"FIRE while triggers are paused":          {fire, NFT{Rating: rating(2, time.Hour)}, triggers, owed},
	} {
		in := inForce()
		if c.with != nil {
			c.with(in)
		}
		found := false
		for _, v := range Votes(in.Policy, c.nft.Rating, now) {
			if v.Name != c.vote {
				continue
			}
			found = true
			if got := v.Follows(in, c.nft, now); got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
		if !found {
			t.Errorf("%s: no vote %q is told of", name, c.vote)
		}
	}
}

// TestBegin asks when the next batch begins, after one in the window of 10:00.
func TestBegin(t *testing.T) {
	clock := func(hour, minute int) time.Time { return time.Date(2026, time.July, 1, hour, minute, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		last          time.Time
		until         *time.Time // end of a pause
		window, begin time.Time
	}{
		"after a batch":                       {clock(10, 0), nil, clock(11, 0), clock(11, 0)},
		"before the batch of this window":     {clock(9, 0), nil, clock(10, 0), now},
		"paused until resumed":                {clock(10, 0), &time.Time{}, time.Time{}, time.Time{}},
		"paused until later in this window":   {clock(10, 0), at(clock(10, 50)), clock(11, 0), clock(11, 0)},
		"paused until late in another window": {clock(10, 0), at(clock(13, 20)), clock(13, 0), clock(13, 20)},
	} {
		in := inForce()
		if c.until != nil {
			in.Batches = settings.Pause{Since: clock(9, 30), Until: *c.until}
		}
		if window, begin := begin(in, c.last, now); !window.Start.Equal(c.window) || !begin.Equal(c.begin) {
			t.Errorf("%s: the window of %v at %v, want that of %v at %v", name, window.Start, begin, c.window, c.begin)
		}
	}
}

func at(t time.Time) *time.Time { return &t }
