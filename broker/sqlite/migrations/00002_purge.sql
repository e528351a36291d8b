-- +goose Up
-- The question that Purge asks under the write lock, every ten minutes on every broker.
CREATE INDEX session_over ON session (COALESCE(ended_at, expires_at));
DROP INDEX session_expires;

-- +goose Down
CREATE INDEX session_expires ON session (expires_at);
DROP INDEX session_over;
