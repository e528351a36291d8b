-- +goose Up
-- A session that has idle_us ends when it was not used for so long: expires_at moves on as it is used,
-- ends_at at most.
ALTER TABLE session ADD COLUMN idle_us bigint NOT NULL DEFAULT 0 CHECK (idle_us >= 0), ADD COLUMN ends_at timestamptz;

-- +goose Down
ALTER TABLE session DROP COLUMN ends_at, DROP COLUMN idle_us;
