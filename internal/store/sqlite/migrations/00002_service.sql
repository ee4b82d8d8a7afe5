-- What the service needs: runs, the failed list, API keys, who is behind an
-- activity, and indexes for batches and lists.

-- +goose Up
CREATE TABLE runs (
    number       INTEGER PRIMARY KEY,
    kind         TEXT    NOT NULL,
    "window"     TEXT    NOT NULL,
    collection   TEXT,             -- name; NULL for all
    plan         TEXT    NOT NULL, -- JSON, the scheduler's own
    state        TEXT    NOT NULL,
    requested_by TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    cursor       INTEGER NOT NULL,
    total        INTEGER NOT NULL,
    done         INTEGER NOT NULL,
    changed      INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    stop_reason  TEXT    NOT NULL,
    cancel       TEXT    NOT NULL, -- who asked for it, '' for nobody
    steps        INTEGER NOT NULL,
    holder       TEXT    NOT NULL,
    lease_until  INTEGER NOT NULL,
    UNIQUE (kind, "window")
) STRICT;
CREATE INDEX runs_kind ON runs (kind, number);
CREATE INDEX runs_lease ON runs (lease_until) WHERE state = 'running';

CREATE TABLE failures (
    nft      INTEGER PRIMARY KEY,
    error    TEXT    NOT NULL,
    tries    INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    next_try INTEGER, -- NULL: given up
    run      INTEGER NOT NULL
) STRICT;
CREATE INDEX failures_latest ON failures (last_at, nft);
CREATE INDEX failures_next_try ON failures (next_try, nft) WHERE next_try IS NOT NULL;

CREATE TABLE keys (
    number     INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    role       TEXT    NOT NULL,
    hash       BLOB    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    last_used  INTEGER,
    revoked_at INTEGER
) STRICT;

ALTER TABLE activity ADD COLUMN run INTEGER;
ALTER TABLE activity ADD COLUMN who TEXT NOT NULL DEFAULT '';
CREATE INDEX activity_run ON activity (run, number) WHERE run IS NOT NULL;
CREATE INDEX activity_kind ON activity (kind, number) WHERE kind <> 'computed';

-- A batch leaves inactive collections out, so it looks at each collection's head.
DROP INDEX ratings_due;
CREATE INDEX ratings_due ON ratings (collection, due_priority DESC, due_since, nft) WHERE due_since IS NOT NULL;

-- Lists of NFTs are by number, of all or of a collection, by status or by name.
CREATE INDEX ratings_due_list ON ratings (collection, nft) WHERE due_since IS NOT NULL;
CREATE INDEX ratings_waiting_list ON ratings (collection, nft) WHERE waiting_since IS NOT NULL;
DROP INDEX scores_computed_at;
CREATE INDEX scores_list ON scores (collection, nft);
CREATE INDEX nfts_list ON nfts (collection, number);
CREATE INDEX nfts_name ON nfts (lower(name), number);

-- +goose Down
DROP INDEX nfts_name;
DROP INDEX nfts_list;
DROP INDEX scores_list;
CREATE INDEX scores_computed_at ON scores (computed_at);
DROP INDEX ratings_waiting_list;
DROP INDEX ratings_due_list;
DROP INDEX ratings_due;
CREATE INDEX ratings_due ON ratings (due_priority DESC, due_since, nft) WHERE due_since IS NOT NULL;
DROP INDEX activity_kind;
DROP INDEX activity_run;
ALTER TABLE activity DROP COLUMN who;
ALTER TABLE activity DROP COLUMN run;
DROP TABLE keys;
DROP TABLE failures;
DROP TABLE runs;
