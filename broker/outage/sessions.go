package outage

import (
	"context"
	"errors"
	"time"

	"switchpoint/broker"
)

// Unmerged gives a session that this broker made without its database, with the acts that the database needs
// to have of it; nil, nil when the database has them. It serves the other brokers whatever the mode is: who
// has signed in here before it stepped aside goes on there (DC7).
func (s *Store) Unmerged(ctx context.Context, tokenHash [32]byte) (*broker.Session, []broker.Act, error) {
	if s.node.unmerged() == 0 {
		return nil, nil, nil
	}
	now := time.Now()
	c, err := s.node.unmergedSession(ctx, tokenHash, now)
	switch {
	case errors.Is(err, broker.ErrNotFound):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	}
	running := c.running(now)
	if running == nil {
		return nil, nil, nil
	}
	return running, c.acts(), nil
}

// NoteEnd remembers that a session was ended at another broker that has no database either, also while this
// one refuses calls: it may serve later in the same outage.
func (s *Store) NoteEnd(id string) { s.node.copyLogout(id) }
