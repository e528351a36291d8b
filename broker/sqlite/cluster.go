package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
)

// Join implements broker.Store.
func (s *Store) Join(ctx context.Context, n broker.Node, proposal broker.Cluster, live time.Duration) (broker.Membership, error) {
	m := broker.Membership{SiteID: n.SiteID}
	err := s.write(ctx, "join cluster", func(t txn) error {
		if _, err := t.exec(`INSERT INTO cluster (id, name, secret, created_at) VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING`,
			proposal.Name, proposal.Secret[:], t.now); err != nil {
			return err
		}
		var secret []byte
		if err := t.row(`SELECT name, secret FROM cluster`).Scan(&m.Cluster.Name, &secret); err != nil {
			return err
		}
		copy(m.Cluster.Secret[:], secret)
		if m.Cluster.Name != proposal.Name {
			return fmt.Errorf("%w: the database belongs to cluster %q, not to %q", broker.ErrConflict, m.Cluster.Name, proposal.Name)
		}
		if err := siteFree(t, n, live); err != nil {
			return err
		}
		return t.row(`INSERT INTO broker (site_id, name, datacenter, version, epoch, booted_at, heartbeat_at)
			VALUES (?, ?, ?, ?, 1, ?, ?)
			ON CONFLICT (site_id) DO UPDATE SET name = excluded.name, datacenter = excluded.datacenter,
				version = excluded.version, epoch = epoch + 1, booted_at = excluded.booted_at,
				heartbeat_at = excluded.heartbeat_at, stopped_at = NULL
			RETURNING epoch`,
			n.SiteID, n.Name, n.Datacenter, n.Version, n.Booted.UnixMilli(), t.now).Scan(&m.Epoch)
	})
	return m, err
}

// siteFree refuses a site id that a live broker of another name holds.
func siteFree(t txn, n broker.Node, live time.Duration) error {
	var name string
	var beat int64
	err := t.row(`SELECT name, heartbeat_at FROM broker WHERE site_id = ? AND stopped_at IS NULL`, n.SiteID).Scan(&name, &beat)
	switch age := time.Duration(t.now-beat) * time.Millisecond; {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case name != n.Name && age < live:
		return fmt.Errorf("%w: site id %d is in use by broker %q, seen %s ago; give this broker another site_id",
			broker.ErrConflict, n.SiteID, name, age)
	}
	return nil
}

// Heartbeat implements broker.Store.
func (s *Store) Heartbeat(ctx context.Context, m broker.Membership) error {
	return s.write(ctx, "heartbeat", func(t txn) error {
		n, err := t.exec(`UPDATE broker SET heartbeat_at = ?, stopped_at = NULL WHERE site_id = ? AND epoch = ?`, t.now, m.SiteID, m.Epoch)
		if err == nil && n == 0 {
			return broker.ErrFenced
		}
		return err
	})
}

// Leave implements broker.Store.
func (s *Store) Leave(ctx context.Context, m broker.Membership) error {
	return s.write(ctx, "leave cluster", func(t txn) error {
		_, err := t.exec(`UPDATE broker SET stopped_at = ? WHERE site_id = ? AND epoch = ?`, t.now, m.SiteID, m.Epoch)
		return err
	})
}

// Brokers implements broker.Store.
func (s *Store) Brokers(ctx context.Context) ([]broker.NodeStatus, error) {
	var list []broker.NodeStatus
	err := s.read(ctx, "list brokers", func(t txn) error {
		rows, err := t.QueryContext(ctx, `SELECT site_id, name, datacenter, version, epoch, booted_at, heartbeat_at, stopped_at IS NOT NULL
			FROM broker ORDER BY site_id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var n broker.NodeStatus
			var booted, beat int64
			if err := rows.Scan(&n.SiteID, &n.Name, &n.Datacenter, &n.Version, &n.Epoch, &booted, &beat, &n.Stopped); err != nil {
				return err
			}
			n.Booted, n.Heartbeat, n.Age = moment(booted), moment(beat), time.Duration(t.now-beat)*time.Millisecond
			list = append(list, n)
		}
		return rows.Err()
	})
	return list, err
}
