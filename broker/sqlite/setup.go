package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"switchpoint/broker"
)

// Setup implements broker.Store.
func (s *Store) Setup(ctx context.Context) (broker.Setup, int64, error) {
	var out broker.Setup
	var version int64
	err := s.read(ctx, "read setup", func(t txn) error {
		var document []byte
		err := t.row(`SELECT version, document FROM setup`).Scan(&version, &document)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := json.Unmarshal(document, &out); err != nil {
			return fmt.Errorf("document: %w", err)
		}
		return readInventory(t, &out)
	})
	return out, version, err
}

// readInventory adds the parts of the setup that are rows, in the order of their file.
func readInventory(t txn, out *broker.Setup) error {
	err := each(t, `SELECT name, kind, check_kind FROM desktop_pool WHERE deleted_at IS NULL ORDER BY position`, func(r *sql.Rows) error {
		var p broker.DesktopPool
		err := r.Scan(&p.Name, &p.Kind, &p.Check)
		out.DesktopPools = append(out.DesktopPools, p)
		return err
	})
	if err != nil {
		return err
	}
	err = each(t, `SELECT d.name, p.name, d.host, d.port, d.protocol, d.state FROM desktop d JOIN desktop_pool p ON p.id = d.pool_id
		WHERE d.deleted_at IS NULL ORDER BY d.position`, func(r *sql.Rows) error {
		var d broker.Desktop
		err := r.Scan(&d.Name, &d.Pool, &d.Host, &d.Port, &d.Protocol, &d.State)
		out.Desktops = append(out.Desktops, d)
		return err
	})
	if err != nil {
		return err
	}
	return each(t, `SELECT a.user, a.directory, d.name FROM assignment a JOIN desktop d ON d.id = a.desktop_id ORDER BY a.position`, func(r *sql.Rows) error {
		var a broker.Assignment
		err := r.Scan(&a.User, &a.Directory, &a.Desktop)
		out.Assignments = append(out.Assignments, a)
		return err
	})
}

// each calls fn for every row of a query.
func each(t txn, query string, fn func(*sql.Rows) error, args ...any) error {
	rows, err := t.QueryContext(t.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// SetupVersion implements broker.Store.
func (s *Store) SetupVersion(ctx context.Context) (int64, error) {
	var v int64
	err := s.readers.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM setup`).Scan(&v)
	if err != nil {
		return 0, fmt.Errorf("read setup version: %w", classify(err))
	}
	return v, nil
}

// ReplaceSetup implements broker.Store.
func (s *Store) ReplaceSetup(ctx context.Context, in broker.Setup, expect int64, log broker.LogRow) (int64, error) {
	version := expect + 1
	err := s.write(ctx, "replace setup", func(t txn) error {
		var current int64
		if err := t.row(`SELECT COALESCE(MAX(version), 0) FROM setup`).Scan(&current); err != nil {
			return err
		}
		if current != expect {
			return fmt.Errorf("%w: the setup is at version %d, the change was made for version %d", broker.ErrConflict, current, expect)
		}
		document, err := json.Marshal(broker.Setup{Directories: in.Directories, Destinations: in.Destinations, Policies: in.Policies, Users: in.Users})
		if err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO setup (id, version, document, changed_at) VALUES (1, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET version = excluded.version, document = excluded.document, changed_at = excluded.changed_at`,
			version, string(document), t.now); err != nil {
			return err
		}
		if err := writeInventory(t, in); err != nil {
			return err
		}
		return appendLog(t, log)
	})
	if err != nil {
		return 0, err
	}
	return version, nil
}

// writeInventory brings pools, desktops and assignments to what in says. Rows keep their ids by
// name; a vanished one is marked deleted with its dependants, and its claim ends.
func writeInventory(t txn, in broker.Setup) error {
	pools, err := ids(t, `SELECT name, id FROM desktop_pool WHERE deleted_at IS NULL`)
	if err != nil {
		return err
	}
	desktops, err := ids(t, `SELECT name, id FROM desktop WHERE deleted_at IS NULL`)
	if err != nil {
		return err
	}
	for _, q := range []string{
		`UPDATE desktop SET deleted_at = ? WHERE deleted_at IS NULL`,
		`UPDATE desktop_pool SET deleted_at = ? WHERE deleted_at IS NULL`,
	} {
		if _, err := t.exec(q, t.now); err != nil {
			return err
		}
	}
	if _, err := t.exec(`DELETE FROM assignment`); err != nil {
		return err
	}
	for i, p := range in.DesktopPools {
		if _, err := t.exec(`INSERT INTO desktop_pool (id, name, kind, check_kind, position) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, check_kind = excluded.check_kind, position = excluded.position, deleted_at = NULL`,
			keep(pools, p.Name), p.Name, p.Kind, p.Check, i); err != nil {
			return err
		}
	}
	for i, d := range in.Desktops {
		if _, err := t.exec(`INSERT INTO desktop (id, name, pool_id, host, port, protocol, state, position) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET pool_id = excluded.pool_id, host = excluded.host, port = excluded.port,
				protocol = excluded.protocol, state = excluded.state, position = excluded.position, deleted_at = NULL`,
			keep(desktops, d.Name), d.Name, pools[d.Pool], d.Host, d.Port, d.Protocol, d.State, i); err != nil {
			return err
		}
	}
	for i, a := range in.Assignments {
		if _, err := t.exec(`INSERT INTO assignment (desktop_id, directory, user, position) VALUES (?, ?, ?, ?)`,
			desktops[a.Desktop], a.Directory, a.User, i); err != nil {
			return err
		}
	}
	_, err = t.exec(`DELETE FROM claim WHERE NOT EXISTS (SELECT 1 FROM desktop d JOIN desktop_pool p ON p.id = d.pool_id
		WHERE d.id = claim.desktop_id AND d.pool_id = claim.pool_id AND d.deleted_at IS NULL AND p.kind = 'pooled')`)
	return err
}

// keep returns the id of a name and gives it one when it is new.
func keep(ids map[string]string, name string) string {
	id, ok := ids[name]
	if !ok {
		id = uuid.Must(uuid.NewV7()).String()
		ids[name] = id
	}
	return id
}

func ids(t txn, query string) (map[string]string, error) {
	m := make(map[string]string)
	err := each(t, query, func(r *sql.Rows) error {
		var name, id string
		err := r.Scan(&name, &id)
		m[name] = id
		return err
	})
	return m, err
}
