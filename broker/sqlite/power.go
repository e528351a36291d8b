package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"switchpoint/broker"
)

// StartTargets implements broker.Store.
func (s *Store) StartTargets(ctx context.Context, ids []string) (out []broker.StartTarget, err error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, "find desktops to start", func(t txn) error {
		return each(t, `SELECT d.id, d.name, d.host, d.port, d.external_id, d.mac, COALESCE(p.name, ''), d.center, `+aliveSQL+`, s.asked_at, s.called_at, s.failed_at, COALESCE(s.error, '')
			FROM json_each(?) i JOIN desktop d ON d.id = i.value AND d.deleted_at IS NULL
			LEFT JOIN desktop_pool p ON p.id = d.pool_id AND p.deleted_at IS NULL LEFT JOIN desktop_start s ON s.desktop_id = d.id ORDER BY i.key`, func(r *sql.Rows) error {
			var x broker.StartTarget
			var asked, called, failed sql.NullInt64
			var why string
			err := r.Scan(&x.ID, &x.Name, &x.Host, &x.Port, &x.Key, &x.MAC, &x.Pool, &x.Center, &x.Alive, &asked, &called, &failed, &why)
			if asked.Valid {
				x.Start = &broker.StartState{Asked: span(t.now - asked.Int64), Called: ago(t, called), Failed: ago(t, failed), Error: why}
			}
			out = append(out, x)
			return err
		}, string(list))
	})
	return out, err
}

// ago is negative for what has not happened.
func ago(t txn, at sql.NullInt64) time.Duration {
	if !at.Valid {
		return -1
	}
	return span(max(0, t.now-at.Int64))
}

// RecordStart implements broker.Store.
func (s *Store) RecordStart(ctx context.Context, desktop string, e broker.StartEvent, why string) error {
	return s.write(ctx, "record start", func(t txn) (err error) {
		switch e {
		case broker.StartAsked:
			_, err = t.exec(`INSERT OR REPLACE INTO desktop_start (desktop_id, asked_at) VALUES (?, ?)`, desktop, t.now)
		case broker.StartCalled:
			_, err = t.exec(`UPDATE desktop_start SET called_at = ? WHERE desktop_id = ?`, t.now, desktop)
		case broker.StartFailed:
			_, err = t.exec(`UPDATE desktop_start SET failed_at = ?, error = ? WHERE desktop_id = ?`, t.now, why, desktop)
		case broker.StartUp:
			if _, err = t.exec(`DELETE FROM desktop_start WHERE desktop_id = ?`, desktop); err == nil {
				_, err = t.exec(`UPDATE desktop SET running = 1 WHERE id = ? AND running = 0`, desktop)
			}
		default:
			err = fmt.Errorf("unknown step %q", e)
		}
		return err
	})
}

// DropClaim implements broker.Store.
func (s *Store) DropClaim(ctx context.Context, desktop string, who broker.Who) error {
	return s.write(ctx, "drop claim", func(t txn) error {
		_, err := t.exec(`DELETE FROM claim WHERE desktop_id = ? AND directory = ? AND user = ? AND used_at IS NULL`, desktop, who.Directory, who.User)
		return err
	})
}
