-- +goose Up
-- A desktop may stand in no pool now, which SQLite can only say in a new table.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE desktop_before AS SELECT * FROM desktop;
DROP TABLE desktop;
CREATE TABLE desktop (
    id            TEXT    PRIMARY KEY,
    name          TEXT    NOT NULL,
    center        TEXT    NOT NULL DEFAULT '', -- whose scan brings it; '' stands in the setup
    external_id   TEXT    NOT NULL DEFAULT '', -- the center's own key
    given_pool    TEXT    NOT NULL DEFAULT '', -- the pool that its [[desktop]] names
    pool_id       TEXT    REFERENCES desktop_pool (id), -- where Placement put it
    host          TEXT    NOT NULL,
    ip            TEXT    NOT NULL DEFAULT '',
    port          INTEGER NOT NULL,
    protocol      TEXT    NOT NULL,
    os            TEXT    NOT NULL DEFAULT '',
    ou            TEXT    NOT NULL DEFAULT '',
    description   TEXT    NOT NULL DEFAULT '',
    tags          TEXT    NOT NULL DEFAULT '', -- with ';' between
    state         TEXT    NOT NULL,            -- enabled, maintenance; disabled by its center
    position      INTEGER NOT NULL DEFAULT 0,
    shuffle       INTEGER NOT NULL DEFAULT (random()), -- its place in the order of free desktops
    claimed       INTEGER NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1)), -- there is a claim: kept by triggers
    running       INTEGER NOT NULL DEFAULT 0 CHECK (running IN (0, 1)), -- it is known to be on
    released_at   INTEGER NOT NULL DEFAULT 0, -- end of its newest claim
    missing_since INTEGER,                    -- its center does not list it any more
    deleted_at    INTEGER
) STRICT;
INSERT INTO desktop (id, name, given_pool, pool_id, host, port, protocol, state, position, claimed, deleted_at)
    SELECT d.id, d.name, p.name, d.pool_id, d.host, d.port, d.protocol, d.state, d.position,
        EXISTS (SELECT 1 FROM claim c WHERE c.desktop_id = d.id), d.deleted_at
    FROM desktop_before d JOIN desktop_pool p ON p.id = d.pool_id;
DROP TABLE desktop_before;
CREATE UNIQUE INDEX desktop_name ON desktop (name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX desktop_external ON desktop (center, external_id) WHERE deleted_at IS NULL AND center <> '';
CREATE INDEX desktop_live ON desktop (pool_id, protocol) WHERE deleted_at IS NULL AND missing_since IS NULL AND state <> 'disabled';
CREATE INDEX desktop_free ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claimed = 0;
CREATE INDEX desktop_free_running ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claimed = 0 AND running = 1;
CREATE INDEX desktop_free_oldest ON desktop (pool_id, released_at)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claimed = 0;

ALTER TABLE desktop_pool ADD COLUMN members    TEXT    NOT NULL DEFAULT '{}'; -- rules and lists, as JSON
ALTER TABLE desktop_pool ADD COLUMN release_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE desktop_pool ADD COLUMN backup_id  TEXT    REFERENCES desktop_pool (id);

-- The pool of a claim is the one that was offered; its desktop may be of the backup pool.
ALTER TABLE claim ADD COLUMN release_at INTEGER; -- after logout: when it ends
CREATE INDEX claim_release ON claim (release_at) WHERE release_at IS NOT NULL;
-- +goose StatementBegin
CREATE TRIGGER claim_begins AFTER INSERT ON claim BEGIN
    UPDATE desktop SET claimed = 1 WHERE id = NEW.desktop_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER claim_ends AFTER DELETE ON claim BEGIN
    UPDATE desktop SET claimed = 0, released_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE id = OLD.desktop_id;
END;
-- +goose StatementEnd

-- Which desktop a user had last, for the order that favours it.
CREATE TABLE last_use (
    directory  TEXT NOT NULL,
    user       TEXT NOT NULL,
    pool_id    TEXT NOT NULL,
    desktop_id TEXT NOT NULL,
    PRIMARY KEY (directory, user, pool_id)
) STRICT, WITHOUT ROWID;

-- An import's assignments outlive a new setup, unless that gives the desktop to somebody itself.
ALTER TABLE assignment ADD COLUMN source TEXT NOT NULL DEFAULT 'setup' CHECK (source IN ('setup', 'import'));

-- How the scans of the setup's centers went.
CREATE TABLE center (
    name       TEXT    PRIMARY KEY,
    scanned_at INTEGER,
    result     TEXT    NOT NULL DEFAULT '',
    failed_at  INTEGER,
    error      TEXT    NOT NULL DEFAULT '',
    waiting    INTEGER NOT NULL DEFAULT 0, -- desktops that an operator has to confirm as vanished
    confirmed  INTEGER NOT NULL DEFAULT 0  -- how many he has confirmed
) STRICT;

-- +goose Down
DROP TABLE center;
DELETE FROM assignment WHERE source = 'import';
ALTER TABLE assignment DROP COLUMN source;
DROP TABLE last_use;
DROP TRIGGER claim_ends;
DROP TRIGGER claim_begins;
DROP INDEX claim_release;
DELETE FROM claim WHERE desktop_id IN (SELECT id FROM desktop WHERE center <> '' OR pool_id IS NULL);
ALTER TABLE claim DROP COLUMN release_at;
ALTER TABLE desktop_pool DROP COLUMN backup_id;
ALTER TABLE desktop_pool DROP COLUMN release_ms;
ALTER TABLE desktop_pool DROP COLUMN members;
PRAGMA defer_foreign_keys = ON;
DELETE FROM assignment WHERE desktop_id IN (SELECT id FROM desktop WHERE center <> '' OR pool_id IS NULL);
CREATE TABLE desktop_after AS SELECT * FROM desktop WHERE center = '' AND pool_id IS NOT NULL;
DROP TABLE desktop;
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
INSERT INTO desktop SELECT id, name, pool_id, host, port, protocol, state, position, deleted_at FROM desktop_after;
DROP TABLE desktop_after;
CREATE UNIQUE INDEX desktop_name ON desktop (name) WHERE deleted_at IS NULL;
CREATE INDEX desktop_pool_id ON desktop (pool_id) WHERE deleted_at IS NULL;
