-- +goose Up
-- Logins that come with a ticket of another cluster (RD8): the seed of the key that signs the tickets of
-- this one, and what was spent here, as ISSUER/ID. A row stays longer than its ticket is good.
ALTER TABLE cluster ADD COLUMN ticket_key bytea CHECK (length(ticket_key) = 32);

CREATE TABLE ticket (
    id         text        PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ticket_expires ON ticket (expires_at);

-- +goose Down
DROP TABLE ticket;
ALTER TABLE cluster DROP COLUMN ticket_key;
