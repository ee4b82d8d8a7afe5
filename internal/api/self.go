package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"poa/internal/access"
	"poa/internal/store"
)

type selfDoc struct {
	Name string `json:"name" doc:"Of the key, or of who is signed in; empty without either"`
	Role string `json:"role,omitempty" enum:"viewer,operator,voter-gateway"`
}

// totalsDoc are kept totals over all collections.
type totalsDoc struct {
	NFTs     int64            `json:"nfts"`
	Ready    int64            `json:"ready"`
	Scored   int64            `json:"scored"`
	Votes    map[string]int64 `json:"votes" doc:"By kind: matchup, super, slider, fire, unfire"`
	Computed map[string]int64 `json:"computed" doc:"Computations by reason"`
}

func (s *server) self() {
	register(s, operation{Method: http.MethodGet, Path: "/self", ID: "getSelf", Tag: "self", Need: access.Read, Summary: "Get the name and role of the key in use, or of who is signed in"}, s.getSelf)
	register(s, operation{Method: http.MethodGet, Path: "/totals", ID: "getTotals", Tag: "collections", Need: access.View, Summary: "Get the totals of votes, NFTs and computations"}, s.getTotals)
}

func (s *server) getSelf(ctx context.Context, _ *struct{}) (*out[selfDoc], error) {
	c := access.From(ctx)
	return answer(selfDoc{Name: c.Name(), Role: string(c.Role())}), nil
}

func (s *server) getTotals(ctx context.Context, _ *struct{}) (*out[totalsDoc], error) {
	var counters []store.Delta
	err := s.view(ctx, func(v store.View) (err error) {
		counters, err = v.Counters(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the counters: %w", err)
	}
	d := totalsDoc{Votes: map[string]int64{}, Computed: map[string]int64{}}
	for _, c := range counters {
		switch c.Name {
		case store.CountNFTs:
			d.NFTs += c.By
		case store.CountReady:
			d.Ready += c.By
		case store.CountScored:
			d.Scored += c.By
		}
		if kind, ok := strings.CutPrefix(c.Name, store.CountVoteKind); ok {
			d.Votes[kind] += c.By
		}
		if reason, ok := strings.CutPrefix(c.Name, store.CountReason); ok {
			d.Computed[reason] += c.By
		}
	}
	return answer(d), nil
}
