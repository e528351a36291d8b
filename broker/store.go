package broker

import (
	"context"
	"errors"
	"time"
)

// ErrInvalid means that what an operator asks for makes no sense; the text says why. Nothing was changed.
var ErrInvalid = errors.New("invalid request")

// What a Store answers besides success. A store wraps one of these; callers use errors.Is.
var (
	// ErrNotFound: the row does not exist, is deleted, or the session has ended or expired.
	ErrNotFound = errors.New("not found")
	// ErrConflict: somebody else changed or took it first: a site id held by a live broker, a
	// setup of another version, a desktop that was claimed meanwhile.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: the database did not answer in time or cannot be written.
	ErrUnavailable = errors.New("store unavailable")
	// ErrNoStarts: desktops are not started for as long as the broker works without its database.
	ErrNoStarts = errors.New("desktops are not started without the database")
	// ErrFenced: a later broker process has taken over this site id; this one must stop.
	ErrFenced = errors.New("site id taken over by a later process")
	// ErrKeyReused: the Idempotency-Key was used before for something else.
	ErrKeyReused = errors.New("idempotency key was used for something else")
	// ErrNoDesktop: the pool has no free desktop left.
	ErrNoDesktop = errors.New("no free desktop")
	// ErrMaintenance: the desktop is in maintenance.
	ErrMaintenance = errors.New("desktop in maintenance")
	// ErrSessionLimit: the user holds as many pooled desktops as his policy allows.
	ErrSessionLimit = errors.New("session limit reached")
)

// Store is the cluster's one shared memory. One method is one transaction: either all of its
// effects are durable when it returns nil, or none. Every method is safe for concurrent use by
// many goroutines and by several broker processes, and honours the deadline of ctx.
//
// Durable time is the database's: rows carry its clock, never the caller's. Row ids (UUIDv7)
// come from the application. broker/storetest is the contract in executable form.
type Store interface {
	ClusterStore
	JobStore
	InventoryStore
	AgentStore
	PowerStore
	MergeStore
	LimitStore
	OperatorStore
	LeaseStore

	// Setup returns the cluster's setup and its version; version 0 is a database never filled.
	Setup(ctx context.Context) (Setup, int64, error)
	// SetupVersion is the cheap question that every broker asks once a second.
	SetupVersion(ctx context.Context) (int64, error)
	// ReplaceSetup stores s if the version is still expect (else ErrConflict) and returns the
	// new version. Desktops and pools keep their identity (claims, offers) as long as their
	// names stay; vanished ones are marked deleted, never removed, and so are the desktops of a
	// center that has gone. A desktop of the setup takes over one of a center with its name. All
	// desktops are placed in pools anew.
	ReplaceSetup(ctx context.Context, s Setup, expect int64, log LogRow) (int64, error)

	// Login records the outcome of one authenticated login: idempotency row, session, log row
	// and offers in one transaction. With a key that was used before by the same user and
	// password it changes nothing and returns the recorded outcome with Replayed set, or
	// ErrNotFound when the session of that outcome has ended; a key that was used by anybody
	// else, or with another password, is ErrKeyReused. A login that would get no offer at all makes no
	// session: the log row becomes a refusal and the outcome has no session. One with a ticket that an
	// earlier login spent has no effect: ErrTicketUsed. A ticket is spent by a session or a redirect;
	// a refusal leaves it as it is, and so does a repeated key.
	Login(ctx context.Context, r LoginRecord) (LoginOutcome, error)
	// Session finds the running session of a token hash.
	Session(ctx context.Context, tokenHash [32]byte) (Session, error)
	// TouchSession says that a session is in use. One that may be idle for a bounded time gets all
	// of that from now, within its life, when every has passed since that was last done: so it costs
	// a write at most once in every, whatever the number of brokers that say it. A session that has
	// ended stays so, and that is no error.
	TouchSession(ctx context.Context, sessionID string, every time.Duration) error
	// Offers lists what q's user may connect to: own desktops first, then pooled offers. A desktop
	// that has vanished or is disabled is not offered; one that the user holds already is.
	Offers(ctx context.Context, q OfferQuery) ([]Offer, error)
	// Candidates returns the desktops that an offer may lead to now, at most limit: the own or
	// already claimed one alone, else free ones of the pool in the order of the grant, then of its
	// backup pool. ErrNotFound when the session holds no such offer, ErrNoDesktop when none is
	// free, ErrMaintenance.
	Candidates(ctx context.Context, s Session, offer OfferID, limit int) ([]Candidate, error)
	// Connect gives the session its desktop: a pooled one is claimed for the user atomically
	// under any concurrency. A key that was used before for the same desktop changes nothing.
	// Errors as Candidates, and ErrConflict when r.Desktop was taken meanwhile, ErrKeyReused when
	// the key stands for another offer, ErrSessionLimit when the user holds too many already.
	Connect(ctx context.Context, r ConnectRecord) (Candidate, error)
	// Logout ends the session and releases the pooled desktops that it holds, or begins their
	// pool's release delay. ReleaseExpired ends that; until then they are their user's.
	Logout(ctx context.Context, sessionID string, log LogRow) (released int, err error)

	// Assigned says whether the user has a desktop of his own in this cluster.
	Assigned(ctx context.Context, directory, user string) (bool, error)
	// AppendLog writes one log row; one with that ID that is there already stays as it is.
	AppendLog(ctx context.Context, row LogRow) error
	// LogByRef finds the newest log row with the reference.
	LogByRef(ctx context.Context, ref string) (LogRow, error)
	// Purge releases the desktops of expired sessions and deletes what is older than r keeps: a
	// bounded number of rows at a time, so it is called again while it says More.
	Purge(ctx context.Context, r Retention) (Purged, error)
}

// Retention says how long rows are kept after they stop to matter (PU2).
type Retention struct {
	Log      time.Duration // log rows
	Sessions time.Duration // ended and expired sessions
}

// Purged counts what one Purge did.
type Purged struct {
	Released, Sessions, Keys, Tickets, Limits, Leases, Log int
	More                                                   bool // it stopped at its bound
}

// Add adds what another Purge did; More is that of the last.
func (p *Purged) Add(q Purged) {
	p.Released += q.Released
	p.Sessions += q.Sessions
	p.Keys += q.Keys
	p.Tickets += q.Tickets
	p.Limits += q.Limits
	p.Leases += q.Leases
	p.Log += q.Log
	p.More = q.More
}
