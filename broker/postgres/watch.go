package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// HoldForReset implements broker.Store.
func (s *Store) HoldForReset(ctx context.Context, names []string, reset string, wait time.Duration, log broker.LogRow) (n int, err error) {
	err = s.write(ctx, "hold desktops for a reset", func(l link) error {
		if err := alone(l); err != nil { // or a new setup, which changes desktops in another order, may wait for this one
			return err
		}
		n, err = l.exec(`UPDATE desktop SET reset_state = 'awaited', reset_id = $1, reset_at = now(), reset_until = now() + $2::bigint`+microSQL+`
			WHERE deleted_at IS NULL AND name = ANY ($3::text[])`, reset, wait.Microseconds(), names)
		if err != nil {
			return err
		}
		return appendLog(l, log)
	})
	return n, err
}

// ClearDesktop implements broker.Store.
func (s *Store) ClearDesktop(ctx context.Context, name string, log broker.LogRow) error {
	return s.write(ctx, "clear desktop", func(l link) error {
		n, err := l.exec(`UPDATE desktop SET reset_state = '', reset_id = '', reset_at = NULL, reset_until = NULL
			WHERE deleted_at IS NULL AND name = $1 AND reset_state <> ''`, name)
		if err == nil && n == 0 {
			err = broker.ErrNotFound
		}
		if err != nil {
			return err
		}
		return appendLog(l, log)
	})
}

// ifFree are the desktops of a condition that no user is changing: whoever watches comes again in a minute. SKIP
// LOCKED is not enough against those that change many: where a desktop has changed since the statement began and is
// being changed again, the server waits for it all the same. So a watcher is alone too.
func ifFree(from, where string) string {
	return `d.id IN (SELECT d.id FROM ` + from + ` WHERE ` + where + ` ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED)`
}

// SweepDesktops implements broker.Store.
func (s *Store) SweepDesktops(ctx context.Context) (out broker.DesktopSweep, err error) {
	err = s.write(ctx, "sweep desktops", func(l link) (err error) {
		if err := alone(l); err != nil {
			return err
		}
		if out.Quarantined, err = l.exec(`UPDATE desktop d SET reset_state = 'quarantined' WHERE ` + ifFree(`desktop d`, `d.reset_state = 'awaited' AND d.reset_until <= now()`)); err != nil {
			return err
		}
		out.Silent, err = l.exec(`UPDATE desktop d SET running = false WHERE ` + ifFree(`desktop d JOIN agent g ON g.desktop_id = d.id`, `d.running AND NOT (`+heardSQL+`)`))
		return err
	})
	return out, err
}

// UnwatchedClaims implements broker.Store.
func (s *Store) UnwatchedClaims(ctx context.Context, after string, limit int) (out []broker.UnwatchedClaim, err error) {
	err = s.ask(ctx, "list unwatched claims", func(l link) error {
		out = nil
		return l.each(`SELECT d.id, d.host, d.port FROM desktop d WHERE d.claimed_at IS NOT NULL AND ($1::uuid IS NULL OR d.id > $1::uuid)
			AND NOT `+aliveSQL+` ORDER BY d.id LIMIT $2`, func(r pgx.Row) error {
			var u broker.UnwatchedClaim
			err := r.Scan(&u.ID, &u.Host, &u.Port)
			out = append(out, u)
			return err
		}, orNull(after), limit)
	})
	return out, err
}

// RecordProbes implements broker.Store.
func (s *Store) RecordProbes(ctx context.Context, answer, silent []string, patience time.Duration) (ended int, err error) {
	err = s.write(ctx, "record probes", func(l link) error {
		if err := alone(l); err != nil {
			return err
		}
		if _, err := l.exec(`UPDATE desktop d SET unseen_since = NULL WHERE `+ifFree(`desktop d`, `d.unseen_since IS NOT NULL AND d.id = ANY ($1::uuid[])`), answer); err != nil {
			return err
		}
		if _, err := l.exec(`UPDATE desktop d SET unseen_since = now() WHERE `+ifFree(`desktop d`, `d.unseen_since IS NULL AND d.claim_user IS NOT NULL AND d.id = ANY ($1::uuid[])`), silent); err != nil {
			return err
		}
		ended, err = l.exec(`UPDATE desktop d SET release_at = now() + p.release_us`+microSQL+` FROM desktop_pool p WHERE p.id = d.claim_pool
			AND `+ifFree(`desktop d`, `d.release_at IS NULL AND d.unseen_since <= now() - $2::bigint`+microSQL+` AND d.id = ANY ($1::uuid[])`), silent, patience.Microseconds())
		return err
	})
	return ended, err
}
