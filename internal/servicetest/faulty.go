package servicetest

import (
	"context"
	"sync"

	"poa/internal/store"
)

// Faulty is a store whose transactions fail when it is told to.
type Faulty struct {
	Store
	mu  sync.Mutex // guards what follows
	err error
}

// Fail has everything fail with an error from now on, nothing with nil.
func (f *Faulty) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *Faulty) failing() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *Faulty) View(ctx context.Context, do func(store.View) error) error {
	if err := f.failing(); err != nil {
		return err
	}
	return f.Store.View(ctx, do)
}

func (f *Faulty) Update(ctx context.Context, do func(store.Tx) error) error {
	if err := f.failing(); err != nil {
		return err
	}
	return f.Store.Update(ctx, do)
}

func (f *Faulty) Ping(ctx context.Context) error {
	if err := f.failing(); err != nil {
		return err
	}
	return f.Store.Ping(ctx)
}
