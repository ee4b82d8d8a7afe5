package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"poa/internal/exact"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
)

type scoreCommand struct {
	NFT string `arg:"" name:"nft" help:"Id of the NFT."`
}

// explained is all that is known about an NFT's score.
type explained struct {
	nft        store.NFT
	rating     *store.Rating      // nil: nobody has voted on it
	published  *store.Score       // nil: none
	constants  scoring.Publishing // with which it was published
	current    scoring.Publishing // in force
	superVotes int64              // that a super vote counts as
	now        *scoring.Result    // what the sums give now, nil for no score
	exact      *scoring.Result    // what an exact computation would give now, nil for no score
	after      int64              // votes counted since it was published
}

func (c *scoreCommand) Run(ctx context.Context, m *Main) error {
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	policy, err := m.policy(ctx)
	if err != nil {
		return err
	}
	var e explained
	err = m.store.View(ctx, func(v store.View) error {
		e, err = explain(ctx, v, policy, c.NFT)
		return err
	})
	if err != nil {
		return err
	}
	if m.cli.JSON {
		return m.printJSON(e.doc())
	}
	e.print(m)
	return nil
}

func explain(ctx context.Context, v store.View, p *publish.Policy, id string) (e explained, err error) {
	e.current, e.constants, e.superVotes = p.Constants.Publishing, p.Constants.Publishing, p.Constants.SuperVotes
	if e.nft, e.rating, err = findNFT(ctx, v, id); err != nil || e.rating == nil {
		return e, err
	}
	if now, ok := p.Constants.Score(&e.rating.Rating); ok {
		e.now = &now
	}
	_, result, ok, err := exact.Preview(ctx, v, p, e.rating.NFT)
	if err != nil {
		return e, fmt.Errorf("computing the exact score of NFT %q: %w", id, err)
	}
	if ok {
		e.exact = &result
	}
	if e.published = e.rating.Score; e.published != nil {
		e.after = e.rating.Votes - e.published.Votes
		if e.constants, err = v.ScoringVersion(ctx, e.published.Version); err != nil {
			return e, fmt.Errorf("reading scoring version %d: %w", e.published.Version, err)
		}
	}
	return e, nil
}

// missing says why there is no score, and what would give one.
func (e *explained) missing() (why, remedy string) {
	const opinion = "a decided or tied matchup, a slider rating or a FIRE: poa vote, or poa import"
	r := e.rating
	switch {
	case r == nil || r.Votes+r.Skips+r.FireVotes == 0:
		return "nobody has voted on it", opinion
	case r.Scorable():
		return "its votes have triggered no computation yet", "the next batch, or poa compute " + e.nft.ID
	case r.Matchups == 0 && r.FireVotes == 0 && r.SliderVotes == 0:
		return "in every matchup shown, the voter chose neither", opinion
	}
	return "no FIRE stands any more, and it has no other votes", opinion
}

// print explains the score to people.
func (e *explained) print(m *Main) {
	m.printf("%s", m.style(m.Stdout, bold, "NFT "+clean(e.nft.ID)))
	if e.nft.Name != "" {
		m.printf("  %s", clean(e.nft.Name))
	}
	if e.nft.Collection != "" {
		m.printf("  (collection %s)", clean(e.nft.Collection))
	}
	m.printf("\n")
	if e.published == nil {
		why, remedy := e.missing()
		m.printf("It has no score: %s.\nIt gets one by %s\n", why, clean(remedy))
		if e.rating == nil {
			return
		}
	} else {
		e.printPublished(m)
	}
	m.printf("\n")
	m.printTable(e.table())
	m.printf("\n")
	e.printInputs(m)
	m.printf("\n")
	if e.published != nil {
		e.printDifference(m)
	}
	if due := e.rating.Due; !due.Since.IsZero() {
		m.printf("A computation is owed since %s: %s, %s priority.\n", stamp(due.Since), due.Reason, due.Priority)
	}
}

func (e *explained) printPublished(m *Main) {
	s := e.published
	m.printf("%s  confidence %.2f %%", m.style(m.Stdout, bold, fmt.Sprintf("POA %.2f", s.POA)), s.Confidence)
	if s.Provisional {
		m.printf(", provisional: fewer than %s then", plural(e.constants.Provisional, "matchup"))
	}
	m.printf("\n%s\n", e.constants.Explain(s.POA, s.Components))
	m.printf("Computed %s (%s), %s, reason: %s, through vote %d, scoring version %d.\n",
		stamp(s.ComputedAt), ago(s.ComputedAt, m.Now()), s.Basis, strings.ReplaceAll(s.Reason, "_", " "), s.ThroughVote, s.Version)
	switch {
	case e.after > 0:
		m.printf("Votes counted since then: %s.\n", grouped(e.after))
	case e.rating.LastVote != s.ThroughVote:
		m.printf("Since then votes were recorded that add nothing to the vote count.\n")
	}
}

// printDifference says how far an exact computation differs now.
func (e *explained) printDifference(m *Main) {
	if e.exact == nil {
		m.printf("An exact computation now would withdraw the score: nothing stands that could give one.\n")
		return
	}
	diff := e.exact.POA - e.published.POA
	if diff == 0 {
		m.printf("An exact computation now gives the same POA.\n")
	} else {
		m.printf("An exact computation now gives POA %.2f (%+.2f): poa compute %s publishes it.\n", e.exact.POA, diff, clean(e.nft.ID))
	}
	if e.constants != e.current {
		m.printf("The publishing constants have changed since it was computed; the weights shown are those in force.\n")
	}
}

// table shows every part of the score: as published, as the sums give it now
// and as an exact computation would.
func (e *explained) table() *table {
	titles := []string{"PART", ">WEIGHT", ">SUMS NOW", ">EXACT NOW"}
	if e.published != nil {
		titles = []string{"PART", ">WEIGHT", ">PUBLISHED", ">SUMS NOW", ">EXACT NOW"}
	}
	t := newTable(titles...)
	add := func(part, weight, format string, value func(*scoring.Publishing, *scoring.Result) float64) {
		cells := []string{part, weight}
		if e.published != nil {
			cells = append(cells, fmt.Sprintf(format, value(&e.constants, &e.published.Result)))
		}
		for _, r := range []*scoring.Result{e.now, e.exact} {
			if r == nil {
				cells = append(cells, "-")
			} else {
				cells = append(cells, fmt.Sprintf(format, value(&e.current, r)))
			}
		}
		t.add(cells...)
	}
	percent := func(x float64) string { return fmt.Sprintf("%.4g %%", x*100) }
	add("Elo", percent(e.current.EloWeight), "%.2f", func(_ *scoring.Publishing, s *scoring.Result) float64 { return s.Elo })
	add("slider", percent(e.current.SliderWeight), "%.2f", func(_ *scoring.Publishing, s *scoring.Result) float64 { return s.Slider })
	add("FIRE", percent(e.current.FireWeight), "%.2f", func(_ *scoring.Publishing, s *scoring.Result) float64 { return s.Fire })
	add("weighted sum", "", "%.2f", func(p *scoring.Publishing, s *scoring.Result) float64 { return weighted(p, s.Components) })
	add("reliability", "", "× %.3f", func(_ *scoring.Publishing, s *scoring.Result) float64 { return s.Reliability })
	add("POA", "", "%.2f", func(_ *scoring.Publishing, s *scoring.Result) float64 { return s.POA })
	add("confidence", "", "%.2f %%", func(_ *scoring.Publishing, s *scoring.Result) float64 { return s.Confidence })
	return t
}

// printInputs says what the sums are that the parts come from.
func (e *explained) printInputs(m *Main) {
	r, c := e.rating, &e.current
	m.printf("What the parts come from, as the sums are now:\n")
	m.printf("  Elo: mean %.1f, where %g gives 0 and %g gives 100; %s, counted as %s won, %s lost, %s tied (a super vote counts %d times)\n", r.Mean,
		c.EloFloor, c.EloCeiling, plural(r.Matchups, "matchup"), grouped(r.Wins), grouped(r.Losses), grouped(r.Ties), e.superVotes)
	if r.Sliders == 0 {
		m.printf("  slider: no rating stands, so it is the neutral value\n")
	} else {
		m.printf("  slider: %s of %s given, weights sum to %.3f\n", plural(r.Sliders, "standing rating"), grouped(r.SliderVotes), r.SliderWeight.Float())
	}
	if r.Fires == 0 {
		m.printf("  FIRE: none stands\n")
	} else {
		m.printf("  FIRE: %s, weights sum to %.3f, where %g gives 100\n", plural(r.Fires, "standing vote"), r.FireWeight.Float(), c.FireSaturation)
	}
	m.printf("  reliability: mean weight of %s and %s\n", plural(r.Matchups, "matchup"), plural(r.Sliders+r.Fires, "standing opinion"))
	m.printf("  confidence: sigma %.1f, where %g gives 0\n", r.Sigma, c.SigmaScale)
}

// weighted returns the weighted sum of the components.
func weighted(p *scoring.Publishing, c scoring.Components) float64 {
	elo, slider, fire := p.Shares(c)
	return elo + slider + fire
}

type partDoc struct {
	Elo         float64 `json:"elo"`
	Slider      float64 `json:"slider"`
	Fire        float64 `json:"fire"`
	Sum         float64 `json:"sum"`
	Reliability float64 `json:"reliability"`
	POA         float64 `json:"poa"`
	Confidence  float64 `json:"confidence"`
	Provisional bool    `json:"provisional"`
}

func asPartDoc(p *scoring.Publishing, r *scoring.Result) *partDoc {
	if r == nil {
		return nil
	}
	return &partDoc{r.Elo, r.Slider, r.Fire, weighted(p, r.Components), r.Reliability, r.POA, r.Confidence, r.Provisional}
}

type inputsDoc struct {
	Mean          float64 `json:"mean"`
	Sigma         float64 `json:"sigma"`
	Votes         int64   `json:"votes"`
	Wins          int64   `json:"wins"`
	Losses        int64   `json:"losses"`
	Ties          int64   `json:"ties"`
	Matchups      int64   `json:"matchups"`
	Skips         int64   `json:"skips"`
	SliderVotes   int64   `json:"slider_votes"`
	FireVotes     int64   `json:"fire_votes"`
	MatchupWeight float64 `json:"matchup_weight"`
	Sliders       int64   `json:"standing_sliders"`
	SliderSum     float64 `json:"slider_sum"`
	SliderWeight  float64 `json:"slider_weight"`
	Fires         int64   `json:"standing_fires"`
	FireWeight    float64 `json:"fire_weight"`
	LastVote      int64   `json:"last_vote"`
}

type dueDoc struct {
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason"`
	Priority string    `json:"priority"`
}

type explainedDoc struct {
	NFT         string              `json:"nft"`
	Name        string              `json:"name"`
	Collection  string              `json:"collection"`
	ImageURL    string              `json:"image_url"`
	Score       *scoreDoc           `json:"score"`
	Sentence    string              `json:"sentence,omitempty"`
	NoScore     string              `json:"no_score,omitempty"`
	Remedy      string              `json:"remedy,omitempty"`
	VotesSince  int64               `json:"votes_since"`
	Constants   *scoring.Publishing `json:"constants"`
	Inputs      *inputsDoc          `json:"inputs"`
	Incremental *partDoc            `json:"incremental_now"`
	Exact       *partDoc            `json:"exact_now"`
	Difference  *float64            `json:"exact_difference"`
	Due         *dueDoc             `json:"due"`
}

func (e *explained) doc() explainedDoc {
	doc := explainedDoc{
		NFT: e.nft.ID, Name: e.nft.Name, Collection: e.nft.Collection, ImageURL: e.nft.ImageURL,
		Constants: &e.current, Incremental: asPartDoc(&e.current, e.now), Exact: asPartDoc(&e.current, e.exact), VotesSince: e.after,
	}
	if s := e.published; s != nil {
		score := asScoreDoc(s)
		doc.Score, doc.Sentence = &score, e.constants.Explain(s.POA, s.Components)
		if e.exact != nil {
			diff := e.exact.POA - s.POA
			doc.Difference = &diff
		}
	} else {
		doc.NoScore, doc.Remedy = e.missing()
	}
	if r := e.rating; r != nil {
		doc.Inputs = &inputsDoc{
			Mean: r.Mean, Sigma: r.Sigma, Votes: r.Votes, Wins: r.Wins, Losses: r.Losses, Ties: r.Ties, Matchups: r.Matchups, Skips: r.Skips,
			SliderVotes: r.SliderVotes, FireVotes: r.FireVotes, MatchupWeight: r.MatchupWeight.Float(), Sliders: r.Sliders,
			SliderSum: r.SliderSum.Float(), SliderWeight: r.SliderWeight.Float(), Fires: r.Fires, FireWeight: r.FireWeight.Float(), LastVote: r.LastVote,
		}
		if !r.Due.Since.IsZero() {
			doc.Due = &dueDoc{r.Due.Since, r.Due.Reason, r.Due.Priority.String()}
		}
	}
	return doc
}
