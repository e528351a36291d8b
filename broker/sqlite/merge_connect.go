package sqlite

import (
	"database/sql"
	"errors"

	"switchpoint/broker"
)

// mergeConnect brings in that a session was given a desktop.
func mergeConnect(t txn, a *broker.Act, at int64) error {
	if a.Session == nil {
		return errors.New("it has no session")
	}
	hash := broker.AdoptedHash(a.Session.ID)
	if _, err := insertMerged(t, a, hash[:], a.Session.Expires.Add(broker.AdoptedLife), at); err != nil {
		return err
	}
	fresh, err := writeLog(t, a.Log, at)
	if err != nil {
		return err
	}
	if a.Key != "" {
		n, err := t.exec(`INSERT INTO idempotency (scope, key, mac, session_id, redirect, desktop_id, expires_at) VALUES (?, ?, ?, ?, '', ?, ?) ON CONFLICT DO NOTHING`,
			a.Session.ID, a.Key, []byte(a.Offer.String()), a.Session.ID, a.Desktop, at+a.KeyLife.Milliseconds())
		if err != nil {
			return err
		}
		fresh = fresh || a.Log == nil && n > 0
	}
	if !fresh || a.Offer.Desktop != "" { // his own desktop has no claim
		return nil
	}
	found, err := claimFound(t, a)
	if err != nil {
		return err
	}
	step, err := found.Merge(a)
	if err != nil || step == broker.ClaimLeave {
		return err
	}
	if err := takeMerged(t, a, at, found); err != nil || step != broker.ClaimRelease {
		return err
	}
	_, err = release(t, a.Session.ID)
	return err
}

func claimFound(t txn, a *broker.Act) (broker.ClaimFound, error) {
	var f broker.ClaimFound
	var since int64
	err := t.row(`SELECT s.ended_at IS NOT NULL, d.name, d.deleted_at IS NOT NULL, d.reset_state <> '', COALESCE(c.directory, ''), COALESCE(c.user, ''),
			COALESCE(c.session_id, ''), COALESCE(h.created_at, ?1), COALESCE((SELECT x.name FROM claim o JOIN desktop x ON x.id = o.desktop_id
				WHERE o.directory = s.directory AND o.user = s.user AND o.pool_id = ?4 AND o.slot = ?5 AND o.desktop_id <> d.id), '')
		FROM session s JOIN desktop d ON d.id = ?3 LEFT JOIN claim c ON c.desktop_id = d.id LEFT JOIN session h ON h.id = c.session_id WHERE s.id = ?2`,
		t.now, a.Session.ID, a.Desktop, a.Offer.Pool, a.Offer.Slot).
		Scan(&f.Ended, &f.Desktop, &f.Gone, &f.Resetting, &f.Holder.Directory, &f.Holder.User, &f.Session, &since, &f.Instead)
	if errors.Is(err, sql.ErrNoRows) { // rows of desktops are kept: it is one of another database
		return broker.ClaimFound{Desktop: a.Desktop, Gone: true}, nil
	}
	f.Since = moment(since)
	return f, err
}

// takeMerged makes the session the holder of the desktop, which is its user's or free.
func takeMerged(t txn, a *broker.Act, at int64, found broker.ClaimFound) error {
	if found.Session != "" {
		_, err := t.exec(`UPDATE claim SET session_id = ?, release_at = NULL, used_at = NULL, unseen_since = NULL WHERE desktop_id = ?`, a.Session.ID, a.Desktop)
		return err
	}
	_, err := t.exec(`INSERT INTO claim (desktop_id, pool_id, slot, directory, user, session_id, claimed_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		a.Desktop, a.Offer.Pool, a.Offer.Slot, a.Session.Directory, a.Session.User, a.Session.ID, at)
	return err
}
