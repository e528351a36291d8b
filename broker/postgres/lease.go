package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// A connect to a desktop of the user's own records its leases (LS1) in its own statement: the ids of the
// launch and of the enumeration are $21 and $22, the grants $23, the client $24. A lease that says the same
// and has between $25 and $26 to go is not even locked; $27 is the life of one that is written. Nobody
// waits in a circle: whoever writes leases of a user takes the enumeration first.
const (
	leaseKey = `directory, user_name, kind, desktop, client_name`
	// leaseDesktopSQL is a broker.LeaseDesktop.
	leaseDesktopSQL = `json_build_object('id', d.id, 'name', d.name, 'pool', d.pool, 'host', d.host, 'port', d.port, 'protocol', d.protocol,
		'check', d.check_kind, 'state', d.state)`
	leaseStale = `(old.removed_at IS NOT NULL OR old.desktops <> excluded.desktops OR old.grants <> excluded.grants
		OR old.expires_at NOT BETWEEN now() + $25::bigint` + microSQL + ` AND now() + $26::bigint` + microSQL + `)`
	// connectKnown comes before the pick: all desktops of the user's own.
	connectKnown  = `own AS MATERIALIZED (SELECT ` + desktopColumns + `, ` + ownPool + `, a.position` + ownFrom + `), `
	connectLeases = `, said AS MATERIALIZED (
	SELECT json_agg(doc ORDER BY position, name)::text AS every, json_agg(doc) FILTER (WHERE id = $3::uuid)::text AS one
	FROM (SELECT d.id, d.name, d.position, ` + leaseDesktopSQL + ` AS doc FROM own AS d) AS docs
), due AS MATERIALIZED (
	SELECT v.id, v.kind, v.desktop, v.client_name, v.grants, CASE v.kind WHEN 'launch' THEN said.one ELSE said.every END AS desktops
	FROM step, said, (VALUES ($22::uuid, 'enumeration', '', '', $23::text), ($21::uuid, 'launch', $3::uuid::text, $24::text, '[]')) AS v (id, kind, desktop, client_name, grants)
	WHERE step.act
), leased AS (
	INSERT INTO lease AS old (id, ` + leaseKey + `, desktops, grants, recorded_at, expires_at, changed_at)
	SELECT id, $1::text, $2::text, kind, desktop, client_name, desktops, grants, now(), now() + $27::bigint` + microSQL + `, now()
	FROM due AS excluded WHERE NOT EXISTS (SELECT FROM lease old WHERE old.directory = $1::text AND old.user_name = $2::text AND old.kind = excluded.kind
		AND old.desktop = excluded.desktop AND old.client_name = excluded.client_name AND NOT ` + leaseStale + `) ORDER BY kind
	ON CONFLICT (` + leaseKey + `) DO UPDATE SET id = excluded.id, desktops = excluded.desktops, grants = excluded.grants,
		recorded_at = excluded.recorded_at, expires_at = excluded.expires_at, removed_at = NULL, changed_at = excluded.changed_at
	WHERE ` + leaseStale + `
)`
)

// leaseArgs are the parameters of connectLeases.
func leaseArgs(r broker.ConnectRecord) ([]any, error) {
	grants, err := json.Marshal(append([]broker.Grant{}, r.Session.Grants...)) // no grants are [], not null
	if err != nil {
		return nil, fmt.Errorf("grants of session %s: %w", r.Session.ID, err)
	}
	least, most := r.Lease.Keeps()
	ids := newIDs(2)
	return []any{ids[0], ids[1], string(grants), r.Lease.Client, least.Microseconds(), most.Microseconds(), r.Lease.Life.Microseconds()}, nil
}

// leaseColumns are those that takeLease reads.
const leaseColumns = `id, ` + leaseKey + `, desktops, grants, recorded_at, expires_at, removed_at, changed_at`

// takeLease reads a row of leaseColumns.
func takeLease(row pgx.Row, to *broker.LeaseReader) error {
	var id string
	var l broker.Lease
	var desktops, grants []byte
	var removed *time.Time
	if err := row.Scan(&id, &l.Directory, &l.User, &l.Kind, &l.Desktop, &l.Client, &desktops, &grants, &l.Recorded, &l.Expires, &removed, &l.Changed); err != nil {
		return err
	}
	l.Recorded, l.Expires, l.Removed, l.Changed = l.Recorded.UTC(), l.Expires.UTC(), maybe(removed), l.Changed.UTC()
	to.Take(id, l, desktops, grants)
	return nil
}

// leaseWhere is the condition of f, but for f.Removed.
func leaseWhere(f broker.LeaseFilter) (where string, args []any) {
	where = `true`
	for _, w := range []struct{ condition, value string }{
		{`kind = $%d`, f.Kind}, {`directory = $%d`, f.Directory}, {`user_name = $%d`, f.User}, {`client_name = $%d`, f.Client},
		{`kind = 'launch' AND desktop IN (SELECT $%[1]d::text UNION ALL SELECT id::text FROM desktop WHERE name = $%[1]d::text)`, f.Desktop},
	} {
		if w.value != "" {
			args = append(args, w.value)
			where += fmt.Sprintf(` AND `+w.condition, len(args))
		}
	}
	return where, args
}

// leaseList lists what f picks.
func leaseList(f broker.LeaseFilter) (query string, args []any) {
	where, args := leaseWhere(f)
	if !f.Removed {
		where += ` AND removed_at IS NULL`
	}
	return fmt.Sprintf(`SELECT %s FROM lease WHERE %s ORDER BY %s LIMIT %d`, leaseColumns, where, leaseKey, f.Limit()), args
}

// leaseRemove marks what f picks.
func leaseRemove(f broker.LeaseFilter) (query string, args []any) {
	where, args := leaseWhere(f)
	return `UPDATE lease SET removed_at = now(), changed_at = now() WHERE (` + leaseKey + `) IN (
		SELECT ` + leaseKey + ` FROM lease WHERE removed_at IS NULL AND ` + where + ` ORDER BY ` + leaseKey + ` FOR UPDATE)`, args
}

// Leases implements broker.Store.
func (s *Store) Leases(ctx context.Context, f broker.LeaseFilter) ([]broker.Lease, error) {
	query, args := leaseList(f)
	var out broker.LeaseReader
	err := s.ask(ctx, "list leases", func(l link) error {
		out = broker.LeaseReader{}
		return l.each(query, func(r pgx.Row) error { return takeLease(r, &out) }, args...)
	})
	out.Tell(s.log)
	return out.List, err
}

// RemoveLeases implements broker.Store. The rows stay, so that all brokers read that they count no more.
func (s *Store) RemoveLeases(ctx context.Context, f broker.LeaseFilter, log broker.LogRow) (removed int, err error) {
	query, args := leaseRemove(f)
	err = s.write(ctx, "remove leases", func(l link) (err error) {
		if removed, err = l.exec(query, args...); err != nil || removed == 0 || log.Ref == "" {
			return err
		}
		return appendLog(l, log)
	})
	return removed, err
}

// leasesAfter are the leases after a cursor ($1, $2), in the order of the index lease_changed.
const leasesAfter = `SELECT ` + leaseColumns + ` FROM lease WHERE (changed_at, id) > ($1::timestamptz, $2::uuid) ORDER BY changed_at, id LIMIT $3`

// firstKey is before all ids.
const firstKey = "00000000-0000-0000-0000-000000000000"

// LeasesAfter implements broker.Store.
func (s *Store) LeasesAfter(ctx context.Context, c broker.LeaseCursor, most int) (list []broker.Lease, next broker.LeaseCursor, err error) {
	out := broker.LeaseReader{Last: c}
	err = out.Fill(most, func(after broker.LeaseCursor, n int) error {
		begun := out
		return s.ask(ctx, "list leases by change", func(l link) error {
			out = begun // another attempt begins with it anew
			return l.each(leasesAfter, func(r pgx.Row) error { return takeLease(r, &out) }, after.Changed, cmp.Or(after.Key, firstKey), n)
		})
	})
	if err != nil {
		return nil, c, err
	}
	out.Tell(s.log)
	return out.List, out.Last, nil
}
