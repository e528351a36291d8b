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
		var err error
		if m.Cluster, err = enter(t, n, proposal, live); err != nil {
			return err
		}
		if err := siteFree(t, n, live); err != nil {
			return err
		}
		if err := uuidFree(t, n, live); err != nil {
			return err
		}
		return t.row(`INSERT INTO broker (site_id, name, datacenter, version, uuid, ip, mac, host, fingerprint, epoch, booted_at, heartbeat_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)
			ON CONFLICT (site_id) DO UPDATE SET name = excluded.name, datacenter = excluded.datacenter, version = excluded.version,
				report = CASE WHEN name = excluded.name THEN report ELSE '' END,
				reported_at = CASE WHEN name = excluded.name THEN reported_at END,
				cpus = 0, carries = CASE WHEN name = excluded.name THEN carries ELSE 0 END,
				uuid = excluded.uuid, ip = excluded.ip, mac = excluded.mac, host = excluded.host, fingerprint = excluded.fingerprint,
				epoch = epoch + 1, booted_at = excluded.booted_at, heartbeat_at = excluded.heartbeat_at, stopped_at = NULL, removed_at = NULL
			RETURNING epoch`,
			n.SiteID, n.Name, n.Datacenter, n.Version, n.UUID, n.IP, n.MAC, n.Host, n.Fingerprint, n.Booted.UnixMilli(), t.now).Scan(&m.Epoch)
	})
	return m, err
}

// enter finds the cluster, or creates it, and checks that n may be part of it.
func enter(t txn, n broker.Node, proposal broker.Cluster, live time.Duration) (broker.Cluster, error) {
	if _, err := t.exec(`INSERT INTO cluster (id, name, secret, created_at) VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING`,
		proposal.Name, proposal.Secret[:], t.now); err != nil {
		return broker.Cluster{}, err
	}
	var c broker.Cluster
	var secret []byte
	var version string
	if err := t.row(`SELECT name, secret, version FROM cluster`).Scan(&c.Name, &secret, &version); err != nil {
		return c, err
	}
	copy(c.Secret[:], secret)
	if c.Name != proposal.Name {
		return c, fmt.Errorf("%w: the database belongs to cluster %q, not to %q", broker.ErrConflict, c.Name, proposal.Name)
	}
	if err := ticketKey(t, &c, proposal); err != nil {
		return c, err
	}
	var running []string
	err := each(t, `SELECT version FROM broker WHERE site_id <> ? AND stopped_at IS NULL AND removed_at IS NULL AND heartbeat_at > ?`, func(r *sql.Rows) error {
		var v string
		err := r.Scan(&v)
		running = append(running, v)
		return err
	}, n.SiteID, t.now-live.Milliseconds())
	if err != nil {
		return c, err
	}
	if err := broker.CheckVersion(n.Version, version, running); err != nil {
		return c, err
	}
	_, err = t.exec(`UPDATE cluster SET version = ?`, broker.NewerVersion(version, n.Version))
	return c, err
}

// siteFree refuses a site id that another broker holds and lives. A broker is the same when it has
// the same UUID; where one of the two has none, the name decides.
func siteFree(t txn, n broker.Node, live time.Duration) error {
	var name, uuid string
	var beat int64
	err := t.row(`SELECT name, uuid, heartbeat_at FROM broker WHERE site_id = ? AND stopped_at IS NULL AND removed_at IS NULL`, n.SiteID).Scan(&name, &uuid, &beat)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return n.CheckHolder(broker.Node{Name: name, UUID: uuid, SiteID: n.SiteID}, time.Duration(t.now-beat)*time.Millisecond, live)
}

// uuidFree refuses a UUID that lives under another site id: somebody has copied a state directory.
// One that does not live has moved: the row that it leaves keeps no UUID.
func uuidFree(t txn, n broker.Node, live time.Duration) error {
	if n.UUID == "" {
		return nil
	}
	var other broker.Node
	var beat int64
	var stopped bool
	err := t.row(`SELECT site_id, name, heartbeat_at, stopped_at IS NOT NULL FROM broker WHERE uuid = ? AND site_id <> ? AND removed_at IS NULL`,
		n.UUID, n.SiteID).Scan(&other.SiteID, &other.Name, &beat, &stopped)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if !stopped {
		if err := n.CheckHolder(other, time.Duration(t.now-beat)*time.Millisecond, live); err != nil {
			return err
		}
	}
	_, err = t.exec(`UPDATE broker SET uuid = '' WHERE site_id = ?`, other.SiteID)
	return err
}

// newest fails unless the membership is the newest of its site id.
func newest(t txn, m broker.Membership) error {
	var epoch int64
	var removed bool
	err := t.row(`SELECT epoch, removed_at IS NOT NULL FROM broker WHERE site_id = ?`, m.SiteID).Scan(&epoch, &removed)
	switch {
	case err != nil:
		return err
	case epoch == m.Epoch:
		return nil
	case removed:
		return broker.ErrRemoved
	}
	return broker.ErrFenced
}

// Heartbeat implements broker.Store.
func (s *Store) Heartbeat(ctx context.Context, m broker.Membership, b broker.Beat) error {
	return s.write(ctx, "heartbeat", func(t txn) error {
		if err := newest(t, m); err != nil {
			return err
		}
		off := int64(0)
		if !b.Clock.IsZero() {
			off = b.Clock.UnixMilli() - t.now
		}
		_, err := t.exec(`UPDATE broker SET heartbeat_at = ?, stopped_at = NULL, cpus = ?, load_average = ?, busy = ?, steal = ?,
			carries = COALESCE(NULLIF(?, 0), carries), clock_off_ms = ? WHERE site_id = ?`, t.now, b.Load.CPUs, b.Load.Average, b.Load.Busy, b.Load.Steal, b.Carries, off, m.SiteID)
		return err
	})
}

// RecordHeartbeat implements broker.Store.
func (s *Store) RecordHeartbeat(ctx context.Context, m broker.Membership, report string) error {
	return s.write(ctx, "record heartbeat", func(t txn) error {
		if err := newest(t, m); err != nil {
			return err
		}
		_, err := t.exec(`UPDATE broker SET reported_at = ?, report = ? WHERE site_id = ?`, t.now, report, m.SiteID)
		return err
	})
}

// Leave implements broker.Store.
func (s *Store) Leave(ctx context.Context, m broker.Membership) error {
	return s.write(ctx, "leave cluster", func(t txn) error {
		n, err := t.exec(`UPDATE broker SET stopped_at = ? WHERE site_id = ? AND epoch = ?`, t.now, m.SiteID, m.Epoch)
		if err != nil || n == 0 {
			return err
		}
		return stopHeartbeat(t, m.SiteID, "the broker was stopped")
	})
}

// stopHeartbeat cancels the heartbeat job of a broker, also a running one: nobody would end it.
func stopHeartbeat(t txn, siteID int, why string) error {
	_, err := t.exec(`UPDATE job SET state = 'cancelled', ended_at = ?, lease_until = NULL, cancelling = 0, error = ?
		WHERE kind = ? AND target = ? AND only_one = 1 AND state IN ('pending', 'running')`, t.now, why, broker.KindHeartbeat, fmt.Sprint(siteID))
	return err
}

// Detach implements broker.Store.
func (s *Store) Detach(ctx context.Context, m broker.Membership) error {
	return s.write(ctx, "detach broker", func(t txn) error {
		if err := newest(t, m); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE broker SET stopped_at = ? WHERE site_id = ?`, t.now, m.SiteID); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM job WHERE run_by = ? AND state IN ('finished', 'cancelled', 'aborted')`, m.SiteID)
		return err
	})
}

// RemoveBroker implements broker.Store.
func (s *Store) RemoveBroker(ctx context.Context, siteID int, log broker.LogRow) (int, error) {
	moved := 0
	err := s.write(ctx, "remove broker", func(t txn) error {
		var name string
		if err := t.row(`SELECT name FROM broker WHERE site_id = ? AND removed_at IS NULL`, siteID).Scan(&name); err != nil {
			return err // no row: broker.ErrNotFound
		}
		beat, err := schedule(t, siteID)
		if err != nil {
			return err
		}
		if status, _, why := beat.Judge(moment(t.now)); status == broker.StatusRunning {
			return fmt.Errorf("%w: broker %q (site id %d) is running: %s; only a stopped or unavailable broker can be removed", broker.ErrConflict, name, siteID, why)
		}
		if err := stopHeartbeat(t, siteID, "the broker was removed"); err != nil {
			return err
		}
		// What still runs there goes back when its lease has run out, and must not wait for it.
		if moved, err = reassign(t, siteID, 0, `state IN ('pending', 'running')`); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE broker SET removed_at = ?, epoch = epoch + 1 WHERE site_id = ?`, t.now, siteID); err != nil {
			return err
		}
		return appendLog(t, log)
	})
	return moved, err
}

// schedule reads when the heartbeat job of a broker runs.
func schedule(t txn, siteID int) (broker.Schedule, error) {
	var every, next int64
	err := t.row(`SELECT every_ms, run_at FROM job WHERE kind = ? AND target = ? AND only_one = 1 AND state IN ('pending', 'running')`,
		broker.KindHeartbeat, fmt.Sprint(siteID)).Scan(&every, &next)
	if errors.Is(err, sql.ErrNoRows) {
		return broker.Schedule{}, nil
	}
	return broker.Schedule{Exists: true, Every: time.Duration(every) * time.Millisecond, Next: moment(next)}, err
}

// Brokers implements broker.Store.
func (s *Store) Brokers(ctx context.Context) ([]broker.NodeStatus, error) {
	var list []broker.NodeStatus
	err := s.read(ctx, "list brokers", func(t txn) error {
		return each(t, `SELECT b.site_id, b.name, b.datacenter, b.version, b.uuid, b.ip, b.mac, b.host, b.cpus, b.load_average, b.busy, b.steal, b.carries, b.clock_off_ms, b.fingerprint, b.epoch, b.booted_at, b.heartbeat_at,
				b.stopped_at IS NOT NULL, b.reported_at, b.report, j.every_ms, j.run_at
			FROM broker b LEFT JOIN job j ON j.kind = ? AND j.target = CAST(b.site_id AS TEXT) AND j.only_one = 1 AND j.state IN ('pending', 'running')
			WHERE b.removed_at IS NULL ORDER BY b.site_id`, func(r *sql.Rows) error {
			var n broker.NodeStatus
			var booted, beat, off int64
			var reported, every, next sql.NullInt64
			err := r.Scan(&n.SiteID, &n.Name, &n.Datacenter, &n.Version, &n.UUID, &n.IP, &n.MAC, &n.Host, &n.Load.CPUs, &n.Load.Average, &n.Load.Busy, &n.Load.Steal, &n.Carries, &off, &n.Fingerprint, &n.Epoch, &booted, &beat,
				&n.Stopped, &reported, &n.Report, &every, &next)
			n.Booted, n.Heartbeat, n.LastHeartbeat, n.NextHeartbeat = moment(booted), moment(beat), maybe(reported), maybe(next)
			n.ClockOff = time.Duration(off) * time.Millisecond
			n.Judge(broker.Schedule{Exists: next.Valid, Every: time.Duration(every.Int64) * time.Millisecond, Next: n.NextHeartbeat}, moment(t.now))
			list = append(list, n)
			return err
		}, broker.KindHeartbeat)
	})
	return list, err
}
