-- All NFTs that are due, computed exactly with today's weights, in the fewest
-- statements that SQLite needs for it; with the default constants of the
-- scoring. :version is the scoring version, :at the time.
BEGIN IMMEDIATE;

CREATE TEMP TABLE standing AS
SELECT o.nft, o.kind, o.voter, w.weight,
    CASE o.kind WHEN 2 THEN CAST(round(w.weight * (max(-2.5, min(2.5, (o.value - w.mean) / w.std)) + 2.5) * 20) AS INTEGER) ELSE 0 END AS score,
    o.weight AS old_weight, o.score AS old_score
FROM opinions o JOIN (
    SELECT number, weight,
        (5 * 50 + slider_n * slider_mean) / (5 + slider_n) AS mean,
        max(5.0, sqrt((5 * 225 + slider_m2 + 5.0 * slider_n / (5 + slider_n) * (slider_mean - 50) * (slider_mean - 50)) / (5 + slider_n))) AS std
    FROM voters
) w ON w.number = o.voter
WHERE o.standing;

UPDATE opinions SET weight = s.weight, score = s.score
FROM standing s
WHERE opinions.nft = s.nft AND opinions.kind = s.kind AND opinions.voter = s.voter
    AND (s.weight <> s.old_weight OR s.score <> s.old_score);

CREATE TEMP TABLE computed AS
WITH matchups AS (
    SELECT x.nft, sum(x.weight) AS weight
    FROM (
        SELECT v.nft_a AS nft, sum(w.weight) AS weight
        FROM votes v JOIN voters w ON w.number = v.voter WHERE v.outcome IN (1, 2, 3) GROUP BY v.nft_a
        UNION ALL
        SELECT v.nft_b, sum(w.weight)
        FROM votes v JOIN voters w ON w.number = v.voter WHERE v.outcome IN (1, 2, 3) GROUP BY v.nft_b
    ) x
    GROUP BY x.nft
), sums AS (
    SELECT nft,
        count(*) FILTER (WHERE kind = 2) AS sliders,
        coalesce(sum(score) FILTER (WHERE kind = 2), 0) AS slider_sum,
        coalesce(sum(weight) FILTER (WHERE kind = 2), 0) AS slider_weight,
        count(*) FILTER (WHERE kind = 3) AS fires,
        coalesce(sum(weight) FILTER (WHERE kind = 3), 0) AS fire_weight
    FROM standing
    GROUP BY nft
), parts AS (
    SELECT r.nft, r.collection, r.mean, r.sigma, r.votes, r.matchups, r.last_vote, r.waiting_since,
        coalesce(m.weight, 0) AS matchup_weight,
        coalesce(s.sliders, 0) AS sliders, coalesce(s.slider_sum, 0) AS slider_sum, coalesce(s.slider_weight, 0) AS slider_weight,
        coalesce(s.fires, 0) AS fires, coalesce(s.fire_weight, 0) AS fire_weight
    FROM ratings r LEFT JOIN matchups m ON m.nft = r.nft LEFT JOIN sums s ON s.nft = r.nft
    WHERE r.due_since IS NOT NULL
), components AS (
    SELECT p.*, matchups + sliders + fires AS terms,
        min(100.0, max(0.0, (mean - 800) / 12)) AS elo,
        CASE WHEN sliders > 0 THEN min(100.0, max(0.0, 1.0 * slider_sum / slider_weight)) ELSE 50.0 END AS slider,
        min(100.0, 100 * ln(1 + fire_weight / 1e9) / ln(4)) AS fire,
        (matchup_weight + slider_weight + fire_weight) / 1e9 / (matchups + sliders + fires) AS reliability
    FROM parts p
), results AS (
    SELECT c.*,
        round(min(100.0, reliability * (0.4 * elo + 0.3 * slider + 0.3 * fire)) * 100) / 100 AS poa,
        round(min(100.0, max(0.0, (1 - sigma / 400) * 100)) * 100) / 100 AS confidence
    FROM components c
)
SELECT c.*, old.poa AS old_poa, old.confidence AS old_confidence,
    old.nft IS NULL OR abs(c.poa - old.history_poa) >= 0.5
        OR floor(c.confidence / 10) <> floor(old.history_confidence / 10) AS moved,
    old.history_poa, old.history_confidence
FROM results c LEFT JOIN scores old ON old.nft = c.nft
ORDER BY c.nft;

UPDATE ratings SET
    matchup_weight = c.matchup_weight, sliders = c.sliders, slider_sum = c.slider_sum, slider_weight = c.slider_weight,
    fires = c.fires, fire_weight = c.fire_weight, version = version + 1,
    exact_matchup_weight = c.matchup_weight, exact_vote = ratings.last_vote,
    due_since = NULL, due_reason = '', due_priority = 0, waiting_since = NULL, waiting_votes = NULL
FROM computed c
WHERE ratings.nft = c.nft;

DELETE FROM computed WHERE terms = 0;

INSERT INTO scores (nft, collection, poa, confidence, elo, slider, fire, reliability, provisional, votes, aging,
    computed_at, reason, basis, through_vote, version, history_poa, history_confidence)
SELECT nft, collection, poa, confidence, elo, slider, fire, reliability, matchups < 10, votes, votes >= 5,
    :at, 'manual', 'exact', last_vote, :version, iif(moved, poa, history_poa), iif(moved, confidence, history_confidence)
FROM computed
WHERE true
ON CONFLICT (nft) DO UPDATE SET
    collection = excluded.collection, poa = excluded.poa, confidence = excluded.confidence,
    elo = excluded.elo, slider = excluded.slider, fire = excluded.fire, reliability = excluded.reliability,
    provisional = excluded.provisional, votes = excluded.votes, aging = excluded.aging,
    computed_at = excluded.computed_at, reason = excluded.reason, basis = excluded.basis,
    through_vote = excluded.through_vote, version = excluded.version,
    history_poa = excluded.history_poa, history_confidence = excluded.history_confidence
WHERE scores.through_vote <= excluded.through_vote;

INSERT INTO history (nft, at, poa, confidence, mean, sigma, votes, reason, basis, through_vote, version)
SELECT nft, :at, poa, confidence, mean, sigma, votes, 'manual', 'exact', last_vote, :version
FROM computed
WHERE moved;

INSERT INTO activity (at, kind, nft, reason, reasons, priority, basis, poa_before, poa, vote, detail)
SELECT :at, 'computed', nft, 'manual', '{"manual":1}', 0, 'exact', old_poa, poa, last_vote, ''
FROM computed;

INSERT INTO counters (name, collection, value)
SELECT name, collection, by
FROM (
    SELECT 'scored' AS name, collection, sum(old_poa IS NULL) AS by FROM computed GROUP BY collection
    UNION ALL
    SELECT 'ready', collection, -sum(waiting_since IS NOT NULL) FROM computed GROUP BY collection
    UNION ALL
    SELECT 'poa_sum', collection, CAST(sum(round(poa * 100) - round(coalesce(old_poa, 0) * 100)) AS INTEGER) FROM computed GROUP BY collection
    UNION ALL
    SELECT 'confidence_sum', collection, CAST(sum(round(confidence * 100) - round(coalesce(old_confidence, 0) * 100)) AS INTEGER) FROM computed GROUP BY collection
    UNION ALL
    SELECT name, collection, sum(by)
    FROM (
        SELECT printf('poa_bin.%02d', min(19, CAST(poa / 5 AS INTEGER))) AS name, collection, 1 AS by FROM computed
        UNION ALL
        SELECT printf('poa_bin.%02d', min(19, CAST(old_poa / 5 AS INTEGER))), collection, -1 FROM computed WHERE old_poa IS NOT NULL
    )
    GROUP BY name, collection
    UNION ALL
    SELECT 'computed.manual', 0, count(*) FROM computed
)
WHERE by <> 0
ON CONFLICT (name, collection) DO UPDATE SET value = counters.value + excluded.value;

COMMIT;

DROP TABLE temp.standing;
DROP TABLE temp.computed;
