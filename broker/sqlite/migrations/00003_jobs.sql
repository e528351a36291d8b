-- +goose Up
ALTER TABLE cluster ADD COLUMN version TEXT NOT NULL DEFAULT ''; -- the newest that has joined

ALTER TABLE broker ADD COLUMN uuid        TEXT NOT NULL DEFAULT '';
ALTER TABLE broker ADD COLUMN ip          TEXT NOT NULL DEFAULT '';
ALTER TABLE broker ADD COLUMN mac         TEXT NOT NULL DEFAULT '';
ALTER TABLE broker ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
ALTER TABLE broker ADD COLUMN report      TEXT NOT NULL DEFAULT ''; -- of the newest heartbeat job
ALTER TABLE broker ADD COLUMN reported_at INTEGER;
ALTER TABLE broker ADD COLUMN removed_at  INTEGER; -- the row stays: the epoch must go on rising
CREATE UNIQUE INDEX broker_uuid ON broker (uuid) WHERE uuid <> '' AND removed_at IS NULL;

-- The job queue. A run that failed or was lost while its job went on is an aborted row of its own,
-- whose id is that of the job, a slash and the number of the run.
CREATE TABLE job (
    id           TEXT    PRIMARY KEY,
    kind         TEXT    NOT NULL,
    target       TEXT    NOT NULL,
    payload      TEXT    NOT NULL,
    every_ms     INTEGER NOT NULL, -- 0: runs once
    for_site     INTEGER NOT NULL, -- 0: any
    only_one     INTEGER NOT NULL CHECK (only_one IN (0, 1)),
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'running', 'finished', 'cancelled', 'aborted')),
    run_at       INTEGER NOT NULL,
    run          INTEGER NOT NULL DEFAULT 0,
    run_by       INTEGER NOT NULL DEFAULT 0,
    attempts     INTEGER NOT NULL DEFAULT 0,
    started_at   INTEGER,
    ended_at     INTEGER,
    succeeded_at INTEGER,
    lease_until  INTEGER,
    cancelling   INTEGER NOT NULL DEFAULT 0 CHECK (cancelling IN (0, 1)),
    result       TEXT    NOT NULL DEFAULT '',
    error        TEXT    NOT NULL DEFAULT '',
    CHECK (every_ms >= 0 AND for_site BETWEEN 0 AND 65535),
    CHECK ((state = 'running') = (lease_until IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX job_only_one ON job (kind, target) WHERE only_one = 1 AND state IN ('pending', 'running');
CREATE INDEX job_due ON job (for_site, run_at) WHERE state = 'pending';
CREATE INDEX job_lease ON job (lease_until) WHERE state = 'running';
CREATE INDEX job_ended ON job (ended_at) WHERE state IN ('finished', 'cancelled', 'aborted');

CREATE TABLE pool_statistics (
    at          INTEGER NOT NULL,
    pool        TEXT    NOT NULL, -- its name: the history outlives the row
    total       INTEGER NOT NULL,
    used        INTEGER NOT NULL,
    free        INTEGER NOT NULL,
    maintenance INTEGER NOT NULL,
    PRIMARY KEY (pool, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX pool_statistics_at ON pool_statistics (at);

-- +goose Down
DROP TABLE pool_statistics;
DROP TABLE job;
DROP INDEX broker_uuid;
ALTER TABLE broker DROP COLUMN removed_at;
ALTER TABLE broker DROP COLUMN reported_at;
ALTER TABLE broker DROP COLUMN report;
ALTER TABLE broker DROP COLUMN fingerprint;
ALTER TABLE broker DROP COLUMN mac;
ALTER TABLE broker DROP COLUMN ip;
ALTER TABLE broker DROP COLUMN uuid;
ALTER TABLE cluster DROP COLUMN version;
