package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ExpiryNever keeps a session that is not used until the end of its life.
const ExpiryNever = "never"

// touchEvery is how often the use of a session is written down. A session may be idle for that much
// longer than its expiry says, so that it never ends early.
const touchEvery = time.Minute

// ExpiryChoices are the values of session_expiry besides "never": after how long without use a session
// ends.
func ExpiryChoices() []string {
	return []string{"1m", "2m", "5m", "10m", "15m", "20m", "30m", "1h", "2h", "3h", "4h", "8h", "12h", "24h", "48h"}
}

func expiryCure() string {
	return fmt.Sprintf("write %q or one of %s", ExpiryNever, strings.Join(ExpiryChoices(), ", "))
}

// parseExpiry reads a session_expiry; "never" is negative. Spellings of one span are equal.
func parseExpiry(text string) (time.Duration, error) {
	if text == ExpiryNever {
		return -1, nil
	}
	d, err := time.ParseDuration(text)
	offered := func(choice string) bool { c, _ := time.ParseDuration(choice); return c == d }
	if err != nil || !slices.ContainsFunc(ExpiryChoices(), offered) {
		return 0, fmt.Errorf("%q is no time after which a session can expire", text)
	}
	return d, nil
}

// idleFor is how long a session under that policy may be idle in the store; 0 has no bound.
func (b *Broker) idleFor(p policy) time.Duration {
	idle := p.idle
	if idle == 0 {
		idle, _ = parseExpiry(b.cfg.SessionExpiry) // checked by New
	}
	if idle < 0 {
		return 0
	}
	return idle + touchEvery
}

// touch tells the store that a session is in use, unless this broker has done so within a minute.
func (b *Broker) touch(ctx context.Context, hash [32]byte, s Session) {
	if s.Idle == 0 || !b.sessions.touch(hash, time.Now()) {
		return
	}
	if err := b.o.Store.TouchSession(ctx, s.ID, touchEvery); err != nil {
		b.sessions.untouch(hash)
		b.log.Warn("the use of a session is not written down; it may expire early", "error", err)
	}
}
