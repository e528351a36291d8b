package steer

import (
	"fmt"
)

// restrain keeps operators' words from taking out more pools of the name than min_datacenters allows,
// whatever document arrives: two nodes may have been told different things, and what each accepted
// may be too much together. While too few are left, the newest word that takes a pool out, or a member
// of a pool that is out, is not applied to this name. Health plays no part, so that no failure
// undoes what an operator has said; Check looks at health, before a document is accepted.
//
//	min_datacenters 1, pools us and uk       left     applied
//	down */us                                uk       all
//	down */us, then down */uk                none     the first
//	down */us, then down each member of uk   none     all but the last member
//	down */us, every member of uk in a       none     none: uk is out by people too
//	  maintenance window
//	down */us, down */uk, then up */us       us       all
func (m *making) restrain() {
	if len(m.words) == 0 {
		return
	}
	need := m.quorum(m.Operator.mode())
	for left := m.left(m.words); left < need; left = m.left(m.words) {
		w := m.newest()
		if w == nil {
			return
		}
		w.ignored = true
		m.ignored = append(m.ignored, fmt.Sprintf(
			"%s of %q is not applied: only %d of the datacenters would be left in, min_datacenters wants %d", w.said(), w.Pattern, left, need))
	}
}

// quorum is how many pools people have to leave in, in a mode of operation.
func (n *name) quorum(mode string) int {
	have := 0
	for i := range n.pools {
		if n.inMode(&n.pools[i], mode) {
			have++
		}
	}
	return min(n.MinDatacenters, have)
}

// left is how many pools people leave in.
func (m *making) left(w words) int {
	left := 0
	for i := range m.name.pools {
		if p := &m.name.pools[i]; m.leave(w, i) && (m.inMode(p) || w.about(p, "") != nil) {
			left++
		}
	}
	return left
}

// leave says whether people leave a pool in: at least one of its members too.
func (m *making) leave(w words, i int) bool {
	p := &m.name.pools[i]
	if said := w.about(p, ""); said != nil && said.out() {
		return false
	}
	for j := range p.members {
		if said := w.about(p, p.members[j].at); said != nil {
			if !said.out() {
				return true
			}
		} else if !isPlanned(&m.pools()[i].measured[j]) {
			return true
		}
	}
	return false
}

// newest is the newest word that takes out a pool, or a member of a pool, that would be left in but for
// the words.
func (m *making) newest() *word {
	for k := len(m.words) - 1; k >= 0; k-- {
		w := &m.words[k]
		if w.ignored || !w.out() {
			continue
		}
		for i := range m.name.pools {
			if m.inMode(&m.name.pools[i]) && !m.leave(m.words, i) && m.leave(nil, i) && m.touches(w, i) {
				return w
			}
		}
	}
	return nil
}

// touches says whether a word is the one that counts for the pool or a member of it.
func (m *making) touches(w *word, i int) bool {
	p := &m.name.pools[i]
	if m.words.about(p, "") == w {
		return true
	}
	for j := range p.members {
		if m.words.about(p, p.members[j].at) == w {
			return true
		}
	}
	return false
}
