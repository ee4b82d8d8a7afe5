package bench

import (
	"context"
	"sync/atomic"

	"poa/internal/store"
)

// meter is a store that counts commits of votes and the votes in them.
type meter struct {
	store.Store
	commits, votes, largest atomic.Int64
}

func (m *meter) Update(ctx context.Context, f func(store.Tx) error) error {
	var votes int64
	err := m.Store.Update(ctx, func(tx store.Tx) error {
		t := &meteredTx{Tx: tx}
		err := f(t)
		votes = t.votes
		return err
	})
	if err == nil && votes > 0 {
		m.commits.Add(1)
		m.votes.Add(votes)
		m.largest.Store(max(m.largest.Load(), votes)) // one ledger, one commit at a time
	}
	return err
}

type meteredTx struct {
	store.Tx
	votes int64
}

func (t *meteredTx) Apply(ctx context.Context, c *store.Changes) error {
	t.votes += int64(len(c.Votes))
	return t.Tx.Apply(ctx, c)
}
