package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"switchpoint/broker"
)

// runningSQL is the condition of a session that counts.
const runningSQL = `ended_at IS NULL AND expires_at > now()`

const sessionSQL = `SELECT id, directory, user_name, site_id, client_addr, client_name, grants, created_at, expires_at, idle_us
	FROM session WHERE ` + runningSQL + ` AND `

// Session implements broker.Store.
func (s *Store) Session(ctx context.Context, tokenHash [32]byte) (broker.Session, error) {
	var out broker.Session
	err := s.ask(ctx, "find session", func(l link) (err error) {
		out, err = readSession(l, `token_hash = $1`, tokenHash[:])
		return err
	})
	return out, err
}

// readSession finds one running session.
func readSession(l link, where string, arg any) (broker.Session, error) {
	var s broker.Session
	var grants []byte
	var idle int64
	err := l.row(sessionSQL+where, arg).
		Scan(&s.ID, &s.Directory, &s.User, &s.SiteID, &s.ClientAddr, &s.ClientName, &grants, &s.Created, &s.Expires, &idle)
	if err != nil {
		return broker.Session{}, err
	}
	s.Created, s.Expires, s.Idle = s.Created.UTC(), s.Expires.UTC(), time.Duration(idle)*time.Microsecond
	if err := json.Unmarshal(grants, &s.Grants); err != nil {
		return broker.Session{}, fmt.Errorf("grants of session %s: %w", s.ID, err)
	}
	return s, nil
}

// TouchSession implements broker.Store. It takes no lock where there is nothing to write.
func (s *Store) TouchSession(ctx context.Context, sessionID string, every time.Duration) error {
	return s.once(ctx, "prolong session", func(l link) error {
		_, err := l.exec(`UPDATE session SET expires_at = LEAST(ends_at, now() + idle_us`+microSQL+`) WHERE id = $1::uuid AND idle_us > 0
			AND `+runningSQL+` AND expires_at < LEAST(ends_at, now() + (idle_us - $2::bigint)`+microSQL+`)`, sessionID, every.Microseconds())
		return err
	})
}

// Logout implements broker.Store. A claim ends at once, or when the release delay of its pool is over. The claims are looked for after the session is locked: a connect
// that was faster has left its claim, and one that comes later finds the session ended.
func (s *Store) Logout(ctx context.Context, sessionID string, log broker.LogRow) (released int, err error) {
	err = s.write(ctx, "log out", func(l link) error {
		n, err := l.exec(`UPDATE session SET ended_at = now() WHERE id = $1::uuid AND `+runningSQL, sessionID)
		if err != nil {
			return err
		}
		if n == 0 {
			return broker.ErrNotFound
		}
		if released, err = release(l, sessionID); err != nil {
			return err
		}
		return appendLog(l, log)
	})
	return released, err
}

// release ends the claims of a session, at once or when the delay of their pool is over.
func release(l link, sessionID string) (released int, err error) {
	later, err := l.exec(`UPDATE desktop d SET release_at = now() + p.release_us`+microSQL+` FROM desktop_pool p
		WHERE d.claim_session = $1::uuid AND p.id = d.claim_pool AND (p.release_us > 0 OR `+inUse+`)`, sessionID)
	if err != nil {
		return 0, err
	}
	released, err = l.exec(`UPDATE desktop SET `+freeSQL+` WHERE claim_session = $1::uuid AND release_at IS NULL`, sessionID)
	return released + later, err
}
