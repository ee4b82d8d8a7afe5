package panel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"poa/internal/outlook"
	"poa/internal/store"
)

// runKinds are the lists of runs.
var runKinds = [...]option{{"", "Batches and backfills"}, {string(store.BatchRun), "Scheduled"}, {string(store.ManualRun), "By hand"}, {string(store.BackfillRun), "Backfills"}, {string(store.UpkeepRun), "Upkeep"}}

// runsView is a page of runs.
type runsView struct {
	Runs   []store.Run
	Kind   string
	Before int64
}

// beforeIn reads where a page of a list begins, 0 for its beginning.
func beforeIn(q url.Values) (int64, error) {
	text := q.Get("before")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, invalid("before must be a number above 0, is %q.", text)
	}
	return n, nil
}

func (s *schedulerPages) listRuns(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	v := runsView{Kind: q.Get("kind")}
	if !slices.ContainsFunc(runKinds[:], func(o option) bool { return o.Value == v.Kind }) {
		return invalid("There are no runs of kind %q.", v.Kind)
	}
	var err error
	if v.Before, err = beforeIn(q); err != nil {
		return err
	}
	if v.Runs, err = s.latestRuns(r.Context(), store.RunKind(v.Kind), v.Before, runsPage); err != nil {
		return err
	}
	head := page{Title: "Runs", Sub: "Batches, runs by hand, backfills and upkeep, newest first.", Crumb: "Scheduler", CrumbPath: "/scheduler"}
	return s.render(w, r, head, runsPageOf(v))
}

func (v *runsView) tabs() []tab {
	var list []tab
	for _, o := range runKinds {
		list = append(list, tab{o.Text, with("/scheduler/runs", nil, "kind", o.Value), o.Value == v.Kind})
	}
	return list
}

func (v *runsView) pager() pager {
	p := pager{At: plural(len(v.Runs), "run")}
	if v.Before > 0 {
		p.First = with("/scheduler/runs", nil, "kind", v.Kind)
	}
	if len(v.Runs) == runsPage {
		p.Next = with("/scheduler/runs", nil, "kind", v.Kind, "before", strconv.FormatInt(v.Runs[len(v.Runs)-1].Number, 10))
	}
	return p
}

// runRead is a run with the latest of its items.
type runRead struct {
	Run   store.Run
	Plan  outlook.Plan
	Items []store.Activity
}

const itemsPage = 100

func (s *schedulerPages) readRun(ctx context.Context, number int64) (*runRead, error) {
	run, err := s.Store.Run(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("reading a run: %w", err)
	}
	read := &runRead{Run: run, Plan: outlook.Inside(&run)}
	read.Items, err = s.items(ctx, number, 0)
	return read, err
}

func (s *schedulerPages) items(ctx context.Context, number, before int64) ([]store.Activity, error) {
	items, err := s.Store.ListActivity(ctx, store.ActivityQuery{Run: number, Before: before, Limit: itemsPage})
	if err != nil {
		return nil, fmt.Errorf("reading what a run did: %w", err)
	}
	return items, nil
}

// runView is what the page of a run shows.
type runView struct {
	*runRead
	Before int64
}

func (s *schedulerPages) showRun(w http.ResponseWriter, r *http.Request) error {
	number, err := numberIn(r)
	if err != nil {
		return err
	}
	v := runView{}
	if v.Before, err = beforeIn(r.URL.Query()); err != nil {
		return err
	}
	if v.runRead, err = s.runs.get(r.Context(), number); err != nil {
		return err
	}
	if v.Before > 0 {
		items, err := s.items(r.Context(), number, v.Before)
		if err != nil {
			return err
		}
		v.runRead = &runRead{v.Run, v.Plan, items}
	}
	head := page{
		Title: fmt.Sprintf("Run %d, %s", number, kindWord(v.Run.Kind)), Sub: "Of " + scope(v.Run.Collection) + ", asked for by " + v.Run.RequestedBy + ".",
		Crumb: "Runs", CrumbPath: "/scheduler/runs",
	}
	return s.render(w, r, head, runPage(v))
}

func (v *runView) pager() pager {
	path := runPath(v.Run.Number)
	p := pager{At: plural(len(v.Items), "entry")}
	if len(v.Items) != 1 {
		p.At = count(len(v.Items)) + " entries"
	}
	if v.Before > 0 {
		p.First = path
	}
	if len(v.Items) == itemsPage {
		p.Next = with(path, nil, "before", strconv.FormatInt(v.Items[len(v.Items)-1].Number, 10))
	}
	return p
}

// matchesShown is how many NFTs a search for a test offers.
const matchesShown = 12

// testView is a test of the triggers.
type testView struct {
	Search  string
	Matches []store.Ranked // where no NFT is chosen
	Err     string
	NFT     *store.Ranked // chosen
	Votes   []outlook.Vote
	Vote    string   // chosen kind
	Follows []string // what comes of each of Votes that computes nothing at once
	Paused  bool
}

// chosen is the place of the chosen kind in Votes.
func (v *testView) chosen() int { return slices.Index(outlook.Names(), v.Vote) }

// voteOptions are the kinds of votes that can be tested.
func voteOptions() []option {
	var list []option
	for _, name := range outlook.Names() {
		list = append(list, option{name, name})
	}
	return list
}

func (s *schedulerPages) test(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	v, err := s.tested(r.Context(), q.Get("nft"), q.Get("vote"))
	if err != nil {
		return err
	}
	head := page{Title: "Test a trigger", Sub: "What the next vote on an NFT would do. Looking changes nothing.", Crumb: "Scheduler", CrumbPath: "/scheduler"}
	return s.render(w, r, head, testPage(v))
}

// tested returns what the next vote on the NFT with an id would do, or the NFTs
// that a search for the text finds.
func (s *schedulerPages) tested(ctx context.Context, search, vote string) (testView, error) {
	v := testView{Search: search, Vote: vote}
	if v.Vote == "" {
		v.Vote = outlook.Names()[0]
	}
	if !slices.Contains(outlook.Names(), v.Vote) {
		return v, invalid("There is no kind of vote %q.", v.Vote)
	}
	if search == "" {
		return v, nil
	}
	check, err := s.Operate.Check(ctx, search)
	if errors.Is(err, store.ErrNotFound) {
		v.Matches, err = s.Store.ListNFTs(ctx, store.NFTQuery{Search: search, Limit: matchesShown})
		if err != nil {
			return v, fmt.Errorf("searching NFTs: %w", err)
		}
		if len(v.Matches) == 0 {
			v.Err = "no NFT has an id or name that begins so"
		}
		return v, nil
	}
	if err != nil {
		return v, err
	}
	collections, err := s.Overview.Collections(ctx)
	if err != nil {
		return v, fmt.Errorf("reading the collections: %w", err)
	}
	of, err := outlook.Of(ctx, s.Store, &check.Ranked, collections)
	if err != nil {
		return v, err
	}
	in, now := s.Settings.Current(), s.now()
	for i := range check.Votes {
		v.Follows = append(v.Follows, check.Votes[i].Follows(in, of, now))
	}
	v.NFT, v.Votes, v.Paused = &check.Ranked, check.Votes, in.Triggers.On(now)
	return v, nil
}

// does says what the vote at a place of Votes would do.
func (v *testView) does(i int) string {
	switch o := &v.Votes[i]; {
	case !o.Possible:
		return "cannot be: no FIRE stands"
	case !o.Computes:
		return v.Follows[i]
	case v.Paused:
		return "marks it as owed"
	}
	return "computes at once"
}

// sentence goes on after the name of the vote at a place of Votes.
func (v *testView) sentence(i int) string {
	text := v.does(i)
	if o := &v.Votes[i]; o.Computes {
		text += ", because of " + why(o) + ", with " + o.Priority.String() + " priority"
		if v.Paused {
			text += ": triggers are paused. It " + v.Follows[i]
		}
	}
	return text + "."
}

// why is the reason of a computation, with the milestone that is crossed.
func why(o *outlook.Vote) string {
	if !o.Computes {
		return "–"
	}
	text := reasonWord(string(o.Reason))
	if o.Milestone > 0 {
		text += " of " + count(o.Milestone)
	}
	return text
}

func (s *schedulerPages) doTest(w http.ResponseWriter, r *http.Request) error {
	id, vote := r.PostFormValue("nft"), r.PostFormValue("vote")
	v, err := s.tested(r.Context(), id, vote)
	if err != nil {
		return err
	}
	if v.NFT == nil {
		return errNotFound
	}
	back := with("/scheduler/test", nil, "nft", id, "vote", vote)
	if o := &v.Votes[v.chosen()]; !o.Computes {
		return s.refuse(w, r, back, "Nothing was computed: a "+o.Name+" would not trigger.")
	}
	result, err := s.Operate.Compute(r.Context(), id, who(r))
	if err != nil {
		return err
	}
	text := "Computed, as the vote would have had it done, and recorded as by hand: "
	switch {
	case result.After == nil:
		text += "nothing stands yet that gives a score."
	case result.Before == nil:
		text += poa(result.After.POA) + ", the first score."
	default:
		text += poa(result.Before.POA) + " before, " + poa(result.After.POA) + " now (" + signed(result.After.POA-result.Before.POA) + ")."
	}
	return s.told(w, r, back, text)
}
