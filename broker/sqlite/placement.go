package sqlite

import (
	"context"
	"database/sql"

	"switchpoint/broker"
)

const machineColumns = `d.name, d.host, d.ip, d.os, d.ou, d.description, d.tags, d.port, d.protocol, d.mac, d.state = 'disabled'`

func machineFields(m *broker.Machine, tags *string) []any {
	return []any{&m.Name, &m.Host, &m.IP, &m.OS, &m.OU, &m.Description, tags, &m.Port, &m.Protocol, &m.MAC, &m.Disabled}
}

// place puts the desktops that the condition selects into the pools that take them, and says how
// many stand in another one now.
func place(t txn, where string, args ...any) (moved int, err error) {
	pools, err := readPools(t)
	if err != nil {
		return 0, err
	}
	placement, err := broker.NewPlacement(pools)
	if err != nil {
		return 0, err
	}
	poolIDs, err := ids(t, `SELECT name, id FROM desktop_pool WHERE deleted_at IS NULL`)
	if err != nil {
		return 0, err
	}
	type move struct{ desktop, pool string }
	var moves []move
	err = each(t, `SELECT d.id, d.center, d.given_pool, COALESCE(d.pool_id, ''), EXISTS (SELECT 1 FROM assignment a WHERE a.desktop_id = d.id), `+
		machineColumns+` FROM desktop d WHERE `+where, func(r *sql.Rows) error {
		var m broker.Machine
		var id, center, given, pool, tags string
		var assigned bool
		if err := r.Scan(append([]any{&id, &center, &given, &pool, &assigned}, machineFields(&m, &tags)...)...); err != nil {
			return err
		}
		m.Tags = splitTags(tags)
		name, _ := placement.Place(&m, center, given, assigned)
		if poolIDs[name] != pool {
			moves = append(moves, move{id, poolIDs[name]})
		}
		return nil
	}, args...)
	if err != nil {
		return 0, err
	}
	for _, m := range moves {
		if _, err := t.exec(`UPDATE desktop SET pool_id = ? WHERE id = ?`, null(m.pool), m.desktop); err != nil {
			return 0, err
		}
	}
	return len(moves), nil
}

// RefreshPools implements broker.Store.
func (s *Store) RefreshPools(ctx context.Context) (moved int, err error) {
	err = s.write(ctx, "refresh pools", func(t txn) error {
		moved, err = place(t, `d.deleted_at IS NULL`)
		return err
	})
	return moved, err
}
