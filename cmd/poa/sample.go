package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"poa/internal/ledger"
	"poa/internal/sample"
	"poa/internal/store"
)

type sampleCommand struct {
	Seed uint64 `default:"1" help:"Another number makes another game; use it with an empty database. [1]"`
}

// sampleEnd is when the last votes of a sample were cast. It is fixed, so that
// a sample is the same whenever it is made and counts once in a database.
func sampleEnd() time.Time { return time.Date(2025, time.June, 30, 12, 0, 0, 0, time.UTC) }

// sampleDoc is what came of it.
type sampleDoc struct {
	NFTs      int `json:"nfts"`
	NewNFTs   int `json:"new_nfts"`
	Votes     int `json:"votes"`
	NewVotes  int `json:"new_votes"`
	Triggered int `json:"triggered"` // computations
}

func (c *sampleCommand) Run(ctx context.Context, m *Main) (err error) {
	if err := m.openToWrite(ctx); err != nil {
		return err
	}
	policy, err := m.policy(ctx)
	if err != nil {
		return err
	}
	game := sample.Small(c.Seed, sampleEnd())
	nfts := slices.Collect(game.NFTs())
	doc := sampleDoc{NFTs: len(nfts), Votes: game.Votes()}
	if doc.NewNFTs, err = m.store.PutNFTs(ctx, nfts, false, m.Now()); err != nil {
		return fmt.Errorf("registering NFTs: %w", err)
	}
	l := m.newLedger(policy)
	err = doc.cast(ctx, m, l, slices.Collect(game.History()))
	if err = errors.Join(err, l.Close(context.WithoutCancel(ctx))); err != nil {
		return fmt.Errorf("casting the votes of the sample: %w", err)
	}
	return doc.print(ctx, m)
}

// cast casts votes in small commits, as if people had: each may trigger.
func (d *sampleDoc) cast(ctx context.Context, m *Main, l *ledger.Ledger, votes []ledger.Vote) error {
	p := m.progress("votes", int64(len(votes)))
	defer p.end()
	for i := range votes {
		votes[i].Trusted = true // months of them arrive now
	}
	for part := range slices.Chunk(votes, 20) {
		answers, err := l.Submit(ctx, part)
		if err != nil {
			return err
		}
		for _, a := range answers {
			if a.Err != nil {
				return a.Err
			}
			if !a.Duplicate {
				d.NewVotes++
			}
			d.Triggered += len(a.Triggered)
		}
		p.add(int64(len(part)))
	}
	return nil
}

func (d *sampleDoc) print(ctx context.Context, m *Main) error {
	if m.cli.JSON {
		return m.printJSON(d)
	}
	m.printf("sample of %s and %s in %s: %s and %s new, %s at once\n", plural(int64(d.NFTs), "NFT"), plural(int64(d.Votes), "vote"),
		m.database(), plural(int64(d.NewNFTs), "NFT"), plural(int64(d.NewVotes), "vote"), plural(int64(d.Triggered), "computation"))
	var top []store.Ranked
	err := m.store.View(ctx, func(v store.View) (err error) {
		top, err = v.Top(ctx, nil, 1)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the top score: %w", err)
	}
	if len(top) > 0 {
		m.printf("next: %s\n      %s\n      %s\n", m.line("top"), m.line("score", top[0].NFT.ID), m.line("verify"))
	}
	return nil
}
