package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// How often the DNS is asked for the servers of ldap+srv. (The lifetime of its answers does not
// reach us through the system's resolver, which keeps them for as long as they say.)
const (
	resolveEvery     = time.Minute
	resolveEveryDown = 5 * time.Second // while no server answers
	resolveTimeout   = 5 * time.Second
)

// errNoServer is Health before the DNS has named a server.
var errNoServer = fmt.Errorf("%w: no server is known yet", ErrUnavailable)

// discovery is what the DNS said last, by entry of Servers.
type discovery struct {
	names map[int]srvName // never changes

	turn    chan struct{} // held by who reads or changes the rest
	records map[int][]endpoint
	asked   time.Time
	failed  bool
}

// assemble makes the fleet of what is known. Servers that stay keep their connections and their
// breakers. The caller has discovery's turn, or is New.
func (c *Client) assemble() error {
	d := &c.discovery
	have := make(map[string]*server)
	if f := c.fleet.Load(); f != nil {
		for _, s := range f.servers {
			have[s.name] = s
		}
	}
	var servers []*server
	var places []place
	add := func(e endpoint, reported bool) error {
		if slices.ContainsFunc(servers, func(s *server) bool { return s.name == e.url }) {
			return nil
		}
		s := have[e.url]
		if s == nil {
			var err error
			if s, err = newServer(c.config, c.password, e.url, c.resolver); err != nil {
				return err
			}
			s.reported = reported
		}
		servers, places = append(servers, s), append(places, e.place)
		return nil
	}
	inTurn := c.config.ServerOrder == RoundRobin
	for i, raw := range c.config.Servers {
		list := []endpoint{{url: raw}}
		_, dns := d.names[i]
		if dns {
			list = d.records[i]
		}
		for _, e := range list {
			if !inTurn {
				e.place.priority |= i << 16 // in the order of the list
			}
			if err := add(e, !dns); err != nil {
				return err
			}
		}
	}
	c.fleet.Store(newFleet(servers, places, inTurn, drawRandom))
	return nil
}

// refresh asks the DNS, when that is due, and takes over what it says. Names that it does not
// answer for keep the servers that they had.
func (c *Client) refresh(ctx context.Context) {
	d := &c.discovery
	if len(d.names) == 0 {
		return
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return
	}
	every := resolveEvery
	if err := c.Health(); err != nil && !errors.Is(err, errNotAsked) {
		every = resolveEveryDown
	}
	if time.Since(d.asked) < every {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	d.asked = time.Now()
	verified := c.config.Verify == "" && !c.config.NoVerify
	changed, failed := false, false
	for i, name := range d.names {
		list, outside, err := name.lookup(ctx, c.resolver, verified && (name.secure || c.config.StartTLS))
		if len(outside) > 0 {
			c.warnOnce("the DNS names servers outside the domain, which are left out; server_name says which name to verify", "domain", name.domain, "servers", outside)
		}
		if err != nil {
			failed = true
			if !d.failed && ctx.Err() == nil {
				c.log.Warn("the directory's servers could not be looked up; those that are known stay", "name", name.name, "err", err)
			}
			continue
		}
		changed = changed || !slices.Equal(list, d.records[i])
		d.records[i] = list
	}
	d.failed = failed
	if !changed {
		return
	}
	if err := c.assemble(); err != nil {
		c.log.Error("the directory's servers cannot be used", "err", err)
		return
	}
	var names []string
	for _, s := range c.fleet.Load().servers {
		names = append(names, s.name)
	}
	c.log.Info("the DNS has named the directory's servers", "servers", names)
}

// order is how the servers are tried by one login. Where the DNS has not been asked yet, that is
// done first.
func (c *Client) order(ctx context.Context) []*server {
	if len(c.fleet.Load().servers) == 0 {
		c.refresh(ctx)
	}
	return c.turns.order(c.fleet.Load())
}
