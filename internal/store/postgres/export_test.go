package postgres

// What the tests of plans explain.
const (
	SettingsUpdate = settingsUpdate
	SettingsPage   = settingsPage
	LockByID       = lockRatingsByID
	LockByNumber   = lockRatings
	LockVotersByID = lockVoters
	PageSize       = pageSize
)

// StreamPages are the statements that read pages, by table.
var StreamPages = map[string]string{
	"votes": logPage, "nfts": nFTPage, "ratings": ratingPage,
	"voters": voterPage, "opinions": opinionPage, "history": historyPage,
}
