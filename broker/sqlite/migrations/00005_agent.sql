-- +goose Up
-- What the agent of a desktop reported last: one row for each, written over and over.
CREATE TABLE agent (
    desktop_id    TEXT    PRIMARY KEY REFERENCES desktop (id),
    key_hash      BLOB    NOT NULL CHECK (length(key_hash) = 32),
    enrolled_at   INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL DEFAULT 0,
    address       TEXT    NOT NULL DEFAULT '',
    version       TEXT    NOT NULL DEFAULT '',
    load          REAL    NOT NULL DEFAULT 0,
    sessions      TEXT    NOT NULL DEFAULT '[]',
    session_count INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Enrolment tokens. One of a desktop is used up by one enrolment, one of a pool by one of each desktop.
CREATE TABLE agent_token (
    hash       BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    desktop_id TEXT    REFERENCES desktop (id),
    pool_id    TEXT    REFERENCES desktop_pool (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    CHECK ((desktop_id IS NULL) <> (pool_id IS NULL))
) STRICT;

-- A desktop that was asked to start, until it is up.
CREATE TABLE desktop_start (
    desktop_id TEXT    PRIMARY KEY REFERENCES desktop (id),
    asked_at   INTEGER NOT NULL,
    called_at  INTEGER, -- newest call of the power action
    failed_at  INTEGER,
    error      TEXT    NOT NULL DEFAULT ''
) STRICT;

ALTER TABLE desktop ADD COLUMN mac         TEXT NOT NULL DEFAULT '';
ALTER TABLE desktop ADD COLUMN reset_state TEXT NOT NULL DEFAULT '' CHECK (reset_state IN ('', 'awaited', 'quarantined'));
ALTER TABLE desktop ADD COLUMN reset_id    TEXT NOT NULL DEFAULT ''; -- that the agent has to report
ALTER TABLE desktop ADD COLUMN reset_at    INTEGER;                  -- when it was asked for
ALTER TABLE desktop ADD COLUMN reset_until INTEGER;                  -- when waiting for it ends
CREATE INDEX desktop_reset ON desktop (reset_until) WHERE reset_state = 'awaited';
CREATE INDEX desktop_running ON desktop (id) WHERE running = 1;

ALTER TABLE claim ADD COLUMN used_at      INTEGER; -- the agent has seen a session of its user
ALTER TABLE claim ADD COLUMN unseen_since INTEGER; -- the desktop does not answer, and has no agent that does

-- Free desktops are clean.
DROP INDEX desktop_free;
DROP INDEX desktop_free_running;
DROP INDEX desktop_free_oldest;
CREATE INDEX desktop_free ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claimed = 0 AND reset_state = '';
CREATE INDEX desktop_free_running ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claimed = 0 AND reset_state = '' AND running = 1;
CREATE INDEX desktop_free_oldest ON desktop (pool_id, released_at)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claimed = 0 AND reset_state = '';

-- +goose Down
DROP INDEX desktop_free_oldest;
DROP INDEX desktop_free_running;
DROP INDEX desktop_free;
CREATE INDEX desktop_free ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claimed = 0;
CREATE INDEX desktop_free_running ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claimed = 0 AND running = 1;
CREATE INDEX desktop_free_oldest ON desktop (pool_id, released_at)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claimed = 0;
ALTER TABLE claim DROP COLUMN unseen_since;
ALTER TABLE claim DROP COLUMN used_at;
DROP INDEX desktop_running;
DROP INDEX desktop_reset;
ALTER TABLE desktop DROP COLUMN reset_until;
ALTER TABLE desktop DROP COLUMN reset_at;
ALTER TABLE desktop DROP COLUMN reset_id;
ALTER TABLE desktop DROP COLUMN reset_state;
ALTER TABLE desktop DROP COLUMN mac;
DROP TABLE desktop_start;
DROP TABLE agent_token;
DROP TABLE agent;
