// Package config holds all settings of poa with their defaults and
// explanations, and reads them from their layers: default, database, config file,
// environment, flag; later ones win. Of each value it keeps where it comes
// from.
package config

import (
	"fmt"

	"poa/internal/access"
	"poa/internal/batch"
	"poa/internal/gamesync"
	"poa/internal/scoring"
	"poa/internal/trigger"
)

// Settings are the values of all settings. The koanf tags are their names,
// sections joined with dots: scoring.folding.start_mean.
type Settings struct {
	Database  string                 `koanf:"database"`
	Log       Log                    `koanf:"log"`
	Scoring   Scoring                `koanf:"scoring"`
	Trigger   trigger.Rules          `koanf:"trigger"`
	Batch     batch.Settings         `koanf:"batch"`
	Upkeep    batch.Upkeep           `koanf:"upkeep"`
	Ledger    Ledger                 `koanf:"ledger"`
	Serve     Serve                  `koanf:"serve"`
	Access    access.Settings        `koanf:"access"`
	Panel     Panel                  `koanf:"panel"`
	Sync      gamesync.Settings      `koanf:"sync"`
	Writeback gamesync.WriteSettings `koanf:"writeback"`
}

// Log says what is logged, and how.
type Log struct {
	Level  string `koanf:"level"`  // one of Levels
	Format string `koanf:"format"` // one of Formats
}

// Levels and Formats are the allowed values of Log.
var (
	Levels  = [...]string{"debug", "info", "warn", "error"}
	Formats = [...]string{"text", "json"}
)

// Scoring holds the scoring constants.
type Scoring struct {
	Folding    scoring.Folding    `koanf:"folding"`
	Publishing scoring.Publishing `koanf:"publishing"`
}

// Constants returns both kinds of constants together.
func (s Scoring) Constants() scoring.Constants {
	return scoring.Constants{Folding: s.Folding, Publishing: s.Publishing}
}

// Ledger holds the bounds of the vote intake.
type Ledger struct {
	MaxCommit int `koanf:"max_commit"`
	MaxQueue  int `koanf:"max_queue"`
}

// The largest values of Ledger: a commit locks what its votes touch until it is
// written, and votes that wait are in memory, about 1 kB each.
const (
	MaxCommit = 10_000
	MaxQueue  = 1_000_000
)

// Serve says how the service runs.
type Serve struct {
	Listen        string `koanf:"listen"`
	Pprof         string `koanf:"pprof"`
	PublicMetrics bool   `koanf:"public_metrics"`
	PollJobs      bool   `koanf:"poll_jobs"`
}

// Panel says how the panel looks and what it lets do.
type Panel struct {
	ImageHosts    string `koanf:"image_hosts"`
	IPFSGateway   string `koanf:"ipfs_gateway"`
	SampleArt     bool   `koanf:"sample_art"`
	SecureCookies bool   `koanf:"secure_cookies"`
	TryIt         bool   `koanf:"try_it"`
}

// Default returns the settings as they are where nothing is said.
func Default() Settings {
	return Settings{
		Database:  "sqlite:poa.db",
		Log:       Log{Level: "info", Format: "text"},
		Scoring:   Scoring{Folding: scoring.DefaultFolding(), Publishing: scoring.DefaultPublishing()},
		Trigger:   trigger.Defaults(),
		Batch:     batch.Defaults(),
		Upkeep:    batch.DefaultUpkeep(),
		Ledger:    Ledger{MaxCommit: 1000, MaxQueue: 20000},
		Serve:     Serve{Listen: "127.0.0.1:8080"},
		Access:    access.Defaults(),
		Sync:      gamesync.Defaults(),
		Writeback: gamesync.WriteDefaults(),
	}
}

// explanations says what each setting and section is for.
func explanations() map[string]string {
	return map[string]string{
		"database": "sqlite:PATH, a path ending in .db, or a postgres:// URL",

		"log":        "What is logged to standard error.",
		"log.level":  "debug, info, warn or error",
		"log.format": "text or json",

		"scoring": "The constants of the score.",
		"scoring.folding": "How votes shape means, sigmas, counts and voters.\n" +
			"Fixed when a database is created; other values are refused afterwards.",
		"scoring.folding.start_mean":             "Elo mean of an NFT nobody has judged",
		"scoring.folding.start_sigma":            "its uncertainty, from sigma_min to sigma_max",
		"scoring.folding.elo_scale":              "mean difference at which the odds are 10 to 1",
		"scoring.folding.k":                      "largest step of a mean after a regular matchup",
		"scoring.folding.super_k":                "largest step of a mean after a super matchup",
		"scoring.folding.super_votes":            "votes that a super vote counts as, 1 to 1000",
		"scoring.folding.sigma_noise":            "added to sigma, in quadrature, before each matchup",
		"scoring.folding.sigma_decay":            "factor by which a matchup shrinks sigma, above 0 up to 1",
		"scoring.folding.sigma_min":              "smallest sigma",
		"scoring.folding.sigma_max":              "largest sigma",
		"scoring.folding.reliability_start":      "reliability of a new voter",
		"scoring.folding.reliability_min":        "smallest reliability",
		"scoring.folding.reliability_max":        "largest reliability",
		"scoring.folding.reliability_step":       "change of reliability by one judged vote, before the factors below",
		"scoring.folding.reliability_base":       "share of the step that does not depend on the gap, 0 to 1",
		"scoring.folding.reliability_gap_scale":  "mean difference that counts as a full gap",
		"scoring.folding.reliability_rate":       "learning rate, 0 to 1",
		"scoring.folding.reliability_min_judged": "judged votes before a voter's reliability weighs",

		"scoring.publishing":                    "How ratings become scores. A change makes a new scoring version.",
		"scoring.publishing.elo_floor":          "mean whose Elo component is 0",
		"scoring.publishing.elo_ceiling":        "mean whose Elo component is 100",
		"scoring.publishing.elo_weight":         "share of the Elo component; the three weights sum to 1",
		"scoring.publishing.slider_weight":      "share of the slider component",
		"scoring.publishing.fire_weight":        "share of the FIRE component",
		"scoring.publishing.slider_neutral":     "slider component of an NFT without ratings, 0 to 100",
		"scoring.publishing.fire_saturation":    "summed FIRE weight whose component is 100",
		"scoring.publishing.sigma_scale":        "sigma at which confidence is 0",
		"scoring.publishing.provisional_below":  "matchups below which a score is provisional",
		"scoring.publishing.slider_prior_count": "weight of the calibration prior, in ratings",
		"scoring.publishing.slider_prior_mean":  "mean of the calibration prior, 0 to 100",
		"scoring.publishing.slider_prior_std":   "standard deviation of the calibration prior",
		"scoring.publishing.slider_std_min":     "smallest spread a voter is credited with",
		"scoring.publishing.slider_clamp":       "z beyond which a rating counts as the extreme",

		"trigger":                     "When a vote computes the scores of its NFTs at once.",
		"trigger.super":               "super votes",
		"trigger.fire":                "FIRE votes, given or withdrawn",
		"trigger.milestone":           "vote counts that cross a milestone",
		"trigger.milestones":          "the milestones, ascending vote counts",
		"trigger.milestone_high_from": "milestones from here have high priority",
		"trigger.high_activity":       "many votes in a short time",
		"trigger.high_activity_votes": "votes that are many, 2 to 5",
		"trigger.high_activity_in":    "the time in which they are, such as 24h",
		"trigger.voter_cap_per_hour":  "super and FIRE votes of one voter that compute at once in an hour, 0 for no cap; others make their NFTs due",

		"batch":                    "The regular runs that compute what no vote has triggered.",
		"batch.every":              "length of a window; runs begin on the clock",
		"batch.size":               "NFTs of a run in fixed mode",
		"batch.cap":                "longest time of a run",
		"batch.delay":              "shortest pause between NFTs",
		"batch.niceness":           "pause per work time",
		"batch.new_share":          "share of the slots for NFTs without a score, 0 to 1",
		"batch.longest_wait_every": "of so many new slots one goes to the NFT that has waited longest",
		"batch.old_after":          "age from which a score is computed again",
		"batch.aging_votes":        "votes from which a score is computed again when it is old; in force for a score once it is next published",
		"batch.mode":               "fixed, or adaptive: goes on in growing chunks while the database is healthy",

		"batch.adaptive":                   "The bounds of adaptive pacing.",
		"batch.adaptive.first_chunk":       "NFTs of the first chunk, and of the smallest later one",
		"batch.adaptive.growth":            "NFTs by which a healthy step grows the chunk",
		"batch.adaptive.chunk_max":         "NFTs of the largest chunk",
		"batch.adaptive.decrease":          "factor of the chunk at an unhealthy step, between 0 and 1",
		"batch.adaptive.delay":             "shortest pause between chunks while healthy",
		"batch.adaptive.pause_max":         "to which the pause doubles while unhealthy",
		"batch.adaptive.latency_tolerance": "database latency that is unhealthy, as a multiple of its baseline",
		"batch.adaptive.latency_floor":     "a lower baseline counts as this",
		"batch.adaptive.votes_waiting":     "waiting votes above which a run yields",
		"batch.adaptive.sessions_per_core": "active database sessions per core above which it does",
		"batch.adaptive.waiting_locks":     "sessions waiting for a lock above which it does",
		"batch.adaptive.replication_lag":   "lag of the slowest replica above which it does",

		"batch.retry":        "When an NFT whose computation failed is tried again.",
		"batch.retry.first":  "wait after the first failure",
		"batch.retry.factor": "factor by which each later wait is longer",
		"batch.retry.tries":  "computations tried in all, before it stays on the failed list",

		"upkeep":          "The regular runs that merge counters and delete what is old.",
		"upkeep.every":    "length of a window; runs begin on the clock",
		"upkeep.activity": "age at which activity is deleted",
		"upkeep.history":  "age at which points of scores' histories are deleted; 0 keeps them for ever",
		"upkeep.runs":     "time after their end when runs are deleted; those that run never are",

		"ledger":            "The intake of votes.",
		"ledger.max_commit": fmt.Sprintf("votes that go into one commit at most, up to %d", MaxCommit),
		"ledger.max_queue":  fmt.Sprintf("votes that may wait, up to %d; beyond that clients are asked to try again", MaxQueue),

		"serve":                "The service.",
		"serve.listen":         "address and port of the HTTP service",
		"serve.pprof":          "address and port of Go's profiler, on loopback only; empty for none",
		"serve.public_metrics": "let anybody read /metrics, without a key; only where serve.listen is on loopback",
		"serve.poll_jobs":      "ask the database for jobs instead of waiting for its notifications: for a pooler in transaction mode",

		"access":                      "Who may do what over HTTP. Keys are made by poa key create, people sign in.",
		"access.public_reads":         "let anybody read scores, NFTs, collections and the leaderboard, without a key",
		"access.key_per_minute":       "requests and votes of one API key, 0 for no limit",
		"access.person_per_minute":    "requests of one signed-in person, 0 for no limit",
		"access.voter_per_minute":     "votes of one voter, 0 for no limit",
		"access.anonymous_per_minute": "requests without a valid key from one address, 0 for no limit",
		"access.trusted_proxies":      "addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by commas",
		"access.allowed_origins":      "web origins whose pages may call the old admin API from a browser, such as https://game.example, separated by commas",

		"panel":                "The pages for people.",
		"panel.image_hosts":    "hosts that pictures of NFTs may come from, such as ipfs.io, *.example.com; * for all; empty for none",
		"panel.ipfs_gateway":   "where pictures with ipfs:// addresses are shown from, such as https://ipfs.io/ipfs/; empty for nowhere",
		"panel.sample_art":     "serve pictures of the generated game's NFTs, drawn here, at /art/",
		"panel.secure_cookies": "keep people signed in over HTTPS only, also where the proxy does not say that it was HTTPS",
		"panel.try_it":         "let operators cast votes in the arena, under voters of their own",

		"sync":                 "A game that writes its votes into PostgreSQL tables of its own, and is followed there.",
		"sync.enabled":         "follow the game as a part of poa serve; of several processes one does so at a time",
		"sync.from":            "postgres:// URL of the game's database, of a role that may SELECT its tables",
		"sync.slider_scale":    "what the game's slider runs to: 10 (ratings from 1 to 10) or 100 (from 0 to 100); 0 is neither",
		"sync.poll":            "pause between two looks for new votes and favourites",
		"sync.overlap":         "how far back each look goes, for votes of transactions that commit late",
		"sync.favorites_every": "how often favourites that have vanished are looked for, by the ids of all",
		"sync.reconcile_every": "how often all votes are compared by id, and NFTs are read anew",
		"sync.lease":           "after how long another process takes over from one that was killed",

		"writeback":       "Published scores into the columns that a game keeps them in.",
		"writeback.mode":  "off, trial (into the table poa_trial beside the game's) or on (into its table nfts), as a part of poa serve",
		"writeback.to":    "postgres:// URL of the game's database, of a role that may write those columns",
		"writeback.elo":   "write elo_mean and elo_sigma too",
		"writeback.rows":  "rows of one transaction, up to 50",
		"writeback.rate":  "rows a second",
		"writeback.poll":  "pause between two looks for new scores",
		"writeback.lease": "after how long another process takes over from one that was killed",
	}
}
