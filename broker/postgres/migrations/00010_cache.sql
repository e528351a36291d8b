-- +goose Up
-- The version of what host caches copy (broker.CacheVersion). It moves at the end of a transaction that
-- has changed such a row, once, and never for what changes all the time: claims, agents' reports, scans
-- that find everything as it was. stamp tells apart two copies of this database that went on separately.
CREATE TABLE cache_version (
    id        integer PRIMARY KEY CHECK (id = 1),
    inventory bigint  NOT NULL,
    stamp     bigint  NOT NULL
);
INSERT INTO cache_version VALUES (1, 1, (random() * 9007199254740992)::bigint);

-- +goose StatementBegin
CREATE FUNCTION cache_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('switchpoint.cache_changed', true) IS DISTINCT FROM txid_current()::text THEN
        PERFORM set_config('switchpoint.cache_changed', txid_current()::text, true);
        UPDATE cache_version SET inventory = inventory + 1, stamp = (random() * 9007199254740992)::bigint;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Deferred: the row of cache_version is locked last and for the commit alone, so nobody waits for nobody.
CREATE CONSTRAINT TRIGGER cache_cluster AFTER INSERT OR DELETE ON cluster DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION cache_changed();
CREATE CONSTRAINT TRIGGER cache_cluster_update AFTER UPDATE OF name, secret, ticket_key ON cluster DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ((OLD.name, OLD.secret, OLD.ticket_key) IS DISTINCT FROM (NEW.name, NEW.secret, NEW.ticket_key)) EXECUTE FUNCTION cache_changed();
CREATE CONSTRAINT TRIGGER cache_setup AFTER INSERT OR UPDATE OR DELETE ON setup DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION cache_changed();
CREATE CONSTRAINT TRIGGER cache_pool AFTER INSERT OR DELETE ON desktop_pool DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION cache_changed();
CREATE CONSTRAINT TRIGGER cache_pool_update AFTER UPDATE ON desktop_pool DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION cache_changed();
CREATE CONSTRAINT TRIGGER cache_desktop AFTER INSERT OR DELETE ON desktop DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION cache_changed();
CREATE CONSTRAINT TRIGGER cache_desktop_update AFTER UPDATE OF name, center, external_id, given_pool, pool_id, host, ip, port, protocol, os, ou, description,
        tags, state, source_state, state_why, position, mac, missing_since, deleted_at ON desktop DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ((OLD.name, OLD.center, OLD.external_id, OLD.given_pool, OLD.pool_id, OLD.host, OLD.ip, OLD.port, OLD.protocol, OLD.os, OLD.ou,
            OLD.description, OLD.tags, OLD.state, OLD.source_state, OLD.state_why, OLD.position, OLD.mac, OLD.missing_since, OLD.deleted_at)
        IS DISTINCT FROM (NEW.name, NEW.center, NEW.external_id, NEW.given_pool, NEW.pool_id, NEW.host, NEW.ip, NEW.port, NEW.protocol, NEW.os, NEW.ou,
            NEW.description, NEW.tags, NEW.state, NEW.source_state, NEW.state_why, NEW.position, NEW.mac, NEW.missing_since, NEW.deleted_at)) EXECUTE FUNCTION cache_changed();
CREATE CONSTRAINT TRIGGER cache_assignment AFTER INSERT OR DELETE ON assignment DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION cache_changed();
CREATE CONSTRAINT TRIGGER cache_assignment_update AFTER UPDATE ON assignment DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION cache_changed();
CREATE CONSTRAINT TRIGGER cache_agent AFTER INSERT OR DELETE ON agent DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION cache_changed();
CREATE CONSTRAINT TRIGGER cache_agent_update AFTER UPDATE OF key_hash ON agent DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.key_hash IS DISTINCT FROM NEW.key_hash) EXECUTE FUNCTION cache_changed();

-- +goose Down
DROP TRIGGER cache_agent_update ON agent;
DROP TRIGGER cache_agent ON agent;
DROP TRIGGER cache_assignment_update ON assignment;
DROP TRIGGER cache_assignment ON assignment;
DROP TRIGGER cache_desktop_update ON desktop;
DROP TRIGGER cache_desktop ON desktop;
DROP TRIGGER cache_pool_update ON desktop_pool;
DROP TRIGGER cache_pool ON desktop_pool;
DROP TRIGGER cache_setup ON setup;
DROP TRIGGER cache_cluster_update ON cluster;
DROP TRIGGER cache_cluster ON cluster;
DROP FUNCTION cache_changed;
DROP TABLE cache_version;
