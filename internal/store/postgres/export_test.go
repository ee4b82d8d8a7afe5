package postgres

// What the tests of plans explain.
const (
	SettingsUpdate = settingsUpdate
	SettingsPage   = settingsPage
	LockByID       = lockRatingsByID
	LockByNumber   = lockRatings
	LockVotersByID = lockVoters
	LaterVotes     = laterVotes
	PageSize       = pageSize
)

// StreamPages are the statements that read pages, by table.
var StreamPages = map[string]string{
	"votes": logPage, "nfts": nFTPage, "ratings": ratingPage,
	"voters": voterPage, "opinions": opinionPage, "history": historyPage,
}

// Statements whose plans are tested.
const (
	ByVotes, ByWaiting, Old, Due = candidatesByVotes, candidatesByWaiting, candidatesOld, candidatesDue
	Ready, DueList, ByID, ByName = listReady, listDue, findByID, findByName
	SettingsHeads                = settingsHeads
	Ranks, RanksOf               = ranksAfter, ranksOfAfter

	LowRanks, LowRanksOf                       = ranksBefore, ranksOfBefore
	NewVoters, VotersByPrefix, LastVoters      = newestVoters, votersByPrefix, recentVoters
	LastComputed, WithVotes, ActivityList      = recentComputations, triggerCandidates, listActivity
	ChangesOf, SampleBins, TrimSamples, Spread = settingChangesBefore, samplesBetween, expireSamples, distribution
)

// Migrations, for those who begin with the first ones.
var Migrations = migrations
