-- +goose Up
-- What each broker has counted of failed sign-ins (SE2), for the others to read: JSON, with the age that
-- each count had at that time.
CREATE TABLE limit_batch (
    id      uuid        PRIMARY KEY,
    site_id integer     NOT NULL,
    at      timestamptz NOT NULL,
    counts  text        NOT NULL
);
CREATE INDEX limit_batch_at ON limit_batch (at);

-- The newest block of a user, of an address, or of a user at an address. One that was lifted ended when
-- it was.
CREATE TABLE limit_block (
    kind       text        NOT NULL,
    user_name  text        NOT NULL,
    source     text        NOT NULL,
    level      integer     NOT NULL,
    site_id    integer     NOT NULL,
    since      timestamptz NOT NULL,
    until      timestamptz NOT NULL,
    except_for text        NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (kind, user_name, source)
);
CREATE INDEX limit_block_changed ON limit_block (changed_at);
CREATE INDEX limit_block_until ON limit_block (until);

-- +goose Down
DROP TABLE limit_block, limit_batch;
