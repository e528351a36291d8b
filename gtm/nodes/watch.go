package nodes

import (
	"cmp"
	"slices"
	"time"

	"switchpoint/healthcheck"
)

// noLoad is the load of a target that says nothing of it.
var noLoad = healthcheck.Load{Active: -1, Capacity: -1}

// watch is what this node watches. It never changes; votes stand in the order of its keys.
type watch struct {
	keys  []healthcheck.Key
	refs  []healthcheck.Ref
	byKey map[healthcheck.Key]int
	byRef map[healthcheck.Ref]int
}

func newWatch(checks map[healthcheck.Key]healthcheck.Ref) *watch {
	w := &watch{byKey: make(map[healthcheck.Key]int, len(checks)), byRef: make(map[healthcheck.Ref]int, len(checks))}
	for k := range checks {
		if len(k.Address) <= maxAddress && len(k.Monitor) <= maxMonitor { // others refuse a report with a longer one
			w.keys = append(w.keys, k)
		}
	}
	slices.SortFunc(w.keys, func(a, b healthcheck.Key) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Monitor, b.Monitor))
	})
	for i, k := range w.keys {
		w.refs = append(w.refs, checks[k])
		w.byKey[k], w.byRef[checks[k]] = i, i
	}
	return w
}

// same says whether both watch the same checks by the same refs.
func (w *watch) same(other *watch) bool {
	return slices.Equal(w.keys, other.keys) && slices.Equal(w.refs, other.refs)
}

// move brings what stands in the order of from into that of to. What is new is zero.
func move[T any](values []T, from, to *watch) []T {
	out := make([]T, len(to.keys))
	for i, k := range to.keys {
		if was, ok := from.byKey[k]; ok && was < len(values) {
			out[i] = values[was]
		}
	}
	return out
}

// sightGrace is how long a target may take to be judged up again after the node was blind: some
// more than rise * interval and a time-out of the defaults.
const sightGrace = 20 * time.Second

// maxGrace ends the doubt in a down that no probe may end (manual resume), or not for long.
const maxGrace = 10 * time.Minute

// blindAfter is how many rounds in a row in which no anchor answers make a node blind.
const blindAfter = 2

// sight is what a node's own view is worth. The zero sight is that of a node without anchors.
type sight struct {
	missed int       // rounds in a row in which no anchor answered
	seen   time.Time // when an anchor last answered
	// The newest blind time: when an anchor had last answered before it, and did so again.
	lost, back time.Time
}

func (s sight) blind() bool { return s.missed >= blindAfter }

// after is the sight once a round of looking at the anchors is over.
func (s sight) after(answered bool, now time.Time) sight {
	switch {
	case !answered:
		s.missed++
		return s
	case s.blind():
		s.lost, s.back = s.seen, now
	}
	s.missed, s.seen = 0, now
	return s
}

// observe is the node's own vote on a check. These have no view of the target, only a word on it,
// or none that can be trusted:
//
//	the node is blind
//	the operators' word, a maintenance window, a hold      the node's own affair
//	a state from before a restart                          it is old
//	down since an anchor last answered                     from the first round without one until one does
//	down since the node was blind                          until the probes have had time to rise
func (s sight) observe(h *healthcheck.Status) vote {
	v := vote{load: noLoad}
	if s.blind() || h.State == healthcheck.Unknown || h.Source == healthcheck.FromRestart || told(h) || s.doubtful(h) {
		return v
	}
	return vote{
		state: h.State, traffic: h.Source == healthcheck.FromTraffic, since: h.Since, at: h.At, ttfb: h.TTFB,
		steady: h.Steady, load: h.Load, mode: h.ModeSince, reason: h.Reason,
	}
}

// doubtful says whether a down may only mean that this node was cut off.
func (s sight) doubtful(h *healthcheck.Status) bool {
	switch {
	case h.State != healthcheck.Down:
		return false
	case s.missed > 0 && h.Since.After(s.seen):
		return true
	case s.back.IsZero() || h.Since.Before(s.lost) || h.Since.After(s.back):
		return false
	}
	return h.At.Before(s.back.Add(min(max(sightGrace, 3*h.Steady), maxGrace)))
}

// told says whether a state is this node's own word, which others do not outvote.
func told(h *healthcheck.Status) bool {
	return h.Source == healthcheck.FromOverride || h.Source == healthcheck.FromMaintenance || h.Source == healthcheck.FromHold
}

// own are the node's own votes as it reports them.
type own struct {
	seq     uint64   // grows with every change
	votes   []vote   // in the order of the watch
	changed []uint64 // the sequence in which each last changed
	floor   uint64   // a report cannot be based on less than this
	urgent  uint64   // of the newest change that others should know of at once: a state or a mode
}

// reset makes everything new: nobody knows any of it.
func (o *own) reset(w *watch) {
	o.seq++
	o.floor = o.seq
	o.votes, o.changed = make([]vote, len(w.keys)), make([]uint64, len(w.keys))
	for i := range o.changed {
		o.votes[i].load = noLoad
		o.changed[i] = o.seq
	}
}

// update takes the votes of a snapshot.
func (o *own) update(w *watch, s sight, snap *healthcheck.Snapshot) {
	next := o.seq + 1
	for i, ref := range w.refs {
		h := snap.Get(ref)
		v := s.observe(&h).rough()
		was := o.votes[i]
		if v.state != was.state || v.traffic != was.traffic || v.load != was.load || v.steady != was.steady || v.reason != was.reason {
			o.seq, o.changed[i] = next, next
			if v.state != was.state || v.load.Mode != was.load.Mode {
				o.urgent = next
			}
		}
		o.votes[i] = v
	}
}

// rough is the vote as others get it.
func (v vote) rough() vote {
	v.steady = coarse(v.steady)
	v.reason = short(v.reason, maxReason)
	if v.state == healthcheck.Up {
		v.reason = ""
	}
	l := &v.load
	l.Mode = short(l.Mode, maxWord)
	l.Active, l.Capacity, l.Weight = min(l.Active, maxFigure), min(l.Capacity, maxFigure), min(l.Weight, maxFigure)
	return v
}

// after gives the votes that changed after a sequence, all known ones for 0, ready to be sent.
func (o *own) after(base uint64, w *watch, now time.Time) []wireStatus {
	var out []wireStatus
	for i := range o.votes {
		if base == 0 && o.votes[i].state != healthcheck.Unknown || base > 0 && o.changed[i] > base {
			out = append(out, o.votes[i].toWire(w.keys[i], now))
		}
	}
	return out
}
