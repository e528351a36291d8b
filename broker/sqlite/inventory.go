package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"

	"switchpoint/broker"
)

// members is how a pool's rules, list and power action stand in its row.
type members struct {
	Rules    []broker.PoolRule `json:"rules,omitempty"`
	Desktops []string          `json:"desktops,omitempty"`
	Power    string            `json:"power,omitempty"`
}

// readPools lists the pools in the order of their file.
func readPools(t txn) (out []broker.DesktopPool, err error) {
	err = each(t, `SELECT p.name, p.kind, p.check_kind, p.members, p.release_ms, COALESCE(b.name, '')
		FROM desktop_pool p LEFT JOIN desktop_pool b ON b.id = p.backup_id WHERE p.deleted_at IS NULL ORDER BY p.position`, func(r *sql.Rows) error {
		var p broker.DesktopPool
		var text []byte
		var release int64
		if err := r.Scan(&p.Name, &p.Kind, &p.Check, &text, &release, &p.Backup); err != nil {
			return err
		}
		var m members
		if err := json.Unmarshal(text, &m); err != nil {
			return fmt.Errorf("members of desktop pool %s: %w", p.Name, err)
		}
		p.Rules, p.Desktops, p.Power, p.ReleaseDelay = m.Rules, m.Desktops, m.Power, span(release)
		out = append(out, p)
		return nil
	})
	return out, err
}

// readInventory adds the parts of the setup that are rows, in the order of their file.
func readInventory(t txn, out *broker.Setup) (err error) {
	if out.DesktopPools, err = readPools(t); err != nil {
		return err
	}
	err = each(t, `SELECT name, given_pool, host, port, protocol, state, os, description, tags, mac FROM desktop
		WHERE center = '' AND deleted_at IS NULL ORDER BY position`, func(r *sql.Rows) error {
		var d broker.Desktop
		err := r.Scan(&d.Name, &d.Pool, &d.Host, &d.Port, &d.Protocol, &d.State, &d.OS, &d.Description, (*broker.TagColumn)(&d.Tags), &d.MAC)
		out.Desktops = append(out.Desktops, d)
		return err
	})
	if err != nil {
		return err
	}
	return each(t, `SELECT a.user, a.directory, d.name FROM assignment a JOIN desktop d ON d.id = a.desktop_id
		WHERE a.source = 'setup' ORDER BY a.position`, func(r *sql.Rows) error {
		var a broker.Assignment
		err := r.Scan(&a.User, &a.Directory, &a.Desktop)
		out.Assignments = append(out.Assignments, a)
		return err
	})
}

// writeInventory brings pools, desktops, centers and assignments to what in says. Rows keep their ids
// by name; a vanished one is marked deleted with its dependants, and its claim ends.
func writeInventory(t txn, in broker.Setup) error {
	for _, write := range []func(txn, broker.Setup) error{writePools, writeDesktops, writeCenters, writeAssignments} {
		if err := write(t, in); err != nil {
			return err
		}
	}
	if _, err := place(t, `d.deleted_at IS NULL`); err != nil {
		return err
	}
	_, err := t.exec(`DELETE FROM claim WHERE NOT EXISTS (SELECT 1 FROM desktop d WHERE d.id = claim.desktop_id AND d.deleted_at IS NULL)
		OR NOT EXISTS (SELECT 1 FROM desktop_pool p WHERE p.id = claim.pool_id AND p.deleted_at IS NULL AND p.kind = 'pooled')
		OR EXISTS (SELECT 1 FROM assignment a WHERE a.desktop_id = claim.desktop_id AND (a.directory, a.user) <> (claim.directory, claim.user))`)
	return err
}

func writePools(t txn, in broker.Setup) error {
	pools, err := ids(t, `SELECT name, id FROM desktop_pool WHERE deleted_at IS NULL`)
	if err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE desktop_pool SET deleted_at = ? WHERE deleted_at IS NULL`, t.now); err != nil {
		return err
	}
	for i, p := range in.DesktopPools {
		text, err := json.Marshal(members{Rules: p.Rules, Desktops: p.Desktops, Power: p.Power})
		if err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO desktop_pool (id, name, kind, check_kind, position, members, release_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, check_kind = excluded.check_kind, position = excluded.position,
				members = excluded.members, release_ms = excluded.release_ms, deleted_at = NULL`,
			keep(pools, p.Name), p.Name, p.Kind, p.Check, i, string(text), p.ReleaseDelay.Milliseconds()); err != nil {
			return err
		}
	}
	for _, p := range in.DesktopPools {
		if _, err := t.exec(`UPDATE desktop_pool SET backup_id = ? WHERE id = ?`, null(pools[p.Backup]), pools[p.Name]); err != nil {
			return err
		}
	}
	return nil
}

// null is nil for "".
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// writeDesktops writes those of the setup. One that a center has brought becomes the setup's.
func writeDesktops(t txn, in broker.Setup) error {
	desktops, err := ids(t, `SELECT name, id FROM desktop WHERE deleted_at IS NULL`)
	if err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE desktop SET deleted_at = ? WHERE center = '' AND deleted_at IS NULL`, t.now); err != nil {
		return err
	}
	for i, d := range in.Desktops {
		m := d.Machine()
		if _, err := t.exec(`INSERT INTO desktop (id, name, given_pool, host, ip, port, protocol, state, os, description, tags, mac, position)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET given_pool = excluded.given_pool, host = excluded.host, ip = excluded.ip, port = excluded.port,
				protocol = excluded.protocol, state = excluded.state, os = excluded.os, description = excluded.description, tags = excluded.tags,
				mac = excluded.mac, position = excluded.position, center = '', external_id = '', ou = '', missing_since = NULL, deleted_at = NULL,
				source_state = '', state_why = ''`,
			keep(desktops, d.Name), d.Name, d.Pool, d.Host, m.IP, d.Port, d.Protocol, d.State, d.OS, d.Description, broker.TagText(d.Tags), d.MAC, i); err != nil {
			return err
		}
	}
	return nil
}

// writeCenters keeps what is known of those that stay; the desktops of the others go with them.
func writeCenters(t txn, in broker.Setup) error {
	names := make([]string, len(in.Centers))
	for i, c := range in.Centers {
		names[i] = c.Name
		if _, err := t.exec(`INSERT INTO center (name) VALUES (?) ON CONFLICT DO NOTHING`, c.Name); err != nil {
			return err
		}
	}
	list, err := json.Marshal(names)
	if err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM center WHERE name NOT IN (SELECT value FROM json_each(?))`, string(list)); err != nil {
		return err
	}
	_, err = t.exec(`UPDATE desktop SET deleted_at = ? WHERE center <> '' AND deleted_at IS NULL AND center NOT IN (SELECT name FROM center)`, t.now)
	return err
}

func writeAssignments(t txn, in broker.Setup) error {
	if _, err := t.exec(`DELETE FROM assignment WHERE source = 'setup' OR desktop_id IN (SELECT id FROM desktop WHERE deleted_at IS NOT NULL)`); err != nil {
		return err
	}
	for i, a := range in.Assignments {
		if _, err := t.exec(`INSERT OR REPLACE INTO assignment (desktop_id, directory, user, position, source)
			SELECT id, ?, ?, ?, 'setup' FROM desktop WHERE name = ? AND deleted_at IS NULL`, a.Directory, a.User, i, a.Desktop); err != nil {
			return err
		}
	}
	return nil
}
