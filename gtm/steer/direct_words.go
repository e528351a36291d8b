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
	name, datacenter, address string // the parts of the pattern; empty: all
	ignored                   bool   // the safety rules do not let it through
}

// hear gives the overrides for which when holds, made ready once for all names. A state that this
// program does not know takes nothing out.
func (o *Operator) hear(when func(Override) bool) words {
	var out words
	for i := range o.Overrides {
		w := word{Override: &o.Overrides[i]}
		if when(*w.Override) && w.state() != healthcheck.Unknown {
			var below string
			w.name, below, _ = strings.Cut(w.Pattern, "/")
			w.datacenter, w.address, _ = strings.Cut(below, "/")
			out = append(out, w)
		}
	}
	return out
}

// on gives those that concern a name.
func (w words) on(n *name) words {
	var out words
	for i := range w {
		if glob(w[i].name, n.id) {
			out = append(out, w[i])
		}
	}
	return out
}

// about gives the word that counts for a pool of the name, or for the member at an address in it: the
// newest that is not ignored.
func (w words) about(p *pool, address string) *word {
	for i := range slices.Backward(w) {
		if !w[i].ignored && w[i].concerns(p, address) {
			return &w[i]
		}
	}
	return nil
}

// concerns says whether the word, which is on the pool's name, names the pool; or, where there is an
// address, the member or the pool.
func (w *word) concerns(p *pool, address string) bool {
	switch {
	case w.datacenter == "":
		return true
	case !glob(w.datacenter, p.Datacenter):
		return false
	}
	return w.address == "" || address != "" && glob(w.address, address)
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
		said := w.about(p, p.members[i].at)
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
