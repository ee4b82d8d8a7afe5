-- What following another system's database needs.

-- name: TakeLease :many
INSERT INTO leases (name, term, holder, until, state) VALUES (@name, 1, @holder, @until, '')
ON CONFLICT (name) DO UPDATE SET term = leases.term + 1, holder = excluded.holder, until = excluded.until
WHERE leases.until <= @now
RETURNING *;

-- name: KeepLease :many
UPDATE leases SET until = @until, state = @state WHERE name = @name AND term = @term RETURNING term;

-- name: Lease :one
SELECT * FROM leases WHERE name = @name;

-- name: KnownKeys :many
SELECT key FROM votes WHERE key = ANY(@keys::text[]);

-- name: NFTsByID :many
SELECT sqlc.embed(n), c.name AS collection_name
FROM nfts n JOIN collections c ON c.number = n.collection WHERE n.id = ANY(@ids::text[]);

-- name: UpsertFavorites :exec
INSERT INTO game_favorites (id, nft, voter, created_at, at, pending)
SELECT unnest(@ids::text[]), unnest(@nfts::text[]), unnest(@voters::text[]), unnest(@created_ats::timestamptz[]),
    unnest(@ats::timestamptz[]), unnest(@pendings::boolean[])
ON CONFLICT (id) DO UPDATE SET nft = excluded.nft, voter = excluded.voter, created_at = excluded.created_at,
    at = GREATEST(game_favorites.at, excluded.at), pending = excluded.pending;

-- name: DeleteFavorites :exec
DELETE FROM game_favorites WHERE id = ANY(@ids::text[]);

-- name: FavoritesAfter :many
SELECT * FROM game_favorites WHERE id > @after ORDER BY id LIMIT @up_to;

-- name: FavoritesOf :many
SELECT f.* FROM (SELECT DISTINCT unnest(@nfts::text[]) COLLATE "C" AS nft, unnest(@voters::text[]) COLLATE "C" AS voter) x
JOIN game_favorites f ON f.nft = x.nft AND f.voter = x.voter
ORDER BY f.id;

-- name: RejectsOfRows :many
SELECT * FROM rejects WHERE source = @source AND line = 0 AND "row" = ANY(@rows::text[]) ORDER BY "row";

-- name: RejectsWithCode :many
SELECT * FROM rejects WHERE source = @source AND code = @code AND "row" <> '' AND "row" > @after ORDER BY "row" LIMIT @up_to;

-- name: DeleteRejects :exec
DELETE FROM rejects WHERE source = @source AND line = 0 AND "row" = ANY(@rows::text[]);
