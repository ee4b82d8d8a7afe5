package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"poa/internal/scoring"
	"poa/internal/store"
)

// page is how many rows a stream holds at a time.
const page = 2000

// view is a read transaction of a reading connection.
type view struct{ q *Queries }

// NFT returns a registered NFT.
func (v *view) NFT(ctx context.Context, id string) (store.NFT, error) {
	r, err := v.q.nftByID(ctx, id)
	return toNFT(r.NftRow, r.CollectionName), doing(fmt.Sprintf("reading NFT %q", id), found(err))
}

// found maps the driver's error for no row.
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// Ratings returns the ratings with those ids.
func (v *view) Ratings(ctx context.Context, ids []string) ([]store.Rating, error) {
	numbers, err := numbersOf(ctx, v.q, ids)
	if err != nil {
		return nil, doing("looking up NFTs", err)
	}
	out, err := scoredRatings(ctx, v.q, numbers)
	return out, doing("reading ratings", err)
}

// RatedNFTs returns numbers of NFTs that have a rating row.
func (v *view) RatedNFTs(ctx context.Context, collection *string, after int64, limit int) ([]int64, error) {
	out, err := inCollection(ctx, v.q, collection,
		func() ([]int64, error) {
			return v.q.ratedNFTs(ctx, ratedNFTsParams{Nft: after, Limit: atMost(limit)})
		},
		func(number int64) ([]int64, error) {
			return v.q.ratedNFTsOf(ctx, ratedNFTsOfParams{Collection: number, Nft: after, Limit: atMost(limit)})
		})
	return out, doing("reading numbers of rated NFTs", err)
}

// atMost keeps a negative limit from meaning none.
func atMost(limit int) int64 { return int64(max(limit, 0)) }

// inCollection asks for all, or of the collection with that name; one that
// does not exist has nothing.
func inCollection[T any](ctx context.Context, q *Queries, name *string, all func() ([]T, error), of func(int64) ([]T, error)) ([]T, error) {
	if name == nil {
		return all()
	}
	number, err := q.collectionNumber(ctx, *name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return of(number)
}

// Standing returns what exact computations read.
func (v *view) Standing(ctx context.Context, nfts []int64) ([]store.Standing, error) {
	out, err := standings(ctx, v.q, nfts)
	return out, doing("reading standings", err)
}

// VotesByKey returns the votes with those keys.
func (v *view) VotesByKey(ctx context.Context, keys []string) ([]store.Vote, error) {
	out, err := findVotes(ctx, v.q, keys)
	return out, doing("looking up vote keys", err)
}

// Voter returns a voter.
func (v *view) Voter(ctx context.Context, id string) (store.Voter, error) {
	r, err := v.q.voterByID(ctx, id)
	if err != nil {
		return store.Voter{}, doing(fmt.Sprintf("reading voter %q", id), found(err))
	}
	return toVoter(&r), nil
}

// KnownVoters returns which of those voters have a row.
func (v *view) KnownVoters(ctx context.Context, ids []string) ([]string, error) {
	out, err := known(ctx, ids, v.q.knownVoters)
	return out, doing("looking up voters", err)
}

// KnownNFTs returns which of those NFTs are registered.
func (v *view) KnownNFTs(ctx context.Context, ids []string) ([]string, error) {
	out, err := known(ctx, ids, v.q.knownNFTs)
	return out, doing("looking up NFTs", err)
}

func known(ctx context.Context, ids []string, query func(context.Context, any) ([]string, error)) ([]string, error) {
	set, err := jsonStrings(ids)
	if err != nil {
		return nil, err
	}
	return query(ctx, set)
}

// Log streams the votes above after.
func (v *view) Log(ctx context.Context, after int64) iter.Seq2[store.Vote, error] {
	return stream("reading votes", func(last *store.Vote) ([]store.Vote, error) {
		if last != nil {
			after = last.Number
		}
		found, err := v.q.votesAfter(ctx, votesAfterParams{Number: after, Limit: page})
		return convert(found, func(r *votesAfterRow) store.Vote { return toVote(&r.Votes, r.VoterID, r.AID, r.BID) }), err
	})
}

// AllNFTs streams all NFTs.
func (v *view) AllNFTs(ctx context.Context) iter.Seq2[store.NFT, error] {
	return stream("reading NFTs", func(last *store.NFT) ([]store.NFT, error) {
		p := nftsAfterParams{Limit: page}
		if last != nil {
			p.Number = last.Number
		}
		found, err := v.q.nftsAfter(ctx, p)
		return convert(found, func(r *nftsAfterRow) store.NFT { return toNFT(r.NftRow, r.CollectionName) }), err
	})
}

// AllRatings streams all ratings with their scores.
func (v *view) AllRatings(ctx context.Context) iter.Seq2[store.Rating, error] {
	return stream("reading ratings", func(last *store.Rating) ([]store.Rating, error) {
		p := ratedNFTsParams{Limit: page}
		if last != nil {
			p.Nft = last.NFT
		}
		numbers, err := v.q.ratedNFTs(ctx, p)
		if err != nil || len(numbers) == 0 {
			return nil, err
		}
		return scoredRatings(ctx, v.q, numbers)
	})
}

// AllVoters streams all voters.
func (v *view) AllVoters(ctx context.Context) iter.Seq2[store.Voter, error] {
	return stream("reading voters", func(last *store.Voter) ([]store.Voter, error) {
		p := votersAfterParams{Limit: page}
		if last != nil {
			p.Number = last.Number
		}
		found, err := v.q.votersAfter(ctx, p)
		return convert(found, func(r *voterRow) store.Voter {
			voter := toVoter(r)
			voter.KeptWeight = scoring.Sum(r.Weight)
			return voter
		}), err
	})
}

// AllOpinions streams all opinions, withdrawn ones too.
func (v *view) AllOpinions(ctx context.Context) iter.Seq2[store.Opinion, error] {
	return stream("reading opinions", func(last *store.Opinion) ([]store.Opinion, error) {
		p := opinionsAfterParams{Page: page}
		if last != nil {
			p.Nft, p.Kind, p.Voter = last.NFT, int64(last.Kind), last.OpinionRef.Voter
		}
		found, err := v.q.opinionsAfter(ctx, p)
		return convert(found, toOpinion), err
	})
}

// AllHistory streams all history points in the order they were recorded.
func (v *view) AllHistory(ctx context.Context) iter.Seq2[store.HistoryPoint, error] {
	var after int64
	return stream("reading history", func(last *store.HistoryPoint) ([]store.HistoryPoint, error) {
		if last == nil {
			after = 0
		}
		found, err := v.q.historyAfter(ctx, historyAfterParams{Number: after, Limit: page})
		if len(found) > 0 {
			after = found[len(found)-1].Number
		}
		return convert(found, toHistoryPoint), err
	})
}

// stream yields the rows of page after page, each fetched whole from the key
// of the row before it (nil at the start), so that memory stays flat and the
// body of a loop may use the view.
func stream[T any](what string, next func(last *T) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var last *T
		for {
			rows, err := next(last)
			if err != nil {
				var none T
				yield(none, doing(what, err))
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			if len(rows) < page {
				return
			}
			last = &rows[len(rows)-1]
		}
	}
}

func convert[R, T any](rows []R, to func(*R) T) []T {
	out := make([]T, len(rows))
	for i := range rows {
		out[i] = to(&rows[i])
	}
	return out
}

// Top returns the NFTs with the highest scores.
func (v *view) Top(ctx context.Context, collection *string, limit int) ([]store.Ranked, error) {
	out, err := top(ctx, v.q, collection, atMost(limit))
	return out, doing("reading the highest scores", err)
}

func top(ctx context.Context, q *Queries, collection *string, limit int64) ([]store.Ranked, error) {
	ranking, err := inCollection(ctx, q, collection,
		func() ([]int64, error) { return q.topNFTs(ctx, limit) },
		func(number int64) ([]int64, error) {
			return q.topNFTsOf(ctx, topNFTsOfParams{Collection: number, Limit: limit})
		})
	if err != nil {
		return nil, err
	}
	ratings, err := scoredRatings(ctx, q, ranking)
	if err != nil {
		return nil, err
	}
	nfts, err := q.nftsByNumber(ctx, jsonNumbers(ranking))
	if err != nil {
		return nil, err
	}
	byNumber := make(map[int64]*store.Rating, len(ratings))
	for i := range ratings {
		byNumber[ratings[i].NFT] = &ratings[i]
	}
	out := make([]store.Ranked, len(nfts)) // in the order of ranking
	for i, n := range nfts {
		rating := byNumber[n.NftRow.Number]
		if rating == nil {
			return nil, fmt.Errorf("NFT %q has a score and no rating", n.NftRow.ID)
		}
		out[i] = store.Ranked{NFT: toNFT(n.NftRow, n.CollectionName), Rating: *rating}
	}
	return out, nil
}

// Collections returns all collections with their counters.
func (v *view) Collections(ctx context.Context) ([]store.Collection, error) {
	found, err := v.q.allCollections(ctx)
	if err != nil {
		return nil, doing("reading collections", err)
	}
	counters, err := v.q.allCounters(ctx)
	if err != nil {
		return nil, doing("reading counters", err)
	}
	return withCounters(found, counters), nil
}

// CollectionsAfter returns some collections with their counters.
func (v *view) CollectionsAfter(ctx context.Context, after *string, limit int) ([]store.Collection, error) {
	p := collectionsAfterParams{FromThere: after == nil, UpTo: atMost(limit)}
	if after != nil {
		p.FromName = *after
	}
	found, err := v.q.collectionsAfter(ctx, p)
	if err != nil {
		return nil, doing("reading collections", err)
	}
	names, err := jsonStrings(store.CollectionCounters())
	if err != nil {
		return nil, err
	}
	numbers := jsonNumbers(convert(found, func(c *collectionRow) int64 { return c.Number }))
	counters, err := v.q.countersOf(ctx, countersOfParams{Names: names, Numbers: numbers})
	if err != nil {
		return nil, doing("reading counters", err)
	}
	return withCounters(found, counters), nil
}

// withCounters returns collections with their counters.
func withCounters(found []collectionRow, counters []counterRow) []store.Collection {
	value := make(map[counterKey]int64, len(counters))
	for _, c := range counters {
		value[counterKey{c.Name, c.Collection}] = c.Value
	}
	return convert(found, func(c *collectionRow) store.Collection {
		of := func(name string) int64 { return value[counterKey{name, c.Number}] }
		return store.Collection{
			Number: c.Number, Name: c.Name, Active: c.Active != 0,
			NFTs: of(store.CountNFTs), Votes: of(store.CountVotes), Ready: of(store.CountReady), Scored: of(store.CountScored),
			POASum: of(store.CountPOASum), ConfidenceSum: of(store.CountConfidenceSum),
		}
	})
}

// Counters returns all counters that are not 0.
func (v *view) Counters(ctx context.Context) ([]store.Delta, error) {
	found, err := v.q.allCounters(ctx)
	return convert(found, func(c *counterRow) store.Delta {
		return store.Delta{Name: c.Name, Collection: c.Collection, By: c.Value}
	}), doing("reading counters", err)
}

// History returns an NFT's latest points.
func (v *view) History(ctx context.Context, nft int64, limit int) ([]store.HistoryPoint, error) {
	found, err := v.q.historyOf(ctx, historyOfParams{Nft: nft, Limit: atMost(limit)})
	return convert(found, toHistoryPoint), doing("reading history", err)
}

// Activity returns the latest entries.
func (v *view) Activity(ctx context.Context, nft int64, limit int) ([]store.Activity, error) {
	var found []latestActivityRow
	var err error
	if nft == 0 {
		found, err = v.q.latestActivity(ctx, atMost(limit))
	} else {
		var of []activityOfRow
		of, err = v.q.activityOf(ctx, activityOfParams{Nft: &nft, Limit: atMost(limit)})
		found = convert(of, func(r *activityOfRow) latestActivityRow { return latestActivityRow(*r) })
	}
	if err != nil {
		return nil, doing("reading activity", err)
	}
	out := make([]store.Activity, len(found))
	for i := range found {
		if out[i], err = toActivity(&found[i].ActivityRow, found[i].NftID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Rejects returns the rejected rows of a source.
func (v *view) Rejects(ctx context.Context, source string) ([]store.Reject, error) {
	found, err := v.q.rejectsOf(ctx, source)
	return convert(found, toReject), doing("reading rejected rows", err)
}

// Settings returns the stored settings.
func (v *view) Settings(ctx context.Context) (map[string]string, error) {
	found, err := v.q.allSettings(ctx)
	if err != nil {
		return nil, doing("reading settings", err)
	}
	out := make(map[string]string, len(found))
	for _, s := range found {
		out[s.Name] = s.Value
	}
	return out, nil
}

// SettingChanges returns the latest audit entries.
func (v *view) SettingChanges(ctx context.Context, limit int) ([]store.SettingChange, error) {
	found, err := v.q.latestSettingChanges(ctx, atMost(limit))
	return convert(found, toSettingChange), doing("reading changes of settings", err)
}

func toSettingChange(r *settingChangeRow) store.SettingChange {
	return store.SettingChange{Name: r.Name, From: r.FromValue, To: r.ToValue, Who: r.Who, Why: r.Why, At: fromMicros(r.At)}
}

// ScoringVersion returns the publishing constants of a version.
func (v *view) ScoringVersion(ctx context.Context, version int64) (p scoring.Publishing, err error) {
	text, err := v.q.publishingOf(ctx, version)
	if err != nil {
		return p, doing(fmt.Sprintf("reading scoring version %d", version), found(err))
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fmt.Errorf("reading scoring version %d: %w", version, err)
	}
	return p, nil
}

// Counts counts rows.
func (v *view) Counts(ctx context.Context) (store.Counts, error) {
	c, err := v.q.rowCounts(ctx)
	return store.Counts{
		NFTs: c.NftsRows, Voters: c.VotersRows, Votes: c.VotesRows, Ratings: c.RatingsRows,
		Opinions: c.OpinionsRows, Scores: c.ScoresRows, History: c.HistoryRows,
	}, doing("counting rows", err)
}

// What follows serves transactions and views alike.

// numbersOf returns the numbers of those NFTs that are registered.
func numbersOf(ctx context.Context, q *Queries, ids []string) ([]int64, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	set, err := jsonStrings(ids)
	if err != nil {
		return nil, err
	}
	return q.nftNumbers(ctx, set)
}

// readRatings returns ratings, without their scores, by ascending number.
func readRatings(ctx context.Context, q *Queries, nfts []int64) ([]store.Rating, error) {
	if len(nfts) == 0 {
		return nil, nil
	}
	found, err := q.ratingsByNumber(ctx, jsonNumbers(inOrder(nfts)))
	if err != nil {
		return nil, err
	}
	return convert(found, func(r *ratingsByNumberRow) store.Rating { return toRating(&r.RatingRow, r.ID) }), nil
}

// scoredRatings returns ratings with their scores by ascending number.
func scoredRatings(ctx context.Context, q *Queries, nfts []int64) ([]store.Rating, error) {
	out, err := readRatings(ctx, q, nfts)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	scores, err := q.scoresByNumber(ctx, jsonNumbers(inOrder(nfts)))
	if err != nil {
		return nil, err
	}
	for i := range out { // both are in the order of the set
		if len(scores) > 0 && scores[0].Nft == out[i].NFT {
			s := toScore(&scores[0])
			out[i].Score = &s
			scores = scores[1:]
		}
	}
	if len(scores) > 0 {
		return nil, fmt.Errorf("NFT number %d has a score and no rating", scores[0].Nft)
	}
	return out, nil
}

// inOrder returns numbers in ascending order, each once.
func inOrder(numbers []int64) []int64 {
	return slices.Compact(slices.Sorted(slices.Values(numbers)))
}

func findVoters(ctx context.Context, q *Queries, ids []string) ([]store.Voter, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	set, err := jsonStrings(ids)
	if err != nil {
		return nil, err
	}
	found, err := q.votersByID(ctx, set)
	if err != nil {
		return nil, err
	}
	out := convert(found, toVoter)
	slices.SortFunc(out, func(a, b store.Voter) int { return cmp.Compare(a.Number, b.Number) })
	return slices.CompactFunc(out, func(a, b store.Voter) bool { return a.Number == b.Number }), nil
}

func findVotes(ctx context.Context, q *Queries, keys []string) ([]store.Vote, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	set, err := jsonStrings(keys)
	if err != nil {
		return nil, err
	}
	found, err := q.votesByKey(ctx, set)
	if err != nil {
		return nil, err
	}
	out := convert(found, func(r *votesByKeyRow) store.Vote { return toVote(&r.Votes, r.VoterID, r.AID, r.BID) })
	return slices.CompactFunc(out, func(a, b store.Vote) bool { return a.Number == b.Number }), nil
}

func standings(ctx context.Context, q *Queries, nfts []int64) ([]store.Standing, error) {
	ratings, err := scoredRatings(ctx, q, nfts)
	if err != nil || len(ratings) == 0 {
		return nil, err
	}
	out := make([]store.Standing, len(ratings))
	numbers := make([]int64, len(ratings))
	byNumber := make(map[int64]*store.Standing, len(ratings))
	for i := range ratings {
		out[i].Rating = ratings[i]
		numbers[i] = ratings[i].NFT
		byNumber[ratings[i].NFT] = &out[i]
	}
	set := jsonNumbers(numbers)
	of, err := q.matchupsOf(ctx, set)
	if err != nil {
		return nil, err
	}
	against, err := q.matchupsAgainst(ctx, set)
	if err != nil {
		return nil, err
	}
	for _, m := range of {
		s := byNumber[m.Nft]
		s.Matchups, s.TodaysWeights = m.Matchups, scoring.Sum(m.Weight)
	}
	for _, m := range against {
		s := byNumber[m.Nft]
		s.Matchups += m.Matchups
		s.TodaysWeights += scoring.Sum(m.Weight)
	}
	opinions, err := q.standingOpinions(ctx, set)
	if err != nil {
		return nil, err
	}
	for i := range opinions {
		o := &opinions[i]
		s := byNumber[o.OpinionRow.Nft]
		s.Opinions = append(s.Opinions, store.StandingOpinion{Opinion: toOpinion(&o.OpinionRow), Voter: toVoter(&o.VoterRow).Voter})
	}
	return out, nil
}
