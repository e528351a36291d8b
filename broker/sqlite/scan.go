package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"switchpoint/broker"
)

// CenterDesktops implements broker.Store.
func (s *Store) CenterDesktops(ctx context.Context, center string) (out []broker.CenterDesktop, err error) {
	err = s.read(ctx, "list desktops of a center", func(t txn) error {
		return each(t, `SELECT d.external_id, d.missing_since IS NOT NULL, `+broker.MachineColumns+` FROM desktop d
			WHERE d.center = ? AND d.center <> '' AND d.deleted_at IS NULL`, func(r *sql.Rows) error {
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
func hasCenter(t txn, name string) error {
	var there bool
	if err := t.row(`SELECT EXISTS (SELECT 1 FROM center WHERE name = ?)`, name).Scan(&there); err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("center %s: %w", name, broker.ErrNotFound)
	}
	return nil
}

// ApplyScan implements broker.Store.
func (s *Store) ApplyScan(ctx context.Context, b broker.ScanBatch) (taken []string, err error) {
	err = s.write(ctx, "write scan", func(t txn) error {
		taken = nil
		if err := hasCenter(t, b.Center); err != nil {
			return err
		}
		keys := b.Vanished
		for _, key := range b.Vanished {
			if _, err := t.exec(`UPDATE desktop SET missing_since = COALESCE(missing_since, ?)
				WHERE center = ? AND external_id = ? AND center <> '' AND deleted_at IS NULL`, t.now, b.Center, key); err != nil {
				return err
			}
		}
		for i := range b.Machines {
			m := &b.Machines[i]
			done, err := writeMachine(t, b.Center, m)
			if err != nil {
				return err
			}
			if !done {
				taken = append(taken, m.Name)
			}
			keys = append(keys, m.Key())
		}
		list, err := json.Marshal(keys)
		if err != nil {
			return err
		}
		_, err = place(t, `d.center = ? AND d.center <> '' AND d.deleted_at IS NULL AND d.external_id IN (SELECT value FROM json_each(?))`, b.Center, string(list))
		return err
	})
	return taken, err
}

// writeMachine inserts or changes one desktop, unless its name belongs to another one. What an
// operator has put into maintenance stays there.
func writeMachine(t txn, center string, m *broker.Machine) (done bool, err error) {
	state := "enabled"
	if m.Disabled {
		state = "disabled"
	}
	// A machine that was set up anew has another key: it goes on as the one of its name that has gone.
	if _, err := t.exec(`UPDATE desktop SET external_id = ?1 WHERE center = ?2 AND name = ?3 AND external_id <> ?1 AND missing_since IS NOT NULL
		AND deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM desktop o WHERE o.center = ?2 AND o.external_id = ?1 AND o.deleted_at IS NULL)`,
		m.Key(), center, m.Name); err != nil {
		return false, err
	}
	n, err := t.exec(`INSERT INTO desktop (id, center, external_id, name, host, ip, os, ou, description, tags, port, protocol, state, mac)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
		WHERE NOT EXISTS (SELECT 1 FROM desktop o WHERE o.name = ?4 AND o.deleted_at IS NULL AND (o.center <> ?2 OR o.external_id <> ?3))
		ON CONFLICT (center, external_id) WHERE deleted_at IS NULL AND center <> '' DO UPDATE SET name = excluded.name, host = excluded.host,
			ip = excluded.ip, os = excluded.os, ou = excluded.ou, description = excluded.description, tags = excluded.tags, port = excluded.port,
			protocol = excluded.protocol, mac = excluded.mac, state = CASE state WHEN 'maintenance' THEN state ELSE excluded.state END,
			source_state = CASE state WHEN 'maintenance' THEN excluded.state ELSE '' END, missing_since = NULL`,
		uuid.Must(uuid.NewV7()).String(), center, m.Key(), m.Name, m.Host, m.IP, m.OS, m.OU, m.Description, broker.TagText(m.Tags), m.Port, m.Protocol, state, m.MAC)
	return n > 0, err
}

// EndScan implements broker.Store.
func (s *Store) EndScan(ctx context.Context, center string, end broker.ScanEnd) error {
	return s.write(ctx, "end scan", func(t txn) error {
		if err := hasCenter(t, center); err != nil {
			return err
		}
		if end.Error != "" {
			_, err := t.exec(`UPDATE center SET failed_at = ?, error = ? WHERE name = ?`, t.now, end.Error, center)
			return err
		}
		_, err := t.exec(`UPDATE center SET scanned_at = ?, result = ?, waiting = ?, confirmed = 0 WHERE name = ?`, t.now, end.Result, end.Waiting, center)
		return err
	})
}

// Centers implements broker.Store.
func (s *Store) Centers(ctx context.Context) (out []broker.CenterStatus, err error) {
	err = s.read(ctx, "list centers", func(t txn) error {
		return each(t, `SELECT c.name, COUNT(d.id) FILTER (WHERE d.missing_since IS NULL), COUNT(d.missing_since),
			c.scanned_at, c.result, c.failed_at, c.error, c.waiting, c.confirmed
			FROM center c LEFT JOIN desktop d ON d.center = c.name AND d.center <> '' AND d.deleted_at IS NULL
			GROUP BY c.name ORDER BY c.name`, func(r *sql.Rows) error {
			var c broker.CenterStatus
			var scanned, failed sql.NullInt64
			err := r.Scan(&c.Name, &c.Desktops, &c.Vanished, &scanned, &c.Result, &failed, &c.Error, &c.Waiting, &c.Confirmed)
			c.Scanned, c.Failed = maybe(scanned), maybe(failed)
			out = append(out, c)
			return err
		})
	})
	return out, err
}

// ConfirmVanish implements broker.Store.
func (s *Store) ConfirmVanish(ctx context.Context, center string, log broker.LogRow) (n int, err error) {
	err = s.write(ctx, "confirm vanished desktops", func(t txn) error {
		if err := t.row(`SELECT waiting FROM center WHERE name = ?`, center).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: no scan of center %s waits for a confirmation", broker.ErrConflict, center)
		}
		if _, err := t.exec(`UPDATE center SET confirmed = waiting WHERE name = ?`, center); err != nil {
			return err
		}
		return appendLog(t, log)
	})
	return n, err
}
