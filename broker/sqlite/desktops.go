package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"switchpoint/broker"
)

// Desktops implements broker.Store.
func (s *Store) Desktops(ctx context.Context, f broker.DesktopFilter) (out []broker.DesktopStatus, err error) {
	if f, err = f.Check(); err != nil {
		return nil, fmt.Errorf("list desktops: %w", err)
	}
	query, args := `SELECT d.name, COALESCE(p.name, ''), d.center, d.host, d.port, d.protocol, d.state, d.state_why, d.missing_since, d.reset_state,
		COALESCE(c.directory, a.directory, ''), COALESCE(c.user, a.user, '')
		FROM desktop d LEFT JOIN desktop_pool p ON p.id = d.pool_id LEFT JOIN assignment a ON a.desktop_id = d.id
		LEFT JOIN claim c ON c.desktop_id = d.id WHERE d.deleted_at IS NULL`, []any(nil)
	for _, w := range []struct{ condition, value string }{
		{`d.name = ?`, f.Name}, {`p.name = ?`, f.Pool}, {`d.center = ?`, f.Center}, {`d.state = ?`, f.State}, {`d.name > ?`, f.After},
	} {
		if w.value != "" {
			args = append(args, w.value)
			query += ` AND ` + w.condition
		}
	}
	err = s.read(ctx, "list desktops", func(t txn) error {
		return each(t, query+` ORDER BY d.name LIMIT ?`, func(r *sql.Rows) error {
			var d broker.DesktopStatus
			var missing sql.NullInt64
			err := r.Scan(&d.Name, &d.Pool, &d.Center, &d.Host, &d.Port, &d.Protocol, &d.State, &d.Why, &missing, &d.Reset, &d.User.Directory, &d.User.User)
			d.Vanished = maybe(missing)
			out = append(out, d)
			return err
		}, append(args, f.Limit)...)
	})
	return out, err
}

// SetMaintenance implements broker.Store.
func (s *Store) SetMaintenance(ctx context.Context, desktop string, on bool, why string, log broker.LogRow) error {
	return s.write(ctx, "set maintenance", func(t txn) error {
		var f broker.MaintenanceFacts
		if err := t.row(`SELECT center, state FROM desktop WHERE name = ? AND deleted_at IS NULL`, desktop).Scan(&f.Center, &f.State); err != nil {
			return err // no row: broker.ErrNotFound
		}
		if err := f.Check(desktop, on); err != nil {
			return err
		}
		change := `state = COALESCE(NULLIF(source_state, ''), 'enabled'), source_state = ''`
		if on {
			change = `source_state = CASE state WHEN 'maintenance' THEN source_state ELSE state END, state = 'maintenance'`
		}
		if _, err := t.exec(`UPDATE desktop SET `+change+`, state_why = ? WHERE name = ? AND deleted_at IS NULL`, why, desktop); err != nil {
			return err
		}
		return appendLog(t, log)
	})
}
