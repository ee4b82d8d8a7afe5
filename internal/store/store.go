// Package store says what poa keeps and what a database must do for it. Two
// implementations share this contract and no SQL: store/sqlite and
// store/postgres; store/storetest checks that both keep it.
//
// NFTs, voters and collections have the operator's ids (text) and numbers
// given by the database (positive, never reused). Rows refer to numbers, and
// locks are always taken in ascending number order. Times have microsecond
// precision and are in UTC; the zero Time stands for none.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"poa/internal/scoring"
	"poa/internal/trigger"
)

// Errors that callers tell apart with errors.Is. Every other error of a store
// is a defect or a condition nobody foresaw.
var (
	// ErrNotFound: what was asked for does not exist.
	ErrNotFound = errors.New("not found")
	// ErrContention: a deadlock, lock timeout or serialisation failure. The
	// transaction was rolled back; repeat it.
	ErrContention = errors.New("the database was contended")
	// ErrKeyExists: a vote with that key was committed meanwhile. The
	// transaction was rolled back; repeat it.
	ErrKeyExists = errors.New("the vote key exists")
	// ErrNameTaken: something else has that name.
	ErrNameTaken = errors.New("the name is taken")
	// ErrData: the database refused a value. The transaction was rolled back;
	// repeating it with the same values fails again.
	ErrData = errors.New("the database refused a value")
	// ErrUnavailable: the database cannot be reached, or does not take writes
	// now (full, read-only, shutting down). Nothing was changed.
	ErrUnavailable = errors.New("the database is unavailable")
	// ErrOutcomeUnknown: the connection broke while committing. The
	// transaction may or may not be in force.
	ErrOutcomeUnknown = errors.New("the outcome of the commit is unknown")
	// ErrSchema: the database's schema is not the one this program works with.
	ErrSchema = errors.New("the database schema does not fit")
	// ErrChanged: what was read has changed since. Nothing was stored; read it
	// again.
	ErrChanged = errors.New("it was changed meanwhile")
	// ErrFoldingFixed: folding constants differ from those the database was
	// created with.
	ErrFoldingFixed = errors.New("folding constants are fixed when a database is created; changing them is refused")
)

// Store is one database. Its methods are safe for concurrent use.
type Store interface {
	// Migrate brings the schema up to date. It may run in several processes at
	// once and does nothing where the schema is current.
	Migrate(ctx context.Context) error
	// Schema returns the schema's version and the version this program works
	// with; have is 0 for a database that poa has not touched.
	Schema(ctx context.Context) (have, want int64, err error)
	// Prepare fixes the folding constants on the first call, checks them on
	// later ones (ErrFoldingFixed, naming each that differs), and returns the
	// number of the scoring version with c's publishing constants, made by who
	// if there is none.
	Prepare(ctx context.Context, c scoring.Constants, who string, now time.Time) (version int64, err error)
	// Durability reads the settings on which an acknowledged vote's survival
	// depends, from a live writing connection.
	Durability(ctx context.Context) ([]Durability, error)
	// Statements returns how many statements this process sent, transaction
	// control included.
	Statements() int64

	// Update runs f in one transaction and commits. If f or the commit fails
	// everything is rolled back and the error returned, except that
	// ErrOutcomeUnknown leaves it open. It does not repeat.
	Update(ctx context.Context, f func(Tx) error) error
	// View runs f in one read-only snapshot, without locks.
	View(ctx context.Context, f func(View) error) error

	// PutNFTs registers NFTs and the collections they name, and returns how
	// many are new. Of NFTs that exist, it replaces name, collection and image
	// URL if overwrite is set and leaves them alone otherwise. The last of
	// several entries with one id counts.
	PutNFTs(ctx context.Context, nfts []NFT, overwrite bool, now time.Time) (created int, err error)
	// SetCollectionActive switches a collection; ErrNotFound.
	SetCollectionActive(ctx context.Context, name string, active bool) error
	// MergeCounters folds pending counter deltas into their counters.
	MergeCounters(ctx context.Context) error
	// PutRejects records rejected rows; one rejected before (same source, line
	// and row) is replaced.
	PutRejects(ctx context.Context, rejects []Reject) error

	Close() error
}

// Durability is one setting that keeps acknowledged votes.
type Durability struct {
	Name, Value string
	Want        string // what it should be, for people
	OK          bool
}

// Tx is a writing transaction.
type Tx interface {
	// Lock locks and returns the ratings of NFTs and then the voters, each in
	// ascending number order. Ids without a row are left out of the answer.
	// The ratings come without their scores, which few votes need: see Scores.
	Lock(ctx context.Context, nfts, voters []string) ([]Rating, []Voter, error)
	// Scores returns the scores of those NFTs, by number, that have one. Their
	// ratings must be locked.
	Scores(ctx context.Context, nfts []int64) ([]Score, error)
	// LockRatings locks and returns ratings with their scores by NFT number,
	// ascending.
	LockRatings(ctx context.Context, nfts []int64) ([]Rating, error)
	// Ensure inserts the missing rating rows of registered NFTs and the missing
	// voter rows, with the start values given, and returns the NFT ids that are
	// not registered. It must come before any lock of its transaction.
	Ensure(ctx context.Context, nfts, voters []string, rating scoring.Rating, voter scoring.Voter, now time.Time) (unknown []string, err error)
	// VotesByKey returns the committed votes with those keys. What was
	// committed before the transaction's locks were granted is seen.
	VotesByKey(ctx context.Context, keys []string) ([]Vote, error)
	// Opinions returns the opinions, standing or withdrawn, of those that exist.
	Opinions(ctx context.Context, refs []OpinionRef) ([]Opinion, error)
	// Numbers reserves n vote numbers, ascending, greater than any number of a
	// committed vote that shares a locked row.
	Numbers(ctx context.Context, n int) ([]int64, error)
	// LaterVotes returns, for ratings as they were read before, the votes that
	// were folded into them since: one entry for each vote on the NFT, on either
	// side, above the rating's LastVote. The rows must be locked by now.
	LaterVotes(ctx context.Context, read []Rating) ([]LaterVote, error)
	// Apply writes the changes. No slice may name a row twice.
	Apply(ctx context.Context, c *Changes) error
}

// Changes is what a transaction writes.
type Changes struct {
	Votes     []Vote    // inserted; ErrKeyExists
	Ratings   []Rating  // replaced, but for Score; must be locked
	Voters    []Voter   // replaced; must be locked
	Opinions  []Opinion // inserted or replaced; their ratings must be locked
	Scores    []Score   // inserted or replaced, unless the stored one is through a later vote
	Withdrawn []int64   // NFTs whose score ceased to exist
	History   []HistoryPoint
	Activity  []Activity
	Counters  []Delta
	Failures  []Failure // inserted or replaced
	Recovered []int64   // NFTs that leave the failed list, if they are on it
}

// NFT is a registered NFT.
type NFT struct {
	Number     int64
	ID         string
	Name       string
	Collection string // name; "" where the NFT has none
	ImageURL   string
}

// Rating is an NFT's rating row.
type Rating struct {
	NFT        int64  // number
	ID         string // of the NFT
	Collection int64  // number
	scoring.Rating
	Recent   trigger.Recent
	Version  int64 // raised by every fold and every exact computation
	LastVote int64 // number of the latest vote folded in, 0 for none

	// The matchup part of R's sum at the last exact computation, and the last
	// vote that was folded in then (0 and 0 before the first).
	ExactMatchupWeight scoring.Sum
	ExactVote          int64

	Due Due
	// WaitingSince is when the NFT became scorable, while it has no score.
	WaitingSince time.Time

	Score *Score // nil where none is published, or none was read (see Tx.Lock)
}

// Due says that a computation is owed. The zero Due says that none is.
type Due struct {
	Since    time.Time
	Reason   string
	Priority trigger.Priority
}

// Voter is a voter's row.
type Voter struct {
	Number int64
	ID     string
	scoring.Voter
	Allowance  trigger.Allowance
	LastVote   int64       // number of the latest vote folded in, 0 for none
	KeptWeight scoring.Sum // which exact computations add up; stores write it of the Voter, and AllVoters alone reads it
}

// Vote is a row of the log. Matchups have A and B; all others only A.
type Vote struct {
	Number     int64
	Key        string
	Voter      int64
	VoterID    string
	A, B       int64
	AID, BID   string
	ReceivedAt time.Time
	Weight     scoring.Sum // with which it was folded
	scoring.Vote
}

// OpinionRef names an opinion. Kind is Slider or Fire.
type OpinionRef struct {
	NFT, Voter int64
	Kind       scoring.Kind
}

// Opinion is an opinion's row.
type Opinion struct {
	OpinionRef
	scoring.Opinion
	Vote int64 // number of the vote that set it
}

// LaterVote is a vote on an NFT, on one of its sides, as LaterVotes finds it.
type LaterVote struct {
	NFT, Voter int64
	Kind       scoring.Kind
}

// Basis says what a score was computed from.
type Basis string

// The bases of a score.
const (
	Incremental Basis = "incremental" // from the rating's sums
	Exact       Basis = "exact"       // from votes and opinions with today's weights
)

// Reasons of computations beside those of package trigger.
const (
	ReasonBatch    = "batch"
	ReasonManual   = "manual"
	ReasonBackfill = "backfill"
)

// Score is a published score.
type Score struct {
	NFT        int64
	Collection int64
	scoring.Result
	Votes       int64 // the NFT's vote count then
	Aging       bool  // has votes enough to be recomputed when old
	ComputedAt  time.Time
	Reason      string // a trigger's, or batch, manual, backfill
	Basis       Basis
	ThroughVote int64 // the latest vote that is in it
	Version     int64 // scoring version
	// The last recorded point of the score's history.
	HistoryPOA, HistoryConfidence float64
}

// HistoryPoint is a point of a score's history: one is recorded when the score
// has moved enough since the last.
type HistoryPoint struct {
	NFT             int64
	At              time.Time
	POA, Confidence float64
	Mean, Sigma     float64
	Votes           int64
	Reason          string
	Basis           Basis
	ThroughVote     int64
	Version         int64
}

// ActivityKind is what an activity entry tells.
type ActivityKind string

// The kinds of activity.
const (
	Computed  ActivityKind = "computed"
	Withdrawn ActivityKind = "withdrawn" // the last opinion behind a score is gone, and so is the score
	Deferred  ActivityKind = "deferred"  // a trigger was suppressed and the NFT marked due
	Failed    ActivityKind = "failed"

	RunStarted      ActivityKind = "run_started"
	CancelAsked     ActivityKind = "cancel_asked" // somebody asked for the end of a run
	RunEnded        ActivityKind = "run_ended"
	Paused          ActivityKind = "paused"
	Resumed         ActivityKind = "resumed"
	SettingsChanged ActivityKind = "settings_changed"
	AccessChanged   ActivityKind = "access_changed"  // people, their passwords and links, API keys
	NFTsRegistered  ActivityKind = "nfts_registered" // or updated, by a request; one entry for all of its NFTs
)

// Activity is an entry of the log of what was computed and why.
type Activity struct {
	Number    int64 // given by the database
	At        time.Time
	Kind      ActivityKind
	NFT       int64 // 0 where it is about none
	NFTID     string
	Reason    string         // the first and most urgent
	Reasons   map[string]int // how often each reason occurred in the commit
	Priority  trigger.Priority
	Basis     Basis
	POABefore *float64 // nil for none
	POA       *float64
	Vote      int64  // the latest vote that is in it
	Run       int64  // the run it belongs to, 0 for none
	Who       string // the person, key or program behind it, "" for a vote
	Detail    string // an error, or what happened in words
}

// Counter names that are kept by collection. POA and confidence sums are in
// hundredths.
const (
	CountNFTs          = "nfts"
	CountVotes         = "votes" // weighted votes on the collection's NFTs, each NFT's own
	CountReady         = "ready" // scorable without a score
	CountScored        = "scored"
	CountPOASum        = "poa_sum"
	CountConfidenceSum = "confidence_sum"
	// Kept without a collection: CountVoteKind+"matchup", CountReason+"super".
	CountVoteKind = "votes."
	CountReason   = "computed."
)

// CollectionCounters are the names of the counters of a Collection.
func CollectionCounters() []string {
	return []string{CountNFTs, CountVotes, CountReady, CountScored, CountPOASum, CountConfidenceSum}
}

// Delta changes a counter. Collection 0 stands for none.
type Delta struct {
	Name       string
	Collection int64
	By         int64
}

// Reject is a rejected row of an import or sync.
type Reject struct {
	Source string // file or database it came from
	Line   int64  // line number, from 1; 0 where there are no lines
	Row    string // id of the row in the source, "" where it goes by its line
	Code   string // stable name of the reason
	Detail string
	Raw    string
	At     time.Time
}

// SettingChange is a change of a setting, with its audit entry. Values are
// JSON. From is what was stored; where nothing was, what the one who makes the
// change gives as in force until then, "" for nothing.
type SettingChange struct {
	Name, From, To string
	Who, Why       string
	At             time.Time
}

// Standing is all that an exact computation of one NFT reads.
type Standing struct {
	Rating
	Matchups      int64       // decided and tied matchups in the log
	TodaysWeights scoring.Sum // their voters' weights as they are now, summed
	Opinions      []StandingOpinion
}

// StandingOpinion is a standing opinion with its voter as it is now.
type StandingOpinion struct {
	Opinion
	Voter scoring.Voter
}

// View is a read-only snapshot.
type View interface {
	// NFT returns a registered NFT; ErrNotFound.
	NFT(ctx context.Context, id string) (NFT, error)
	// Ratings returns the ratings of those NFTs that have a row, by number.
	Ratings(ctx context.Context, ids []string) ([]Rating, error)
	// RatedNFTs returns up to limit numbers above after, ascending, of NFTs
	// that have a rating row, of one collection where collection is not nil.
	RatedNFTs(ctx context.Context, collection *string, after int64, limit int) ([]int64, error)
	// Standing returns, by ascending number, what exact computations of those
	// NFTs read. NFTs without a rating row are left out.
	Standing(ctx context.Context, nfts []int64) ([]Standing, error)
	// VotesByKey returns the votes with those keys.
	VotesByKey(ctx context.Context, keys []string) ([]Vote, error)
	// Voter returns a voter; ErrNotFound.
	Voter(ctx context.Context, id string) (Voter, error)
	// KnownVoters returns which of those voter ids have a row.
	KnownVoters(ctx context.Context, ids []string) ([]string, error)
	// KnownNFTs returns which of those NFT ids are registered.
	KnownNFTs(ctx context.Context, ids []string) ([]string, error)

	// Log streams the votes with numbers above after, in number order.
	Log(ctx context.Context, after int64) iter.Seq2[Vote, error]
	// AllNFTs, AllRatings, AllVoters, AllOpinions and AllHistory stream whole
	// tables in the order of their keys (numbers, ascending).
	AllNFTs(ctx context.Context) iter.Seq2[NFT, error]
	AllRatings(ctx context.Context) iter.Seq2[Rating, error]
	AllVoters(ctx context.Context) iter.Seq2[Voter, error]
	AllOpinions(ctx context.Context) iter.Seq2[Opinion, error]
	AllHistory(ctx context.Context) iter.Seq2[HistoryPoint, error]

	// Top returns the NFTs with the highest scores, of one collection where
	// collection is not nil; ties by ascending number.
	Top(ctx context.Context, collection *string, limit int) ([]Ranked, error)
	// Collections returns all collections by name.
	Collections(ctx context.Context) ([]Collection, error)
	// CollectionsAfter returns up to limit collections by name: those after a
	// name, the first ones where after is nil.
	CollectionsAfter(ctx context.Context, after *string, limit int) ([]Collection, error)
	// Counters returns all counters, pending deltas included, by name and
	// collection; those at 0 may be left out.
	Counters(ctx context.Context) ([]Delta, error)
	// History returns an NFT's latest points, latest first.
	History(ctx context.Context, nft int64, limit int) ([]HistoryPoint, error)
	// Activity returns the latest entries, latest first, of one NFT where nft
	// is not 0.
	Activity(ctx context.Context, nft int64, limit int) ([]Activity, error)
	// Rejects returns the rejected rows of a source by line and row.
	Rejects(ctx context.Context, source string) ([]Reject, error)
	// Settings returns the stored settings' values (JSON) by name.
	Settings(ctx context.Context) (map[string]string, error)
	// SettingChanges returns the latest audit entries, latest first.
	SettingChanges(ctx context.Context, limit int) ([]SettingChange, error)
	// ScoringVersion returns the publishing constants of a version; ErrNotFound.
	ScoringVersion(ctx context.Context, version int64) (scoring.Publishing, error)
	// Counts returns how many rows the large tables hold, counted now.
	Counts(ctx context.Context) (Counts, error)
}

// Ranked is an NFT with its score and rating.
type Ranked struct {
	NFT    NFT
	Rating Rating
}

// Collection is a collection with its kept totals.
type Collection struct {
	Number                     int64
	Name                       string
	Active                     bool
	NFTs, Votes, Ready, Scored int64
	POASum, ConfidenceSum      int64 // hundredths
}

// Counts are numbers of rows.
type Counts struct {
	NFTs, Voters, Votes, Ratings, Opinions, Scores, History int64
}
