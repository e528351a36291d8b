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

// past is what a check keeps of its events. The zero value is an empty past without memory.
type past struct {
	moves, failures []Event
}

func eventOf(kind EventKind, r Result, at time.Time) Event {
	return Event{
		Kind: kind, At: at, Until: at, Times: 1, Reason: r.Reason, Status: r.Status,
		FirstBytes: r.FirstBytes[:min(len(r.FirstBytes), keptBytes)],
		Resolve:    r.Resolve, Dial: r.Dial, TLS: r.TLS, TTFB: r.TTFB, Total: r.Total,
	}
}

func (p *past) moved(t transition, now time.Time) {
	ev := eventOf(Moved, t.res, now)
	ev.From, ev.To, ev.Source, ev.Reason = t.from, t.to, t.source, t.reason
	p.moves = appendBounded(p.moves, ev, keptMoves)
}

func (p *past) failed(r Result) {
	if n := len(p.failures); n > 0 {
		last := &p.failures[n-1]
		if last.Reason == r.Reason {
			last.Times++
			last.Until = r.At
			return
		}
	}
	p.failures = appendBounded(p.failures, eventOf(Failed, r, r.At), keptFailures)
}

// appendBounded forgets the oldest event when there are already n.
func appendBounded(evs []Event, ev Event, n int) []Event {
	if len(evs) < n {
		return append(evs, ev)
	}
	copy(evs, evs[1:])
	evs[n-1] = ev
	return evs
}

// events are all of them, the oldest first.
func (p *past) events() []Event {
	out := slices.Concat(p.moves, p.failures)
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
