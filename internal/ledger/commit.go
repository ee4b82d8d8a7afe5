package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"poa/internal/store"
)

// lookUpShare is the part of the ledger's patience for which a commit whose
// outcome is unknown is looked up. The votes behind it wait meanwhile, where
// they would be told at once that the database is away; and "unknown, repeat
// with the same key" is an answer that everybody can act on. A server that
// restarts is back within it.
const lookUpShare = 4

// commit records a group of votes and answers all of them, whatever happens.
//
// What can pass is repeated within the ledger's patience: contention, a key
// that another process committed meanwhile, for a shorter time a commit whose
// outcome is unknown. Of anything else the group is bisected, so that a vote
// the database will not take fails alone.
func (l *Ledger) commit(group []*pending) {
	patience := l.patience
	deadline := l.now().Add(patience)
	unknown := false             // the outcome of an earlier attempt is unknown
	var unsure Commit            // what such an attempt recorded, if it is in force
	prior := map[string]Answer{} // by key: what such an attempt would have answered
	for attempt := 0; ; attempt++ {
		tried, err := l.attempt(group, prior, patience)
		answers := tried.answers
		switch {
		case err == nil:
			if tried.found {
				l.observer.Committed(unsure)
			}
			if tried.commit.Votes > 0 {
				l.observer.Committed(tried.commit)
			}
			l.answer(group, answers)
			return
		case errors.Is(err, errMissing):
			if err = l.ensure(group); err == nil {
				continue
			}
		}
		switch {
		case errors.Is(err, store.ErrOutcomeUnknown):
			if !unknown {
				unknown = true
				patience /= lookUpShare
				deadline = l.now().Add(patience)
			}
			if !tried.found {
				unsure = tried.commit
			}
			for i, p := range group {
				if answers != nil && answers[i].Err == nil && !answers[i].Duplicate {
					prior[p.vote.Key] = answers[i]
				}
			}
			l.log.Warn("the outcome of a commit is unknown; looking its votes up", "votes", len(group), "err", err)
		case errors.Is(err, store.ErrContention), errors.Is(err, store.ErrKeyExists):
			l.log.Info("a commit is repeated", "votes", len(group), "attempt", attempt+1, "err", err)
		case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrSchema):
			if !unknown {
				l.log.Error("votes were not recorded", "votes", len(group), "err", err)
				l.refuse(group, &Error{CodeTryAgain, "", "not recorded, the database is unavailable: repeat with the same key"})
				return
			}
		default:
			if l.ctx.Err() == nil && !unknown {
				l.bisect(group, err)
				return
			}
		}
		if l.ctx.Err() != nil || !l.now().Before(deadline) || !sleep(l.ctx, backoff(attempt)) {
			l.giveUp(group, unknown, err)
			return
		}
	}
}

// bisect commits the halves of a group that failed with err, and refuses a
// single vote.
func (l *Ledger) bisect(group []*pending, err error) {
	if len(group) > 1 {
		half := len(group) / 2
		l.commit(group[:half])
		l.commit(group[half:])
		return
	}
	l.log.Error("a vote was refused by the database", "key", group[0].vote.Key, "err", err)
	l.refuse(group, &Error{CodeInternal, "", "not recorded, the database refused this vote; the server's log says why"})
}

func (l *Ledger) giveUp(group []*pending, unknown bool, err error) {
	l.log.Error("a commit was given up", "votes", len(group), "unknown", unknown, "err", err)
	if unknown {
		l.refuse(group, &Error{CodeUnknown, "", "the connection to the database was lost while recording: repeat with the same key to learn the outcome"})
		return
	}
	l.refuse(group, &Error{CodeTryAgain, "", "not recorded, the database is too busy: repeat with the same key"})
}

// attempted is what an attempt did, or on ErrOutcomeUnknown may have done.
type attempted struct {
	answers []Answer
	commit  Commit
	found   bool // an earlier attempt's commit, whose outcome was unknown: it recorded all
}

// attempt folds the group in one transaction, which may take as long as
// patience. On another error than ErrOutcomeUnknown it did nothing.
func (l *Ledger) attempt(group []*pending, prior map[string]Answer, patience time.Duration) (attempted, error) {
	ctx, cancel := context.WithTimeout(l.ctx, patience)
	defer cancel()
	var tried attempted
	began := l.now()
	err := l.store.Update(ctx, func(tx store.Tx) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("folding panicked: %v", r)
			}
		}()
		tried = attempted{}
		policy, now := l.policy.Load(), l.now().UTC().Truncate(time.Microsecond)
		for part := range slices.Chunk(group, l.fold) {
			f := fold{policy: policy, now: now, group: part, prior: prior}
			answers, err := f.run(ctx, tx)
			if errors.Is(err, errMissing) && len(part) < len(group) {
				if err = l.addRows(ctx, tx, part); err == nil {
					f = fold{policy: policy, now: now, group: part, prior: prior}
					answers, err = f.run(ctx, tx)
				}
			}
			if err != nil {
				return err
			}
			tried.add(answers, &f)
		}
		return nil
	})
	if err == nil || errors.Is(err, store.ErrOutcomeUnknown) {
		tried.commit.Took = l.now().Sub(began)
		return tried, err
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: no answer in time: %w", store.ErrContention, err)
	}
	return attempted{}, err
}

// add adds what one part of the group came to.
func (a *attempted) add(answers []Answer, f *fold) {
	a.answers = append(a.answers, answers...)
	a.commit.Votes += len(f.sheet.Votes)
	a.commit.Activity = append(a.commit.Activity, f.sheet.Activity...)
	a.found = a.found || len(f.told) > 0
}

// ensure inserts the rating and voter rows that a group lacks, in a
// transaction of its own: rows must exist before they can be locked in order.
// Votes on NFTs that are not registered are marked as refused, so that the next
// attempt leaves them out.
func (l *Ledger) ensure(group []*pending) error {
	ctx, cancel := context.WithTimeout(l.ctx, l.patience)
	defer cancel()
	return l.store.Update(ctx, func(tx store.Tx) error { return l.addRows(ctx, tx, group) })
}

// addRows does that within a transaction.
func (l *Ledger) addRows(ctx context.Context, tx store.Tx, group []*pending) error {
	folding := &l.policy.Load().Constants.Folding
	now := l.now().UTC().Truncate(time.Microsecond)
	nfts, _ := ids(group)
	unknown, err := tx.Ensure(ctx, nfts, nil, folding.NewRating(), folding.NewVoter(), now)
	if err == nil {
		refused := make(map[string]bool, len(unknown))
		for _, id := range unknown {
			refused[id] = true
		}
		for _, p := range group {
			p.refuseUnknown(refused)
		}
		_, voters := ids(group)
		_, err = tx.Ensure(ctx, nil, voters, folding.NewRating(), folding.NewVoter(), now)
	}
	if err != nil {
		return fmt.Errorf("adding rating and voter rows: %w", err)
	}
	return nil
}

// refuseUnknown marks a vote that names an NFT that is not registered.
func (p *pending) refuseUnknown(unknown map[string]bool) {
	for _, n := range []struct{ field, id string }{{"a", p.vote.A}, {"b", p.vote.B}} {
		if n.id != "" && unknown[n.id] {
			p.refused = &Error{CodeUnknownNFT, n.field, fmt.Sprintf("NFT %q is not registered; register it first", n.id)}
			return
		}
	}
}

// ids returns the distinct ids of NFTs and voters that a group's votes name,
// without those already refused.
func ids(group []*pending) (nfts, voters []string) {
	seenNFT := make(map[string]bool, 2*len(group))
	seenVoter := make(map[string]bool, len(group))
	for _, p := range group {
		if p.refused != nil {
			continue
		}
		for _, id := range [2]string{p.vote.A, p.vote.B} {
			if id != "" && !seenNFT[id] {
				seenNFT[id] = true
				nfts = append(nfts, id)
			}
		}
		if !seenVoter[p.vote.Voter] {
			seenVoter[p.vote.Voter] = true
			voters = append(voters, p.vote.Voter)
		}
	}
	return nfts, voters
}

// backoff returns the wait before attempt+1: at once the first time, then up
// to 5 ms doubling to 1 s, with jitter so that processes do not march in step.
func backoff(attempt int) time.Duration {
	if attempt == 0 {
		return 0
	}
	ceiling := min(time.Second, 5*time.Millisecond<<min(attempt, 10))
	return ceiling/2 + rand.N(ceiling/2)
}

// sleep waits, and is false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
