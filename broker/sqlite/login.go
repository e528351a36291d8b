package sqlite

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
)

// Login implements broker.Store.
func (s *Store) Login(ctx context.Context, r broker.LoginRecord) (broker.LoginOutcome, error) {
	var out broker.LoginOutcome
	err := s.write(ctx, "record login", func(t txn) error {
		var done bool
		var err error
		if out, done, err = replay(t, r); err != nil || done {
			return err
		}
		if r.NewSession == nil {
			out.Redirect = r.Redirect
		} else if err := insertSession(t, r, &out); err != nil {
			return err
		}
		if out.Session != nil || out.Redirect != "" {
			if err := spend(t, r.Ticket, r.TicketKeep); err != nil {
				return err
			}
		}
		if r.Key != "" && (out.Session != nil || out.Redirect != "") {
			k := idemKey{scope: "", key: r.Key, mac: r.KeyMAC[:], redirect: out.Redirect, life: r.KeyLife}
			if out.Session != nil {
				k.session = out.Session.ID
			}
			if err := k.insert(t); err != nil {
				return err
			}
		}
		if r.NewSession != nil && out.Session == nil {
			return appendLog(t, r.Log.Refused(r.NewSession.EmptyCode))
		}
		return appendLog(t, r.Log)
	})
	if err != nil {
		return broker.LoginOutcome{}, err
	}
	return out, nil
}

// replay looks for the outcome of an earlier login with the same key.
func replay(t txn, r broker.LoginRecord) (out broker.LoginOutcome, done bool, err error) {
	if r.Key == "" {
		return out, false, nil
	}
	k, err := findKey(t, "", r.Key)
	if errors.Is(err, sql.ErrNoRows) {
		return out, false, nil
	}
	if err != nil {
		return out, false, err
	}
	if !hmac.Equal(k.mac, r.KeyMAC[:]) {
		return out, false, broker.ErrKeyReused
	}
	out.Replayed = true
	if out.Redirect = k.redirect; out.Redirect != "" {
		return out, true, nil
	}
	session, err := readSession(t, `id = ?`, k.session)
	if errors.Is(err, sql.ErrNoRows) {
		return out, false, fmt.Errorf("the session of this idempotency key has ended: %w", broker.ErrNotFound)
	}
	if err != nil {
		return out, false, err
	}
	out.Session = &session
	out.Offers, err = offers(t, broker.OfferQuery{Who: session.Who, Grants: session.Grants})
	return out, true, err
}

// insertSession resolves the offers and makes the session, unless there is nothing to offer.
func insertSession(t txn, r broker.LoginRecord, out *broker.LoginOutcome) error {
	n := r.NewSession
	var err error
	out.Offers, err = offers(t, broker.OfferQuery{Who: n.Who, Grants: n.Grants})
	if err != nil || len(out.Offers) == 0 {
		return err
	}
	grants, err := json.Marshal(n.Grants)
	if err != nil {
		return err
	}
	session := n.Session
	expires := t.now + n.FirstExpiry().Milliseconds()
	session.Created, session.Expires = moment(t.now), moment(expires)
	_, err = t.exec(`INSERT INTO session (id, token_hash, directory, user, site_id, client_addr, client_name, grants, created_at, expires_at, ends_at, idle_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		n.ID, n.TokenHash[:], n.Directory, n.User, n.SiteID, n.ClientAddr, n.ClientName, string(grants), t.now, expires,
		t.now+n.Life.Milliseconds(), n.Idle.Milliseconds())
	out.Session = &session
	return err
}

// Session implements broker.Store.
func (s *Store) Session(ctx context.Context, tokenHash [32]byte) (broker.Session, error) {
	var out broker.Session
	err := s.read(ctx, "find session", func(t txn) (err error) {
		out, err = readSession(t, `token_hash = ?`, tokenHash[:])
		return err
	})
	return out, err
}

// readSession finds one running session.
func readSession(t txn, where string, arg any) (broker.Session, error) {
	var s broker.Session
	var grants []byte
	var created, expires, idle int64
	err := t.row(`SELECT id, directory, user, site_id, client_addr, client_name, grants, created_at, expires_at, idle_ms
		FROM session WHERE `+where+` AND ended_at IS NULL AND expires_at > ?`, arg, t.now).
		Scan(&s.ID, &s.Directory, &s.User, &s.SiteID, &s.ClientAddr, &s.ClientName, &grants, &created, &expires, &idle)
	if err != nil {
		return s, err
	}
	s.Created, s.Expires, s.Idle = moment(created), moment(expires), span(idle)
	if err := json.Unmarshal(grants, &s.Grants); err != nil {
		return s, fmt.Errorf("grants of session %s: %w", s.ID, err)
	}
	return s, nil
}

// TouchSession implements broker.Store. The question comes first, so that the one writer is not
// waited for where there is nothing to write.
func (s *Store) TouchSession(ctx context.Context, sessionID string, every time.Duration) error {
	const due = `id = ? AND idle_ms > 0 AND ended_at IS NULL AND expires_at > ? AND expires_at < MIN(ends_at, ? + idle_ms - ?)`
	var yes bool
	err := s.read(ctx, "look at session", func(t txn) error {
		return t.row(`SELECT EXISTS (SELECT 1 FROM session WHERE `+due+`)`, sessionID, t.now, t.now, every.Milliseconds()).Scan(&yes)
	})
	if err != nil || !yes {
		return err
	}
	return s.write(ctx, "prolong session", func(t txn) error {
		_, err := t.exec(`UPDATE session SET expires_at = MIN(ends_at, ? + idle_ms) WHERE `+due, t.now, sessionID, t.now, t.now, every.Milliseconds())
		return err
	})
}

// Logout implements broker.Store.
func (s *Store) Logout(ctx context.Context, sessionID string, log broker.LogRow) (released int, err error) {
	err = s.write(ctx, "log out", func(t txn) error {
		n, err := t.exec(`UPDATE session SET ended_at = ? WHERE id = ? AND ended_at IS NULL AND expires_at > ?`, t.now, sessionID, t.now)
		if err != nil {
			return err
		}
		if n == 0 {
			return broker.ErrNotFound
		}
		if released, err = release(t, sessionID); err != nil {
			return err
		}
		return appendLog(t, log)
	})
	return released, err
}

// release ends the claims of a session, at once or when the delay of their pool is over, and that of a
// desktop on which the agent sees somebody not before he has left.
func release(t txn, sessionID string) (int, error) {
	later, err := t.exec(`UPDATE claim SET release_at = ? + p.release_ms FROM desktop_pool p
		WHERE claim.session_id = ? AND p.id = claim.pool_id AND (p.release_ms > 0 OR `+usedBefore+`claim.desktop_id))`, t.now, sessionID)
	if err != nil {
		return 0, err
	}
	now, err := t.exec(`DELETE FROM claim WHERE session_id = ? AND release_at IS NULL`, sessionID)
	return now + later, err
}

// idemKey is a row of the table of idempotency keys.
type idemKey struct {
	scope, key string
	mac        []byte
	session    string
	redirect   string
	desktop    string
	life       time.Duration
}

func findKey(t txn, scope, key string) (idemKey, error) {
	k := idemKey{scope: scope, key: key}
	err := t.row(`SELECT mac, session_id, redirect, desktop_id FROM idempotency WHERE scope = ? AND key = ? AND expires_at > ?`,
		scope, key, t.now).Scan(&k.mac, &k.session, &k.redirect, &k.desktop)
	return k, err
}

// insert stores k over an expired row of the same key.
func (k idemKey) insert(t txn) error {
	_, err := t.exec(`INSERT OR REPLACE INTO idempotency (scope, key, mac, session_id, redirect, desktop_id, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, k.scope, k.key, k.mac, k.session, k.redirect, k.desktop, t.now+k.life.Milliseconds())
	return err
}
