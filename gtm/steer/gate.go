package steer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

// maxRefusals bounds how many names an error of Check lists.
const maxRefusals = 10

// Check is the gate before what operators say becomes the document in force: whether next, in the place
// of the document that v follows, keeps the safety rules. The error is a problem.List with a name as
// the path of each problem. For each name, at now and whenever an override of next begins, or one ends
// that keeps something in:
//
//	row                                                                        without force   with force
//	people leave fewer than min_datacenters in, and fewer than before          refused         refused
//	the mode changes to one in which no datacenter serves now                  refused         accepted
//	of those left in fewer than min_datacenters serve now, and fewer than      refused         accepted
//	  before
//	otherwise                                                                  accepted        accepted
//
// The first row is refused in any case because Direct would not apply it. A name that has fewer already
// is no reason to refuse what changes nothing for it, and a name that can spare none of its datacenters
// is none either while next takes something out of another one: on a bad morning "*/us" must not fail
// because of a name that stands in us alone. Direct leaves such a name as it is and says so.
func Check(t *Table, v *View, next *Operator, now time.Time, force bool) error {
	if t == nil {
		return nil
	}
	g := gate{table: t, view: v, next: next, force: force, was: &Operator{}}
	if v != nil {
		g.was = v.operator
	}
	var l problem.List
	refused := make(map[int]bool)
	for _, at := range turns(next, now) {
		g.at, g.soon = at, !at.After(now)
		g.check(&l, refused)
	}
	if g.takes {
		l = slices.DeleteFunc(l, func(p problem.Problem) bool { return p.Cure == cureNone })
	}
	if len(l) > maxRefusals {
		more := len(l) - maxRefusals
		l = l[:maxRefusals]
		l.Addf("", "see gtm status for all", "%d more names refuse it for the same kind of reason", more)
	}
	return l.Err()
}

// turns are the times to look at: now, and when overrides begin, or end that keep something in.
func turns(o *Operator, now time.Time) []time.Time {
	out := []time.Time{now}
	add := func(at time.Time) {
		if at.After(now) && !slices.ContainsFunc(out, at.Equal) {
			out = append(out, at)
		}
	}
	for _, w := range o.hear(func(v Override) bool { return !v.Over(now) }) {
		add(w.From)
		if !w.out() {
			add(w.Until)
		}
	}
	return out
}

// gate is one Check at one time.
type gate struct {
	table     *Table
	view      *View
	was, next *Operator
	at        time.Time
	soon      bool // at is now
	force     bool
	takes     bool // next takes a datacenter out of some name that can spare it
}

// cureNone is the cure for a name with no datacenter to spare.
const cureNone = "none of them can be spared: leave this name out with narrower patterns, such as OTHER-NAME/DATACENTER"

func (g *gate) check(l *problem.List, refused map[int]bool) {
	was := g.director(g.was)
	next := g.director(g.next)
	for i, n := range g.table.names {
		if refused[i] {
			continue
		}
		before, after := g.suppose(was, i), g.suppose(next, i)
		what, cure := g.refuse(n, before, after)
		g.takes = g.takes || what == "" && after.left(after.words) < before.left(before.words)
		if what != "" {
			refused[i] = true
			if !g.soon {
				what = "from " + clock(g.at) + " on " + what
			}
			*l = append(*l, problem.Problem{Path: n.id, What: what, Cure: cure})
		}
	}
}

func (g *gate) director(o *Operator) *director {
	return newDirector(g.table, Circumstances{Operator: o, Now: g.at})
}

// suppose measures a name as it is measured now, with other words and all of them applied.
func (g *gate) suppose(d *director, i int) *making {
	n := g.table.names[i]
	m := d.begin(n, namePast{})
	if g.view != nil && g.view.table == g.table {
		for j := range n.pools {
			m.pools()[j].measured = g.view.names[i].pools[j].measured
		}
	} else {
		m.look()
	}
	for j := range n.pools {
		m.pools()[j].status = m.words.over(&n.pools[j], m.pools()[j].measured, m.Now)
		m.health[j] = measure(take(&m.room.serving, len(n.pools[j].members)), n.UpThresh, m.pools()[j].status)
	}
	return m
}

// refuse applies the table of Check to one name.
func (g *gate) refuse(n *name, before, after *making) (what, cure string) {
	need := n.quorum(g.next.mode())
	if left := after.left(after.words); left < need && left < before.left(before.words) {
		cure = "release another one first, or take out less"
		if len(n.pools) == need {
			cure = cureNone
		}
		return fmt.Sprintf("operators would leave %d of its %d datacenters in, min_datacenters wants %d", left, len(n.pools), need), cure
	}
	if g.force {
		return "", ""
	}
	serve, did := after.serves(), before.serves()
	switch {
	case n.Between == BetweenMode && g.was.mode() != g.next.mode() && len(serve) == 0 && len(did) > 0:
		return fmt.Sprintf("no datacenter of mode %s serves now (%s)", g.next.mode(), after.idle()),
			"get one of them to serve first, or force it"
	case len(serve) < need && len(serve) < len(did):
		return fmt.Sprintf("only %d of the datacenters that are left in would serve now (%s), min_datacenters wants %d", len(serve), after.idle(), need),
			"wait until more of them serve, or force it"
	}
	return "", ""
}

// serves are the pools that could serve, as far as people leave them in.
func (m *making) serves() (out []int) {
	for i := range m.health {
		if h := &m.health[i]; m.eligible(i) && len(h.serving) > 0 && !h.ejected {
			out = append(out, i)
		}
	}
	return out
}

// idle says of the pools that people leave in but that do not serve what is wrong with them.
func (m *making) idle() string {
	var out []string
	for i := range m.health {
		if h := &m.health[i]; m.eligible(i) && (len(h.serving) == 0 || h.ejected) {
			out = append(out, m.name.pools[i].Datacenter+": "+h.rule)
		}
	}
	if len(out) == 0 {
		return "the others are taken out"
	}
	return strings.Join(out, "; ")
}
