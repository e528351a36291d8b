package healthcheck

import (
	"net"
	"slices"
	"time"
)

const (
	slowAnswer = 300 * time.Millisecond
	slowFor    = time.Minute // how long an address that was slow once counts as slow
)

// gate lets checks through one by one. It is guarded by Engine.mu.
type gate struct {
	checks int // that pass it
	busy   int // probes let through and not over
	wait   []*check
	slow   time.Duration // until then
	all    []*check      // of an address
	hurry  time.Duration // when they were hurried last
}

// hosts bounds the probes to one host, so that a machine with many checks is not met by all of
// them at once when it hangs. And it lets the checks of one address take turns while that answers
// fast: so they share one connection, which is what makes a probe cheap. Once an address was slow,
// its checks do not wait for each other.
type hosts struct {
	byHost map[string]*gate
	byAddr map[string]*gate
	max    int
}

func newHosts() hosts {
	return hosts{byHost: make(map[string]*gate), byAddr: make(map[string]*gate)}
}

func hostOf(address string) string {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return name
}

func join(m map[string]*gate, name string) *gate {
	g := m[name]
	if g == nil {
		g = &gate{}
		m[name] = g
	}
	g.checks++
	return g
}

func leave(m map[string]*gate, name string) {
	if m[name].checks--; m[name].checks == 0 {
		delete(m, name)
	}
}

// join gives c its gates.
func (h *hosts) join(c *check) {
	c.host, c.addr = join(h.byHost, hostOf(c.key.Address)), join(h.byAddr, c.key.Address)
	c.addr.all = append(c.addr.all, c)
}

// leave forgets a gate with its last check.
func (h *hosts) leave(c *check) {
	c.addr.all = slices.DeleteFunc(c.addr.all, func(other *check) bool { return other == c })
	leave(h.byHost, hostOf(c.key.Address))
	leave(h.byAddr, c.key.Address)
}

// admit says whether c may be probed now; otherwise it waits at a gate.
func (h *hosts) admit(c *check, now time.Duration) bool {
	if c.addr.busy > 0 && now >= c.addr.slow {
		c.addr.wait = append(c.addr.wait, c)
		return false
	}
	c.addr.busy++
	return h.enter(c)
}

func (h *hosts) enter(c *check) bool {
	if c.host.busy >= h.max {
		c.host.wait = append(c.host.wait, c)
		return false
	}
	c.host.busy++
	return true
}

// done ends the turn of c, whose probe took so long, and hands those to give whose turn it is now.
func (h *hosts) done(c *check, took, now time.Duration, give func(*check)) {
	c.host.busy--
	c.addr.busy--
	if took > slowAnswer {
		c.addr.slow = now + slowFor
	}
	for len(c.host.wait) > 0 && c.host.busy < h.max {
		next := c.host.pop()
		c.host.busy++
		give(next)
	}
	for len(c.addr.wait) > 0 && (c.addr.busy == 0 || now < c.addr.slow) {
		next := c.addr.pop()
		c.addr.busy++
		if h.enter(next) {
			give(next)
		}
	}
}

// pop takes out the check that has waited longest.
func (g *gate) pop() *check {
	c := g.wait[0]
	g.wait = g.wait[1:]
	if len(g.wait) == 0 {
		g.wait = nil
	}
	return c
}

// hurry lets the other checks of an address look at once when one of them, until now good, found
// the target refusing or broken: most often it is gone for all of them, and waiting for each one's
// turn would only find that out later. The turn after it is at least half an interval away, so
// that a change still takes its time. e.mu is held.
func (e *Engine) hurry(c *check, now time.Duration) {
	interval := c.mon.def.Interval
	if c.addr.hurry > 0 && now-c.addr.hurry < interval {
		return
	}
	c.addr.hurry = now
	for _, other := range c.addr.all {
		if other == c || other.mon == nil || other.place != waiting || other.j.state == Down {
			continue
		}
		e.wheel.remove(other)
		other.rush = true
		other.base = now + other.mon.def.Interval/2
		e.await(other, now)
	}
}
