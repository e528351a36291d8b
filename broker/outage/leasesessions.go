package outage

import (
	"context"
	"fmt"
	"time"

	"switchpoint/broker"
)

// running takes the ids of the sessions that run, out of a copy of the state.
type running struct{ ids map[string]bool }

// Begin implements broker.CacheSink.
func (r *running) Begin() error {
	r.ids = make(map[string]bool)
	return nil
}

// Row implements broker.CacheSink.
func (r *running) Row(t *broker.CacheTable, values []any) error {
	if t.Name != "session" {
		return nil
	}
	id, ok := values[0].(string) // its key comes first
	if !ok {
		return fmt.Errorf("the id of a session is a %T", values[0])
	}
	r.ids[id] = true
	return nil
}

// endCopies writes down the copies of sessions and forgets those of sessions that the database has no more:
// they have ended at other brokers. Where there is a host cache, that does both.
func (s *Store) endCopies(ctx context.Context, began time.Time) error {
	if err := s.node.flush(ctx); err != nil {
		return err
	}
	var r running
	ask, cancel := context.WithTimeout(ctx, leaseAsk)
	defer cancel()
	if err := s.Primary.CopyState(ask, &r); err != nil {
		return fmt.Errorf("ask for the sessions that run: %w", err)
	}
	known, err := s.node.sessionsBefore(ctx, began.Add(-copyMargin))
	if err != nil {
		return err
	}
	var over []string
	for _, id := range known {
		if !r.ids[id] {
			over = append(over, id)
		}
	}
	return s.node.forgetSessions(ctx, over)
}

// sessionsBefore lists the ids of sessions that were written down before a moment, are not over and wait for
// nothing in the journal.
func (n *node) sessionsBefore(ctx context.Context, before time.Time) (ids []string, err error) {
	if n.unmerged() > 0 {
		return nil, nil // those of an outage are not in the database yet
	}
	rows, err := n.db.QueryContext(ctx, `SELECT id FROM session WHERE over = 0 AND kept_at < ?`, before.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("list the copies of sessions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list the copies of sessions: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// forgetSessions drops copies of sessions.
func (n *node) forgetSessions(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	err := n.write(ctx, func(ctx context.Context, tx nodeTx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, `DELETE FROM session WHERE id = ?`, id); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err != nil {
		return fmt.Errorf("forget sessions that are over: %w", err)
	}
	return nil
}
