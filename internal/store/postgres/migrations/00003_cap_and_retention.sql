-- What each voter has used of the cap on votes that compute at once, and an
-- index for deleting old runs.

-- +goose Up
ALTER TABLE voters
    ADD COLUMN allowance_since timestamptz, -- null: unused
    ADD COLUMN allowance_used bigint NOT NULL DEFAULT 0;
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- +goose Down
DROP INDEX runs_ended;
ALTER TABLE voters DROP COLUMN allowance_used, DROP COLUMN allowance_since;
