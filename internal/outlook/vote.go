package outlook

import (
	"time"

	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

// Vote is what a vote of some kind would do to an NFT's score.
type Vote struct {
	Name     string
	Possible bool // a FIRE that does not stand cannot be withdrawn
	Computes bool // at once
	Changes  bool // what the score is made of
	trigger.Decision
	Votes  int64        // the NFT's vote count then
	Rating store.Rating // as it is then
}

// Votes returns what the next vote on an NFT would do, for each kind of vote,
// if a new voter casts it now. Matchups are against an average NFT.
func Votes(p *publish.Policy, r store.Rating, now time.Time) []Vote {
	list := make([]Vote, 0, len(hypotheses))
	for _, h := range hypotheses {
		if h.vote.Kind == scoring.Unfire && r.Fires == 0 {
			list = append(list, Vote{Name: h.name, Votes: r.Votes, Rating: r})
			continue
		}
		list = append(list, h.ask(p, r, now))
	}
	return list
}

// hypothesis is a vote that might come next.
type hypothesis struct {
	name   string
	vote   scoring.Vote
	stands bool // the voter's FIRE stands before
}

var hypotheses = [...]hypothesis{
	{"matchup, won", scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinA}, false},
	{"matchup, lost", scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinB}, false},
	{"matchup, tied", scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.Tie}, false},
	{"matchup, neither", scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.Neither}, false},
	{"super matchup, won", scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.WinA, Super: true}, false},
	{"super matchup, neither", scoring.Vote{Kind: scoring.Matchup, Outcome: scoring.Neither, Super: true}, false},
	{"slider rating", scoring.Vote{Kind: scoring.Slider, Value: 50}, false},
	{"FIRE", scoring.Vote{Kind: scoring.Fire}, false},
	{"FIRE that stands already", scoring.Vote{Kind: scoring.Fire}, true},
	{"FIRE withdrawn", scoring.Vote{Kind: scoring.Unfire}, true},
}

// ask folds the vote into a copy of the rating and asks the rules.
func (h hypothesis) ask(p *publish.Policy, r store.Rating, now time.Time) Vote {
	h.vote.CastAt = now
	voter, before, changed := p.Constants.NewVoter(), r.Votes, false
	changes := h.vote.Outcome != scoring.Neither
	if h.vote.Kind == scoring.Matchup {
		opponent := p.Constants.NewRating()
		p.Constants.FoldMatchup(h.vote, &voter, &r.Rating, &opponent)
	} else {
		opinion := scoring.Opinion{Standing: h.stands}
		if h.stands {
			opinion.Weight = p.Constants.Weight(&voter)
		}
		_, changed = p.Constants.FoldOpinion(h.vote, &voter, &r.Rating, &opinion)
		changes = changed
	}
	if h.vote.Kind != scoring.Unfire {
		r.Recent.Add(now)
	}
	d, ok := p.Rules.Decide(trigger.Event{
		Vote: h.vote, Changed: changed, VotesBefore: before, VotesAfter: r.Votes, Recent: r.Recent, ReceivedAt: now,
	})
	return Vote{Name: h.name, Possible: true, Computes: ok, Changes: changes, Decision: d, Votes: r.Votes, Rating: r}
}

// Names are the names of the votes that Votes tells of, in its order.
func Names() []string {
	names := make([]string, len(hypotheses))
	for i, h := range hypotheses {
		names[i] = h.name
	}
	return names
}
