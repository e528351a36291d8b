package broker

import (
	"context"
	"time"
)

// Kinds of acts.
const (
	ActSession = "session" // a user has signed in
	ActUse     = "use"     // a session with an idle bound was in use
	ActLogout  = "logout"
	ActLog     = "log" // no more than its log row
)

// Act is one thing that a broker did while it had no database (design 6): it stands in the broker's
// journal until MergeActs has brought it into the database.
type Act struct {
	Kind string    `json:"kind"`
	At   time.Time `json:"at"` // by the broker's clock
	// Session is that of an ActSession, with Created and Expires; Ends is when it ends at the latest.
	Session   *Session  `json:"session,omitempty"`
	TokenHash []byte    `json:"token_hash,omitempty"`
	Ends      time.Time `json:"ends,omitzero"`
	// Key is the Idempotency-Key of an ActSession as LoginRecord has it; empty: none.
	Key     string        `json:"key,omitempty"`
	KeyMAC  []byte        `json:"key_mac,omitempty"`
	KeyLife time.Duration `json:"key_life,omitempty"`
	// SessionID is the session of an ActUse or ActLogout.
	SessionID string `json:"session_id,omitempty"`
	// Log is the row that goes with it; nil: none.
	Log *LogRow `json:"log,omitempty"`
}

// MergeStore is the part of a Store that takes what was done without it.
type MergeStore interface {
	// MergeActs brings acts into the database, all or none. An act that is there already changes
	// nothing, so the same acts may be merged again. Their times are kept, but never later than the
	// database's own clock: a broker whose clock is ahead must not make rows of the future.
	MergeActs(ctx context.Context, acts []Act) error
}
