-- +goose Up
-- What connects leave behind for brokers without the database (LS1, LS4). Host caches do not copy it: brokers
-- keep leases beside the host cache, by the order of their change. Names compare byte by byte in every
-- database, so that all lock and list leases in one order.
CREATE TABLE lease (
    id          uuid        NOT NULL, -- tells apart those with one time of change
    directory   text        COLLATE "C" NOT NULL,
    user_name   text        COLLATE "C" NOT NULL,
    kind        text        COLLATE "C" NOT NULL CHECK (kind IN ('enumeration', 'launch')),
    desktop     text        COLLATE "C" NOT NULL, -- its id; '' of an enumeration
    client_name text        COLLATE "C" NOT NULL, -- '': counts for all
    desktops    text        NOT NULL, -- JSON
    grants      text        NOT NULL, -- JSON
    recorded_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    removed_at  timestamptz,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (directory, user_name, kind, desktop, client_name)
);
CREATE INDEX lease_changed ON lease (changed_at, id);
CREATE INDEX lease_over ON lease ((COALESCE(removed_at, expires_at)));

-- +goose Down
DROP TABLE lease;
