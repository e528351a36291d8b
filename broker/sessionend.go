package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// tellWithin is how long a sign-out in an outage waits for the other brokers to be told.
const tellWithin = 500 * time.Millisecond

// SessionEnd says that a session was ended at another broker while that had no database to write it to.
type SessionEnd struct {
	TokenHash []byte `json:"token_hash"`
	ID        string `json:"id"`
	Log       LogRow `json:"log"` // the row of the sign-out, which all brokers write as one
}

// Validate says what of it could not be written down.
func (e SessionEnd) Validate() error {
	if len(e.TokenHash) != 32 {
		return fmt.Errorf("the end of a session has a token hash of %d bytes", len(e.TokenHash))
	}
	for _, id := range []string{e.ID, e.Log.ID} {
		if _, err := uuid.Parse(id); err != nil {
			return fmt.Errorf("the end of a session: id %.40q: %w", id, err)
		}
	}
	return nil
}

// TakeSessionEnd ends a session here that was ended at another broker. One that has ended, or that nobody
// here has heard of, ends all the same.
func (b *Broker) TakeSessionEnd(ctx context.Context, e SessionEnd) error {
	if err := e.Validate(); err != nil {
		return err
	}
	b.sessions.end([32]byte(e.TokenHash), time.Now())
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := b.o.Store.Logout(ctx, e.ID, e.Log); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// tellEnd tells the brokers that live of the end of a session, as long as the database cannot do so. Those
// that cannot be told learn of it when this broker has merged.
func (b *Broker) tellEnd(ctx context.Context, token string, id string, row LogRow) {
	if b.o.EndSession == nil || b.fromDatabase() {
		return
	}
	t, err := ParseToken(token)
	if err != nil {
		return
	}
	hash := t.Hash()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellWithin)
	defer cancel()
	var wg sync.WaitGroup
	for _, name := range b.originals.others(b.cfg.SiteID) {
		wg.Go(func() {
			if err := b.o.EndSession(ctx, name, SessionEnd{TokenHash: hash[:], ID: id, Log: row}); err != nil {
				b.log.Info("a broker learns later of a sign-out", "broker", name, "error", err)
			}
		})
	}
	wg.Wait()
}
