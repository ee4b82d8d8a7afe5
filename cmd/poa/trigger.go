package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"poa/internal/config"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/trigger"
)

type triggerCommand struct {
	Check triggerCheckCommand `cmd:"" help:"Show for each kind of vote on an NFT whether it would compute the score at once."`
}

type triggerCheckCommand struct {
	NFT string `arg:"" name:"nft" help:"Id of the NFT."`
}

// hypothesis is a vote that might come next.
type hypothesis struct {
	name   string
	vote   scoring.Vote
	stands bool // the voter's FIRE stands before
}

// hypotheses returns one vote of each kind.
func hypotheses() []hypothesis {
	return []hypothesis{
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
}

// checkDoc is the answer for one kind of vote.
type checkDoc struct {
	Vote      string `json:"vote"`
	Computes  bool   `json:"computes"`
	Reason    string `json:"reason,omitempty"`
	Priority  string `json:"priority,omitempty"`
	Milestone int64  `json:"milestone,omitempty"`
	Votes     int64  `json:"votes_after"`
	text      string
}

func (c *triggerCheckCommand) Run(ctx context.Context, m *Main) error {
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	policy, err := m.policy(ctx)
	if err != nil {
		return err
	}
	var rating store.Rating
	err = m.store.View(ctx, func(v store.View) error {
		_, r, err := findNFT(ctx, v, c.NFT)
		if err != nil {
			return err
		}
		if rating = (store.Rating{Rating: policy.Constants.NewRating()}); r != nil {
			rating = *r
		}
		return nil
	})
	if err != nil {
		return err
	}
	checks := make([]checkDoc, 0, len(hypotheses()))
	for _, h := range hypotheses() {
		if h.vote.Kind == scoring.Unfire && rating.Fires == 0 {
			checks = append(checks, checkDoc{Vote: h.name, Votes: rating.Votes, text: "no FIRE stands that could be withdrawn"})
			continue
		}
		checks = append(checks, m.check(policy, rating, h))
	}
	if m.cli.JSON {
		return m.printJSON(struct {
			NFT    string     `json:"nft"`
			Votes  int64      `json:"votes"`
			Checks []checkDoc `json:"checks"`
		}{c.NFT, rating.Votes, checks})
	}
	m.printf("%s has %s. If the next one, cast now by a new voter, is a\n\n", clean(c.NFT), plural(rating.Votes, "vote"))
	t := newTable("VOTE", "COMPUTES", "PRIORITY", "REASON")
	for _, d := range checks {
		computes := "no"
		if d.Computes {
			computes = "yes"
		}
		t.add(d.Vote, computes, d.Priority, d.text)
	}
	m.printTable(t)
	m.printf("\nMatchups are taken to be against an average NFT. What does not compute waits for the next batch.\n")
	return nil
}

// check folds a vote into a copy of the rating and asks the rules.
func (m *Main) check(p *publish.Policy, r store.Rating, h hypothesis) checkDoc {
	now := m.Now()
	h.vote.CastAt = now
	voter, before := p.Constants.NewVoter(), r.Votes
	changed := false
	if h.vote.Kind == scoring.Matchup {
		opponent := p.Constants.NewRating()
		p.Constants.FoldMatchup(h.vote, &voter, &r.Rating, &opponent)
	} else {
		opinion := scoring.Opinion{Standing: h.stands}
		if h.stands {
			opinion.Weight = p.Constants.Weight(&voter)
		}
		_, changed = p.Constants.FoldOpinion(h.vote, &voter, &r.Rating, &opinion)
	}
	if h.vote.Kind != scoring.Unfire {
		r.Recent.Add(now)
	}
	d, ok := p.Rules.Decide(trigger.Event{
		Vote: h.vote, Changed: changed, VotesBefore: before, VotesAfter: r.Votes, Recent: r.Recent, ReceivedAt: now,
	})
	doc := checkDoc{Vote: h.name, Computes: ok, Votes: r.Votes, text: "no rule holds" + nextMilestone(&p.Rules, r.Votes)}
	if ok {
		doc.Reason, doc.Priority, doc.Milestone, doc.text = string(d.Reason), d.Priority.String(), d.Milestone, reasonText(d)
	}
	return doc
}

// nextMilestone names the milestone above a vote count, if there is one.
func nextMilestone(r *trigger.Rules, votes int64) string {
	if r.Milestone {
		for _, m := range r.Milestones {
			if m > votes {
				return fmt.Sprintf("; the next milestone is %d votes", m)
			}
		}
	}
	return ""
}

// reasonText says the reason of a decision to people.
func reasonText(d trigger.Decision) string {
	switch d.Reason {
	case trigger.Super:
		return "super vote"
	case trigger.Fire:
		return "FIRE given or withdrawn"
	case trigger.Milestone:
		return fmt.Sprintf("milestone of %d votes", d.Milestone)
	case trigger.HighActivity:
		return "high activity"
	}
	return string(d.Reason)
}

// searched is how many NFTs are looked through for an id like an unknown one.
const searched = 20_000

// findNFT returns a registered NFT and its rating, nil where nobody has voted
// on it. Of an unknown id it suggests one that looks like it.
func findNFT(ctx context.Context, v store.View, id string) (store.NFT, *store.Rating, error) {
	nft, err := v.NFT(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nft, nil, unknownNFT(ctx, v, id)
	}
	if err != nil {
		return nft, nil, fmt.Errorf("reading NFT %q: %w", id, err)
	}
	ratings, err := v.Ratings(ctx, []string{id})
	if err != nil {
		return nft, nil, fmt.Errorf("reading the rating of NFT %q: %w", id, err)
	}
	if len(ratings) == 0 {
		return nft, nil, nil
	}
	return nft, &ratings[0], nil
}

func unknownNFT(ctx context.Context, v store.View, id string) error {
	err := fmt.Errorf("there is no NFT %q", id)
	best, distance, n := "", len(id), 0
	for nft, err := range v.AllNFTs(ctx) {
		if n++; err != nil || n > searched {
			break
		}
		if strings.EqualFold(nft.ID, id) {
			best, distance = nft.ID, 0
			break
		}
		if _, d := config.Nearest(id, []string{nft.ID}); d < distance && likely(id, d) {
			best, distance = nft.ID, d
		}
	}
	if best != "" {
		return withHint(err, "did you mean %q?", best)
	}
	return withHint(err, "check the id; poa top shows some, poa export nfts all")
}
