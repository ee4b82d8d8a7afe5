-- Statements that Tx and View read with. Scores of ratings are read in a
-- statement of their own: under a lock it must come after the locks.

-- name: LockRatingsByID :many
-- A row that had to be waited for is read again once it is locked.
SELECT sqlc.embed(r), n.id FROM ratings r JOIN nfts n ON n.number = r.nft
WHERE n.id = ANY(@ids::text[]) ORDER BY r.nft FOR NO KEY UPDATE OF r;

-- name: LockRatings :many
SELECT sqlc.embed(r), n.id FROM ratings r JOIN nfts n ON n.number = r.nft
WHERE r.nft = ANY(@nfts::bigint[]) ORDER BY r.nft FOR NO KEY UPDATE OF r;

-- name: LockVoters :many
SELECT * FROM voters WHERE id = ANY(@ids::text[]) ORDER BY number FOR NO KEY UPDATE;

-- name: Scores :many
SELECT * FROM scores WHERE nft = ANY(@nfts::bigint[]);

-- name: RatingsByID :many
SELECT sqlc.embed(r), n.id FROM ratings r JOIN nfts n ON n.number = r.nft
WHERE n.id = ANY(@ids::text[]) ORDER BY r.nft;

-- name: Ratings :many
SELECT sqlc.embed(r), n.id FROM ratings r JOIN nfts n ON n.number = r.nft
WHERE r.nft = ANY(@nfts::bigint[]) ORDER BY r.nft;

-- name: VotesByKey :many
SELECT sqlc.embed(v), w.id AS voter_id, a.id AS a_id, b.id AS b_id
FROM votes v JOIN voters w ON w.number = v.voter JOIN nfts a ON a.number = v.nft_a LEFT JOIN nfts b ON b.number = v.nft_b
WHERE v.key = ANY(@keys::text[]) ORDER BY v.number;

-- name: Opinions :many
SELECT o.* FROM (SELECT DISTINCT unnest(@nfts::bigint[]) AS nft, unnest(@kinds::smallint[]) AS kind, unnest(@voters::bigint[]) AS voter) x
JOIN opinions o ON o.nft = x.nft AND o.kind = x.kind AND o.voter = x.voter
ORDER BY o.nft, o.kind, o.voter;

-- name: VoteNumbers :many
SELECT nextval('vote_numbers')::bigint FROM generate_series(1, @n::bigint);

-- name: MatchupSums :many
-- The votes of each side are summed apart: an NFT's matchups are those in which
-- it was A and those in which it was B.
SELECT x.nft::bigint AS nft, count(*) AS matchups, sum(w.weight)::bigint AS weight
FROM (
    SELECT v.nft_a AS nft, v.voter FROM votes v WHERE v.nft_a = ANY(@nfts::bigint[]) AND v.outcome IN (1, 2, 3)
    UNION ALL
    SELECT v.nft_b, v.voter FROM votes v WHERE v.nft_b = ANY(@nfts::bigint[]) AND v.outcome IN (1, 2, 3)
) x JOIN voters w ON w.number = x.voter
GROUP BY x.nft;

-- name: LaterVotes :many
-- The votes on each NFT, on either side, above a number of its own.
SELECT x.nft::bigint AS nft, v.voter, v.kind
FROM (SELECT unnest(@nfts::bigint[]) AS nft, unnest(@after::bigint[]) AS after) x JOIN votes v ON v.nft_a = x.nft AND v.number > x.after
UNION ALL
SELECT x.nft::bigint, v.voter, v.kind
FROM (SELECT unnest(@nfts::bigint[]) AS nft, unnest(@after::bigint[]) AS after) x JOIN votes v ON v.nft_b = x.nft AND v.number > x.after;

-- name: StandingOpinions :many
SELECT sqlc.embed(o), v.reliability, v.judged, v.votes, v.slider_n, v.slider_mean, v.slider_m2
FROM opinions o JOIN voters v ON v.number = o.voter
WHERE o.nft = ANY(@nfts::bigint[]) AND o.standing
ORDER BY o.nft, o.kind, o.voter;

-- name: NFTByID :one
SELECT sqlc.embed(n), c.name AS collection_name FROM nfts n JOIN collections c ON c.number = n.collection WHERE n.id = @id;

-- name: NFTs :many
SELECT sqlc.embed(n), c.name AS collection_name FROM nfts n JOIN collections c ON c.number = n.collection
WHERE n.number = ANY(@numbers::bigint[]);

-- name: KnownVoters :many
SELECT id FROM voters WHERE id = ANY(@ids::text[]);

-- name: KnownNFTs :many
SELECT id FROM nfts WHERE id = ANY(@ids::text[]);

-- name: RatedNFTs :many
SELECT nft FROM ratings WHERE nft > @after ORDER BY nft LIMIT @up_to;

-- name: RatedNFTsOf :many
SELECT nft FROM ratings WHERE collection = @collection AND nft > @after ORDER BY nft LIMIT @up_to;

-- name: CollectionNumber :one
SELECT number FROM collections WHERE name = @name;

-- name: TopScores :many
SELECT * FROM scores ORDER BY poa DESC, nft LIMIT @up_to;

-- name: TopScoresOf :many
SELECT * FROM scores WHERE collection = @collection ORDER BY poa DESC, nft LIMIT @up_to;

-- name: Collections :many
SELECT * FROM collections ORDER BY name;

-- name: Counters :many
SELECT x.name, x.collection, sum(x.value)::bigint AS value
FROM (SELECT c.name, c.collection, c.value FROM counters c UNION ALL SELECT d.name, d.collection, d.by FROM counter_deltas d) x
GROUP BY x.name, x.collection ORDER BY x.name, x.collection;

-- name: History :many
SELECT * FROM history WHERE nft = @nft ORDER BY number DESC LIMIT @up_to;

-- name: Activity :many
SELECT a.number, a.at, a.kind, a.nft, a.reason, a.reasons, a.priority, a.basis, a.poa_before, a.poa, a.vote, a.detail, a.run, a.who, n.id AS nft_id
FROM (SELECT * FROM activity ORDER BY activity.number DESC LIMIT @up_to) a LEFT JOIN nfts n ON n.number = a.nft
ORDER BY a.number DESC;

-- name: ActivityOf :many
SELECT a.number, a.at, a.kind, a.nft, a.reason, a.reasons, a.priority, a.basis, a.poa_before, a.poa, a.vote, a.detail, a.run, a.who, n.id AS nft_id
FROM (SELECT * FROM activity WHERE activity.nft = @nft::bigint ORDER BY activity.number DESC LIMIT @up_to) a LEFT JOIN nfts n ON n.number = a.nft
ORDER BY a.number DESC;

-- name: Rejects :many
SELECT * FROM rejects WHERE source = @source ORDER BY line, "row";

-- name: Settings :many
SELECT name, value FROM settings;

-- name: SettingChanges :many
SELECT * FROM settings_audit ORDER BY number DESC LIMIT @up_to;

-- name: ScoringVersion :one
SELECT publishing FROM scoring_versions WHERE number = @number;

-- name: Counts :one
SELECT (SELECT count(*) FROM nfts) AS nfts, (SELECT count(*) FROM voters) AS voters, (SELECT count(*) FROM votes) AS votes,
    (SELECT count(*) FROM ratings) AS ratings, (SELECT count(*) FROM opinions) AS opinions,
    (SELECT count(*) FROM scores) AS scores, (SELECT count(*) FROM history) AS history;

-- Pages of the streams: a range of the primary key each, in key order.

-- name: LogPage :many
-- A vote whose voter or NFT is missing, in a damaged database, is read too.
SELECT sqlc.embed(v), COALESCE(w.id, '')::text AS voter_id, COALESCE(a.id, '')::text AS a_id, b.id AS b_id
FROM votes v LEFT JOIN voters w ON w.number = v.voter LEFT JOIN nfts a ON a.number = v.nft_a LEFT JOIN nfts b ON b.number = v.nft_b
WHERE v.number > @after ORDER BY v.number LIMIT @up_to;

-- name: NFTPage :many
SELECT sqlc.embed(n), c.name AS collection_name FROM nfts n JOIN collections c ON c.number = n.collection
WHERE n.number > @after ORDER BY n.number LIMIT @up_to;

-- name: RatingPage :many
SELECT sqlc.embed(r), n.id FROM ratings r JOIN nfts n ON n.number = r.nft
WHERE r.nft > @after ORDER BY r.nft LIMIT @up_to;

-- name: VoterPage :many
SELECT * FROM voters WHERE number > @after ORDER BY number LIMIT @up_to;

-- name: OpinionPage :many
SELECT * FROM opinions WHERE (nft, kind, voter) > (@nft::bigint, @kind::smallint, @voter::bigint)
ORDER BY nft, kind, voter LIMIT @up_to;

-- name: HistoryPage :many
SELECT * FROM history WHERE number > @after ORDER BY number LIMIT @up_to;
