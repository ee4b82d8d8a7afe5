package panel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"poa/internal/access"
	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// votersPage is how many voters, or votes of one, a page has.
const votersPage = 50

func (p *Panel) votersRoutes() []route {
	pages := voterPages{p, newShared(time.Second, p.clock, p.readVoters), newShared(5*time.Second, p.clock, p.readVoter).quietly(p.Live.Unchanged)}
	return []route{
		{"GET", "/voters", access.View, pages.list},
		{"GET", "/voters/{$}", access.View, pages.one},
		{"GET", "/voters/{id}", access.View, pages.one},
	}
}

// voterPages are the pages of voters. The lists are read once a second, and a
// voter once in five seconds, which is how long its page waits between
// computations, for all who look at the same.
type voterPages struct {
	*Panel
	lists *shared[voterFilter, []store.Voter]
	ones  *shared[voterKey, voterRead]
}

// voterFilter chooses voters, as it is written in a URL.
type voterFilter struct {
	Search string
	Newest bool // instead of those who voted lately
	After  int64
}

func voterFilterOf(q url.Values) (f voterFilter, err error) {
	f = voterFilter{Search: strings.TrimSpace(q.Get("q")), Newest: q.Get("show") == "newest"}
	if len(f.Search) > maxSearch {
		return f, invalid("A search has at most %d bytes.", maxSearch)
	}
	if f.After, err = numberOf(q, "after"); err != nil {
		return f, err
	}
	return f, nil
}

// numberOf reads a number from 0 that may be absent.
func numberOf(q url.Values, name string) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, invalid("%s must be a number from 0, is %q.", name, text)
	}
	return n, nil
}

func (f voterFilter) query() url.Values {
	q := url.Values{}
	if f.Search != "" {
		q.Set("q", f.Search)
	}
	if f.Newest {
		q.Set("show", "newest")
	}
	return q
}

// readVoters reads a page of voters and one more.
func (p *Panel) readVoters(ctx context.Context, f voterFilter) (rows []store.Voter, err error) {
	if f.Search == "" && !f.Newest {
		rows, err = p.Store.RecentVoters(ctx, votersPage)
	} else {
		rows, err = p.Store.ListVoters(ctx, store.VoterQuery{Search: f.Search, After: f.After, Limit: votersPage + 1})
	}
	if err != nil {
		return nil, fmt.Errorf("listing voters: %w", err)
	}
	return rows, nil
}

// votersView is what the page of voters shows.
type votersView struct {
	voterFilter
	*scoring.Constants
	Rows []store.Voter
	More bool
}

func (v *votersView) heading() string {
	switch {
	case v.Search != "":
		return "Found, by id"
	case v.Newest:
		return "The newest"
	}
	return "Voted lately"
}

func (v *votersView) pager() pager {
	p := pager{At: plural(len(v.Rows), "voter") + " shown"}
	if v.After != 0 {
		p.First = with("/voters", v.query())
	}
	if v.More {
		p.Next = with("/voters", v.query(), "after", strconv.FormatInt(v.Rows[len(v.Rows)-1].Number, 10))
	}
	return p
}

func (v *votersView) views() []tab {
	return []tab{{"Voted lately", "/voters", !v.Newest}, {"Newest", "/voters?show=newest", v.Newest}}
}

func (v voterPages) list(w http.ResponseWriter, r *http.Request) error {
	f, err := voterFilterOf(r.URL.Query())
	if err != nil {
		return err
	}
	view := votersView{voterFilter: f, Constants: &v.Settings.Current().Policy.Constants}
	if view.Rows, err = v.lists.get(r.Context(), f); err != nil {
		return err
	}
	if len(view.Rows) > votersPage {
		view.Rows, view.More = view.Rows[:votersPage], true
	}
	head := page{Title: "Voters", Sub: "How far each one's votes agree with the others', which decides what they weigh."}
	return v.render(w, r, head, votersContent(view))
}

// voterKey names what the page of a voter shows.
type voterKey struct {
	id     string
	before int64 // of the votes: number of the last one of the page before
}

// voterRead is what is read for it.
type voterRead struct {
	store.Voter
	Votes []store.Vote // a page, and one more
}

func (p *Panel) readVoter(ctx context.Context, k voterKey) (r voterRead, err error) {
	if ledger.CheckID("id", k.id) != nil {
		return r, errNotFound
	}
	err = p.Store.View(ctx, func(v store.View) (err error) {
		r.Voter, err = v.Voter(ctx, k.id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return r, errNotFound
	}
	if err != nil {
		return r, fmt.Errorf("reading a voter: %w", err)
	}
	if r.Votes, err = p.Store.VotesOf(ctx, 0, r.Number, k.before, votersPage+1); err != nil {
		return r, fmt.Errorf("reading a voter's votes: %w", err)
	}
	return r, nil
}

// voterView is what the page of a voter shows.
type voterView struct {
	voterRead
	*scoring.Constants
	Before int64
	More   bool
}

func (v voterPages) one(w http.ResponseWriter, r *http.Request) error {
	before, err := numberOf(r.URL.Query(), "before")
	if err != nil {
		return err
	}
	read, err := v.ones.get(r.Context(), voterKey{named(r), before})
	if err != nil {
		return err
	}
	view := voterView{voterRead: read, Constants: &v.Settings.Current().Policy.Constants, Before: before}
	if len(view.Votes) > votersPage {
		view.Votes, view.More = view.Votes[:votersPage], true
	}
	return v.render(w, r, page{Title: view.ID, Crumb: "Voters", CrumbPath: "/voters"}, voterContent(view))
}

func (v *voterView) pager() pager {
	at := "The latest votes"
	if v.Before != 0 {
		at = "Earlier votes"
	}
	p := pager{At: at}
	if v.Before != 0 {
		p.First = voterPath(v.ID)
	}
	if v.More {
		p.Next = withNumber(voterPath(v.ID), "before", v.Votes[len(v.Votes)-1].Number)
	}
	return p
}

// withNumber adds a parameter to a path made by pathOf.
func withNumber(path, name string, n int64) string {
	sign := "?"
	if strings.Contains(path, "?") {
		sign = "&"
	}
	return path + sign + name + "=" + strconv.FormatInt(n, 10)
}

// judging says in words what a voter's reliability is and does.
func (v *voterView) judging() string {
	if left := v.ReliabilityMinJudged - v.Judged; left > 0 {
		return fmt.Sprintf("Each vote weighs 1.000 until %s judged; %s so far. A matchup is judged when its NFTs had different ratings before it.",
			were(v.ReliabilityMinJudged), was(v.Judged))
	}
	text := "as much as everybody's at the start"
	switch r := v.Reliability; {
	case r > v.ReliabilityStart:
		text = "more than a vote at the start, because this voter mostly chose the NFT that others rated higher"
	case r < v.ReliabilityStart:
		text = "less than a vote at the start, because this voter often chose the NFT that others rated lower"
	}
	return fmt.Sprintf("The next vote weighs %.3f, %s. Reliability goes from %g to %g and moves with each judged matchup, most where the two ratings were far apart.",
		v.Weight(&v.Voter.Voter).Float(), text, v.ReliabilityMin, v.ReliabilityMax)
}

func were(n int64) string {
	if n == 1 {
		return "1 matchup is"
	}
	return count(n) + " matchups are"
}

func was(n int64) string {
	if n == 1 {
		return "1 was"
	}
	return count(n) + " were"
}

// calibrating says in words how a voter's slider ratings are read.
func (v *voterView) calibrating() string {
	if v.Calibration.N == 0 {
		return fmt.Sprintf("No slider ratings yet. The first are read as those of somebody who rates %g on average, give or take %g.", v.SliderPriorMean, v.SliderPriorStd)
	}
	mean, std := v.Spread(v.Calibration)
	return fmt.Sprintf("%s. They are read as those of somebody who rates %.1f on average, give or take %.1f: the same number says more coming from a strict voter.",
		plural(v.Calibration.N, "slider rating"), mean, std)
}

// readAs are example ratings and what they count for.
func (v *voterView) readAs() (list []option) {
	for _, x := range []float64{20, 50, 80} {
		list = append(list, option{fixed(x, 0), fixed(v.Normalise(x, v.Calibration), 1)})
	}
	return list
}

// reliabilityShare is a reliability as a share of its range, 0 to 100.
func reliabilityShare(c *scoring.Constants, r float64) float64 {
	return 100 * (r - c.ReliabilityMin) / (c.ReliabilityMax - c.ReliabilityMin)
}

// reliabilityTone is the tone of its bar.
func reliabilityTone(c *scoring.Constants, v *store.Voter) string {
	switch {
	case v.Judged < c.ReliabilityMinJudged:
		return ""
	case v.Reliability < c.ReliabilityStart:
		return "warn"
	}
	return "ok"
}

// voteWord names the kind of a vote.
func voteWord(v *store.Vote) (tone, word string) {
	switch {
	case v.Kind == scoring.Matchup && v.Super:
		return "accent", "super"
	case v.Kind == scoring.Matchup:
		return "", "matchup"
	case v.Kind == scoring.Slider:
		return "info", "slider"
	case v.Kind == scoring.Fire:
		return "warn", "FIRE"
	}
	return "", "FIRE withdrawn"
}

// outcomeOf says how a matchup went for side A: "won against".
func outcomeOf(o scoring.Outcome) (tone, words string) {
	switch o {
	case scoring.WinA:
		return "up", "won against"
	case scoring.WinB:
		return "down", "lost to"
	case scoring.Tie:
		return "", "tied with"
	}
	return "muted", "neither was chosen, against"
}

// seenFrom is a matchup with the NFT on side A.
func seenFrom(v store.Vote, nft int64) store.Vote {
	if v.Kind != scoring.Matchup || v.B != nft {
		return v
	}
	v.A, v.B, v.AID, v.BID = v.B, v.A, v.BID, v.AID
	switch v.Outcome {
	case scoring.WinA:
		v.Outcome = scoring.WinB
	case scoring.WinB:
		v.Outcome = scoring.WinA
	}
	return v
}
