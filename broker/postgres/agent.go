package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// heardSQL is the condition of an agent whose desktop is on; aliveSQL says so of desktop d, and inUse that
// its agent sees somebody on it.
const (
	heardSQL = `g.seen_at > now() - interval '60 seconds'` // broker.AgentFresh
	aliveSQL = `EXISTS (SELECT FROM agent g WHERE g.desktop_id = d.id AND ` + heardSQL + `)`
	inUse    = `EXISTS (SELECT FROM agent g WHERE g.desktop_id = d.id AND g.session_count > 0 AND ` + heardSQL + `)`
)

// AddEnrolToken implements broker.Store.
func (s *Store) AddEnrolToken(ctx context.Context, e broker.EnrolToken, log broker.LogRow) error {
	return s.write(ctx, "add enrolment token", func(l link) error {
		if _, err := l.exec(`DELETE FROM agent_token WHERE expires_at <= now()`); err != nil {
			return err
		}
		table, column, name := "desktop", "desktop_id", e.Desktop
		if e.Pool != "" {
			table, column, name = "desktop_pool", "pool_id", e.Pool
		}
		n, err := l.exec(`INSERT INTO agent_token (hash, `+column+`, created_at, expires_at)
			SELECT $1, id, now(), now() + $2::bigint`+microSQL+` FROM `+table+` WHERE name = $3 AND deleted_at IS NULL`, e.Hash[:], e.Life.Microseconds(), name)
		if err == nil && n == 0 {
			err = broker.ErrNotFound
		}
		if err != nil {
			return err
		}
		return appendLog(l, log)
	})
}

// EnrolAgent implements broker.Store. The row of the token makes two enrolments with it follow each other.
func (s *Store) EnrolAgent(ctx context.Context, e broker.Enrolment) (out broker.AgentDesktop, err error) {
	err = s.write(ctx, "enrol agent", func(l link) error {
		out = broker.AgentDesktop{}
		if err := l.row(`SELECT '' FROM agent_token WHERE hash = $1 AND expires_at > now() AND used_at IS NULL FOR UPDATE`, e.TokenHash[:]).Scan(&out.ID); err != nil {
			return err
		}
		err := l.row(`SELECT d.id, d.name FROM agent_token k JOIN desktop d ON d.deleted_at IS NULL
			AND (d.id = k.desktop_id OR d.pool_id = k.pool_id AND lower($2) IN (lower(d.name), lower(d.host)))
			LEFT JOIN agent g ON g.desktop_id = d.id
			WHERE k.hash = $1 AND (k.desktop_id IS NOT NULL OR g.enrolled_at IS NULL OR g.enrolled_at < k.created_at)
			ORDER BY lower(d.name) = lower($2) DESC LIMIT 1`, e.TokenHash[:], e.Desktop).Scan(&out.ID, &out.Name)
		if err != nil {
			return err
		}
		hash := e.KeyHash(out.ID)
		if _, err := l.exec(`INSERT INTO agent (desktop_id, key_hash, enrolled_at) VALUES ($1::uuid, $2, now())
			ON CONFLICT (desktop_id) DO UPDATE SET key_hash = excluded.key_hash, enrolled_at = excluded.enrolled_at`, out.ID, hash[:]); err != nil {
			return err
		}
		if _, err := l.exec(`UPDATE agent_token SET used_at = now() WHERE hash = $1 AND desktop_id IS NOT NULL`, e.TokenHash[:]); err != nil {
			return err
		}
		row := e.Log
		row.Desktop = out.Name
		return appendLog(l, row)
	})
	return out, err
}

// beatsSQL takes a batch of heartbeats ($1 as JSON) of agents whose keys are right. A row of a desktop is
// written only when somebody came or went, when it was not known to be on, or when its reset is done.
const beatsSQL = `WITH beat AS MATERIALIZED (
	SELECT id, decode(hash, 'hex') AS hash, address, version, load, sessions, n, users, done
	FROM jsonb_to_recordset($1::text::jsonb) AS b (id uuid, hash text, address text, version text, load float8, sessions text, n integer, users text[], done text)
), known AS (
	UPDATE agent g SET seen_at = now(), address = b.address, version = b.version, load = b.load, sessions = b.sessions, session_count = b.n
	FROM beat b JOIN desktop d ON d.id = b.id AND d.deleted_at IS NULL WHERE g.desktop_id = b.id AND g.key_hash = b.hash
	RETURNING b.id, b.hash, b.n, b.users, b.done
), facts AS MATERIALIZED (
	SELECT d.id, k.hash, d.claim_user = ANY (k.users) AND d.claim_used_at IS NULL AS used,
		k.n = 0 AND d.claim_used_at IS NOT NULL AS over, d.reset_id <> '' AND d.reset_id = k.done AS clean, d.running, d.release_at,
		p.release_us, d.reset_id, EXTRACT(EPOCH FROM now() - d.reset_at) AS reset_age
	FROM known k JOIN desktop d ON d.id = k.id LEFT JOIN desktop_pool p ON p.id = d.claim_pool
), changed AS (
	UPDATE desktop d SET running = true,
		claim_used_at = CASE WHEN f.used AND d.claim_user IS NOT NULL THEN now() ELSE d.claim_used_at END,
		release_at = CASE WHEN f.over AND d.claim_used_at IS NOT NULL THEN COALESCE(d.release_at, now() + f.release_us` + microSQL + `) ELSE d.release_at END,
		reset_state = CASE WHEN f.clean THEN '' ELSE d.reset_state END, reset_id = CASE WHEN f.clean THEN '' ELSE d.reset_id END,
		reset_at = CASE WHEN f.clean THEN NULL ELSE d.reset_at END, reset_until = CASE WHEN f.clean THEN NULL ELSE d.reset_until END
	FROM facts f WHERE d.id = f.id AND (f.used OR f.clean OR NOT f.running OR f.over AND f.release_at IS NULL)
)
SELECT f.id, f.hash, CASE WHEN f.clean THEN '' ELSE f.reset_id END, COALESCE(f.reset_age, 0)::float8,
	COALESCE(f.over AND (f.release_at <= now() OR f.release_at IS NULL AND f.release_us = 0), false) FROM facts f`

// beatKey tells reports apart.
type beatKey struct {
	desktop string
	hash    [32]byte
}

// AgentBeats implements broker.Store: one statement, and a second one when claims have ended.
func (s *Store) AgentBeats(ctx context.Context, beats []broker.AgentBeat) ([]broker.AgentOrders, error) {
	batch, err := broker.BeatRows(beats)
	if err != nil {
		return nil, fmt.Errorf("record heartbeats: %w", err)
	}
	known := make(map[beatKey]broker.AgentOrders, len(beats))
	var over []string
	err = s.once(ctx, "record heartbeats", func(l link) error {
		over = nil
		return l.each(beatsSQL, func(r pgx.Row) error {
			var id string
			var hash []byte
			var age float64
			var left bool
			o := broker.AgentOrders{Known: true}
			err := r.Scan(&id, &hash, &o.Reset, &age, &left)
			o.ResetAge = time.Duration(age * float64(time.Second))
			known[beatKey{id, [32]byte(hash)}] = o
			if left {
				over = append(over, id)
			}
			return err
		}, asJSON(batch))
	})
	if err == nil && len(over) > 0 { // what fails here is done with the next heartbeat
		err = s.once(ctx, "release desktops", func(l link) error {
			_, err := l.exec(`UPDATE desktop SET `+freeSQL+` WHERE id IN (SELECT d.id FROM desktop d
				WHERE d.id = ANY ($1::uuid[]) AND d.claim_used_at IS NOT NULL AND d.release_at <= now() FOR NO KEY UPDATE)`, over)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	out := make([]broker.AgentOrders, len(beats))
	for i, b := range beats {
		out[i] = known[beatKey{b.Desktop, b.KeyHash}]
	}
	return out, nil
}

// Agents implements broker.Store.
func (s *Store) Agents(ctx context.Context, desktop string) (out []broker.AgentStatus, err error) {
	err = s.ask(ctx, "list agents", func(l link) error {
		out = nil
		return l.each(`SELECT d.name, COALESCE(p.name, ''), g.enrolled_at, NULLIF(g.seen_at, '-infinity'), `+heardSQL+`, g.version, g.address, g.load, g.sessions, d.reset_state
			FROM agent g JOIN desktop d ON d.id = g.desktop_id AND d.deleted_at IS NULL LEFT JOIN desktop_pool p ON p.id = d.pool_id
			WHERE $1 IN ('', d.name) ORDER BY d.name COLLATE "C"`, func(r pgx.Row) error {
			var a broker.AgentStatus
			var seen *time.Time
			var sessions []byte
			if err := r.Scan(&a.Desktop, &a.Pool, &a.Enrolled, &seen, &a.Fresh, &a.Version, &a.Address, &a.Load, &sessions, &a.Reset); err != nil {
				return err
			}
			a.Enrolled = a.Enrolled.UTC()
			if seen != nil {
				a.Seen = seen.UTC()
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
