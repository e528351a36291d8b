package broker

import (
	"cmp"
	"slices"
	"time"

	"switchpoint/internal/problem"
)

const (
	maxReleaseDelay = 7 * 24 * time.Hour
	maxPoolDesktops = 50_000
)

// withDefaults writes matches in their long form, so that two spellings are one setup.
func (p DesktopPool) withDefaults() DesktopPool {
	p.Check = cmp.Or(p.Check, checkDial)
	p.Rules = slices.Clone(p.Rules)
	for i := range p.Rules {
		if m, ok := findPoolMatch(p.Rules[i].Match); ok {
			p.Rules[i].Match = m.word
		}
	}
	return p
}

// checkPoolMembers looks at what takes desktops into pools, and at where one leads to another.
func (s Setup) checkPoolMembers(l *problem.List, kinds map[string]string) {
	for i, p := range s.DesktopPools {
		path := index("desktop_pool", i)
		if len(p.Rules) > maxPoolRules {
			l.Addf(path+".rule", "split the pool", "desktop pool %q has more than %d rules", p.Name, maxPoolRules)
		}
		for j, r := range p.Rules {
			_, err := compilePoolRule(r)
			l.Under(path+"."+index("rule", j), err)
		}
		if len(p.Desktops) > maxPoolDesktops {
			l.Addf(path+".desktops", "use rules", "desktop pool %q lists more than %d desktops", p.Name, maxPoolDesktops)
		}
		for j, d := range p.Desktops {
			checkName(l, path+"."+index("desktops", j), d)
		}
		checkSpan(l, path+".release_delay", p.ReleaseDelay, 0, maxReleaseDelay)
		if p.ReleaseDelay != 0 && p.Kind == KindAssigned {
			l.Addf(path+".release_delay", "remove it", "desktops of the assigned pool %q are never released", p.Name)
		}
		s.checkBackup(l, path+".backup", p, kinds)
	}
}

func (s Setup) checkBackup(l *problem.List, path string, p DesktopPool, kinds map[string]string) {
	const cure = "name another [[desktop_pool]] of kind pooled"
	switch kind, ok := kinds[p.Backup]; {
	case p.Backup == "":
	case !ok:
		l.Addf(path, cure, "unknown desktop pool %q", p.Backup)
	case p.Backup == p.Name:
		l.Addf(path, cure, "desktop pool %q is its own backup", p.Name)
	case p.Kind != KindPooled:
		l.Addf(path, "remove it", "desktops of the assigned pool %q are their users' own, and have no backup", p.Name)
	case kind != KindPooled:
		l.Addf(path, cure, "desktops of pool %q belong to their users and can stand in for nobody's", p.Backup)
	}
}
