-- Statements of the panel: people, links, sessions, lists and samples.

-- name: insertPerson :one
INSERT INTO people (name, role, password_hash, created_at, created_by, last_seen, disabled_at, signed_out_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number;

-- name: personByName :one
SELECT * FROM people WHERE name = ?;

-- name: personByNumber :one
SELECT * FROM people WHERE number = ?;

-- name: allPeople :many
SELECT * FROM people ORDER BY name;

-- name: savePerson :exec
UPDATE people SET role = ?, password_hash = ?, disabled_at = ? WHERE number = ?;

-- name: enabledOperators :one
SELECT count(*) FROM people WHERE role = 'operator' AND disabled_at IS NULL;

-- name: touchPerson :exec
UPDATE people SET last_seen = max(coalesce(last_seen, 0), CAST(sqlc.arg(at) AS INTEGER)) WHERE number = sqlc.arg(number);

-- name: signOut :execrows
UPDATE people SET signed_out_at = ? WHERE number = ?;

-- name: insertLink :exec
INSERT INTO links (hash, purpose, person, name, role, created_at, created_by, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: findLink :one
SELECT * FROM links WHERE hash = ? AND purpose = ? AND expires_at > ?;

-- name: takeLink :one
DELETE FROM links WHERE hash = ? AND purpose = ? AND expires_at > ? RETURNING *;

-- name: allLinks :many
SELECT * FROM links WHERE expires_at > ? ORDER BY created_at DESC, hash;

-- name: deleteLinks :execrows
DELETE FROM links
WHERE (CAST(sqlc.arg(purpose) AS TEXT) = '' OR purpose = CAST(sqlc.arg(purpose) AS TEXT))
    AND (CAST(sqlc.arg(person) AS INTEGER) = 0 OR person = CAST(sqlc.arg(person) AS INTEGER));

-- name: findSession :one
SELECT * FROM sessions WHERE hash = ? AND expires_at > ?;

-- name: insertSession :exec
INSERT INTO sessions (hash, person, data, expires_at) VALUES (?, ?, ?, ?);

-- name: replaceSession :execrows
UPDATE sessions SET person = ?, data = ?, expires_at = ? WHERE hash = ?;

-- name: accessVersion :one
SELECT CAST(coalesce((SELECT value FROM meta WHERE name = 'access_version'), '0') AS INTEGER);

-- name: raiseAccessVersion :exec
INSERT INTO meta (name, value) VALUES ('access_version', '1')
ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(meta.value AS INTEGER) + 1 AS TEXT);

-- name: deleteSession :execrows
DELETE FROM sessions WHERE hash = ?;

-- name: deleteSessionsOf :execrows
DELETE FROM sessions WHERE person = ?;

-- name: voterByID :one
SELECT * FROM voters WHERE id = ?;

-- name: voterByNumber :one
SELECT * FROM voters WHERE number = ?;

-- name: newestVoters :many
SELECT * FROM voters WHERE number < ? ORDER BY number DESC LIMIT ?;

-- name: votersByPrefix :many
SELECT * FROM voters WHERE id >= sqlc.arg(prefix) AND id < sqlc.arg(prefix_end) AND id > sqlc.arg(after)
ORDER BY id LIMIT sqlc.arg(up_to);

-- name: recentVoters :many
SELECT sqlc.embed(w)
FROM (
    SELECT l.voter AS voter, max(l.number) AS latest
    FROM (SELECT v.voter, v.number FROM votes v ORDER BY v.number DESC LIMIT sqlc.arg(depth)) l
    GROUP BY l.voter
) x CROSS JOIN voters w ON w.number = x.voter
ORDER BY x.latest DESC LIMIT sqlc.arg(up_to);

-- name: tiesBefore :many
SELECT nft FROM scores WHERE poa = ? AND nft < ? ORDER BY nft DESC LIMIT ?;

-- name: tiesOfBefore :many
SELECT nft FROM scores WHERE collection = ? AND poa = ? AND nft < ? ORDER BY nft DESC LIMIT ?;

-- name: ranksAbove :many
SELECT nft FROM scores WHERE poa > ? ORDER BY poa, nft DESC LIMIT ?;

-- name: ranksOfAbove :many
SELECT nft FROM scores WHERE collection = ? AND poa > ? ORDER BY poa, nft DESC LIMIT ?;

-- name: recentComputations :many
SELECT sqlc.embed(a), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM (
    SELECT max(l.number) AS latest
    FROM (SELECT t.number, t.kind, t.nft FROM activity t ORDER BY t.number DESC LIMIT sqlc.arg(depth)) l
    WHERE l.kind = 'computed' AND l.nft IS NOT NULL
    GROUP BY l.nft
) x CROSS JOIN activity a ON a.number = x.latest CROSS JOIN nfts n ON n.number = a.nft
ORDER BY a.number DESC LIMIT sqlc.arg(up_to);

-- name: triggerCandidates :many
-- As candidatesByVotes, failed ones too, as far as they have votes enough.
WITH heads AS (
    SELECT c.number AS number, c.name AS name
    FROM collections c CROSS JOIN ratings h ON h.nft = (
        SELECT t.nft FROM ratings t
        WHERE t.collection = c.number AND t.waiting_votes >= sqlc.arg(votes) ORDER BY t.waiting_votes DESC, t.nft LIMIT 1
    )
    WHERE c.active
    ORDER BY h.waiting_votes DESC, h.nft LIMIT sqlc.arg(up_to)
), chosen AS (
    SELECT x.nft AS nft, w.name AS name
    FROM heads w CROSS JOIN ratings x ON x.nft IN (
        SELECT t.nft FROM ratings t
        WHERE t.collection = w.number AND t.waiting_votes >= sqlc.arg(votes) ORDER BY t.waiting_votes DESC, t.nft LIMIT sqlc.arg(up_to)
    )
    ORDER BY x.waiting_votes DESC, x.nft LIMIT sqlc.arg(up_to)
)
SELECT r.nft, n.id, w.name AS collection_name, r.votes, r.due_since, r.due_reason, r.due_priority, r.waiting_since,
    s.computed_at, CAST(coalesce(f.tries, 0) AS INTEGER) AS tries
FROM chosen w CROSS JOIN ratings r ON r.nft = w.nft CROSS JOIN nfts n ON n.number = w.nft
LEFT JOIN scores s ON s.nft = w.nft LEFT JOIN failures f ON f.nft = w.nft
ORDER BY r.waiting_votes DESC, r.nft;

-- name: settingChangesBefore :many
SELECT * FROM settings_audit WHERE number < ? ORDER BY number DESC LIMIT ?;

-- name: settingChangesOf :many
SELECT * FROM settings_audit WHERE name = ? AND number < ? ORDER BY number DESC LIMIT ?;

-- name: distribution :many
SELECT k.name, CAST(sum(k.value) AS INTEGER) AS total
FROM counters k
WHERE k.name >= 'poa_bin.' AND k.name < 'poa_bin/'
    AND (CAST(sqlc.arg(all_collections) AS INTEGER) OR k.collection = (SELECT c.number FROM collections c WHERE c.name = sqlc.arg(collection)))
GROUP BY k.name;

-- name: addSample :exec
INSERT INTO samples (grain, at, name, value) VALUES (?, ?, ?, ?)
ON CONFLICT (grain, at, name) DO UPDATE SET value = CASE
    WHEN name >= 'gauge.' AND name < 'gauge/' THEN max(value, excluded.value) ELSE value + excluded.value END;

-- name: samplesBetween :many
SELECT CAST(s.at - s.at % CAST(sqlc.arg(bin) AS INTEGER) AS INTEGER) AS bin_at, s.name,
    CAST(CASE WHEN s.name >= 'gauge.' AND s.name < 'gauge/' THEN max(s.value) ELSE sum(s.value) END AS INTEGER) AS value
FROM samples s
WHERE s.grain = sqlc.arg(grain) AND s.at >= sqlc.arg(from_at) AND s.at < sqlc.arg(until_at)
GROUP BY bin_at, s.name
ORDER BY bin_at, s.name;

-- name: expireSessions :execrows
DELETE FROM sessions WHERE hash IN (SELECT x.hash FROM sessions x WHERE x.expires_at <= ? LIMIT ?);

-- name: expireLinks :execrows
DELETE FROM links WHERE hash IN (SELECT x.hash FROM links x WHERE x.expires_at <= ? LIMIT ?);

-- name: expireSamples :execrows
DELETE FROM samples WHERE (grain, at, name) IN (SELECT x.grain, x.at, x.name FROM samples x WHERE x.grain = ? AND x.at < ? LIMIT ?);
