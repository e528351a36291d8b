-- +goose Up
-- The version of what host caches copy (broker.CacheVersion): it moves with every such row that changes,
-- never with what changes all the time: claims, agents' reports, scans that find everything as it was.
-- stamp tells apart two copies of this database that went on separately.
CREATE TABLE cache_version (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    inventory INTEGER NOT NULL,
    stamp     INTEGER NOT NULL
) STRICT;
INSERT INTO cache_version VALUES (1, 1, random());

-- What a host cache was copied from. Empty in a database that is none.
CREATE TABLE cache_origin (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    setup      INTEGER NOT NULL,
    inventory  INTEGER NOT NULL,
    stamp      INTEGER NOT NULL,
    copied_at  INTEGER NOT NULL, -- by the clock of the host that copied it
    current_at INTEGER NOT NULL, -- when it was last known to be of the newest version
    served     INTEGER NOT NULL DEFAULT 0 CHECK (served IN (0, 1)) -- it was opened to serve logins: it may hold more than was copied
) STRICT;

-- Records that the copy of a host cache could not take.
CREATE TABLE quarantine (
    what TEXT NOT NULL, -- the table
    key  TEXT NOT NULL,
    why  TEXT NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER cache_cluster_insert AFTER INSERT ON cluster BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_cluster_delete AFTER DELETE ON cluster BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_cluster_update AFTER UPDATE OF name, secret, ticket_key ON cluster
    WHEN (OLD.name, OLD.secret, OLD.ticket_key)
        IS NOT (NEW.name, NEW.secret, NEW.ticket_key) BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_setup_insert AFTER INSERT ON setup BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_setup_delete AFTER DELETE ON setup BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_setup_update AFTER UPDATE OF version ON setup
    WHEN OLD.version IS NOT NEW.version BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_desktop_pool_insert AFTER INSERT ON desktop_pool BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_desktop_pool_delete AFTER DELETE ON desktop_pool BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_desktop_pool_update AFTER UPDATE OF name, kind, check_kind, position, members, release_ms, backup_id, deleted_at ON desktop_pool
    WHEN (OLD.name, OLD.kind, OLD.check_kind, OLD.position, OLD.members, OLD.release_ms, OLD.backup_id, OLD.deleted_at)
        IS NOT (NEW.name, NEW.kind, NEW.check_kind, NEW.position, NEW.members, NEW.release_ms, NEW.backup_id, NEW.deleted_at) BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_desktop_insert AFTER INSERT ON desktop BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_desktop_delete AFTER DELETE ON desktop BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_desktop_update AFTER UPDATE OF name, center, external_id, given_pool, pool_id, host, ip, port, protocol, os, ou, description, tags, state, source_state, state_why, position, mac, missing_since, deleted_at ON desktop
    WHEN (OLD.name, OLD.center, OLD.external_id, OLD.given_pool, OLD.pool_id, OLD.host, OLD.ip, OLD.port, OLD.protocol, OLD.os, OLD.ou, OLD.description, OLD.tags, OLD.state, OLD.source_state, OLD.state_why, OLD.position, OLD.mac, OLD.missing_since, OLD.deleted_at)
        IS NOT (NEW.name, NEW.center, NEW.external_id, NEW.given_pool, NEW.pool_id, NEW.host, NEW.ip, NEW.port, NEW.protocol, NEW.os, NEW.ou, NEW.description, NEW.tags, NEW.state, NEW.source_state, NEW.state_why, NEW.position, NEW.mac, NEW.missing_since, NEW.deleted_at) BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_assignment_insert AFTER INSERT ON assignment BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_assignment_delete AFTER DELETE ON assignment BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_assignment_update AFTER UPDATE OF directory, user, position, source ON assignment
    WHEN (OLD.directory, OLD.user, OLD.position, OLD.source)
        IS NOT (NEW.directory, NEW.user, NEW.position, NEW.source) BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_agent_insert AFTER INSERT ON agent BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_agent_delete AFTER DELETE ON agent BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cache_agent_update AFTER UPDATE OF key_hash ON agent
    WHEN OLD.key_hash IS NOT NEW.key_hash BEGIN
    UPDATE cache_version SET inventory = inventory + 1, stamp = random();
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER cache_agent_update;
DROP TRIGGER cache_agent_delete;
DROP TRIGGER cache_agent_insert;
DROP TRIGGER cache_assignment_update;
DROP TRIGGER cache_assignment_delete;
DROP TRIGGER cache_assignment_insert;
DROP TRIGGER cache_desktop_update;
DROP TRIGGER cache_desktop_delete;
DROP TRIGGER cache_desktop_insert;
DROP TRIGGER cache_desktop_pool_update;
DROP TRIGGER cache_desktop_pool_delete;
DROP TRIGGER cache_desktop_pool_insert;
DROP TRIGGER cache_setup_update;
DROP TRIGGER cache_setup_delete;
DROP TRIGGER cache_setup_insert;
DROP TRIGGER cache_cluster_update;
DROP TRIGGER cache_cluster_delete;
DROP TRIGGER cache_cluster_insert;
DROP TABLE quarantine;
DROP TABLE cache_origin;
DROP TABLE cache_version;
