package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// Setup implements broker.Store.
func (s *Store) Setup(ctx context.Context) (broker.Setup, int64, error) {
	var out broker.Setup
	var version int64
	err := s.view(ctx, "read setup", func(l link) error {
		out = broker.Setup{}
		var document []byte
		err := l.row(`SELECT version, document FROM setup`).Scan(&version, &document)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := json.Unmarshal(document, &out); err != nil {
			return fmt.Errorf("document: %w", err)
		}
		return readInventory(l, &out)
	})
	return out, version, err
}

// SetupVersion implements broker.Store. It is asked once a second, so it also sees when a pooler has
// changed to an old copy of the database behind our back.
func (s *Store) SetupVersion(ctx context.Context) (int64, error) {
	var version int64
	err := s.watch(ctx, "read setup version", func(l link) error {
		before := s.guard.seen()
		v, now, err := readVersion(l)
		if err != nil {
			return err
		}
		version = v
		return s.guard.admit(now, before)
	})
	return version, err
}

// ReplaceSetup implements broker.Store.
func (s *Store) ReplaceSetup(ctx context.Context, in broker.Setup, expect int64, log broker.LogRow) (int64, error) {
	version := expect + 1
	rest := in
	rest.DesktopPools, rest.Desktops, rest.Assignments = nil, nil, nil // they have tables
	document, err := json.Marshal(rest)
	if err != nil {
		return 0, fmt.Errorf("replace setup: %w", err)
	}
	err = s.write(ctx, "replace setup", func(l link) error {
		n, err := l.exec(`INSERT INTO setup (id, version, document, changed_at)
			SELECT 1, $2::bigint, $3::text, now() WHERE $1::bigint = 0 OR EXISTS (SELECT FROM setup)
			ON CONFLICT (id) DO UPDATE SET version = excluded.version, document = excluded.document, changed_at = excluded.changed_at
			WHERE setup.version = $1::bigint`, expect, version, string(document))
		if err != nil {
			return err
		}
		if n == 0 {
			var current int64
			if err := l.row(`SELECT COALESCE(MAX(version), 0) FROM setup`).Scan(&current); err != nil {
				return err
			}
			return fmt.Errorf("%w: the setup is at version %d, the change was made for version %d", broker.ErrConflict, current, expect)
		}
		if _, err := l.exec(`UPDATE cluster SET epoch = epoch + 1`); err != nil {
			return err
		}
		if err := writeInventory(l, in); err != nil {
			return err
		}
		if err := appendLog(l, log); err != nil {
			return err
		}
		return measure(l)
	})
	if err != nil {
		return 0, err
	}
	return version, nil
}
