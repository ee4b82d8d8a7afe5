-- What following another system's database needs: leases, the favourites that
-- were seen there, and rejected rows that go by an id instead of a line.

-- +goose Up
CREATE TABLE leases (
    name   TEXT    PRIMARY KEY,
    term   INTEGER NOT NULL,
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL,
    state  TEXT    NOT NULL -- JSON, the holder's own
) STRICT;

CREATE TABLE game_favorites (
    id         TEXT    PRIMARY KEY,
    nft        TEXT    NOT NULL, -- ids, not numbers: a vote may not have come yet
    voter      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    pending    INTEGER NOT NULL
) STRICT;
CREATE INDEX game_favorites_pair ON game_favorites (nft, voter);

CREATE TABLE lined_rejects (
    source TEXT    NOT NULL,
    line   INTEGER NOT NULL,
    "row"  TEXT    NOT NULL,
    code   TEXT    NOT NULL,
    detail TEXT    NOT NULL,
    raw    TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (source, line, "row")
) STRICT;
INSERT INTO lined_rejects SELECT source, line, '', code, detail, raw, at FROM rejects;
DROP TABLE rejects;
ALTER TABLE lined_rejects RENAME TO rejects;
CREATE INDEX rejects_code ON rejects (source, code, "row") WHERE "row" <> '';

-- +goose Down
CREATE TABLE lined_rejects (
    source TEXT    NOT NULL,
    line   INTEGER NOT NULL,
    code   TEXT    NOT NULL,
    detail TEXT    NOT NULL,
    raw    TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (source, line)
) STRICT;
INSERT INTO lined_rejects SELECT source, line, code, detail, raw, at FROM rejects WHERE "row" = '';
DROP TABLE rejects;
ALTER TABLE lined_rejects RENAME TO rejects;
DROP TABLE game_favorites;
DROP TABLE leases;
