package broker

import (
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// on is a broker that lives on a host and carries so many logins a second.
func on(site int, host, place string, carries float64) NodeStatus {
	return NodeStatus{Node: Node{SiteID: site, Name: "b" + string(rune('0'+site)), Host: host, Datacenter: place}, Live: true, Beat: Beat{Carries: carries}}
}

func TestGoals(t *testing.T) {
	covers.Req(t, "OP1", "OP2")
	silent := on(3, "h3", "uk", 10)
	silent.Live, silent.Age = false, 90*time.Second
	left := silent
	left.Stopped = true
	stolen := on(2, "h2", "uk", 10)
	stolen.Load = HostLoad{CPUs: 2, Steal: 0.4}
	cards := func(site int, mac string) NodeStatus {
		n := on(site, "", "uk", 0)
		n.MAC = mac
		return n
	}
	busy := LoginHour{At: time.Unix(1_700_000_000, 0), Logins: 9000, Peak: 600} // 10/s
	three := []NodeStatus{on(1, "h1", "uk", 6), on(2, "h2", "uk", 6), on(3, "h3", "uk", 4)}
	for _, c := range []struct {
		name       string
		f          GoalFacts
		want       [3]GoalState // availability, recovery, capacity
		reasons    string       // stand somewhere in the reasons, with | between
		reasonsNot string
	}{
		{"three hosts in one place", GoalFacts{Brokers: three, DatabaseHosts: 1, Busiest: busy}, [3]GoalState{GoalMet, GoalNotMet, GoalMet},
			"live on 3 hosts|stand in uk|up to 10.0/s|without the strongest of 3 hosts the brokers carry 10.0/s", "silent"},
		{"available without capacity", GoalFacts{Brokers: three[:2], Busiest: busy}, [3]GoalState{GoalMet, GoalNotMet, GoalNotMet},
			"carry 6.0/s|all together 12.0/s", ""},
		{"capacity without availability: one strong host", GoalFacts{Brokers: []NodeStatus{on(1, "h1", "uk", 50), on(2, "h1", "uk", 40)}, Busiest: busy},
			[3]GoalState{GoalNotMet, GoalNotMet, GoalNotMet}, "(b1, b2) stand on one host|carry 0.0/s|all together 50.0/s", ""},
		{"two of three share a host", GoalFacts{Brokers: []NodeStatus{on(1, "h1", "uk", 20), on(2, "h1", "uk", 20), on(3, "h2", "uk", 20)}, Busiest: busy},
			[3]GoalState{GoalAtRisk, GoalNotMet, GoalMet}, "b1, b2 stand on the same host|carry 20.0/s", ""},
		{"hosts by their interfaces", GoalFacts{Brokers: []NodeStatus{cards(1, "m1"), cards(2, "m1"), cards(3, "m2"), cards(4, "")}},
			[3]GoalState{GoalAtRisk, GoalNotMet, GoalUnknown}, "b1, b2 stand on the same host|live on 3 hosts|nobody has logged in", ""},
		{"one is silent", GoalFacts{Brokers: []NodeStatus{three[0], three[1], silent}, Busiest: LoginHour{At: busy.At, Logins: 1, Peak: 1}},
			[3]GoalState{GoalAtRisk, GoalNotMet, GoalMet}, "b3 has been silent for 1m30s", ""},
		{"one was stopped", GoalFacts{Brokers: []NodeStatus{three[0], three[1], left}, Busiest: LoginHour{At: busy.At, Logins: 1, Peak: 1}},
			[3]GoalState{GoalMet, GoalNotMet, GoalMet}, "live on 2 hosts", "b3"},
		{"embedded database", GoalFacts{Brokers: three[:1], Embedded: true}, [3]GoalState{GoalNotMet, GoalNotMet, GoalUnknown}, "embedded", "stand on one host"},
		{"nobody lives", GoalFacts{Brokers: []NodeStatus{silent}}, [3]GoalState{GoalNotMet, GoalNotMet, GoalUnknown}, "no broker lives", ""},
		{"two places, a database with a standby", GoalFacts{Brokers: []NodeStatus{on(1, "h1", "uk", 9), on(2, "h2", "us", 9)}, DatabaseHosts: 2},
			[3]GoalState{GoalMet, GoalMet, GoalUnknown}, "brokers live in uk, us, and the database has 2 addresses", ""},
		{"two places, one database", GoalFacts{Brokers: []NodeStatus{on(1, "h1", "uk", 9), on(2, "h2", "us", 9)}, DatabaseHosts: 1},
			[3]GoalState{GoalMet, GoalAtRisk, GoalUnknown}, "the database has one address", ""},
		{"another cluster", GoalFacts{Brokers: three, Clusters: []string{"us"}}, [3]GoalState{GoalMet, GoalMet, GoalUnknown}, "other clusters: us", ""},
		{"the hypervisor takes time", GoalFacts{Brokers: []NodeStatus{on(1, "h1", "uk", 10), stolen}, Busiest: busy},
			[3]GoalState{GoalMet, GoalNotMet, GoalAtRisk}, "takes 40% of the CPU time of b2's host", ""},
		{"some are not measured", GoalFacts{Brokers: []NodeStatus{three[0], on(2, "h2", "uk", 0)}, Busiest: busy},
			[3]GoalState{GoalMet, GoalNotMet, GoalUnknown}, "what b2 can carry is not known", ""},
	} {
		goals := c.f.Judge()
		text := ""
		for i, name := range []string{GoalAvailability, GoalRecovery, GoalCapacity} {
			if goals[i].Name != name || goals[i].State != c.want[i] || len(goals[i].Reasons) == 0 {
				t.Errorf("%s: %+v, want %s to be %s, with a reason", c.name, goals[i], name, c.want[i])
			}
			text += strings.Join(goals[i].Reasons, "\n") + "\n"
		}
		for part := range strings.SplitSeq(c.reasons, "|") {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %q in\n%s", c.name, part, text)
			}
		}
		if c.reasonsNot != "" && strings.Contains(text, c.reasonsNot) {
			t.Errorf("%s: %q in\n%s", c.name, c.reasonsNot, text)
		}
	}
}

func TestGoalWatch(t *testing.T) {
	var w goalWatch
	for i, c := range []struct {
		state GoalState
		told  bool
	}{{GoalMet, false}, {GoalMet, false}, {GoalAtRisk, true}, {GoalAtRisk, false}, {GoalMet, true}, {GoalUnknown, true}} {
		if got := w.changed(Goal{Name: GoalCapacity, State: c.state}); got != c.told {
			t.Errorf("step %d: %v", i, got)
		}
	}
	if !w.changed(Goal{Name: GoalAvailability, State: GoalNotMet}) {
		t.Error("a goal that is not met from the start is not told")
	}
}
