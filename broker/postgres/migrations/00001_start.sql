-- +goose Up
-- Times are the database's clock. Ids are UUIDv7, made by the application. A name that is deleted
-- may be used again, hence the partial unique indexes.

-- The epoch rises with everything that all brokers must see: a broker that joins, a new setup. A
-- server that shows a lower one than seen before is an old copy (doc.go).
CREATE TABLE cluster (
    id         integer     PRIMARY KEY CHECK (id = 1),
    name       text        NOT NULL,
    secret     bytea       NOT NULL CHECK (length(secret) = 32),
    epoch      bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE broker (
    site_id      integer     PRIMARY KEY CHECK (site_id BETWEEN 1 AND 65535),
    name         text        NOT NULL,
    datacenter   text        NOT NULL,
    version      text        NOT NULL,
    epoch        bigint      NOT NULL,
    booted_at    timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    stopped_at   timestamptz
);

-- What apply replaces as a whole and no query looks into. Desktops, pools and assignments are
-- rows, because logins join them.
CREATE TABLE setup (
    id         integer     PRIMARY KEY CHECK (id = 1),
    version    bigint      NOT NULL,
    document   text        NOT NULL,
    changed_at timestamptz NOT NULL
);

-- A pool that changes its kind is another pool: what was claimed from it is free.
CREATE TABLE desktop_pool (
    id         uuid    PRIMARY KEY,
    name       text    NOT NULL,
    kind       text    NOT NULL CHECK (kind IN ('assigned', 'pooled')),
    check_kind text    NOT NULL,
    position   integer NOT NULL,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX desktop_pool_name ON desktop_pool (name) WHERE deleted_at IS NULL;

CREATE TABLE session (
    id          uuid        PRIMARY KEY,
    token_hash  bytea       NOT NULL CHECK (length(token_hash) = 32),
    directory   text        NOT NULL,
    user_name   text        NOT NULL,
    site_id     integer     NOT NULL,
    client_addr text        NOT NULL,
    client_name text        NOT NULL,
    grants      text        NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    ended_at    timestamptz
);
CREATE UNIQUE INDEX session_token ON session (token_hash);
CREATE INDEX session_over ON session ((COALESCE(ended_at, expires_at)));

-- The claim of a pooled desktop stands in the desktop's own row: one row has one holder, which
-- is what makes a double assignment impossible, and a free desktop is found by one partial index.
-- The claim belongs to the user, not to one session of his: a second sign-in takes it over.
CREATE TABLE desktop (
    id              uuid             PRIMARY KEY,
    name            text             NOT NULL,
    pool_id         uuid             NOT NULL REFERENCES desktop_pool (id),
    host            text             NOT NULL,
    port            integer          NOT NULL,
    protocol        text             NOT NULL,
    state           text             NOT NULL,
    position        integer          NOT NULL,
    shuffle         double precision NOT NULL DEFAULT random(), -- its place in the order of free desktops
    deleted_at      timestamptz,
    claim_directory text,
    claim_user      text,
    claim_slot      integer,
    claim_session   uuid REFERENCES session (id),
    claimed_at      timestamptz,
    CHECK (num_nulls(claim_directory, claim_user, claim_slot, claim_session, claimed_at) IN (0, 5)),
    CHECK (deleted_at IS NULL OR claim_user IS NULL)
);
CREATE UNIQUE INDEX desktop_name ON desktop (name) WHERE deleted_at IS NULL;
CREATE INDEX desktop_pool_protocol ON desktop (pool_id, protocol) WHERE deleted_at IS NULL;
CREATE INDEX desktop_free ON desktop (pool_id, shuffle) WHERE deleted_at IS NULL AND state = 'enabled' AND claim_user IS NULL;
CREATE UNIQUE INDEX desktop_claim ON desktop (claim_directory, claim_user, pool_id, claim_slot) WHERE claim_user IS NOT NULL;
CREATE INDEX desktop_claim_session ON desktop (claim_session) WHERE claim_session IS NOT NULL;

CREATE TABLE assignment (
    desktop_id uuid    PRIMARY KEY REFERENCES desktop (id),
    directory  text    NOT NULL,
    user_name  text    NOT NULL,
    position   integer NOT NULL
);
CREATE INDEX assignment_user ON assignment (directory, user_name);

-- Idempotency keys (LG4): scope '' holds logins, a session id its connects.
CREATE TABLE idempotency (
    scope      text        NOT NULL,
    key        text        NOT NULL,
    mac        bytea       NOT NULL,
    session_id uuid,
    redirect   text        NOT NULL DEFAULT '',
    desktop_id uuid,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_expires ON idempotency (expires_at);

CREATE TABLE log (
    id          uuid        PRIMARY KEY,
    at          timestamptz NOT NULL,
    ref         text        NOT NULL,
    kind        text        NOT NULL,
    code        text        NOT NULL,
    directory   text        NOT NULL,
    user_name   text        NOT NULL,
    client_addr text        NOT NULL,
    client_name text        NOT NULL,
    site_id     integer     NOT NULL,
    session_id  uuid,
    desktop     text        NOT NULL,
    duration_us bigint      NOT NULL,
    reason      text        NOT NULL
);
CREATE INDEX log_at ON log (at);
CREATE INDEX log_ref ON log (ref);

-- +goose Down
DROP TABLE log;
DROP TABLE idempotency;
DROP TABLE assignment;
DROP TABLE desktop;
DROP TABLE session;
DROP TABLE desktop_pool;
DROP TABLE setup;
DROP TABLE broker;
DROP TABLE cluster;
