package outage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
)

// journal appends acts, in their order, and returns when they are on the disk. A session that began in
// an act is known here from then on, and one that ended is not any more.
func (n *node) journal(ctx context.Context, acts ...broker.Act) error {
	texts := make([][]byte, len(acts))
	for i := range acts {
		var err error
		if texts[i], err = json.Marshal(acts[i]); err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
	}
	err := n.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for i := range acts {
			if _, err := tx.ExecContext(ctx, `INSERT INTO journal (act) VALUES (?)`, texts[i]); err != nil {
				return err
			}
			if err := noteAct(ctx, tx, &acts[i]); err != nil {
				return err
			}
		}
		return nil
	}, func() { n.count.Add(int64(len(acts))) })
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// noteAct keeps the copies of sessions as the act leaves them.
func noteAct(ctx context.Context, tx *sql.Tx, a *broker.Act) error {
	switch a.Kind {
	case broker.ActSession:
		return keepSession(ctx, tx, a)
	case broker.ActLogout:
		return endSession(ctx, tx, a.SessionID)
	}
	return nil
}

// entry is an act in its place.
type entry struct {
	seq int64
	act broker.Act
}

// oldest lists the acts that have waited longest.
func (n *node) oldest(ctx context.Context, most int) ([]entry, error) {
	rows, err := n.db.QueryContext(ctx, `SELECT seq, act FROM journal ORDER BY seq LIMIT ?`, most)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer rows.Close()
	var list []entry
	for rows.Next() {
		var e entry
		var text []byte
		if err := rows.Scan(&e.seq, &text); err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		if err := json.Unmarshal(text, &e.act); err != nil {
			return nil, fmt.Errorf("read the journal: act %d: %w", e.seq, err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// drop forgets the acts up to seq: they are in the database.
func (n *node) drop(ctx context.Context, seq int64) error {
	var gone int64
	return n.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM journal WHERE seq <= ?`, seq)
		if err != nil {
			return err
		}
		gone, err = r.RowsAffected()
		return err
	}, func() { n.count.Add(-gone) })
}

// setAside keeps an act that the database does not take, with the reason.
func (n *node) setAside(ctx context.Context, e entry, why string) error {
	text, err := json.Marshal(e.act)
	if err != nil {
		return err
	}
	return n.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO refused (seq, act, why) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, e.seq, text, why)
		return err
	}, nil)
}

// refused counts the acts that were set aside.
func (n *node) refused(ctx context.Context) (count int, err error) {
	if err := n.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM refused`).Scan(&count); err != nil {
		return 0, fmt.Errorf("count the acts set aside: %w", err)
	}
	return count, nil
}

// unmerged is how many acts the journal holds.
func (n *node) unmerged() int { return int(n.count.Load()) }

func keepSession(ctx context.Context, tx *sql.Tx, a *broker.Act) error {
	kept := *a
	kept.Log = nil
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO session (token_hash, id, session, ends_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		a.TokenHash, a.Session.ID, text, a.Ends.UnixMilli())
	return err
}

func endSession(ctx context.Context, tx *sql.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `UPDATE session SET over = 1 WHERE id = ?`, id)
	return err
}

// session finds the copy of a session that runs, as the act that began it. ErrNotFound.
func (n *node) session(ctx context.Context, tokenHash [32]byte, now time.Time) (broker.Act, error) {
	var text []byte
	err := n.db.QueryRowContext(ctx, `SELECT session FROM session WHERE token_hash = ? AND over = 0 AND ends_at > ?`, tokenHash[:], now.UnixMilli()).Scan(&text)
	var a broker.Act
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return a, broker.ErrNotFound
	case err != nil:
		return a, fmt.Errorf("find the copy of a session: %w", err)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("read the copy of a session: %w", err)
	}
	return a, nil
}

// copySession keeps a session that this broker has made in the database, for a time without it.
func (n *node) copySession(a broker.Act) {
	n.copy(func(ctx context.Context, tx *sql.Tx) error { return keepSession(ctx, tx, &a) })
}

// copyLogout does so for the end of one.
func (n *node) copyLogout(id string) {
	n.copy(func(ctx context.Context, tx *sql.Tx) error { return endSession(ctx, tx, id) })
}

// sweep forgets copies of sessions that are over, a bounded number at a time.
func (n *node) sweep(ctx context.Context, now time.Time) error {
	return n.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM session WHERE token_hash IN (SELECT token_hash FROM session WHERE ends_at <= ? LIMIT 1000)`, now.UnixMilli())
		return err
	}, nil)
}

// keep remembers a value under a name over restarts.
func (n *node) keep(ctx context.Context, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	err = n.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO kept (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, text)
		return err
	}, nil)
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// kept reads what keep has written; ok is false when there is nothing.
func (n *node) kept(ctx context.Context, name string, into any) (ok bool, err error) {
	var text []byte
	err = n.db.QueryRowContext(ctx, `SELECT value FROM kept WHERE name = ?`, name).Scan(&text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	return true, nil
}
