package configs

import (
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
