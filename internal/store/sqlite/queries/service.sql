-- Statements of the service: candidates for batches, runs, failures, keys, the
-- stream of activity and pages for people.

-- Candidates are the heads of partial indexes by collection. At most up_to
-- collections have a part in the first up_to rows: those whose own first row is
-- among the first. So the rows of these alone are merged.

-- name: candidatesByVotes :many
WITH heads AS (
    SELECT c.number AS number, c.name AS name
    FROM collections c CROSS JOIN ratings h ON h.nft = (
        SELECT t.nft FROM ratings t
        WHERE t.collection = c.number AND t.waiting_votes IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > sqlc.arg(now)))
        ORDER BY t.waiting_votes DESC, t.nft LIMIT 1
    )
    WHERE CAST(sqlc.arg(all_active) AS INTEGER) AND c.active OR c.name = sqlc.arg(collection)
    ORDER BY h.waiting_votes DESC, h.nft LIMIT sqlc.arg(up_to)
), chosen AS (
    SELECT x.nft AS nft, w.name AS name
    FROM heads w CROSS JOIN ratings x ON x.nft IN (
        SELECT t.nft FROM ratings t
        WHERE t.collection = w.number AND t.waiting_votes IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > sqlc.arg(now)))
        ORDER BY t.waiting_votes DESC, t.nft LIMIT sqlc.arg(up_to)
    )
    ORDER BY x.waiting_votes DESC, x.nft LIMIT sqlc.arg(up_to)
)
SELECT r.nft, n.id, w.name AS collection_name, r.votes, r.due_since, r.due_reason, r.due_priority, r.waiting_since,
    s.computed_at, CAST(coalesce(f.tries, 0) AS INTEGER) AS tries
FROM chosen w CROSS JOIN ratings r ON r.nft = w.nft CROSS JOIN nfts n ON n.number = w.nft
LEFT JOIN scores s ON s.nft = w.nft LEFT JOIN failures f ON f.nft = w.nft
ORDER BY r.waiting_votes DESC, r.nft;

-- name: candidatesByWaiting :many
WITH heads AS (
    SELECT c.number AS number, c.name AS name
    FROM collections c CROSS JOIN ratings h ON h.nft = (
        SELECT t.nft FROM ratings t
        WHERE t.collection = c.number AND t.waiting_since IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > sqlc.arg(now)))
        ORDER BY t.waiting_since, t.nft LIMIT 1
    )
    WHERE CAST(sqlc.arg(all_active) AS INTEGER) AND c.active OR c.name = sqlc.arg(collection)
    ORDER BY h.waiting_since, h.nft LIMIT sqlc.arg(up_to)
), chosen AS (
    SELECT x.nft AS nft, w.name AS name
    FROM heads w CROSS JOIN ratings x ON x.nft IN (
        SELECT t.nft FROM ratings t
        WHERE t.collection = w.number AND t.waiting_since IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > sqlc.arg(now)))
        ORDER BY t.waiting_since, t.nft LIMIT sqlc.arg(up_to)
    )
    ORDER BY x.waiting_since, x.nft LIMIT sqlc.arg(up_to)
)
SELECT r.nft, n.id, w.name AS collection_name, r.votes, r.due_since, r.due_reason, r.due_priority, r.waiting_since,
    s.computed_at, CAST(coalesce(f.tries, 0) AS INTEGER) AS tries
FROM chosen w CROSS JOIN ratings r ON r.nft = w.nft CROSS JOIN nfts n ON n.number = w.nft
LEFT JOIN scores s ON s.nft = w.nft LEFT JOIN failures f ON f.nft = w.nft
ORDER BY r.waiting_since, r.nft;

-- name: candidatesOld :many
WITH heads AS (
    SELECT c.number AS number, c.name AS name
    FROM collections c CROSS JOIN scores h ON h.nft = (
        SELECT t.nft FROM scores t
        WHERE t.collection = c.number AND t.aging AND t.computed_at < sqlc.arg(old_before) AND NOT EXISTS (
            SELECT 1 FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > sqlc.arg(now)))
        ORDER BY t.computed_at, t.nft LIMIT 1
    )
    WHERE CAST(sqlc.arg(all_active) AS INTEGER) AND c.active OR c.name = sqlc.arg(collection)
    ORDER BY h.computed_at, h.nft LIMIT sqlc.arg(up_to)
), chosen AS (
    SELECT x.nft AS nft, w.name AS name
    FROM heads w CROSS JOIN scores x ON x.nft IN (
        SELECT t.nft FROM scores t
        WHERE t.collection = w.number AND t.aging AND t.computed_at < sqlc.arg(old_before) AND NOT EXISTS (
            SELECT 1 FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > sqlc.arg(now)))
        ORDER BY t.computed_at, t.nft LIMIT sqlc.arg(up_to)
    )
    ORDER BY x.computed_at, x.nft LIMIT sqlc.arg(up_to)
)
SELECT r.nft, n.id, w.name AS collection_name, r.votes, r.due_since, r.due_reason, r.due_priority, r.waiting_since,
    s.computed_at, CAST(coalesce(f.tries, 0) AS INTEGER) AS tries
FROM chosen w CROSS JOIN ratings r ON r.nft = w.nft CROSS JOIN nfts n ON n.number = w.nft
LEFT JOIN scores s ON s.nft = w.nft LEFT JOIN failures f ON f.nft = w.nft
ORDER BY s.computed_at, r.nft;

-- name: candidatesDue :many
-- Failed ones that are to be tried again among them, by what they owe.
WITH heads AS (
    SELECT c.number AS number, c.name AS name
    FROM collections c CROSS JOIN ratings h ON h.nft = (
        SELECT t.nft FROM ratings t
        WHERE t.collection = c.number AND t.due_since IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > sqlc.arg(now)))
        ORDER BY t.due_priority DESC, t.due_since, t.nft LIMIT 1
    )
    WHERE CAST(sqlc.arg(all_active) AS INTEGER) AND c.active OR c.name = sqlc.arg(collection)
    ORDER BY h.due_priority DESC, h.due_since, h.nft LIMIT sqlc.arg(up_to)
), chosen AS (
    SELECT x.nft AS nft, w.name AS name
    FROM heads w CROSS JOIN ratings x ON x.nft IN (
        SELECT t.nft FROM ratings t
        WHERE t.collection = w.number AND t.due_since IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > sqlc.arg(now)))
        ORDER BY t.due_priority DESC, t.due_since, t.nft LIMIT sqlc.arg(up_to)
    )
    ORDER BY x.due_priority DESC, x.due_since, x.nft LIMIT sqlc.arg(up_to)
)
SELECT r.nft, n.id, w.name AS collection_name, r.votes, r.due_since, r.due_reason, r.due_priority, r.waiting_since,
    s.computed_at, CAST(coalesce(f.tries, 0) AS INTEGER) AS tries
FROM chosen w CROSS JOIN ratings r ON r.nft = w.nft CROSS JOIN nfts n ON n.number = w.nft
LEFT JOIN scores s ON s.nft = w.nft LEFT JOIN failures f ON f.nft = w.nft
ORDER BY r.due_priority DESC, r.due_since, r.nft;

-- name: candidatesToRetry :many
-- Those that owe nothing else; the others come by candidatesDue.
SELECT r.nft, n.id, c.name AS collection_name, r.votes, r.due_since, r.due_reason, r.due_priority, r.waiting_since,
    s.computed_at, f.tries
FROM failures f CROSS JOIN ratings r ON r.nft = f.nft CROSS JOIN nfts n ON n.number = f.nft
CROSS JOIN collections c ON c.number = r.collection
LEFT JOIN scores s ON s.nft = f.nft
WHERE f.next_try <= sqlc.arg(now) AND r.due_since IS NULL AND (CAST(sqlc.arg(all_active) AS INTEGER) AND c.active OR c.name = sqlc.arg(collection))
ORDER BY f.next_try, f.nft LIMIT sqlc.arg(up_to);

-- name: dueBacklog :one
SELECT count(*) AS due, CAST(coalesce(min(r.due_since), 0) AS INTEGER) AS oldest
FROM collections c CROSS JOIN ratings r ON r.collection = c.number
WHERE c.active AND r.due_since IS NOT NULL;

-- name: retryBacklog :one
SELECT count(*)
FROM failures f CROSS JOIN ratings r ON r.nft = f.nft CROSS JOIN collections c ON c.number = r.collection
WHERE f.next_try IS NOT NULL AND r.due_since IS NULL AND c.active;

-- name: readyBacklog :one
SELECT CAST(coalesce(sum(k.value), 0) AS INTEGER) AS ready
FROM collections c CROSS JOIN counters k ON k.name = ? AND k.collection = c.number
WHERE c.active;

-- name: oldestReady :many
SELECT h.waiting_since
FROM collections c CROSS JOIN ratings h ON h.nft = (
    SELECT t.nft FROM ratings t WHERE t.collection = c.number AND t.waiting_since IS NOT NULL ORDER BY t.waiting_since, t.nft LIMIT 1
)
WHERE c.active
ORDER BY h.waiting_since LIMIT 1;

-- name: oldBacklog :one
SELECT count(*) FROM (
    SELECT s.nft FROM collections c CROSS JOIN scores s ON s.collection = c.number
    WHERE c.active AND s.aging AND s.computed_at < ?
    LIMIT ?
);

-- name: insertRun :many
INSERT INTO runs (kind, "window", collection, plan, state, requested_by, created_at, ended_at, cursor, total, done, changed, failed,
    stop_reason, cancel, steps, holder, lease_until)
VALUES (?, ?, ?, ?, 'running', ?, ?, NULL, ?, ?, ?, ?, ?, ?, '', 0, ?, ?)
ON CONFLICT (kind, "window") DO NOTHING
RETURNING *;

-- name: runOfWindow :one
SELECT * FROM runs WHERE kind = ? AND "window" = ?;

-- name: claimRun :many
UPDATE runs SET steps = steps + 1, holder = sqlc.arg(holder), lease_until = sqlc.arg(until)
WHERE number = sqlc.arg(number) AND state = 'running' AND steps = sqlc.arg(step) AND lease_until <= sqlc.arg(now)
RETURNING *;

-- name: saveRun :one
UPDATE runs SET plan = ?, state = ?, ended_at = ?, cursor = ?, total = ?, done = ?, changed = ?, failed = ?, stop_reason = ?, lease_until = ?
WHERE number = ? AND state = 'running' AND steps = ?
RETURNING cancel;

-- name: orphanedRuns :many
SELECT * FROM runs WHERE state = 'running' AND lease_until <= ? ORDER BY lease_until, number;

-- name: requestCancel :execrows
-- The first to ask is kept.
UPDATE runs SET cancel = CASE WHEN cancel = '' THEN sqlc.arg(who) ELSE cancel END
WHERE number = sqlc.arg(number) AND state = 'running';

-- name: runByNumber :one
SELECT * FROM runs WHERE number = ?;

-- name: latestRuns :many
SELECT * FROM runs WHERE number < ? ORDER BY number DESC LIMIT ?;

-- name: latestRunsOf :many
SELECT * FROM runs WHERE kind = ? AND number < ? ORDER BY number DESC LIMIT ?;

-- name: putFailure :exec
INSERT INTO failures (nft, error, tries, first_at, last_at, next_try, run) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (nft) DO UPDATE SET
    error = excluded.error, tries = excluded.tries, first_at = excluded.first_at, last_at = excluded.last_at,
    next_try = excluded.next_try, run = excluded.run;

-- name: deleteFailure :execrows
DELETE FROM failures WHERE nft = ?;

-- name: retryFailure :execrows
UPDATE failures SET next_try = ? WHERE nft = ?;

-- name: latestFailures :many
SELECT sqlc.embed(f), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM failures f LEFT JOIN nfts n ON n.number = f.nft
ORDER BY f.last_at DESC, f.nft DESC LIMIT ?;

-- name: failuresByNumber :many
SELECT sqlc.embed(f), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM json_each(?) k CROSS JOIN failures f ON f.nft = k.value LEFT JOIN nfts n ON n.number = f.nft;

-- name: insertKey :one
INSERT INTO keys (name, role, hash, created_at, created_by, last_used, revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING number;

-- name: allKeys :many
SELECT * FROM keys ORDER BY number;

-- name: keyByHash :one
SELECT * FROM keys WHERE hash = ? AND revoked_at IS NULL;

-- name: revokeKey :execrows
-- The first time stays.
UPDATE keys SET revoked_at = coalesce(revoked_at, sqlc.arg(now)) WHERE name = sqlc.arg(name);

-- name: touchKey :exec
UPDATE keys SET last_used = max(coalesce(last_used, 0), CAST(sqlc.arg(at) AS INTEGER)) WHERE number = sqlc.arg(number);

-- name: activityAfter :many
-- With one writer, number order is commit order.
SELECT sqlc.embed(a), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM activity a LEFT JOIN nfts n ON n.number = a.nft
WHERE a.number > ?
ORDER BY a.number
LIMIT ?;

-- name: activityRange :one
-- In a SELECT of its own each is the end of the table; together they would be
-- found by going through all of it.
SELECT CAST(coalesce((SELECT min(number) FROM activity), 0) AS INTEGER) AS lowest,
       CAST(coalesce((SELECT max(number) FROM activity), 0) AS INTEGER) AS highest;

-- name: activityTime :one
SELECT at FROM activity WHERE number >= ? ORDER BY number LIMIT 1;

-- The filters of a page of activity are the same each time; the statements
-- differ in the index they go by.

-- name: listActivity :many
SELECT sqlc.embed(a), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM activity a LEFT JOIN nfts n ON n.number = a.nft
WHERE a.number >= sqlc.arg(from_number) AND a.number < sqlc.arg(before) AND a.at >= sqlc.arg(since) AND a.at < sqlc.arg(until)
    AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR a.kind = CAST(sqlc.arg(kind) AS TEXT))
    AND (CAST(sqlc.arg(reason) AS TEXT) = '' OR a.reason = CAST(sqlc.arg(reason) AS TEXT))
    AND (CAST(sqlc.arg(collection) AS INTEGER) = 0 OR n.collection = CAST(sqlc.arg(collection) AS INTEGER))
ORDER BY a.number DESC
LIMIT sqlc.arg(up_to);

-- name: listActivityOfNFT :many
SELECT sqlc.embed(a), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM activity a LEFT JOIN nfts n ON n.number = a.nft
WHERE a.nft = sqlc.arg(nft)
    AND a.number >= sqlc.arg(from_number) AND a.number < sqlc.arg(before) AND a.at >= sqlc.arg(since) AND a.at < sqlc.arg(until)
    AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR a.kind = CAST(sqlc.arg(kind) AS TEXT)) AND (CAST(sqlc.arg(run) AS INTEGER) = 0 OR a.run = CAST(sqlc.arg(run) AS INTEGER))
    AND (CAST(sqlc.arg(reason) AS TEXT) = '' OR a.reason = CAST(sqlc.arg(reason) AS TEXT))
    AND (CAST(sqlc.arg(collection) AS INTEGER) = 0 OR n.collection = CAST(sqlc.arg(collection) AS INTEGER))
ORDER BY a.number DESC
LIMIT sqlc.arg(up_to);

-- name: listActivityOfRun :many
SELECT sqlc.embed(a), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM activity a LEFT JOIN nfts n ON n.number = a.nft
WHERE a.run = sqlc.arg(run)
    AND a.number >= sqlc.arg(from_number) AND a.number < sqlc.arg(before) AND a.at >= sqlc.arg(since) AND a.at < sqlc.arg(until)
    AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR a.kind = CAST(sqlc.arg(kind) AS TEXT))
    AND (CAST(sqlc.arg(reason) AS TEXT) = '' OR a.reason = CAST(sqlc.arg(reason) AS TEXT))
    AND (CAST(sqlc.arg(collection) AS INTEGER) = 0 OR n.collection = CAST(sqlc.arg(collection) AS INTEGER))
ORDER BY a.number DESC
LIMIT sqlc.arg(up_to);

-- name: listActivityOfKind :many
-- Of every kind but the most frequent.
SELECT sqlc.embed(a), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM activity a LEFT JOIN nfts n ON n.number = a.nft
WHERE a.kind = sqlc.arg(kind) AND a.kind <> 'computed'
    AND a.number >= sqlc.arg(from_number) AND a.number < sqlc.arg(before) AND a.at >= sqlc.arg(since) AND a.at < sqlc.arg(until)
    AND (CAST(sqlc.arg(run) AS INTEGER) = 0 OR a.run = CAST(sqlc.arg(run) AS INTEGER))
    AND (CAST(sqlc.arg(reason) AS TEXT) = '' OR a.reason = CAST(sqlc.arg(reason) AS TEXT))
    AND (CAST(sqlc.arg(collection) AS INTEGER) = 0 OR n.collection = CAST(sqlc.arg(collection) AS INTEGER))
ORDER BY a.number DESC
LIMIT sqlc.arg(up_to);

-- name: listActivityByHand :many
SELECT sqlc.embed(a), CAST(coalesce(n.id, '') AS TEXT) AS nft_id
FROM activity a LEFT JOIN nfts n ON n.number = a.nft
WHERE a.who <> '' AND a.run IS NULL AND a.nft IS NOT NULL
    AND a.number >= sqlc.arg(from_number) AND a.number < sqlc.arg(before) AND a.at >= sqlc.arg(since) AND a.at < sqlc.arg(until)
    AND (CAST(sqlc.arg(nft) AS INTEGER) = 0 OR a.nft = CAST(sqlc.arg(nft) AS INTEGER)) AND CAST(sqlc.arg(run) AS INTEGER) = 0
    AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR a.kind = CAST(sqlc.arg(kind) AS TEXT))
    AND (CAST(sqlc.arg(reason) AS TEXT) = '' OR a.reason = CAST(sqlc.arg(reason) AS TEXT))
    AND (CAST(sqlc.arg(collection) AS INTEGER) = 0 OR n.collection = CAST(sqlc.arg(collection) AS INTEGER))
ORDER BY a.number DESC
LIMIT sqlc.arg(up_to);

-- name: trimActivity :execrows
-- Numbers ascend with time. The last row stays: its number must not be used again.
DELETE FROM activity WHERE activity.at < sqlc.arg(before)
    AND activity.number <= (SELECT max(x.number) FROM (SELECT t.number FROM activity t ORDER BY t.number LIMIT sqlc.arg(up_to)) x)
    AND activity.number < (SELECT max(l.number) FROM activity l);

-- name: trimHistory :execrows
DELETE FROM history WHERE history.at < sqlc.arg(before)
    AND history.number <= (SELECT max(x.number) FROM (SELECT t.number FROM history t ORDER BY t.number LIMIT sqlc.arg(up_to)) x)
    AND history.number < (SELECT max(l.number) FROM history l);

-- name: trimRuns :execrows
-- The last row stays: its number must not be used again.
DELETE FROM runs WHERE runs.number IN (
    SELECT r.number FROM runs r WHERE r.ended_at < sqlc.arg(before) AND r.number < (SELECT max(l.number) FROM runs l)
    ORDER BY r.ended_at LIMIT sqlc.arg(up_to));

-- name: listNFTs :many
SELECT number FROM nfts WHERE number > ? ORDER BY number LIMIT ?;

-- name: listNFTsOf :many
SELECT number FROM nfts WHERE collection = ? AND number > ? ORDER BY number LIMIT ?;

-- name: listScored :many
SELECT nft FROM scores WHERE nft > ? ORDER BY nft LIMIT ?;

-- name: listScoredOf :many
SELECT nft FROM scores WHERE collection = ? AND nft > ? ORDER BY nft LIMIT ?;

-- name: listReady :many
SELECT x.nft
FROM collections c CROSS JOIN ratings x ON x.nft IN (
    SELECT r.nft FROM ratings r WHERE r.collection = c.number AND r.waiting_since IS NOT NULL AND r.nft > sqlc.arg(after)
    ORDER BY r.nft LIMIT sqlc.arg(up_to)
)
WHERE CAST(sqlc.arg(all_collections) AS INTEGER) OR c.name = sqlc.arg(collection)
ORDER BY x.nft LIMIT sqlc.arg(up_to);

-- name: listDue :many
SELECT x.nft
FROM collections c CROSS JOIN ratings x ON x.nft IN (
    SELECT r.nft FROM ratings r WHERE r.collection = c.number AND r.due_since IS NOT NULL AND r.nft > sqlc.arg(after)
    ORDER BY r.nft LIMIT sqlc.arg(up_to)
)
WHERE CAST(sqlc.arg(all_collections) AS INTEGER) OR c.name = sqlc.arg(collection)
ORDER BY x.nft LIMIT sqlc.arg(up_to);

-- name: findByID :many
-- Of the next depth NFTs whose id begins with prefix, those with the status and
-- collection asked for.
SELECT w.number
FROM (
    SELECT n.number, n.id, n.collection FROM nfts n
    WHERE n.id >= sqlc.arg(prefix) AND n.id < sqlc.arg(prefix_end) AND n.id > sqlc.arg(after)
    ORDER BY n.id LIMIT sqlc.arg(depth)
) w
WHERE (CAST(sqlc.arg(all_collections) AS INTEGER) OR w.collection = (SELECT c.number FROM collections c WHERE c.name = sqlc.arg(collection)))
    AND CASE CAST(sqlc.arg(status) AS TEXT)
        WHEN 'scored' THEN EXISTS (SELECT 1 FROM scores s WHERE s.nft = w.number)
        WHEN 'ready' THEN EXISTS (SELECT 1 FROM ratings r WHERE r.nft = w.number AND r.waiting_since IS NOT NULL)
        WHEN 'due' THEN EXISTS (SELECT 1 FROM ratings r WHERE r.nft = w.number AND r.due_since IS NOT NULL)
        ELSE 1 END
ORDER BY w.id LIMIT sqlc.arg(up_to);

-- name: findByName :many
-- As findByID, by name in lower case, without those that it finds. The pair
-- alone would not let the index begin at the prefix.
SELECT w.number
FROM (
    SELECT n.number, n.id, n.name, n.collection FROM nfts n
    WHERE lower(n.name) >= max(CAST(sqlc.arg(lower_prefix) AS TEXT), lower(CAST(sqlc.arg(after_name) AS TEXT)))
        AND (lower(n.name), n.number) > (
            max(CAST(sqlc.arg(lower_prefix) AS TEXT), lower(CAST(sqlc.arg(after_name) AS TEXT))), CAST(sqlc.arg(after) AS INTEGER))
        AND lower(n.name) < sqlc.arg(lower_prefix_end)
    ORDER BY lower(n.name), n.number LIMIT sqlc.arg(depth)
) w
WHERE (CAST(sqlc.arg(all_collections) AS INTEGER) OR w.collection = (SELECT c.number FROM collections c WHERE c.name = sqlc.arg(collection)))
    AND CASE CAST(sqlc.arg(status) AS TEXT)
        WHEN 'scored' THEN EXISTS (SELECT 1 FROM scores s WHERE s.nft = w.number)
        WHEN 'ready' THEN EXISTS (SELECT 1 FROM ratings r WHERE r.nft = w.number AND r.waiting_since IS NOT NULL)
        WHEN 'due' THEN EXISTS (SELECT 1 FROM ratings r WHERE r.nft = w.number AND r.due_since IS NOT NULL)
        ELSE 1 END
    AND NOT (w.id >= CAST(sqlc.arg(prefix) AS TEXT) AND w.id < CAST(sqlc.arg(prefix_end) AS TEXT))
ORDER BY lower(w.name), w.number LIMIT sqlc.arg(up_to);

-- name: tiesAfter :many
SELECT nft FROM scores WHERE poa = ? AND nft > ? ORDER BY nft LIMIT ?;

-- name: tiesOfAfter :many
SELECT nft FROM scores WHERE collection = ? AND poa = ? AND nft > ? ORDER BY nft LIMIT ?;

-- name: ranksBelow :many
SELECT nft FROM scores WHERE poa < ? ORDER BY poa DESC, nft LIMIT ?;

-- name: ranksOfBelow :many
SELECT nft FROM scores WHERE collection = ? AND poa < ? ORDER BY poa DESC, nft LIMIT ?;

-- name: votesOfA :many
SELECT sqlc.embed(v), CAST(coalesce(w.id, '') AS TEXT) AS voter_id, CAST(coalesce(a.id, '') AS TEXT) AS a_id,
    CAST(coalesce(b.id, '') AS TEXT) AS b_id
FROM votes v
LEFT JOIN voters w ON w.number = v.voter LEFT JOIN nfts a ON a.number = v.nft_a LEFT JOIN nfts b ON b.number = v.nft_b
WHERE v.nft_a = ? AND v.number < ?
ORDER BY v.number DESC
LIMIT ?;

-- name: votesOfB :many
SELECT sqlc.embed(v), CAST(coalesce(w.id, '') AS TEXT) AS voter_id, CAST(coalesce(a.id, '') AS TEXT) AS a_id,
    CAST(coalesce(b.id, '') AS TEXT) AS b_id
FROM votes v
LEFT JOIN voters w ON w.number = v.voter LEFT JOIN nfts a ON a.number = v.nft_a LEFT JOIN nfts b ON b.number = v.nft_b
WHERE v.nft_b = ? AND v.number < ?
ORDER BY v.number DESC
LIMIT ?;

-- name: votesOfVoter :many
SELECT sqlc.embed(v), CAST(coalesce(w.id, '') AS TEXT) AS voter_id, CAST(coalesce(a.id, '') AS TEXT) AS a_id,
    CAST(coalesce(b.id, '') AS TEXT) AS b_id
FROM votes v
LEFT JOIN voters w ON w.number = v.voter LEFT JOIN nfts a ON a.number = v.nft_a LEFT JOIN nfts b ON b.number = v.nft_b
WHERE v.voter = sqlc.arg(voter) AND v.number < sqlc.arg(before)
    AND (CAST(sqlc.arg(nft) AS INTEGER) = 0 OR v.nft_a = CAST(sqlc.arg(nft) AS INTEGER) OR v.nft_b = CAST(sqlc.arg(nft) AS INTEGER))
ORDER BY v.number DESC
LIMIT sqlc.arg(up_to);

-- name: settingsVersion :one
-- With one writer, changes are numbered in the order of their commits.
SELECT CAST(coalesce(max(number), 0) AS INTEGER) FROM settings_audit;
