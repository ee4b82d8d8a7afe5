package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"poa/internal/access"
	"poa/internal/ledger"
	"poa/internal/store"
)

// collectionDoc is a collection with its totals.
type collectionDoc struct {
	Name           string   `json:"name" doc:"Empty for the NFTs without a collection"`
	Active         bool     `json:"active" doc:"Batches leave NFTs of inactive collections out"`
	NFTs           int64    `json:"nfts"`
	Votes          int64    `json:"votes"`
	Ready          int64    `json:"ready" doc:"NFTs with votes and without a score"`
	Scored         int64    `json:"scored"`
	Coverage       *float64 `json:"coverage,omitempty" doc:"Share of the NFTs with votes that have a score, 0 to 1"`
	MeanPOA        *float64 `json:"mean_poa,omitempty"`
	MeanConfidence *float64 `json:"mean_confidence,omitempty"`
}

func asCollection(c store.Collection) collectionDoc {
	d := collectionDoc{Name: c.Name, Active: c.Active, NFTs: c.NFTs, Votes: c.Votes, Ready: c.Ready, Scored: c.Scored}
	d.Coverage = ratio(float64(c.Scored), c.Ready+c.Scored)
	d.MeanPOA = ratio(float64(c.POASum)/100, c.Scored)
	d.MeanConfidence = ratio(float64(c.ConfidenceSum)/100, c.Scored)
	return d
}

// ratio is nil where there is nothing to divide by.
func ratio(sum float64, n int64) *float64 {
	if n == 0 {
		return nil
	}
	x := sum / float64(n)
	return &x
}

func (s *server) collections() {
	register(s, operation{
		Method: http.MethodGet, Path: "/collections", ID: "listCollections", Tag: "collections", Need: access.Read, Summary: "List the collections with their totals",
		Description: "By name. A page holds them all where there are no more than limit.",
	}, s.listCollections)
	register(s, operation{
		Method: http.MethodPatch, Path: "/collections", ID: "switchCollection", Tag: "collections", Need: access.Operate,
		Summary: "Switch a collection on or off", Description: "Votes on its NFTs are taken and trigger either way; batches leave out the NFTs of a collection that is off.",
	}, s.switchCollection)
}

type listCollectionsIn struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"Collections of a page"`
	Cursor string `query:"cursor" maxLength:"400" doc:"next of the page before; without it, the first page"`
}

func (s *server) listCollections(ctx context.Context, in *listCollectionsIn) (*out[list[collectionDoc]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var rows []store.Collection
	err = s.view(ctx, func(v store.View) (err error) {
		rows, err = v.CollectionsAfter(ctx, after, in.Limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing collections: %w", err)
	}
	return answer(paged(rows, in.Limit, asCollection, func(c store.Collection) string { return seal("collection", c.Name) })), nil
}

// after reads a cursor that is the name of a collection, nil for none.
func (in *listCollectionsIn) after() (*string, error) {
	if in.Cursor == "" {
		return nil, nil
	}
	name, err := unseal("collection", in.Cursor)
	if err != nil || ledger.CheckText("", name) != nil {
		return nil, badCursor()
	}
	return &name, nil
}

func (s *server) readCollections(ctx context.Context) (rows []store.Collection, err error) {
	err = s.view(ctx, func(v store.View) (err error) {
		rows, err = v.Collections(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the collections: %w", err)
	}
	return rows, nil
}

// knownCollection returns an error where there is no such collection; nil
// stands for all.
func (s *server) knownCollection(ctx context.Context, name *string) error {
	if name == nil {
		return nil
	}
	rows, err := s.readCollections(ctx)
	if err != nil {
		return err
	}
	for _, c := range rows {
		if c.Name == *name {
			return nil
		}
	}
	return notFound("collection", *name)
}

type switchIn struct {
	Body struct {
		Name   freeText `json:"name" maxLength:"200"`
		Active bool     `json:"active"`
		Why    freeText `json:"why,omitempty" maxLength:"1000"`
	}
}

func (s *server) switchCollection(ctx context.Context, in *switchIn) (*out[collectionDoc], error) {
	name := string(in.Body.Name)
	err := s.Operate.SwitchCollection(ctx, name, in.Body.Active, string(in.Body.Why), who(ctx))
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("collection", name)
	}
	if err != nil {
		return nil, err
	}
	rows, err := s.readCollections(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		if c.Name == name {
			return answer(asCollection(c)), nil
		}
	}
	return nil, notFound("collection", name)
}
