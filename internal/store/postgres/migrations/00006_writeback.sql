-- NFTs whose score could not be written into another system's database yet.

-- +goose Up
CREATE TABLE unwritten (
    target   text COLLATE "C" NOT NULL,
    nft      bigint NOT NULL,
    since    timestamptz NOT NULL,
    at       timestamptz NOT NULL,
    reason   text NOT NULL,
    detail   text NOT NULL,
    tries    bigint NOT NULL,
    next_try timestamptz, -- null: not before its score changes
    PRIMARY KEY (target, nft)
);
CREATE INDEX unwritten_next_try ON unwritten (target, next_try, nft) WHERE next_try IS NOT NULL;

-- +goose Down
DROP TABLE unwritten;
