package nodes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"switchpoint/healthcheck"
)

// vote is what one node sees of one check.
type vote struct {
	state   healthcheck.State // Unknown: it has no view of it
	traffic bool              // down only because its own traffic to the target fails
	since   time.Time         // when it came to see this state
	at      time.Time         // when it was last known to see it
	ttfb    time.Duration
	steady  time.Duration // it sees this state for at least so much longer
	load    healthcheck.Load
	mode    time.Time // since when load has its mode; zero: it is not known
	reason  string    // of a state that is not up
}

// sees says whether the vote tells something of the target itself.
func (v vote) sees() bool {
	return v.state != healthcheck.Unknown && v.state != healthcheck.Down
}

// ballot is a vote with the node whose it is.
type ballot struct {
	node string
	own  bool
	vote
}

// agree decides what the nodes say of a check together. It is pure, and the order of the ballots
// plays no part. Ballots are those of the nodes in touch that do not abstain; ballots of state
// unknown count for nobody. With n that count and need, the number of all nodes that it takes:
//
//	n is 0                          there is nothing to agree on: false
//	min(need, n) or more say down   down
//	otherwise                       what most of those say that do not say down; of several such
//	                                states the most cautious: maintenance, draining, overloaded, up
//
// What else is known of the target comes from this node if it agrees, else from the first by name
// that does; load and response time from this node as soon as it sees the target.
func agree(ballots []ballot, need int) (healthcheck.Status, bool) {
	n := 0
	var count [healthcheck.Maintenance + 1]int
	for i := range ballots {
		if s := ballots[i].state; s != healthcheck.Unknown {
			n++
			count[s]++
		}
	}
	if n == 0 {
		return healthcheck.Status{}, false
	}
	need = min(need, n)
	state := healthcheck.Down
	if count[healthcheck.Down] < need {
		state = most(count)
	}
	w := witness(ballots, state)
	s := healthcheck.Status{
		State: state, Source: healthcheck.FromProbes, Since: w.since, At: w.at, Reason: w.reason,
		Load: healthcheck.Load{Active: -1, Capacity: -1},
	}
	if state == healthcheck.Down {
		s.Source = source(ballots)
	} else {
		s.TTFB, s.Load, s.ModeSince = measured(ballots, w)
	}
	if count[state] == n { // while they differ, the next report may turn it
		s.Steady = steady(ballots, state, need)
	}
	if !w.own || n > 1 && (state == healthcheck.Down || count[state] < n) {
		s.Reason = explain(ballots, state, need, n, w)
	}
	return s, true
}

// most is the state other than down with most votes; of equals the most cautious, which is the
// greatest.
func most(count [healthcheck.Maintenance + 1]int) healthcheck.State {
	best := healthcheck.Up
	for s := healthcheck.Up; s <= healthcheck.Maintenance; s++ {
		if s != healthcheck.Down && count[s] >= count[best] && count[s] > 0 {
			best = s
		}
	}
	return best
}

// witness is the ballot that speaks for a state: this node's, else the first by name.
func witness(ballots []ballot, state healthcheck.State) *ballot {
	var w *ballot
	for i := range ballots {
		b := &ballots[i]
		if b.state == state && (w == nil || !w.own && (b.own || b.node < w.node)) {
			w = b
		}
	}
	return w
}

// source is that of an agreed down: traffic, which a last resort may pass over, only if nobody's
// probes say it.
func source(ballots []ballot) healthcheck.Source {
	for i := range ballots {
		if ballots[i].state == healthcheck.Down && !ballots[i].traffic {
			return healthcheck.FromProbes
		}
	}
	return healthcheck.FromTraffic
}

// measured gives response time, load, and since when the load has its mode: this node's if it sees the
// target, else the witness's.
func measured(ballots []ballot, w *ballot) (time.Duration, healthcheck.Load, time.Time) {
	for i := range ballots {
		if b := &ballots[i]; b.own && b.sees() {
			return b.ttfb, b.load, b.mode
		}
	}
	return w.ttfb, w.load, w.mode
}

// steady is how long a state that all see cannot change: until as many have changed their minds
// as it takes. Up ends with need votes for down, down with one more than may be missing, and
// every other state with the first.
func steady(ballots []ballot, state healthcheck.State, need int) time.Duration {
	var times [maxMembers + 1]time.Duration
	by := times[:0]
	for i := range ballots {
		if b := &ballots[i]; b.state != healthcheck.Unknown {
			by = append(by, b.steady)
		}
	}
	slices.Sort(by)
	switch state {
	case healthcheck.Up:
		return by[need-1]
	case healthcheck.Down:
		return by[len(by)-need]
	}
	return by[0]
}

// explain says who voted how: "down by 2 of 3: de-gtm, us-gtm (here: up): connection refused".
func explain(ballots []ballot, state healthcheck.State, need, n int, w *ballot) string {
	var with, against []string
	here := ""
	for i := range ballots {
		b := &ballots[i]
		switch {
		case b.state == healthcheck.Unknown:
		case b.state == state:
			with = append(with, b.node)
		default:
			against = append(against, b.node+" says "+b.state.String())
			if b.own {
				here = " (here: " + b.state.String() + ")"
			}
		}
	}
	slices.Sort(with)
	slices.Sort(against)
	var text string
	if state == healthcheck.Down {
		text = fmt.Sprintf("down by %d of %d: %s%s", len(with), n, strings.Join(with, ", "), here)
	} else {
		text = fmt.Sprintf("%s by %d of %d: %s", state, len(with), n, strings.Join(with, ", "))
		if len(against) > 0 {
			text += fmt.Sprintf("; %s; down takes %d", strings.Join(against, ", "), need)
		}
	}
	if w.reason != "" {
		text += ": " + w.reason
	}
	return text
}
