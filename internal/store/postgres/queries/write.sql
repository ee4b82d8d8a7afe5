-- Statements of Tx.Ensure and Tx.Apply. Those marked :exec are gathered and
-- sent with the next statement that is waited for. The columns come as arrays
-- of equal length.

-- name: UnknownNFTs :many
SELECT w.id::text FROM (SELECT unnest(@ids::text[]) AS id) w
WHERE NOT EXISTS (SELECT FROM nfts n WHERE n.id = w.id);

-- name: InsertRatings :exec
-- The NFT rows are share-locked so that none moves to another collection
-- before its rating is visible.
INSERT INTO ratings (nft, collection, mean, sigma, votes, wins, losses, ties, matchups, skips, slider_votes, fire_votes,
    matchup_weight, sliders, slider_sum, slider_weight, fires, fire_weight, recent, version, last_vote,
    exact_matchup_weight, exact_vote)
SELECT m.number, m.collection, @mean, @sigma, @votes, @wins, @losses, @ties, @matchups, @skips, @slider_votes, @fire_votes,
    @matchup_weight, @sliders, @slider_sum, @slider_weight, @fires, @fire_weight, @recent, 0, 0, 0, 0
FROM (
    SELECT n.number, n.collection FROM nfts n
    WHERE n.id = ANY(@ids::text[]) AND NOT EXISTS (SELECT FROM ratings r WHERE r.nft = n.number)
    ORDER BY n.number FOR SHARE OF n
) m
ON CONFLICT DO NOTHING;

-- name: InsertVoters :exec
INSERT INTO voters (id, reliability, judged, votes, weight, slider_n, slider_mean, slider_m2, last_vote, created_at)
SELECT m.id, @reliability, @judged, @votes, @weight, @slider_n, @slider_mean, @slider_m2, 0, @created_at
FROM (
    SELECT DISTINCT w.id::text COLLATE "C" AS id FROM (SELECT unnest(@ids::text[]) AS id) w
    WHERE NOT EXISTS (SELECT FROM voters v WHERE v.id = w.id)
    ORDER BY 1
) m
ON CONFLICT DO NOTHING;

-- name: InsertVotes :exec
INSERT INTO votes (number, key, voter, kind, super, nft_a, nft_b, outcome, value, weight, cast_at, received_at)
SELECT x.number, x.key, x.voter, x.kind, x.super, x.a, NULLIF(x.b, 0), x.outcome,
    CASE WHEN x.kind = 2 THEN x.value END, x.weight, x.cast_at, x.received_at
FROM (SELECT unnest(@numbers::bigint[]) AS number, unnest(@keys::text[]) AS key, unnest(@voters::bigint[]) AS voter,
    unnest(@kinds::smallint[]) AS kind, unnest(@supers::boolean[]) AS super, unnest(@nfts_a::bigint[]) AS a, unnest(@nfts_b::bigint[]) AS b,
    unnest(@outcomes::smallint[]) AS outcome, unnest(@values::double precision[]) AS value, unnest(@weights::bigint[]) AS weight,
    unnest(@cast_ats::timestamptz[]) AS cast_at, unnest(@received_ats::timestamptz[]) AS received_at) x;

-- name: UpdateRatings :exec
UPDATE ratings r SET
    mean = x.mean, sigma = x.sigma, votes = x.votes, wins = x.wins, losses = x.losses, ties = x.ties,
    matchups = x.matchups, skips = x.skips, slider_votes = x.slider_votes, fire_votes = x.fire_votes,
    matchup_weight = x.matchup_weight, sliders = x.sliders, slider_sum = x.slider_sum, slider_weight = x.slider_weight,
    fires = x.fires, fire_weight = x.fire_weight, recent = x.recent, version = x.version, last_vote = x.last_vote,
    exact_matchup_weight = x.exact_matchup_weight, exact_vote = x.exact_vote,
    due_since = x.due_since,
    due_reason = CASE WHEN x.due_since IS NOT NULL THEN x.due_reason END,
    due_priority = CASE WHEN x.due_since IS NOT NULL THEN x.due_priority END,
    waiting_since = x.waiting_since,
    waiting_votes = CASE WHEN x.waiting_since IS NOT NULL THEN x.votes END
FROM (SELECT unnest(@nfts::bigint[]) AS nft, unnest(@means::double precision[]) AS mean, unnest(@sigmas::double precision[]) AS sigma,
    unnest(@votes::bigint[]) AS votes, unnest(@wins::bigint[]) AS wins, unnest(@losses::bigint[]) AS losses, unnest(@ties::bigint[]) AS ties,
    unnest(@matchups::bigint[]) AS matchups, unnest(@skips::bigint[]) AS skips,
    unnest(@slider_votes::bigint[]) AS slider_votes, unnest(@fire_votes::bigint[]) AS fire_votes,
    unnest(@matchup_weights::bigint[]) AS matchup_weight, unnest(@sliders::bigint[]) AS sliders,
    unnest(@slider_sums::bigint[]) AS slider_sum, unnest(@slider_weights::bigint[]) AS slider_weight,
    unnest(@fires::bigint[]) AS fires, unnest(@fire_weights::bigint[]) AS fire_weight,
    unnest(@recents::bytea[]) AS recent, unnest(@versions::bigint[]) AS version, unnest(@last_votes::bigint[]) AS last_vote,
    unnest(@exact_matchup_weights::bigint[]) AS exact_matchup_weight, unnest(@exact_votes::bigint[]) AS exact_vote,
    unnest(@due_sinces::timestamptz[]) AS due_since, unnest(@due_reasons::text[]) AS due_reason,
    unnest(@due_priorities::smallint[]) AS due_priority, unnest(@waiting_sinces::timestamptz[]) AS waiting_since) x
WHERE r.nft = x.nft;

-- name: UpdateVoters :exec
UPDATE voters v SET
    reliability = x.reliability, judged = x.judged, votes = x.votes, weight = x.weight,
    slider_n = x.slider_n, slider_mean = x.slider_mean, slider_m2 = x.slider_m2, last_vote = x.last_vote,
    allowance_since = x.allowance_since, allowance_used = x.allowance_used
FROM (SELECT unnest(@numbers::bigint[]) AS number, unnest(@reliabilities::double precision[]) AS reliability,
    unnest(@judged::bigint[]) AS judged, unnest(@votes::bigint[]) AS votes, unnest(@weights::bigint[]) AS weight,
    unnest(@slider_ns::bigint[]) AS slider_n, unnest(@slider_means::double precision[]) AS slider_mean,
    unnest(@slider_m2s::double precision[]) AS slider_m2, unnest(@last_votes::bigint[]) AS last_vote,
    unnest(@allowance_sinces::timestamptz[]) AS allowance_since, unnest(@allowances_used::bigint[]) AS allowance_used) x
WHERE v.number = x.number;

-- name: UpsertOpinions :exec
INSERT INTO opinions (nft, kind, voter, standing, value, weight, score, cast_at, vote)
SELECT unnest(@nfts::bigint[]), unnest(@kinds::smallint[]), unnest(@voters::bigint[]), unnest(@standing::boolean[]),
    unnest(@values::double precision[]), unnest(@weights::bigint[]), unnest(@scores::bigint[]),
    unnest(@cast_ats::timestamptz[]), unnest(@votes::bigint[])
ON CONFLICT (nft, kind, voter) DO UPDATE SET
    standing = excluded.standing, value = excluded.value, weight = excluded.weight, score = excluded.score,
    cast_at = excluded.cast_at, vote = excluded.vote;

-- name: UpsertScores :exec
INSERT INTO scores (nft, collection, poa, confidence, elo, slider, fire, reliability, provisional, votes, aging,
    computed_at, reason, basis, through_vote, version, history_poa, history_confidence)
SELECT unnest(@nfts::bigint[]), unnest(@collections::bigint[]), unnest(@poas::double precision[]),
    unnest(@confidences::double precision[]), unnest(@elos::double precision[]), unnest(@sliders::double precision[]),
    unnest(@fires::double precision[]), unnest(@reliabilities::double precision[]), unnest(@provisionals::boolean[]),
    unnest(@votes::bigint[]), unnest(@agings::boolean[]), unnest(@computed_ats::timestamptz[]), unnest(@reasons::text[]),
    unnest(@bases::text[]), unnest(@through_votes::bigint[]), unnest(@versions::bigint[]),
    unnest(@history_poas::double precision[]), unnest(@history_confidences::double precision[])
ON CONFLICT (nft) DO UPDATE SET
    collection = excluded.collection, poa = excluded.poa, confidence = excluded.confidence, elo = excluded.elo,
    slider = excluded.slider, fire = excluded.fire, reliability = excluded.reliability,
    provisional = excluded.provisional, votes = excluded.votes, aging = excluded.aging,
    computed_at = excluded.computed_at, reason = excluded.reason, basis = excluded.basis,
    through_vote = excluded.through_vote, version = excluded.version,
    history_poa = excluded.history_poa, history_confidence = excluded.history_confidence
WHERE scores.through_vote <= excluded.through_vote;

-- name: DeleteScores :exec
DELETE FROM scores WHERE nft = ANY(@nfts::bigint[]);

-- name: InsertHistory :exec
INSERT INTO history (nft, at, poa, confidence, mean, sigma, votes, reason, basis, through_vote, version)
SELECT unnest(@nfts::bigint[]), unnest(@ats::timestamptz[]), unnest(@poas::double precision[]),
    unnest(@confidences::double precision[]), unnest(@means::double precision[]), unnest(@sigmas::double precision[]),
    unnest(@votes::bigint[]), unnest(@reasons::text[]), unnest(@bases::text[]), unnest(@through_votes::bigint[]),
    unnest(@versions::bigint[]);

-- name: InsertActivity :exec
-- NaN stands for a POA that there is none of.
INSERT INTO activity (at, kind, nft, reason, reasons, priority, basis, poa_before, poa, vote, detail, run, who)
SELECT x.at, x.kind, NULLIF(x.nft, 0), x.reason, x.reasons::json, x.priority, x.basis,
    NULLIF(x.poa_before, 'NaN'), NULLIF(x.poa, 'NaN'), x.vote, x.detail, NULLIF(x.run, 0), x.who
FROM (SELECT unnest(@ats::timestamptz[]) AS at, unnest(@kinds::text[]) AS kind, unnest(@nfts::bigint[]) AS nft,
    unnest(@reason::text[]) AS reason, unnest(@reasons::text[]) AS reasons, unnest(@priorities::smallint[]) AS priority,
    unnest(@bases::text[]) AS basis, unnest(@poas_before::double precision[]) AS poa_before,
    unnest(@poas::double precision[]) AS poa, unnest(@votes::bigint[]) AS vote, unnest(@details::text[]) AS detail,
    unnest(@runs::bigint[]) AS run, unnest(@whos::text[]) AS who) x;

-- name: InsertCounterDeltas :exec
INSERT INTO counter_deltas (name, collection, by)
SELECT unnest(@names::text[]), unnest(@collections::bigint[]), unnest(@bys::bigint[]);

-- name: MergeCounterDeltas :exec
-- One merge at a time: another process that is merging makes this one a no-op.
WITH taken AS (
    DELETE FROM counter_deltas WHERE (SELECT pg_try_advisory_xact_lock(@lock_key::bigint)) RETURNING name, collection, by
)
INSERT INTO counters (name, collection, value)
SELECT t.name, t.collection, sum(t.by)::bigint FROM taken t GROUP BY t.name, t.collection ORDER BY t.name, t.collection
ON CONFLICT (name, collection) DO UPDATE SET value = counters.value + excluded.value;
