-- +goose Up
ALTER TABLE cluster ADD COLUMN version text NOT NULL DEFAULT ''; -- the newest that has joined

ALTER TABLE broker
    ADD COLUMN uuid        text NOT NULL DEFAULT '',
    ADD COLUMN ip          text NOT NULL DEFAULT '',
    ADD COLUMN mac         text NOT NULL DEFAULT '',
    ADD COLUMN fingerprint text NOT NULL DEFAULT '',
    ADD COLUMN report      text NOT NULL DEFAULT '', -- of the newest heartbeat job
    ADD COLUMN reported_at timestamptz,
    ADD COLUMN removed_at  timestamptz; -- the row stays: the epoch must go on rising
CREATE UNIQUE INDEX broker_uuid ON broker (uuid) WHERE uuid <> '' AND removed_at IS NULL;

-- The job queue. A run that failed or was lost while its job went on is an aborted row of its own,
-- whose id is that of the job, a slash and the number of the run. Every row is written twice for
-- each run, so the table is vacuumed early.
CREATE TABLE job (
    id           text COLLATE "C" PRIMARY KEY,
    kind         text        NOT NULL,
    target       text        NOT NULL,
    payload      text        NOT NULL,
    every_us     bigint      NOT NULL, -- 0: runs once
    for_site     integer     NOT NULL, -- 0: any
    only_one     boolean     NOT NULL,
    state        text        NOT NULL CHECK (state IN ('pending', 'running', 'finished', 'cancelled', 'aborted')),
    run_at       timestamptz NOT NULL,
    run          bigint      NOT NULL DEFAULT 0,
    run_by       integer     NOT NULL DEFAULT 0,
    attempts     integer     NOT NULL DEFAULT 0,
    started_at   timestamptz,
    ended_at     timestamptz,
    succeeded_at timestamptz,
    lease_until  timestamptz,
    cancelling   boolean     NOT NULL DEFAULT false,
    result       text        NOT NULL DEFAULT '',
    error        text        NOT NULL DEFAULT '',
    CHECK (every_us >= 0 AND for_site BETWEEN 0 AND 65535),
    CHECK ((state = 'running') = (lease_until IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE UNIQUE INDEX job_only_one ON job (kind, target) WHERE only_one AND state IN ('pending', 'running');
CREATE INDEX job_due ON job (for_site, run_at) WHERE state = 'pending';
CREATE INDEX job_lease ON job (lease_until) WHERE state = 'running';
CREATE INDEX job_ended ON job (ended_at) WHERE state IN ('finished', 'cancelled', 'aborted');

CREATE TABLE pool_statistics (
    at          timestamptz NOT NULL,
    pool        text        NOT NULL, -- its name: the history outlives the row
    total       integer     NOT NULL,
    used        integer     NOT NULL,
    free        integer     NOT NULL,
    maintenance integer     NOT NULL,
    PRIMARY KEY (pool, at)
);
CREATE INDEX pool_statistics_at ON pool_statistics (at);

-- +goose Down
DROP TABLE pool_statistics;
DROP TABLE job;
DROP INDEX broker_uuid;
ALTER TABLE broker DROP COLUMN removed_at, DROP COLUMN reported_at, DROP COLUMN report, DROP COLUMN fingerprint,
    DROP COLUMN mac, DROP COLUMN ip, DROP COLUMN uuid;
ALTER TABLE cluster DROP COLUMN version;
