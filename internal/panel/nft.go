package panel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"time"

	"poa/internal/access"
	"poa/internal/api"
	"poa/internal/batch"
	"poa/internal/exact"
	"poa/internal/ledger"
	"poa/internal/operate"
	"poa/internal/outlook"
	"poa/internal/scoring"
	"poa/internal/snapshot"
	"poa/internal/store"
)

const (
	nftVotes    = 25  // votes on a page of an NFT
	nftActivity = 12  // entries of the log on it
	nftHistory  = 500 // points of its charts
)

func (p *Panel) nftRoutes() []route {
	n := nftPages{Panel: p}
	n.read = newShared(time.Second, p.clock, n.readNFT).quietly(p.Live.Unchanged)
	n.history = newShared(time.Second, p.clock, n.readHistory).quietly(p.Live.Unchanged)
	n.next = snapshot.New(5*time.Second, p.clock, n.readNext).Quietly(p.Live.Unchanged)
	return []route{
		{"GET", "/nfts/{$}", access.View, n.show},
		{"GET", "/nfts/{id}", access.View, n.show},
		{"POST", "/nfts/compute", access.Operate, n.compute},
		{"GET", "/charts/nft", access.View, n.chart},
	}
}

// nftPages are the pages of single NFTs. What they show is read once a second
// for all who look at the same, and less often while nothing happens.
type nftPages struct {
	*Panel
	read    *shared[nftKey, *nftRead]
	history *shared[string, nftPoints]
	next    *snapshot.Snapshot[nextBatch]
}

// nftKey names what the page of an NFT shows.
type nftKey struct {
	id     string
	before int64 // of the votes: number of the last one of the page before
}

// nftRead is what is read for it.
type nftRead struct {
	store.Ranked
	Constants scoring.Publishing // with which the score was published, or in force
	Votes     []store.Vote       // a page, and one more; each with the NFT on side A
	Activity  []store.Activity
	Failure   *store.Failure
	Check     operate.Check
}

func (n *nftPages) readNFT(ctx context.Context, k nftKey) (*nftRead, error) {
	if ledger.CheckID("id", k.id) != nil {
		return nil, errNotFound
	}
	r := &nftRead{Constants: n.Settings.Current().Policy.Constants.Publishing}
	var err error
	if r.Check, err = n.Operate.Check(ctx, k.id); errors.Is(err, store.ErrNotFound) {
		return nil, errNotFound
	} else if err != nil {
		return nil, err
	}
	r.Ranked = r.Check.Ranked
	if s := r.Rating.Score; s != nil {
		err := n.Store.View(ctx, func(v store.View) (err error) {
			r.Constants, err = v.ScoringVersion(ctx, s.Version)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading scoring version %d: %w", s.Version, err)
		}
	}
	number := r.NFT.Number
	if r.Votes, err = n.Store.VotesOf(ctx, number, 0, k.before, nftVotes+1); err != nil {
		return nil, fmt.Errorf("reading the votes on an NFT: %w", err)
	}
	for i := range r.Votes {
		r.Votes[i] = seenFrom(r.Votes[i], number)
	}
	if r.Activity, err = n.Store.ListActivity(ctx, store.ActivityQuery{NFT: number, Limit: nftActivity}); err != nil {
		return nil, fmt.Errorf("reading the activity of an NFT: %w", err)
	}
	failures, err := n.Store.FailuresOf(ctx, []int64{number})
	if err != nil {
		return nil, fmt.Errorf("reading failures: %w", err)
	}
	if len(failures) > 0 {
		r.Failure = &failures[0]
	}
	return r, nil
}

// nextBatch is what the next batch takes.
type nextBatch struct {
	outlook.Run
	Place map[int64]int // of an NFT, from 1
}

func (n *nftPages) readNext(ctx context.Context) (b nextBatch, err error) {
	backlog, err := n.Backlog.Latest(ctx)
	if err != nil {
		return b, err
	}
	in := n.Settings.Current()
	if b.Run, err = outlook.Schedule(ctx, n.Store, in, backlog, n.now()); err != nil {
		return b, err
	}
	if b.Items, err = n.Runs.Plan(ctx, in.Batch, nil); err != nil {
		return b, fmt.Errorf("planning the next batch: %w", err)
	}
	b.Place = map[int64]int{}
	for i, item := range b.Items {
		b.Place[item.NFT] = i + 1
	}
	return b, nil
}

// nftView is what the page of an NFT shows.
type nftView struct {
	*nftRead
	Before     int64
	More       bool
	Current    scoring.Publishing // in force
	SuperVotes int64              // that a super vote counts as
	Now        *scoring.Result    // what the running sums give now, nil for no score
	Asked      bool               // for what an exact computation would give
	Exact      *scoring.Result    // that, nil for no score
	Turn       string             // of the batches
}

func (n *nftPages) show(w http.ResponseWriter, r *http.Request) error {
	before, err := numberOf(r.URL.Query(), "before")
	if err != nil {
		return err
	}
	read, err := n.read.get(r.Context(), nftKey{named(r), before})
	if err != nil {
		return err
	}
	in := n.Settings.Current()
	v := nftView{nftRead: read, Before: before, Current: in.Policy.Constants.Publishing, SuperVotes: in.Policy.Constants.SuperVotes, Asked: r.URL.Query().Has("exact")}
	if len(v.Votes) > nftVotes {
		v.More = true
	}
	if v.Rating.NFT == 0 { // nobody has voted on it: it is as every NFT begins
		v.Rating.Rating = in.Policy.Constants.NewRating()
	}
	if now, ok := in.Policy.Constants.Score(&v.Rating.Rating); ok && v.Rating.NFT != 0 {
		v.Now = &now
	}
	if v.Asked && v.Rating.NFT != 0 {
		if v.Exact, err = n.exactNow(r.Context(), v.Rating.NFT); err != nil {
			return fmt.Errorf("computing the exact score of NFT %q: %w", v.NFT.ID, err)
		}
	}
	if v.Turn, err = n.turn(r.Context(), read); err != nil {
		return err
	}
	head := page{Title: nameOf(v.NFT.ID, v.NFT.Name), Crumb: "NFTs", CrumbPath: "/nfts", Charts: true}
	if v.NFT.Collection != "" {
		head.Crumb, head.CrumbPath = v.NFT.Collection, collectionPath(v.NFT.Collection)
	}
	return n.render(w, r, head, nftContent(v))
}

// exactNow is what an exact computation would give, nil for no score.
func (n *nftPages) exactNow(ctx context.Context, nft int64) (*scoring.Result, error) {
	var result *scoring.Result
	err := n.Store.View(ctx, func(v store.View) error {
		_, r, ok, err := exact.Preview(ctx, v, n.Settings.Current().Policy, nft)
		if ok {
			result = &r
		}
		return err
	})
	return result, err
}

// turn says when batches take an NFT.
func (n *nftPages) turn(ctx context.Context, r *nftRead) (string, error) {
	in, now := n.Settings.Current(), n.now()
	s := r.Rating.Score
	class := batch.New
	switch {
	case r.Failure != nil && r.Failure.NextTry.IsZero():
		return fmt.Sprintf("Batches have given it up after %s. An operator can have it tried again.", plural(r.Failure.Tries, "failure")), nil
	case r.Failure != nil && r.Failure.NextTry.After(now):
		return fmt.Sprintf("A computation failed (%s so far); batches try it again %s.", plural(r.Failure.Tries, "time"), since(r.Failure.NextTry, now)), nil
	case !r.Rating.Due.Since.IsZero():
		class = batch.Due
	case s == nil && !r.Rating.Scorable():
		return "Batches have nothing to compute: it has no vote that counts.", nil
	case s == nil:
	case r.Rating.Votes < in.Policy.AgingVotes:
		return fmt.Sprintf("Batches recompute old scores of NFTs with %s or more; it has %s.", plural(in.Policy.AgingVotes, "vote"), count(r.Rating.Votes)), nil
	case !s.ComputedAt.Before(now.Add(-in.Batch.OldAfter)):
		return fmt.Sprintf("Its score is fresh: batches recompute it when it is %s old, %s.", span(in.Batch.OldAfter), since(s.ComputedAt.Add(in.Batch.OldAfter), now)), nil
	default:
		class = batch.Old
	}
	collections, err := n.Overview.Collections(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the collections: %w", err)
	}
	if i := slices.IndexFunc(collections, func(c store.Collection) bool { return c.Name == r.NFT.Collection }); i >= 0 && !collections[i].Active {
		return "Its collection is switched off: batches leave it out.", nil
	}
	if in.Batches.On(now) {
		return "Batches are paused. " + turnWords[class], nil
	}
	next, err := n.next.Get(ctx)
	if err != nil {
		return "", err
	}
	begins := since(next.Window.Start, now)
	if place := next.Place[r.Rating.NFT]; place != 0 {
		return fmt.Sprintf("%s It is number %d of %d that the next batch takes, %s.", turnWords[class], place, len(next.Items), begins), nil
	}
	text := fmt.Sprintf("%s It is not among the %d that the next batch takes, %s.", turnWords[class], len(next.Items), begins)
	within := map[batch.Class]time.Duration{batch.New: next.Coverage.New, batch.Due: next.Coverage.Due, batch.Old: next.Coverage.Old}[class]
	if within > 0 {
		text += fmt.Sprintf(" All of its kind are computed within about %s at this pace.", span(within))
	}
	return text, nil
}

// turnWords say why batches take an NFT.
var turnWords = map[batch.Class]string{
	batch.New: "Batches take it as one that has votes and no score.",
	batch.Due: "Batches take it as one that is due.",
	batch.Old: "Batches take it as one whose score is old.",
}

// compute computes and publishes the score of an NFT.
func (n *nftPages) compute(w http.ResponseWriter, r *http.Request) error {
	id := r.PostFormValue("nft")
	if ledger.CheckID("nft", id) != nil {
		return invalid("Say which NFT.")
	}
	result, err := n.Operate.Compute(r.Context(), id, who(r))
	if err != nil {
		return err
	}
	return n.done(w, r, nftPath(id), computedWords(&result))
}

// computedWords say what a computation came to.
func computedWords(r *exact.Result) string {
	switch {
	case r.Before == nil && r.After == nil:
		return "There is nothing to compute: it has no vote that counts."
	case r.After == nil:
		return fmt.Sprintf("The score is withdrawn: nothing stands that could give one. It was %s.", poa(r.Before.POA))
	case r.Before == nil:
		return fmt.Sprintf("Computed and published: POA %s, its first score.", poa(r.After.POA))
	case r.Before.POA == r.After.POA:
		return fmt.Sprintf("Computed and published: POA %s, as before.", poa(r.After.POA))
	}
	return fmt.Sprintf("Computed and published: POA %s (%s).", poa(r.After.POA), signed(r.After.POA-r.Before.POA))
}

// bill is a score, added up.
type bill struct {
	scoring.Result
	Lines   []billLine
	Sum     float64 // of the lines
	Product float64 // of sum and reliability, before it is limited to 100 and rounded
}

// billLine is a component: its value times its weight.
type billLine struct {
	Name, Color, What    string
	Value, Weight, Share float64
}

func billOf(p *scoring.Publishing, r *scoring.Result) bill {
	elo, slider, fire := p.Shares(r.Components)
	b := bill{Result: *r, Sum: elo + slider + fire}
	b.Product = b.Sum * r.Reliability
	b.Lines = []billLine{
		{"Elo", "s1", "where it stands in matchups", r.Elo, p.EloWeight, elo},
		{"Slider", "s3", "how it was rated", r.Slider, p.SliderWeight, slider},
		{"FIRE", "s2", "how many gave it one", r.Fire, p.FireWeight, fire},
	}
	return b
}

// parts are the lines as parts of 100.
func (b *bill) parts() (list []segment) {
	for _, l := range b.Lines {
		list = append(list, segment{l.Share, l.Color})
	}
	return list
}

// shown is the bill of the published score, or of what the sums would give.
func (v *nftView) shown() *bill {
	var b bill
	switch {
	case v.Rating.Score != nil:
		b = billOf(&v.Constants, &v.Rating.Score.Result)
	case v.Now != nil:
		b = billOf(&v.Current, v.Now)
	default:
		return nil
	}
	return &b
}

// sentence explains the score, or says why there is none.
func (v *nftView) sentence() string {
	if s := v.Rating.Score; s != nil {
		return v.Constants.Explain(s.POA, s.Components)
	}
	return api.NoScore(&v.Rating)
}

// votesSince is how many votes were counted since the score.
func (v *nftView) votesSince() int64 {
	if v.Rating.Score == nil {
		return 0
	}
	return v.Rating.Votes - v.Rating.Score.Votes
}

// comparison is a row of the table that compares scores. A part that is not
// there is NaN.
type comparison struct {
	Name   string
	Values []string // published, of the sums, and exact where asked for
	Strong bool
}

// compared sets the score against what the running sums and an exact
// computation give now.
func (v *nftView) compared() []comparison {
	var bills []*bill
	add := func(p *scoring.Publishing, r *scoring.Result) {
		if r == nil {
			bills = append(bills, nil)
			return
		}
		b := billOf(p, r)
		bills = append(bills, &b)
	}
	if s := v.Rating.Score; s != nil {
		add(&v.Constants, &s.Result)
	} else {
		add(nil, nil)
	}
	add(&v.Current, v.Now)
	if v.Asked {
		add(&v.Current, v.Exact)
	}
	row := func(name string, strong bool, value func(*bill) string) comparison {
		c := comparison{Name: name, Strong: strong}
		for _, b := range bills {
			if b == nil {
				c.Values = append(c.Values, "–")
			} else {
				c.Values = append(c.Values, value(b))
			}
		}
		return c
	}
	return []comparison{
		row("Elo", false, func(b *bill) string { return poa(b.Elo) }),
		row("Slider", false, func(b *bill) string { return poa(b.Slider) }),
		row("FIRE", false, func(b *bill) string { return poa(b.Fire) }),
		row("Weighted sum", false, func(b *bill) string { return poa(b.Sum) }),
		row("× reliability", false, func(b *bill) string { return fixed(b.Reliability, 3) }),
		row("POA", true, func(b *bill) string { return poa(b.POA) }),
		row("Confidence", false, func(b *bill) string { return poa(b.Confidence) }),
	}
}

// verdict says how an exact computation differs.
func (v *nftView) verdict() string {
	s := v.Rating.Score
	switch {
	case v.Exact == nil && s == nil:
		return "An exact computation would find no score either."
	case v.Exact == nil:
		return "An exact computation would withdraw the score: nothing stands that could give one."
	case s == nil:
		return fmt.Sprintf("An exact computation would publish POA %s.", poa(v.Exact.POA))
	case s.POA == v.Exact.POA:
		return "An exact computation gives the same POA now."
	}
	return fmt.Sprintf("An exact computation gives POA %s now, %s against what is published.", poa(v.Exact.POA), signed(v.Exact.POA-s.POA))
}

// inputs are the figures that the parts come from, as they are now.
func (v *nftView) inputs() []option {
	r, c := &v.Rating, &v.Current
	list := []option{
		{"Elo", fmt.Sprintf("mean %.1f, between %g (0) and %g (100)", r.Mean, c.EloFloor, c.EloCeiling)},
		{"Matchups", fmt.Sprintf("%s, which count as %s won, %s lost and %s tied: a super vote counts %d times; %s", count(r.Matchups), count(r.Wins), count(r.Losses), count(r.Ties), v.SuperVotes, plural(r.Skips, "skip"))},
	}
	slider := fmt.Sprintf("none stands, so the neutral %g", c.SliderNeutral)
	if r.Sliders > 0 {
		slider = fmt.Sprintf("%s standing of %s given; weights sum to %.3f", count(r.Sliders), count(r.SliderVotes), r.SliderWeight.Float())
	}
	fire := "none stands"
	if r.Fires > 0 {
		fire = fmt.Sprintf("%s standing of %s given; weights sum to %.3f, where %g give 100", count(r.Fires), count(r.FireVotes), r.FireWeight.Float(), c.FireSaturation)
	}
	return append(list,
		option{"Slider ratings", slider}, option{"FIRE", fire},
		option{"Reliability", fmt.Sprintf("mean weight of %s", plural(r.Terms(), "vote"))},
		option{"Confidence", fmt.Sprintf("sigma %.1f, where %g is none", r.Sigma, c.SigmaScale)},
	)
}

// outlookRow is something that the next vote may do, and the kinds of vote that
// would do it.
type outlookRow struct {
	Tone, What string
	Votes      []string
}

// outlook says what the next vote of each kind would do.
func (v *nftView) outlook(now time.Time) (list []outlookRow) {
	for _, o := range v.Check.Votes {
		if !o.Possible {
			continue
		}
		row := outlookRow{Tone: "muted", What: "waits for a batch"}
		if o.Computes {
			row = v.triggered(&o, now)
		}
		i := slices.IndexFunc(list, func(r outlookRow) bool { return r.What == row.What })
		if i < 0 {
			i, list = len(list), append(list, row)
		}
		list[i].Votes = append(list[i].Votes, o.Name)
	}
	return list
}

func (v *nftView) triggered(o *outlook.Vote, now time.Time) outlookRow {
	reason := reasonWord(string(o.Reason))
	if o.Milestone != 0 {
		reason = "milestone of " + plural(o.Milestone, "vote")
	}
	if v.Check.Paused.On(now) {
		return outlookRow{What: fmt.Sprintf("marks it due (%s, %s priority), for triggers are paused", reason, o.Priority)}
	}
	return outlookRow{Tone: "up", What: fmt.Sprintf("computes at once: %s, %s priority", reason, o.Priority)}
}

func (v *nftView) pager() pager {
	p := pager{At: "The latest votes"}
	if v.Before != 0 {
		p.At, p.First = "Earlier votes", nftPath(v.NFT.ID)
	}
	if v.More {
		p.Next = withNumber(nftPath(v.NFT.ID), "before", v.Votes[nftVotes-1].Number)
	}
	return p
}

// page are the votes shown.
func (v *nftView) page() []store.Vote { return v.Votes[:min(nftVotes, len(v.Votes))] }

// stream is which entries of the live stream the page is about.
func (v *nftView) stream() string { return url.Values{"nft": {v.NFT.ID}}.Encode() }

// self is the address from which the page is read again.
func (v *nftView) self() string { return withNumber(nftPath(v.NFT.ID), "before", v.Before) }

func (v *nftView) chartURL(of string) string {
	return "/charts/nft?" + url.Values{"id": {v.NFT.ID}, "of": {of}}.Encode()
}

// nftPoints are the points of the history of a score, oldest first, and the
// score as it is now.
type nftPoints struct {
	Points []store.HistoryPoint
	Now    *store.Rating // nil where there is no score
}

func (n *nftPages) readHistory(ctx context.Context, id string) (h nftPoints, err error) {
	if ledger.CheckID("id", id) != nil {
		return h, errNotFound
	}
	err = n.Store.View(ctx, func(v store.View) error {
		nft, err := v.NFT(ctx, id)
		if err != nil {
			return err
		}
		ratings, err := v.Ratings(ctx, []string{id})
		if err != nil {
			return err
		}
		if len(ratings) > 0 && ratings[0].Score != nil {
			h.Now = &ratings[0]
		}
		h.Points, err = v.History(ctx, nft.Number, nftHistory)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return h, errNotFound
	}
	if err != nil {
		return h, fmt.Errorf("reading the history of a score: %w", err)
	}
	slices.Reverse(h.Points)
	return h, nil
}

func (n *nftPages) chart(w http.ResponseWriter, r *http.Request) error {
	h, err := n.history.get(r.Context(), r.URL.Query().Get("id"))
	if err != nil {
		return err
	}
	if r.URL.Query().Get("of") == "mean" {
		return n.json(w, h.meanChart())
	}
	return n.json(w, h.scoreChart())
}

// points calls add with each point, oldest first and one a second at the most,
// and with the score as it is now.
func (h *nftPoints) points(add func(store.HistoryPoint)) {
	list := slices.Clone(h.Points)
	if h.Now != nil {
		s := h.Now.Score
		list = append(list, store.HistoryPoint{At: s.ComputedAt, POA: s.POA, Confidence: s.Confidence, Mean: h.Now.Mean, Sigma: h.Now.Sigma})
	}
	for i, p := range list {
		if i+1 == len(list) || list[i+1].At.Unix() > p.At.Unix() {
			add(p)
		}
	}
}

// scoreChart is POA and confidence over time.
func (h *nftPoints) scoreChart() chartData {
	var d chartData
	var score, confidence []*float64
	h.points(func(p store.HistoryPoint) {
		d.Times, score, confidence = append(d.Times, p.At.Unix()), append(score, &p.POA), append(confidence, &p.Confidence)
	})
	low, high := 0.0, 100.0
	d.Range = []*float64{&low, &high}
	d.Series = []chartSeries{
		{Name: "POA", Kind: "line", Color: "s1", Step: true, Values: score, Total: latest(score)},
		{Name: "confidence", Kind: "line", Color: "s6", Step: true, Dash: true, Values: confidence, Total: latest(confidence)},
	}
	return d
}

// meanChart is the Elo mean over time, in a band of one sigma either side.
func (h *nftPoints) meanChart() chartData {
	var d chartData
	var mean, above, below []*float64
	low, high := math.Inf(1), math.Inf(-1)
	h.points(func(p store.HistoryPoint) {
		up, down := p.Mean+p.Sigma, p.Mean-p.Sigma
		low, high = min(low, down), max(high, up)
		d.Times, mean, above, below = append(d.Times, p.At.Unix()), append(mean, &p.Mean), append(above, &up), append(below, &down)
	})
	if len(d.Times) > 0 {
		low, high = 100*math.Floor(low/100), 100*math.Ceil(high/100)
		d.Range = []*float64{&low, &high}
	}
	d.Series = []chartSeries{
		{Name: "mean + sigma", Kind: "edge", Color: "s1", Values: above, Total: latest(above)},
		{Name: "mean", Kind: "line", Color: "s1", Values: mean, Total: latest(mean)},
		{Name: "mean − sigma", Kind: "edge", Color: "s1", Values: below, Total: latest(below)},
	}
	d.Bands = [][3]any{{0, 2, "s1"}}
	return d
}

func latest(values []*float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	return values[len(values)-1]
}
