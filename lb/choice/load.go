package choice

import "time"

// Class is a kind of request whose latency is averaged apart: a login is dearer than a look at
// the list of offers, and a mean of both says nothing of either (LB2).
type Class uint8

// MaxClasses bounds the classes of a pool. Class 0 is every request that no class names.
const MaxClasses = 4

// Load is what the balancer itself knows of a member at the moment of a decision.
type Load struct {
	// InFlight counts requests sent and not yet answered to the end.
	InFlight int64
	// NodeInFlight counts those at all members with this address, in whatever pool (fastest-node).
	NodeInFlight int64
	// TTFB is the moving average from request written to first byte, of the question's class; 0
	// means no sample yet.
	TTFB time.Duration
	// OK200 is the average over answers with status 200 alone (netscaler-least-response-time).
	OK200 time.Duration
	// Idle is the time since the member was last picked or measured.
	Idle time.Duration
	// Penalty is what is left of recent failures, as time added to TTFB.
	Penalty time.Duration
	// Since is how long the member has been able to serve without a break; 0 means always.
	Since time.Duration
	// Shunned is true while recent connects failed: others are preferred whatever their cost.
	Shunned bool
	// Full is true while the member has as many requests or connections as it may have.
	Full bool
	// Tried is true when this very request already failed there.
	Tried bool
}
