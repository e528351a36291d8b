-- +goose Up
-- What connects leave behind for brokers without the database (LS1, LS4). Host caches do not copy it: brokers
-- keep leases beside the host cache, by the order of their change.
CREATE TABLE lease (
    id          TEXT    NOT NULL, -- tells apart those with one time of change
    directory   TEXT    NOT NULL,
    user        TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('enumeration', 'launch')),
    desktop     TEXT    NOT NULL, -- its id; '' of an enumeration
    client_name TEXT    NOT NULL, -- '': counts for all
    desktops    TEXT    NOT NULL, -- JSON
    grants      TEXT    NOT NULL, -- JSON
    recorded_at INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    removed_at  INTEGER,
    changed_at  INTEGER NOT NULL,
    PRIMARY KEY (directory, user, kind, desktop, client_name)
) STRICT;
CREATE INDEX lease_changed ON lease (changed_at, id);
CREATE INDEX lease_over ON lease (COALESCE(removed_at, expires_at));

-- +goose Down
DROP TABLE lease;
