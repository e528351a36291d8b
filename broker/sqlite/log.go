package sqlite

import (
	"context"
	"strings"
	"time"

	"switchpoint/broker"
)

// AppendLog implements broker.Store.
func (s *Store) AppendLog(ctx context.Context, row broker.LogRow) error {
	return s.write(ctx, "append log", func(t txn) error { return appendLog(t, row) })
}

func appendLog(t txn, r broker.LogRow) error {
	_, err := writeLog(t, &r, t.now)
	return err
}

// writeLog writes a log row; fresh says that it was not there. Nil: there is none.
func writeLog(t txn, r *broker.LogRow, at int64) (fresh bool, err error) {
	if r == nil {
		return false, nil
	}
	n, err := t.exec(`INSERT INTO log (id, at, ref, kind, code, directory, user, client_addr, client_name, site_id, session_id, desktop, duration_us, reason)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		r.ID, at, r.Ref, r.Kind, r.Code, r.Directory, r.User, r.ClientAddr, r.ClientName, r.SiteID, r.Session, r.Desktop,
		r.Duration.Microseconds(), strings.Join(r.Reason, "\n"))
	return n > 0, err
}

// LogByRef implements broker.Store.
func (s *Store) LogByRef(ctx context.Context, ref string) (broker.LogRow, error) {
	var r broker.LogRow
	err := s.read(ctx, "find log row", func(t txn) error {
		var at, us int64
		var reason string
		err := t.row(`SELECT id, at, ref, kind, code, directory, user, client_addr, client_name, site_id, session_id, desktop, duration_us, reason
			FROM log WHERE ref = ? ORDER BY id DESC LIMIT 1`, ref).Scan(&r.ID, &at, &r.Ref, &r.Kind, &r.Code, &r.Directory, &r.User,
			&r.ClientAddr, &r.ClientName, &r.SiteID, &r.Session, &r.Desktop, &us, &reason)
		r.At, r.Duration = moment(at), time.Duration(us)*time.Microsecond
		if reason != "" {
			r.Reason = strings.Split(reason, "\n")
		}
		return err
	})
	return r, err
}

// purgeBatch bounds the rows that one transaction deletes: the logins of all brokers wait for it.
const purgeBatch = 5000

const purgeLeases = `DELETE FROM lease WHERE rowid IN (SELECT rowid FROM lease WHERE COALESCE(removed_at, expires_at) <= ? LIMIT ?)`

// Purge implements broker.Store.
func (s *Store) Purge(ctx context.Context, r broker.Retention) (broker.Purged, error) {
	var p broker.Purged
	err := s.write(ctx, "purge", func(t txn) error {
		for _, step := range []struct {
			count *int
			query string
			until int64
		}{
			{&p.Released, releaseExpired, t.now},
			{&p.Keys, `DELETE FROM idempotency WHERE (scope, key) IN (SELECT scope, key FROM idempotency WHERE expires_at <= ? LIMIT ?)`, t.now},
			{&p.Tickets, `DELETE FROM ticket WHERE id IN (SELECT id FROM ticket WHERE expires_at <= ? LIMIT ?)`, t.now},
			{&p.Limits, `DELETE FROM limit_batch WHERE id IN (SELECT id FROM limit_batch WHERE at <= ? LIMIT ?)`, t.now - limitKeep.Milliseconds()},
			{&p.Limits, `DELETE FROM limit_block WHERE (kind, user, source) IN (SELECT kind, user, source FROM limit_block WHERE until <= ? LIMIT ?)`, t.now - limitLevels.Milliseconds()},
			{&p.Leases, purgeLeases, t.now - broker.LeaseKeep.Milliseconds()},
			{&p.Sessions, `DELETE FROM session WHERE id IN (SELECT s.id FROM session s WHERE COALESCE(s.ended_at, s.expires_at) <= ?
				AND NOT EXISTS (SELECT 1 FROM claim c WHERE c.session_id = s.id) LIMIT ?)`, t.now - r.Sessions.Milliseconds()},
			{&p.Log, `DELETE FROM log WHERE id IN (SELECT id FROM log WHERE at <= ? LIMIT ?)`, t.now - r.Log.Milliseconds()},
		} {
			n, err := t.exec(step.query, step.until, purgeBatch)
			if err != nil {
				return err
			}
			*step.count += n
			p.More = p.More || n >= purgeBatch
		}
		return nil
	})
	return p, err
}
