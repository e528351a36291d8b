package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"switchpoint/internal/problem"
)

// LocalDirectory is the name of the directory that the [[user]] entries form (LD3).
const LocalDirectory = "local"

const (
	checkDial = "dial"
	checkNone = "none"

	stateEnabled     = "enabled"
	stateMaintenance = "maintenance"

	maxName = 128 // bytes of a name of anything
)

// WithDefaults returns a deep enough copy of s with every default in its place; it is the form
// that the database holds, so that two spellings of one setup show no difference.
func (s Setup) WithDefaults() Setup {
	s.Protocols = slices.Clone(s.Protocols)
	for i := range s.Protocols {
		s.Protocols[i].MIME = cmp.Or(s.Protocols[i].MIME, defaultMIME)
	}
	s.Powers = slices.Clone(s.Powers)
	for i := range s.Powers {
		s.Powers[i] = s.Powers[i].withDefaults()
	}
	s.Centers = slices.Clone(s.Centers)
	for i := range s.Centers {
		s.Centers[i] = s.Centers[i].withDefaults()
	}
	s.DesktopPools = slices.Clone(s.DesktopPools)
	for i := range s.DesktopPools {
		s.DesktopPools[i] = s.DesktopPools[i].withDefaults()
	}
	ports := s.protocolPorts()
	s.Desktops = slices.Clone(s.Desktops)
	for i := range s.Desktops {
		d := &s.Desktops[i]
		d.Protocol = cmp.Or(d.Protocol, ProtocolRDP)
		d.Port = cmp.Or(d.Port, ports[d.Protocol])
		d.State = cmp.Or(d.State, stateEnabled)
		if mac, err := parseMAC(d.MAC); err == nil {
			d.MAC = mac
		}
		if tags, why := cleanTags(d.Tags); why == "" {
			d.Tags = tags
		}
	}
	s.Policies = slices.Clone(s.Policies)
	for i := range s.Policies {
		p := &s.Policies[i]
		p.MaxOffers = cmp.Or(p.MaxOffers, 1)
		p.Order = cmp.Or(p.Order, OrderPrevious)
	}
	first := LocalDirectory
	if len(s.Directories) > 0 {
		first = s.Directories[0].Name
	}
	s.Assignments = slices.Clone(s.Assignments)
	for i := range s.Assignments {
		a := &s.Assignments[i]
		a.Directory = cmp.Or(a.Directory, first)
		a.User = canonicalUser(a.User)
	}
	s.Users = slices.Clone(s.Users)
	for i := range s.Users {
		s.Users[i].Name = canonicalUser(s.Users[i].Name)
	}
	return s
}

// canonicalUser is the form of user names in assignments, sessions and claims.
func canonicalUser(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// Validate reports every problem of s. monitors are the [[monitor]] names of the process and
// cluster is this broker's own: a destination of that name means "log in here".
func (s Setup) Validate(monitors []string, cluster string) error {
	s = s.WithDefaults()
	var l problem.List
	s.checkDirectories(&l, monitors, cluster)
	s.checkDestinations(&l, monitors, cluster)
	protocols := s.checkProtocols(&l)
	s.checkCenters(&l, protocols)
	s.checkPowers(&l)
	pools := s.checkPools(&l)
	desktops := s.checkDesktops(&l, pools, protocols)
	s.checkPolicies(&l, pools, protocols)
	s.checkAssignments(&l, desktops)
	s.checkUsers(&l)
	s.Limits.validate(&l)
	s.Leases.validate(&l)
	return l.Err()
}

func (s Setup) checkPools(l *problem.List) map[string]string {
	kinds := make(map[string]string)
	for i, p := range s.DesktopPools {
		path := index("desktop_pool", i)
		checkUnique(l, path, p.Name, kinds)
		if p.Kind != KindAssigned && p.Kind != KindPooled {
			l.Addf(path+".kind", `write "assigned" or "pooled"`, "unknown kind %q of desktop pool %q", p.Kind, p.Name)
		}
		if p.Check != checkDial && p.Check != checkNone {
			l.Addf(path+".check", `write "dial" or "none"`, "unknown check %q of desktop pool %q", p.Check, p.Name)
		}
		kinds[p.Name] = cmp.Or(p.Kind, "?")
	}
	s.checkPoolMembers(l, kinds)
	return kinds
}

// checkDesktops returns the kind of pool in which each desktop stands.
func (s Setup) checkDesktops(l *problem.List, pools map[string]string, protocols map[string]int) map[string]string {
	kinds := make(map[string]string)
	for i, d := range s.Desktops {
		path := index("desktop", i)
		checkUnique(l, path, d.Name, kinds)
		kind, ok := pools[d.Pool]
		if !ok && d.Pool != "" {
			l.Addf(path+".pool", "name one of the [[desktop_pool]] entries", "desktop %q stands in unknown pool %q", d.Name, d.Pool)
		}
		if !plainHost(d.Host) {
			l.Addf(path+".host", "write a host name or an address without port", "%q is no host", d.Host)
		}
		_, known := protocols[d.Protocol]
		if !known {
			l.Addf(path+".protocol", protocolCure, "unknown protocol %q", d.Protocol)
		}
		for _, text := range []struct{ key, value string }{{"os", d.OS}, {"description", d.Description}} {
			if len(text.value) > maxMachineText || !printable(text.value) {
				l.Addf(path+"."+text.key, "write printable text", "the text is longer than %d bytes or not printable", maxMachineText)
			}
		}
		if _, why := cleanTags(d.Tags); why != "" {
			l.Addf(path+".tags", "write a few short words", "%s", why)
		}
		if _, err := parseMAC(d.MAC); err != nil {
			l.Addf(path+".mac", `write it like "52:54:00:12:34:56"`, "%v", err)
		}
		if left := d.Port == 0 && !known; !left && (d.Port < 1 || d.Port > 65535) { // left out, and no default to take
			l.Addf(path+".port", "leave it out for the protocol's own", "port %d is not in 1..65535", d.Port)
		}
		if d.State != stateEnabled && d.State != stateMaintenance {
			l.Addf(path+".state", `write "enabled" or "maintenance"`, "unknown state %q", d.State)
		}
		kinds[d.Name] = cmp.Or(kind, "?")
	}
	return kinds
}

func (s Setup) checkAssignments(l *problem.List, desktops map[string]string) {
	directories := map[string]bool{LocalDirectory: true}
	for _, d := range s.Directories {
		directories[d.Name] = true
	}
	owner := make(map[string]string)
	for i, a := range s.Assignments {
		path := index("assignment", i)
		checkName(l, path+".user", a.User)
		if !directories[a.Directory] {
			l.Addf(path+".directory", `name one of the [[directory]] entries or "local"`, "unknown directory %q", a.Directory)
		}
		switch kind, ok := desktops[a.Desktop]; {
		case !ok:
			l.Addf(path+".desktop", assignCure(len(s.Centers) > 0), "unknown desktop %q", a.Desktop)
		case kind == KindPooled:
			l.Addf(path+".desktop", "put it into a pool of kind assigned", "desktop %q stands in a pooled desktop pool and can belong to nobody", a.Desktop)
		}
		if who, ok := owner[a.Desktop]; ok {
			l.Addf(path+".desktop", "give each user a desktop of his own", "desktop %q is already assigned to %q", a.Desktop, who)
		}
		owner[a.Desktop] = a.User
	}
}

func (s Setup) checkUsers(l *problem.List) {
	seen := make(map[string]string)
	for i, u := range s.Users {
		path := index("user", i)
		checkUnique(l, path, u.Name, seen)
		seen[u.Name] = "user"
		if _, err := parseHash(u.Password); err != nil {
			l.Addf(path+".password", "paste what `switchpoint hash-password` prints", "password of user %q is no argon2id or bcrypt hash: %v", u.Name, err)
		}
	}
}

func checkUnique(l *problem.List, path, name string, seen map[string]string) {
	checkName(l, path+".name", name)
	if _, ok := seen[name]; ok {
		l.Addf(path+".name", "rename or remove one of them", "the name %q is used twice", name)
	}
}

// checkName refuses names that would be unreadable or dangerous in a page, a log or a file.
func checkName(l *problem.List, path, name string) {
	switch {
	case name == "":
		l.Addf(path, "give it a name", "the name is empty")
	case len(name) > maxName:
		l.Addf(path, "choose a shorter name", "the name is longer than %d bytes", maxName)
	case !printable(name) || strings.TrimSpace(name) != name:
		l.Addf(path, "use printable characters without space at the ends", "%q is not a usable name", name)
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// plainHost accepts host names and addresses: what may stand in a connection file verbatim.
func plainHost(h string) bool {
	return h != "" && len(h) <= 253 && !strings.ContainsFunc(h, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:", r))
	}) && (!strings.Contains(h, ":") || isIPv6(h))
}

func index(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// assignCure names the two ways to an assignment.
func assignCure(centers bool) string {
	if centers {
		return "name one of the [[desktop]] entries; those of a center are assigned by `switchpoint assignments import`"
	}
	return "name one of the [[desktop]] entries"
}
