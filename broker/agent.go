package broker

import (
	"context"
	"strings"
	"time"
)

// AgentFresh is how long a heartbeat of an agent says that its desktop is on (BR3).
const AgentFresh = 60 * time.Second

// States of a session on a desktop.
const (
	SessionActive       = "active"
	SessionDisconnected = "disconnected" // the user may come back to it
)

// AgentSession is a session that somebody has on a desktop.
type AgentSession struct {
	User  string `json:"user"`
	State string `json:"state"`
}

// AgentReport is what the agent of a desktop says in a heartbeat.
type AgentReport struct {
	Version  string
	Address  string
	Load     float64 // share of the processors in use, 0 to 1; more when work queues up
	Sessions []AgentSession
	// ResetDone is the id of the reset that the desktop has been through; empty: none.
	ResetDone string
}

// Users are the names of those with a session, in the form of claims: without the domain.
func (r AgentReport) Users() []string {
	out := make([]string, len(r.Sessions))
	for i, s := range r.Sessions {
		name := s.User
		if _, after, ok := strings.Cut(name, `\`); ok {
			name = after
		}
		name, _, _ = strings.Cut(name, "@")
		out[i] = canonicalUser(name)
	}
	return out
}

// AgentBeat is a heartbeat in the batch that the store writes.
type AgentBeat struct {
	Desktop string   // id that the agent's key names
	KeyHash [32]byte // of that key
	AgentReport
}

// AgentOrders answer a heartbeat.
type AgentOrders struct {
	Known bool // the key is that of the desktop; else nothing was recorded
	// Reset is the id of the reset that the broker waits for, and ResetAge how long it does.
	Reset    string
	ResetAge time.Duration
}

// EnrolToken lets an agent enrol. Exactly one of Desktop and Pool is set: a name.
type EnrolToken struct {
	Hash    [32]byte
	Desktop string // this desktop, once
	Pool    string // the desktops that stand in this pool, each of them once
	Life    time.Duration
}

// Enrolment is an agent with a token. Key makes the hash of the key that the desktop of the id gets.
type Enrolment struct {
	TokenHash [32]byte
	Desktop   string // name or host; needed with the token of a pool
	KeyHash   func(desktopID string) [32]byte
	Log       LogRow
}

// AgentDesktop is the desktop that an agent has enrolled for.
type AgentDesktop struct{ ID, Name string }

// AgentStatus is what is known of the agent of a desktop.
type AgentStatus struct {
	Desktop  string // name
	Pool     string
	Enrolled time.Time
	Seen     time.Time // newest heartbeat; zero: none
	Fresh    bool      // it is younger than AgentFresh
	Version  string
	Address  string
	Load     float64
	Sessions []AgentSession
	Reset    string // state of the desktop: "", ResetAwaited or ResetQuarantined
}

// States of a desktop that somebody used while nobody could watch over it (BR5).
//
//	    HoldForReset              the agent reports it done
//	"" ---------------> awaited ---------------------------> ""
//	^                      |  not within its time            ^
//	|                      v                                 |
//	+--- ClearDesktop -- quarantined ------------------------+
//
// In either state the desktop goes on for whom it is claimed by and is given to nobody else.
const (
	ResetAwaited     = "awaited"
	ResetQuarantined = "quarantined"
)

// DesktopSweep counts what one SweepDesktops did.
type DesktopSweep struct {
	Quarantined int // whose reset was not reported in time
	Silent      int // not known to be on any more
}

// UnwatchedClaim is a pooled desktop in use, without an agent that reports.
type UnwatchedClaim struct {
	ID   string // of the desktop
	Host string
	Port int
}

// AgentStore is the part of a Store that agents and the watch over desktops come through.
type AgentStore interface {
	// AddEnrolToken keeps a token and forgets those that have expired. ErrNotFound when there is no
	// such desktop or pool.
	AddEnrolToken(ctx context.Context, t EnrolToken, log LogRow) error
	// EnrolAgent gives the key to the desktop that the token stands for, in the place of an earlier
	// one. ErrNotFound when the token is unknown, expired or used up, or not for that desktop.
	EnrolAgent(ctx context.Context, e Enrolment) (AgentDesktop, error)
	// AgentBeats records heartbeats, one of each key at most, and returns the orders in their
	// order. A claim whose user had a session since its newest connect ends, after its pool's delay,
	// when the desktop reports no session any more.
	AgentBeats(ctx context.Context, beats []AgentBeat) ([]AgentOrders, error)
	// Agents lists the agents by name of their desktop, which selects one if it is not empty.
	Agents(ctx context.Context, desktop string) ([]AgentStatus, error)

	// HoldForReset keeps the desktops of these names from being given to anybody else until they
	// report that reset as done; after wait they are quarantined. It returns how many there were.
	HoldForReset(ctx context.Context, names []string, reset string, wait time.Duration, log LogRow) (int, error)
	// ClearDesktop ends the wait or the quarantine. ErrNotFound when the desktop is in neither.
	ClearDesktop(ctx context.Context, name string, log LogRow) error
	// SweepDesktops quarantines what has waited for its reset for too long, and takes back what is
	// known of desktops whose agents are silent.
	SweepDesktops(ctx context.Context) (DesktopSweep, error)
	// UnwatchedClaims lists claimed desktops without a fresh agent by id, after one, at most limit.
	UnwatchedClaims(ctx context.Context, after string, limit int) ([]UnwatchedClaim, error)
	// RecordProbes keeps which of them answered. The claim of one that has not for as long as
	// patience ends, after its pool's delay; their number is returned.
	RecordProbes(ctx context.Context, answer, silent []string, patience time.Duration) (ended int, err error)
}
