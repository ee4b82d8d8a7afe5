package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"poa/internal/access"
	"poa/internal/operate"
	"poa/internal/store"
)

// failureDoc is an NFT whose computation failed.
type failureDoc struct {
	NFT     string     `json:"nft"`
	Error   string     `json:"error"`
	Tries   int        `json:"tries"`
	FirstAt time.Time  `json:"first_at"`
	LastAt  time.Time  `json:"last_at"`
	NextTry *time.Time `json:"next_try,omitempty" doc:"Absent: given up"`
	Run     int64      `json:"run,omitempty"`
}

func asFailure(f store.Failure) failureDoc {
	return failureDoc{f.ID, f.Error, f.Tries, f.FirstAt.UTC(), f.LastAt.UTC(), moment(f.NextTry), f.Run}
}

func (s *server) failures() {
	register(s, operation{Method: http.MethodGet, Path: "/failures", ID: "listFailures", Tag: "failures", Need: access.View,
		Summary: "List the NFTs whose computation failed", Description: "Latest failure first; those to be retried and those given up."}, s.listFailures)
	register(s, operation{Method: http.MethodPost, Path: "/failures/{id}/retry", ID: "retryFailure", Tag: "failures", Need: access.Operate,
		Summary: "Have the next batch try an NFT again"}, s.retryFailure)
	register(s, operation{Method: http.MethodDelete, Path: "/failures/{id}", ID: "discardFailure", Tag: "failures", Need: access.Operate,
		Summary: "Take an NFT off the failed list", Description: "Its score stays as it is until something computes it."}, s.discardFailure)
}

type failuresIn struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Latest failures"`
}

func (s *server) listFailures(ctx context.Context, in *failuresIn) (*out[items[failureDoc]], error) {
	rows, err := s.Store.Failures(ctx, in.Limit)
	if err != nil {
		return nil, fmt.Errorf("listing failures: %w", err)
	}
	return all(rows, asFailure), nil
}

func (s *server) retryFailure(ctx context.Context, in *NFTPath) (*struct{}, error) {
	return nil, s.failed(ctx, in.ID, s.Operate.RetryFailure)
}

func (s *server) discardFailure(ctx context.Context, in *NFTPath) (*struct{}, error) {
	return nil, s.failed(ctx, in.ID, s.Operate.DiscardFailure)
}

// failed does something to an entry of the failed list.
func (s *server) failed(ctx context.Context, id string, do func(ctx context.Context, id, who string) error) error {
	if err := checkID("path.id", id); err != nil {
		return err
	}
	err := do(ctx, id, who(ctx))
	if errors.Is(err, operate.ErrNotFailed) {
		return notFound("failed NFT", id)
	}
	return noNFT(err, id)
}
