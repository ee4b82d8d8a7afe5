-- What each voter has used of the cap on votes that compute at once.

-- +goose Up
ALTER TABLE voters
    ADD COLUMN allowance_since timestamptz, -- null: unused
    ADD COLUMN allowance_used bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE voters DROP COLUMN allowance_used, DROP COLUMN allowance_since;
