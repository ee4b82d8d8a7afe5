package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"poa/internal/scoring"
	"poa/internal/store"
)

// view is a read-only snapshot.
type view struct{ *link }

// pageSize is how many rows of a stream are in memory at a time.
const pageSize = 4000

// View runs f in one read-only snapshot.
func (s *Store) View(ctx context.Context, f func(store.View) error) error {
	l, err := s.begin(ctx, beginView, settingsView)
	if err != nil {
		return err
	}
	defer l.end(ctx)
	return f(view{l})
}

func (v view) NFT(ctx context.Context, id string) (store.NFT, error) {
	row, err := v.q.NFTByID(ctx, id)
	if err != nil {
		return store.NFT{}, v.missing(ctx, fmt.Sprintf("NFT %q", id), err)
	}
	return nftOf((*NFTsRow)(&row)), nil
}

// missing is failure for a query of one row.
func (l *link) missing(ctx context.Context, what string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	return l.failure(ctx, "reading "+what, err)
}

func (v view) Ratings(ctx context.Context, ids []string) ([]store.Rating, error) {
	rows, err := v.q.RatingsByID(ctx, ids)
	if err != nil {
		return nil, v.failure(ctx, "reading ratings", err)
	}
	return v.scored(ctx, convert(rows, func(r *RatingsByIDRow) store.Rating { return ratingOf((*RatingsRow)(r)) }))
}

// scored adds the scores of ratings.
func (l *link) scored(ctx context.Context, ratings []store.Rating) ([]store.Rating, error) {
	published, err := l.q.Scores(ctx, column(ratings, func(r *store.Rating) int64 { return r.NFT }))
	if err != nil {
		return nil, l.failure(ctx, "reading scores", err)
	}
	return withScores(ratings, published), nil
}

func (v view) RatedNFTs(ctx context.Context, collection *string, after int64, n int) ([]int64, error) {
	if collection == nil {
		nfts, err := v.q.RatedNFTs(ctx, RatedNFTsParams{After: after, UpTo: limit(n)})
		return nfts, v.failure(ctx, "reading rated NFTs", err)
	}
	number, known, err := v.collection(ctx, *collection)
	if err != nil || !known {
		return nil, err
	}
	nfts, err := v.q.RatedNFTsOf(ctx, RatedNFTsOfParams{Collection: number, After: after, UpTo: limit(n)})
	return nfts, v.failure(ctx, "reading rated NFTs", err)
}

func (v view) collection(ctx context.Context, name string) (number int64, known bool, err error) {
	number, err = v.q.CollectionNumber(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	return number, err == nil, v.failure(ctx, "reading a collection", err)
}

func (v view) Standing(ctx context.Context, nfts []int64) ([]store.Standing, error) {
	return v.standing(ctx, nfts)
}

// standing reads ratings, matchup sums and standing opinions in one round trip.
func (l *link) standing(ctx context.Context, nfts []int64) ([]store.Standing, error) {
	arg := []any{nfts}
	err := l.ahead(ctx, statement{ratings, arg}, statement{scores, arg}, statement{matchupSums, arg}, statement{standingOpinions, arg})
	if err != nil {
		return nil, l.failure(ctx, "beginning", err)
	}
	rows, err := l.q.Ratings(ctx, nfts)
	if err != nil {
		return nil, l.failure(ctx, "reading ratings", err)
	}
	published, err := l.q.Scores(ctx, nfts)
	if err != nil {
		return nil, l.failure(ctx, "reading scores", err)
	}
	sums, err := l.q.MatchupSums(ctx, nfts)
	if err != nil {
		return nil, l.failure(ctx, "summing matchups", err)
	}
	opinions, err := l.q.StandingOpinions(ctx, nfts)
	if err != nil {
		return nil, l.failure(ctx, "reading standing opinions", err)
	}
	all := make([]store.Standing, len(rows))
	byNFT := make(map[int64]*store.Standing, len(rows))
	for i, r := range withScores(convert(rows, ratingOf), published) {
		all[i].Rating = r
		byNFT[r.NFT] = &all[i]
	}
	for _, s := range sums {
		if to := byNFT[s.NFT]; to != nil {
			to.Matchups, to.TodaysWeights = s.Matchups, scoring.Sum(s.Weight)
		}
	}
	for i := range opinions {
		if to := byNFT[opinions[i].Opinion.NFT]; to != nil {
			to.Opinions = append(to.Opinions, standingOpinionOf(&opinions[i]))
		}
	}
	return all, nil
}

func standingOpinionOf(o *StandingOpinionsRow) store.StandingOpinion {
	return store.StandingOpinion{
		Opinion: opinionOf(&o.Opinion),
		Voter: scoring.Voter{
			Reliability: o.Reliability, Judged: o.Judged, Votes: o.Votes,
			Calibration: scoring.Calibration{N: o.SliderN, Mean: o.SliderMean, M2: o.SliderM2},
		},
	}
}

func (v view) VotesByKey(ctx context.Context, keys []string) ([]store.Vote, error) {
	return v.votesByKey(ctx, keys)
}

func (l *link) votesByKey(ctx context.Context, keys []string) ([]store.Vote, error) {
	rows, err := l.q.VotesByKey(ctx, keys)
	if err != nil {
		return nil, l.failure(ctx, "looking up vote keys", err)
	}
	return convert(rows, voteOf), nil
}

func (v view) Voter(ctx context.Context, id string) (store.Voter, error) {
	row, err := v.q.VoterByID(ctx, id)
	if err != nil {
		return store.Voter{}, v.missing(ctx, fmt.Sprintf("voter %q", id), err)
	}
	return voterOf(&row), nil
}

func (v view) KnownVoters(ctx context.Context, ids []string) ([]string, error) {
	known, err := v.q.KnownVoters(ctx, ids)
	return known, v.failure(ctx, "looking up voters", err)
}

func (v view) KnownNFTs(ctx context.Context, ids []string) ([]string, error) {
	known, err := v.q.KnownNFTs(ctx, ids)
	return known, v.failure(ctx, "looking up NFTs", err)
}

// pages streams what fetch returns page by page, each page from the key at
// which the last one ended. Between pages the view works as ever.
func pages[K, T any](v view, start K, fetch func(after K) (rows []T, last K, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		after := start
		for {
			v.gathered.Queue(settingsPage)
			rows, last, err := fetch(after)
			v.gathered.Queue(settingsPaged)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for i := range rows {
				if !yield(rows[i], nil) {
					return
				}
			}
			if len(rows) < pageSize {
				return
			}
			after = last
		}
	}
}

// lastOf returns the key of the last row, zero where there is none.
func lastOf[R, K any](rows []R, key func(*R) K) (last K) {
	if len(rows) > 0 {
		last = key(&rows[len(rows)-1])
	}
	return last
}

func (v view) Log(ctx context.Context, after int64) iter.Seq2[store.Vote, error] {
	return pages(v, after, func(after int64) ([]store.Vote, int64, error) {
		rows, err := v.q.LogPage(ctx, LogPageParams{After: after, UpTo: pageSize})
		votes := convert(rows, func(r *LogPageRow) store.Vote { return voteOf((*VotesByKeyRow)(r)) })
		return votes, lastOf(rows, func(r *LogPageRow) int64 { return r.Vote.Number }), v.failure(ctx, "reading the vote log", err)
	})
}

func (v view) AllNFTs(ctx context.Context) iter.Seq2[store.NFT, error] {
	return pages(v, 0, func(after int64) ([]store.NFT, int64, error) {
		rows, err := v.q.NFTPage(ctx, NFTPageParams{After: after, UpTo: pageSize})
		nfts := convert(rows, func(r *NFTPageRow) store.NFT { return nftOf((*NFTsRow)(r)) })
		return nfts, lastOf(rows, func(r *NFTPageRow) int64 { return r.NFT.Number }), v.failure(ctx, "reading NFTs", err)
	})
}

func (v view) AllRatings(ctx context.Context) iter.Seq2[store.Rating, error] {
	return pages(v, 0, func(after int64) ([]store.Rating, int64, error) {
		rows, err := v.q.RatingPage(ctx, RatingPageParams{After: after, UpTo: pageSize})
		if err != nil {
			return nil, 0, v.failure(ctx, "reading ratings", err)
		}
		ratings, err := v.scored(ctx, convert(rows, func(r *RatingPageRow) store.Rating { return ratingOf((*RatingsRow)(r)) }))
		return ratings, lastOf(ratings, func(r *store.Rating) int64 { return r.NFT }), err
	})
}

func (v view) AllVoters(ctx context.Context) iter.Seq2[store.Voter, error] {
	return pages(v, 0, func(after int64) ([]store.Voter, int64, error) {
		rows, err := v.q.VoterPage(ctx, VoterPageParams{After: after, UpTo: pageSize})
		voters := convert(rows, func(r *Voter) store.Voter {
			voter := voterOf(r)
			voter.KeptWeight = scoring.Sum(r.Weight)
			return voter
		})
		return voters, lastOf(rows, func(r *Voter) int64 { return r.Number }), v.failure(ctx, "reading voters", err)
	})
}

func (v view) AllOpinions(ctx context.Context) iter.Seq2[store.Opinion, error] {
	return pages(v, store.OpinionRef{}, func(after store.OpinionRef) ([]store.Opinion, store.OpinionRef, error) {
		rows, err := v.q.OpinionPage(ctx, OpinionPageParams{NFT: after.NFT, Kind: int16(after.Kind), Voter: after.Voter, UpTo: pageSize})
		opinions := convert(rows, opinionOf)
		return opinions, lastOf(opinions, func(o *store.Opinion) store.OpinionRef { return o.OpinionRef }), v.failure(ctx, "reading opinions", err)
	})
}

func (v view) AllHistory(ctx context.Context) iter.Seq2[store.HistoryPoint, error] {
	return pages(v, 0, func(after int64) ([]store.HistoryPoint, int64, error) {
		rows, err := v.q.HistoryPage(ctx, HistoryPageParams{After: after, UpTo: pageSize})
		return convert(rows, historyOf), lastOf(rows, func(h *History) int64 { return h.Number }), v.failure(ctx, "reading the history", err)
	})
}

func (v view) Top(ctx context.Context, collection *string, n int) ([]store.Ranked, error) {
	published, err := v.topScores(ctx, collection, limit(n))
	if err != nil {
		return nil, err
	}
	numbers := column(published, func(s *Score) int64 { return s.NFT })
	nfts, err := v.q.NFTs(ctx, numbers)
	if err != nil {
		return nil, v.failure(ctx, "reading NFTs", err)
	}
	rows, err := v.q.Ratings(ctx, numbers)
	if err != nil {
		return nil, v.failure(ctx, "reading ratings", err)
	}
	byNFT := make(map[int64]*store.Ranked, len(published))
	top := make([]store.Ranked, len(published))
	for i, number := range numbers {
		byNFT[number] = &top[i]
	}
	for i := range nfts {
		byNFT[nfts[i].NFT.Number].NFT = nftOf(&nfts[i])
	}
	for _, r := range withScores(convert(rows, ratingOf), published) {
		byNFT[r.NFT].Rating = r
	}
	return top, nil
}

func (v view) topScores(ctx context.Context, collection *string, n int32) ([]Score, error) {
	if collection == nil {
		top, err := v.q.TopScores(ctx, n)
		return top, v.failure(ctx, "reading the top scores", err)
	}
	number, known, err := v.collection(ctx, *collection)
	if err != nil || !known {
		return nil, err
	}
	top, err := v.q.TopScoresOf(ctx, TopScoresOfParams{Collection: number, UpTo: n})
	return top, v.failure(ctx, "reading the top scores", err)
}

func (v view) Collections(ctx context.Context) ([]store.Collection, error) {
	rows, err := v.q.Collections(ctx)
	if err != nil {
		return nil, v.failure(ctx, "reading collections", err)
	}
	counters, err := v.Counters(ctx)
	if err != nil {
		return nil, err
	}
	return withCounters(rows, counters), nil
}

func (v view) CollectionsAfter(ctx context.Context, after *string, n int) ([]store.Collection, error) {
	p := CollectionsAfterParams{FromThere: after == nil, UpTo: limit(n)}
	if after != nil {
		p.FromName = *after
	}
	rows, err := v.q.CollectionsAfter(ctx, p)
	if err != nil {
		return nil, v.failure(ctx, "reading collections", err)
	}
	counters, err := v.q.CountersOf(ctx, CountersOfParams{
		Names: store.CollectionCounters(), Collections: convert(rows, func(c *Collection) int64 { return c.Number }),
	})
	if err != nil {
		return nil, v.failure(ctx, "reading counters", err)
	}
	return withCounters(rows, convert(counters, func(c *CountersOfRow) store.Delta {
		return store.Delta{Name: c.Name, Collection: c.Collection, By: c.Value}
	})), nil
}

// withCounters returns collections with their counters.
func withCounters(rows []Collection, counters []store.Delta) []store.Collection {
	totals := make(map[int64]map[string]int64, len(rows))
	for _, c := range counters {
		if totals[c.Collection] == nil {
			totals[c.Collection] = make(map[string]int64)
		}
		totals[c.Collection][c.Name] = c.By
	}
	return convert(rows, func(c *Collection) store.Collection {
		t := totals[c.Number]
		return store.Collection{
			Number: c.Number, Name: c.Name, Active: c.Active,
			NFTs: t[store.CountNFTs], Votes: t[store.CountVotes], Ready: t[store.CountReady], Scored: t[store.CountScored],
			POASum: t[store.CountPOASum], ConfidenceSum: t[store.CountConfidenceSum],
		}
	})
}

func (v view) Counters(ctx context.Context) ([]store.Delta, error) {
	rows, err := v.q.Counters(ctx)
	if err != nil {
		return nil, v.failure(ctx, "reading counters", err)
	}
	return convert(rows, func(c *CountersRow) store.Delta {
		return store.Delta{Name: c.Name, Collection: c.Collection, By: c.Value}
	}), nil
}

func (v view) History(ctx context.Context, nft int64, n int) ([]store.HistoryPoint, error) {
	rows, err := v.q.History(ctx, HistoryParams{NFT: nft, UpTo: limit(n)})
	return convert(rows, historyOf), v.failure(ctx, "reading the history", err)
}

func (v view) Activity(ctx context.Context, nft int64, n int) ([]store.Activity, error) {
	rows, err := v.activity(ctx, nft, limit(n))
	if err != nil {
		return nil, v.failure(ctx, "reading the activity", err)
	}
	entries := make([]store.Activity, len(rows))
	for i := range rows {
		if entries[i], err = entryOf(&rows[i]); err != nil {
			return nil, fmt.Errorf("reading the activity: %w", err)
		}
	}
	return entries, nil
}

func (v view) activity(ctx context.Context, nft int64, n int32) ([]ActivityRow, error) {
	if nft == 0 {
		return v.q.Activity(ctx, n)
	}
	rows, err := v.q.ActivityOf(ctx, ActivityOfParams{NFT: nft, UpTo: n})
	return convert(rows, func(r *ActivityOfRow) ActivityRow { return ActivityRow(*r) }), err
}

func (v view) Rejects(ctx context.Context, source string) ([]store.Reject, error) {
	rows, err := v.q.Rejects(ctx, source)
	return convert(rows, rejectOf), v.failure(ctx, "reading rejects", err)
}

func (v view) Settings(ctx context.Context) (map[string]string, error) {
	rows, err := v.q.Settings(ctx)
	if err != nil {
		return nil, v.failure(ctx, "reading settings", err)
	}
	values := make(map[string]string, len(rows))
	for _, r := range rows {
		values[r.Name] = r.Value
	}
	return values, nil
}

func (v view) SettingChanges(ctx context.Context, n int) ([]store.SettingChange, error) {
	rows, err := v.q.SettingChanges(ctx, limit(n))
	return convert(rows, settingChangeOf), v.failure(ctx, "reading setting changes", err)
}

func settingChangeOf(r *SettingsAudit) store.SettingChange {
	return store.SettingChange{Name: r.Name, From: r.FromValue, To: r.ToValue, Who: r.Who, Why: r.Why, At: moment(r.At)}
}

func (v view) ScoringVersion(ctx context.Context, version int64) (p scoring.Publishing, err error) {
	text, err := v.q.ScoringVersion(ctx, version)
	if err != nil {
		return p, v.missing(ctx, fmt.Sprintf("scoring version %d", version), err)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("reading scoring version %d: %w", version, err)
	}
	return p, nil
}

func (v view) Counts(ctx context.Context) (store.Counts, error) {
	row, err := v.q.Counts(ctx)
	return store.Counts(row), v.failure(ctx, "counting rows", err)
}
