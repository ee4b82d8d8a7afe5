package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"poa/internal/config"
	"poa/internal/outlook"
	"poa/internal/store"
	"poa/internal/trigger"
)

type triggerCommand struct {
	Check triggerCheckCommand `cmd:"" help:"Show for each kind of vote on an NFT whether it would compute the score at once."`
}

type triggerCheckCommand struct {
	NFT string `arg:"" name:"nft" help:"Id of the NFT."`
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
	var checks []checkDoc
	for _, v := range outlook.Votes(policy, rating, m.Now()) {
		checks = append(checks, asCheckDoc(&policy.Rules, v))
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
	m.printf("\nMatchups are taken to be against an average NFT. What does not compute counts when the score is next computed.\n")
	return nil
}

func asCheckDoc(r *trigger.Rules, v outlook.Vote) checkDoc {
	doc := checkDoc{Vote: v.Name, Computes: v.Computes, Votes: v.Votes}
	switch {
	case !v.Possible:
		doc.text = "no FIRE stands that could be withdrawn"
	case v.Computes:
		doc.Reason, doc.Priority, doc.Milestone, doc.text = string(v.Reason), v.Priority.String(), v.Milestone, reasonText(v.Decision)
	default:
		doc.text = "no rule holds" + nextMilestone(r, v.Votes)
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
