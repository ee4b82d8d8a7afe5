-- Statements of the store's own transactions.

-- name: AdvisoryLock :exec
SELECT pg_advisory_xact_lock(@lock_key::bigint);

-- name: InsertCollections :exec
INSERT INTO collections (name)
SELECT DISTINCT w.name::text COLLATE "C" FROM (SELECT unnest(@names::text[]) AS name) w
WHERE NOT EXISTS (SELECT FROM collections c WHERE c.name = w.name) ORDER BY 1
ON CONFLICT DO NOTHING;

-- name: InsertNFTs :many
-- Returns how many are new by collection. Rows are numbered in the order given.
WITH fresh AS (
    INSERT INTO nfts (id, name, collection, image_url, created_at)
    SELECT x.id, x.name, c.number, x.image_url, @created_at
    FROM (SELECT unnest(@ids::text[]) AS id, unnest(@names::text[]) AS name, unnest(@collections::text[]) AS collection,
        unnest(@image_urls::text[]) AS image_url, generate_series(1, @n::bigint) AS place) x
    JOIN collections c ON c.name = x.collection
    WHERE NOT EXISTS (SELECT FROM nfts n WHERE n.id = x.id)
    ORDER BY x.place
    ON CONFLICT DO NOTHING
    RETURNING nfts.collection
)
SELECT f.collection, count(*) AS created FROM fresh f GROUP BY f.collection ORDER BY f.collection;

-- name: UpdateNFTs :many
-- Returns those that were in another collection before. Only PutNFTs changes
-- these columns, one transaction at a time.
WITH given AS (
    SELECT n.number, n.collection AS was, c.number AS collection, x.name, x.image_url
    FROM (SELECT unnest(@ids::text[]) AS id, unnest(@names::text[]) AS name, unnest(@collections::text[]) AS collection,
        unnest(@image_urls::text[]) AS image_url) x
    JOIN collections c ON c.name = x.collection JOIN nfts n ON n.id = x.id
    WHERE n.name <> x.name OR n.collection <> c.number OR n.image_url <> x.image_url
), put AS (
    UPDATE nfts n SET name = g.name, collection = g.collection, image_url = g.image_url
    FROM given g WHERE n.number = g.number
    RETURNING n.number, g.was, g.collection AS now
)
SELECT p.number, p.was, p.now FROM put p WHERE p.was <> p.now ORDER BY p.number;

-- name: MoveRatings :exec
UPDATE ratings r SET collection = x.collection
FROM (SELECT unnest(@nfts::bigint[]) AS nft, unnest(@collections::bigint[]) AS collection) x WHERE r.nft = x.nft;

-- name: MoveScores :exec
UPDATE scores s SET collection = x.collection
FROM (SELECT unnest(@nfts::bigint[]) AS nft, unnest(@collections::bigint[]) AS collection) x WHERE s.nft = x.nft;

-- name: SetCollectionActive :many
UPDATE collections SET active = @active WHERE name = @name RETURNING number;

-- name: UpsertRejects :exec
INSERT INTO rejects (source, line, "row", code, detail, raw, at)
SELECT unnest(@sources::text[]), unnest(@lines::bigint[]), unnest(@rows::text[]), unnest(@codes::text[]), unnest(@details::text[]),
    unnest(@raws::text[]), unnest(@ats::timestamptz[])
ON CONFLICT (source, line, "row") DO UPDATE SET
    code = excluded.code, detail = excluded.detail, raw = excluded.raw, at = excluded.at;

-- name: InsertSettingAudit :exec
INSERT INTO settings_audit (at, who, name, from_value, to_value, why)
SELECT @at, @who, @name, COALESCE((SELECT s.value FROM settings s WHERE s.name = @name), @from_value::text), @to_value, @why;

-- name: UpsertSetting :exec
INSERT INTO settings (name, value, changed_at) VALUES (@name, @value, @changed_at)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at;

-- name: Meta :many
SELECT value FROM meta WHERE name = @name;

-- name: InsertMeta :exec
INSERT INTO meta (name, value) VALUES (@name, @value);

-- name: ScoringVersions :many
SELECT number, publishing FROM scoring_versions ORDER BY number;

-- name: InsertScoringVersion :exec
INSERT INTO scoring_versions (number, publishing, created_at, who) VALUES (@number, CAST(@publishing::text AS json), @created_at, @who);

-- name: DurabilitySettings :one
SELECT current_setting('fsync')::text AS fsync, current_setting('synchronous_commit')::text AS synchronous_commit,
    current_setting('full_page_writes')::text AS full_page_writes;
