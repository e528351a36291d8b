package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"switchpoint/broker"
)

// candidateSQL reads desktops with what a client needs to reach them. An assigned desktop may stand
// in no pool, and a claimed one in a pool that has gone.
const candidateSQL = `SELECT d.id, d.name, COALESCE(p.name, ''), COALESCE(p.kind, 'assigned'), d.host, d.port, d.protocol, COALESCE(p.check_kind, 'dial'), d.state,
	` + aliveSQL + `
	FROM desktop d LEFT JOIN desktop_pool p ON p.id = d.pool_id AND p.deleted_at IS NULL `

type scanner interface{ Scan(...any) error }

// scanCandidate reads a row of candidateSQL; a desktop in maintenance is ErrMaintenance.
func scanCandidate(r scanner) (broker.Candidate, error) {
	var c broker.Candidate
	var state string
	if err := r.Scan(&c.ID, &c.Name, &c.Pool, &c.Kind, &c.Host, &c.Port, &c.Protocol, &c.Check, &state, &c.Alive); err != nil {
		return c, err
	}
	if state == "maintenance" {
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
		p, err := findPool(t, `id = ?`, offer.Pool)
		if err != nil {
			return err
		}
		picked, err := p.pick(t, session, limit)
		if err != nil {
			return err
		}
		for _, id := range picked {
			c, err := scanCandidate(t.row(candidateSQL+`WHERE d.id = ?`, id))
			if err != nil {
				return err
			}
			c.Pool = p.name
			out = append(out, c)
		}
		if len(out) == 0 {
			return broker.ErrNoDesktop
		}
		return nil
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
			WHERE d.id = ? AND `+live+` AND a.directory = ? AND a.user = ?`, offer.Desktop, s.Directory, s.User))
	}
	p, err := findPool(t, `id = ?`, offer.Pool)
	if err != nil {
		return broker.Candidate{}, notFound(err)
	}
	granted := false
	for _, g := range s.Grants {
		granted = granted || g.Pool == p.name && offer.Slot <= g.MaxOffers
	}
	if !granted {
		return broker.Candidate{}, broker.ErrNotFound
	}
	c, err := scanCandidate(t.row(candidateSQL+`JOIN claim c ON c.desktop_id = d.id
		WHERE c.directory = ? AND c.user = ? AND c.pool_id = ? AND c.slot = ? AND d.deleted_at IS NULL`, s.Directory, s.User, offer.Pool, offer.Slot))
	c.Claimed, c.Pool, c.Kind = err == nil, p.name, broker.KindPooled
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
			if err := comesBack(t, r.Session, out.ID); err != nil {
				return err
			}
			if _, err := t.exec(`UPDATE claim SET session_id = ?, release_at = NULL, used_at = NULL, unseen_since = NULL WHERE desktop_id = ?`, r.Session.ID, out.ID); err != nil {
				return err
			}
		}
		if r.Key != "" {
			k := idemKey{scope: r.Session.ID, key: r.Key, mac: []byte(r.Offer.String()), session: r.Session.ID, desktop: out.ID, life: r.KeyLife}
			if err := k.insert(t); err != nil {
				return err
			}
		}
		if r.Offer.Desktop != "" && r.Lease.Life > 0 {
			if err := recordLeases(t, r); err != nil {
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

// claim takes one free desktop of the pool or its backup for the user: the one that r names, or the
// first in the order of his policy. The transaction is the only writer, and the primary key of claim
// stands behind it.
func claim(t txn, r broker.ConnectRecord) (broker.Candidate, error) {
	p, err := findPool(t, `id = ?`, r.Offer.Pool)
	if err != nil {
		return broker.Candidate{}, notFound(err)
	}
	if err := withinLimit(t, r.Session); err != nil {
		return broker.Candidate{}, err
	}
	picked := []string{r.Desktop}
	if r.Desktop == "" {
		if picked, err = p.pick(t, r.Session, 1); err != nil {
			return broker.Candidate{}, err
		}
		if len(picked) == 0 {
			return broker.Candidate{}, broker.ErrNoDesktop
		}
	}
	n, err := t.exec(`INSERT INTO claim (desktop_id, pool_id, slot, directory, user, session_id, claimed_at)
		SELECT d.id, ?, ?, ?, ?, ?, ? FROM desktop d WHERE d.id = ? AND d.pool_id IN (?, ?) AND `+free,
		p.id, r.Offer.Slot, r.Session.Directory, r.Session.User, r.Session.ID, t.now, picked[0], p.id, p.backup)
	if err == nil && n == 0 {
		err = broker.ErrConflict
	}
	if err != nil {
		return broker.Candidate{}, err
	}
	if _, err := t.exec(`INSERT OR REPLACE INTO last_use (directory, user, pool_id, desktop_id) VALUES (?, ?, ?, ?)`,
		r.Session.Directory, r.Session.User, p.id, picked[0]); err != nil {
		return broker.Candidate{}, err
	}
	c, err := scanCandidate(t.row(candidateSQL+`WHERE d.id = ?`, picked[0]))
	c.Claimed, c.Pool = true, p.name
	return c, err
}

// comesBack looks at a desktop that waited for its release, and counts again now.
func comesBack(t txn, s broker.Session, desktop string) error {
	var waited bool
	if err := t.row(`SELECT release_at IS NOT NULL FROM claim WHERE desktop_id = ?`, desktop).Scan(&waited); err != nil || !waited {
		return err
	}
	return withinLimit(t, s)
}

// withinLimit looks at the pooled desktops that the user holds; those that only wait for their
// release do not count.
func withinLimit(t txn, s broker.Session) error {
	limit := s.MaxSessions()
	if limit == 0 {
		return nil
	}
	var held int
	if err := t.row(`SELECT COUNT(*) FROM claim WHERE directory = ? AND user = ? AND release_at IS NULL`, s.Directory, s.User).Scan(&held); err != nil {
		return err
	}
	if held >= limit {
		return fmt.Errorf("%w: user holds %d of %d", broker.ErrSessionLimit, held, limit)
	}
	return nil
}
