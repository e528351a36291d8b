package outage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
)

// copyState is what node.db remembers of its copy of the leases as a whole.
type copyState struct {
	Of     string             `json:"of"`     // the cluster that they are of
	Cursor broker.LeaseCursor `json:"cursor"` // how far the copy has come
	Run    int64              `json:"run"`    // how often it was made anew
	Synced time.Time          `json:"synced"` // when the copy last had all that the database has
	Full   time.Time          `json:"full"`   // when it was last made anew
}

// Names under which node.db remembers the copy, and what a broker needs besides to serve from it.
const (
	keptLeases  = "leases"
	keptSetup   = "setup"
	keptBrokers = "brokers"
	keptBlocks  = "blocks"
)

// keptVersion is a setup with its version.
type keptVersion struct {
	Version int64        `json:"version"`
	Setup   broker.Setup `json:"setup"`
}

// putLease writes one that is new or has changed: most of those that come again are as they were.
const putLease = `INSERT INTO lease (directory, user, kind, desktop, client, recorded_at, expires_at, run, lease) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT DO UPDATE SET recorded_at = excluded.recorded_at, expires_at = excluded.expires_at, run = excluded.run, lease = excluded.lease
	WHERE run <> excluded.run OR lease.lease <> excluded.lease OR lease.expires_at <> excluded.expires_at`

// putLeases takes a page of changes; with it goes how far the copy has come.
func (n *node) putLeases(ctx context.Context, page []broker.Lease, state copyState, now time.Time) error {
	kept, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("copy leases: %w", err)
	}
	texts := make([][]byte, len(page))
	for i := range page {
		if texts[i], err = json.Marshal(page[i]); err != nil {
			return fmt.Errorf("copy leases: %w", err)
		}
	}
	err = n.write(ctx, func(ctx context.Context, tx nodeTx) error {
		put, err := tx.PrepareContext(ctx, putLease)
		if err != nil {
			return err
		}
		defer put.Close()
		for i, l := range page {
			if l.Usable(now) {
				_, err = put.ExecContext(ctx, l.Directory, l.User, l.Kind, l.Desktop, l.Client, l.Recorded.UnixMilli(), l.Expires.UnixMilli(), state.Run, texts[i])
			} else {
				_, err = tx.ExecContext(ctx, `DELETE FROM lease WHERE (directory, user, kind, desktop, client) = (?, ?, ?, ?, ?)`,
					l.Directory, l.User, l.Kind, l.Desktop, l.Client)
			}
			if err != nil {
				return err
			}
		}
		return putKept(ctx, tx, keptLeases, kept)
	}, nil)
	if err != nil {
		return fmt.Errorf("copy leases: %w", err)
	}
	return nil
}

// endLeases ends a synchronisation: what is over goes, and in a copy that was made anew, what did not come.
func (n *node) endLeases(ctx context.Context, state copyState, anew bool, now time.Time) error {
	kept, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("copy leases: %w", err)
	}
	err = n.write(ctx, func(ctx context.Context, tx nodeTx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM lease WHERE expires_at <= ? OR ? AND run <> ?`, now.UnixMilli(), anew, state.Run); err != nil {
			return err
		}
		return putKept(ctx, tx, keptLeases, kept)
	}, nil)
	if err != nil {
		return fmt.Errorf("copy leases: %w", err)
	}
	return nil
}

// countLeases counts those that are not over; unreadable ones, too.
func (n *node) countLeases(ctx context.Context, now time.Time) (held int, err error) {
	if err := n.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM lease WHERE expires_at > ?`, now.UnixMilli()).Scan(&held); err != nil {
		return 0, fmt.Errorf("count leases: %w", err)
	}
	return held, nil
}

const leaseRow = `SELECT directory, user, kind, desktop, client, expires_at, lease FROM lease WHERE expires_at > ?1`

// eachLease reads leases; one that cannot be read goes to broken, and the others go on.
func (n *node) eachLease(ctx context.Context, query string, good func(broker.Lease) bool, broken func(error), args ...any) error {
	rows, err := n.query(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read leases: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key broker.Lease
		var expires int64
		var text []byte
		if err := rows.Scan(&key.Directory, &key.User, &key.Kind, &key.Desktop, &key.Client, &expires, &text); err != nil {
			return fmt.Errorf("read leases: %w", err)
		}
		l, err := readLease(key, time.UnixMilli(expires), text)
		if err != nil {
			broken(fmt.Errorf("%s lease of %s in %s: %w", key.Kind, key.User, key.Directory, err))
			continue
		}
		if !good(l) {
			break
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read leases: %w", err)
	}
	return nil
}

// maxLease bounds what is read of one lease: a user with a thousand desktops needs less.
const maxLease = 1 << 20

// readLease reads the text of a lease; its key says whose it is and for how long it counts.
func readLease(key broker.Lease, expires time.Time, text []byte) (l broker.Lease, err error) {
	if len(text) > maxLease {
		return l, fmt.Errorf("it is %d bytes long", len(text))
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, err
	}
	if l.Who != key.Who || l.Kind != key.Kind || l.Desktop != key.Desktop || l.Client != key.Client {
		return l, errors.New("it is another one than its key says")
	}
	for _, d := range l.Desktops {
		if d.ID == "" || d.Name == "" || d.Host == "" || d.Port < 1 || d.Port > 65535 {
			return l, fmt.Errorf("desktop %q cannot be reached by it", d.Name)
		}
	}
	if l.Kind == broker.LeaseLaunch && (len(l.Desktops) != 1 || l.Desktops[0].ID != l.Desktop) {
		return l, errors.New("it does not say where its desktop is")
	}
	l.Expires = expires
	return l, nil
}

// leasesOf lists what counts for a user, the newest first; broken ones are left out.
func (n *node) leasesOf(ctx context.Context, who broker.Who, now time.Time, broken func(error)) (list []broker.Lease, err error) {
	err = n.eachLease(ctx, leaseRow+` AND directory = ?2 AND user = ?3 ORDER BY recorded_at DESC, kind DESC, desktop, client`,
		func(l broker.Lease) bool { list = append(list, l); return true }, broken, now.UnixMilli(), who.Directory, who.User)
	return list, err
}

// passedOn says whether somebody else has connected to a desktop as his own since then.
func (n *node) passedOn(ctx context.Context, desktop string, who broker.Who, since time.Time) (yes bool, err error) {
	err = n.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM lease WHERE kind = 'launch' AND desktop = ? AND recorded_at > ? AND (directory, user) <> (?, ?))`,
		desktop, since.UnixMilli(), who.Directory, who.User).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("read leases: %w", err)
	}
	return yes, nil
}
