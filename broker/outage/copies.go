package outage

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
)

// endedFor is how long the end of a session of another broker is remembered: by then the host cache has
// been told of it long ago.
const endedFor = 48 * time.Hour

// copied is a session as this broker knows it.
type copied struct {
	act  broker.Act // that began it
	kept time.Time  // when it was written down here
	used time.Time  // when it was last used here; zero: at its beginning
}

// acts are what the database needs to have of it.
func (c copied) acts() []broker.Act {
	list := []broker.Act{c.act}
	if !c.used.IsZero() {
		list = append(list, broker.Act{Kind: broker.ActUse, At: c.used, SessionID: c.act.Session.ID})
	}
	return list
}

// running is the session as it stands; nil: it has expired.
func (c copied) running(now time.Time) *broker.Session {
	s := *c.act.Session
	if used := c.used.Add(s.Idle); s.Idle > 0 && used.After(s.Expires) {
		s.Expires = used
		if s.Expires.After(c.act.Ends) {
			s.Expires = c.act.Ends
		}
	}
	if !now.Before(s.Expires) {
		return nil
	}
	return &s
}

// keepSession writes a session down; seq is the place of its act in the journal, 0: the database has it.
func keepSession(ctx context.Context, tx nodeTx, a *broker.Act, at time.Time, seq int64) error {
	kept := *a
	kept.Log = nil
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO session (token_hash, id, session, ends_at, kept_at, journalled) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		a.TokenHash, a.Session.ID, text, a.Ends.UnixMilli(), at.UnixMilli(), seq)
	return err
}

// useSession notes that a session was used.
func useSession(ctx context.Context, tx nodeTx, id string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE session SET used_at = max(used_at, ?) WHERE id = ?`, at.UnixMilli(), id)
	return err
}

// endSession notes that a session is over, also one that another broker has made: the host cache may
// have been copied before. No token leads to the row of such a one.
func endSession(ctx context.Context, tx nodeTx, id string) error {
	hash := sha256.Sum256([]byte("ended session " + id))
	_, err := tx.ExecContext(ctx, `INSERT INTO session (token_hash, id, session, ends_at, over) VALUES (?, ?, x'', ?, 1) ON CONFLICT (id) DO UPDATE SET over = 1`,
		hash[:], id, time.Now().Add(endedFor).UnixMilli())
	return err
}

// session finds the copy of a session that runs. ErrNotFound.
func (n *node) session(ctx context.Context, tokenHash [32]byte, now time.Time) (copied, error) {
	return n.copyOf(ctx, `true`, tokenHash, now)
}

// unmergedSession is session for one whose act is in the journal.
func (n *node) unmergedSession(ctx context.Context, tokenHash [32]byte, now time.Time) (copied, error) {
	return n.copyOf(ctx, `EXISTS (SELECT 1 FROM journal WHERE seq = journalled)`, tokenHash, now)
}

func (n *node) copyOf(ctx context.Context, which string, tokenHash [32]byte, now time.Time) (copied, error) {
	if err := n.flush(ctx); err != nil {
		return copied{}, err
	}
	var text []byte
	var kept, used int64
	err := n.queryRow(ctx, `SELECT session, kept_at, used_at FROM session WHERE token_hash = ? AND over = 0 AND ends_at > ? AND `+which,
		tokenHash[:], now.UnixMilli()).Scan(&text, &kept, &used)
	c := copied{kept: time.UnixMilli(kept)}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return c, broker.ErrNotFound
	case err != nil:
		return c, fmt.Errorf("find the copy of a session: %w", err)
	}
	if used > 0 {
		c.used = time.UnixMilli(used)
	}
	if err := json.Unmarshal(text, &c.act); err != nil || c.act.Session == nil {
		return c, fmt.Errorf("read the copy of a session: %w", errors.Join(err, broker.ErrNotFound))
	}
	return c, nil
}

// look says whether a session was written down here, and whether it is over.
func (n *node) look(ctx context.Context, id string) (known, over bool, err error) {
	if err := n.flush(ctx); err != nil {
		return false, false, err
	}
	err = n.queryRow(ctx, `SELECT over FROM session WHERE id = ?`, id).Scan(&over)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("find the copy of a session: %w", err)
	}
	return true, over, nil
}

// sweepMost is how many copies one transaction forgets.
const sweepMost = 1000

// sweep forgets copies of sessions that are over.
func (n *node) sweep(ctx context.Context, now time.Time) error {
	for gone := int64(sweepMost); gone == sweepMost; {
		err := n.write(ctx, func(ctx context.Context, tx nodeTx) error {
			r, err := tx.ExecContext(ctx, `DELETE FROM session WHERE token_hash IN (SELECT token_hash FROM session WHERE ends_at <= ? LIMIT ?)`, now.UnixMilli(), sweepMost)
			if err != nil {
				return err
			}
			gone, err = r.RowsAffected()
			return err
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}
