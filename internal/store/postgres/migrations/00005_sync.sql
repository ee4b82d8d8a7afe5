-- What following another system's database needs: leases, the favourites that
-- were seen there, and rejected rows that go by an id instead of a line.

-- +goose Up
CREATE TABLE leases (
    name     text COLLATE "C" PRIMARY KEY,
    term     bigint NOT NULL,
    holder   text NOT NULL,
    until    timestamptz NOT NULL,
    state    text NOT NULL -- JSON, the holder's own
) WITH (fillfactor = 50);

CREATE TABLE game_favorites (
    id         text COLLATE "C" PRIMARY KEY,
    nft        text COLLATE "C" NOT NULL, -- ids, not numbers: a vote may not have come yet
    voter      text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    at         timestamptz NOT NULL,
    pending    boolean NOT NULL
);
CREATE INDEX game_favorites_pair ON game_favorites (nft, voter);

ALTER TABLE rejects ADD COLUMN "row" text COLLATE "C" NOT NULL DEFAULT '',
    DROP CONSTRAINT rejects_pkey, ADD PRIMARY KEY (source, line, "row");
CREATE INDEX rejects_code ON rejects (source, code, "row") WHERE "row" <> '';

-- +goose Down
DROP INDEX rejects_code;
DELETE FROM rejects WHERE "row" <> '';
ALTER TABLE rejects DROP CONSTRAINT rejects_pkey, DROP COLUMN "row", ADD PRIMARY KEY (source, line);
DROP TABLE game_favorites, leases;
