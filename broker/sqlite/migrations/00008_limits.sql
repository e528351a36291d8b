-- +goose Up
-- What each broker has counted of failed sign-ins (SE2), for the others to read: JSON, with the age that
-- each count had at that time.
CREATE TABLE limit_batch (
    id      TEXT    PRIMARY KEY,
    site_id INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    counts  TEXT    NOT NULL
) STRICT;
CREATE INDEX limit_batch_at ON limit_batch (at);

-- The newest block of a user, of an address, or of a user at an address. One that was lifted ended when
-- it was.
CREATE TABLE limit_block (
    kind       TEXT    NOT NULL,
    user       TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    level      INTEGER NOT NULL,
    site_id    INTEGER NOT NULL,
    since      INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    except_for TEXT    NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (kind, user, source)
) STRICT;
CREATE INDEX limit_block_changed ON limit_block (changed_at);
CREATE INDEX limit_block_until ON limit_block (until);

-- +goose Down
DROP TABLE limit_block;
DROP TABLE limit_batch;
