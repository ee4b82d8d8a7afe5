// Package gamesync moves poa in beside a game that writes its votes straight
// into PostgreSQL tables (nfts, users, votes, favorites): it reads them, first
// all and then what is new, and hands the votes to the ledger.
//
// Every vote has a key made of its row's id, so reading a row again changes
// nothing, and how far the reading is, is saved only after what it tells of was
// recorded: a process may be killed at any point. Of all processes on one
// database of poa, one follows the game at a time, the holder of a lease.
package gamesync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"poa/internal/ledger"
	"poa/internal/store"
)

// Options of a Syncer. Store, Ledger and Settings are required.
type Options struct {
	Store    store.Sync
	Ledger   ledger.Submitter
	Settings Settings
	Process  string           // names this process among those on the database
	Progress func(Progress)   // called after each step of the first reading, if set
	Now      func() time.Time // time.Now
	Log      *slog.Logger     // discarded
}

// Progress is how far the first reading is, in rows of all tables.
type Progress struct {
	Rows, Total int64 // Total is 0 where nobody knows, else an estimate
}

// Syncer follows a game. Run and Once must not run at once.
type Syncer struct {
	Options
	game *game

	mu     sync.Mutex // guards status
	status Status
}

// Stage is what a Syncer is doing.
type Stage string

// The stages.
const (
	Stopped   Stage = "stopped"
	Waiting   Stage = "waiting"   // another process follows the game
	Reading   Stage = "reading"   // rows that came before this process
	Following Stage = "following" // new rows
	Failing   Stage = "failing"   // to try again in a moment
)

// Status is what a Syncer has done since it was made.
type Status struct {
	Stage  Stage  `json:"stage"`
	Holder string `json:"holder"` // of the lease
	Error  string `json:"error,omitempty"`

	Rows         int64            `json:"rows"`       // read: votes, favourites and NFTs
	Recorded     int64            `json:"recorded"`   // votes, withdrawals among them
	Duplicates   int64            `json:"duplicates"` // rows that were known
	Late         int64            `json:"late"`       // of the recorded, those that a reconciliation found
	Withdrawn    int64            `json:"withdrawn"`
	Rejected     int64            `json:"rejected"`
	ByCode       map[string]int64 `json:"rejected_by_code"`
	Triggered    map[string]int64 `json:"triggered"` // computations that votes caused, by reason
	NFTs         int64            `json:"new_nfts"`
	NFTsChanged  int64            `json:"changed_nfts"`
	Statements   Statements       `json:"statements"`
	CurrentUntil time.Time        `json:"current_until,omitzero"` // what the game committed until then is in poa
}

// Statements counts statements sent to the game's database.
type Statements struct {
	Total int64 `json:"total"`
	// Idle are those of looks that found nothing new, and Looks is how many of
	// these looks there were.
	Idle  int64 `json:"idle"`
	Looks int64 `json:"idle_looks"`
	// Sweeps are those of the reconciliations and of looking for favourites
	// that have vanished.
	Sweeps int64 `json:"sweeps"`
}

// Lag is how much of the game's latest past poa does not have yet; false where
// this process does not follow the game.
func (s *Status) Lag(now time.Time) (time.Duration, bool) {
	if s.CurrentUntil.IsZero() {
		return 0, false
	}
	return max(0, now.Sub(s.CurrentUntil)), true
}

// New returns a Syncer that does nothing yet.
func New(o Options) (*Syncer, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Settings.From == "" {
		return nil, errors.New("sync.from: must be the postgres:// URL of the game's database")
	}
	if o.Settings.SliderScale == 0 {
		return nil, errors.New("sync.slider_scale: must say what the game's slider runs to: 10 (ratings from 1 to 10) or 100 (from 0 to 100)")
	}
	g, err := newGame(o.Settings.From)
	if err != nil {
		return nil, err
	}
	return &Syncer{Options: o, game: g, status: Status{Stage: Stopped, ByCode: map[string]int64{}, Triggered: map[string]int64{}}}, nil
}

// Status returns what was done so far.
func (s *Syncer) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.ByCode, st.Triggered = maps.Clone(st.ByCode), maps.Clone(st.Triggered)
	st.Statements.Total = s.game.statements.Load()
	return st
}

func (s *Syncer) update(f func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.status)
}

// Check sees that the game can be read, that its tables are as expected and
// that the clocks agree.
func (s *Syncer) Check(ctx context.Context) error {
	_, err := s.game.check(ctx, s.Now)
	return err
}

// Once reads all that the game has, looks once for what came late or vanished,
// and returns. It waits while another process follows the game.
func (s *Syncer) Once(ctx context.Context) error {
	defer s.stopped(ctx)
	for {
		_, err := s.follow(ctx, true)
		if !errors.Is(err, errLost) {
			return err
		}
	}
}

// Run follows the game until ctx ends, and returns nil then. Whatever breaks is
// logged and tried again, but for a game that cannot be followed as it is from
// the start.
func (s *Syncer) Run(ctx context.Context) error {
	defer s.stopped(ctx)
	ever := false
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		began := s.Now()
		followed, err := s.follow(ctx, false)
		if ctx.Err() != nil {
			return nil
		}
		if ever = ever || followed; !ever && Refused(err) {
			return err
		}
		s.update(func(st *Status) { st.Stage, st.Error = Failing, err.Error() })
		if s.Now().Sub(began) > longestWait {
			wait = firstWait
		}
		s.Log.Warn("the game is not followed now; trying again", "in", wait, "err", err)
		if pause(ctx, wait) != nil {
			return nil
		}
	}
}

const (
	firstWait   = time.Second
	longestWait = 30 * time.Second
)

func (s *Syncer) stopped(ctx context.Context) {
	s.update(func(st *Status) { st.Stage, st.CurrentUntil = Stopped, time.Time{} })
	if err := s.game.close(ctx); err != nil {
		s.Log.Debug("closing the connection to the game's database", "err", err)
	}
}

// follow takes the lease and follows the game while it has it. It is false
// where it did not come to that.
func (s *Syncer) follow(ctx context.Context, once bool) (followed bool, err error) {
	warnings, err := s.game.check(ctx, s.Now)
	if err != nil {
		return false, err
	}
	for _, w := range warnings {
		s.Log.Warn(w)
	}
	lease, err := s.take(ctx)
	if err != nil {
		return false, err
	}
	w := &session{Syncer: s, lease: lease, seen: map[table]map[string]time.Time{votes: {}, favorites: {}}}
	defer w.giveBack(ctx)
	if w.state, err = readState(lease.State); err != nil {
		return false, err
	}
	if was := w.state.SliderScale; was != 0 && was != s.Settings.SliderScale {
		return false, errGame{fmt.Errorf("sync.slider_scale is %d, but this database of poa was filled with ratings read as of scale %d; set it to that", s.Settings.SliderScale, was)}
	}
	w.state.SliderScale = s.Settings.SliderScale
	s.Log.Info("following the game", "term", lease.Term)
	s.update(func(st *Status) { st.Stage, st.Error = Reading, "" })
	defer s.update(func(st *Status) { st.CurrentUntil = time.Time{} })
	held, end := context.WithCancelCause(ctx)
	var beating sync.WaitGroup
	beating.Go(func() { w.beat(held, end) })
	err = w.run(held, once)
	if context.Cause(held) == errLost {
		err = errLost // whatever broke did so because of it
	}
	end(nil)
	beating.Wait()
	return true, err
}

// session is the time for which a process follows the game.
type session struct {
	*Syncer
	state   state
	changed bool // of state, since it was saved

	seen   map[table]map[string]time.Time // times of the rows that a look meets again, by id
	looked time.Time                      // when new rows were last looked for, and all taken
	total  int64                          // estimate of the first reading
	rows   int64                          // of the first reading

	leasing sync.Mutex // guards lease, and is held while it is kept
	lease   store.Lease
}

// run reads what there is and then goes on looking for what is new, with a page
// of a sweep in between where one is due.
func (w *session) run(ctx context.Context, once bool) error {
	began := w.Now()
	if err := w.first(ctx); err != nil {
		return err
	}
	for {
		if now := w.Now(); now.Sub(w.looked) > behindAfter {
			if err := w.catchUp(ctx); err != nil {
				return err
			}
		} else if wait := w.Settings.Poll - now.Sub(w.looked); wait <= 0 {
			if err := w.look(ctx); err != nil {
				return err
			}
		}
		swept, err := w.sweep(ctx, once, began)
		if err != nil {
			return err
		}
		if swept {
			continue
		}
		if once {
			return w.save(ctx)
		}
		if err := pause(ctx, max(0, w.Settings.Poll-w.Now().Sub(w.looked))); err != nil {
			return err
		}
	}
}

// behindAfter is the time without a look after which rows are read in whole
// pages first.
const behindAfter = time.Minute
