package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"poa/internal/access"
	"poa/internal/ledger"
	"poa/internal/scoring"
)

// answerDoc is what became of a vote.
type answerDoc struct {
	Key       string         `json:"key"`
	Number    int64          `json:"number" doc:"In the log of votes; of a duplicate, the first one's"`
	Duplicate bool           `json:"duplicate" doc:"The key was known, with the same content: it counts once"`
	Triggered []triggeredDoc `json:"triggered" nullable:"false" doc:"Computations that the vote caused"`
}

type triggeredDoc struct {
	NFT       string    `json:"nft"`
	Reason    string    `json:"reason" enum:"super,fire,milestone,high_activity"`
	Priority  string    `json:"priority" enum:"medium,high"`
	Milestone int64     `json:"milestone,omitempty" doc:"Vote count that was crossed"`
	Deferred  string    `json:"deferred,omitempty" doc:"Why the computation was put off; the NFT is due"`
	Score     *scoreDoc `json:"score,omitempty" doc:"What was published with the vote"`
}

func asAnswer(key string, a *ledger.Answer) answerDoc {
	d := answerDoc{Key: key, Number: a.Number, Duplicate: a.Duplicate, Triggered: make([]triggeredDoc, len(a.Triggered))}
	for i, t := range a.Triggered {
		d.Triggered[i] = triggeredDoc{NFT: t.NFT, Reason: string(t.Reason), Priority: t.Priority.String(), Milestone: t.Milestone, Deferred: t.Deferred}
		if t.Score != nil {
			score := asScore(t.Score)
			d.Triggered[i].Score = &score
		}
	}
	return d
}

// itemDoc is what became of one vote of many.
type itemDoc struct {
	Index  int              `json:"index" doc:"Place in the request, from 0"`
	Status int              `json:"status" doc:"As if the vote had been sent alone: 201 recorded, 200 duplicate, or that of the problem"`
	Vote   *answerDoc       `json:"vote,omitempty"`
	Error  *huma.ErrorModel `json:"error,omitempty"`
}

type manyDoc struct {
	Recorded   int       `json:"recorded"`
	Duplicates int       `json:"duplicates"`
	Refused    int       `json:"refused"`
	Items      []itemDoc `json:"items" nullable:"false" doc:"One for each vote, in their order"`
}

type voteIn struct {
	MediaType
	RawBody []byte
}

type manyIn struct {
	MediaType
	RawBody []byte
}

// MediaType keeps the content type of a raw body.
type MediaType struct{ contentType string }

// Resolve implements huma.Resolver.
func (m *MediaType) Resolve(ctx huma.Context) []error {
	m.contentType = ctx.Header("Content-Type")
	return nil
}

type voteOut struct {
	Status int
	Body   answerDoc
}

func (s *server) votes() {
	register(s, operation{
		Method: http.MethodPost, Path: "/votes", ID: "castVote", Tag: "votes", Need: access.Cast, Status: http.StatusCreated, Raw: true,
		Summary:     "Cast a vote",
		Description: "Answers once the vote is committed: 201, or 200 for a key that is known with the same content. Repeat with the same key after any error that says so: it counts once.",
	}, s.castVote)
	register(s, operation{
		Method: http.MethodPost, Path: "/votes/batch", ID: "castVotes", Tag: "votes", Need: access.Cast, MaxBody: maxVotesBody, Raw: true,
		Summary:     "Cast many votes",
		Description: fmt.Sprintf("Up to %d votes, as a JSON array or, as application/x-ndjson, one a line. They are folded in their order, each is answered in its place, and one that is refused loses no other.", maxItems),
	}, s.castMany)
	register(s, operation{
		Method: http.MethodDelete, Path: "/nfts/{id}/fire", ID: "withdrawFire", Tag: "votes", Need: access.Cast, Status: http.StatusCreated,
		Summary:     "Withdraw a FIRE",
		Description: "The same as a vote of kind unfire.",
	}, s.withdrawFire)

	doc := s.api.OpenAPI()
	vote := doc.Components.Schemas.Schema(reflect.TypeFor[voteDoc](), true, "Vote")
	doc.Paths[Prefix+"/votes"].Post.RequestBody.Content = map[string]*huma.MediaType{"application/json": {Schema: vote}}
	doc.Paths[Prefix+"/votes/batch"].Post.RequestBody.Content = map[string]*huma.MediaType{
		"application/json":     {Schema: &huma.Schema{Type: huma.TypeArray, Items: vote}},
		"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString, Description: "A vote as JSON on each line"}},
	}
	addStatus(doc.Paths[Prefix+"/votes"].Post, "200", "201", "The vote was recorded before")
	addStatus(doc.Paths[Prefix+"/nfts/{id}/fire"].Delete, "200", "201", "The vote was recorded before")
}

// addStatus documents another status with the body of one that is documented.
func addStatus(op *huma.Operation, status, like, description string) {
	if r := op.Responses[like]; r != nil {
		op.Responses[status] = &huma.Response{Description: description, Content: r.Content}
	}
}

func (s *server) castVote(ctx context.Context, in *voteIn) (*voteOut, error) {
	if mediaTypeOf(in.contentType) != "application/json" {
		return nil, unsupported(in.contentType, "application/json")
	}
	vote, err := decodeVote(in.RawBody)
	if err != nil {
		return nil, err
	}
	return s.cast(ctx, vote)
}

// cast submits one vote.
func (s *server) cast(ctx context.Context, vote ledger.Vote) (*voteOut, error) {
	if err := s.Guard.TakeVote(vote.Voter); err != nil {
		return nil, err
	}
	answers, err := s.Votes.Submit(ctx, []ledger.Vote{vote})
	if err != nil {
		return nil, err
	}
	if answers[0].Err != nil {
		return nil, answers[0].Err
	}
	status := http.StatusCreated
	if answers[0].Duplicate {
		status = http.StatusOK
	}
	return &voteOut{status, asAnswer(vote.Key, &answers[0])}, nil
}

func (s *server) castMany(ctx context.Context, in *manyIn) (*out[manyDoc], error) {
	texts, err := decodeMany(in.contentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	if len(texts) > maxItems {
		return nil, &failure{ledger.CodeTooLong, "body", fmt.Sprintf("must be at most %d votes, are %d", maxItems, len(texts))}
	}
	if err := s.Guard.Take(access.From(ctx), max(0, len(texts)-1)); err != nil { // the request itself took one
		return nil, err
	}
	many := manyDoc{Items: make([]itemDoc, len(texts))}
	votes := make([]ledger.Vote, 0, len(texts))
	places := make([]int, 0, len(texts)) // of votes in texts
	for i, text := range texts {
		vote, err := decodeVote(text)
		if err == nil {
			err = s.Guard.TakeVote(vote.Voter)
		}
		if err != nil {
			s.refuseItem(ctx, &many, i, err)
			continue
		}
		votes, places = append(votes, vote), append(places, i)
	}
	answers, err := s.Votes.Submit(ctx, votes)
	if err != nil {
		return nil, err
	}
	for n := range answers {
		if a := &answers[n]; a.Err != nil {
			s.refuseItem(ctx, &many, places[n], a.Err)
		} else {
			many.accept(places[n], asAnswer(votes[n].Key, a))
		}
	}
	return answer(many), nil
}

func (m *manyDoc) accept(i int, a answerDoc) {
	m.Items[i] = itemDoc{Index: i, Status: http.StatusCreated, Vote: &a}
	if a.Duplicate {
		m.Items[i].Status = http.StatusOK
		m.Duplicates++
		return
	}
	m.Recorded++
}

func (s *server) refuseItem(ctx context.Context, m *manyDoc, i int, err error) {
	p, _, ok := problemOf(err)
	if !ok {
		s.Log.Error("a vote failed", "request", requestOf(ctx).id, "index", i, "err", err)
	}
	for _, detail := range p.Errors { // body.voter is body[3].voter here
		if detail.Location != "" {
			detail.Location = fmt.Sprintf("body[%d]%s", i, detail.Location[len("body"):])
		}
	}
	m.Items[i] = itemDoc{Index: i, Status: p.Status, Error: p}
	m.Refused++
}

type withdrawIn struct {
	NFTPath
	Voter  string `query:"voter" required:"true" doc:"Id of the voter"`
	Key    string `query:"key" required:"true" doc:"The vote's own key: the same key counts once"`
	CastAt string `query:"cast_at" doc:"When it was cast (RFC 3339); the time of arrival without it"`
}

func (s *server) withdrawFire(ctx context.Context, in *withdrawIn) (*voteOut, error) {
	vote := ledger.Vote{Key: in.Key, Voter: in.Voter, A: in.ID, Vote: scoring.Vote{Kind: scoring.Unfire}}
	var err error
	if in.CastAt != "" {
		vote.CastAt, err = castAt(in.CastAt)
	}
	var result *voteOut
	if err == nil {
		result, err = s.cast(ctx, vote)
	}
	if e := (*ledger.Error)(nil); errors.As(err, &e) {
		return nil, fromQuery(e, in.ID)
	}
	return result, err
}

// fromQuery tells a refusal of a vote whose fields are in path and query.
func fromQuery(e *ledger.Error, nft string) error {
	switch {
	case e.Code == ledger.CodeUnknownNFT:
		return notFound("NFT", nft)
	case e.Field == "a":
		return &failure{e.Code, "path.id", e.Message}
	case e.Field == "":
		return e
	}
	return &failure{e.Code, "query." + e.Field, e.Message}
}
