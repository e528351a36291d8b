package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
)

// MergeActs implements broker.MergeStore.
func (s *Store) MergeActs(ctx context.Context, acts []broker.Act) error {
	return s.write(ctx, "merge acts", func(t txn) error {
		for i := range acts {
			if err := mergeAct(t, &acts[i]); err != nil {
				return fmt.Errorf("act %d, %s: %w", i, acts[i].Kind, err)
			}
		}
		return nil
	})
}

func mergeAct(t txn, a *broker.Act) error {
	at := min(a.At.UnixMilli(), t.now)
	switch a.Kind {
	case broker.ActSession:
		if err := mergeSession(t, a, at); err != nil {
			return err
		}
	case broker.ActConnect:
		return mergeConnect(t, a, at)
	case broker.ActOperator:
		return mergeOperator(t, a, at)
	case broker.ActUse:
		if _, err := t.exec(`UPDATE session SET expires_at = MAX(expires_at, MIN(ends_at, ? + idle_ms)) WHERE id = ? AND idle_ms > 0 AND ended_at IS NULL`,
			at, a.SessionID); err != nil {
			return err
		}
	case broker.ActLogout:
		if err := mergeEnded(t, a, at); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE session SET ended_at = ? WHERE id = ? AND ended_at IS NULL`, at, a.SessionID)
		if err != nil {
			return err
		}
		if n > 0 {
			if _, err := release(t, a.SessionID); err != nil {
				return err
			}
		}
	}
	_, err := writeLog(t, a.Log, at)
	return err
}

// mergeEnded notes the end of a session that another broker made and has not merged yet: it has ended
// already when that one does.
func mergeEnded(t txn, a *broker.Act, at int64) error {
	var r broker.LogRow
	if a.Log != nil {
		r = *a.Log
	}
	hash := broker.AdoptedHash(a.SessionID)
	_, err := t.exec(`INSERT INTO session (id, token_hash, directory, user, site_id, client_addr, client_name, grants, created_at, expires_at, ended_at, ends_at, idle_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, '[]', ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING`,
		a.SessionID, hash[:], r.Directory, r.User, r.SiteID, r.ClientAddr, r.ClientName, at, at, at, at)
	return err
}

func mergeSession(t txn, a *broker.Act, at int64) error {
	known, err := insertMerged(t, a, a.TokenHash, a.Ends, at)
	if err == nil && known {
		err = mergeWhole(t, a, at)
	}
	if err != nil || a.Key == "" {
		return err
	}
	_, err = t.exec(`INSERT INTO idempotency (scope, key, mac, session_id, redirect, desktop_id, expires_at) VALUES ('', ?, ?, ?, '', '', ?) ON CONFLICT DO NOTHING`,
		a.Key, a.KeyMAC, a.Session.ID, at+a.KeyLife.Milliseconds())
	return err
}

// insertMerged makes the session of an act, unless it is known. A clock that is ahead is ahead in all of
// the times.
func insertMerged(t txn, a *broker.Act, tokenHash []byte, ends time.Time, at int64) (known bool, err error) {
	n := a.Session
	if n == nil {
		return false, errors.New("it has no session")
	}
	grants, err := json.Marshal(n.Grants)
	if err != nil {
		return false, err
	}
	ahead := a.At.UnixMilli() - at
	made, err := t.exec(`INSERT INTO session (id, token_hash, directory, user, site_id, client_addr, client_name, grants, created_at, expires_at, ends_at, idle_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		n.ID, tokenHash, n.Directory, n.User, n.SiteID, n.ClientAddr, n.ClientName, string(grants), n.Created.UnixMilli()-ahead,
		n.Expires.UnixMilli()-ahead, ends.UnixMilli()-ahead, n.Idle.Milliseconds())
	return made == 0, err
}

// mergeWhole completes a session that came first with what another broker knew of it.
func mergeWhole(t txn, a *broker.Act, at int64) error {
	n, hash := a.Session, broker.AdoptedHash(a.Session.ID)
	if bytes.Equal(hash[:], a.TokenHash) {
		return nil
	}
	grants, err := json.Marshal(n.Grants)
	if err != nil {
		return err
	}
	ahead := a.At.UnixMilli() - at
	_, err = t.exec(`UPDATE session SET token_hash = ?, directory = ?, user = ?, site_id = ?, client_addr = ?, client_name = ?, grants = ?, created_at = ?,
		expires_at = MAX(expires_at, ?), ends_at = ?, idle_ms = ? WHERE id = ? AND token_hash = ?`,
		a.TokenHash, n.Directory, n.User, n.SiteID, n.ClientAddr, n.ClientName, string(grants), n.Created.UnixMilli()-ahead,
		n.Expires.UnixMilli()-ahead, a.Ends.UnixMilli()-ahead, n.Idle.Milliseconds(), n.ID, hash[:])
	return err
}
