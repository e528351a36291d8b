package simulate

import (
	"math/rand/v2"
	"slices"
)

// rule is one balancer's choice, with what it remembers. Times are nanoseconds of virtual time.
type rule interface {
	// pick chooses a server for a request of that class; one of them is up.
	pick(now int64, class uint8) int
	// sent tells that the request left, and gives the number of requests that it met there.
	sent(now int64, server int) int32
	// ended tells of an answer or of a time-out, which ends the request.
	ended(now int64, server int, e end)
	// health tells that a server can serve from now on, or not.
	health(now int64, server int, up bool)
}

// end is what a balancer sees of a request's end, and what servers report of themselves for C3.
type end struct {
	status int   // 200, 500, or 0 for a time-out
	took   int64 // from sent to the first byte
	class  uint8
	met    int32 // what sent gave
	served int64 // time in the server's slot
	queued int   // requests that wait there
}

// ruleMaker is a rule by its name.
type ruleMaker struct {
	name string
	what string // where it is from
	ours bool
	make func(m members) rule
}

// rules are the published rules and those of lb/choice.
func rules() []ruleMaker {
	return append(ourRules(),
		ruleMaker{name: "netscaler", what: "NetScaler LEASTRESPONSETIME: active x TTFB of 200s, every 7 s", make: newNetScaler},
		ruleMaker{name: "nginx", what: "nginx least_time header", make: newNginx},
		ruleMaker{name: "traefik", what: "Traefik leasttime", make: newTraefik},
		ruleMaker{name: "haproxy", what: "HAProxy leastconn", make: newLeastConn},
		ruleMaker{name: "p2c-least-conn", what: "power of two choices, least connections (Envoy, Traefik)", make: newTwoLeastConn},
		ruleMaker{name: "peak-ewma", what: "Finagle's peak-EWMA, all servers", make: newPeakEWMA},
		ruleMaker{name: "p2c-peak-ewma", what: "Finagle's peak-EWMA, two choices", make: newTwoPeakEWMA},
		ruleMaker{name: "p2c-peak-ewma-penalty", what: "Linkerd: the same with failures as peaks of 2 s", make: newTwoPeakPenalty},
		ruleMaker{name: "c3", what: "C3 (NSDI 2015), with reports of the servers", make: newC3},
		ruleMaker{name: "hcl", what: "hot-cold lexicographic as in Prequal (NSDI 2024), local figures", make: newHCL},
		ruleMaker{name: "plain-round-robin", what: "round robin", make: newTurns},
	)
}

// members is what every rule knows: who is up, and its own requests in flight.
type members struct {
	up       []int // sorted
	inFlight []int32
	chance   *rand.Rand
	// balancers is how many there are; C3 alone makes use of it.
	balancers int
}

func newMembers(servers, balancers int, chance *rand.Rand) members {
	m := members{inFlight: make([]int32, servers), chance: chance, balancers: balancers, up: make([]int, servers)}
	for i := range m.up {
		m.up[i] = i
	}
	return m
}

func (m *members) sent(_ int64, server int) int32 {
	m.inFlight[server]++
	return m.inFlight[server] - 1
}

func (m *members) ended(_ int64, server int, _ end) { m.inFlight[server]-- }

func (m *members) health(_ int64, server int, isUp bool) {
	at, known := slices.BinarySearch(m.up, server)
	switch {
	case isUp && !known:
		m.up = slices.Insert(m.up, at, server)
	case !isUp && known:
		m.up = slices.Delete(m.up, at, at+1)
	}
}

// two draws two different servers, or one twice when there is no other.
func (m *members) two() (a, b int) {
	i := m.chance.IntN(len(m.up))
	if len(m.up) == 1 {
		return m.up[i], m.up[i]
	}
	j := m.chance.IntN(len(m.up) - 1)
	if j >= i {
		j++
	}
	return m.up[i], m.up[j]
}

// turns is round robin, by itself and where others tie.
type turns struct{ next int }

// after is the position in n of whose turn it is.
func (t *turns) after(n int) int {
	if t.next >= n {
		t.next = 0
	}
	return t.next
}

// least finds the smallest cost; of equal ones that whose turn it is.
func (t *turns) least(up []int, cost func(server int) float64) int {
	from := t.after(len(up))
	best, at := 0.0, -1
	for k := range up {
		i := from + k
		if i >= len(up) {
			i -= len(up)
		}
		if c := cost(up[i]); at < 0 || c < best {
			best, at = c, i
		}
	}
	t.next = at + 1
	return up[at]
}
