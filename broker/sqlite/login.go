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
	expires := t.now + n.Life.Milliseconds()
	session.Created, session.Expires = moment(t.now), moment(expires)
	_, err = t.exec(`INSERT INTO session (id, token_hash, directory, user, site_id, client_addr, client_name, grants, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		n.ID, n.TokenHash[:], n.Directory, n.User, n.SiteID, n.ClientAddr, n.ClientName, string(grants), t.now, expires)
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
	var created, expires int64
	err := t.row(`SELECT id, directory, user, site_id, client_addr, client_name, grants, created_at, expires_at
		FROM session WHERE `+where+` AND ended_at IS NULL AND expires_at > ?`, arg, t.now).
		Scan(&s.ID, &s.Directory, &s.User, &s.SiteID, &s.ClientAddr, &s.ClientName, &grants, &created, &expires)
	if err != nil {
		return s, err
	}
	s.Created, s.Expires = moment(created), moment(expires)
	if err := json.Unmarshal(grants, &s.Grants); err != nil {
		return s, fmt.Errorf("grants of session %s: %w", s.ID, err)
	}
	return s, nil
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
		if released, err = t.exec(`DELETE FROM claim WHERE session_id = ?`, sessionID); err != nil {
			return err
		}
		return appendLog(t, log)
	})
	return released, err
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
