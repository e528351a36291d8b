package broker

import "time"

// Who is an authenticated user: the directory that vouched for him and his name there, in
// lower case. Two users of one name in two directories are two people.
type Who struct {
	Directory string
	User      string
}

// Session is one signed-in user.
type Session struct {
	ID string // UUIDv7
	Who
	SiteID     int // the broker that signed him in; part of the token
	ClientAddr string
	ClientName string
	// Grants is what the policy allowed at sign-in; it stays for the life of the session.
	Grants  []Grant
	Created time.Time
	// Expires is when it ends, if it is not used before then (Idle) or ended by a logout.
	Expires time.Time
	// Idle is for how long it may go unused, and a little more (TouchSession); 0: for all its life.
	Idle time.Duration
}

// Grant allows offers of one desktop pool, with what the policy said about them.
type Grant struct {
	Pool        string
	MaxOffers   int
	Order       string `json:",omitempty"` // one of offerOrders; empty: OrderPrevious
	Protocol    string `json:",omitempty"` // of all desktops of the pool; empty: their own
	MaxSessions int    `json:",omitempty"` // pooled desktops of all pools at once; 0: no bound
}

// LoginRecord is one authenticated login to be recorded. Exactly one of NewSession and
// Redirect is set.
type LoginRecord struct {
	Who
	// Key stands for the client's Idempotency-Key without revealing it, empty when it sent none;
	// KeyMAC binds it to the user and the password.
	Key    string
	KeyMAC [32]byte
	// KeyLife is how long a key is remembered.
	KeyLife time.Duration
	// Ticket is spent by this login: when another one has spent it, there is none (ErrTicketUsed). It is
	// remembered for TicketKeep. Empty: a password was given.
	Ticket     string
	TicketKeep time.Duration

	NewSession *NewSession
	Redirect   string // URL of the home cluster
	Log        LogRow
}

// NewSession is the session to create.
type NewSession struct {
	Session   // without Created and Expires, which the database sets
	TokenHash [32]byte
	Life      time.Duration // it ends after that at the latest
	// EmptyCode is the refusal code when the user would get no offer at all.
	EmptyCode string
}

// FirstExpiry is how long the session lasts if it is never used.
func (n *NewSession) FirstExpiry() time.Duration {
	if n.Idle > 0 {
		return min(n.Life, n.Idle)
	}
	return n.Life
}

// LoginOutcome is what stands in the database after Login.
type LoginOutcome struct {
	Session  *Session // nil: redirected, or refused for want of any offer
	Offers   []Offer
	Redirect string
	Replayed bool // the outcome of an earlier login with the same key
}

// ConnectRecord is one launch to be recorded.
type ConnectRecord struct {
	Session Session
	Offer   OfferID
	// Desktop is the id of the desktop to claim; empty lets the store choose any free one.
	Desktop string
	Key     string // Idempotency-Key, scoped to the session
	KeyLife time.Duration
	Log     LogRow
	Lease   LeaseTerms
}
