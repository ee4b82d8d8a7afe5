// Package exporter writes scores, their history, votes, ratings and NFTs as CSV
// or JSONL.
//
// Every export is one snapshot of the database, streamed in constant memory.
// Numbers read back bit for bit. The exports of NFTs and votes, imported into
// an empty database in this order, give the same means, sigmas, counts, voters
// and opinions.
package exporter

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"strings"
	"syscall"

	"poa/internal/scoring"
	"poa/internal/store"
)

// Table is what can be exported.
type Table string

// The tables, each in the order in which its rows came into being.
const (
	Scores  Table = "scores"  // published scores, by NFT
	History Table = "history" // by NFT, and oldest first
	Votes   Table = "votes"   // the log, in the order of folding
	Ratings Table = "ratings" // running state, by NFT
	NFTs    Table = "nfts"
)

// Tables returns all of them.
func Tables() []Table { return []Table{Scores, History, Votes, Ratings, NFTs} }

// Format is how a table is written.
type Format string

// The formats: CSV with a header, fields empty where there is nothing to say;
// JSONL with one object a line, null likewise. Times are RFC 3339 in UTC.
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl"
)

// Write exports a table and returns the number of its rows. After an error what
// was written is incomplete.
func Write(ctx context.Context, st store.Store, w io.Writer, t Table, f Format) (int64, error) {
	if f != CSV && f != JSONL {
		return 0, fmt.Errorf("no such format: %s; there are %s and %s", f, CSV, JSONL)
	}
	rows, ok := tables[t]
	if !ok {
		return 0, fmt.Errorf("no such table: %s; there are %v", t, Tables())
	}
	out := newWriter(w, f)
	err := st.View(ctx, func(v store.View) error {
		counts, err := v.Counts(ctx)
		if err != nil {
			return err
		}
		if err := rows(ctx, v, out); err != nil {
			return err
		}
		if want := t.rows(counts); out.rows != want {
			return fmt.Errorf("%d of %d rows were read", out.rows, want)
		}
		return out.flush()
	})
	if err != nil {
		return out.rows, fmt.Errorf("exporting %s: %w", t, err)
	}
	return out.rows, nil
}

// File exports a table into a file, gzipped if its name ends in .gz. The file
// appears, or replaces an older one, only when it is complete; until then it is
// written beside it, with .partial behind its name.
func File(ctx context.Context, st store.Store, path string, t Table, f Format) (int64, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return 0, &os.PathError{Op: "export to", Path: path, Err: syscall.EISDIR}
	}
	partial := path + ".partial"
	file, err := os.Create(partial)
	if err != nil {
		return 0, err
	}
	rows, err := writeFile(ctx, st, file, strings.HasSuffix(path, ".gz"), t, f)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(partial, path)
	}
	if err != nil {
		return rows, errors.Join(err, os.Remove(partial))
	}
	return rows, nil
}

func writeFile(ctx context.Context, st store.Store, w io.Writer, zip bool, t Table, f Format) (int64, error) {
	if !zip {
		return Write(ctx, st, w, t, f)
	}
	z := gzip.NewWriter(w)
	rows, err := Write(ctx, st, z, t, f)
	if err != nil {
		return rows, err
	}
	return rows, z.Close()
}

// rows is how many rows a table has.
func (t Table) rows(c store.Counts) int64 {
	switch t {
	case Scores:
		return c.Scores
	case History:
		return c.History
	case Votes:
		return c.Votes
	case Ratings:
		return c.Ratings
	}
	return c.NFTs
}

var tables = map[Table]func(context.Context, store.View, *writer) error{
	Scores: writeScores, History: writeHistory, Votes: writeVotes, Ratings: writeRatings, NFTs: writeNFTs,
}

func writeNFTs(ctx context.Context, v store.View, w *writer) error {
	collections, err := collectionsByName(ctx, v)
	if err != nil {
		return err
	}
	w.header(func() { nftRow(w, store.NFT{}, true) })
	for n, err := range v.AllNFTs(ctx) {
		if err != nil {
			return err
		}
		c, known := collections[n.Collection]
		nftRow(w, n, !known || c.Active)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

func nftRow(w *writer, n store.NFT, active bool) {
	w.text("id", n.ID)
	w.text("name", n.Name)
	w.text("collection", n.Collection)
	w.text("image_url", n.ImageURL)
	w.truth("collection_active", active)
}

func collectionsByName(ctx context.Context, v store.View) (map[string]store.Collection, error) {
	list, err := v.Collections(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]store.Collection, len(list))
	for _, c := range list {
		byName[c.Name] = c
	}
	return byName, nil
}

func writeVotes(ctx context.Context, v store.View, w *writer) error {
	w.header(func() { voteRow(w, store.Vote{}) })
	for vote, err := range v.Log(ctx, 0) {
		if err != nil {
			return err
		}
		voteRow(w, vote)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// voteRow writes what the fold depends on, and three columns that follow from
// it or from the moment: the number, the time of arrival and the weight.
func voteRow(w *writer, v store.Vote) {
	w.integer("number", v.Number)
	w.text("key", v.Key)
	w.text("voter", v.VoterID)
	w.text("kind", v.Kind.String())
	w.text("a", v.AID)
	w.text("b", v.BID)
	w.text("outcome", v.Outcome.String())
	w.truth("super", v.Super)
	if v.Kind == scoring.Slider {
		w.float("value", v.Value)
	} else {
		w.none("value")
	}
	w.time("cast_at", v.CastAt)
	w.time("received_at", v.ReceivedAt)
	w.sum("weight", v.Weight)
}

// writeRatings pairs the ratings with their NFTs: both come by ascending
// number.
func writeRatings(ctx context.Context, v store.View, w *writer) error {
	w.header(func() { ratingRow(w, store.NFT{}, store.Rating{}) })
	return ratings(ctx, v, func(n store.NFT, r store.Rating) error {
		ratingRow(w, n, r)
		return w.end()
	})
}

func ratingRow(w *writer, n store.NFT, r store.Rating) {
	w.text("nft", r.ID)
	w.text("name", n.Name)
	w.text("collection", n.Collection)
	w.float("mean", r.Mean)
	w.float("sigma", r.Sigma)
	w.integer("votes", r.Votes)
	w.integer("wins", r.Wins)
	w.integer("losses", r.Losses)
	w.integer("ties", r.Ties)
	w.integer("matchups", r.Matchups)
	w.integer("skips", r.Skips)
	w.integer("slider_votes", r.SliderVotes)
	w.integer("fire_votes", r.FireVotes)
	w.sum("matchup_weight", r.MatchupWeight)
	w.integer("sliders", r.Sliders)
	w.sum("slider_sum", r.SliderSum)
	w.sum("slider_weight", r.SliderWeight)
	w.integer("fires", r.Fires)
	w.sum("fire_weight", r.FireWeight)
	w.integer("last_vote", r.LastVote)
	w.time("due_since", r.Due.Since)
	w.text("due_reason", r.Due.Reason)
	w.time("waiting_since", r.WaitingSince)
}

func writeScores(ctx context.Context, v store.View, w *writer) error {
	w.header(func() { scoreRow(w, store.NFT{}, store.Rating{Score: &store.Score{}}) })
	return ratings(ctx, v, func(n store.NFT, r store.Rating) error {
		if r.Score == nil {
			return nil
		}
		scoreRow(w, n, r)
		return w.end()
	})
}

func scoreRow(w *writer, n store.NFT, r store.Rating) {
	s := r.Score
	w.text("nft", r.ID)
	w.text("name", n.Name)
	w.text("collection", n.Collection)
	w.float("poa", s.POA)
	w.float("confidence", s.Confidence)
	w.truth("provisional", s.Provisional)
	w.float("elo", s.Elo)
	w.float("slider", s.Slider)
	w.float("fire", s.Fire)
	w.float("reliability", s.Reliability)
	w.integer("votes", s.Votes)
	w.time("computed_at", s.ComputedAt)
	w.text("reason", s.Reason)
	w.text("basis", string(s.Basis))
	w.integer("through_vote", s.ThroughVote)
	w.integer("scoring_version", s.Version)
}

// writeHistory asks NFT by NFT: the points are kept in the order of time, and
// the ids of all NFTs are too many to keep in memory.
func writeHistory(ctx context.Context, v store.View, w *writer) error {
	w.header(func() { historyRow(w, "", store.HistoryPoint{}) })
	for r, err := range v.AllRatings(ctx) {
		if err != nil {
			return err
		}
		points, err := v.History(ctx, r.NFT, math.MaxInt32)
		if err != nil {
			return err
		}
		for i := len(points) - 1; i >= 0; i-- {
			historyRow(w, r.ID, points[i])
			if err := w.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

func historyRow(w *writer, nft string, h store.HistoryPoint) {
	w.text("nft", nft)
	w.time("at", h.At)
	w.float("poa", h.POA)
	w.float("confidence", h.Confidence)
	w.float("mean", h.Mean)
	w.float("sigma", h.Sigma)
	w.integer("votes", h.Votes)
	w.text("reason", h.Reason)
	w.text("basis", string(h.Basis))
	w.integer("through_vote", h.ThroughVote)
	w.integer("scoring_version", h.Version)
}

// ratings calls f with each rating and its NFT.
func ratings(ctx context.Context, v store.View, f func(store.NFT, store.Rating) error) error {
	next, stop := iter.Pull2(v.AllNFTs(ctx))
	defer stop()
	var n store.NFT
	for r, err := range v.AllRatings(ctx) {
		if err != nil {
			return err
		}
		for n.Number < r.NFT {
			var ok bool
			if n, err, ok = next(); err != nil {
				return err
			} else if !ok {
				break
			}
		}
		if n.Number != r.NFT {
			return fmt.Errorf("the rating of NFT %q (number %d) has no NFT", r.ID, r.NFT)
		}
		if err := f(n, r); err != nil {
			return err
		}
	}
	return nil
}
