-- What writing scores into another system's database needs.

-- name: putUnwritten :exec
INSERT INTO unwritten (target, nft, since, at, reason, detail, tries, next_try) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (target, nft) DO UPDATE SET
    since = min(unwritten.since, excluded.since), at = max(unwritten.at, excluded.at),
    reason = excluded.reason, detail = excluded.detail, tries = excluded.tries, next_try = excluded.next_try;

-- name: deleteUnwritten :exec
DELETE FROM unwritten WHERE target = ? AND nft = ?;

-- name: unwrittenDue :many
SELECT sqlc.embed(u), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM unwritten u LEFT JOIN nfts n ON n.number = u.nft
WHERE u.target = @target AND u.next_try <= @now ORDER BY u.next_try, u.nft LIMIT @up_to;

-- name: listUnwritten :many
SELECT sqlc.embed(u), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM unwritten u LEFT JOIN nfts n ON n.number = u.nft
WHERE u.target = @target AND u.nft > @after ORDER BY u.nft LIMIT @up_to;

-- name: countUnwritten :many
SELECT reason, count(*) AS total, CAST(min(since) AS INTEGER) AS since FROM unwritten WHERE target = ? GROUP BY reason ORDER BY reason;
