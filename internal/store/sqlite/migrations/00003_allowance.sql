-- What each voter has used of the cap on votes that compute at once.

-- +goose Up
ALTER TABLE voters ADD COLUMN allowance_since INTEGER; -- NULL: unused
ALTER TABLE voters ADD COLUMN allowance_used INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE voters DROP COLUMN allowance_used;
ALTER TABLE voters DROP COLUMN allowance_since;
