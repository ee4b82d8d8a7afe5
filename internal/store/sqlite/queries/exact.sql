-- What an exact computation reads beside the ratings.

-- The set goes through IN here, not through a join: so the rows come in the
-- index's order and are grouped without sorting every vote.

-- name: matchupsOf :many
SELECT v.nft_a AS nft, count(*) AS matchups, CAST(sum(w.weight) AS INTEGER) AS weight
FROM votes v CROSS JOIN voters w ON w.number = v.voter
WHERE v.nft_a IN (SELECT k.value FROM json_each(?) k) AND v.kind = 1 AND v.outcome BETWEEN 1 AND 3
GROUP BY v.nft_a;

-- name: matchupsAgainst :many
SELECT CAST(v.nft_b AS INTEGER) AS nft, count(*) AS matchups, CAST(sum(w.weight) AS INTEGER) AS weight
FROM votes v CROSS JOIN voters w ON w.number = v.voter
WHERE v.nft_b IN (SELECT k.value FROM json_each(?) k) AND v.kind = 1 AND v.outcome BETWEEN 1 AND 3
GROUP BY v.nft_b;

-- name: laterVotes :many
SELECT v.nft_a AS nft, v.voter, v.kind
FROM json_each(?1) k CROSS JOIN votes v ON v.nft_a = k.value ->> 0 AND v.number > k.value ->> 1
UNION ALL
SELECT v.nft_b, v.voter, v.kind
FROM json_each(?1) k CROSS JOIN votes v ON v.nft_b = k.value ->> 0 AND v.number > k.value ->> 1;

-- name: standingOpinions :many
SELECT sqlc.embed(o), sqlc.embed(w)
FROM json_each(?) k CROSS JOIN opinions o ON o.nft = k.value CROSS JOIN voters w ON w.number = o.voter
WHERE o.standing
ORDER BY o.nft, o.kind, o.voter;
