package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// alone makes writers of the inventory follow each other. ReplaceSetup holds the same row.
func alone(l link) error {
	_, err := l.exec(`SELECT FROM setup FOR UPDATE`)
	return err
}

// placeDesktops puts the desktops that the condition selects into the pools that take them, and says how
// many stand in another one now. Those that stay are not touched.
func placeDesktops(l link, where string, args ...any) (moved int, err error) {
	pools, err := readPools(l)
	if err != nil {
		return 0, err
	}
	placement, err := broker.NewPlacement(pools)
	if err != nil {
		return 0, err
	}
	poolIDs := make(map[string]string)
	err = l.each(`SELECT name, id FROM desktop_pool WHERE deleted_at IS NULL`, func(r pgx.Row) error {
		var name, id string
		err := r.Scan(&name, &id)
		poolIDs[name] = id
		return err
	})
	if err != nil {
		return 0, err
	}
	var desktops []string
	var targets []*string
	err = l.each(`SELECT d.id, d.center, d.given_pool, COALESCE(d.pool_id::text, ''), EXISTS (SELECT FROM assignment a WHERE a.desktop_id = d.id), `+
		broker.MachineColumns+` FROM desktop d WHERE `+where, func(r pgx.Row) error {
		var m broker.Machine
		var id, center, given, pool string
		var assigned bool
		if err := r.Scan(append([]any{&id, &center, &given, &pool, &assigned}, m.Columns()...)...); err != nil {
			return err
		}
		name, _ := placement.Place(&m, center, given, assigned)
		target, ok := poolIDs[name]
		switch {
		case target == pool:
			return nil
		case ok:
			targets = append(targets, &target)
		default:
			targets = append(targets, nil)
		}
		desktops = append(desktops, id)
		return nil
	}, args...)
	if err != nil || len(desktops) == 0 {
		return 0, err
	}
	return l.exec(`UPDATE desktop d SET pool_id = i.pool FROM unnest($1::uuid[], $2::uuid[]) AS i (id, pool) WHERE d.id = i.id`, desktops, targets)
}

// RefreshPools implements broker.Store.
func (s *Store) RefreshPools(ctx context.Context) (moved int, err error) {
	err = s.write(ctx, "refresh pools", func(l link) (err error) {
		if err := alone(l); err != nil {
			return err
		}
		moved, err = placeDesktops(l, `d.deleted_at IS NULL`)
		return err
	})
	return moved, err
}
