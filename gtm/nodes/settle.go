package nodes

import (
	"fmt"
	"time"

	"switchpoint/healthcheck"
)

// settled is what a check was found to be.
type settled struct {
	healthcheck.Status
	frozen bool // only kept, because this node cannot tell
}

// Status is the health of a check as the nodes agree on it now, over the node's own newest
// snapshot. What it gives never changes, so that one view never mixes two moments.
func (n *Nodes) Status(own *healthcheck.Snapshot) func(healthcheck.Ref) healthcheck.Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.members)+len(n.config.Anchors) == 0 {
		return own.Get
	}
	w, agreed := n.watch, n.settleAll(own, time.Now())
	return func(r healthcheck.Ref) healthcheck.Status {
		if i, ok := w.byRef[r]; ok {
			return agreed[i].Status
		}
		return own.Get(r)
	}
}

// settleAll decides every check. n.mu is held.
func (n *Nodes) settleAll(snap *healthcheck.Snapshot, now time.Time) []settled {
	var live []*member
	for _, m := range n.members {
		if m.live(now, n.config.Interval) && !m.blind {
			live = append(live, m)
		}
	}
	agreed := make([]settled, len(n.watch.keys))
	ballots := make([]ballot, 0, len(live)+1)
	for i, ref := range n.watch.refs {
		h := snap.Get(ref)
		v := n.sight.observe(&h)
		ballots = ballots[:0]
		if v.state != healthcheck.Unknown {
			ballots = append(ballots, ballot{n.o.Name, true, v})
		}
		for _, m := range live {
			if b := m.votes[i]; b.state != healthcheck.Unknown {
				// Its steady time began to run at the latest when it last told of the vote.
				b.at, b.steady = m.heard, max(0, b.steady-2*n.config.Interval)
				ballots = append(ballots, ballot{m.name, false, b})
			}
		}
		agreed[i] = n.settle(h, v, ballots, i)
		if n.sight.blind() && len(ballots) > 0 { // the others are not blind: what they agree on is good
			n.kept[i] = agreed[i]
		}
		overruled := v.state != healthcheck.Unknown && v.state != agreed[i].State && !told(&h)
		if overruled && !n.overruled[i] {
			n.metrics.overruled.Inc()
		}
		n.overruled[i] = overruled
	}
	n.agreed = agreed
	return agreed
}

// settle decides one check. The first row that applies:
//
//	this node's own word: an override, a maintenance window, a hold    that
//	others that see the check are in touch                             what all agree on (agree)
//	this node sees it                                                  its own state: alone, it decides alone
//	this node cannot tell                                              what was last agreed, frozen
//	otherwise                                                          its own state: unknown or from before a restart
func (n *Nodes) settle(h healthcheck.Status, v vote, ballots []ballot, i int) settled {
	alone := v.state != healthcheck.Unknown && len(ballots) == 1
	switch {
	case told(&h) || alone:
		return settled{Status: h}
	case len(ballots) > 0:
		s, _ := agree(ballots, n.need)
		if v.state == s.State && !v.traffic {
			s.Source = h.Source // a dependency, for one
		}
		if n.sight.blind() {
			s.Reason += " (this node is blind: it reaches none of its anchors)"
		}
		return settled{Status: s}
	case n.sight.blind() || n.sight.doubtful(&h):
		return n.freeze(h, n.kept[i].Status)
	}
	return settled{Status: h}
}

// freeze keeps the state that was agreed on when an anchor last answered.
func (n *Nodes) freeze(h, kept healthcheck.Status) settled {
	why := "this node reaches none of its anchors, and no other node"
	if !n.sight.blind() {
		why = "seen down only while this node did not reach its anchors"
	}
	switch {
	case kept.State == healthcheck.Unknown && h.Source == healthcheck.FromRestart:
		kept = h
	case kept.State == healthcheck.Unknown:
		kept = healthcheck.Status{Load: noLoad, Reason: "nothing is known"}
	}
	kept.Reason = fmt.Sprintf("frozen as %s: %s; before: %s", kept.State, why, kept.Reason)
	kept.Steady = 0
	return settled{kept, true}
}

// confirm makes what is agreed now what is kept when this node becomes blind: an anchor has
// answered, so the node was not cut off when it was decided. n.mu is held.
func (n *Nodes) confirm() {
	for i := range n.agreed {
		if !n.agreed[i].frozen {
			n.kept[i] = n.agreed[i]
		}
	}
}
