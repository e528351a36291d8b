package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// microSQL is a length of time out of a parameter in microseconds.
const microSQL = ` * interval '1 microsecond'`

// Join implements broker.Store.
func (s *Store) Join(ctx context.Context, n broker.Node, proposal broker.Cluster, live time.Duration) (broker.Membership, error) {
	m := broker.Membership{SiteID: n.SiteID}
	err := s.write(ctx, "join cluster", func(l link) error {
		if _, err := l.exec(`INSERT INTO cluster (id, name, secret, epoch) VALUES (1, $1, $2, 0) ON CONFLICT DO NOTHING`,
			proposal.Name, proposal.Secret[:]); err != nil {
			return err
		}
		// The row stays locked until the end: brokers join one after the other.
		var secret []byte
		if err := l.row(`UPDATE cluster SET epoch = epoch + 1 RETURNING name, secret`).Scan(&m.Cluster.Name, &secret); err != nil {
			return err
		}
		copy(m.Cluster.Secret[:], secret)
		if m.Cluster.Name != proposal.Name {
			return fmt.Errorf("%w: the database belongs to cluster %q, not to %q", broker.ErrConflict, m.Cluster.Name, proposal.Name)
		}
		if err := ticketKey(l, &m.Cluster, proposal); err != nil {
			return err
		}
		for _, check := range []func(link, broker.Node, time.Duration) error{versionFits, siteFree, uuidFree} {
			if err := check(l, n, live); err != nil {
				return err
			}
		}
		return l.row(`INSERT INTO broker AS b (site_id, name, datacenter, version, uuid, ip, mac, host, fingerprint, epoch, booted_at, heartbeat_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, now())
			ON CONFLICT (site_id) DO UPDATE SET name = excluded.name, datacenter = excluded.datacenter, version = excluded.version,
				report = CASE WHEN b.name = excluded.name THEN b.report ELSE '' END,
				reported_at = CASE WHEN b.name = excluded.name THEN b.reported_at END,
				cpus = 0, carries = CASE WHEN b.name = excluded.name THEN b.carries ELSE 0 END,
				uuid = excluded.uuid, ip = excluded.ip, mac = excluded.mac, host = excluded.host, fingerprint = excluded.fingerprint,
				epoch = b.epoch + 1, booted_at = excluded.booted_at, heartbeat_at = excluded.heartbeat_at, stopped_at = NULL, removed_at = NULL
			RETURNING epoch`,
			n.SiteID, n.Name, n.Datacenter, n.Version, n.UUID, n.IP, n.MAC, n.Host, n.Fingerprint, n.Booted).Scan(&m.Epoch)
	})
	return m, err
}

// versionFits refuses a version that does not go with those of the cluster.
func versionFits(l link, n broker.Node, live time.Duration) error {
	var newest string
	var running []string
	err := l.row(`SELECT version, ARRAY(SELECT b.version FROM broker b WHERE b.site_id <> $1 AND b.stopped_at IS NULL AND b.removed_at IS NULL
		AND b.heartbeat_at > now() - $2::bigint`+microSQL+`) FROM cluster`, n.SiteID, live.Microseconds()).Scan(&newest, &running)
	if err != nil {
		return err
	}
	if err := broker.CheckVersion(n.Version, newest, running); err != nil {
		return err
	}
	_, err = l.exec(`UPDATE cluster SET version = $1`, broker.NewerVersion(newest, n.Version))
	return err
}

// siteFree refuses a site id that another broker holds and lives. A broker is the same when it has
// the same UUID; where one of the two has none, the name decides.
func siteFree(l link, n broker.Node, live time.Duration) error {
	holder := broker.Node{SiteID: n.SiteID}
	var us int64
	err := l.row(`SELECT name, uuid, `+ageSQL+` FROM broker WHERE site_id = $1 AND stopped_at IS NULL AND removed_at IS NULL`, n.SiteID).
		Scan(&holder.Name, &holder.UUID, &us)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return n.CheckHolder(holder, micros(us), live)
}

// uuidFree refuses a UUID that lives under another site id: somebody has copied a state directory.
// One that does not live has moved: the row that it leaves keeps no UUID.
func uuidFree(l link, n broker.Node, live time.Duration) error {
	if n.UUID == "" {
		return nil
	}
	var other broker.Node
	var us int64
	var stopped bool
	err := l.row(`SELECT site_id, name, `+ageSQL+`, stopped_at IS NOT NULL FROM broker WHERE uuid = $1 AND site_id <> $2 AND removed_at IS NULL`,
		n.UUID, n.SiteID).Scan(&other.SiteID, &other.Name, &us, &stopped)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if !stopped {
		if err := n.CheckHolder(other, micros(us), live); err != nil {
			return err
		}
	}
	_, err = l.exec(`UPDATE broker SET uuid = '' WHERE site_id = $1`, other.SiteID)
	return err
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// ageSQL is the time since a broker's last heartbeat, in microseconds.
const ageSQL = `(EXTRACT(EPOCH FROM now() - heartbeat_at) * 1000000)::bigint`

// Heartbeat implements broker.Store.
func (s *Store) Heartbeat(ctx context.Context, m broker.Membership, b broker.Beat) error {
	return s.ofMember(ctx, "heartbeat", m, `heartbeat_at = now(), stopped_at = NULL, cpus = $3, load_average = $4, busy = $5, steal = $6,
		carries = COALESCE(NULLIF($7::double precision, 0), carries),
		clock_off_us = COALESCE((EXTRACT(EPOCH FROM $8::timestamptz - now()) * 1000000)::bigint, 0)`, b.Load.CPUs, b.Load.Average, b.Load.Busy, b.Load.Steal, b.Carries, orNoTime(b.Clock))
}

// orNoTime makes a time that is not there NULL.
func orNoTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// RecordHeartbeat implements broker.Store.
func (s *Store) RecordHeartbeat(ctx context.Context, m broker.Membership, report string) error {
	return s.ofMember(ctx, "record heartbeat", m, `reported_at = now(), report = $3`, report)
}

// ofMember changes the row of the newest membership of a site id, in one statement. What it reads is as
// old as its start: when another process took the place while it waited for the row, it asks again.
func (s *Store) ofMember(ctx context.Context, op string, m broker.Membership, change string, args ...any) error {
	return s.beat(ctx, op, func(l link) error {
		var epoch int64
		var removed, changed bool
		err := l.row(`WITH me AS (`+myPlace+`), done AS (UPDATE broker SET `+change+` WHERE site_id = $1 AND epoch = $2 RETURNING epoch)
			SELECT epoch, removed, EXISTS (SELECT FROM done) FROM me`, append([]any{m.SiteID, m.Epoch}, args...)...).Scan(&epoch, &removed, &changed)
		if err != nil {
			return err
		}
		if err := place(m, epoch, removed); err != nil || changed {
			return err
		}
		return errAgain
	})
}

// Leave implements broker.Store.
func (s *Store) Leave(ctx context.Context, m broker.Membership) error {
	return s.write(ctx, "leave cluster", func(l link) error {
		n, err := l.exec(`UPDATE broker SET stopped_at = now() WHERE site_id = $1 AND epoch = $2`, m.SiteID, m.Epoch)
		if err != nil || n == 0 {
			return err
		}
		return stopHeartbeat(l, m.SiteID, "the broker was stopped")
	})
}

// stopHeartbeat cancels the heartbeat job of a broker, also a running one: nobody would end it.
func stopHeartbeat(l link, siteID int, why string) error {
	_, err := l.exec(`UPDATE job SET state = 'cancelled', ended_at = now(), lease_until = NULL, cancelling = false, error = $1
		WHERE kind = $2 AND target = $3 AND only_one AND state IN ('pending', 'running')`, why, broker.KindHeartbeat, strconv.Itoa(siteID))
	return err
}

// Detach implements broker.Store.
func (s *Store) Detach(ctx context.Context, m broker.Membership) error {
	return s.write(ctx, "detach broker", func(l link) error {
		var epoch int64
		var removed bool
		if err := l.row(myPlace+` FOR UPDATE`, m.SiteID).Scan(&epoch, &removed); err != nil {
			return err
		}
		if err := place(m, epoch, removed); err != nil {
			return err
		}
		if _, err := l.exec(`UPDATE broker SET stopped_at = now() WHERE site_id = $1`, m.SiteID); err != nil {
			return err
		}
		_, err := l.exec(`DELETE FROM job WHERE run_by = $1 AND state IN ('finished', 'cancelled', 'aborted')`, m.SiteID)
		return err
	})
}

// RemoveBroker implements broker.Store.
func (s *Store) RemoveBroker(ctx context.Context, siteID int, log broker.LogRow) (int, error) {
	moved := 0
	err := s.write(ctx, "remove broker", func(l link) error {
		var name string
		if err := l.row(`SELECT name FROM broker WHERE site_id = $1 AND removed_at IS NULL FOR UPDATE`, siteID).Scan(&name); err != nil {
			return err // no row: broker.ErrNotFound
		}
		// The heartbeat job stays locked until the end, so that it cannot begin to run meanwhile.
		var every *int64
		var next *time.Time
		var now time.Time
		err := l.row(`WITH beat AS (SELECT every_us, run_at FROM job WHERE kind = $1 AND target = $2 AND only_one AND state IN ('pending', 'running') FOR UPDATE)
			SELECT now(), (SELECT every_us FROM beat), (SELECT run_at FROM beat)`, broker.KindHeartbeat, strconv.Itoa(siteID)).Scan(&now, &every, &next)
		if err != nil {
			return err
		}
		if status, _, why := toSchedule(every, next).Judge(now); status == broker.StatusRunning {
			return fmt.Errorf("%w: broker %q (site id %d) is running: %s; only a stopped or unavailable broker can be removed", broker.ErrConflict, name, siteID, why)
		}
		if err := stopHeartbeat(l, siteID, "the broker was removed"); err != nil {
			return err
		}
		// What still runs there goes back when its lease has run out, and must not wait for it.
		if moved, err = reassign(l, siteID, 0, `state IN ('pending', 'running')`); err != nil {
			return err
		}
		if _, err := l.exec(`UPDATE broker SET removed_at = now(), epoch = epoch + 1 WHERE site_id = $1`, siteID); err != nil {
			return err
		}
		return appendLog(l, log)
	})
	return moved, err
}

// toSchedule is a broker's heartbeat job as the queue has it, if it has one.
func toSchedule(every *int64, next *time.Time) broker.Schedule {
	if every == nil || next == nil {
		return broker.Schedule{}
	}
	return broker.Schedule{Exists: true, Every: time.Duration(*every) * time.Microsecond, Next: next.UTC()}
}

// Brokers implements broker.Store.
func (s *Store) Brokers(ctx context.Context) ([]broker.NodeStatus, error) {
	var list []broker.NodeStatus
	err := s.ask(ctx, "list brokers", func(l link) error {
		list = nil
		return l.each(`SELECT b.site_id, b.name, b.datacenter, b.version, b.uuid, b.ip, b.mac, b.host, b.cpus, b.load_average, b.busy, b.steal, b.carries, b.clock_off_us, b.fingerprint, b.epoch, b.booted_at, b.heartbeat_at,
				now(), b.stopped_at IS NOT NULL, b.reported_at, b.report, j.every_us, j.run_at
			FROM broker b LEFT JOIN job j ON j.kind = $1 AND j.target = b.site_id::text AND j.only_one AND j.state IN ('pending', 'running')
			WHERE b.removed_at IS NULL ORDER BY b.site_id`, func(r pgx.Row) error {
			var n broker.NodeStatus
			var now time.Time
			var reported, next *time.Time
			var every *int64
			var off int64
			err := r.Scan(&n.SiteID, &n.Name, &n.Datacenter, &n.Version, &n.UUID, &n.IP, &n.MAC, &n.Host, &n.Load.CPUs, &n.Load.Average, &n.Load.Busy, &n.Load.Steal, &n.Carries, &off, &n.Fingerprint, &n.Epoch, &n.Booted, &n.Heartbeat,
				&now, &n.Stopped, &reported, &n.Report, &every, &next)
			n.Booted, n.Heartbeat, n.LastHeartbeat, n.NextHeartbeat = n.Booted.UTC(), n.Heartbeat.UTC(), maybe(reported), maybe(next)
			n.ClockOff = micros(off)
			n.Judge(toSchedule(every, next), now)
			list = append(list, n)
			return err
		}, broker.KindHeartbeat)
	})
	return list, err
}
