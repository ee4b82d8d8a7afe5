package main

import (
	"context"
	"fmt"

	"poa/internal/config"
	"poa/internal/store"
)

type collectionsCommand struct{}

func (c *collectionsCommand) Run(ctx context.Context, m *Main) error {
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	var all []store.Collection
	err := m.store.View(ctx, func(v store.View) (err error) {
		all, err = v.Collections(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the collections: %w", err)
	}
	if m.cli.JSON {
		type doc struct {
			Name           string   `json:"name"`
			Active         bool     `json:"active"`
			NFTs           int64    `json:"nfts"`
			Votes          int64    `json:"votes"`
			Scored         int64    `json:"scored"`
			Ready          int64    `json:"ready"`
			MeanPOA        *float64 `json:"mean_poa"`
			MeanConfidence *float64 `json:"mean_confidence"`
		}
		docs := make([]doc, len(all))
		for i, c := range all {
			docs[i] = doc{c.Name, c.Active, c.NFTs, c.Votes, c.Scored, c.Ready, mean(c.POASum, c.Scored), mean(c.ConfidenceSum, c.Scored)}
		}
		return m.printJSON(docs)
	}
	if len(all) == 0 {
		m.printf("there is no collection yet; poa import --kind nfts FILE registers NFTs with theirs\n")
		return nil
	}
	t := newTable("~COLLECTION", "ACTIVE", ">NFTS", ">VOTES ON NFTS", ">SCORED", ">READY", ">MEAN POA", ">MEAN CONFIDENCE")
	for _, c := range all {
		active := "yes"
		if !c.Active {
			active = "no"
		}
		name := c.Name
		if name == "" {
			name = "(none)"
		}
		t.add(name, active, grouped(c.NFTs), grouped(c.Votes), grouped(c.Scored), grouped(c.Ready),
			meanText(c.POASum, c.Scored), meanText(c.ConfidenceSum, c.Scored))
	}
	m.printTable(t)
	return nil
}

// mean returns the mean of n values that sum to hundredths, nil for none.
func mean(hundredths, n int64) *float64 {
	if n == 0 {
		return nil
	}
	x := float64(hundredths) / 100 / float64(n)
	return &x
}

func meanText(hundredths, n int64) string {
	if x := mean(hundredths, n); x != nil {
		return fmt.Sprintf("%.2f", *x)
	}
	return "-"
}

// knownCollection returns an error, with the nearest name there is, where name
// is given and no collection has it.
func knownCollection(ctx context.Context, v store.View, name *string) error {
	if name == nil {
		return nil
	}
	all, err := v.Collections(ctx)
	if err != nil {
		return err
	}
	names := make([]string, len(all))
	for i, c := range all {
		if c.Name == *name {
			return nil
		}
		names[i] = c.Name
	}
	err = fmt.Errorf("there is no collection %q", *name)
	if nearest, d := config.Nearest(*name, names); likely(*name, d) && nearest != "" {
		return withHint(err, "did you mean %q? poa collections shows all", nearest)
	}
	return withHint(err, "poa collections shows all")
}

// likely reports whether a name may be another, mistyped in d characters.
func likely(name string, d int) bool { return d <= 1+len(name)/5 }
