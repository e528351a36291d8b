package sqlite

import (
	"context"
	"database/sql"
	"time"

	"switchpoint/broker"
)

// PurgeJobs implements broker.Store.
func (s *Store) PurgeJobs(ctx context.Context, keep time.Duration) (deleted int, more bool, err error) {
	err = s.write(ctx, "purge jobs", func(t txn) error {
		deleted, err = t.exec(`DELETE FROM job WHERE id IN (SELECT id FROM job
			WHERE state IN ('finished', 'cancelled', 'aborted') AND ended_at <= ? LIMIT ?)`, t.now-keep.Milliseconds(), purgeBatch)
		return err
	})
	return deleted, deleted >= purgeBatch, err
}

// releaseExpired ends the claims of sessions that have expired and those whose release delay is over, at
// most purgeBatch of them. A desktop on which the agent sees somebody waits.
const releaseExpired = `DELETE FROM claim WHERE desktop_id IN (SELECT c.desktop_id FROM claim c JOIN session s ON s.id = c.session_id
	JOIN desktop_pool p ON p.id = c.pool_id WHERE COALESCE(c.release_at, s.expires_at + p.release_ms) <= ? AND NOT ` + usedClaim + ` LIMIT ?)`

// ReleaseExpired implements broker.Store.
func (s *Store) ReleaseExpired(ctx context.Context) (released int, more bool, err error) {
	err = s.write(ctx, "release expired", func(t txn) error {
		released, err = t.exec(releaseExpired, t.now, purgeBatch)
		return err
	})
	return released, released >= purgeBatch, err
}

// RecordPoolStatistics implements broker.Store.
func (s *Store) RecordPoolStatistics(ctx context.Context, keep time.Duration) (int, error) {
	pools := 0
	err := s.write(ctx, "record pool statistics", func(t txn) error {
		_, err := t.exec(`DELETE FROM pool_statistics WHERE at <= ?`, t.now-keep.Milliseconds())
		if err != nil {
			return err
		}
		pools, err = t.exec(`INSERT OR REPLACE INTO pool_statistics (at, pool, total, used, free, maintenance)
			SELECT ?, name, COUNT(id), COALESCE(SUM(used), 0), COALESCE(SUM(NOT used AND ready), 0), COALESCE(SUM(NOT used AND NOT ready), 0) FROM (
				SELECT p.name, d.id, d.state = 'enabled' AND d.missing_since IS NULL AND d.reset_state = '' AS ready, EXISTS (SELECT 1 FROM claim c WHERE c.desktop_id = d.id)
					OR EXISTS (SELECT 1 FROM assignment a WHERE a.desktop_id = d.id) AS used
				FROM desktop_pool p LEFT JOIN desktop d ON d.pool_id = p.id AND d.deleted_at IS NULL WHERE p.deleted_at IS NULL)
			GROUP BY name`, t.now)
		return err
	})
	return pools, err
}

// PoolStatistics implements broker.Store.
func (s *Store) PoolStatistics(ctx context.Context, pool string, since time.Duration) ([]broker.PoolStatistics, error) {
	var out []broker.PoolStatistics
	err := s.read(ctx, "list pool statistics", func(t txn) error {
		return each(t, `SELECT at, pool, total, used, free, maintenance FROM pool_statistics
			WHERE at > ? AND (? = '' OR pool = ?) ORDER BY at, pool`, func(r *sql.Rows) error {
			var p broker.PoolStatistics
			var at int64
			err := r.Scan(&at, &p.Pool, &p.Total, &p.Used, &p.Free, &p.Maintenance)
			p.At = moment(at)
			out = append(out, p)
			return err
		}, t.now-since.Milliseconds(), pool, pool)
	})
	return out, err
}

const (
	hourMS   = int64(time.Hour / time.Millisecond)
	minuteMS = int64(time.Minute / time.Millisecond)
)

// RecordLogins implements broker.Store.
func (s *Store) RecordLogins(ctx context.Context, keep time.Duration) error {
	return s.write(ctx, "record logins", func(t txn) error {
		oldest := t.now - keep.Milliseconds()
		if _, err := t.exec(`DELETE FROM login_hour WHERE hour <= ?`, oldest); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO login_hour (hour, logins, peak)
			SELECT minute / ?1 * ?1, SUM(n), MAX(n) FROM (
				SELECT at / ?2 * ?2 AS minute, COUNT(*) AS n FROM log
				WHERE at >= MAX(COALESCE((SELECT MAX(hour) FROM login_hour), 0), ?3) / ?1 * ?1
					AND (kind IN ('login', 'redirect') OR kind = 'refused' AND code = 'busy') GROUP BY 1)
			WHERE true GROUP BY 1 ON CONFLICT (hour) DO UPDATE SET logins = excluded.logins, peak = excluded.peak`, hourMS, minuteMS, oldest)
		return err
	})
}

// BusiestHour implements broker.Store.
func (s *Store) BusiestHour(ctx context.Context, since time.Duration) (h broker.LoginHour, err error) {
	err = s.read(ctx, "find the busiest hour", func(t txn) error {
		return each(t, `SELECT hour, logins, peak FROM login_hour WHERE hour > ? ORDER BY logins DESC, hour DESC LIMIT 1`, func(r *sql.Rows) error {
			var at int64
			err := r.Scan(&at, &h.Logins, &h.Peak)
			h.At = moment(at)
			return err
		}, t.now-since.Milliseconds())
	})
	return h, err
}
