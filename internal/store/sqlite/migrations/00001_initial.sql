-- Times are microseconds since 1970. Sums and weights are units of 1e-9. Ids,
-- names and keys compare bytewise. The row with the greatest number of a
-- table is never deleted, so numbers are not used again.
--
-- votes, ratings, opinions and scores have no foreign keys: their only writers
-- get the numbers from rows they have just read in the same transaction, and
-- a check per row would only slow them down.

-- +goose Up
CREATE TABLE collections (
    number INTEGER PRIMARY KEY,
    name   TEXT    NOT NULL UNIQUE,
    active INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1))
) STRICT;

CREATE TABLE nfts (
    number     INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    collection INTEGER NOT NULL REFERENCES collections (number),
    image_url  TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE voters (
    number      INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    reliability REAL    NOT NULL,
    judged      INTEGER NOT NULL,
    votes       INTEGER NOT NULL,
    weight      INTEGER NOT NULL, -- what a vote weighs now, kept so that SQL can add weights up
    slider_n    INTEGER NOT NULL,
    slider_mean REAL    NOT NULL,
    slider_m2   REAL    NOT NULL,
    last_vote   INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE ratings (
    nft                  INTEGER PRIMARY KEY,
    collection           INTEGER NOT NULL,
    mean                 REAL    NOT NULL,
    sigma                REAL    NOT NULL,
    votes                INTEGER NOT NULL,
    wins                 INTEGER NOT NULL,
    losses               INTEGER NOT NULL,
    "ties"               INTEGER NOT NULL,
    matchups             INTEGER NOT NULL,
    skips                INTEGER NOT NULL,
    slider_votes         INTEGER NOT NULL,
    fire_votes           INTEGER NOT NULL,
    matchup_weight       INTEGER NOT NULL,
    sliders              INTEGER NOT NULL,
    slider_sum           INTEGER NOT NULL,
    slider_weight        INTEGER NOT NULL,
    fires                INTEGER NOT NULL,
    fire_weight          INTEGER NOT NULL,
    recent               BLOB    NOT NULL CHECK (length(recent) = 40), -- five int64, little endian
    version              INTEGER NOT NULL,
    last_vote            INTEGER NOT NULL,
    exact_matchup_weight INTEGER NOT NULL,
    exact_vote           INTEGER NOT NULL,
    due_since            INTEGER,
    due_reason           TEXT    NOT NULL,
    due_priority         INTEGER NOT NULL,
    waiting_since        INTEGER, -- both waiting columns are NULL unless the NFT
    waiting_votes        INTEGER  -- is scorable and has no score; then equal to votes
) STRICT;
CREATE INDEX ratings_collection ON ratings (collection, nft);
CREATE INDEX ratings_waiting_votes ON ratings (collection, waiting_votes DESC, nft) WHERE waiting_votes IS NOT NULL;
CREATE INDEX ratings_waiting_since ON ratings (collection, waiting_since, nft) WHERE waiting_since IS NOT NULL;
CREATE INDEX ratings_due ON ratings (due_priority DESC, due_since, nft) WHERE due_since IS NOT NULL;

CREATE TABLE votes (
    number      INTEGER PRIMARY KEY,
    key         TEXT    NOT NULL UNIQUE,
    voter       INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    super       INTEGER NOT NULL,
    nft_a       INTEGER NOT NULL,
    nft_b       INTEGER, -- of a matchup
    outcome     INTEGER NOT NULL,
    value       REAL,    -- of a slider rating
    weight      INTEGER NOT NULL,
    cast_at     INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT;
CREATE INDEX votes_nft_a ON votes (nft_a, number);
CREATE INDEX votes_nft_b ON votes (nft_b, number) WHERE nft_b IS NOT NULL;
CREATE INDEX votes_voter ON votes (voter, number);

CREATE TABLE opinions (
    nft      INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    voter    INTEGER NOT NULL,
    standing INTEGER NOT NULL,
    value    REAL    NOT NULL,
    weight   INTEGER NOT NULL,
    score    INTEGER NOT NULL,
    cast_at  INTEGER NOT NULL,
    vote     INTEGER NOT NULL,
    PRIMARY KEY (nft, kind, voter)
) STRICT, WITHOUT ROWID;

CREATE TABLE scores (
    nft                INTEGER PRIMARY KEY,
    collection         INTEGER NOT NULL,
    poa                REAL    NOT NULL,
    confidence         REAL    NOT NULL,
    elo                REAL    NOT NULL,
    slider             REAL    NOT NULL,
    fire               REAL    NOT NULL,
    reliability        REAL    NOT NULL,
    provisional        INTEGER NOT NULL,
    votes              INTEGER NOT NULL,
    aging              INTEGER NOT NULL,
    computed_at        INTEGER NOT NULL,
    reason             TEXT    NOT NULL,
    basis              TEXT    NOT NULL,
    through_vote       INTEGER NOT NULL,
    version            INTEGER NOT NULL,
    history_poa        REAL    NOT NULL,
    history_confidence REAL    NOT NULL
) STRICT;
CREATE INDEX scores_poa ON scores (poa DESC, nft);
CREATE INDEX scores_collection_poa ON scores (collection, poa DESC, nft);
CREATE INDEX scores_aging ON scores (collection, computed_at, nft) WHERE aging;
CREATE INDEX scores_computed_at ON scores (computed_at);

CREATE TABLE history (
    number       INTEGER PRIMARY KEY,
    nft          INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    poa          REAL    NOT NULL,
    confidence   REAL    NOT NULL,
    mean         REAL    NOT NULL,
    sigma        REAL    NOT NULL,
    votes        INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    basis        TEXT    NOT NULL,
    through_vote INTEGER NOT NULL,
    version      INTEGER NOT NULL
) STRICT;
CREATE INDEX history_nft ON history (nft, number);

CREATE TABLE activity (
    number     INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    nft        INTEGER,
    reason     TEXT    NOT NULL,
    reasons    TEXT    NOT NULL, -- JSON object: how often each reason occurred
    priority   INTEGER NOT NULL,
    basis      TEXT    NOT NULL,
    poa_before REAL,
    poa        REAL,
    vote       INTEGER NOT NULL,
    detail     TEXT    NOT NULL
) STRICT;
CREATE INDEX activity_nft ON activity (nft, number);

CREATE TABLE counters (
    name       TEXT    NOT NULL,
    collection INTEGER NOT NULL, -- 0 for none
    value      INTEGER NOT NULL,
    PRIMARY KEY (name, collection)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name       TEXT    NOT NULL PRIMARY KEY,
    value      TEXT    NOT NULL CHECK (json_valid(value)),
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settings_audit (
    number     INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    who        TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    from_value TEXT    NOT NULL, -- '' for nothing
    to_value   TEXT    NOT NULL,
    why        TEXT    NOT NULL
) STRICT;

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE scoring_versions (
    number     INTEGER PRIMARY KEY,
    publishing TEXT    NOT NULL UNIQUE, -- JSON of the publishing constants
    created_at INTEGER NOT NULL,
    who        TEXT    NOT NULL
) STRICT;

CREATE TABLE rejects (
    source TEXT    NOT NULL,
    line   INTEGER NOT NULL,
    code   TEXT    NOT NULL,
    detail TEXT    NOT NULL,
    raw    TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (source, line)
) STRICT;

-- +goose Down
DROP TABLE rejects;
DROP TABLE scoring_versions;
DROP TABLE meta;
DROP TABLE settings_audit;
DROP TABLE settings;
DROP TABLE counters;
DROP TABLE activity;
DROP TABLE history;
DROP TABLE scores;
DROP TABLE opinions;
DROP TABLE votes;
DROP TABLE ratings;
DROP TABLE voters;
DROP TABLE nfts;
DROP TABLE collections;
