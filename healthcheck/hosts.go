package healthcheck

import "net"

// host bounds the probes under way to one host, so that a machine with many checks is not met by
// all of them at once when it answers slowly. It is guarded by Engine.mu.
type host struct {
	checks int // that have it
	busy   int // probes queued for a worker or under way
	wait   []*check
}

// hosts are those of all checks, by the host part of the address.
type hosts struct {
	by  map[string]*host
	max int
}

func hostOf(address string) string {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return name
}

// join gives c its host.
func (h *hosts) join(c *check) {
	name := hostOf(c.key.Address)
	if h.by[name] == nil {
		h.by[name] = &host{}
	}
	c.host = h.by[name]
	c.host.checks++
}

// leave forgets the host with its last check.
func (h *hosts) leave(c *check) {
	if c.host.checks--; c.host.checks == 0 {
		delete(h.by, hostOf(c.key.Address))
	}
}

// admit says whether c may be probed now; otherwise it waits for a turn.
func (h *hosts) admit(c *check) bool {
	if c.host.busy >= h.max {
		c.host.wait = append(c.host.wait, c)
		return false
	}
	c.host.busy++
	return true
}

// done ends the turn of c and gives the check whose turn it is now, if one waits.
func (h *hosts) done(c *check) *check {
	c.host.busy--
	if len(c.host.wait) == 0 || c.host.busy >= h.max {
		return nil
	}
	next := c.host.wait[0]
	c.host.wait = c.host.wait[1:]
	if len(c.host.wait) == 0 {
		c.host.wait = nil
	}
	c.host.busy++
	return next
}
