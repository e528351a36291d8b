package healthcheck

import "time"

// firstBytes bounds what a Result keeps of an answer.
const firstBytes = 256

// Result is what one probe saw. It is a fact: judging (rise/fall) comes after it.
type Result struct {
	// State is Up, Overloaded or Down, or Draining or Maintenance when the target says so.
	State State
	// Reason says in words why, also for Up.
	Reason string
	// Status is the HTTP status code, 0 when there was none.
	Status int
	// FirstBytes are at most 256 bytes of the body (http, https) or of the stream (tcp, and
	// http when the answer was not HTTP). They are the target's bytes: quote before showing.
	FirstBytes []byte

	// The steps, each zero when it was not reached or not needed.
	Resolve time.Duration // name -> addresses
	Dial    time.Duration // SYN -> connected
	TLS     time.Duration // the handshake
	TTFB    time.Duration // request written -> first byte of the answer
	Total   time.Duration // start -> decided

	Load       Load
	CertExpiry time.Time // of the target's certificate, also of one that was refused
	At         time.Time // when the probe ended

	// TimedOut says that the probe failed because its time was over, as opposed to a refusal,
	// a reset or a wrong answer.
	TimedOut bool
	// Late is how long after its planned moment the probe started.
	Late time.Duration
	// Kept says that the probe used a connection that an earlier one had opened.
	Kept bool
	// Excused says that the probe counts as nothing: its time was over while this process ran
	// late, or it was put off. Reason says which.
	Excused bool
}

// down makes the result a failure.
func (r *Result) down(reason string) {
	r.State, r.Reason = Down, reason
}

// keep remembers the first bytes of what the target sent.
func (r *Result) keep(b []byte) {
	r.FirstBytes = append([]byte(nil), b[:min(len(b), firstBytes)]...)
}
