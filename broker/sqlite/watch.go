package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"switchpoint/broker"
)

// HoldForReset implements broker.Store.
func (s *Store) HoldForReset(ctx context.Context, names []string, reset string, wait time.Duration, log broker.LogRow) (n int, err error) {
	list, err := json.Marshal(names)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, "hold desktops for a reset", func(t txn) error {
		n, err = t.exec(`UPDATE desktop SET reset_state = 'awaited', reset_id = ?, reset_at = ?, reset_until = ?
			WHERE deleted_at IS NULL AND name IN (SELECT value FROM json_each(?))`, reset, t.now, t.now+wait.Milliseconds(), string(list))
		if err != nil {
			return err
		}
		return appendLog(t, log)
	})
	return n, err
}

// ClearDesktop implements broker.Store.
func (s *Store) ClearDesktop(ctx context.Context, name string, log broker.LogRow) error {
	return s.write(ctx, "clear desktop", func(t txn) error {
		n, err := t.exec(`UPDATE desktop SET reset_state = '', reset_id = '', reset_at = NULL, reset_until = NULL
			WHERE deleted_at IS NULL AND name = ? AND reset_state <> ''`, name)
		if err == nil && n == 0 {
			err = broker.ErrNotFound
		}
		if err != nil {
			return err
		}
		return appendLog(t, log)
	})
}

// SweepDesktops implements broker.Store.
func (s *Store) SweepDesktops(ctx context.Context) (out broker.DesktopSweep, err error) {
	err = s.write(ctx, "sweep desktops", func(t txn) error {
		if out.Quarantined, err = t.exec(`UPDATE desktop SET reset_state = 'quarantined' WHERE reset_state = 'awaited' AND reset_until <= ?`, t.now); err != nil {
			return err
		}
		out.Silent, err = t.exec(`UPDATE desktop SET running = 0 WHERE running = 1
			AND EXISTS (SELECT 1 FROM agent a WHERE a.desktop_id = desktop.id AND NOT (` + heardSQL + `))`)
		return err
	})
	return out, err
}

// UnwatchedClaims implements broker.Store.
func (s *Store) UnwatchedClaims(ctx context.Context, after string, limit int) (out []broker.UnwatchedClaim, err error) {
	err = s.read(ctx, "list unwatched claims", func(t txn) error {
		return each(t, `SELECT d.id, d.host, d.port FROM claim c JOIN desktop d ON d.id = c.desktop_id
			WHERE c.desktop_id > ? AND NOT `+aliveSQL+` ORDER BY c.desktop_id LIMIT ?`, func(r *sql.Rows) error {
			var u broker.UnwatchedClaim
			err := r.Scan(&u.ID, &u.Host, &u.Port)
			out = append(out, u)
			return err
		}, after, limit)
	})
	return out, err
}

// RecordProbes implements broker.Store.
func (s *Store) RecordProbes(ctx context.Context, answer, silent []string, patience time.Duration) (ended int, err error) {
	answering, err := json.Marshal(answer)
	if err != nil {
		return 0, err
	}
	silently, err := json.Marshal(silent)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, "record probes", func(t txn) error {
		if _, err := t.exec(`UPDATE claim SET unseen_since = NULL WHERE unseen_since IS NOT NULL AND desktop_id IN (SELECT value FROM json_each(?))`,
			string(answering)); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE claim SET unseen_since = ? WHERE unseen_since IS NULL AND desktop_id IN (SELECT value FROM json_each(?))`,
			t.now, string(silently)); err != nil {
			return err
		}
		ended, err = t.exec(`UPDATE claim SET release_at = ?1 + p.release_ms FROM desktop_pool p WHERE p.id = claim.pool_id AND claim.release_at IS NULL
			AND claim.unseen_since <= ?1 - ?2 AND claim.desktop_id IN (SELECT value FROM json_each(?3))`, t.now, patience.Milliseconds(), string(silently))
		return err
	})
	return ended, err
}
