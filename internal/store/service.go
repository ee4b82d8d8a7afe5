package store

import (
	"context"
	"time"
	"unicode"
)

// Service is what the service needs of a store beyond scoring: runs, candidates
// for batches, failures, keys, the live stream and pages for people. Every
// method is one short transaction of its own unless it says otherwise.
type Service interface {
	Store
	Panel

	// Candidates returns what the next batch may take, by index work alone: at
	// most as many of each list as asked for. NFTs of inactive collections and
	// NFTs that failed and are not to be tried yet are left out.
	Candidates(ctx context.Context, want Wanted) (Candidates, error)
	// Backlog counts what is owed to NFTs of active collections. Old is counted
	// up to limit.
	Backlog(ctx context.Context, oldBefore time.Time, limit int64) (Backlog, error)

	// StartRun creates a run in state running, with Steps 0 and the lease given,
	// and logs the activity with the run's number, in one transaction. If a run
	// of that kind and window exists, it returns that one and false, and logs
	// nothing.
	StartRun(ctx context.Context, r Run, log Activity) (Run, bool, error)
	// ClaimRun takes the next step of a running run: it raises Steps, which must
	// equal step, and sets holder and lease. It is false where the run has
	// ended, is at another step, or is held by a lease that ends after now.
	ClaimRun(ctx context.Context, number, step int64, holder string, now, until time.Time) (Run, bool, error)
	// OrphanedRuns returns the running runs whose lease has ended by now.
	OrphanedRuns(ctx context.Context, now time.Time) ([]Run, error)
	// RequestCancel asks the holder of an unfinished run to stop it; ErrNotFound.
	RequestCancel(ctx context.Context, number int64, who string) error
	// Run returns one run, ErrNotFound; Runs the latest, newest first, of one
	// kind where kind is not "", below number before where that is not 0.
	Run(ctx context.Context, number int64) (Run, error)
	Runs(ctx context.Context, kind RunKind, before int64, limit int) ([]Run, error)

	// Failures returns failed NFTs, the latest failure first; those given up
	// and those still to be retried.
	Failures(ctx context.Context, limit int) ([]Failure, error)
	// FailuresOf returns the failures of those NFTs that are on the failed list.
	FailuresOf(ctx context.Context, nfts []int64) ([]Failure, error)
	// DiscardFailure removes an NFT from the failed list; RetryFailure has the
	// next batch take it. ErrNotFound.
	DiscardFailure(ctx context.Context, nft int64) error
	RetryFailure(ctx context.Context, nft int64, now time.Time) error

	// PutKey stores a new API key and returns it with its number. ErrNameTaken,
	// also by a revoked one.
	PutKey(ctx context.Context, k Key) (Key, error)
	// Keys returns all keys, revoked ones too, by number.
	Keys(ctx context.Context) ([]Key, error)
	// KeyByHash returns the key with that hash unless revoked; ErrNotFound.
	KeyByHash(ctx context.Context, hash []byte) (Key, error)
	// RevokeKey ends a key by name, unless it has ended; ErrNotFound.
	RevokeKey(ctx context.Context, name string, now time.Time) error
	// TouchKeys records when keys, by number, were last used.
	TouchKeys(ctx context.Context, used map[int64]time.Time) error

	// Stream returns up to limit activity entries after a position, in commit
	// order, and the position after the last of them. An entry whose
	// transaction may still be overtaken by an earlier one is held back until
	// it cannot be. The zero Position is the beginning.
	Stream(ctx context.Context, after Position, limit int) ([]Activity, Position, error)
	// StreamEnd returns the position after which only entries not yet
	// visible come.
	StreamEnd(ctx context.Context) (Position, error)

	// Trim deletes up to limit rows of each log that are older than the times
	// given, and says how many. The latest run stays.
	Trim(ctx context.Context, before Before, limit int) (Trimmed, error)

	// Pages for people; all by index, keyset-paged.
	ListNFTs(ctx context.Context, q NFTQuery) ([]Ranked, error)
	Leaderboard(ctx context.Context, collection *string, after *RankKey, limit int) ([]Ranked, error)
	ListActivity(ctx context.Context, q ActivityQuery) ([]Activity, error)
	// VotesOf returns the latest votes on an NFT, on either side, or of a voter,
	// or of a voter on an NFT, by number; below number before where that is not 0.
	VotesOf(ctx context.Context, nft, voter int64, before int64, limit int) ([]Vote, error)

	// PutSettings stores the values of settings (JSON) with their audit entries,
	// each From what it replaces, if something was stored, and logs the activity, in one transaction. It
	// is ErrChanged, and nothing is stored, where the version of the settings is
	// not asOf, unless that is AnyVersion.
	PutSettings(ctx context.Context, asOf int64, changes []SettingChange, log Activity) error
	// SettingsVersion returns a number that every change of a setting raises.
	SettingsVersion(ctx context.Context) (int64, error)
	// Ping checks that the database answers and takes writes.
	Ping(ctx context.Context) error
	// Health reads the database's own signs of strain.
	Health(ctx context.Context) (Health, error)
}

// AnyVersion has PutSettings store whatever was stored before.
const AnyVersion = -1

// Before are the times before which the rows of each log are deleted; nothing
// is before the zero Time. Runs count from their end: those that run stay.
type Before struct{ Activity, History, Runs time.Time }

// Trimmed are numbers of deleted rows.
type Trimmed struct{ Activity, History, Runs int64 }

// Wanted says how many candidates of each list are wanted.
type Wanted struct {
	Collection *string // of one collection only, if not nil
	Now        time.Time
	OldBefore  time.Time // scores computed before it are old
	Due        int
	ByVotes    int // new: most votes first
	ByWaiting  int // new: longest waiting first
	Old        int
}

// Candidates are the NFTs a batch may take, each list in its order of claim.
type Candidates struct {
	Due       []Candidate // by priority and age, retries among them; then retries that owe nothing else
	ByVotes   []Candidate
	ByWaiting []Candidate
	Old       []Candidate
}

// Candidate is an NFT a batch may take.
type Candidate struct {
	NFT          int64
	ID           string
	Collection   string
	Votes        int64
	Due          Due
	WaitingSince time.Time
	ComputedAt   time.Time // of its score, zero where it has none
	Tries        int       // failed ones before
}

// Backlog are numbers of NFTs. An NFT that is due may also be new or old. Due
// are also those that failed and are to be tried again, now or later.
type Backlog struct {
	Due, New, Old int64
	OldestDue     time.Time // zero where none is
	OldestNew     time.Time
}

// RunKind is the kind of a run.
type RunKind string

// The kinds of runs.
const (
	BatchRun    RunKind = "batch"
	ManualRun   RunKind = "manual"
	BackfillRun RunKind = "backfill"
	UpkeepRun   RunKind = "upkeep"
)

// RunState is how far a run is.
type RunState string

// The states of runs. The last four are final.
const (
	RunRunning   RunState = "running"
	RunDone      RunState = "done"
	RunStopped   RunState = "stopped" // by its cap; it says what it left
	RunCancelled RunState = "cancelled"
	RunFailed    RunState = "failed"
)

// Run is a batch, backfill or upkeep, with its progress.
type Run struct {
	Number      int64
	Kind        RunKind
	Window      string  // unique by kind: the start of a batch's window, or a name of its own
	Collection  *string // scope of a backfill or manual run, nil for all
	Plan        string  // JSON, the scheduler's own
	State       RunState
	RequestedBy string
	CreatedAt   time.Time
	EndedAt     time.Time
	Cursor      int64 // the last NFT number done, of a backfill
	Total       int64 // NFTs to do
	Done        int64
	Changed     int64 // scores that came out different
	Failed      int64
	StopReason  string
	Cancel      string // who asked to cancel, "" for nobody
	Steps       int64  // claims so far
	Holder      string // process that took the last one
	LeaseUntil  time.Time
}

// Failure is an NFT whose computation failed.
type Failure struct {
	NFT     int64
	ID      string // of the NFT
	Error   string
	Tries   int
	FirstAt time.Time
	LastAt  time.Time
	NextTry time.Time // zero: given up
	Run     int64
}

// Role is what a key or person may do.
type Role string

// The roles. An operator may do what a viewer may.
const (
	Viewer       Role = "viewer"
	Operator     Role = "operator"
	VoterGateway Role = "voter-gateway"
)

// Key is an API key. The key itself is not kept.
type Key struct {
	Number    int64
	Name      string
	Role      Role
	Hash      []byte // SHA-256
	CreatedAt time.Time
	CreatedBy string
	LastUsed  time.Time
	RevokedAt time.Time
}

// Position is a place in the stream of activity. Transaction is 0 in SQLite.
type Position struct {
	Transaction uint64
	Number      int64
}

// NFTStatus filters NFTs.
type NFTStatus string

// The statuses of an NFT; "" is any.
const (
	StatusScored NFTStatus = "scored"
	StatusReady  NFTStatus = "ready" // scorable, without a score
	StatusDue    NFTStatus = "due"
)

// SearchDepth is how many NFTs that match a search one page looks at for those
// that match its other filters too, in each of its two orders; without filters,
// NamesDepth is how many whose name matches for those that were not found by id.
const (
	SearchDepth = 10_000
	NamesDepth  = 1_000
)

// PrefixEnd returns the least text that is greater, bytewise, than every text
// that begins with prefix, which is not empty.
func PrefixEnd(prefix string) string {
	runes := []rune(prefix)
	for len(runes) > 0 {
		last := &runes[len(runes)-1]
		switch *last {
		case unicode.MaxRune:
			runes = runes[:len(runes)-1]
			continue
		case 0xd7ff:
			*last = 0xe000 // those between are not text
		default:
			*last++
		}
		return string(runes)
	}
	return prefix + prefix // nothing greater is text; nobody has such ids
}

// NFTQuery asks for a page of NFTs: by ascending number, or with Search first
// those whose id begins with it, by id, and then those whose name does so
// regardless of case, by name (SQLite knows the case of ASCII letters only).
// With Search and another filter a page may end early: see SearchDepth.
type NFTQuery struct {
	Search     string
	Collection *string
	Status     NFTStatus
	After      int64 // number of the last NFT of the page before
	Limit      int
}

// RankKey is the last entry of a page of the leaderboard.
type RankKey struct {
	POA float64
	NFT int64
}

// ActivitySkew is by how much the times of activity entries may be out of the
// order of their numbers where a page of activity is asked for by time.
const ActivitySkew = 10 * time.Minute

// ActivityQuery asks for a page of activity, newest first: from Since, before
// Until. Zero fields do not filter.
type ActivityQuery struct {
	NFT          int64
	Run          int64
	Kind         ActivityKind
	ByHand       bool // only of an NFT and by somebody, outside runs
	Since, Until time.Time
	Before       int64 // number of the last entry of the page before
	Limit        int
}

// Health are a database's own signs of strain; nil for what cannot be known.
type Health struct {
	ActiveSessions *int64         // other sessions at work
	WaitingLocks   *int64         // sessions waiting for a lock
	ReplicaLag     *time.Duration // the slowest replica's
	SizeBytes      *int64
}

// ServiceTx is what a transaction of the service can do beside.
type ServiceTx interface {
	Tx
	// SaveRun writes a run's plan, progress, state and lease, if it is running
	// and at r.Steps still (ErrNotFound otherwise: another process has taken
	// over), and returns who asked to cancel it, "" for nobody.
	SaveRun(ctx context.Context, r Run) (cancel string, err error)
}
