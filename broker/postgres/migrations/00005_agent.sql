-- +goose Up
-- What the agent of a desktop reported last: one row for each, written over and over. No index has a
-- column that a heartbeat changes, and pages keep room for the next version of their rows.
CREATE TABLE agent (
    desktop_id    uuid             PRIMARY KEY REFERENCES desktop (id),
    key_hash      bytea            NOT NULL CHECK (length(key_hash) = 32),
    enrolled_at   timestamptz      NOT NULL,
    seen_at       timestamptz      NOT NULL DEFAULT '-infinity',
    address       text             NOT NULL DEFAULT '',
    version       text             NOT NULL DEFAULT '',
    load          double precision NOT NULL DEFAULT 0,
    sessions      text             NOT NULL DEFAULT '[]',
    session_count integer          NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- Enrolment tokens. One of a desktop is used up by one enrolment, one of a pool by one of each desktop.
CREATE TABLE agent_token (
    hash       bytea       PRIMARY KEY CHECK (length(hash) = 32),
    desktop_id uuid        REFERENCES desktop (id),
    pool_id    uuid        REFERENCES desktop_pool (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    CHECK ((desktop_id IS NULL) <> (pool_id IS NULL))
);

-- A desktop that was asked to start, until it is up.
CREATE TABLE desktop_start (
    desktop_id uuid        PRIMARY KEY REFERENCES desktop (id),
    asked_at   timestamptz NOT NULL,
    called_at  timestamptz, -- newest call of the power action
    failed_at  timestamptz,
    error      text        NOT NULL DEFAULT ''
);

ALTER TABLE desktop
    ADD COLUMN mac           text NOT NULL DEFAULT '',
    ADD COLUMN reset_state   text NOT NULL DEFAULT '' CHECK (reset_state IN ('', 'awaited', 'quarantined')),
    ADD COLUMN reset_id      text NOT NULL DEFAULT '', -- that the agent has to report
    ADD COLUMN reset_at      timestamptz,              -- when it was asked for
    ADD COLUMN reset_until   timestamptz,              -- when waiting for it ends
    ADD COLUMN claim_used_at timestamptz,              -- the agent has seen a session of the claim's user
    ADD COLUMN unseen_since  timestamptz,              -- it is claimed, does not answer, and has no agent that does
    ADD CONSTRAINT desktop_used CHECK (claim_user IS NOT NULL OR claim_used_at IS NULL AND unseen_since IS NULL);
CREATE INDEX desktop_reset ON desktop (reset_until) WHERE reset_state = 'awaited';
CREATE INDEX desktop_running ON desktop (id) WHERE running;
-- claimed_at, which is set with claim_user: a look for one user's claim must not find this index. The
-- planner takes it for empty until the claims of a morning are counted, and would read all of them.
CREATE INDEX desktop_claimed ON desktop (id) WHERE claimed_at IS NOT NULL;

-- Free desktops are clean.
DROP INDEX desktop_free, desktop_free_running, desktop_free_oldest;
CREATE INDEX desktop_free ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claim_user IS NULL AND reset_state = '';
CREATE INDEX desktop_free_running ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claim_user IS NULL AND reset_state = '' AND running;
CREATE INDEX desktop_free_oldest ON desktop (pool_id, released_at)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claim_user IS NULL AND reset_state = '';

-- +goose Down
DROP INDEX desktop_free, desktop_free_running, desktop_free_oldest, desktop_claimed, desktop_running, desktop_reset;
ALTER TABLE desktop DROP CONSTRAINT desktop_used, DROP COLUMN unseen_since, DROP COLUMN claim_used_at, DROP COLUMN reset_until,
    DROP COLUMN reset_at, DROP COLUMN reset_id, DROP COLUMN reset_state, DROP COLUMN mac;
CREATE INDEX desktop_free ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claim_user IS NULL;
CREATE INDEX desktop_free_running ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claim_user IS NULL AND running;
CREATE INDEX desktop_free_oldest ON desktop (pool_id, released_at)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claim_user IS NULL;
DROP TABLE desktop_start;
DROP TABLE agent_token;
DROP TABLE agent;
