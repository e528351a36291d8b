package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// StartTargets implements broker.Store.
func (s *Store) StartTargets(ctx context.Context, ids []string) (out []broker.StartTarget, err error) {
	err = s.ask(ctx, "find desktops to start", func(l link) error {
		out = nil
		return l.each(`SELECT d.id, d.name, d.host, d.port, d.external_id, d.mac, COALESCE(p.name, ''), d.center, `+aliveSQL+`,
				EXTRACT(EPOCH FROM now() - s.asked_at)::float8, EXTRACT(EPOCH FROM now() - s.called_at)::float8,
				EXTRACT(EPOCH FROM now() - s.failed_at)::float8, COALESCE(s.error, '')
			FROM unnest($1::uuid[]) WITH ORDINALITY AS i (id, ord) JOIN desktop d ON d.id = i.id AND d.deleted_at IS NULL
			LEFT JOIN desktop_pool p ON p.id = d.pool_id AND p.deleted_at IS NULL LEFT JOIN desktop_start s ON s.desktop_id = d.id ORDER BY i.ord`, func(r pgx.Row) error {
			var x broker.StartTarget
			var asked, called, failed *float64
			var why string
			err := r.Scan(&x.ID, &x.Name, &x.Host, &x.Port, &x.Key, &x.MAC, &x.Pool, &x.Center, &x.Alive, &asked, &called, &failed, &why)
			if asked != nil {
				x.Start = &broker.StartState{Asked: ago(asked), Called: ago(called), Failed: ago(failed), Error: why}
			}
			out = append(out, x)
			return err
		}, ids)
	})
	return out, err
}

// ago is negative for what has not happened.
func ago(seconds *float64) time.Duration {
	if seconds == nil {
		return -1
	}
	return max(0, time.Duration(*seconds*float64(time.Second)))
}

// RecordStart implements broker.Store.
func (s *Store) RecordStart(ctx context.Context, desktop string, e broker.StartEvent, why string) error {
	query, args := "", []any{desktop}
	switch e {
	case broker.StartAsked:
		query = `INSERT INTO desktop_start (desktop_id, asked_at) VALUES ($1::uuid, now())
			ON CONFLICT (desktop_id) DO UPDATE SET asked_at = now(), called_at = NULL, failed_at = NULL, error = ''`
	case broker.StartCalled:
		query = `UPDATE desktop_start SET called_at = now() WHERE desktop_id = $1::uuid`
	case broker.StartFailed:
		query, args = `UPDATE desktop_start SET failed_at = now(), error = $2 WHERE desktop_id = $1::uuid`, append(args, why)
	case broker.StartUp:
		query = `WITH up AS (DELETE FROM desktop_start WHERE desktop_id = $1::uuid) UPDATE desktop SET running = true WHERE id = $1::uuid AND NOT running`
	default:
		return fmt.Errorf("record start: unknown step %q", e)
	}
	return s.once(ctx, "record start", func(l link) error {
		_, err := l.exec(query, args...)
		return err
	})
}

// DropClaim implements broker.Store.
func (s *Store) DropClaim(ctx context.Context, desktop string, who broker.Who) error {
	return s.once(ctx, "drop claim", func(l link) error {
		_, err := l.exec(`UPDATE desktop SET `+freeSQL+` WHERE id = $1::uuid AND claim_directory = $2 AND claim_user = $3 AND claim_used_at IS NULL`,
			desktop, who.Directory, who.User)
		return err
	})
}
