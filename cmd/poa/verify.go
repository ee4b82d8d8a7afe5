package main

import (
	"context"
	"fmt"
	"iter"

	"poa/internal/store"
	"poa/internal/verify"
)

type verifyCommand struct {
	Show int `default:"50" placeholder:"N" help:"Name at most this many differences, 0 for all. [50]"`
}

// counted is a view that tells how far the vote log has been read.
type counted struct {
	store.View
	progress *progress
}

func (c counted) Log(ctx context.Context, after int64) iter.Seq2[store.Vote, error] {
	return func(yield func(store.Vote, error) bool) {
		for vote, err := range c.View.Log(ctx, after) {
			if !yield(vote, err) {
				return
			}
			c.progress.add(1)
		}
	}
}

func (c *verifyCommand) Run(ctx context.Context, m *Main) error {
	if c.Show < 0 {
		return usageError{fmt.Errorf("--show must not be negative, is %d", c.Show)}
	}
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	policy, err := m.policy(ctx)
	if err != nil {
		return err
	}
	shown := []verify.Difference{}
	var sum verify.Summary
	err = m.store.View(ctx, func(v store.View) error {
		counts, err := v.Counts(ctx)
		if err != nil {
			return fmt.Errorf("counting: %w", err)
		}
		p := m.progress("votes", counts.Votes)
		defer p.end()
		sum, err = verify.Run(ctx, counted{v, p}, policy, func(d verify.Difference) {
			if c.Show == 0 || len(shown) < c.Show {
				shown = append(shown, d)
			}
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("verifying: %w", err)
	}
	if err := c.print(m, sum, shown); err != nil {
		return err
	}
	if sum.Differences > 0 {
		return findings{}
	}
	return nil
}

func (c *verifyCommand) print(m *Main, sum verify.Summary, shown []verify.Difference) error {
	if m.cli.JSON {
		return m.printJSON(struct {
			verify.Summary
			Shown []verify.Difference `json:"shown"`
		}{sum, shown})
	}
	for _, d := range shown {
		m.printf("%s: %s is %s, the log says %s\n", clean(d.Subject), clean(d.Field), clean(d.Stored), clean(d.Want))
	}
	if rest := sum.Differences - int64(len(shown)); rest > 0 {
		m.printf("and %s more; --show 0 names all\n", plural(rest, "difference"))
	}
	m.printf("%s folded again: %s, %s and %s compared, ",
		plural(sum.Votes, "vote"), plural(sum.Ratings, "rating"), plural(sum.Voters, "voter"), plural(sum.Opinions, "opinion"))
	if sum.Differences == 0 {
		m.printf("no difference\n")
	} else {
		m.printf("%s\n", plural(sum.Differences, "difference"))
	}
	return nil
}
