-- What the old scheduler's admin API shows beside the rest.

-- name: ComputedSince :one
SELECT count(*) FROM activity WHERE number >= @from_number AND at >= @since AND kind = 'computed';

-- name: VoterTotals :one
SELECT count(*) FILTER (WHERE slider_n > 0) AS sliding, count(*) FILTER (WHERE judged >= @min_judged::bigint) AS judged,
    COALESCE(avg(reliability) FILTER (WHERE judged >= @min_judged::bigint), 0)::double precision AS reliability
FROM voters;

-- name: RatingTotals :many
SELECT collection, count(*) AS rated, count(*) FILTER (WHERE votes > 0) AS voted, sum(mean)::double precision AS means
FROM ratings GROUP BY collection ORDER BY collection;
