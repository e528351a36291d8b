-- +goose Up
ALTER TABLE desktop_pool
    ADD COLUMN members    text   NOT NULL DEFAULT '{}', -- rules and lists, as JSON
    ADD COLUMN release_us bigint NOT NULL DEFAULT 0,
    ADD COLUMN backup_id  uuid   REFERENCES desktop_pool (id);

ALTER TABLE desktop
    ALTER COLUMN pool_id DROP NOT NULL, -- where Placement put it
    ALTER COLUMN position SET DEFAULT 0,
    ADD COLUMN center        text        NOT NULL DEFAULT '', -- whose scan brings it; '' stands in the setup
    ADD COLUMN external_id   text        NOT NULL DEFAULT '', -- the center's own key
    ADD COLUMN given_pool    text        NOT NULL DEFAULT '', -- the pool that its [[desktop]] names
    ADD COLUMN ip            text        NOT NULL DEFAULT '',
    ADD COLUMN os            text        NOT NULL DEFAULT '',
    ADD COLUMN ou            text        NOT NULL DEFAULT '',
    ADD COLUMN description   text        NOT NULL DEFAULT '',
    ADD COLUMN tags          text        NOT NULL DEFAULT '', -- with ';' between
    ADD COLUMN running       boolean     NOT NULL DEFAULT false, -- it is known to be on
    ADD COLUMN missing_since timestamptz,                    -- its center does not list it any more
    -- The pool of a claim is the one that was offered; its desktop may be of the backup pool.
    ADD COLUMN claim_pool    uuid REFERENCES desktop_pool (id),
    ADD COLUMN release_at    timestamptz, -- of a claim after logout: when it ends
    ADD COLUMN released_at   timestamptz NOT NULL DEFAULT '-infinity'; -- end of its newest claim
UPDATE desktop d SET given_pool = p.name, claim_pool = CASE WHEN d.claim_user IS NOT NULL THEN d.pool_id END
    FROM desktop_pool p WHERE p.id = d.pool_id;
ALTER TABLE desktop
    DROP CONSTRAINT desktop_check,
    ADD CONSTRAINT desktop_check CHECK (num_nulls(claim_directory, claim_user, claim_slot, claim_session, claimed_at, claim_pool) IN (0, 6)),
    ADD CONSTRAINT desktop_release CHECK (release_at IS NULL OR claim_user IS NOT NULL);

DROP INDEX desktop_claim;
CREATE UNIQUE INDEX desktop_claim ON desktop (claim_directory, claim_user, claim_pool, claim_slot) WHERE claim_user IS NOT NULL;
CREATE INDEX desktop_release_at ON desktop (release_at) WHERE release_at IS NOT NULL;
CREATE UNIQUE INDEX desktop_external ON desktop (center, external_id) WHERE deleted_at IS NULL AND center <> '';
DROP INDEX desktop_pool_protocol;
CREATE INDEX desktop_live ON desktop (pool_id, protocol) WHERE deleted_at IS NULL AND missing_since IS NULL AND state <> 'disabled';
DROP INDEX desktop_free;
CREATE INDEX desktop_free ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claim_user IS NULL;
CREATE INDEX desktop_free_running ON desktop (pool_id, shuffle)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claim_user IS NULL AND running;
CREATE INDEX desktop_free_oldest ON desktop (pool_id, released_at)
    WHERE deleted_at IS NULL AND missing_since IS NULL AND state = 'enabled' AND claim_user IS NULL;

-- Which desktop a user had last, for the order that favours it.
CREATE TABLE last_use (
    directory  text NOT NULL,
    user_name  text NOT NULL,
    pool_id    uuid NOT NULL,
    desktop_id uuid NOT NULL,
    PRIMARY KEY (directory, user_name, pool_id)
);

-- An import's assignments outlive a new setup, unless that gives the desktop to somebody itself.
ALTER TABLE assignment ADD COLUMN source text NOT NULL DEFAULT 'setup' CHECK (source IN ('setup', 'import'));

-- How the scans of the setup's centers went.
CREATE TABLE center (
    name       text PRIMARY KEY,
    scanned_at timestamptz,
    result     text    NOT NULL DEFAULT '',
    failed_at  timestamptz,
    error      text    NOT NULL DEFAULT '',
    waiting    integer NOT NULL DEFAULT 0, -- desktops that an operator has to confirm as vanished
    confirmed  integer NOT NULL DEFAULT 0  -- how many he has confirmed
);

-- +goose Down
DROP TABLE center;
DELETE FROM assignment WHERE source = 'import' OR desktop_id IN (SELECT id FROM desktop WHERE center <> '' OR pool_id IS NULL);
ALTER TABLE assignment DROP COLUMN source;
DROP TABLE last_use;
DELETE FROM desktop WHERE center <> '' OR pool_id IS NULL;
DROP INDEX desktop_free_oldest;
DROP INDEX desktop_free_running;
DROP INDEX desktop_free;
DROP INDEX desktop_live;
DROP INDEX desktop_external;
DROP INDEX desktop_release_at;
DROP INDEX desktop_claim;
UPDATE desktop SET claim_directory = NULL, claim_user = NULL, claim_slot = NULL, claim_session = NULL, claimed_at = NULL, claim_pool = NULL, release_at = NULL
    WHERE claim_pool <> pool_id;
ALTER TABLE desktop DROP CONSTRAINT desktop_release, DROP CONSTRAINT desktop_check;
ALTER TABLE desktop ALTER COLUMN pool_id SET NOT NULL, ALTER COLUMN position DROP DEFAULT,
    DROP COLUMN released_at, DROP COLUMN release_at, DROP COLUMN claim_pool, DROP COLUMN missing_since, DROP COLUMN running, DROP COLUMN tags,
    DROP COLUMN description, DROP COLUMN ou, DROP COLUMN os, DROP COLUMN ip, DROP COLUMN given_pool, DROP COLUMN external_id, DROP COLUMN center,
    ADD CONSTRAINT desktop_check CHECK (num_nulls(claim_directory, claim_user, claim_slot, claim_session, claimed_at) IN (0, 5));
CREATE INDEX desktop_pool_protocol ON desktop (pool_id, protocol) WHERE deleted_at IS NULL;
CREATE INDEX desktop_free ON desktop (pool_id, shuffle) WHERE deleted_at IS NULL AND state = 'enabled' AND claim_user IS NULL;
CREATE UNIQUE INDEX desktop_claim ON desktop (claim_directory, claim_user, pool_id, claim_slot) WHERE claim_user IS NOT NULL;
ALTER TABLE desktop_pool DROP COLUMN backup_id, DROP COLUMN release_us, DROP COLUMN members;
