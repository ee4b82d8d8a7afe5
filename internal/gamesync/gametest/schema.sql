-- The tables of the game, as a game that grew over time has them: identities
-- and ranges are checked, but nothing ties a vote or favourite to its NFTs, and
-- most columns may be null.
CREATE TABLE users (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    wallet_address    text NOT NULL UNIQUE,
    created_at        timestamptz DEFAULT now(),
    slider_mean       numeric DEFAULT 50 CHECK (slider_mean BETWEEN 0 AND 100),
    slider_std        numeric DEFAULT 15 CHECK (slider_std BETWEEN 1 AND 50),
    slider_count      integer DEFAULT 0 CHECK (slider_count >= 0),
    slider_m2         numeric DEFAULT 0,
    reliability_score numeric DEFAULT 1 CHECK (reliability_score BETWEEN 0.1 AND 2),
    reliability_count integer DEFAULT 0 CHECK (reliability_count >= 0)
);
CREATE INDEX users_created_at ON users (created_at);

CREATE TABLE nfts (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_id           text NOT NULL,
    name               text NOT NULL,
    collection_name    text,
    contract_address   text,
    image              text NOT NULL,
    traits             jsonb,
    total_votes        integer DEFAULT 0,
    wins               integer DEFAULT 0,
    losses             integer DEFAULT 0,
    current_elo        integer DEFAULT 1200,
    slider_average     numeric,
    slider_count       integer DEFAULT 0,
    elo_mean           numeric DEFAULT 1200 CHECK (elo_mean BETWEEN 0 AND 3000),
    elo_sigma          numeric DEFAULT 350 CHECK (elo_sigma BETWEEN 10 AND 1000),
    poa_v2             numeric CHECK (poa_v2 BETWEEN 0 AND 100),
    poa_v2_updated_at  timestamptz,
    poa_v2_components  jsonb,
    poa_v2_confidence  numeric CHECK (poa_v2_confidence BETWEEN 0 AND 100),
    poa_v2_explanation text,
    UNIQUE (token_id, contract_address)
);
CREATE INDEX nfts_collection ON nfts (collection_name);
CREATE INDEX nfts_votes ON nfts (total_votes DESC);
CREATE INDEX nfts_poa_v2 ON nfts (poa_v2 DESC NULLS LAST);

CREATE TABLE votes (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         uuid REFERENCES users (id) ON DELETE CASCADE,
    vote_type_v2    text,
    nft_a_id        uuid,
    nft_b_id        uuid,
    winner_id       uuid,
    slider_value    numeric,
    engagement_data jsonb,
    created_at      timestamptz DEFAULT now()
);
CREATE INDEX votes_user ON votes (user_id);
CREATE INDEX votes_created_at ON votes (created_at);

CREATE TABLE favorites (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    wallet_address text NOT NULL,
    nft_id         text NOT NULL,
    vote_type      text,
    created_at     timestamptz DEFAULT now(),
    UNIQUE (wallet_address, nft_id)
);
CREATE INDEX favorites_wallet ON favorites (wallet_address);
CREATE INDEX favorites_created_at ON favorites (created_at DESC);

-- Beside the game: the rows that make no sense, each written in the transaction
-- of its row.
CREATE SCHEMA gametest;
CREATE TABLE gametest.broken (
    source text NOT NULL,
    id     uuid NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (source, id)
);
