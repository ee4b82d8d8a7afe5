package panel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"poa/internal/access"
	"poa/internal/config"
	"poa/internal/ledger"
	"poa/internal/outlook"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/trigger"
)

const (
	arenaPath = "/try"
	// arenaPool is how many NFTs in a row are looked at for those with the
	// fewest votes.
	arenaPool = 40
	// arenaKept is how many effects of each person's votes are kept, and
	// arenaPeople for how many people.
	arenaKept   = 8
	arenaPeople = 64
	// arenaDepth is how many of a voter's latest votes on an NFT are looked at
	// for their standing opinions.
	arenaDepth = 50
)

func (p *Panel) arenaRoutes() []route {
	if !p.TryIt {
		return nil
	}
	a := &arena{Panel: p, kept: map[int64][]effect{}}
	return []route{
		{"GET", arenaPath, access.Operate, a.show},
		{"POST", arenaPath, access.Operate, a.vote},
	}
}

// arena is where people try voting. What their votes caused is kept here, in
// this process.
type arena struct {
	*Panel

	mu     sync.Mutex // guards what follows
	kept   map[int64][]effect
	people []int64 // whose effects are kept, the latest last
}

// arenaKey is the key of a vote: the page's name, the kind and the side.
var arenaKey = regexp.MustCompile(`^try-[A-Z2-7]{26}-[a-z]+-[ab]$`)

// contender is an NFT that is voted on.
type contender struct {
	store.Ranked
	Slider float64 // the voter's standing rating, 50 where there is none
	Rated  bool
	Fire   bool // the voter's FIRE stands
}

// arenaView is what the page shows.
type arenaView struct {
	A, B    *contender // nil where there are no two NFTs
	Voter   string
	Key     string // of the next vote: sent twice it counts once
	Effects []effect
	Err     string // why the last vote was refused
}

// effect is what a vote caused.
type effect struct {
	Number    int64
	At        time.Time
	Took      time.Duration // from its arrival to its commit
	Duplicate bool
	Vote      ledger.Vote
	NFTs      []nftEffect
	// The voter before and after, and the constants that say from when
	// reliability weighs.
	Before, After store.Voter
	MinJudged     int64
}

// nftEffect is what a vote caused for one of its NFTs.
type nftEffect struct {
	NFT           store.NFT
	Before, After store.Rating
	Changes       []delta
	Triggered     *ledger.Triggered // nil: no rule held
	WhyNot        string
	Others        int64 // votes of others, and exact computations, that are in After too
}

// delta is a number before and after.
type delta struct {
	Name          string
	Before, After float64
	Decimals      int
}

// standing is all that votes change: two NFTs and their voter.
type standing struct {
	nfts  []contender
	voter store.Voter
}

// voterOf is the id under which a person votes here.
func voterOf(r *http.Request) string { return "try:" + who(r) }

func (a *arena) show(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	return a.render(w, r, http.StatusOK, q.Get("a"), q.Get("b"), "")
}

// render shows the arena with two NFTs: those given, where there are such.
func (a *arena) render(w http.ResponseWriter, r *http.Request, status int, x, y, wrong string) error {
	ctx := r.Context()
	var err error
	if x == "" || y == "" || x == y {
		if x, y, err = a.pair(ctx); err != nil {
			return err
		}
	}
	v := arenaView{Voter: voterOf(r), Key: newName(), Err: wrong, Effects: a.effects(r)}
	if x != "" {
		now, err := a.standing(ctx, v.Voter, x, y)
		if errors.Is(err, store.ErrNotFound) {
			return errNotFound
		}
		if err != nil {
			return err
		}
		v.A, v.B = &now.nfts[0], &now.nfts[1]
	}
	head := page{Title: "Try it", Sub: "Vote, and see what each vote causes as it happens. Your votes count like any other.", Scripts: []string{"arena.js"}}
	return a.renderStatus(w, r, status, head, arenaPage(v))
}

// standing reads NFTs and their voter, in one snapshot but for the voter's own
// latest votes.
func (a *arena) standing(ctx context.Context, voter string, ids ...string) (s standing, err error) {
	start := a.Settings.Current().Policy.Constants
	err = a.Store.View(ctx, func(v store.View) error {
		ratings, err := v.Ratings(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			nft, err := v.NFT(ctx, id)
			if err != nil {
				return err
			}
			c := contender{Ranked: store.Ranked{NFT: nft, Rating: store.Rating{ID: id, Rating: start.NewRating()}}, Slider: 50}
			if i := slices.IndexFunc(ratings, func(r store.Rating) bool { return r.ID == id }); i >= 0 {
				c.Rating = ratings[i]
			}
			s.nfts = append(s.nfts, c)
		}
		s.voter, err = v.Voter(ctx, voter)
		if errors.Is(err, store.ErrNotFound) {
			s.voter, err = store.Voter{ID: voter, Voter: start.NewVoter()}, nil
		}
		return err
	})
	if err != nil {
		return s, fmt.Errorf("reading what a vote is about: %w", err)
	}
	for i := range s.nfts {
		if err := a.opinions(ctx, &s.nfts[i], s.voter.Number); err != nil {
			return s, err
		}
	}
	return s, nil
}

// opinions reads a voter's standing opinions of an NFT.
func (a *arena) opinions(ctx context.Context, c *contender, voter int64) error {
	if voter == 0 {
		return nil
	}
	votes, err := a.Store.VotesOf(ctx, c.NFT.Number, voter, 0, arenaDepth)
	if err != nil {
		return fmt.Errorf("reading a voter's votes on an NFT: %w", err)
	}
	for _, v := range slices.Backward(votes) {
		switch v.Kind {
		case scoring.Slider:
			c.Slider, c.Rated = v.Value, true
		case scoring.Fire, scoring.Unfire:
			c.Fire = v.Kind == scoring.Fire
		}
	}
	return nil
}

// pair chooses two NFTs of active collections, mostly with few votes, so that
// votes go where they are needed; one in four has a new score, so that there is
// something to see. Half of them are of one collection or nearly so. "" where
// there are no two.
func (a *arena) pair(ctx context.Context) (x, y string, err error) {
	o, err := a.Overview.Overview(ctx)
	if err != nil {
		return "", "", fmt.Errorf("reading how many NFTs there are: %w", err)
	}
	here, err := a.fewVotes(ctx, o.NFTs)
	if err != nil {
		return "", "", err
	}
	other := here
	if rand.IntN(2) == 0 {
		if other, err = a.fewVotes(ctx, o.NFTs); err != nil {
			return "", "", err
		}
	}
	if n := len(o.Recent); n > 0 && rand.IntN(4) == 0 {
		here = []string{o.Recent[rand.IntN(n)].NFT.ID}
	}
	for _, x := range here {
		for _, y := range slices.Concat(other, here) {
			if x != y {
				return x, y, nil
			}
		}
	}
	return "", "", nil
}

// fewVotes returns the ids of some NFTs of active collections that follow each
// other, those with the fewest votes first. Numbers are never reused, so that
// those in use begin at 1 and go on beyond their count.
func (a *arena) fewVotes(ctx context.Context, nfts int64) ([]string, error) {
	collections, err := a.Overview.Collections(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the collections: %w", err)
	}
	inactive := map[string]bool{}
	for _, c := range collections {
		inactive[c.Name] = !c.Active
	}
	for _, after := range []int64{rand.Int64N(max(1, nfts)), 0} {
		list, err := a.Store.ListNFTs(ctx, store.NFTQuery{After: after, Limit: arenaPool})
		if err != nil {
			return nil, fmt.Errorf("choosing NFTs: %w", err)
		}
		list = slices.DeleteFunc(list, func(r store.Ranked) bool { return inactive[r.NFT.Collection] })
		if len(list) < 2 {
			continue
		}
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		slices.SortStableFunc(list, func(a, b store.Ranked) int { return int(a.Rating.Votes - b.Rating.Votes) })
		ids := make([]string, len(list))
		for i, r := range list {
			ids[i] = r.NFT.ID
		}
		return ids, nil
	}
	return nil, nil
}

// voteIn reads a vote from a form. It has no time, so that it is the same when
// the form is sent again.
func (a *arena) voteIn(r *http.Request) (v ledger.Vote, err error) {
	v = ledger.Vote{Key: "try-" + r.PostFormValue("key"), Voter: voterOf(r), A: r.PostFormValue("a")}
	if !arenaKey.MatchString(v.Key) {
		return v, invalid("The form is not one of this page; load it again.")
	}
	kind, ok := scoring.ParseKind(r.PostFormValue("kind"))
	if !ok {
		return v, invalid("There is no kind of vote named %q.", r.PostFormValue("kind"))
	}
	v.Kind = kind
	switch kind {
	case scoring.Matchup:
		v.B, v.Super = r.PostFormValue("b"), r.PostFormValue("super") != ""
		v.Outcome, _ = scoring.ParseOutcome(r.PostFormValue("outcome"))
	case scoring.Slider:
		if v.Value, err = strconv.ParseFloat(r.PostFormValue("value"), 64); err != nil {
			return v, invalid("A rating must be a number from 0 to 100, is %q.", r.PostFormValue("value"))
		}
	}
	return v, nil
}

// vote casts a vote and shows what it caused: beside the next two NFTs after a
// matchup, beside the same ones otherwise.
func (a *arena) vote(w http.ResponseWriter, r *http.Request) error {
	v, err := a.voteIn(r)
	if err != nil {
		return err
	}
	next := url.Values{"a": {r.PostFormValue("shown_a")}, "b": {r.PostFormValue("shown_b")}}
	err = a.cast(r, v)
	var refused *ledger.Error
	switch {
	case errors.As(err, &refused):
		return a.render(w, r, http.StatusUnprocessableEntity, next.Get("a"), next.Get("b"), sentence(refused.Error()))
	case err != nil:
		return err
	case v.Kind == scoring.Matchup:
		next = nil
	}
	if r.Header.Get("HX-Request") != "" {
		return a.render(w, r, http.StatusOK, next.Get("a"), next.Get("b"), "")
	}
	redirect(w, r, with(arenaPath, next))
	return nil
}

// cast casts a vote and keeps what it caused. Its error is a *ledger.Error where
// the vote was refused.
func (a *arena) cast(r *http.Request, v ledger.Vote) error {
	ctx := r.Context()
	if err := v.Check(a.now()); err != nil {
		return err
	}
	if err := a.Guard.TakeVote(v.Voter); err != nil {
		return err
	}
	ids := []string{v.A}
	if v.Kind == scoring.Matchup {
		ids = append(ids, v.B)
	}
	before, err := a.standing(ctx, v.Voter, ids...)
	if errors.Is(err, store.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	in := a.Settings.Current()
	answers, err := a.Votes.Submit(ctx, []ledger.Vote{v})
	if err != nil {
		return fmt.Errorf("casting a vote: %w", err)
	}
	if answers[0].Err != nil {
		return answers[0].Err
	}
	after, err := a.standing(ctx, v.Voter, ids...)
	if err != nil {
		return err
	}
	collections, err := a.Overview.Collections(r.Context())
	if err != nil {
		return fmt.Errorf("reading the collections: %w", err)
	}
	a.keep(r, effectOf(in, v, &answers[0], before, after, collections, a.now()))
	return nil
}

// effectOf puts together what a vote that was just committed caused.
func effectOf(in *settings.InForce, v ledger.Vote, answer *ledger.Answer, before, after standing, collections []store.Collection, now time.Time) effect {
	policy := in.Policy
	e := effect{
		Number: answer.Number, At: now, Took: answer.Took, Duplicate: answer.Duplicate, Vote: v,
		Before: before.voter, After: after.voter, MinJudged: policy.Constants.ReliabilityMinJudged,
	}
	for i := range before.nfts {
		n := nftEffect{NFT: before.nfts[i].NFT, Before: before.nfts[i].Rating, After: after.nfts[i].Rating}
		n.Changes = deltas(&policy.Constants, &n.Before.Rating, &n.After.Rating)
		n.Others = max(0, n.After.Version-n.Before.Version-1)
		if at := slices.IndexFunc(answer.Triggered, func(t ledger.Triggered) bool { return t.NFT == n.NFT.ID }); at >= 0 {
			n.Triggered = &answer.Triggered[at]
		} else {
			of := outlook.NFT{Rating: n.After, Off: outlook.SwitchedOff(collections, n.NFT.Collection)}
			n.WhyNot = whyNot(policy, &v, before.nfts[i].Fire, &n, of.Turn(in, now).Follows(in, now), now)
		}
		e.NFTs = append(e.NFTs, n)
	}
	return e
}

// deltas are the numbers of a rating that are not what they were, and the parts
// of the score that its sums give.
func deltas(c *scoring.Constants, before, after *scoring.Rating) []delta {
	start := *before
	if !start.Scorable() { // its parts are those of one vote of weight 1 that changed nothing
		start.Matchups, start.MatchupWeight = 1, scoring.ToSum(1)
	}
	was, _ := c.Score(&start)
	is, scorable := c.Score(after)
	list := []delta{
		{"mean", before.Mean, after.Mean, 1},
		{"sigma", before.Sigma, after.Sigma, 1},
		{"votes", float64(before.Votes), float64(after.Votes), 0},
		{"skips", float64(before.Skips), float64(after.Skips), 0},
	}
	if scorable {
		list = append(list, delta{"Elo part", was.Elo, is.Elo, 2}, delta{"slider part", was.Slider, is.Slider, 2},
			delta{"FIRE part", was.Fire, is.Fire, 2}, delta{"R", was.Reliability, is.Reliability, 3})
	}
	return slices.DeleteFunc(list, func(d delta) bool { return fixed(d.Before, d.Decimals) == fixed(d.After, d.Decimals) })
}

// whyNot says why a vote computed no score of an NFT, and what follows then.
func whyNot(policy *publish.Policy, v *ledger.Vote, stood bool, n *nftEffect, follows string, now time.Time) string {
	switch {
	case v.Kind == scoring.Fire && stood:
		return "Your FIRE stood already, so nothing changed."
	case v.Kind == scoring.Unfire && !stood:
		return "No FIRE of yours stood, so nothing changed."
	case v.Kind == scoring.Matchup && v.Outcome == scoring.Neither:
		return "Neither: it is counted, and changes no rating."
	}
	rules := &policy.Rules
	milestone := "milestones are switched off"
	if rules.Milestone {
		milestone = "the last milestone is behind it"
		if i := slices.IndexFunc(rules.Milestones, func(m int64) bool { return m > n.After.Votes }); i >= 0 {
			milestone = fmt.Sprintf("the next milestone is %d", rules.Milestones[i])
		}
	}
	activity := ""
	if rules.HighActivity {
		activity = fmt.Sprintf(", and %d of %d votes came within %s", recentVotes(n.After.Recent, now, rules.HighActivityIn), rules.HighActivityVotes, config.Format(rules.HighActivityIn))
	}
	return fmt.Sprintf("No rule held: %s, %s%s. The vote %s.", plural(n.After.Votes, "vote"), milestone, activity, follows)
}

func recentVotes(recent trigger.Recent, until time.Time, in time.Duration) (n int) {
	for _, us := range recent {
		if at := time.UnixMicro(us); us != 0 && !at.After(until) && until.Sub(at) < in {
			n++
		}
	}
	return n
}

// keep keeps an effect for the person behind a request.
func (a *arena) keep(r *http.Request, e effect) {
	person := access.From(r.Context()).Person.Number
	a.mu.Lock()
	defer a.mu.Unlock()
	list := slices.Concat([]effect{e}, a.kept[person])
	a.kept[person] = list[:min(len(list), arenaKept)]
	a.people = append(slices.DeleteFunc(a.people, func(n int64) bool { return n == person }), person)
	if len(a.people) > arenaPeople {
		delete(a.kept, a.people[0])
		a.people = a.people[1:]
	}
}

// effects are those of the latest votes of the person behind a request, the
// latest first.
func (a *arena) effects(r *http.Request) []effect {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kept[access.From(r.Context()).Person.Number]
}

// told is a vote in words.
func (e *effect) told() string {
	nameAt := func(i int) string { return nameOf(e.NFTs[i].NFT.ID, e.NFTs[i].NFT.Name) }
	kind := ""
	if e.Vote.Super {
		kind = "Super vote: "
	}
	switch e.Vote.Kind {
	case scoring.Slider:
		return fmt.Sprintf("%s rated %s", nameAt(0), fixed(e.Vote.Value, 0))
	case scoring.Fire:
		return "FIRE for " + nameAt(0)
	case scoring.Unfire:
		return "FIRE withdrawn from " + nameAt(0)
	}
	switch e.Vote.Outcome {
	case scoring.WinA:
		return fmt.Sprintf("%s%s over %s", kind, nameAt(0), nameAt(1))
	case scoring.WinB:
		return fmt.Sprintf("%s%s over %s", kind, nameAt(1), nameAt(0))
	case scoring.Tie:
		return fmt.Sprintf("%s%s and %s tied", kind, nameAt(0), nameAt(1))
	}
	return fmt.Sprintf("%sneither %s nor %s", kind, nameAt(0), nameAt(1))
}

// voterTold says what a vote changed of its voter.
func (e *effect) voterTold() string {
	text := "Your reliability stays " + fixed(e.After.Reliability, 3)
	if e.Before.Reliability != e.After.Reliability {
		text = fmt.Sprintf("Your reliability %s → %s", fixed(e.Before.Reliability, 3), fixed(e.After.Reliability, 3))
	}
	if e.After.Judged < e.MinJudged {
		text += fmt.Sprintf("; it weighs 1 until %d votes were judged, %d so far", e.MinJudged, e.After.Judged)
	}
	return text + "."
}

// triggerTold is why a score was computed.
func triggerTold(t *ledger.Triggered) string {
	if t.Reason == trigger.Milestone {
		return fmt.Sprintf("milestone %d", t.Milestone)
	}
	return reasonWord(string(t.Reason))
}

// took is the time a commit took.
func (e *effect) took() string { return fixed(float64(e.Took.Microseconds())/1000, 1) + " ms" }

// poaOf is a published score, – where there is none.
func poaOf(s *store.Score) string {
	if s == nil {
		return "–"
	}
	return poa(s.POA)
}

// poaBefore is a published score as change takes it.
func poaBefore(s *store.Score) *float64 {
	if s == nil {
		return nil
	}
	return &s.POA
}

// moved reports whether the published score was computed with the vote.
func (n *nftEffect) moved() bool {
	return n.After.Score != nil && (n.Before.Score == nil || n.Before.Score.ThroughVote != n.After.Score.ThroughVote)
}
