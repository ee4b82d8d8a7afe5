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

// activityDoc is an entry of the log.
type activityDoc struct {
	Number    int64          `json:"number"`
	At        time.Time      `json:"at"`
	Kind      string         `json:"kind" doc:"computed, withdrawn, deferred, failed, run_started, cancel_asked, run_ended, paused, resumed, settings_changed, access_changed or nfts_registered"`
	NFT       string         `json:"nft,omitempty"`
	Reason    string         `json:"reason,omitempty" doc:"The first and most urgent"`
	Reasons   map[string]int `json:"reasons,omitempty" doc:"How often each occurred in the commit"`
	Priority  string         `json:"priority,omitempty"`
	Basis     string         `json:"basis,omitempty"`
	POABefore *float64       `json:"poa_before,omitempty"`
	POA       *float64       `json:"poa,omitempty"`
	Vote      int64          `json:"vote,omitempty" doc:"Number of the latest vote that is in it"`
	Run       int64          `json:"run,omitempty"`
	Who       string         `json:"who,omitempty"`
	Detail    string         `json:"detail,omitempty"`
}

func asActivity(a store.Activity) activityDoc {
	d := activityDoc{
		Number: a.Number, At: a.At.UTC(), Kind: string(a.Kind), NFT: a.NFTID, Reason: a.Reason, Reasons: a.Reasons, Basis: string(a.Basis),
		POABefore: a.POABefore, POA: a.POA, Vote: a.Vote, Run: a.Run, Who: a.Who, Detail: a.Detail,
	}
	if a.Priority != 0 {
		d.Priority = a.Priority.String()
	}
	return d
}

func (s *server) activity() {
	register(s, operation{Method: http.MethodGet, Path: "/activity", ID: "listActivity", Tag: "activity", Need: access.View,
		Summary: "List what was done and why", Description: "Newest first. /api/v1/stream tells it as it happens."}, s.listActivity)
}

type listActivityIn struct {
	Page
	NFT   string    `query:"nft" maxLength:"200" doc:"Id of an NFT"`
	Run   int64     `query:"run" minimum:"1" doc:"Number of a run"`
	Kind  string    `query:"kind" enum:"computed,withdrawn,deferred,failed,run_started,cancel_asked,run_ended,paused,resumed,settings_changed,access_changed,nfts_registered" doc:"What was done, or came of it"`
	Since time.Time `query:"since" doc:"From this time (RFC 3339)"`
	Until time.Time `query:"until" doc:"Before this time (RFC 3339)"`
}

func (s *server) listActivity(ctx context.Context, in *listActivityIn) (*out[list[activityDoc]], error) {
	q := store.ActivityQuery{Run: in.Run, Kind: store.ActivityKind(in.Kind), Since: in.Since, Until: in.Until}
	if in.NFT != "" {
		if err := checkID("query.nft", in.NFT); err != nil {
			return nil, err
		}
		found, err := s.find(ctx, in.NFT)
		if err != nil {
			return nil, err
		}
		q.NFT = found.NFT.Number
	}
	if !in.Since.IsZero() && !in.Until.IsZero() && !in.Since.Before(in.Until) {
		return nil, &failure{ledger.CodeValue, "query.until", "must be after since"}
	}
	return s.pageOfActivity(ctx, in.Page, q)
}

func (s *server) pageOfActivity(ctx context.Context, p Page, q store.ActivityQuery) (*out[list[activityDoc]], error) {
	before, err := p.number("activity")
	if err != nil {
		return nil, err
	}
	q.Before, q.Limit = before, p.Limit
	rows, err := s.Store.ListActivity(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("listing activity: %w", err)
	}
	return answer(paged(rows, p.Limit, asActivity, func(a store.Activity) string { return numberCursor("activity", a.Number) })), nil
}
