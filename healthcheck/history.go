package healthcheck

import (
	"slices"
	"time"
)

// How much of the past a check keeps. Failures have their own list and so outlive any number of
// other events; a failure like the one before it only counts on.
const (
	keptMoves    = 16
	keptFailures = 16
	keptBytes    = 64
)

// EventKind says what an Event is.
type EventKind uint8

// The kinds of events.
const (
	Moved  EventKind = iota // the effective state changed
	Failed                  // a probe failed, or several in the same way
)

// Event is one moment of a check's past.
type Event struct {
	Kind EventKind
	At   time.Time
	// From and To are the states of a Moved event; Source is what decided.
	From, To State
	Source   Source
	Reason   string
	// Times is how often a failure was seen in the same way, the last time at Until.
	Times int
	Until time.Time
	// What the probe saw: status, the first bytes (quote before showing) and its steps.
	Status                          int
	FirstBytes                      []byte
	Resolve, Dial, TLS, TTFB, Total time.Duration
}

// record is an Event as it is kept: there may be hundreds of thousands.
type record struct {
	at, until     int64 // Unix nanoseconds
	reason, bytes string
	times         uint32
	steps         [5]uint32 // microseconds
	status        uint16
	kind          EventKind
	from, to      State
	source        Source
}

func recordOf(kind EventKind, r Result, at time.Time) record {
	rec := record{
		kind: kind, at: at.UnixNano(), until: at.UnixNano(), times: 1, reason: r.Reason, status: uint16(r.Status),
		bytes: string(r.FirstBytes[:min(len(r.FirstBytes), keptBytes)]),
	}
	for i, d := range [...]time.Duration{r.Resolve, r.Dial, r.TLS, r.TTFB, r.Total} {
		rec.steps[i] = uint32(min(max(0, (d+time.Microsecond-1)/time.Microsecond), 1<<32-1))
	}
	return rec
}

func (r record) event() Event {
	step := func(i int) time.Duration { return time.Duration(r.steps[i]) * time.Microsecond }
	return Event{
		Kind: r.kind, At: time.Unix(0, r.at), Until: time.Unix(0, r.until), Times: int(r.times),
		From: r.from, To: r.to, Source: r.source, Reason: r.reason, Status: int(r.status), FirstBytes: []byte(r.bytes),
		Resolve: step(0), Dial: step(1), TLS: step(2), TTFB: step(3), Total: step(4),
	}
}

// past is what a check keeps of its events. The zero value is an empty past without memory.
type past struct {
	moves, failures []record
}

func (p *past) moved(t transition, now time.Time) {
	rec := recordOf(Moved, t.res, now)
	rec.from, rec.to, rec.source, rec.reason = t.from, t.to, t.source, t.reason
	p.moves = appendBounded(p.moves, rec, keptMoves)
}

func (p *past) failed(r Result) {
	if n := len(p.failures); n > 0 {
		last := &p.failures[n-1]
		if last.reason == r.Reason {
			last.times++
			last.until = r.At.UnixNano()
			return
		}
	}
	p.failures = appendBounded(p.failures, recordOf(Failed, r, r.At), keptFailures)
}

// appendBounded forgets the oldest event when there are already n.
func appendBounded(evs []record, ev record, n int) []record {
	if len(evs) < n {
		return append(evs, ev)
	}
	copy(evs, evs[1:])
	evs[n-1] = ev
	return evs
}

// events are all of them, the oldest first.
func (p *past) events() []Event {
	var out []Event
	for _, r := range slices.Concat(p.moves, p.failures) {
		out = append(out, r.event())
	}
	slices.SortStableFunc(out, func(a, b Event) int { return a.At.Compare(b.At) })
	return out
}

// History is what is kept of the past of a check, the oldest first; nil when it is not known.
// Changes of state and failures are kept apart, so a failure is not lost behind later changes.
func (e *Engine) History(k Key) []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.checks[k]
	if c == nil {
		return nil
	}
	return c.past.events()
}
