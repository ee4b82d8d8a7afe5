-- $1 NFTs in 40 collections, each with a slider rating by one of 20,000 voters,
-- at the time $2. Four in ten wait for a first score and the others have an old
-- one; three in ten are due. The counts of votes, which batches go by, are
-- invented. The ids are those of the generated votes.
WITH made_collections AS (
    INSERT INTO collections (name) SELECT 'Collection ' || n FROM generate_series(1, 40) n ORDER BY n RETURNING number
), made_voters AS (
    INSERT INTO voters (id, reliability, judged, votes, weight, slider_n, slider_mean, slider_m2, last_vote, created_at)
    SELECT 'voter-' || lpad((n - 1)::text, 6, '0'), 1, 0, 50, 1000000000, 50, 50, 40000, n, $2::timestamptz
    FROM generate_series(1, 20000) n ORDER BY n
), made_nfts AS (
    INSERT INTO nfts (id, name, collection, image_url, created_at)
    SELECT 'nft-' || lpad((n - 1)::text, 7, '0'), 'NFT ' || n - 1, 1 + n % 40, '', $2
    FROM generate_series(1, $1::bigint) n, (SELECT count(*) FROM made_collections) all_of_them ORDER BY n
    RETURNING number, collection
), made_votes AS (
    INSERT INTO votes (number, key, voter, kind, super, nft_a, outcome, value, weight, cast_at, received_at)
    SELECT nextval('vote_numbers'), 'filled-' || n, 1 + n * 7919 % 20000, 2, false, n, 0, n * 31 % 101, 1000000000, $2, $2
    FROM generate_series(1, $1) n
    RETURNING number, voter, nft_a, value
), made_opinions AS (
    INSERT INTO opinions (nft, kind, voter, standing, value, weight, score, cast_at, vote)
    SELECT nft_a, 2, voter, true, value, 1000000000, 50000000000, $2, number FROM made_votes
), made_ratings AS (
    INSERT INTO ratings (nft, collection, mean, sigma, votes, wins, losses, ties, matchups, skips, slider_votes, fire_votes, matchup_weight,
        sliders, slider_sum, slider_weight, fires, fire_weight, recent, version, last_vote, exact_matchup_weight, exact_vote,
        due_since, due_reason, due_priority, waiting_since, waiting_votes)
    SELECT n.number, n.collection, 1200, 350, 1 + n.number * 7 % 50, 0, 0, 0, 0, 0, 1, 0, 0,
        1, 50000000000, 1000000000, 0, 0, decode(repeat('00', 40), 'hex'), 1, v.number, 0, 0,
        CASE WHEN n.number * 13 % 10 < 3 THEN $2 - make_interval(secs => n.number * 31 % 100000) END,
        CASE WHEN n.number * 13 % 10 < 3 THEN 'super' END, CASE WHEN n.number * 13 % 10 < 3 THEN n.number % 3 END,
        CASE WHEN n.number * 17 % 10 < 4 THEN $2 - make_interval(secs => n.number * 37 % 100000) END,
        CASE WHEN n.number * 17 % 10 < 4 THEN 1 + n.number * 7 % 50 END
    FROM made_nfts n JOIN made_votes v ON v.nft_a = n.number
    RETURNING nft, collection, votes, last_vote, waiting_since
), made_scores AS (
    INSERT INTO scores (nft, collection, poa, confidence, elo, slider, fire, reliability, provisional, votes, aging,
        computed_at, reason, basis, through_vote, version, history_poa, history_confidence)
    SELECT nft, collection, nft * 7 % 10000 / 100.0, 12.5, 33.33, 50, 0, 1, true, votes, votes >= 5,
        $2 - make_interval(secs => 90000 + nft * 41 % 1000000), 'batch', 'exact', last_vote, 1, nft * 7 % 10000 / 100.0, 12.5
    FROM made_ratings WHERE waiting_since IS NULL
)
INSERT INTO counters (name, collection, value)
SELECT 'nfts', collection, count(*) FROM made_nfts GROUP BY collection
UNION ALL
SELECT CASE WHEN waiting_since IS NULL THEN 'scored' ELSE 'ready' END, collection, count(*)
FROM made_ratings GROUP BY collection, waiting_since IS NULL
