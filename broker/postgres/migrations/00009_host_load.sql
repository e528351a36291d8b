-- +goose Up
-- How busy the host of each broker is (share 0 to 1), and how many logins a second the broker could answer.
ALTER TABLE broker
    ADD COLUMN host         text             NOT NULL DEFAULT '', -- tells hosts apart
    ADD COLUMN cpus         integer          NOT NULL DEFAULT 0,  -- 0: not known
    ADD COLUMN load_average double precision NOT NULL DEFAULT 0,
    ADD COLUMN busy         double precision NOT NULL DEFAULT 0,
    ADD COLUMN steal        double precision NOT NULL DEFAULT 0,
    ADD COLUMN clock_off_us bigint           NOT NULL DEFAULT 0,  -- its clock minus the database's
    ADD COLUMN carries      double precision NOT NULL DEFAULT 0;  -- 0: not known

-- Logins of all brokers in each hour that had any, and in its busiest minute.
CREATE TABLE login_hour (
    hour   timestamptz PRIMARY KEY,
    logins integer NOT NULL,
    peak   integer NOT NULL
);

-- Maintenance of a center's desktop is an operator's word: what its center says is kept beside it.
ALTER TABLE desktop
    ADD COLUMN source_state text NOT NULL DEFAULT '', -- '' outside of such a maintenance
    ADD COLUMN state_why    text NOT NULL DEFAULT ''; -- who said so, and why

-- +goose Down
ALTER TABLE desktop DROP COLUMN state_why, DROP COLUMN source_state;
DROP TABLE login_hour;
ALTER TABLE broker DROP COLUMN carries, DROP COLUMN clock_off_us, DROP COLUMN steal, DROP COLUMN busy, DROP COLUMN load_average, DROP COLUMN cpus, DROP COLUMN host;
