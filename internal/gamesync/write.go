package gamesync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"poa/internal/scoring"
	"poa/internal/store"
)

// MaxWriteRows is how many rows of the game a transaction of the write-back
// touches at most.
const MaxWriteRows = 50

// WriteOptions of a Writeback. Process, Pass, Now and Log may be left out.
type WriteOptions struct {
	Store    store.Writeback
	Settings WriteSettings // checked; of mode on or trial
	All      bool          // begin with a pass over all NFTs, also where that was done before

	Process string                  // names this process among those on the store
	Pass    func(done, total int64) // is told how far the pass over all NFTs is
	Now     func() time.Time        // time.Now
	Log     *slog.Logger            // discarded
}

const (
	// writePage is how many entries of activity, and NFTs of a pass, are read at
	// once, and passPages how many pages of NFTs are taken together at most.
	writePage = 500
	passPages = 20
	// burst is how much of the rate goes into one transaction at most, and so
	// for how long the next one waits.
	burst = 2 * time.Second
	// A locked row is tried again after lockedFirst, then after twice as long
	// each time up to lockedMax; a refused one likewise.
	lockedFirst, lockedMax = time.Second, 30 * time.Second
	failedFirst, failedMax = time.Minute, time.Hour
	// errorMax is the longest pause after steps that fail.
	errorMax = time.Minute
	// away is after how long without a process that writes all scores are looked
	// at again: the game may have been restored meanwhile, or written by others.
	// The activity is kept for longer.
	away = time.Hour
	// stalledAfter is when activity that was logged must have come to light.
	stalledAfter = 10 * time.Minute
)

// HeldError says that another process writes to the same table now.
type HeldError struct {
	Target, Holder string
	Until          time.Time
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s writes to %s now, and holds that until %s at least", e.Holder, e.Target, e.Until.UTC().Format(time.RFC3339))
}

// Writeback writes published scores into the game's table nfts, or into a trial
// table beside it.
//
// What changed is read from the activity, in the order of commits, after one
// pass over all NFTs. The place in both is kept in a lease, so that one process
// writes at a time and another goes on where it stopped. A row that somebody
// holds is left out and tried again: the write-back waits for nobody's lock, and
// holds its own for one statement. Only what differs is written, and never over a
// value with a later poa_v2_updated_at.
type Writeback struct {
	WriteOptions
	target string
	game   *gameTable
	cancel context.CancelFunc
	done   chan struct{} // closed when the loop has ended; nil before Start

	// Of the one goroutine that works.
	lease    store.Lease
	held     bool
	kept     time.Time // when the lease was last kept
	state    writeState
	versions map[int64]scoring.Publishing
	next     time.Time // when the rate allows the next row

	mu    sync.Mutex // guards what follows
	stats WriteStats
	since time.Time // up to when what was published is written, but for what waits
}

// writeState is what a process leaves to the next.
type writeState struct {
	Position store.Position `json:"position"` // in the activity
	ReadAt   time.Time      `json:"read_at"`  // when it was read up to there
	Passed   int64          `json:"passed"`   // number of the last NFT of the pass over all
	Complete bool           `json:"complete"` // the pass has ended
	Elo      bool           `json:"elo"`      // the pass wrote elo_mean and elo_sigma
}

// WriteStats are numbers for people who look after a process.
type WriteStats struct {
	Target   string
	Active   bool // this process is the one that writes
	Complete bool // all scores were looked at once
	// Rows by what became of them. Locked ones count each time.
	Written, Unchanged, Newer, Locked, Missing, Failed int64
	Statements                                         int64 // sent to the game's database
	Errors                                             int64 // steps that failed
	// Waiting are the NFTs whose score is not written, by reason.
	Waiting map[store.UnwrittenReason]int64
	// Lag is for how long changes have not been written, or may not have been:
	// since the oldest that waits, or since the activity was last read. It says
	// nothing before Complete, nor of NFTs that are missing, and is 0 in a
	// process that is not the one that writes.
	Lag time.Duration

	oldest time.Time // change of those that wait
}

// change is an NFT whose score may have changed.
type change struct {
	nft       int64
	id        string
	since, at time.Time // the first and the latest change
	tries     int       // before
}

// NewWriteback returns a write-back. It connects when it is first needed.
func NewWriteback(ctx context.Context, o WriteOptions) (*Writeback, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pass == nil {
		o.Pass = func(int64, int64) {}
	}
	game, err := openGameTable(ctx, &o.Settings)
	if err != nil {
		return nil, err
	}
	w := &Writeback{WriteOptions: o, game: game, target: game.name, versions: map[int64]scoring.Publishing{}}
	w.stats.Target = w.target
	return w, nil
}

// Start begins to write, whenever no other process does. Call it once.
func (w *Writeback) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	go func() {
		defer close(w.done)
		w.run(ctx)
	}()
}

// Stop ends the writing, lets another process take over, and closes the
// connection to the game. It may be called without Start, and more than once.
func (w *Writeback) Stop() {
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
	w.game.close()
}

// Run writes until ctx ends.
func (w *Writeback) Run(ctx context.Context) { w.run(ctx) }

// Stats returns the numbers so far.
func (w *Writeback) Stats() WriteStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Statements = w.game.statements.Load()
	if s.Active {
		s.Lag = max(0, w.Now().Sub(w.since))
		if !s.oldest.IsZero() {
			s.Lag = max(s.Lag, w.Now().Sub(s.oldest))
		}
	}
	return s
}

// run works step by step until ctx ends.
func (w *Writeback) run(ctx context.Context) {
	defer w.release(ctx)
	failures := 0
	for ctx.Err() == nil {
		more, err := w.turn(ctx)
		var wait time.Duration
		held := (*HeldError)(nil)
		switch {
		case ctx.Err() != nil:
			return
		case errors.As(err, &held):
			failures, wait = 0, w.Settings.Lease/3
		case err != nil:
			if failures++; failures == 1 {
				w.Log.Warn("writing scores to the game failed; it is tried again", "to", w.target, "err", err)
			}
			w.count(func(s *WriteStats) { s.Errors++ })
			wait = min(errorMax, w.Settings.Poll<<min(failures, 10))
		default:
			if failures > 0 {
				w.Log.Info("writing scores to the game works again", "to", w.target, "failures", failures)
			}
			failures = 0
			if !more {
				wait = w.Settings.Poll
			}
		}
		if pause(ctx, wait) != nil {
			return
		}
	}
}

// Drain writes until nothing is left that can be written now. Rows that
// somebody holds are waited for; those that are missing or refused are not.
// A HeldError says that another process is at work.
func (w *Writeback) Drain(ctx context.Context) error {
	defer w.release(ctx)
	for {
		more, err := w.turn(ctx)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if w.Stats().Waiting[store.UnwrittenLocked] == 0 {
			return nil
		}
		if err := pause(ctx, lockedFirst/4); err != nil {
			return err
		}
	}
}

// turn does one step, under the lease. It reports whether there is more to do
// at once.
func (w *Writeback) turn(ctx context.Context) (more bool, err error) {
	if !w.held {
		if err := w.take(ctx); err != nil {
			return false, err
		}
	}
	more, err = w.step(ctx)
	if errors.Is(err, store.ErrNotFound) { // another process has taken the lease
		w.held = false
		w.count(func(s *WriteStats) { s.Active, s.Waiting, s.oldest = false, nil, time.Time{} })
	}
	return more, err
}

// count changes the numbers.
func (w *Writeback) count(f func(*WriteStats)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.stats)
}

// take takes the lease and goes on where the last holder was.
func (w *Writeback) take(ctx context.Context) error {
	now := w.Now()
	lease, ok, err := w.Store.TakeLease(ctx, "writeback to "+w.target, w.Process, now, now.Add(w.Settings.Lease))
	if err != nil {
		return fmt.Errorf("taking the lease of the write-back: %w", err)
	}
	if !ok {
		return &HeldError{Target: w.target, Holder: lease.Holder, Until: lease.Until}
	}
	w.lease, w.held, w.kept, w.state = lease, true, now, writeState{}
	if lease.State != "" {
		if err := json.Unmarshal([]byte(lease.State), &w.state); err != nil {
			return fmt.Errorf("reading the state of the write-back: %w", err)
		}
	}
	if err := w.ready(ctx, now); err != nil {
		w.release(ctx)
		return err
	}
	if err := w.recount(ctx); err != nil {
		return err
	}
	w.writtenUpTo(w.state.ReadAt)
	w.count(func(s *WriteStats) { s.Active, s.Complete = true, w.state.Complete })
	return nil
}

// ready looks whether the game's table can be written, and begins a pass over
// all NFTs where the activity alone does not tell what is to be written.
func (w *Writeback) ready(ctx context.Context, now time.Time) error {
	if err := w.game.check(ctx, w.Log); err != nil {
		return err
	}
	again := w.All || w.state.ReadAt.Before(now.Add(-away)) || w.Settings.Elo && !w.state.Elo
	if !again {
		stalled, err := w.stalled(ctx, now)
		if err != nil {
			return err
		}
		again = stalled
	}
	if !again {
		return nil
	}
	// What is published from here on is in the activity after the end.
	end, err := w.Store.StreamEnd(ctx)
	if err != nil {
		return fmt.Errorf("reading the end of the activity: %w", err)
	}
	w.state = writeState{Position: end, ReadAt: now, Elo: w.Settings.Elo}
	w.Log.Info("all scores are compared with the game's", "table", w.target)
	if err := w.keep(ctx); err != nil {
		return err
	}
	w.All = false
	return nil
}

// stalled reports whether the place in the activity is of another database
// server, as after a dump was restored: then nothing comes after it any more.
func (w *Writeback) stalled(ctx context.Context, now time.Time) (bool, error) {
	page, _, err := w.Store.Stream(ctx, w.state.Position, 1)
	if err != nil || len(page) > 0 {
		return false, err
	}
	latest, err := w.Store.ListActivity(ctx, store.ActivityQuery{Kind: store.Computed, Limit: 1})
	if err != nil || len(latest) == 0 {
		return false, err
	}
	return latest[0].Number > w.state.Position.Number && latest[0].At.Before(now.Add(-stalledAfter)), nil
}

// keep stores the state and prolongs the lease. ErrNotFound: it was taken.
func (w *Writeback) keep(ctx context.Context) error {
	now := w.Now()
	if err := w.put(ctx, now.Add(w.Settings.Lease)); err != nil {
		return err
	}
	w.kept = now
	return nil
}

func (w *Writeback) put(ctx context.Context, until time.Time) error {
	text, err := json.Marshal(w.state)
	if err != nil {
		return fmt.Errorf("keeping the state of the write-back: %w", err)
	}
	w.lease.Until, w.lease.State = until, string(text)
	if err := w.Store.KeepLease(ctx, w.lease); err != nil {
		return fmt.Errorf("keeping the lease of the write-back: %w", err)
	}
	return nil
}

// keepDue keeps the lease where a third of it has passed.
func (w *Writeback) keepDue(ctx context.Context) error {
	if w.Now().Sub(w.kept) < w.Settings.Lease/3 {
		return nil
	}
	return w.keep(ctx)
}

// release ends the lease, so that another process can go on at once.
func (w *Writeback) release(ctx context.Context) {
	if !w.held {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := w.put(ctx, w.Now()); err != nil && !errors.Is(err, store.ErrNotFound) {
		w.Log.Warn("the lease of the write-back was left as it is; another process goes on when it ends", "err", err)
	}
	w.held = false
	w.count(func(s *WriteStats) { s.Active = false })
}

// step tries again what is due, then follows the activity, and where that has
// nothing new goes on with the pass.
func (w *Writeback) step(ctx context.Context) (more bool, err error) {
	if err := w.keepDue(ctx); err != nil {
		return false, err
	}
	if err := w.retry(ctx); err != nil {
		return false, err
	}
	if more, err = w.follow(ctx); more || err != nil {
		return more, err
	}
	if w.state.Complete {
		return false, nil
	}
	return true, w.pass(ctx)
}

// retry writes what could not be written before and is due.
func (w *Writeback) retry(ctx context.Context) error {
	if len(w.Stats().Waiting) == 0 {
		return nil
	}
	due, err := w.Store.UnwrittenDue(ctx, w.target, w.Now(), writePage)
	if err != nil || len(due) == 0 {
		return err
	}
	changes := make([]change, len(due))
	for i, u := range due {
		changes[i] = change{nft: u.NFT, id: u.ID, since: u.Since, at: u.At, tries: u.Tries}
	}
	return w.write(ctx, changes)
}

// follow writes what the next page of activity tells of.
func (w *Writeback) follow(ctx context.Context) (more bool, err error) {
	began := w.Now()
	page, end, err := w.Store.Stream(ctx, w.state.Position, writePage)
	if err != nil {
		return false, fmt.Errorf("reading what was published: %w", err)
	}
	if len(page) > 0 {
		w.writtenUpTo(page[0].At)
		if err := w.write(ctx, changesOf(page)); err != nil {
			return false, err
		}
	}
	w.state.Position, w.state.ReadAt = end, began
	if more = len(page) == writePage; more {
		began = page[len(page)-1].At
	}
	w.writtenUpTo(began)
	if len(page) == 0 {
		return false, nil
	}
	return more, w.keep(ctx)
}

// writtenUpTo notes up to when what was published is written.
func (w *Writeback) writtenUpTo(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = at
}

// changesOf returns the NFTs whose score changed, each once, in the order in
// which they first did.
func changesOf(page []store.Activity) []change {
	place := map[int64]int{}
	var changes []change
	for i := range page {
		a := &page[i]
		if a.Kind != store.Computed && a.Kind != store.Withdrawn {
			continue
		}
		if at, again := place[a.NFT]; again {
			c := &changes[at]
			c.since, c.at = earlier(c.since, a.At), later(c.at, a.At)
			continue
		}
		place[a.NFT] = len(changes)
		changes = append(changes, change{nft: a.NFT, id: a.NFTID, since: a.At, at: a.At})
	}
	return changes
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// pass writes the next NFTs of the pass over all: from some pages, so that the
// rows of a transaction are many where few NFTs have a score.
func (w *Writeback) pass(ctx context.Context) error {
	var changes []change
	at, complete := w.state.Passed, false
	for range passPages {
		page, err := w.Store.ListNFTs(ctx, store.NFTQuery{After: at, Limit: writePage})
		if err != nil {
			return fmt.Errorf("reading scores: %w", err)
		}
		for i := range page {
			published, err := w.published(ctx, &page[i])
			if err != nil {
				return err
			}
			if at = page[i].NFT.Number; !published.IsZero() {
				changes = append(changes, change{nft: at, id: page[i].NFT.ID, since: published, at: published})
			}
		}
		if complete = len(page) < writePage; complete || len(changes) >= writePage {
			break
		}
	}
	if err := w.write(ctx, changes); err != nil {
		return err
	}
	w.state.Passed, w.state.Complete = at, complete
	w.count(func(s *WriteStats) { s.Complete = complete })
	if err := w.tellPass(ctx); err != nil {
		return err
	}
	return w.keep(ctx)
}

// published returns when the score of an NFT was published or withdrawn; the
// zero time where it never had one.
func (w *Writeback) published(ctx context.Context, n *store.Ranked) (time.Time, error) {
	switch r := &n.Rating; {
	case r.Score != nil:
		return r.Score.ComputedAt, nil
	case r.Scorable() || r.FireVotes == 0: // only FIRE can be withdrawn
		return time.Time{}, nil
	}
	last, err := w.Store.VotesOf(ctx, n.NFT.Number, 0, 0, 1)
	if err != nil || len(last) == 0 {
		return time.Time{}, err
	}
	return last[0].ReceivedAt, nil
}

// tellPass tells how far the pass is. Numbers of NFTs are dense enough.
func (w *Writeback) tellPass(ctx context.Context) error {
	total := int64(0)
	err := w.Store.View(ctx, func(v store.View) error {
		collections, err := v.Collections(ctx)
		for _, c := range collections {
			total += c.NFTs
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("counting NFTs: %w", err)
	}
	done := min(w.state.Passed, total)
	if w.state.Complete {
		done = total
	}
	w.Pass(done, total)
	return nil
}

// write writes the scores of NFTs that changed, a few rows at a time, and keeps
// those that cannot be written now.
func (w *Writeback) write(ctx context.Context, changes []change) error {
	size := min(w.Settings.Rows, max(1, int(w.Settings.Rate*burst.Seconds())))
	for chunk := range slices.Chunk(changes, size) {
		if err := w.keepDue(ctx); err != nil {
			return err
		}
		rows, err := w.rows(ctx, chunk)
		if err != nil {
			return err
		}
		if err := w.pace(ctx, len(rows)); err != nil {
			return err
		}
		if err := w.game.write(ctx, rows); err != nil {
			return err
		}
		if err := w.settle(ctx, chunk, rows); err != nil {
			return err
		}
	}
	return nil
}

// pace waits until the rate allows n rows more.
func (w *Writeback) pace(ctx context.Context, n int) error {
	now := time.Now()
	if err := pause(ctx, w.next.Sub(now)); err != nil {
		return err
	}
	w.next = later(w.next, now).Add(time.Duration(float64(n) / w.Settings.Rate * float64(time.Second)))
	return nil
}

// rows reads what is to be written. An NFT that waits for its first score has
// nothing to write yet.
func (w *Writeback) rows(ctx context.Context, changes []change) ([]scoreRow, error) {
	var rows []scoreRow
	err := w.Store.View(ctx, func(v store.View) error {
		ids := make([]string, len(changes))
		for i := range changes {
			ids[i] = changes[i].id
		}
		ratings, err := v.Ratings(ctx, ids)
		if err != nil {
			return err
		}
		byNFT := make(map[int64]*store.Rating, len(ratings))
		for i := range ratings {
			byNFT[ratings[i].NFT] = &ratings[i]
		}
		rows = rows[:0]
		for _, c := range changes {
			r := byNFT[c.nft]
			if r == nil || r.Score == nil && r.Scorable() {
				continue
			}
			row, err := w.row(ctx, v, c, r)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading scores: %w", err)
	}
	return rows, nil
}

// row returns what is written of a score, or to withdraw it.
func (w *Writeback) row(ctx context.Context, v store.View, c change, r *store.Rating) (scoreRow, error) {
	row := scoreRow{change: c, mean: r.Mean, sigma: r.Sigma}
	s := r.Score
	if s == nil {
		return row, nil
	}
	row.at = s.ComputedAt
	publishing, known := w.versions[s.Version]
	if !known {
		var err error
		if publishing, err = v.ScoringVersion(ctx, s.Version); err != nil {
			return row, err
		}
		w.versions[s.Version] = publishing
	}
	components, err := json.Marshal(oldComponents{s.Elo, s.Slider, s.Fire, s.Confidence, s.Reliability})
	if err != nil {
		return row, err
	}
	text, sentence := string(components), publishing.Explain(s.POA, s.Components)
	row.poa, row.confidence, row.components, row.explanation = &s.POA, &s.Confidence, &text, &sentence
	return row, nil
}

// oldComponents is the JSON in poa_v2_components.
type oldComponents struct {
	Elo         float64 `json:"elo_component"`
	Slider      float64 `json:"slider_component"`
	Fire        float64 `json:"fire_component"`
	Confidence  float64 `json:"confidence"`
	Reliability float64 `json:"avg_reliability"`
}

// settle counts what became of rows and keeps those that were not written.
// What was kept before of the others is removed.
func (w *Writeback) settle(ctx context.Context, changes []change, rows []scoreRow) error {
	var put []store.Unwritten
	var missing []string
	kept := map[int64]bool{}
	now := w.Now()
	for i := range rows {
		r := &rows[i]
		w.tally(r.outcome)
		if r.outcome == rowMissing {
			missing = append(missing, r.id)
		}
		if u, keep := r.unwritten(now); keep {
			put = append(put, u)
			kept[u.NFT] = true
			if r.outcome == rowFailed && r.tries == 0 {
				w.Log.Warn("the game's database refuses a score; it is tried again", "nft", r.id, "err", r.detail)
			}
		}
	}
	if len(missing) > 0 {
		w.Log.Warn("NFTs with a score are not in the game's table", "table", w.target, "count", len(missing), "first", missing[0])
	}
	waited := len(w.Stats().Waiting) > 0
	if len(put) == 0 && !waited {
		return nil
	}
	var done []int64
	for _, c := range changes {
		if waited && !kept[c.nft] {
			done = append(done, c.nft)
		}
	}
	if err := w.Store.PutUnwritten(ctx, w.target, put, done); err != nil {
		return err
	}
	return w.recount(ctx)
}

func (w *Writeback) tally(o outcome) {
	w.count(func(s *WriteStats) {
		switch o {
		case rowWritten:
			s.Written++
		case rowUnchanged:
			s.Unchanged++
		case rowNewer:
			s.Newer++
		case rowLocked:
			s.Locked++
		case rowMissing:
			s.Missing++
		case rowFailed:
			s.Failed++
		}
	})
}

// unwritten returns a row as it is kept, and whether it is.
func (r *scoreRow) unwritten(now time.Time) (store.Unwritten, bool) {
	u := store.Unwritten{NFT: r.nft, ID: r.id, Since: r.since, At: r.change.at, Tries: r.tries + 1}
	switch r.outcome {
	case rowLocked:
		u.Reason, u.NextTry = store.UnwrittenLocked, now.Add(backOff(lockedFirst, lockedMax, r.tries))
	case rowFailed:
		u.Reason, u.Detail, u.NextTry = store.UnwrittenFailed, r.detail, now.Add(backOff(failedFirst, failedMax, r.tries))
	case rowMissing:
		u.Reason = store.UnwrittenMissing
	default:
		return u, false
	}
	return u, true
}

// backOff doubles with every try before.
func backOff(first, most time.Duration, tries int) time.Duration {
	return time.Duration(math.Min(float64(most), float64(first)*math.Pow(2, float64(tries))))
}

// recount reads how many NFTs wait.
func (w *Writeback) recount(ctx context.Context) error {
	counts, err := w.Store.CountUnwritten(ctx, w.target)
	if err != nil {
		return err
	}
	waiting := map[store.UnwrittenReason]int64{}
	var oldest time.Time
	for _, c := range counts {
		waiting[c.Reason] = c.NFTs
		if c.Reason != store.UnwrittenMissing && (oldest.IsZero() || c.Since.Before(oldest)) {
			oldest = c.Since
		}
	}
	w.count(func(s *WriteStats) { s.Waiting, s.oldest = waiting, oldest })
	return nil
}
