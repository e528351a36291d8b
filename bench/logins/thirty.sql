\set n :n + 1
\set id :start * 1000 + :n * 100 + :client_id
\set who random(1, 50000)
SELECT epoch FROM cluster WHERE id = 1;
SELECT version, changed_at FROM setup WHERE id = 1;
SELECT name, epoch, heartbeat_at FROM broker WHERE site_id = 1;
SELECT site_id, name FROM broker WHERE removed_at IS NULL ORDER BY site_id;
SELECT session_id FROM idempotency WHERE scope = '' AND key = :id::text;
SELECT id, expires_at FROM session WHERE token_hash = decode(lpad(:id::text, 64, '0'), 'hex');
SELECT desktop_id FROM assignment WHERE directory = 'local' AND user_name = 'user' || :who;
SELECT id, kind, check_kind, release_us FROM desktop_pool WHERE name = 'floor' AND deleted_at IS NULL;
SELECT id, kind, check_kind, release_us FROM desktop_pool WHERE name = 'own' AND deleted_at IS NULL;
SELECT id, name FROM desktop WHERE claim_directory = 'local' AND claim_user = 'user' || :who;
SELECT pool_id, desktop_id FROM last_use WHERE directory = 'local' AND user_name = 'user' || :who;
SELECT d.id AS desk, d.pool_id AS pool FROM desktop d JOIN desktop_pool p ON p.id = d.pool_id WHERE p.name = 'floor' AND d.deleted_at IS NULL AND d.missing_since IS NULL AND d.state = 'enabled' AND d.claim_user IS NULL AND d.reset_state = '' ORDER BY d.shuffle LIMIT 1 \gset
SELECT name, host, port, protocol, state FROM desktop WHERE id = :desk::uuid;
SELECT seen_at, session_count FROM agent WHERE desktop_id = :desk::uuid;
SELECT asked_at, failed_at FROM desktop_start WHERE desktop_id = :desk::uuid;
SELECT desktop_id FROM assignment WHERE desktop_id = :desk::uuid;
SELECT scanned_at, result FROM center WHERE name = '';
SELECT total, used, free FROM pool_statistics WHERE pool = 'floor' ORDER BY at DESC LIMIT 1;
SELECT id FROM job WHERE state = 'pending' AND for_site = 1 ORDER BY run_at LIMIT 1;
SELECT id FROM log WHERE ref = :id::text;
INSERT INTO log (id, at, ref, kind, code, directory, user_name, client_addr, client_name, site_id, session_id, desktop, duration_us, reason) VALUES (lpad((2 * :id::bigint)::text, 32, '0')::uuid, now(), :id::text, 'attempt', '', 'local', 'user' || :who, '192.0.2.7', 'thin client', 1, NULL, '', 0, '');
INSERT INTO session (id, token_hash, directory, user_name, site_id, client_addr, client_name, grants, created_at, expires_at) VALUES (lpad(:id::text, 32, '0')::uuid, decode(lpad(:id::text, 64, '0'), 'hex'), 'local', 'user' || :who, 1, '192.0.2.7', 'thin client', '[]', now(), now() + interval '10 hours');
INSERT INTO idempotency (scope, key, mac, session_id, expires_at) VALUES ('', :id::text, '', lpad(:id::text, 32, '0')::uuid, now() + interval '1 day');
INSERT INTO last_use (directory, user_name, pool_id, desktop_id) VALUES ('local', 'user' || :who, :pool::uuid, :desk::uuid) ON CONFLICT (directory, user_name, pool_id) DO UPDATE SET desktop_id = excluded.desktop_id;
UPDATE session SET client_name = 'thin client 2' WHERE id = lpad(:id::text, 32, '0')::uuid;
INSERT INTO log (id, at, ref, kind, code, directory, user_name, client_addr, client_name, site_id, session_id, desktop, duration_us, reason) VALUES (lpad((2 * :id::bigint + 1)::text, 32, '0')::uuid, now(), :id::text, 'login', '', 'local', 'user' || :who, '192.0.2.7', 'thin client', 1, lpad(:id::text, 32, '0')::uuid, '', 7000, '');
UPDATE log SET duration_us = 8000 WHERE id = lpad((2 * :id::bigint + 1)::text, 32, '0')::uuid;
SELECT id, created_at, expires_at FROM session WHERE id = lpad(:id::text, 32, '0')::uuid;
SELECT id, name FROM desktop WHERE claim_session = lpad(:id::text, 32, '0')::uuid;
SELECT kind, at FROM log WHERE ref = :id::text;
