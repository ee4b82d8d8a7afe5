package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"poa/internal/store"
	"poa/internal/trigger"
)

var (
	_ store.Service   = (*Store)(nil)
	_ store.ServiceTx = tx{}
)

// settingsHeads are for statements that begin at the head of an index, or where
// a page ended, and go as far as their limit, whatever is known of the tables:
// any other way would read all there is. Merging what collections have needs a
// sort all the same, whose cost then looks enormous, so they join no tables
// beyond that and nothing is compiled for them.
const (
	settingsHeads = settingsPage + `, set_config('jit', 'off', true)`
	settingsRest  = settingsPaged
)

// read runs f in one snapshot, with each statement planned for what it is given:
// what reads the head of an index must not be planned for the small tables of
// another day.
func (s *Store) read(ctx context.Context, f func(*link) error) error {
	l, err := s.begin(ctx, beginView, settingsView)
	if err != nil {
		return err
	}
	defer l.end(ctx)
	return f(l)
}

// now runs statements at once on any connection, each a transaction of its own.
func (s *Store) now() *Queries { return New(s.pool) }

// failure says what was being done when err occurred in a statement of its own,
// and which of the store's errors it is. It returns nil for nil.
func (s *Store) failure(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	return fmt.Errorf("%s: %w", doing, s.unavailable(ctx, err))
}

// optional is null for nil.
func optional(text *string) pgtype.Text {
	if text == nil {
		return pgtype.Text{}
	}
	return pgtype.Text{String: *text, Valid: true}
}

// scope splits a collection's name, nil for all, for the statements.
func scope(collection *string) (all bool, name string) {
	if collection == nil {
		return true, ""
	}
	return false, *collection
}

// Candidates reads the heads of the indexes that a batch picks from in one
// round trip, and what a candidate is of all that they name in another.
func (s *Store) Candidates(ctx context.Context, want store.Wanted) (found store.Candidates, err error) {
	all, name := scope(want.Collection)
	now := stamp(want.Now)
	var retries []store.Candidate
	picks := []pick{
		{want.Due, &retries, candidatesToRetry, []any{now, all, name, limit(want.Due)}},
		{want.Due, &found.Due, candidatesDue, []any{now, limit(want.Due), all, name}},
		{want.ByVotes, &found.ByVotes, candidatesByVotes, []any{now, limit(want.ByVotes), all, name}},
		{want.ByWaiting, &found.ByWaiting, candidatesByWaiting, []any{now, limit(want.ByWaiting), all, name}},
		{want.Old, &found.Old, candidatesOld, []any{stamp(want.OldBefore), now, limit(want.Old), all, name}},
	}
	picks = slices.DeleteFunc(picks, func(p pick) bool { return p.wanted <= 0 })
	if len(picks) == 0 {
		return found, nil
	}
	err = s.read(ctx, func(l *link) error {
		return l.failure(ctx, "looking for candidates", l.pick(ctx, picks))
	})
	found.Due = append(found.Due, retries...)
	found.Due = found.Due[:min(len(found.Due), max(want.Due, 0))]
	return found, err
}

// pick is a statement that lists NFTs by number, with its arguments in the order
// of their numbers.
type pick struct {
	wanted int
	into   *[]store.Candidate
	sql    string
	args   []any
}

func (l *link) pick(ctx context.Context, picks []pick) error {
	l.gathered.Queue(settingsHeads)
	err := l.ahead(ctx, column(picks, func(p *pick) statement { return statement{p.sql, p.args} })...)
	if err != nil {
		return err
	}
	lists := make([][]int64, len(picks))
	for i, p := range picks {
		rows, err := l.Query(ctx, p.sql, p.args...)
		if err != nil {
			return err
		}
		if lists[i], err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
			return err
		}
	}
	l.gathered.Queue(settingsRest)
	rows, err := l.q.Candidates(ctx, slices.Concat(lists...))
	if err != nil {
		return err
	}
	byNFT := make(map[int64]*CandidatesRow, len(rows))
	for i := range rows {
		byNFT[rows[i].NFT] = &rows[i]
	}
	for i, p := range picks {
		for _, nft := range lists[i] {
			if row := byNFT[nft]; row != nil { // it is registered
				*p.into = append(*p.into, candidateOf(row))
			}
		}
	}
	return nil
}

func candidateOf(r *CandidatesRow) store.Candidate {
	return store.Candidate{
		NFT: r.NFT, ID: r.ID, Collection: r.CollectionName, Votes: r.Votes,
		Due:          store.Due{Since: moment(r.DueSince), Reason: r.DueReason.String, Priority: trigger.Priority(r.DuePriority.Int16)},
		WaitingSince: moment(r.WaitingSince), ComputedAt: moment(r.ComputedAt), Tries: int(r.Tries),
	}
}

// Backlog counts what the batches of active collections owe.
func (s *Store) Backlog(ctx context.Context, oldBefore time.Time, upTo int64) (b store.Backlog, err error) {
	err = s.read(ctx, func(l *link) error {
		row, err := l.q.Backlog(ctx, BacklogParams{
			Ready: store.CountReady, OldBefore: stamp(oldBefore), UpTo: max(0, upTo), Priorities: int32(trigger.High),
		})
		b = store.Backlog{
			Due: row.Due, New: row.Waiting, Old: row.Old, OldestDue: moment(row.OldestDue), OldestNew: moment(row.OldestWaiting),
		}
		return l.failure(ctx, "counting the backlog", err)
	})
	return b, err
}

// StartRun creates a run and logs it, unless there is one of its kind and
// window: then another process that is creating it is waited for.
func (s *Store) StartRun(ctx context.Context, r store.Run, log store.Activity) (run store.Run, created bool, err error) {
	err = s.update(ctx, func(l *link) error {
		rows, err := l.q.InsertRun(ctx, InsertRunParams{
			Kind: string(r.Kind), WindowName: r.Window, Collection: optional(r.Collection), Plan: r.Plan, RequestedBy: r.RequestedBy,
			CreatedAt: stamp(r.CreatedAt), Cursor: r.Cursor, Total: r.Total, Done: r.Done, Changed: r.Changed, Failed: r.Failed,
			StopReason: r.StopReason, Holder: r.Holder, LeaseUntil: stamp(r.LeaseUntil),
		})
		if err != nil {
			return l.failure(ctx, "starting a run", err)
		}
		if created = len(rows) > 0; !created {
			row, err := l.q.RunOfWindow(ctx, RunOfWindowParams{Kind: string(r.Kind), WindowName: r.Window})
			run = runOf(&row)
			return l.failure(ctx, "reading the run of a window", err)
		}
		run = runOf(&rows[0])
		log.Run = run.Number
		columns, err := activityColumns([]store.Activity{log})
		if err != nil {
			return err
		}
		return l.q.InsertActivity(ctx, columns)
	})
	if err != nil {
		return store.Run{}, false, err
	}
	return run, created, nil
}

func runOf(r *Run) store.Run {
	run := store.Run{
		Number: r.Number, Kind: store.RunKind(r.Kind), Window: r.Window, Plan: r.Plan, State: store.RunState(r.State),
		RequestedBy: r.RequestedBy, CreatedAt: moment(r.CreatedAt), EndedAt: moment(r.EndedAt),
		Cursor: r.Cursor, Total: r.Total, Done: r.Done, Changed: r.Changed, Failed: r.Failed,
		StopReason: r.StopReason, Cancel: r.Cancel, Steps: r.Steps, Holder: r.Holder, LeaseUntil: moment(r.LeaseUntil),
	}
	if r.Collection.Valid {
		run.Collection = &r.Collection.String
	}
	return run
}

// ClaimRun takes the next step of a run by one UPDATE.
func (s *Store) ClaimRun(ctx context.Context, number, step int64, holder string, now, until time.Time) (run store.Run, ok bool, err error) {
	err = s.update(ctx, func(l *link) error {
		rows, err := l.q.ClaimRun(ctx, ClaimRunParams{
			Number: number, Step: step, Holder: holder, Now: stamp(now), Until: stamp(until),
		})
		if ok = len(rows) > 0; ok {
			run = runOf(&rows[0])
		}
		return l.failure(ctx, "claiming a run", err)
	})
	if err != nil {
		return store.Run{}, false, err
	}
	return run, ok, nil
}

// SaveRun writes a run that is still at its step.
func (t tx) SaveRun(ctx context.Context, r store.Run) (cancel string, err error) {
	cancel, err = t.q.SaveRun(ctx, SaveRunParams{
		Number: r.Number, Steps: r.Steps, Plan: r.Plan, State: string(r.State), EndedAt: stamp(r.EndedAt),
		Cursor: r.Cursor, Total: r.Total, Done: r.Done, Changed: r.Changed, Failed: r.Failed,
		StopReason: r.StopReason, LeaseUntil: stamp(r.LeaseUntil),
	})
	return cancel, t.missing(ctx, fmt.Sprintf("run %d at step %d", r.Number, r.Steps), err)
}

// OrphanedRuns returns the running runs whose lease has ended.
func (s *Store) OrphanedRuns(ctx context.Context, now time.Time) ([]store.Run, error) {
	rows, err := s.now().OrphanedRuns(ctx, stamp(now))
	return convert(rows, runOf), s.failure(ctx, "reading runs that nobody holds", err)
}

// RequestCancel notes who asked to cancel a running run.
func (s *Store) RequestCancel(ctx context.Context, number int64, who string) error {
	return s.change(ctx, fmt.Sprintf("cancelling run %d", number), func(q *Queries) ([]int64, error) {
		return q.RequestCancel(ctx, RequestCancelParams{Number: number, Who: who})
	})
}

// change runs a statement that returns the rows it changed; ErrNotFound for none.
func (s *Store) change(ctx context.Context, doing string, f func(*Queries) ([]int64, error)) error {
	return s.update(ctx, func(l *link) error {
		changed, err := f(l.q)
		if err == nil && len(changed) == 0 {
			return fmt.Errorf("%s: %w", doing, store.ErrNotFound)
		}
		return l.failure(ctx, doing, err)
	})
}

// Run returns a run.
func (s *Store) Run(ctx context.Context, number int64) (store.Run, error) {
	row, err := s.now().RunByNumber(ctx, number)
	return runOf(&row), s.failure(ctx, fmt.Sprintf("reading run %d", number), err)
}

// Runs returns the latest runs.
func (s *Store) Runs(ctx context.Context, kind store.RunKind, before int64, n int) (runs []store.Run, err error) {
	err = s.read(ctx, func(l *link) error {
		rows, err := l.q.Runs(ctx, RunsParams{Kind: string(kind), Before: orLast(before), UpTo: limit(n)})
		runs = convert(rows, runOf)
		return l.failure(ctx, "reading runs", err)
	})
	return runs, err
}

// orLast is a number above all for 0.
func orLast(before int64) int64 {
	if before == 0 {
		return math.MaxInt64
	}
	return before
}

// Failures returns the failed list.
func (s *Store) Failures(ctx context.Context, n int) ([]store.Failure, error) {
	rows, err := s.now().Failures(ctx, limit(n))
	return convert(rows, failureOf), s.failure(ctx, "reading the failed list", err)
}

// FailuresOf returns those of the NFTs that are on the failed list.
func (s *Store) FailuresOf(ctx context.Context, nfts []int64) ([]store.Failure, error) {
	rows, err := s.now().FailuresOf(ctx, nfts)
	return convert(rows, func(r *FailuresOfRow) store.Failure { return failureOf((*FailuresRow)(r)) }),
		s.failure(ctx, "reading the failed list", err)
}

func failureOf(r *FailuresRow) store.Failure {
	f := &r.Failure
	return store.Failure{
		NFT: f.NFT, ID: r.NftID, Error: f.Error, Tries: int(f.Tries),
		FirstAt: moment(f.FirstAt), LastAt: moment(f.LastAt), NextTry: moment(f.NextTry), Run: f.Run,
	}
}

func failureColumns(failures []store.Failure) UpsertFailuresParams {
	return UpsertFailuresParams{
		NFTs:      column(failures, func(f *store.Failure) int64 { return f.NFT }),
		Errors:    column(failures, func(f *store.Failure) string { return f.Error }),
		Tries:     column(failures, func(f *store.Failure) int64 { return int64(f.Tries) }),
		FirstAts:  column(failures, func(f *store.Failure) pgtype.Timestamptz { return stamp(f.FirstAt) }),
		LastAts:   column(failures, func(f *store.Failure) pgtype.Timestamptz { return stamp(f.LastAt) }),
		NextTries: column(failures, func(f *store.Failure) pgtype.Timestamptz { return stamp(f.NextTry) }),
		Runs:      column(failures, func(f *store.Failure) int64 { return f.Run }),
	}
}

// DiscardFailure removes an NFT from the failed list.
func (s *Store) DiscardFailure(ctx context.Context, nft int64) error {
	return s.change(ctx, fmt.Sprintf("discarding the failure of NFT number %d", nft), func(q *Queries) ([]int64, error) {
		return q.DiscardFailure(ctx, nft)
	})
}

// RetryFailure has the next batch take an NFT of the failed list.
func (s *Store) RetryFailure(ctx context.Context, nft int64, now time.Time) error {
	return s.change(ctx, fmt.Sprintf("retrying NFT number %d", nft), func(q *Queries) ([]int64, error) {
		return q.RetryFailure(ctx, RetryFailureParams{NFT: nft, NextTry: stamp(now)})
	})
}

// PutKey stores a new key.
func (s *Store) PutKey(ctx context.Context, k store.Key) (store.Key, error) {
	err := s.update(ctx, func(l *link) (err error) {
		k.Number, err = l.q.InsertKey(ctx, InsertKeyParams{
			Name: k.Name, Role: string(k.Role), Hash: k.Hash, CreatedAt: stamp(k.CreatedAt), CreatedBy: k.CreatedBy,
			LastUsed: stamp(k.LastUsed), RevokedAt: stamp(k.RevokedAt),
		})
		var answer *pgconn.PgError
		if errors.As(err, &answer) && answer.ConstraintName == "keys_name" {
			return fmt.Errorf("key %q: %w", k.Name, store.ErrNameTaken)
		}
		return l.failure(ctx, "storing a key", err)
	})
	if err != nil {
		return store.Key{}, err
	}
	return k, nil
}

// Keys returns all keys.
func (s *Store) Keys(ctx context.Context) ([]store.Key, error) {
	rows, err := s.now().Keys(ctx)
	return convert(rows, keyOf), s.failure(ctx, "reading keys", err)
}

// KeyByHash returns the key in force with that hash.
func (s *Store) KeyByHash(ctx context.Context, hash []byte) (store.Key, error) {
	row, err := s.now().KeyByHash(ctx, hash)
	if err != nil {
		return store.Key{}, s.failure(ctx, "reading a key", err)
	}
	return keyOf(&row), nil
}

func keyOf(k *Key) store.Key {
	return store.Key{
		Number: k.Number, Name: k.Name, Role: store.Role(k.Role), Hash: k.Hash,
		CreatedAt: moment(k.CreatedAt), CreatedBy: k.CreatedBy, LastUsed: moment(k.LastUsed), RevokedAt: moment(k.RevokedAt),
	}
}

// RevokeKey ends a key. One that has ended stays as it is.
func (s *Store) RevokeKey(ctx context.Context, name string, now time.Time) error {
	return s.change(ctx, fmt.Sprintf("revoking key %q", name), func(q *Queries) ([]int64, error) {
		return q.RevokeKey(ctx, RevokeKeyParams{Name: name, Now: stamp(now)})
	})
}

// TouchKeys records when keys were last used, the latest time that is told.
func (s *Store) TouchKeys(ctx context.Context, used map[int64]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	var p TouchKeysParams
	for number, at := range used {
		p.Numbers, p.Ats = append(p.Numbers, number), append(p.Ats, stamp(at))
	}
	return s.update(ctx, func(l *link) error { return l.q.TouchKeys(ctx, p) })
}

// Stream returns activity in the order of transaction numbers, as far as no
// transaction is under way that has a lower one.
func (s *Store) Stream(ctx context.Context, after store.Position, n int) ([]store.Activity, store.Position, error) {
	var rows []StreamRow
	err := s.read(ctx, func(l *link) (err error) {
		rows, err = l.q.Stream(ctx, StreamParams{
			Transaction: strconv.FormatUint(after.Transaction, 10), Number: after.Number, UpTo: limit(n),
		})
		return l.failure(ctx, "following the activity", err)
	})
	if err != nil || len(rows) == 0 {
		return nil, after, err
	}
	entries := make([]store.Activity, len(rows))
	for i := range rows {
		if entries[i], err = entryOf(streamed(&rows[i])); err != nil {
			return nil, after, fmt.Errorf("following the activity: %w", err)
		}
	}
	end, err := positionOf(rows[len(rows)-1].Transaction, rows[len(rows)-1].Number)
	if err != nil {
		return nil, after, err
	}
	return entries, end, nil
}

func streamed(r *StreamRow) *ActivityRow {
	return &ActivityRow{
		Number: r.Number, At: r.At, Kind: r.Kind, NFT: r.NFT, Reason: r.Reason, Reasons: r.Reasons, Priority: r.Priority,
		Basis: r.Basis, POABefore: r.POABefore, POA: r.POA, Vote: r.Vote, Detail: r.Detail, Run: r.Run, Who: r.Who,
		NftID: pgtype.Text{String: r.NftID, Valid: true},
	}
}

func positionOf(transaction string, number int64) (store.Position, error) {
	xid, err := strconv.ParseUint(transaction, 10, 64)
	if err != nil {
		return store.Position{}, fmt.Errorf("reading a position in the activity: %w", err)
	}
	return store.Position{Transaction: xid, Number: number}, nil
}

// StreamEnd returns the position of the last entry that Stream returns now.
func (s *Store) StreamEnd(ctx context.Context) (end store.Position, err error) {
	err = s.read(ctx, func(l *link) error {
		rows, err := l.q.StreamEnd(ctx)
		if err != nil || len(rows) == 0 {
			return l.failure(ctx, "looking for the end of the activity", err)
		}
		end, err = positionOf(rows[0].Transaction, rows[0].Number)
		return err
	})
	return end, err
}

// Trim deletes the oldest rows of the logs, each log in a transaction of its own.
func (s *Store) Trim(ctx context.Context, before store.Before, n int) (done store.Trimmed, err error) {
	done.Activity, err = s.trim(ctx, "trimming the activity", func(q *Queries) ([]int64, error) {
		return q.TrimActivity(ctx, TrimActivityParams{Before: stamp(before.Activity), UpTo: limit(n)})
	})
	if err != nil {
		return done, err
	}
	done.History, err = s.trim(ctx, "trimming the history", func(q *Queries) ([]int64, error) {
		return q.TrimHistory(ctx, TrimHistoryParams{Before: stamp(before.History), UpTo: limit(n)})
	})
	if err != nil {
		return done, err
	}
	done.Runs, err = s.trim(ctx, "trimming the runs", func(q *Queries) ([]int64, error) {
		return q.TrimRuns(ctx, TrimRunsParams{Before: stamp(before.Runs), UpTo: limit(n)})
	})
	return done, err
}

// trim plans as reads are: it begins at the head of an index.
func (s *Store) trim(ctx context.Context, doing string, f func(*Queries) ([]int64, error)) (int64, error) {
	l, err := s.begin(ctx, beginUpdate, settingsView)
	if err != nil {
		return 0, err
	}
	defer l.end(ctx)
	numbers, err := f(l.q)
	if err != nil {
		return 0, l.failure(ctx, doing, err)
	}
	return int64(len(numbers)), l.commit(ctx)
}

// PutSettings stores settings with their audit entries and logs the activity.
func (s *Store) PutSettings(ctx context.Context, asOf int64, changes []store.SettingChange, log store.Activity) error {
	columns, err := activityColumns([]store.Activity{log})
	if err != nil {
		return err
	}
	return s.update(ctx, func(l *link) error {
		if err := l.lockSettings(ctx, asOf); err != nil {
			return err
		}
		return errors.Join(l.putSettings(ctx, changes...), l.q.InsertActivity(ctx, columns))
	})
}

// SettingsVersion returns the number of the last change of a setting.
func (s *Store) SettingsVersion(ctx context.Context) (int64, error) {
	version, err := s.now().SettingsVersion(ctx)
	return version, s.failure(ctx, "reading the version of the settings", err)
}

// Ping checks that the server answers and that transactions may write.
func (s *Store) Ping(ctx context.Context) error {
	writable, err := s.now().Writable(ctx)
	if err != nil {
		return s.failure(ctx, "reaching the database", err)
	}
	if !writable.Bool {
		return fmt.Errorf("reaching the database: %w: it is a standby or read-only", store.ErrUnavailable)
	}
	return nil
}

// health reads what every role may read. It is not in sqlc's catalogue of views.
//
// The server hides what other roles' sessions do from roles without
// pg_read_all_stats; their state is null then. Sessions at work are those of
// clients and their parallel workers.
const health = `
select (select count(*) from pg_stat_activity
        where state in ('active', 'fastpath function call') and pid <> pg_backend_pid() and backend_type in ('client backend', 'parallel worker')),
    exists (select from pg_stat_activity where datid is not null and usesysid is not null and (state is null or state = 'disabled')),
    (select count(distinct pid) from pg_locks where not granted),
    (select coalesce(max(extract(epoch from replay_lag)), 0)::float8 from pg_stat_replication where state in ('streaming', 'catchup')),
    exists (select from pg_stat_replication where state is null),
    pg_database_size(current_database())`

// Health reads what the server tells of its work. Without a replica there is no
// lag.
func (s *Store) Health(ctx context.Context) (store.Health, error) {
	var sessions, locks, size int64
	var lag float64
	var sessionsHidden, replicasHidden bool
	err := s.pool.QueryRow(ctx, health).Scan(&sessions, &sessionsHidden, &locks, &lag, &replicasHidden, &size)
	if err != nil {
		return store.Health{}, s.failure(ctx, "reading the database's health", err)
	}
	h := store.Health{WaitingLocks: &locks, SizeBytes: &size}
	if !sessionsHidden {
		h.ActiveSessions = &sessions
	}
	if !replicasHidden {
		d := time.Duration(lag * float64(time.Second))
		h.ReplicaLag = &d
	}
	return h, nil
}

// VotesOf returns the latest votes on an NFT, on either side, of a voter, or of
// a voter on an NFT.
func (s *Store) VotesOf(ctx context.Context, nft, voter int64, before int64, n int) (votes []store.Vote, err error) {
	err = s.read(ctx, func(l *link) error {
		if voter == 0 {
			rows, err := l.q.VotesOfNFT(ctx, VotesOfNFTParams{NFT: nft, Before: orLast(before), UpTo: limit(n)})
			votes = convert(rows, func(r *VotesOfNFTRow) store.Vote { return voteOf((*VotesByKeyRow)(r)) })
			return l.failure(ctx, "reading an NFT's votes", err)
		}
		rows, err := l.q.VotesOfVoter(ctx, VotesOfVoterParams{NFT: nft, Voter: voter, Before: orLast(before), UpTo: limit(n)})
		votes = convert(rows, func(r *VotesOfVoterRow) store.Vote { return voteOf((*VotesByKeyRow)(r)) })
		return l.failure(ctx, "reading a voter's votes", err)
	})
	return votes, err
}

// ListActivity returns a page of activity.
func (s *Store) ListActivity(ctx context.Context, q store.ActivityQuery) (entries []store.Activity, err error) {
	err = s.read(ctx, func(l *link) error {
		p, err := l.activityRows(ctx, &q)
		if err != nil {
			return err
		}
		entries, err = l.activityPage(ctx, p)
		return err
	})
	return entries, err
}

// activityRows returns which entries a query asks for. Since and until come down
// to numbers, so that a page of long ago is not reached through all that came
// after.
func (l *link) activityRows(ctx context.Context, q *store.ActivityQuery) (p ListActivityParams, err error) {
	p = ListActivityParams{
		NFT: q.NFT, Run: q.Run, Kind: string(q.Kind), ByHand: q.ByHand, Before: orLast(q.Before), UpTo: limit(q.Limit),
		Since: pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true},
		Until: pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true},
	}
	if !q.Since.IsZero() {
		p.Since = stamp(q.Since)
		if p.FromNumber, err = l.activityAt(ctx, q.Since.Add(-store.ActivitySkew)); err != nil {
			return p, err
		}
	}
	if !q.Until.IsZero() {
		p.Until = stamp(q.Until)
		before, err := l.activityAt(ctx, q.Until.Add(store.ActivitySkew))
		if err != nil {
			return p, err
		}
		p.Before = min(p.Before, before)
	}
	return p, nil
}

func (l *link) activityPage(ctx context.Context, p ListActivityParams) ([]store.Activity, error) {
	rows, err := l.q.ListActivity(ctx, p)
	if err != nil {
		return nil, l.failure(ctx, "reading the activity", err)
	}
	entries := make([]store.Activity, len(rows))
	for i := range rows {
		if entries[i], err = entryOf((*ActivityRow)(&rows[i])); err != nil {
			return nil, fmt.Errorf("reading the activity: %w", err)
		}
	}
	return entries, nil
}

// SearchActivity returns a page of activity of a reason or collection.
func (s *Store) SearchActivity(ctx context.Context, q store.ActivitySearch) (entries []store.Activity, next int64, err error) {
	err = s.read(ctx, func(l *link) error {
		p, err := l.activityRows(ctx, &q.ActivityQuery)
		if err != nil {
			return err
		}
		l.gathered.Queue(settingsHeads)
		p.Reason = q.Reason
		if q.Collection != nil {
			number, known, err := view{l}.collection(ctx, *q.Collection)
			if err != nil || !known {
				return err
			}
			p.Collection = number
		}
		all, err := l.q.ActivityRange(ctx)
		if err != nil {
			return l.failure(ctx, "reading the activity", err)
		}
		p.Before = min(p.Before, all.Last+1)
		if deep := p.Before - store.ActivityDepth; q.NFT == 0 && deep > max(p.FromNumber, all.First) {
			p.FromNumber, next = deep, deep
		}
		entries, err = l.activityPage(ctx, p)
		if n := len(entries); n > 0 && n == q.Limit {
			next = entries[n-1].Number
		}
		return err
	})
	return entries, next, err
}

// activityAt returns the number at which the entries of a time and later begin,
// if numbers ascend with time.
func (l *link) activityAt(ctx context.Context, at time.Time) (int64, error) {
	all, err := l.q.ActivityRange(ctx)
	if err != nil || all.Last == 0 {
		return 0, l.failure(ctx, "reading the activity", err)
	}
	first, last := all.First, all.Last+1
	for first < last {
		middle := first + (last-first)/2
		there, err := l.q.ActivityTime(ctx, middle)
		if err != nil {
			return 0, l.failure(ctx, "reading the activity", err)
		}
		if moment(there).Before(at) {
			first = middle + 1
		} else {
			last = middle
		}
	}
	return first, nil
}

// Leaderboard returns a page of the NFTs with the highest scores.
func (s *Store) Leaderboard(ctx context.Context, collection *string, after *store.RankKey, n int) ([]store.Ranked, error) {
	key := store.RankKey{POA: math.Inf(1)}
	if after != nil {
		key = *after
	}
	return s.ranked(ctx, func(l *link) ([]int64, error) {
		if collection == nil {
			return l.q.RanksAfter(ctx, RanksAfterParams{POA: key.POA, NFT: key.NFT, UpTo: limit(n)})
		}
		number, known, err := view{l}.collection(ctx, *collection)
		if err != nil || !known {
			return nil, err
		}
		return l.q.RanksOfAfter(ctx, RanksOfAfterParams{Collection: number, POA: key.POA, NFT: key.NFT, UpTo: limit(n)})
	})
}

// ranked returns NFTs with their ratings and scores, in the order in which list
// names them.
func (s *Store) ranked(ctx context.Context, list func(*link) ([]int64, error)) (page []store.Ranked, err error) {
	err = s.read(ctx, func(l *link) error {
		l.gathered.Queue(settingsHeads)
		numbers, err := list(l)
		if err != nil {
			return l.failure(ctx, "listing NFTs", err)
		}
		if len(numbers) == 0 {
			return nil
		}
		l.gathered.Queue(settingsRest)
		arg := []any{numbers}
		if err := l.ahead(ctx, statement{nFTs, arg}, statement{ratings, arg}, statement{scores, arg}); err != nil {
			return l.failure(ctx, "reading NFTs", err)
		}
		nfts, err := l.q.NFTs(ctx, numbers)
		if err != nil {
			return l.failure(ctx, "reading NFTs", err)
		}
		rows, err := l.q.Ratings(ctx, numbers)
		if err != nil {
			return l.failure(ctx, "reading ratings", err)
		}
		published, err := l.q.Scores(ctx, numbers)
		if err != nil {
			return l.failure(ctx, "reading scores", err)
		}
		place := make(map[int64]int, len(numbers))
		for i, number := range numbers {
			place[number] = i
		}
		page = make([]store.Ranked, len(numbers))
		for i := range nfts {
			page[place[nfts[i].NFT.Number]].NFT = nftOf(&nfts[i])
		}
		for _, r := range withScores(convert(rows, ratingOf), published) {
			page[place[r.NFT]].Rating = r
		}
		return nil
	})
	return page, err
}

// ListNFTs returns a page of NFTs.
func (s *Store) ListNFTs(ctx context.Context, q store.NFTQuery) ([]store.Ranked, error) {
	return s.ranked(ctx, func(l *link) ([]int64, error) {
		if q.Search != "" {
			return l.search(ctx, q)
		}
		return l.list(ctx, q)
	})
}

func (l *link) list(ctx context.Context, q store.NFTQuery) ([]int64, error) {
	all, name := scope(q.Collection)
	n := limit(q.Limit)
	switch q.Status {
	case store.StatusReady:
		return l.q.ListReady(ctx, ListReadyParams{AllCollections: all, Collection: name, After: q.After, UpTo: n})
	case store.StatusDue:
		return l.q.ListDue(ctx, ListDueParams{AllCollections: all, Collection: name, After: q.After, UpTo: n})
	case store.StatusScored, "":
	default:
		return nil, fmt.Errorf("%w: no NFT has the status %q", store.ErrData, q.Status)
	}
	if all && q.Status == "" {
		return l.q.ListNFTs(ctx, ListNFTsParams{After: q.After, UpTo: n})
	} else if all {
		return l.q.ListScored(ctx, ListScoredParams{After: q.After, UpTo: n})
	}
	number, known, err := view{l}.collection(ctx, name)
	if err != nil || !known {
		return nil, err
	}
	if q.Status == "" {
		return l.q.ListNFTsOf(ctx, ListNFTsOfParams{Collection: number, After: q.After, UpTo: n})
	}
	return l.q.ListScoredOf(ctx, ListScoredOfParams{Collection: number, After: q.After, UpTo: n})
}

// search finds by id, and then by name what is not found by id.
func (l *link) search(ctx context.Context, q store.NFTQuery) ([]int64, error) {
	all, name := scope(q.Collection)
	depth := limit(q.Limit)
	if !all || q.Status != "" {
		depth = max(depth, store.SearchDepth)
	}
	byName := FindByNameParams{
		Prefix: q.Search, Depth: depth, AllCollections: all, Collection: name, Status: string(q.Status),
	}
	var after string // id
	if q.After != 0 {
		nfts, err := l.q.NFTs(ctx, []int64{q.After})
		if err != nil {
			return nil, err
		}
		if len(nfts) == 0 {
			return nil, fmt.Errorf("NFT number %d: %w", q.After, store.ErrNotFound)
		}
		if n := &nfts[0].NFT; strings.HasPrefix(n.ID, q.Search) {
			after = n.ID
		} else {
			byName.AfterName, byName.After = n.Name, n.Number
		}
	}
	var found []int64
	if byName.After == 0 {
		var err error
		found, err = l.q.FindByID(ctx, FindByIDParams{
			Prefix: q.Search, PrefixEnd: store.PrefixEnd(q.Search), After: after, Depth: depth,
			AllCollections: all, Collection: name, Status: string(q.Status), UpTo: limit(q.Limit),
		})
		if err != nil {
			return nil, err
		}
	}
	if len(found) < q.Limit {
		byName.UpTo, byName.Depth = limit(q.Limit-len(found)), max(depth, store.NamesDepth)
		named, err := l.q.FindByName(ctx, byName)
		if err != nil {
			return nil, err
		}
		found = append(found, named...)
	}
	return slices.Clip(found), nil
}
