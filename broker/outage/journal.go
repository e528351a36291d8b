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
	err := n.write(ctx, func(ctx context.Context, tx nodeTx) error {
		for i := range acts {
			r, err := tx.ExecContext(ctx, `INSERT INTO journal (act, kind) VALUES (?, ?)`, texts[i], acts[i].Kind)
			if err != nil {
				return err
			}
			seq, err := r.LastInsertId()
			if err == nil {
				err = noteAct(ctx, tx, &acts[i], seq)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, func() { n.count.Add(int64(len(acts))) })
	if err != nil { // also when it took too long: the caller may come again
		return fmt.Errorf("%w: write the journal: %w", broker.ErrUnavailable, err)
	}
	return nil
}

// noteAct keeps the copies of sessions as the act leaves them.
func noteAct(ctx context.Context, tx nodeTx, a *broker.Act, seq int64) error {
	switch a.Kind {
	case broker.ActSession:
		return keepSession(ctx, tx, a, time.Now(), seq)
	case broker.ActUse:
		return useSession(ctx, tx, a.SessionID, a.At)
	case broker.ActLogout:
		return endSession(ctx, tx, a.SessionID)
	}
	return nil
}

// entry is an act in its place.
type entry struct {
	seq  int64
	text []byte // as it was written
	act  broker.Act
	err  error // why it cannot be read
}

// oldest lists the acts that have waited longest.
func (n *node) oldest(ctx context.Context, most int) ([]entry, error) {
	return n.entries(ctx, `SELECT seq, act FROM journal ORDER BY seq LIMIT ?`, most)
}

// operations lists what operators have said, the oldest first, from behind a place in the journal.
func (n *node) operations(ctx context.Context, behind int64, most int) ([]entry, error) {
	return n.entries(ctx, `SELECT seq, act FROM journal WHERE kind = 'operator' AND seq > ? ORDER BY seq LIMIT ?`, behind, most)
}

func (n *node) entries(ctx context.Context, query string, args ...any) ([]entry, error) {
	rows, err := n.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer rows.Close()
	var list []entry
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.seq, &e.text); err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		if err := json.Unmarshal(e.text, &e.act); err != nil {
			e.err = fmt.Errorf("read act %d of the journal: %w", e.seq, err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// drop forgets the acts up to seq: they are in the database.
func (n *node) drop(ctx context.Context, seq int64) error {
	var gone int64
	return n.write(ctx, func(ctx context.Context, tx nodeTx) error {
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
	var kept int64
	return n.write(ctx, func(ctx context.Context, tx nodeTx) error {
		r, err := tx.ExecContext(ctx, `INSERT INTO refused (seq, act, why) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, e.seq, e.text, why)
		if err != nil {
			return err
		}
		kept, err = r.RowsAffected()
		return err
	}, func() { n.aside.Add(kept) })
}

// refused counts the acts that were set aside.
func (n *node) refused() int { return int(n.aside.Load()) }

// newestAside lists the newest of them. One that cannot be read has no kind.
func (n *node) newestAside(ctx context.Context, most int) ([]Aside, error) {
	rows, err := n.db.QueryContext(ctx, `SELECT act, why FROM refused ORDER BY seq DESC LIMIT ?`, most)
	if err != nil {
		return nil, fmt.Errorf("list the acts set aside: %w", err)
	}
	defer rows.Close()
	var list []Aside
	for rows.Next() {
		var text []byte
		var a Aside
		if err := rows.Scan(&text, &a.Why); err != nil {
			return nil, fmt.Errorf("list the acts set aside: %w", err)
		}
		var act broker.Act
		if json.Unmarshal(text, &act) == nil {
			a.Kind, a.At = act.Kind, act.At
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

// unmerged is how many acts the journal holds.
func (n *node) unmerged() int { return int(n.count.Load()) }

// keep remembers a value under a name over restarts.
func (n *node) keep(ctx context.Context, name string, value any) error {
	text, err := json.Marshal(value)
	if err == nil {
		err = n.write(ctx, func(ctx context.Context, tx nodeTx) error { return putKept(ctx, tx, name, text) }, nil)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// putKept is keep as a part of a write.
func putKept(ctx context.Context, tx nodeTx, name string, text []byte) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO kept (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, text)
	return err
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
