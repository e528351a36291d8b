-- +goose Up
-- Times are milliseconds since 1970 by the database's clock. Ids are UUIDv7 as text, made by
-- the application. A name that is deleted may be used again, hence the partial unique indexes.

CREATE TABLE cluster (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    name       TEXT    NOT NULL,
    secret     BLOB    NOT NULL CHECK (length(secret) = 32),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE broker (
    site_id      INTEGER PRIMARY KEY CHECK (site_id BETWEEN 1 AND 65535),
    name         TEXT    NOT NULL,
    datacenter   TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    epoch        INTEGER NOT NULL,
    booted_at    INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    stopped_at   INTEGER
) STRICT;

-- What apply replaces as a whole and no query looks into. Desktops, pools and assignments are
-- rows, because logins join them.
CREATE TABLE setup (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    version    INTEGER NOT NULL,
    document   TEXT    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE desktop_pool (
    id         TEXT    PRIMARY KEY,
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('assigned', 'pooled')),
    check_kind TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX desktop_pool_name ON desktop_pool (name) WHERE deleted_at IS NULL;

CREATE TABLE desktop (
    id         TEXT    PRIMARY KEY,
    name       TEXT    NOT NULL,
    pool_id    TEXT    NOT NULL REFERENCES desktop_pool (id),
    host       TEXT    NOT NULL,
    port       INTEGER NOT NULL,
    protocol   TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX desktop_name ON desktop (name) WHERE deleted_at IS NULL;
CREATE INDEX desktop_pool_id ON desktop (pool_id) WHERE deleted_at IS NULL;

CREATE TABLE assignment (
    desktop_id TEXT    PRIMARY KEY REFERENCES desktop (id),
    directory  TEXT    NOT NULL,
    user       TEXT    NOT NULL,
    position   INTEGER NOT NULL
) STRICT;
CREATE INDEX assignment_user ON assignment (directory, user);

CREATE TABLE session (
    id          TEXT    PRIMARY KEY,
    token_hash  BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    directory   TEXT    NOT NULL,
    user        TEXT    NOT NULL,
    site_id     INTEGER NOT NULL,
    client_addr TEXT    NOT NULL,
    client_name TEXT    NOT NULL,
    grants      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    ended_at    INTEGER
) STRICT;
CREATE INDEX session_expires ON session (expires_at);

-- A pooled desktop in use. The primary key is what makes a double assignment impossible. The
-- claim belongs to the user, not to one session of his: a second sign-in takes it over.
CREATE TABLE claim (
    desktop_id TEXT    PRIMARY KEY REFERENCES desktop (id),
    pool_id    TEXT    NOT NULL REFERENCES desktop_pool (id),
    slot       INTEGER NOT NULL,
    directory  TEXT    NOT NULL,
    user       TEXT    NOT NULL,
    session_id TEXT    NOT NULL REFERENCES session (id),
    claimed_at INTEGER NOT NULL,
    UNIQUE (directory, user, pool_id, slot)
) STRICT;
CREATE INDEX claim_session ON claim (session_id);
CREATE INDEX claim_pool ON claim (pool_id);

-- Idempotency keys (LG4): scope '' holds logins, a session id its connects.
CREATE TABLE idempotency (
    scope      TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    mac        BLOB    NOT NULL,
    session_id TEXT    NOT NULL,
    redirect   TEXT    NOT NULL,
    desktop_id TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expires ON idempotency (expires_at);

CREATE TABLE log (
    id          TEXT    PRIMARY KEY,
    at          INTEGER NOT NULL,
    ref         TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    code        TEXT    NOT NULL,
    directory   TEXT    NOT NULL,
    user        TEXT    NOT NULL,
    client_addr TEXT    NOT NULL,
    client_name TEXT    NOT NULL,
    site_id     INTEGER NOT NULL,
    session_id  TEXT    NOT NULL,
    desktop     TEXT    NOT NULL,
    duration_us INTEGER NOT NULL,
    reason      TEXT    NOT NULL
) STRICT;
CREATE INDEX log_at ON log (at);
CREATE INDEX log_ref ON log (ref);

-- +goose Down
DROP TABLE log;
DROP TABLE idempotency;
DROP TABLE claim;
DROP TABLE session;
DROP TABLE assignment;
DROP TABLE desktop;
DROP TABLE desktop_pool;
DROP TABLE setup;
DROP TABLE broker;
DROP TABLE cluster;
