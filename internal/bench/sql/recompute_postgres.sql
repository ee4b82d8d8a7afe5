-- All NFTs that are due, computed exactly with today's weights, in one
-- statement; with the default constants of the scoring. $1 is the scoring
-- version, $2 the time.
WITH matchups AS (
    SELECT x.nft, count(*) AS n, sum(w.weight)::bigint AS weight
    FROM (
        SELECT nft_a AS nft, voter FROM votes WHERE outcome IN (1, 2, 3)
        UNION ALL
        SELECT nft_b, voter FROM votes WHERE outcome IN (1, 2, 3)
    ) x
    JOIN voters w ON w.number = x.voter
    GROUP BY x.nft
), habits AS (
    SELECT number, weight,
        (5 * 50 + slider_n * slider_mean) / (5 + slider_n) AS mean,
        greatest(5, sqrt((5 * 225 + slider_m2 + 5.0::float8 * slider_n / (5 + slider_n) * (slider_mean - 50) ^ 2) / (5 + slider_n))) AS std
    FROM voters
), standing AS (
    SELECT o.nft, o.kind, o.voter, h.weight,
        CASE o.kind WHEN 2 THEN round(h.weight * (greatest(-2.5, least(2.5, (o.value - h.mean) / h.std)) + 2.5) * 20)::bigint ELSE 0 END AS score,
        o.weight AS old_weight, o.score AS old_score
    FROM opinions o JOIN habits h ON h.number = o.voter
    WHERE o.standing
), put_opinions AS (
    UPDATE opinions o SET weight = s.weight, score = s.score
    FROM standing s
    WHERE o.nft = s.nft AND o.kind = s.kind AND o.voter = s.voter AND (s.weight <> s.old_weight OR s.score <> s.old_score)
), sums AS (
    SELECT nft,
        count(*) FILTER (WHERE kind = 2) AS sliders,
        coalesce(sum(score) FILTER (WHERE kind = 2), 0)::bigint AS slider_sum,
        coalesce(sum(weight) FILTER (WHERE kind = 2), 0)::bigint AS slider_weight,
        count(*) FILTER (WHERE kind = 3) AS fires,
        coalesce(sum(weight) FILTER (WHERE kind = 3), 0)::bigint AS fire_weight
    FROM standing
    GROUP BY nft
), parts AS (
    SELECT r.nft, r.collection, r.mean, r.sigma, r.votes, r.matchups, r.last_vote, r.waiting_since,
        coalesce(m.weight, 0) AS matchup_weight,
        coalesce(s.sliders, 0) AS sliders, coalesce(s.slider_sum, 0) AS slider_sum, coalesce(s.slider_weight, 0) AS slider_weight,
        coalesce(s.fires, 0) AS fires, coalesce(s.fire_weight, 0) AS fire_weight
    FROM ratings r LEFT JOIN matchups m ON m.nft = r.nft LEFT JOIN sums s ON s.nft = r.nft
    WHERE r.due_since IS NOT NULL
), put_ratings AS (
    UPDATE ratings r SET
        matchup_weight = p.matchup_weight, sliders = p.sliders, slider_sum = p.slider_sum, slider_weight = p.slider_weight,
        fires = p.fires, fire_weight = p.fire_weight, version = r.version + 1,
        exact_matchup_weight = p.matchup_weight, exact_vote = r.last_vote,
        due_since = NULL, due_reason = NULL, due_priority = NULL, waiting_since = NULL, waiting_votes = NULL
    FROM parts p
    WHERE r.nft = p.nft
), components AS (
    SELECT p.*,
        least(100, greatest(0, (mean - 800) / 12)) AS elo,
        CASE WHEN sliders > 0 THEN least(100, greatest(0, slider_sum::float8 / slider_weight)) ELSE 50 END AS slider,
        least(100, 100 * ln(1 + fire_weight / 1e9::float8) / ln(4::float8)) AS fire,
        (matchup_weight + slider_weight + fire_weight) / 1e9::float8 / (matchups + sliders + fires) AS reliability
    FROM parts p
    WHERE matchups + sliders + fires > 0
), computed AS (
    SELECT c.*, old.poa AS old_poa, old.confidence AS old_confidence,
        old.nft IS NULL OR abs(c.poa - old.history_poa) >= 0.5
            OR floor(c.confidence / 10) <> floor(old.history_confidence / 10) AS moved,
        old.history_poa, old.history_confidence
    FROM (
        SELECT c.*,
            round(least(100, reliability * (0.4 * elo + 0.3 * slider + 0.3 * fire)) * 100) / 100 AS poa,
            round(least(100, greatest(0, (1 - sigma / 400) * 100)) * 100) / 100 AS confidence
        FROM components c
    ) c LEFT JOIN scores old ON old.nft = c.nft
), put_scores AS (
    INSERT INTO scores (nft, collection, poa, confidence, elo, slider, fire, reliability, provisional, votes, aging,
        computed_at, reason, basis, through_vote, version, history_poa, history_confidence)
    SELECT nft, collection, poa, confidence, elo, slider, fire, reliability, matchups < 10, votes, votes >= 5,
        $2::timestamptz, 'manual', 'exact', last_vote, $1::bigint,
        CASE WHEN moved THEN poa ELSE history_poa END, CASE WHEN moved THEN confidence ELSE history_confidence END
    FROM computed
    ON CONFLICT (nft) DO UPDATE SET
        collection = excluded.collection, poa = excluded.poa, confidence = excluded.confidence, elo = excluded.elo,
        slider = excluded.slider, fire = excluded.fire, reliability = excluded.reliability,
        provisional = excluded.provisional, votes = excluded.votes, aging = excluded.aging,
        computed_at = excluded.computed_at, reason = excluded.reason, basis = excluded.basis,
        through_vote = excluded.through_vote, version = excluded.version,
        history_poa = excluded.history_poa, history_confidence = excluded.history_confidence
    WHERE scores.through_vote <= excluded.through_vote
), put_history AS (
    INSERT INTO history (nft, at, poa, confidence, mean, sigma, votes, reason, basis, through_vote, version)
    SELECT nft, $2::timestamptz, poa, confidence, mean, sigma, votes, 'manual', 'exact', last_vote, $1::bigint
    FROM computed
    WHERE moved
), put_activity AS (
    INSERT INTO activity (at, kind, nft, reason, reasons, priority, basis, poa_before, poa, vote, detail)
    SELECT $2::timestamptz, 'computed', nft, 'manual', '{"manual":1}', 0, 'exact', old_poa, poa, last_vote, ''
    FROM computed
)
INSERT INTO counter_deltas (name, collection, by)
SELECT d.name, d.collection, sum(d.by)::bigint
FROM computed c CROSS JOIN LATERAL (VALUES
    ('scored', c.collection, CASE WHEN c.old_poa IS NULL THEN 1 ELSE 0 END),
    ('ready', c.collection, CASE WHEN c.waiting_since IS NOT NULL THEN -1 ELSE 0 END),
    ('poa_sum', c.collection, (round(c.poa * 100) - round(coalesce(c.old_poa, 0) * 100))::bigint),
    ('confidence_sum', c.collection, (round(c.confidence * 100) - round(coalesce(c.old_confidence, 0) * 100))::bigint),
    ('poa_bin.' || lpad(least(19, floor(c.poa / 5))::integer::text, 2, '0'), c.collection, 1),
    ('poa_bin.' || lpad(least(19, floor(c.old_poa / 5))::integer::text, 2, '0'), c.collection, CASE WHEN c.old_poa IS NULL THEN 0 ELSE -1 END),
    ('computed.manual', 0, 1)
) AS d (name, collection, by)
WHERE d.by <> 0
GROUP BY d.name, d.collection
HAVING sum(d.by) <> 0
