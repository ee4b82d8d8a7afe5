-- What writing scores into another system's database needs.

-- name: UpsertUnwritten :exec
INSERT INTO unwritten (target, nft, since, at, reason, detail, tries, next_try)
SELECT @target, x.nft, x.since, x.at, x.reason, x.detail, x.tries, x.next_try
FROM (SELECT unnest(@nfts::bigint[]) AS nft, unnest(@sinces::timestamptz[]) AS since, unnest(@ats::timestamptz[]) AS at,
    unnest(@reasons::text[]) AS reason, unnest(@details::text[]) AS detail, unnest(@tries::bigint[]) AS tries,
    unnest(@next_tries::timestamptz[]) AS next_try) x
ORDER BY x.nft
ON CONFLICT (target, nft) DO UPDATE SET
    since = LEAST(unwritten.since, excluded.since), at = GREATEST(unwritten.at, excluded.at),
    reason = excluded.reason, detail = excluded.detail, tries = excluded.tries, next_try = excluded.next_try;

-- name: DeleteUnwritten :exec
DELETE FROM unwritten WHERE target = @target AND nft = ANY(@nfts::bigint[]);

-- name: UnwrittenDue :many
SELECT u.*, COALESCE(n.id, '')::text AS nft_id
FROM (
    SELECT * FROM unwritten t WHERE t.target = @target AND t.next_try <= @now::timestamptz ORDER BY t.next_try, t.nft LIMIT @up_to::integer
) u LEFT JOIN nfts n ON n.number = u.nft
ORDER BY u.next_try, u.nft;

-- name: ListUnwritten :many
SELECT u.*, COALESCE(n.id, '')::text AS nft_id
FROM (SELECT * FROM unwritten t WHERE t.target = @target AND t.nft > @after ORDER BY t.nft LIMIT @up_to::integer) u
LEFT JOIN nfts n ON n.number = u.nft
ORDER BY u.nft;

-- name: CountUnwritten :many
SELECT reason, count(*) AS total, min(since)::timestamptz AS since FROM unwritten WHERE target = @target GROUP BY reason ORDER BY reason;
