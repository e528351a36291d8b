package choice

import "time"

// Class is a kind of request whose latency is averaged apart: a login is dearer than a look at
// the list of offers, and a mean of both says nothing of either (LB2).
type Class uint8

// MaxClasses bounds the classes of a pool. Class 0 is every request that no class names.
const MaxClasses = 4

// Load is what the balancer itself knows of a member at the moment of a decision.
type Load struct {
	// InFlight counts requests sent and not yet answered to the end, of all classes.
	InFlight int64
	// NodeInFlight counts those at all members with this address, in whatever pool (fastest-node).
	NodeInFlight int64
	// TTFB is the moving average from request written to first byte, of the question's class; 0
	// means no sample yet.
	TTFB time.Duration
	// Classes are the figures of the other classes, each at its place: what is in flight is weighed
	// by them, and a class without a sample is judged by them.
	Classes [MaxClasses]ClassLoad
	// OK200 is the mean over answers with status 200 alone, of all classes, in the vendor's
	// intervals (netscaler-least-response-time).
	OK200 time.Duration
	// Idle is the time since the member last got a request of the question's class, or an answer.
	Idle time.Duration
	// Failing is the part of its latest requests that failed, from 0 to 1; it fades with time.
	Failing float64
	// Since is how long the member has been able to serve without a break; 0 means always.
	Since time.Duration
	// Shunned is true while recent connects failed: others are preferred whatever their cost.
	Shunned bool
	// Full is true while the member has as many requests or connections as it may have.
	Full bool
	// Tried is true when this very request already failed there.
	Tried bool
}

// ClassLoad is a member's figures for one class of requests.
type ClassLoad struct {
	InFlight int64
	TTFB     time.Duration // moving average, 0 without a sample
}
