package broker

import (
	"context"
	"crypto/sha256"
	"time"
)

// Kinds of acts.
const (
	ActSession = "session" // a user has signed in
	ActConnect = "connect" // a session was given a desktop
	ActUse     = "use"     // a session with an idle bound was in use
	ActLogout  = "logout"
	ActLog     = "log" // no more than its log row
	// ActOperator is what an operator has said about one user or one desktop.
	ActOperator = "operator"
)

// Act is one thing that a broker did while it had no database (design 6): it stands in the broker's
// journal until MergeActs has brought it into the database.
type Act struct {
	Kind string    `json:"kind"`
	At   time.Time `json:"at"` // by the broker's clock
	// Session is that of an ActSession or ActConnect, with Created and Expires; Ends is when it ends at the
	// latest. The database may not have that of an ActConnect yet, when another broker made it: then it
	// stands there without its token until that one merges (AdoptedHash).
	Session   *Session  `json:"session,omitempty"`
	TokenHash []byte    `json:"token_hash,omitempty"`
	Ends      time.Time `json:"ends,omitzero"`
	// Offer is what an ActConnect asked for, and Desktop the id of what it was given.
	Offer   OfferID `json:"offer,omitzero"`
	Desktop string  `json:"desktop,omitempty"`
	// Key is the Idempotency-Key of an ActSession as LoginRecord has it, or of an ActConnect as
	// ConnectRecord does, without a MAC; empty: none.
	Key     string        `json:"key,omitempty"`
	KeyMAC  []byte        `json:"key_mac,omitempty"`
	KeyLife time.Duration `json:"key_life,omitempty"`
	// SessionID is the session of an ActUse or ActLogout.
	SessionID string `json:"session_id,omitempty"`
	// Operation is that of an ActOperator. One that the database refuses by then is an error that wraps
	// ErrConflict or ErrNotFound; one whose Log is there already changes nothing.
	Operation *Operation `json:"operation,omitempty"`
	// Log is the row that goes with it; nil: none. An ActConnect whose row is there has been merged; one
	// without a row repeats its key.
	Log *LogRow `json:"log,omitempty"`
}

// AdoptedHash stands for the token of a session that another broker made: no token leads to it, so
// nothing but what that broker says opens the session.
func AdoptedHash(sessionID string) [32]byte {
	return sha256.Sum256([]byte("adopted session " + sessionID))
}

// AdoptedLife is for how long a session may go on to be used whose end only the broker knows that made it.
const AdoptedLife = 24 * time.Hour

// MergeStore is the part of a Store that takes what was done without it.
type MergeStore interface {
	// MergeActs brings acts into the database, all or none. An act that is there already changes
	// nothing, so the same acts may be merged again. Their times are kept, but never later than the
	// database's own clock: a broker whose clock is ahead must not make rows of the future. ErrConflict
	// when the desktop of an ActConnect is not the user's any more (ClaimFound).
	MergeActs(ctx context.Context, acts []Act) error
}
