package sqlite

import (
	"database/sql"
	"math/rand/v2"
	"slices"

	"switchpoint/broker"
)

// live is the condition of the index desktop_live: a desktop that can be offered, once it is free
// and out of maintenance. free is that of the indexes of free ones.
const (
	live = `d.deleted_at IS NULL AND d.missing_since IS NULL AND d.state <> 'disabled'`
	free = `d.deleted_at IS NULL AND d.missing_since IS NULL AND d.state = 'enabled' AND d.claimed = 0 AND d.reset_state = ''`
	// atMost ends a query. SQLite looks at a bare parameter after LIMIT when it compiles, and so does that anew for
	// each value, also of a query that is kept compiled.
	atMost = ` LIMIT ? + 0`
)

// pool is a pooled pool with the one that stands in for it.
type pool struct{ id, name, backup string }

// findPool finds a pooled pool. A backup that is not pooled any more is none.
func findPool(t txn, where string, arg any) (p pool, err error) {
	err = t.row(`SELECT id, name, COALESCE((SELECT b.id FROM desktop_pool b WHERE b.id = p.backup_id AND b.deleted_at IS NULL AND b.kind = 'pooled'), '')
		FROM desktop_pool p WHERE `+where+` AND kind = 'pooled' AND deleted_at IS NULL`, arg).Scan(&p.id, &p.name, &p.backup)
	return p, err
}

// ids are the pool and its backup.
func (p pool) ids() []string {
	if p.backup == "" {
		return []string{p.id}
	}
	return []string{p.id, p.backup}
}

// liveDesktops counts those of the pool and its backup up to limit, with the protocol of the first.
func (p pool) liveDesktops(t txn, limit int) (n int, protocol string, err error) {
	for _, id := range p.ids() {
		var some int
		var first sql.NullString
		if err := t.row(`SELECT COUNT(*), MIN(protocol) FROM (SELECT d.protocol FROM desktop d WHERE d.pool_id = ? AND `+live+` ORDER BY d.protocol`+atMost+`)`,
			id, limit-n).Scan(&some, &first); err != nil {
			return 0, "", err
		}
		if n += some; protocol == "" {
			protocol = first.String
		}
	}
	return n, protocol, nil
}

// freeDesktops counts the free ones of the pool and its backup up to limit.
func (p pool) freeDesktops(t txn, limit int) (n int, err error) {
	for _, id := range p.ids() {
		var some int
		if err := t.row(`SELECT COUNT(*) FROM (SELECT 1 FROM desktop d WHERE d.pool_id = ? AND `+free+atMost+`)`, id, limit-n).Scan(&some); err != nil {
			return 0, err
		}
		n += some
	}
	return n, nil
}

// pick lists up to limit free desktops of the pool in the order of the session's policy, then of its
// backup. Each step reads an index from one place on: no order needs to look at all that are free.
func (p pool) pick(t txn, s broker.Session, limit int) ([]string, error) {
	var out []string
	add := func(query string, args ...any) error {
		if len(out) >= limit {
			return nil
		}
		return each(t, query, func(r *sql.Rows) error {
			var id string
			err := r.Scan(&id)
			if err == nil && len(out) < limit && !slices.Contains(out, id) {
				out = append(out, id)
			}
			return err
		}, args...)
	}
	order := s.OfferOrder()
	if order == broker.OrderPrevious {
		if err := add(`SELECT d.id FROM last_use l JOIN desktop d ON d.id = l.desktop_id
			WHERE l.directory = ? AND l.user = ? AND l.pool_id = ? AND d.pool_id IN (?, ?) AND `+free, s.Directory, s.User, p.id, p.id, p.backup); err != nil {
			return nil, err
		}
	}
	from := rand.Int64() - rand.Int64()
	for _, id := range p.ids() {
		var err error
		switch order {
		case broker.OrderLRU:
			err = add(`SELECT d.id FROM desktop d WHERE d.pool_id = ? AND `+free+` ORDER BY d.released_at`+atMost, id, limit)
		case broker.OrderRunning:
			err = addRandom(add, free+` AND d.running = 1`, id, from, limit)
			fallthrough
		default:
			if err == nil {
				err = addRandom(add, free, id, from, limit)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// addRandom goes round the order of the index once, beginning anywhere.
func addRandom(add func(string, ...any) error, where, pool string, from int64, limit int) error {
	if err := add(`SELECT d.id FROM desktop d WHERE d.pool_id = ? AND `+where+` AND d.shuffle >= ? ORDER BY d.shuffle`+atMost, pool, from, limit); err != nil {
		return err
	}
	return add(`SELECT d.id FROM desktop d WHERE d.pool_id = ? AND `+where+` AND d.shuffle < ? ORDER BY d.shuffle`+atMost, pool, from, limit)
}
