package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	driver "modernc.org/sqlite"

	"poa/internal/store"
)

// PutPerson stores a new person.
func (s *Store) PutPerson(ctx context.Context, p store.Person) (store.Person, error) {
	err := s.write(ctx, func(q *Queries) (err error) {
		p.Number, err = q.insertPerson(ctx, insertPersonParams{
			Name: p.Name, Role: string(p.Role), PasswordHash: p.PasswordHash, CreatedAt: micros(p.CreatedAt), CreatedBy: p.CreatedBy,
			LastSeen: optionalMicros(p.LastSeen), DisabledAt: optionalMicros(p.DisabledAt), SignedOutAt: optionalMicros(p.SignedOutAt),
		})
		return err
	})
	var e *driver.Error
	if errors.As(err, &e) && strings.Contains(e.Error(), "people.name") {
		err = store.ErrNameTaken
	}
	if err != nil {
		return store.Person{}, doing(fmt.Sprintf("storing person %q", p.Name), err)
	}
	return p, nil
}

// PersonByName returns a person.
func (s *Store) PersonByName(ctx context.Context, name string) (store.Person, error) {
	row, err := s.now().personByName(ctx, name)
	return personOr(&row, fmt.Sprintf("reading person %q", name), err)
}

// PersonByNumber returns a person.
func (s *Store) PersonByNumber(ctx context.Context, number int64) (store.Person, error) {
	row, err := s.now().personByNumber(ctx, number)
	return personOr(&row, fmt.Sprintf("reading person %d", number), err)
}

func personOr(r *personRow, what string, err error) (store.Person, error) {
	if err != nil {
		return store.Person{}, doing(what, found(err))
	}
	return toPerson(r), nil
}

func toPerson(r *personRow) store.Person {
	return store.Person{
		Number: r.Number, Name: r.Name, Role: store.Role(r.Role), PasswordHash: r.PasswordHash,
		CreatedAt: fromMicros(r.CreatedAt), CreatedBy: r.CreatedBy, LastSeen: fromOptionalMicros(r.LastSeen),
		DisabledAt: fromOptionalMicros(r.DisabledAt), SignedOutAt: fromOptionalMicros(r.SignedOutAt),
	}
}

// People returns all people.
func (s *Store) People(ctx context.Context) ([]store.Person, error) {
	rows, err := s.now().allPeople(ctx)
	return convert(rows, toPerson), doing("reading people", err)
}

// ChangePerson changes a person, unless nobody would be left to operate.
func (s *Store) ChangePerson(ctx context.Context, number int64, change func(*store.Person) error) (p store.Person, err error) {
	err = s.write(ctx, func(q *Queries) error {
		row, err := q.personByNumber(ctx, number)
		if err != nil {
			return found(err)
		}
		p = toPerson(&row)
		operated := p.Operates()
		if err := change(&p); err != nil {
			return err
		}
		err = q.savePerson(ctx, savePersonParams{
			Number: number, Role: string(p.Role), PasswordHash: p.PasswordHash, DisabledAt: optionalMicros(p.DisabledAt),
		})
		if err != nil {
			return err
		}
		if err := q.raiseAccessVersion(ctx); err != nil || !operated {
			return err
		}
		left, err := q.enabledOperators(ctx)
		if err == nil && left == 0 {
			return store.ErrLastOperator
		}
		return err
	})
	if err != nil {
		return store.Person{}, doing(fmt.Sprintf("changing person %d", number), err)
	}
	return p, nil
}

// TouchPeople records when people were last seen, the latest time that is told.
func (s *Store) TouchPeople(ctx context.Context, seen map[int64]time.Time) error {
	if len(seen) == 0 {
		return nil
	}
	return doing("recording who was seen", s.write(ctx, func(q *Queries) error {
		for number, at := range seen {
			if err := q.touchPerson(ctx, touchPersonParams{Number: number, At: micros(at)}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// PutLink stores a link.
func (s *Store) PutLink(ctx context.Context, l store.Link) error {
	return doing("storing a link", s.write(ctx, func(q *Queries) error {
		return q.insertLink(ctx, insertLinkParams{
			Hash: l.Hash, Purpose: string(l.Purpose), Person: l.Person, Name: l.Name, Role: string(l.Role),
			CreatedAt: micros(l.CreatedAt), CreatedBy: l.CreatedBy, ExpiresAt: micros(l.ExpiresAt),
		})
	}))
}

// FindLink returns a link in force.
func (s *Store) FindLink(ctx context.Context, hash []byte, purpose store.LinkPurpose, now time.Time) (store.Link, error) {
	row, err := s.now().findLink(ctx, findLinkParams{Hash: hash, Purpose: string(purpose), ExpiresAt: micros(now)})
	if err != nil {
		return store.Link{}, doing("reading a link", found(err))
	}
	return toLink(&row), nil
}

// TakeLink ends a link in force and returns it.
func (s *Store) TakeLink(ctx context.Context, hash []byte, purpose store.LinkPurpose, now time.Time) (l store.Link, err error) {
	err = s.write(ctx, func(q *Queries) error {
		row, err := q.takeLink(ctx, takeLinkParams{Hash: hash, Purpose: string(purpose), ExpiresAt: micros(now)})
		if err != nil {
			return found(err)
		}
		l = toLink(&row)
		return nil
	})
	if err != nil {
		return store.Link{}, doing("taking a link", err)
	}
	return l, nil
}

func toLink(r *linkRow) store.Link {
	return store.Link{
		Hash: r.Hash, Purpose: store.LinkPurpose(r.Purpose), Person: r.Person, Name: r.Name, Role: store.Role(r.Role),
		CreatedAt: fromMicros(r.CreatedAt), CreatedBy: r.CreatedBy, ExpiresAt: fromMicros(r.ExpiresAt),
	}
}

// Links returns the links in force.
func (s *Store) Links(ctx context.Context, now time.Time) ([]store.Link, error) {
	rows, err := s.now().allLinks(ctx, micros(now))
	return convert(rows, toLink), doing("reading links", err)
}

// DeleteLinks ends links.
func (s *Store) DeleteLinks(ctx context.Context, purpose store.LinkPurpose, person int64) (n int64, err error) {
	err = s.write(ctx, func(q *Queries) (err error) {
		n, err = q.deleteLinks(ctx, deleteLinksParams{Purpose: string(purpose), Person: person})
		return err
	})
	return n, doing("ending links", err)
}

// FindSession returns a session in force.
func (s *Store) FindSession(ctx context.Context, hash []byte, now time.Time) (store.Session, error) {
	row, err := s.now().findSession(ctx, findSessionParams{Hash: hash, ExpiresAt: micros(now)})
	if err != nil {
		return store.Session{}, doing("reading a session", found(err))
	}
	return store.Session{Hash: row.Hash, Person: row.Person, Data: row.Data, ExpiresAt: fromMicros(row.ExpiresAt)}, nil
}

// PutSession stores a new session.
func (s *Store) PutSession(ctx context.Context, session store.Session) error {
	return doing("storing a session", s.write(ctx, func(q *Queries) error {
		return q.insertSession(ctx, insertSessionParams{
			Hash: session.Hash, Person: session.Person, Data: session.Data, ExpiresAt: micros(session.ExpiresAt),
		})
	}))
}

// ReplaceSession replaces a session.
func (s *Store) ReplaceSession(ctx context.Context, session store.Session) error {
	return doing("replacing a session", s.write(ctx, func(q *Queries) error {
		return one(q.replaceSession(ctx, replaceSessionParams{
			Person: session.Person, Data: session.Data, ExpiresAt: micros(session.ExpiresAt), Hash: session.Hash,
		}))
	}))
}

// DeleteSession ends a session.
func (s *Store) DeleteSession(ctx context.Context, hash []byte) error {
	return doing("ending a session", s.write(ctx, func(q *Queries) error {
		n, err := q.deleteSession(ctx, hash)
		if err != nil || n == 0 {
			return err
		}
		return q.raiseAccessVersion(ctx)
	}))
}

// DeleteSessionsOf ends the sessions of a person.
func (s *Store) DeleteSessionsOf(ctx context.Context, person int64, now time.Time) (n int64, err error) {
	err = s.write(ctx, func(q *Queries) error {
		at := micros(now)
		if err := one(q.signOut(ctx, signOutParams{SignedOutAt: &at, Number: person})); err != nil {
			return err
		}
		if n, err = q.deleteSessionsOf(ctx, person); err != nil {
			return err
		}
		return q.raiseAccessVersion(ctx)
	})
	return n, doing(fmt.Sprintf("ending the sessions of person %d", person), err)
}

// AccessVersion returns the number that the end of a session raises.
func (s *Store) AccessVersion(ctx context.Context) (int64, error) {
	version, err := s.now().accessVersion(ctx)
	return version, doing("reading the version of who has access", err)
}

// ListVoters returns a page of voters.
func (s *Store) ListVoters(ctx context.Context, q store.VoterQuery) (voters []store.Voter, err error) {
	err = s.read(ctx, "listing voters", func(queries *Queries) error {
		if q.Search == "" {
			rows, err := queries.newestVoters(ctx, newestVotersParams{Number: orLast(q.After), Limit: atMost(q.Limit)})
			voters = convert(rows, toVoter)
			return err
		}
		p := votersByPrefixParams{Prefix: q.Search, PrefixEnd: store.PrefixEnd(q.Search), UpTo: atMost(q.Limit)}
		if q.After != 0 {
			last, err := queries.voterByNumber(ctx, q.After)
			if err != nil {
				return fmt.Errorf("voter number %d: %w", q.After, found(err))
			}
			p.After = last.ID
		}
		rows, err := queries.votersByPrefix(ctx, p)
		voters = convert(rows, toVoter)
		return err
	})
	return voters, err
}

// RecentVoters returns who voted last.
func (s *Store) RecentVoters(ctx context.Context, limit int) ([]store.Voter, error) {
	rows, err := s.now().recentVoters(ctx, recentVotersParams{Depth: store.RecentDepth, UpTo: atMost(limit)})
	return convert(rows, func(r *recentVotersRow) store.Voter { return toVoter(&r.VoterRow) }), doing("reading who voted last", err)
}

// LowestScores returns a page of the NFTs with the lowest scores: those that
// have the last one's score, and then those with more.
func (s *Store) LowestScores(ctx context.Context, collection *string, after *store.RankKey, limit int) ([]store.Ranked, error) {
	if after == nil {
		after = &store.RankKey{POA: -math.MaxFloat64}
	}
	return s.ranked(ctx, func(q *Queries) ([]int64, error) {
		n := atMost(limit)
		return inCollection(ctx, q, collection,
			func() ([]int64, error) {
				ties, err := q.tiesBefore(ctx, tiesBeforeParams{Poa: after.POA, Nft: after.NFT, Limit: n})
				if err != nil {
					return nil, err
				}
				above, err := q.ranksAbove(ctx, ranksAboveParams{Poa: after.POA, Limit: n - int64(len(ties))})
				return append(ties, above...), err
			},
			func(number int64) ([]int64, error) {
				ties, err := q.tiesOfBefore(ctx, tiesOfBeforeParams{Collection: number, Poa: after.POA, Nft: after.NFT, Limit: n})
				if err != nil {
					return nil, err
				}
				above, err := q.ranksOfAbove(ctx, ranksOfAboveParams{Collection: number, Poa: after.POA, Limit: n - int64(len(ties))})
				return append(ties, above...), err
			})
	})
}

// RecentlyComputed returns the NFTs whose scores were computed last.
func (s *Store) RecentlyComputed(ctx context.Context, limit int) ([]store.Recent, error) {
	var entries []store.Activity
	page, err := s.ranked(ctx, func(q *Queries) ([]int64, error) {
		rows, err := q.recentComputations(ctx, recentComputationsParams{Depth: store.RecentDepth, UpTo: atMost(limit)})
		if err != nil {
			return nil, err
		}
		entries, err = toActivities(convert(rows, func(r *recentComputationsRow) latestActivityRow { return latestActivityRow(*r) }))
		return convert(entries, func(a *store.Activity) int64 { return a.NFT }), err
	})
	recent := make([]store.Recent, len(page)) // in the order of entries
	for i := range page {
		recent[i] = store.Recent{Ranked: page[i], Activity: entries[i]}
	}
	return recent, err
}

// TriggerCandidates returns NFTs without a score, most votes first.
func (s *Store) TriggerCandidates(ctx context.Context, votes int64, limit int) ([]store.Candidate, error) {
	rows, err := s.now().triggerCandidates(ctx, triggerCandidatesParams{Votes: &votes, UpTo: atMost(limit)})
	return convert(rows, func(r *triggerCandidatesRow) store.Candidate { return toCandidate((*candidatesDueRow)(r)) }),
		doing("looking for candidates of triggers", err)
}

// ListSettingChanges returns a page of the audit.
func (s *Store) ListSettingChanges(ctx context.Context, q store.SettingQuery) (entries []store.AuditEntry, err error) {
	var rows []settingChangeRow
	if q.Name == "" {
		rows, err = s.now().settingChangesBefore(ctx, settingChangesBeforeParams{Number: orLast(q.Before), Limit: atMost(q.Limit)})
	} else {
		rows, err = s.now().settingChangesOf(ctx, settingChangesOfParams{Name: q.Name, Number: orLast(q.Before), Limit: atMost(q.Limit)})
	}
	return convert(rows, func(r *settingChangeRow) store.AuditEntry {
		return store.AuditEntry{Number: r.Number, SettingChange: toSettingChange(r)}
	}), doing("reading changes of settings", err)
}

// Distribution returns how scores are distributed.
func (s *Store) Distribution(ctx context.Context, collection *string) (bins store.Bins, err error) {
	all, name := scope(collection)
	rows, err := s.now().distribution(ctx, distributionParams{AllCollections: all, Collection: name})
	for _, r := range rows {
		bins.Add(r.Name, r.Total)
	}
	return bins, doing("reading the distribution of scores", err)
}

// AddSamples adds to samples in both grains.
func (s *Store) AddSamples(ctx context.Context, samples []store.Sample) error {
	if len(samples) == 0 {
		return nil
	}
	return doing("recording samples", s.write(ctx, func(q *Queries) error {
		for i := range samples {
			for _, minutes := range []int64{1, store.SampleMinutes} {
				err := q.addSample(ctx, addSampleParams{
					Grain: minutes, At: micros(samples[i].At.Truncate(time.Duration(minutes) * time.Minute)),
					Name: samples[i].Name, Value: samples[i].Value,
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

// Samples returns samples summed over bins.
func (s *Store) Samples(ctx context.Context, from, until time.Time, minutes int) ([]store.Sample, error) {
	bin := time.Duration(minutes) * time.Minute
	rows, err := s.now().samplesBetween(ctx, samplesBetweenParams{
		Grain: store.SampleGrain(minutes), Bin: bin.Microseconds(), FromAt: micros(from.Truncate(bin)), UntilAt: micros(until.Truncate(bin)),
	})
	return convert(rows, func(r *samplesBetweenRow) store.Sample {
		return store.Sample{At: fromMicros(r.BinAt), Name: r.Name, Value: r.Value}
	}), doing("reading samples", err)
}

// Expire deletes what is over.
func (s *Store) Expire(ctx context.Context, now time.Time, limit int) (expired int64, more bool, err error) {
	err = s.write(ctx, func(q *Queries) error {
		for _, expire := range []func() (int64, error){
			func() (int64, error) {
				return q.expireSessions(ctx, expireSessionsParams{ExpiresAt: micros(now), Limit: atMost(limit)})
			},
			func() (int64, error) {
				return q.expireLinks(ctx, expireLinksParams{ExpiresAt: micros(now), Limit: atMost(limit)})
			},
			func() (int64, error) {
				return q.expireSamples(ctx, expireSamplesParams{Grain: 1, At: micros(now.Add(-store.MinutesKept)), Limit: atMost(limit)})
			},
			func() (int64, error) {
				return q.expireSamples(ctx, expireSamplesParams{Grain: store.SampleMinutes, At: micros(now.Add(-store.SamplesKept)), Limit: atMost(limit)})
			},
		} {
			n, err := expire()
			if err != nil {
				return err
			}
			expired += n
			more = more || n > 0 && n == atMost(limit)
		}
		return nil
	})
	if err != nil {
		return 0, false, doing("deleting what is over", err)
	}
	return expired, more, nil
}
