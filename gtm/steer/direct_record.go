package steer

import "fmt"

// record brings the past up to date with what was decided: what the next view has to know, and what
// the log shall tell. A pool of which nothing is known stays what it was.
func (m *making) record() {
	known := false
	for i := range m.pools() {
		known = known || m.pools()[i].knownToServe()
	}
	for i := range m.pools() {
		v, past := &m.pools()[i], &m.past.pools[i]
		if m.policy == "" && known && v.verdict != kept {
			past.good = v.serving
		}
		if v.verdict != unknown && v.verdict != unknownGone {
			m.recordTurn(i, v.in && m.policy == "")
		}
	}
	if m.policy != m.before.policy {
		m.past.policy, m.past.changed = m.policy, m.Now
		m.tell(m.policyEvent())
	}
	m.recordIgnored()
}

// recordTurn notes a pool that goes in or out. What is in at its first sight is no news, nor is what waits
// for its mode of operation; the switch of the mode has an event of its own.
func (m *making) recordTurn(i int, in bool) {
	v, past := &m.pools()[i], &m.past.pools[i]
	first := !past.seen
	if !first && past.took == in {
		return
	}
	past.seen = true
	c := Change{At: m.Now, In: in, Why: v.why}
	if c.Why == "" {
		c.Why = v.rule
	}
	if first && in {
		past.took, past.since = true, m.Now
		return
	}
	past.turn(c)
	if !first {
		m.past.changed = m.Now
	}
	if first && v.verdict == otherMode {
		return
	}
	what, well := "pool is out", v.verdict == otherMode
	if in {
		what, well = "pool is in", v.verdict == takesPart
	}
	m.tell(Event{Datacenter: m.name.pools[i].Datacenter, What: what, Why: c.Why, Bad: !well})
}

func (m *making) tell(e Event) {
	e.Name = m.id
	m.events = append(m.events, e)
}

func (m *making) policyEvent() Event {
	if m.policy == "" {
		return Event{What: "name is served again", Why: "the all-down policy " + m.before.policy + " is over"}
	}
	return Event{What: "all down", Why: "nothing serves, the answer is by all_down = " + m.policy, Bad: true}
}

// recordIgnored tells of overrides that are not applied, once each.
func (m *making) recordIgnored() {
	for _, text := range m.ignored {
		known := false
		for _, was := range m.before.ignored {
			known = known || was == text
		}
		if !known {
			m.tell(Event{What: "override is not applied", Why: text, Bad: true})
		}
	}
	m.past.ignored = m.ignored
}

func modeEvent(was, is *Operator) Event {
	why := is.ModeWhy.Reason
	if is.ModeWhy.Owner != "" {
		why = is.ModeWhy.Owner + ": " + why
	}
	return Event{What: fmt.Sprintf("mode of operation is %s, was %s", is.mode(), was.mode()), Why: why, Bad: true}
}
