package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"switchpoint/broker"
)

// candidateSQL reads desktops with what a client needs to reach them.
const candidateSQL = `SELECT d.id, d.name, p.name, p.kind, d.host, d.port, d.protocol, p.check_kind, d.state
	FROM desktop d JOIN desktop_pool p ON p.id = d.pool_id AND p.deleted_at IS NULL `

type scanner interface{ Scan(...any) error }

// scanCandidate reads a row of candidateSQL; a desktop in maintenance is ErrMaintenance.
func scanCandidate(r scanner) (broker.Candidate, error) {
	var c broker.Candidate
	var state string
	if err := r.Scan(&c.ID, &c.Name, &c.Pool, &c.Kind, &c.Host, &c.Port, &c.Protocol, &c.Check, &state); err != nil {
		return c, err
	}
	if state != "enabled" {
		return c, broker.ErrMaintenance
	}
	return c, nil
}

// Candidates implements broker.Store.
func (s *Store) Candidates(ctx context.Context, session broker.Session, offer broker.OfferID, limit int) ([]broker.Candidate, error) {
	var out []broker.Candidate
	err := s.read(ctx, "find desktops", func(t txn) error {
		own, err := ownDesktop(t, session, offer)
		if err == nil {
			out = []broker.Candidate{own}
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) || offer.Desktop != "" {
			return err
		}
		err = each(t, candidateSQL+`WHERE d.pool_id = ? AND d.deleted_at IS NULL AND d.state = 'enabled'
			AND NOT EXISTS (SELECT 1 FROM claim c WHERE c.desktop_id = d.id) ORDER BY random() LIMIT ?`, func(r *sql.Rows) error {
			c, err := scanCandidate(r)
			out = append(out, c)
			return err
		}, offer.Pool, limit)
		if err == nil && len(out) == 0 {
			return broker.ErrNoDesktop
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ownDesktop finds the assigned desktop of an offer, or the pooled one that the user holds in
// its slot. sql.ErrNoRows means none; broker.ErrNotFound that the session has no such offer.
func ownDesktop(t txn, s broker.Session, offer broker.OfferID) (broker.Candidate, error) {
	if offer.Desktop != "" {
		return scanCandidate(t.row(candidateSQL+`JOIN assignment a ON a.desktop_id = d.id
			WHERE d.id = ? AND d.deleted_at IS NULL AND a.directory = ? AND a.user = ?`, offer.Desktop, s.Directory, s.User))
	}
	var pool string
	if err := t.row(`SELECT name FROM desktop_pool WHERE id = ? AND kind = 'pooled' AND deleted_at IS NULL`, offer.Pool).Scan(&pool); err != nil {
		return broker.Candidate{}, notFound(err)
	}
	granted := false
	for _, g := range s.Grants {
		granted = granted || g.Pool == pool && offer.Slot <= g.MaxOffers
	}
	if !granted {
		return broker.Candidate{}, broker.ErrNotFound
	}
	c, err := scanCandidate(t.row(candidateSQL+`JOIN claim c ON c.desktop_id = d.id
		WHERE c.directory = ? AND c.user = ? AND c.pool_id = ? AND c.slot = ? AND d.deleted_at IS NULL`, s.Directory, s.User, offer.Pool, offer.Slot))
	c.Claimed = err == nil
	return c, err
}

// notFound keeps "no row" apart where it means that the question itself was wrong.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return broker.ErrNotFound
	}
	return err
}

// Connect implements broker.Store.
func (s *Store) Connect(ctx context.Context, r broker.ConnectRecord) (broker.Candidate, error) {
	var out broker.Candidate
	err := s.write(ctx, "connect", func(t txn) error {
		if _, err := readSession(t, `id = ?`, r.Session.ID); err != nil {
			return err
		}
		given, err := keyedDesktop(t, r)
		if err != nil {
			return err
		}
		out, err = ownDesktop(t, r.Session, r.Offer)
		if errors.Is(err, sql.ErrNoRows) && r.Offer.Pool != "" {
			out, err = claim(t, r)
		}
		if err != nil || out.ID == given {
			return err
		}
		if out.Claimed { // the newest session of the user holds the desktop
			if _, err := t.exec(`UPDATE claim SET session_id = ? WHERE desktop_id = ?`, r.Session.ID, out.ID); err != nil {
				return err
			}
		}
		if r.Key != "" {
			k := idemKey{scope: r.Session.ID, key: r.Key, mac: []byte(r.Offer.String()), session: r.Session.ID, desktop: out.ID, life: r.KeyLife}
			if err := k.insert(t); err != nil {
				return err
			}
		}
		r.Log.Desktop = out.Name
		return appendLog(t, r.Log)
	})
	if err != nil {
		return broker.Candidate{}, err
	}
	return out, nil
}

// keyedDesktop returns the desktop that the key was used for before, or "". When it is no longer
// the one that the offer leads to (the user gave it back meanwhile), the connect is a new one.
func keyedDesktop(t txn, r broker.ConnectRecord) (string, error) {
	if r.Key == "" {
		return "", nil
	}
	k, err := findKey(t, r.Session.ID, r.Key)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", nil
	case err != nil:
		return "", err
	case string(k.mac) != r.Offer.String():
		return "", broker.ErrKeyReused
	}
	return k.desktop, nil
}

// claim takes one free desktop of the pool for the user: the one that r names, or any. The
// transaction is the only writer, and the primary key of claim stands behind it.
func claim(t txn, r broker.ConnectRecord) (broker.Candidate, error) {
	var id string
	err := t.row(`INSERT INTO claim (desktop_id, pool_id, slot, directory, user, session_id, claimed_at)
		SELECT d.id, d.pool_id, ?, ?, ?, ?, ? FROM desktop d
		WHERE d.pool_id = ? AND d.deleted_at IS NULL AND d.state = 'enabled' AND (? = '' OR d.id = ?)
			AND NOT EXISTS (SELECT 1 FROM claim c WHERE c.desktop_id = d.id)
		ORDER BY d.position LIMIT 1 RETURNING desktop_id`,
		r.Offer.Slot, r.Session.Directory, r.Session.User, r.Session.ID, t.now, r.Offer.Pool, r.Desktop, r.Desktop).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows) && r.Desktop != "":
		return broker.Candidate{}, broker.ErrConflict
	case errors.Is(err, sql.ErrNoRows):
		return broker.Candidate{}, broker.ErrNoDesktop
	case err != nil:
		return broker.Candidate{}, err
	}
	c, err := scanCandidate(t.row(candidateSQL+`WHERE d.id = ?`, id))
	c.Claimed = true
	return c, err
}
