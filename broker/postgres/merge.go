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
	// A session that came first with what another broker knew of it is made whole by the one that made it.
	mergeWholeSQL = `UPDATE session s SET token_hash = decode(a.token_hash, 'hex'), directory = a.directory, user_name = a.user_name, site_id = a.site_id,
		client_addr = a.client_addr, client_name = a.client_name, grants = a.grants, created_at = a.created - a.ahead,
		expires_at = GREATEST(s.expires_at, a.expires - a.ahead), ends_at = a.ends - a.ahead, idle_us = a.idle_us
	FROM (SELECT *, GREATEST(at - now(), interval '0') AS ahead FROM jsonb_to_recordset($1::jsonb) AS r (at timestamptz, id uuid, token_hash text, adopted text, directory text,
		user_name text, site_id integer, client_addr text, client_name text, grants text, created timestamptz, expires timestamptz, ends timestamptz, idle_us bigint)) AS a
	WHERE s.id = a.id AND s.token_hash = decode(a.adopted, 'hex') AND a.token_hash <> a.adopted`
	mergeKeysSQL = `INSERT INTO idempotency (scope, key, mac, session_id, redirect, expires_at)
	SELECT '', key, decode(mac, 'hex'), id, '', LEAST(at, now()) + key_us` + microSQL + `
	FROM jsonb_to_recordset($1::jsonb) AS r (at timestamptz, id uuid, key text, mac text, key_us bigint) WHERE key <> '' ON CONFLICT DO NOTHING`
	mergeUsesSQL = `UPDATE session s SET expires_at = GREATEST(s.expires_at, LEAST(s.ends_at, r.used + s.idle_us` + microSQL + `))
	FROM (SELECT id, LEAST(max(at), now()) AS used FROM jsonb_to_recordset($1::jsonb) AS r (at timestamptz, id uuid) GROUP BY id) AS r
	WHERE s.id = r.id AND s.idle_us > 0 AND s.ended_at IS NULL`
	// A session that another broker made, and has not merged yet, has ended already when it does.
	mergeEndedSQL = `INSERT INTO session (id, token_hash, directory, user_name, site_id, client_addr, client_name, grants, created_at, expires_at, ended_at, ends_at, idle_us)
	SELECT id, decode(adopted, 'hex'), directory, user_name, site_id, client_addr, client_name, '[]', t, t, t, t, 0
	FROM (SELECT *, LEAST(at, now()) AS t FROM jsonb_to_recordset($1::jsonb) AS r (at timestamptz, id uuid, adopted text, directory text, user_name text, site_id integer,
		client_addr text, client_name text)) AS a ON CONFLICT DO NOTHING`
	mergeLogSQL = `INSERT INTO log (` + logColumns + `)
	SELECT id, LEAST(at, now()), ref, kind, code, directory, user_name, client_addr, client_name, site_id, session_id, desktop, duration_us, reason
	FROM jsonb_to_recordset($1::jsonb) AS r (at timestamptz, id uuid, ref text, kind text, code text, directory text, user_name text, client_addr text,
		client_name text, site_id integer, session_id uuid, desktop text, duration_us bigint, reason text) ON CONFLICT DO NOTHING RETURNING id::text`
)

// mergedRow is an act as the statements above read it; each takes what it needs.
type mergedRow struct {
	At         time.Time  `json:"at"`
	ID         string     `json:"id"`
	TokenHash  string     `json:"token_hash,omitempty"`
	Adopted    string     `json:"adopted,omitempty"` // broker.AdoptedHash
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

// merged sorts acts into the rows of the statements. What changes desktops keeps its order.
type merged struct {
	sessions, adopted, uses, ended, log []mergedRow
	ordered                             []*broker.Act
}

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
		row, err := sessionRow(a, a.TokenHash, a.Ends)
		if err != nil {
			return err
		}
		row.Key, row.MAC, row.KeyLife = a.Key, fmt.Sprintf("%x", a.KeyMAC), a.KeyLife.Microseconds()
		m.sessions = append(m.sessions, row)
	case broker.ActConnect:
		if a.Session == nil {
			return errNoSession
		}
		hash := broker.AdoptedHash(a.Session.ID)
		row, err := sessionRow(a, hash[:], a.Session.Expires.Add(broker.AdoptedLife))
		if err != nil {
			return err
		}
		m.adopted, m.ordered = append(m.adopted, row), append(m.ordered, a)
	case broker.ActUse:
		m.uses = append(m.uses, mergedRow{At: a.At, ID: a.SessionID})
	case broker.ActLogout:
		row := mergedRow{At: a.At, ID: a.SessionID, Adopted: fmt.Sprintf("%x", broker.AdoptedHash(a.SessionID))}
		if r := a.Log; r != nil {
			row.Directory, row.User, row.SiteID, row.ClientAddr, row.ClientName = r.Directory, r.User, r.SiteID, r.ClientAddr, r.ClientName
		}
		m.ended, m.ordered = append(m.ended, row), append(m.ordered, a)
	case broker.ActOperator:
		m.ordered = append(m.ordered, a)
		return nil // with its log row
	}
	if a.Log != nil {
		m.log = append(m.log, logRow(a))
	}
	return nil
}

func sessionRow(a *broker.Act, tokenHash []byte, ends time.Time) (mergedRow, error) {
	n := a.Session
	if n == nil {
		return mergedRow{}, errNoSession
	}
	grants, err := json.Marshal(n.Grants)
	return mergedRow{
		At: a.At, ID: n.ID, TokenHash: fmt.Sprintf("%x", tokenHash), Adopted: fmt.Sprintf("%x", broker.AdoptedHash(n.ID)), Directory: n.Directory, User: n.User,
		SiteID: n.SiteID, ClientAddr: n.ClientAddr, ClientName: n.ClientName, Grants: string(grants), Created: &n.Created, Expires: &n.Expires,
		Ends: &ends, Idle: n.Idle.Microseconds(),
	}, err
}

func logRow(a *broker.Act) mergedRow {
	r := a.Log
	row := mergedRow{
		At: a.At, ID: r.ID, Ref: r.Ref, Kind: r.Kind, Code: r.Code, Directory: r.Directory, User: r.User, ClientAddr: r.ClientAddr,
		ClientName: r.ClientName, SiteID: r.SiteID, Desktop: r.Desktop, Duration: r.Duration.Microseconds(), Reason: strings.Join(r.Reason, "\n"),
	}
	if r.Session != "" {
		row.SessionID = &r.Session
	}
	return row
}

// write brings everything in: a session before it is used, given a desktop and ended.
func (m *merged) write(l link) error {
	fresh := make(map[string]bool) // log rows that were not there
	for _, step := range []struct {
		rows []mergedRow
		sql  string
		ids  map[string]bool
	}{
		{m.sessions, mergeSessionsSQL, nil}, {m.sessions, mergeWholeSQL, nil}, {m.adopted, mergeSessionsSQL, nil}, {m.ended, mergeEndedSQL, nil},
		{m.sessions, mergeKeysSQL, nil}, {m.uses, mergeUsesSQL, nil}, {m.log, mergeLogSQL, fresh},
	} {
		if err := mergeRows(l, step.sql, step.rows, step.ids); err != nil {
			return err
		}
	}
	for _, a := range m.ordered {
		var err error
		switch a.Kind {
		case broker.ActLogout:
			err = mergeLogout(l, a)
		case broker.ActConnect:
			err = mergeConnect(l, a, a.Log != nil && fresh[a.Log.ID])
		case broker.ActOperator:
			err = mergeOperator(l, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mergeRows runs a statement for rows; ids takes what it returns.
func mergeRows(l link, sql string, rows []mergedRow, ids map[string]bool) error {
	if len(rows) == 0 {
		return nil
	}
	text, err := mergeText(rows)
	if err != nil {
		return err
	}
	if ids == nil {
		_, err = l.exec(sql, text)
		return err
	}
	return l.each(sql, func(row pgx.Row) error {
		var id string
		err := row.Scan(&id)
		ids[id] = true
		return err
	}, text)
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
