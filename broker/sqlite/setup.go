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

// each calls fn for every row of a query.
func each(t txn, query string, fn func(*sql.Rows) error, args ...any) error {
	rows, err := t.rows(query, args...)
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
		rest := in
		rest.DesktopPools, rest.Desktops, rest.Assignments = nil, nil, nil // they have tables
		document, err := json.Marshal(rest)
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
