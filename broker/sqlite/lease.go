package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"github.com/google/uuid"

	"switchpoint/broker"
)

const (
	leaseKey     = `directory, user, kind, desktop, client_name`
	leaseColumns = `id, ` + leaseKey + `, desktops, grants, recorded_at, expires_at, removed_at, changed_at`
)

// leaseDesktopSQL selects a broker.LeaseDesktop; desktop d may stand in no pool, as with candidateSQL.
const leaseDesktopSQL = `SELECT d.id, d.name, COALESCE(p.name, ''), d.host, d.port, d.protocol, COALESCE(p.check_kind, 'dial'), d.state
	FROM assignment a JOIN desktop d ON d.id = a.desktop_id AND ` + live + ` LEFT JOIN desktop_pool p ON p.id = d.pool_id AND p.deleted_at IS NULL
	WHERE a.directory = ? AND a.user = ? ORDER BY a.position, d.name`

// recordLeases records what a connect to a desktop of the user's own leaves behind (LS1): its launch, and
// what the user may see.
func recordLeases(t txn, r broker.ConnectRecord) error {
	var all, one []broker.LeaseDesktop
	if err := each(t, leaseDesktopSQL, func(row *sql.Rows) error {
		var d broker.LeaseDesktop
		err := row.Scan(&d.ID, &d.Name, &d.Pool, &d.Host, &d.Port, &d.Protocol, &d.Check, &d.State)
		all = append(all, d)
		if d.ID == r.Offer.Desktop {
			one = append(one, d)
		}
		return err
	}, r.Session.Directory, r.Session.User); err != nil {
		return err
	}
	launch := broker.Lease{Kind: broker.LeaseLaunch, Who: r.Session.Who, Desktop: r.Offer.Desktop, Client: r.Lease.Client, Desktops: one}
	if err := recordLease(t, launch, r.Lease); err != nil {
		return err
	}
	return recordLease(t, broker.Lease{Kind: broker.LeaseEnumeration, Who: r.Session.Who, Desktops: all, Grants: r.Session.Grants}, r.Lease)
}

// leaseStands says whether there is a lease that need not be written again.
const leaseStands = `SELECT removed_at IS NULL AND desktops = ? AND grants = ? AND expires_at BETWEEN ? AND ? FROM lease
	WHERE directory = ? AND user = ? AND kind = ? AND desktop = ? AND client_name = ?`

// recordLease writes one lease, unless it stands there already with long enough to go.
func recordLease(t txn, n broker.Lease, terms broker.LeaseTerms) error {
	desktops, err := json.Marshal(n.Desktops)
	if err != nil {
		return err
	}
	grants, err := json.Marshal(append([]broker.Grant{}, n.Grants...)) // no grants are [], not null
	if err != nil {
		return err
	}
	least, most := terms.Keeps()
	var stands bool
	err = t.row(leaseStands, string(desktops), string(grants), t.now+least.Milliseconds(), t.now+most.Milliseconds(),
		n.Directory, n.User, n.Kind, n.Desktop, n.Client).Scan(&stands)
	if stands || err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = t.exec(`INSERT OR REPLACE INTO lease (`+leaseColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)`,
		uuid.Must(uuid.NewV7()).String(), n.Directory, n.User, n.Kind, n.Desktop, n.Client, string(desktops), string(grants),
		t.now, t.now+terms.Life.Milliseconds(), t.now)
	return err
}

// takeLease reads a row of leaseColumns.
func takeLease(row scanner, to *broker.LeaseReader) error {
	var id string
	var l broker.Lease
	var desktops, grants []byte
	var recorded, expires, changed int64
	var removed sql.NullInt64
	if err := row.Scan(&id, &l.Directory, &l.User, &l.Kind, &l.Desktop, &l.Client, &desktops, &grants, &recorded, &expires, &removed, &changed); err != nil {
		return err
	}
	l.Recorded, l.Expires, l.Removed, l.Changed = moment(recorded), moment(expires), maybe(removed), moment(changed)
	to.Take(id, l, desktops, grants)
	return nil
}

// leaseWhere is the condition of f, but for f.Removed.
func leaseWhere(f broker.LeaseFilter) (where string, args []any) {
	where = `1`
	for _, w := range []struct{ condition, value string }{
		{`kind = ?`, f.Kind}, {`directory = ?`, f.Directory}, {`user = ?`, f.User}, {`client_name = ?`, f.Client},
		{`kind = 'launch' AND desktop IN (SELECT ? UNION ALL SELECT id FROM desktop WHERE name = ?)`, f.Desktop},
	} {
		if w.value == "" {
			continue
		}
		where += ` AND ` + w.condition
		for range strings.Count(w.condition, "?") {
			args = append(args, w.value)
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
	return `SELECT ` + leaseColumns + ` FROM lease WHERE ` + where + ` ORDER BY ` + leaseKey + ` LIMIT ?`, append(args, f.Limit())
}

// Leases implements broker.Store.
func (s *Store) Leases(ctx context.Context, f broker.LeaseFilter) ([]broker.Lease, error) {
	query, args := leaseList(f)
	var out broker.LeaseReader
	err := s.read(ctx, "list leases", func(t txn) error {
		return each(t, query, func(r *sql.Rows) error { return takeLease(r, &out) }, args...)
	})
	out.Tell(s.log)
	return out.List, err
}

// RemoveLeases implements broker.Store. The rows stay, so that all brokers read that they count no more.
func (s *Store) RemoveLeases(ctx context.Context, f broker.LeaseFilter, log broker.LogRow) (removed int, err error) {
	where, args := leaseWhere(f)
	err = s.write(ctx, "remove leases", func(t txn) (err error) {
		removed, err = t.exec(`UPDATE lease SET removed_at = ?, changed_at = ? WHERE removed_at IS NULL AND `+where, append([]any{t.now, t.now}, args...)...)
		if err != nil || removed == 0 || log.Ref == "" {
			return err
		}
		return appendLog(t, log)
	})
	return removed, err
}

// leasesAfter are the leases after a cursor, in the order of the index lease_changed.
const leasesAfter = `SELECT ` + leaseColumns + ` FROM lease WHERE (changed_at, id) > (?, ?) ORDER BY changed_at, id LIMIT ?`

// LeasesAfter implements broker.Store.
func (s *Store) LeasesAfter(ctx context.Context, c broker.LeaseCursor, most int) (list []broker.Lease, next broker.LeaseCursor, err error) {
	out := broker.LeaseReader{Last: c}
	err = s.read(ctx, "list leases by change", func(t txn) error {
		return out.Fill(most, func(after broker.LeaseCursor, n int) error {
			return each(t, leasesAfter, func(r *sql.Rows) error { return takeLease(r, &out) }, after.Changed.UnixMilli(), after.Key, n)
		})
	})
	if err != nil {
		return nil, c, err
	}
	out.Tell(s.log)
	return out.List, out.Last, nil
}
