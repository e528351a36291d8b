package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// Many acts are one statement of each kind: their rows travel as JSON. at is the broker's clock, which
// may be ahead of the server's: then all times of the act are moved back by as much.
const (
	mergeSessionsSQL = `INSERT INTO session (id, token_hash, directory, user_name, site_id, client_addr, client_name, grants, created_at, expires_at, ends_at, idle_us)
	SELECT a.id, decode(a.token_hash, 'hex'), a.directory, a.user_name, a.site_id, a.client_addr, a.client_name, a.grants,
		a.created - a.ahead, a.expires - a.ahead, a.ends - a.ahead, a.idle_us
	FROM (SELECT *, GREATEST(at - now(), interval '0') AS ahead FROM jsonb_to_recordset($1::jsonb) AS r (at timestamptz, id uuid, token_hash text, directory text,
		user_name text, site_id integer, client_addr text, client_name text, grants text, created timestamptz, expires timestamptz, ends timestamptz, idle_us bigint)) AS a
	ON CONFLICT DO NOTHING`
	mergeKeysSQL = `INSERT INTO idempotency (scope, key, mac, session_id, redirect, expires_at)
	SELECT '', key, decode(mac, 'hex'), id, '', LEAST(at, now()) + key_us` + microSQL + `
	FROM jsonb_to_recordset($1::jsonb) AS r (at timestamptz, id uuid, key text, mac text, key_us bigint) WHERE key <> '' ON CONFLICT DO NOTHING`
	mergeUsesSQL = `UPDATE session s SET expires_at = GREATEST(s.expires_at, LEAST(s.ends_at, r.used + s.idle_us` + microSQL + `))
	FROM (SELECT id, LEAST(max(at), now()) AS used FROM jsonb_to_recordset($1::jsonb) AS r (at timestamptz, id uuid) GROUP BY id) AS r
	WHERE s.id = r.id AND s.idle_us > 0 AND s.ended_at IS NULL`
	// A session that another broker made, and has not merged yet, has ended already when it does.
	mergeEndedSQL = `INSERT INTO session (id, token_hash, directory, user_name, site_id, client_addr, client_name, grants, created_at, expires_at, ended_at, ends_at, idle_us)
	SELECT id, sha256(convert_to('ended session ' || id::text, 'UTF8')), directory, user_name, site_id, client_addr, client_name, '[]', now(), now(), now(), now(), 0
	FROM jsonb_to_recordset($1::jsonb) AS r (id uuid, directory text, user_name text, site_id integer, client_addr text, client_name text) ON CONFLICT DO NOTHING`
	mergeLogoutsSQL = `UPDATE session s SET ended_at = LEAST(r.at, now()) FROM jsonb_to_recordset($1::jsonb) AS r (at timestamptz, id uuid)
	WHERE s.id = r.id AND s.ended_at IS NULL RETURNING s.id::text`
	mergeLogSQL = `INSERT INTO log (` + logColumns + `)
	SELECT id, LEAST(at, now()), ref, kind, code, directory, user_name, client_addr, client_name, site_id, session_id, desktop, duration_us, reason
	FROM jsonb_to_recordset($1::jsonb) AS r (at timestamptz, id uuid, ref text, kind text, code text, directory text, user_name text, client_addr text,
		client_name text, site_id integer, session_id uuid, desktop text, duration_us bigint, reason text) ON CONFLICT DO NOTHING`
)

// mergedRow is an act as the statements above read it; each takes what it needs.
type mergedRow struct {
	At         time.Time  `json:"at"`
	ID         string     `json:"id"`
	TokenHash  string     `json:"token_hash,omitempty"`
	Directory  string     `json:"directory"`
	User       string     `json:"user_name"`
	SiteID     int        `json:"site_id"`
	ClientAddr string     `json:"client_addr"`
	ClientName string     `json:"client_name"`
	Grants     string     `json:"grants,omitempty"`
	Created    *time.Time `json:"created,omitempty"`
	Expires    *time.Time `json:"expires,omitempty"`
	Ends       *time.Time `json:"ends,omitempty"`
	Idle       int64      `json:"idle_us"`
	Key        string     `json:"key"`
	MAC        string     `json:"mac,omitempty"`
	KeyLife    int64      `json:"key_us"`
	Ref        string     `json:"ref"`
	Kind       string     `json:"kind"`
	Code       string     `json:"code"`
	SessionID  *string    `json:"session_id"`
	Desktop    string     `json:"desktop"`
	Duration   int64      `json:"duration_us"`
	Reason     string     `json:"reason"`
}

// merged sorts acts into the rows of the statements.
type merged struct{ sessions, uses, logouts, log []mergedRow }

var errNoSession = errors.New("it has no session")

// MergeActs implements broker.MergeStore.
func (s *Store) MergeActs(ctx context.Context, acts []broker.Act) error {
	var m merged
	for i := range acts {
		if err := m.add(&acts[i]); err != nil {
			return fmt.Errorf("merge acts: act %d, %s: %w", i, acts[i].Kind, err)
		}
	}
	return s.write(ctx, "merge acts", m.write)
}

func (m *merged) add(a *broker.Act) error {
	switch a.Kind {
	case broker.ActSession:
		n := a.Session
		if n == nil {
			return errNoSession
		}
		grants, err := json.Marshal(n.Grants)
		if err != nil {
			return err
		}
		m.sessions = append(m.sessions, mergedRow{
			At: a.At, ID: n.ID, TokenHash: fmt.Sprintf("%x", a.TokenHash), Directory: n.Directory, User: n.User, SiteID: n.SiteID,
			ClientAddr: n.ClientAddr, ClientName: n.ClientName, Grants: string(grants), Created: &n.Created, Expires: &n.Expires,
			Ends: &a.Ends, Idle: n.Idle.Microseconds(), Key: a.Key, MAC: fmt.Sprintf("%x", a.KeyMAC), KeyLife: a.KeyLife.Microseconds(),
		})
	case broker.ActUse:
		m.uses = append(m.uses, mergedRow{At: a.At, ID: a.SessionID})
	case broker.ActLogout:
		row := mergedRow{At: a.At, ID: a.SessionID}
		if r := a.Log; r != nil {
			row.Directory, row.User, row.SiteID, row.ClientAddr, row.ClientName = r.Directory, r.User, r.SiteID, r.ClientAddr, r.ClientName
		}
		m.logouts = append(m.logouts, row)
	}
	if r := a.Log; r != nil {
		row := mergedRow{
			At: a.At, ID: r.ID, Ref: r.Ref, Kind: r.Kind, Code: r.Code, Directory: r.Directory, User: r.User, ClientAddr: r.ClientAddr,
			ClientName: r.ClientName, SiteID: r.SiteID, Desktop: r.Desktop, Duration: r.Duration.Microseconds(), Reason: strings.Join(r.Reason, "\n"),
		}
		if r.Session != "" {
			row.SessionID = &r.Session
		}
		m.log = append(m.log, row)
	}
	return nil
}

// write brings everything in: a session before it is used and ended.
func (m *merged) write(l link) error {
	for _, step := range []struct {
		rows []mergedRow
		sql  string
	}{{m.sessions, mergeSessionsSQL}, {m.sessions, mergeKeysSQL}, {m.uses, mergeUsesSQL}, {m.log, mergeLogSQL}} {
		if len(step.rows) == 0 {
			continue
		}
		text, err := mergeText(step.rows)
		if err != nil {
			return err
		}
		if _, err := l.exec(step.sql, text); err != nil {
			return err
		}
	}
	return m.end(l)
}

// end ends the sessions that were ended, with their claims.
func (m *merged) end(l link) error {
	if len(m.logouts) == 0 {
		return nil
	}
	text, err := mergeText(m.logouts)
	if err != nil {
		return err
	}
	if _, err := l.exec(mergeEndedSQL, text); err != nil {
		return err
	}
	var ended []string
	err = l.each(mergeLogoutsSQL, func(row pgx.Row) error {
		var id string
		err := row.Scan(&id)
		ended = append(ended, id)
		return err
	}, text)
	for _, id := range ended {
		if err == nil {
			_, err = release(l, id)
		}
	}
	return err
}

// mergeText is the JSON of rows, of text that the server takes.
func mergeText(rows []mergedRow) (string, error) {
	for i := range rows {
		r := &rows[i]
		for _, text := range []*string{&r.User, &r.ClientAddr, &r.ClientName, &r.Desktop, &r.Reason} {
			*text = storable(*text)
		}
	}
	text, err := json.Marshal(rows)
	return string(text), err
}
