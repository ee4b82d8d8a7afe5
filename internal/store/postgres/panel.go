package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"poa/internal/store"
)

// PutPerson stores a new person.
func (s *Store) PutPerson(ctx context.Context, p store.Person) (store.Person, error) {
	err := s.update(ctx, func(l *link) (err error) {
		p.Number, err = l.q.InsertPerson(ctx, InsertPersonParams{
			Name: p.Name, Role: string(p.Role), PasswordHash: p.PasswordHash, CreatedAt: stamp(p.CreatedAt), CreatedBy: p.CreatedBy,
			LastSeen: stamp(p.LastSeen), DisabledAt: stamp(p.DisabledAt), SignedOutAt: stamp(p.SignedOutAt),
		})
		var answer *pgconn.PgError
		if errors.As(err, &answer) && answer.ConstraintName == "people_name" {
			return fmt.Errorf("person %q: %w", p.Name, store.ErrNameTaken)
		}
		return l.failure(ctx, "storing a person", err)
	})
	if err != nil {
		return store.Person{}, err
	}
	return p, nil
}

// PersonByName returns a person.
func (s *Store) PersonByName(ctx context.Context, name string) (store.Person, error) {
	row, err := s.now().PersonByName(ctx, name)
	return personOf(&row), s.failure(ctx, fmt.Sprintf("reading person %q", name), err)
}

// PersonByNumber returns a person.
func (s *Store) PersonByNumber(ctx context.Context, number int64) (store.Person, error) {
	row, err := s.now().PersonByNumber(ctx, number)
	return personOf(&row), s.failure(ctx, fmt.Sprintf("reading person %d", number), err)
}

func personOf(p *Person) store.Person {
	return store.Person{
		Number: p.Number, Name: p.Name, Role: store.Role(p.Role), PasswordHash: p.PasswordHash,
		CreatedAt: moment(p.CreatedAt), CreatedBy: p.CreatedBy, LastSeen: moment(p.LastSeen),
		DisabledAt: moment(p.DisabledAt), SignedOutAt: moment(p.SignedOutAt),
	}
}

// People returns all people.
func (s *Store) People(ctx context.Context) ([]store.Person, error) {
	rows, err := s.now().People(ctx)
	return convert(rows, personOf), s.failure(ctx, "reading people", err)
}

// ChangePerson changes a person under a lock of all who may operate, unless
// nobody would be left of them.
func (s *Store) ChangePerson(ctx context.Context, number int64, change func(*store.Person) error) (p store.Person, err error) {
	err = s.update(ctx, func(l *link) error {
		rows, err := l.q.LockOperators(ctx, number)
		if err != nil {
			return l.failure(ctx, "locking people", err)
		}
		known, others := false, false
		for i := range rows {
			if locked := personOf(&rows[i]); locked.Number == number {
				known, p = true, locked
			} else {
				others = others || locked.Operates()
			}
		}
		if !known {
			return fmt.Errorf("changing person %d: %w", number, store.ErrNotFound)
		}
		operated := p.Operates()
		if err := change(&p); err != nil {
			return fmt.Errorf("changing person %d: %w", number, err)
		}
		if operated && !others && !p.Operates() {
			return fmt.Errorf("changing person %d: %w", number, store.ErrLastOperator)
		}
		return errors.Join(l.q.SavePerson(ctx, SavePersonParams{
			Number: number, Role: string(p.Role), PasswordHash: p.PasswordHash, DisabledAt: stamp(p.DisabledAt),
		}), l.q.RaiseAccessVersion(ctx))
	})
	if err != nil {
		return store.Person{}, err
	}
	return p, nil
}

// TouchPeople records when people were last seen, the latest time that is told.
func (s *Store) TouchPeople(ctx context.Context, seen map[int64]time.Time) error {
	if len(seen) == 0 {
		return nil
	}
	var p TouchPeopleParams
	for number, at := range seen {
		p.Numbers, p.Ats = append(p.Numbers, number), append(p.Ats, stamp(at))
	}
	return s.update(ctx, func(l *link) error { return l.q.TouchPeople(ctx, p) })
}

// PutLink stores a link.
func (s *Store) PutLink(ctx context.Context, k store.Link) error {
	return s.update(ctx, func(l *link) error {
		return l.q.InsertLink(ctx, InsertLinkParams{
			Hash: k.Hash, Purpose: string(k.Purpose), Person: k.Person, Name: k.Name, Role: string(k.Role),
			CreatedAt: stamp(k.CreatedAt), CreatedBy: k.CreatedBy, ExpiresAt: stamp(k.ExpiresAt),
		})
	})
}

// FindLink returns a link in force.
func (s *Store) FindLink(ctx context.Context, hash []byte, purpose store.LinkPurpose, now time.Time) (store.Link, error) {
	row, err := s.now().FindLink(ctx, FindLinkParams{Hash: hash, Purpose: string(purpose), Now: stamp(now)})
	return linkOf(&row), s.failure(ctx, "reading a link", err)
}

// TakeLink ends a link in force and returns it.
func (s *Store) TakeLink(ctx context.Context, hash []byte, purpose store.LinkPurpose, now time.Time) (taken store.Link, err error) {
	err = s.update(ctx, func(l *link) error {
		row, err := l.q.TakeLink(ctx, TakeLinkParams{Hash: hash, Purpose: string(purpose), Now: stamp(now)})
		taken = linkOf(&row)
		return l.missing(ctx, "the link", err)
	})
	if err != nil {
		return store.Link{}, err
	}
	return taken, nil
}

func linkOf(k *Link) store.Link {
	return store.Link{
		Hash: k.Hash, Purpose: store.LinkPurpose(k.Purpose), Person: k.Person, Name: k.Name, Role: store.Role(k.Role),
		CreatedAt: moment(k.CreatedAt), CreatedBy: k.CreatedBy, ExpiresAt: moment(k.ExpiresAt),
	}
}

// Links returns the links in force.
func (s *Store) Links(ctx context.Context, now time.Time) ([]store.Link, error) {
	rows, err := s.now().Links(ctx, stamp(now))
	return convert(rows, linkOf), s.failure(ctx, "reading links", err)
}

// DeleteLinks ends links.
func (s *Store) DeleteLinks(ctx context.Context, purpose store.LinkPurpose, person int64) (n int64, err error) {
	err = s.update(ctx, func(l *link) error {
		ended, err := l.q.DeleteLinks(ctx, DeleteLinksParams{Purpose: string(purpose), Person: person})
		n = int64(len(ended))
		return l.failure(ctx, "ending links", err)
	})
	return n, err
}

// FindSession returns a session in force.
func (s *Store) FindSession(ctx context.Context, hash []byte, now time.Time) (store.Session, error) {
	row, err := s.now().FindSession(ctx, FindSessionParams{Hash: hash, Now: stamp(now)})
	if err != nil {
		return store.Session{}, s.failure(ctx, "reading a session", err)
	}
	return store.Session{Hash: row.Hash, Person: row.Person, Data: row.Data, ExpiresAt: moment(row.ExpiresAt)}, nil
}

// PutSession stores a new session.
func (s *Store) PutSession(ctx context.Context, session store.Session) error {
	return s.update(ctx, func(l *link) error {
		return l.q.InsertSession(ctx, InsertSessionParams{
			Hash: session.Hash, Person: session.Person, Data: session.Data, ExpiresAt: stamp(session.ExpiresAt),
		})
	})
}

// ReplaceSession replaces a session.
func (s *Store) ReplaceSession(ctx context.Context, session store.Session) error {
	return s.update(ctx, func(l *link) error {
		known, err := l.q.ReplaceSession(ctx, ReplaceSessionParams{
			Person: session.Person, Data: session.Data, ExpiresAt: stamp(session.ExpiresAt), Hash: session.Hash,
		})
		if err != nil {
			return l.failure(ctx, "replacing a session", err)
		}
		if len(known) == 0 {
			return fmt.Errorf("replacing a session: %w", store.ErrNotFound)
		}
		return nil
	})
}

// DeleteSession ends a session.
func (s *Store) DeleteSession(ctx context.Context, hash []byte) error {
	return s.update(ctx, func(l *link) error {
		ended, err := l.q.DeleteSession(ctx, hash)
		if err != nil {
			return l.failure(ctx, "ending a session", err)
		}
		if len(ended) == 0 {
			return nil
		}
		return l.q.RaiseAccessVersion(ctx)
	})
}

// DeleteSessionsOf ends the sessions of a person.
func (s *Store) DeleteSessionsOf(ctx context.Context, person int64, now time.Time) (n int64, err error) {
	err = s.update(ctx, func(l *link) error {
		known, err := l.q.SignOut(ctx, SignOutParams{Number: person, Now: stamp(now)})
		if err != nil {
			return l.failure(ctx, "signing a person out", err)
		}
		if len(known) == 0 {
			return fmt.Errorf("signing person %d out: %w", person, store.ErrNotFound)
		}
		ended, err := l.q.DeleteSessionsOf(ctx, person)
		if err != nil {
			return l.failure(ctx, "ending the sessions of a person", err)
		}
		n = int64(len(ended))
		return l.q.RaiseAccessVersion(ctx)
	})
	return n, err
}

// AccessVersion returns the number that the end of a session raises.
func (s *Store) AccessVersion(ctx context.Context) (int64, error) {
	version, err := s.now().AccessVersion(ctx)
	return version, s.failure(ctx, "reading the version of who has access", err)
}

// ListVoters returns a page of voters.
func (s *Store) ListVoters(ctx context.Context, q store.VoterQuery) (voters []store.Voter, err error) {
	err = s.read(ctx, func(l *link) error {
		l.gathered.Queue(settingsHeads)
		if q.Search == "" {
			rows, err := l.q.NewestVoters(ctx, NewestVotersParams{Before: orLast(q.After), UpTo: limit(q.Limit)})
			voters = convert(rows, voterOf)
			return l.failure(ctx, "listing voters", err)
		}
		p := VotersByPrefixParams{Prefix: q.Search, PrefixEnd: store.PrefixEnd(q.Search), UpTo: limit(q.Limit)}
		if q.After != 0 {
			last, err := l.q.VoterByNumber(ctx, q.After)
			if err != nil {
				return l.missing(ctx, fmt.Sprintf("voter number %d", q.After), err)
			}
			p.After = last.ID
		}
		rows, err := l.q.VotersByPrefix(ctx, p)
		voters = convert(rows, voterOf)
		return l.failure(ctx, "searching voters", err)
	})
	return voters, err
}

// RecentVoters returns who voted last.
func (s *Store) RecentVoters(ctx context.Context, n int) (voters []store.Voter, err error) {
	err = s.read(ctx, func(l *link) error {
		l.gathered.Queue(settingsHeads)
		rows, err := l.q.RecentVoters(ctx, RecentVotersParams{Depth: store.RecentDepth, UpTo: limit(n)})
		voters = convert(rows, func(r *RecentVotersRow) store.Voter { return voterOf(&r.Voter) })
		return l.failure(ctx, "reading who voted last", err)
	})
	return voters, err
}

// LowestScores returns a page of the NFTs with the lowest scores.
func (s *Store) LowestScores(ctx context.Context, collection *string, after *store.RankKey, n int) ([]store.Ranked, error) {
	key := store.RankKey{POA: math.Inf(-1)}
	if after != nil {
		key = *after
	}
	return s.ranked(ctx, func(l *link) ([]int64, error) {
		if collection == nil {
			return l.q.RanksBefore(ctx, RanksBeforeParams{POA: key.POA, NFT: key.NFT, UpTo: limit(n)})
		}
		number, known, err := view{l}.collection(ctx, *collection)
		if err != nil || !known {
			return nil, err
		}
		return l.q.RanksOfBefore(ctx, RanksOfBeforeParams{Collection: number, POA: key.POA, NFT: key.NFT, UpTo: limit(n)})
	})
}

// RecentlyComputed returns the NFTs whose scores were computed last.
func (s *Store) RecentlyComputed(ctx context.Context, n int) ([]store.Recent, error) {
	var recent []store.Recent
	page, err := s.ranked(ctx, func(l *link) ([]int64, error) {
		rows, err := l.q.RecentComputations(ctx, RecentComputationsParams{Depth: store.RecentDepth, UpTo: limit(n)})
		if err != nil {
			return nil, err
		}
		recent = make([]store.Recent, len(rows))
		for i := range rows {
			if recent[i].Activity, err = entryOf((*ActivityRow)(&rows[i])); err != nil {
				return nil, err
			}
		}
		return column(recent, func(r *store.Recent) int64 { return r.Activity.NFT }), nil
	})
	if err != nil {
		return nil, err
	}
	for i := range page {
		recent[i].Ranked = page[i]
	}
	return recent, nil
}

// TriggerCandidates returns NFTs without a score, most votes first.
func (s *Store) TriggerCandidates(ctx context.Context, votes int64, n int) (found []store.Candidate, err error) {
	err = s.read(ctx, func(l *link) error {
		return l.failure(ctx, "looking for candidates of triggers", l.pick(ctx, []pick{{n, &found, triggerCandidates, []any{votes, limit(n)}}}))
	})
	return found, err
}

// ListSettingChanges returns a page of the audit.
func (s *Store) ListSettingChanges(ctx context.Context, q store.SettingQuery) (entries []store.AuditEntry, err error) {
	err = s.read(ctx, func(l *link) error {
		l.gathered.Queue(settingsHeads)
		rows, err := l.q.SettingChangesBefore(ctx, SettingChangesBeforeParams{Name: q.Name, Before: orLast(q.Before), UpTo: limit(q.Limit)})
		entries = convert(rows, func(r *SettingsAudit) store.AuditEntry {
			return store.AuditEntry{Number: r.Number, SettingChange: settingChangeOf(r)}
		})
		return l.failure(ctx, "reading setting changes", err)
	})
	return entries, err
}

// Distribution returns how scores are distributed.
func (s *Store) Distribution(ctx context.Context, collection *string) (bins store.Bins, err error) {
	all, name := scope(collection)
	err = s.read(ctx, func(l *link) error {
		rows, err := l.q.Distribution(ctx, DistributionParams{AllCollections: all, Collection: name})
		for _, r := range rows {
			bins.Add(r.Name, r.Total)
		}
		return l.failure(ctx, "reading the distribution of scores", err)
	})
	return bins, err
}

// AddSamples adds to samples in both grains.
func (s *Store) AddSamples(ctx context.Context, samples []store.Sample) error {
	if len(samples) == 0 {
		return nil
	}
	return s.update(ctx, func(l *link) error {
		return l.q.AddSamples(ctx, AddSamplesParams{
			Ats:     column(samples, func(x *store.Sample) pgtype.Timestamptz { return stamp(x.At) }),
			Names:   column(samples, func(x *store.Sample) string { return x.Name }),
			Amounts: column(samples, func(x *store.Sample) int64 { return x.Value }),
		})
	})
}

// Samples returns samples summed over bins.
func (s *Store) Samples(ctx context.Context, from, until time.Time, minutes int) (samples []store.Sample, err error) {
	bin := time.Duration(minutes) * time.Minute
	err = s.read(ctx, func(l *link) error {
		l.gathered.Queue(settingsHeads)
		rows, err := l.q.SamplesBetween(ctx, SamplesBetweenParams{
			Grain: int16(store.SampleGrain(minutes)), Minutes: int32(minutes), FromAt: stamp(from.Truncate(bin)), UntilAt: stamp(until.Truncate(bin)),
		})
		samples = convert(rows, func(r *SamplesBetweenRow) store.Sample {
			return store.Sample{At: moment(r.Begins), Name: r.Name, Value: r.Amount}
		})
		return l.failure(ctx, "reading samples", err)
	})
	return samples, err
}

// Expire deletes what is over, each kind in a transaction of its own.
func (s *Store) Expire(ctx context.Context, now time.Time, n int) (expired int64, more bool, err error) {
	samplesOf := func(grain int16, kept time.Duration) func(*Queries) ([]int64, error) {
		return func(q *Queries) ([]int64, error) {
			return q.ExpireSamples(ctx, ExpireSamplesParams{Grain: grain, Before: stamp(now.Add(-kept)), UpTo: limit(n)})
		}
	}
	for _, expire := range []func(*Queries) ([]int64, error){
		func(q *Queries) ([]int64, error) {
			return q.ExpireSessions(ctx, ExpireSessionsParams{Now: stamp(now), UpTo: limit(n)})
		},
		func(q *Queries) ([]int64, error) {
			return q.ExpireLinks(ctx, ExpireLinksParams{Now: stamp(now), UpTo: limit(n)})
		},
		samplesOf(1, store.MinutesKept),
		samplesOf(store.SampleMinutes, store.SamplesKept),
	} {
		deleted, err := s.trim(ctx, "deleting what is over", expire)
		if err != nil {
			return expired, true, err
		}
		expired += deleted
		more = more || deleted > 0 && deleted >= int64(n)
	}
	return expired, more, nil
}
