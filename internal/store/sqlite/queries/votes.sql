-- Statements of a commit of votes. Sets of ids, keys and numbers come as JSON
-- arrays, so that one prepared statement serves every size. CROSS JOIN keeps
-- the order of the tables as written.

-- name: nftNumbers :many
SELECT DISTINCT n.number
FROM json_each(?) k CROSS JOIN nfts n ON n.id = k.value
ORDER BY n.number;

-- name: ratingsByNumber :many
SELECT sqlc.embed(r), n.id
FROM json_each(?) k CROSS JOIN ratings r ON r.nft = k.value CROSS JOIN nfts n ON n.number = r.nft;

-- name: scoresByNumber :many
SELECT s.*
FROM json_each(?) k CROSS JOIN scores s ON s.nft = k.value;

-- name: votersByID :many
SELECT v.*
FROM json_each(?) k CROSS JOIN voters v ON v.id = k.value;

-- name: unknownNFTs :many
SELECT CAST(k.value AS TEXT) AS id
FROM json_each(?) k
WHERE NOT EXISTS (SELECT 1 FROM nfts n WHERE n.id = k.value);

-- name: insertMissingRatings :exec
INSERT INTO ratings (
    nft, collection, mean, sigma, votes, wins, losses, "ties", matchups, skips, slider_votes, fire_votes,
    matchup_weight, sliders, slider_sum, slider_weight, fires, fire_weight,
    recent, version, last_vote, exact_matchup_weight, exact_vote, due_reason, due_priority)
SELECT n.number, n.collection, sqlc.arg(mean), sqlc.arg(sigma), 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0,
    zeroblob(40), 0, 0, 0, 0, '', 0
FROM json_each(sqlc.arg(ids)) k CROSS JOIN nfts n ON n.id = k.value
WHERE NOT EXISTS (SELECT 1 FROM ratings r WHERE r.nft = n.number)
ON CONFLICT DO NOTHING;

-- name: insertMissingVoters :exec
INSERT INTO voters (id, reliability, judged, votes, weight, slider_n, slider_mean, slider_m2, last_vote, created_at)
SELECT k.value, sqlc.arg(reliability), 0, 0, sqlc.arg(weight), 0, 0, 0, 0, sqlc.arg(created_at)
FROM json_each(sqlc.arg(ids)) k
WHERE NOT EXISTS (SELECT 1 FROM voters v WHERE v.id = k.value)
ORDER BY k.key
ON CONFLICT DO NOTHING;

-- name: votesByKey :many
SELECT sqlc.embed(v), w.id AS voter_id, a.id AS a_id, CAST(coalesce(b.id, '') AS TEXT) AS b_id
FROM json_each(?) k CROSS JOIN votes v ON v.key = k.value
CROSS JOIN voters w ON w.number = v.voter
CROSS JOIN nfts a ON a.number = v.nft_a
LEFT JOIN nfts b ON b.number = v.nft_b
ORDER BY v.number;

-- name: opinionsByRef :many
SELECT o.*
FROM json_each(?) k
CROSS JOIN opinions o ON o.nft = k.value ->> 0 AND o.kind = k.value ->> 1 AND o.voter = k.value ->> 2
ORDER BY o.nft, o.kind, o.voter;

-- name: lastVoteNumber :one
SELECT CAST(coalesce(max(number), 0) AS INTEGER) FROM votes;

-- name: insertVote :exec
INSERT INTO votes (number, key, voter, kind, super, nft_a, nft_b, outcome, value, weight, cast_at, received_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: updateRating :execrows
UPDATE ratings SET
    mean = ?, sigma = ?, votes = ?, wins = ?, losses = ?, "ties" = ?, matchups = ?, skips = ?, slider_votes = ?, fire_votes = ?,
    matchup_weight = ?, sliders = ?, slider_sum = ?, slider_weight = ?, fires = ?, fire_weight = ?,
    recent = ?, version = ?, last_vote = ?, exact_matchup_weight = ?, exact_vote = ?,
    due_since = ?, due_reason = ?, due_priority = ?, waiting_since = ?, waiting_votes = ?
WHERE nft = ?;

-- name: updateVoter :execrows
UPDATE voters SET
    reliability = ?, judged = ?, votes = ?, weight = ?, slider_n = ?, slider_mean = ?, slider_m2 = ?, last_vote = ?,
    allowance_since = ?, allowance_used = ?
WHERE number = ?;

-- name: putOpinion :exec
INSERT INTO opinions (nft, kind, voter, standing, value, weight, score, cast_at, vote)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (nft, kind, voter) DO UPDATE SET
    standing = excluded.standing, value = excluded.value, weight = excluded.weight, score = excluded.score,
    cast_at = excluded.cast_at, vote = excluded.vote;

-- name: putScore :exec
INSERT INTO scores (
    nft, collection, poa, confidence, elo, slider, fire, reliability, provisional, votes, aging,
    computed_at, reason, basis, through_vote, version, history_poa, history_confidence)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (nft) DO UPDATE SET
    collection = excluded.collection, poa = excluded.poa, confidence = excluded.confidence,
    elo = excluded.elo, slider = excluded.slider, fire = excluded.fire, reliability = excluded.reliability,
    provisional = excluded.provisional, votes = excluded.votes, aging = excluded.aging,
    computed_at = excluded.computed_at, reason = excluded.reason, basis = excluded.basis,
    through_vote = excluded.through_vote, version = excluded.version,
    history_poa = excluded.history_poa, history_confidence = excluded.history_confidence
WHERE scores.through_vote <= excluded.through_vote;

-- name: deleteScore :exec
DELETE FROM scores WHERE nft = ?;

-- name: insertHistory :exec
INSERT INTO history (nft, at, poa, confidence, mean, sigma, votes, reason, basis, through_vote, version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insertActivity :exec
INSERT INTO activity (at, kind, nft, reason, reasons, priority, basis, poa_before, poa, vote, detail, run, who)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: addToCounter :exec
INSERT INTO counters (name, collection, value) VALUES (?, ?, ?)
ON CONFLICT (name, collection) DO UPDATE SET value = counters.value + excluded.value;
