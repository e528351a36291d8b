package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// PurgeJobs implements broker.Store.
func (s *Store) PurgeJobs(ctx context.Context, keep time.Duration) (deleted int, more bool, err error) {
	err = s.once(ctx, "purge jobs", func(l link) (err error) {
		deleted, err = l.exec(`DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state IN ('finished', 'cancelled', 'aborted')
			AND ended_at <= now() - $1::bigint`+microSQL+` LIMIT $2 FOR UPDATE SKIP LOCKED)`, keep.Microseconds(), purgeBatch)
		return err
	})
	return deleted, deleted >= purgeBatch, err
}

// ReleaseExpired implements broker.Store.
func (s *Store) ReleaseExpired(ctx context.Context) (released int, more bool, err error) {
	err = s.once(ctx, "release expired", func(l link) (err error) {
		released, err = l.exec(purgeClaims, 0, purgeBatch)
		return err
	})
	return released, released >= purgeBatch, err
}

// RecordPoolStatistics implements broker.Store.
func (s *Store) RecordPoolStatistics(ctx context.Context, keep time.Duration) (int, error) {
	pools := 0
	err := s.write(ctx, "record pool statistics", func(l link) error {
		if _, err := l.exec(`DELETE FROM pool_statistics WHERE at <= now() - $1::bigint`+microSQL, keep.Microseconds()); err != nil {
			return err
		}
		var err error
		pools, err = l.exec(`INSERT INTO pool_statistics (at, pool, total, used, free, maintenance)
			SELECT now(), name, count(id), count(*) FILTER (WHERE used), count(*) FILTER (WHERE NOT used AND ready),
				count(*) FILTER (WHERE NOT used AND NOT ready) FROM (
				SELECT p.name, d.id, d.state = 'enabled' AND d.missing_since IS NULL AND d.reset_state = '' AS ready, d.claim_user IS NOT NULL OR a.desktop_id IS NOT NULL AS used FROM desktop_pool p
				LEFT JOIN desktop d ON d.pool_id = p.id AND d.deleted_at IS NULL LEFT JOIN assignment a ON a.desktop_id = d.id
				WHERE p.deleted_at IS NULL) AS x
			GROUP BY name ON CONFLICT DO NOTHING`)
		return err
	})
	return pools, err
}

// PoolStatistics implements broker.Store.
func (s *Store) PoolStatistics(ctx context.Context, pool string, since time.Duration) ([]broker.PoolStatistics, error) {
	var out []broker.PoolStatistics
	err := s.ask(ctx, "list pool statistics", func(l link) error {
		out = nil
		return l.each(`SELECT at, pool, total, used, free, maintenance FROM pool_statistics
			WHERE at > now() - $1::bigint`+microSQL+` AND $2::text IN ('', pool) ORDER BY at, pool COLLATE "C"`, func(r pgx.Row) error {
			var p broker.PoolStatistics
			err := r.Scan(&p.At, &p.Pool, &p.Total, &p.Used, &p.Free, &p.Maintenance)
			p.At = p.At.UTC()
			out = append(out, p)
			return err
		}, since.Microseconds(), pool)
	})
	return out, err
}

// loginsSQL are the log rows that count as logins.
const loginsSQL = `(kind IN ('login', 'redirect') OR kind = 'refused' AND code = 'busy')`

// RecordLogins implements broker.Store.
func (s *Store) RecordLogins(ctx context.Context, keep time.Duration) error {
	return s.write(ctx, "record logins", func(l link) error {
		if _, err := l.exec(`DELETE FROM login_hour WHERE hour <= now() - $1::bigint`+microSQL, keep.Microseconds()); err != nil {
			return err
		}
		_, err := l.exec(`INSERT INTO login_hour (hour, logins, peak)
			SELECT date_trunc('hour', minute, 'UTC'), sum(n), max(n) FROM (
				SELECT date_trunc('minute', at) AS minute, count(*) AS n FROM log
				WHERE at >= date_trunc('hour', greatest((SELECT max(hour) FROM login_hour), now() - $1::bigint`+microSQL+`), 'UTC') AND `+loginsSQL+` GROUP BY 1) m
			GROUP BY 1 ON CONFLICT (hour) DO UPDATE SET logins = excluded.logins, peak = excluded.peak`, keep.Microseconds())
		return err
	})
}

// BusiestHour implements broker.Store.
func (s *Store) BusiestHour(ctx context.Context, since time.Duration) (h broker.LoginHour, err error) {
	err = s.ask(ctx, "find the busiest hour", func(l link) error {
		h = broker.LoginHour{}
		return l.each(`SELECT hour, logins, peak FROM login_hour WHERE hour > now() - $1::bigint`+microSQL+` ORDER BY logins DESC, hour DESC LIMIT 1`, func(r pgx.Row) error {
			err := r.Scan(&h.At, &h.Logins, &h.Peak)
			h.At = h.At.UTC()
			return err
		}, since.Microseconds())
	})
	return h, err
}
