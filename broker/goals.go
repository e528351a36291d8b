package broker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GoalState says how a cluster stands to one of its goals.
type GoalState string

// The states of a goal.
const (
	GoalMet     GoalState = "met"
	GoalAtRisk  GoalState = "at risk" // it holds now, and something is there that may end it
	GoalNotMet  GoalState = "not met"
	GoalUnknown GoalState = "not measured"
)

// The three goals of OP1, which hold or fail apart from each other.
const (
	GoalAvailability = "Availability"
	GoalRecovery     = "Disaster Recovery"
	GoalCapacity     = "Capacity"
)

// Goal is one of them with the reasons for its state.
type Goal struct {
	Name    string    `json:"name"`
	State   GoalState `json:"state"`
	Reasons []string  `json:"reasons"`
}

// LoginHour is how many logins all brokers together had in one hour: those that were let in, were sent
// home, or found all places taken.
type LoginHour struct {
	At     time.Time // its start; zero: no hour had any
	Logins int
	Peak   int // of its busiest minute
}

// perSecond is the rate of the busiest minute.
func (h LoginHour) perSecond() float64 { return float64(h.Peak) / 60 }

// GoalFacts is what the goals are judged by.
type GoalFacts struct {
	Brokers       []NodeStatus
	Busiest       LoginHour // of the last days
	Clusters      []string  // others that users may be sent to
	Embedded      bool      // the database is a file of one host
	DatabaseHosts int       // that are configured
}

// Judge decides on the three goals.
func (f GoalFacts) Judge() []Goal {
	return []Goal{f.availability(), f.recovery(), f.capacity()}
}

// worse takes a goal down to a state, for a reason.
func (g *Goal) worse(s GoalState, format string, args ...any) {
	rank := []GoalState{GoalMet, GoalAtRisk, GoalUnknown, GoalNotMet}
	if slices.Index(rank, s) > slices.Index(rank, g.State) {
		g.State = s
	}
	g.Reasons = append(g.Reasons, fmt.Sprintf(format, args...))
}

// hostOf is where a broker stands: kernels tell hosts apart, else network interfaces do. A broker of
// which neither is known stands alone.
func hostOf(n NodeStatus) string {
	switch {
	case n.Host != "":
		return "host " + n.Host
	case n.MAC != "":
		return "interface " + n.MAC
	}
	return "broker " + strconv.Itoa(n.SiteID)
}

// host is the brokers that live on one, in the order of their site ids.
type host struct {
	id      string
	brokers []NodeStatus
}

func (f GoalFacts) hosts() []host {
	var out []host
	for _, n := range f.Brokers {
		if !n.Live {
			continue
		}
		i := slices.IndexFunc(out, func(h host) bool { return h.id == hostOf(n) })
		if i < 0 {
			i, out = len(out), append(out, host{id: hostOf(n)})
		}
		out[i].brokers = append(out[i].brokers, n)
	}
	return out
}

func (h host) names() string {
	names := make([]string, len(h.brokers))
	for i, n := range h.brokers {
		names[i] = n.Name
	}
	return strings.Join(names, ", ")
}

// availability: a host fails, and brokers on others are left.
func (f GoalFacts) availability() Goal {
	g := Goal{Name: GoalAvailability, State: GoalMet}
	hosts := f.hosts()
	switch {
	case len(hosts) == 0:
		g.worse(GoalNotMet, "no broker lives")
	case f.Embedded:
		g.worse(GoalNotMet, "the database is embedded: it goes with its host, and all brokers with it")
	case len(hosts) == 1:
		g.worse(GoalNotMet, "all brokers that live (%s) stand on one host", hosts[0].names())
	default:
		g.worse(GoalMet, "brokers live on %d hosts: one may go", len(hosts))
	}
	if len(hosts) > 1 {
		for _, h := range hosts {
			if len(h.brokers) > 1 {
				g.worse(GoalAtRisk, "%s stand on the same host and go together", h.names())
			}
		}
	}
	for _, n := range f.Brokers {
		if !n.Live && !n.Stopped {
			g.worse(GoalAtRisk, "%s has been silent for %s", n.Name, n.Age.Round(time.Second))
		}
	}
	return g
}

// recovery: a data centre goes, and users still log in elsewhere.
func (f GoalFacts) recovery() Goal {
	g := Goal{Name: GoalRecovery, State: GoalMet}
	var places []string
	for _, n := range f.Brokers {
		if n.Live && !slices.Contains(places, n.Datacenter) {
			places = append(places, n.Datacenter)
		}
	}
	slices.Sort(places)
	switch across := len(places) > 1; {
	case across && f.DatabaseHosts > 1:
		g.worse(GoalMet, "brokers live in %s, and the database has %d addresses", strings.Join(places, ", "), f.DatabaseHosts)
	case across && len(f.Clusters) == 0:
		g.worse(GoalAtRisk, "brokers live in %s, but the database has one address: it may go with its data centre", strings.Join(places, ", "))
	case len(f.Clusters) > 0:
		g.worse(GoalMet, "there are other clusters: %s; global DNS has to lead there", strings.Join(f.Clusters, ", "))
	case len(places) == 0:
		g.worse(GoalNotMet, "no broker lives, and no other cluster is known")
	default:
		g.worse(GoalNotMet, "all brokers that live stand in %s, and no other cluster is known", places[0])
	}
	return g
}

// capacity: the logins of the busiest recent hour, with the strongest host gone.
func (f GoalFacts) capacity() Goal {
	g := Goal{Name: GoalCapacity, State: GoalMet}
	var all, most float64
	var unknown []string
	hosts := f.hosts()
	for _, h := range hosts {
		// Brokers of one host share its processors: each counts what is left for itself.
		var best float64
		for _, n := range h.brokers {
			best = max(best, n.Carries)
			if n.Carries == 0 {
				unknown = append(unknown, n.Name)
			}
			if n.Load.Steal >= stealMuch {
				g.worse(GoalAtRisk, "the hypervisor takes %.0f%% of the CPU time of %s's host", 100*n.Load.Steal, n.Name)
			}
		}
		all, most = all+best, max(most, best)
	}
	if f.Busiest.At.IsZero() {
		g.worse(GoalUnknown, "nobody has logged in within the last %d days", int(busiestOf.Hours()/24))
		return g
	}
	need := f.Busiest.perSecond()
	peak := fmt.Sprintf("the busiest hour (%s UTC) had %d logins, up to %.1f/s in a minute", f.Busiest.At.UTC().Format("2006-01-02 15:04"), f.Busiest.Logins, need)
	left := fmt.Sprintf("without the strongest of %d hosts the brokers carry %.1f/s, by what logins cost them", len(hosts), all-most)
	switch {
	case all-most >= need:
		g.worse(GoalMet, "%s; %s", peak, left)
	case len(unknown) > 0: // they may carry the rest
		g.worse(GoalUnknown, "%s; %s", peak, left)
	default:
		g.worse(GoalNotMet, "%s; %s, all together %.1f/s", peak, left, all)
	}
	if len(unknown) > 0 {
		g.Reasons = append(g.Reasons, fmt.Sprintf("what %s can carry is not known: no minute had %d logins there", strings.Join(unknown, ", "), meterLogins))
	}
	return g
}

// stealMuch is the share of stolen CPU time that users begin to feel.
const stealMuch = 0.1
