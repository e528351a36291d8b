package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// CenterDesktops implements broker.Store.
func (s *Store) CenterDesktops(ctx context.Context, center string) (out []broker.CenterDesktop, err error) {
	err = s.ask(ctx, "list desktops of a center", func(l link) error {
		out = nil
		return l.each(`SELECT d.external_id, d.missing_since IS NOT NULL, `+broker.MachineColumns+` FROM desktop d
			WHERE d.center = $1 AND d.center <> '' AND d.deleted_at IS NULL`, func(r pgx.Row) error {
			var d broker.CenterDesktop
			err := r.Scan(append([]any{&d.ID, &d.Missing}, d.Columns()...)...)
			if d.ID == d.Name { // a machine without an id of its own is known by its name
				d.ID = ""
			}
			out = append(out, d)
			return err
		}, center)
	})
	return out, err
}

// hasCenter is ErrNotFound when the setup has no such center.
func hasCenter(l link, name string) error {
	var there bool
	if err := l.row(`SELECT EXISTS (SELECT FROM center WHERE name = $1)`, name).Scan(&there); err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("center %s: %w", name, broker.ErrNotFound)
	}
	return nil
}

// ApplyScan implements broker.Store.
func (s *Store) ApplyScan(ctx context.Context, b broker.ScanBatch) (taken []string, err error) {
	err = s.write(ctx, "write scan", func(l link) error {
		if err := alone(l); err != nil {
			return err
		}
		if err := hasCenter(l, b.Center); err != nil {
			return err
		}
		if _, err := l.exec(`UPDATE desktop SET missing_since = now() WHERE center = $1 AND center <> '' AND deleted_at IS NULL
			AND external_id = ANY ($2::text[]) AND missing_since IS NULL`, b.Center, b.Vanished); err != nil {
			return err
		}
		if taken, err = writeMachines(l, b); err != nil {
			return err
		}
		keys := append(make([]string, 0, len(b.Vanished)+len(b.Machines)), b.Vanished...)
		for i := range b.Machines {
			keys = append(keys, b.Machines[i].Key())
		}
		_, err := placeDesktops(l, `d.center = $1 AND d.center <> '' AND d.deleted_at IS NULL AND d.external_id = ANY ($2::text[])`, b.Center, keys)
		return err
	})
	return taken, err
}

// writeMachines inserts and changes desktops, except those whose name belongs to another one: their
// names are returned. What an operator has put into maintenance stays there.
func writeMachines(l link, b broker.ScanBatch) (taken []string, err error) {
	for i := range b.Machines {
		m := &b.Machines[i]
		// A machine that was set up anew has another key: it goes on as the one of its name that has gone.
		if _, err := l.exec(`UPDATE desktop SET external_id = $1 WHERE center = $2 AND name = $3 AND external_id <> $1 AND missing_since IS NOT NULL
			AND deleted_at IS NULL AND NOT EXISTS (SELECT FROM desktop o WHERE o.center = $2 AND o.external_id = $1 AND o.deleted_at IS NULL)`,
			m.Key(), b.Center, m.Name); err != nil {
			return nil, err
		}
		state := "enabled"
		if m.Disabled {
			state = "disabled"
		}
		n, err := l.exec(`INSERT INTO desktop (id, center, external_id, name, host, ip, os, ou, description, tags, port, protocol, state, mac)
			SELECT $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text, $10::text, $11::integer, $12::text, $13::text, $14::text
			WHERE NOT EXISTS (SELECT FROM desktop o WHERE o.name = $4 AND o.deleted_at IS NULL AND (o.center <> $2 OR o.external_id <> $3))
			ON CONFLICT (center, external_id) WHERE deleted_at IS NULL AND center <> '' DO UPDATE SET name = excluded.name, host = excluded.host,
				ip = excluded.ip, os = excluded.os, ou = excluded.ou, description = excluded.description, tags = excluded.tags, port = excluded.port,
				protocol = excluded.protocol, mac = excluded.mac, missing_since = NULL,
				state = CASE desktop.state WHEN 'maintenance' THEN desktop.state ELSE excluded.state END,
				source_state = CASE desktop.state WHEN 'maintenance' THEN excluded.state ELSE '' END`,
			newIDs(1)[0], b.Center, m.Key(), m.Name, m.Host, m.IP, m.OS, m.OU, m.Description, broker.TagText(m.Tags), m.Port, m.Protocol, state, m.MAC)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			taken = append(taken, m.Name)
		}
	}
	return taken, nil
}

// EndScan implements broker.Store.
func (s *Store) EndScan(ctx context.Context, center string, end broker.ScanEnd) error {
	query, args := `UPDATE center SET failed_at = now(), error = $2 WHERE name = $1`, []any{center, end.Error}
	if end.Error == "" {
		query, args = `UPDATE center SET scanned_at = now(), result = $2, waiting = $3, confirmed = 0 WHERE name = $1`, []any{center, end.Result, end.Waiting}
	}
	return s.write(ctx, "end scan", func(l link) error {
		n, err := l.exec(query, args...)
		if err == nil && n == 0 {
			err = fmt.Errorf("center %s: %w", center, broker.ErrNotFound)
		}
		if err != nil || end.Error != "" {
			return err
		}
		return measure(l)
	})
}

// Centers implements broker.Store.
func (s *Store) Centers(ctx context.Context) (out []broker.CenterStatus, err error) {
	err = s.ask(ctx, "list centers", func(l link) error {
		out = nil
		return l.each(`SELECT c.name, count(d.id) FILTER (WHERE d.missing_since IS NULL), count(d.missing_since),
			c.scanned_at, c.result, c.failed_at, c.error, c.waiting, c.confirmed
			FROM center c LEFT JOIN desktop d ON d.center = c.name AND d.center <> '' AND d.deleted_at IS NULL
			GROUP BY c.name ORDER BY c.name COLLATE "C"`, func(r pgx.Row) error {
			var c broker.CenterStatus
			var scanned, failed *time.Time
			err := r.Scan(&c.Name, &c.Desktops, &c.Vanished, &scanned, &c.Result, &failed, &c.Error, &c.Waiting, &c.Confirmed)
			if scanned != nil {
				c.Scanned = scanned.UTC()
			}
			if failed != nil {
				c.Failed = failed.UTC()
			}
			out = append(out, c)
			return err
		})
	})
	return out, err
}

// ConfirmVanish implements broker.Store.
func (s *Store) ConfirmVanish(ctx context.Context, center string, log broker.LogRow) (n int, err error) {
	err = s.write(ctx, "confirm vanished desktops", func(l link) error {
		err := l.row(`UPDATE center SET confirmed = waiting WHERE name = $1 RETURNING waiting`, center).Scan(&n)
		if errors.Is(err, pgx.ErrNoRows) {
			return broker.ErrNotFound
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: no scan of center %s waits for a confirmation", broker.ErrConflict, center)
		}
		return appendLog(l, log)
	})
	return n, err
}
