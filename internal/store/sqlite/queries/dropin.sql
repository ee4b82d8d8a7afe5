-- What the old scheduler's admin API shows beside the rest.

-- name: computedSince :one
SELECT count(*) FROM activity WHERE number >= sqlc.arg(from_number) AND at >= sqlc.arg(since) AND kind = 'computed';

-- name: voterTotals :one
SELECT CAST(coalesce(sum(slider_n > 0), 0) AS INTEGER) AS sliding,
    CAST(coalesce(sum(judged >= CAST(sqlc.arg(min_judged) AS INTEGER)), 0) AS INTEGER) AS judged,
    CAST(coalesce(avg(CASE WHEN judged >= CAST(sqlc.arg(min_judged) AS INTEGER) THEN reliability END), 0) AS REAL) AS reliability
FROM voters;

-- name: ratingTotals :many
-- The + keeps it from following an index of collections to every row.
SELECT collection, count(*) AS rated, CAST(sum(votes > 0) AS INTEGER) AS voted, CAST(sum(mean) AS REAL) AS means
FROM ratings GROUP BY +collection ORDER BY collection;
