-- +goose Up
-- A session that has idle_ms ends when it was not used for so long: expires_at moves on as it is used,
-- ends_at at most.
ALTER TABLE session ADD COLUMN idle_ms INTEGER NOT NULL DEFAULT 0 CHECK (idle_ms >= 0);
ALTER TABLE session ADD COLUMN ends_at INTEGER;

-- +goose Down
ALTER TABLE session DROP COLUMN ends_at;
ALTER TABLE session DROP COLUMN idle_ms;
