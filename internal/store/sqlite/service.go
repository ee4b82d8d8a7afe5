package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	driver "modernc.org/sqlite"

	"poa/internal/store"
	"poa/internal/trigger"
)

var (
	_ store.Service   = (*Store)(nil)
	_ store.ServiceTx = (*tx)(nil)
)

// now runs statements at once on any reading connection, each in a snapshot of
// its own.
func (s *Store) now() *Queries { return New(s.readers) }

// read runs f in one snapshot.
func (s *Store) read(ctx context.Context, what string, f func(*Queries) error) error {
	return doing(what, s.View(ctx, func(v store.View) error { return f(v.(*view).q) }))
}

// scope splits a collection's name, nil for all, for the statements.
func scope(collection *string) (all int64, name string) {
	if collection == nil {
		return 1, ""
	}
	return 0, *collection
}

// Candidates reads the heads of the indexes that a batch picks from.
func (s *Store) Candidates(ctx context.Context, want store.Wanted) (found store.Candidates, err error) {
	all, name := scope(want.Collection)
	now := micros(want.Now)
	err = s.read(ctx, "looking for candidates", func(q *Queries) error {
		if want.Due > 0 {
			retries, err := q.candidatesToRetry(ctx, candidatesToRetryParams{Now: &now, AllActive: all, Collection: name, UpTo: int64(want.Due)})
			if err != nil {
				return err
			}
			due, err := q.candidatesDue(ctx, candidatesDueParams{Now: &now, AllActive: all, Collection: name, UpTo: int64(want.Due)})
			if err != nil {
				return err
			}
			found.Due = append(
				convert(due, toCandidate),
				convert(retries, func(r *candidatesToRetryRow) store.Candidate { return toCandidate((*candidatesDueRow)(r)) })...)
			found.Due = found.Due[:min(len(found.Due), want.Due)]
		}
		if want.ByVotes > 0 {
			rows, err := q.candidatesByVotes(ctx, candidatesByVotesParams{Now: &now, AllActive: all, Collection: name, UpTo: int64(want.ByVotes)})
			if err != nil {
				return err
			}
			found.ByVotes = convert(rows, func(r *candidatesByVotesRow) store.Candidate { return toCandidate((*candidatesDueRow)(r)) })
		}
		if want.ByWaiting > 0 {
			rows, err := q.candidatesByWaiting(ctx, candidatesByWaitingParams{Now: &now, AllActive: all, Collection: name, UpTo: int64(want.ByWaiting)})
			if err != nil {
				return err
			}
			found.ByWaiting = convert(rows, func(r *candidatesByWaitingRow) store.Candidate { return toCandidate((*candidatesDueRow)(r)) })
		}
		if want.Old > 0 {
			rows, err := q.candidatesOld(ctx, candidatesOldParams{
				OldBefore: micros(want.OldBefore), Now: &now, AllActive: all, Collection: name, UpTo: int64(want.Old),
			})
			if err != nil {
				return err
			}
			found.Old = convert(rows, func(r *candidatesOldRow) store.Candidate { return toCandidate((*candidatesDueRow)(r)) })
		}
		return nil
	})
	return found, err
}

func toCandidate(r *candidatesDueRow) store.Candidate {
	c := store.Candidate{
		NFT: r.Nft, ID: r.ID, Collection: r.CollectionName, Votes: r.Votes,
		WaitingSince: fromOptionalMicros(r.WaitingSince), ComputedAt: fromOptionalMicros(r.ComputedAt), Tries: int(r.Tries),
	}
	if r.DueSince != nil {
		c.Due = store.Due{Since: fromMicros(*r.DueSince), Reason: r.DueReason, Priority: trigger.Priority(r.DuePriority)}
	}
	return c
}

// Backlog counts what the batches of active collections owe.
func (s *Store) Backlog(ctx context.Context, oldBefore time.Time, limit int64) (b store.Backlog, err error) {
	err = s.read(ctx, "counting the backlog", func(q *Queries) error {
		due, err := q.dueBacklog(ctx)
		if err != nil {
			return err
		}
		if b.Due = due.Due; b.Due > 0 {
			b.OldestDue = fromMicros(due.Oldest)
		}
		retries, err := q.retryBacklog(ctx)
		if err != nil {
			return err
		}
		b.Due += retries
		if b.New, err = q.readyBacklog(ctx, store.CountReady); err != nil {
			return err
		}
		oldest, err := q.oldestReady(ctx)
		if err != nil {
			return err
		}
		if len(oldest) > 0 {
			b.OldestNew = fromOptionalMicros(oldest[0])
		}
		b.Old, err = q.oldBacklog(ctx, oldBacklogParams{ComputedAt: micros(oldBefore), Limit: max(limit, 0)})
		return err
	})
	return b, err
}

// StartRun creates a run and logs it, unless there is one of its kind and
// window.
func (s *Store) StartRun(ctx context.Context, r store.Run, log store.Activity) (run store.Run, created bool, err error) {
	err = s.write(ctx, func(q *Queries) error {
		ctx := context.Background()
		rows, err := q.insertRun(ctx, insertRunParams{
			Kind: string(r.Kind), Window: r.Window, Collection: r.Collection, Plan: r.Plan, RequestedBy: r.RequestedBy,
			CreatedAt: micros(r.CreatedAt), Cursor: r.Cursor, Total: r.Total, Done: r.Done, Changed: r.Changed, Failed: r.Failed,
			StopReason: r.StopReason, Holder: r.Holder, LeaseUntil: micros(r.LeaseUntil),
		})
		if err != nil {
			return err
		}
		if created = len(rows) > 0; !created {
			row, err := q.runOfWindow(ctx, runOfWindowParams{Kind: string(r.Kind), Window: r.Window})
			run = toRun(&row)
			return err
		}
		run = toRun(&rows[0])
		log.Run = run.Number
		p, err := fromActivity(&log)
		if err != nil {
			return err
		}
		return q.insertActivity(ctx, p)
	})
	if err != nil {
		return store.Run{}, false, doing("starting a run", err)
	}
	return run, created, nil
}

func toRun(r *runRow) store.Run {
	return store.Run{
		Number: r.Number, Kind: store.RunKind(r.Kind), Window: r.Window, Collection: r.Collection, Plan: r.Plan,
		State: store.RunState(r.State), RequestedBy: r.RequestedBy, CreatedAt: fromMicros(r.CreatedAt), EndedAt: fromOptionalMicros(r.EndedAt),
		Cursor: r.Cursor, Total: r.Total, Done: r.Done, Changed: r.Changed, Failed: r.Failed,
		StopReason: r.StopReason, Cancel: r.Cancel, Steps: r.Steps, Holder: r.Holder, LeaseUntil: fromMicros(r.LeaseUntil),
	}
}

// ClaimRun takes the next step of a run by one UPDATE.
func (s *Store) ClaimRun(ctx context.Context, number, step int64, holder string, now, until time.Time) (run store.Run, ok bool, err error) {
	err = s.write(ctx, func(q *Queries) error {
		rows, err := q.claimRun(ctx, claimRunParams{Number: number, Step: step, Holder: holder, Now: micros(now), Until: micros(until)})
		if ok = len(rows) > 0; ok {
			run = toRun(&rows[0])
		}
		return err
	})
	if err != nil {
		return store.Run{}, false, doing("claiming a run", err)
	}
	return run, ok, nil
}

// SaveRun writes a run that is still at its step. That it is not is no failure
// of the transaction.
func (t *tx) SaveRun(ctx context.Context, r store.Run) (cancel string, err error) {
	taken := false
	err = t.do(ctx, "saving a run", func(ctx context.Context) error {
		cancel, err = t.q.saveRun(ctx, saveRunParams{
			Number: r.Number, Steps: r.Steps, Plan: r.Plan, State: string(r.State), EndedAt: optionalMicros(r.EndedAt),
			Cursor: r.Cursor, Total: r.Total, Done: r.Done, Changed: r.Changed, Failed: r.Failed,
			StopReason: r.StopReason, LeaseUntil: micros(r.LeaseUntil),
		})
		if err = found(err); errors.Is(err, store.ErrNotFound) {
			taken = true
			return nil
		}
		return err
	})
	if taken {
		return "", fmt.Errorf("run %d at step %d: %w", r.Number, r.Steps, store.ErrNotFound)
	}
	return cancel, err
}

// OrphanedRuns returns the running runs whose lease has ended.
func (s *Store) OrphanedRuns(ctx context.Context, now time.Time) ([]store.Run, error) {
	rows, err := s.now().orphanedRuns(ctx, micros(now))
	return convert(rows, toRun), doing("reading runs that nobody holds", err)
}

// RequestCancel notes who asked to cancel a running run.
func (s *Store) RequestCancel(ctx context.Context, number int64, who string) error {
	return s.change(ctx, fmt.Sprintf("cancelling run %d", number), func(q *Queries) (int64, error) {
		return q.requestCancel(ctx, requestCancelParams{Number: number, Who: who})
	})
}

// change runs a statement that must change a row; ErrNotFound.
func (s *Store) change(ctx context.Context, what string, f func(*Queries) (int64, error)) error {
	return doing(what, s.write(ctx, func(q *Queries) error { return one(f(q)) }))
}

// Run returns a run.
func (s *Store) Run(ctx context.Context, number int64) (store.Run, error) {
	row, err := s.now().runByNumber(ctx, number)
	return toRun(&row), doing(fmt.Sprintf("reading run %d", number), found(err))
}

// Runs returns the latest runs.
func (s *Store) Runs(ctx context.Context, kind store.RunKind, before int64, limit int) (runs []store.Run, err error) {
	var rows []runRow
	if kind == "" {
		rows, err = s.now().latestRuns(ctx, latestRunsParams{Number: orLast(before), Limit: atMost(limit)})
	} else {
		rows, err = s.now().latestRunsOf(ctx, latestRunsOfParams{Kind: string(kind), Number: orLast(before), Limit: atMost(limit)})
	}
	return convert(rows, toRun), doing("reading runs", err)
}

// orLast is a number above all for 0.
func orLast(before int64) int64 {
	if before == 0 {
		return math.MaxInt64
	}
	return before
}

// Failures returns the failed list.
func (s *Store) Failures(ctx context.Context, limit int) ([]store.Failure, error) {
	rows, err := s.now().latestFailures(ctx, atMost(limit))
	return convert(rows, toFailure), doing("reading the failed list", err)
}

// FailuresOf returns those of the NFTs that are on the failed list.
func (s *Store) FailuresOf(ctx context.Context, nfts []int64) ([]store.Failure, error) {
	nfts = slices.Compact(slices.Sorted(slices.Values(nfts)))
	rows, err := s.now().failuresByNumber(ctx, jsonNumbers(nfts))
	return convert(rows, func(r *failuresByNumberRow) store.Failure { return toFailure((*latestFailuresRow)(r)) }),
		doing("reading the failed list", err)
}

func toFailure(r *latestFailuresRow) store.Failure {
	f := &r.FailureRow
	return store.Failure{
		NFT: f.Nft, ID: r.NftID, Error: f.Error, Tries: int(f.Tries),
		FirstAt: fromMicros(f.FirstAt), LastAt: fromMicros(f.LastAt), NextTry: fromOptionalMicros(f.NextTry), Run: f.Run,
	}
}

func fromFailure(f *store.Failure) putFailureParams {
	return putFailureParams{
		Nft: f.NFT, Error: f.Error, Tries: int64(f.Tries),
		FirstAt: micros(f.FirstAt), LastAt: micros(f.LastAt), NextTry: optionalMicros(f.NextTry), Run: f.Run,
	}
}

// DiscardFailure removes an NFT from the failed list.
func (s *Store) DiscardFailure(ctx context.Context, nft int64) error {
	return s.change(ctx, fmt.Sprintf("discarding the failure of NFT number %d", nft), func(q *Queries) (int64, error) {
		return q.deleteFailure(ctx, nft)
	})
}

// RetryFailure has the next batch take an NFT of the failed list.
func (s *Store) RetryFailure(ctx context.Context, nft int64, now time.Time) error {
	return s.change(ctx, fmt.Sprintf("retrying NFT number %d", nft), func(q *Queries) (int64, error) {
		at := micros(now)
		return q.retryFailure(ctx, retryFailureParams{Nft: nft, NextTry: &at})
	})
}

// PutKey stores a new key.
func (s *Store) PutKey(ctx context.Context, k store.Key) (store.Key, error) {
	err := s.write(ctx, func(q *Queries) (err error) {
		k.Number, err = q.insertKey(ctx, insertKeyParams{
			Name: k.Name, Role: string(k.Role), Hash: k.Hash, CreatedAt: micros(k.CreatedAt), CreatedBy: k.CreatedBy,
			LastUsed: optionalMicros(k.LastUsed), RevokedAt: optionalMicros(k.RevokedAt),
		})
		return err
	})
	var e *driver.Error
	if errors.As(err, &e) && strings.Contains(e.Error(), "keys.name") {
		err = store.ErrNameTaken
	}
	if err != nil {
		return store.Key{}, doing(fmt.Sprintf("storing key %q", k.Name), err)
	}
	return k, nil
}

// Keys returns all keys.
func (s *Store) Keys(ctx context.Context) ([]store.Key, error) {
	rows, err := s.now().allKeys(ctx)
	return convert(rows, toKey), doing("reading keys", err)
}

// KeyByHash returns the key in force with that hash.
func (s *Store) KeyByHash(ctx context.Context, hash []byte) (store.Key, error) {
	row, err := s.now().keyByHash(ctx, hash)
	if err != nil {
		return store.Key{}, doing("reading a key", found(err))
	}
	return toKey(&row), nil
}

func toKey(k *keyRow) store.Key {
	return store.Key{
		Number: k.Number, Name: k.Name, Role: store.Role(k.Role), Hash: k.Hash, CreatedAt: fromMicros(k.CreatedAt),
		CreatedBy: k.CreatedBy, LastUsed: fromOptionalMicros(k.LastUsed), RevokedAt: fromOptionalMicros(k.RevokedAt),
	}
}

// RevokeKey ends a key. One that has ended stays as it is.
func (s *Store) RevokeKey(ctx context.Context, name string, now time.Time) error {
	return s.change(ctx, fmt.Sprintf("revoking key %q", name), func(q *Queries) (int64, error) {
		at := micros(now)
		return q.revokeKey(ctx, revokeKeyParams{Name: name, Now: &at})
	})
}

// TouchKeys records when keys were last used, the latest time that is told.
func (s *Store) TouchKeys(ctx context.Context, used map[int64]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	return doing("recording the use of keys", s.write(ctx, func(q *Queries) error {
		for number, at := range used {
			if err := q.touchKey(ctx, touchKeyParams{Number: number, At: micros(at)}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Stream returns activity by number.
func (s *Store) Stream(ctx context.Context, after store.Position, limit int) ([]store.Activity, store.Position, error) {
	rows, err := s.now().activityAfter(ctx, activityAfterParams{Number: after.Number, Limit: atMost(limit)})
	if err != nil {
		return nil, after, doing("following the activity", err)
	}
	entries, err := toActivities(convert(rows, func(r *activityAfterRow) latestActivityRow { return latestActivityRow(*r) }))
	if err != nil || len(entries) == 0 {
		return nil, after, err
	}
	return entries, store.Position{Number: entries[len(entries)-1].Number}, nil
}

func toActivities(rows []latestActivityRow) ([]store.Activity, error) {
	entries := make([]store.Activity, len(rows))
	var err error
	for i := range rows {
		if entries[i], err = toActivity(&rows[i].ActivityRow, rows[i].NftID); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// StreamEnd returns the position of the last entry.
func (s *Store) StreamEnd(ctx context.Context) (store.Position, error) {
	all, err := s.now().activityRange(ctx)
	return store.Position{Number: all.Highest}, doing("looking for the end of the activity", err)
}

// Trim deletes the oldest rows of the logs, each log in a transaction of its own.
func (s *Store) Trim(ctx context.Context, before store.Before, limit int) (done store.Trimmed, err error) {
	upTo := atMost(limit)
	for _, log := range []struct {
		name    string
		deleted *int64
		trim    func(*Queries) (int64, error)
	}{
		{"activity", &done.Activity, func(q *Queries) (int64, error) {
			return q.trimActivity(ctx, trimActivityParams{Before: micros(before.Activity), UpTo: upTo})
		}},
		{"history", &done.History, func(q *Queries) (int64, error) {
			return q.trimHistory(ctx, trimHistoryParams{Before: micros(before.History), UpTo: upTo})
		}},
		{"runs", &done.Runs, func(q *Queries) (int64, error) {
			return q.trimRuns(ctx, trimRunsParams{Before: optionalMicros(before.Runs), UpTo: upTo})
		}},
	} {
		err := s.write(ctx, func(q *Queries) (err error) {
			*log.deleted, err = log.trim(q)
			return err
		})
		if err != nil {
			*log.deleted = 0
			return done, doing("trimming the "+log.name, err)
		}
	}
	return done, nil
}

// PutSettings stores settings with their audit entries and logs the activity.
func (s *Store) PutSettings(ctx context.Context, asOf int64, changes []store.SettingChange, log store.Activity) error {
	return doing("storing settings", s.write(ctx, func(q *Queries) error {
		version, err := q.settingsVersion(ctx)
		if err != nil {
			return err
		}
		if asOf != store.AnyVersion && asOf != version {
			return store.ErrChanged
		}
		for i := range changes {
			if err := changeSetting(ctx, q, &changes[i]); err != nil {
				return fmt.Errorf("setting %q: %w", changes[i].Name, err)
			}
		}
		p, err := fromActivity(&log)
		if err != nil {
			return err
		}
		return q.insertActivity(ctx, p)
	}))
}

// SettingsVersion returns the number of the last change of a setting.
func (s *Store) SettingsVersion(ctx context.Context) (int64, error) {
	version, err := s.now().settingsVersion(ctx)
	return version, doing("reading the version of the settings", err)
}

// Health returns the size of the file and its WAL. There are no sessions.
func (s *Store) Health(context.Context) (store.Health, error) {
	var size int64
	for _, path := range []string{s.path, s.path + "-wal"} {
		info, err := os.Stat(path)
		if err == nil {
			size += info.Size()
		} else if path == s.path {
			return store.Health{}, fmt.Errorf("reading the database's health: %w: %w", store.ErrUnavailable, err)
		}
	}
	return store.Health{SizeBytes: &size}, nil
}

// VotesOf returns the latest votes on an NFT, on either side, of a voter, or of
// a voter on an NFT.
func (s *Store) VotesOf(ctx context.Context, nft, voter int64, before int64, limit int) (votes []store.Vote, err error) {
	before = orLast(before)
	err = s.read(ctx, "reading votes", func(q *Queries) error {
		if voter != 0 {
			rows, err := q.votesOfVoter(ctx, votesOfVoterParams{Nft: nft, Voter: voter, Before: before, UpTo: atMost(limit)})
			votes = convert(rows, func(r *votesOfVoterRow) store.Vote { return toVote(&r.Votes, r.VoterID, r.AID, r.BID) })
			return err
		}
		as, err := q.votesOfA(ctx, votesOfAParams{NftA: nft, Number: before, Limit: atMost(limit)})
		if err != nil {
			return err
		}
		bs, err := q.votesOfB(ctx, votesOfBParams{NftB: &nft, Number: before, Limit: atMost(limit)})
		if err != nil {
			return err
		}
		votes = append(
			convert(as, func(r *votesOfARow) store.Vote { return toVote(&r.Votes, r.VoterID, r.AID, r.BID) }),
			convert(bs, func(r *votesOfBRow) store.Vote { return toVote(&r.Votes, r.VoterID, r.AID, r.BID) })...)
		slices.SortFunc(votes, func(a, b store.Vote) int { return cmp.Compare(b.Number, a.Number) })
		votes = votes[:min(len(votes), max(limit, 0))]
		return nil
	})
	return votes, err
}

// ListActivity returns a page of activity.
func (s *Store) ListActivity(ctx context.Context, q store.ActivityQuery) (entries []store.Activity, err error) {
	err = s.read(ctx, "reading activity", func(queries *Queries) error {
		p, err := activityRows(ctx, queries, &q)
		if err != nil {
			return err
		}
		entries, err = activityPage(ctx, queries, p, q.ByHand)
		return err
	})
	return entries, err
}

// activityRows returns which entries a query asks for. Since and until come down
// to numbers, so that a page of long ago is not reached through all that came
// after.
func activityRows(ctx context.Context, queries *Queries, q *store.ActivityQuery) (p listActivityOfNFTParams, err error) {
	// Of the same type for each statement but for what it does not need.
	p = listActivityOfNFTParams{
		Nft: &q.NFT, Run: q.Run, Kind: string(q.Kind), Before: orLast(q.Before),
		Since: math.MinInt64, Until: math.MaxInt64, UpTo: atMost(q.Limit),
	}
	if !q.Since.IsZero() {
		p.Since = micros(q.Since)
		if p.FromNumber, err = activityAt(ctx, queries, q.Since.Add(-store.ActivitySkew)); err != nil {
			return p, err
		}
	}
	if !q.Until.IsZero() {
		p.Until = micros(q.Until)
		before, err := activityAt(ctx, queries, q.Until.Add(store.ActivitySkew))
		if err != nil {
			return p, err
		}
		p.Before = min(p.Before, before)
	}
	return p, nil
}

// SearchActivity returns a page of activity of a reason or collection.
func (s *Store) SearchActivity(ctx context.Context, q store.ActivitySearch) (entries []store.Activity, next int64, err error) {
	err = s.read(ctx, "searching the activity", func(queries *Queries) error {
		p, err := activityRows(ctx, queries, &q.ActivityQuery)
		if err != nil {
			return err
		}
		p.Reason = q.Reason
		if q.Collection != nil {
			if p.Collection, err = queries.collectionNumber(ctx, *q.Collection); err != nil {
				return ignoreMissing(err)
			}
		}
		all, err := queries.activityRange(ctx)
		if err != nil {
			return err
		}
		p.Before = min(p.Before, all.Highest+1)
		if deep := p.Before - store.ActivityDepth; q.NFT == 0 && deep > max(p.FromNumber, all.Lowest) {
			p.FromNumber, next = deep, deep
		}
		entries, err = activityPage(ctx, queries, p, q.ByHand)
		if n := len(entries); n > 0 && n == q.Limit {
			next = entries[n-1].Number
		}
		return err
	})
	return entries, next, err
}

// ignoreMissing is nil where there was no row.
func ignoreMissing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// activityPage chooses the statement by the index that leaves least to look at.
func activityPage(ctx context.Context, q *Queries, p listActivityOfNFTParams, byHand bool) (entries []store.Activity, err error) {
	var rows []latestActivityRow
	switch {
	case byHand:
		var found []listActivityByHandRow
		found, err = q.listActivityByHand(ctx, listActivityByHandParams{
			FromNumber: p.FromNumber, Before: p.Before, Since: p.Since, Until: p.Until, Nft: *p.Nft, Run: p.Run, Kind: p.Kind,
			Reason: p.Reason, Collection: p.Collection, UpTo: p.UpTo,
		})
		rows = convert(found, func(r *listActivityByHandRow) latestActivityRow { return latestActivityRow(*r) })
	case *p.Nft != 0:
		var found []listActivityOfNFTRow
		found, err = q.listActivityOfNFT(ctx, p)
		rows = convert(found, func(r *listActivityOfNFTRow) latestActivityRow { return latestActivityRow(*r) })
	case p.Kind != "" && p.Kind != string(store.Computed):
		var found []listActivityOfKindRow
		found, err = q.listActivityOfKind(ctx, listActivityOfKindParams{
			Kind: p.Kind, FromNumber: p.FromNumber, Before: p.Before, Since: p.Since, Until: p.Until, Run: p.Run,
			Reason: p.Reason, Collection: p.Collection, UpTo: p.UpTo,
		})
		rows = convert(found, func(r *listActivityOfKindRow) latestActivityRow { return latestActivityRow(*r) })
	case p.Run != 0:
		var found []listActivityOfRunRow
		found, err = q.listActivityOfRun(ctx, listActivityOfRunParams{
			Run: &p.Run, FromNumber: p.FromNumber, Before: p.Before, Since: p.Since, Until: p.Until, Kind: p.Kind,
			Reason: p.Reason, Collection: p.Collection, UpTo: p.UpTo,
		})
		rows = convert(found, func(r *listActivityOfRunRow) latestActivityRow { return latestActivityRow(*r) })
	default:
		var found []listActivityRow
		found, err = q.listActivity(ctx, listActivityParams{
			FromNumber: p.FromNumber, Before: p.Before, Since: p.Since, Until: p.Until, Kind: p.Kind,
			Reason: p.Reason, Collection: p.Collection, UpTo: p.UpTo,
		})
		rows = convert(found, func(r *listActivityRow) latestActivityRow { return latestActivityRow(*r) })
	}
	if err != nil {
		return nil, err
	}
	return toActivities(rows)
}

// activityAt returns the number at which the entries of a time and later begin,
// if numbers ascend with time.
func activityAt(ctx context.Context, q *Queries, at time.Time) (int64, error) {
	all, err := q.activityRange(ctx)
	if err != nil || all.Highest == 0 {
		return 0, err
	}
	first, last := all.Lowest, all.Highest+1
	for first < last {
		middle := first + (last-first)/2
		there, err := q.activityTime(ctx, middle)
		if err != nil {
			return 0, err
		}
		if there < micros(at) {
			first = middle + 1
		} else {
			last = middle
		}
	}
	return first, nil
}

// Leaderboard returns a page of the NFTs with the highest scores: those that
// have the last one's score, and then those with less.
func (s *Store) Leaderboard(ctx context.Context, collection *string, after *store.RankKey, limit int) ([]store.Ranked, error) {
	if after == nil {
		after = &store.RankKey{POA: math.MaxFloat64}
	}
	return s.ranked(ctx, func(q *Queries) ([]int64, error) {
		n := atMost(limit)
		return inCollection(ctx, q, collection,
			func() ([]int64, error) {
				ties, err := q.tiesAfter(ctx, tiesAfterParams{Poa: after.POA, Nft: after.NFT, Limit: n})
				if err != nil {
					return nil, err
				}
				below, err := q.ranksBelow(ctx, ranksBelowParams{Poa: after.POA, Limit: n - int64(len(ties))})
				return append(ties, below...), err
			},
			func(number int64) ([]int64, error) {
				ties, err := q.tiesOfAfter(ctx, tiesOfAfterParams{Collection: number, Poa: after.POA, Nft: after.NFT, Limit: n})
				if err != nil {
					return nil, err
				}
				below, err := q.ranksOfBelow(ctx, ranksOfBelowParams{Collection: number, Poa: after.POA, Limit: n - int64(len(ties))})
				return append(ties, below...), err
			})
	})
}

// ranked returns NFTs with their ratings and scores, in the order in which list
// names them.
func (s *Store) ranked(ctx context.Context, list func(*Queries) ([]int64, error)) (page []store.Ranked, err error) {
	err = s.read(ctx, "listing NFTs", func(q *Queries) error {
		numbers, err := list(q)
		if err != nil || len(numbers) == 0 {
			return err
		}
		nfts, err := q.nftsByNumber(ctx, jsonNumbers(numbers)) // in their order
		if err != nil {
			return err
		}
		ratings, err := scoredRatings(ctx, q, numbers)
		if err != nil {
			return err
		}
		byNumber := make(map[int64]store.Rating, len(ratings))
		for _, r := range ratings {
			byNumber[r.NFT] = r
		}
		page = convert(nfts, func(n *nftsByNumberRow) store.Ranked {
			return store.Ranked{NFT: toNFT(n.NftRow, n.CollectionName), Rating: byNumber[n.NftRow.Number]}
		})
		return nil
	})
	return page, err
}

// ListNFTs returns a page of NFTs.
func (s *Store) ListNFTs(ctx context.Context, q store.NFTQuery) ([]store.Ranked, error) {
	return s.ranked(ctx, func(queries *Queries) ([]int64, error) {
		if q.Search != "" {
			return search(ctx, queries, q)
		}
		return list(ctx, queries, q)
	})
}

func list(ctx context.Context, queries *Queries, q store.NFTQuery) ([]int64, error) {
	all, name := scope(q.Collection)
	limit := atMost(q.Limit)
	switch q.Status {
	case store.StatusReady:
		return queries.listReady(ctx, listReadyParams{AllCollections: all, Collection: name, After: q.After, UpTo: limit})
	case store.StatusDue:
		return queries.listDue(ctx, listDueParams{AllCollections: all, Collection: name, After: q.After, UpTo: limit})
	case store.StatusScored:
		return inCollection(ctx, queries, q.Collection,
			func() ([]int64, error) {
				return queries.listScored(ctx, listScoredParams{Nft: q.After, Limit: limit})
			},
			func(number int64) ([]int64, error) {
				return queries.listScoredOf(ctx, listScoredOfParams{Collection: number, Nft: q.After, Limit: limit})
			})
	case "":
		return inCollection(ctx, queries, q.Collection,
			func() ([]int64, error) {
				return queries.listNFTs(ctx, listNFTsParams{Number: q.After, Limit: limit})
			},
			func(number int64) ([]int64, error) {
				return queries.listNFTsOf(ctx, listNFTsOfParams{Collection: number, Number: q.After, Limit: limit})
			})
	}
	return nil, fmt.Errorf("%w: no NFT has the status %q", store.ErrData, q.Status)
}

// search finds by id, and then by name what is not found by id.
func search(ctx context.Context, queries *Queries, q store.NFTQuery) ([]int64, error) {
	all, name := scope(q.Collection)
	depth := atMost(q.Limit)
	if q.Collection != nil || q.Status != "" {
		depth = max(depth, store.SearchDepth)
	}
	lower := lowerASCII(q.Search)
	byName := findByNameParams{
		LowerPrefix: lower, LowerPrefixEnd: store.PrefixEnd(lower), Prefix: q.Search, PrefixEnd: store.PrefixEnd(q.Search),
		Depth: max(depth, store.NamesDepth), AllCollections: all, Collection: name, Status: string(q.Status),
	}
	var after string // id
	if q.After != 0 {
		nfts, err := queries.nftsByNumber(ctx, jsonNumbers([]int64{q.After}))
		if err != nil {
			return nil, err
		}
		if len(nfts) == 0 {
			return nil, fmt.Errorf("NFT number %d: %w", q.After, store.ErrNotFound)
		}
		if n := &nfts[0].NftRow; strings.HasPrefix(n.ID, q.Search) {
			after = n.ID
		} else {
			byName.AfterName, byName.After = n.Name, n.Number
		}
	}
	var found []int64
	if byName.After == 0 {
		var err error
		found, err = queries.findByID(ctx, findByIDParams{
			Prefix: q.Search, PrefixEnd: byName.PrefixEnd, After: after, Depth: depth,
			AllCollections: all, Collection: name, Status: string(q.Status), UpTo: atMost(q.Limit),
		})
		if err != nil {
			return nil, err
		}
	}
	if len(found) >= q.Limit {
		return found, nil
	}
	byName.UpTo = atMost(q.Limit - len(found))
	named, err := queries.findByName(ctx, byName)
	return append(found, named...), err
}

// lowerASCII is SQLite's lower().
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
