package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"poa/internal/access"
	"poa/internal/ledger"
	"poa/internal/store"
)

// NFTPath is the NFT that a path names.
type NFTPath struct {
	ID string `path:"id" maxLength:"600" doc:"Id of the NFT, percent-encoded" example:"contract%2F1"`
}

func (n NFTPath) check() error { return checkID("path.id", n.ID) }

// checkID returns an error that names location for text that cannot be an id.
func checkID(location, id string) error {
	if err, ok := ledger.CheckID("", id).(*ledger.Error); ok {
		return &failure{err.Code, location, err.Message}
	}
	return nil
}

// Filter chooses NFTs by collection.
type Filter struct {
	Collection   freeText `query:"collection" maxLength:"200" doc:"Only of the collection with this name"`
	NoCollection bool     `query:"no_collection" doc:"Only those without a collection"`
}

// collection is nil for all.
func (f Filter) collection() (*string, error) {
	switch {
	case f.NoCollection && f.Collection != "":
		return nil, &failure{ledger.CodeNotAllowed, "query.no_collection", "cannot be together with collection"}
	case f.NoCollection || f.Collection != "":
		return (*string)(&f.Collection), nil
	}
	return nil, nil
}

// scoreDoc is a published score.
type scoreDoc struct {
	POA         float64   `json:"poa" doc:"0 to 100"`
	Confidence  float64   `json:"confidence" doc:"Percent"`
	Provisional bool      `json:"provisional" doc:"Few matchups were behind it"`
	Elo         float64   `json:"elo" doc:"Component, 0 to 100"`
	Slider      float64   `json:"slider" doc:"Component, 0 to 100"`
	Fire        float64   `json:"fire" doc:"Component, 0 to 100"`
	Reliability float64   `json:"reliability" doc:"Mean weight of the votes behind it"`
	Votes       int64     `json:"votes" doc:"The NFT's vote count when it was computed"`
	ComputedAt  time.Time `json:"computed_at"`
	Reason      string    `json:"reason" doc:"A trigger's, or batch, manual, backfill"`
	Basis       string    `json:"basis" enum:"incremental,exact"`
	ThroughVote int64     `json:"through_vote" doc:"Number of the latest vote that is in it"`
	Version     int64     `json:"scoring_version"`
}

func asScore(s *store.Score) scoreDoc {
	return scoreDoc{
		POA: s.POA, Confidence: s.Confidence, Provisional: s.Provisional, Elo: s.Elo, Slider: s.Slider, Fire: s.Fire, Reliability: s.Reliability,
		Votes: s.Votes, ComputedAt: s.ComputedAt.UTC(), Reason: s.Reason, Basis: string(s.Basis), ThroughVote: s.ThroughVote, Version: s.Version,
	}
}

type dueDoc struct {
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason"`
	Priority string    `json:"priority" enum:"none,medium,high"`
}

func asDue(d store.Due) *dueDoc {
	if d.Since.IsZero() {
		return nil
	}
	return &dueDoc{d.Since.UTC(), d.Reason, d.Priority.String()}
}

// NFTDoc is an NFT with its score.
type NFTDoc struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Collection string    `json:"collection"`
	ImageURL   string    `json:"image_url"`
	Status     string    `json:"status" enum:"unrated,ready,scored" doc:"ready: there are votes, and no score yet"`
	Votes      int64     `json:"votes" doc:"Vote count now; a super vote counts more than one"`
	Due        *dueDoc   `json:"due,omitempty" doc:"A computation is owed"`
	Score      *scoreDoc `json:"score,omitempty"`
}

func asNFT(r store.Ranked) NFTDoc {
	d := NFTDoc{
		ID: r.NFT.ID, Name: r.NFT.Name, Collection: r.NFT.Collection, ImageURL: r.NFT.ImageURL,
		Status: "unrated", Votes: r.Rating.Votes, Due: asDue(r.Rating.Due),
	}
	if s := r.Rating.Score; s != nil {
		score := asScore(s)
		d.Status, d.Score = "scored", &score
	} else if r.Rating.Scorable() {
		d.Status = "ready"
	}
	return d
}

// PutNFT is an NFT as clients register it.
type PutNFT struct {
	Name       freeText `json:"name,omitempty" maxLength:"1000"`
	Collection string   `json:"collection,omitempty" doc:"Name of its collection, which is made where there is none; up to 200 bytes"`
	ImageURL   freeText `json:"image_url,omitempty" maxLength:"8000"`
}

// nft returns the NFT to store, with the location of what is wrong.
func (p PutNFT) nft(id, location string) (store.NFT, error) {
	n := store.NFT{ID: id, Name: string(p.Name), Collection: p.Collection, ImageURL: string(p.ImageURL)}
	if n.Collection != "" {
		if err := checkID(location+".collection", n.Collection); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *server) nfts() {
	register(s, operation{
		Method: http.MethodGet, Path: "/nfts", ID: "listNFTs", Tag: "nfts", Need: access.Read,
		Summary: "List NFTs", Description: "In the order of their registration. Search matches the beginning of an id or name.",
	}, s.listNFTs)
	register(s, operation{
		Method: http.MethodPost, Path: "/nfts", ID: "registerNFTs", Tag: "nfts", Need: access.Operate, MaxBody: maxVotesBody,
		Summary: "Register many NFTs", Description: fmt.Sprintf("Up to %d. If one is wrong, none is registered.", maxItems),
	}, s.registerNFTs)
	register(s, operation{
		Method: http.MethodPut, Path: "/nfts/{id}", ID: "registerNFT", Tag: "nfts", Need: access.Operate,
		Summary: "Register an NFT", Description: "Replaces name, collection and image of one that is registered: 200; 201 for a new one.",
	}, s.registerNFT)
	addStatus(s.api.OpenAPI().Paths[Prefix+"/nfts/{id}"].Put, "201", "200", "The NFT is new")
	register(s, operation{
		Method: http.MethodGet, Path: "/nfts/{id}", ID: "getNFT", Tag: "nfts", Need: access.Read, Summary: "Get an NFT with its score",
	}, s.getNFT)
	register(s, operation{
		Method: http.MethodGet, Path: "/nfts/{id}/votes", ID: "listNFTVotes", Tag: "nfts", Need: access.View, Summary: "List the votes on an NFT", Description: "Latest first.",
	}, s.listNFTVotes)
}

type listNFTsIn struct {
	Page
	Filter
	Search freeText `query:"search" maxLength:"200" doc:"Beginning of an id or name"`
	Status string   `query:"status" enum:"scored,ready,due" doc:"ready: votes, and no score yet; due: a computation is owed"`
}

func (s *server) listNFTs(ctx context.Context, in *listNFTsIn) (*out[list[NFTDoc]], error) {
	after, err := in.number("nft")
	if err != nil {
		return nil, err
	}
	collection, err := in.collection()
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.ListNFTs(ctx, store.NFTQuery{Search: string(in.Search), Collection: collection, Status: store.NFTStatus(in.Status), After: after, Limit: in.Limit})
	if err != nil {
		return nil, fmt.Errorf("listing NFTs: %w", err)
	}
	return answer(paged(rows, in.Limit, asNFT, func(r store.Ranked) string { return numberCursor("nft", r.NFT.Number) })), nil
}

type registerNFTsIn struct {
	Body []struct {
		ID string `json:"id" minLength:"1" maxLength:"200"`
		PutNFT
	} `minItems:"1" maxItems:"5000" nullable:"false"`
}

type registeredDoc struct {
	Created int `json:"created"`
	Updated int `json:"updated"`
}

func (s *server) registerNFTs(ctx context.Context, in *registerNFTsIn) (*out[registeredDoc], error) {
	nfts := make([]store.NFT, len(in.Body))
	for i, item := range in.Body {
		location := fmt.Sprintf("body[%d]", i)
		if err := checkID(location+".id", item.ID); err != nil {
			return nil, err
		}
		var err error
		if nfts[i], err = item.nft(item.ID, location); err != nil {
			return nil, err
		}
	}
	created, updated, err := s.Operate.Register(ctx, nfts, who(ctx))
	if err != nil {
		return nil, err
	}
	return answer(registeredDoc{created, updated}), nil
}

type registerNFTIn struct {
	NFTPath
	Body PutNFT
}

type nftOut struct {
	Status int
	Body   NFTDoc
}

func (s *server) registerNFT(ctx context.Context, in *registerNFTIn) (*nftOut, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	nft, err := in.Body.nft(in.ID, "body")
	if err != nil {
		return nil, err
	}
	created, _, err := s.Operate.Register(ctx, []store.NFT{nft}, who(ctx))
	if err != nil {
		return nil, err
	}
	found, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if created > 0 {
		status = http.StatusCreated
	}
	return &nftOut{status, asNFT(found)}, nil
}

func (s *server) getNFT(ctx context.Context, in *NFTPath) (*out[NFTDoc], error) {
	found, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(asNFT(found)), nil
}

// find returns an NFT with its rating: a zero one, with number 0, where nobody
// has voted on it.
func (s *server) find(ctx context.Context, id string) (r store.Ranked, err error) {
	err = s.view(ctx, func(v store.View) error {
		r, err = findIn(ctx, v, id)
		return err
	})
	return r, err
}

// voteRow is a vote of the log.
type voteRow struct {
	Number     int64     `json:"number"`
	Key        string    `json:"key"`
	Voter      string    `json:"voter"`
	Kind       string    `json:"kind" enum:"matchup,slider,fire,unfire"`
	A          string    `json:"a"`
	B          string    `json:"b,omitempty"`
	Outcome    string    `json:"outcome,omitempty" enum:"a,b,tie,none"`
	Super      bool      `json:"super"`
	Value      *float64  `json:"value,omitempty"`
	Weight     float64   `json:"weight" doc:"With which it was folded"`
	CastAt     time.Time `json:"cast_at"`
	ReceivedAt time.Time `json:"received_at"`
}

func asVote(v store.Vote) voteRow {
	row := voteRow{
		Number: v.Number, Key: v.Key, Voter: v.VoterID, Kind: v.Kind.String(), A: v.AID, B: v.BID, Outcome: v.Outcome.String(),
		Super: v.Super, Weight: v.Weight.Float(), CastAt: v.CastAt.UTC(), ReceivedAt: v.ReceivedAt.UTC(),
	}
	if row.Kind == "slider" {
		row.Value = &v.Value
	}
	return row
}

type nftPageIn struct {
	NFTPath
	Page
}

func (s *server) listNFTVotes(ctx context.Context, in *nftPageIn) (*out[list[voteRow]], error) {
	before, err := in.number("vote")
	if err != nil {
		return nil, err
	}
	found, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.listVotes(ctx, found.NFT.Number, 0, before, in.Limit)
}

func (s *server) listVotes(ctx context.Context, nft, voter, before int64, limit int) (*out[list[voteRow]], error) {
	rows, err := s.Store.VotesOf(ctx, nft, voter, before, limit)
	if err != nil {
		return nil, fmt.Errorf("listing votes: %w", err)
	}
	return answer(paged(rows, limit, asVote, func(v store.Vote) string { return numberCursor("vote", v.Number) })), nil
}
