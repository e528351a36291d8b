package steer

import (
	"slices"
	"strings"
	"time"

	"switchpoint/healthcheck"
)

// words are the overrides that concern one name and count now, in the order in which they were said.
type words []word

type word struct {
	*Override
	head    string // the part of the pattern for the name
	tail    string // the rest
	ignored bool   // the safety rules do not let it through
}

// hear gives the overrides for which when holds, made ready once for all names. A state that this
// program does not know takes nothing out.
func (o *Operator) hear(when func(Override) bool) words {
	var out words
	for i := range o.Overrides {
		w := word{Override: &o.Overrides[i]}
		if when(*w.Override) && w.state() != healthcheck.Unknown {
			w.head, w.tail, _ = strings.Cut(w.Pattern, "/")
			out = append(out, w)
		}
	}
	return out
}

// on gives those that concern a name.
func (w words) on(n *name) words {
	var out words
	for i := range w {
		if covers(w[i].head, n.id) {
			out = append(out, w[i])
		}
	}
	return out
}

// about gives the word that counts for "name/datacenter" or "name/datacenter/address:port": the
// newest that is not ignored.
func (w words) about(id string) *word {
	if len(w) == 0 {
		return nil
	}
	_, below, _ := strings.Cut(id, "/") // on has looked at the name
	for i := range slices.Backward(w) {
		if !w[i].ignored && (w[i].tail == "" || covers(w[i].tail, below)) {
			return &w[i]
		}
	}
	return nil
}

// out says whether the word takes what it names out.
func (w *word) out() bool { return w.State != healthcheck.Up.String() }

// said is the word as a reason.
func (w *word) said() string {
	s := "forced " + w.State + " by " + w.Owner
	if w.Reason != "" {
		s += ": " + w.Reason
	}
	if !w.Until.IsZero() {
		s += " (until " + w.Until.UTC().Format(time.DateTime) + " UTC)"
	}
	return s
}

// over lays the words over the measured states of a pool's members. What was measured stays in the
// reason. Without a word the result is measured itself.
func (w words) over(p *pool, measured []healthcheck.Status, now time.Time) []healthcheck.Status {
	if len(w) == 0 {
		return measured
	}
	out := measured
	for i := range p.members {
		said := w.about(p.members[i].id)
		if said == nil {
			continue
		}
		if &out[0] == &measured[0] {
			out = slices.Clone(measured)
		}
		out[i] = said.status(measured[i], now)
	}
	return out
}

func (w *word) status(was healthcheck.Status, now time.Time) healthcheck.Status {
	s := was
	s.State, s.Source, s.Since = w.state(), healthcheck.FromOverride, w.At
	s.Reason = w.said() + "; measured: " + was.State.String()
	if was.Reason != "" {
		s.Reason += " (" + was.Reason + ")"
	}
	s.Steady = healthcheck.MaxSteady
	if !w.Until.IsZero() {
		s.Steady = min(s.Steady, w.Until.Sub(now))
	}
	return s
}

// state is the word's state; unknown where it is none of the four.
func (w *word) state() healthcheck.State {
	for _, s := range []healthcheck.State{healthcheck.Up, healthcheck.Down, healthcheck.Draining, healthcheck.Maintenance} {
		if s.String() == w.State {
			return s
		}
	}
	return healthcheck.Unknown
}
