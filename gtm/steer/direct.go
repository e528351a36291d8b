package steer

import (
	"time"

	"switchpoint/healthcheck"
)

// Circumstances is all that a View depends on besides its table and the view before it.
type Circumstances struct {
	// Status gives the health of a check, as the nodes agree on it. nil: nothing is known.
	Status   func(healthcheck.Ref) healthcheck.Status
	Operator *Operator // nil: operators have said nothing
	Now      time.Time
	// Supposed says which members, by their id, are to be taken for down: for the explanation of what
	// would be, which no demotion limit delays. nil: none.
	Supposed func(id string) bool
}

// Direct makes the view of a table; a nil table has no names. before is the newest view, also that
// of another table, or what Restore gave: what it remembers goes on for the names and datacenters
// that are still there. nil: there is none.
func Direct(t *Table, before *View, c Circumstances) *View {
	if t == nil {
		t = &Table{}
	}
	if c.Operator == nil {
		c.Operator = &Operator{}
	}
	d := newDirector(t, c)
	v := &View{table: t, operator: c.Operator, names: make([]nameView, len(t.names))}
	if before != nil && before.operator.mode() != c.Operator.mode() {
		v.events = append(v.events, modeEvent(before.operator, c.Operator))
	}
	pasts := before.pasts(t)
	for i, n := range t.names {
		m := d.begin(n, pasts[i])
		v.names[i] = m.make()
		v.events = append(v.events, m.events...)
		v.due = sooner(v.due, m.due)
	}
	return v
}

// director is what all names of one View have in common.
type director struct {
	Circumstances
	heard  words // the overrides that count now
	coming words // those that have not begun
	room   room
}

// room is where the parts of a View come from: one piece each for all names, because a view is made for
// each change of health.
type room struct {
	status  []healthcheck.Status
	serving []int
	pools   []poolView
	pasts   []poolPast
	health  []measurement
}

// take cuts n elements off a piece.
func take[T any](piece *[]T, n int) []T {
	out := (*piece)[:n:n]
	*piece = (*piece)[n:]
	return out
}

func newDirector(t *Table, c Circumstances) *director {
	pools, members := 0, 0
	for _, n := range t.names {
		pools += len(n.pools)
		for i := range n.pools {
			members += len(n.pools[i].members)
		}
	}
	return &director{
		Circumstances: c,
		heard:         c.Operator.hear(func(v Override) bool { return v.active(c.Now) }),
		coming:        c.Operator.hear(func(v Override) bool { return c.Now.Before(v.From) }),
		room: room{
			status: make([]healthcheck.Status, members), serving: make([]int, members),
			pools: make([]poolView, pools), pasts: make([]poolPast, pools), health: make([]measurement, pools),
		},
	}
}

// making is a nameView that is being made. The steps of make each fill in their part.
type making struct {
	*director
	*name
	nameView               // the result; its past is a copy that is written to
	before   namePast      // as the view before left it
	words    words         // the overrides on this name
	health   []measurement // of the pools, with the words applied
	events   []Event
	due      time.Time // when something changes by itself
	expected foresight // the first of what a client should not miss
}

func (d *director) begin(n *name, past namePast) *making {
	m := &making{director: d, name: n, before: past, words: d.heard.on(n)}
	m.nameView.past = past.copyTo(take(&d.room.pasts, len(n.pools)), d.Now)
	m.nameView.pools = take(&d.room.pools, len(n.pools))
	m.health = take(&d.room.health, len(n.pools))
	return m
}

// make goes through the steps. They are in the order in which they depend on each other.
func (m *making) make() nameView {
	m.look()
	m.listen()
	m.demote()
	m.comeBack()
	for i := range m.pools() {
		m.decide(i)
	}
	if !m.resort() {
		m.allDown()
	}
	m.shift()
	m.record()
	m.keepFor()
	return m.nameView
}

// pools are the pools of the view that is being made.
func (m *making) pools() []poolView { return m.nameView.pools }

// look takes down what was measured.
func (m *making) look() {
	for i := range m.name.pools {
		p := &m.name.pools[i]
		measured := take(&m.room.status, len(p.members))
		for j := range p.members {
			measured[j] = m.statusOf(&p.members[j])
		}
		m.pools()[i].measured = measured
	}
}

func (d *director) statusOf(m *member) healthcheck.Status {
	switch {
	case d.Supposed != nil && d.Supposed(m.id):
		return healthcheck.Status{
			State: healthcheck.Down, Reason: "supposed to be down", Steady: healthcheck.MaxSteady, Load: healthcheck.Load{Active: -1, Capacity: -1},
		}
	case !m.monitored:
		return healthcheck.Status{
			State: healthcheck.Up, Reason: "not monitored, counts as up", Steady: healthcheck.MaxSteady,
			Load: healthcheck.Load{Active: -1, Capacity: -1},
		}
	case d.Status == nil:
		return healthcheck.Status{Load: healthcheck.Load{Active: -1, Capacity: -1}}
	}
	return d.Status(m.ref)
}

// listen applies the operators' words, as far as the safety rules let them through.
func (m *making) listen() {
	m.restrain()
	for i := range m.pools() {
		p, v := &m.name.pools[i], &m.pools()[i]
		v.status = m.words.over(p, v.measured, m.Now)
		m.health[i] = measure(take(&m.room.serving, len(p.members)), m.UpThresh, v.status)
	}
}

// sooner is the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// wake makes the view due at t, where that is still to come.
func (m *making) wake(t time.Time) {
	if t.After(m.Now) {
		m.due = sooner(m.due, t)
	}
}
