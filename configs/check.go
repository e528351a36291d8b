package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"switchpoint/internal/problem"
)

// check adds every problem of c to f: the process's own sections, each room's, the references
// between them, and at last what only compiling a room finds.
func (c *Config) check(f *file) {
	f.add("", c.validate())
	f.add("", c.checkReferences())
	f.add("", c.checkListeners())
	c.checkRooms(f)
	c.checkSeed(f)
}

// validate reports the problems of the sections that belong to the process itself.
func (c *Config) validate() error {
	var l problem.List
	if c.GTM == nil && c.LB == nil && c.Broker == nil {
		l.Addf("", "add at least one of the sections [gtm], [lb] and [broker]", "configures no role, so the process would do nothing")
	}
	if g := c.GTM; g != nil && len(g.Listen)+len(g.Zones)+len(g.Names) == 0 {
		l.Addf("gtm", `write listen = ["ip:port"] and at least one [[gtm.zone]], or remove the section`, "is empty")
	}
	if b := c.LB; b != nil && len(b.Listeners)+len(b.Pools) == 0 {
		l.Addf("lb", "write an [[lb.listener]] and its [[lb.pool]], or remove the section", "is empty")
	}
	checkName(&l, "node.name", c.Node.Name)
	checkOneOf(&l, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	checkOneOf(&l, "log.format", c.Log.Format, "text", "json")
	c.checkAdmin(&l)
	seen := map[string]bool{}
	for i, d := range c.Datacenters {
		path := element("datacenter", i) + ".name"
		checkName(&l, path, d.Name)
		if seen[d.Name] {
			l.Addf(path, "remove one of them", "datacenter %q is there twice", d.Name)
		}
		seen[d.Name] = true
	}
	return l.Err()
}

// checkAdmin holds SE1: over TCP the admin API has TLS and a token, or it is not there.
func (c *Config) checkAdmin(l *problem.List) {
	a := c.Admin
	if a.Listen == "" {
		if a.Cert != "" || a.Key != "" || a.TokenFile != "" {
			l.Addf("admin", `add listen = "ip:port", or remove the section: the Unix socket needs none of it`, "has no listen")
		}
		return
	}
	if _, err := netip.ParseAddrPort(a.Listen); err != nil {
		l.Addf("admin.listen", `write it as ip:port, such as "127.0.0.1:9443"`, "%q is no address with a port", a.Listen)
	}
	for _, v := range []struct{ key, value string }{{"cert", a.Cert}, {"key", a.Key}, {"token_file", a.TokenFile}} {
		if v.value == "" {
			l.Addf("admin."+v.key, "add it, or remove listen to use the Unix socket alone", "is missing: the admin API over TCP needs TLS and a token")
		}
	}
}

// checkReferences reports names that nothing in the file has.
func (c *Config) checkReferences() error {
	var l problem.List
	monitors, datacenters := c.monitorNames(), slices.Compact(slices.Sorted(slices.Values(c.datacenterNames())))
	if c.Node.Datacenter != "" {
		checkKnown(&l, "node.datacenter", "datacenter", c.Node.Datacenter, datacenters)
	} else if len(datacenters) > 1 {
		l.Addf("node.datacenter", "write one of "+words(datacenters), "is missing, and there are several datacenters")
	}
	if c.GTM != nil {
		for i, n := range c.GTM.Names {
			if n.Monitor != "" {
				checkKnown(&l, fmt.Sprintf("gtm.name[%d].monitor", i), "monitor", n.Monitor, monitors)
			}
			if n.PreferNormal && slices.Contains(monitors, n.Monitor) && !c.asksBrokers(n.Monitor) {
				l.Addf(element("gtm.name", i)+".prefer_normal", "name a monitor that asks the is_alive page, or remove it",
					"monitor %q does not hear in which mode members work", n.Monitor)
			}
		}
		for i, m := range c.GTM.Nodes.Members {
			if m != c.Node.Name { // all nodes may share one list
				checkKnown(&l, element("gtm.nodes.members", i), "peer.trust", m, c.peerNames())
			}
		}
	}
	if c.LB != nil {
		for i, m := range c.LB.Nodes.Peers {
			if m != c.Node.Name { // all nodes may share one list
				checkKnown(&l, element("lb.nodes.peers", i), "peer.trust", m, c.peerNames())
			}
		}
		for i, p := range c.LB.Pools {
			if p.Monitor != "" {
				checkKnown(&l, fmt.Sprintf("lb.pool[%d].monitor", i), "monitor", p.Monitor, monitors)
			}
		}
	}
	return l.Err()
}

// checkListeners reports an address that two sections of the process want.
func (c *Config) checkListeners() error {
	var l problem.List
	owner := map[netip.AddrPort]string{}
	take := func(path, address string) {
		at, err := netip.ParseAddrPort(address)
		if err != nil || at.Port() == 0 {
			return // the owner of the section says so, or the system picks a free port
		}
		section, _, _ := strings.Cut(path, ".")
		if other, taken := owner[at]; taken && other != section {
			l.Addf(path, "give each its own port", "[%s] listens on %s too", other, address)
			return
		}
		owner[at] = section
	}
	if c.GTM != nil {
		for i, address := range c.GTM.Listen {
			take(element("gtm.listen", i), address)
		}
	}
	if c.LB != nil {
		for i, listener := range c.LB.Listeners {
			take(element("lb.listener", i)+".listen", listener.Listen)
		}
	}
	if c.Broker != nil {
		for i, address := range c.Broker.Listen {
			take(element("broker.listen", i), address)
		}
	}
	if c.Peer != nil {
		take("peer.listen", c.Peer.Listen)
	}
	take("admin.listen", c.Admin.Listen)
	return l.Err()
}

// checkSeed reads the broker's seed, whose problems stand in its own file.
func (c *Config) checkSeed(f *file) {
	if c.Broker == nil || c.Broker.Seed == "" {
		return
	}
	text, problems := readText(c.Broker.Seed)
	if problems != nil {
		f.add("broker.seed", problem.Problem{What: c.Broker.Seed + " " + problems[0].What, Cure: problems[0].Cure})
		return
	}
	setup, seed := parseSetup(c.Broker.Seed, []byte(text), c.monitorNames(), c.Broker.Cluster)
	var l problem.List
	for i, d := range setup.Destinations {
		if d.Peer != "" {
			checkKnown(&l, element("destination", i)+".peer", "peer.trust", d.Peer, c.peerNames())
		}
	}
	if seed.parsed {
		seed.add("", l.Err())
	}
	f.problems = append(f.problems, seed.problems...)
	c.seed = seedFile{setup: setup, file: c.Broker.Seed, lines: seed.index}
}

func checkKnown(l *problem.List, path, kind, name string, known []string) {
	if slices.Contains(known, name) {
		return
	}
	cure := fmt.Sprintf("add a [[%s]] of that name; there is none yet", kind)
	if near := closest(name, known); near != "" {
		cure = fmt.Sprintf("did you mean %q?", near)
	} else if len(known) > 0 {
		cure = fmt.Sprintf("add it, or write one of %s", words(known))
	}
	l.Addf(path, cure, "there is no %s %q", kind, name)
}

func checkOneOf(l *problem.List, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		l.Addf(path, "write one of "+words(allowed), "%q is not known", value)
	}
}

// checkName accepts what is safe in file names, log lines and DNS-like words.
func checkName(l *problem.List, path, name string) {
	bad := strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	})
	if name == "" || len(name) > 128 || bad {
		l.Addf(path, "write letters, digits, dots, - and _, at most 128", "%q is no name", name)
	}
}
