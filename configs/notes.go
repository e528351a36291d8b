package configs

import (
	"net"
	"net/netip"
	"slices"

	"switchpoint/broker"
	"switchpoint/internal/problem"
)

// seedFile is the setup that an empty database would be filled with, for Notes.
type seedFile struct {
	setup *broker.Setup
	file  string
	lines *index
}

// Notes lists what is allowed but should be seen: settings that give up the protection of TLS.
// They are no problems, so that Load accepts them; `switchpoint check` says them aloud.
func (c *Config) Notes() Problems {
	const verify = "trust the server's own CA with ca instead, where that is possible"
	var main, seed problem.List
	for i, m := range c.Monitors {
		if m.NoVerify {
			main.Addf(element("monitor", i)+".no_verify", verify, "certificates are not verified, so a probe may believe an impostor")
		}
	}
	if c.LB != nil {
		for i, p := range c.LB.Pools {
			if p.NoVerify {
				main.Addf(element("lb.pool", i)+".no_verify", verify, "certificates of the members are not verified, so sign-ins may go to an impostor")
			}
		}
	}
	if c.Broker != nil {
		const secure = "set cert and key, or listen where only the balancer reaches it"
		for i, l := range c.Broker.Listen {
			if a, err := netip.ParseAddrPort(l); err == nil && c.Broker.Cert == "" && !a.Addr().IsLoopback() {
				main.Addf(element("broker.listen", i), secure, "sign-ins arrive here unencrypted: the broker has no certificate")
			}
		}
		if d := c.Broker.Database; d.TLS == broker.DatabaseTLSOff && slices.ContainsFunc(d.Hosts, remoteHost) {
			main.Addf("broker.database.tls", `leave it out: "verify-full" is the default`, "the connection to the database is not encrypted")
		}
	}
	if c.seed.setup != nil {
		for i, d := range c.seed.setup.Directories {
			if d.NoVerify {
				seed.Addf(element("directory", i)+".no_verify", verify, "certificates are not verified, so passwords may go to an impostor")
			}
			if d.AllowPlain {
				seed.Addf(element("directory", i)+".allow_plain", "use ldaps:// or start_tls", "passwords may cross the network unencrypted")
			}
		}
	}
	return append(located(main, c.File, c.lines), located(seed, c.seed.file, c.seed.lines)...)
}

func located(list problem.List, file string, lines *index) Problems {
	out := make(Problems, len(list))
	for i, p := range list {
		out[i] = Problem{File: file, Line: lines.line(p.Path), Problem: p}
	}
	return out
}

// remoteHost says whether a database host is reached over a network: neither a folder of a socket nor this
// machine.
func remoteHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	a, err := netip.ParseAddr(name)
	return name != "localhost" && !(len(name) > 0 && name[0] == '/') && !(err == nil && a.IsLoopback())
}
