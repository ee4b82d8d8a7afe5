-- NFTs whose score could not be written into another system's database yet.

-- +goose Up
CREATE TABLE unwritten (
    target   TEXT    NOT NULL,
    nft      INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    reason   TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    tries    INTEGER NOT NULL,
    next_try INTEGER, -- NULL: not before its score changes
    PRIMARY KEY (target, nft)
) STRICT, WITHOUT ROWID;
CREATE INDEX unwritten_next_try ON unwritten (target, next_try, nft) WHERE next_try IS NOT NULL;

-- +goose Down
DROP TABLE unwritten;
