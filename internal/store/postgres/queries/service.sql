-- Statements of the service: candidates for batches, runs, failures, keys, the
-- stream of activity, pages for people, and the database's health.

-- Candidates are the heads of partial indexes by collection. At most up_to
-- collections have a part in the first up_to rows: those whose own first row is
-- among the first. So the rows of these alone are merged.

-- name: CandidatesByVotes :many
WITH heads AS (
    SELECT c.number FROM collections c CROSS JOIN LATERAL (
        SELECT t.waiting_votes, t.nft FROM ratings t
        WHERE t.collection = c.number AND t.waiting_votes IS NOT NULL AND NOT EXISTS (
            SELECT FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > @now::timestamptz))
        ORDER BY t.waiting_votes DESC, t.nft LIMIT 1
    ) h
    WHERE (@all_active::boolean AND c.active) OR c.name = @collection::text
    ORDER BY h.waiting_votes DESC, h.nft LIMIT @up_to::integer
)
SELECT x.nft FROM heads CROSS JOIN LATERAL (
        SELECT t.waiting_votes, t.nft FROM ratings t
        WHERE t.collection = heads.number AND t.waiting_votes IS NOT NULL AND NOT EXISTS (
            SELECT FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > @now::timestamptz))
        ORDER BY t.waiting_votes DESC, t.nft LIMIT @up_to::integer
    ) x
ORDER BY x.waiting_votes DESC, x.nft LIMIT @up_to::integer;

-- name: CandidatesByWaiting :many
WITH heads AS (
    SELECT c.number FROM collections c CROSS JOIN LATERAL (
        SELECT t.waiting_since, t.nft FROM ratings t
        WHERE t.collection = c.number AND t.waiting_since IS NOT NULL AND NOT EXISTS (
            SELECT FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > @now::timestamptz))
        ORDER BY t.waiting_since, t.nft LIMIT 1
    ) h
    WHERE (@all_active::boolean AND c.active) OR c.name = @collection::text
    ORDER BY h.waiting_since, h.nft LIMIT @up_to::integer
)
SELECT x.nft FROM heads CROSS JOIN LATERAL (
        SELECT t.waiting_since, t.nft FROM ratings t
        WHERE t.collection = heads.number AND t.waiting_since IS NOT NULL AND NOT EXISTS (
            SELECT FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > @now::timestamptz))
        ORDER BY t.waiting_since, t.nft LIMIT @up_to::integer
    ) x
ORDER BY x.waiting_since, x.nft LIMIT @up_to::integer;

-- name: CandidatesOld :many
WITH heads AS (
    SELECT c.number FROM collections c CROSS JOIN LATERAL (
        SELECT t.computed_at, t.nft FROM scores t
        WHERE t.collection = c.number AND t.aging AND t.computed_at < @old_before::timestamptz AND NOT EXISTS (
            SELECT FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > @now::timestamptz))
        ORDER BY t.computed_at, t.nft LIMIT 1
    ) h
    WHERE (@all_active::boolean AND c.active) OR c.name = @collection::text
    ORDER BY h.computed_at, h.nft LIMIT @up_to::integer
)
SELECT x.nft FROM heads CROSS JOIN LATERAL (
        SELECT t.computed_at, t.nft FROM scores t
        WHERE t.collection = heads.number AND t.aging AND t.computed_at < @old_before::timestamptz AND NOT EXISTS (
            SELECT FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > @now::timestamptz))
        ORDER BY t.computed_at, t.nft LIMIT @up_to::integer
    ) x
ORDER BY x.computed_at, x.nft LIMIT @up_to::integer;

-- name: CandidatesDue :many
-- Failed ones that are to be tried again among them, by what they owe.
WITH heads AS (
    SELECT c.number FROM collections c CROSS JOIN LATERAL (
        SELECT t.due_priority, t.due_since, t.nft FROM ratings t
        WHERE t.collection = c.number AND t.due_since IS NOT NULL AND NOT EXISTS (
            SELECT FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > @now::timestamptz))
        ORDER BY t.due_priority DESC, t.due_since, t.nft LIMIT 1
    ) h
    WHERE (@all_active::boolean AND c.active) OR c.name = @collection::text
    ORDER BY h.due_priority DESC, h.due_since, h.nft LIMIT @up_to::integer
)
SELECT x.nft FROM heads CROSS JOIN LATERAL (
        SELECT t.due_priority, t.due_since, t.nft FROM ratings t
        WHERE t.collection = heads.number AND t.due_since IS NOT NULL AND NOT EXISTS (
            SELECT FROM failures f WHERE f.nft = t.nft AND (f.next_try IS NULL OR f.next_try > @now::timestamptz))
        ORDER BY t.due_priority DESC, t.due_since, t.nft LIMIT @up_to::integer
    ) x
ORDER BY x.due_priority DESC, x.due_since, x.nft LIMIT @up_to::integer;

-- name: CandidatesToRetry :many
-- Those that owe nothing else; the others come by CandidatesDue.
SELECT f.nft FROM failures f JOIN ratings r ON r.nft = f.nft JOIN collections c ON c.number = r.collection
WHERE f.next_try <= @now::timestamptz AND r.due_since IS NULL AND ((@all_active::boolean AND c.active) OR c.name = @collection::text)
ORDER BY f.next_try, f.nft LIMIT @up_to::integer;

-- name: Candidates :many
SELECT r.nft, n.id, c.name AS collection_name, r.votes, r.due_since, r.due_reason, r.due_priority, r.waiting_since,
    s.computed_at, COALESCE(f.tries, 0)::bigint AS tries
FROM ratings r JOIN nfts n ON n.number = r.nft JOIN collections c ON c.number = r.collection
LEFT JOIN scores s ON s.nft = r.nft LEFT JOIN failures f ON f.nft = r.nft
WHERE r.nft = ANY(@nfts::bigint[]);

-- name: Backlog :one
SELECT
    ((SELECT count(*) FROM ratings r JOIN collections c ON c.number = r.collection WHERE c.active AND r.due_since IS NOT NULL)
        + (SELECT count(*) FROM failures f JOIN ratings r ON r.nft = f.nft JOIN collections c ON c.number = r.collection
           WHERE f.next_try IS NOT NULL AND r.due_since IS NULL AND c.active))::bigint AS due,
    (SELECT COALESCE(sum(x.value), 0)::bigint FROM collections c JOIN (
        SELECT k.collection, k.value FROM counters k WHERE k.name = @ready
        UNION ALL SELECT d.collection, d.by FROM counter_deltas d WHERE d.name = @ready
    ) x ON x.collection = c.number WHERE c.active) AS waiting,
    (SELECT count(*) FROM (
        SELECT FROM collections c CROSS JOIN LATERAL (
            SELECT FROM scores s WHERE s.collection = c.number AND s.aging AND s.computed_at < @old_before LIMIT @up_to::bigint
        ) o WHERE c.active LIMIT @up_to::bigint
    ) x) AS old,
    (SELECT min(h.due_since)::timestamptz FROM collections c CROSS JOIN generate_series(0, @priorities::integer) p CROSS JOIN LATERAL (
        SELECT r.due_since FROM ratings r
        WHERE r.collection = c.number AND r.due_since IS NOT NULL AND r.due_priority = p
        ORDER BY r.due_since, r.nft LIMIT 1
    ) h WHERE c.active) AS oldest_due,
    (SELECT min(h.waiting_since)::timestamptz FROM collections c CROSS JOIN LATERAL (
        SELECT r.waiting_since FROM ratings r WHERE r.collection = c.number AND r.waiting_since IS NOT NULL
        ORDER BY r.waiting_since, r.nft LIMIT 1
    ) h WHERE c.active) AS oldest_waiting;

-- name: InsertRun :many
INSERT INTO runs (kind, "window", collection, plan, state, requested_by, created_at, ended_at, cursor, total, done, changed, failed,
    stop_reason, cancel, steps, holder, lease_until)
VALUES (@kind, @window_name, @collection, @plan, 'running', @requested_by, @created_at, NULL, @cursor, @total, @done, @changed, @failed,
    @stop_reason, '', 0, @holder, @lease_until)
ON CONFLICT (kind, "window") DO NOTHING
RETURNING *;

-- name: RunOfWindow :one
SELECT * FROM runs WHERE kind = @kind AND "window" = @window_name;

-- name: ClaimRun :many
UPDATE runs SET steps = steps + 1, holder = @holder, lease_until = @until
WHERE number = @number AND state = 'running' AND steps = @step AND (lease_until IS NULL OR lease_until <= @now)
RETURNING *;

-- name: SaveRun :one
UPDATE runs SET plan = @plan, state = @state, ended_at = @ended_at, cursor = @cursor, total = @total, done = @done,
    changed = @changed, failed = @failed, stop_reason = @stop_reason, lease_until = @lease_until
WHERE number = @number AND state = 'running' AND steps = @steps
RETURNING cancel;

-- name: OrphanedRuns :many
SELECT * FROM runs WHERE state = 'running' AND (lease_until IS NULL OR lease_until <= @now) ORDER BY lease_until, number;

-- name: RequestCancel :many
-- The first to ask is kept.
UPDATE runs SET cancel = CASE WHEN cancel = '' THEN @who ELSE cancel END
WHERE number = @number AND state = 'running' RETURNING number;

-- name: RunByNumber :one
SELECT * FROM runs WHERE number = @number;

-- name: Runs :many
SELECT * FROM runs WHERE (@kind::text = '' OR kind = @kind) AND number < @before ORDER BY number DESC LIMIT @up_to;

-- name: UpsertFailures :exec
INSERT INTO failures (nft, error, tries, first_at, last_at, next_try, run)
SELECT x.nft, x.error, x.tries, x.first_at, x.last_at, x.next_try, x.run
FROM (SELECT unnest(@nfts::bigint[]) AS nft, unnest(@errors::text[]) AS error, unnest(@tries::bigint[]) AS tries,
    unnest(@first_ats::timestamptz[]) AS first_at, unnest(@last_ats::timestamptz[]) AS last_at,
    unnest(@next_tries::timestamptz[]) AS next_try, unnest(@runs::bigint[]) AS run) x
ORDER BY x.nft
ON CONFLICT (nft) DO UPDATE SET
    error = excluded.error, tries = excluded.tries, first_at = excluded.first_at, last_at = excluded.last_at,
    next_try = excluded.next_try, run = excluded.run;

-- name: DeleteFailures :exec
DELETE FROM failures WHERE nft = ANY(@nfts::bigint[]);

-- name: Failures :many
SELECT sqlc.embed(f), COALESCE(n.id, '')::text AS nft_id FROM failures f LEFT JOIN nfts n ON n.number = f.nft
ORDER BY f.last_at DESC, f.nft DESC LIMIT @up_to;

-- name: FailuresOf :many
SELECT sqlc.embed(f), COALESCE(n.id, '')::text AS nft_id FROM failures f LEFT JOIN nfts n ON n.number = f.nft
WHERE f.nft = ANY(@nfts::bigint[]) ORDER BY f.nft;

-- name: DiscardFailure :many
DELETE FROM failures WHERE nft = @nft RETURNING nft;

-- name: RetryFailure :many
UPDATE failures SET next_try = @next_try WHERE nft = @nft RETURNING nft;

-- name: InsertKey :one
INSERT INTO keys (name, role, hash, created_at, created_by, last_used, revoked_at)
VALUES (@name, @role, @hash, @created_at, @created_by, @last_used, @revoked_at) RETURNING number;

-- name: Keys :many
SELECT * FROM keys ORDER BY number;

-- name: KeyByHash :one
SELECT * FROM keys WHERE hash = @hash AND revoked_at IS NULL;

-- name: RevokeKey :many
-- The first time stays.
UPDATE keys SET revoked_at = COALESCE(revoked_at, @now) WHERE name = @name RETURNING number;

-- name: TouchKeys :exec
-- Locked in ascending order, so that processes do not deadlock.
WITH used AS (
    SELECT k.number, x.at
    FROM (SELECT unnest(@numbers::bigint[]) AS number, unnest(@ats::timestamptz[]) AS at) x JOIN keys k ON k.number = x.number
    ORDER BY k.number FOR NO KEY UPDATE OF k
)
UPDATE keys k SET last_used = GREATEST(k.last_used, u.at) FROM used u WHERE k.number = u.number;

-- name: Stream :many
-- Rows of transactions that may still be overtaken by an earlier one are held
-- back.
SELECT a.xid::text AS transaction, a.number, a.at, a.kind, a.nft, a.reason, a.reasons, a.priority, a.basis, a.poa_before, a.poa,
    a.vote, a.detail, a.run, a.who, COALESCE(n.id, '')::text AS nft_id
FROM (
    SELECT t.* FROM activity t WHERE (t.xid, t.number) > (CAST(@transaction::text AS xid8), @number::bigint)
        AND t.xid < activity_horizon()
    ORDER BY t.xid, t.number LIMIT @up_to::integer
) a LEFT JOIN nfts n ON n.number = a.nft
ORDER BY a.xid, a.number;

-- name: StreamEnd :many
SELECT xid::text AS transaction, number FROM activity WHERE xid < activity_horizon()
ORDER BY xid DESC, number DESC LIMIT 1;

-- name: AdoptActivity :exec
-- Transaction numbers of another cluster, as a restored dump has them, would be
-- held back until this one gets there, or would come before what was seen. No
-- row that is visible here has one of this cluster above the snapshot.
UPDATE activity SET xid = pg_current_xact_id() WHERE xid >= pg_snapshot_xmax(pg_current_snapshot());

-- name: TrimActivity :many
-- Numbers ascend with time, but for the order of commits.
DELETE FROM activity d WHERE d.at < @before
    AND d.number <= (SELECT max(x.number) FROM (SELECT t.number FROM activity t ORDER BY t.number LIMIT @up_to) x)
RETURNING d.number;

-- name: TrimHistory :many
DELETE FROM history d WHERE d.at < @before
    AND d.number <= (SELECT max(x.number) FROM (SELECT t.number FROM history t ORDER BY t.number LIMIT @up_to) x)
RETURNING d.number;

-- name: TrimRuns :many
DELETE FROM runs d WHERE d.number = ANY(ARRAY(
    SELECT r.number FROM runs r WHERE r.ended_at < @before AND r.number < (SELECT max(l.number) FROM runs l)
    ORDER BY r.ended_at LIMIT @up_to))
RETURNING d.number;

-- name: ListNFTs :many
SELECT number FROM nfts WHERE number > @after ORDER BY number LIMIT @up_to;

-- name: ListNFTsOf :many
SELECT number FROM nfts WHERE collection = @collection AND number > @after ORDER BY number LIMIT @up_to;

-- name: ListScored :many
SELECT nft FROM scores WHERE nft > @after ORDER BY nft LIMIT @up_to;

-- name: ListScoredOf :many
SELECT nft FROM scores WHERE collection = @collection AND nft > @after ORDER BY nft LIMIT @up_to;

-- name: ListReady :many
SELECT x.nft FROM collections c CROSS JOIN LATERAL (
    SELECT r.nft FROM ratings r WHERE r.collection = c.number AND r.waiting_since IS NOT NULL AND r.nft > @after
    ORDER BY r.nft LIMIT @up_to::integer
) x
WHERE @all_collections::boolean OR c.name = @collection::text
ORDER BY x.nft LIMIT @up_to::integer;

-- name: ListDue :many
SELECT x.nft FROM collections c CROSS JOIN LATERAL (
    SELECT r.nft FROM ratings r WHERE r.collection = c.number AND r.due_since IS NOT NULL AND r.nft > @after
    ORDER BY r.nft LIMIT @up_to::integer
) x
WHERE @all_collections::boolean OR c.name = @collection::text
ORDER BY x.nft LIMIT @up_to::integer;

-- name: FindByID :many
-- Of the next depth NFTs whose id begins with prefix, those with the status and
-- collection asked for. OFFSET 0 has each looked up in its index: otherwise all
-- scored, ready or due NFTs there are may be read for a page.
SELECT w.number
FROM (
    SELECT n.number, n.id, n.collection FROM nfts n
    WHERE n.id >= @prefix AND n.id < @prefix_end AND n.id > @after ORDER BY n.id LIMIT @depth::integer
) w
WHERE (@all_collections::boolean OR w.collection = (SELECT c.number FROM collections c WHERE c.name = @collection::text))
    AND CASE @status::text
        WHEN 'scored' THEN EXISTS (SELECT FROM scores s WHERE s.nft = w.number OFFSET 0)
        WHEN 'ready' THEN EXISTS (SELECT FROM ratings r WHERE r.collection = w.collection AND r.nft = w.number AND r.waiting_since IS NOT NULL OFFSET 0)
        WHEN 'due' THEN EXISTS (SELECT FROM ratings r WHERE r.collection = w.collection AND r.nft = w.number AND r.due_since IS NOT NULL OFFSET 0)
        ELSE true END
ORDER BY w.id LIMIT @up_to::integer;

-- name: FindByName :many
-- As FindByID, by name in lower case, without those that it finds.
SELECT w.number
FROM (
    SELECT n.number, n.id, n.name, n.collection, lower(left(n.name, 100)) COLLATE "C" AS place FROM nfts n
    WHERE (lower(left(n.name, 100)) COLLATE "C", n.number)
            > (GREATEST(lower(left(@prefix::text, 100)) COLLATE "C", lower(left(@after_name::text, 100))), @after::bigint)
        AND lower(left(n.name, 100)) COLLATE "C" < lower(left(@prefix::text, 100)) || chr(1114111)
    ORDER BY place, n.number LIMIT @depth::integer
) w
WHERE (@all_collections::boolean OR w.collection = (SELECT c.number FROM collections c WHERE c.name = @collection::text))
    AND CASE @status::text
        WHEN 'scored' THEN EXISTS (SELECT FROM scores s WHERE s.nft = w.number OFFSET 0)
        WHEN 'ready' THEN EXISTS (SELECT FROM ratings r WHERE r.collection = w.collection AND r.nft = w.number AND r.waiting_since IS NOT NULL OFFSET 0)
        WHEN 'due' THEN EXISTS (SELECT FROM ratings r WHERE r.collection = w.collection AND r.nft = w.number AND r.due_since IS NOT NULL OFFSET 0)
        ELSE true END
    AND starts_with(lower(w.name), lower(@prefix::text)) AND NOT starts_with(w.id, @prefix::text)
ORDER BY w.place, w.number LIMIT @up_to::integer;

-- name: RanksAfter :many
SELECT x.nft FROM (
    (SELECT nft, poa FROM scores WHERE poa = @poa::double precision AND nft > @nft::bigint ORDER BY nft LIMIT @up_to::integer)
    UNION ALL
    (SELECT nft, poa FROM scores WHERE poa < @poa::double precision ORDER BY poa DESC, nft LIMIT @up_to::integer)
) x ORDER BY x.poa DESC, x.nft LIMIT @up_to::integer;

-- name: RanksOfAfter :many
SELECT x.nft FROM (
    (SELECT nft, poa FROM scores WHERE collection = @collection::bigint AND poa = @poa::double precision AND nft > @nft::bigint
        ORDER BY nft LIMIT @up_to::integer)
    UNION ALL
    (SELECT nft, poa FROM scores WHERE collection = @collection::bigint AND poa < @poa::double precision
        ORDER BY poa DESC, nft LIMIT @up_to::integer)
) x ORDER BY x.poa DESC, x.nft LIMIT @up_to::integer;

-- name: ListActivity :many
-- Planned for what it is given: of the filters only those that are set remain.
SELECT a.number, a.at, a.kind, a.nft, a.reason, a.reasons, a.priority, a.basis, a.poa_before, a.poa, a.vote, a.detail, a.run, a.who,
    n.id AS nft_id
FROM (
    SELECT * FROM activity t
    WHERE (@nft::bigint = 0 OR t.nft = @nft) AND (@run::bigint = 0 OR t.run = @run) AND (@kind::text = '' OR t.kind = @kind)
        AND t.number >= @from_number AND t.number < @before AND t.at >= @since AND t.at < @until
        AND (@reason::text = '' OR t.reason = @reason)
        AND (@collection::bigint = 0 OR EXISTS (SELECT FROM nfts m WHERE m.number = t.nft AND m.collection = @collection))
        AND (NOT @by_hand::boolean OR t.who <> '' AND t.run IS NULL AND t.nft IS NOT NULL)
    ORDER BY t.number DESC LIMIT @up_to
) a LEFT JOIN nfts n ON n.number = a.nft
ORDER BY a.number DESC;

-- name: ActivityRange :one
SELECT COALESCE(min(number), 0)::bigint AS first, COALESCE(max(number), 0)::bigint AS last FROM activity;

-- name: ActivityTime :one
SELECT at FROM activity WHERE number >= @number ORDER BY number LIMIT 1;

-- name: VotesOfNFT :many
SELECT sqlc.embed(v), COALESCE(w.id, '')::text AS voter_id, COALESCE(a.id, '')::text AS a_id, b.id AS b_id
FROM (
    (SELECT number FROM votes WHERE nft_a = @nft::bigint AND number < @before::bigint ORDER BY number DESC LIMIT @up_to::integer)
    UNION ALL
    (SELECT number FROM votes WHERE nft_b = @nft::bigint AND number < @before::bigint ORDER BY number DESC LIMIT @up_to::integer)
    ORDER BY number DESC LIMIT @up_to::integer
) x JOIN votes v ON v.number = x.number
LEFT JOIN voters w ON w.number = v.voter LEFT JOIN nfts a ON a.number = v.nft_a LEFT JOIN nfts b ON b.number = v.nft_b
ORDER BY v.number DESC;

-- name: VotesOfVoter :many
SELECT sqlc.embed(v), COALESCE(w.id, '')::text AS voter_id, COALESCE(a.id, '')::text AS a_id, b.id AS b_id
FROM (
    SELECT number FROM votes
    WHERE voter = @voter::bigint AND number < @before::bigint AND (@nft::bigint = 0 OR nft_a = @nft OR nft_b = @nft)
    ORDER BY number DESC LIMIT @up_to::integer
) x JOIN votes v ON v.number = x.number
LEFT JOIN voters w ON w.number = v.voter LEFT JOIN nfts a ON a.number = v.nft_a LEFT JOIN nfts b ON b.number = v.nft_b
ORDER BY v.number DESC;

-- name: SettingsVersion :one
-- Changes are numbered under a lock that is held until they are committed.
SELECT COALESCE(max(number), 0)::bigint FROM settings_audit;

-- name: Writable :one
SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' AS writable;
