package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// Desktops implements broker.Store.
func (s *Store) Desktops(ctx context.Context, f broker.DesktopFilter) (out []broker.DesktopStatus, err error) {
	if f, err = f.Check(); err != nil {
		return nil, fmt.Errorf("list desktops: %w", err)
	}
	query, args := `SELECT d.name, COALESCE(p.name, ''), d.center, d.host, d.port, d.protocol, d.state, d.state_why, d.missing_since, d.reset_state,
		COALESCE(d.claim_directory, a.directory, ''), COALESCE(d.claim_user, a.user_name, '')
		FROM desktop d LEFT JOIN desktop_pool p ON p.id = d.pool_id LEFT JOIN assignment a ON a.desktop_id = d.id WHERE d.deleted_at IS NULL`, []any(nil)
	for _, w := range []struct{ condition, value string }{
		{`d.name = $%d`, f.Name}, {`p.name = $%d`, f.Pool}, {`d.center = $%d`, f.Center}, {`d.state = $%d`, f.State}, {`d.name COLLATE "C" > $%d`, f.After},
	} {
		if w.value != "" {
			args = append(args, w.value)
			query += fmt.Sprintf(` AND `+w.condition, len(args))
		}
	}
	query += fmt.Sprintf(` ORDER BY d.name COLLATE "C" LIMIT %d`, f.Limit)
	err = s.ask(ctx, "list desktops", func(l link) error {
		out = nil
		return l.each(query, func(r pgx.Row) error {
			var d broker.DesktopStatus
			var missing *time.Time
			err := r.Scan(&d.Name, &d.Pool, &d.Center, &d.Host, &d.Port, &d.Protocol, &d.State, &d.Why, &missing, &d.Reset, &d.User.Directory, &d.User.User)
			d.Vanished = maybe(missing)
			out = append(out, d)
			return err
		}, args...)
	})
	return out, err
}

// SetMaintenance implements broker.Store.
func (s *Store) SetMaintenance(ctx context.Context, desktop string, on bool, why string, log broker.LogRow) error {
	return s.write(ctx, "set maintenance", func(l link) error {
		var f broker.MaintenanceFacts
		if err := l.row(`SELECT center, state FROM desktop WHERE name = $1 AND deleted_at IS NULL FOR NO KEY UPDATE`, desktop).Scan(&f.Center, &f.State); err != nil {
			return err // no row: broker.ErrNotFound
		}
		if err := f.Check(desktop, on); err != nil {
			return err
		}
		change := `state = COALESCE(NULLIF(source_state, ''), 'enabled'), source_state = ''`
		if on {
			change = `source_state = CASE state WHEN 'maintenance' THEN source_state ELSE state END, state = 'maintenance'`
		}
		if _, err := l.exec(`UPDATE desktop SET `+change+`, state_why = $2 WHERE name = $1 AND deleted_at IS NULL`, desktop, why); err != nil {
			return err
		}
		return appendLog(l, log)
	})
}
