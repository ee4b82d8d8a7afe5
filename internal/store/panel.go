package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrLastOperator: the change would leave nobody who may operate.
var ErrLastOperator = errors.New("nobody else who can sign in is an operator; make another one first")

// Panel is what the panel needs of a store: people and their sessions, lists,
// and the samples its charts show. Every method is one short transaction of its
// own, and every list is index work.
type Panel interface {
	// PutPerson stores a new person and returns it with its number; ErrNameTaken.
	PutPerson(ctx context.Context, p Person) (Person, error)
	// PersonByName and PersonByNumber return a person, disabled or not;
	// ErrNotFound. People returns all, by name.
	PersonByName(ctx context.Context, name string) (Person, error)
	PersonByNumber(ctx context.Context, number int64) (Person, error)
	People(ctx context.Context) ([]Person, error)
	// ChangePerson has change alter role, password hash and DisabledAt of a
	// person, by number, as they are now, and writes and returns what it left;
	// no other change comes between. ErrNotFound, or the error of change, which
	// writes nothing. It is refused with ErrLastOperator where it would leave no
	// enabled operator, however many processes try at once.
	ChangePerson(ctx context.Context, number int64, change func(*Person) error) (Person, error)
	// TouchPeople records when people, by number, were last seen.
	TouchPeople(ctx context.Context, seen map[int64]time.Time) error

	// PutLink stores a one-time link.
	PutLink(ctx context.Context, l Link) error
	// FindLink returns a link that has not expired and leaves it in force;
	// TakeLink returns it and ends it, for one of those who try at once.
	// ErrNotFound, also for one of another purpose.
	FindLink(ctx context.Context, hash []byte, purpose LinkPurpose, now time.Time) (Link, error)
	TakeLink(ctx context.Context, hash []byte, purpose LinkPurpose, now time.Time) (Link, error)
	// Links returns the links that have not expired, the newest first.
	Links(ctx context.Context, now time.Time) ([]Link, error)
	// DeleteLinks ends the links of a purpose ("" for all) and a person (0 for
	// all), and says how many.
	DeleteLinks(ctx context.Context, purpose LinkPurpose, person int64) (int64, error)

	// FindSession returns a session that has not expired; ErrNotFound.
	FindSession(ctx context.Context, hash []byte, now time.Time) (Session, error)
	// PutSession stores a new session. ReplaceSession replaces one; ErrNotFound
	// where it has been deleted, so that none comes back that has ended.
	PutSession(ctx context.Context, s Session) error
	ReplaceSession(ctx context.Context, s Session) error
	// DeleteSession ends a session, if there is one. DeleteSessionsOf ends all
	// of a person, says how many, and records when in SignedOutAt, so that a
	// session that is stored again meanwhile can be told; ErrNotFound.
	DeleteSession(ctx context.Context, hash []byte) error
	DeleteSessionsOf(ctx context.Context, person int64, now time.Time) (int64, error)

	// AccessVersion returns a number that is raised with everything that ends a
	// session which has not expired, or changes what a person may do: by
	// ChangePerson, DeleteSession where there is one, and DeleteSessionsOf, in
	// their transactions. What was read of sessions and people after it still
	// holds while it is the same, but for what TouchPeople and ReplaceSession do.
	AccessVersion(ctx context.Context) (int64, error)

	// ListVoters returns voters by id where Search is set, and the newest first
	// otherwise.
	ListVoters(ctx context.Context, q VoterQuery) ([]Voter, error)
	// RecentVoters returns those who cast the latest RecentDepth votes, the
	// latest first.
	RecentVoters(ctx context.Context, limit int) ([]Voter, error)
	// LowestScores is Leaderboard from the other end: the lowest score first,
	// ties by descending number.
	LowestScores(ctx context.Context, collection *string, after *RankKey, limit int) ([]Ranked, error)
	// RecentlyComputed returns the NFTs of the latest RecentDepth activity
	// entries whose score was computed, the latest first, each once.
	RecentlyComputed(ctx context.Context, limit int) ([]Recent, error)
	// TriggerCandidates returns the NFTs of active collections that have at
	// least so many votes and no score, most votes first.
	TriggerCandidates(ctx context.Context, votes int64, limit int) ([]Candidate, error)
	// ListSettingChanges returns a page of the audit of settings, newest first.
	ListSettingChanges(ctx context.Context, q SettingQuery) ([]AuditEntry, error)
	// SearchActivity returns a page of activity that is filtered by what no
	// index covers. Unless it asks for one NFT's it looks at no more than
	// ActivityDepth entries of the log, so a page may end early, even without
	// an entry; next is the Before of the page after it, 0 where there is none.
	SearchActivity(ctx context.Context, q ActivitySearch) (entries []Activity, next int64, err error)
	// Distribution returns how many scores are in each bin, of one collection
	// where collection is not nil.
	Distribution(ctx context.Context, collection *string) (Bins, error)

	// AddSamples adds to the samples of the minutes given, in one statement or
	// transaction; times are cut to the minute. No minute may have a name twice.
	AddSamples(ctx context.Context, samples []Sample) error
	// Samples returns the samples from a time on, before another, each summed
	// over bins of so many minutes (a divisor of a day) that begin at multiples of
	// them, by time and name; from and until are cut to a bin. Bins of ten
	// minutes and of multiples of ten are there for SamplesKept, others for
	// MinutesKept.
	Samples(ctx context.Context, from, until time.Time, minutes int) ([]Sample, error)

	// Expire deletes about limit each of the sessions and links that have
	// expired and of the samples that are kept no longer, and says how many in
	// all, and whether more may be left.
	Expire(ctx context.Context, now time.Time, limit int) (expired int64, more bool, err error)
}

// Person is somebody who signs in.
type Person struct {
	Number       int64
	Name         string
	Role         Role   // Viewer or Operator
	PasswordHash string // as argon2 writes it (PHC), "" until one is set
	CreatedAt    time.Time
	CreatedBy    string
	LastSeen     time.Time
	DisabledAt   time.Time // zero: enabled
	SignedOutAt  time.Time // sessions that began before it have ended
}

// Operates reports whether the person may operate now.
func (p Person) Operates() bool { return p.Role == Operator && p.DisabledAt.IsZero() }

// LinkPurpose is what a one-time link is for.
type LinkPurpose string

// The purposes of links.
const (
	SetupLink  LinkPurpose = "setup"  // create the first operator
	InviteLink LinkPurpose = "invite" // set a name and password, with the role given
	ResetLink  LinkPurpose = "reset"  // set a new password
	SignInLink LinkPurpose = "signin"
)

// Link is a one-time link. The link itself is not kept.
type Link struct {
	Hash      []byte // SHA-256
	Purpose   LinkPurpose
	Person    int64  // whom it is for, 0 for somebody who is not known yet
	Name      string // for somebody who is not known yet
	Role      Role   // likewise
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt time.Time
}

// Session is the session of a browser.
type Session struct {
	Hash      []byte // SHA-256 of its token
	Person    int64  // 0 before sign-in
	Data      []byte
	ExpiresAt time.Time
}

// RecentDepth is how many rows RecentVoters and RecentlyComputed look at, and
// ActivityDepth how many SearchActivity does.
const (
	RecentDepth   = 1_000
	ActivityDepth = 5_000
)

// VoterQuery asks for a page of voters.
type VoterQuery struct {
	Search string // what the id begins with
	After  int64  // number of the last voter of the page before
	Limit  int
}

// Recent is an NFT with the computation of its score.
type Recent struct {
	Ranked
	Activity Activity
}

// SettingQuery asks for a page of the audit of settings.
type SettingQuery struct {
	Name   string // "" for all
	Before int64  // number of the last entry of the page before
	Limit  int
}

// AuditEntry is an entry of the audit of settings.
type AuditEntry struct {
	Number int64
	SettingChange
}

// ActivitySearch asks for a page of activity by what no index covers, besides
// what ActivityQuery asks for. Zero fields do not filter.
type ActivitySearch struct {
	ActivityQuery
	Reason     string
	Collection *string // of the NFT the entry is about
}

// Bins count scores: bin i those from 5i up to below 5(i+1), the last those of
// 100 too.
type Bins [20]int64

// CountBin begins the names of the counters of bins, kept by collection:
// CountBin+"07".
const CountBin = "poa_bin."

// BinCounter returns the name of the counter that counts a score.
func BinCounter(poa float64) string { return binCounters[binOf(poa)] }

// binOf returns the bin of a score from 0 to 100.
func binOf(poa float64) int { return max(0, min(int(poa/5), len(Bins{})-1)) }

var binCounters = func() (names [len(Bins{})]string) {
	for i := range names {
		names[i] = fmt.Sprintf("%s%02d", CountBin, i)
	}
	return names
}()

// Add adds to the bin that a counter counts. Other counters are ignored.
func (b *Bins) Add(counter string, by int64) {
	if i := slices.Index(binCounters[:], counter); i >= 0 {
		b[i] += by
	}
}

// GaugePrefix begins the names of samples that are not counts: of several for
// one bin the highest is kept, instead of the sum.
const GaugePrefix = "gauge."

// How long samples are kept.
const (
	MinutesKept = 26 * time.Hour
	SamplesKept = 8 * 24 * time.Hour
)

// Samples are kept by the minute and by SampleMinutes.
const SampleMinutes = 10

// SampleGrain returns which of the two, in minutes, bins are made of.
func SampleGrain(minutes int) int64 {
	if minutes%SampleMinutes == 0 {
		return SampleMinutes
	}
	return 1
}

// Sample is a value that belongs to a minute, or to a longer time that begins
// then.
type Sample struct {
	At    time.Time
	Name  string
	Value int64
}
