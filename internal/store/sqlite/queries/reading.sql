-- What a view reads. Streams go page by page, from the key of the last row.

-- name: ratedNFTs :many
SELECT nft FROM ratings WHERE nft > ? ORDER BY nft LIMIT ?;

-- name: ratedNFTsOf :many
SELECT nft FROM ratings WHERE collection = ? AND nft > ? ORDER BY nft LIMIT ?;

-- name: votesAfter :many
-- A vote whose voter or NFT is missing, in a damaged database, is read too.
SELECT sqlc.embed(v), CAST(coalesce(w.id, '') AS TEXT) AS voter_id, CAST(coalesce(a.id, '') AS TEXT) AS a_id,
    CAST(coalesce(b.id, '') AS TEXT) AS b_id
FROM votes v
LEFT JOIN voters w ON w.number = v.voter
LEFT JOIN nfts a ON a.number = v.nft_a
LEFT JOIN nfts b ON b.number = v.nft_b
WHERE v.number > ?
ORDER BY v.number
LIMIT ?;

-- name: votersAfter :many
SELECT * FROM voters WHERE number > ? ORDER BY number LIMIT ?;

-- name: opinionsAfter :many
SELECT * FROM opinions
WHERE (nft, kind, voter) > (sqlc.arg(nft), sqlc.arg(kind), sqlc.arg(voter))
ORDER BY nft, kind, voter
LIMIT sqlc.arg(page);

-- name: historyAfter :many
SELECT * FROM history WHERE number > ? ORDER BY number LIMIT ?;

-- name: topNFTs :many
SELECT nft FROM scores ORDER BY poa DESC, nft LIMIT ?;

-- name: topNFTsOf :many
SELECT nft FROM scores WHERE collection = ? ORDER BY poa DESC, nft LIMIT ?;

-- name: allCounters :many
SELECT * FROM counters WHERE value <> 0 ORDER BY name, collection;

-- name: countersOf :many
SELECT c.* FROM json_each(@names) n CROSS JOIN json_each(@numbers) k
CROSS JOIN counters c ON c.name = n.value AND c.collection = k.value;

-- name: historyOf :many
SELECT * FROM history WHERE nft = ? ORDER BY number DESC LIMIT ?;

-- name: latestActivity :many
SELECT sqlc.embed(a), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM activity a LEFT JOIN nfts n ON n.number = a.nft
ORDER BY a.number DESC
LIMIT ?;

-- name: activityOf :many
SELECT sqlc.embed(a), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM activity a LEFT JOIN nfts n ON n.number = a.nft
WHERE a.nft = ?
ORDER BY a.number DESC
LIMIT ?;

-- name: rowCounts :one
SELECT
    (SELECT count(*) FROM nfts) AS nfts_rows,
    (SELECT count(*) FROM voters) AS voters_rows,
    (SELECT count(*) FROM votes) AS votes_rows,
    (SELECT count(*) FROM ratings) AS ratings_rows,
    (SELECT count(*) FROM opinions) AS opinions_rows,
    (SELECT count(*) FROM scores) AS scores_rows,
    (SELECT count(*) FROM history) AS history_rows;
