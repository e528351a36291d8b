package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"switchpoint/broker"
)

// heardSQL is the condition of an agent whose desktop is on.
const heardSQL = `a.seen_at > ` + nowSQL + ` - 60000` // broker.AgentFresh

// aliveSQL says of desktop d whether its agent is heard of; usedBefore begins, and usedClaim is, the condition
// of a desktop on which its agent sees somebody.
const (
	aliveSQL   = `EXISTS (SELECT 1 FROM agent a WHERE a.desktop_id = d.id AND ` + heardSQL + `)`
	usedBefore = `EXISTS (SELECT 1 FROM agent a WHERE a.session_count > 0 AND ` + heardSQL + ` AND a.desktop_id = `
	usedClaim  = usedBefore + `c.desktop_id)`
)

// AddEnrolToken implements broker.Store.
func (s *Store) AddEnrolToken(ctx context.Context, e broker.EnrolToken, log broker.LogRow) error {
	return s.write(ctx, "add enrolment token", func(t txn) error {
		var desktop, pool sql.NullString
		query, name, id := `SELECT id FROM desktop WHERE name = ? AND deleted_at IS NULL`, e.Desktop, &desktop
		if e.Pool != "" {
			query, name, id = `SELECT id FROM desktop_pool WHERE name = ? AND deleted_at IS NULL`, e.Pool, &pool
		}
		if err := t.row(query, name).Scan(id); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM agent_token WHERE expires_at <= ?`, t.now); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO agent_token (hash, desktop_id, pool_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?)`,
			e.Hash[:], desktop, pool, t.now, t.now+e.Life.Milliseconds()); err != nil {
			return err
		}
		return appendLog(t, log)
	})
}

// EnrolAgent implements broker.Store.
func (s *Store) EnrolAgent(ctx context.Context, e broker.Enrolment) (out broker.AgentDesktop, err error) {
	err = s.write(ctx, "enrol agent", func(t txn) error {
		err := t.row(`SELECT d.id, d.name FROM agent_token k JOIN desktop d ON d.deleted_at IS NULL
			AND (d.id = k.desktop_id OR d.pool_id = k.pool_id AND (lower(d.name) = lower(?2) OR lower(d.host) = lower(?2)))
			LEFT JOIN agent a ON a.desktop_id = d.id
			WHERE k.hash = ?1 AND k.expires_at > ?3 AND k.used_at IS NULL AND (k.desktop_id IS NOT NULL OR a.enrolled_at IS NULL OR a.enrolled_at < k.created_at)
			ORDER BY lower(d.name) = lower(?2) DESC LIMIT 1`, e.TokenHash[:], e.Desktop, t.now).Scan(&out.ID, &out.Name)
		if err != nil {
			return err
		}
		hash := e.KeyHash(out.ID)
		if _, err := t.exec(`INSERT INTO agent (desktop_id, key_hash, enrolled_at) VALUES (?, ?, ?)
			ON CONFLICT (desktop_id) DO UPDATE SET key_hash = excluded.key_hash, enrolled_at = excluded.enrolled_at`, out.ID, hash[:], t.now); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE agent_token SET used_at = ? WHERE hash = ? AND desktop_id IS NOT NULL`, t.now, e.TokenHash[:]); err != nil {
			return err
		}
		e.Log.Desktop = out.Name
		return appendLog(t, e.Log)
	})
	return out, err
}

// AgentBeats implements broker.Store. One statement takes the batch, for the keys that are right; the
// others find nothing to do as long as nobody comes or goes.
func (s *Store) AgentBeats(ctx context.Context, beats []broker.AgentBeat) ([]broker.AgentOrders, error) {
	batch, err := broker.BeatRows(beats)
	if err != nil {
		return nil, fmt.Errorf("record heartbeats: %w", err)
	}
	known := make(map[string]broker.AgentOrders, len(beats)) // by desktop: only one key is right
	var right map[string][32]byte
	err = s.write(ctx, "record heartbeats", func(t txn) error {
		text, keys, err := takeBeats(t, batch)
		if err != nil {
			return err
		}
		right = keys
		if err := afterBeats(t, text); err != nil {
			return err
		}
		return each(t, `SELECT b.value ->> 'id', d.reset_id, COALESCE(d.reset_at, ?1) FROM json_each(?2) b JOIN desktop d ON d.id = b.value ->> 'id'`, func(r *sql.Rows) error {
			var id string
			var asked int64
			o := broker.AgentOrders{Known: true}
			err := r.Scan(&id, &o.Reset, &asked)
			o.ResetAge = span(t.now - asked)
			known[id] = o
			return err
		}, t.now, text)
	})
	if err != nil {
		return nil, err
	}
	out := make([]broker.AgentOrders, len(beats))
	for i, b := range beats {
		if right[b.Desktop] == b.KeyHash {
			out[i] = known[b.Desktop]
		}
	}
	return out, nil
}

// takeBeats writes the reports of agents whose keys are right, and returns those reports and keys.
func takeBeats(t txn, batch []broker.BeatRow) (string, map[string][32]byte, error) {
	text, err := json.Marshal(batch)
	if err != nil {
		return "", nil, err
	}
	var taken []broker.BeatRow
	keys := make(map[string][32]byte)
	err = each(t, `UPDATE agent SET seen_at = ?1, address = b.value ->> 'address', version = b.value ->> 'version', load = b.value ->> 'load',
			sessions = b.value ->> 'sessions', session_count = b.value ->> 'n'
		FROM json_each(?2) b WHERE agent.desktop_id = b.value ->> 'id' AND agent.key_hash = unhex(b.value ->> 'hash')
			AND EXISTS (SELECT 1 FROM desktop d WHERE d.id = agent.desktop_id AND d.deleted_at IS NULL)
		RETURNING key_hash, desktop_id`, func(r *sql.Rows) error {
		var hash []byte
		var id string
		err := r.Scan(&hash, &id)
		keys[id] = [32]byte(hash)
		return err
	}, t.now, string(text))
	if err != nil {
		return "", nil, err
	}
	for _, b := range batch {
		if hash, ok := keys[b.ID]; ok && broker.HashText(hash) == b.Hash {
			taken = append(taken, b)
		}
	}
	text, err = json.Marshal(taken)
	return string(text), keys, err
}

// afterBeats is what reports change of desktops and claims.
func afterBeats(t txn, beats string) error {
	for _, query := range []string{
		`UPDATE desktop SET running = 1 FROM json_each(?2) b WHERE desktop.id = b.value ->> 'id' AND running = 0`,
		`UPDATE desktop SET reset_state = '', reset_id = '', reset_at = NULL, reset_until = NULL FROM json_each(?2) b
			WHERE desktop.id = b.value ->> 'id' AND reset_id <> '' AND reset_id = b.value ->> 'done'`,
		`UPDATE claim SET used_at = ?1 FROM json_each(?2) b WHERE claim.desktop_id = b.value ->> 'id' AND used_at IS NULL
			AND EXISTS (SELECT 1 FROM json_each(b.value, '$.users') u WHERE u.value = claim.user)`,
		`UPDATE claim SET release_at = ?1 + p.release_ms FROM json_each(?2) b, desktop_pool p
			WHERE claim.desktop_id = b.value ->> 'id' AND b.value ->> 'n' = 0 AND used_at IS NOT NULL AND release_at IS NULL AND p.id = claim.pool_id`,
		`DELETE FROM claim WHERE release_at <= ?1 AND used_at IS NOT NULL AND desktop_id IN (SELECT b.value ->> 'id' FROM json_each(?2) b WHERE b.value ->> 'n' = 0)`,
	} {
		if _, err := t.exec(query, t.now, beats); err != nil {
			return err
		}
	}
	return nil
}

// Agents implements broker.Store.
func (s *Store) Agents(ctx context.Context, desktop string) (out []broker.AgentStatus, err error) {
	err = s.read(ctx, "list agents", func(t txn) error {
		return each(t, `SELECT d.name, COALESCE(p.name, ''), a.enrolled_at, a.seen_at, `+heardSQL+`, a.version, a.address, a.load, a.sessions, d.reset_state
			FROM agent a JOIN desktop d ON d.id = a.desktop_id AND d.deleted_at IS NULL LEFT JOIN desktop_pool p ON p.id = d.pool_id
			WHERE ?1 = '' OR d.name = ?1 ORDER BY d.name`, func(r *sql.Rows) error {
			var a broker.AgentStatus
			var enrolled, seen int64
			var sessions []byte
			if err := r.Scan(&a.Desktop, &a.Pool, &enrolled, &seen, &a.Fresh, &a.Version, &a.Address, &a.Load, &sessions, &a.Reset); err != nil {
				return err
			}
			a.Enrolled = moment(enrolled)
			if seen > 0 {
				a.Seen = moment(seen)
			}
			if err := json.Unmarshal(sessions, &a.Sessions); err != nil {
				return fmt.Errorf("sessions of %s: %w", a.Desktop, err)
			}
			out = append(out, a)
			return nil
		}, desktop)
	})
	return out, err
}
