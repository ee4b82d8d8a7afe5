-- :nfts NFTs in 40 collections, each with a slider rating by one of 20,000
-- voters, at the time :at. Four in ten wait for a first score and the others
-- have an old one; three in ten are due. The counts of votes, which batches go
-- by, are invented. The ids are those of the generated votes.
CREATE TEMP TABLE made AS
    WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < :nfts) SELECT n FROM i;
INSERT INTO collections (name) SELECT 'Collection ' || n FROM made WHERE n <= 40;
INSERT INTO voters (id, reliability, judged, votes, weight, slider_n, slider_mean, slider_m2, last_vote, created_at)
    SELECT format('voter-%06d', n - 1), 1, 0, 50, 1000000000, 50, 50, 40000, n, :at FROM made WHERE n <= 20000;
INSERT INTO nfts (id, name, collection, image_url, created_at)
    SELECT format('nft-%07d', n - 1), 'NFT ' || (n - 1), 1 + n % 40, '', :at FROM made;
INSERT INTO votes (number, key, voter, kind, super, nft_a, outcome, value, weight, cast_at, received_at)
    SELECT n, 'filled-' || n, 1 + n * 7919 % 20000, 2, 0, n, 0, n * 31 % 101, 1000000000, :at, :at FROM made;
INSERT INTO opinions (nft, kind, voter, standing, value, weight, score, cast_at, vote)
    SELECT nft_a, kind, voter, 1, value, weight, 50000000000, cast_at, number FROM votes;
INSERT INTO ratings (nft, collection, mean, sigma, votes, wins, losses, "ties", matchups, skips, slider_votes, fire_votes, matchup_weight,
        sliders, slider_sum, slider_weight, fires, fire_weight, recent, version, last_vote, exact_matchup_weight, exact_vote,
        due_since, due_reason, due_priority, waiting_since, waiting_votes)
    SELECT number, collection, 1200, 350, 1 + number * 7 % 50, 0, 0, 0, 0, 0, 1, 0, 0,
        1, 50000000000, 1000000000, 0, 0, zeroblob(40), 1, number, 0, 0,
        CASE WHEN number * 13 % 10 < 3 THEN :at - number * 31 % 100000 * 1000000 END, 'super', number % 3,
        CASE WHEN number * 17 % 10 < 4 THEN :at - number * 37 % 100000 * 1000000 END,
        CASE WHEN number * 17 % 10 < 4 THEN 1 + number * 7 % 50 END
    FROM nfts;
INSERT INTO scores (nft, collection, poa, confidence, elo, slider, fire, reliability, provisional, votes, aging,
        computed_at, reason, basis, through_vote, version, history_poa, history_confidence)
    SELECT nft, collection, nft * 7 % 10000 / 100.0, 12.5, 33.33, 50, 0, 1, 1, votes, votes >= 5,
        :at - (90000 + nft * 41 % 1000000) * 1000000, 'batch', 'exact', last_vote, 1, nft * 7 % 10000 / 100.0, 12.5
    FROM ratings WHERE waiting_since IS NULL;
INSERT INTO counters (name, collection, value) SELECT 'nfts', collection, count(*) FROM nfts GROUP BY collection;
INSERT INTO counters (name, collection, value)
    SELECT CASE WHEN waiting_since IS NULL THEN 'scored' ELSE 'ready' END, collection, count(*)
    FROM ratings GROUP BY collection, waiting_since IS NULL;
DROP TABLE made;
