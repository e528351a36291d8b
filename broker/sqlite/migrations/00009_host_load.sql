-- +goose Up
-- How busy the host of each broker is (share 0 to 1), and how many logins a second the broker could answer.
ALTER TABLE broker ADD COLUMN host         TEXT    NOT NULL DEFAULT ''; -- tells hosts apart
ALTER TABLE broker ADD COLUMN cpus         INTEGER NOT NULL DEFAULT 0; -- 0: not known
ALTER TABLE broker ADD COLUMN load_average REAL    NOT NULL DEFAULT 0;
ALTER TABLE broker ADD COLUMN busy         REAL    NOT NULL DEFAULT 0;
ALTER TABLE broker ADD COLUMN steal        REAL    NOT NULL DEFAULT 0;
ALTER TABLE broker ADD COLUMN clock_off_ms INTEGER NOT NULL DEFAULT 0; -- its clock minus the database's
ALTER TABLE broker ADD COLUMN carries      REAL    NOT NULL DEFAULT 0; -- 0: not known

-- Logins of all brokers in each hour that had any, and in its busiest minute.
CREATE TABLE login_hour (
    hour   INTEGER NOT NULL PRIMARY KEY,
    logins INTEGER NOT NULL,
    peak   INTEGER NOT NULL
) STRICT;

-- Maintenance of a center's desktop is an operator's word: what its center says is kept beside it.
ALTER TABLE desktop ADD COLUMN source_state TEXT NOT NULL DEFAULT ''; -- '' outside of such a maintenance
ALTER TABLE desktop ADD COLUMN state_why    TEXT NOT NULL DEFAULT ''; -- who said so, and why

-- +goose Down
ALTER TABLE desktop DROP COLUMN state_why;
ALTER TABLE desktop DROP COLUMN source_state;
DROP TABLE login_hour;
ALTER TABLE broker DROP COLUMN carries;
ALTER TABLE broker DROP COLUMN clock_off_ms;
ALTER TABLE broker DROP COLUMN steal;
ALTER TABLE broker DROP COLUMN busy;
ALTER TABLE broker DROP COLUMN load_average;
ALTER TABLE broker DROP COLUMN cpus;
ALTER TABLE broker DROP COLUMN host;
