package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
)

// copyTimeout bounds a copy whose context has no deadline: far longer than it takes, so that a sink
// that stands still does not keep an old view of the database open for ever.
const copyTimeout = 2 * time.Minute

// patienceSQL lets the sink be slower than the server for a while: other transactions may not be idle for
// so long, but this one holds nothing that others need.
const patienceSQL = `SET LOCAL idle_in_transaction_session_timeout = '60s'`

// errNotTaken ends a copy whose sink has failed. It hides the sink's error from judge, which would
// take that of a full disk for one of the network.
var errNotTaken = errors.New("the copy was not taken")

// CacheVersion implements broker.CacheSource.
func (s *Store) CacheVersion(ctx context.Context) (v broker.CacheVersion, err error) {
	err = s.ask(ctx, "read cache version", func(l link) (err error) {
		v, err = readCacheVersion(l)
		return err
	})
	return v, err
}

func readCacheVersion(l link) (v broker.CacheVersion, err error) {
	err = l.row(`SELECT COALESCE((SELECT version FROM setup), 0), inventory, stamp FROM cache_version`).Scan(&v.Setup, &v.Inventory, &v.Stamp)
	return v, err
}

// CopyCache implements broker.CacheSource.
func (s *Store) CopyCache(ctx context.Context, to broker.CacheSink) (broker.CacheVersion, error) {
	return s.copyTables(ctx, to, func(broker.CacheTable) bool { return true })
}

// CopyState implements broker.CacheSource.
func (s *Store) CopyState(ctx context.Context, to broker.CacheSink) error {
	_, err := s.copyTables(ctx, to, func(t broker.CacheTable) bool { return t.State })
	return err
}

func (s *Store) copyTables(ctx context.Context, to broker.CacheSink, which func(broker.CacheTable) bool) (v broker.CacheVersion, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, copyTimeout)
		defer cancel()
	}
	var refused error
	err = s.view(ctx, "copy to the host cache", func(l link) (err error) {
		if _, err := l.exec(patienceSQL); err != nil {
			return err
		}
		if v, err = readCacheVersion(l); err != nil {
			return err
		}
		if refused = to.Begin(); refused != nil {
			return errNotTaken
		}
		for _, t := range broker.CacheTables() {
			if !which(t) {
				continue
			}
			if refused, err = copyTable(l, &t, to); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
		}
		return nil
	})
	if refused != nil {
		return v, refused
	}
	return v, err
}

// copyTable hands over the rows of one table as they come from the server.
func copyTable(l link, t *broker.CacheTable, to broker.CacheSink) (refused, err error) {
	rows, err := l.q.Query(l.ctx, copySQL(t.Name), l.args(nil)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		if len(values) != len(t.Columns) {
			return nil, fmt.Errorf("%d columns instead of %d", len(values), len(t.Columns))
		}
		if err := to.Row(t, values); err != nil {
			return err, errNotTaken
		}
	}
	return nil, rows.Err()
}

// ms is a time as milliseconds since 1970; NULL stays, the beginning of time is 0.
func ms(column string) string {
	return `CASE WHEN ` + column + ` = '-infinity' THEN 0 ELSE floor(EXTRACT(EPOCH FROM ` + column + `) * 1000)::bigint END`
}

// copySQL selects the rows of a table that host caches keep, with the columns and in the types of
// broker.CacheTables.
func copySQL(table string) string {
	switch table {
	case "cluster":
		return `SELECT id::bigint, name, secret, ` + ms("created_at") + `, version, ticket_key FROM cluster`
	case "setup":
		return `SELECT id::bigint, version, document, ` + ms("changed_at") + ` FROM setup`
	case "desktop_pool":
		return `SELECT p.id::text, p.name, p.kind, p.check_kind, p.position::bigint, p.members, p.release_us / 1000, b.id::text
			FROM desktop_pool p LEFT JOIN desktop_pool b ON b.id = p.backup_id AND b.deleted_at IS NULL WHERE p.deleted_at IS NULL`
	case "desktop":
		return `SELECT d.id::text, d.name, d.center, d.external_id, d.given_pool, p.id::text, d.host, d.ip, d.port::bigint, d.protocol, d.os, d.ou,
			d.description, d.tags, d.state, d.source_state, d.state_why, d.position::bigint, d.running::integer::bigint, ` + ms("d.released_at") + `, ` + ms("d.missing_since") + `,
			d.mac, d.reset_state, d.reset_id, ` + ms("d.reset_at") + `, ` + ms("d.reset_until") + `
			FROM desktop d LEFT JOIN desktop_pool p ON p.id = d.pool_id AND p.deleted_at IS NULL WHERE d.deleted_at IS NULL`
	case "assignment":
		return `SELECT a.desktop_id::text, a.directory, a.user_name, a.position::bigint, a.source
			FROM assignment a JOIN desktop d ON d.id = a.desktop_id AND d.deleted_at IS NULL`
	case "agent":
		return `SELECT a.desktop_id::text, a.key_hash, ` + ms("a.enrolled_at") + `, ` + ms("a.seen_at") + `, a.address, a.version, a.load, a.sessions,
			a.session_count::bigint FROM agent a JOIN desktop d ON d.id = a.desktop_id AND d.deleted_at IS NULL`
	case "last_use":
		return `SELECT u.directory, u.user_name, u.pool_id::text, u.desktop_id::text
			FROM last_use u JOIN desktop d ON d.id = u.desktop_id AND d.deleted_at IS NULL`
	}
	return copyStateSQL(table)
}

func copyStateSQL(table string) string {
	switch table {
	case "broker":
		return `SELECT site_id::bigint, name, datacenter, version, epoch, ` + ms("booted_at") + `, ` + ms("heartbeat_at") + `, ` + ms("stopped_at") + `,
			uuid, ip, mac, fingerprint, report, ` + ms("reported_at") + `, ` + ms("removed_at") + `, host, cpus::bigint, load_average, busy, steal, clock_off_us / 1000, carries
			FROM broker`
	case "center":
		return `SELECT name, ` + ms("scanned_at") + `, result, ` + ms("failed_at") + `, error, waiting::bigint, confirmed::bigint FROM center`
	case "limit_block":
		return `SELECT kind, user_name, source, level::bigint, site_id::bigint, ` + ms("since") + `, ` + ms("until") + `, except_for, ` + ms("changed_at") + `
			FROM limit_block WHERE until > now()`
	case "session":
		return `SELECT id::text, token_hash, directory, user_name, site_id::bigint, client_addr, client_name, grants, ` + ms("created_at") + `,
			` + ms("expires_at") + `, ` + ms("ended_at") + `, idle_us / 1000, ` + ms("ends_at") + `
			FROM session WHERE id IN (SELECT id FROM session WHERE COALESCE(ended_at, expires_at) > now()
				UNION SELECT claim_session FROM desktop WHERE claim_session IS NOT NULL)`
	case "claim":
		return `SELECT id::text, claim_pool::text, claim_slot::bigint, claim_directory, claim_user, claim_session::text, ` + ms("claimed_at") + `,
			` + ms("release_at") + `, ` + ms("claim_used_at") + `, ` + ms("unseen_since") + `
			FROM desktop WHERE claim_user IS NOT NULL AND deleted_at IS NULL`
	}
	return ""
}
