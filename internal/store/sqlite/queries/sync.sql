-- What following another system's database needs.

-- name: makeLease :exec
INSERT INTO leases (name, term, holder, until, state) VALUES (?, 0, '', 0, '') ON CONFLICT (name) DO NOTHING;

-- name: takeLease :execrows
UPDATE leases SET term = term + 1, holder = @holder, until = @until WHERE name = @name AND until <= @now;

-- name: keepLease :execrows
UPDATE leases SET until = @until, state = @state WHERE name = @name AND term = @term;

-- name: leaseByName :one
SELECT * FROM leases WHERE name = @name;

-- name: knownKeys :many
SELECT v.key FROM json_each(?) k CROSS JOIN votes v ON v.key = k.value;

-- name: nftsByID :many
SELECT sqlc.embed(n), c.name AS collection_name
FROM json_each(?) k CROSS JOIN nfts n ON n.id = k.value CROSS JOIN collections c ON c.number = n.collection;

-- name: putFavorite :exec
INSERT INTO game_favorites (id, nft, voter, created_at, at, pending) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET nft = excluded.nft, voter = excluded.voter, created_at = excluded.created_at,
    at = max(game_favorites.at, excluded.at), pending = excluded.pending;

-- name: deleteFavorite :exec
DELETE FROM game_favorites WHERE id = ?;

-- name: favoritesAfter :many
SELECT * FROM game_favorites WHERE id > ? ORDER BY id LIMIT ?;

-- name: favoritesOf :many
SELECT f.* FROM json_each(?) k
CROSS JOIN game_favorites f ON f.nft = json_extract(k.value, '$[0]') AND f.voter = json_extract(k.value, '$[1]')
ORDER BY f.id;

-- name: rejectsOfRows :many
SELECT r.* FROM json_each(@rows) k CROSS JOIN rejects r ON r.source = @source AND r.line = 0 AND r."row" = k.value
ORDER BY r."row";

-- name: rejectsWithCode :many
SELECT * FROM rejects WHERE source = @source AND code = @code AND "row" <> '' AND "row" > @after ORDER BY "row" LIMIT @up_to;

-- name: deleteReject :exec
DELETE FROM rejects WHERE source = ? AND line = 0 AND "row" = ?;
