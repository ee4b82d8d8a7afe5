package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"poa/internal/ledger"
	"poa/internal/scoring"
)

type voteCommand struct {
	Voter   string   `required:"" placeholder:"ID" help:"Who votes."`
	A       string   `required:"" name:"a" placeholder:"NFT" help:"The NFT, or the first NFT of a matchup."`
	B       string   `name:"b" placeholder:"NFT" help:"The second NFT of a matchup."`
	Outcome string   `placeholder:"a|b|tie|none" xor:"kind" help:"A matchup, and who won: a, b, tie or none."`
	Super   bool     `help:"The matchup is a super vote."`
	Slider  *float64 `placeholder:"0-100" xor:"kind" help:"A slider rating."`
	Fire    bool     `xor:"kind" help:"A FIRE."`
	Unfire  bool     `xor:"kind" help:"The withdrawal of a FIRE."`
	Key     string   `placeholder:"KEY" help:"The vote's own key: the same key counts once. [random, and printed]"`
	CastAt  string   `placeholder:"TIME" help:"When it was cast, such as 2026-01-31T18:30:00Z. [now]"`
}

// vote returns the vote that the flags say.
func (c *voteCommand) vote() (ledger.Vote, error) {
	v := ledger.Vote{Key: c.Key, Voter: c.Voter, A: c.A, B: c.B, Vote: scoring.Vote{Super: c.Super}}
	if c.CastAt != "" {
		at, err := time.Parse(time.RFC3339, c.CastAt)
		if err != nil {
			return v, fmt.Errorf("--cast-at must be a time with its zone, such as 2026-01-31T18:30:00Z, is %q", c.CastAt)
		}
		v.CastAt = at
	}
	switch {
	case c.Outcome != "":
		v.Kind = scoring.Matchup
		outcome, ok := scoring.ParseOutcome(c.Outcome)
		if !ok {
			return v, fmt.Errorf("--outcome must be a, b, tie or none, is %q", c.Outcome)
		}
		v.Outcome = outcome
	case c.Slider != nil:
		v.Kind, v.Value = scoring.Slider, *c.Slider
	case c.Fire:
		v.Kind = scoring.Fire
	case c.Unfire:
		v.Kind = scoring.Unfire
	default:
		return v, errors.New("say what the vote is: --outcome (of a matchup), --slider, --fire or --unfire")
	}
	if v.Key == "" {
		v.Key = "cli-" + rand.Text()
	}
	return v, nil
}

func (c *voteCommand) Run(ctx context.Context, m *Main) error {
	vote, err := c.vote()
	if err != nil {
		return usageError{err}
	}
	if err := vote.Check(m.Now()); err != nil {
		return notTaken(err)
	}
	if err := m.openToWrite(ctx); err != nil {
		return err
	}
	policy, err := m.policy(ctx)
	if err != nil {
		return err
	}
	l := m.newLedger(policy)
	answers, err := l.Submit(ctx, []ledger.Vote{vote})
	// The ledger drains even where ctx has ended.
	err = errors.Join(err, l.Close(context.WithoutCancel(ctx)))
	if err != nil {
		return withHint(fmt.Errorf("voting with key %q: %w", vote.Key, err), "run it again with --key %s: it counts once", vote.Key)
	}
	if err := answers[0].Err; err != nil {
		return notTaken(err)
	}
	return m.showAnswer(vote.Key, &answers[0])
}

// notTaken tells a vote that was refused from one that could not be recorded.
func notTaken(err error) error {
	if e := (*ledger.Error)(nil); errors.As(err, &e) {
		switch e.Code {
		case ledger.CodeInternal, ledger.CodeTryAgain, ledger.CodeUnknown:
			return err
		}
	}
	return findings{fmt.Errorf("the vote was refused: %w", err)}
}

func (m *Main) showAnswer(key string, a *ledger.Answer) error {
	if m.cli.JSON {
		return m.printJSON(asAnswerDoc(key, a))
	}
	if a.Duplicate {
		m.printf("vote %d was recorded before with this key; it counts once\n", a.Number)
		return nil
	}
	m.printf("vote %d recorded, key %s\n", a.Number, key)
	for _, t := range a.Triggered {
		what := "score not computed: " + t.Deferred
		switch {
		case t.Score != nil:
			what = fmt.Sprintf("POA %.2f at %.1f %% confidence", t.Score.POA, t.Score.Confidence)
		case t.Deferred == "":
			what = "no score any more: nothing stands that could give one"
		}
		m.printf("%s: %s, %s priority: %s\n", clean(t.NFT), reasonText(t.Decision), t.Priority, clean(what))
	}
	if len(a.Triggered) == 0 {
		m.printf("no trigger: the next batch, or poa compute, takes it into the score\n")
	}
	return nil
}

type answerDoc struct {
	Key       string         `json:"key"`
	Number    int64          `json:"number"`
	Duplicate bool           `json:"duplicate"`
	Triggered []triggeredDoc `json:"triggered"`
}

type triggeredDoc struct {
	NFT       string    `json:"nft"`
	Reason    string    `json:"reason"`
	Priority  string    `json:"priority"`
	Milestone int64     `json:"milestone,omitempty"`
	Deferred  string    `json:"deferred,omitempty"`
	Score     *scoreDoc `json:"score"`
}

func asAnswerDoc(key string, a *ledger.Answer) answerDoc {
	doc := answerDoc{Key: key, Number: a.Number, Duplicate: a.Duplicate, Triggered: make([]triggeredDoc, len(a.Triggered))}
	for i, t := range a.Triggered {
		doc.Triggered[i] = triggeredDoc{NFT: t.NFT, Reason: string(t.Reason), Priority: t.Priority.String(), Milestone: t.Milestone, Deferred: t.Deferred}
		if t.Score != nil {
			score := asScoreDoc(t.Score)
			doc.Triggered[i].Score = &score
		}
	}
	return doc
}
