package gamesync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"poa/internal/store"
)

// leaseName is the lease of whoever follows the game.
const leaseName = "game sync"

// state is what the one who follows the game leaves to the next. It is saved
// after what it tells of was recorded.
type state struct {
	SliderScale int              `json:"slider_scale"`
	At          map[table]place  `json:"at"`
	Sweeps      map[string]sweep `json:"sweeps"`
	// NewNFTs: NFTs became known since rows on unknown ones were last tried again.
	NewNFTs bool `json:"new_nfts"`
}

// place is the last row of a table that was taken, in the order of time and id.
type place struct {
	At time.Time `json:"at"`
	ID string    `json:"id"`
}

// sweep is how far a pass over a whole table is.
type sweep struct {
	After  string    `json:"after"`  // id of the last row looked at, "" at the beginning
	Began  time.Time `json:"began"`  // of the pass under way, zero where there is none
	Done   time.Time `json:"done"`   // when the last whole pass began
	Wanted bool      `json:"wanted"` // a pass is to begin whenever the last one was
}

func readState(text string) (state, error) {
	s := state{At: map[table]place{}, Sweeps: map[string]sweep{}}
	if text == "" {
		return s, nil
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("reading how far the game was followed: %w", err)
	}
	return s, nil
}

// errLost: another process follows the game now.
var errLost = errors.New("another process follows the game now")

// save leaves the state to the next holder; errLost.
func (w *session) save(ctx context.Context) error {
	text, err := json.Marshal(w.state)
	if err != nil {
		return fmt.Errorf("writing how far the game was followed: %w", err)
	}
	saved := string(text)
	if err := w.keep(ctx, &saved); err != nil {
		return err
	}
	w.changed = false
	return nil
}

// saveChanged saves what has changed.
func (w *session) saveChanged(ctx context.Context) error {
	if !w.changed {
		return nil
	}
	return w.save(ctx)
}

// keep keeps the lease, with a new state where there is one; errLost.
func (w *session) keep(ctx context.Context, state *string) error {
	w.leasing.Lock()
	defer w.leasing.Unlock()
	next := w.lease
	next.Until = w.Now().Add(w.Settings.Lease)
	if state != nil {
		next.State = *state
	}
	err := w.Store.KeepLease(ctx, next)
	if errors.Is(err, store.ErrNotFound) {
		return errLost
	}
	if err != nil {
		return fmt.Errorf("saving how far the game was followed: %w", err)
	}
	w.lease = next
	return nil
}

// beat keeps the lease while there is work, however long a step of it takes, and
// ends the session when it is lost.
func (w *session) beat(ctx context.Context, end context.CancelCauseFunc) {
	for pause(ctx, w.Settings.Lease/3) == nil {
		if err := w.keep(ctx, nil); errors.Is(err, errLost) {
			end(errLost)
			return
		} else if err != nil && ctx.Err() == nil {
			w.Log.Warn("the lease of the sync was not kept; it is tried again", "err", err)
		}
	}
}

// take waits for the lease and takes it. Waiting only reads.
func (s *Syncer) take(ctx context.Context) (store.Lease, error) {
	for told := ""; ; {
		lease, err := s.Store.Lease(ctx, leaseName)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return lease, fmt.Errorf("reading the lease of the sync: %w", err)
		}
		ok := false
		if now := s.Now(); !lease.Until.After(now) {
			lease, ok, err = s.Store.TakeLease(ctx, leaseName, s.Process, now, now.Add(s.Settings.Lease))
			if err != nil {
				return lease, fmt.Errorf("taking the lease of the sync: %w", err)
			}
		}
		s.update(func(st *Status) { st.Holder = lease.Holder })
		if ok {
			return lease, nil
		}
		if told != lease.Holder {
			told = lease.Holder
			s.update(func(st *Status) { st.Stage = Waiting })
			s.Log.Info("another process follows the game; waiting", "holder", lease.Holder, "until", lease.Until)
		}
		if err := pause(ctx, min(s.Settings.Lease/4, s.Settings.Poll)); err != nil {
			return lease, err
		}
	}
}

// giveBack ends the lease, so that another process need not wait for its end.
func (w *session) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackWithin)
	defer cancel()
	w.lease.Until = w.Now()
	if err := w.Store.KeepLease(ctx, w.lease); err != nil && !errors.Is(err, store.ErrNotFound) {
		w.Log.Warn("the lease of the sync was not given back; it ends by itself", "until", w.lease.Until, "err", err)
	}
}

const giveBackWithin = 3 * time.Second

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
