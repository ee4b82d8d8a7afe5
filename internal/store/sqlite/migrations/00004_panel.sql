-- What the panel needs: people with their links and sessions, samples for its
-- charts, and the distribution of scores as counters.

-- +goose Up
CREATE TABLE people (
    number        INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    role          TEXT    NOT NULL,
    password_hash TEXT    NOT NULL, -- '' until one is set
    created_at    INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    last_seen     INTEGER,
    disabled_at   INTEGER,
    signed_out_at INTEGER
) STRICT;

CREATE TABLE links (
    hash       BLOB    NOT NULL PRIMARY KEY,
    purpose    TEXT    NOT NULL,
    person     INTEGER NOT NULL, -- 0 for somebody who is not known yet
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX links_expiry ON links (expires_at);

CREATE TABLE sessions (
    hash       BLOB    NOT NULL PRIMARY KEY,
    person     INTEGER NOT NULL, -- 0 before sign-in
    data       BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_person ON sessions (person);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Every value is here twice: by the minute for a day, and by ten minutes for a
-- week.
CREATE TABLE samples (
    grain INTEGER NOT NULL, -- minutes
    at    INTEGER NOT NULL, -- when they begin
    name  TEXT    NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (grain, at, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX settings_audit_name ON settings_audit (name, number);

-- What people did to single NFTs, for the audit log.
CREATE INDEX activity_by_hand ON activity (number) WHERE who <> '' AND run IS NULL AND nft IS NOT NULL;

INSERT INTO counters (name, collection, value)
SELECT printf('poa_bin.%02d', min(19, CAST(poa / 5 AS INTEGER))), collection, count(*) FROM scores GROUP BY 1, 2;

-- +goose Down
DELETE FROM counters WHERE name >= 'poa_bin.' AND name < 'poa_bin/';
DROP INDEX activity_by_hand;
DROP INDEX settings_audit_name;
DROP TABLE samples;
DROP TABLE sessions;
DROP TABLE links;
DROP TABLE people;
