-- Registered NFTs and collections.

-- name: nftByID :one
SELECT sqlc.embed(n), c.name AS collection_name
FROM nfts n JOIN collections c ON c.number = n.collection
WHERE n.id = ?;

-- name: nftsByNumber :many
SELECT sqlc.embed(n), c.name AS collection_name
FROM json_each(?) k CROSS JOIN nfts n ON n.number = k.value CROSS JOIN collections c ON c.number = n.collection;

-- name: nftsAfter :many
SELECT sqlc.embed(n), c.name AS collection_name
FROM nfts n CROSS JOIN collections c ON c.number = n.collection
WHERE n.number > ?
ORDER BY n.number
LIMIT ?;

-- name: knownNFTs :many
SELECT DISTINCT n.id
FROM json_each(?) k CROSS JOIN nfts n ON n.id = k.value
ORDER BY n.id;

-- name: knownVoters :many
SELECT DISTINCT v.id
FROM json_each(?) k CROSS JOIN voters v ON v.id = k.value
ORDER BY v.id;

-- name: insertNFT :execrows
INSERT INTO nfts (id, name, collection, image_url, created_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING;

-- name: updateNFT :exec
UPDATE nfts SET name = ?, collection = ?, image_url = ? WHERE number = ?;

-- name: placeOfNFT :one
SELECT number, collection FROM nfts WHERE id = ?;

-- name: insertCollection :exec
INSERT INTO collections (name) VALUES (?) ON CONFLICT (name) DO NOTHING;

-- name: collectionNumber :one
SELECT number FROM collections WHERE name = ?;

-- name: setCollectionActive :execrows
UPDATE collections SET active = ? WHERE name = ?;

-- name: allCollections :many
SELECT * FROM collections ORDER BY name;

-- name: collectionsAfter :many
SELECT * FROM collections WHERE name >= @from_name AND (name > @from_name OR @from_there) ORDER BY name LIMIT @up_to;

-- name: moveRating :many
UPDATE ratings SET collection = ? WHERE nft = ?
RETURNING votes, waiting_since;

-- name: moveScore :many
UPDATE scores SET collection = ? WHERE nft = ?
RETURNING poa, confidence;
