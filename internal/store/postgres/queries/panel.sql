-- Statements of the panel: people, links, sessions, lists and samples.

-- name: InsertPerson :one
INSERT INTO people (name, role, password_hash, created_at, created_by, last_seen, disabled_at, signed_out_at)
VALUES (@name, @role, @password_hash, @created_at, @created_by, @last_seen, @disabled_at, @signed_out_at) RETURNING number;

-- name: PersonByName :one
SELECT * FROM people WHERE name = @name;

-- name: PersonByNumber :one
SELECT * FROM people WHERE number = @number;

-- name: People :many
SELECT * FROM people ORDER BY name;

-- name: LockOperators :many
-- And the person that is to be saved, in ascending order, so that processes do
-- not deadlock.
SELECT * FROM people WHERE number = @number OR (role = 'operator' AND disabled_at IS NULL) ORDER BY number FOR UPDATE;

-- name: SavePerson :exec
UPDATE people SET role = @role, password_hash = @password_hash, disabled_at = @disabled_at WHERE number = @number;

-- name: TouchPeople :exec
-- Locked in ascending order, so that processes do not deadlock.
WITH seen AS (
    SELECT p.number, x.at
    FROM (SELECT unnest(@numbers::bigint[]) AS number, unnest(@ats::timestamptz[]) AS at) x JOIN people p ON p.number = x.number
    ORDER BY p.number FOR NO KEY UPDATE OF p
)
UPDATE people p SET last_seen = GREATEST(p.last_seen, s.at) FROM seen s WHERE p.number = s.number;

-- name: SignOut :many
UPDATE people SET signed_out_at = @now WHERE number = @number RETURNING number;

-- name: InsertLink :exec
INSERT INTO links (hash, purpose, person, name, role, created_at, created_by, expires_at)
VALUES (@hash, @purpose, @person, @name, @role, @created_at, @created_by, @expires_at);

-- name: FindLink :one
SELECT * FROM links WHERE hash = @hash AND purpose = @purpose AND expires_at > @now;

-- name: TakeLink :one
DELETE FROM links WHERE hash = @hash AND purpose = @purpose AND expires_at > @now RETURNING *;

-- name: Links :many
SELECT * FROM links WHERE expires_at > @now ORDER BY created_at DESC, hash;

-- name: DeleteLinks :many
DELETE FROM links WHERE (@purpose::text = '' OR purpose = @purpose) AND (@person::bigint = 0 OR person = @person) RETURNING person;

-- name: FindSession :one
SELECT * FROM sessions WHERE hash = @hash AND expires_at > @now;

-- name: InsertSession :exec
INSERT INTO sessions (hash, person, data, expires_at) VALUES (@hash, @person, @data, @expires_at);

-- name: ReplaceSession :many
UPDATE sessions SET person = @person, data = @data, expires_at = @expires_at WHERE hash = @hash RETURNING person;

-- name: AccessVersion :one
SELECT COALESCE((SELECT value::bigint FROM meta WHERE name = 'access_version'), 0)::bigint;

-- name: RaiseAccessVersion :exec
-- It holds its row's lock until the end, so it comes last in its transaction.
INSERT INTO meta (name, value) VALUES ('access_version', '1')
ON CONFLICT (name) DO UPDATE SET value = (meta.value::bigint + 1)::text;

-- name: DeleteSession :many
DELETE FROM sessions WHERE hash = @hash RETURNING person;

-- name: DeleteSessionsOf :many
DELETE FROM sessions WHERE person = @person RETURNING person;

-- name: VoterByID :one
SELECT * FROM voters WHERE id = @id;

-- name: VoterByNumber :one
SELECT * FROM voters WHERE number = @number;

-- name: NewestVoters :many
SELECT * FROM voters WHERE number < @before ORDER BY number DESC LIMIT @up_to;

-- name: VotersByPrefix :many
SELECT * FROM voters WHERE id >= @prefix AND id < @prefix_end AND id > @after ORDER BY id LIMIT @up_to;

-- name: RecentVoters :many
SELECT sqlc.embed(w)
FROM (
    SELECT l.voter, max(l.number) AS latest
    FROM (SELECT v.voter, v.number FROM votes v ORDER BY v.number DESC LIMIT @depth::integer) l
    GROUP BY l.voter
    ORDER BY latest DESC LIMIT @up_to::integer
) x JOIN voters w ON w.number = x.voter
ORDER BY x.latest DESC;

-- name: RanksBefore :many
SELECT x.nft FROM (
    (SELECT nft, poa FROM scores WHERE poa = @poa::double precision AND nft < @nft::bigint ORDER BY nft DESC LIMIT @up_to::integer)
    UNION ALL
    (SELECT nft, poa FROM scores WHERE poa > @poa::double precision ORDER BY poa, nft DESC LIMIT @up_to::integer)
) x ORDER BY x.poa, x.nft DESC LIMIT @up_to::integer;

-- name: RanksOfBefore :many
SELECT x.nft FROM (
    (SELECT nft, poa FROM scores WHERE collection = @collection::bigint AND poa = @poa::double precision AND nft < @nft::bigint
        ORDER BY nft DESC LIMIT @up_to::integer)
    UNION ALL
    (SELECT nft, poa FROM scores WHERE collection = @collection::bigint AND poa > @poa::double precision
        ORDER BY poa, nft DESC LIMIT @up_to::integer)
) x ORDER BY x.poa, x.nft DESC LIMIT @up_to::integer;

-- name: RecentComputations :many
SELECT a.number, a.at, a.kind, a.nft, a.reason, a.reasons, a.priority, a.basis, a.poa_before, a.poa, a.vote, a.detail, a.run, a.who,
    n.id AS nft_id
FROM (
    SELECT max(l.number) AS latest
    FROM (SELECT t.number, t.kind, t.nft FROM activity t ORDER BY t.number DESC LIMIT @depth::integer) l
    WHERE l.kind = 'computed' AND l.nft IS NOT NULL
    GROUP BY l.nft
    ORDER BY latest DESC LIMIT @up_to::integer
) x JOIN activity a ON a.number = x.latest LEFT JOIN nfts n ON n.number = a.nft
ORDER BY a.number DESC;

-- name: TriggerCandidates :many
-- As CandidatesByVotes, failed ones too, as far as they have votes enough.
WITH heads AS (
    SELECT c.number FROM collections c CROSS JOIN LATERAL (
        SELECT t.waiting_votes, t.nft FROM ratings t
        WHERE t.collection = c.number AND t.waiting_votes IS NOT NULL AND t.waiting_votes >= @votes::bigint
        ORDER BY t.waiting_votes DESC, t.nft LIMIT 1
    ) h
    WHERE c.active
    ORDER BY h.waiting_votes DESC, h.nft LIMIT @up_to::integer
)
SELECT x.nft FROM heads CROSS JOIN LATERAL (
        SELECT t.waiting_votes, t.nft FROM ratings t
        WHERE t.collection = heads.number AND t.waiting_votes IS NOT NULL AND t.waiting_votes >= @votes::bigint
        ORDER BY t.waiting_votes DESC, t.nft LIMIT @up_to::integer
    ) x
ORDER BY x.waiting_votes DESC, x.nft LIMIT @up_to::integer;

-- name: SettingChangesBefore :many
-- Planned for what it is given.
SELECT * FROM settings_audit WHERE (@name::text = '' OR name = @name) AND number < @before ORDER BY number DESC LIMIT @up_to;

-- name: Distribution :many
SELECT x.name, sum(x.value)::bigint AS total
FROM (
    SELECT k.name, k.collection, k.value FROM counters k WHERE k.name >= 'poa_bin.' AND k.name < 'poa_bin/'
    UNION ALL
    SELECT d.name, d.collection, d.by FROM counter_deltas d WHERE d.name >= 'poa_bin.' AND d.name < 'poa_bin/'
) x
WHERE @all_collections::boolean OR x.collection = (SELECT c.number FROM collections c WHERE c.name = @collection)
GROUP BY x.name;

-- name: AddSamples :exec
-- In ascending order, so that processes do not deadlock.
INSERT INTO samples (grain, at, name, value)
SELECT g.minutes, date_bin(make_interval(mins => g.minutes), x.at, timestamptz '1970-01-01 00:00Z') AS begins, x.name,
    CASE WHEN x.name >= 'gauge.' AND x.name < 'gauge/' THEN max(x.value) ELSE sum(x.value) END::bigint
FROM (SELECT unnest(@ats::timestamptz[]) AS at, unnest(@names::text[]) COLLATE "C" AS name, unnest(@amounts::bigint[]) AS value) x
CROSS JOIN (VALUES (1), (10)) g (minutes)
GROUP BY g.minutes, begins, x.name
ORDER BY g.minutes, begins, x.name
ON CONFLICT (grain, at, name) DO UPDATE SET value = CASE
    WHEN samples.name >= 'gauge.' AND samples.name < 'gauge/' THEN GREATEST(samples.value, excluded.value)
    ELSE samples.value + excluded.value END;

-- name: SamplesBetween :many
SELECT date_bin(make_interval(mins => @minutes::integer), s.at, timestamptz '1970-01-01 00:00Z')::timestamptz AS begins, s.name,
    (CASE WHEN s.name >= 'gauge.' AND s.name < 'gauge/' THEN max(s.value) ELSE sum(s.value) END)::bigint AS amount
FROM samples s
WHERE s.grain = @grain AND s.at >= @from_at AND s.at < @until_at
GROUP BY begins, s.name
ORDER BY begins, s.name;

-- name: ExpireSessions :many
DELETE FROM sessions WHERE hash = ANY (ARRAY(SELECT x.hash FROM sessions x WHERE x.expires_at <= @now ORDER BY x.expires_at LIMIT @up_to))
RETURNING person;

-- name: ExpireLinks :many
DELETE FROM links WHERE hash = ANY (ARRAY(SELECT x.hash FROM links x WHERE x.expires_at <= @now ORDER BY x.expires_at LIMIT @up_to))
RETURNING person;

-- name: ExpireSamples :many
-- Whole bins: those up to the one in which the limit is reached.
DELETE FROM samples d WHERE d.grain = @grain AND d.at < @before AND d.at <= (
    SELECT max(x.at) FROM (SELECT s.at FROM samples s WHERE s.grain = @grain ORDER BY s.at LIMIT @up_to) x)
RETURNING d.value;
