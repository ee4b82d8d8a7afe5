-- What each voter has used of the cap on votes that compute at once, and an
-- index for deleting old runs.

-- +goose Up
ALTER TABLE voters ADD COLUMN allowance_since INTEGER; -- NULL: unused
ALTER TABLE voters ADD COLUMN allowance_used INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- +goose Down
DROP INDEX runs_ended;
ALTER TABLE voters DROP COLUMN allowance_used;
ALTER TABLE voters DROP COLUMN allowance_since;
