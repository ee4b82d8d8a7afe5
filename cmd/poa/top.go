package main

import (
	"context"
	"fmt"
	"time"

	"poa/internal/store"
)

type topCommand struct {
	Collection *string `placeholder:"NAME" help:"Only NFTs of this collection."`
	N          int     `short:"n" default:"10" help:"How many. [10]"`
}

// rankedDoc is a ranked NFT as JSON shows it.
type rankedDoc struct {
	Rank       int    `json:"rank"`
	NFT        string `json:"nft"`
	Name       string `json:"name"`
	Collection string `json:"collection"`
	scoreDoc
}

// scoreDoc is a published score as JSON shows it.
type scoreDoc struct {
	POA         float64   `json:"poa"`
	Confidence  float64   `json:"confidence"`
	Provisional bool      `json:"provisional"`
	Elo         float64   `json:"elo"`
	Slider      float64   `json:"slider"`
	Fire        float64   `json:"fire"`
	Reliability float64   `json:"reliability"`
	Votes       int64     `json:"votes"`
	ComputedAt  time.Time `json:"computed_at"`
	Reason      string    `json:"reason"`
	Basis       string    `json:"basis"`
	ThroughVote int64     `json:"through_vote"`
	Version     int64     `json:"scoring_version"`
}

func asScoreDoc(s *store.Score) scoreDoc {
	return scoreDoc{
		POA: s.POA, Confidence: s.Confidence, Provisional: s.Provisional,
		Elo: s.Elo, Slider: s.Slider, Fire: s.Fire, Reliability: s.Reliability,
		Votes: s.Votes, ComputedAt: s.ComputedAt, Reason: s.Reason, Basis: string(s.Basis), ThroughVote: s.ThroughVote, Version: s.Version,
	}
}

func (c *topCommand) Run(ctx context.Context, m *Main) error {
	if c.N < 1 || c.N > 10000 {
		return usageError{fmt.Errorf("-n must be from 1 to 10000, is %d", c.N)}
	}
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	var top []store.Ranked
	err := m.store.View(ctx, func(v store.View) (err error) {
		if err := knownCollection(ctx, v, c.Collection); err != nil {
			return err
		}
		top, err = v.Top(ctx, c.Collection, c.N)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the top scores: %w", err)
	}
	if m.cli.JSON {
		docs := make([]rankedDoc, len(top))
		for i, r := range top {
			docs[i] = rankedDoc{i + 1, r.NFT.ID, r.NFT.Name, r.NFT.Collection, asScoreDoc(r.Rating.Score)}
		}
		return m.printJSON(docs)
	}
	if len(top) == 0 {
		m.printf("no NFT has a score yet; poa compute --all gives one to each that can have one\n")
		return nil
	}
	t := newTable(">#", "~NFT", "~NAME", "~COLLECTION", ">POA", ">CONFIDENCE", ">VOTES", "COMPUTED")
	for i, r := range top {
		s := r.Rating.Score
		poa := fmt.Sprintf("%.2f ", s.POA)
		if s.Provisional {
			poa = fmt.Sprintf("%.2f*", s.POA)
		}
		t.add(fmt.Sprint(i+1), r.NFT.ID, r.NFT.Name, r.NFT.Collection, poa, fmt.Sprintf("%.1f %%", s.Confidence),
			grouped(r.Rating.Votes), ago(s.ComputedAt, m.Now())+", "+s.Reason)
	}
	m.printTable(t)
	for _, r := range top {
		if r.Rating.Score.Provisional {
			m.printf("* provisional: few matchups yet\n")
			break
		}
	}
	return nil
}
