package importer

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"poa/internal/ledger"
	"poa/internal/store"
)

// finish brings a chunk into the database and accounts for it.
func (imp *importing) finish(ctx context.Context, c *chunk) error {
	if err := imp.putNFTs(ctx, c); err != nil {
		return err
	}
	if err := imp.submit(ctx, c); err != nil {
		return err
	}
	s := &imp.summary
	slices.SortStableFunc(c.rejects, func(a, b reject) int { return cmp.Compare(a.line, b.line) })
	for i := range c.rejects {
		c.rejects[i].err = imp.columns.asWritten(c.rejects[i].err)
	}
	if err := imp.rejects.write(c.rejects); err != nil {
		return err
	}
	rows := make([]store.Reject, len(c.rejects))
	for i, r := range c.rejects {
		rows[i] = store.Reject{
			Source: storable(imp.name), Line: r.line, Code: string(r.err.Code), Detail: storable(r.err.Error()), Raw: storable(r.raw), At: imp.Now(),
		}
		s.ByCode[string(r.err.Code)]++
	}
	if len(rows) > 0 {
		if err := imp.Store.PutRejects(ctx, rows); err != nil {
			return fmt.Errorf("recording rejected rows: %w", err)
		}
	}
	s.Rows += c.rows
	s.Rejected += int64(len(rows))
	if imp.Progress != nil {
		imp.Progress(Progress{Rows: s.Rows, Rejected: s.Rejected, Bytes: c.bytes, Total: imp.size})
	}
	return nil
}

// putNFTs registers NFTs. Of several rows with one id the first counts, or the
// last if they overwrite, whether they meet in one chunk or not.
func (imp *importing) putNFTs(ctx context.Context, c *chunk) error {
	if len(c.nfts) == 0 {
		return nil
	}
	overwrite := imp.Overwrite && imp.summary.Kind == NFTs
	nfts := c.nfts
	if !overwrite {
		seen := make(map[string]bool, len(nfts))
		nfts = slices.DeleteFunc(slices.Clone(nfts), func(n store.NFT) bool {
			again := seen[n.ID]
			seen[n.ID] = true
			return again
		})
	}
	if len(c.inactive) > 0 && imp.switched == nil {
		imp.switched = make(map[string]bool)
		if !overwrite {
			if err := imp.keepCollections(ctx); err != nil {
				return err
			}
		}
	}
	created, err := imp.Store.PutNFTs(ctx, nfts, overwrite, imp.Now())
	if err != nil {
		return fmt.Errorf("registering NFTs: %w", err)
	}
	imp.summary.NewNFTs += int64(created)
	if imp.summary.Kind == NFTs {
		imp.summary.Recorded += int64(created)
		imp.summary.Duplicates += int64(len(c.nfts) - created)
	}
	for _, name := range c.inactive {
		if imp.switched[name] {
			continue
		}
		imp.switched[name] = true
		if err := imp.Store.SetCollectionActive(ctx, name, false); err != nil {
			return fmt.Errorf("switching off collection %q: %w", name, err)
		}
	}
	return nil
}

// keepCollections leaves collections on that exist already.
func (imp *importing) keepCollections(ctx context.Context) error {
	return imp.Store.View(ctx, func(v store.View) error {
		collections, err := v.Collections(ctx)
		if err != nil {
			return fmt.Errorf("reading collections: %w", err)
		}
		for _, c := range collections {
			imp.switched[c.Name] = true
		}
		return nil
	})
}

// submit hands the votes of a chunk to the ledger, in order, and accounts for
// the answers.
func (imp *importing) submit(ctx context.Context, c *chunk) error {
	if len(c.votes) == 0 {
		return nil
	}
	old, err := imp.known(ctx, c.voters(), &imp.metVoters, store.View.KnownVoters)
	if err != nil {
		return fmt.Errorf("looking up voters: %w", err)
	}
	s := &imp.summary
	return ledger.Deliver(ctx, imp.Ledger, c.votes, func(i int, a ledger.Answer) {
		switch {
		case a.Err != nil:
			c.reject(c.of[i], a.Err)
			return
		case a.Duplicate:
			s.Duplicates++
		default:
			s.Recorded++
			if !old[c.votes[i].Voter] {
				old[c.votes[i].Voter] = true
				imp.metVoters.add(c.votes[i].Voter)
				s.NewVoters++
			}
			if c.votes[i].CastAt.IsZero() {
				s.NoTime++
			}
			if c.assumed[i] {
				s.NoWinner++
			}
		}
		for _, t := range a.Triggered {
			s.Triggered[string(t.Reason)]++
		}
	})
}
