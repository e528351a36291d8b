package broker

import (
	"slices"
	"strings"

	"switchpoint/internal/problem"
	"switchpoint/redirect"
)

// The parts of a setup that other rooms own: they check their values, this file what the
// values say about each other.

func (s Setup) checkDirectories(l *problem.List, monitors []string, cluster string) {
	seen := map[string]string{LocalDirectory: "reserved"}
	for i, d := range s.Directories {
		path := index("directory", i)
		if d.Name == LocalDirectory {
			l.Addf(path+".name", "choose another name", "%q is the directory that the [[user]] entries form", LocalDirectory)
		} else if d.Name != "" { // the room itself reports an empty one
			checkUnique(l, path, d.Name, seen)
		}
		seen[d.Name] = "directory"
		l.Under(path, d.Config.Validate())
		if d.Monitor != "" && !slices.Contains(monitors, d.Monitor) {
			l.Addf(path+".monitor", "name a [[monitor]] of the process: "+some(monitors), "unknown monitor %q", d.Monitor)
		}
		if d.Redirect != nil {
			_, err := redirect.Compile(*d.Redirect, s.Destinations, cluster)
			l.Under(path+".redirect", err)
		}
	}
}

func (s Setup) checkDestinations(l *problem.List, monitors []string, cluster string) {
	seen := make(map[string]string)
	for i, d := range s.Destinations {
		path := index("destination", i)
		if d.Name != "" {
			checkUnique(l, path, d.Name, seen)
			seen[d.Name] = "destination"
		}
		l.Under(path, d.Validate())
		switch {
		case d.Cluster == cluster, d.Monitor == "": // "log in here" needs no probe; the other one has its own (RD9)
		case !slices.Contains(monitors, d.Monitor):
			l.Addf(path+".monitor", "name a [[monitor]] of the process: "+some(monitors), "unknown monitor %q", d.Monitor)
		}
	}
}

func (s Setup) checkPolicies(l *problem.List, pools map[string]string, protocols map[string]int) {
	seen := make(map[string]string)
	everybody := ""
	for i, p := range s.Policies {
		path := index("policy", i)
		checkUnique(l, path, p.Name, seen)
		seen[p.Name] = "policy"
		_, err := compilePolicy(p)
		l.Under(path, err)
		for j, pool := range p.Pools {
			if _, ok := pools[pool]; !ok {
				l.Addf(path+"."+index("desktop_pools", j), "name one of the [[desktop_pool]] entries", "unknown desktop pool %q", pool)
			} else if slices.Contains(p.Pools[:j], pool) {
				l.Addf(path+"."+index("desktop_pools", j), "raise max_offers to offer more of one pool", "desktop pool %q is listed twice", pool)
			}
		}
		if p.MaxOffers < 1 || p.MaxOffers > maxSlot {
			l.Addf(path+".max_offers", "leave it out for 1", "max_offers %d is not in 1..%d", p.MaxOffers, maxSlot)
		}
		if !slices.Contains(offerOrders(), p.Order) {
			l.Addf(path+".offer_order", "use one of: "+strings.Join(offerOrders(), ", "), "unknown offer_order %q", p.Order)
		}
		if _, ok := protocols[p.Protocol]; !ok && p.Protocol != "" {
			l.Addf(path+".protocol", protocolCure, "unknown protocol %q", p.Protocol)
		}
		if p.MaxSessions < 0 || p.MaxSessions > maxSlot*maxSlot {
			l.Addf(path+".max_sessions", "leave it out for no bound", "max_sessions %d is not in 0..%d", p.MaxSessions, maxSlot*maxSlot)
		}
		if everybody != "" {
			l.Addf(path, "put the policy for everybody last", "policy %q is never reached: %q before it matches everybody", p.Name, everybody)
		} else if p.everybody() {
			everybody = p.Name
		}
	}
}

// some names what there is to choose from.
func some(names []string) string {
	if len(names) == 0 {
		return "there is none yet"
	}
	return strings.Join(names, ", ")
}
